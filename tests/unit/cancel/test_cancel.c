/* SPDX-License-Identifier: MIT */

/* Handles, requests, clear, the waker, signals and fork. */

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <volley/mmsg.h>

#include "lib/fault.h"
#include "victim.h"

static void on_nothing(int signo)
{
	(void)signo;
}

static int n_readable(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return poll(&pollfd, 1, 0);
}

static long sleep_for_ever(void *arg)
{
	(void)arg;
	return volley_ppoll(NULL, 0, NULL, NULL);
}

Test(init, defaults_and_idempotence)
{
	struct volley_cancel_config config = { .size = sizeof config, .signo = SIGUSR2 };
	struct volley_cancel_config any = { .signo = 7, .flags = 7 };

	volley_cancel_config_init(&any, sizeof any.size);
	cr_assert(any.signo == 7 && any.flags == 7, "not the caller's");
	volley_cancel_config_init(&any, sizeof any);
	volley_cancel_config_init(NULL, 1);
	volley_cancel_config_init(&any, 1);
	cr_assert(any.size == sizeof any && any.signo == 0 && any.flags == 0);
	cr_assert_eq(volley_cancel_init(NULL), 0);
	cr_assert_eq(vly_cancel_get_signo(), SIGURG);
	cr_assert_eq(volley_cancel_init(NULL), 0);
	cr_assert_eq(volley_cancel_init(&any), 0);
	cr_assert_eq(volley_cancel_init(&config), -EALREADY);
	config.signo = SIGURG;
	cr_assert_eq(volley_cancel_init(&config), 0);
}

Test(init, other_signal)
{
	struct volley_cancel_config config = { .size = sizeof config, .signo = SIGUSR2 };
	struct victim victim;

	cr_assert_eq(volley_cancel_init(&config), 0);
	victim_start(&victim, sleep_for_ever, NULL);
	wait_asleep(victim.tid);
	cr_assert_eq(volley_cancel_request(victim.handle), 0);
	victim_join(&victim);
	cr_assert_eq(victim.result, -ECANCELED);
}

Test(init, refuses_a_signal_in_use)
{
	struct sigaction action = { .sa_handler = on_nothing };

	cr_assert_eq(sigaction(SIGURG, &action, NULL), 0);
	cr_assert_eq(volley_cancel_init(NULL), -EBUSY);
	cr_assert_eq(volley_cancel_attach(NULL), -EBUSY);
	cr_assert_eq(volley_cancel_sigaction(SIGUSR1, &action, NULL), -EBUSY);
	action.sa_handler = SIG_IGN; /* what a parent may leave us */
	cr_assert_eq(sigaction(SIGURG, &action, NULL), 0);
	cr_assert_eq(volley_cancel_init(NULL), 0);
}

Test(init, refuses_bad_configs)
{
	static const int bad[] = { SIGKILL, SIGSTOP, SIGSEGV, SIGABRT, 64, 32, -1, 1000 };
	struct {
		struct volley_cancel_config config;
		uint64_t newer;
	} big = { .config = { .size = sizeof big } };
	struct volley_cancel_config config = { .size = sizeof config };

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		config.signo = bad[i];
		cr_assert_eq(volley_cancel_init(&config), -EINVAL, "signal %d", bad[i]);
	}
	config.signo = 0;
	config.flags = 1;
	cr_assert_eq(volley_cancel_init(&config), -EINVAL);
	config.flags = 0;
	config.size = 3;
	cr_assert_eq(volley_cancel_init(&config), -EINVAL);
	big.newer = 1;
	cr_assert_eq(volley_cancel_init(&big.config), -E2BIG);
	big.newer = 0;
	cr_assert_eq(volley_cancel_init(&big.config), 0);
}

Test(init, fails_without_thread_keys)
{
	pthread_key_t key;

	while (pthread_key_create(&key, NULL) == 0)
		;
	cr_assert_eq(volley_cancel_init(NULL), -EAGAIN);
	cr_assert_eq(volley_cancel_attach(NULL), -EAGAIN);
}

Test(init, passes_errors_on)
{
	struct volley_cancel *handle = NULL;

	fault_arm(FAULT_SIGACTION, 1, EINVAL);
	cr_assert_eq(volley_cancel_init(NULL), -EINVAL);
	cr_assert_eq(fault_disarm(), 1);
	fault_arm(FAULT_ALIGNED_ALLOC, 1, ENOMEM);
	cr_assert_eq(volley_cancel_attach(&handle), -ENOMEM);
	cr_assert_eq(fault_disarm(), 1);
	cr_assert_eq(handle, NULL);
	cr_assert_eq(volley_cancel_attach(NULL), 0);
}

Test(attach, once)
{
	struct volley_cancel *handle = NULL, *untouched = NULL;

	cr_assert_eq(volley_cancel_self(), NULL);
	cr_assert_eq(volley_cancel_detach(), -ESRCH);
	cr_assert_eq(volley_cancel_clear(), -ESRCH);
	cr_assert_eq(volley_cancel_set_waker(-1), -ESRCH);
	cr_assert_eq(volley_cancel_set_exit(1), -ESRCH);
	cr_assert_eq(volley_cancel_set_state(VOLLEY_CANCEL_ENABLE, NULL), -ESRCH);
	cr_assert_eq(volley_cancel_pending(), 0);
	cr_assert_eq(volley_cancel_test(), 0);
	cr_assert_eq(volley_cancel_attach(&handle), 0);
	cr_assert_eq(volley_cancel_self(), handle);
	cr_assert_eq(volley_cancel_attach(&untouched), -EALREADY);
	cr_assert_eq(untouched, NULL);
	cr_assert_eq(volley_cancel_detach(), 0);
	cr_assert_eq(volley_cancel_request(handle), -ESRCH);
	cr_assert_eq(volley_cancel_request_wait(handle, -1), -ESRCH);
	cr_assert_eq(volley_cancel_ref(handle), handle);
	volley_cancel_unref(handle);
	volley_cancel_unref(handle);
	volley_cancel_unref(NULL);
	cr_assert_eq(volley_cancel_attach(NULL), 0, "again");
	cr_assert_eq(volley_cancel_detach(), 0);
}

/* Blocked or not as it was found, whatever happened in between. */
Test(attach, mask_is_restored)
{
	sigset_t set;

	for (int blocked = 0; blocked < 2; blocked++) {
		sigemptyset(&set);
		sigaddset(&set, SIGURG);
		pthread_sigmask(blocked ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
		cr_assert_eq(volley_cancel_attach(NULL), 0);
		cr_assert_eq(signal_blocked(SIGURG), !vly_cancel_unblocks);
		cr_assert_eq(volley_cancel_request(volley_cancel_self()), 0);
		/* Not under Valgrind, which ignores the edited mask. */
		if (vly_cancel_is_mask_kept())
			cr_assert_eq(signal_blocked(SIGURG), 1, "pending: blocked until clear");
		cr_assert_eq(volley_cancel_clear(), 0);
		cr_assert_eq(signal_blocked(SIGURG), !vly_cancel_unblocks);
		cr_assert_not(signal_pending(SIGURG));
		cr_assert_eq(volley_cancel_request(volley_cancel_self()), 0);
		cr_assert_eq(volley_cancel_detach(), 0);
		cr_assert_eq(signal_blocked(SIGURG), blocked);
		cr_assert_not(signal_pending(SIGURG));
	}
}

static void *end_attached(void *ret_handle)
{
	volley_cancel_attach(ret_handle);
	return NULL;
}

Test(attach, thread_end_detaches)
{
	struct volley_cancel *handle = NULL;
	pthread_t thread;

	pthread_create(&thread, NULL, end_attached, &handle);
	pthread_join(thread, NULL);
	cr_assert_not_null(handle);
	cr_assert_eq(volley_cancel_request(handle), -ESRCH);
	volley_cancel_unref(handle);
}

Test(request, is_sticky_and_leaves_errno)
{
	cr_assert_eq(volley_cancel_attach(NULL), 0);
	errno = 4711;
	for (int i = 0; i < 1000; i++)
		cr_assert_eq(volley_cancel_request(volley_cancel_self()), 0);
	cr_assert_eq(volley_cancel_pending(), 1);
	cr_assert_eq(volley_cancel_test(), -ECANCELED);
	cr_assert_eq(volley_cancel_test(), -ECANCELED);
	cr_assert_eq(volley_cancel_clear(), 0);
	cr_assert_eq(volley_cancel_pending(), 0);
	cr_assert_eq(volley_cancel_test(), 0);
	cr_assert_eq(errno, 4711);
}

Test(request, without_a_handle_signal_means_nothing)
{
	cr_assert_eq(volley_cancel_init(NULL), 0);
	cr_assert_eq(raise(SIGURG), 0);
	cr_assert_eq(volley_cancel_attach(NULL), 0);
	cr_assert_eq(raise(SIGURG), 0);
	cr_assert_eq(volley_cancel_test(), 0);
	cr_assert_eq(signal_blocked(SIGURG), !vly_cancel_unblocks);
}

static sem_t go_on, may_end;
static _Atomic bool entered, returned;

static int remove_waker(void)
{
	return volley_cancel_set_waker(-1);
}

static long call_and_tell(void *arg)
{
	int (*const calls[])(void) = { volley_cancel_clear, remove_waker, volley_cancel_detach };
	long r;

	while (sem_wait(&go_on) < 0)
		;
	atomic_store(&entered, true);
	r = calls[*(int *)arg]();
	atomic_store(&returned, true);
	while (sem_wait(&may_end) < 0)
		;
	return r;
}

/* A request between its flag and its signal, on either side, holds these three up. */
Test(request, in_flight_is_waited_for)
{
	struct victim victim;

	sem_init(&may_end, 0, 0);
	for (int i = 0; i < 6; i++) {
		int call = i / 2;

		sem_init(&go_on, 0, 0);
		atomic_store(&entered, false);
		atomic_store(&returned, false);
		victim_start(&victim, call_and_tell, &call);
		atomic_fetch_add(&victim.handle->n_inflight[i % 2], 1);
		sem_post(&go_on);
		while (!atomic_load(&entered) ||
		       (!atomic_load(&returned) && thread_state(victim.tid) != 'S'))
			sched_yield();
		for (int j = 0; j < 100; j++)
			cr_assert_not(atomic_load(&returned), "call %d, side %d", call, i % 2);
		atomic_fetch_sub(&victim.handle->n_inflight[i % 2], 1);
		sem_post(&may_end);
		victim_join(&victim);
		cr_assert_eq(victim.result, 0);
	}
}

/* Mask restored behind our back: the signal comes again, but not for ever. */
Test(request, restored_mask_does_not_spin)
{
	sigset_t set;

	cr_assert_eq(volley_cancel_attach(NULL), 0);
	sigemptyset(&set);
	sigaddset(&set, SIGURG);
	cr_assert_eq(volley_cancel_request(volley_cancel_self()), 0);
	for (int i = 0; i < 100; i++)
		pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	cr_assert_eq(volley_cancel_clear(), 0);
	cr_assert_not(signal_pending(SIGURG));
}

static long clear_twice(void *arg)
{
	long r = volley_ppoll(NULL, 0, NULL, NULL);

	(void)arg;
	if (r != -ECANCELED)
		return r;
	volley_cancel_clear();
	return volley_ppoll(NULL, 0, NULL, NULL);
}

Test(request_wait, is_acknowledged_by_clear_and_by_detach)
{
	struct victim victim;

	victim_start(&victim, clear_twice, NULL);
	cr_assert_eq(volley_cancel_request_wait(victim.handle, -1), 0);
	wait_asleep(victim.tid);
	cr_assert_eq(volley_cancel_request_wait(victim.handle, 60000000), 0);
	victim_join(&victim);
	cr_assert_eq(victim.result, -ECANCELED);

	/* No clear: the thread ends, which detaches. */
	victim_start(&victim, sleep_for_ever, NULL);
	cr_assert_eq(volley_cancel_request_wait(victim.handle, -1), 0);
	victim_join(&victim);
}

static long detach_when_told(void *arg)
{
	(void)arg;
	while (sem_wait(&go_on) < 0)
		;
	return volley_cancel_detach();
}

Test(request_wait, times_out_and_keeps_the_request)
{
	struct victim victim;
	int r;

	sem_init(&go_on, 0, 0);
	victim_start(&victim, detach_when_told, NULL);
	cr_assert_eq(volley_cancel_request_wait(victim.handle, 0), -ETIMEDOUT);
	cr_assert_eq(volley_cancel_request_wait(victim.handle, 2000), -ETIMEDOUT);
	cr_assert_eq(atomic_load(&victim.handle->requested), 1);
	sem_post(&go_on);
	r = volley_cancel_request_wait(victim.handle, -1);
	cr_assert(r == 0 || r == -ESRCH, "it may have detached before");
	victim_join(&victim);
	cr_assert_eq(victim.result, 0);
}

Test(request_wait, refuses_the_own_thread)
{
	cr_assert_eq(volley_cancel_attach(NULL), 0);
	cr_assert_eq(volley_cancel_request_wait(volley_cancel_self(), -1), -EDEADLK);
	cr_assert_eq(volley_cancel_pending(), 0);
}

Test(waker, follows_the_request)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	int blocking = eventfd(0, EFD_CLOEXEC);

	cr_assert_eq(volley_cancel_attach(NULL), 0);
	cr_assert_eq(volley_cancel_set_waker(blocking), -EINVAL);
	cr_assert_eq(volley_cancel_set_waker(1 << 20), -EBADF);
	cr_assert_eq(volley_cancel_set_waker(fd), 0);
	cr_assert_eq(n_readable(fd), 0);
	cr_assert_eq(volley_cancel_request(volley_cancel_self()), 0);
	cr_assert_eq(n_readable(fd), 1);
	cr_assert_eq(volley_cancel_clear(), 0);
	cr_assert_eq(n_readable(fd), 0);
	cr_assert_eq(volley_cancel_set_waker(-1), 0);
	cr_assert_eq(volley_cancel_request(volley_cancel_self()), 0);
	cr_assert_eq(n_readable(fd), 0, "removed");
	cr_assert_eq(volley_cancel_set_waker(fd), 0);
	cr_assert_eq(n_readable(fd), 1, "set with a request pending");
	cr_assert_eq(volley_cancel_detach(), 0);
	cr_assert_eq(n_readable(fd), 0);
}

Test(sigaction, adds_the_signal_to_the_mask)
{
	struct sigaction action = { .sa_handler = on_nothing };
	struct sigaction old;

	cr_assert_eq(volley_cancel_sigaction(SIGUSR1, &action, NULL), 0);
	cr_assert_eq(sigismember(&action.sa_mask, SIGURG), 0, "the caller's is not changed");
	cr_assert_eq(volley_cancel_sigaction(SIGUSR1, NULL, &old), 0);
	cr_assert_eq(old.sa_handler, on_nothing);
	cr_assert_eq(sigismember(&old.sa_mask, SIGURG), 1);
	cr_assert_eq(volley_cancel_sigaction(SIGURG, &action, NULL), -EINVAL);
	cr_assert_eq(volley_cancel_sigaction(SIGKILL, &action, NULL), -EINVAL);
}

/* In the child of a fork: 0 when all is as it should be, else which step was not. */
static int check_child(struct volley_cancel *mine, struct volley_cancel *others)
{
	if (volley_cancel_self() != mine || volley_cancel_pending() != 1)
		return 1;
	if (volley_cancel_test() != -ECANCELED || volley_cancel_clear() != 0)
		return 2;
	if (signal_pending(SIGURG) || signal_blocked(SIGURG) == vly_cancel_unblocks)
		return 3;
	if (volley_cancel_request(others) != -ESRCH)
		return 4;
	if (volley_cancel_request(mine) != 0 || sleep_for_ever(NULL) != -ECANCELED)
		return 5;
	return volley_cancel_detach() == 0 ? 0 : 6;
}

Test(fork, child_keeps_its_request_and_has_its_own_thread)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct victim victim;
	int status = -1;
	pid_t pid;

	victim_start(&victim, sleep_for_ever, NULL);
	wait_asleep(victim.tid);
	cr_assert_eq(volley_cancel_attach(NULL), 0);
	cr_assert_eq(volley_cancel_set_waker(fd), 0);
	cr_assert_eq(volley_cancel_request(volley_cancel_self()), 0);
	pid = fork();
	if (pid == 0)
		end_child(check_child(volley_cancel_self(), victim.handle));
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status));
	cr_assert_eq(WEXITSTATUS(status), 0, "step %d", WEXITSTATUS(status));
	cr_assert_eq(n_readable(fd), 1, "the child has drained the parent's waker");
	cr_assert_eq(volley_cancel_pending(), 1);
	cr_assert_eq(thread_state(victim.tid), 'S');
	cr_assert_eq(volley_cancel_request(victim.handle), 0);
	victim_join(&victim);
}

static pid_t forked;

static int n_theirs;

static void on_theirs(int signo)
{
	(void)signo;
	n_theirs++;
}

/* The program takes the signal after init. */
Test(retake, a_handler_that_was_replaced_stands_until_the_last_detach)
{
	struct sigaction action = { .sa_handler = on_theirs, .sa_flags = SA_RESTART };
	struct sigaction now;
	struct volley_cancel *handle;
	sigset_t urgent, old;

	cr_assert_eq(volley_cancel_attach(&handle), 0);
	cr_assert_eq(volley_cancel_request(handle), 0, "it is ours");
	cr_assert_eq(volley_cancel_clear(), 0);
	cr_assert_eq(sigaction(SIGURG, &action, NULL), 0);
	cr_assert_eq(volley_cancel_request(handle), 1);
	cr_assert_eq(volley_cancel_request(handle), 0, "once");
	cr_assert_eq(volley_cancel_clear(), 0);
	cr_assert_eq(n_theirs, 0, "it was not for them");
	/* Some variants keep it blocked but in their own calls. */
	sigemptyset(&urgent);
	sigaddset(&urgent, SIGURG);
	pthread_sigmask(SIG_UNBLOCK, &urgent, &old);
	raise(SIGURG);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	cr_assert_eq(n_theirs, 1, "and this was");
	cr_assert_eq(volley_cancel_detach(), 0);
	cr_assert_eq(sigaction(SIGURG, NULL, &now), 0);
	cr_assert_eq(now.sa_handler, on_theirs);
	cr_assert_eq(volley_cancel_request(handle), -ESRCH);
	volley_cancel_unref(handle);
}

static void on_fork(int signo)
{
	(void)signo;
	volley_cancel_request(volley_cancel_self());
	forked = fork();
}

/*
 * A fork in a handler on top of a blocked call, with a request: the child has no pending signal,
 * and its call must fail all the same.
 */
Test(fork, in_a_handler_on_a_blocked_call)
{
	struct sigaction action = { .sa_handler = on_fork, .sa_flags = SA_RESTART };
	int fds[2], status = -1;
	char c;

	if (!vly_cancel_is_mask_kept())
		return; /* Valgrind: calls beneath a handler are not looked at again */
	cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
	cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
	cr_assert_eq(volley_cancel_attach(NULL), 0);
	ualarm(20000, 0);
	if (volley_read(fds[0], &c, 1) != -ECANCELED)
		end_child(9);
	if (forked == 0)
		end_child(volley_cancel_clear() == 0 ? 0 : 8);
	cr_assert_eq(waitpid(forked, &status, 0), forked);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

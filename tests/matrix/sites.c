/* SPDX-License-Identifier: MIT */

#include "matrix/sites.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { STACK_DEPTH = 12 };

/* Shared with the child that records; the children that try cells have their own of the rest. */
static struct shared {
	pthread_mutex_t lock;
	size_t n;
	struct site sites[MAX_SITES];
} * shared;
static struct cell cell;
static bool is_trying;
static atomic_uint n_fired;

#define FAULT_NAME(constant, function) [constant] = #function,
static const char *const names[] = { FAULT_LIST(FAULT_NAME) };

static bool is_same(const struct site *a, const struct site *b)
{
	return a->function == b->function && a->detail == b->detail &&
	       memcmp(a->frames, b->frames, sizeof a->frames) == 0;
}

/* The frames from `site` on, which is where the wrapper returns to. */
static void find_frames(struct site *ret_site, const void *site)
{
	void *stack[STACK_DEPTH];
	int n = backtrace(stack, STACK_DEPTH);
	int i = 0;

	memset(ret_site->frames, 0, sizeof ret_site->frames);
	while (i < n && stack[i] != site)
		i++;
	for (int at = 0; at < SITE_DEPTH && i < n; at++, i++)
		ret_site->frames[at] = stack[i];
}

/* What is not judged (lib/fault.c). */
int __real_pthread_sigmask(int how, const sigset_t *set, sigset_t *old);

/* The library's signal handler makes calls, too, and would wait for the lock of its own thread. */
static void record(const struct site *site, enum phase phase)
{
	sigset_t all;
	sigset_t before;
	size_t i = 0;

	sigfillset(&all);
	__real_pthread_sigmask(SIG_BLOCK, &all, &before);
	pthread_mutex_lock(&shared->lock);
	while (i < shared->n && !is_same(&shared->sites[i], site))
		i++;
	if (i == MAX_SITES) {
		fprintf(stderr, "more than %d sites\n", MAX_SITES);
		abort();
	}
	if (i == shared->n)
		shared->sites[shared->n++] = *site;
	shared->sites[i].n_calls[phase]++;
	pthread_mutex_unlock(&shared->lock);
	__real_pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static int try_site(const struct site *site)
{
	if (!is_same(site, &shared->sites[cell.site]))
		return 0;
	if (atomic_fetch_add(&n_fired, 1) > 0 && cell.is_once)
		return 0;
	return cell.error;
}

static int judge(enum fault_function function, const void *address, long detail)
{
	struct site site = { .function = function, .detail = detail };
	enum phase phase = life_get_phase();

	if (phase == PHASE_NONE || life_is_outside())
		return 0;
	if (is_trying && (phase != cell.phase || function != shared->sites[cell.site].function))
		return 0;
	find_frames(&site, address);
	if (is_trying)
		return try_site(&site);
	record(&site, phase);
	return 0;
}

bool sites_init(void)
{
	pthread_mutexattr_t attr;
	void *stack[STACK_DEPTH];

	backtrace(stack, STACK_DEPTH); /* loads what it needs, before any call is judged */
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED) {
		perror("matrix: mmap");
		return false;
	}
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&shared->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	return true;
}

void sites_record(void)
{
	shared->n = 0;
	is_trying = false;
	fault_set_judge(judge);
}

void sites_try(const struct cell *which)
{
	cell = *which;
	is_trying = true;
	fault_set_judge(judge);
}

size_t sites_n(void)
{
	return shared->n;
}

const struct site *sites_get(size_t i)
{
	return &shared->sites[i];
}

unsigned int sites_n_fired(void)
{
	return atomic_load(&n_fired);
}

/*
 * What section 2 and 3 of the manual name, without what only a wrong argument gives (EBADF, EFAULT,
 * ENOTSOCK), and with ENOSYS, EPERM and EACCES where a filter of system calls may say so.
 */
static const int no_memory[] = { ENOMEM, 0 };
static const int mmap_errors[] = { ENOMEM, EAGAIN, EPERM, 0 };
static const int socket_errors[] = { EMFILE, ENFILE, ENOBUFS, ENOMEM, EACCES, EAFNOSUPPORT, 0 };
static const int bind_errors[] = { EACCES, EADDRINUSE, EADDRNOTAVAIL, ENOMEM, 0 };
static const int connect_errors[] = { EACCES, EPERM, EAGAIN, EADDRINUSE, ENETUNREACH, 0 };
static const int option_errors[] = { ENOPROTOOPT, EINVAL, EPERM, ENOMEM, EACCES, 0 };
static const int name_errors[] = { ENOBUFS, EPERM, 0 };
static const int fcntl_errors[] = { EMFILE, EPERM, EINVAL, 0 };
static const int new_fd_errors[] = { EMFILE, ENFILE, ENOMEM, ENOSYS, 0 };
static const int epoll_errors[] = { ENOMEM, ENOSPC, EPERM, 0 };
static const int wait_errors[] = { EINTR, ENOMEM, 0 };
static const int filtered[] = { EPERM, ENOSYS, 0 }; /* by a filter of system calls only */
static const int nothing[] = { 0 };
static const int thread_errors[] = { EAGAIN, EPERM, 0 };
static const int affinity_errors[] = { EINVAL, EPERM, 0 };
static const int recv_errors[] = { EAGAIN, ECONNREFUSED, EINTR, ENOMEM, EPERM, ENOSYS, 0 };
static const int send_errors[] = { EAGAIN,       ENOBUFS,     ENOMEM, EPERM,  ECONNREFUSED,
				   EMSGSIZE,     ENETUNREACH, EACCES, EINVAL, ENETDOWN,
				   EHOSTUNREACH, ENOSYS,      EPIPE,  0 };

static const int *errors_of_syscall(long nr)
{
	switch (nr) {
	case SYS_recvmmsg:
	case SYS_recvmsg:
		return recv_errors;
	case SYS_sendmmsg:
	case SYS_sendmsg:
		return send_errors;
	case SYS_read: /* of and to an eventfd */
	case SYS_write:
	case SYS_tgkill: /* to a thread of our own that is there */
		return nothing;
	default:
		return filtered;
	}
}

static const int *errors_of(const struct site *site)
{
	static const int *const by_function[FAULT_N_FUNCTIONS] = {
		[FAULT_MMAP] = mmap_errors,
		[FAULT_SOCKET] = socket_errors,
		[FAULT_BIND] = bind_errors,
		[FAULT_CONNECT] = connect_errors,
		[FAULT_SETSOCKOPT] = option_errors,
		[FAULT_GETSOCKOPT] = option_errors,
		[FAULT_GETSOCKNAME] = name_errors,
		[FAULT_FCNTL] = fcntl_errors,
		[FAULT_EVENTFD] = new_fd_errors,
		[FAULT_SIGNALFD] = new_fd_errors,
		[FAULT_PIPE2] = new_fd_errors,
		[FAULT_TIMERFD_CREATE] = new_fd_errors,
		[FAULT_EPOLL_CREATE1] = new_fd_errors,
		[FAULT_EPOLL_CTL] = epoll_errors,
		[FAULT_POLL] = wait_errors,
		[FAULT_PPOLL] = wait_errors,
		[FAULT_EPOLL_WAIT] = wait_errors,
		[FAULT_READ] = nothing, /* of an eventfd or a signalfd: likewise */
		/* To an eventfd: EAGAIN tells that its reader is awake, and nothing else comes. */
		[FAULT_WRITE] = nothing,
		[FAULT_SIGACTION] = filtered,
		[FAULT_PTHREAD_SIGMASK] = nothing, /* knows only a wrong `how` */
		[FAULT_PTHREAD_CREATE] = thread_errors,
		[FAULT_PTHREAD_SETAFFINITY_NP] = affinity_errors,
		[FAULT_SCHED_GETAFFINITY] = affinity_errors,
		[FAULT_SCHED_SETAFFINITY] = affinity_errors,
		[FAULT_RECV] = recv_errors,
		[FAULT_RECVMSG] = recv_errors,
		[FAULT_SEND] = send_errors,
		[FAULT_SENDMSG] = send_errors,
	};

	if (site->function == FAULT_SYSCALL)
		return errors_of_syscall(site->detail);
	/* What the kernel does not refuse, since the arguments are right. */
	if (site->function == FAULT_EPOLL_CTL && site->detail == EPOLL_CTL_DEL)
		return nothing;
	if (site->function == FAULT_FCNTL && site->detail != F_DUPFD_CLOEXEC)
		return filtered;
	return by_function[site->function] != NULL ? by_function[site->function] : no_memory;
}

size_t sites_get_errors(const struct site *site, const int **ret_errors)
{
	size_t n = 0;

	*ret_errors = errors_of(site);
	while ((*ret_errors)[n] != 0)
		n++;
	return n;
}

/* The name of the function that an address of this program lies in. */
static void find_name(const void *address, char *text, size_t n_text)
{
	const char *base = (const char *)_r_debug.r_map->l_addr;
	char command[512];
	FILE *out;

	snprintf(command, sizeof command, "addr2line -f -e /proc/%d/exe 0x%tx | head -1", getpid(),
		 (const char *)address - base - 1);
	out = popen(command, "r");
	if (out == NULL || fgets(text, (int)n_text, out) == NULL)
		snprintf(text, n_text, "?");
	if (out != NULL)
		pclose(out);
	text[strcspn(text, "\n")] = '\0';
}

void sites_print(const struct site *site, char *text, size_t n_text)
{
	int n = snprintf(text, n_text, "%s", names[site->function]);

	if (site->function == FAULT_SETSOCKOPT || site->function == FAULT_GETSOCKOPT)
		n += snprintf(text + n, n_text - (size_t)n, "(%ld, %ld)", site->detail >> 16,
			      site->detail & 0xffff);
	else if (site->detail != 0)
		n += snprintf(text + n, n_text - (size_t)n, "(%ld)", site->detail);
	for (int i = 0; i < SITE_DEPTH && site->frames[i] != NULL; i++) {
		char name[128];

		find_name(site->frames[i], name, sizeof name);
		n += snprintf(text + n, n_text - (size_t)n, "%s%s", i == 0 ? " in " : " <- ", name);
		if ((size_t)n >= n_text)
			return;
	}
}

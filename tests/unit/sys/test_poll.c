/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <volley/cancel.h>

#include "lib/fault.h"
#include "lib/loopback.h"
#include "lib/skip.h"
#include "sys/clock.h"
#include "sys/poll.h"

static int pipes[2][2];

static void open_pipes(void)
{
	cr_assert_eq(pipe2(pipes[0], O_CLOEXEC), 0);
	cr_assert_eq(pipe2(pipes[1], O_CLOEXEC), 0);
}

TestSuite(poll, .init = open_pipes, .timeout = 60);

static void write_one(int i)
{
	cr_assert_eq(write(pipes[i][1], "x", 1), 1);
}

Test(poll, wait_ends_with_the_first_that_is_ready_or_in_time)
{
	struct pollfd fds[2] = { { .fd = pipes[0][0], .events = POLLIN },
				 { .fd = pipes[1][0], .events = POLLIN } };

	cr_assert_eq(vly_poll_wait(fds, 2, 0), 0);
	cr_assert_eq(vly_poll_wait(fds, 2, 1), 0);
	write_one(1);
	cr_assert_eq(vly_poll_wait(fds, 2, -1), 1);
	cr_assert_eq(fds[0].revents, 0);
	cr_assert_eq(fds[1].revents, POLLIN);
	write_one(0);
	cr_assert_eq(vly_poll_wait(fds, 2, -1), 2);
	fault_arm(FAULT_POLL, 1, EINTR);
	cr_assert_eq(vly_poll_wait(fds, 2, -1), -EINTR);
	cr_assert_eq(fault_disarm(), 1);
}

/* What is not asked for is not reported: who looks at it might wait there. */
Test(poll, a_wait_that_is_refused_is_a_short_sleep_and_a_look_at_everything)
{
	struct pollfd fds[3] = { { .fd = pipes[0][0], .events = POLLIN },
				 { .fd = -1, .events = POLLIN },
				 { .fd = pipes[1][0] } };
	uint64_t begin_ns = vly_clock_get_ns();

	fault_arm(FAULT_POLL, 1, EINVAL);
	cr_assert_eq(vly_poll_wait(fds, 3, -1), 1);
	cr_assert_eq(fault_disarm(), 1);
	cr_assert_geq(vly_clock_get_ns() - begin_ns, VLY_CLOCK_LOOK_NS);
	cr_assert_eq(fds[0].revents, POLLIN);
	cr_assert_eq(fds[1].revents, 0);
	cr_assert_eq(fds[2].revents, 0);
}

/* With poll refused meanwhile, which Criterion needs as well. */
static int wait_refused(struct pollfd *fds, uint32_t n, int64_t timeout_ns)
{
	struct rlimit limit;
	rlim_t saved;
	int r;

	getrlimit(RLIMIT_NOFILE, &limit);
	saved = limit.rlim_cur;
	limit.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &limit);
	r = vly_poll_wait_point(fds, n, timeout_ns);
	limit.rlim_cur = saved;
	setrlimit(RLIMIT_NOFILE, &limit);
	return r;
}

Test(poll, a_cancellation_point_waits_sleeps_and_is_cancelled)
{
	struct pollfd fds[2] = { { .fd = pipes[0][0], .events = POLLIN },
				 { .fd = pipes[1][0], .events = POLLIN } };
	struct volley_cancel *handle;
	uint64_t begin_ns;

	cr_assert_geq(volley_cancel_attach(&handle), 0);
	cr_assert_eq(vly_poll_wait_point(fds, 2, 0), 0);
	begin_ns = vly_clock_get_ns();
	cr_assert_eq(vly_poll_wait_point(fds, 2, 2000000), 0);
	cr_assert_geq(vly_clock_get_ns() - begin_ns, 2000000);
	write_one(1);
	cr_assert_eq(vly_poll_wait_point(fds, 2, -1), 1);
	cr_assert_eq(fds[0].revents, 0);
	volley_cancel_request(handle);
	cr_assert_eq(vly_poll_wait_point(fds, 2, -1), -ECANCELED);
	volley_cancel_clear();
	volley_cancel_unref(handle);
	volley_cancel_detach();
}

Test(poll, a_cancellation_point_that_is_refused_is_a_short_sleep)
{
	struct pollfd fds[2] = { { .fd = pipes[0][0], .events = POLLIN },
				 { .fd = pipes[1][0], .events = POLLIN } };
	struct volley_cancel *handle;
	uint64_t begin_ns;

	if (getenv("VALGRIND") != NULL)
		skip_test("valgrind keeps RLIMIT_NOFILE to itself");
	cr_assert_geq(volley_cancel_attach(&handle), 0);
	begin_ns = vly_clock_get_ns();
	cr_assert_eq(wait_refused(fds, 2, -1), 2);
	cr_assert_geq(vly_clock_get_ns() - begin_ns, VLY_CLOCK_LOOK_NS);
	cr_assert_eq(fds[0].revents, POLLIN, "it may be");
	cr_assert_eq(wait_refused(fds, 2, 0), 2, "and no longer than asked");
	volley_cancel_unref(handle);
	volley_cancel_detach();
}

Test(poll, an_entry_comes_with_its_tag_while_it_is_watched)
{
	struct epoll_event events[2];
	int poll_fd = vly_poll_open();

	cr_assert_geq(poll_fd, 0);
	cr_assert(fcntl(poll_fd, F_GETFD) & FD_CLOEXEC);
	write_one(0);
	cr_assert_eq(vly_poll_take(poll_fd, events, 2), 0, "and it does not sleep");
	cr_assert_eq(vly_poll_set(poll_fd, pipes[0][0], 0, EPOLLIN, &pipes[0]), 0);
	cr_assert_eq(vly_poll_set(poll_fd, pipes[1][0], 0, EPOLLIN, &pipes[1]), 0);
	cr_assert_eq(vly_poll_take(poll_fd, events, 2), 1);
	cr_assert_eq(events[0].data.ptr, (void *)&pipes[0]);
	cr_assert_eq(events[0].events, EPOLLIN);
	write_one(1);
	cr_assert_eq(vly_poll_take(poll_fd, events, 2), 2);
	cr_assert_eq(vly_poll_take(poll_fd, events, 1), 1);
	cr_assert_eq(vly_poll_set(poll_fd, pipes[0][0], EPOLLIN, EPOLLOUT, &pipes[0]), 0);
	cr_assert_eq(vly_poll_take(poll_fd, events, 2), 1, "it asks for something else now");
	cr_assert_eq(events[0].data.ptr, (void *)&pipes[1]);
	cr_assert_eq(vly_poll_set(poll_fd, pipes[1][0], EPOLLIN, 0, NULL), 0);
	cr_assert_eq(vly_poll_take(poll_fd, events, 2), 0);
	cr_assert_eq(vly_poll_set(poll_fd, pipes[1][0], EPOLLIN, 0, NULL), -ENOENT);
	vly_poll_close(poll_fd);
	vly_poll_close(-1);
}

Test(poll, no_change_is_no_call_and_failures_are_told)
{
	int n_fds = loopback_n_fds();
	int poll_fd = vly_poll_open();
	struct epoll_event event;

	fault_arm(FAULT_EPOLL_CTL, 1, ENOSPC);
	cr_assert_eq(vly_poll_set(poll_fd, pipes[0][0], EPOLLIN, EPOLLIN, NULL), 0);
	cr_assert_eq(vly_poll_set(poll_fd, pipes[0][0], 0, 0, NULL), 0);
	cr_assert_eq(fault_n_calls(FAULT_EPOLL_CTL), 0);
	cr_assert_eq(vly_poll_set(poll_fd, pipes[0][0], 0, EPOLLIN, NULL), -ENOSPC);
	fault_arm(FAULT_EPOLL_CREATE1, 1, EMFILE);
	cr_assert_eq(vly_poll_open(), -EMFILE);
	cr_assert_eq(fault_disarm(), 1);
	vly_poll_close(poll_fd);
	cr_assert_eq(vly_poll_take(poll_fd, &event, 1), -EBADF);
	cr_assert_eq(loopback_n_fds(), n_fds);
}

Test(poll, one_that_cannot_be_waited_for_is_none)
{
	int n_fds = loopback_n_fds();

	fault_arm(FAULT_EPOLL_WAIT, 1, EPERM);
	cr_assert_eq(vly_poll_open(), -EPERM);
	cr_assert_eq(fault_disarm(), 1);
	cr_assert_eq(loopback_n_fds(), n_fds);
}

Test(poll, room_for_three_is_seen_and_left_as_it_was)
{
	static const enum fault_function calls[] = { FAULT_EPOLL_CREATE1, FAULT_EPOLL_WAIT,
						     FAULT_PIPE2, FAULT_EPOLL_CTL };
	int n_fds = loopback_n_fds();
	struct rlimit limit;

	cr_assert_eq(vly_poll_check_room(), 0);
	for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
		fault_arm(calls[i], 1, EACCES);
		cr_assert_eq(vly_poll_check_room(), -EACCES);
		cr_assert_eq(fault_disarm(), 1);
	}
	cr_assert_eq(loopback_n_fds(), n_fds);
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = (rlim_t)dup(0) + 3; /* and the copy is open: two are left */
	setrlimit(RLIMIT_NOFILE, &limit);
	cr_assert_eq(vly_poll_check_room(), -EMFILE);
	limit.rlim_cur++;
	setrlimit(RLIMIT_NOFILE, &limit);
	cr_assert_eq(vly_poll_check_room(), 0);
}

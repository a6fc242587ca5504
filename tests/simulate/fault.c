/* SPDX-License-Identifier: MIT */

/*
 * Which calls fail, and how: what the manual names, but for what only a wrong argument gives. As in
 * tests/matrix/sites.c, which tries each once in a real kernel; here they come together.
 */

#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel.h"
#include "world.h"

struct fault_plan fault_plan;
static uint32_t n_faults;

static const struct {
	const char *call;
	int errors[8];
} kinds[] = {
	{ "recvmmsg", { ENOMEM, EINTR } },
	{ "recvmsg", { ENOMEM, EINTR } },
	{ "sendmmsg", { EAGAIN, ENOBUFS, ENOMEM, EPERM, ENETUNREACH, EHOSTUNREACH, EACCES } },
	{ "sendmsg", { EAGAIN, ENOBUFS, ENOMEM, EPERM, ENETUNREACH, EHOSTUNREACH, EACCES } },
	{ "socket", { EMFILE, ENFILE, ENOBUFS, ENOMEM } },
	{ "bind", { EADDRINUSE, EADDRNOTAVAIL, EACCES, ENOMEM } },
	{ "connect", { EACCES, ENETUNREACH, EAGAIN } },
	{ "setsockopt", { ENOPROTOOPT, EPERM, ENOMEM, EINVAL } },
	{ "getsockopt", { ENOPROTOOPT, EPERM, ENOMEM } },
	{ "getsockname", { ENOBUFS } },
	{ "eventfd", { EMFILE, ENFILE, ENOMEM } },
	{ "pipe2", { EMFILE, ENFILE } },
	{ "signalfd", { EMFILE, ENFILE, ENOMEM } },
	{ "timerfd_create", { EMFILE, ENFILE, ENOMEM } },
	{ "timerfd_settime", { EPERM } }, /* a filter */
	{ "epoll_create1", { EMFILE, ENFILE, ENOMEM } },
	{ "epoll_ctl", { ENOMEM, ENOSPC } },
	{ "epoll_wait", { EINTR } },
	{ "poll", { EINTR, ENOMEM } },
	{ "ppoll", { EINTR, ENOMEM } },
	{ "fcntl", { EMFILE } },
	{ "membarrier", { ENOSYS, EPERM } },
	{ "pidfd_open", { ENOSYS, EMFILE } },
	{ "getrandom", { ENOSYS, EPERM } },
	{ "pthread_create", { EAGAIN } },
	{ "event_add", { ENOMEM } },
};

uint32_t fault_count(void)
{
	return n_faults;
}

void fault_begin(void)
{
	fault_plan = (struct fault_plan){ 0 };
	n_faults = 0;
}

static int pick_error(const char *call)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		uint32_t n = 0;

		if (strcmp(kinds[i].call, call) != 0)
			continue;
		while (n < 8 && kinds[i].errors[n] != 0)
			n++;
		return kinds[i].errors[world_pick(n)];
	}
	return 0;
}

void kernel_run_out(const char *of)
{
	n_faults++;
	world_tell("no more %s", of);
}

int kernel_fault(const char *call, int detail)
{
	bool is_data = call[0] == 'r' || strncmp(call, "sendm", 5) == 0;
	bool is_memory = call[0] == 'm' && call[2] == 'm' && call[3] == 'o';
	int error;

	if (fault_plan.data + fault_plan.control + fault_plan.memory == 0)
		return 0;
	if (!world_chance(is_data     ? fault_plan.data
			  : is_memory ? fault_plan.memory
				      : fault_plan.control))
		return 0;
	if (strcmp(call, "fcntl") == 0 && detail != F_DUPFD_CLOEXEC)
		return 0;
	error = is_memory ? ENOMEM : pick_error(call);
	if (error == 0)
		return 0;
	n_faults++;
	world_tell("%s is made to fail: %s", call, strerrorname_np(error));
	return error;
}

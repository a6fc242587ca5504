/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/fault.h"
#include "lib/loopback.h"
#include "lib/skip.h"
#include "sys/probe.h"

static struct vly_probe run(void)
{
	struct vly_probe probe = { 0 };
	int n_fds = loopback_n_fds();

	cr_assert_eq(vly_probe_run(&probe), 0);
	cr_assert_eq(loopback_n_fds(), n_fds, "no descriptor is left behind");
	return probe;
}

/* Whether the kernel knows an option, asked without the probe. */
static bool has_option(int level, int name)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	int one = 1, r = setsockopt(fd, level, name, &one, sizeof one);

	close(fd);
	return r == 0;
}

Test(probe, agrees_with_the_kernel)
{
	struct vly_probe probe = run();

	cr_assert_eq(probe.errors[VLY_PROBE_RECVMMSG], 0);
	cr_assert_eq(probe.errors[VLY_PROBE_SENDMMSG], 0);
	cr_assert_eq(probe.errors[VLY_PROBE_GSO] == 0, has_option(IPPROTO_UDP, UDP_SEGMENT));
	cr_assert_eq(probe.errors[VLY_PROBE_GRO] == 0, has_option(IPPROTO_UDP, UDP_GRO));
	if (probe.errors[VLY_PROBE_GSO] == 0)
		cr_assert(probe.n_segments == 64 || probe.n_segments == 128);
	else
		cr_assert_eq(probe.n_segments, 0);
}

Test(probe, without_a_socket_it_fails)
{
	struct vly_probe probe = { .n_segments = 7 };

	fault_arm(FAULT_SOCKET, 1, EMFILE);
	cr_assert_eq(vly_probe_run(&probe), -EMFILE);
	fault_disarm();
	cr_assert_eq(probe.n_segments, 7, "unwritten on failure");
}

Test(probe, without_ipv6)
{
	/* UDP, UDP-Lite, then IPv6. */
	fault_arm(FAULT_SOCKET, 3, EAFNOSUPPORT);
	cr_assert_eq(run().errors[VLY_PROBE_IPV6], -EAFNOSUPPORT);
	cr_assert_eq(fault_disarm(), 1);
}

Test(probe, without_meminfo)
{
	fault_arm(FAULT_GETSOCKOPT, 1, ENOPROTOOPT);
	cr_assert_eq(run().errors[VLY_PROBE_MEMINFO], -ENOPROTOOPT);
	cr_assert_eq(fault_disarm(), 1);
}

/* The system calls in order: as in the enum, then the attempts at 128 segments and at 64. */
Test(probe, each_call_by_itself_and_with_any_errno)
{
	static const int errors[] = { ENOSYS, EPERM, EACCES, EAGAIN };

	for (unsigned int call = 0; call < 4; call++) {
		for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
			struct vly_probe probe;
			bool seems_well = call == VLY_PROBE_RECVMSG && errors[i] == EAGAIN;

			fault_arm(FAULT_SYSCALL, call + 1, errors[i]);
			probe = run();
			cr_assert_eq(fault_disarm(), 1);
			for (unsigned int k = 0; k < 4; k++)
				cr_assert_eq(probe.errors[k],
					     k == call && !seems_well ? -errors[i] : 0);
		}
	}
}

Test(probe, a_poll_that_is_refused)
{
	fault_arm(FAULT_POLL, 1, EPERM);
	cr_assert_eq(run().errors[VLY_PROBE_POLL], -EPERM);
	cr_assert_eq(fault_disarm(), 1);
	cr_assert_str_eq(vly_probe_get_name(VLY_PROBE_POLL), "poll or ppoll");
}

Test(probe, a_kernel_of_64_segments)
{
	struct vly_probe probe;

	if (!has_option(IPPROTO_UDP, UDP_SEGMENT))
		skip_test("no UDP_SEGMENT here");
	fault_arm(FAULT_SYSCALL, 5, EINVAL);
	probe = run();
	cr_assert_eq(fault_disarm(), 1);
	cr_assert_eq(probe.n_segments, 64);
	cr_assert_eq(probe.errors[VLY_PROBE_GSO], 0);
}

/* A kernel that shows nothing either way gets what every kernel takes. */
Test(probe, a_kernel_that_does_not_say)
{
	struct vly_probe probe;

	if (!has_option(IPPROTO_UDP, UDP_SEGMENT))
		skip_test("no UDP_SEGMENT here");
	fault_arm_from(FAULT_SYSCALL, 5, EPERM);
	probe = run();
	cr_assert_eq(fault_disarm(), 2, "128 and 64 were tried");
	cr_assert_eq(probe.n_segments, 64);
	fault_arm(FAULT_SOCKET, 2, EPROTONOSUPPORT);
	cr_assert_eq(run().n_segments, 64, "no UDP-Lite");
	fault_disarm();
}

Test(probe, without_segments)
{
	struct vly_probe probe;

	fault_arm(FAULT_SETSOCKOPT, 1, ENOPROTOOPT);
	probe = run();
	cr_assert_eq(fault_disarm(), 1);
	cr_assert_eq(probe.n_segments, 0);
	cr_assert_eq(probe.errors[VLY_PROBE_GSO], -ENOPROTOOPT);
	cr_assert_eq(probe.errors[VLY_PROBE_GRO], 0);
}

Test(probe, gro_that_cannot_be_switched_on)
{
	struct vly_probe probe;

	fault_arm(FAULT_SETSOCKOPT, 2, ENOPROTOOPT);
	probe = run();
	cr_assert_eq(fault_disarm(), 1);
	cr_assert_eq(probe.errors[VLY_PROBE_GRO], -ENOPROTOOPT);
	cr_assert_eq(probe.errors[VLY_PROBE_GSO], 0);
}

/* What the kernel would count, the books could not explain. */
static unsigned long long count_out(void)
{
	unsigned long long out = 0;
	char line[512];
	FILE *file = fopen("/proc/net/snmp", "r");

	cr_assert_not_null(file);
	while (fgets(line, sizeof line, file) != NULL)
		if (sscanf(line, "Udp: %*u %*u %*u %llu", &out) == 1)
			break;
	fclose(file);
	return out;
}

Test(probe, sends_nothing)
{
	unsigned long long before;

	if (unshare(CLONE_NEWNET) < 0)
		skip_test("needs root for a namespace without other traffic");
	before = count_out();
	run();
	cr_assert_eq(count_out(), before);
}

/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/fault.h"
#include "lib/loopback.h"
#include "sys/socket.h"

/* See tests/promises/2.10.c for what they do. */
Test(socket, a_reset_switches_off_what_changes_a_send)
{
	const char *name = NULL;
	int fd = vly_socket_open(AF_INET6, false);
	int value = -1;

	cr_assert_eq(vly_socket_set_int(fd, IPPROTO_UDP, UDP_CORK, 1), 0);
	cr_assert_eq(vly_socket_set_int(fd, IPPROTO_UDP, UDP_SEGMENT, 500), 0);
	cr_assert_eq(vly_socket_set_int(fd, SOL_SOCKET, SO_RXQ_OVFL, 1), 0);
	cr_assert_eq(vly_socket_reset(fd, &name), 0);
	cr_assert_null(name);
	cr_assert_eq(vly_socket_get_int(fd, IPPROTO_UDP, UDP_CORK, &value), 0);
	cr_assert_eq(value, 0);
	cr_assert_eq(vly_socket_get_int(fd, IPPROTO_UDP, UDP_SEGMENT, &value), 0);
	cr_assert_eq(value, 0);
	cr_assert_eq(vly_socket_get_int(fd, SOL_SOCKET, SO_RXQ_OVFL, &value), 0);
	cr_assert_eq(value, 0);
	vly_socket_close(fd);
}

static struct volley_addr any_port(void)
{
	return loopback_addr("127.0.0.1:0");
}

/* The first socket of a group on a port of the kernel's choice. */
static int open_first(bool share, struct volley_addr *ret_addr)
{
	struct volley_addr addr = any_port();
	int fd = vly_socket_open(AF_INET, true);

	cr_assert_geq(fd, 0);
	cr_assert_eq(vly_socket_bind(fd, &addr, true, share), 0);
	cr_assert_eq(vly_socket_get_name(fd, ret_addr), 0);
	cr_assert_neq(volley_addr_get_port(ret_addr), 0);
	return fd;
}

static int try_bind(const struct volley_addr *addr, bool first, bool share)
{
	int fd = vly_socket_open(addr->sa.sa_family, true);
	int r = vly_socket_bind(fd, addr, first, share);

	vly_socket_close(fd);
	return r;
}

Test(socket, open_sets_what_was_asked_for)
{
	int blocking = vly_socket_open(AF_INET, false);
	int nonblocking = vly_socket_open(AF_INET6, true);
	int value;

	cr_assert_eq(fcntl(blocking, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	cr_assert_eq(fcntl(nonblocking, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	cr_assert_eq(fcntl(blocking, F_GETFL) & O_NONBLOCK, 0);
	cr_assert_eq(fcntl(nonblocking, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	cr_assert_eq(vly_socket_get_int(nonblocking, SOL_SOCKET, SO_DOMAIN, &value), 0);
	cr_assert_eq(value, AF_INET6);
	cr_assert_eq(vly_socket_get_int(nonblocking, SOL_SOCKET, SO_TYPE, &value), 0);
	cr_assert_eq(value, SOCK_DGRAM);
	vly_socket_close(blocking);
	vly_socket_close(nonblocking);
}

Test(socket, open_fails_with_errno)
{
	int n_fds = loopback_n_fds();

	fault_arm(FAULT_SOCKET, 1, EMFILE);
	cr_assert_eq(vly_socket_open(AF_INET, true), -EMFILE);
	fault_disarm();
	cr_assert_eq(vly_socket_open(-1, true), -EAFNOSUPPORT);
	cr_assert_eq(loopback_n_fds(), n_fds);
}

Test(socket, close_closes)
{
	int n_fds = loopback_n_fds();
	int fd = vly_socket_open(AF_INET, true);

	cr_assert_eq(loopback_n_fds(), n_fds + 1);
	vly_socket_close(fd);
	cr_assert_eq(loopback_n_fds(), n_fds);
}

Test(socket, a_group_of_four_shares_the_port)
{
	struct volley_addr addr;
	int fds[4];

	fds[0] = open_first(false, &addr);
	for (int i = 1; i < 4; i++) {
		fds[i] = vly_socket_open(AF_INET, true);
		cr_assert_eq(vly_socket_bind(fds[i], &addr, false, false), 0);
	}
	for (int i = 0; i < 4; i++) {
		int value = 0;

		cr_assert_eq(vly_socket_get_int(fds[i], SOL_SOCKET, SO_REUSEPORT, &value), 0);
		cr_assert_eq(value, 1);
		vly_socket_close(fds[i]);
	}
}

/* 256 senders over two members: each gets some, so the later SO_REUSEPORT made a real group. */
Test(socket, a_group_spreads_the_traffic)
{
	struct volley_addr addr;
	int n[2] = { 0 };
	int fds[2];

	fds[0] = open_first(false, &addr);
	fds[1] = vly_socket_open(AF_INET, true);
	cr_assert_eq(vly_socket_bind(fds[1], &addr, false, false), 0);
	for (int i = 0; i < 256; i++) {
		int client = loopback_open("127.0.0.1:0", NULL);

		loopback_send(client, &addr, 1, 1);
		close(client);
	}
	for (int i = 0; i < 2; i++) {
		uint8_t byte;

		while (recv(fds[i], &byte, 1, MSG_DONTWAIT) == 1)
			n[i]++;
		vly_socket_close(fds[i]);
	}
	cr_assert_eq(n[0] + n[1], 256);
	cr_assert_gt(n[0], 0);
	cr_assert_gt(n[1], 0);
}

Test(socket, a_second_server_is_kept_out)
{
	struct volley_addr addr;
	int fd = open_first(false, &addr);

	cr_assert_eq(try_bind(&addr, true, false), -EADDRINUSE);
	vly_socket_close(fd);
	cr_assert_eq(try_bind(&addr, true, false), 0, "and let in when the first is gone");
}

Test(socket, a_second_server_is_let_in_when_both_share)
{
	struct volley_addr addr;
	int fd = open_first(true, &addr);

	cr_assert_eq(try_bind(&addr, true, true), 0);
	cr_assert_eq(try_bind(&addr, true, false), -EADDRINUSE, "unless it does not want to share");
	vly_socket_close(fd);
}

Test(socket, bind_fails_with_errno)
{
	struct volley_addr foreign = loopback_addr("192.0.2.1:0");
	struct volley_addr addr = any_port();
	int fd = vly_socket_open(AF_INET, true);

	cr_assert_eq(vly_socket_bind(fd, &foreign, true, false), -EADDRNOTAVAIL);
	fault_arm(FAULT_SETSOCKOPT, 1, ENOPROTOOPT);
	cr_assert_eq(vly_socket_bind(fd, &addr, true, true), -ENOPROTOOPT);
	fault_arm(FAULT_BIND, 1, EACCES);
	cr_assert_eq(vly_socket_bind(fd, &addr, true, true), -EACCES);
	vly_socket_close(fd);
	fd = vly_socket_open(AF_INET, true);
	fault_arm(FAULT_SETSOCKOPT, 1, ENOPROTOOPT);
	cr_assert_eq(vly_socket_bind(fd, &addr, true, false), -ENOPROTOOPT, "after the bind");
	vly_socket_close(fd);
}

Test(socket, get_name_of_both_families)
{
	struct volley_addr addr, want;
	int fd = loopback_open("[::1]:0", &want);

	cr_assert_eq(vly_socket_get_name(fd, &addr), 0);
	cr_assert_eq(addr.len, sizeof addr.in6);
	cr_assert_eq(addr.in6.sin6_port, want.in6.sin6_port);
	close(fd);
	fd = loopback_open("127.0.0.5:0", &want);
	cr_assert_eq(vly_socket_get_name(fd, &addr), 0);
	cr_assert_eq(addr.len, sizeof addr.in);
	cr_assert_eq(addr.in.sin_addr.s_addr, want.in.sin_addr.s_addr);
	close(fd);
}

Test(socket, get_name_refuses_what_is_no_ip_socket)
{
	struct volley_addr addr;
	int unix_fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	cr_assert_eq(vly_socket_get_name(unix_fd, &addr), -EAFNOSUPPORT);
	close(unix_fd);
	cr_assert_eq(vly_socket_get_name(unix_fd, &addr), -EBADF);
}

Test(socket, ints)
{
	int fd = vly_socket_open(AF_INET, true);
	int value = 7;

	cr_assert_eq(vly_socket_set_int(fd, SOL_SOCKET, SO_PRIORITY, 3), 0);
	cr_assert_eq(vly_socket_get_int(fd, SOL_SOCKET, SO_PRIORITY, &value), 0);
	cr_assert_eq(value, 3);
	cr_assert_eq(vly_socket_set_int(fd, SOL_SOCKET, 9999, 3), -ENOPROTOOPT);
	cr_assert_eq(vly_socket_get_int(fd, SOL_SOCKET, 9999, &value), -ENOPROTOOPT);
	cr_assert_eq(value, 3, "unwritten on failure");
	vly_socket_close(fd);
}

Test(socket, buffers_are_as_large_as_asked_or_said_to_be_smaller)
{
	static const enum vly_socket_buffer which[] = { VLY_SOCKET_RCVBUF, VLY_SOCKET_SNDBUF };
	static const int names[] = { SO_RCVBUF, SO_SNDBUF };

	for (int i = 0; i < 2; i++) {
		int fd = vly_socket_open(AF_INET, true);
		int kernel = 0;
		uint32_t got = 0;

		cr_assert_eq(vly_socket_grow_buffer(fd, which[i], 150000, &got), 0);
		cr_assert_geq(got, 150000);
		cr_assert_eq(vly_socket_get_int(fd, SOL_SOCKET, names[i], &kernel), 0);
		cr_assert_eq(got, (uint32_t)kernel / 2);

		cr_assert_eq(vly_socket_grow_buffer(fd, which[i], 1, &got), 0);
		cr_assert_eq(got, (uint32_t)kernel / 2, "a larger one is left alone");
		cr_assert_eq(vly_socket_grow_buffer(fd, which[i], 200000, &got), 0);
		cr_assert_geq(got, 200000);

		cr_assert_eq(vly_socket_set_buffer(fd, which[i], 10000, &got), 0);
		cr_assert_eq(got, 10000, "less than the system gives by itself");
		cr_assert_eq(vly_socket_get_int(fd, SOL_SOCKET, names[i], &kernel), 0);
		cr_assert_eq(kernel, 20000);
		vly_socket_close(fd);
	}
}

/* Without CAP_NET_ADMIN the kernel clamps to rmem_max in silence: that must be read back. */
Test(socket, a_buffer_that_may_not_be_forced_is_read_back)
{
	int fd = vly_socket_open(AF_INET, true);
	int kernel = 0;
	uint32_t got = 0;

	fault_arm(FAULT_SETSOCKOPT, 1, EPERM);
	cr_assert_eq(vly_socket_set_buffer(fd, VLY_SOCKET_RCVBUF, UINT32_MAX, &got), 0);
	cr_assert_eq(fault_disarm(), 1);
	cr_assert_eq(vly_socket_get_int(fd, SOL_SOCKET, SO_RCVBUF, &kernel), 0);
	cr_assert_eq(got, (uint32_t)kernel / 2);
	cr_assert_lt(got, UINT32_MAX / 4);
	vly_socket_close(fd);
}

Test(socket, set_buffer_fails_with_errno)
{
	int fd = vly_socket_open(AF_INET, true);
	uint32_t got = 7;

	fault_arm(FAULT_GETSOCKOPT, 1, EIO);
	cr_assert_eq(vly_socket_grow_buffer(fd, VLY_SOCKET_RCVBUF, 1 << 20, &got), -EIO);
	fault_arm_from(FAULT_SETSOCKOPT, 1, ENOBUFS);
	cr_assert_eq(vly_socket_grow_buffer(fd, VLY_SOCKET_RCVBUF, 1 << 20, &got), -ENOBUFS);
	fault_arm(FAULT_GETSOCKOPT, 1, EIO);
	cr_assert_eq(vly_socket_set_buffer(fd, VLY_SOCKET_RCVBUF, 1 << 20, &got), -EIO);
	cr_assert_eq(got, 7, "unwritten on failure");
	vly_socket_close(fd);
}

Test(socket, meminfo_tells_what_waits)
{
	struct vly_socket_meminfo info;
	struct volley_addr addr;
	int fd = loopback_open("127.0.0.1:0", &addr);
	uint8_t byte;

	cr_assert_eq(vly_socket_get_meminfo(fd, &info), 0);
	cr_assert_eq(info.drops, 0);
	cr_assert_eq(info.rmem_bytes, 0);

	loopback_send(fd, &addr, 1, 100);
	cr_assert(loopback_wait(fd));
	cr_assert_eq(vly_socket_get_meminfo(fd, &info), 0);
	cr_assert_geq(info.rmem_bytes, 100);
	cr_assert_eq(loopback_recv(fd, &byte, 1, NULL), 100);
	cr_assert_eq(vly_socket_get_meminfo(fd, &info), 0);
	cr_assert_eq(info.rmem_bytes, 0);
	close(fd);
}

Test(socket, meminfo_fails_with_errno)
{
	struct vly_socket_meminfo info = { .drops = 7 };
	int fd = vly_socket_open(AF_INET, true);

	fault_arm(FAULT_GETSOCKOPT, 1, ENOPROTOOPT);
	cr_assert_eq(vly_socket_get_meminfo(fd, &info), -ENOPROTOOPT);
	cr_assert_eq(info.drops, 7, "unwritten on failure");
	vly_socket_close(fd);
}

/* One that is queued stays, and others' datagrams find the socket no more. */
static void expect_leave(int fd, int client, const struct volley_addr *addr)
{
	uint8_t byte;

	loopback_send(client, addr, 1, 1);
	cr_assert(loopback_wait(fd));
	cr_assert_eq(vly_socket_leave(fd), 0);
	loopback_send(client, addr, 2, 1);
	cr_assert_eq(loopback_recv(fd, &byte, 1, NULL), 1);
	cr_assert_eq(byte, 1);
	cr_assert_eq(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	cr_assert_eq(errno, EAGAIN);
}

/* Found no more by others' datagrams; what was queued stays, and so does the count of drops. */
Test(socket, leave_ends_delivery_and_keeps_what_is_queued)
{
	struct vly_socket_meminfo info;
	struct volley_addr addr;
	int fd = loopback_open("127.0.0.1:0", &addr);
	int client = loopback_open("127.0.0.1:0", NULL);

	expect_leave(fd, client, &addr);
	cr_assert_eq(vly_socket_get_meminfo(fd, &info), 0);
	cr_assert_eq(info.drops, 0);
	close(client);
	close(fd);
}

Test(socket, leave_fails_with_errno)
{
	int fd = loopback_open("127.0.0.1:0", NULL);

	fault_arm(FAULT_GETSOCKNAME, 1, ENOBUFS);
	cr_assert_eq(vly_socket_leave(fd), -ENOBUFS);
	fault_arm_from(FAULT_CONNECT, 1, EACCES);
	cr_assert_eq(vly_socket_leave(fd), -EACCES);
	fault_disarm();
	close(fd);
}

/* Nobody may be connected to the address that it is bound to. */
Test(socket, leave_works_on_a_broadcast_address)
{
	struct volley_addr addr;
	int fd = loopback_open("127.255.255.255:0", &addr);
	int client = loopback_open("127.0.0.1:0", NULL);

	cr_assert_eq(vly_socket_set_int(client, SOL_SOCKET, SO_BROADCAST, 1), 0);
	expect_leave(fd, client, &addr);
	close(client);
	close(fd);
}

Test(socket, drop_all_refuses_and_counts_what_comes_and_keeps_what_was_there)
{
	struct vly_socket_meminfo info;
	struct volley_addr addr;
	int fd = loopback_open("127.0.0.1:0", &addr);
	uint8_t byte;

	loopback_send(fd, &addr, 1, 1);
	cr_assert(loopback_wait(fd));
	cr_assert_eq(vly_socket_set_drop_all(fd, true), 0);
	for (int i = 0; i < 3; i++)
		loopback_send(fd, &addr, 2, 1);
	cr_assert_eq(vly_socket_set_drop_all(fd, false), 0);
	loopback_send(fd, &addr, 3, 1);

	cr_assert_eq(loopback_recv(fd, &byte, 1, NULL), 1);
	cr_assert_eq(byte, 1);
	cr_assert_eq(loopback_recv(fd, &byte, 1, NULL), 1);
	cr_assert_eq(byte, 3);
	cr_assert_eq(vly_socket_get_meminfo(fd, &info), 0);
	cr_assert_eq(info.drops, 3);
	close(fd);
}

Test(socket, leave_keeps_what_is_queued_and_nothing_more_is_counted)
{
	const char *const names[] = { "127.0.0.1:0", "0.0.0.0:0", "[::1]:0" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct vly_socket_meminfo info;
		struct volley_addr addr;
		struct volley_addr ignored;
		int fd = loopback_open(names[i], &addr);
		int client = loopback_open(i == 2 ? "[::1]:0" : "127.0.0.1:0", &ignored);
		uint8_t byte;

		loopback_send(client, &addr, 1, 1);
		cr_assert(loopback_wait(fd));
		cr_assert_eq(vly_socket_leave(fd), 0);
		loopback_send(client, &addr, 2, 1);
		cr_assert_eq(loopback_recv(fd, &byte, 1, NULL), 1);
		cr_assert_eq(byte, 1);
		cr_assert_lt(loopback_recv(fd, &byte, 1, NULL), 0, "came after leaving");
		cr_assert_eq(vly_socket_get_meminfo(fd, &info), 0);
		cr_assert_eq(info.drops, 0);
		close(client);
		close(fd);
	}
	cr_assert_eq(vly_socket_leave(-1), -EBADF);
}

static void attach(int fd, struct sock_filter *program, uint16_t n)
{
	struct sock_fprog fprog = { .len = n, .filter = program };

	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &fprog, sizeof fprog), 0);
}

Test(socket, a_filter_is_put_back_as_it_was)
{
	struct sock_filter pass[] = { BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
				      BPF_STMT(BPF_RET | BPF_K, 77) };
	struct vly_socket_filter filter = { .n = 0 };
	int fd = vly_socket_open(AF_INET, true);

	cr_assert_eq(vly_socket_take_filter(fd, NULL, &filter), 0);
	cr_assert_null(filter.program, "there is none");
	attach(fd, pass, 2);
	cr_assert_eq(vly_socket_set_drop_all(fd, false), 0, "it does not drop all, and stays");
	cr_assert_eq(vly_socket_take_filter(fd, NULL, &filter), 0);
	cr_assert_eq(filter.n, 2);
	cr_assert_arr_eq(filter.program, pass, sizeof pass);
	cr_assert_eq(vly_socket_set_drop_all(fd, true), 0);
	cr_assert_eq(vly_socket_give_filter(fd, &filter), 0);
	cr_assert_null(filter.program);
	cr_assert_eq(vly_socket_take_filter(fd, NULL, &filter), 0);
	cr_assert_arr_eq(filter.program, pass, sizeof pass);
	vly_socket_free_filter(&filter);
	vly_socket_close(fd);
	cr_assert_eq(vly_socket_take_filter(fd, NULL, &filter), -EBADF);
}

/* Of a process that ended in the middle of a drain. */
Test(socket, a_filter_that_drops_all_is_nobodys)
{
	struct vly_socket_filter filter = { .n = 0 };
	int fd = vly_socket_open(AF_INET, true);

	cr_assert_eq(vly_socket_set_drop_all(fd, true), 0);
	cr_assert_eq(vly_socket_take_filter(fd, NULL, &filter), 0);
	cr_assert_null(filter.program);
	vly_socket_close(fd);
}

Test(socket, drop_all_can_be_repeated_either_way)
{
	int fd = vly_socket_open(AF_INET, true);

	cr_assert_eq(vly_socket_set_drop_all(fd, false), 0);
	cr_assert_eq(vly_socket_set_drop_all(fd, true), 0);
	cr_assert_eq(vly_socket_set_drop_all(fd, true), 0);
	cr_assert_eq(vly_socket_set_drop_all(fd, false), 0);
	cr_assert_eq(vly_socket_set_drop_all(fd, false), 0);
	vly_socket_close(fd);
	cr_assert_eq(vly_socket_set_drop_all(fd, true), -EBADF);
	cr_assert_eq(vly_socket_set_drop_all(fd, false), -EBADF);
}

/* What it does then is in test_steer.c of tests/unit/server. */
Test(socket, a_group_is_steered_and_not_any_more)
{
	static const struct sock_filter program[] = { BPF_STMT(BPF_RET | BPF_K, 1) };
	int fd = vly_socket_open(AF_INET, true);

	cr_assert_eq(vly_socket_set_steering(fd, NULL, 0), 0, "there is no group");
	cr_assert_eq(vly_socket_set_steering(fd, program, 1), -EINVAL);
	cr_assert_eq(vly_socket_set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1), 0);
	cr_assert_eq(vly_socket_set_steering(fd, NULL, 0), 0, "there is no program");
	for (int i = 0; i < 2; i++)
		cr_assert_eq(vly_socket_set_steering(fd, program, 1), 0);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(vly_socket_set_steering(fd, NULL, 0), 0);
	vly_socket_close(fd);
	cr_assert_eq(vly_socket_set_steering(fd, program, 1), -EBADF);
	cr_assert_eq(vly_socket_set_steering(fd, NULL, 0), -EBADF);
}

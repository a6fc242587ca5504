/* SPDX-License-Identifier: MIT */

/*
 * A classic program that chooses among the sockets of a SO_REUSEPORT group: when it can be set,
 * what it sees, what becomes of results that name no socket, and how the group's indexes move.
 */

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/check.h"
#include "lib/loopback.h"

enum { N = 4, N_CLIENTS = 64 };

static struct sock_filter by_first_byte[] = {
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
	BPF_STMT(BPF_RET | BPF_A, 0),
};
static struct sock_filter by_length[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
	BPF_STMT(BPF_RET | BPF_A, 0),
};
static struct sock_filter beyond_the_end[] = {
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 100),
	BPF_STMT(BPF_RET | BPF_K, 3),
};
static struct sock_filter none[] = { BPF_STMT(BPF_RET | BPF_K, UINT32_MAX) };

static struct volley_addr addr;

#define ATTACH(fd, program) attach((fd), (program), sizeof(program) / sizeof(program)[0])

static int set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof value) < 0 ? -errno : 0;
}

static int attach(int fd, struct sock_filter *program, size_t n)
{
	struct sock_fprog fprog = { .len = (unsigned short)n, .filter = program };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &fprog, sizeof fprog) < 0
		       ? -errno
		       : 0;
}

static int try_bind(int fd)
{
	socklen_t n = addr.len;

	if (bind(fd, &addr.sa, addr.len) < 0)
		return -errno;
	REQUIRE(getsockname(fd, &addr.sa, &n) == 0);
	return 0;
}

static int open_udp(bool shares)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	REQUIRE(fd >= 0);
	REQUIRE(set(fd, SOL_SOCKET, SO_REUSEPORT, shares) == 0);
	return fd;
}

static int count(int fd)
{
	char byte;
	int n = 0;

	while (recv(fd, &byte, 1, MSG_DONTWAIT) >= 0)
		n++;
	return n;
}

/* From many clients: whether all came to that socket and nowhere else. */
static void expect(const int *fds, int n, uint8_t byte, size_t len, int index)
{
	for (int i = 0; i < N_CLIENTS; i++) {
		int client = loopback_open("127.0.0.1:0", NULL);

		loopback_send(client, &addr, byte, len);
		close(client);
	}
	for (int i = 0; i < n; i++)
		CHECK_EQ(count(fds[i]), i == index ? N_CLIENTS : 0);
}

/* Or that each has got some. */
static void expect_hash(const int *fds, int n, uint8_t byte, size_t len)
{
	int n_all = 0;

	for (int i = 0; i < N_CLIENTS; i++) {
		int client = loopback_open("127.0.0.1:0", NULL);

		loopback_send(client, &addr, byte, len);
		close(client);
	}
	for (int i = 0; i < n; i++) {
		int n_one = count(fds[i]);

		CHECK(n_one > 0);
		n_all += n_one;
	}
	CHECK_EQ(n_all, N_CLIENTS);
}

/* The program comes before the bind, and the option goes again, so that the bind is ours alone. */
static void open_group(int *ret_fds)
{
	int late, stranger;

	addr = loopback_addr("127.0.0.1:0");
	ret_fds[0] = open_udp(false);
	CHECK_EQ(ATTACH(ret_fds[0], by_first_byte), -EINVAL);
	REQUIRE(set(ret_fds[0], SOL_SOCKET, SO_REUSEPORT, 1) == 0);
	CHECK_EQ(ATTACH(ret_fds[0], by_first_byte), 0);
	REQUIRE(set(ret_fds[0], SOL_SOCKET, SO_REUSEPORT, 0) == 0);
	REQUIRE(try_bind(ret_fds[0]) == 0);
	stranger = open_udp(true);
	CHECK_EQ(try_bind(stranger), -EADDRINUSE);
	close(stranger);
	REQUIRE(set(ret_fds[0], SOL_SOCKET, SO_REUSEPORT, 1) == 0);
	for (int i = 1; i < N; i++) {
		ret_fds[i] = open_udp(true);
		REQUIRE(try_bind(ret_fds[i]) == 0);
	}

	/* One that was bound without the option is no group, before another one joins. */
	late = loopback_open("127.0.0.1:0", NULL);
	REQUIRE(set(late, SOL_SOCKET, SO_REUSEPORT, 1) == 0);
	CHECK_EQ(ATTACH(late, by_first_byte), -EINVAL);
	close(late);
}

static void see_payload(const int *fds)
{
	for (uint8_t i = 0; i < N; i++)
		expect(fds, N, i, 1, i);
	expect_hash(fds, N, N, 1);
	CHECK_EQ(ATTACH(fds[2], by_length), 0);
	expect(fds, N, 9, 0, 0);
	expect(fds, N, 9, 3, 3);
	CHECK_EQ(ATTACH(fds[1], beyond_the_end), 0);
	expect(fds, N, 9, 100, 0);
	expect(fds, N, 9, 101, 3);
	CHECK_EQ(ATTACH(fds[3], none), 0);
	expect_hash(fds, N, 0, 1);
	CHECK_EQ(ATTACH(fds[0], by_first_byte), 0);
	CHECK_EQ(set(fds[3], SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0), 0);
	CHECK_EQ(set(fds[3], SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0), -ENOENT);
	expect_hash(fds, N, 0, 1);
	CHECK_EQ(ATTACH(fds[0], by_first_byte), 0);
}

/* A segmented message is looked at once, whether or not its receiver takes it whole. */
static void merged_ones_stay_together(const int *fds)
{
	const uint8_t bytes[N] = { 2, 1, 0, 3 };

	for (int gro = 0; gro < 2; gro++) {
		int client = loopback_open("127.0.0.1:0", NULL);

		for (int i = 0; i < N; i++)
			REQUIRE(set(fds[i], IPPROTO_UDP, UDP_GRO, gro) == 0);
		REQUIRE(set(client, IPPROTO_UDP, UDP_SEGMENT, 1) == 0);
		REQUIRE(sendto(client, bytes, sizeof bytes, 0, &addr.sa, addr.len) == N);
		for (int i = 0; i < N; i++)
			CHECK_EQ(count(fds[i]), i != 2 ? 0 : gro ? 1 : N);
		close(client);
	}
}

/* The last one takes the place of one that is closed. */
static void the_last_moves(int *fds)
{
	close(fds[1]);
	fds[1] = fds[N - 1];
	for (uint8_t i = 0; i < N - 1; i++)
		expect(fds, N - 1, i, 1, i);
	expect_hash(fds, N - 1, N - 1, 1);
}

/* The hash does not find one that is connected; where the program would, kernels differ. */
static void connected_ones_are_no_choice(int *fds)
{
	REQUIRE(set(fds[1], SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0) == 0);
	REQUIRE(connect(fds[2], &addr.sa, addr.len) == 0);
	expect_hash(fds, 2, 2, 1);
	CHECK_EQ(count(fds[2]), 0);
	for (int i = 0; i < N - 1; i++)
		close(fds[i]);
}

int main(void)
{
	int fds[N];

	open_group(fds);
	see_payload(fds);
	merged_ones_stay_together(fds);
	the_last_moves(fds);
	connected_ones_are_no_choice(fds);
	return check_done();
}

/* SPDX-License-Identifier: MIT */

/*
 * The filter of an adopted socket is its owner's. It works while the server serves, and again after
 * a drain. One that cannot be lifted for a drain stays, and the drain ends all the same, and says
 * what it did.
 */

#include <linux/bpf.h>
#include <linux/filter.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <volley/volley.h>

#include "lib/listeners.h"
#include "sending.h"

static char warning[512];
static struct volley_addr bound; /* of the socket that was opened last */

static void on_log(enum volley_log_level level, const char *text, void *arg)
{
	(void)arg;
	if (level == VOLLEY_LOG_WARNING)
		snprintf(warning, sizeof warning, "%s", text);
}

static void echo_passed(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	(void)worker;
	(void)arg;
	CHECK(packet->data[0] == 'a');
	volley_packet_reply(packet, packet->data, packet->len);
}

/* Payloads that begin with an `a` pass. The filter sees the UDP header first. */
static void attach(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 8),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'a', 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { .len = 4, .filter = code };

	REQUIRE(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0);
}

static void lock_filter(int fd)
{
	int one = 1;

	REQUIRE(setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &one, sizeof one) == 0);
}

/* Everything passes, and SO_GET_FILTER cannot read it. False: no eBPF to be had. */
static bool attach_ebpf(int fd)
{
	struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0xffff },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
				.insn_cnt = 2,
				.insns = (uintptr_t)code,
				.license = (uintptr_t) "MIT" };
	int program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof attr);
	bool is_attached = program >= 0 &&
			   setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &program, sizeof program) == 0;

	if (program >= 0)
		close(program);
	return is_attached;
}

/* What a client hears of these datagrams: the last byte, or 0. */
static char ask(const struct volley_addr *to, const char *first, const char *second)
{
	int fd = receiver_open(&bound);
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	char got = 0;

	sendto(fd, first, 1, 0, &to->sa, to->len);
	sendto(fd, second, 1, 0, &to->sa, to->len);
	while (poll(&pollfd, 1, got == 0 ? 1000 : 0) > 0)
		CHECK_EQ(recv(fd, &got, 1, MSG_DONTWAIT), 1);
	close(fd);
	return got;
}

static struct volley_server *adopt(int fd, struct volley_addr *ret_addr)
{
	struct volley_server *server;

	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .log = on_log), &server) >= 0);
	REQUIRE(volley_server_adopt(server, &fd, 1, VOLLEY_LISTEN(.on_packet = echo_passed),
				    NULL) >= 0);
	REQUIRE(volley_server_start(server) >= 0);
	*ret_addr = listener_addr(server, 0);
	return server;
}

static void try_classic(void)
{
	struct volley_addr addr;
	int fd = receiver_open(&bound);
	struct volley_server *server;

	attach(fd);
	server = adopt(fd, &addr);
	CHECK_EQ(ask(&addr, "b", "a"), 'a');
	CHECK_EQ(get_stats(server).kernel_drops, 1);
	CHECK_EQ(volley_server_drain(server), 0);
	sendto(fd, "a", 1, 0, &addr.sa, addr.len);
	CHECK_EQ(get_stats(server).kernel_drops, 2);
	CHECK_EQ(volley_server_drain(server), 0);
	REQUIRE(volley_server_start(server) >= 0);
	CHECK_EQ(ask(&addr, "b", "a"), 'a');
	CHECK_EQ(get_stats(server).kernel_drops, 3);
	CHECK_EQ(warning[0], 0);
	CHECK_EQ(volley_server_free(server), 0);
}

static void try_fixed(int fd, const char *first)
{
	struct volley_addr addr;
	struct volley_server *server = adopt(fd, &addr);

	CHECK_EQ(ask(&addr, first, "a"), 'a');
	warning[0] = 0;
	CHECK_EQ(volley_server_drain(server), 0);
	CHECK(strstr(warning, "filter") != NULL);
	REQUIRE(volley_server_start(server) >= 0);
	CHECK_EQ(ask(&addr, first, "a"), 'a');
	CHECK_EQ(volley_server_free(server), 0);
}

int main(void)
{
	int fd;

	promise_begin(10);
	try_classic();
	fd = receiver_open(&bound);
	attach(fd);
	lock_filter(fd);
	try_fixed(fd, "b");
	fd = receiver_open(&bound);
	if (attach_ebpf(fd))
		try_fixed(fd, "a");
	else
		SKIP("no eBPF here");
	return check_done();
}

/* SPDX-License-Identifier: MIT */

/*
 * Listening on all addresses works wherever it can: `:PORT` is IPv4 where the system has no IPv6,
 * and listeners of one server that overlap ([::], 0.0.0.0, 127.0.0.1 on one port) come up in any
 * order, each with the datagrams that it names most closely. One address twice is still refused,
 * and so is somebody else's.
 */

#include "promise.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <volley/volley.h>

enum { N_ASKS = 16 };

/* Each listener replies with its own letter. */
static void reply(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	(void)worker;
	volley_packet_reply(packet, arg, 1);
}

static struct volley_server *new_server(void)
{
	struct volley_server *server;

	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 2), &server) == 0);
	return server;
}

static int listen_on(struct volley_server *server, const char *text, const char *name)
{
	return volley_server_listen(
		server, text, VOLLEY_LISTEN(.on_packet = reply, .arg = (void *)(uintptr_t)name),
		NULL);
}

/* Who replies to a datagram to `text`; 0: nobody. */
static char ask(const char *text)
{
	struct volley_addr addr;
	struct pollfd pollfd = { .events = POLLIN };
	char name = 0;

	REQUIRE(volley_addr_parse(text, &addr) == 0);
	pollfd.fd = socket(addr.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	REQUIRE(connect(pollfd.fd, &addr.sa, addr.len) == 0);
	CHECK(send(pollfd.fd, "?", 1, 0) == 1);
	if (poll(&pollfd, 1, 500) != 1 || recv(pollfd.fd, &name, 1, MSG_DONTWAIT) != 1)
		name = 0;
	close(pollfd.fd);
	return name;
}

static void expect(const char *text, char name)
{
	for (int i = 0; i < N_ASKS; i++) {
		char got = ask(text);

		if (got != name)
			fprintf(stderr, "%s: '%c' replies, not '%c'\n", text, got != 0 ? got : '-',
				name);
		if (!CHECK(got == name))
			return;
	}
}

/* socket(AF_INET6, ...) is -EAFNOSUPPORT from here on, as with the boot option ipv6.disable=1. */
static bool forget_ipv6(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof code / sizeof code[0], code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void serve_without_ipv6(void)
{
	struct volley_server *server = new_server();

	CHECK(listen_on(server, ":7777", "a") >= 0);
	CHECK(listen_on(server, "*:7778", "b") >= 0);
	/* Who wants IPv6 by name does not get something else in silence. */
	CHECK_EQ(listen_on(server, "[::]:7779", "c"), -EAFNOSUPPORT);
	CHECK_EQ(volley_server_listen(server, ":7779",
				      VOLLEY_LISTEN(.on_packet = reply, .arg = (char[]){ "c" },
						    .flags = VOLLEY_LISTEN_V6ONLY),
				      NULL),
		 -EAFNOSUPPORT);
	CHECK(volley_server_start(server) == 0);
	expect("127.0.0.1:7777", 'a');
	expect("127.0.0.1:7778", 'b');
	CHECK(volley_server_free(server) == 0);
}

/* In a process of its own, for a filter stays. */
static void system_without_ipv6(void)
{
	pid_t child = fork();
	int status;

	REQUIRE(child >= 0);
	if (child == 0) {
		promise_set_deadline(10);
		if (!forget_ipv6())
			_exit(77);
		serve_without_ipv6();
		_exit(check_done());
	}
	REQUIRE(waitpid(child, &status, 0) == child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		SKIP("no filter for system calls here");
	else
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static const struct {
	const char *text;
	char name[2];
} listeners[] = { { "[::]:7777", "6" }, { "0.0.0.0:7777", "4" }, { "127.0.0.1:7777", "l" } };

/* All of them in the order of `order`, half of them while the server runs. */
static void overlap(const int order[3])
{
	struct volley_server *server = new_server();

	for (int i = 0; i < 3; i++) {
		const char *text = listeners[order[i]].text;
		int r = listen_on(server, text, listeners[order[i]].name);

		if (r < 0)
			fprintf(stderr, "%s as number %d: %d\n", text, i, r);
		CHECK(r >= 0);
		if (i == 1)
			CHECK(volley_server_start(server) == 0);
	}
	CHECK_EQ(listen_on(server, listeners[order[2]].text, "x"), -EADDRINUSE);
	CHECK_EQ(listen_on(server, listeners[order[0]].text, "x"), -EADDRINUSE);
	expect("[::1]:7777", '6');
	expect("127.0.0.2:7777", '4');
	expect("127.0.0.1:7777", 'l');
	CHECK(volley_server_free(server) == 0);
}

static void somebody_elses(void)
{
	struct volley_server *first = new_server();
	struct volley_server *second = new_server();

	CHECK(listen_on(first, "[::]:7777", "a") >= 0);
	CHECK_EQ(listen_on(second, "[::]:7777", "b"), -EADDRINUSE);
	CHECK_EQ(listen_on(second, "0.0.0.0:7777", "b"), -EADDRINUSE);
	CHECK_EQ(listen_on(second, "127.0.0.1:7777", "b"), -EADDRINUSE);
	CHECK(volley_server_free(second) == 0);
	CHECK(volley_server_free(first) == 0);
}

int main(void)
{
	static const int orders[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
					 { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };

	promise_begin(20);
	system_without_ipv6();
	for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++)
		overlap(orders[i]);
	somebody_elses();
	return check_done();
}

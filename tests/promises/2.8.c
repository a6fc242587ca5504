/* SPDX-License-Identifier: MIT */

/*
 * A child that was forked while a server serves cannot harm it: whatever it calls returns, its free
 * gives memory and descriptors back, and the server at home goes on serving and stopping.
 */

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <volley/volley.h>

#include "lib/listeners.h"
#include "sending.h"

/* Whether it still serves; where the loop is ours, we are the loop. */
static bool serves(struct volley_server *server, bool is_own_loop)
{
	const struct volley_addr *addr = LISTENER_ADDR(server, 0);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct pollfd fds[2] = { { .fd = fd, .events = POLLIN },
				 { .fd = is_own_loop ? volley_server_get_fd(server) : -1,
				   .events = POLLIN } };
	bool has_reply = false;
	char reply[8];

	connect(fd, &addr->sa, addr->len);
	for (int i = 0; i < 3 && !has_reply; i++) {
		if (send(fd, "hello", 5, 0) != 5)
			break;
		if (poll(fds, 2, 500) > 0 && fds[1].revents != 0)
			volley_server_process(server);
		has_reply = recv(fd, reply, sizeof reply, MSG_DONTWAIT) == 5;
		if (!has_reply && poll(fds, 1, 100) > 0)
			has_reply = recv(fd, reply, sizeof reply, MSG_DONTWAIT) == 5;
	}
	close(fd);
	return has_reply;
}

/* On a conversation of the server at home, where a word of the child would be taken for its own. */
static int hand_over(struct volley_server *server)
{
	int n_wrong = 0;
	int fds[2];
	char word;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) < 0)
		return 1;
	n_wrong += volley_server_export_fds(server, fds[0], 1000, NULL, 0) != -ESRCH;
	n_wrong += volley_server_import_fds(server, fds[0], 1000, NULL, NULL) != -ESRCH;
	n_wrong += volley_server_import_commit(server, fds[0], 1000) != -ESRCH;
	n_wrong += recv(fds[1], &word, sizeof word, MSG_DONTWAIT) >= 0;
	return n_wrong;
}

/* What a child may try. Exit code 0: nothing pretended to have worked. */
static void misuse(struct volley_server *server)
{
	struct volley_addr peer;
	int n_wrong = 0;

	promise_set_deadline(3);
	volley_addr_parse("127.0.0.1:9", &peer);
	n_wrong += volley_server_drain(server) >= 0;
	n_wrong += volley_server_stop(server) >= 0;
	n_wrong += volley_server_request_stop(server) >= 0;
	n_wrong += volley_listener_close(server, listener_at(server, 0)) >= 0;
	n_wrong += volley_server_start(server) >= 0;
	n_wrong += volley_server_run(server) >= 0;
	n_wrong += volley_server_post(server, nothing, NULL) >= 0;
	n_wrong += volley_server_send(server, listener_at(server, 0), &peer, "x", 1, NULL) >= 0;
	n_wrong += volley_server_process(server) >= 0;
	n_wrong += volley_server_count_sharers(server) != -ESRCH;
	n_wrong += hand_over(server);
	volley_server_close(server);
	n_wrong += volley_server_free(server) < 0;
	_exit(n_wrong);
}

static int get_exit_code(pid_t pid)
{
	int status = -1;

	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void fork_one(struct volley_server *server, void (*child)(struct volley_server *))
{
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	if (pid == 0)
		child(server);
	CHECK_EQ(get_exit_code(pid), 0);
}

/* What a destructor at exit() does, and no more. */
static void only_free(struct volley_server *server)
{
	promise_set_deadline(3);
	_exit(volley_server_free(server) < 0);
}

static void try_wait(uint32_t wait)
{
	struct volley_server *server = server_open(VOLLEY_CONFIG(.n_workers = 1, .wait = wait));

	REQUIRE(volley_server_start(server) >= 0);
	REQUIRE(serves(server, wait == VOLLEY_WAIT_FD));
	fork_one(server, only_free);
	CHECK(serves(server, wait == VOLLEY_WAIT_FD));
	fork_one(server, misuse);
	CHECK(serves(server, wait == VOLLEY_WAIT_FD));
	CHECK_EQ(volley_server_drain(server), 0);
	CHECK_EQ(volley_server_free(server), 0);
}

static void *run(void *server)
{
	CHECK_EQ(volley_server_run(server), 0);
	return NULL;
}

/* Some thread has the locks at the moment of the fork. */
static void try_run(void)
{
	struct volley_server *server = server_open(
		VOLLEY_CONFIG(.n_workers = 1, .wait = VOLLEY_WAIT_EVENT));
	pthread_t thread;

	REQUIRE(pthread_create(&thread, NULL, run, server) == 0);
	REQUIRE(serves(server, false));
	fork_one(server, misuse);
	CHECK(serves(server, false));
	CHECK_EQ(volley_server_request_stop(server), 0);
	pthread_join(thread, NULL);
	CHECK_EQ(volley_server_free(server), 0);
}

/* A callback that forks: the child is in it too, with locks that others had at that moment. */
static void fork_and_reply(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct volley_held held;
		int n_wrong = 0;

		promise_set_deadline(3);
		n_wrong += volley_packet_hold(packet, &held) != -ESRCH;
		n_wrong += volley_worker_send(worker,
					      listener_at(volley_worker_get_server(worker), 0),
					      packet->peer, "x", 1, NULL) != -ESRCH;
		_exit(n_wrong);
	}
	CHECK_EQ(get_exit_code(pid), 0);
	echo(worker, packet, 1, arg);
}

static void try_callback(void)
{
	struct volley_server *server;

	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 1), &server) >= 0);
	REQUIRE(volley_server_listen(server, "127.0.0.1:0",
				     VOLLEY_LISTEN(.on_packet = fork_and_reply), NULL) >= 0);
	REQUIRE(volley_server_start(server) >= 0);
	CHECK(serves(server, false));
	CHECK_EQ(volley_server_free(server), 0);
}

int main(void)
{
	promise_begin(20);
	try_run();
	try_callback();
	try_wait(VOLLEY_WAIT_EVENT);
	try_wait(VOLLEY_WAIT_BLOCK);
	try_wait(VOLLEY_WAIT_SPIN);
	try_wait(VOLLEY_WAIT_FD);
	return check_done();
}

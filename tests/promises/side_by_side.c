/* SPDX-License-Identifier: MIT */

/*
 * Two servers that read the same sockets after a hand-over ended in doubt, and a third that comes:
 * nobody relies on one that has given the sockets away, nobody's options change for another's sake,
 * and each knows that it is not alone.
 */

#include <netinet/udp.h>
#include <sys/wait.h>

#include "handover.h"
#include "lib/listeners.h"

enum { SHORT_US = 100000, TTL = 64, SEGMENT_BYTES = 100, N_SEGMENTS = 20, SETTLE_MS = 2000 };

/* The old one has promised to serve on, and then gives one of two addresses to somebody else. */
static void a_promise_ends_with_the_sockets(bool third_is_killed)
{
	struct volley_addr first, second;
	struct volley_server *old = open_old(&first);
	struct volley_server *late;
	int late_fd, told[2];
	struct giver giver;
	pid_t child;
	char byte;

	second = listen_at(old, NULL);
	begin(&giver, old, SHORT_US);
	late = take(&first, fds[1]);
	late_fd = fds[1];
	listen_at(late, &second);
	CHECK_EQ(giver_join(&giver), -ETIMEDOUT);
	REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) == 0 && pipe(told) == 0);
	child = fork();
	if (child == 0) { /* it takes one, and is gone soon */
		struct volley_server *third;

		volley_server_free(old);
		volley_server_free(late);
		close(fds[0]);
		third = take(&first, fds[1]);
		CHECK_EQ(volley_server_import_commit(third, fds[1], PATIENCE_US), 0);
		REQUIRE(write(told[1], "", 1) == 1);
		if (third_is_killed)
			pause();
		volley_server_drain(third);
		volley_server_free(third);
		_exit(0);
	}
	close(fds[1]);
	CHECK_EQ(volley_server_export_fds(old, fds[0], PATIENCE_US, NULL, 0), 0);
	close(fds[0]);
	REQUIRE(read(told[0], &byte, 1) == 1);
	if (third_is_killed)
		kill(child, SIGKILL);
	REQUIRE(waitpid(child, NULL, 0) == child);
	CHECK_EQ(volley_server_import_commit(late, late_fd, PATIENCE_US), 0);
	close(late_fd);
	CHECK(is_replied_to(&first));
	CHECK(is_replied_to(&second));
	volley_server_free(late);
	volley_server_free(old);
	close(told[0]);
	close(told[1]);
}

/* Options -------------------------------------------------------------------------------------- */

static _Atomic int seen_ttl;
static _Atomic uint32_t n_seen, n_wrong;

static void look(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	(void)worker, (void)arg;
	atomic_store(&seen_ttl, volley_packet_get_ttl(packet));
	atomic_fetch_add(&n_wrong, packet->len != SEGMENT_BYTES);
	atomic_fetch_add(&n_seen, 1);
}

static void await(uint32_t n)
{
	for (int i = 0; i < SETTLE_MS && atomic_load(&n_seen) < n; i++)
		poll(NULL, 0, 1);
	CHECK_EQ(atomic_load(&n_seen), n);
	atomic_store(&n_seen, 0);
}

static void send_burst(const struct volley_addr *to)
{
	static const char data[SEGMENT_BYTES * N_SEGMENTS];
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	int n = SEGMENT_BYTES;

	REQUIRE(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &n, sizeof n) == 0);
	REQUIRE(sendto(fd, data, sizeof data, 0, &to->sa, to->len) == sizeof data);
	close(fd);
}

static struct volley_server *open_looking(struct volley_addr *ret_addr)
{
	struct volley_server *server = open_server();

	REQUIRE(volley_server_listen(
			server, "127.0.0.1:0",
			VOLLEY_LISTEN(.on_packet = look,
				      .flags = VOLLEY_LISTEN_NO_COALESCE | VOLLEY_LISTEN_WANT_TTL),
			NULL) == 0);
	REQUIRE(volley_server_start(server) == 0);
	*ret_addr = listener_addr(server, 0);
	return server;
}

/* The third wants coalesced messages and no TTL; the one that it was never told of does not. */
static void options_stay_while_others_read(void)
{
	struct volley_addr addr;
	struct volley_server *old = open_looking(&addr);
	struct volley_server *new = serve_too(old, &addr);
	struct volley_server *third = replace(new, &addr);

	volley_server_free(new);
	CHECK_EQ(volley_server_stop(third), 0); /* the old one is the only reader */
	send_burst(&addr);
	await(N_SEGMENTS);
	CHECK_EQ(atomic_load(&n_wrong), 0);
	CHECK_EQ(atomic_load(&seen_ttl), TTL);
	volley_server_free(third);
	volley_server_free(old);
}

/* A new one that serves on in doubt gets its own when the old one is gone, at its next start. */
static void options_come_when_it_is_alone(void)
{
	struct volley_addr addr;
	struct volley_server *old = open_old(&addr);
	struct volley_server *new = open_server();
	char text[VOLLEY_ADDR_TEXT_BYTES];
	struct giver giver;

	volley_addr_format(&addr, text, sizeof text);
	begin(&giver, old, SHORT_US);
	REQUIRE(volley_server_import_fds(new, fds[1], PATIENCE_US, NULL, NULL) == 1);
	REQUIRE(volley_server_listen(
			new, text,
			VOLLEY_LISTEN(.on_packet = look, .flags = VOLLEY_LISTEN_WANT_TTL),
			NULL) == 0);
	CHECK_EQ(giver_join(&giver), -ETIMEDOUT);
	commit_in_doubt(new);
	close(fds[1]);
	volley_server_free(old);
	REQUIRE(volley_server_start(new) == 0);
	send_burst(&addr);
	await(N_SEGMENTS);
	CHECK_EQ(atomic_load(&seen_ttl), TTL);
	volley_server_free(new);
}

/* ---------------------------------------------------------------------------------------------- */

static void each_knows_of_the_other(void)
{
	struct volley_addr addr;
	struct volley_server *old = open_old(&addr);
	struct volley_server *new = serve_too(old, &addr);
	struct volley_server *third;

	CHECK_EQ(volley_server_count_sharers(old), 1);
	CHECK_EQ(volley_server_count_sharers(new), 1);
	third = replace(old, &addr);
	volley_server_free(old);
	CHECK_EQ(volley_server_count_sharers(new), 1);
	CHECK_EQ(volley_server_count_sharers(third), 1);
	volley_server_free(new);
	CHECK_EQ(volley_server_count_sharers(third), 0);
	volley_server_free(third);
}

/* What has come to a server is nobody's to have again before it is its own. */
static void what_is_not_committed_is_not_given(void)
{
	struct volley_addr addr;
	struct volley_server *old = open_old(&addr);
	struct volley_server *new;
	struct giver giver;
	int pair[2];

	REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
	begin(&giver, old, PATIENCE_US);
	new = import(&addr);
	CHECK_EQ(volley_server_export_fds(new, pair[0], PATIENCE_US, NULL, 0), -EBUSY);
	CHECK_EQ(volley_server_import_commit(new, fds[1], PATIENCE_US), 0);
	CHECK_EQ(giver_join(&giver), 0);
	volley_server_free(old);
	volley_server_free(replace(new, &addr));
	volley_server_free(new);
	close(fds[1]);
	close(pair[0]);
	close(pair[1]);
}

/* The new one has closed the listener again before it commits: the old one keeps it. */
static void what_is_closed_before_is_not_taken(void)
{
	struct volley_addr first, second;
	struct volley_server *old = open_old(&first);
	struct volley_server *new;
	struct giver giver;

	second = listen_at(old, NULL);
	begin(&giver, old, PATIENCE_US);
	new = import(&first);
	listen_at(new, &second);
	CHECK_EQ(volley_listener_close(new, listener_at(new, 0)), 0);
	CHECK_EQ(volley_server_import_commit(new, fds[1], PATIENCE_US), 0);
	CHECK_EQ(giver_join(&giver), 0);
	close(fds[1]);
	CHECK(is_replied_to(&first));
	CHECK(is_replied_to(&second));
	volley_server_free(old);
	CHECK(is_replied_to(&second));
	volley_server_free(new);
}

/* A server that has a socket already is not given it again. */
static void no_socket_is_taken_twice(void)
{
	struct volley_addr addr;
	struct volley_server *old = open_old(&addr);
	struct volley_server *new = serve_too(old, &addr);
	struct giver giver;

	begin(&giver, new, PATIENCE_US);
	CHECK_EQ(volley_server_import_fds(old, fds[1], PATIENCE_US, NULL, NULL), -EINVAL);
	CHECK(giver_join(&giver) < 0);
	close(fds[1]);
	volley_server_free(new);
	CHECK(is_replied_to(&addr));
	volley_server_free(old);
}

int main(void)
{
	promise_begin(40);
	a_promise_ends_with_the_sockets(false);
	a_promise_ends_with_the_sockets(true);
	options_stay_while_others_read();
	options_come_when_it_is_alone();
	each_knows_of_the_other();
	what_is_not_committed_is_not_given();
	what_is_closed_before_is_not_taken();
	no_socket_is_taken_twice();
	return check_done();
}

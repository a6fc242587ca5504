/* SPDX-License-Identifier: MIT */

/*
 * Two processes serve after a hand-over that ended in doubt. A third one replaces one of them,
 * which ends. Two are left that never spoke with each other. Whichever ends first, the other one
 * serves.
 */

#include <sys/wait.h>

#include "handover.h"

enum { SHORT_US = 300000 };

/* Between the two that serve, and between the third and the one that it replaces. */
static int first[2], second[2];

/* It gives its sockets to the one, which does not say when it is ready. */
static void give_in_doubt(struct volley_server *server)
{
	CHECK_EQ(volley_server_export_fds(server, first[0], SHORT_US, NULL, 0), -ETIMEDOUT);
}

static struct volley_server *take_in_doubt(const struct volley_addr *addr)
{
	struct volley_server *server = take(addr, first[1]);

	commit_in_doubt(server);
	return server;
}

static void commit(struct volley_server *server)
{
	CHECK_EQ(volley_server_import_commit(server, second[1], PATIENCE_US), 0);
}

/* The rest of a child's life. */
static void be_replaced(struct volley_server *server)
{
	CHECK_EQ(volley_server_export_fds(server, second[0], PATIENCE_US, NULL, 0), 0);
	CHECK_EQ(volley_server_free(server), 0);
	_exit(check_done());
}

static void open_pairs(void)
{
	REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, first) == 0);
	REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, second) == 0);
}

static void close_pairs(void)
{
	for (int i = 0; i < 2; i++) {
		close(first[i]);
		close(second[i]);
	}
}

/* One of the two ends, and then the other one. */
static void end_both(struct volley_server *first_one, struct volley_server *last_one,
		     const struct volley_addr *addr)
{
	CHECK_EQ(volley_server_free(first_one), 0);
	CHECK(is_replied_to(addr));
	CHECK_EQ(volley_server_free(last_one), 0);
}

static void expect_end(pid_t child)
{
	int status = -1;

	REQUIRE(waitpid(child, &status, 0) == child);
	CHECK_EQ(status, 0);
}

/* The child is the old one of both hand-overs. */
static void replace_the_old(bool third_ends_first)
{
	struct volley_addr addr;
	struct volley_server *doubtful, *third;
	int told[2];
	pid_t child;

	open_pairs();
	REQUIRE(pipe(told) == 0);
	child = fork();
	if (child == 0) {
		struct volley_server *old = open_server();

		addr = listen_at(old, NULL);
		REQUIRE(write(told[1], &addr, sizeof addr) == sizeof addr);
		give_in_doubt(old);
		be_replaced(old);
	}
	REQUIRE(read(told[0], &addr, sizeof addr) == sizeof addr);
	doubtful = take_in_doubt(&addr);
	third = take(&addr, second[1]);
	commit(third);
	expect_end(child);
	end_both(third_ends_first ? third : doubtful, third_ends_first ? doubtful : third, &addr);
	close(told[0]);
	close(told[1]);
	close_pairs();
}

/* The child is the new one of the first hand-over, and the old one of the second. */
static void replace_the_new(bool third_ends_first)
{
	struct volley_server *old, *third;
	struct volley_addr addr;
	pid_t child;
	int told[2];

	open_pairs();
	REQUIRE(pipe(told) == 0);
	child = fork();
	if (child == 0) {
		REQUIRE(read(told[0], &addr, sizeof addr) == sizeof addr);
		be_replaced(take_in_doubt(&addr));
	}
	old = open_server();
	addr = listen_at(old, NULL);
	REQUIRE(volley_server_start(old) == 0);
	REQUIRE(write(told[1], &addr, sizeof addr) == sizeof addr);
	give_in_doubt(old);
	third = take(&addr, second[1]);
	commit(third);
	expect_end(child);
	end_both(third_ends_first ? third : old, third_ends_first ? old : third, &addr);
	close(told[0]);
	close(told[1]);
	close_pairs();
}

int main(void)
{
	promise_begin(20);
	for (int i = 0; i < 2; i++) {
		replace_the_old(i);
		replace_the_new(i);
	}
	return check_done();
}

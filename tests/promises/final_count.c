/* SPDX-License-Identifier: MIT */

/*
 * What sockets hold when they are closed is counted by the last server that has them, though others
 * had them too: one that was replaced, and one or many that tried to replace it and gave up; and
 * their processes live on.
 */

#include <sys/wait.h>

#include "handover.h"
#include "lib/listeners.h"

enum { SHORT_US = 20000, N = 100, N_FAILED = 40 };

/* No worker reads: what comes stays in the queue. */
static void expect_final_count(struct volley_server *server, const struct volley_addr *to)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	CHECK_EQ(volley_server_stop(server), 0);
	for (int i = 0; i < N; i++)
		REQUIRE(sendto(fd, "x", 1, 0, &to->sa, to->len) == 1);
	CHECK_EQ(volley_server_close(server), 0);
	CHECK_EQ(get_stats(server).discarded_at_close, N);
	CHECK_EQ(volley_server_free(server), 0);
	close(fd);
}

/* A new server that the old one does not wait for; it gives up. */
static void fail_once(struct volley_server *old, const struct volley_addr *addr)
{
	struct giver giver;
	struct volley_server *new;

	begin(&giver, old, SHORT_US);
	new = import(addr);
	CHECK_EQ(giver_join(&giver), -ETIMEDOUT);
	CHECK_EQ(volley_server_import_commit(new, fds[1], PATIENCE_US), -ECANCELED);
	CHECK_EQ(volley_server_free(new), 0);
	close(fds[1]);
}

static struct volley_server *open_resting(struct volley_addr *ret_addr)
{
	struct volley_server *server = open_server();

	*ret_addr = listen_at(server, NULL);
	return server;
}

/* The old one's server is there still, and has no socket. */
static void of_one_that_replaced(int n_failed)
{
	struct volley_addr addr;
	struct volley_server *old = open_resting(&addr);

	for (int i = 0; i < n_failed; i++)
		fail_once(old, &addr);
	expect_final_count(replace(old, &addr), &addr);
	CHECK_EQ(volley_server_free(old), 0);
}

static void of_one_that_was_to_be_replaced(int n_failed)
{
	struct volley_addr addr;
	struct volley_server *old = open_resting(&addr);

	for (int i = 0; i < n_failed; i++)
		fail_once(old, &addr);
	expect_final_count(old, &addr);
}

/* Servers that gave up are closed, and not freed. */
static void of_one_with_closed_ones(void)
{
	struct volley_server *closed[N_FAILED];
	struct volley_addr addr;
	struct volley_server *old = open_resting(&addr);

	for (int i = 0; i < N_FAILED; i++) {
		struct giver giver;

		begin(&giver, old, SHORT_US);
		closed[i] = import(&addr);
		CHECK_EQ(giver_join(&giver), -ETIMEDOUT);
		CHECK_EQ(volley_server_import_commit(closed[i], fds[1], PATIENCE_US), -ECANCELED);
		CHECK_EQ(volley_server_close(closed[i]), 0);
		close(fds[1]);
	}
	expect_final_count(old, &addr);
	for (int i = 0; i < N_FAILED; i++)
		volley_server_free(closed[i]);
}

/* The old one ends, and only then the new one that had given up for it. */
static void of_one_that_gave_up(void)
{
	struct volley_addr addr;
	struct volley_server *old = open_resting(&addr);
	struct volley_server *new;
	struct giver giver;

	begin(&giver, old, SHORT_US);
	new = import(&addr);
	CHECK_EQ(giver_join(&giver), -ETIMEDOUT);
	CHECK_EQ(volley_server_import_commit(new, fds[1], PATIENCE_US), -ECANCELED);
	close(fds[1]);
	CHECK_EQ(volley_server_stop(new), 0);
	CHECK_EQ(volley_server_free(old), 0);
	expect_final_count(new, &addr);
}

static void of_one_whose_other_closed_its_listener(void)
{
	struct volley_addr addr;
	struct volley_server *old = open_old(&addr);
	struct volley_server *new = serve_too(old, &addr);

	CHECK_EQ(volley_listener_close(new, listener_at(new, 0)), 0);
	expect_final_count(old, &addr);
	volley_server_free(new);
}

/* The sockets go to the new one and come back. */
static void of_one_that_has_them_again(void)
{
	struct volley_addr addr;
	struct volley_server *old = open_old(&addr);
	struct volley_server *new = serve_too(old, &addr);
	struct giver giver;

	CHECK_EQ(volley_listener_close(old, listener_at(old, 0)), 0);
	begin(&giver, new, PATIENCE_US);
	REQUIRE(volley_server_import_fds(old, fds[1], PATIENCE_US, NULL, NULL) == 1);
	listen_at(old, &addr);
	CHECK_EQ(volley_server_import_commit(old, fds[1], PATIENCE_US), 0);
	CHECK_EQ(giver_join(&giver), 0);
	close(fds[1]);
	volley_server_free(new);
	expect_final_count(old, &addr);
}

/* One that the others were never given, beside one that they share. */
static void of_a_listener_of_its_own(void)
{
	struct volley_addr addr, own;
	struct volley_server *old = open_old(&addr);
	struct volley_server *new = serve_too(old, &addr);
	struct volley_server *third;
	struct giver giver;

	own = listen_at(new, NULL);
	begin(&giver, new, PATIENCE_US);
	third = take(&own, fds[1]);
	listen_at(third, &addr);
	CHECK_EQ(volley_server_import_commit(third, fds[1], PATIENCE_US), 0);
	CHECK_EQ(giver_join(&giver), 0);
	close(fds[1]);
	volley_server_free(new);
	expect_final_count(third, &own);
	CHECK(is_replied_to(&addr));
	volley_server_free(old);
}

/* A forked child has closed its copies, and lives. */
static void of_one_with_a_child(void)
{
	struct volley_addr addr;
	struct volley_server *old = open_old(&addr);
	struct volley_server *new = serve_too(old, &addr);
	int told[2], ends[2];
	char byte;
	pid_t child;

	REQUIRE(pipe(told) == 0 && pipe(ends) == 0);
	child = fork();
	if (child == 0) {
		close(ends[1]);
		volley_server_close(old);
		volley_server_close(new);
		_exit(write(told[1], "", 1) != 1 || read(ends[0], &byte, 1) != 0);
	}
	REQUIRE(read(told[0], &byte, 1) == 1);
	volley_server_free(old);
	expect_final_count(new, &addr);
	close(ends[1]);
	REQUIRE(waitpid(child, NULL, 0) == child);
	close(ends[0]);
	close(told[0]);
	close(told[1]);
}

int main(void)
{
	promise_begin(30);
	of_one_that_replaced(0);
	of_one_that_replaced(1);
	of_one_that_replaced(N_FAILED);
	of_one_that_was_to_be_replaced(1);
	of_one_that_was_to_be_replaced(N_FAILED);
	of_one_with_closed_ones();
	of_one_that_gave_up();
	of_one_whose_other_closed_its_listener();
	of_one_that_has_them_again();
	of_a_listener_of_its_own();
	of_one_with_a_child();
	return check_done();
}

/* SPDX-License-Identifier: MIT */

/*
 * What sockets hold when they are closed is counted by the last server that has them, though others
 * had them too: one that was replaced, and one or many that tried to replace it and gave up; and
 * their processes live on.
 */

#include <errno.h>

#include "handover.h"

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

static struct volley_server *replace(struct volley_server *old, const struct volley_addr *addr)
{
	struct giver giver;
	struct volley_server *new;

	begin(&giver, old, PATIENCE_US);
	new = import(addr);
	CHECK_EQ(volley_server_import_commit(new, fds[1], PATIENCE_US), 0);
	CHECK_EQ(giver_join(&giver), 0);
	close(fds[1]);
	return new;
}

static struct volley_server *open_old(struct volley_addr *ret_addr)
{
	struct volley_server *server = open_server();

	*ret_addr = listen_at(server, NULL);
	return server;
}

/* The old one's server is there still, and has no socket. */
static void of_one_that_replaced(int n_failed)
{
	struct volley_addr addr;
	struct volley_server *old = open_old(&addr);

	for (int i = 0; i < n_failed; i++)
		fail_once(old, &addr);
	expect_final_count(replace(old, &addr), &addr);
	CHECK_EQ(volley_server_free(old), 0);
}

static void of_one_that_was_to_be_replaced(int n_failed)
{
	struct volley_addr addr;
	struct volley_server *old = open_old(&addr);

	for (int i = 0; i < n_failed; i++)
		fail_once(old, &addr);
	expect_final_count(old, &addr);
}

int main(void)
{
	promise_begin(30);
	of_one_that_replaced(0);
	of_one_that_replaced(1);
	of_one_that_replaced(N_FAILED);
	of_one_that_was_to_be_replaced(1);
	of_one_that_was_to_be_replaced(N_FAILED);
	return check_done();
}

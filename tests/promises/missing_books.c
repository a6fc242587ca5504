/* SPDX-License-Identifier: MIT */

/*
 * `missing_books` counts the servers that have served, or may have, and whose counters nobody has:
 * no more of them, and no less. What is given back is not lost, nor is what was carried before.
 */

#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "handover.h"

enum { SHORT_US = 60000, N_LOST_TRIES = 20, N_FDS = 128 };

static void ask(const struct volley_addr *to, int n)
{
	for (int i = 0; i < n; i++)
		CHECK(is_replied_to(to));
}

static void expect(struct volley_server *server, uint64_t n_carried, long n_missing)
{
	CHECK_EQ(get_carried(server), n_carried);
	CHECK_EQ(get_missing(server), n_missing);
}

static atomic_bool is_over;

static void *read_all_the_time(void *server)
{
	struct volley_stats stats = { .size = sizeof stats };

	while (!atomic_load(&is_over))
		CHECK_EQ(volley_server_get_stats(server, &stats), 0);
	return NULL;
}

/* Somebody reads the counters in the moment in which the new one gives its own back. */
static void books_come_back_beside_a_reader(void)
{
	struct volley_server *old = NULL;
	struct volley_addr addr;
	pthread_t reader;

	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 64), &old) == 0);
	addr = listen_at(old, NULL);
	REQUIRE(pthread_create(&reader, NULL, read_all_the_time, old) == 0);
	for (int i = 0; i < N_LOST_TRIES; i++) {
		struct volley_server *new;
		struct pollfd word = { .events = POLLIN };
		struct giver giver;

		begin(&giver, old, SHORT_US);
		new = import(&addr);
		word.fd = fds[1];
		poll(&word, 1, REPLY_MS); /* it is too late, and hears so at once */
		CHECK_EQ(volley_server_import_commit(new, fds[1], PATIENCE_US), -ECANCELED);
		volley_server_free(new);
		CHECK_EQ(giver_join(&giver), -ETIMEDOUT);
		close(fds[1]);
	}
	atomic_store(&is_over, true);
	pthread_join(reader, NULL);
	CHECK_EQ(get_missing(old), 0);
	volley_server_free(old);
}

/* Of two old ones, one after the other. */
static void what_was_carried_stays(void)
{
	struct volley_addr addr, other_addr;
	struct volley_server *old = open_old(&addr);
	struct volley_server *other = open_old(&other_addr);
	struct volley_server *new;
	struct giver giver;

	ask(&addr, 5);
	ask(&other_addr, 7);
	new = replace(old, &addr);
	expect(new, 5, 0);
	begin(&giver, other, PATIENCE_US);
	REQUIRE(volley_server_import_fds(new, fds[1], PATIENCE_US, NULL, NULL) == 1);
	listen_at(new, &other_addr);
	CHECK_EQ(volley_server_import_commit(new, fds[1], PATIENCE_US), 0);
	CHECK_EQ(giver_join(&giver), 0);
	close(fds[1]);
	expect(new, 12, 0);
	volley_server_free(new);
	volley_server_free(other);
	volley_server_free(old);
}

/* It comes when the old one has given up waiting, and comes again. */
static void one_that_was_late_once(void)
{
	struct volley_addr addr;
	struct volley_server *old = open_old(&addr);
	struct volley_server *new = open_server();
	struct giver giver;

	ask(&addr, 5);
	begin(&giver, old, SHORT_US);
	CHECK_EQ(giver_join(&giver), -ETIMEDOUT);
	CHECK_EQ(volley_server_import_fds(new, fds[1], PATIENCE_US, NULL, NULL), -ECANCELED);
	close(fds[1]);
	begin(&giver, old, PATIENCE_US);
	REQUIRE(volley_server_import_fds(new, fds[1], PATIENCE_US, NULL, NULL) == 1);
	listen_at(new, &addr);
	REQUIRE(volley_server_start(new) == 0);
	CHECK_EQ(volley_server_import_commit(new, fds[1], PATIENCE_US), 0);
	CHECK_EQ(giver_join(&giver), 0);
	close(fds[1]);
	expect(new, 5, 0);
	volley_server_free(new);
	volley_server_free(old);
}

/* It ends when it is told to, and both write what they have. */
static void one_that_was_told_to_end(void)
{
	struct volley_addr addr;
	struct volley_server *old = open_old(&addr);
	struct volley_server *new;
	struct giver giver;

	begin(&giver, old, PATIENCE_US);
	new = import(&addr);
	CHECK_EQ(volley_server_drain(old), 0);
	CHECK_EQ(giver_join(&giver), -ECANCELED);
	CHECK_EQ(volley_server_close(old), 0);
	CHECK_EQ(volley_server_import_commit(new, fds[1], PATIENCE_US), 0);
	close(fds[1]);
	expect(old, 0, 0);
	expect(new, 0, 0);
	volley_server_free(new);
	volley_server_free(old);
}

/* So many descriptors are left to this process. */
static void leave_descriptors(int n)
{
	const struct rlimit limit = { N_FDS, N_FDS };
	int last = -1;
	int fd;

	REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	while ((fd = dup(STDERR_FILENO)) >= 0)
		last = fd;
	for (int i = 0; i < n; i++)
		close(last - i);
}

/* A new process that cannot have the sockets has served nothing. */
static void one_without_descriptors(int n_left)
{
	struct volley_addr addr;
	struct volley_server *old = open_old(&addr);
	int pair[2];
	pid_t child;
	int status;

	REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
	child = fork();
	if (child == 0) {
		struct volley_server *new = open_server();

		close(pair[0]);
		leave_descriptors(n_left);
		_exit(volley_server_import_fds(new, pair[1], PATIENCE_US, NULL, NULL) != -EMFILE);
	}
	close(pair[1]);
	CHECK(volley_server_export_fds(old, pair[0], PATIENCE_US, NULL, 0) < 0);
	REQUIRE(waitpid(child, &status, 0) == child);
	CHECK_EQ(status, 0);
	CHECK_EQ(get_missing(old), 0);
	CHECK(is_replied_to(&addr));
	close(pair[0]);
	volley_server_free(old);
}

int main(void)
{
	promise_begin(40);
	what_was_carried_stays();
	one_that_was_late_once();
	one_that_was_told_to_end();
	for (int n = 0; n < 5; n++)
		one_without_descriptors(n);
	books_come_back_beside_a_reader();
	return check_done();
}

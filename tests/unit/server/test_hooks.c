/* SPDX-License-Identifier: MIT */

/*
 * The allocator of a server: everything the library takes for it comes from there and goes back,
 * whichever allocation fails, and nothing is taken for a datagram.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <volley/volley.h>

#include "lib/fault.h"
#include "lib/listeners.h"
#include "lib/loopback.h"
#include "lib/peer.h"

TestSuite(hooks, .timeout = 60);

static struct {
	atomic_uint n_calls;
	atomic_int n_out;
	atomic_long n_bytes_out;
	atomic_uint fail_at; /* the call that gets nothing; 0: none */
} book;

static int cookie;

static void *take(size_t n_bytes, size_t align, void *arg)
{
	void *mem;

	cr_assert_eq(arg, &cookie);
	cr_assert(align == 64 || align == 4096);
	if (atomic_fetch_add(&book.n_calls, 1) + 1 == atomic_load(&book.fail_at))
		return NULL;
	if (posix_memalign(&mem, align, n_bytes) != 0) /* not one of the functions in fault.h */
		return NULL;
	memset(mem, 0xa5, n_bytes < 4096 ? n_bytes : 4096);
	atomic_fetch_add(&book.n_out, 1);
	atomic_fetch_add(&book.n_bytes_out, (long)n_bytes);
	return mem;
}

static void give(void *mem, size_t n_bytes, size_t align, void *arg)
{
	cr_assert_eq(arg, &cookie);
	cr_assert_not_null(mem);
	cr_assert_eq((uintptr_t)mem % align, 0);
	atomic_fetch_sub(&book.n_out, 1);
	atomic_fetch_sub(&book.n_bytes_out, (long)n_bytes);
	free(mem);
}

static const struct volley_allocator allocator = { take, give, &cookie };

static void open_book(unsigned int fail_at)
{
	atomic_store(&book.n_calls, 0);
	atomic_store(&book.fail_at, fail_at);
}

static void expect_balance(const char *when)
{
	cr_assert_eq(atomic_load(&book.n_out), 0, "%s: %d are out", when, atomic_load(&book.n_out));
	cr_assert_eq(atomic_load(&book.n_bytes_out), 0, "%s: %ld bytes", when,
		     atomic_load(&book.n_bytes_out));
}

static void nothing(struct volley_worker *worker, void *arg)
{
	(void)worker, (void)arg;
}

/* Everything that allocates; 0 or the first failure. */
static int live(const char *io, uint32_t wait)
{
	struct volley_server *server;
	int fd = loopback_open("127.0.0.1:0", NULL);
	int r = volley_server_new(
		VOLLEY_CONFIG(.n_workers = 2, .io = io, .wait = wait, .allocator = &allocator),
		&server);

	if (r >= 0) {
		r = volley_server_listen(server, "0.0.0.0:0", VOLLEY_LISTEN(.on_batch = peer_echo),
					 NULL);
		if (r >= 0)
			r = volley_server_start(server);
		if (r >= 0) {
			struct volley_addr to = loopback_addr("127.0.0.1:1");

			to.in.sin_port = LISTENER_ADDR(server, 0)->in.sin_port;
			cr_assert(peer_ask(fd, &to, 7));
			r = volley_server_post(server, nothing, NULL);
		}
		if (r >= 0)
			r = volley_server_format_stats(server, NULL, 0);
		cr_assert_eq(volley_server_free(server), 0);
	}
	close(fd);
	return r < 0 ? r : 0;
}

Test(hooks, an_allocator_sees_everything_come_back)
{
	static const char *const names[] = { "mmsg", "msg" };

	for (size_t i = 0; i < 2; i++) {
		for (uint32_t wait = VOLLEY_WAIT_EVENT; wait <= VOLLEY_WAIT_SPIN; wait++) {
			open_book(0);
			cr_assert_eq(live(names[i], wait), 0);
			cr_assert_gt(atomic_load(&book.n_calls), 30);
			expect_balance(names[i]);
		}
	}
}

Test(hooks, nothing_is_taken_from_the_system_instead)
{
	static const enum fault_function takers[] = {
		FAULT_MALLOC,
		FAULT_CALLOC,
		FAULT_REALLOC,
		FAULT_STRDUP,
	};

	open_book(0);
	fault_arm(FAULT_ANY, UINT32_MAX, ENOMEM); /* counts only */
	cr_assert_eq(live("mmsg", VOLLEY_WAIT_EVENT), 0);
	for (size_t i = 0; i < sizeof takers / sizeof takers[0]; i++)
		cr_assert_eq(fault_n_calls(takers[i]), 0, "function %d", takers[i]);
	/* The page that the kernel clears in a forked child. */
	cr_assert_eq(fault_n_calls(FAULT_MMAP), 1);
	/* The two handles of libvolley-cancel, one for each worker. */
	cr_assert_eq(fault_n_calls(FAULT_ALIGNED_ALLOC), 2);
	fault_disarm();
}

Test(hooks, whichever_allocation_fails_leaves_nothing_behind)
{
	unsigned int n_failed = 0;

	for (unsigned int nth = 1;; nth++) {
		int n_fds = loopback_n_fds();
		int r;

		open_book(nth);
		r = live("mmsg", VOLLEY_WAIT_EVENT);
		expect_balance("after a failure");
		cr_assert_eq(loopback_n_fds(), n_fds);
		if (atomic_load(&book.n_calls) < nth)
			break;
		cr_assert_eq(r, -ENOMEM, "allocation %u", nth);
		n_failed++;
	}
	cr_assert_gt(n_failed, 30);
}

Test(hooks, no_datagram_allocates)
{
	struct volley_addr to;
	struct volley_server *server = peer_server(
		VOLLEY_CONFIG(.n_workers = 1, .allocator = &allocator), peer_echo, NULL, &to);
	int fd = loopback_open("127.0.0.1:0", NULL);
	unsigned int n_before;

	cr_assert_eq(volley_server_start(server), 0);
	cr_assert(peer_ask(fd, &to, 1));
	n_before = atomic_load(&book.n_calls);
	for (int i = 0; i < 200; i++)
		cr_assert(peer_ask(fd, &to, (uint8_t)i));
	cr_assert_eq(atomic_load(&book.n_calls), n_before);
	cr_assert_eq(volley_server_free(server), 0);
	expect_balance("at the end");
	close(fd);
}

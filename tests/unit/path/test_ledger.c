/* SPDX-License-Identifier: MIT */

/*
 * The ledger: the equations that a publish asserts, sums, and the names of drops. And the checker
 * of the other tests, which must itself see what is wrong.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "lib/ledger.h"
#include "path/ledger.h"

static struct vly_books books;
static struct vly_account account;
static struct vly_account other;

static void setup(void)
{
	vly_ledger_init(&books);
	vly_ledger_set_account(&books, &account);
}

TestSuite(ledger, .init = setup);

/* Ten datagrams in under four names, seven to send under three, one of which waits for a flush. */
static void count_some(void)
{
	vly_ledger_count_volley(&books, 9);
	vly_ledger_count_coalesced(&books);
	vly_ledger_count_taken(&books, 10);
	vly_ledger_count_delivered(&books, 6);
	vly_ledger_drop_rx(&books, VOLLEY_RX_CTRUNC);
	vly_ledger_drop_rx(&books, VOLLEY_RX_RING_FULL);
	vly_ledger_queue_rx(&books);
	vly_ledger_queue_rx(&books);
	vly_ledger_request_tx(&books, 7);
	vly_ledger_count_sent(&books, 2, 3);
	vly_ledger_drop_tx(&books, VOLLEY_TX_EPERM, 2);
	vly_ledger_queue_tx(&books);
}

Test(ledger, what_balances_is_published)
{
	struct volley_stats stats = { .size = 7 };

	count_some();
	cr_assert_eq(vly_ledger_get_rx_queued(&books), 2);
	cr_assert_eq(vly_ledger_get_tx_queued(&books), 1);
	vly_ledger_read(&account, &stats);
	cr_assert_eq(stats.rx_datagrams, 0, "not published yet");
	vly_ledger_publish(&books, 11, 12, 1);
	vly_ledger_read(&account, &stats);
	cr_assert_eq(stats.rx_datagrams, 0, "it would not balance: one leaves with the flush");
	cr_assert(vly_ledger_has_changed(&books));
	vly_ledger_set_account(&books, &account);
	vly_ledger_drop_tx(&books, VOLLEY_TX_EACCES, 1);
	vly_ledger_publish(&books, 11, 12, 0);
	cr_assert_not(vly_ledger_has_changed(&books));
	vly_ledger_read(&account, &stats);
	vly_ledger_add_calls(&books, &stats);
	cr_assert_eq(stats.size, sizeof stats);
	cr_assert_eq(stats.rx_datagrams, 10);
	cr_assert_eq(stats.rx_messages, 9);
	cr_assert_eq(stats.rx_batches, 1);
	cr_assert_eq(stats.rx_syscalls, 11);
	cr_assert_eq(stats.tx_syscalls, 12);
	cr_assert_eq(stats.tx_messages, 2);
	cr_assert_eq(stats.tx_sent, 3);
	cr_assert_eq(stats.tx_dropped[VOLLEY_TX_EPERM], 2);
	vly_ledger_set_account(&books, &account);
	vly_ledger_unqueue_rx(&books);
	vly_ledger_count_delivered(&books, 1);
	vly_ledger_unqueue_tx(&books, 1);
	vly_ledger_count_sent(&books, 1, 1);
	vly_ledger_publish(&books, 11, 13, 0);
	cr_assert_eq(vly_ledger_get_rx_queued(&books), 1);
	cr_assert_eq(vly_ledger_get_tx_queued(&books), 0);
}

static uint64_t read_delivered(const struct vly_account *of)
{
	struct volley_stats stats;

	vly_ledger_read(of, &stats);
	return stats.delivered;
}

static void deliver(struct vly_account *to, uint32_t n)
{
	vly_ledger_set_account(&books, to);
	vly_ledger_count_taken(&books, n);
	vly_ledger_count_delivered(&books, n);
}

Test(ledger, each_account_has_its_own)
{
	struct volley_stats stats;

	deliver(&account, 3);
	cr_assert_eq(vly_ledger_set_account(&books, &other), &account);
	deliver(&other, 4);
	deliver(&account, 5);
	vly_ledger_publish(&books, 1, 1, 0);
	cr_assert_eq(read_delivered(&account), 8);
	cr_assert_eq(read_delivered(&other), 4);
	cr_assert_eq(vly_ledger_get_account(&books), &books.own);

	vly_ledger_close(&books, &other);
	vly_ledger_read_own(&books, &stats);
	cr_assert_eq(stats.delivered, 4, "what is gone is the worker's own");
}

Test(ledger, replies_are_counted_with_their_volley)
{
	struct volley_stats stats;

	vly_ledger_request_reply(&books);
	vly_ledger_request_reply(&books);
	vly_ledger_set_account(&books, &other);
	vly_ledger_request_reply(&books);
	vly_ledger_count_sent(&books, 1, 1);
	vly_ledger_set_account(&books, &account);
	vly_ledger_count_sent(&books, 1, 2);
	vly_ledger_publish(&books, 1, 2, 0);
	vly_ledger_read(&account, &stats);
	cr_assert_eq(stats.tx_requested, 2);
	vly_ledger_read(&other, &stats);
	cr_assert_eq(stats.tx_requested, 1);
}

#ifndef NDEBUG
Test(ledger, a_datagram_without_a_name_is_a_bug, .signal = SIGABRT)
{
	count_some();
	vly_ledger_count_taken(&books, 1);
	vly_ledger_publish(&books, 0, 0, 1);
}

Test(ledger, a_datagram_under_two_names_is_a_bug, .signal = SIGABRT)
{
	count_some();
	vly_ledger_drop_rx(&books, VOLLEY_RX_STOPPED);
	vly_ledger_publish(&books, 0, 0, 1);
}

Test(ledger, a_reply_without_a_name_is_a_bug, .signal = SIGABRT)
{
	count_some();
	vly_ledger_publish(&books, 0, 0, 0);
}

Test(ledger, a_reply_under_two_names_is_a_bug, .signal = SIGABRT)
{
	count_some();
	vly_ledger_drop_tx(&books, VOLLEY_TX_STOPPED, 1);
	vly_ledger_publish(&books, 0, 0, 1);
}
#endif

Test(ledger, sums_are_name_by_name)
{
	struct volley_stats sum = { .size = 5 }, one = { .size = 6 };
	uint64_t *counts = &one.rx_datagrams;
	const uint64_t *sums = &sum.rx_datagrams;

	for (size_t i = 0; i < VLY_COUNTS_N_STATS; i++)
		counts[i] = i + 1;
	vly_ledger_add(&sum, &one);
	vly_ledger_add(&sum, &one);
	for (size_t i = 0; i < VLY_COUNTS_N_STATS; i++)
		cr_assert_eq(sums[i], 2 * (i + 1), "counter %zu", i);
	cr_assert_eq(sum.size, 5);
}

Test(ledger, every_drop_has_a_name_of_its_own)
{
	for (uint32_t i = 0; i < VOLLEY_RX_N_DROPS; i++)
		for (uint32_t k = 0; k < i; k++)
			cr_assert_str_neq(volley_rx_drop_name(i), volley_rx_drop_name(k));
	for (uint32_t i = 0; i < VOLLEY_TX_N_DROPS; i++)
		for (uint32_t k = 0; k < i; k++)
			cr_assert_str_neq(volley_tx_drop_name(i), volley_tx_drop_name(k));
	cr_assert_str_eq(volley_rx_drop_name(VOLLEY_RX_EXPIRED), "expired");
	cr_assert_str_eq(volley_tx_drop_name(VOLLEY_TX_EPERM), "EPERM");
}

Test(ledger, beyond_the_last_drop_there_is_no_name)
{
	cr_assert_null(volley_rx_drop_name(VOLLEY_RX_N_DROPS));
	cr_assert_null(volley_tx_drop_name(VOLLEY_TX_N_DROPS));
	cr_assert_null(volley_rx_drop_name(UINT32_MAX));
	cr_assert_null(volley_tx_drop_name(UINT32_MAX));
}

Test(ledger, every_send_error_has_a_name)
{
	static const struct {
		int error;
		enum volley_tx_drop reason;
	} known[] = {
		{ EPERM, VOLLEY_TX_EPERM },
		{ EMSGSIZE, VOLLEY_TX_EMSGSIZE },
		{ ENETUNREACH, VOLLEY_TX_ENETUNREACH },
		{ EHOSTUNREACH, VOLLEY_TX_EHOSTUNREACH },
		{ EACCES, VOLLEY_TX_EACCES },
		{ EINVAL, VOLLEY_TX_EINVAL },
		{ ENODEV, VOLLEY_TX_ENETUNREACH },
		{ ENXIO, VOLLEY_TX_ENETUNREACH },
		{ ENETDOWN, VOLLEY_TX_ENETUNREACH },
		{ EADDRNOTAVAIL, VOLLEY_TX_ENETUNREACH },
	};

	for (int error = 1; error < 200; error++) {
		enum volley_tx_drop expected = VOLLEY_TX_EOTHER;

		for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
			if (known[i].error == error)
				expected = known[i].reason;
		cr_assert_eq(vly_ledger_get_tx_drop(-error), expected, "errno %d", error);
	}
}

/* The checker of the other tests must itself see what is wrong. */
Test(ledger, the_checker_sees_each_equation_broken)
{
	struct volley_stats good = { .size = sizeof good,
				     .rx_datagrams = 10,
				     .delivered = 9,
				     .rx_dropped = { [VOLLEY_RX_CTRUNC] = 1 },
				     .tx_requested = 4,
				     .tx_sent = 2,
				     .tx_dropped = { [VOLLEY_TX_STOPPED] = 1 },
				     .tx_queued = 1,
				     .rx_messages = 10,
				     .tx_messages = 2,
				     .rx_batches = 1,
				     .rx_syscalls = 2 };
	struct volley_stats bad = good;

	cr_assert_null(ledger_find_fault(&good));
	bad.delivered = 10;
	cr_assert_not_null(ledger_find_fault(&bad));
	bad = good;
	bad.rx_dropped[VOLLEY_RX_STOPPED]++;
	cr_assert_not_null(ledger_find_fault(&bad));
	bad = good;
	bad.tx_dropped[VOLLEY_TX_EPERM]++;
	cr_assert_not_null(ledger_find_fault(&bad));
	bad = good;
	bad.tx_queued = 0;
	cr_assert_not_null(ledger_find_fault(&bad));
	bad = good;
	bad.held_now = 1;
	cr_assert_not_null(ledger_find_fault(&bad));
}

/* SPDX-License-Identifier: MIT */

/* The thread's own side: states, regions, exit mode. */

#include <criterion/criterion.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <volley/mmsg.h>

#include "victim.h"

static void request(void)
{
	cr_assert_eq(volley_cancel_request(volley_cancel_self()), 0);
}

static bool is_deaf(void)
{
	return signal_blocked(SIGURG);
}

/* What an attached thread's mask says when nothing is pending. */
static bool is_armed_mask(void)
{
	return is_deaf() == !vly_cancel_unblocks;
}

static int poll_now(void)
{
	struct timespec none = { 0 };

	return volley_ppoll(NULL, 0, &none, NULL);
}

Test(state, disable_hides_and_enable_shows)
{
	enum volley_cancel_state old = VOLLEY_CANCEL_DISABLE;

	cr_assert_eq(volley_cancel_attach(NULL), 0);
	cr_assert(is_armed_mask());
	cr_assert_eq(volley_cancel_set_state(VOLLEY_CANCEL_DISABLE, &old), 0);
	cr_assert_eq(old, VOLLEY_CANCEL_ENABLE);
	cr_assert(is_deaf());
	request();
	cr_assert_eq(volley_cancel_pending(), 1);
	cr_assert_eq(volley_cancel_test(), 0);
	cr_assert_eq(poll_now(), 0);
	cr_assert_eq(volley_cancel_set_state(VOLLEY_CANCEL_DISABLE, &old), 0);
	cr_assert_eq(old, VOLLEY_CANCEL_DISABLE);
	cr_assert_eq(volley_cancel_set_state(VOLLEY_CANCEL_ENABLE, NULL), 0);
	cr_assert_eq(volley_cancel_test(), -ECANCELED);
	cr_assert_eq(poll_now(), -ECANCELED);
	cr_assert_eq(volley_cancel_clear(), 0);
	cr_assert(is_armed_mask());
	cr_assert_eq(poll_now(), 0);
	cr_assert_eq(volley_cancel_set_state((enum volley_cancel_state)7, &old), -EINVAL);
	cr_assert_eq(old, VOLLEY_CANCEL_DISABLE, "not written on failure");
}

Test(state, clear_while_disabled_stays_deaf)
{
	cr_assert_eq(volley_cancel_attach(NULL), 0);
	cr_assert_eq(volley_cancel_set_state(VOLLEY_CANCEL_DISABLE, NULL), 0);
	request();
	cr_assert_eq(volley_cancel_clear(), 0);
	cr_assert(is_deaf());
	cr_assert_eq(volley_cancel_set_state(VOLLEY_CANCEL_ENABLE, NULL), 0);
	cr_assert(is_armed_mask());
	cr_assert_eq(poll_now(), 0);
}

Test(region, not_attached_is_nothing)
{
	cr_assert_eq(volley_cancel_enter(), 0);
	cr_assert_eq(volley_cancel_commit(), 0);
	cr_assert_eq(volley_cancel_leave(), 0);
}

Test(region, enter_fails_when_pending)
{
	cr_assert_eq(volley_cancel_attach(NULL), 0);
	cr_assert_eq(volley_cancel_leave(), -EINVAL);
	cr_assert_eq(volley_cancel_commit(), -EINVAL);
	request();
	cr_assert_eq(volley_cancel_enter(), -ECANCELED);
	cr_assert_eq(volley_cancel_leave(), -EINVAL, "nothing was begun");
	cr_assert_eq(volley_cancel_clear(), 0);
	cr_assert_eq(volley_cancel_enter(), 0);
	cr_assert_eq(volley_cancel_leave(), 0);
}

Test(region, commit_hides_until_leave)
{
	cr_assert_eq(volley_cancel_attach(NULL), 0);
	cr_assert_eq(volley_cancel_enter(), 0);
	request();
	cr_assert_eq(poll_now(), -ECANCELED, "before the commit calls fail");
	cr_assert_eq(volley_cancel_commit(), 0);
	cr_assert(is_deaf());
	cr_assert_eq(poll_now(), 0);
	cr_assert_eq(volley_cancel_test(), 0);
	cr_assert_eq(volley_cancel_commit(), 0, "again");
	cr_assert_eq(volley_cancel_leave(), 0);
	cr_assert_eq(volley_cancel_test(), -ECANCELED);
	cr_assert_eq(volley_cancel_clear(), 0);
	cr_assert(is_armed_mask());
}

/* A commit holds for its own region and what is in it, not for the one around. */
Test(region, nests)
{
	cr_assert_eq(volley_cancel_attach(NULL), 0);
	cr_assert_eq(volley_cancel_enter(), 0);
	cr_assert_eq(volley_cancel_enter(), 0);
	cr_assert_eq(volley_cancel_commit(), 0);
	request();
	cr_assert_eq(volley_cancel_enter(), 0, "inside a committed region");
	cr_assert_eq(volley_cancel_commit(), 0);
	cr_assert_eq(volley_cancel_leave(), 0);
	cr_assert_eq(volley_cancel_test(), 0, "the inner leave does not end the outer commit");
	cr_assert_eq(volley_cancel_leave(), 0);
	cr_assert_eq(volley_cancel_test(), -ECANCELED);
	cr_assert_eq(volley_cancel_leave(), 0);
	cr_assert_eq(volley_cancel_leave(), -EINVAL);
}

Test(region, disable_and_commit_combine)
{
	cr_assert_eq(volley_cancel_attach(NULL), 0);
	cr_assert_eq(volley_cancel_enter(), 0);
	cr_assert_eq(volley_cancel_commit(), 0);
	cr_assert_eq(volley_cancel_set_state(VOLLEY_CANCEL_DISABLE, NULL), 0);
	cr_assert_eq(volley_cancel_leave(), 0);
	cr_assert(is_deaf());
	request();
	cr_assert_eq(volley_cancel_test(), 0, "still disabled");
	cr_assert_eq(volley_cancel_enter(), 0);
	cr_assert_eq(volley_cancel_commit(), 0);
	cr_assert_eq(volley_cancel_set_state(VOLLEY_CANCEL_ENABLE, NULL), 0);
	cr_assert_eq(volley_cancel_test(), 0, "still committed");
	cr_assert_eq(volley_cancel_leave(), 0);
	cr_assert_eq(volley_cancel_test(), -ECANCELED);
}

static int data[2];

/* Receive one and pass it on: the composed function of docs/cancellation.md. */
static long receive_and_send(void *arg)
{
	char c;
	long r = volley_cancel_enter();

	(void)arg;
	if (r < 0)
		return r;
	r = volley_read(data[0], &c, 1);
	if (r == 1) {
		volley_cancel_commit();
		volley_cancel_request(volley_cancel_self());
		r = volley_write(data[0], &c, 1);
	}
	volley_cancel_leave();
	return r;
}

Test(region, composes)
{
	struct victim victim;
	char c = 0;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, data), 0);
	victim_start(&victim, receive_and_send, NULL);
	wait_asleep(victim.tid);
	cr_assert_eq(volley_cancel_request(victim.handle), 0);
	victim_join(&victim);
	cr_assert_eq(victim.result, -ECANCELED);

	victim_start(&victim, receive_and_send, NULL);
	cr_assert_eq(write(data[1], "z", 1), 1);
	cr_assert_eq(read(data[1], &c, 1), 1);
	cr_assert_eq(c, 'z');
	victim_join(&victim);
	cr_assert_eq(victim.result, 1);
	cr_assert_eq(victim.pending, 1);
}

struct exit_case {
	bool cleaned;
	bool attached_in_cleanup;
	bool blocked_in_cleanup;
	bool pending_in_cleanup;
	long inside_region;
};

static void cleanup(void *arg)
{
	struct exit_case *c = arg;

	c->cleaned = true;
	c->attached_in_cleanup = volley_cancel_self() != NULL;
	c->blocked_in_cleanup = signal_blocked(SIGURG);
	c->pending_in_cleanup = signal_pending(SIGURG);
}

static long sleep_and_exit(void *arg)
{
	struct exit_case *c = arg;

	pthread_cleanup_push(cleanup, c);
	cr_assert_eq(volley_cancel_set_exit(1), 0);
	volley_cancel_enter();
	c->inside_region = volley_ppoll(NULL, 0, NULL, NULL);
	volley_cancel_leave();
	volley_ppoll(NULL, 0, NULL, NULL);
	pthread_cleanup_pop(0);
	return 0;
}

Test(exit_mode, leaves_with_cleanup_handlers_and_nothing_pending)
{
	struct exit_case c = { 0 };
	struct victim victim;

	victim_start(&victim, sleep_and_exit, &c);
	wait_asleep(victim.tid);
	cr_assert_eq(volley_cancel_request(victim.handle), 0);
	cr_assert_eq(victim_join(&victim), PTHREAD_CANCELED);
	cr_assert(c.cleaned);
	cr_assert_not(c.attached_in_cleanup);
	cr_assert_not(c.blocked_in_cleanup);
	cr_assert_not(c.pending_in_cleanup);
	cr_assert_eq(c.inside_region, -ECANCELED, "in a region the caller tidies up first");
}

Test(exit_mode, test_and_off_do_not_exit)
{
	cr_assert_eq(volley_cancel_attach(NULL), 0);
	cr_assert_eq(volley_cancel_set_exit(1), 0);
	request();
	cr_assert_eq(volley_cancel_test(), -ECANCELED);
	cr_assert_eq(volley_cancel_set_exit(0), 0);
	cr_assert_eq(poll_now(), -ECANCELED);
}

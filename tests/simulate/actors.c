/* SPDX-License-Identifier: MIT */

/* The threads of a program beside its main one. */

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "bounds.h"
#include "fault.h"
#include "oracle.h"
#include "play.h"

void *play_foreign_main(void *arg)
{
	struct play *play = arg;
	struct snapshots *snapshots = calloc(1, sizeof *snapshots);

	while (!play->is_settling) {
		play_sleep(world_pick(play->is_lazy ? 30000000 : 300000));
		switch (world_pick(8)) {
		case 0:
			if (snapshots != NULL)
				play_look(play, snapshots);
			break;
		case 1:
			play_send_by(play, NULL);
			break;
		case 2:
			if (play->worker != NULL)
				play_send_by(play, play->worker);
			break;
		case 3:
			if (world_pick(8) == 0)
				play_send_to_nobody(play, world_pick(2) ? play->worker : NULL);
			else
				ask_join(play);
			break;
		case 4:
			if (world_pick(16) == 0 &&
			    fault_plan.data + fault_plan.control + fault_plan.memory == 0)
				play_misuse(play);
			break;
		default:
			play_use_token(play);
			break;
		}
	}
	free(snapshots);
	return NULL;
}

void play_ask(struct play *play)
{
	play->was_asked = true;
	play->n_asking++;
	if (volley_server_request_stop(play->server) != 0)
		world_blame("request_stop fails");
	play->n_asking--;
}

void play_begin_hurry(struct play *play)
{
	play->n_hurries++;
	play->n_hurrying++;
}

void play_end_hurry(struct play *play)
{
	play->n_hurrying--;
}

int play_stop(struct play *play)
{
	int r;

	play_begin_hurry(play);
	r = volley_server_stop(play->server);
	play_end_hurry(play);
	return r;
}

/* Asks a server to stop that may be stopping already, at the same time as others do. */
void *play_ask_main(void *arg)
{
	struct play *play = arg;

	while (!play->is_settling) {
		play_sleep(play->is_storming ? 0 : world_pick(4000000));
		for (uint32_t n = 1 + world_pick(30); n > 0 && !play->is_settling; n--)
			play_ask(play);
		while (play->is_storming)
			play_ask(play);
	}
	return NULL;
}

/* The loop of a server without threads of its own. */
void *play_loop_main(void *arg)
{
	struct play *play = arg;

	while (!play->is_over) {
		struct pollfd fd = { .fd = volley_server_get_fd(play->server), .events = POLLIN };
		int64_t ns = volley_server_get_timeout_ns(play->server);
		int ms = ns < 0 ? -1 : (int)((ns + 999999) / 1000000);
		int r;

		poll(&fd, fd.fd >= 0, ms < 0 || ms > 1000 ? 1000 : ms);
		r = volley_server_process(play->server);
		if (r < 0 && r != -ESHUTDOWN)
			world_blame("process: %d", r);
		if (r == -ESHUTDOWN)
			play_sleep(world_pick(100000));
	}
	return NULL;
}

/* One that listens, or any. */
static uint32_t pick_listener(const struct play *play)
{
	uint32_t i = world_pick(N_LISTENERS);

	for (uint32_t n = 0; n < N_LISTENERS && !play->listens[i]; n++)
		i = (i + 1) % N_LISTENERS;
	return i;
}

void *play_load_main(void *arg)
{
	struct play *play = arg;
	bool is_slow = play->n_slow > 1;

	while (play->n_load > 0 && !play->is_over) {
		uint32_t n = 1 + world_pick(is_slow || world_pick(4) == 0 ? 100 : 4);
		uint32_t i = pick_listener(play);
		uint32_t len = world_pick(8) == 0 ? world_pick(1400) : 64;

		for (; n > 0 && play->n_load > 0 && play->listens[i]; n--, play->n_load--)
			ask(play, i, len);
		play_sleep(world_pick(play->is_lazy ? 40000000 : is_slow ? 4000000 : 200000));
	}
	return NULL;
}

static bool is_known(const struct play *play, int r, uint32_t n_unstarted)
{
	return r == 0 || r == -EALREADY || r == -ENOTCONN || fault_count() > 0 ||
	       (r == -EPROTO && n_unstarted != play->n_unstarted);
}

/* What may leave messages behind. */
static uint32_t count_reasons(const struct play *play)
{
	return play->n_hurries + play->n_late + play->n_opened + play->n_closes;
}

/* Sockets that are somebody else's, too: what is left there is his. */
static bool has_kept(const struct play *play)
{
	bool has = false;

	for (uint32_t i = 0; i < N_LISTENERS; i++)
		has |= play->kept_fds[i] != 0;
	return has;
}

/* However often it is asked to end: politely, until somebody is in a hurry. */
static int run(struct play *play)
{
	/* Before it began, which is not politely. */
	bool was_asked = play->n_asking > 0 || play->n_hurrying > 0;
	bool closes = play->n_closes % 2 != 0;
	uint32_t n_reasons = count_reasons(play);
	int r = volley_server_run(play->server);
	uint32_t n_left = udp_count_queued(play->process);

	if (r == 0 && !was_asked && !closes && n_left > 0 && n_reasons == count_reasons(play) &&
	    !has_kept(play) && fault_count() == 0)
		world_blame("run leaves %u messages, and nobody is in a hurry", n_left);
	return r;
}

void *play_run_main(void *arg)
{
	struct play *play = arg;

	while (!play->is_settling) {
		uint32_t n_unstarted = play->n_unstarted;
		int r = run(play);

		world_tell("run: %d", r);
		if (!is_known(play, r, n_unstarted))
			world_blame("run: %d", r);
		play->n_runs++;
		play_sleep(world_pick(1000000));
	}
	return NULL;
}

/* Our own waits, which a request ends, and nothing else. */
void *play_cancel_main(void *arg)
{
	struct play *play = arg;
	struct volley_cancel *self = NULL;
	struct timespec time = { .tv_nsec = 100000 };

	if (volley_cancel_attach(&self) < 0)
		return NULL;
	if (volley_cancel_attach(NULL) != -EALREADY || volley_cancel_self() != self)
		world_blame("a thread is attached twice, or is somebody else");
	while (!play->is_settling) {
		bool asks = world_pick(2) == 0;
		enum volley_cancel_state old;
		int r;

		if (asks && volley_cancel_request(self) < 0)
			world_blame("a thread cannot be asked");
		if (volley_cancel_pending() != asks)
			world_blame("a request is pending, or is not");
		r = volley_ppoll(NULL, 0, &time, NULL);
		if (asks ? r != -ECANCELED : r != 0 && r != -EINTR && fault_count() == 0)
			world_blame("a wait returns %d, and asked is %d", r, asks);
		if (volley_cancel_set_state(VOLLEY_CANCEL_DISABLE, &old) != 0 ||
		    old != VOLLEY_CANCEL_ENABLE || volley_cancel_test() != 0 ||
		    volley_cancel_set_state(VOLLEY_CANCEL_ENABLE, NULL) != 0)
			world_blame("cancellation is not disabled");
		if (volley_cancel_test() != (asks ? -ECANCELED : 0))
			world_blame("a point does not end, or does");
		r = volley_cancel_enter();
		if (r != (asks ? -ECANCELED : 0))
			world_blame("a region is entered: %d", r);
		if (r == 0 && (volley_cancel_commit() != 0 || volley_cancel_request(self) < 0 ||
			       volley_cancel_test() != 0 || volley_cancel_leave() != 0 ||
			       volley_cancel_test() != -ECANCELED))
			world_blame("a region that is committed is none");
		if (volley_cancel_clear() != 0 || volley_cancel_test() != 0)
			world_blame("a request is not over");
		play_sleep(world_pick(1000000));
	}
	if (volley_cancel_detach() != 0 || volley_cancel_detach() != -ESRCH ||
	    volley_cancel_request(self) != -ESRCH)
		world_blame("a thread is not detached");
	volley_cancel_unref(self);
	return NULL;
}

/* SPDX-License-Identifier: MIT */

/* Sends and replies outside of a packet's callback, and what the library says to them. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "fault.h"
#include "oracle.h"
#include "play.h"

static const uint64_t US = 1000;

/* A request whose listener is still there, or UINT32_MAX. */
static uint32_t pick_request(struct play *play, uint32_t *ret_listener)
{
	uint32_t n = oracle_count_requests();
	uint32_t id = n > 0 ? world_pick(n) : 0;

	for (uint32_t i = 0; n > 0 && i < N_LISTENERS; i++) {
		if (!play->listens[i] || play->changes[i] ||
		    !volley_addr_is_equal(&play->addrs[i], oracle_get_destination(id)) ||
		    oracle_is_forged(id))
			continue;
		*ret_listener = i;
		return id;
	}
	return UINT32_MAX;
}

/* On a worker's own thread as one of many, out of a room; elsewhere there is no room. */
static int send_out_of_room(struct volley_worker *worker, struct volley_listener listener,
			    const struct volley_addr *to, const struct volley_send_options *options,
			    const void *data, size_t len)
{
	struct volley_payload payload = { .len = len };
	uint8_t *room = volley_worker_send_buffer(worker, len, NULL);
	int r;

	if (room == NULL)
		return volley_worker_send(worker, listener, to, data, len, options);
	memcpy(room, data, len);
	payload.data = room;
	r = volley_worker_send_many(worker, listener, to, 1, &payload, options);
	if (r == 0)
		return -ENOBUFS; /* or another name that it was dropped under */
	return r == 1 ? 0 : r;
}

static int send_by(struct play *play, struct volley_worker *worker, struct volley_listener listener,
		   const struct volley_addr *to, const struct volley_addr *from, const void *data,
		   size_t len)
{
	if (worker != NULL && world_pick(4) == 0)
		return send_out_of_room(worker, listener, to, VOLLEY_SEND(.local = from), data,
					len);
	if (worker != NULL)
		return volley_worker_send(worker, listener, to, data, len,
					  VOLLEY_SEND(.local = from));
	return volley_server_send(play->server, listener, to, data, len,
				  VOLLEY_SEND(.local = from));
}

static bool is_known(int r)
{
	return r == 0 || r == -ESHUTDOWN || r == -ESTALE || r == -EINVAL || r == -EMSGSIZE ||
	       r == -ENOBUFS || r == -EAGAIN;
}

void play_send_by(struct play *play, struct volley_worker *worker)
{
	uint8_t data[2048];
	uint32_t i = 0;
	uint32_t id = pick_request(play, &i);
	uint32_t len;
	int r;

	if (id == UINT32_MAX)
		return;
	len = oracle_fill_reply(id, data, sizeof data);
	oracle_count_reply(id); /* it may arrive before the call returns */
	r = send_by(play, worker, play->handles[i], oracle_get_client(id),
		    world_pick(2) ? oracle_get_destination(id) : NULL, data, len);
	oracle_end_reply(data, r);
	if (!is_known(r))
		world_blame("a send returns %d", r);
}

/* Lines ---------------------------------------------------------------------------------------- */

static struct line *get_line(struct play *play, const struct volley_worker *worker, uint32_t i)
{
	return &play->lines[volley_worker_get_index(worker)][i];
}

void play_on_writable(struct volley_worker *worker, struct volley_listener listener, void *arg)
{
	struct play *play = arg;
	int n = volley_worker_get_tx_queued(worker, listener);

	world_tell("worker %u: on_writable", volley_worker_get_index(worker));
	/* A worker that has several sockets of it has a line at each. */
	if (n != 0 && volley_listener_get_fd(play->server, listener, play->config.n_workers) < 0)
		world_blame("on_writable, and %d wait", n);
	for (uint32_t i = 0; i < N_LISTENERS; i++)
		if (get_line(play, worker, i)->listener_id == listener.id)
			get_line(play, worker, i)->listener_id = 0;
	play_send_by(play, worker);
}

/*
 * Between the end of a line and on_writable there is no other callback: so who was told of a line
 * that is not there any more has had it, unless a stop has begun.
 */
void play_send_inside(struct play *play, struct volley_worker *worker)
{
	uint32_t i = world_pick(N_LISTENERS);
	struct volley_listener listener = play->handles[i];
	struct line *line = get_line(play, worker, i);
	int n = volley_worker_get_tx_queued(worker, listener);

	if (n == 0 && line->listener_id == listener.id && listener.id != 0 &&
	    line->n_begun == play->n_begun && !play->was_asked && play->n_hurries == 0)
		world_blame("a line has ended, and no on_writable came");
	if (n > 0)
		*line = (struct line){ listener.id, play->n_begun };
	play_send_by(play, worker);
}

/* To what cannot be sent to, or not by this: refused, or dropped under a name. */
void play_send_to_nobody(struct play *play, struct volley_worker *worker)
{
	static const char *const texts[] = { "10.0.1.77:0",    "10.9.9.9:99", "255.255.255.255:9",
					     "[fd00:9::9]:99", "10.0.1.1:9",  "127.0.0.1:9" };
	static uint8_t large[66000];
	struct volley_addr to;
	uint8_t data[64];
	uint32_t i = 0;
	uint32_t id = pick_request(play, &i);
	int r;

	if (id == UINT32_MAX)
		return;
	oracle_fill_reply(id, data, sizeof data);
	oracle_set_stray(data);
	play->process->hears_errors = true; /* what ends a batch is refused twice */
	if (world_pick(4) == 0) {
		memcpy(large, data, sizeof data);
		r = send_by(play, worker, play->handles[i], oracle_get_client(id), NULL, large,
			    sizeof large);
		if (r != -EMSGSIZE && r != -ESHUTDOWN && r != -EINVAL && r != -ESTALE)
			world_blame("66,000 bytes can be sent: %d", r);
	} else if (world_pick(4) == 0) {
		r = send_by(play, worker, (struct volley_listener){ .id = 63 },
			    oracle_get_client(id), NULL, data, sizeof data);
		if (r != -ESTALE && r != -ESHUTDOWN)
			world_blame("a listener that is not there sends: %d", r);
	} else {
		if (volley_addr_parse(texts[world_pick(6)], &to) < 0)
			abort();
		r = send_by(play, worker, play->handles[i], &to, NULL, data, sizeof data);
		if (!is_known(r))
			world_blame("a send to nobody returns %d", r);
	}
	oracle_end_reply(data, r);
}

/* Tokens --------------------------------------------------------------------------------------- */

void play_keep_token(struct play *play, struct volley_held held, uint32_t id, uint64_t at_ns)
{
	world_tell("request %u is held as %llx", id, (unsigned long long)held.id);
	if (play->n_tokens == N_HELD) {
		(void)volley_held_release(play->server, held);
		return;
	}
	play->tokens[play->n_tokens++] = (struct token){ held, id, at_ns,
							 play->n_ended + play->n_closes };
}

static void make_stale(struct play *play, struct volley_held held)
{
	play->stale[play->n_stale++ % N_STALE] = held;
}

static void misuse_token(struct play *play)
{
	static const struct volley_held strange[] = { { 0 }, { UINT64_MAX } };
	uint32_t n = play->n_stale < N_STALE ? play->n_stale : N_STALE;
	struct volley_held held = n > 0 && world_pick(4) > 0 ? play->stale[world_pick(n)]
							     : strange[world_pick(2)];
	uint8_t data[12] = { 0 };
	int r;

	switch (world_pick(3)) {
	case 0:
		r = volley_held_reply(play->server, held, data, sizeof data);
		break;
	case 1:
		r = volley_held_release(play->server, held);
		break;
	default:
		r = volley_held_get_payload(play->server, held, NULL, 0);
		break;
	}
	if (r != -ESTALE)
		world_blame("a token that is used up, or none, gives %d", r);
}

static bool is_changing(const struct play *play)
{
	for (uint32_t i = 0; i < N_LISTENERS; i++)
		if (play->changes[i])
			return true;
	return false;
}

/* It is neither void too early nor too late. */
static void judge_token(struct play *play, const struct token *token, uint64_t before_ns, int r)
{
	uint64_t age_ns = world_now() - token->at_ns;
	uint64_t hold_us = play->config.hold_us != 0 ? play->config.hold_us : 10000000;

	if (r == -ESTALE) {
		if (age_ns < hold_us * US && token->n_ends == play->n_ended + play->n_closes &&
		    !is_changing(play) && !play->was_asked && play->is_running &&
		    fault_count() == 0)
			world_blame("a token is stale after %llu us",
				    (unsigned long long)(age_ns / US));
	} else if (play->is_running && !play->was_asked) {
		bounds_judge(BOUND_HOLD, token->at_ns + (world_now() - before_ns), hold_us * US);
	}
}

static int reply_held(struct play *play, const struct token *token)
{
	uint8_t data[2048];
	uint32_t len = oracle_fill_reply(token->id, data, sizeof data);
	struct volley_send_options options = oracle_choose_options(data, true);
	int r;

	oracle_count_reply(token->id);
	r = volley_held_reply_with(play->server, token->held, data, len, &options);
	if (r != -ESTALE)
		oracle_end_reply(data, r);
	if (r != -ESTALE && r != 0 && r != -ENOBUFS && r != -EMSGSIZE && r != -EINVAL &&
	    r != -EAGAIN)
		world_blame("a reply to a held packet returns %d", r);
	return r;
}

void play_use_token(struct play *play)
{
	uint64_t before_ns = world_now();
	struct token token;
	uint32_t i;
	int r;

	if (play->is_holding)
		return;
	if (play->n_tokens == 0 || world_pick(16) == 0) {
		misuse_token(play);
		return;
	}
	i = world_pick(play->n_tokens);
	token = play->tokens[i];
	play->tokens[i] = play->tokens[--play->n_tokens];
	if (world_pick(4) == 0) {
		uint8_t data[2048];

		uint32_t id;

		r = volley_held_get_payload(play->server, token.held, data, sizeof data);
		id = oracle_read_request(data, r > 0 && r < 2048 ? (uint32_t)r : 0);
		if (id != UINT32_MAX && id != token.id)
			world_blame("a held packet's payload is another's");
	}
	r = world_pick(4) == 0 ? volley_held_release(play->server, token.held)
			       : reply_held(play, &token);
	world_tell("token %llx: %d", (unsigned long long)token.held.id, r);
	judge_token(play, &token, before_ns, r);
	if (r == -ENOBUFS || r == -EMSGSIZE || r == -EAGAIN)
		(void)volley_held_release(play->server, token.held);
	make_stale(play, token.held);
}

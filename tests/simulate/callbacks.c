/* SPDX-License-Identifier: MIT */

/* What the library calls: callbacks, hooks, timers and posts, and what they do in there. */

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ask.h"
#include "bounds.h"
#include "oracle.h"
#include "play.h"
#include "timers.h"

enum { HEAD_BYTES = 12 };

static void say(enum volley_log_level level, const char *text, void *arg)
{
	struct play *play = arg;

	(void)level;
	play->n_said++;
	play->n_late += strncmp(text, "stopped before", 14) == 0;
	world_tell("log: %s", text);
}

/* Replies -------------------------------------------------------------------------------------- */

static void reply_with(struct volley_packet *packet, uint32_t id, const void *data, uint32_t len)
{
	struct volley_send_options options = oracle_choose_options(data, false);
	int r;

	oracle_count_reply(id);
	r = options.flags != 0 ? volley_packet_reply_with(packet, data, len, &options)
			       : volley_packet_reply(packet, data, len);
	oracle_end_reply(data, r);
	if (r != 0 && r != -EMSGSIZE && r != -ENOBUFS && r != -EINVAL)
		world_blame("a reply returns %d", r);
}

static void reply_copy(struct volley_packet *packet, uint32_t id)
{
	uint8_t data[2048];
	uint32_t len = oracle_fill_reply(id, data, sizeof data);

	reply_with(packet, id, data, len);
	memset(data, 0x55, sizeof data); /* it was copied */
}

static void reply_in_place(struct volley_packet *packet, uint32_t id)
{
	if (packet->capacity < HEAD_BYTES)
		return;
	reply_with(packet, id, packet->data, oracle_fill_reply(id, packet->data, packet->capacity));
}

/* What is written there stays until the callback returns, whatever else is replied meanwhile. */
static void reply_room(struct volley_packet *packet, uint32_t id)
{
	size_t n_room = 0;
	uint32_t need = 1 + world_pick(world_pick(8) == 0 ? 65527 : 1500);
	uint8_t *data = volley_packet_reply_buffer(packet, need, &n_room);
	uint8_t *other = world_pick(4) == 0 ? volley_packet_reply_buffer(packet, 64, NULL) : NULL;
	uint8_t copy[2048];
	uint32_t len;

	if (other != NULL)
		memset(other, 0x33, 64);
	if (data == NULL)
		return;
	if (n_room < need)
		world_blame("a room of %zu bytes, and %u were wanted", n_room, need);
	if (n_room < HEAD_BYTES)
		return;
	len = oracle_fill_reply(id, data, n_room < sizeof copy ? (uint32_t)n_room : sizeof copy);
	memcpy(copy, data, len);
	if (world_pick(4) == 0)
		reply_copy(packet, id);
	if (memcmp(copy, data, len) != 0)
		world_blame("a room is overwritten");
	reply_with(packet, id, data, len);
	if (other != NULL)
		for (uint32_t i = 0; i < 64; i++)
			if (other[i] != 0x33)
				world_blame("another room is overwritten");
}

static void send_back(struct volley_packet *packet, uint32_t id)
{
	uint8_t data[2048];
	uint32_t len = oracle_fill_reply(id, data, sizeof data);
	struct volley_send_options options;
	int r;

	if (oracle_is_forged(id)) { /* what is no reply may go to another listener of ours */
		reply_copy(packet, id);
		return;
	}
	options = oracle_choose_options(data, true);
	options.local = packet->local;
	oracle_count_reply(id); /* it may arrive before the call returns */
	r = world_pick(2) ? volley_worker_send(packet->worker, packet->listener, packet->peer, data,
					       len, &options)
			  : volley_server_send(volley_worker_get_server(packet->worker),
					       packet->listener, packet->peer, data, len, &options);
	oracle_end_reply(data, r);
}

static void hold(struct play *play, struct volley_packet *packet, uint32_t id)
{
	uint64_t at_ns = world_now();
	struct volley_held held;
	int r = volley_packet_hold(packet, &held);

	if (r == 0)
		play_keep_token(play, held, id, at_ns);
	else if (r != -ENOBUFS)
		world_blame("hold returns %d", r);
}

/* Packets -------------------------------------------------------------------------------------- */

static uint32_t find_flags(struct play *play, const struct volley_packet *packet)
{
	uint32_t i = volley_addr_get_port(packet->local) - 7000u;

	return i < N_LISTENERS ? play->flags[i] : 0;
}

static void look_at(struct play *play, struct volley_packet *packet)
{
	uint32_t flags = find_flags(play, packet);
	struct volley_addr to;
	int64_t at_ns = volley_packet_get_timestamp(packet);
	int ttl = volley_packet_get_ttl(packet);
	int tos = volley_packet_get_tos(packet);
	int ifindex = volley_packet_get_interface(packet);
	int handler = volley_packet_get_handler(packet);
	int r = volley_packet_get_destination(packet, &to);

	if (ttl != (flags & VOLLEY_LISTEN_WANT_TTL ? 64 : -ENODATA))
		world_blame("the TTL is %d", ttl);
	if ((tos < 0) != !(flags & VOLLEY_LISTEN_WANT_TOS) ||
	    (tos > 0 && oracle_read_request(packet->data, packet->len) != UINT32_MAX))
		world_blame("the TOS is %d", tos);
	if (flags & VOLLEY_LISTEN_WANT_INTERFACE ? ifindex < 1 : ifindex != -ENODATA)
		world_blame("the interface is %d", ifindex);
	if (flags & VOLLEY_LISTEN_WANT_TIMESTAMP ? at_ns <= 0 : at_ns != -ENODATA)
		world_blame("the time is %lld", (long long)at_ns);
	if (play->config.n_handlers == 0 ? handler != -ENODATA
					 : handler < 0 || handler >= (int)play->config.n_handlers)
		world_blame("the handler is %d of %u", handler, play->config.n_handlers);
	if (r == 0 && volley_addr_get_port(&to) != volley_addr_get_port(packet->local))
		world_blame("the destination has another port");
	if (volley_worker_get_server(packet->worker) != play->server ||
	    volley_worker_get_index(packet->worker) >= play->config.n_workers)
		world_blame("the worker is another server's");
	if (packet->capacity < packet->len)
		world_blame("the capacity is less than the length");
}

/* As slow as this world's are; one that blocks in our own calls ends with the server. */
static void be_slow(struct play *play)
{
	struct timespec time = { .tv_nsec = (long)play->slow_ns };
	int r;

	if (world_pick(2) == 0) {
		play_sleep(play->slow_ns);
		return;
	}
	r = volley_ppoll(NULL, 0, &time, NULL);
	if (r != 0 && r != -ECANCELED && r != -EINTR && r != -ENOMEM)
		world_blame("a sleep in a callback returns %d", r);
}

static void reply(struct play *play, struct volley_packet *packet, uint32_t id)
{
	switch (world_pick(8) < 5 ? play->style % 6 : world_pick(6)) {
	case 0:
		reply_copy(packet, id);
		break;
	case 1:
		reply_in_place(packet, id);
		break;
	case 2:
		reply_room(packet, id);
		break;
	case 3:
		send_back(packet, id);
		break;
	case 4:
		hold(play, packet, id);
		break;
	default:
		reply_copy(packet, id);
		reply_copy(packet, id);
		break;
	}
}

static void use(struct play *play, struct volley_packet *packet)
{
	uint32_t id;

	id = oracle_deliver(packet);
	if (packet->len == 0 && volley_packet_reply(packet, packet->data, 0) == 0)
		oracle_count_empty();
	if (id == UINT32_MAX)
		return;
	if (play->is_plain) {
		reply_copy(packet, id);
		return;
	}
	if (world_pick(16) == 0)
		look_at(play, packet);
	if (world_pick(64) == 0)
		play_misuse_packet(packet);
	reply(play, packet, id);
	if (world_pick(64) < play->n_slow)
		be_slow(play);
}

/* Whatever may be called in there. */
static void act_inside(struct play *play, struct volley_worker *worker)
{
	play->worker = worker;
	if (play->is_plain)
		return;
	switch (world_pick(128)) {
	case 0:
		play_misuse_inside(play, worker);
		break;
	case 1:
	case 2:
		play_send_inside(play, worker);
		break;
	case 3:
		play_send_to_nobody(play, worker);
		break;
	case 4:
	case 5:
		play_use_token(play);
		break;
	default:
		break;
	}
}

/* A room that is opened at first, and replied from when all others are. */
struct room {
	uint8_t *data;
	uint8_t copy[256];
	uint32_t id;
	uint32_t len;
};

static void open_room(struct play *play, struct volley_packet *packet, struct room *room)
{
	room->data = NULL;
	room->id = oracle_read_request(packet->data, packet->len);
	if (play->is_plain || room->id == UINT32_MAX || world_pick(4) > 0)
		return;
	room->data = volley_packet_reply_buffer(packet, sizeof room->copy, NULL);
	if (room->data == NULL)
		return;
	room->len = oracle_fill_reply(room->id, room->data, sizeof room->copy);
	memcpy(room->copy, room->data, room->len);
}

static void close_room(struct volley_packet *packet, struct room *room)
{
	if (room->data == NULL)
		return;
	if (memcmp(room->copy, room->data, room->len) != 0)
		world_blame("a room is overwritten before its callback returns");
	reply_with(packet, room->id, room->data, room->len);
}

/* Around a callback for packets. Handlers' are on threads of their own. */
static uint32_t enter(const struct play *play, struct volley_worker *worker)
{
	if (play->config.n_handlers == 0 && !play->is_plain)
		timers_enter(worker);
	return bounds_enter();
}

static void leave(struct play *play, struct volley_worker *worker, uint32_t slot)
{
	act_inside(play, worker);
	bounds_leave(slot);
	if (play->is_plain)
		return;
	if (play->config.n_handlers > 0) {
		if (world_pick(256) == 0)
			timers_misuse(worker, -EPERM);
		return;
	}
	timers_use(worker, TIMERS_SERVE);
	timers_leave(worker);
}

static void on_batch(struct volley_worker *worker, struct volley_packet *packets, size_t n,
		     void *arg)
{
	uint32_t slot = enter(arg, worker);
	struct room room;

	if (n == 0 || n > 256)
		world_blame("a volley of %zu", n);
	open_room(arg, &packets[0], &room);
	for (size_t i = 0; i < n; i++)
		use(arg, &packets[i]);
	close_room(&packets[0], &room);
	leave(arg, worker, slot);
}

static void on_packet(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	uint32_t slot = enter(arg, worker);

	use(arg, packet);
	leave(arg, worker, slot);
}

static void on_error(struct volley_worker *worker, const struct volley_addr *peer, int error,
		     void *arg)
{
	struct play *play = arg;

	if (error <= 0 || peer == NULL)
		world_blame("an error of %d is reported", error);
	if (!play->is_plain)
		timers_enter(worker);
	act_inside(play, worker);
	if (play->is_plain)
		return;
	if (world_pick(4) == 0)
		play_send_by(play, worker);
	timers_use(worker, TIMERS_ANY);
	timers_leave(worker);
}

/* Hooks ---------------------------------------------------------------------------------------- */

static void on_hook(struct volley_worker *worker, void *arg)
{
	struct play *play = arg;

	act_inside(play, worker);
	if (world_pick(16) != 0 || play->is_plain || oracle_count_requests() == 0)
		return;
	ask_call_all(play, worker);
	play_send_by(play, worker);
}

static int on_start(struct volley_worker *worker, void *arg)
{
	struct play *play = arg;
	uint32_t slot = bounds_enter();

	if (volley_worker_get_data(worker) != NULL)
		world_blame("a worker has data that it was not given");
	if (world_pick(4) == 0)
		play_sleep(world_pick(300000));
	if (world_pick(32) == 0 && !play->is_settling) {
		play->n_unstarted++;
		bounds_leave(slot);
		return -EPROTO;
	}
	play->n_begun++;
	if (world_pick(4) == 0)
		timers_add_event(worker);
	timers_use(worker, TIMERS_START);
	for (uint32_t n = world_pick(4); n > 0; n--)
		play_send_by(play, worker);
	bounds_leave(slot);
	return 0;
}

static void on_stop(struct volley_worker *worker, void *arg)
{
	struct play *play = arg;
	uint32_t slot = bounds_enter();
	struct event *timer = volley_worker_get_data(worker);

	for (uint32_t n = world_pick(4); n > 0; n--)
		play_send_by(play, worker);
	timers_use(worker, TIMERS_STOP);
	if (timer != NULL)
		event_free(timer);
	volley_worker_set_data(worker, NULL);
	play->n_ended++;
	if (play->n_ended > play->n_begun)
		world_blame("on_stop comes more often than on_start");
	bounds_leave(slot);
}

static void on_signal(struct volley_server *server, int signo, void *arg)
{
	struct play *play = arg;
	uint32_t slot = bounds_enter_signal();
	int r = volley_server_stop(server);

	if (signo != SIGHUP)
		world_blame("signal %d is none of ours", signo);
	if (r != -EDEADLK)
		world_blame("stop in on_signal returns %d", r);
	play->n_signals++;
	if (play->config.wait != VOLLEY_WAIT_BLOCK && world_pick(2) == 0)
		(void)play_listen(play, world_pick(N_LISTENERS));
	else if (world_pick(2) == 0)
		play_close(play, 1 + world_pick(N_LISTENERS - 1));
	if (world_pick(8) == 0)
		play_ask(play);
	bounds_leave(slot);
}

void play_post(struct volley_worker *worker, void *arg)
{
	struct post *post = arg;
	uint32_t slot = bounds_enter();

	timers_enter(worker);
	act_inside(post->play, worker);
	if (world_pick(2) == 0)
		play_send_by(post->play, worker);
	timers_use(worker, TIMERS_ANY);
	timers_leave(worker);
	post->n_done++;
	bounds_leave(slot);
}

/* Memory --------------------------------------------------------------------------------------- */

/* In front of what is not aligned to more: what deallocate has to be told again. */
static void *allocate(size_t n_bytes, size_t align_bytes, void *arg)
{
	struct play *play = arg;
	void *memory;

	if (align_bytes == 0 || (align_bytes & (align_bytes - 1)) != 0 || align_bytes > 4096 ||
	    n_bytes % align_bytes != 0)
		world_blame("%zu bytes shall be aligned to %zu", n_bytes, align_bytes);
	memory = aligned_alloc(align_bytes, n_bytes);
	if (memory != NULL)
		play->n_allocated += n_bytes;
	return memory;
}

static void deallocate(void *memory, size_t n_bytes, size_t align_bytes, void *arg)
{
	struct play *play = arg;

	(void)align_bytes;
	if (memory == NULL)
		world_blame("NULL is given back");
	play->n_allocated -= n_bytes;
	free(memory);
}

void play_fill_config(struct play *play)
{
	play->config.log = say;
	play->config.arg = play;
	play->config.on_batch_begin = on_hook;
	play->config.on_batch_end = on_hook;
}

void play_fill_hooks(struct play *play)
{
	static struct volley_allocator allocator;

	play->config.on_start = on_start;
	play->config.on_stop = on_stop;
	if (world_pick(4) == 0) {
		allocator = (struct volley_allocator){ allocate, deallocate, play };
		play->config.allocator = &allocator;
	}
	if (world_pick(2) == 0) {
		play->config.run_signals = VOLLEY_SIGNAL(SIGHUP);
		play->config.on_signal = on_signal;
	}
}

void play_fill_listen(struct play *play, struct volley_listen_config *config)
{
	config->on_batch = on_batch;
	config->arg = play;
	if (world_pick(2) == 0) {
		config->on_batch = NULL;
		config->on_packet = on_packet;
	}
	if ((config->flags & VOLLEY_LISTEN_REPORT_ERRORS) && world_pick(4) > 0)
		config->on_error = on_error;
}

/* SPDX-License-Identifier: MIT */

/* Wrong uses, each of which the headers say something of: what is returned, and that it is said. */

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "fault.h"
#include "lib/listeners.h"
#include "oracle.h"
#include "play.h"
#include "timers.h"

static void expect(const char *what, int64_t r, int64_t wanted)
{
	if (r != wanted && r != -ENOMEM && r != -EMFILE) /* which may run out at any time */
		world_blame("%s returns %lld, and not %lld", what, (long long)r, (long long)wanted);
}

static void expect_none(const char *what, bool is_none)
{
	if (!is_none)
		world_blame("%s of NULL gives something", what);
}

/* For two reasons: it is no descriptor of that kind, and this is a worker. */
static void expect_refused(const char *what, int r)
{
	if (r != -EDEADLK && r != -EBADF && (r >= 0 || fault_count() == 0))
		world_blame("%s on a worker returns %d", what, r);
}

/* With a sentence. */
#define EXPECT_SAID(call, wanted)                                         \
	do {                                                              \
		uint32_t n_said = play->n_said;                           \
		expect(#call, (call), (wanted));                          \
		if (play->n_said == n_said)                               \
			world_blame("%s: no sentence in the log", #call); \
	} while (0)

#define EXPECT_NULL(call) expect(#call, (call), -EINVAL)

/* It is refused on a worker, at once, whatever else is going on. */
void play_misuse_inside(struct play *play, struct volley_worker *worker)
{
	struct volley_server *server = volley_worker_get_server(worker);
	struct volley_listen_config config = *VOLLEY_LISTEN(.flags = 0);
	int fd = 0;

	play_fill_listen(play, &config);
	switch (world_pick(11)) {
	case 0:
		expect("stop", volley_server_stop(server), -EDEADLK);
		break;
	case 1:
		expect("drain", volley_server_drain(server), -EDEADLK);
		break;
	case 2:
		expect("close", volley_server_close(server), -EDEADLK);
		break;
	case 3:
		expect("listener_close", volley_listener_close(server, listener_at(server, 0)),
		       -EDEADLK);
		break;
	case 4:
		expect("listen", volley_server_listen(server, "10.0.1.1:7100", &config, NULL),
		       -EDEADLK);
		break;
	case 5:
		expect("free", volley_server_free(server), -EDEADLK);
		break;
	case 6:
		expect("adopt", volley_server_adopt(server, &fd, 1, &config, NULL), -EDEADLK);
		break;
	case 7:
		expect_refused("export", volley_server_export_fds(server, fd, 1000, NULL, 0));
		break;
	case 8:
		expect_refused("import", volley_server_import_fds(server, fd, 1000, NULL, NULL));
		break;
	case 9:
		expect_refused("commit", volley_server_import_commit(server, fd, 1000));
		break;
	default:
		expect("start", volley_server_start(server), -EALREADY);
		if (!play_has_own_loop(play))
			expect("run", volley_server_run(server), -EALREADY);
		if (play->config.wait == VOLLEY_WAIT_FD)
			expect("process", volley_server_process(server), -EDEADLK);
		break;
	}
}

void play_misuse_packet(struct volley_packet *packet)
{
	static uint8_t large[66000];
	struct volley_held held = { .id = 77 };
	struct volley_addr addr;
	size_t n = 77;

	expect("reply(NULL)", volley_packet_reply(NULL, "x", 1), -EINVAL);
	expect("hold(NULL)", volley_packet_hold(NULL, &held), -EINVAL);
	expect("hold(, NULL)", volley_packet_hold(packet, NULL), -EINVAL);
	expect_none("reply_buffer", volley_packet_reply_buffer(NULL, 10, &n) == NULL);
	expect_none("reply_buffer of 0 bytes", volley_packet_reply_buffer(packet, 0, &n) == NULL);
	expect_none("reply_buffer of too much",
		    volley_packet_reply_buffer(packet, 70000, &n) == NULL);
	if (held.id != 77)
		world_blame("a token is touched on failure");
	expect("destination(NULL)", volley_packet_get_destination(NULL, &addr), -EINVAL);
	expect("destination(, NULL)", volley_packet_get_destination(packet, NULL), -EINVAL);
	if (volley_packet_get_handler(NULL) > 0 || volley_packet_get_ttl(NULL) > 0 ||
	    volley_packet_get_tos(NULL) > 0 || volley_packet_get_interface(NULL) > 0 ||
	    volley_packet_get_timestamp(NULL) > 0)
		world_blame("no packet has something");
	/* These are counted. */
	oracle_end_refused(volley_packet_reply(packet, NULL, 1));
	oracle_end_refused(volley_packet_reply(packet, large, sizeof large));
}

static void misuse_nothing(void)
{
	struct volley_payload payload = { "x", 1 };
	struct volley_addr addr = { .len = 0 };
	struct volley_listener none = { 0 };
	struct volley_held held = { 0 };
	struct volley_stats stats = { .size = sizeof stats };
	struct volley_server *server = NULL;
	char text[VOLLEY_ADDR_TEXT_BYTES];
	int fd = 0;

	expect("listen(NULL)", volley_server_listen(NULL, ":1", NULL, NULL), -EINVAL);
	expect("adopt(NULL)", volley_server_adopt(NULL, &fd, 1, NULL, NULL), -EINVAL);
	expect("listener_close(NULL)", volley_listener_close(NULL, none), -EINVAL);
	expect("join(NULL)", volley_listener_join(NULL, none, NULL), -EINVAL);
	expect("leave(NULL)", volley_listener_leave(NULL, none, NULL), -EINVAL);
	expect("start(NULL)", volley_server_start(NULL), -EINVAL);
	expect("run(NULL)", volley_server_run(NULL), -EINVAL);
	expect("stop(NULL)", volley_server_stop(NULL), -EINVAL);
	expect("drain(NULL)", volley_server_drain(NULL), -EINVAL);
	expect("request_stop(NULL)", volley_server_request_stop(NULL), -EINVAL);
	expect("post(NULL)", volley_server_post(NULL, play_post, NULL), -EINVAL);
	expect("post_to(NULL)", volley_server_post_to(NULL, 0, play_post, NULL), -EINVAL);
	expect("free(NULL)", volley_server_free(NULL), 0);
	expect("close(NULL)", volley_server_close(NULL), -EINVAL);
	expect("get_n_workers(NULL)", volley_server_get_n_workers(NULL), 0);
	expect_none("get_io", volley_server_get_io(NULL) == NULL);
	expect("get_listeners(NULL)", volley_server_get_listeners(NULL, NULL, 0), -EINVAL);
	expect("listener_get_addr(NULL)", volley_listener_get_addr(NULL, none, &addr), -EINVAL);
	expect("listener_get_fd(NULL)", volley_listener_get_fd(NULL, none, 0), -EINVAL);
	expect_none("worker_get_index", volley_worker_get_index(NULL) == 0);
	expect_none("worker_get_server", volley_worker_get_server(NULL) == NULL);
	expect_none("worker_get_data", volley_worker_get_data(NULL) == NULL);
	volley_worker_set_data(NULL, text);
	expect_none("get_event_base", volley_worker_get_event_base(NULL) == NULL);
	expect("get_fd(NULL)", volley_server_get_fd(NULL), -EINVAL);
	if (volley_server_get_timeout_ns(NULL) > 0)
		world_blame("no server has a timeout");
	expect("process(NULL)", volley_server_process(NULL), -EINVAL);
	expect("get_stats(NULL)", volley_server_get_stats(NULL, &stats), -EINVAL);
	expect("get_worker_stats(NULL)", volley_server_get_worker_stats(NULL, 0, &stats), -EINVAL);
	expect("listener_get_stats(NULL)", volley_listener_get_stats(NULL, none, &stats), -EINVAL);
	expect("format_stats(NULL)", volley_server_format_stats(NULL, text, sizeof text), -EINVAL);
	expect("held_reply(NULL)", volley_held_reply(NULL, held, "x", 1), -EINVAL);
	expect("held_release(NULL)", volley_held_release(NULL, held), -EINVAL);
	expect("held_get_payload(NULL)", volley_held_get_payload(NULL, held, NULL, 0), -EINVAL);
	expect("send(NULL)", volley_server_send(NULL, none, &addr, "x", 1, NULL), -EINVAL);
	expect("set_timer(NULL)", volley_worker_set_timer(NULL, NULL, 0, 0), -EINVAL);
	volley_worker_clear_timer(NULL, NULL);
	expect("get_now_ns(NULL)", (int64_t)volley_worker_get_now_ns(NULL), 0);
	expect("worker_send(NULL)", volley_worker_send(NULL, none, &addr, "x", 1, NULL), -EINVAL);
	expect("send_many(NULL)", volley_worker_send_many(NULL, none, &addr, 1, &payload, NULL),
	       -EINVAL);
	expect_none("send_buffer", volley_worker_send_buffer(NULL, 1, NULL) == NULL);
	expect("get_tx_queued(NULL)", volley_worker_get_tx_queued(NULL, none), -EINVAL);
	expect("export(NULL)", volley_server_export_fds(NULL, fd, 1, NULL, 0), -EINVAL);
	expect("import(NULL)", volley_server_import_fds(NULL, fd, 1, NULL, NULL), -EINVAL);
	expect("commit(NULL)", volley_server_import_commit(NULL, fd, 1), -EINVAL);
	expect("count_sharers(NULL)", volley_server_count_sharers(NULL), -EINVAL);
	expect("carried(NULL)", volley_server_get_carried_stats(NULL, &stats), -EINVAL);
	expect("new(, NULL)", volley_server_new(NULL, NULL), -EINVAL);
	expect("parse(NULL)", volley_addr_parse(NULL, &addr), -EINVAL);
	expect("parse(, NULL)", volley_addr_parse("1.2.3.4:5", NULL), -EINVAL);
	expect_none("get_port", volley_addr_get_port(NULL) == 0);
	expect_none("is_equal", !volley_addr_is_equal(NULL, &addr));
	expect_none("is_multicast", !volley_addr_is_multicast(NULL));
	expect("unmap(NULL)", volley_addr_unmap(NULL, &addr), -EINVAL);
	if (volley_addr_format(NULL, text, sizeof text) >= 0 ||
	    volley_addr_format(&addr, text, sizeof text) >= 0)
		world_blame("nothing has an address");
	expect("activation(, NULL, 1)", volley_activation_get_fds(NULL, NULL, 1) > 0, 0);
	(void)server;
}

static void misuse_server(struct play *play)
{
	struct volley_server *server = play->server;
	struct volley_addr to = play->addrs[0];
	struct volley_listen_config config = *VOLLEY_LISTEN(.flags = 0);
	struct volley_stats stats = { .size = sizeof stats };
	struct volley_listener none = { 0 };
	struct volley_held held = { 0 };
	struct volley_group group = { .size = sizeof group };
	int fds[2] = { 200, 200 };

	EXPECT_SAID(volley_server_listen(server, "10.0.1.1:7100", &config, NULL), -EINVAL);
	play_fill_listen(play, &config);
	EXPECT_SAID(volley_server_listen(server, NULL, &config, NULL), -EINVAL);
	EXPECT_SAID(volley_server_listen(server, "10.0.1.1", &config, NULL), -EINVAL);
	EXPECT_SAID(volley_server_listen(server, "10.0.1.1:7100", NULL, NULL), -EINVAL);
	config.mtu_discover = 4;
	EXPECT_SAID(volley_server_listen(server, "10.0.1.1:7100", &config, NULL), -EINVAL);
	config.mtu_discover = 0;
	config.flags = 1u << 31;
	EXPECT_SAID(volley_server_listen(server, "10.0.1.1:7100", &config, NULL), -EINVAL);
	config.flags = 0;
	config.steer = VOLLEY_STEER_PROGRAM;
	EXPECT_SAID(volley_server_listen(server, "10.0.1.1:7100", &config, NULL), -EINVAL);
	config.steer = 0;
	config.spread = 2;
	EXPECT_SAID(volley_server_listen(server, "10.0.1.1:7100", &config, NULL), -EINVAL);
	config.spread = 0;
	EXPECT_SAID(volley_server_adopt(server, NULL, 1, &config, NULL), -EINVAL);
	EXPECT_SAID(volley_server_adopt(server, fds, 0, &config, NULL), -EINVAL);
	EXPECT_SAID(volley_server_adopt(server, fds, 1, &config, NULL), -EBADF);
	expect("listener_close of none", volley_listener_close(server, none), -ESTALE);
	expect("listener_get_fd of none", volley_listener_get_fd(server, none, 0), -ESTALE);
	EXPECT_SAID(volley_listener_join(server, none, NULL), -EINVAL);
	EXPECT_SAID(volley_listener_leave(server, none, &group), -EINVAL);
	volley_addr_parse("224.0.0.1:0", &group.group);
	expect("join of none", volley_listener_join(server, none, &group), -ESTALE);
	expect("leave of none", volley_listener_leave(server, none, &group), -ESTALE);
	group.interface = "nosuch";
	EXPECT_SAID(volley_listener_join(server, none, &group), -ENODEV);
	EXPECT_NULL(volley_listener_get_addr(server, play->handles[0], NULL));
	EXPECT_NULL(volley_listener_get_stats(server, play->handles[0], NULL));
	EXPECT_NULL(volley_server_get_listeners(server, NULL, 1));
	EXPECT_SAID(volley_server_post(server, NULL, NULL), -EINVAL);
	EXPECT_SAID(volley_server_post_to(server, 0, NULL, NULL), -EINVAL);
	EXPECT_SAID(volley_server_post_to(server, play->config.n_workers, play_post, NULL),
		    -EINVAL);
	EXPECT_NULL(volley_server_get_stats(server, NULL));
	EXPECT_NULL(volley_server_get_worker_stats(server, 0, NULL));
	expect("get_worker_stats(, 9999)", volley_server_get_worker_stats(server, 9999, &stats),
	       -EINVAL);
	EXPECT_NULL(volley_server_get_carried_stats(server, NULL));
	stats.size = 1;
	expect("get_stats of one byte", volley_server_get_stats(server, &stats), -EINVAL);
	EXPECT_SAID(volley_server_send(server, play->handles[0], NULL, "x", 1, NULL), -EINVAL);
	EXPECT_SAID(volley_server_send(server, play->handles[0], &to, NULL, 1, NULL), -EINVAL);
	EXPECT_NULL(volley_held_reply(server, held, NULL, 1));
	timers_misuse(play->worker, -EPERM);
	expect("commit", volley_server_import_commit(server, 3, 1000), -ENOTCONN);
	if (play->config.wait != VOLLEY_WAIT_FD) {
		expect("get_fd", volley_server_get_fd(server), -EINVAL);
		expect("process", volley_server_process(server), -EINVAL);
		expect("get_timeout_ns", volley_server_get_timeout_ns(server), -1);
	}
	if (play_has_own_loop(play))
		EXPECT_SAID(volley_server_run(server), -EINVAL);
}

/* A listener that comes and goes in the middle makes some of these say something else. */
void play_misuse(struct play *play)
{
	if (world_pick(3) == 0)
		misuse_nothing();
	else
		misuse_server(play);
}

/* Configs -------------------------------------------------------------------------------------- */

static void refuse_config(struct play *play, const struct volley_config *config, int wanted)
{
	struct volley_server *server = (void *)play;
	uint32_t n_said = play->n_said;
	int r = volley_server_new(config, &server);

	expect("new with a wrong config", r, wanted);
	if (server != (void *)play)
		world_blame("new touches ret_server on failure");
	if (wanted == -EINVAL && play->n_said == n_said)
		world_blame("new: no sentence in the log");
}

void play_misuse_config(struct play *play)
{
	static const struct {
		size_t offset;
		uint32_t value;
	} values[] = {
#define VALUE(field, value) { offsetof(struct volley_config, field), value }
		VALUE(n_workers, 1025),
		VALUE(n_batch, 1025),
		VALUE(n_budget, 1025),
		VALUE(max_datagram_bytes, 65536),
		VALUE(arena_bytes, 65535),
		VALUE(n_handlers, 257),
		VALUE(n_ring, 7),
		VALUE(n_ring, 9),
		VALUE(n_ring, 65536),
		VALUE(n_held, (1u << 20) + 1),
		VALUE(hold_us, 3600000001u),
		VALUE(wait, 4),
		VALUE(flags, 2),
		VALUE(n_batch, UINT32_MAX),
		VALUE(wait, UINT32_MAX),
		VALUE(n_workers, UINT32_MAX),
#undef VALUE
	};
	struct volley_config config = play->config;
	uint32_t i = world_pick(sizeof values / sizeof *values);
	struct {
		struct volley_config known;
		uint64_t later;
	} newer = { .known = play->config, .later = 1 };

	memcpy((char *)&config + values[i].offset, &values[i].value, sizeof values[i].value);
	refuse_config(play, &config, -EINVAL);
	config = play->config;
	config.io = "smoke signals";
	refuse_config(play, &config, -EINVAL);
	config = play->config;
	config.run_signals = VOLLEY_SIGNAL(SIGHUP);
	config.on_signal = NULL;
	refuse_config(play, &config, -EINVAL);
	config = play->config;
	config.allocator = &(const struct volley_allocator){ .arg = play };
	refuse_config(play, &config, -EINVAL);
	config = play->config;
	config.wait = VOLLEY_WAIT_FD;
	config.n_workers = 2;
	config.event_base = NULL;
	refuse_config(play, &config, -EINVAL);
	newer.known.size = sizeof newer;
	refuse_config(play, &newer.known, -E2BIG);
}

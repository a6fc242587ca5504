/* SPDX-License-Identifier: MIT */

/*
 * NULL where something has to be is -EINVAL at once, in every function, and a sentence in the log
 * where there is a server to have one; nothing of it crashes later in a worker. And a server that
 * cannot be made says why.
 */

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>

#include <volley/handover.h>
#include <volley/send.h>

#include "bounds.h"
#include "lib/listeners.h"

static struct volley_server *server;
static atomic_uint n_sentences;

static void on_log(enum volley_log_level level, const char *text, void *arg)
{
	size_t len = strlen(text);

	(void)level, (void)arg;
	CHECK(len > 20 && text[len - 1] != '\n');
	atomic_fetch_add(&n_sentences, 1);
}

/* In the callback: what a packet may be asked. */
static void on_packet(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	struct volley_held held;

	(void)arg;
	CHECK_EQ(volley_packet_reply(packet, NULL, 5), -EINVAL);
	CHECK_EQ(volley_packet_reply(packet, NULL, 100000), -EINVAL);
	CHECK_EQ(volley_packet_reply(packet, NULL, 0), 0);
	CHECK_EQ(volley_packet_hold(packet, NULL), -EINVAL);
	CHECK_EQ(volley_packet_hold(NULL, &held), -EINVAL);
	CHECK(volley_packet_reply_buffer(NULL, 5, NULL) == NULL);
	CHECK_EQ(volley_packet_reply(NULL, "x", 1), -EINVAL);
	CHECK_EQ(volley_packet_get_destination(NULL, NULL), -EINVAL);
	CHECK_EQ(volley_packet_get_destination(packet, NULL), -EINVAL);
	CHECK_EQ(volley_packet_get_handler(NULL), -EINVAL);
	CHECK_EQ(volley_packet_get_ttl(NULL), -EINVAL);
	CHECK_EQ(volley_packet_get_tos(NULL), -EINVAL);
	CHECK_EQ(volley_packet_get_interface(NULL), -EINVAL);
	CHECK_EQ(volley_packet_get_timestamp(NULL), -EINVAL);
	CHECK_EQ(volley_listener_get_stats(server, packet->listener, NULL), -EINVAL);
	volley_worker_set_data(NULL, NULL);
	CHECK_EQ(volley_worker_send(worker, listener_at(volley_worker_get_server(worker), 0), NULL,
				    "x", 1, NULL),
		 -EINVAL);
	CHECK_EQ(volley_worker_send(worker, listener_at(volley_worker_get_server(worker), 0),
				    packet->peer, NULL, 1, NULL),
		 -EINVAL);
	CHECK_EQ(volley_worker_send(NULL, packet->listener, packet->peer, "x", 1, NULL), -EINVAL);
	CHECK_EQ(volley_packet_hold(packet, &held), 0);
	CHECK_EQ(volley_held_reply(server, held, NULL, 5), -EINVAL);
	CHECK_EQ(volley_held_reply(server, held, NULL, 0), 0);
	atomic_fetch_add(&bounds_n_calls, 1);
}

static void without_server(void)
{
	const struct volley_listener none = { 0 };
	const struct volley_held held = { 0 };
	struct volley_stats stats = { .size = sizeof stats };
	struct volley_addr addr;
	char text[80];
	int fd = 0;

	CHECK_EQ(volley_server_new(NULL, NULL), -EINVAL);
	CHECK_EQ(volley_server_listen(NULL, "127.0.0.1:0", VOLLEY_LISTEN(.on_packet = on_packet),
				      NULL),
		 -EINVAL);
	CHECK_EQ(volley_server_adopt(NULL, &fd, 1, VOLLEY_LISTEN(.on_packet = on_packet), NULL),
		 -EINVAL);
	CHECK_EQ(volley_listener_close(NULL, listener_at(NULL, 0)), -EINVAL);
	CHECK_EQ(volley_server_start(NULL), -EINVAL);
	CHECK_EQ(volley_server_run(NULL), -EINVAL);
	CHECK_EQ(volley_server_stop(NULL), -EINVAL);
	CHECK_EQ(volley_server_drain(NULL), -EINVAL);
	CHECK_EQ(volley_server_request_stop(NULL), -EINVAL);
	CHECK_EQ(volley_server_close(NULL), -EINVAL);
	CHECK_EQ(volley_server_free(NULL), 0);
	CHECK_EQ(volley_server_get_fd(NULL), -EINVAL);
	CHECK_EQ(volley_server_process(NULL), -EINVAL);
	CHECK_EQ(volley_server_get_timeout_ns(NULL), -1);
	CHECK_EQ(volley_server_get_n_workers(NULL), 0);
	CHECK(volley_server_get_io(NULL) == NULL);
	CHECK_EQ(volley_server_get_listeners(NULL, NULL, 0), -EINVAL);
	CHECK_EQ(volley_listener_get_stats(NULL, none, &stats), -EINVAL);
	CHECK_EQ(volley_listener_get_fd(NULL, none, 0), -EINVAL);
	CHECK_EQ(volley_listener_get_addr(NULL, none, &addr), -EINVAL);
	CHECK_EQ(volley_worker_get_index(NULL), 0);
	CHECK(volley_worker_get_server(NULL) == NULL);
	CHECK(volley_worker_get_data(NULL) == NULL);
	CHECK(volley_worker_get_event_base(NULL) == NULL);
	CHECK_EQ(volley_cancel_request(NULL), -EINVAL);
	CHECK_EQ(volley_cancel_request_wait(NULL, 0), -EINVAL);
	CHECK(volley_cancel_ref(NULL) == NULL);
	volley_cancel_unref(NULL);
	CHECK_EQ(volley_server_get_stats(NULL, &stats), -EINVAL);
	CHECK_EQ(volley_server_get_worker_stats(NULL, 0, &stats), -EINVAL);
	CHECK_EQ(volley_server_get_carried_stats(NULL, &stats), -EINVAL);
	CHECK_EQ(volley_server_format_stats(NULL, text, sizeof text), -EINVAL);
	CHECK_EQ(volley_server_export_fds(NULL, 0, 1, NULL, 0), -EINVAL);
	CHECK_EQ(volley_server_import_fds(NULL, 0, 1, NULL, NULL), -EINVAL);
	CHECK_EQ(volley_server_import_commit(NULL, 0, 1), -EINVAL);
	CHECK_EQ(volley_server_count_sharers(NULL), -EINVAL);
	CHECK_EQ(volley_held_reply(NULL, held, "x", 1), -EINVAL);
	CHECK_EQ(volley_held_release(NULL, held), -EINVAL);
	CHECK_EQ(volley_held_get_payload(NULL, held, NULL, 0), -EINVAL);
	CHECK_EQ(volley_addr_parse(NULL, &addr), -EINVAL);
	CHECK_EQ(volley_addr_parse("127.0.0.1:1", NULL), -EINVAL);
	CHECK_EQ(volley_addr_format(NULL, text, sizeof text), -EINVAL);
	CHECK_EQ(volley_activation_get_fds(NULL, NULL, 1), -EINVAL);
}

/* Each is told. */
#define CHECK_TOLD(call)                                           \
	do {                                                       \
		unsigned int n_before = atomic_load(&n_sentences); \
                                                                   \
		CHECK_EQ(call, -EINVAL);                           \
		CHECK(atomic_load(&n_sentences) == n_before + 1);  \
	} while (0)

static void with_server(void)
{
	struct volley_addr addr;

	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .log = on_log), &server) == 0);
	CHECK_TOLD(volley_server_listen(server, NULL, VOLLEY_LISTEN(.on_packet = on_packet), NULL));
	CHECK_TOLD(volley_server_listen(server, "127.0.0.1:0", NULL, NULL));
	CHECK_TOLD(
		volley_server_adopt(server, NULL, 1, VOLLEY_LISTEN(.on_packet = on_packet), NULL));
	addr = bounds_listen(server, VOLLEY_LISTEN(.on_packet = on_packet), 1);
	REQUIRE(volley_server_start(server) == 0);
	CHECK_TOLD(volley_server_post(server, NULL, NULL));
	CHECK_TOLD(volley_server_send(server, listener_at(server, 0), NULL, "x", 1, NULL));
	CHECK_TOLD(volley_server_send(server, listener_at(server, 0), &addr, NULL, 1, NULL));
	CHECK_EQ(volley_server_get_stats(server, NULL), -EINVAL);
	CHECK_EQ(volley_server_get_worker_stats(server, 0, NULL), -EINVAL);
	CHECK_EQ(volley_server_get_carried_stats(server, NULL), -EINVAL);
	CHECK(volley_server_format_stats(server, NULL, 100) > 100);
	bounds_await_calls(1);
	CHECK_EQ(volley_server_free(server), 0);
}

/* With no descriptors left a server cannot be made, and says so. */
static void without_descriptors(void)
{
	struct rlimit limit;
	struct rlimit none;
	unsigned int n_before = atomic_load(&n_sentences);

	REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	none = (struct rlimit){ .rlim_cur = 3, .rlim_max = limit.rlim_max };
	REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
	CHECK_EQ(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .log = on_log), &server), -EMFILE);
	CHECK(atomic_load(&n_sentences) == n_before + 1);
	REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

int main(void)
{
	promise_begin(5);
	without_server();
	with_server();
	without_descriptors();
	return check_done();
}

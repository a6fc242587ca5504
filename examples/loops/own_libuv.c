/* SPDX-License-Identifier: MIT */

/*
 * A server in a libuv loop: a poll handle for its descriptor and a timer for its deadline, both of
 * which call the same function.
 *
 *	own_libuv [ADDRESS]
 */

#include <signal.h>

#include <uv.h>

#include "common.h"

struct own {
	struct volley_server *server;
	uv_poll_t readable;
	uv_timer_t deadline;
	uv_signal_t end[2];
};

static void close_all(struct own *own)
{
	uv_close((uv_handle_t *)&own->readable, NULL);
	uv_close((uv_handle_t *)&own->deadline, NULL);
	for (int i = 0; i < 2; i++)
		uv_close((uv_handle_t *)&own->end[i], NULL);
}

static void on_deadline(uv_timer_t *timer);

static void process(struct own *own)
{
	int64_t ns;

	if (volley_server_process(own->server) < 0) {
		close_all(own); /* somebody called volley_server_request_stop() */
		return;
	}
	ns = volley_server_get_timeout_ns(own->server);
	if (ns >= 0)
		uv_timer_start(&own->deadline, on_deadline, (uint64_t)(ns + 999999) / 1000000, 0);
}

static void on_deadline(uv_timer_t *timer)
{
	process(timer->data);
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
	process(handle->data);
	(void)status, (void)events;
}

static void on_signal(uv_signal_t *handle, int signo)
{
	close_all(handle->data);
	(void)signo;
}

int main(int argc, char **argv)
{
	static const int signals[2] = { SIGTERM, SIGINT };
	struct own own = { .server = common_open(argc, argv,
						 VOLLEY_CONFIG(.wait = VOLLEY_WAIT_FD)) };
	uv_loop_t *loop = uv_default_loop();
	int r;

	if (own.server == NULL)
		return 1;
	uv_timer_init(loop, &own.deadline);
	uv_poll_init(loop, &own.readable, volley_server_get_fd(own.server));
	own.deadline.data = &own;
	own.readable.data = &own;
	for (int i = 0; i < 2; i++) {
		uv_signal_init(loop, &own.end[i]);
		own.end[i].data = &own;
		uv_signal_start(&own.end[i], on_signal, signals[i]);
	}
	uv_poll_start(&own.readable, UV_READABLE, on_readable);
	r = volley_server_start(own.server);
	if (r >= 0)
		common_announce(own.server, "own_libuv");
	else
		close_all(&own);
	uv_run(loop, UV_RUN_DEFAULT); /* until every handle is closed */
	uv_loop_close(loop);
	volley_server_drain(own.server); /* what is queued is still replied to */
	return common_close(own.server) || r < 0;
}

/* SPDX-License-Identifier: MIT */
#include <volley/volley.h>

static void echo(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	for (size_t i = 0; i < n; i++)
		volley_packet_reply(&packets[i], packets[i].data, packets[i].len); /* no copy */
	(void)worker, (void)arg;
}

int main(void)
{
	struct volley_server *server = NULL;
	int r = volley_server_new(VOLLEY_CONFIG(.n_workers = 2, .log = volley_log_stderr), &server);

	if (r >= 0)
		r = volley_server_listen(server, "[::]:7777", VOLLEY_LISTEN(.on_batch = echo),
					 NULL);
	if (r >= 0)
		r = volley_server_run(server); /* until SIGTERM or SIGINT, then drains */
	volley_server_free(server);
	return r < 0;
}

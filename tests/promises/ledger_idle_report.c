/* SPDX-License-Identifier: MIT */

/*
 * A report of the network that comes to a server with nothing else to do is in the statistics at
 * once, not with the next datagram, which may never come.
 */

#include <netinet/in.h>
#include <semaphore.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <volley/volley.h>

#include "lib/listeners.h"
#include "promises/promise.h"

static sem_t told;

static void echo(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	(void)worker, (void)arg;
	for (size_t i = 0; i < n; i++)
		volley_packet_reply(&packets[i], packets[i].data, packets[i].len);
}

static void on_error(struct volley_worker *worker, const struct volley_addr *peer, int error,
		     void *arg)
{
	(void)worker, (void)peer, (void)error, (void)arg;
	sem_post(&told);
}

/* Send something and be gone before it is replied to. */
static void send_and_leave(const struct volley_addr *to)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	REQUIRE(fd >= 0 && sendto(fd, "hello", 5, 0, &to->sa, to->len) == 5);
	close(fd);
}

/* Whether the statistics have the one report within a second. */
static bool is_published(struct volley_server *server)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	struct volley_stats stats = { .size = sizeof stats };

	for (int i = 0; i < 1000; i++) {
		REQUIRE(volley_server_get_stats(server, &stats) == 0);
		if (stats.tx_reported == 1)
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

static void check(uint32_t wait)
{
	struct volley_server *server;

	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .wait = wait), &server) == 0);
	REQUIRE(volley_server_listen(server, "127.0.0.1:0",
				     VOLLEY_LISTEN(.on_batch = echo, .on_error = on_error,
						   .flags = VOLLEY_LISTEN_REPORT_ERRORS),
				     NULL) == 0);
	send_and_leave(LISTENER_ADDR(server, 0));
	REQUIRE(volley_server_start(server) == 0);
	sem_wait(&told);
	CHECK(is_published(server));
	CHECK(volley_server_stop(server) == 0);
	volley_server_free(server);
}

int main(void)
{
	promise_begin(8);
	sem_init(&told, 0, 0);
	check(VOLLEY_WAIT_EVENT);
	check(VOLLEY_WAIT_BLOCK);
	check(VOLLEY_WAIT_SPIN);
	return check_done();
}

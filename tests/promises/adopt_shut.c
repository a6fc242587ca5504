/* SPDX-License-Identifier: MIT */

/*
 * Whoever holds a socket can shut it down for reading, and then nobody can sleep there: it is
 * refused with a sentence, and no worker uses up a CPU.
 */

#include <string.h>
#include <sys/socket.h>

#include <volley/volley.h>

#include "promises/promise.h"

static char error[512];

static void on_log(enum volley_log_level level, const char *text, void *arg)
{
	(void)arg;
	if (level == VOLLEY_LOG_ERROR)
		snprintf(error, sizeof error, "%s", text);
}

static void ignore(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	(void)worker;
	(void)packet;
	(void)arg;
}

int main(void)
{
	struct volley_server *server;
	struct volley_addr addr;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	promise_begin(5);
	volley_addr_parse("127.0.0.1:0", &addr);
	REQUIRE(bind(fd, &addr.sa, addr.len) == 0);
	shutdown(fd, SHUT_RD); /* says ENOTCONN, and does it all the same */
	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .log = on_log), &server) >= 0);
	CHECK(volley_server_adopt(server, &fd, 1, VOLLEY_LISTEN(.on_packet = ignore), NULL) < 0);
	CHECK(strstr(error, "shut down") != NULL);
	CHECK_EQ(volley_server_free(server), 0);
	close(fd);
	return check_done();
}

/* SPDX-License-Identifier: MIT */

/*
 * on_socket, the user's part in the options of a listener's sockets: when it is called, for what,
 * whose options win, and what its refusal comes to.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/lifetime.h"

TestSuite(options, .init = count_fds, .fini = compare_fds, .timeout = 60);

enum { N_WORKERS = 3, PRIORITY = 5 };

struct seen {
	uint32_t n;
	uint32_t fail_at; /* the call that returns `error`, from 1 on */
	int error;
	int fds[N_WORKERS];
	pthread_t thread;
};

static int set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof value);
}

static int get(int fd, int level, int name)
{
	socklen_t n = sizeof(int);
	int value = -1;

	cr_assert_eq(getsockopt(fd, level, name, &value, &n), 0);
	return value;
}

static int see(int fd, uint32_t socket_index, void *arg)
{
	struct seen *seen = arg;
	struct sockaddr_in name = { .sin_port = 1 };
	socklen_t n = sizeof name;

	cr_assert_eq(socket_index, seen->n);
	cr_assert_lt(seen->n, N_WORKERS);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&name, &n), 0);
	cr_assert_eq(name.sin_port, 0, "it is not bound yet");
	cr_assert(pthread_equal(pthread_self(), seen->thread));
	seen->fds[seen->n++] = fd;
	if (seen->n == seen->fail_at)
		return seen->error;
	cr_assert_eq(set(fd, SOL_SOCKET, SO_PRIORITY, PRIORITY), 0);
	cr_assert_eq(set(fd, IPPROTO_IP, IP_MULTICAST_ALL, socket_index != 0), 0);
	cr_assert_eq(set(fd, SOL_SOCKET, SO_RCVBUF, 4096), 0);
	return 0;
}

static char first_log[512];

static void on_log(enum volley_log_level level, const char *text, void *arg)
{
	(void)level, (void)arg;
	if (first_log[0] == '\0')
		strncpy(first_log, text, sizeof first_log - 1);
}

static struct volley_server *new_server(void)
{
	struct volley_server *server;

	cr_assert_eq(
		volley_server_new(VOLLEY_CONFIG(.n_workers = N_WORKERS, .log = on_log), &server),
		0);
	return server;
}

static int listen_and_see(struct volley_server *server, struct seen *seen,
			  struct volley_listener *ret_listener)
{
	seen->thread = pthread_self();
	return volley_server_listen(
		server, "0.0.0.0:0",
		VOLLEY_LISTEN(.on_batch = peer_echo, .on_socket = see, .arg = seen), ret_listener);
}

Test(options, on_socket_comes_before_the_bind_and_ours_behind_it)
{
	struct volley_server *server = new_server();
	struct volley_listener listener;
	struct seen seen = { .n = 0 };

	cr_assert_eq(listen_and_see(server, &seen, &listener), 0);
	cr_assert_eq(seen.n, N_WORKERS);
	for (uint32_t i = 0; i < N_WORKERS; i++) {
		int fd = volley_listener_get_fd(server, listener, i);

		cr_assert_eq(fd, seen.fds[i]);
		cr_assert_eq(get(fd, SOL_SOCKET, SO_PRIORITY), PRIORITY);
		cr_assert_eq(get(fd, IPPROTO_IP, IP_MULTICAST_ALL), i < 2);
		cr_assert_gt(get(fd, SOL_SOCKET, SO_RCVBUF), 2 * 4096);
	}
	cr_assert_eq(start_and_ask(server), 0);
	cr_assert_eq(seen.n, N_WORKERS, "not at a start");
	cr_assert_eq(volley_server_free(server), 0);
}

/* Also by the error that a system gives which takes SO_REUSEPORT before a bind only. */
Test(options, on_socket_may_refuse)
{
	static const int errors[] = { -EPERM, -EADDRINUSE, -ENOMEM, -1000 };

	for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
		for (uint32_t at = 1; at <= N_WORKERS; at++) {
			struct volley_server *server = new_server();
			struct volley_listener listener = { .id = 7 };
			struct seen seen = { .fail_at = at, .error = errors[i] };
			int n_fds = loopback_n_fds();

			first_log[0] = '\0';
			cr_assert_eq(listen_and_see(server, &seen, &listener), errors[i]);
			cr_assert_eq(seen.n, at);
			cr_assert_eq(listener.id, 7);
			cr_assert_eq(loopback_n_fds(), n_fds);
			cr_assert_not_null(strstr(first_log, "on_socket"), "%s", first_log);
			seen = (struct seen){ .error = 1, .fail_at = 1 };
			cr_assert_eq(listen_and_see(server, &seen, &listener), 0);
			cr_assert_eq(seen.n, N_WORKERS, "1 is no error");
			cr_assert_eq(volley_server_free(server), 0);
		}
	}
}

Test(options, on_socket_is_not_for_sockets_that_others_made)
{
	struct volley_server *server = new_server();
	struct seen seen = { .fail_at = 1, .error = -EPERM };
	int fd = loopback_open("127.0.0.1:0", NULL);

	cr_assert_eq(volley_server_adopt(
			     server, &fd, 1,
			     VOLLEY_LISTEN(.on_batch = peer_echo, .on_socket = see, .arg = &seen),
			     NULL),
		     1);
	cr_assert_eq(seen.n, 0);
	cr_assert_eq(volley_server_free(server), 0);
}

/* Many listeners ------------------------------------------------------------------------------ */

static uint32_t n_told;

static void count_told(enum volley_log_level level, const char *text, void *arg)
{
	(void)level, (void)arg;
	n_told += strstr(text, "65th listener") != NULL;
}

static void ignore(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	(void)worker, (void)packet, (void)arg;
}

static int listen_and_get_rcvbuf(struct volley_server *server, uint32_t rcvbuf_bytes)
{
	struct volley_listener listener;

	cr_assert_eq(volley_server_listen(server, "127.0.0.1:0",
					  VOLLEY_LISTEN(.on_packet = ignore,
							.flags = VOLLEY_LISTEN_ONE_SOCKET,
							.rcvbuf_bytes = rcvbuf_bytes),
					  &listener),
		     0);
	return get(volley_listener_get_fd(server, listener, 0), SOL_SOCKET, SO_RCVBUF);
}

Test(options, from_the_65th_listener_on_the_receive_buffer_is_the_systems)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	int systems = get(fd, SOL_SOCKET, SO_RCVBUF);
	struct volley_server *server;
	int larger;

	cr_assert_eq(volley_server_new(VOLLEY_CONFIG(.n_workers = 2, .log = count_told), &server),
		     0);
	larger = listen_and_get_rcvbuf(server, 0);
	for (int i = 1; i < 64; i++)
		cr_assert_eq(listen_and_get_rcvbuf(server, 0), larger);
	cr_assert_eq(n_told, 0);
	if (larger == systems)
		cr_log_info("net.core.rmem_max gives nothing more here");
	for (int i = 0; i < 3; i++)
		cr_assert_eq(listen_and_get_rcvbuf(server, 0), systems);
	cr_assert_eq(n_told, 1);
	cr_assert_eq(listen_and_get_rcvbuf(server, 50000), 100000, "which was asked for");
	cr_assert_eq(volley_server_free(server), 0);
	close(fd);
}

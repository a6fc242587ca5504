/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_CONFINED_H
#define TESTS_LIB_CONFINED_H

/*
 * A server in a child that may not make one system call or set one socket option. Its client is in
 * the parent, which may.
 *
 * What it has to be: a server that replies, idles and ends, or none, with an error in the log that
 * names what was refused.
 */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include <volley/volley.h>

#include "lib/check.h"
#include "lib/filter.h"

enum confined_end {
	CONFINED_WORKS = 0,
	CONFINED_NAMED,  /* no server, and the log says the name */
	CONFINED_SILENT, /* no server, and nobody knows why */
	CONFINED_DEAF,   /* a server that does not reply */
	CONFINED_BUSY,   /* one that uses the CPU while nothing comes */
	CONFINED_DEAD,   /* a signal, or an exit that main() did not make */
	CONFINED_NO_FILTER,
};

static const char *const confined_names[] = {
	"works",
	"is not there and said why",
	"is not there and did not say why",
	"does not reply",
	"does not idle",
	"took the process with it or hung",
	"cannot be tried: no filter of system calls",
};

struct confined_shared {
	atomic_int state; /* 0; 1: serves; -1: there is none */
	atomic_bool stop;
	atomic_bool is_named;
	atomic_int n_warnings; /* that name it */
	atomic_int idle_us;    /* CPU time in 100 ms of nothing */
	char name[64];
};

static struct confined_shared *confined_shared;

static void confined_log(enum volley_log_level level, const char *text, void *arg)
{
	(void)arg;
	if (strstr(text, confined_shared->name) == NULL)
		return;
	if (level == VOLLEY_LOG_ERROR)
		confined_shared->is_named = true;
	else
		confined_shared->n_warnings++;
}

static void confined_echo(struct volley_worker *worker, struct volley_packet *packets, size_t n,
			  void *arg)
{
	(void)worker;
	(void)arg;
	for (size_t i = 0; i < n; i++)
		volley_packet_reply(&packets[i], packets[i].data, packets[i].len);
}

static inline void confined_sleep_ms(int ms)
{
	struct timespec time = { .tv_nsec = (long)ms * 1000000 };

	nanosleep(&time, NULL);
}

static inline int confined_get_cpu_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (int)(now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

/* The child. It asks the kernel for little, for any of it may be refused. */
static inline void confined_run(const struct volley_config *config,
				const struct volley_listen_config *listen, const char *address)
{
	struct volley_server *server = NULL;
	int r = volley_server_new(config, &server);
	int begin_us;

	if (r >= 0)
		r = volley_server_listen(server, address, listen, NULL);
	if (r >= 0)
		r = volley_server_start(server);
	confined_shared->state = r >= 0 ? 1 : -1;
	while (r >= 0 && config->wait == VOLLEY_WAIT_FD && !confined_shared->stop) {
		struct pollfd fd = { .fd = volley_server_get_fd(server), .events = POLLIN };

		poll(&fd, 1, 5);
		volley_server_process(server);
	}
	while (r >= 0 && !confined_shared->stop)
		confined_sleep_ms(1);
	if (r >= 0 && config->wait != VOLLEY_WAIT_FD) {
		begin_us = confined_get_cpu_us();
		confined_sleep_ms(100);
		confined_shared->idle_us = confined_get_cpu_us() - begin_us;
	}
	if (r >= 0)
		volley_server_drain(server);
	volley_server_free(server);
}

/* Send until a reply comes: a second, or as long as there is a server to come. */
static inline bool confined_ask(const struct volley_addr *addr)
{
	int fd = socket(addr->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool is_replied = false;
	char byte = 'x';

	for (int i = 0; i < 100 && !is_replied && confined_shared->state >= 0; i++) {
		struct pollfd pollfd = { .fd = fd, .events = POLLIN };

		sendto(fd, &byte, 1, 0, &addr->sa, addr->len);
		is_replied = poll(&pollfd, 1, 10) == 1 && recv(fd, &byte, 1, MSG_DONTWAIT) == 1;
	}
	close(fd);
	return is_replied;
}

/* What becomes of a server (config.log is set here) on `address` under this rule. */
static inline enum confined_end confined_try(const struct filter_rule *rule, int error,
					     struct volley_config config,
					     const struct volley_listen_config *listen,
					     const char *address)
{
	struct volley_addr addr;
	bool is_replied;
	int status = 0;
	pid_t pid;

	if (confined_shared == NULL)
		confined_shared = mmap(NULL, sizeof *confined_shared, PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memset(confined_shared, 0, sizeof *confined_shared);
	snprintf(confined_shared->name, sizeof confined_shared->name, "%s", rule->name);
	REQUIRE(volley_addr_parse(address, &addr) == 0);
	config.log = confined_log;
	pid = fork();
	if (pid == 0) {
		alarm(5);
		signal(SIGALRM, SIG_DFL);
		if (!filter_refuse(rule, error))
			_exit(CONFINED_NO_FILTER);
		confined_run(&config, listen, address);
		_exit(42);
	}
	REQUIRE(pid > 0);
	is_replied = confined_ask(&addr);
	confined_shared->stop = true;
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == CONFINED_NO_FILTER)
		return CONFINED_NO_FILTER;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 42)
		return CONFINED_DEAD;
	if (confined_shared->state < 0)
		return confined_shared->is_named ? CONFINED_NAMED : CONFINED_SILENT;
	if (!is_replied)
		return CONFINED_DEAF;
	return confined_shared->idle_us > 50000 ? CONFINED_BUSY : CONFINED_WORKS;
}

#endif

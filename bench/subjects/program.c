/* SPDX-License-Identifier: MIT */

/*
 * An executed server program. It says `NAME: ready on ADDRESS:PORT (...)` on stderr and, asked by
 * `--stats -`, prints one JSON object at its end. Both are the documented interface of volley-echo.
 */

#include "program.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/clock.h"

#define N_OUTPUT 65536

static _Noreturn void execute(const struct bench_server_config *config, int out, int err)
{
	char listen[32], workers[16], batch[16];
	uint32_t a = config->address;
	sigset_t none;

	snprintf(listen, sizeof listen, "%u.%u.%u.%u:%u", a >> 24, (a >> 16) & 255, (a >> 8) & 255,
		 a & 255, config->port);
	snprintf(workers, sizeof workers, "%u", config->n_workers);
	snprintf(batch, sizeof batch, "%u", config->n_batch);
	if (config->cpus.n)
		bench_cpus_set(&config->cpus);
	if (bench_path_enter_server(config->path) < 0)
		_exit(127);
	/* Ctrl-C is for us; we end the program in our own time. */
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	execl(config->subject->program, config->subject->program, "--listen", listen, "--workers",
	      workers, "--batch", batch, "--stats", "-", (char *)NULL);
	_exit(127);
}

/* Read until the text holds a whole line with `mark`, or 5 s are over. */
static const char *await_text(int fd, char *text, size_t n_text, const char *mark)
{
	uint64_t end = bench_now_ns() + UINT64_C(5000000000);
	size_t n = 0;

	while (n + 1 < n_text && bench_now_ns() < end) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		const char *at;
		ssize_t r;

		if (poll(&pfd, 1, 100) != 1)
			continue;
		r = read(fd, text + n, n_text - 1 - n);
		if (r <= 0)
			return NULL;
		n += (size_t)r;
		text[n] = '\0';
		at = strstr(text, mark);
		if (at != NULL && strchr(at, '\n') != NULL)
			return at + strlen(mark);
	}
	return NULL;
}

int bench_program_start(const struct bench_server_config *config, struct bench_server *server,
			const char **ret_why)
{
	char text[1024] = "";
	const char *at;
	int out[2], err[2];

	if (access(config->subject->program, X_OK) < 0) {
		*ret_why = "there is no such program";
		return -errno;
	}
	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0)
		return -errno;
	server->pid = fork();
	if (server->pid == 0) {
		close(out[0]);
		close(err[0]);
		execute(config, out[1], err[1]);
	}
	close(out[1]);
	close(err[1]);
	server->output = out[0];
	server->control = err[0];
	if (server->pid < 0)
		return -errno;
	at = await_text(err[0], text, sizeof text, "ready on ");
	at = at != NULL ? strchr(at, ':') : NULL;
	if (at == NULL) {
		*ret_why = "the program did not say that it is ready";
		return -EPROTO;
	}
	server->addr = (struct sockaddr_in){ .sin_family = AF_INET,
					     .sin_addr.s_addr = htonl(config->address),
					     .sin_port = htons(
						     (uint16_t)strtoul(at + 1, NULL, 10)) };
	return 0;
}

static uint64_t get_count(const json_t *stats, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(stats, name));
}

/* 0 or -EPROTO. */
static int read_stats(const char *text, struct bench_counters *ret_counters)
{
	json_t *stats = json_loads(text, 0, NULL);

	if (stats == NULL)
		return -EPROTO;
	*ret_counters = (struct bench_counters){
		.n_datagrams = get_count(stats, "rx_datagrams"),
		.n_recv_calls = get_count(stats, "rx_syscalls"),
		.n_send_calls = get_count(stats, "tx_syscalls"),
	};
	json_decref(stats);
	return 0;
}

void bench_program_stop(struct bench_server *server, struct bench_counters *ret_counters)
{
	char *text = calloc(1, N_OUTPUT);
	size_t n = 0;
	ssize_t r;

	kill(server->pid, SIGTERM);
	while (text != NULL && n + 1 < N_OUTPUT) {
		struct pollfd pfd = { .fd = server->output, .events = POLLIN };

		if (poll(&pfd, 1, 3000) != 1)
			break;
		r = read(server->output, text + n, N_OUTPUT - 1 - n);
		if (r <= 0)
			break;
		n += (size_t)r;
	}
	kill(server->pid, SIGKILL); /* it has ended, or hangs */
	if (text != NULL && ret_counters != NULL && read_stats(text, ret_counters) < 0)
		fprintf(stderr, "volley-bench: the program's statistics are no JSON object\n");
	free(text);
}

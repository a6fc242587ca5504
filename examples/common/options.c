/* SPDX-License-Identifier: MIT */

/*
 * What the example servers have in common: the command line, the "ready" lines, SIGUSR1 and the
 * statistics file. Only public headers, so it can be copied into a server of one's own.
 */

#include "options.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "start.h"

const char options_help[] =
	"  --listen ADDR:PORT    serve this address: 127.0.0.1:53, [::1]:53, [::]:53 (IPv6\n"
	"                        and IPv4), :53 (the same, or IPv4 where that is all there\n"
	"                        is); port 0 picks one; may be repeated\n"
	"  --listen fd:N         serve descriptor N, a bound UDP socket that was inherited\n"
	"  --listen systemd      serve the sockets of the service manager (LISTEN_FDS), or\n"
	"  --listen systemd:NAME those with this name\n"
	"  --workers N           worker threads, 1 to 1024 (default: one per CPU)\n"
	"  --handlers N          handler threads per worker, 0 to 256 (default: 0, the worker\n"
	"                        runs the callback itself)\n"
	"  --io NAME             I/O backend: auto, mmsg (batched system calls), msg\n"
	"                        (portable)\n"
	"  --batch N             datagrams per receive call, 1 to 1024 (default: 64)\n"
	"  --wait HOW            event (epoll, default), block (in recvmmsg, one --listen\n"
	"                        only) or spin (never sleep)\n"
	"  --no-coalesce         take and send every datagram as a message of its own (no GRO\n"
	"                        and GSO)\n"
	"  --pin                 pin each worker to a CPU\n"
	"  --rcvbuf BYTES        socket receive buffer (default: 4 MiB or what the system\n"
	"                        allows)\n"
	"  --sndbuf BYTES        socket send buffer (the same default)\n"
	"  --max-datagram BYTES  largest datagram to take, 1 to 65535 (default: 65535)\n"
	"  --stats FILE          write the ledger as JSON at exit and on SIGUSR1; - is stdout\n"
	"  --version, --help\n";

/*
 * The first signal that volley_server_run() takes is one that we send to ourselves: then the
 * workers run, and nothing that serving needs is missing. Nobody else means anything by it, and by
 * default it is ignored.
 */
enum { READY_SIGNAL = SIGWINCH };

static void log_to_stderr(enum volley_log_level level, const char *text, void *arg)
{
	static const char *const names[] = { "error", "warning", "info" };
	const struct options *options = arg;

	if (options->is_quiet && level == VOLLEY_LOG_ERROR)
		return;
	fprintf(stderr, "%s: %s: %s\n", options->program, names[level], text);
}

void options_init(struct options *options, const char *program)
{
	start_program();
	log_open();
	memset(options, 0, sizeof *options);
	options->program = program;
	volley_config_init(&options->config, sizeof options->config);
	options->config.log = log_to_stderr;
	options->config.arg = options;
}

int options_number(const struct options *options, const char *name, const char *value,
		   unsigned long min, unsigned long max, uint32_t *ret_value)
{
	char *end;
	unsigned long number;

	errno = 0;
	number = strtoul(value, &end, 10);
	if (errno != 0 || *value < '0' || *value > '9' || *end != '\0' || number < min ||
	    number > max) {
		fprintf(stderr, "%s: --%s takes a number from %lu to %lu, not \"%s\"\n",
			options->program, name, min, max, value);
		return EXIT_USAGE;
	}
	*ret_value = (uint32_t)number;
	return EXIT_OK;
}

/* "fd:N": a descriptor. */
static bool is_fd(const char *value, int *ret_fd)
{
	char *end;
	long fd;

	if (strncmp(value, "fd:", 3) != 0 || value[3] < '0' || value[3] > '9')
		return false;
	fd = strtol(value + 3, &end, 10);
	*ret_fd = (int)fd;
	return *end == '\0' && fd <= 65535;
}

/* "systemd", "systemd:NAME"; the name is NULL without one. */
static bool is_systemd(const char *value, const char **ret_name)
{
	if (strncmp(value, "systemd", 7) != 0 || (value[7] != '\0' && value[7] != ':'))
		return false;
	*ret_name = value[7] == ':' ? value + 8 : NULL;
	return true;
}

static int take_listen(struct options *options, const char *value)
{
	struct volley_addr addr;
	const char *name;
	int fd;

	if (options->n_listen == OPTIONS_MAX_LISTEN) {
		fprintf(stderr, "%s: more than %d times --listen\n", options->program,
			OPTIONS_MAX_LISTEN);
		return EXIT_USAGE;
	}
	if (!is_fd(value, &fd) && !is_systemd(value, &name) &&
	    volley_addr_parse(value, &addr) < 0) {
		fprintf(stderr,
			"%s: --listen takes an address and a port, as in 127.0.0.1:7777 or "
			"[::1]:7777, or fd:N, or systemd, not \"%s\"\n",
			options->program, value);
		return EXIT_USAGE;
	}
	options->listen[options->n_listen++] = value;
	return EXIT_OK;
}

static int take_wait(struct options *options, const char *value)
{
	static const char *const names[] = { [VOLLEY_WAIT_EVENT] = "event",
					     [VOLLEY_WAIT_BLOCK] = "block",
					     [VOLLEY_WAIT_SPIN] = "spin" };

	for (uint32_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (strcmp(names[i], value) == 0) {
			options->config.wait = i;
			return EXIT_OK;
		}
	}
	fprintf(stderr, "%s: --wait takes event, block or spin, not \"%s\"\n", options->program,
		value);
	return EXIT_USAGE;
}

static int take_io(struct options *options, const char *value)
{
	static const char *const names[] = { "auto", "mmsg", "msg" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (strcmp(names[i], value) == 0) {
			options->config.io = value;
			return EXIT_OK;
		}
	}
	fprintf(stderr, "%s: no I/O backend is called \"%s\"; use auto, mmsg or msg\n",
		options->program, value);
	return EXIT_USAGE;
}

int options_take(struct options *options, int option, const char *value)
{
	struct volley_config *config = &options->config;

	switch (option) {
	case OPTION_LISTEN:
		return take_listen(options, value);
	case OPTION_WORKERS:
		return options_number(options, "workers", value, 1, 1024, &config->n_workers);
	case OPTION_IO:
		return take_io(options, value);
	case OPTION_BATCH:
		return options_number(options, "batch", value, 1, 1024, &config->n_batch);
	case OPTION_WAIT:
		return take_wait(options, value);
	case OPTION_PIN:
		config->flags |= VOLLEY_SERVER_PIN;
		return EXIT_OK;
	case OPTION_RCVBUF:
		return options_number(options, "rcvbuf", value, 1, 1ul << 30,
				      &config->rcvbuf_bytes);
	case OPTION_SNDBUF:
		return options_number(options, "sndbuf", value, 1, 1ul << 30,
				      &config->sndbuf_bytes);
	case OPTION_MAX_DATAGRAM:
		return options_number(options, "max-datagram", value, 1, 65535,
				      &config->max_datagram_bytes);
	case OPTION_STATS:
		options->stats = value;
		return EXIT_OK;
	case OPTION_VERSION:
		printf("%s (volley %s)\n", options->program, volley_version());
		exit(EXIT_OK);
	case OPTION_NO_COALESCE:
		options->listen_flags |= VOLLEY_LISTEN_NO_COALESCE;
		return EXIT_OK;
	case OPTION_HANDLERS:
		return options_number(options, "handlers", value, 0, 256, &config->n_handlers);
	default:
		return EXIT_USAGE; /* getopt_long() has said why */
	}
}

/* The ledger's object with the program's own names before its last brace. */
static int put_stats(struct options *options, const char *ledger, FILE *file)
{
	char own[OPTIONS_OWN_STATS_BYTES];
	const char *end = strrchr(ledger, '}');

	if (options->format_own_stats == NULL || end == NULL)
		return fputs(ledger, file);
	options->format_own_stats(options, own, sizeof own);
	return fprintf(file, "%.*s,%s%s", (int)(end - ledger), ledger, own, end);
}

static int write_stats(struct options *options, struct volley_server *server)
{
	int len = volley_server_format_stats(server, NULL, 0);
	size_t size = len < 0 ? 1 : (size_t)len + 64; /* counters may grow meanwhile */
	bool is_stdout = strcmp(options->stats, "-") == 0;
	char *text = malloc(size);
	FILE *file = is_stdout ? stdout : fopen(options->stats, "w");
	int r = -ENOMEM;

	if (text != NULL && len >= 0)
		r = volley_server_format_stats(server, text, size);
	if (file == NULL)
		r = -errno;
	if (r >= 0 && text != NULL && (put_stats(options, text, file) < 0 || fflush(file) != 0))
		r = -errno;
	if (file != NULL && !is_stdout)
		fclose(file);
	free(text);
	if (r < 0)
		fprintf(stderr, "%s: cannot write the statistics to %s: %s\n", options->program,
			options->stats, strerror(-r));
	return r < 0 ? EXIT_RUNTIME : EXIT_OK;
}

/* The service manager keeps a copy of them and wants them back. */
static int listen_systemd(const struct options *options, struct volley_server *server,
			  const char *name, const struct volley_listen_config *config)
{
	struct volley_listen_config listener = *config;
	int fds[OPTIONS_MAX_SOCKETS];
	int n = volley_activation_get_fds(name, fds, sizeof fds / sizeof fds[0]);

	if (n <= 0 || n > (int)(sizeof fds / sizeof fds[0])) {
		fprintf(stderr, "%s: the service manager gave no%s sockets%s%s (LISTEN_FDS)\n",
			options->program, n == 0 ? "" : " usable", name != NULL ? " called " : "",
			name != NULL ? name : "");
		return n < 0 ? n : -ENOENT;
	}
	listener.flags |= VOLLEY_LISTEN_KEEP_SOCKETS;
	return volley_server_adopt(server, fds, (uint32_t)n, &listener, NULL);
}

static int listen_one(const struct options *options, struct volley_server *server,
		      const char *value, const struct volley_listen_config *config)
{
	const char *name;
	int fd;

	if (is_fd(value, &fd))
		return volley_server_adopt(server, &fd, 1, config, NULL);
	if (is_systemd(value, &name))
		return listen_systemd(options, server, name, config);
	return volley_server_listen(server, value, config, NULL);
}

/* What is tried again is no error yet; the last try says what is wrong. */
static int listen_patiently(struct options *options, struct volley_server *server,
			    const char *value, const struct volley_listen_config *config)
{
	struct volley_addr addr;
	int r = -EADDRINUSE;

	if (options->on_busy == NULL || volley_addr_parse(value, &addr) < 0)
		return listen_one(options, server, value, config);
	options->is_quiet = true;
	do
		r = listen_one(options, server, value, config);
	while (r == -EADDRINUSE && options->on_busy(options));
	options->is_quiet = false;
	return r < 0 ? listen_one(options, server, value, config) : r;
}

static int listen_all(struct options *options, struct volley_server *server,
		      const struct volley_listen_config *config)
{
	struct volley_listen_config listener = *config;

	listener.flags |= options->listen_flags;
	for (unsigned int i = 0; i < options->n_listen; i++) {
		int r = listen_patiently(options, server, options->listen[i], &listener);

		if (r < 0)
			return r;
	}
	return 0;
}

static void say_ready(const struct options *options, struct volley_server *server)
{
	struct volley_listener listeners[OPTIONS_MAX_SOCKETS];
	int n = volley_server_get_listeners(server, listeners, OPTIONS_MAX_SOCKETS);
	char text[VOLLEY_ADDR_TEXT_BYTES];
	struct volley_addr addr;

	for (int i = 0; i < n && i < OPTIONS_MAX_SOCKETS; i++) {
		volley_listener_get_addr(server, listeners[i], &addr);
		volley_addr_format(&addr, text, sizeof text);
		fprintf(stderr, "%s: ready on %s (%u workers, %s)\n", options->program, text,
			volley_server_get_n_workers(server), volley_server_get_io(server));
	}
}

/* The workers run. */
static void on_ready(struct options *options, struct volley_server *server)
{
	int r = 0;

	if (options->is_ready || options->ready_error < 0)
		return;
	if (options->on_ready != NULL)
		r = options->on_ready(options, server);
	options->ready_error = r;
	options->is_ready = r >= 0;
	if (r >= 0)
		say_ready(options, server);
	else /* what it has taken meanwhile is served all the same */
		volley_server_request_stop(server);
}

static void on_signal(struct volley_server *server, int signo, void *arg)
{
	struct options *options = arg;

	if (signo == READY_SIGNAL)
		on_ready(options, server);
	else if (options->own_signals & VOLLEY_SIGNAL(signo))
		options->on_own_signal(options, signo);
	else if (options->stats != NULL)
		write_stats(options, server);
}

/* So that no signal ends us before volley_server_run() takes them. */
static void block_signals(uint64_t own)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGUSR1);
	sigaddset(&mask, READY_SIGNAL);
	for (int signo = 1; signo < 64; signo++)
		if (own & VOLLEY_SIGNAL(signo))
			sigaddset(&mask, signo);
	pthread_sigmask(SIG_BLOCK, &mask, NULL);
}

/* A signal to this thread comes before those to the process, SIGTERM among them. */
static int run(struct options *options, struct volley_server *server)
{
	int r;

	raise(READY_SIGNAL);
	r = volley_server_run(server);
	return r < 0 ? r : options->ready_error;
}

int options_serve(struct options *options, const struct volley_listen_config *listener)
{
	struct volley_server *server = NULL;
	int code = EXIT_OK;
	int r;

	block_signals(options->own_signals);
	options->config.run_signals = VOLLEY_SIGNAL(SIGUSR1) | VOLLEY_SIGNAL(READY_SIGNAL) |
				      options->own_signals;
	options->config.on_signal = on_signal;
	r = volley_server_new(&options->config, &server);
	if (r >= 0 && options->on_new != NULL)
		r = options->on_new(options, server);
	if (r >= 0)
		r = listen_all(options, server, listener);
	if (r >= 0)
		r = run(options, server);
	if (r >= 0) {
		if (options->on_served != NULL)
			options->on_served(options);
		volley_server_close(server);
		if (options->on_closed != NULL)
			options->on_closed(options);
		if (options->stats != NULL)
			code = write_stats(options, server);
	} else if (server != NULL) {
		volley_server_drain(server); /* what was queued in new sockets */
	}
	volley_server_free(server);
	if (r < 0) {
		fprintf(stderr, "%s: stopped: %s\n", options->program, strerror(-r));
		code = EXIT_RUNTIME;
	}
	return code;
}

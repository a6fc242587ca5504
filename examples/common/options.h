/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_COMMON_OPTIONS_H
#define EXAMPLES_COMMON_OPTIONS_H

/* The command line that the example servers share, and what they do with it. */

#include <getopt.h>
#include <stdbool.h>

#include <volley/volley.h>

enum { OPTIONS_MAX_LISTEN = 64, OPTIONS_MAX_SOCKETS = 1024, OPTIONS_OWN_STATS_BYTES = 2048 };

/* Exit codes. */
enum { EXIT_OK = 0, EXIT_RUNTIME = 1, EXIT_USAGE = 2 };

struct options {
	const char *program;
	const char *listen[OPTIONS_MAX_LISTEN];
	unsigned int n_listen;
	struct volley_config config;
	uint32_t listen_flags; /* VOLLEY_LISTEN_*, for every listener */
	const char *stats;     /* file, "-" for stdout, or NULL */
	/*
	 * A program's own, all optional. `own_signals` (VOLLEY_SIGNAL()) go to on_own_signal, on
	 * the thread that called options_serve(); so do the hooks around the time in which it
	 * serves: on_new before it listens, on_ready when it serves and before it says so (a
	 * negative errno ends it), on_served, and on_closed, when its ports are free. on_busy is
	 * asked when an address is somebody else's, and returns whether to try again.
	 * format_own_stats writes like snprintf() what the statistics get beside the ledger:
	 * `"name": value`, or several.
	 */
	uint64_t own_signals;
	void (*on_own_signal)(struct options *options, int signo);
	int (*on_new)(struct options *options, struct volley_server *server);
	bool (*on_busy)(struct options *options);
	int (*on_ready)(struct options *options, struct volley_server *server);
	void (*on_served)(struct options *options);
	void (*on_closed)(struct options *options);
	int (*format_own_stats)(struct options *options, char *text, size_t n_text);
	struct replace *replace; /* replace_serve() keeps it, and has the hooks */
	/* What options_serve() keeps. */
	bool is_quiet;   /* errors are not logged: it will be tried again */
	bool is_ready;   /* it was said */
	int ready_error; /* of on_ready */
};

/* Values of `val` for getopt_long(); a program's own options start at OPTION_OWN. */
enum {
	OPTION_LISTEN = 256,
	OPTION_WORKERS,
	OPTION_HANDLERS,
	OPTION_IO,
	OPTION_BATCH,
	OPTION_WAIT,
	OPTION_NO_COALESCE,
	OPTION_PIN,
	OPTION_RCVBUF,
	OPTION_SNDBUF,
	OPTION_MAX_DATAGRAM,
	OPTION_STATS,
	OPTION_VERSION,
	OPTION_OWN
};

/* clang-format off */
#define OPTIONS_COMMON                                                                             \
	{ "listen", required_argument, NULL, OPTION_LISTEN },                                      \
	{ "workers", required_argument, NULL, OPTION_WORKERS },                                    \
	{ "handlers", required_argument, NULL, OPTION_HANDLERS },                                  \
	{ "io", required_argument, NULL, OPTION_IO },                                              \
	{ "batch", required_argument, NULL, OPTION_BATCH },                                        \
	{ "wait", required_argument, NULL, OPTION_WAIT },                                          \
	{ "no-coalesce", no_argument, NULL, OPTION_NO_COALESCE },                                  \
	{ "pin", no_argument, NULL, OPTION_PIN },                                                  \
	{ "rcvbuf", required_argument, NULL, OPTION_RCVBUF },                                      \
	{ "sndbuf", required_argument, NULL, OPTION_SNDBUF },                                      \
	{ "max-datagram", required_argument, NULL, OPTION_MAX_DATAGRAM },                          \
	{ "stats", required_argument, NULL, OPTION_STATS },                                        \
	{ "version", no_argument, NULL, OPTION_VERSION },                                          \
	{ "help", no_argument, NULL, 'h' }
/* clang-format on */

/* The help text of the options above. */
extern const char options_help[];

/* Defaults, what start.h and log.h say; the config's log hook writes to stderr. First in main(). */
void options_init(struct options *options, const char *program);

/*
 * Take one option. EXIT_OK, or EXIT_USAGE after a sentence on stderr. --version prints and exits.
 */
int options_take(struct options *options, int option, const char *value);

/* Read a number of an option, min to max. */
int options_number(const struct options *options, const char *name, const char *value,
		   unsigned long min, unsigned long max, uint32_t *ret_value);

/*
 * Listen on every address with `listener`, serve, say "ready" for each on stderr, run until a
 * signal ends it, and write the statistics. Frees the server. Returns an exit code.
 */
int options_serve(struct options *options, const struct volley_listen_config *listener);

#endif

/* SPDX-License-Identifier: MIT */

/*
 * statsd: a sink for statistics. It takes lines, several in a datagram where the client likes, and
 * prints what they come to every few seconds, as graphite reads it: NAME VALUE TIME.
 *
 *     NAME:VALUE|c[|@RATE]   a counter: VALUE more, or VALUE / RATE where clients send only some
 *     NAME:VALUE|ms[|@RATE]  a timer: how many, smallest, largest, mean, and two percentiles
 *     NAME:[+|-]VALUE|g      a gauge: set, or changed where there is a sign; kept over flushes
 *     NAME:TEXT|s            a set: how many different texts
 *
 * logger(1) may be the client: of a line that begins as syslog's do, with a <, the last word
 * counts. What is not understood is counted under the name of what is wrong with it.
 *
 * Each worker has a table of its own and shares nothing while it takes lines. For a flush a sum
 * goes round: each worker adds its table and posts the sum to the next, so one thread has it at a
 * time, without a lock. The last one prints, and sets the timer. What is left at the end is for
 * main().
 *
 *     timer -> add own table -> post -> add own table -> post -> ... -> print -> timer
 *
 * Gauges are set and changed in the order in which the kernel took the lines, whatever the worker.
 * Lines that come while the sum is on its way may be in this flush or in the next, and are in one;
 * so in that moment two workers' changes of a gauge may be taken in another order. A slow reader of
 * stdout holds up the worker that prints, for as long as its buffers do not help.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/options.h"
#include "table.h"

enum { MAX_WORKERS = 1024, OPTION_FLUSH = OPTION_OWN };

struct program {
	struct options options; /* first: the hooks get it */
	struct table tables[MAX_WORKERS];
	/* The sum, of the thread that has it, as all that follows. */
	struct table total;
	uint32_t n_added; /* workers whose tables are in it */
	uint64_t interval_ns, next_ns;
	struct volley_timer timer;
	bool has_failed;
};

static const char usage[] =
	"Usage: statsd --listen ADDR:PORT [options]\n"
	"\n"
	"Take statistics by UDP, and print what they come to every few seconds.\n"
	"\n"
	"  --listen ADDR:PORT    take them here: 127.0.0.1:8125, [::]:8125 (IPv6 and IPv4); may\n"
	"                        be repeated\n"
	"  --flush SECONDS       print that often, 1 to 86400 (default: 10)\n"
	"  --workers N           worker threads, 1 to 1024 (default: one per CPU)\n"
	"  --rcvbuf BYTES        socket receive buffer (default: 4 MiB or what the system allows)\n"
	"  --stats FILE          write the ledger as JSON at exit and on SIGUSR1\n"
	"  --version, --help\n"
	"\n"
	"A line is NAME:VALUE|c[|@RATE], NAME:VALUE|ms[|@RATE], NAME:[+|-]VALUE|g, or\n"
	"NAME:TEXT|s. SIGTERM and SIGINT take what is queued, print it, and exit; a second one\n"
	"stops at once. Exit codes: 0 ok, 1 run-time error, 2 usage.\n";

static void on_batch(struct volley_worker *worker, struct volley_packet *packets, size_t n,
		     void *arg)
{
	struct table *table = volley_worker_get_data(worker);

	for (size_t i = 0; i < n; i++)
		table_take(table, (const char *)packets[i].data, packets[i].len,
			   volley_packet_get_timestamp(&packets[i]));
	(void)arg;
}

/* A sink that cannot print any more ends, and says why. */
static bool flush(struct program *program)
{
	table_flush(&program->total, stdout);
	if (fflush(stdout) == 0 && !ferror(stdout))
		return true;
	if (!program->has_failed)
		fprintf(stderr, "statsd: cannot write to stdout: %s\n", strerror(errno));
	program->has_failed = true;
	return false;
}

/* The sum is here. */
static void collect(struct volley_worker *worker, void *arg)
{
	struct volley_server *server = volley_worker_get_server(worker);
	uint32_t n_workers = volley_server_get_n_workers(server);
	uint32_t next = (volley_worker_get_index(worker) + 1) % n_workers;
	struct program *program = arg;
	uint64_t now_ns;
	int r = -ENOENT;

	table_move(&program->total, volley_worker_get_data(worker));
	if (++program->n_added < n_workers)
		r = volley_server_post_to(server, next, collect, program);
	if (r == 0 || r == -ESHUTDOWN)
		return; /* the next worker goes on, or main() at the end */
	/* All of them, or for lack of memory some: the others have theirs in the next flush. */
	program->n_added = 0;
	if (!flush(program))
		volley_server_request_stop(server);
	now_ns = volley_worker_get_now_ns(worker);
	volley_worker_set_timer(worker, &program->timer,
				program->next_ns > now_ns ? program->next_ns - now_ns : 0, 0);
}

/* By its own time, so that flushes do not come later and later; those that were missed are left. */
static void on_timer(struct volley_worker *worker, struct volley_timer *timer, void *arg)
{
	struct program *program = arg;
	uint64_t late_ns = volley_worker_get_now_ns(worker) - program->next_ns;

	program->next_ns += late_ns - late_ns % program->interval_ns + program->interval_ns;
	collect(worker, program);
	(void)timer;
}

static int on_start(struct volley_worker *worker, void *arg)
{
	struct program *program = arg;
	uint32_t index = volley_worker_get_index(worker);

	volley_worker_set_data(worker, &program->tables[index]);
	if (index > 0)
		return 0;
	program->timer = (struct volley_timer){ .fn = on_timer, .arg = program };
	program->next_ns = volley_worker_get_now_ns(worker) + program->interval_ns;
	return volley_worker_set_timer(worker, &program->timer, program->interval_ns, 0);
}

/* No worker is left, and what was queued at the signal has been taken. */
static void on_served(struct options *options)
{
	struct program *program = (struct program *)options;

	for (uint32_t i = 0; i < MAX_WORKERS; i++)
		table_move(&program->total, &program->tables[i]);
	flush(program);
}

static int take_options(struct program *program, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "flush", required_argument, NULL, OPTION_FLUSH },
		{ "listen", required_argument, NULL, OPTION_LISTEN },
		{ "workers", required_argument, NULL, OPTION_WORKERS },
		{ "rcvbuf", required_argument, NULL, OPTION_RCVBUF },
		{ "stats", required_argument, NULL, OPTION_STATS },
		{ "version", no_argument, NULL, OPTION_VERSION },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	uint32_t seconds = 10;
	int option, code = EXIT_OK;

	while (code == EXIT_OK && (option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			exit(EXIT_OK);
		}
		code = option == OPTION_FLUSH ? options_number(&program->options, "flush", optarg,
							       1, 86400, &seconds)
					      : options_take(&program->options, option, optarg);
	}
	program->interval_ns = seconds * UINT64_C(1000000000);
	if (code == EXIT_OK && (optind < argc || program->options.n_listen == 0)) {
		fprintf(stderr, "statsd: %s; see statsd --help\n",
			optind < argc ? "options only, no arguments" : "--listen is missing");
		code = EXIT_USAGE;
	}
	return code;
}

int main(int argc, char **argv)
{
	static struct program program;
	struct options *options = &program.options;
	int code;

	options_init(options, "statsd");
	options->config.on_start = on_start;
	options->on_served = on_served;
	code = take_options(&program, argc, argv);
	if (code == EXIT_OK)
		code = options_serve(options, VOLLEY_LISTEN(.on_batch = on_batch,
							    .flags = VOLLEY_LISTEN_WANT_TIMESTAMP));
	return code == EXIT_OK && program.has_failed ? EXIT_RUNTIME : code;
}

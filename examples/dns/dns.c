/* SPDX-License-Identifier: MIT */

/*
 * volley-dns: an authoritative DNS server.
 *
 *     dns.c            command line, life
 *     reload.c         zones: load, reload, hand over           stats.c
 *     serve.c tcp.c    a volley of UDP; TCP on its own thread   rrl.c tcp_listen.c
 *     query.c answer.c a request, its answer                    cookie.c siphash.c
 *     catalog.c zone.c the zones, one zone                      name.c
 *     zone_file.c zone_build.c zone_encode.c zone_data.c        at load only
 */

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "program.h"
#include "zone_file.h"

enum {
	OPTION_ZONE = OPTION_OWN,
	OPTION_CHECK,
	OPTION_ID,
	OPTION_VERSION_TEXT,
	OPTION_COOKIE_SECRET,
	OPTION_RRL,
	OPTION_RRL_SLIP,
	OPTION_NO_TCP,
	OPTION_TCP_CONNECTIONS,
	OPTION_TCP_PER_CLIENT,
	OPTION_TCP_IDLE,
};

static const char usage[] =
	"Usage: volley-dns --listen ADDR:PORT --zone ORIGIN=FILE [--zone ...] [options]\n"
	"\n"
	"Serve DNS zones, authoritatively, over UDP and TCP.\n"
	"\n"
	"  --zone ORIGIN=FILE    a zone and its master file; may be repeated\n"
	"  --check               only load the zones; exit 1 when one is broken\n"
	"  --id TEXT             what NSID and id.server give (default: nothing)\n"
	"  --version-text TEXT   what version.bind gives (default: nothing)\n"
	"  --cookie-secret HEX   16 bytes, the same on servers that share an address\n"
	"                        (default: random, a new one each day)\n"
	"  --rrl N               at most N alike UDP answers a second for a client network and\n"
	"                        worker (default: no limit)\n"
	"  --rrl-slip N          send every Nth answer over the limit truncated, 0 for none\n"
	"                        (default: 2)\n"
	"  --no-tcp              UDP only\n"
	"  --tcp-connections N   at most N at a time (default: 1024)\n"
	"  --tcp-per-client N    at most N of one address, or of one /64 of IPv6 (default: 64)\n"
	"  --tcp-idle SECONDS    time to send a query and to take its answer (default: 10)\n";

static const char usage_end[] =
	"\n"
	"SIGHUP loads the zones again, SIGUSR1 writes the statistics. SIGTERM and SIGINT\n"
	"answer what is queued and exit; a second one stops at once. Exit codes: 0 ok,\n"
	"1 run-time error, 2 usage.\n";

/* Command line --------------------------------------------------------------------------------- */

static int take_zone(struct dns_program *program, char *value)
{
	char *equals = strchr(value, '=');
	struct dns_zone_config *zones;
	struct dns_zone_config *zone;

	if (equals == NULL || equals[1] == '\0') {
		fprintf(stderr, "volley-dns: --zone takes ORIGIN=FILE, not \"%s\"\n", value);
		return EXIT_USAGE;
	}
	*equals = '\0';
	zones = reallocarray(program->zones, program->n_zones + 1, sizeof *zones);
	if (zones == NULL)
		return EXIT_RUNTIME;
	program->zones = zones;
	zone = &zones[program->n_zones];
	zone->origin = value;
	zone->path = equals + 1;
	if (dns_zone_file_name(value, zone->apex) < 0) {
		fprintf(stderr, "volley-dns: \"%s\" is no domain name\n", value);
		return EXIT_USAGE;
	}
	for (size_t i = 0; i < dns_name_measure(zone->apex, DNS_NAME_MAX); i++)
		zone->apex[i] = dns_name_lower(zone->apex[i]);
	for (uint32_t i = 0; i < program->n_zones; i++) {
		size_t n = dns_name_measure(zone->apex, DNS_NAME_MAX);

		if (memcmp(zones[i].apex, zone->apex, n) == 0) {
			fprintf(stderr, "volley-dns: zone %s is given twice\n", value);
			return EXIT_USAGE;
		}
	}
	program->n_zones++;
	return EXIT_OK;
}

static int take_text(const char *name, const char *value, const char **ret_text)
{
	if (*value == '\0' || strlen(value) > DNS_MAX_ID) {
		fprintf(stderr, "volley-dns: --%s takes 1 to %d characters\n", name, DNS_MAX_ID);
		return EXIT_USAGE;
	}
	*ret_text = value;
	return EXIT_OK;
}

static int take_secret(struct dns_cookies *cookies, const char *value)
{
	bool good = strlen(value) == 2 * SIPHASH_KEY_BYTES &&
		    strspn(value, "0123456789abcdefABCDEF") == 2 * SIPHASH_KEY_BYTES;

	for (size_t i = 0; good && i < SIPHASH_KEY_BYTES; i++) {
		char digits[3] = { value[2 * i], value[2 * i + 1], '\0' };

		cookies->master[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
	cookies->is_fixed = good;
	if (!good)
		fprintf(stderr, "volley-dns: --cookie-secret takes 32 hexadecimal digits\n");
	return good ? EXIT_OK : EXIT_USAGE;
}

static int take_option(struct dns_program *program, int option, char *value)
{
	const struct options *options = &program->options;

	switch (option) {
	case OPTION_ZONE:
		return take_zone(program, value);
	case OPTION_ID:
		return take_text("id", value, &program->responder.id);
	case OPTION_VERSION_TEXT:
		return take_text("version-text", value, &program->responder.version);
	case OPTION_COOKIE_SECRET:
		return take_secret(&program->responder.cookies, value);
	case OPTION_RRL:
		return options_number(options, "rrl", value, 1, 1000000, &program->rrl_rate);
	case OPTION_RRL_SLIP:
		return options_number(options, "rrl-slip", value, 0, 1000, &program->rrl_slip);
	case OPTION_NO_TCP:
		program->no_tcp = true;
		return EXIT_OK;
	case OPTION_TCP_CONNECTIONS:
		return options_number(options, "tcp-connections", value, 1, 100000,
				      &program->tcp_config.n_connections);
	case OPTION_TCP_PER_CLIENT:
		return options_number(options, "tcp-per-client", value, 1, 100000,
				      &program->tcp_config.n_per_client);
	case OPTION_TCP_IDLE:
		return options_number(options, "tcp-idle", value, 1, 3600,
				      &program->tcp_config.idle_seconds);
	case OPTION_HANDLERS:
		/* Zones are swapped between a worker's volleys; handlers would go on. */
		fprintf(stderr, "volley-dns: --handlers is not for this server: an answer takes "
				"less than handing the query over would\n");
		return EXIT_USAGE;
	default:
		return options_take(&program->options, option, value);
	}
}

/* Life ----------------------------------------------------------------------------------------- */

static int on_start(struct volley_worker *worker, void *arg)
{
	struct dns_program *program = arg;
	uint32_t index = volley_worker_get_index(worker);
	struct dns_worker *w = program->workers[index];

	if (w == NULL)
		w = calloc(1, sizeof *w); /* here, so that it lies near the worker's CPU */
	if (w == NULL)
		return -ENOMEM;
	program->workers[index] = w;
	w->responder = program->responder;
	w->catalog = program->catalog;
	dns_answer_set_catalog(&w->responder, w->catalog);
	dns_catalog_ref(w->catalog, 1);
	if (program->rrl_rate > 0) {
		w->rrl = dns_rrl_new(program->rrl_rate, program->rrl_slip,
				     program->responder.cookies.master);
		if (w->rrl == NULL)
			return -ENOMEM;
	}
	volley_worker_set_data(worker, w);
	return 0;
}

/* A service manager can give several listeners for one --listen. Returns how many there are. */
static int get_addrs(struct volley_server *server, struct volley_addr *ret_addrs)
{
	struct volley_listener listeners[OPTIONS_MAX_SOCKETS];
	int n = volley_server_get_listeners(server, listeners, OPTIONS_MAX_SOCKETS);

	if (n > OPTIONS_MAX_SOCKETS)
		n = OPTIONS_MAX_SOCKETS;
	for (int i = 0; i < n; i++)
		volley_listener_get_addr(server, listeners[i], &ret_addrs[i]);
	return n;
}

/* Whether another listener has IPv4 on the port of this one, which is [::] then. */
static bool shares_port(const struct volley_addr *addr, const struct volley_addr *addrs, int n)
{
	for (int i = 0; i < n; i++)
		if (addr->sa.sa_family == AF_INET6 && addrs[i].sa.sa_family == AF_INET &&
		    addr->in6.sin6_port == addrs[i].in.sin_port)
			return true;
	return false;
}

/* Where UDP is served, TCP is too, on sockets of our own. */
static int listen_tcp(struct dns_program *program)
{
	struct volley_addr addrs[OPTIONS_MAX_SOCKETS];
	int n = get_addrs(program->server, addrs);

	for (int i = 0; i < n; i++) {
		char text[VOLLEY_ADDR_TEXT_BYTES];
		int r = dns_tcp_listen(program->tcp, &addrs[i], shares_port(&addrs[i], addrs, n));

		if (r < 0) {
			volley_addr_format(&addrs[i], text, sizeof text);
			fprintf(stderr, "volley-dns: error: TCP on %s: %s\n", text, strerror(-r));
			return r;
		}
	}
	return 0;
}

/*
 * Descriptors for as many connections as were asked for, as far as the hard limit allows; else for
 * fewer. Each worker has a socket of each listener and a few more; zone files and the like are
 * opened one at a time.
 */
static int reserve_descriptors(struct dns_program *program)
{
	enum { FOR_ALL = 64, FOR_WORKER = 8 };
	uint32_t *n_connections = &program->tcp_config.n_connections;
	int n_listeners = volley_server_get_listeners(program->server, NULL, 0);
	rlim_t others = FOR_ALL + (rlim_t)program->n_workers * ((rlim_t)n_listeners + FOR_WORKER);
	rlim_t need = others + *n_connections;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	if (limit.rlim_cur >= need)
		return 0;
	limit.rlim_cur = limit.rlim_max < need ? limit.rlim_max : need;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	if (limit.rlim_cur >= need)
		return 0;
	*n_connections = limit.rlim_cur > others ? (uint32_t)(limit.rlim_cur - others) : 1;
	fprintf(stderr,
		"volley-dns: warning: the limit of open files, %llu, is enough for %u TCP "
		"connections; raise it (ulimit -Hn, LimitNOFILE=) or lower --tcp-connections\n",
		(unsigned long long)limit.rlim_cur, *n_connections);
	return 0;
}

static int on_ready(struct options *options, struct volley_server *server)
{
	struct dns_program *program = (struct dns_program *)options;
	int r;

	program->server = server;
	if (program->no_tcp)
		return 0;
	r = reserve_descriptors(program);
	if (r < 0)
		return r;
	r = dns_tcp_new(&program->tcp_config, &program->responder, &program->tcp);
	if (r >= 0)
		r = listen_tcp(program);
	if (r >= 0) {
		dns_catalog_ref(program->catalog, 1);
		dns_tcp_set_catalog(program->tcp, program->catalog);
		r = dns_tcp_start(program->tcp);
	}
	return r;
}

static void on_hangup(struct options *options, int signo)
{
	(void)signo;
	dns_reload_request((struct dns_program *)options);
}

static void on_served(struct options *options)
{
	struct dns_program *program = (struct dns_program *)options;

	dns_reload_finish(program);
	if (program->tcp != NULL)
		dns_tcp_stop(program->tcp);
}

static void init(struct dns_program *program)
{
	uint8_t seed[SIPHASH_KEY_BYTES + sizeof program->key];
	struct options *options = &program->options;

	memset(program, 0, sizeof *program);
	options_init(options, "volley-dns");
	options->config.on_start = on_start;
	options->listen_flags = VOLLEY_LISTEN_GROUP_BY_SIZE; /* a client knows answers by ID */
	options->own_signals = VOLLEY_SIGNAL(SIGHUP);
	options->on_own_signal = on_hangup;
	options->on_ready = on_ready;
	options->on_served = on_served;
	options->format_own_stats = dns_stats_format;
	program->rrl_slip = 2;
	program->tcp_config = (struct dns_tcp_config){ 1024, 64, 10 };
	pthread_mutex_init(&program->lock, NULL);
	if (getrandom(seed, sizeof seed, 0) != (ssize_t)sizeof seed)
		abort(); /* cannot fail for so few bytes, getrandom(2) */
	memcpy(program->responder.cookies.master, seed, SIPHASH_KEY_BYTES);
	memcpy(&program->key, seed + SIPHASH_KEY_BYTES, sizeof program->key);
	program->key.k[1] |= 1; /* a factor of even numbers would lose bits */
	program->responder.key = program->key;
}

static void fini(struct dns_program *program)
{
	for (uint32_t i = 0; i < program->n_workers; i++) {
		struct dns_worker *w = program->workers[i];

		if (w == NULL)
			continue;
		dns_catalog_unref(w->catalog);
		dns_rrl_free(w->rrl);
		free(w);
	}
	dns_tcp_free(program->tcp);
	dns_catalog_unref(program->catalog);
	pthread_mutex_destroy(&program->lock);
	free(program->workers);
	free(program->zones);
}

static int serve(struct dns_program *program)
{
	struct volley_listen_config listener;

	volley_listen_config_init(&listener, sizeof listener);
	listener.on_batch = dns_serve;
	listener.arg = program;
	program->workers = calloc(program->n_workers, sizeof(struct dns_worker *));
	if (program->workers == NULL)
		return EXIT_RUNTIME;
	return options_serve(&program->options, &listener);
}

/* Without --workers the library asks the affinity mask: do the same, to know how many. */
static uint32_t count_workers(const struct options *options)
{
	cpu_set_t cpus;

	if (options->config.n_workers > 0)
		return options->config.n_workers;
	if (sched_getaffinity(0, sizeof cpus, &cpus) < 0)
		return 1;
	return (uint32_t)CPU_COUNT(&cpus);
}

static int run(struct dns_program *program, bool check)
{
	uint32_t n_broken = 0;

	if (program->n_zones == 0 || (program->options.n_listen == 0 && !check)) {
		fprintf(stderr, "volley-dns: %s is missing; see volley-dns --help\n",
			program->n_zones == 0 ? "--zone" : "--listen");
		return EXIT_USAGE;
	}
	program->catalog = dns_reload_load(program, NULL, &n_broken);
	if (program->catalog == NULL)
		return EXIT_RUNTIME;
	program->n_refused = n_broken;
	if (check)
		return n_broken > 0 ? EXIT_RUNTIME : EXIT_OK;
	if (n_broken == program->n_zones) {
		fprintf(stderr, "volley-dns: error: no zone is left to serve\n");
		return EXIT_RUNTIME;
	}
	program->n_workers = count_workers(&program->options);
	program->options.config.n_workers = program->n_workers;
	return serve(program);
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		OPTIONS_COMMON,
		{ "zone", required_argument, NULL, OPTION_ZONE },
		{ "check", no_argument, NULL, OPTION_CHECK },
		{ "id", required_argument, NULL, OPTION_ID },
		{ "version-text", required_argument, NULL, OPTION_VERSION_TEXT },
		{ "cookie-secret", required_argument, NULL, OPTION_COOKIE_SECRET },
		{ "rrl", required_argument, NULL, OPTION_RRL },
		{ "rrl-slip", required_argument, NULL, OPTION_RRL_SLIP },
		{ "no-tcp", no_argument, NULL, OPTION_NO_TCP },
		{ "tcp-connections", required_argument, NULL, OPTION_TCP_CONNECTIONS },
		{ "tcp-per-client", required_argument, NULL, OPTION_TCP_PER_CLIENT },
		{ "tcp-idle", required_argument, NULL, OPTION_TCP_IDLE },
		{ NULL, 0, NULL, 0 },
	};
	struct dns_program program;
	int code = EXIT_OK;
	bool check = false;
	int option;

	init(&program);
	while (code == EXIT_OK && (option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (option == 'h') {
			printf("%s%s%s", usage, options_help, usage_end);
			fini(&program);
			return EXIT_OK;
		}
		if (option == OPTION_CHECK)
			check = true;
		else
			code = take_option(&program, option, optarg);
	}
	if (code == EXIT_OK && optind < argc) {
		fprintf(stderr, "volley-dns: options only, no arguments\n");
		code = EXIT_USAGE;
	}
	if (code == EXIT_OK)
		code = run(&program, check);
	fini(&program);
	return code;
}

/* SPDX-License-Identifier: MIT */

/*
 * Every name that the ledger has for a datagram that did not arrive is one that something raises:
 * each has a row in the tables at the end, with traffic that makes it rise and no other that does.
 * A name without a row fails this program, and so does a row whose name stays at 0.
 */

#include <dlfcn.h>
#include <errno.h>
#include <semaphore.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>

#include "bounds.h"
#include "lib/listeners.h"

static struct volley_server *server;
static struct volley_addr addr;
static sem_t may_return;
static atomic_bool hides_sources;

/* What the library calls by number; the kernel's own datagrams all come from somewhere. */
__attribute__((visibility("default"))) long syscall(long nr, ...)
{
	static long (*next)(long, long, long, long, long, long, long);
	long a[6];
	va_list args;
	long r;

	va_start(args, nr);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (next == NULL)
		*(void **)&next = dlsym(RTLD_NEXT, "syscall");
	r = next(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	for (long i = 0; nr == SYS_recvmmsg && atomic_load(&hides_sources) && i < r; i++)
		((struct mmsghdr *)a[1])[i].msg_hdr.msg_namelen = 0;
	return r;
}

/* Building blocks ------------------------------------------------------------------------------ */

static void on_packet(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	(void)worker, (void)packet, (void)arg;
	atomic_fetch_add(&bounds_n_calls, 1);
}

static void on_packet_wait(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	on_packet(worker, packet, arg);
	sem_wait(&may_return);
}

static void open_at(const char *text, const struct volley_config *config, volley_packet_fn fn)
{
	int r;

	atomic_store(&bounds_n_calls, 0);
	sem_init(&may_return, 0, 0);
	REQUIRE(volley_server_new(config, &server) == 0);
	r = volley_server_listen(server, text,
				 VOLLEY_LISTEN(.on_packet = fn, .flags = VOLLEY_LISTEN_NO_COALESCE),
				 NULL);
	REQUIRE(r == 0);
	addr = listener_addr(server, 0);
	REQUIRE(volley_server_start(server) == 0);
}

static void open_one(void)
{
	open_at("0.0.0.0:0", VOLLEY_CONFIG(.n_workers = 1), on_packet);
}

/* n datagrams to the server. */
static void ask(unsigned int n, size_t len)
{
	static const char payload[60000];
	struct sockaddr_in to = addr.in;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (unsigned int i = 0; i < n; i++)
		REQUIRE(sendto(fd, payload, len, 0, (struct sockaddr *)&to, sizeof to) > 0);
	close(fd);
}

/* The server sends one datagram that is no reply. */
static int send_to(const char *text, size_t len)
{
	static const char payload[65528];
	struct volley_addr peer;

	REQUIRE(volley_addr_parse(text, &peer) == 0);
	return volley_server_send(server, listener_at(server, 0), &peer, payload, len, NULL);
}

static void send_far(const char *text)
{
	open_one();
	CHECK_EQ(send_to(text, 100), 0);
}

/* Out ------------------------------------------------------------------------------------------ */

static void raise_eperm(void)
{
	CHECK(namespace_run("nft add table ip t && "
			    "nft 'add chain ip t c { type filter hook output priority 0; }' && "
			    "nft add rule ip t c udp dport 99 drop"));
	send_far("127.0.0.1:99");
}

static void raise_emsgsize(void)
{
	open_one();
	CHECK_EQ(send_to("127.0.0.1:9", 65528), -EMSGSIZE);
}

static void raise_enetunreach(void)
{
	send_far("192.0.2.1:9");
}

static void raise_ehostunreach(void)
{
	CHECK(namespace_run("ip route add unreachable 198.51.100.1"));
	send_far("198.51.100.1:9");
}

static void raise_eacces(void)
{
	CHECK(namespace_run("ip route add prohibit 198.51.100.2"));
	send_far("198.51.100.2:9");
}

static void raise_einval(void)
{
	CHECK(namespace_run("ip route add blackhole 198.51.100.3"));
	send_far("198.51.100.3:9");
}

/* EPIPE: whoever else holds the socket has shut it down. */
static void raise_eother(void)
{
	const struct sockaddr_in any = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	int other = dup(fd);

	REQUIRE(bind(fd, (const struct sockaddr *)&any, sizeof any) == 0);
	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 1), &server) == 0);
	REQUIRE(volley_server_adopt(server, &fd, 1, VOLLEY_LISTEN(.on_packet = on_packet), NULL) ==
		1);
	REQUIRE(volley_server_start(server) == 0);
	shutdown(other, SHUT_WR);
	CHECK_EQ(send_to("127.0.0.1:9", 100), 0);
	close(other);
}

static void raise_refused(void)
{
	open_one();
	CHECK_EQ(send_to("127.0.0.1:0", 100), -EINVAL);
}

/* As many wait as there is room for, while the worker is busy. */
static void raise_no_buffer(void)
{
	int r = 0;

	open_at("0.0.0.0:0", VOLLEY_CONFIG(.n_workers = 1, .n_backlog = 4), on_packet_wait);
	ask(1, 1);
	bounds_await_calls(1);
	for (int i = 0; i < 100 && r == 0; i++)
		r = send_to("127.0.0.1:9", 100);
	CHECK_EQ(r, -ENOBUFS);
	sem_post(&may_return);
}

static void send_much(struct volley_worker *worker, void *arg)
{
	static const char payload[1000];
	struct volley_addr peer;

	volley_addr_parse("127.0.0.1:9", &peer);
	for (int i = 0; i < 50; i++)
		volley_worker_send(worker, listener_at(volley_worker_get_server(worker), 0), &peer,
				   payload, sizeof payload, NULL);
	(void)arg;
	atomic_fetch_add(&bounds_n_calls, 1);
}

static void fill_socket(uint32_t n_backlog, uint32_t backlog_us)
{
	CHECK(namespace_run("tc qdisc add dev lo root tbf rate 8kbit burst 1600 limit 64m"));
	open_at("0.0.0.0:0",
		VOLLEY_CONFIG(.n_workers = 1, .n_backlog = n_backlog, .backlog_us = backlog_us,
			      .sndbuf_bytes = 4608),
		on_packet);
	CHECK_EQ(volley_server_post(server, send_much, NULL), 0);
	bounds_await_calls(1);
	CHECK(namespace_run("tc qdisc del dev lo root")); /* as soon as it has met it */
}

static void raise_backlog_full(void)
{
	fill_socket(1, 60000000);
}

static void raise_timeout(void)
{
	fill_socket(1024, 1);
}

static void raise_tx_stopped(void)
{
	CHECK(namespace_run("tc qdisc add dev lo root tbf rate 8kbit burst 1600 limit 64m"));
	open_at("0.0.0.0:0",
		VOLLEY_CONFIG(.n_workers = 1, .backlog_us = 60000000, .sndbuf_bytes = 4608),
		on_packet);
	CHECK_EQ(volley_server_post(server, send_much, NULL), 0);
	bounds_await_calls(1);
	CHECK_EQ(volley_server_stop(server), 0);
	CHECK(namespace_run("tc qdisc del dev lo root"));
}

/* In ------------------------------------------------------------------------------------------- */

static void raise_truncated(void)
{
	open_at("127.0.0.1:0", VOLLEY_CONFIG(.n_workers = 1, .max_datagram_bytes = 10), on_packet);
	ask(1, 20);
}

/* Somebody has switched on what there is no room for. */
static void raise_ctrunc(void)
{
	static const int ip_options[] = { IP_RECVTTL, IP_RECVTOS, IP_RECVOPTS, IP_RETOPTS,
					  IP_RECVORIGDSTADDR };
	const int on = 1;

	open_one();
	for (int fd = 3; fd < 100; fd++) {
		struct sockaddr_in name = { .sin_family = AF_UNSPEC };
		socklen_t len = sizeof name;

		if (getsockname(fd, (struct sockaddr *)&name, &len) < 0 ||
		    name.sin_family != AF_INET || name.sin_port != addr.in.sin_port)
			continue;
		setsockopt(fd, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof on);
		setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
		for (size_t i = 0; i < sizeof ip_options / sizeof ip_options[0]; i++)
			setsockopt(fd, IPPROTO_IP, ip_options[i], &on, sizeof on);
	}
	ask(1, 20);
}

static void raise_bad_source(void)
{
	open_one();
	atomic_store(&hides_sources, true);
	ask(1, 20);
}

static void open_handler(uint32_t max_age_us)
{
	open_at("127.0.0.1:0",
		VOLLEY_CONFIG(.n_workers = 1, .n_handlers = 1, .n_ring = 16,
			      .max_age_us = max_age_us),
		on_packet_wait);
}

static void ask_busy(unsigned int n, size_t len)
{
	open_handler(0);
	ask(1, 1);
	bounds_await_calls(1);
	ask(n, len);
}

static void raise_ring_full(void)
{
	ask_busy(40, 1);
}

/* Packets beyond a jumbo frame are few. */
static void raise_pool_full(void)
{
	ask_busy(12, 20000);
}

/* A microsecond is over before any handler wakes. */
static void raise_expired(void)
{
	open_handler(1);
	ask(4, 1);
}

/* A broadcast comes to every socket of a listener. */
static void raise_copy(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr = { htonl(0xcb0071ff) } };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	const int on = 1;

	CHECK(namespace_run("ip link add b0 type veth peer name b1 && "
			    "ip addr add 203.0.113.1/24 brd + dev b0 && "
			    "ip link set b0 up && ip link set b1 up"));
	open_at("0.0.0.0:0", VOLLEY_CONFIG(.n_workers = 2), on_packet);
	to.sin_port = addr.in.sin_port;
	REQUIRE(setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof on) == 0);
	CHECK(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof to) == 1);
	close(fd);
}

static void raise_rx_stopped(void)
{
	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 1), &server) == 0);
	atomic_store(&bounds_n_calls, 0);
	atomic_store(&bounds_callback_us, 10000);
	bounds_listen(server, VOLLEY_LISTEN(.on_packet = bounds_on_packet), 40);
	REQUIRE(volley_server_start(server) == 0);
	bounds_await_calls(1);
	CHECK_EQ(volley_server_stop(server), 0);
}

/* Tables --------------------------------------------------------------------------------------- */

static void (*const rx[VOLLEY_RX_N_DROPS])(void) = {
	[VOLLEY_RX_TRUNCATED] = raise_truncated,   [VOLLEY_RX_CTRUNC] = raise_ctrunc,
	[VOLLEY_RX_RING_FULL] = raise_ring_full,   [VOLLEY_RX_POOL_FULL] = raise_pool_full,
	[VOLLEY_RX_BAD_SOURCE] = raise_bad_source, [VOLLEY_RX_EXPIRED] = raise_expired,
	[VOLLEY_RX_STOPPED] = raise_rx_stopped,    [VOLLEY_RX_COPY] = raise_copy,
};

static void (*const tx[VOLLEY_TX_N_DROPS])(void) = {
	[VOLLEY_TX_EPERM] = raise_eperm,
	[VOLLEY_TX_EMSGSIZE] = raise_emsgsize,
	[VOLLEY_TX_ENETUNREACH] = raise_enetunreach,
	[VOLLEY_TX_EHOSTUNREACH] = raise_ehostunreach,
	[VOLLEY_TX_EACCES] = raise_eacces,
	[VOLLEY_TX_EINVAL] = raise_einval,
	[VOLLEY_TX_EOTHER] = raise_eother,
	[VOLLEY_TX_REFUSED] = raise_refused,
	[VOLLEY_TX_NO_BUFFER] = raise_no_buffer,
	[VOLLEY_TX_BACKLOG_FULL] = raise_backlog_full,
	[VOLLEY_TX_TIMEOUT] = raise_timeout,
	[VOLLEY_TX_STOPPED] = raise_tx_stopped,
};

static uint64_t get(bool received, int i)
{
	struct volley_stats stats = { .size = sizeof stats };

	volley_server_get_stats(server, &stats);
	return received ? stats.rx_dropped[i] : stats.tx_dropped[i];
}

static void try_name(bool received, int i, void (*raise_it)(void))
{
	double end_ms = bounds_now_ms() + 2000;

	if (!CHECK(raise_it != NULL)) {
		fprintf(stderr, "\tnothing raises %s_dropped[%d]\n", received ? "rx" : "tx", i);
		return;
	}
	raise_it();
	while (get(received, i) == 0 && bounds_now_ms() < end_ms)
		sched_yield();
	if (!CHECK(get(received, i) > 0))
		fprintf(stderr, "\t%s_dropped.%s did not rise\n", received ? "rx" : "tx",
			received ? volley_rx_drop_name((uint32_t)i)
				 : volley_tx_drop_name((uint32_t)i));
	for (int k = 0; k < 100; k++)
		sem_post(&may_return);
	CHECK_EQ(volley_server_free(server), 0);
	atomic_store(&hides_sources, false);
}

int main(void)
{
	promise_begin(20);
	for (int i = 0; i < VOLLEY_RX_N_DROPS; i++)
		try_name(true, i, rx[i]);
	for (int i = 0; i < VOLLEY_TX_N_DROPS; i++)
		try_name(false, i, tx[i]);
	return check_done();
}

/* SPDX-License-Identifier: MIT */

/*
 * Every public header used from C++17, in one program that runs: a server with callbacks that are
 * lambdas, asked over a real socket with the calls of mmsg.h, and a thread that is cancelled in
 * one. test_consumers.py compiles it with each compiler there is. Exit code 0: all of it held.
 */

#include <volley/addr.h>
#include <volley/cancel.h>
#include <volley/config.h>
#include <volley/error.h>
#include <volley/handover.h>
#include <volley/held.h>
#include <volley/listener.h>
#include <volley/loop.h>
#include <volley/mmsg.h>
#include <volley/packet.h>
#include <volley/peers.h>
#include <volley/send.h>
#include <volley/server.h>
#include <volley/stats.h>
#include <volley/steer.h>
#include <volley/timer.h>
#include <volley/version.h>
#include <volley/volley.h>
#include <volley/worker.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <thread>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace
{
constexpr int n_asked = 8;

void require(bool holds, const char *what)
{
	if (holds)
		return;
	std::fprintf(stderr, "failed: %s\n", what);
	std::exit(1);
}
#define REQUIRE(condition) require((condition), #condition)

struct State {
	std::atomic<int> n_packets{ 0 };
	std::atomic<int> n_batches{ 0 };
	std::atomic<int> n_posts{ 0 };
	std::atomic<int> n_fired{ 0 };
	volley_timer timer{};
	std::atomic<long> n_out{ 0 };
};

volley_allocator make_allocator(State &state)
{
	volley_allocator allocator{};

	allocator.allocate = [](size_t n_bytes, size_t align, void *arg) -> void * {
		++static_cast<State *>(arg)->n_out;
		return ::operator new(n_bytes, std::align_val_t(align), std::nothrow);
	};
	allocator.deallocate = [](void *mem, size_t, size_t align, void *arg) {
		--static_cast<State *>(arg)->n_out;
		::operator delete(mem, std::align_val_t(align));
	};
	allocator.arg = &state;
	return allocator;
}

volley_server *open_server(State &state, const volley_allocator &allocator)
{
	volley_server *server = nullptr;
	volley_config config;
	volley_listen_config listen;

	volley_config_init(&config, sizeof config);
	config.n_workers = 1;
	config.allocator = &allocator;
	config.on_batch_begin = [](volley_worker *, void *arg) {
		++static_cast<State *>(arg)->n_batches;
	};
	config.on_start = [](volley_worker *worker, void *arg) {
		auto *own = static_cast<State *>(arg);

		own->timer.arg = own;
		own->timer.fn = [](volley_worker *, volley_timer *, void *state) {
			++static_cast<State *>(state)->n_fired;
		};
		return volley_worker_set_timer(worker, &own->timer, 0, 0);
	};
	config.arg = &state;
	REQUIRE(volley_server_new(&config, &server) == 0);
	volley_listen_config_init(&listen, sizeof listen);
	listen.arg = &state;
	listen.on_batch = [](volley_worker *worker, volley_packet *packets, size_t n, void *arg) {
		REQUIRE(volley_worker_get_index(worker) == 0);
		for (size_t i = 0; i < n; i++) {
			volley_server *server = volley_worker_get_server(worker);
			volley_held held{};

			REQUIRE(volley_addr_get_port(packets[i].peer) > 0);
			REQUIRE(volley_packet_hold(&packets[i], &held) == 0);
			REQUIRE(volley_held_release(server, held) == 0);
			REQUIRE(volley_held_release(server, held) == -ESTALE);
			volley_packet_reply(&packets[i], packets[i].data, packets[i].len);
			++static_cast<State *>(arg)->n_packets;
		}
	};
	REQUIRE(volley_server_listen(server, "127.0.0.1:0", &listen, nullptr) == 0);
	return server;
}

/* A volley there and a volley back, with the library's own calls. */
void ask(const volley_addr &to)
{
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	mmsghdr messages[n_asked] = {};
	iovec vectors[n_asked] = {};
	char bytes[n_asked][16] = {};
	int n_back = 0;

	REQUIRE(connect(fd, &to.sa, to.len) == 0);
	for (int i = 0; i < n_asked; i++) {
		bytes[i][0] = static_cast<char>('a' + i);
		vectors[i] = { bytes[i], sizeof bytes[i] };
		messages[i].msg_hdr.msg_iov = &vectors[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	REQUIRE(volley_sendmmsg(fd, messages, n_asked, 0) == n_asked);
	std::memset(bytes, 0, sizeof bytes);
	while (n_back < n_asked) {
		pollfd readable = { fd, POLLIN, 0 };

		REQUIRE(volley_ppoll(&readable, 1, nullptr, nullptr) == 1);
		const int n = volley_recvmmsg(fd, messages + n_back,
					      static_cast<unsigned int>(n_asked - n_back),
					      MSG_DONTWAIT);
		REQUIRE(n > 0);
		n_back += n;
	}
	for (int i = 0; i < n_asked; i++)
		REQUIRE(bytes[i][0] == 'a' + i);
	close(fd);
}

void expect_books(volley_server *server)
{
	volley_stats stats;

	volley_stats_init(&stats, sizeof stats);
	REQUIRE(stats.size == sizeof stats && stats.tx_foreign == 0);
	REQUIRE(volley_server_get_stats(server, &stats) == 0);
	REQUIRE(std::string(volley_rx_drop_name(VOLLEY_RX_TRUNCATED)) == "truncated");
	REQUIRE(std::string(volley_tx_drop_name(VOLLEY_TX_EPERM)) == "EPERM");
	REQUIRE(volley_tx_drop_name(32) == nullptr);
	REQUIRE(stats.delivered == n_asked && stats.tx_sent == n_asked);
	REQUIRE(stats.rx_dropped[VOLLEY_RX_TRUNCATED] == 0);
	std::string text(8192, '\0');
	REQUIRE(volley_server_format_stats(server, text.data(), text.size()) > 0);
	REQUIRE(text.find("\"delivered\": 8") != std::string::npos);
}

/* Nothing was handed over to this one. */
void expect_no_past(volley_server *server)
{
	volley_stats carried{};
	int sockets[2];

	REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets) == 0);
	REQUIRE(volley_server_import_commit(server, sockets[0], 1000) == -ENOTCONN);
	carried.size = sizeof carried;
	REQUIRE(volley_server_get_carried_stats(server, &carried) == 0);
	REQUIRE(carried.delivered == 0);
	close(sockets[0]);
	close(sockets[1]);
}

/* A thread that sleeps in a cancellation point wakes with -ECANCELED. */
void cancel()
{
	std::atomic<volley_cancel *> handle{ nullptr };
	volley_cancel_config config;
	int pipe_fds[2];
	std::thread sleeper;

	volley_cancel_config_init(&config, sizeof config);
	REQUIRE(config.size == sizeof config && config.signo == 0 && config.flags == 0);
	REQUIRE(volley_cancel_init(&config) == 0);
	REQUIRE(pipe(pipe_fds) == 0);
	sleeper = std::thread([&] {
		volley_cancel *own = nullptr;
		char byte;

		REQUIRE(volley_cancel_attach(&own) == 0);
		handle = own;
		REQUIRE(volley_read(pipe_fds[0], &byte, 1) == -ECANCELED);
		REQUIRE(volley_cancel_test() == -ECANCELED);
		REQUIRE(volley_cancel_clear() == 0);
		REQUIRE(volley_cancel_detach() == 0);
	});
	while (handle.load() == nullptr)
		std::this_thread::yield();
	REQUIRE(volley_cancel_request(handle) == 0);
	sleeper.join();
	volley_cancel_unref(handle);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

void use_addr()
{
	const uint64_t key[2] = { 1, 2 };
	volley_addr mapped, plain, unmapped;

	REQUIRE(volley_addr_parse("[::ffff:192.0.2.1]:53", &mapped) == 0);
	REQUIRE(volley_addr_parse("192.0.2.1:53", &plain) == 0);
	REQUIRE(volley_addr_unmap(&mapped, &unmapped) == 0);
	REQUIRE(volley_addr_is_equal(&plain, &unmapped));
	REQUIRE(volley_addr_hash(&plain, key) == volley_addr_hash(&unmapped, key));
	REQUIRE(volley_addr_hash(&plain, key) != volley_addr_hash(&mapped, key));
	REQUIRE(!volley_addr_is_multicast(&plain));
}
} // namespace

int main()
{
	State state;
	const volley_allocator allocator = make_allocator(state);
	volley_server *server = open_server(state, allocator);
	volley_listener listener;
	volley_addr parsed, bound;
	char text[VOLLEY_ADDR_TEXT_BYTES];

	REQUIRE(std::strcmp(volley_error_name(-ECANCELED), "ECANCELED") == 0);
	REQUIRE(std::string(volley_version()) == VOLLEY_VERSION_STRING);
	REQUIRE(volley_version_number() == VOLLEY_VERSION_NUMBER);
	static_assert(VOLLEY_VERSION_AT_LEAST(0, 1, 0), "the headers know their version");
	REQUIRE(volley_addr_parse("[::1]:53", &parsed) == 0);
	REQUIRE(volley_addr_format(&parsed, text, sizeof text) >= 0);
	REQUIRE(std::string(text) == "[::1]:53");
	use_addr();
	REQUIRE(volley_server_start(server) == 0);
	REQUIRE(volley_server_get_listeners(server, &listener, 1) == 1);
	REQUIRE(volley_listener_get_addr(server, listener, &bound) == 0);
	ask(bound);
	expect_no_past(server);
	REQUIRE(volley_server_post(
			server,
			[](volley_worker *, void *arg) { ++static_cast<State *>(arg)->n_posts; },
			&state) == 0);
	REQUIRE(volley_server_drain(server) == 0);
	expect_books(server);
	REQUIRE(volley_server_free(server) == 0);
	REQUIRE(state.n_packets == n_asked && state.n_batches > 0 && state.n_posts == 1);
	REQUIRE(state.n_fired == 1);
	REQUIRE(state.n_out == 0);
	cancel();
	std::puts("every header, used");
	return 0;
}

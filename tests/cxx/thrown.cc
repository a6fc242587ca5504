/* SPDX-License-Identifier: MIT */

/*
 * An exception of each kind of callback: it ends the callback and the volley, what was delivered
 * and replied to stays so, the server stops, and whoever waits for that has it. And what the
 * functions of volley.hpp throw themselves.
 */

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <memory_resource>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <signal.h>

#include "client.hpp"

using namespace std::chrono_literals;

/* How many allocations of this thread succeed; negative: all. */
static thread_local int n_left = -1;

void *operator new(std::size_t n_bytes, const std::nothrow_t &) noexcept
{
	if (n_left == 0)
		return nullptr;
	n_left -= n_left > 0;
	return std::malloc(n_bytes);
}

void *operator new(std::size_t n_bytes)
{
	void *mem = operator new(n_bytes, std::nothrow);

	if (mem == nullptr)
		throw std::bad_alloc();
	return mem;
}

/* Not inlined, or gcc takes the pair for a mismatched one. */
[[gnu::noinline]] void operator delete(void *mem) noexcept
{
	std::free(mem);
}

[[gnu::noinline]] void operator delete(void *mem, std::size_t) noexcept
{
	std::free(mem);
}

namespace
{
struct boom : std::runtime_error {
	using std::runtime_error::runtime_error;
};

/* A callable for any arguments. */
auto throwing(const char *what)
{
	return [what](auto &&...) { throw boom(what); };
}

template <typename Act> void expect(const char *what, Act act)
{
	try {
		act();
	} catch (const boom &caught) {
		REQUIRE(std::string(caught.what()) == what);
		return;
	}
	REQUIRE(!"an exception was lost");
}

template <typename Act> void expect_error(int error, Act act)
{
	try {
		act();
	} catch (const std::system_error &caught) {
		REQUIRE(caught.code().value() == error);
		REQUIRE(caught.code().category() == std::generic_category());
		return;
	}
	REQUIRE(!"no error was thrown");
}

volley::config one_worker()
{
	volley::config config;

	config.n_workers = 1;
	return config;
}

const auto ignore = [](volley::worker, volley::packet) {};

/* Four datagrams, two to a volley: the first volley ends, the drain serves the others. */
void of_a_batch()
{
	auto config = one_worker();
	int n_calls = 0;

	config.n_batch = 2;
	volley::server server(config);
	const auto listener = server.listen(
		"127.0.0.1:0", volley::on_batch([&](volley::worker, volley::packets volley) {
			for (volley::packet packet : volley) {
				packet.reply(packet.get_payload());
				if (n_calls++ == 0)
					throw boom("batch");
			}
		}));
	const client asking(server.get_addr(listener));

	for (const char *text : { "a", "b", "c", "d" })
		asking.send(text);
	expect("batch", [&] { server.run(); });
	REQUIRE(asking.recv() == "a" && asking.recv() == "c" && asking.recv() == "d");
	REQUIRE(n_calls == 3);
	REQUIRE(server.get_stats().delivered == 4 && server.get_stats().tx_sent == 3);

	/* It is rethrown once, and the server starts again. */
	server.start();
	REQUIRE(asking.ask("again") == "again");
	server.stop();
}

/* Of packets one by one too; and on a handler's thread. */
void of_packets(uint32_t n_handlers)
{
	auto config = one_worker();
	std::atomic<int> n_calls{ 0 };

	config.n_handlers = n_handlers;
	volley::server server(config);
	const auto listener = server.listen(
		"127.0.0.1:0", volley::on_packet([&](volley::worker, volley::packet packet) {
			if (packet.get_text() == "b")
				throw boom("packet");
			packet.reply(packet.get_payload());
			n_calls++;
		}));
	const client asking(server.get_addr(listener));

	for (const char *text : { "a", "b", "c" })
		asking.send(text);
	expect("packet", [&] { server.run(); });
	REQUIRE(asking.recv() == "a");
	/* A handler may have had them one at a time, as they came to it. */
	REQUIRE(n_handlers > 0 || n_calls == 1);
	REQUIRE(server.get_stats().delivered == 3);
}

/* Several throw, one is first; whoever ends the server has it. */
void of_others()
{
	volley::config config = one_worker();

	config.n_workers = 2;
	volley::server server(config);
	server.listen("127.0.0.1:0", volley::on_packet(ignore));
	server.start();
	server.post(throwing("post"));
	expect("post", [&] { server.stop(); });
	server.start();
	server.post_to(1, throwing("post_to"));
	expect("post_to", [&] { server.drain(); });
	server.start();
	server.post_to(0, throwing("close"));
	expect("close", [&] { server.close(); });
}

/* What is thrown by one hook of a server that is sent one datagram. */
template <typename... Hooks> void of_a_hook(const char *what, Hooks... hooks)
{
	volley::server server(one_worker(), std::move(hooks)...);
	const auto listener = server.listen(
		"127.0.0.1:0", volley::on_packet([](volley::worker on, volley::packet packet) {
			packet.reply("x");
			on.get_server().request_stop();
		}));
	const client asking(server.get_addr(listener));

	asking.send("x");
	expect(what, [&] { server.run(); });
	REQUIRE(std::string(what) == "start" || asking.recv() == "x");
}

void of_hooks()
{
	of_a_hook("start", volley::on_start(throwing("start")));
	of_a_hook("begin", volley::on_batch_begin(throwing("begin")));
	of_a_hook("end", volley::on_batch_end(throwing("end")));
	of_a_hook("drain", volley::on_drain(throwing("drain")));
	of_a_hook("stop", volley::on_stop(throwing("stop")));

	volley::server server(one_worker(), volley::on_start(throwing("start")));
	server.listen("127.0.0.1:0", volley::on_packet(ignore));
	expect("start", [&] { server.start(); });
}

void of_two()
{
	volley::server server(one_worker(), volley::on_batch_end(throwing("first")),
			      volley::on_drain(throwing("second")),
			      volley::on_stop(throwing("third")));
	const auto listener = server.listen("127.0.0.1:0", volley::on_packet(ignore));

	client(server.get_addr(listener)).send("x");
	expect("first", [&] { server.run(); });
	expect_error(ESHUTDOWN, [&] { server.post(throwing("never")); });
	server.stop();
}

/* Nobody waits for the end of this one. */
void of_a_destructor()
{
	volley::server server(one_worker(), volley::on_stop(throwing("lost")));

	server.listen("127.0.0.1:0", volley::on_packet(ignore));
	server.start();
}

void of_a_signal()
{
	auto config = one_worker();

	config.run_signals = VOLLEY_SIGNAL(SIGUSR1);
	volley::server server(config, volley::on_signal(throwing("signal")));
	server.listen("127.0.0.1:0", volley::on_packet(ignore));
	kill(getpid(), SIGUSR1);
	expect("signal", [&] { server.run(); });
}

void of_a_log()
{
	bool has_failed = false;
	volley::timer unset([](volley::worker) {});
	volley::server server(one_worker(), volley::on_log([&](volley_log_level, const char *) {
				      has_failed = true;
				      throw boom("log");
			      }),
			      volley::on_start([&](volley::worker on) {
				      /* which the log hears of */
				      volley_worker_set_timer(on.get_raw(), nullptr, 0, 0);
			      }));

	expect_error(EINVAL, [&] { server.listen("nowhere", volley::on_packet(ignore)); });
	REQUIRE(has_failed);
	server.listen("127.0.0.1:0", volley::on_packet(ignore));
	expect("log", [&] { server.run(); });
	expect("log", [&] { server.run(); }); /* a worker's */
}

void of_a_timer()
{
	volley::timer once(throwing("timer"));
	volley::server server(one_worker(),
			      volley::on_start([&](volley::worker on) { once.set(on, 1ms); }));

	server.listen("127.0.0.1:0", volley::on_packet(ignore));
	expect("timer", [&] { server.run(); });
	REQUIRE(!once.is_set());
}

/* A report of the network, on a loop of our own. */
void of_an_error()
{
	auto config = one_worker();
	volley::listen_config listen;

	config.wait = VOLLEY_WAIT_FD;
	listen.flags = VOLLEY_LISTEN_REPORT_ERRORS;
	volley::server server(config);
	const auto listener = server.listen("127.0.0.1:0", listen, volley::on_packet(ignore),
					    volley::on_error(throwing("error")));
	volley::addr gone;
	{
		const client closed(server.get_addr(listener));
		gone = closed.get_addr();
	}
	pollfd readable = { server.get_fd(), POLLIN, 0 };

	server.start();
	REQUIRE(server.send(listener, gone, "nobody is there") == 0);
	expect("error", [&] {
		while (server.process() >= 0)
			poll(&readable, 1, -1);
	});
	REQUIRE(server.process() == -ESHUTDOWN);
}

void of_a_socket()
{
	volley::server server(one_worker());
	const auto fail = volley::on_socket([](int, uint32_t) -> int { throw boom("socket"); });
	const auto refuse = volley::on_socket([](int, uint32_t) { return -EDOM; });

	expect("socket", [&] { server.listen("127.0.0.1:0", volley::on_packet(ignore), fail); });
	expect_error(EDOM,
		     [&] { server.listen("127.0.0.1:0", volley::on_packet(ignore), refuse); });
	REQUIRE(server.get_listeners().empty());
}

/* What a table throws is thrown when the peer has gone. */
void of_a_table()
{
	struct fragile {
		explicit fragile(bool is_broken)
		{
			if (is_broken)
				throw boom("made");
		}
	};
	struct on_end {
		void operator()(const volley_addr &, fragile &, volley_peers_end) const
		{
			throw boom("ended");
		}
	};
	const auto now = volley::clock::time_point(1s);
	const volley::addr a("192.0.2.1:1"), b("192.0.2.1:2");
	volley::peers<fragile, on_end> table(
		volley::peers_config(1).set_idle(1s).set_evict_idlest());

	expect("made", [&] { table.add(a, now, true); });
	REQUIRE(table.get(a, now) == nullptr && table.get_stats().now == 0);
	REQUIRE(table.add(a, now, false).second);
	expect("ended", [&] { table.add(b, now, false); });
	REQUIRE(table.get(a, now) == nullptr && table.get(b, now) != nullptr);
	expect("ended", [&] { table.remove(b); });
	REQUIRE(!table.remove(b) && table.add(a, now, false).second);
	expect("ended", [&] { table.expire(now + 1s, 9); });
	REQUIRE(table.add(a, now, false).second);
}

void of_functions()
{
	auto config = one_worker();
	volley::resource_allocator nothing(*std::pmr::null_memory_resource());

	expect_error(EINVAL, [] { volley::addr("nowhere"); });
	expect_error(EDOM, [] { volley::check(-EDOM, "what"); });
	expect_error(EINVAL, [&] { volley::peers<int>(volley::peers_config(0)); });
	config.allocator = &nothing;
	expect_error(ENOMEM, [&] { volley::server server(config); });
	config.allocator = nullptr;
	config.on_stop = [](volley_worker *, void *) {};
	expect_error(EINVAL, [&] { volley::server(config, volley::on_stop(throwing(""))); });
	config.on_stop = nullptr;
	config.log = [](volley_log_level, const char *, void *) {};
	volley::server mixed(config, volley::on_start(throwing(""))); /* which is fine */
	config.log = nullptr;

	volley::server server(config);
	expect_error(ENOTCONN, [&] { server.start(); });
	expect_error(EINVAL, [&] { server.get_fd(); });
	expect_error(ESTALE, [&] { server.close(volley::listener()); });
	expect_error(ESHUTDOWN, [&] { server.post([](volley::worker) {}); });
	expect_error(EBADF, [&] {
		server.adopt({ -1 }, volley::listen_config(), volley::on_packet(ignore));
	});
	volley::listen_config listen;
	listen.arg = &server;
	expect_error(EINVAL,
		     [&] { server.listen("127.0.0.1:0", listen, volley::on_packet(ignore)); });
}

/* A server that may run out of memory at any moment of a listen() has the listener, or not. */
void of_no_memory()
{
	const auto owner = std::make_shared<int>(1);
	volley::server server(one_worker());
	int n_failures = 0;

	for (bool is_done = false; !is_done;) {
		const auto ignoring = [owner](volley::worker, volley::packet) {};

		n_left = n_failures;
		try {
			server.listen("127.0.0.1:0", volley::on_packet(ignoring));
			is_done = true;
		} catch (const std::bad_alloc &) {
			n_failures++;
		}
		n_left = -1;
		REQUIRE(server.get_listeners().size() == (is_done ? 1 : 0));
		REQUIRE(is_done || owner.use_count() == 2); /* ours, and that of `ignoring` */
	}
	REQUIRE(n_failures > 1);
	server.start();
	n_left = 0;
	REQUIRE(server.try_post([](volley::worker) {}) == -ENOMEM);
	n_left = -1;
}

/* A stop from a worker waits for itself: it says so, and what was thrown stays for run(). */
void of_a_stop_inside()
{
	volley::server server(one_worker());
	const auto listener = server.listen(
		"127.0.0.1:0", volley::on_packet([](volley::worker on, volley::packet) {
			expect_error(EDEADLK, [&] { on.get_server().stop(); });
			throw boom("inside");
		}));

	client(server.get_addr(listener)).send("x");
	expect("inside", [&] { server.run(); });
}
} // namespace

int main()
{
	block_signal(SIGUSR1);
	of_a_batch();
	of_packets(0);
	of_packets(1);
	of_others();
	of_hooks();
	of_a_destructor();
	of_a_signal();
	of_a_log();
	of_a_timer();
	of_an_error();
	of_a_socket();
	of_a_table();
	of_functions();
	of_a_stop_inside();
	of_no_memory();
	of_two();
	std::puts("thrown: ok");
	return 0;
}

/* SPDX-License-Identifier: MIT */

/*
 * volley.hpp's server over loopback: callbacks of both shapes, hooks, handlers, held packets,
 * timers, posts, sends, listeners that come and go, a loop of one's own, the ledger. Also compiled
 * without exceptions.
 */

#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <memory_resource>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <signal.h>

#include "client.hpp"

using namespace std::chrono_literals;

namespace
{
/* Counts what is out, from any thread. */
class counting_resource : public std::pmr::memory_resource
{
      public:
	std::atomic<long> n_out{ 0 };

      private:
	void *do_allocate(std::size_t n, std::size_t align) override
	{
		n_out++;
		return std::pmr::new_delete_resource()->allocate(n, align);
	}

	void do_deallocate(void *mem, std::size_t n, std::size_t align) override
	{
		n_out--;
		std::pmr::new_delete_resource()->deallocate(mem, n, align);
	}

	bool do_is_equal(const memory_resource &other) const noexcept override
	{
		return this == &other;
	}
};

struct counts {
	std::atomic<int> n_starts{ 0 }, n_stops{ 0 }, n_begins{ 0 }, n_ends{ 0 }, n_drains{ 0 };
	std::atomic<int> n_logs{ 0 }, n_sockets{ 0 }, n_signals{ 0 }, n_posts{ 0 };
};

/* Each hook, and run() with a signal of ours and the end from a signal hook. */
void hooks()
{
	counting_resource memory;
	volley::resource_allocator allocator(memory);
	counts n;
	{
		volley::config config;

		config.n_workers = 2;
		config.allocator = &allocator;
		config.run_signals = VOLLEY_SIGNAL(SIGUSR1);
		volley::server server(
			config, volley::on_start([&](volley::worker on) {
				REQUIRE(on.get_data<counts>() == nullptr);
				on.set_data(&n);
				n.n_starts++;
				return on.get_index() < 2 ? 0 : -EINVAL;
			}),
			volley::on_stop(
				[](volley::worker on) { on.get_data<counts>()->n_stops++; }),
			volley::on_batch_begin([&](volley::worker) { n.n_begins++; }),
			volley::on_batch_end([&](volley::worker) { n.n_ends++; }),
			volley::on_drain([&](volley::worker) { n.n_drains++; }),
			volley::on_log([&](volley_log_level, const char *) { n.n_logs++; }),
			volley::on_signal([&](volley::server &of, int signo) {
				REQUIRE(signo == SIGUSR1);
				n.n_signals++;
				of.request_stop();
			}));
		const auto listener = server.listen(
			"127.0.0.1:0", volley::on_socket([&](int fd, uint32_t index) {
				REQUIRE(fd >= 0 && index < 2);
				n.n_sockets++;
				return 0;
			}),
			volley::on_batch([&](volley::worker on, volley::packets volley) {
				REQUIRE(&on.get_server() == &server && volley.size() > 0);
				REQUIRE(volley[0].get_text() == "hello");
				for (volley::packet packet : volley)
					packet.reply(packet.get_payload());
			}));
		const volley::addr to = server.get_addr(listener);
		std::thread asking([&] {
			REQUIRE(client(to).ask("hello") == "hello");
			kill(getpid(), SIGUSR1);
		});

		REQUIRE(server.get_n_workers() == 2 && std::strlen(server.get_io()) > 0);
		server.run();
		asking.join();
		REQUIRE(server.get_stats().tx_sent == 1 &&
			server.get_stats(listener).delivered == 1);
		REQUIRE(server.get_worker_stats(0).delivered +
				server.get_worker_stats(1).delivered ==
			1);
		REQUIRE(server.get_carried_stats().delivered == 0 && server.count_sharers() == 0);
		REQUIRE(server.format_stats().find("\"delivered\": 1,") != std::string::npos);
		server.close();
	}
	REQUIRE(n.n_starts == 2 && n.n_stops == 2 && n.n_drains == 2 && n.n_sockets == 2);
	REQUIRE(n.n_begins == n.n_ends && n.n_ends > 0 && n.n_signals == 1);
	REQUIRE(memory.n_out == 0);
}

/* A callable that has an end of its own: to see when the server gives it up. */
struct watched {
	std::shared_ptr<int> owner;

	void operator()(volley::worker, volley::packet packet) const
	{
		packet.reply("mine");
	}
};

void listeners()
{
	const auto owner = std::make_shared<int>(1);
	volley::config config;

	config.n_workers = 1;
	volley::server server(config);
	const auto one = server.listen("127.0.0.1:0", volley::on_packet(watched{ owner }));
	const int adopted = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const volley::addr any("127.0.0.1:0");

	REQUIRE(bind(adopted, &any.sa, any.len) == 0);
	server.start();
	const auto two = server.adopt({ adopted }, volley::listen_config(),
				      volley::on_packet([](volley::worker, volley::packet packet) {
					      REQUIRE(packet.get_listener());
					      packet.reply("adopted");
				      }));

	REQUIRE(two.size() == 1 && server.get_listeners().size() == 2);
	REQUIRE(fcntl(server.get_fd(one, 0), F_GETFD) == FD_CLOEXEC);
	REQUIRE(client(server.get_addr(one)).ask("x") == "mine");
	REQUIRE(client(server.get_addr(two[0])).ask("x") == "adopted");
	REQUIRE(owner.use_count() == 2);
	REQUIRE(server.close(one) && owner.use_count() == 1);
	REQUIRE(server.get_listeners().size() == 1 && server.get_listeners()[0] == two[0]);
	REQUIRE(server.drain());
	REQUIRE(volley::get_activation_fds().empty());
}

/* On handlers: hold there, reply from another thread, by what a token can do. */
void held_packets()
{
	std::atomic<int> n_held{ 0 };
	std::vector<volley::held> tokens(3);
	volley::config config;
	volley::listen_config listen;

	config.n_workers = 1;
	config.n_handlers = 1;
	listen.flags = VOLLEY_LISTEN_WANT_TTL | VOLLEY_LISTEN_WANT_TOS |
		       VOLLEY_LISTEN_WANT_INTERFACE | VOLLEY_LISTEN_WANT_TIMESTAMP;
	volley::server server(config);
	const auto listener = server.listen(
		"127.0.0.1:0", listen,
		volley::on_packet([&](volley::worker on, volley::packet packet) {
			const auto now = std::chrono::system_clock::now();

			REQUIRE(packet.get_handler() == 0 && packet->len == 1);
			REQUIRE(packet.get_ttl() == 64 && packet.get_tos() == 0);
			REQUIRE(packet.get_interface() > 0 && *packet.get_timestamp() <= now);
			REQUIRE(packet.get_destination() == server.get_addr(packet.get_listener()));
			const auto before = on.get_now();
			REQUIRE(before <= volley::clock::now());
			tokens[static_cast<std::size_t>(n_held)] = packet.hold();
			n_held++;
		}));

	server.start();
	const client asking(server.get_addr(listener));
	char byte = 0;

	for (const char *text : { "a", "b", "c" })
		asking.send(text);
	while (n_held < 3)
		std::this_thread::yield();
	REQUIRE(tokens[0].get_payload(&byte, 1) == 1 && byte == 'a');
	volley::held moved = std::move(tokens[0]);
	REQUIRE(!tokens[0] && tokens[0].reply("x") == -ESTALE);
	REQUIRE(moved.reply("first") == 0 && !moved);
	tokens[1] = std::move(tokens[2]); /* which releases b */
	REQUIRE(asking.recv() == "first");
	REQUIRE(tokens[1].reply("last", volley::send_options().set_ttl(256)) == -EINVAL);
	REQUIRE(tokens[1] && tokens[1].reply("last", volley::send_options().set_ttl(9)) == 0);
	REQUIRE(asking.recv() == "last");
	const volley_held stale = moved.take();
	REQUIRE(stale.id == 0);
	server.stop();
	const volley_stats stats = server.get_stats();
	REQUIRE(stats.held_taken == 3 && stats.held_replied == 2 && stats.held_released == 1);
}

/* A member as a timer's callable, which sets it again; a lambda's, which is cleared. */
class ticking
{
      public:
	explicit ticking(volley::worker on)
	{
		REQUIRE(tick.set(on, 1ms) == 0 && tick.is_set());
	}

	void on_tick(volley::worker on)
	{
		if (++n < 3)
			tick.set(on, 1ms, 1us);
		else
			on.get_server().request_stop();
	}

	int n = 0;

      private:
	volley::timer<volley::member<&ticking::on_tick>> tick{ *this };
};

void timers()
{
	std::unique_ptr<ticking> made;
	bool has_fired = false;
	volley::timer never([&](volley::worker, volley::timer_base &) { has_fired = true; });
	volley::config config;

	config.n_workers = 1;
	volley::server server(config, volley::on_start([&](volley::worker on) {
				      made = std::make_unique<ticking>(on);
				      REQUIRE(never.set(on, 0ns) == 0 && never.is_set());
				      never.clear();
				      REQUIRE(!never.is_set() && never.set(on, 1h) == 0);
				      volley::timer gone([&](volley::worker) { has_fired = true; });
				      REQUIRE(gone.set(on, 0ns) == 0);
				      REQUIRE(on.get_event_base() != nullptr);
			      }));

	server.listen("127.0.0.1:0", volley::on_packet([](volley::worker, volley::packet) {}));
	server.run();
	REQUIRE(made->n == 3 && !has_fired && !never.is_set());
}

/* Posts and sends, on workers and from outside; a reply with options, in room of volley's. */
void posts_and_sends()
{
	std::atomic<int> n_posts{ 0 };
	const auto owner = std::make_shared<int>(1);
	volley::config config;

	config.n_workers = 2;
	volley::server server(config);
	const auto listener = server.listen(
		"127.0.0.1:0", volley::on_packet([](volley::worker on, volley::packet packet) {
			const auto options = volley::send_options().set_tos(1);
			std::size_t capacity = 0;
			void *room = packet.reply_buffer(4, &capacity);

			REQUIRE(room != nullptr && capacity >= 4);
			std::memcpy(room, "room", 4);
			REQUIRE(packet.reply({ room, 4 }) == 0);
			REQUIRE(packet.reply("two", options) == 0);
			REQUIRE(on.send(packet.get_listener(), packet.get_peer(), "three") == 0);
			REQUIRE(on.send(packet.get_listener(), *packet->peer, "four", options) ==
				0);
		}),
		volley::on_writable([](volley::worker, volley::listener) {}));
	REQUIRE(server.try_post([](volley::worker) {}) == -ESHUTDOWN);
	server.start();
	const client asking(server.get_addr(listener));

	REQUIRE(asking.ask("x") == "room" && asking.recv() == "two");
	REQUIRE(asking.recv() == "three" && asking.recv() == "four");
	REQUIRE(server.send(listener, asking.get_addr(), "five") == 0);
	REQUIRE(asking.recv() == "five");
	REQUIRE(server.send(listener, asking.get_addr(), "six", volley::send_options()) == 0);
	REQUIRE(asking.recv() == "six");
	server.post_to(0, [&](volley::worker on) {
		const std::vector<volley::addr> peers(2, asking.get_addr());
		void *room = on.send_buffer(4);

		std::memcpy(room, "many", 4);
		REQUIRE(on.send_many(listener, peers, { room, 4 }) == 2);
		REQUIRE(on.send_many(listener, peers, "more", volley::send_options()) == 2);
		REQUIRE(on.get_tx_queued(listener) == 0);
	});
	REQUIRE(asking.recv() == "many" && asking.recv() == "many");
	REQUIRE(asking.recv() == "more" && asking.recv() == "more");
	server.post([&, owner](volley::worker) { n_posts++; });
	server.post_to(1, [&, owner](volley::worker on) {
		REQUIRE(on.get_index() == 1);
		n_posts++;
	});
	REQUIRE(server.try_post_to(2, [owner](volley::worker) {}) == -EINVAL);
	server.stop();
	REQUIRE(n_posts == 3 && owner.use_count() == 1);
}

/* The loop is ours; a report of the network. */
void own_loop()
{
	int n_errors = 0;
	volley::config config;
	volley::listen_config listen;

	config.wait = VOLLEY_WAIT_FD;
	listen.flags = VOLLEY_LISTEN_REPORT_ERRORS;
	volley::server server(config);
	const auto listener = server.listen(
		"127.0.0.1:0", listen, volley::on_packet([](volley::worker, volley::packet) {}),
		volley::on_error([&](volley::worker on, const volley_addr &peer, int error) {
			REQUIRE(peer.len > 0 && error == ECONNREFUSED);
			n_errors++;
			on.get_server().request_stop();
		}));
	pollfd readable = { server.get_fd(), POLLIN, 0 };
	volley::addr gone;
	{
		const client closed(server.get_addr(listener));
		gone = closed.get_addr();
	}

	REQUIRE(!server.get_timeout() && server.process() == -ESHUTDOWN);
	server.start();
	REQUIRE(server.send(listener, gone, "nobody is there") == 0);
	while (server.process() >= 0) {
		const auto timeout = server.get_timeout();

		poll(&readable, 1,
		     timeout ? static_cast<int>((timeout->count() + 999999) / 1000000) : -1);
	}
	REQUIRE(n_errors == 1 && server.get_stats().tx_reported == 1);
}

void groups()
{
	volley::config config;

	config.n_workers = 1;
	volley::server server(config);
	const auto listener = server.listen(
		"0.0.0.0:0", volley::on_packet([](volley::worker, volley::packet) {}));
	const volley::group group(volley::addr("224.0.0.251:0"), "lo");

	server.join(listener, group);
	server.leave(listener, group);
}

/* The sockets and the counters go to another server, here of the same process. */
void hand_over()
{
	volley::config config;
	std::vector<int> further_fds;
	int ends[2];

	config.n_workers = 1;
	volley::server old(config), young(config);
	const auto echo = [](volley::worker, volley::packet packet) { packet.reply("old"); };
	const auto listener = old.listen("127.0.0.1:0", volley::on_packet(echo));
	const volley::addr to = old.get_addr(listener);

	REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
	old.start();
	REQUIRE(client(to).ask("x") == "old");
	std::thread giving([&] { old.export_fds(ends[0], 20s, { 0, 2 }); });
	REQUIRE(young.import_fds(ends[1], 20s, &further_fds) == 1);
	REQUIRE(further_fds.size() == 2 && close(further_fds[0]) == 0);
	REQUIRE(close(further_fds[1]) == 0);
	young.listen(to.format(), volley::on_packet([](volley::worker, volley::packet packet) {
			     packet.reply("young");
		     }));
	young.start();
	young.import_commit(ends[1], 20s);
	giving.join();
	REQUIRE(client(to).ask("x") == "young" && young.get_carried_stats().delivered == 1);
	close(ends[0]);
	close(ends[1]);
}
} // namespace

int main()
{
	block_signal(SIGUSR1);
	hooks();
	listeners();
	held_packets();
	timers();
	posts_and_sends();
	own_loop();
	groups();
	hand_over();
	std::puts("serve: ok");
	return 0;
}

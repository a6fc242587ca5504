/* SPDX-License-Identifier: MIT */

/*
 * game ADDR:PORT [IDLE_MS]: a game server in C++17. Whoever sends "DX DY" plays: the first datagram
 * makes a player, which moves by so much, and 30 times a second everybody gets the state:
 *
 *     tick 17
 *     1 3 -4          player 1 is at 3, -4
 *
 * A new player is told its number ("welcome 1"). It leaves by "bye", or when it has said nothing
 * for IDLE_MS (10,000). There is one world, so there is one worker, and no lock. On [::]:PORT it
 * plays over IPv4 and IPv6. SIGTERM or SIGINT ends it, with an "end" for all and a line that says
 * how late the ticks were.
 */

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <volley/volley.hpp>

#include "common/start.h"

using namespace std::chrono_literals;

namespace
{
constexpr uint32_t n_max_players = 10000;
constexpr uint32_t n_max_of_source = 8; /* see get_source() */
constexpr auto period = std::chrono::nanoseconds(1s) / 30;
/* One datagram on any path; who does not fit is left out of it. */
constexpr std::size_t n_state_bytes = 1200;

struct player {
	std::size_t index; /* of its place in the lists of all */
	uint32_t number = 0;
	int x = 0, y = 0;
};

/* How many ticks were so late, in steps of 10 us up to 100 ms. */
using lateness = std::array<uintmax_t, 10000>;

/* What so many percent of n ticks were less late than. */
double get_late_ms(const lateness &counts, uintmax_t n, unsigned percent)
{
	std::size_t step = 0;
	for (uintmax_t seen = counts[0]; seen * 100 < n * percent; seen += counts[step])
		step++;
	return static_cast<double>(step + 1) / 100;
}

/* An IPv4 address, or an IPv6 network of 64 bits: who has one address there has all of them. */
volley::addr get_source(const volley_addr &peer)
{
	volley::addr source = volley::addr(peer).unmap();

	if (source.sa.sa_family == AF_INET) {
		source.in.sin_port = 0;
	} else {
		source.in6.sin6_port = 0;
		std::memset(source.in6.sin6_addr.s6_addr + 8, 0, 8);
	}
	return source;
}

bool parse_move(std::string_view text, int &dx, int &dy)
{
	const char *end = text.data() + text.size();
	const auto [at, error] = std::from_chars(text.data(), end, dx);

	return error == std::errc() && at != end && *at == ' ' &&
	       std::from_chars(at + 1, end, dy).ec == std::errc();
}

/* Everything but the constructor, run() and the destructor is on the worker's thread. */
class game
{
      public:
	game(const char *address, std::chrono::nanoseconds idle)
	    : sources(volley::peers_config(n_max_players + 1)), /* one who is refused, too */
	      players(volley::peers_config(n_max_players).set_idle(idle), *this),
	      server(make_config(), volley::on_start(volley::member<&game::on_start>(*this)),
		     volley::on_drain(volley::member<&game::on_drain>(*this)))
	{
		state.reserve(n_state_bytes);
		all.reserve(n_max_players);
		addresses.reserve(n_max_players);
		listener = server.listen(
			address, volley::on_packet(volley::member<&game::on_packet>(*this)));
	}

	void run()
	{
		server.run();
		std::fprintf(stderr,
			     "game: %ju ticks, 99 %% of them late by less than %.2f ms, all by "
			     "less than %.2f ms; %ju players refused\n",
			     n_ticks, get_late_ms(late, n_ticks, 99),
			     get_late_ms(late, n_ticks, 100), n_refused);
	}

      private:
	static volley::config make_config()
	{
		volley::config config;

		config.n_workers = 1;
		config.log = volley_log_stderr;
		return config;
	}

	void on_start(volley::worker on)
	{
		std::fprintf(stderr, "game: ready on %s\n",
			     server.get_addr(listener).format().c_str());
		due = volley::clock::now() + period;
		tick.set(on, period);
	}

	void on_packet(volley::worker on, volley::packet packet)
	{
		int dx = 0, dy = 0;

		if (packet.get_text() == "bye")
			players.remove(packet.get_peer());
		if (!parse_move(packet.get_text(), dx, dy))
			return;
		player *who = players.get(packet.get_peer(), on.get_now());
		if (who == nullptr && (who = add_player(packet, on.get_now())) == nullptr)
			return;
		who->x = std::clamp(who->x + std::clamp(dx, -10, 10), -1000, 1000);
		who->y = std::clamp(who->y + std::clamp(dy, -10, 10), -1000, 1000);
	}

	/* Who is refused gets no reply: its address may be forged. */
	player *add_player(volley::packet packet, volley::clock::time_point now)
	{
		const volley::addr source = get_source(packet.get_peer());
		uint32_t &n_of_source = *sources.add(source, now).first;
		player *made = nullptr;

		if (n_of_source < n_max_of_source)
			made = players.add(packet.get_peer(), now, player{ all.size() }).first;
		if (made == nullptr) {
			n_refused++;
			if (n_of_source == 0)
				sources.remove(source);
			return nullptr;
		}
		n_of_source++;
		made->number = ++n_numbers;
		all.push_back(made);
		addresses.emplace_back(packet.get_peer());
		packet.reply("welcome " + std::to_string(made->number) + "\n");
		return made;
	}

	/* The last one takes its place in the lists. */
	void on_end(const volley_addr &peer, player &gone, volley_peers_end)
	{
		const volley::addr source = get_source(peer);

		if (--*sources.get(source, {}) == 0)
			sources.remove(source);
		all.back()->index = gone.index;
		all[gone.index] = all.back();
		addresses[gone.index] = addresses.back();
		all.pop_back();
		addresses.pop_back();
	}

	void on_tick(volley::worker on)
	{
		const auto now = volley::clock::now();

		n_ticks++;
		late[std::min<std::size_t>((now - due) / 10us, late.size() - 1)]++;
		players.expire(now, n_max_players);
		format_state();
		on.send_many(listener, addresses, state);
		while (due <= now) /* what was missed altogether is left out */
			due += period;
		tick.set(on, due - volley::clock::now());
	}

	void format_state()
	{
		state = "tick " + std::to_string(n_ticks) + "\n";
		for (const player *who : all) {
			char line[48];
			const int n = std::snprintf(line, sizeof line, "%u %d %d\n", who->number,
						    who->x, who->y);

			if (state.size() + static_cast<std::size_t>(n) > n_state_bytes)
				break;
			state.append(line, static_cast<std::size_t>(n));
		}
	}

	void on_drain(volley::worker on)
	{
		on.send_many(listener, addresses, "end\n");
	}

	volley::clock::time_point due;
	lateness late{};
	uintmax_t n_ticks = 0, n_refused = 0;
	uint32_t n_numbers = 0;
	std::string state;
	std::vector<player *> all;
	std::vector<volley::addr> addresses; /* of all, in the same order */
	volley::peers<uint32_t> sources;     /* how many players each has */
	volley::peers<player, volley::member<&game::on_end>> players;
	volley::timer<volley::member<&game::on_tick>> tick{ *this };
	volley::listener listener;
	volley::server server; /* the last: nothing of the above is used once it is gone */
};
} // namespace

int main(int argc, char **argv)
{
	const long idle_ms = argc > 2 ? std::strtol(argv[2], nullptr, 10) : 10000;
	if (argc < 2 || argc > 3 || idle_ms <= 0) {
		std::fprintf(stderr, "usage: game ADDR:PORT [IDLE_MS]\n");
		return 2;
	}
	start_program();
	try {
		game(argv[1], std::chrono::milliseconds(idle_ms)).run();
	} catch (const std::exception &error) {
		std::fprintf(stderr, "game: %s\n", error.what());
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

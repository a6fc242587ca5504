/* SPDX-License-Identifier: MIT */

/*
 * volley.hpp without a server: addresses, listeners and payloads as values, options, groups, tables
 * of peers and what is cancelled. Also compiled without exceptions.
 */

#include <array>
#include <atomic>
#include <chrono>
#include <memory_resource>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "client.hpp"

using namespace std::chrono_literals;

namespace
{
void addresses()
{
	const volley::addr one("192.0.2.1:53"), mapped(std::string("[::ffff:192.0.2.1]:53"));
	std::unordered_map<volley::addr, int, volley::addr_hash> table;

	REQUIRE(one.format() == "192.0.2.1:53" && one.get_port() == 53);
	REQUIRE(mapped.unmap() == one && mapped != one && volley::addr().format() == "none");
	REQUIRE(!volley::addr::parse("nowhere") && *volley::addr::parse("192.0.2.1:53") == one);
	REQUIRE(volley::addr("224.0.0.1:1").is_multicast() && !one.is_multicast());
	table[one] = 1;
	table[mapped] = 2;
	table[volley::addr("192.0.2.1:53")]++;
	REQUIRE(table.size() == 2 && table[one] == 2);
	REQUIRE(volley::addr_hash()(one) != volley::addr_hash()(one)); /* each has its key */
}

bool is_of(volley::payload bytes, std::string_view text)
{
	return text == std::string_view(static_cast<const char *>(bytes.data()), bytes.size());
}

void payloads()
{
	const std::array<uint16_t, 2> pair = { 0x6161, 0x6262 };

	REQUIRE(is_of("text", "text") && is_of(std::string("text"), "text"));
	REQUIRE(is_of(std::string_view("text"), "text") && is_of({ "text", 2 }, "te"));
	REQUIRE(is_of(std::vector<char>{ 'a', 'b' }, "ab") && is_of(pair, "aabb"));
	REQUIRE(is_of({}, "") && volley::payload().data() == nullptr);
}

void options()
{
	const volley::addr from("192.0.2.1:0");
	volley::send_options options;

	REQUIRE(options.size == sizeof(struct volley_send_options) && options.flags == 0);
	options.set_tos(1).set_ttl(2).set_interface(3).set_local(from).set_if_room();
	REQUIRE(options.tos == 1 && options.ttl == 2 && options.interface_index == 3);
	REQUIRE(options.local == &from);
	REQUIRE(options.flags == (VOLLEY_SEND_TOS | VOLLEY_SEND_TTL | VOLLEY_SEND_IF_ROOM));

	const auto group = volley::group(volley::addr("224.0.0.251:0"), "lo").set_source(from);

	REQUIRE(group.size == sizeof(struct volley_group) && group.source.len == from.len);
	REQUIRE(std::string(group.interface) == "lo");
}

void listeners()
{
	const volley::listener none, one(volley_listener{ 1 }), other(volley_listener{ 2 });

	REQUIRE(!none && one && one != other && one == volley::listener(volley_listener{ 1 }));
	REQUIRE(std::unordered_set<volley::listener>({ one, other, one }).size() == 2);
}

int n_alive;

struct session {
	explicit session(std::string called) : name(std::move(called))
	{
		n_alive++;
	}

	session(const session &) = delete;
	session &operator=(const session &) = delete;

	~session()
	{
		n_alive--;
	}

	std::string name;
};

struct ends {
	void count(const volley_addr &, session &ended, volley_peers_end reason)
	{
		text += ended.name + std::to_string(reason) + " ";
	}

	std::string text;
};

void tables()
{
	const auto start = volley::clock::time_point(1s);
	const volley::addr a("192.0.2.1:1"), b("192.0.2.1:2"), c("192.0.2.1:3");
	ends ended;
	volley::resource_allocator allocator(*std::pmr::new_delete_resource());
	auto config = volley::peers_config(2).set_idle(10s).set_evict_idlest();

	config.allocator = &allocator;
	{
		volley::peers<session, volley::member<&ends::count>> table(config, ended);
		auto [one, is_new] = table.add(a, start, "one which is too long to lie in place");

		REQUIRE(is_new && one->name == "one which is too long to lie in place");
		one->name = "a";
		REQUIRE(!table.add(a, start, "other").second && table.get(a, start) == one);
		REQUIRE(table.get(b, start) == nullptr && table.add(b, start + 5s, "b").second);
		REQUIRE(table.add(c, start + 6s, "c").second && ended.text == "a1 ");
		REQUIRE(table.remove(b) && !table.remove(b) && ended.text == "a1 b2 ");
		REQUIRE(table.expire(start + 15s, 9) == 0 && table.expire(start + 16s, 9) == 1);
		REQUIRE(table.add(a, start + 16s, "a").second && n_alive == 1);
		REQUIRE(table.get_stats().now == 1 && table.get_stats().evicted == 1);
	}
	REQUIRE(ended.text == "a1 b2 c0 a3 " && n_alive == 0);

	volley::peers<int> plain(volley::peers_config(1));

	REQUIRE(*plain.add(a, start, 7).first == 7 && plain.add(b, start, 8).first == nullptr);
}

/* A thread that sleeps in a cancellation point wakes with -ECANCELED; none does in a region. */
void cancellation()
{
	std::atomic<const volley::cancel_handle *> published{ nullptr };
	int ends[2];

	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	std::thread sleeper([&] {
		{
			volley::cancel_attachment attachment;
			char byte;
			{
				volley::cancel_region region;

				region.commit();
				published = &attachment.get_handle();
				while (volley_cancel_pending() == 0)
					std::this_thread::yield();
				REQUIRE(region && volley_cancel_test() == 0);
			}
			REQUIRE(volley_read(ends[0], &byte, 1) == -ECANCELED);
			REQUIRE(!volley::cancel_region() && volley_cancel_clear() == 0);
		}
		REQUIRE(volley_cancel_self() == nullptr);
	});
	while (published.load() == nullptr)
		std::this_thread::yield();

	const volley::cancel_handle handle = *published.load();
	volley::cancel_handle copy;

	REQUIRE(handle && !copy);
	copy = handle;
	REQUIRE(copy.request() == 0);
	sleeper.join();
	REQUIRE(copy.request() == -ESRCH && copy.request_wait(-1us) == -ESRCH);
	close(ends[0]);
	close(ends[1]);
}
} // namespace

int main()
{
	addresses();
	payloads();
	options();
	listeners();
	tables();
	cancellation();
	REQUIRE(volley::check(7, "seven") == 7);
	std::puts("values: ok");
	return 0;
}

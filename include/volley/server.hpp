/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_SERVER_HPP
#define VOLLEY_SERVER_HPP

/**
 * @file server.hpp
 * A server and all that is done with it. Each function calls the one of C that has its name, whose
 * comment says who may call it, whether it blocks, and what surprises.
 *
 * What C returns as a negative errno is thrown as a std::system_error, but for functions that are
 * noexcept: what is called for datagrams returns that errno.
 *
 * What a callback or hook throws ends that callback, and with it the volley: what was delivered is
 * delivered, and the replies that were made are sent. The server is asked to stop as by
 * request_stop(), and whoever waits for its end gets the exception: run(), stop(), drain() or
 * process(), and start() for one of an on_start. It is rethrown once; of several the first is.
 */

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <volley/addr.hpp>
#include <volley/callbacks.hpp>
#include <volley/error.hpp>
#include <volley/handover.h>
#include <volley/hooks.hpp>
#include <volley/packet.hpp>
#include <volley/server.h>
#include <volley/stats.h>
#include <volley/worker.hpp>

namespace volley
{

/** A server; it stays where it was made, because its callbacks know it. */
class server
{
      public:
	/**
	 * Make a server.
	 *
	 * @param config  copied
	 * @param hooks   on_start(...), on_log(...): each at most once
	 */
	template <typename... Hooks>
	explicit server(const volley_config &config = volley::config(), Hooks... hooks)
	{
		static_assert(detail::are_hooks_of<detail::server_kinds, Hooks...>::value,
			      "a server has hooks of volley/hooks.hpp, each at most once");
		volley_config filled = config;

		if constexpr (sizeof...(Hooks) > 0) {
			auto set = std::make_unique<detail::hook_set<Hooks...>>(
				*this, std::move(hooks)...);

			set->configure(filled);
			own = std::move(set);
		}
		check(volley_server_new(&filled, &raw), "volley_server_new");
	}

	server(const server &) = delete;
	server &operator=(const server &) = delete;

	/** Stops it first if it runs. Not on a thread of its own: that ends the program. */
	~server()
	{
		if (volley_server_free(raw) < 0)
			std::terminate();
	}

	/** For the functions of C. */
	volley_server *get_raw() const noexcept
	{
		return raw;
	}

	/* Listeners. */

	/**
	 * Listen on an address, with the callbacks on_batch(...) or on_packet(...), and if wanted
	 * on_error(...) and on_socket(...). They are destroyed with the listener, or the server.
	 */
	template <typename... Hooks>
	listener listen(const std::string &address, const volley_listen_config &config,
			Hooks... hooks)
	{
		volley_listener added{};
		auto filled = config;
		auto set = make_listener(filled, std::move(hooks)...);
		const int r = volley_server_listen(raw, address.c_str(), &filled, &added);

		detail::rethrow(set->thrown);
		check(r, "volley_server_listen");
		keep(&added, 1, set);
		return added;
	}

	template <typename... Hooks,
		  typename = std::enable_if_t<(detail::is_hook<Hooks>::value && ...)>>
	listener listen(const std::string &address, Hooks... hooks)
	{
		return listen(address, listen_config(), std::move(hooks)...);
	}

	/** Listen on bound sockets, which are the server's then: a listener for each address. */
	template <typename... Hooks>
	std::vector<listener> adopt(const std::vector<int> &fds, const volley_listen_config &config,
				    Hooks... hooks)
	{
		std::vector<volley_listener> added(fds.size());
		auto filled = config;
		auto set = make_listener(filled, std::move(hooks)...);

		added.resize(static_cast<std::size_t>(check(
			volley_server_adopt(raw, fds.data(), static_cast<uint32_t>(fds.size()),
					    &filled, added.data()),
			"volley_server_adopt")));
		keep(added.data(), added.size(), set);
		return { added.begin(), added.end() };
	}

	/** Returns whether it was served to the last datagram: not when drain_us was over. */
	bool close(listener which)
	{
		const int r = volley_listener_close(raw, which);

		if (r != -ETIME)
			check(r, "volley_listener_close");
		kept.forget(which);
		return r == 0;
	}

	addr get_addr(listener which) const
	{
		addr found;

		check(volley_listener_get_addr(raw, which, &found), "volley_listener_get_addr");
		return found;
	}

	std::vector<listener> get_listeners() const
	{
		std::vector<volley_listener> found(get_n_listeners(nullptr, 0));
		const auto room = static_cast<uint32_t>(found.size());

		found.resize(std::min(found.size(), get_n_listeners(found.data(), room)));
		return { found.begin(), found.end() };
	}

	/** A borrowed descriptor; see volley_listener_get_fd(). */
	int get_fd(listener which, uint32_t socket_index) const
	{
		return check(volley_listener_get_fd(raw, which, socket_index),
			     "volley_listener_get_fd");
	}

	void join(listener which, const volley_group &group)
	{
		check(volley_listener_join(raw, which, &group), "volley_listener_join");
	}

	void leave(listener which, const volley_group &group)
	{
		check(volley_listener_leave(raw, which, &group), "volley_listener_leave");
	}

	/* Its life. */

	/** What a log hook has thrown by then is thrown first, here and by run(). */
	void start()
	{
		thrown.rethrow();
		end(volley_server_start(raw), "volley_server_start", false);
	}

	/** Serve until a signal or request_stop(). */
	void run()
	{
		thrown.rethrow();
		end(volley_server_run(raw), "volley_server_run", true);
	}

	void request_stop() noexcept
	{
		volley_server_request_stop(raw);
	}

	void stop()
	{
		end(volley_server_stop(raw), "volley_server_stop", true);
	}

	/** Returns whether all was served: not when it was cut short or drain_us was over. */
	bool drain()
	{
		const int r = volley_server_drain(raw);

		end(r == -ETIME ? 0 : r, "volley_server_drain", true);
		return r == 0;
	}

	/** Close its sockets and keep it for its statistics. */
	void close()
	{
		end(volley_server_close(raw), "volley_server_close", true);
	}

	uint32_t get_n_workers() const noexcept
	{
		return volley_server_get_n_workers(raw);
	}

	const char *get_io() const noexcept
	{
		return volley_server_get_io(raw);
	}

	/* A loop of yours, VOLLEY_WAIT_FD. */

	int get_fd() const
	{
		return check(volley_server_get_fd(raw), "volley_server_get_fd");
	}

	/** How long the loop may sleep; nothing: for ever. */
	std::optional<std::chrono::nanoseconds> get_timeout() const noexcept
	{
		const int64_t ns = volley_server_get_timeout_ns(raw);

		if (ns < 0)
			return std::nullopt;
		return std::chrono::nanoseconds(ns);
	}

	/**
	 * @return a count, or the negative errno of volley_server_process(), which is -ESHUTDOWN
	 *         once the server has stopped; throws only what a callback has thrown, and then it
	 *         has stopped
	 */
	int process()
	{
		const int r = volley_server_process(raw);

		if (r == -ESHUTDOWN)
			thrown.rethrow();
		return r;
	}

	/* On the workers' threads, and from any. */

	/**
	 * Call a function once on every worker: (worker). Several at a time call the same copy of
	 * it. Allocates.
	 */
	template <typename Function> void post(Function function)
	{
		check(try_post(std::move(function)), "volley_server_post");
	}

	template <typename Function> int try_post(Function function) noexcept
	{
		return give(get_n_workers(), std::move(function), [&](auto *fn, void *posted) {
			return volley_server_post(raw, fn, posted);
		});
	}

	/** Call a function once on one worker: (worker). Allocates. */
	template <typename Function> void post_to(uint32_t worker_index, Function function)
	{
		check(try_post_to(worker_index, std::move(function)), "volley_server_post_to");
	}

	template <typename Function>
	int try_post_to(uint32_t worker_index, Function function) noexcept
	{
		return give(1, std::move(function), [&](auto *fn, void *posted) {
			return volley_server_post_to(raw, worker_index, fn, posted);
		});
	}

	int send(listener from, const volley_addr &peer, payload bytes) noexcept
	{
		return volley_server_send(raw, from, &peer, bytes.data(), bytes.size(), nullptr);
	}

	int send(listener from, const volley_addr &peer, payload bytes,
		 const volley_send_options &options) noexcept
	{
		return volley_server_send(raw, from, &peer, bytes.data(), bytes.size(), &options);
	}

	/* The ledger. */

	volley_stats get_stats() const
	{
		volley_stats stats = make_stats();

		check(volley_server_get_stats(raw, &stats), "volley_server_get_stats");
		return stats;
	}

	volley_stats get_stats(listener of) const
	{
		volley_stats stats = make_stats();

		check(volley_listener_get_stats(raw, of, &stats), "volley_listener_get_stats");
		return stats;
	}

	volley_stats get_worker_stats(uint32_t worker_index) const
	{
		volley_stats stats = make_stats();

		check(volley_server_get_worker_stats(raw, worker_index, &stats),
		      "volley_server_get_worker_stats");
		return stats;
	}

	volley_stats get_carried_stats() const
	{
		volley_stats stats = make_stats();

		check(volley_server_get_carried_stats(raw, &stats),
		      "volley_server_get_carried_stats");
		return stats;
	}

	/** As JSON. */
	std::string format_stats() const
	{
		std::string text;
		std::size_t len = 0;

		/* It may be longer the second time. */
		do {
			text.resize(len);
			len = static_cast<std::size_t>(
				check(volley_server_format_stats(raw, text.data(), len + 1),
				      "volley_server_format_stats"));
		} while (len > text.size());
		text.resize(len);
		return text;
	}

	/* Hot restart. */

	/** The further descriptors stay the caller's. */
	void export_fds(int fd, std::chrono::microseconds timeout,
			const std::vector<int> &further_fds = {})
	{
		check(volley_server_export_fds(raw, fd, convert_us(timeout), further_fds.data(),
					       static_cast<std::uint32_t>(further_fds.size())),
		      "volley_server_export_fds");
	}

	/** Returns how many sockets there are. Those in `ret_further_fds` are the caller's. */
	int import_fds(int fd, std::chrono::microseconds timeout,
		       std::vector<int> *ret_further_fds = nullptr)
	{
		bool wants = ret_further_fds != nullptr;
		std::vector<int> fds(
			VOLLEY_HANDOVER_N_FDS); /* nothing throws once they are there */
		std::uint32_t n = 0;
		int r = check(volley_server_import_fds(raw, fd, convert_us(timeout),
						       wants ? fds.data() : nullptr,
						       wants ? &n : nullptr),
			      "volley_server_import_fds");

		fds.resize(n);
		if (wants)
			*ret_further_fds = std::move(fds);
		return r;
	}

	void import_commit(int fd, std::chrono::microseconds timeout)
	{
		check(volley_server_import_commit(raw, fd, convert_us(timeout)),
		      "volley_server_import_commit");
	}

	int count_sharers() const
	{
		return check(volley_server_count_sharers(raw), "volley_server_count_sharers");
	}

      private:
	friend void detail::fail(server &, std::exception_ptr) noexcept;

	static volley_stats make_stats() noexcept
	{
		volley_stats stats{};

		stats.size = sizeof stats;
		return stats;
	}

	static uint32_t convert_us(std::chrono::microseconds time) noexcept
	{
		return time.count() <= 0
			       ? 0
			       : static_cast<uint32_t>(std::min<int64_t>(time.count(), UINT32_MAX));
	}

	std::size_t get_n_listeners(volley_listener *found, uint32_t n) const
	{
		return static_cast<std::size_t>(check(volley_server_get_listeners(raw, found, n),
						      "volley_server_get_listeners"));
	}

	template <typename... Hooks>
	std::shared_ptr<detail::any_hooks> make_listener(volley_listen_config &config,
							 Hooks... hooks)
	{
		using detail::hook_kind;
		static_assert(detail::are_hooks_of<detail::listener_kinds, Hooks...>::value,
			      "a listener has callbacks of volley/hooks.hpp, each at most once");
		static_assert(detail::n_hooks<hook_kind::batch, Hooks...> +
					      detail::n_hooks<hook_kind::packet, Hooks...> ==
				      1,
			      "a listener has either on_batch or on_packet");
		auto set = std::make_shared<detail::hook_set<Hooks...>>(*this, std::move(hooks)...);

		set->configure(config);
		return set;
	}

	/** Without the memory for it the listeners are closed again. */
	void keep(const volley_listener *added, std::size_t n,
		  const std::shared_ptr<detail::any_hooks> &hooks)
	{
		detail::call_or_undo([&] { kept.keep(added, n, hooks); },
				     [&] {
					     for (std::size_t i = 0; i < n; i++)
						     volley_listener_close(raw, added[i]);
				     });
	}

	/** Post a function that so many workers call. */
	template <typename Function, typename Post>
	int give(uint32_t n_workers, Function function, Post post) noexcept
	{
		auto *made = new (std::nothrow)
			detail::posted<Function>{ *this, std::move(function), { n_workers } };
		int r = -ENOMEM;

		if (made != nullptr)
			r = post(made->run, made);
		if (r < 0)
			delete made;
		return r;
	}

	/** After a call that may have ended the server: throw what a callback threw, else r. */
	void end(int r, const char *what, bool has_ended)
	{
		if (has_ended ? r != -EDEADLK && r != -EALREADY : r < 0)
			thrown.rethrow();
		check(r, what);
	}

	volley_server *raw = nullptr;
	std::unique_ptr<detail::any_hooks> own;
	detail::listeners_hooks kept;
	detail::first_thrown thrown;
};

inline void detail::fail(server &owner, std::exception_ptr caught) noexcept
{
	owner.thrown.keep(std::move(caught));
	owner.request_stop();
}

} // namespace volley

#endif

/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_HOOKS_HPP
#define VOLLEY_HOOKS_HPP

/**
 * @file hooks.hpp
 * Callbacks and hooks: callables, each with the name of the field of volley/config.h that it takes
 * the place of. docs/callbacks.md says on which thread each of them runs, and what it may call.
 *
 *     volley::server server(config, volley::on_start([](volley::worker) { ... }));
 *     server.listen("[::]:7777", volley::on_batch([](volley::worker, volley::packets) { ... }));
 *
 * They are stored where they stay, once, in the server, and called through one function of C, into
 * which the compiler puts them: no std::function, no allocation for a call. Where workers are
 * several, they call the same object at the same time.
 */

#include <cerrno>
#include <cstdint>
#include <exception>
#include <tuple>
#include <type_traits>
#include <utility>

#include <volley/config.h>
#include <volley/error.hpp>
#include <volley/packet.hpp>
#include <volley/worker.hpp>

namespace volley
{

/**
 * volley_config with its size set. `arg` is the server's, and hooks of C get one that is not
 * theirs: volley_log_stderr(), which needs none, is fine.
 */
struct config : volley_config {
	config() noexcept : volley_config{}
	{
		size = sizeof(struct volley_config);
	}
};

/** volley_listen_config with its size set. Its callbacks and `arg` are the server's. */
struct listen_config : volley_listen_config {
	listen_config() noexcept : volley_listen_config{}
	{
		size = sizeof(struct volley_listen_config);
	}
};

namespace detail
{

/** What a callable is for. */
enum class hook_kind {
	batch,
	packet,
	error,
	socket,
	writable,
	log,
	start,
	batch_begin,
	batch_end,
	drain,
	stop,
	signal
};

template <hook_kind Kind, typename Function> struct hook {
	Function call;
};

template <hook_kind Kind, typename Function>
constexpr Function &get_hook(hook<Kind, Function> &hook) noexcept
{
	return hook.call;
}

template <hook_kind Kind, typename Type> struct is_hook_of : std::false_type {
};
template <hook_kind Kind, typename Function>
struct is_hook_of<Kind, hook<Kind, Function>> : std::true_type {
};

template <typename Type> struct is_hook : std::false_type {
};
template <hook_kind Kind, typename Function> struct is_hook<hook<Kind, Function>> : std::true_type {
};

/** How many of the hooks are of a kind. */
template <hook_kind Kind, typename... Hooks>
constexpr int n_hooks = (0 + ... + int{ is_hook_of<Kind, Hooks>::value });

/** Whether all of them are of these kinds, each at most once. */
template <typename Kinds, typename... Hooks> struct are_hooks_of;
template <hook_kind... Kinds, typename... Hooks>
struct are_hooks_of<std::integer_sequence<hook_kind, Kinds...>, Hooks...>
    : std::bool_constant<((n_hooks<Kinds, Hooks...> <= 1) && ...) &&
			 (0 + ... + n_hooks<Kinds, Hooks...>) == sizeof...(Hooks)> {
};

using server_kinds = std::integer_sequence<hook_kind, hook_kind::log, hook_kind::start,
					   hook_kind::batch_begin, hook_kind::batch_end,
					   hook_kind::drain, hook_kind::stop, hook_kind::signal>;
using listener_kinds =
	std::integer_sequence<hook_kind, hook_kind::batch, hook_kind::packet, hook_kind::error,
			      hook_kind::socket, hook_kind::writable>;

/** Hooks of any type, owned by the server. */
struct any_hooks {
	explicit any_hooks(server &of) noexcept : owner(of)
	{
	}

	virtual ~any_hooks() = default;
	any_hooks(const any_hooks &) = delete;
	any_hooks &operator=(const any_hooks &) = delete;

	server &owner;
	/** Of a call that hears of it by itself: volley_server_listen() of on_socket's. */
	std::exception_ptr thrown;
};

/**
 * The hooks of a server or listener, and the functions that C calls, whose `arg` this is. What a
 * hook throws stays in them.
 */
template <typename... Hooks> struct hook_set final : any_hooks, Hooks... {
	hook_set(server &of, Hooks &&...hooks) : any_hooks(of), Hooks(std::move(hooks))...
	{
	}

	template <hook_kind Kind, typename... Arguments>
	static void call(void *arg, Arguments... arguments) noexcept
	{
		auto *self = static_cast<hook_set *>(arg);

		call_guarded(
			[&] { get_hook<Kind> (*self)(arguments...); },
			[&](std::exception_ptr caught) { fail(self->owner, std::move(caught)); });
	}

	static worker get_worker(volley_worker *raw, void *arg) noexcept
	{
		return { raw, static_cast<hook_set *>(arg)->owner };
	}

	template <hook_kind Kind> static void on_worker(volley_worker *raw, void *arg) noexcept
	{
		call<Kind>(arg, get_worker(raw, arg));
	}

	static void on_batch(volley_worker *raw, volley_packet *views, std::size_t n,
			     void *arg) noexcept
	{
		call<hook_kind::batch>(arg, get_worker(raw, arg), packets(views, n));
	}

	/* One by one, inlined; an exception ends the volley here too. */
	static void on_packets(volley_worker *raw, volley_packet *views, std::size_t n,
			       void *arg) noexcept
	{
		auto *self = static_cast<hook_set *>(arg);
		const worker on = get_worker(raw, arg);

		call_guarded(
			[&] {
				for (packet one : packets(views, n))
					get_hook<hook_kind::packet> (*self)(on, one);
			},
			[&](std::exception_ptr caught) { fail(self->owner, std::move(caught)); });
	}

	static void on_error(volley_worker *raw, const volley_addr *peer, int error,
			     void *arg) noexcept
	{
		call<hook_kind::error, worker, const volley_addr &, int>(arg, get_worker(raw, arg),
									 *peer, error);
	}

	static void on_writable(volley_worker *raw, volley_listener which, void *arg) noexcept
	{
		call<hook_kind::writable>(arg, get_worker(raw, arg), listener(which));
	}

	/* The call that waits for these two rethrows, so there is nothing to be stopped. */
	static int on_socket(int fd, uint32_t socket_index, void *arg) noexcept
	{
		auto *self = static_cast<hook_set *>(arg);
		int r = -ECANCELED;

		call_guarded([&] { r = get_hook<hook_kind::socket>(*self)(fd, socket_index); },
			     [&](std::exception_ptr caught) { self->thrown = std::move(caught); });
		return r;
	}

	static int on_start(volley_worker *raw, void *arg) noexcept
	{
		auto *self = static_cast<hook_set *>(arg);
		auto &hook = get_hook<hook_kind::start>(*self);
		const worker on = get_worker(raw, arg);
		int r = -ECANCELED;

		call_guarded(
			[&] {
				if constexpr (std::is_void_v<decltype(hook(on))>) {
					hook(on);
					r = 0;
				} else {
					r = hook(on);
				}
			},
			[&](std::exception_ptr caught) { fail(self->owner, std::move(caught)); });
		return r;
	}

	static void on_signal(volley_server *, int signo, void *arg) noexcept
	{
		call<hook_kind::signal, server &, int>(arg, static_cast<hook_set *>(arg)->owner,
						       signo);
	}

	static void log(volley_log_level level, const char *text, void *arg) noexcept
	{
		call<hook_kind::log>(arg, level, text);
	}

	/** Set the fields of a server's config for those hooks that there are. */
	void configure(volley_config &config)
	{
		put(config.arg, this);
		if constexpr (has<hook_kind::log>())
			put(config.log, log);
		if constexpr (has<hook_kind::start>())
			put(config.on_start, on_start);
		if constexpr (has<hook_kind::batch_begin>())
			put(config.on_batch_begin, on_worker<hook_kind::batch_begin>);
		if constexpr (has<hook_kind::batch_end>())
			put(config.on_batch_end, on_worker<hook_kind::batch_end>);
		if constexpr (has<hook_kind::drain>())
			put(config.on_drain, on_worker<hook_kind::drain>);
		if constexpr (has<hook_kind::stop>())
			put(config.on_stop, on_worker<hook_kind::stop>);
		if constexpr (has<hook_kind::signal>())
			put(config.on_signal, on_signal);
	}

	/** The same of a listener's. */
	void configure(volley_listen_config &config)
	{
		put(config.arg, this);
		if constexpr (has<hook_kind::batch>())
			put(config.on_batch, on_batch);
		if constexpr (has<hook_kind::packet>())
			put(config.on_batch, on_packets);
		if constexpr (has<hook_kind::error>())
			put(config.on_error, on_error);
		if constexpr (has<hook_kind::socket>())
			put(config.on_socket, on_socket);
		if constexpr (has<hook_kind::writable>())
			put(config.on_writable, on_writable);
	}

      private:
	template <hook_kind Kind> static constexpr bool has() noexcept
	{
		return n_hooks<Kind, Hooks...> != 0;
	}

	template <typename Field> static void put(Field &field, std::common_type_t<Field> value)
	{
		if (field != nullptr)
			throw_error(-EINVAL,
				    "volley: a hook or arg of C where one of C++ is given");
		field = value;
	}
};

template <hook_kind Kind, typename Function>
constexpr hook<Kind, std::decay_t<Function>> make_hook(Function &&function)
{
	return { std::forward<Function>(function) };
}

} // namespace detail

/* Of a listener, exactly one of the first two. */

/** A volley of datagrams: (worker, packets). */
template <typename Function> constexpr auto on_batch(Function &&function)
{
	return detail::make_hook<detail::hook_kind::batch>(std::forward<Function>(function));
}

/**
 * Each datagram: (worker, packet). This is a loop over a volley, so it costs nothing beside
 * on_batch, and a stop waits for all of the volley.
 */
template <typename Function> constexpr auto on_packet(Function &&function)
{
	return detail::make_hook<detail::hook_kind::packet>(std::forward<Function>(function));
}

/** A report of the network: (worker, const volley_addr &peer, int error). */
template <typename Function> constexpr auto on_error(Function &&function)
{
	return detail::make_hook<detail::hook_kind::error>(std::forward<Function>(function));
}

/** A new socket: int (int fd, uint32_t socket_index). What it throws, listen() rethrows. */
template <typename Function> constexpr auto on_socket(Function &&function)
{
	return detail::make_hook<detail::hook_kind::socket>(std::forward<Function>(function));
}

/** A line that somebody was told of has ended: (worker, listener). */
template <typename Function> constexpr auto on_writable(Function &&function)
{
	return detail::make_hook<detail::hook_kind::writable>(std::forward<Function>(function));
}

/* Of a server. */

/** A sentence of the log: (volley_log_level, const char *text). */
template <typename Function> constexpr auto on_log(Function &&function)
{
	return detail::make_hook<detail::hook_kind::log>(std::forward<Function>(function));
}

/** A worker starts: (worker), returns nothing, or 0 or a negative errno. */
template <typename Function> constexpr auto on_start(Function &&function)
{
	return detail::make_hook<detail::hook_kind::start>(std::forward<Function>(function));
}

/** Before a volley is shown: (worker). */
template <typename Function> constexpr auto on_batch_begin(Function &&function)
{
	return detail::make_hook<detail::hook_kind::batch_begin>(std::forward<Function>(function));
}

/** After its replies have gone: (worker). */
template <typename Function> constexpr auto on_batch_end(Function &&function)
{
	return detail::make_hook<detail::hook_kind::batch_end>(std::forward<Function>(function));
}

/** A drain is asked for: (worker). */
template <typename Function> constexpr auto on_drain(Function &&function)
{
	return detail::make_hook<detail::hook_kind::drain>(std::forward<Function>(function));
}

/** A worker stops: (worker). */
template <typename Function> constexpr auto on_stop(Function &&function)
{
	return detail::make_hook<detail::hook_kind::stop>(std::forward<Function>(function));
}

/** A signal of config.run_signals: (server &, int signo). */
template <typename Function> constexpr auto on_signal(Function &&function)
{
	return detail::make_hook<detail::hook_kind::signal>(std::forward<Function>(function));
}

} // namespace volley

#endif

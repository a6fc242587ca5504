/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_WORKER_HPP
#define VOLLEY_WORKER_HPP

/**
 * @file worker.hpp
 * A worker, as callbacks get it, and a method as a callable.
 */

#include <chrono>
#include <cstdint>
#include <exception>
#include <type_traits>
#include <utility>

#include <volley/listener.hpp>
#include <volley/loop.h>
#include <volley/send.hpp>
#include <volley/timer.h>
#include <volley/worker.h>

namespace volley
{

class server;

/** What the worker's clock is: CLOCK_MONOTONIC. */
using clock = std::chrono::steady_clock;

/** The worker that a callback runs on: a value of two pointers, valid until the server is gone. */
class worker
{
      public:
	worker(volley_worker *of_c, server &of) noexcept : raw(of_c), owner(&of)
	{
	}

	/** For the functions of C. */
	volley_worker *get_raw() const noexcept
	{
		return raw;
	}

	uint32_t get_index() const noexcept
	{
		return volley_worker_get_index(raw);
	}

	server &get_server() const noexcept
	{
		return *owner;
	}

	/** What set_data() was given; it has to be a T, or nullptr. */
	template <typename T> T *get_data() const noexcept
	{
		return static_cast<T *>(volley_worker_get_data(raw));
	}

	void set_data(void *data) const noexcept
	{
		volley_worker_set_data(raw, data);
	}

	/** The time of this pass of the worker; see volley_worker_get_now_ns(). */
	clock::time_point get_now() const noexcept
	{
		return clock::time_point(std::chrono::nanoseconds(volley_worker_get_now_ns(raw)));
	}

	event_base *get_event_base() const noexcept
	{
		return volley_worker_get_event_base(raw);
	}

	/** 0, or the negative errno of volley_worker_send(). */
	int send(listener from, const volley_addr &peer, payload bytes) const noexcept
	{
		return volley_worker_send(raw, from, &peer, bytes.data(), bytes.size(), nullptr);
	}

	int send(listener from, const volley_addr &peer, payload bytes,
		 const volley_send_options &options) const noexcept
	{
		return volley_worker_send(raw, from, &peer, bytes.data(), bytes.size(), &options);
	}

	/**
	 * The same to many: to a std::vector<addr>, or what else has data() and size() of them.
	 * Returns how many were queued, or a negative errno.
	 */
	template <typename Peers>
	int send_many(listener from, const Peers &peers, payload bytes) const noexcept
	{
		return volley_worker_send_many(raw, from, peers.data(),
					       static_cast<uint32_t>(peers.size()), bytes.get_raw(),
					       nullptr);
	}

	template <typename Peers>
	int send_many(listener from, const Peers &peers, payload bytes,
		      const volley_send_options &options) const noexcept
	{
		return volley_worker_send_many(raw, from, peers.data(),
					       static_cast<uint32_t>(peers.size()), bytes.get_raw(),
					       &options);
	}

	/** Room for a payload; see volley_worker_send_buffer(). nullptr when there is none. */
	void *send_buffer(std::size_t need, std::size_t *ret_capacity = nullptr) const noexcept
	{
		return volley_worker_send_buffer(raw, need, ret_capacity);
	}

	/** How many wait for room in the socket, or the negative errno of C. */
	int get_tx_queued(listener of) const noexcept
	{
		return volley_worker_get_tx_queued(raw, of);
	}

      private:
	volley_worker *raw;
	server *owner;
};

namespace detail
{

/** Keep what a callback of this server threw, and ask it to stop. */
[[gnu::cold]] void fail(server &owner, std::exception_ptr thrown) noexcept;

template <typename Class, typename Member> Class *get_class(Member Class::*);

/** A duration as C has it; what is negative is 0. */
inline uint64_t convert_ns(std::chrono::nanoseconds time) noexcept
{
	return time.count() > 0 ? static_cast<uint64_t>(time.count()) : 0;
}

} // namespace detail

/**
 * A method of an object as a callable of two words, where its type has to be named, as that of a
 * member has to be: timer<member<&room::tick>>.
 */
template <auto Method> class member
{
      public:
	using object_type = std::remove_pointer_t<decltype(detail::get_class(Method))>;

	member(object_type &of) noexcept : object(&of)
	{
	}

	template <typename... Arguments, typename Result = std::invoke_result_t<
						 decltype(Method), object_type &, Arguments...>>
	Result operator()(Arguments &&...arguments) const
	{
		return (object->*Method)(std::forward<Arguments>(arguments)...);
	}

      private:
	object_type *object;
};

} // namespace volley

#endif

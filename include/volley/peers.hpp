/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_PEERS_HPP
#define VOLLEY_PEERS_HPP

/**
 * @file peers.hpp
 * A table of peers with an object for each, see volley/peers.h: objects are made in place when a
 * peer is added, and destroyed when it ends. One thread at a time.
 */

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <type_traits>
#include <utility>

#include <volley/addr.hpp>
#include <volley/error.hpp>
#include <volley/peers.h>
#include <volley/worker.hpp>

namespace volley
{

/** volley_peers_config with its size set, for `n_max` peers. */
struct peers_config : volley_peers_config {
	explicit peers_config(uint32_t n_most) noexcept : volley_peers_config{}
	{
		size = sizeof(struct volley_peers_config);
		n_max = n_most;
	}

	peers_config &set_idle(std::chrono::nanoseconds idle) noexcept
	{
		idle_ns = detail::convert_ns(idle);
		return *this;
	}

	peers_config &set_evict_idlest() noexcept
	{
		flags |= VOLLEY_PEERS_EVICT_IDLEST;
		return *this;
	}
};

namespace detail
{

struct ignore_end {
	template <typename Data>
	void operator()(const volley_addr &, Data &, volley_peers_end) const noexcept
	{
	}
};

} // namespace detail

/**
 * A table of peers with a Data for each. OnEnd is called when one leaves, before its Data is
 * destroyed: (const volley_addr &peer, Data &, volley_peers_end). What it throws is rethrown by the
 * call in which the peer left, once that is done; the destructor drops it.
 */
template <typename Data, typename OnEnd = detail::ignore_end> class peers
{
	static_assert(alignof(Data) <= alignof(std::max_align_t), "as malloc() aligns");
	static_assert(std::is_nothrow_destructible_v<Data>, "destructors do not throw");

      public:
	/** Of `config` this sets n_bytes, on_end and arg. */
	explicit peers(const volley_peers_config &config, OnEnd ended = OnEnd())
	    : on_end(std::move(ended))
	{
		auto filled = config;

		filled.n_bytes = sizeof(struct slot);
		filled.on_end = end_slot;
		filled.arg = this;
		check(volley_peers_new(&filled, &raw), "volley_peers_new");
	}

	peers(const peers &) = delete;
	peers &operator=(const peers &) = delete;

	~peers()
	{
		volley_peers_free(raw);
	}

	/** Find a peer, which is no longer idle then; nullptr when it is unknown. */
	Data *get(const volley_addr &peer, clock::time_point now) noexcept
	{
		auto *found = static_cast<slot *>(volley_peers_get(raw, &peer, get_ns(now)));

		return found != nullptr ? found->get() : nullptr;
	}

	/**
	 * Find a peer, or add it with a Data made of the arguments.
	 *
	 * @return its data, nullptr when the table is full; and whether it is new
	 */
	template <typename... Arguments>
	std::pair<Data *, bool> add(const volley_addr &peer, clock::time_point now,
				    Arguments &&...arguments)
	{
		auto *found = static_cast<slot *>(volley_peers_add(raw, &peer, get_ns(now)));
		const bool is_new = found != nullptr && !found->is_made;

		if (is_new)
			detail::call_or_undo(
				[&] { found->make(std::forward<Arguments>(arguments)...); },
				[&] { volley_peers_remove(raw, &peer); });
		detail::rethrow(thrown); /* of one that was evicted */
		return { found != nullptr ? found->get() : nullptr, is_new };
	}

	/** Returns whether it was known; false in OnEnd too, where it changes nothing. */
	bool remove(const volley_addr &peer)
	{
		const int r = volley_peers_remove(raw, &peer);

		detail::rethrow(thrown);
		return r == 0;
	}

	/** End idle ones, at most so many; returns how many. */
	uint32_t expire(clock::time_point now, uint32_t n_most)
	{
		const uint32_t n = volley_peers_expire(raw, get_ns(now), n_most);

		detail::rethrow(thrown);
		return n;
	}

	volley_peers_stats get_stats() const noexcept
	{
		volley_peers_stats stats{};

		stats.size = sizeof stats;
		volley_peers_get_stats(raw, &stats);
		return stats;
	}

      private:
	/** All zero is one that is not made yet. */
	struct slot {
		alignas(Data) std::byte room[sizeof(Data)];
		bool is_made;

		Data *get() noexcept
		{
			return std::launder(reinterpret_cast<Data *>(room));
		}

		template <typename... Arguments> void make(Arguments &&...arguments)
		{
			::new (static_cast<void *>(room))
				Data(std::forward<Arguments>(arguments)...);
			is_made = true;
		}
	};
	static_assert(sizeof(struct slot) <= 1048576, "a peer has up to 1,048,576 bytes");

	static uint64_t get_ns(clock::time_point now) noexcept
	{
		return detail::convert_ns(now.time_since_epoch());
	}

	static void end_slot(const volley_addr *peer, void *data, volley_peers_end reason,
			     void *arg) noexcept
	{
		auto *self = static_cast<peers *>(arg);
		auto *ended = static_cast<slot *>(data);

		if (!ended->is_made)
			return;
		detail::call_guarded([&] { self->on_end(*peer, *ended->get(), reason); },
				     [&](std::exception_ptr caught) {
					     if (self->thrown == nullptr)
						     self->thrown = std::move(caught);
				     });
		ended->get()->~Data();
	}

	OnEnd on_end;
	volley_peers *raw = nullptr;
	std::exception_ptr thrown;
};

} // namespace volley

#endif

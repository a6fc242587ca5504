/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_CALLBACKS_HPP
#define VOLLEY_CALLBACKS_HPP

/**
 * @file callbacks.hpp
 * What a server keeps for its callbacks: nothing of it is for programs. No lock here is held while
 * volley or a callback is called.
 */

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>

#include <volley/error.hpp>
#include <volley/hooks.hpp>
#include <volley/listener.hpp>
#include <volley/worker.hpp>

namespace volley
{
namespace detail
{

/** The first exception of all threads, until somebody has it. */
class first_thrown
{
      public:
	void keep(std::exception_ptr caught) noexcept
	{
		const std::lock_guard<std::mutex> lock(mutex);

		if (thrown == nullptr)
			thrown = std::move(caught);
	}

	void rethrow()
	{
		std::exception_ptr found;
		{
			const std::lock_guard<std::mutex> lock(mutex);
			found = std::exchange(thrown, nullptr);
		}
		detail::rethrow(found);
	}

      private:
	std::mutex mutex;
	std::exception_ptr thrown;
};

/** The callbacks of listeners, which stay until the last of their listeners is closed. */
class listeners_hooks
{
      public:
	/** All of them, or none and an exception. */
	void keep(const volley_listener *added, std::size_t n,
		  const std::shared_ptr<any_hooks> &hooks)
	{
		const std::lock_guard<std::mutex> lock(mutex);

		call_or_undo(
			[&] {
				for (std::size_t i = 0; i < n; i++)
					kept.emplace(added[i], hooks);
			},
			[&] {
				for (std::size_t i = 0; i < n; i++)
					kept.erase(added[i]);
			});
	}

	void forget(listener which) noexcept
	{
		std::shared_ptr<any_hooks> gone; /* destroyed without the lock */
		const std::lock_guard<std::mutex> lock(mutex);
		const auto found = kept.find(which);

		if (found != kept.end()) {
			gone = std::move(found->second);
			kept.erase(found);
		}
	}

      private:
	std::mutex mutex;
	std::unordered_map<listener, std::shared_ptr<any_hooks>> kept;
};

/** A posted function, which the last worker that has called it deletes. */
template <typename Function> struct posted {
	server &owner;
	Function call;
	std::atomic<uint32_t> n_left;

	static void run(volley_worker *raw, void *arg) noexcept
	{
		auto *self = static_cast<posted *>(arg);

		call_guarded(
			[&] { self->call(worker(raw, self->owner)); },
			[&](std::exception_ptr caught) { fail(self->owner, std::move(caught)); });
		/* acq_rel: what other workers did with the function happened before its end */
		if (self->n_left.fetch_sub(1, std::memory_order_acq_rel) == 1)
			delete self;
	}
};

} // namespace detail
} // namespace volley

#endif

/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_TIMER_HPP
#define VOLLEY_TIMER_HPP

/**
 * @file timer.hpp
 * Timers of a worker, with a callable of theirs.
 */

#include <chrono>
#include <exception>
#include <type_traits>
#include <utility>

#include <volley/error.hpp>
#include <volley/timer.h>
#include <volley/worker.hpp>

namespace volley
{

/** A timer whose callable is not known here: what the callable gets. */
class timer_base : private ::volley_timer
{
      public:
	timer_base(const timer_base &) = delete;
	timer_base &operator=(const timer_base &) = delete;

	/**
	 * Fire once after a delay, on this worker; see volley_worker_set_timer(). A timer that is
	 * set moves.
	 *
	 * @return 0 or a negative errno: -EPERM off the worker's thread, -ESHUTDOWN when it stops
	 */
	int set(worker on, std::chrono::nanoseconds delay,
		std::chrono::nanoseconds slack = {}) noexcept
	{
		const int r = volley_worker_set_timer(on.get_raw(), this, detail::convert_ns(delay),
						      detail::convert_ns(slack));

		if (r == 0) {
			raw = on.get_raw();
			owner = &on.get_server();
		}
		return r;
	}

	/** It does not fire any more. On the worker's thread, as set(). */
	void clear() noexcept
	{
		if (is_set())
			volley_worker_clear_timer(raw, this);
	}

	/** Whether it has still to fire. On the worker's thread, or when that has stopped. */
	bool is_set() const noexcept
	{
		return (internal[0] | internal[1] | internal[2] | internal[3]) != 0;
	}

      protected:
	explicit timer_base(volley_timer_fn called) noexcept : volley_timer{}
	{
		fn = called;
		arg = this;
	}

	/** On the worker's thread, or once it has stopped, which clears what is set. */
	~timer_base()
	{
		clear();
	}

	worker get_worker() const noexcept
	{
		return worker(raw, *owner);
	}

      private:
	volley_worker *raw = nullptr;
	server *owner = nullptr;
};

/**
 * A timer. Its callable gets the worker and, if it takes one, the timer, to set it again:
 *
 *     timer tick{ [](worker on, timer_base &self) { self.set(on, 33ms); } };
 *
 * It stays where it was made. It is destroyed on the thread of the worker that it is set for, when
 * it is not set, or when that worker has stopped.
 */
template <typename Function> class timer : public timer_base
{
      public:
	explicit timer(Function called) : timer_base(fire), function(std::move(called))
	{
	}

      private:
	static void fire(volley_worker *, ::volley_timer *, void *arg) noexcept
	{
		auto *self = static_cast<timer *>(static_cast<timer_base *>(arg));
		const worker on = self->get_worker();

		/* The callable may destroy the timer. */
		detail::call_guarded([&] { self->call(on); },
				     [&](std::exception_ptr thrown) {
					     detail::fail(on.get_server(), std::move(thrown));
				     });
	}

	void call(worker on)
	{
		if constexpr (std::is_invocable_v<Function &, worker, timer_base &>)
			function(on, *this);
		else
			function(on);
	}

	Function function;
};

} // namespace volley

#endif

/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_CANCEL_HPP
#define VOLLEY_CANCEL_HPP

/**
 * @file cancel.hpp
 * What has to be given back of volley/cancel.h: handles, a thread's being cancellable, regions. The
 * rest, and volley/mmsg.h, is used as it is.
 */

#include <chrono>
#include <cstdint>
#include <utility>

#include <volley/cancel.h>
#include <volley/error.hpp>

namespace volley
{

/** The handle of a thread that can be cancelled: a reference of one's own; copy it freely. */
class cancel_handle
{
      public:
	cancel_handle() noexcept = default;

	/** Takes a reference over. */
	explicit cancel_handle(volley_cancel *taken) noexcept : raw(taken)
	{
	}

	cancel_handle(const cancel_handle &other) noexcept : raw(volley_cancel_ref(other.raw))
	{
	}

	cancel_handle(cancel_handle &&other) noexcept : raw(std::exchange(other.raw, nullptr))
	{
	}

	cancel_handle &operator=(cancel_handle other) noexcept
	{
		std::swap(raw, other.raw);
		return *this;
	}

	~cancel_handle()
	{
		volley_cancel_unref(raw);
	}

	explicit operator bool() const noexcept
	{
		return raw != nullptr;
	}

	/** Of one that is a handle; the result of volley_cancel_request(). */
	int request() const noexcept
	{
		return volley_cancel_request(raw);
	}

	/** Negative: for ever. The result of volley_cancel_request_wait(). */
	int request_wait(std::chrono::microseconds timeout) const noexcept
	{
		return volley_cancel_request_wait(raw, timeout.count());
	}

      private:
	volley_cancel *raw = nullptr;
};

/** The thread that has this on its stack can be cancelled for as long. */
class cancel_attachment
{
      public:
	cancel_attachment()
	{
		volley_cancel *made = nullptr;

		check(volley_cancel_attach(&made), "volley_cancel_attach");
		handle = cancel_handle(made);
	}

	cancel_attachment(const cancel_attachment &) = delete;
	cancel_attachment &operator=(const cancel_attachment &) = delete;

	~cancel_attachment()
	{
		volley_cancel_detach();
	}

	const cancel_handle &get_handle() const noexcept
	{
		return handle;
	}

      private:
	cancel_handle handle;
};

/**
 * A region, volley_cancel_enter() to volley_cancel_leave():
 *
 *     cancel_region region;
 *     if (!region)
 *             return -ECANCELED;
 */
class cancel_region
{
      public:
	cancel_region() noexcept : is_entered(volley_cancel_enter() == 0)
	{
	}

	cancel_region(const cancel_region &) = delete;
	cancel_region &operator=(const cancel_region &) = delete;

	~cancel_region()
	{
		if (is_entered)
			volley_cancel_leave();
	}

	/** Whether it was begun: not when a request was pending. */
	explicit operator bool() const noexcept
	{
		return is_entered;
	}

	/** From here to its end nothing fails with -ECANCELED. */
	void commit() noexcept
	{
		volley_cancel_commit();
	}

      private:
	bool is_entered;
};

} // namespace volley

#endif

/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_LISTENER_HPP
#define VOLLEY_LISTENER_HPP

/**
 * @file listener.hpp
 * Listeners as values, groups, and the descriptors of a service manager.
 */

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include <volley/error.hpp>
#include <volley/listener.h>

namespace volley
{

/**
 * A listener of a server, by value: see struct volley_listener. By default none. What is done with
 * it are functions of the server.
 */
class listener
{
      public:
	listener() noexcept = default;

	listener(volley_listener named) noexcept : value(named)
	{
	}

	operator volley_listener() const noexcept
	{
		return value;
	}

	/** Whether it is one; it may be closed. */
	explicit operator bool() const noexcept
	{
		return value.id != 0;
	}

	friend bool operator==(listener a, listener b) noexcept
	{
		return a.value.id == b.value.id;
	}

	friend bool operator!=(listener a, listener b) noexcept
	{
		return !(a == b);
	}

      private:
	volley_listener value{};
};

/** volley_group with its size set. */
struct group : volley_group {
	/**
	 * @param address  of the group; `interface` stays where it is for as long as this is used
	 */
	explicit group(const volley_addr &address, const char *on = nullptr) noexcept
	    : volley_group{}
	{
		size = sizeof(struct volley_group);
		volley_group::group = address;
		interface = on;
	}

	/** Only what this host sends there. */
	group &set_source(const volley_addr &from) noexcept
	{
		source = from;
		return *this;
	}
};

/** The descriptors that a service manager passed; see volley_activation_get_fds(). */
inline std::vector<int> get_activation_fds(const char *name = nullptr)
{
	const auto call = [name](int *fds, uint32_t n) {
		return static_cast<std::size_t>(check(volley_activation_get_fds(name, fds, n),
						      "volley_activation_get_fds"));
	};
	std::vector<int> fds(call(nullptr, 0));

	fds.resize(std::min(fds.size(), call(fds.data(), static_cast<uint32_t>(fds.size()))));
	return fds;
}

} // namespace volley

template <> struct std::hash<volley::listener> {
	std::size_t operator()(volley_listener listener) const noexcept
	{
		return std::hash<uint64_t>()(listener.id);
	}
};

#endif

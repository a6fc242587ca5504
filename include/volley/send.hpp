/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_SEND_HPP
#define VOLLEY_SEND_HPP

/**
 * @file send.hpp
 * What a datagram is sent with: its payload and its options.
 */

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include <volley/send.h>

namespace volley
{

/**
 * Bytes of somebody else's: of a string, a string_view, a vector, an array, a span, of whatever has
 * data() and size(); of a C string without its NUL; or of a pointer and a length.
 */
class payload : private volley_payload
{
      public:
	payload() noexcept : volley_payload{}
	{
	}

	payload(const void *start, std::size_t n_bytes) noexcept : volley_payload{ start, n_bytes }
	{
	}

	payload(const char *text) noexcept : payload(text, std::strlen(text))
	{
	}

	template <typename Bytes,
		  typename Byte =
			  std::remove_pointer_t<decltype(std::declval<const Bytes &>().data())>,
		  typename = decltype(std::declval<const Bytes &>().size()),
		  typename = std::enable_if_t<std::is_trivially_copyable_v<Byte> &&
					      !std::is_same_v<Bytes, payload>>>
	payload(const Bytes &bytes) noexcept : payload(bytes.data(), bytes.size() * sizeof(Byte))
	{
	}

	const void *data() const noexcept
	{
		return volley_payload::data;
	}

	std::size_t size() const noexcept
	{
		return volley_payload::len;
	}

	/** For the functions of C. */
	const volley_payload *get_raw() const noexcept
	{
		return this;
	}
};

/** volley_send_options with its size set: send_options().set_tos(1).set_ttl(255). */
struct send_options : volley_send_options {
	send_options() noexcept : volley_send_options{}
	{
		size = sizeof(struct volley_send_options);
	}

	send_options &set_tos(uint32_t value) noexcept
	{
		tos = value;
		flags |= VOLLEY_SEND_TOS;
		return *this;
	}

	send_options &set_ttl(uint32_t value) noexcept
	{
		ttl = value;
		flags |= VOLLEY_SEND_TTL;
		return *this;
	}

	send_options &set_interface(uint32_t index) noexcept
	{
		interface_index = index;
		return *this;
	}

	/** The address stays where it is until the send has returned. */
	send_options &set_local(const volley_addr &from) noexcept
	{
		local = &from;
		return *this;
	}

	/** -EAGAIN while others wait, VOLLEY_SEND_IF_ROOM. */
	send_options &set_if_room() noexcept
	{
		flags |= VOLLEY_SEND_IF_ROOM;
		return *this;
	}
};

} // namespace volley

#endif

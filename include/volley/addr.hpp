/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_ADDR_HPP
#define VOLLEY_ADDR_HPP

/**
 * @file addr.hpp
 * Addresses as values: compared, printed, and keys of a std::unordered_map.
 */

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>

#include <volley/addr.h>
#include <volley/error.hpp>

namespace volley
{

/**
 * A socket address; by default none (`len` 0). It is a `volley_addr`, and made of one, so either
 * may be passed where the other is wanted.
 */
class addr : public volley_addr
{
      public:
	addr() noexcept : volley_addr{}
	{
	}

	addr(const volley_addr &other) noexcept : volley_addr(other)
	{
	}

	/** Of text, as volley_addr_parse() reads it; throws for what is no address. */
	explicit addr(const char *text) : volley_addr{}
	{
		check(volley_addr_parse(text, this), "volley_addr_parse");
	}

	explicit addr(const std::string &text) : addr(text.c_str())
	{
	}

	/** The same without an exception: nothing for what is no address. */
	static std::optional<addr> parse(const char *text) noexcept
	{
		addr found;

		if (volley_addr_parse(text, &found) < 0)
			return std::nullopt;
		return found;
	}

	/** As text that parse() reads back; "none" for none. */
	std::string format() const
	{
		char text[VOLLEY_ADDR_TEXT_BYTES];

		return volley_addr_format(this, text, sizeof text) < 0 ? "none" : text;
	}

	uint16_t get_port() const noexcept
	{
		return volley_addr_get_port(this);
	}

	/** IPv4 out of a mapped address; see volley_addr_unmap(). */
	addr unmap() const noexcept
	{
		addr plain;

		volley_addr_unmap(this, &plain);
		return plain;
	}

	bool is_multicast() const noexcept
	{
		return volley_addr_is_multicast(this);
	}

	friend bool operator==(const addr &a, const addr &b) noexcept
	{
		return volley_addr_is_equal(&a, &b);
	}

	friend bool operator!=(const addr &a, const addr &b) noexcept
	{
		return !(a == b);
	}
};

static_assert(sizeof(class addr) == sizeof(struct volley_addr), "an array of them is one of C's");

/**
 * The hash of addresses for one table: std::unordered_map<addr, T, addr_hash>. Each that is made
 * draws a key of its own, so that nobody can choose addresses that collide. (volley/peers.hpp has a
 * table that forgets idle ones and allocates nothing.)
 */
class addr_hash
{
      public:
	addr_hash()
	{
		std::random_device random;

		for (uint64_t &half : key)
			half = uint64_t{ random() } << 32 | random();
	}

	std::size_t operator()(const volley_addr &addr) const noexcept
	{
		return static_cast<std::size_t>(volley_addr_hash(&addr, key.data()));
	}

      private:
	std::array<uint64_t, 2> key;
};

} // namespace volley

#endif

/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_PACKET_HPP
#define VOLLEY_PACKET_HPP

/**
 * @file packet.hpp
 * Received datagrams, and those that are kept beyond their callback. Nothing here throws or
 * allocates: what may fail returns a negative errno, as in C.
 */

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string_view>
#include <utility>

#include <volley/addr.hpp>
#include <volley/held.h>
#include <volley/listener.hpp>
#include <volley/packet.h>
#include <volley/send.hpp>
#include <volley/worker.h>

namespace volley
{

/**
 * The token of a held packet, which one object owns: released when that ends, unless it was used.
 * On any thread, before the server is freed.
 */
class held
{
      public:
	held() noexcept = default;

	held(volley_server *of, volley_held taken) noexcept : server(of), token(taken)
	{
	}

	held(held &&other) noexcept : server(other.server), token(other.take())
	{
	}

	held &operator=(held &&other) noexcept
	{
		if (this != &other) {
			release();
			server = other.server;
			token = other.take();
		}
		return *this;
	}

	~held()
	{
		release();
	}

	/** Whether it has a token, which may be stale. */
	explicit operator bool() const noexcept
	{
		return token.id != 0;
	}

	/** 0, or the negative errno of volley_held_reply(); -ESTALE without a token. */
	int reply(payload bytes) noexcept
	{
		return use(volley_held_reply(server, token, bytes.data(), bytes.size()));
	}

	int reply(payload bytes, const volley_send_options &options) noexcept
	{
		return use(volley_held_reply_with(server, token, bytes.data(), bytes.size(),
						  &options));
	}

	/** Give the packet up without a reply. */
	void release() noexcept
	{
		if (token.id != 0)
			volley_held_release(server, take());
	}

	/** Copy its payload; returns its whole length, or a negative errno. */
	int get_payload(void *data, std::size_t n) const noexcept
	{
		return volley_held_get_payload(server, token, data, n);
	}

	/** The token for the functions of C, which then have it. */
	volley_held take() noexcept
	{
		return std::exchange(token, volley_held{});
	}

      private:
	/* What failed otherwise may be tried again; where C has used the token, it is stale now. */
	int use(int result) noexcept
	{
		if (result == 0 || result == -ESTALE)
			take();
		return result;
	}

	volley_server *server = nullptr;
	volley_held token{};
};

/**
 * A view of one datagram, valid until the callback returns: a pointer to the struct of C, whose
 * members it shows (packet->data, packet->len, packet->peer).
 */
class packet
{
      public:
	explicit packet(volley_packet *of_c) noexcept : raw(of_c)
	{
	}

	volley_packet *operator->() const noexcept
	{
		return raw;
	}

	volley_packet &operator*() const noexcept
	{
		return *raw;
	}

	std::string_view get_text() const noexcept
	{
		return { reinterpret_cast<const char *>(raw->data), raw->len };
	}

	payload get_payload() const noexcept
	{
		return { raw->data, raw->len };
	}

	const volley_addr &get_peer() const noexcept
	{
		return *raw->peer;
	}

	listener get_listener() const noexcept
	{
		return raw->listener;
	}

	/** 0, or the negative errno of volley_packet_reply(), which the ledger has counted. */
	int reply(payload bytes) const noexcept
	{
		return volley_packet_reply(raw, bytes.data(), bytes.size());
	}

	int reply(payload bytes, const volley_send_options &options) const noexcept
	{
		return volley_packet_reply_with(raw, bytes.data(), bytes.size(), &options);
	}

	/** Room for a reply; see volley_packet_reply_buffer(). nullptr when there is none. */
	void *reply_buffer(std::size_t need, std::size_t *ret_capacity = nullptr) const noexcept
	{
		return volley_packet_reply_buffer(raw, need, ret_capacity);
	}

	/** Keep it beyond the callback; no token when it cannot be held (`held_refused`). */
	held hold() const noexcept
	{
		volley_held token{};

		if (volley_packet_hold(raw, &token) < 0)
			return {};
		return { volley_worker_get_server(raw->worker), token };
	}

	/** The address that it was sent to; nothing where the kernel did not tell. */
	std::optional<addr> get_destination() const noexcept
	{
		addr found;

		if (volley_packet_get_destination(raw, &found) < 0)
			return std::nullopt;
		return found;
	}

	/** The handler's index; -ENODATA on a worker's thread. */
	int get_handler() const noexcept
	{
		return volley_packet_get_handler(raw);
	}

	/** The next three are -ENODATA for a listener that did not ask for it. */
	int get_ttl() const noexcept
	{
		return volley_packet_get_ttl(raw);
	}

	int get_tos() const noexcept
	{
		return volley_packet_get_tos(raw);
	}

	int get_interface() const noexcept
	{
		return volley_packet_get_interface(raw);
	}

	/** When the kernel received it; nothing for a listener that did not ask. */
	std::optional<std::chrono::system_clock::time_point> get_timestamp() const noexcept
	{
		const int64_t ns = volley_packet_get_timestamp(raw);

		if (ns < 0)
			return std::nullopt;
		return std::chrono::system_clock::time_point(
			std::chrono::duration_cast<std::chrono::system_clock::duration>(
				std::chrono::nanoseconds(ns)));
	}

      private:
	volley_packet *raw;
};

/** A volley: a range of packets. */
class packets
{
      public:
	class iterator
	{
	      public:
		using iterator_category = std::input_iterator_tag;
		using value_type = packet;
		using difference_type = std::ptrdiff_t;
		using pointer = void;
		using reference = packet;

		explicit iterator(volley_packet *first) noexcept : at(first)
		{
		}

		packet operator*() const noexcept
		{
			return packet(at);
		}

		iterator &operator++() noexcept
		{
			at++;
			return *this;
		}

		iterator operator++(int) noexcept
		{
			return iterator(at++);
		}

		friend bool operator==(iterator a, iterator b) noexcept
		{
			return a.at == b.at;
		}

		friend bool operator!=(iterator a, iterator b) noexcept
		{
			return a.at != b.at;
		}

	      private:
		volley_packet *at;
	};

	packets(volley_packet *of_c, std::size_t count) noexcept : first(of_c), n(count)
	{
	}

	iterator begin() const noexcept
	{
		return iterator(first);
	}

	iterator end() const noexcept
	{
		return iterator(first + n);
	}

	std::size_t size() const noexcept
	{
		return n;
	}

	packet operator[](std::size_t i) const noexcept
	{
		return packet(first + i);
	}

      private:
	volley_packet *first;
	std::size_t n;
};

} // namespace volley

#endif

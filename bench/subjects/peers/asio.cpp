/* SPDX-License-Identifier: MIT */

/* Asio as its tutorial does it: async_receive_from, async_send_to, and again. */

#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include <unistd.h>

#include <asio.hpp>
#include <string>

#include "peers.h"

namespace
{

class echo
{
      public:
	explicit echo(struct bench_loop *loop)
	    : loop_(loop), io_(1), socket_(io_), buffer_(65536), left_(0)
	{
		/* The descriptor stays the caller's. */
		socket_.assign(asio::ip::udp::v4(), ::dup(loop->fd));
		receive();
	}

	void run(std::uint64_t n)
	{
		left_ = n;
		io_.restart();
		io_.run();
	}

      private:
	void receive()
	{
		socket_.async_receive_from(asio::buffer(buffer_), peer_,
					   [this](const asio::error_code &error, std::size_t len) {
						   if (error)
							   receive();
						   else
							   send(len);
					   });
	}

	void send(std::size_t len)
	{
		socket_.async_send_to(asio::buffer(buffer_.data(), len), peer_,
				      [this](const asio::error_code &error, std::size_t) {
					      if (error)
						      loop_->counters->n_failed++;
					      bench_counters_add(loop_->counters, 1);
					      receive();
					      if (--left_ == 0)
						      io_.stop();
				      });
	}

	struct bench_loop *loop_;
	asio::io_context io_;
	asio::ip::udp::socket socket_;
	std::vector<char> buffer_;
	asio::ip::udp::endpoint peer_;
	std::uint64_t left_;
};

int asio_open(struct bench_loop *loop)
{
	try {
		loop->state = new echo(loop);
		return 0;
	} catch (const std::exception &) {
		return -ENOMEM;
	}
}

int asio_run(struct bench_loop *loop, std::uint64_t n)
{
	try {
		static_cast<echo *>(loop->state)->run(n);
		return 0;
	} catch (const std::exception &) {
		return -EIO;
	}
}

void asio_close(struct bench_loop *loop)
{
	delete static_cast<echo *>(loop->state);
}

const char *asio_version(void)
{
	static const std::string version = std::to_string(ASIO_VERSION / 100000) + "." +
					   std::to_string(ASIO_VERSION / 100 % 1000) + "." +
					   std::to_string(ASIO_VERSION % 100);

	return version.c_str();
}

} // namespace

extern "C" const struct bench_peer bench_peer_asio = {
	"asio",     "standalone Asio, async_receive_from and async_send_to",
	nullptr,    asio_version,
	asio_open,  asio_run,
	asio_close, false,
};

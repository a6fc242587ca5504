/* SPDX-License-Identifier: MIT */
#ifndef TESTS_CXX_CLIENT_HPP
#define TESTS_CXX_CLIENT_HPP

/* What the programs of tests/cxx share: a condition that ends the program, a client, a signal. */

#include <cstdio>
#include <cstdlib>
#include <string>

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <volley/volley.hpp>

inline void require(bool holds, const char *what, const char *file, int line)
{
	if (holds)
		return;
	std::fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
	std::_Exit(1);
}
#define REQUIRE(condition) require(static_cast<bool>(condition), #condition, __FILE__, __LINE__)

/* A UDP socket that is connected to a server, and waits for it as long as it takes. */
class client
{
      public:
	explicit client(const volley::addr &server)
	    : fd(socket(server.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0))
	{
		REQUIRE(fd >= 0 && connect(fd, &server.sa, server.len) == 0);
	}

	client(const client &) = delete;
	client &operator=(const client &) = delete;

	~client()
	{
		close(fd);
	}

	void send(const std::string &text) const
	{
		REQUIRE(::send(fd, text.data(), text.size(), 0) ==
			static_cast<ssize_t>(text.size()));
	}

	std::string recv() const
	{
		char text[2048];
		const ssize_t n = ::recv(fd, text, sizeof text, 0);

		REQUIRE(n >= 0);
		return { text, static_cast<std::size_t>(n) };
	}

	std::string ask(const std::string &text) const
	{
		send(text);
		return recv();
	}

	volley::addr get_addr() const
	{
		volley::addr own;
		socklen_t len = sizeof own.in6;

		REQUIRE(getsockname(fd, &own.sa, &len) == 0);
		own.len = len;
		return own;
	}

      private:
	int fd;
};

/* For run(): one that comes before run() has blocked it would end the program. */
inline void block_signal(int signo)
{
	sigset_t blocked;

	sigemptyset(&blocked);
	sigaddset(&blocked, signo);
	pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
}

#endif

/* SPDX-License-Identifier: MIT */

/*
 * A group of SO_REUSEPORT sockets whose first member was bound without the option and given it
 * afterwards: it is a working group, and a server that binds its own first socket the same way is
 * kept out. A stranger that sets SO_REUSEPORT before it binds, as the same user, is let in: the
 * option is an agreement, not a lock, and this is where it ends.
 */

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/check.h"
#include "lib/loopback.h"

enum when { NEVER, BEFORE, AFTER };

/* A socket on `addr` with SO_REUSEPORT set before or after its bind, or -errno. */
static int try_open(struct volley_addr *addr, enum when when)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	int one = 1, r;
	socklen_t n = addr->len;

	if (when == BEFORE)
		REQUIRE(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0);
	r = bind(fd, &addr->sa, addr->len) < 0 ? -errno : 0;
	if (r < 0) {
		close(fd);
		return r;
	}
	if (when == AFTER)
		REQUIRE(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0);
	REQUIRE(getsockname(fd, &addr->sa, &n) == 0);
	return fd;
}

static int count(int fd)
{
	char byte;
	int n = 0;

	while (recv(fd, &byte, 1, MSG_DONTWAIT) >= 0)
		n++;
	return n;
}

int main(void)
{
	struct volley_addr addr = loopback_addr("127.0.0.1:0");
	int first = try_open(&addr, AFTER);
	int second = try_open(&addr, BEFORE);
	int n_first, n_second, stranger;

	REQUIRE(first >= 0);
	REQUIRE(second >= 0);
	CHECK_EQ(try_open(&addr, AFTER), -EADDRINUSE);
	CHECK_EQ(try_open(&addr, NEVER), -EADDRINUSE);

	for (int i = 0; i < 128; i++) {
		int client = loopback_open("127.0.0.1:0", NULL);

		loopback_send(client, &addr, 0, 1);
		close(client);
	}
	n_first = count(first);
	n_second = count(second);
	CHECK_EQ(n_first + n_second, 128);
	CHECK(n_first > 0 && n_second > 0);

	/* Closing a member throws its queue away; the others get all that comes later. */
	close(second);
	for (int i = 0; i < 32; i++) {
		int client = loopback_open("127.0.0.1:0", NULL);

		loopback_send(client, &addr, 0, 1);
		close(client);
	}
	CHECK_EQ(count(first), 32);

	stranger = try_open(&addr, BEFORE);
	CHECK(stranger >= 0);
	close(stranger);
	close(first);
	return check_done();
}

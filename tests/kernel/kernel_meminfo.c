/* SPDX-License-Identifier: MIT */

/*
 * SO_MEMINFO counts every message that a socket refused, at once and exactly; and a socket with a
 * drop-all filter, read until EAGAIN, accounts for every message that was ever sent to it, also
 * when the filter was attached in the middle of a flood (but for the latecomer below). The ledger's
 * `kernel_drops` and drain rest on these two.
 */

#include <errno.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/check.h"
#include "lib/loopback.h"

static int64_t get_drops(int fd)
{
	uint32_t vars[SK_MEMINFO_VARS] = { 0 };
	socklen_t n = sizeof vars;

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, vars, &n) < 0) {
		SKIP("no SO_MEMINFO (Linux 4.12)");
		exit(check_done());
	}
	return vars[SK_MEMINFO_DROPS];
}

static void set_filter(int fd)
{
	struct sock_filter nothing = { .code = BPF_RET | BPF_K, .k = 0 };
	struct sock_fprog program = { .len = 1, .filter = &nothing };

	REQUIRE(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0);
}

static int64_t read_all(int fd)
{
	uint8_t buf[64];
	int64_t n = 0;

	while (recv(fd, buf, sizeof buf, MSG_DONTWAIT) >= 0)
		n++;
	if (errno != EAGAIN)
		CHECK(!"the socket gave an error");
	return n;
}

static void a_full_buffer_drops_and_counts(void)
{
	struct volley_addr addr;
	int fd = loopback_open("127.0.0.1:0", &addr);
	int client = loopback_open("127.0.0.1:0", NULL);
	int small = 10000;
	int64_t n_read;

	REQUIRE(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) == 0);
	for (int i = 0; i < 1000; i++)
		loopback_send(client, &addr, 0, 64);
	n_read = read_all(fd);
	CHECK(n_read > 0 && n_read < 1000);
	CHECK_EQ(get_drops(fd), 1000 - n_read);
	/* Reading the count does not clear it. */
	CHECK_EQ(get_drops(fd), 1000 - n_read);
	close(fd);
	close(client);
}

static void a_filter_keeps_what_is_queued(void)
{
	struct volley_addr addr;
	int fd = loopback_open("127.0.0.1:0", &addr);

	for (int i = 0; i < 5; i++)
		loopback_send(fd, &addr, 0, 1);
	CHECK(loopback_wait(fd));
	set_filter(fd);
	for (int i = 0; i < 7; i++)
		loopback_send(fd, &addr, 0, 1);
	CHECK_EQ(read_all(fd), 5);
	CHECK_EQ(get_drops(fd), 7);
	close(fd);
}

struct flood {
	struct volley_addr to;
	_Atomic int64_t n_sent;
	_Atomic bool stop;
};

static void *flood(void *arg)
{
	struct flood *f = arg;
	int client = loopback_open("127.0.0.1:0", NULL);

	while (!atomic_load(&f->stop)) {
		loopback_send(client, &f->to, 0, 64);
		atomic_fetch_add(&f->n_sent, 1);
	}
	close(client);
	return NULL;
}

static void a_filter_in_a_flood_loses_nothing_in_silence(void)
{
	struct flood f = { .n_sent = 0 };
	int fd = loopback_open("127.0.0.1:0", &f.to);
	int64_t n_read = 0, n_late = 0, at_filter;
	pthread_t thread;

	REQUIRE(pthread_create(&thread, NULL, flood, &f) == 0);
	while (atomic_load(&f.n_sent) < 1000)
		n_read += read_all(fd);
	set_filter(fd);
	at_filter = atomic_load(&f.n_sent);
	/* Bounded although the flood goes on: nothing new queues. */
	n_read += read_all(fd);
	while (atomic_load(&f.n_sent) < at_filter + 1000)
		n_late += read_all(fd);
	/* A sender that was past the filter when it came queues one more: it waits for nobody. */
	CHECK(n_late <= 1);
	atomic_store(&f.stop, true);
	pthread_join(thread, NULL);
	CHECK_EQ(n_read + n_late + get_drops(fd), atomic_load(&f.n_sent));
	close(fd);
}

int main(void)
{
	a_full_buffer_drops_and_counts();
	a_filter_keeps_what_is_queued();
	for (int i = 0; i < 5; i++)
		a_filter_in_a_flood_loses_nothing_in_silence();
	return check_done();
}

/* SPDX-License-Identifier: MIT */

/*
 * relay FROM-PORT TO-PORT: pass datagrams on, upper-cased, on the loopback, until SIGTERM or
 * SIGINT; then say what became of them. Built on libvolley-cancel alone.
 */

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "../common/start.h"
#include "relay.h"

static void upper(char *data, size_t len, void *arg)
{
	(void)arg;
	for (size_t i = 0; i < len; i++)
		if (data[i] >= 'a' && data[i] <= 'z')
			data[i] = (char)(data[i] - 'a' + 'A');
}

struct job {
	struct relay relay;
	struct relay_counts counts;
	struct volley_cancel *handle;
	pthread_barrier_t attached;
};

/* Until cancelled. Other errors are those of single datagrams: an ICMP error, say. */
static void *work(void *arg)
{
	struct job *job = arg;
	int r = volley_cancel_attach(&job->handle);

	pthread_barrier_wait(&job->attached);
	while (r >= 0 && r != -ECANCELED) {
		r = relay_once(&job->relay, &job->counts);
		r = r < 0 && r != -ECANCELED ? 0 : r;
	}
	volley_cancel_detach();
	return NULL;
}

static int open_socket(const char *port, int (*name)(int, const struct sockaddr *, socklen_t))
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 || name(fd, (struct sockaddr *)&addr, sizeof addr) < 0 ? -1 : fd;
}

int main(int argc, char **argv)
{
	static struct job job;
	pthread_t thread;
	sigset_t set;
	int in, out, signo;

	if (argc != 3) {
		fprintf(stderr, "usage: relay FROM-PORT TO-PORT\n");
		return 2;
	}
	start_program();
	in = open_socket(argv[1], bind);
	out = open_socket(argv[2], connect);
	if (in < 0 || out < 0) {
		perror("relay");
		return 1;
	}
	relay_init(&job.relay, in, out, upper, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	pthread_barrier_init(&job.attached, NULL, 2);
	if (pthread_create(&thread, NULL, work, &job) != 0)
		return 1;
	pthread_barrier_wait(&job.attached);
	if (job.handle == NULL)
		return 1;

	sigwait(&set, &signo);
	volley_cancel_request(job.handle);
	pthread_join(thread, NULL);
	volley_cancel_unref(job.handle);
	printf("relay: %llu received, %llu sent, %llu failed\n",
	       (unsigned long long)job.counts.n_received, (unsigned long long)job.counts.n_sent,
	       (unsigned long long)job.counts.n_failed);
	return 0;
}

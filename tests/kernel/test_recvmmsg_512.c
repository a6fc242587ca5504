/* SPDX-License-Identifier: MIT */

/*
 * Why volley_recvmmsg() never goes without MSG_WAITFORONE: a recvmmsg that may sleep after its
 * first message, when a signal interrupts that sleep, returns the count and leaves the interruption
 * on the socket, errno 512 or EINTR, for the next call of anyone. With the flag it cannot.
 */

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <volley/mmsg.h>

#include "lib/check.h"

static int fd;
static _Atomic pid_t tid;
static int result;
static int (*receive)(struct mmsghdr *msgs);

static int receive_plainly(struct mmsghdr *msgs)
{
	long r = syscall(SYS_recvmmsg, fd, msgs, 2, 0, NULL);

	return r < 0 ? -errno : (int)r;
}

static int receive_our_way(struct mmsghdr *msgs)
{
	return volley_recvmmsg(fd, msgs, 2, 0);
}

static void on_signal(int signo)
{
	(void)signo;
}

static void *receiver(void *arg)
{
	char buf[2][16];
	struct iovec iov[2] = { { buf[0], 16 }, { buf[1], 16 } };
	struct mmsghdr msgs[2] = { { .msg_hdr = { .msg_iov = &iov[0], .msg_iovlen = 1 } },
				   { .msg_hdr = { .msg_iov = &iov[1], .msg_iovlen = 1 } } };

	(void)arg;
	atomic_store(&tid, (pid_t)syscall(SYS_gettid));
	result = receive(msgs);
	return NULL;
}

static int queued(void)
{
	char c;

	return recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

static int is_asleep(void)
{
	char path[64], line[256], *p;
	FILE *file;
	int asleep = 0;

	snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)atomic_load(&tid));
	file = fopen(path, "r");
	if (file != NULL && fgets(line, sizeof line, file) != NULL &&
	    (p = strrchr(line, ')')) != NULL)
		asleep = p[2] == 'S';
	if (file != NULL)
		fclose(file);
	return asleep;
}

/* The pending error of the socket after a batch of two got one message and a signal. */
static int error_after(int (*how)(struct mmsghdr *msgs))
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof addr;
	pthread_t thread;
	int error = 0;

	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	REQUIRE(bind(fd, (void *)&addr, sizeof addr) == 0);
	REQUIRE(getsockname(fd, (void *)&addr, &len) == 0);
	REQUIRE(connect(fd, (void *)&addr, len) == 0); /* to itself */
	REQUIRE(send(fd, "x", 1, 0) == 1);
	receive = how;
	atomic_store(&tid, 0);
	pthread_create(&thread, NULL, receiver, NULL);
	if (how == receive_plainly) {
		while (atomic_load(&tid) == 0 || queued() || !is_asleep())
			sched_yield();
		pthread_kill(thread, SIGUSR1);
	}
	pthread_join(thread, NULL);
	CHECK_EQ(result, 1);
	len = sizeof error;
	REQUIRE(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0);
	close(fd);
	return error;
}

int main(void)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	int error;

	sigaction(SIGUSR1, &action, NULL);
	error = error_after(receive_plainly);
	printf("without MSG_WAITFORONE: errno %d is left on the socket\n", error);
	if (error == 0)
		SKIP("this kernel leaves nothing on the socket");
	else
		CHECK(error == 512 || error == EINTR);
	CHECK_EQ(error_after(receive_our_way), 0);
	return check_done();
}

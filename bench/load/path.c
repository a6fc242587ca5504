/* SPDX-License-Identifier: MIT */

/*
 * Where generator and server meet. On loopback both are where this process is. Over veth they live
 * in network namespaces of their own:
 *
 *     clients' namespace                                          servers' namespace
 *     10.16.0.0/12 local    bench0 10.255.0.2 ---- 10.255.0.1 bench1    10.254.0.0/16 local
 *
 * Whole ranges are local by one route each, so a million client addresses cost no set-up. The
 * namespaces have no name and nobody else can enter them, so there is nothing to clean up: they go
 * with the last process in them, also after Ctrl-C or SIGKILL.
 */

#include "path.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/interrupt.h"

/* 127.16.0.1 and up: away from what anybody listens on, a million of them below 127.255.255.255. */
#define LOOPBACK_SERVER 0x7f000001u
#define LOOPBACK_SOURCE 0x7f100001u
#define VETH_SERVER     0x0afe0001u
#define VETH_SOURCE     0x0a100001u

void bench_path_init(struct bench_path *path)
{
	*path = (struct bench_path){ .server_netns = -1,
				     .client_netns = -1,
				     .server = LOOPBACK_SERVER,
				     .source = LOOPBACK_SOURCE };
}

/* 0 or -EPERM. */
static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool is_written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return is_written ? 0 : -EPERM;
}

/* Without root's rights, those of a user namespace of our own will do. */
static int enter_user(void)
{
	char uid[64], gid[64];

	snprintf(uid, sizeof uid, "0 %u 1", getuid());
	snprintf(gid, sizeof gid, "0 %u 1", getgid());
	if (unshare(CLONE_NEWUSER) < 0)
		return -errno;
	if (write_file("/proc/self/setgroups", "deny") < 0 ||
	    write_file("/proc/self/uid_map", uid) < 0 || write_file("/proc/self/gid_map", gid) < 0)
		return -EPERM;
	return 0;
}

/* Into a fresh network namespace. Its descriptor or -errno. */
static int enter_new(void)
{
	int fd;

	if (unshare(CLONE_NEWNET) < 0)
		return -errno;
	fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* ip says on stderr what it did not like. */
static int run_ip(const char *commands)
{
	/* A fixed command. */
	FILE *ip = popen("ip -batch -", "we"); /* NOLINT(cert-env33-c) */

	if (ip == NULL)
		return -errno;
	fputs(commands, ip);
	return pclose(ip) == 0 ? 0 : -EIO;
}

static int connect_both(const struct bench_path *path)
{
	char text[512];
	int r;

	snprintf(text, sizeof text,
		 "link set lo up\n"
		 "link add bench0 type veth peer name bench1 netns /proc/%d/fd/%d\n"
		 "addr add 10.255.0.2/30 dev bench0\n"
		 "link set bench0 up\n"
		 "route add local 10.16.0.0/12 dev lo\n"
		 "route add 10.254.0.0/16 via 10.255.0.1\n",
		 (int)getpid(), path->server_netns);
	r = run_ip(text);
	if (r >= 0)
		r = bench_path_enter_server(path);
	if (r < 0)
		return r;
	r = run_ip("link set lo up\n"
		   "addr add 10.255.0.1/30 dev bench1\n"
		   "link set bench1 up\n"
		   "route add local 10.254.0.0/16 dev lo\n"
		   "route add 10.16.0.0/12 via 10.255.0.2\n");
	return r < 0 ? r : bench_path_leave_server(path);
}

int bench_path_open_veth(struct bench_path *path)
{
	struct bench_path mine = { .name = "over veth",
				   .server_netns = -1,
				   .client_netns = -1,
				   .server = VETH_SERVER,
				   .source = VETH_SOURCE };
	int r = geteuid() == 0 ? 0 : enter_user();

	if (r >= 0)
		r = mine.server_netns = enter_new();
	if (r >= 0)
		r = mine.client_netns = enter_new();
	if (r < 0) {
		fprintf(stderr,
			"volley-bench: no network namespaces for --path veth (%s): it takes root, "
			"or a system where users may make namespaces\n",
			strerror(-r));
		return r;
	}
	r = connect_both(&mine);
	if (r < 0 && bench_interrupt_is_pending())
		return -EINTR; /* the shell around ip does not block what we do */
	if (r < 0) {
		fprintf(stderr, "volley-bench: no veth pair: ip (iproute2) is missing or failed\n");
		return r;
	}
	*path = mine;
	return 0;
}

static int enter(int netns)
{
	if (netns < 0)
		return 0;
	return setns(netns, CLONE_NEWNET) < 0 ? -errno : 0;
}

int bench_path_enter_server(const struct bench_path *path)
{
	return enter(path->server_netns);
}

int bench_path_leave_server(const struct bench_path *path)
{
	return enter(path->client_netns);
}

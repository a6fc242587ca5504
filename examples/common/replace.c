/* SPDX-License-Identifier: MIT */

/*
 * Hot restart by a path. The path is a socket that one process listens at; a new one connects to
 * it, takes the sockets over, and puts its own in the path's place by rename(2), so that there is
 * no moment without one. A path at which nobody listens is left over and simply replaced.
 *
 * Only processes of one user meet there: the path's mode is 0600, and the library asks who the peer
 * is.
 */

#include "replace.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* How long either side may take for a step; a server that starts does not take longer. */
enum { TIMEOUT_US = 10000000 };

static int fail(const struct replace *replace, int r, const char *what)
{
	fprintf(stderr, "%s: --replace %s: %s: %s\n", replace->program, replace->path, what,
		strerror(-r));
	return r;
}

static int open_socket(const char *path, struct sockaddr_un *ret_addr)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof addr.sun_path)
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	*ret_addr = addr;
	return fd;
}

int replace_begin(struct replace *replace, const char *program, const char *path,
		  struct volley_server *server)
{
	struct sockaddr_un addr;
	int fd;
	int r;

	*replace = (struct replace){
		.program = program, .path = path, .server = server, .peer_fd = -1, .listen_fd = -1
	};
	fd = open_socket(path, &addr);
	if (fd < 0)
		return fail(replace, fd, "cannot open a socket");
	if (connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0) {
		r = -errno;
		close(fd);
		if (r == -ENOENT || r == -ECONNREFUSED)
			return 0; /* we are the first */
		return fail(replace, r, "cannot connect");
	}
	replace->peer_fd = fd;
	r = volley_server_import_fds(server, fd, TIMEOUT_US);
	return r < 0 ? fail(replace, r, "cannot take the sockets over") : 0;
}

/* Bound under a name of its own first: the path always leads to somebody. */
static int open_path(struct replace *replace)
{
	char own[sizeof((struct sockaddr_un *)0)->sun_path];
	struct sockaddr_un addr;
	struct stat stat_own;
	int n = snprintf(own, sizeof own, "%s.%d", replace->path, (int)getpid());
	int fd = n < (int)sizeof own ? open_socket(own, &addr) : -ENAMETOOLONG;
	int r;

	if (fd < 0)
		return fd;
	unlink(own); /* of another process that had our number */
	if (bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0 || chmod(own, 0600) < 0 ||
	    listen(fd, 1) < 0 || stat(own, &stat_own) < 0 || rename(own, replace->path) < 0) {
		r = -errno;
		unlink(own);
		close(fd);
		return r;
	}
	replace->inode = stat_own.st_ino;
	return fd;
}

/* Hand over to whoever asks, one after the other, until it succeeds or we end. */
static void *serve(void *arg)
{
	struct replace *replace = arg;
	int r = volley_cancel_attach(&replace->handle);

	sem_post(&replace->attached);
	while (r >= 0) {
		int fd = volley_accept4(replace->listen_fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd == -ECANCELED)
			break;
		if (fd < 0) { /* no descriptor is left, perhaps: not at once again */
			volley_ppoll(NULL, 0, &(struct timespec){ .tv_nsec = 100000000 }, NULL);
			continue;
		}
		r = volley_server_export_fds(replace->server, fd, TIMEOUT_US);
		close(fd);
		if (r == 0) {
			replace->inode = 0;
			fprintf(stderr, "%s: replaced\n", replace->program);
			volley_server_request_stop(replace->server);
			break;
		}
		r = 0;
	}
	volley_cancel_detach();
	return NULL;
}

int replace_commit(struct replace *replace)
{
	int r = 0;

	if (replace->peer_fd >= 0)
		r = volley_server_import_commit(replace->server, replace->peer_fd, TIMEOUT_US);
	if (r < 0)
		return fail(replace, r, "the old process serves on");
	replace->listen_fd = open_path(replace);
	if (replace->listen_fd < 0)
		return fail(replace, replace->listen_fd, "cannot listen there");
	sem_init(&replace->attached, 0, 0);
	r = -pthread_create(&replace->thread, NULL, serve, replace);
	if (r < 0)
		return fail(replace, r, "no thread");
	replace->running = true;
	while (sem_wait(&replace->attached) < 0)
		continue;
	return 0;
}

void replace_end(struct replace *replace)
{
	struct stat stat_path;

	if (replace->path == NULL)
		return;
	if (replace->running) {
		if (replace->handle != NULL)
			volley_cancel_request(replace->handle);
		pthread_join(replace->thread, NULL);
		volley_cancel_unref(replace->handle);
	}
	if (replace->inode != 0 && stat(replace->path, &stat_path) == 0 &&
	    stat_path.st_ino == replace->inode)
		unlink(replace->path);
	if (replace->listen_fd >= 0)
		close(replace->listen_fd);
	if (replace->peer_fd >= 0)
		close(replace->peer_fd);
	*replace = (struct replace){ .path = NULL };
}

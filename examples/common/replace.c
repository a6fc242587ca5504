/* SPDX-License-Identifier: MIT */

/*
 * Hot restart by a path. The path is a socket that one process listens at; a new one connects to
 * it, takes the sockets over, and puts its own in the path's place by rename(2), so that there is
 * no moment without one. A path at which nobody listens is left over and simply replaced. What is
 * no socket is nobody's to replace.
 *
 *	begin   is the path free or a socket? a name beside it, the thread; then the sockets
 *	commit  the old process may go: from here on nobody else serves, so nothing here may fail
 *	        but the rename, and that is tried again
 *
 * Only processes of one user meet there: the path's mode is 0600, and the library asks who the peer
 * is.
 */

#include "replace.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* How long either side may take for a step; a server that starts does not take longer. */
enum { TIMEOUT_US = 10000000 };

/*
 * How often a path is asked for sockets when each process that listened there died before it had
 * sent them. Twice is bad luck, five times is something else.
 */
enum { MAX_TRIES = 5 };

/*
 * How long a process that has said nothing of itself may take to close what it has. One that has is
 * waited for by the library.
 */
enum { DEATH_MS = 1000 };

/* How often what could not be put right is looked at again. */
enum { LOOK_S = 10 };

static void say(const struct replace *replace, const char *what, int r)
{
	fprintf(stderr, "%s: --replace %s: %s: %s\n", replace->program, replace->path, what,
		strerror(-r));
}

static int fail(const struct replace *replace, int r, const char *what)
{
	say(replace, what, r);
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

/* The path ------------------------------------------------------------------------------------- */

/* Absent, or a socket: anything else is somebody's, and would be gone by our rename(2). */
static int check_path(const char *path)
{
	struct stat stat_path;

	if (lstat(path, &stat_path) < 0)
		return errno == ENOENT ? 0 : -errno;
	return S_ISSOCK(stat_path.st_mode) ? 0 : -ENOTSOCK;
}

/*
 * Listen under a name of our own beside the path. What is wrong with the folder, or with the length
 * of the name, is seen here and not at the end.
 */
static int open_own(struct replace *replace)
{
	struct sockaddr_un addr;
	struct stat stat_own;
	int n = snprintf(replace->own, sizeof replace->own, "%s.%d", replace->path, (int)getpid());
	int fd;
	int r;

	if (n >= (int)sizeof replace->own)
		return -ENAMETOOLONG;
	r = check_path(replace->own); /* of another process that had our number */
	if (r < 0)
		return r;
	fd = open_socket(replace->own, &addr);
	if (fd < 0)
		return fd;
	unlink(replace->own);
	if (bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	if (chmod(replace->own, 0600) < 0 || listen(fd, 1) < 0 ||
	    stat(replace->own, &stat_own) < 0) {
		r = -errno;
		unlink(replace->own);
		close(fd);
		return r;
	}
	replace->device = stat_own.st_dev;
	replace->inode = stat_own.st_ino;
	replace->listen_fd = fd;
	return 0;
}

/* The path always leads to somebody: to the old process until this, and then to us. */
static int take_path(struct replace *replace)
{
	int r = check_path(replace->path);

	if (r >= 0 && rename(replace->own, replace->path) < 0)
		r = -errno;
	replace->placed = r >= 0;
	return r;
}

static bool is_ours(const struct replace *replace, const char *path)
{
	struct stat stat_path;

	return stat(path, &stat_path) == 0 && stat_path.st_dev == replace->device &&
	       stat_path.st_ino == replace->inode;
}

static void leave_path(struct replace *replace)
{
	if (replace->listen_fd < 0)
		return;
	if (is_ours(replace, replace->own))
		unlink(replace->own);
	if (is_ours(replace, replace->path))
		unlink(replace->path);
	close(replace->listen_fd);
}

/* The thread ----------------------------------------------------------------------------------- */

/* What has failed would fail again at once; the wait itself too, where a filter refuses it. */
static void pause_after(int error)
{
	const struct timespec moment = { .tv_nsec = 100000000 };
	int r;

	if (error == -ECANCELED || error == -EINTR)
		return;
	r = volley_ppoll(NULL, 0, &moment, NULL);
	if (r < 0 && r != -ECANCELED && r != -EINTR)
		nanosleep(&moment, NULL);
}

/* Whoever connected, for at most this long. A descriptor, or -errno. */
static int accept_one(struct replace *replace)
{
	struct pollfd fd = { .fd = replace->listen_fd, .events = POLLIN };
	int r = volley_ppoll(&fd, 1, &(struct timespec){ .tv_sec = LOOK_S }, NULL);

	if (r == 0)
		return -EAGAIN;
	if (r > 0)
		r = volley_accept4(replace->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (r < 0) /* no descriptor is left, perhaps */
		pause_after(r);
	return r;
}

/* In doubt both serve, and somebody has to end one of them. */
static void say_sharers(const struct replace *replace)
{
	int n = volley_server_count_sharers(replace->server);

	if (n > 0)
		fprintf(stderr,
			"%s: --replace %s: %d other process%s may read the same sockets, after a "
			"hand-over that was not finished: end all but one\n",
			replace->program, replace->path, n, n > 1 ? "es" : "");
}

/* Hand over to whoever asks, one after the other, until it succeeds or we end. */
static void serve(struct replace *replace)
{
	for (;;) {
		int fd = accept_one(replace);
		int r;

		if (fd == -ECANCELED)
			return;
		if (!replace->placed && take_path(replace) >= 0)
			fprintf(stderr, "%s: --replace %s: listens there now\n", replace->program,
				replace->path);
		if (fd == -EAGAIN)
			say_sharers(replace);
		if (fd < 0)
			continue;
		r = volley_server_export_fds(replace->server, fd, TIMEOUT_US);
		close(fd);
		if (r < 0) {
			say_sharers(replace);
		} else {
			fprintf(stderr, "%s: replaced\n", replace->program);
			volley_server_request_stop(replace->server);
			return;
		}
	}
}

static void *run(void *arg)
{
	struct replace *replace = arg;

	replace->attach_error = volley_cancel_attach(&replace->handle);
	sem_post(&replace->attached);
	if (replace->attach_error < 0)
		return NULL;
	while (sem_wait(&replace->go) < 0)
		continue;
	if (replace->serves)
		serve(replace);
	volley_cancel_detach();
	return NULL;
}

static int start_thread(struct replace *replace)
{
	int r;

	sem_init(&replace->attached, 0, 0);
	sem_init(&replace->go, 0, 0);
	r = -pthread_create(&replace->thread, NULL, run, replace);
	if (r < 0)
		return r;
	replace->has_thread = true;
	while (sem_wait(&replace->attached) < 0)
		continue;
	return replace->attach_error;
}

static void end_thread(struct replace *replace)
{
	if (!replace->has_thread)
		return;
	if (replace->serves)
		volley_cancel_request(replace->handle);
	sem_post(&replace->go);
	pthread_join(replace->thread, NULL);
	volley_cancel_unref(replace->handle);
}

/* The process before us ------------------------------------------------------------------------ */

/* A connection to it, or -errno: -ENOENT or -ECONNREFUSED when there is none. */
static int connect_path(const char *path)
{
	struct sockaddr_un addr;
	int fd = open_socket(path, &addr);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

/* The other end is closed: its process may still have the UDP sockets for a moment. */
static void await_death(int fd)
{
	struct ucred peer;
	socklen_t n = sizeof peer;
	struct pollfd death = { .events = POLLIN };

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0)
		return;
	death.fd = (int)syscall(SYS_pidfd_open, peer.pid, 0); /* Linux 5.3 */
	if (death.fd < 0)
		return;
	poll(&death, 1, DEATH_MS);
	close(death.fd);
}

/*
 * One that dies before it has sent its sockets had nobody after it: then the path leads to another
 * by now, or to nobody and we are the first.
 */
static int take_over(struct replace *replace)
{
	int r = 0;

	for (int i = 0; i < MAX_TRIES; i++) {
		int fd = connect_path(replace->path);

		if (fd == -ENOENT || fd == -ECONNREFUSED)
			return 0;
		if (fd < 0)
			return fail(replace, fd, "cannot connect");
		r = volley_server_import_fds(replace->server, fd, TIMEOUT_US);
		if (r >= 0) {
			replace->peer_fd = fd;
			return 0;
		}
		if (r == -EPIPE)
			await_death(fd);
		close(fd);
		if (r != -EPIPE)
			break;
	}
	return fail(replace, r, "cannot take the sockets over");
}

int replace_begin(struct replace *replace, const char *program, const char *path,
		  struct volley_server *server)
{
	int r;

	*replace = (struct replace){
		.program = program, .path = path, .server = server, .peer_fd = -1, .listen_fd = -1
	};
	r = check_path(path);
	if (r == -ENOTSOCK)
		return fail(replace, r,
			    "is there already and no socket, and would be lost: name a path that "
			    "is free, or that of the process to replace");
	if (r >= 0)
		r = open_own(replace);
	if (r < 0)
		return fail(replace, r, "cannot listen there");
	r = start_thread(replace);
	if (r < 0)
		return fail(replace, r, "cannot start a thread");
	return take_over(replace);
}

int replace_commit(struct replace *replace)
{
	int r = 0;

	if (replace->peer_fd >= 0)
		r = volley_server_import_commit(replace->server, replace->peer_fd, TIMEOUT_US);
	if (r < 0)
		return fail(replace, r, "the old process serves on");
	r = take_path(replace);
	if (r < 0)
		say(replace,
		    "serves, but cannot listen there, so nothing can replace it; it tries "
		    "again every 10 s",
		    r);
	say_sharers(replace);
	replace->serves = true;
	sem_post(&replace->go);
	return 0;
}

void replace_end(struct replace *replace)
{
	if (replace->path == NULL)
		return;
	end_thread(replace);
	leave_path(replace);
	if (replace->peer_fd >= 0)
		close(replace->peer_fd);
	*replace = (struct replace){ .path = NULL };
}

/* SPDX-License-Identifier: MIT */

/*
 * Hot restart by a path. The path is a socket that one process listens at; a new one connects to
 * it, takes the sockets over, and puts its own in the path's place (place.c), so that there is no
 * moment without one. A path at which nobody listens is left over and simply replaced.
 *
 *	begin   is the path free or a socket? a name beside it, the thread; then the sockets
 *	retry   nobody was there, but the port is taken: by one that ends, or one that came first
 *	commit  the old process may go: from here on nobody else serves, so nothing here may fail
 *	        but the taking of the path, and that is tried again
 *	end     the ports are free: only then the path goes, so whoever finds none is the first
 *
 * While it serves, the thread sees that the path leads here, whatever others do to it.
 *
 * Only processes of one user meet there: the path's mode is 0600, and the library asks who the peer
 * is.
 */

#include "replace.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
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

/* How often the path is looked at, and how often while something is wrong. */
enum { LOOK_S = 10, LOOK_AGAIN_S = 1 };

/* How long a first server waits for its ports: an end takes drain_us, a second, and a little. */
enum { PORTS_S = 2 };

/* How often what cannot be waited for is tried. */
enum { PAUSE_NS = 20000000 };

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

static time_t get_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static void pause_briefly(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = PAUSE_NS }, NULL);
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
static int accept_one(struct replace *replace, time_t wait_s)
{
	struct pollfd fd = { .fd = replace->place.fd, .events = POLLIN };
	int r = volley_ppoll(&fd, 1, &(struct timespec){ .tv_sec = wait_s }, NULL);

	if (r == 0)
		return -EAGAIN;
	if (r > 0)
		r = volley_accept4(replace->place.fd, NULL, NULL, SOCK_CLOEXEC);
	if (r < 0) /* no descriptor is left, perhaps */
		pause_after(r);
	return r;
}

/* In doubt both serve, and somebody has to end one of them. Returns whether it is so. */
static bool say_sharers(struct replace *replace, bool at_once)
{
	int n = volley_server_count_sharers(replace->server);

	if (n <= 0 || (!at_once && get_seconds() - replace->said_s < LOOK_S))
		return n > 0;
	replace->said_s = get_seconds();
	fprintf(stderr,
		"%s: --replace %s: %d other process%s may read the same sockets, after a "
		"hand-over that was not finished: end all but one\n",
		replace->program, replace->path, n, n > 1 ? "es" : "");
	return true;
}

/* The path shall lead here. A failure is said once. Returns whether it does. */
static bool take_place(struct replace *replace)
{
	int r = place_take(&replace->place);

	if (r < 0 && r != replace->place_error)
		say(replace,
		    r == -EADDRINUSE
			    ? "serves, but another process listens there, so nothing can "
			      "replace this one; it tries again every second"
			    : "serves, but cannot listen there, so nothing can replace it; "
			      "it tries again every second",
		    r);
	replace->place_error = r;
	return r >= 0;
}

/* Somebody may have removed it, or put something else there. */
static bool keep_place(struct replace *replace)
{
	if (place_is_ours(&replace->place))
		return true;
	if (!take_place(replace))
		return false;
	fprintf(stderr, "%s: --replace %s: listens there now\n", replace->program, replace->path);
	return true;
}

/* Hand over to whoever asks, one after the other, until it succeeds or we end. */
static void serve(struct replace *replace)
{
	bool is_well = replace->place_error >= 0 &&
		       volley_server_count_sharers(replace->server) <= 0;

	for (;;) {
		int fd = accept_one(replace, is_well ? LOOK_S : LOOK_AGAIN_S);
		int r = 0;

		if (fd == -ECANCELED)
			return;
		if (fd >= 0) {
			r = volley_server_export_fds(replace->server, fd, TIMEOUT_US, NULL, 0);
			close(fd);
		}
		if (fd >= 0 && r >= 0) {
			replace->replaced = true;
			fprintf(stderr, "%s: replaced\n", replace->program);
			volley_server_request_stop(replace->server);
			return;
		}
		/* Who shares the sockets may have the path, and end any moment. */
		is_well = !say_sharers(replace, r < 0);
		is_well = keep_place(replace) && is_well;
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

/* SIGTERM and SIGINT are blocked until volley_server_run() takes them. */
static bool is_told_to_end(void)
{
	sigset_t pending;

	return sigpending(&pending) == 0 &&
	       (sigismember(&pending, SIGTERM) || sigismember(&pending, SIGINT));
}

/* 0, or -errno: -ENOENT or -ECONNREFUSED when there is none. */
static int connect_path(struct replace *replace, int *ret_fd)
{
	time_t end_s = get_seconds() + TIMEOUT_US / 1000000;
	int r;

	for (;;) {
		r = place_connect(&replace->place, ret_fd);
		if (r != -EAGAIN)
			return r;
		if (is_told_to_end())
			return -ECANCELED;
		if (get_seconds() >= end_s)
			return -ETIMEDOUT;
		pause_briefly();
	}
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
	if (death.fd < 0) { /* dead, or of another pid namespace */
		pause_briefly();
		return;
	}
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
		int fd;

		r = connect_path(replace, &fd);
		if (r == -ENOENT || r == -ECONNREFUSED)
			return 0;
		if (r < 0)
			return fail(replace, r, "cannot connect");
		r = volley_server_import_fds(replace->server, fd, TIMEOUT_US, NULL, NULL);
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
		.program = program, .path = path, .server = server, .peer_fd = -1
	};
	r = place_open(&replace->place, path);
	if (r == -ENOTSOCK)
		return fail(replace, r,
			    "is there already and no socket, and would be lost: name a path that "
			    "is free, or that of the process to replace");
	if (r < 0)
		return fail(replace, r, "cannot listen there");
	r = start_thread(replace);
	if (r < 0)
		return fail(replace, r, "cannot start a thread");
	return take_over(replace);
}

bool replace_retry(struct replace *replace)
{
	if (replace->peer_fd >= 0)
		return false; /* the sockets that there were are ours already */
	if (replace->ports_s == 0) {
		replace->ports_s = get_seconds() + PORTS_S;
		fprintf(stderr,
			"%s: --replace %s: nobody listens there, but a port is taken, perhaps by "
			"a server that ends: tries again for %d s\n",
			replace->program, replace->path, PORTS_S);
	}
	if (get_seconds() > replace->ports_s || is_told_to_end())
		return false;
	pause_briefly();
	return take_over(replace) >= 0;
}

int replace_commit(struct replace *replace)
{
	int r = 0;

	if (replace->peer_fd >= 0)
		r = volley_server_import_commit(replace->server, replace->peer_fd, TIMEOUT_US);
	if (r < 0)
		return fail(replace, r, "the old process serves on");
	take_place(replace);
	say_sharers(replace, true);
	replace->serves = true;
	sem_post(&replace->go);
	return 0;
}

void replace_end(struct replace *replace)
{
	if (replace->path == NULL)
		return;
	end_thread(replace);
	place_close(&replace->place, replace->replaced);
	if (replace->peer_fd >= 0)
		close(replace->peer_fd);
	*replace = (struct replace){ .path = NULL };
}

/* For those who have options ------------------------------------------------------------------- */

static int on_new(struct options *options, struct volley_server *server)
{
	return replace_begin(options->replace, options->program, options->replace->path, server);
}

static int on_ready(struct options *options, struct volley_server *server)
{
	(void)server;
	return replace_commit(options->replace);
}

static bool on_busy(struct options *options)
{
	return replace_retry(options->replace);
}

static void on_closed(struct options *options)
{
	replace_end(options->replace);
}

int replace_serve(struct options *options, const struct volley_listen_config *listener,
		  const char *path)
{
	struct replace replace = { .path = path };
	int code;

	if (path != NULL) {
		options->replace = &replace;
		options->on_new = on_new;
		options->on_ready = on_ready;
		options->on_busy = on_busy;
		options->on_closed = on_closed;
	}
	code = options_serve(options, listener);
	replace_end(&replace); /* where it did not come to serving */
	return code;
}

/* SPDX-License-Identifier: MIT */

/*
 * The path of a hot restart: it always leads to a server that lives, and never away from one.
 *
 *	PATH.PID   bind, listen: what is wrong with the folder or the name is seen here
 *	PATH       absent: rename(2) that replaces nothing
 *	           ours to replace: exchange both names, look at what came, remove it or put it back
 *
 * Between a look at a name and what is done to it somebody else may come, so nothing is done that
 * could not be undone: a name is moved first and looked at then. Only where a file system has no
 * renameat2(2) a plain rename(2) has to do.
 *
 * Whether anybody has a socket is asked with a socket of another type: the kernel refuses the type
 * when somebody has it (EPROTOTYPE) and the connection when nobody does. Its owner hears nothing of
 * that.
 *
 * Two races stay. One who makes a socket at the path itself, and not beside it, looks dead between
 * the two steps of its bind(2). And a name that was moved aside and is not ours is away until it is
 * back, and the one that it belongs to has to look (replace.c does).
 */

#include "place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* How many may wait while the process that listens is busy with another, or asleep. */
enum { BACKLOG = 64 };

/* How often a path that others change meanwhile is looked at again. */
enum { MAX_TRIES = 5 };

/* Sockets -------------------------------------------------------------------------------------- */

static int open_socket(int type, const char *path, struct sockaddr_un *ret_addr)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof addr.sun_path)
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	*ret_addr = addr;
	return fd;
}

static int connect_socket(int type, const char *path)
{
	struct sockaddr_un addr;
	int fd = open_socket(type, path, &addr);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

/* Whether it is known that no process has the socket with this name. */
static bool is_dead(const char *path)
{
	int fd = connect_socket(SOCK_DGRAM, path);

	if (fd >= 0)
		close(fd);
	return fd == -ECONNREFUSED;
}

/* Names ---------------------------------------------------------------------------------------- */

/* 0; -ENOENT; or -ENOTSOCK, which is somebody's and would be gone by a rename(2). */
static int find_id(const char *path, struct place_id *ret_id)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return -errno;
	if (!S_ISSOCK(st.st_mode))
		return -ENOTSOCK;
	*ret_id = (struct place_id){ .device = st.st_dev,
				     .inode = st.st_ino,
				     .changed = st.st_ctim };
	return 0;
}

static bool is_same(const struct place_id *a, const struct place_id *b)
{
	return a->inode == b->inode && a->device == b->device;
}

/* Also not another one that came to have its number. */
static bool is_unchanged(const struct place_id *a, const struct place_id *b)
{
	return is_same(a, b) && a->changed.tv_sec == b->changed.tv_sec &&
	       a->changed.tv_nsec == b->changed.tv_nsec;
}

/* While we have the socket, nobody else gets its number. */
static bool is_at(const struct place *place, const char *name)
{
	struct place_id id = { .inode = 0 };

	return place->fd >= 0 && find_id(name, &id) >= 0 && is_same(&id, &place->id);
}

bool place_is_ours(const struct place *place)
{
	return is_at(place, place->path);
}

/* Rename, and replace nothing. */
static int move_name(const char *from, const char *to)
{
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (link(from, to) < 0)
		return -errno;
	unlink(from);
	return 0;
}

/* Afterwards `a` leads to what `b` led to, or is gone where the file system cannot do that. */
static int exchange_names(const char *a, const char *b)
{
	if (renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	return rename(a, b) < 0 ? -errno : 0;
}

/* Our own name --------------------------------------------------------------------------------- */

/* "NAME.123", where 123 is no process any more: it was killed before it had the path. */
static bool is_left_over(const char *entry, const char *name)
{
	size_t n = strlen(name);
	char *end;
	long pid;

	if (strncmp(entry, name, n) != 0 || entry[n] != '.' || entry[n + 1] < '1' ||
	    entry[n + 1] > '9')
		return false;
	pid = strtol(entry + n + 1, &end, 10);
	return *end == '\0' && pid == (pid_t)pid && kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

/* A process of another pid namespace may live all the same: then it has the socket. */
static void remove_left_over(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	char other[sizeof((struct sockaddr_un *)0)->sun_path];
	const struct dirent *entry;
	struct place_id id = { .inode = 0 };
	DIR *folder;

	if (slash != NULL)
		snprintf(other, sizeof other, "%.*s", (int)(name - path), path);
	folder = opendir(slash != NULL ? other : ".");
	if (folder == NULL)
		return;
	while ((entry = readdir(folder)) != NULL) {
		if (!is_left_over(entry->d_name, name))
			continue;
		if (snprintf(other, sizeof other, "%.*s%s", (int)(name - path), path,
			     entry->d_name) < (int)sizeof other &&
		    find_id(other, &id) >= 0 && is_dead(other))
			unlink(other);
	}
	closedir(folder);
}

static int listen_at(const char *name, int fd, const struct sockaddr_un *addr,
		     struct place_id *ret_id)
{
	int r = 0;

	unlink(name);
	if (bind(fd, (const struct sockaddr *)addr, sizeof *addr) < 0)
		return -errno;
	if (chmod(name, 0600) < 0 || listen(fd, BACKLOG) < 0)
		r = -errno;
	if (r >= 0)
		r = find_id(name, ret_id);
	if (r < 0)
		unlink(name);
	return r;
}

/* A socket that listens at our own name, in the place of the one that lost its name. */
static int open_own(struct place *place)
{
	struct sockaddr_un addr;
	struct place_id id = { .inode = 0 };
	int fd;
	int r = find_id(place->own, &id); /* of another process that had our number */

	if (r < 0 && r != -ENOENT)
		return r;
	fd = open_socket(SOCK_SEQPACKET | SOCK_NONBLOCK, place->own, &addr);
	if (fd < 0)
		return fd;
	r = listen_at(place->own, fd, &addr, &id);
	if (r < 0) {
		close(fd);
		return r;
	}
	if (place->fd >= 0)
		close(place->fd); /* who waits there is refused, and looks at the path again */
	place->fd = fd;
	place->id = id;
	return 0;
}

int place_open(struct place *place, const char *path)
{
	struct place_id id = { .inode = 0 };
	int r;

	*place = (struct place){ .path = path, .fd = -1 };
	if (snprintf(place->own, sizeof place->own, "%s.%d", path, (int)getpid()) >=
	    (int)sizeof place->own)
		return -ENAMETOOLONG;
	r = find_id(path, &id);
	if (r < 0 && r != -ENOENT)
		return r;
	remove_left_over(path);
	return open_own(place);
}

/* The path ------------------------------------------------------------------------------------- */

/* What was found at the path is ours to replace: do, if it is still there. */
static int replace_socket(struct place *place, const struct place_id *found)
{
	struct place_id id = { .inode = 0 };
	int r = exchange_names(place->own, place->path);

	if (r < 0)
		return r;
	if (find_id(place->own, &id) == -ENOENT)
		return 0;
	if (find_id(place->own, &id) >= 0 && is_same(&id, found)) {
		unlink(place->own);
		return 0;
	}
	exchange_names(place->own, place->path);
	return -EADDRINUSE;
}

static int try_take(struct place *place)
{
	struct place_id found = { .inode = 0 };
	int r = move_name(place->own, place->path);

	if (r != -EEXIST)
		return r;
	r = find_id(place->path, &found);
	if (r < 0)
		return r == -ENOENT ? -EAGAIN : r;
	if (!is_unchanged(&found, &place->before) && !is_dead(place->path))
		return -EADDRINUSE;
	return replace_socket(place, &found);
}

int place_take(struct place *place)
{
	int r = -EAGAIN;

	if (place_is_ours(place))
		return 0;
	if (!is_at(place, place->own)) {
		r = open_own(place);
		if (r < 0)
			return r;
		r = -EAGAIN;
	}
	for (int i = 0; i < MAX_TRIES && r == -EAGAIN; i++)
		r = try_take(place);
	if (r >= 0)
		place->before = (struct place_id){ .inode = 0 };
	return r;
}

/* Whoever took over from us meanwhile has put its own socket there. */
static void leave_path(const struct place *place)
{
	if (!place_is_ours(place) || move_name(place->path, place->own) < 0)
		return;
	if (!is_at(place, place->own) && move_name(place->own, place->path) >= 0)
		return;
	unlink(place->own);
}

void place_close(struct place *place, bool replaced)
{
	if (place->fd < 0)
		return;
	if (is_at(place, place->own))
		unlink(place->own);
	if (!replaced)
		leave_path(place);
	close(place->fd);
	place->fd = -1;
}

int place_connect(struct place *place, int *ret_fd)
{
	for (int i = 0; i < MAX_TRIES; i++) {
		struct place_id id = { .inode = 0 };
		struct place_id now = { .inode = 0 };
		int r = find_id(place->path, &id);
		int fd;

		if (r < 0)
			return r;
		fd = connect_socket(SOCK_SEQPACKET | SOCK_NONBLOCK, place->path);
		if (fd < 0)
			return fd;
		if (find_id(place->path, &now) >= 0 && is_unchanged(&id, &now) &&
		    fcntl(fd, F_SETFL, 0) == 0) {
			place->before = id;
			*ret_fd = fd;
			return 0;
		}
		close(fd); /* another one came there meanwhile */
	}
	return -EAGAIN;
}

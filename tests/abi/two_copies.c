/* SPDX-License-Identifier: MIT */

/*
 * Two copies of the cancel library in one process: the static one linked in, the shared one opened
 * by dlopen(), as when a plugin brings its own. Each has a handler and a window of its own, so they
 * cannot share a signal: the second one is refused, whichever it is, and with another signal both
 * work side by side.
 *
 *	two_copies LIBVOLLEY_CANCEL_SO
 */

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include <volley/cancel.h>
#include <volley/mmsg.h>

#include "lib/check.h"

struct copy {
	int (*init)(const struct volley_cancel_config *config);
	int (*attach)(struct volley_cancel **ret_handle);
	int (*detach)(void);
	int (*request)(struct volley_cancel *handle);
	void (*unref)(struct volley_cancel *handle);
	ssize_t (*read)(int fd, void *buf, size_t n);
};

static const struct copy linked = {
	.init = volley_cancel_init,
	.attach = volley_cancel_attach,
	.detach = volley_cancel_detach,
	.request = volley_cancel_request,
	.unref = volley_cancel_unref,
	.read = volley_read,
};

struct victim {
	const struct copy *copy;
	struct volley_cancel *_Atomic handle;
	pthread_t thread;
	ssize_t result;
};

static int silent[2]; /* a pipe that nobody writes to */

static void *open_symbol(void *library, const char *name)
{
	void *symbol = dlsym(library, name);

	REQUIRE(symbol != NULL);
	return symbol;
}

/* C has no cast from an object's pointer to a function's, but POSIX says that they are alike. */
#define OPEN(field, name) (*(void **)&opened.field = open_symbol(library, name))

static struct copy open_copy(const char *path)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	struct copy opened;

	REQUIRE(library != NULL);
	OPEN(init, "volley_cancel_init");
	OPEN(attach, "volley_cancel_attach");
	OPEN(detach, "volley_cancel_detach");
	OPEN(request, "volley_cancel_request");
	OPEN(unref, "volley_cancel_unref");
	OPEN(read, "volley_read");
	REQUIRE(opened.init != linked.init);
	return opened;
}

static void *sleep_main(void *arg)
{
	struct victim *victim = arg;
	struct volley_cancel *handle;
	char byte;

	REQUIRE(victim->copy->attach(&handle) == 0);
	atomic_store(&victim->handle, handle);
	victim->result = victim->copy->read(silent[0], &byte, 1);
	CHECK_EQ(victim->copy->detach(), 0);
	return NULL;
}

static void start(struct victim *victim)
{
	REQUIRE(pthread_create(&victim->thread, NULL, sleep_main, victim) == 0);
	while (atomic_load(&victim->handle) == NULL)
		sched_yield();
}

static void finish(struct victim *victim)
{
	CHECK_EQ(victim->copy->request(victim->handle), 0);
	pthread_join(victim->thread, NULL);
	CHECK_EQ(victim->result, -ECANCELED);
	victim->copy->unref(victim->handle);
}

/* In a process of its own, as handlers stay: `first` comes first. */
static void run(const struct copy *first, const struct copy *second)
{
	const struct volley_cancel_config other = { .size = sizeof other, .signo = SIGIO };
	struct victim a = { .copy = first };
	struct victim b = { .copy = second };

	CHECK_EQ(first->init(NULL), 0);
	CHECK_EQ(second->init(NULL), -EBUSY);
	CHECK_EQ(second->attach(NULL), -EBUSY);
	for (int i = 0; i < 100; i++) {
		start(&a);
		finish(&a); /* the first one has not suffered */
		atomic_store(&a.handle, NULL);
	}
	CHECK_EQ(second->init(&other), 0);
	for (int i = 0; i < 100; i++) {
		start(&a);
		start(&b);
		finish(i % 2 ? &a : &b);
		finish(i % 2 ? &b : &a);
		atomic_store(&a.handle, NULL);
		atomic_store(&b.handle, NULL);
	}
}

static void run_apart(const struct copy *first, const struct copy *second)
{
	pid_t pid = fork();
	int status;

	REQUIRE(pid >= 0);
	if (pid == 0) {
		run(first, second);
		_exit(check_done());
	}
	REQUIRE(waitpid(pid, &status, 0) == pid);
	CHECK_EQ(status, 0);
}

int main(int argc, char **argv)
{
	struct copy opened;

	REQUIRE(argc == 2);
	REQUIRE(pipe(silent) == 0);
	opened = open_copy(argv[1]);
	run_apart(&linked, &opened);
	run_apart(&opened, &linked);
	return check_done();
}

/* SPDX-License-Identifier: MIT */

/*
 * However few descriptors are free, a server either starts or says why not. It does not end the
 * process that it is in, as libevent does by exit(1) when a base gets no pipe.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <volley/volley.h>

#include "promise.h"

/* What a server with two workers needs is 12 or so. */
enum { N_FREE = 20 };
/* How a child ends: by its own main, and by nothing that a library would choose. */
enum { STARTED = 42, REFUSED = 43, SILENT = 44, OTHER = 45 };

static bool is_told;

static void on_log(enum volley_log_level level, const char *text, void *arg)
{
	(void)arg;
	if (level == VOLLEY_LOG_ERROR && strstr(text, "ulimit -n") != NULL)
		is_told = true;
}

static void echo(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	(void)worker;
	(void)packets;
	(void)n;
	(void)arg;
}

static int start(struct volley_server **ret_server)
{
	int r = volley_server_new(VOLLEY_CONFIG(.n_workers = 2, .log = on_log), ret_server);

	if (r >= 0)
		r = volley_server_listen(*ret_server, "127.0.0.1:0",
					 VOLLEY_LISTEN(.on_batch = echo), NULL);
	return r >= 0 ? volley_server_start(*ret_server) : r;
}

static int try_with(int n_free)
{
	struct volley_server *server = NULL;
	struct rlimit limit;
	int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int r;

	close(next); /* all below it are in use */
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = (rlim_t)(next + n_free);
	setrlimit(RLIMIT_NOFILE, &limit);
	r = start(&server);
	volley_server_free(server);
	if (r == 0)
		return STARTED;
	if (r != -EMFILE)
		return OTHER;
	return is_told ? REFUSED : SILENT;
}

int main(void)
{
	int n_started = 0;
	int n_refused = 0;

	promise_begin(20);
	for (int n_free = 0; n_free <= N_FREE; n_free++) {
		pid_t pid = fork();
		int status = -1;

		if (pid == 0)
			_exit(try_with(n_free));
		REQUIRE(pid > 0);
		waitpid(pid, &status, 0);
		CHECK(WIFEXITED(status));
		if (WEXITSTATUS(status) != STARTED && WEXITSTATUS(status) != REFUSED)
			printf("%d free descriptors: exit code %d\n", n_free, WEXITSTATUS(status));
		CHECK(WEXITSTATUS(status) == STARTED || WEXITSTATUS(status) == REFUSED);
		n_started += WEXITSTATUS(status) == STARTED;
		n_refused += WEXITSTATUS(status) == REFUSED;
	}
	CHECK(n_started > 0 && n_refused > 10);
	return check_done();
}

/* SPDX-License-Identifier: MIT */

/*
 * A child that was forked while the server runs. Here it has the parent's memory and not a copy, so
 * it must not close or free the server, which would give back the parent's; that, and sends of a
 * child, are left to real processes. Everything else is refused, and the parent goes on.
 */

#include <errno.h>
#include <stdlib.h>

#include "lib/listeners.h"
#include "play.h"

static void expect(const char *what, int r)
{
	if (r != -ESRCH)
		world_blame("%s in a child returns %d", what, r);
}

static void *child_main(void *arg)
{
	struct play *play = arg;
	struct volley_server *server = play->server;
	struct volley_listen_config config = *VOLLEY_LISTEN(.flags = 0);
	struct process *self = kernel_process();

	play_fill_listen(play, &config);
	for (uint32_t n = world_pick(8); n > 0; n--) {
		switch (world_pick(8)) {
		case 0:
			expect("stop", volley_server_stop(server));
			break;
		case 1:
			expect("drain", volley_server_drain(server));
			break;
		case 2:
			expect("start", volley_server_start(server));
			break;
		case 3:
			expect("run", volley_server_run(server));
			break;
		case 4:
			expect("listen",
			       volley_server_listen(server, "10.0.1.1:7100", &config, NULL));
			break;
		case 5:
			expect("listener_close",
			       volley_listener_close(server, listener_at(server, 0)));
			break;
		case 6:
			expect("export", volley_server_export_fds(server, 3, 1000, NULL, 0));
			break;
		default:
			/* no such socket */
			if (volley_server_import_fds(server, 3, 1000, NULL, NULL) >= 0)
				world_blame("import in a child");
			break;
		}
	}
	kernel_kill(self); /* as exit() does, or a crash: its copies of the descriptors go */
	return NULL;
}

void play_fork(struct play *play)
{
	struct process *child = kernel_fork();
	struct thread *thread;

	for (uint32_t fd = 0; fd < N_FDS; fd++)
		if (play->process->fds[fd] != NULL)
			child->fds[fd] = file_ref(play->process->fds[fd]);
	thread = world_new_thread(child, "child", child_main, play);
	thread->next = child->threads;
	child->threads = thread;
	world_tell("%d is forked", child->pid);
	if (world_pick(4) == 0) { /* somebody else ends it, at any moment */
		play_rest(play, world_pick(20000));
		kernel_kill(child);
	}
	while (!child->is_dead)
		play_rest(play, 10000);
}

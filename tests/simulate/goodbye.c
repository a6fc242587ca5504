/* SPDX-License-Identifier: MIT */

/* The hook on_drain and what lingers behind it, and posts to one worker. */

#include "bounds.h"
#include "fault.h"
#include "net.h"
#include "play.h"
#include "world.h"

static const uint64_t US = 1000;

/* So much is enough for every worker to come to its hook before the drain begins without it. */
enum { EASY_US = 100000 };

static bool is_easy(const struct play *play)
{
	return bounds_are_judged() && play->n_slow < 2 &&
	       (play->config.drain_us == 0 || play->config.drain_us >= EASY_US);
}

/* A listener's close has its sockets refuse, too, and those that the program keeps stay so. */
static bool has_changes(const struct play *play)
{
	for (uint32_t i = 0; i < N_LISTENERS; i++)
		if (play->changes[i] || play->kept_fds[i] != 0)
			return true;
	return false;
}

static void on_drain(struct volley_worker *worker, void *arg)
{
	struct play *play = arg;
	uint32_t slot = bounds_enter();
	uint32_t i = volley_worker_get_index(worker);

	if (i >= N_TOLD)
		world_blame("worker %u", i);
	else if (play->told[i] == play->n_begun)
		world_blame("worker %u has on_drain twice", i);
	else
		play->told[i] = play->n_begun;
	play->n_told++;
	if (is_easy(play) && !has_changes(play) && udp_count_refusing(play->process) > 0)
		world_blame("sockets refuse before worker %u has on_drain", i);
	for (uint32_t n = world_pick(4); n > 0; n--)
		play_send_by(play, worker);
	if (world_pick(2) == 0)
		play_use_token(play);
	bounds_leave(slot);
}

void play_fill_goodbye(struct play *play)
{
	play->config.linger_us = (const uint32_t[]){ 0, 0, 1, 1000, 20000 }[world_pick(5)];
	if (world_pick(2) == 0)
		play->config.on_drain = on_drain;
}

uint64_t play_get_linger_ns(const struct play *play)
{
	return play->config.linger_us * US;
}

/* Nobody cut it short, and it found the server running. */
void play_judge_goodbye(struct play *play, uint32_t n_told, bool has_listeners, uint64_t took_ns)
{
	n_told = play->n_told - n_told;
	if (play->config.on_drain != NULL && n_told != play->config.n_workers)
		world_blame("%u of %u workers have had on_drain", n_told, play->config.n_workers);
	if (has_listeners && took_ns < play_get_linger_ns(play))
		world_blame("a drain lingers for %llu us of %u", (unsigned long long)(took_ns / US),
			    play->config.linger_us);
}

/* To all workers or to one. */
int play_post_somewhere(struct play *play, struct post *post)
{
	post->n_all = play->config.n_workers;
	if (world_pick(2) == 0)
		return volley_server_post(play->server, play_post, post);
	post->n_all = 1;
	return volley_server_post_to(play->server, world_pick(play->config.n_workers), play_post,
				     post);
}

/* SPDX-License-Identifier: MIT */

/* One program, one server: plays the whole public API, by chance. */

#include "player.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "bounds.h"
#include "fault.h"
#include "judge.h"
#include "net.h"
#include "oracle.h"
#include "play.h"
#include "replies.h"
#include "storm.h"
#include "timers.h"

static const uint64_t US = 1000;

static struct play own;
static struct play *const play = &own;

static uint64_t get_drain_ns(void)
{
	return (play->config.drain_us != 0 ? play->config.drain_us : 1000000) * US;
}

static uint32_t count_listeners(void)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < N_LISTENERS; i++)
		n += play->listens[i];
	return n;
}

/* Life ----------------------------------------------------------------------------------------- */

static void start(void)
{
	uint32_t n_unstarted = play->n_unstarted;
	int r;

	if (play->was_asked) { /* it may have stopped, and has to be joined */
		play->was_asked = play->n_asking > 0;
		play->is_running = false;
		(void)volley_server_stop(play->server);
	}
	r = volley_server_start(play->server);
	world_tell("start: %d", r);
	if (play->is_running && r != -EALREADY)
		world_blame("start of a running server: %d", r);
	if (!play->is_running && r < 0 && count_listeners() > 0 && fault_count() == 0 &&
	    (r != -EPROTO || n_unstarted == play->n_unstarted))
		world_blame("start: %d", r);
	play->is_running |= r == 0;
}

static void stop(void)
{
	uint64_t since_ns;
	int r;

	play->is_running = false;
	play->is_storming = world_pick(4) == 0;
	if (play->is_storming) /* those who ask have begun */
		play_sleep(world_pick(100) * US);
	since_ns = world_now();
	r = play_stop(play);
	play->is_storming = false;
	world_tell("stop: %d", r);
	if (r != 0)
		world_blame("stop: %d", r);
	bounds_judge(BOUND_STOP, since_ns, 0);
	if (!play->has_run && play->n_begun != play->n_ended)
		world_blame("%u on_start and %u on_stop", play->n_begun, play->n_ended);
}

/* Nothing keeps a drain from its end. */
static bool is_easy(void)
{
	return bounds_are_judged() && play->n_slow < 2 && get_drain_ns() >= 100000 * US &&
	       play->config.sndbuf_bytes == 0 && !play->was_asked;
}

/* So that there is something to serve out. */
static void fill(void)
{
	uint32_t i = world_pick(N_LISTENERS);

	for (uint32_t n = world_pick(150); n > 0 && play->listens[i]; n--)
		ask(play, i, 64);
	play_rest(play, world_pick((uint32_t)net_weather.most_ns + 100000));
}

static void drain(void)
{
	struct volley_stats stats = { .size = sizeof stats };
	bool was_running = play->is_running && !play->has_run;
	bool was_served_out;
	bool had_listeners = count_listeners() > 0;
	uint32_t n_refused = net_weather.refused;
	uint32_t n_told = play->n_told;
	uint64_t since_ns;
	int r;

	if (was_running && world_pick(2) == 0)
		fill();
	if (net_weather.refused > 0) /* a flood of reports while it is served out */
		net_weather.refused = 300000;
	since_ns = world_now();
	play->is_running = false;
	play->is_holding = world_pick(4) == 0 && get_drain_ns() <= 1000000 * US;
	r = volley_server_drain(play->server);
	net_weather.refused = n_refused;
	play->is_holding = false;
	world_tell("drain: %d", r);
	if (r != 0 && r != -ETIME)
		world_blame("drain: %d", r);
	bounds_judge(BOUND_DRAIN, since_ns, play_get_linger_ns(play) + get_drain_ns());
	volley_server_get_stats(play->server, &stats);
	/* Or somebody cut it short, or stopped it before; or it has reports of the network. */
	was_running &= !play->was_asked;
	if (was_running)
		play_judge_goodbye(play, n_told, had_listeners && count_listeners() > 0,
				   world_now() - since_ns);
	was_served_out = was_running && fault_count() == 0;
	was_running &= !play->process->hears_errors;
	if (r == 0 && was_running && fault_count() == 0 &&
	    (stats.unread_bytes != 0 || stats.rx_queued != 0 || stats.tx_queued != 0))
		world_blame("a drain leaves %llu bytes", (unsigned long long)stats.unread_bytes);
	if (r == 0 && was_served_out && udp_count_queued(play->process) > 0)
		world_blame("a drain leaves %u messages", udp_count_queued(play->process));
	if (r != 0 && was_running && is_easy() && play->n_tokens == 0)
		world_blame("an easy drain is late");
}

static void post(void)
{
	struct post post = { .play = play };
	uint64_t since_ns = world_now();
	bool shall_run = play->is_running && !play->was_asked;
	bool is_slow = play->n_slow > 1 || world_pauses.per_million > 0;
	int r = play_post_somewhere(play, &post);

	if (shall_run && !play->was_asked && r < 0 && fault_count() == 0)
		world_blame("post: %d", r);
	if (r < 0)
		return;
	/*
	 * A turn of slow callbacks, n_budget volleys of each socket, comes before it; or one in
	 * which the worker stands still again and again.
	 */
	for (int k = 0; k < (is_slow ? 500000 : 10000) && post.n_done < post.n_all; k++)
		play_rest(play, (k < 100 ? 10 : 100) * US);
	if (post.n_done != post.n_all)
		world_blame("%u of %u workers have got a post", post.n_done, post.n_all);
	bounds_judge(BOUND_POST, since_ns, 0);
}

/* Under volley_server_run(). */

static bool is_serving(void)
{
	return play->n_begun - play->n_ended == play->config.n_workers;
}

static void wait_for_run(uint32_t n_runs)
{
	for (int i = 0; i < 200000 && play->n_runs == n_runs; i++) {
		play->is_holding &= i < 50000;
		play_sleep((i < 50000 ? 20 : 200) * US);
	}
	if (play->n_runs == n_runs)
		world_blame("run does not return");
}

static void ask_politely(void)
{
	switch (world_pick(4)) {
	case 0:
		kernel_signal_process(play->process, world_pick(2) ? SIGTERM : SIGINT);
		break;
	case 1:
		for (uint32_t n = 1 + world_pick(3); n > 0; n--)
			play_ask(play);
		break;
	default:
		kernel_signal_process(play->process, SIGHUP);
		kernel_signal_process(play->process, SIGTERM);
		break;
	}
}

/* The second signal, or somebody who does not wait. */
static void insist(void)
{
	if (world_pick(2) == 0) {
		stop();
		return;
	}
	kernel_signal_process(play->process, SIGTERM);
	play_sleep(world_pick(1000) * US);
	kernel_signal_process(play->process, SIGINT);
}

static void end_run(void)
{
	uint32_t n_runs = play->n_runs;
	uint64_t since_ns;

	play->is_holding = false;

	for (int i = 0; i < 500 && !is_serving(); i++)
		play_sleep(20 * US);
	if (!is_serving() || n_runs != play->n_runs)
		return;
	since_ns = world_now();
	if (world_pick(4) == 0) {
		drain();
		wait_for_run(n_runs);
		return;
	}
	play->is_holding = world_pick(2) == 0;
	ask_politely();
	if (play->config.run_signals == 0)
		play->process->pending &= ~(UINT64_C(1) << SIGHUP);
	if (world_pick(2) == 0) {
		wait_for_run(n_runs);
		bounds_judge(BOUND_DRAIN, since_ns, play_get_linger_ns(play) + get_drain_ns());
		return;
	}
	play_sleep(world_pick(10000) * US);
	if (play->n_runs != n_runs)
		return;
	play_begin_hurry(play);
	insist();
	since_ns = world_now();
	wait_for_run(n_runs);
	bounds_judge(BOUND_SIGNAL, since_ns, 0);
	play->process->pending &= ~(UINT64_C(1) << SIGTERM | UINT64_C(1) << SIGINT);
	play_end_hurry(play);
}

/* Chance --------------------------------------------------------------------------------------- */

static void act(void)
{
	uint32_t i = world_pick(play->config.wait == VOLLEY_WAIT_BLOCK ? 1 : N_LISTENERS);

	switch (world_pick(16)) {
	case 0:
		if (!play->has_run)
			start();
		break;
	case 1:
		if (play->has_run)
			end_run();
		else
			stop();
		break;
	case 2:
		if (play->has_run)
			end_run();
		else
			drain();
		break;
	case 3:
		(void)play_listen(play, i);
		break;
	case 4:
		play_close(play, i);
		break;
	case 5:
		post();
		break;
	case 6:
		play_send_by(play, NULL);
		break;
	case 7:
		if (play->worker != NULL)
			play_send_by(play, play->worker);
		break;
	case 8:
		(void)play_adopt(play, i);
		break;
	case 9:
		if (world_pick(4) == 0)
			play_ask(play);
		break;
	case 11:
		if (!play->has_run && world_pick(4) == 0)
			play_fork(play);
		break;
	case 10:
		if (fault_plan.data + fault_plan.control + fault_plan.memory == 0)
			play_misuse(play);
		break;
	default:
		play_rest(play, world_pick(play->is_lazy ? 50000000 : 2000000));
		break;
	}
}

static void make_faults(void)
{
	if (world_pick(3) > 0)
		return;
	if (world_has(PART_DATA_FAULTS, world_pick(2) == 0))
		fault_plan.data = 1u << world_pick(18);
	if (world_has(PART_CONTROL_FAULTS, world_pick(2) == 0))
		fault_plan.control = 1u << world_pick(18);
	if (world_has(PART_MEMORY_FAULTS, world_pick(4) == 0))
		fault_plan.memory = 1u << world_pick(18);
}

/* Threads -------------------------------------------------------------------------------------- */

enum { N_THREADS = 32 };

static pthread_t threads[N_THREADS];
static uint32_t n_threads;
static pthread_t load, loop;

static pthread_t start_thread(void *(*main)(void *))
{
	pthread_t id;

	if (pthread_create(&id, NULL, main, play) != 0)
		abort();
	return id;
}

static void start_threads(void)
{
	struct fault_plan kept = fault_plan;

	fault_plan = (struct fault_plan){ 0 };
	n_threads = 0;
	for (uint32_t n = 1 + world_pick(3); n > 0; n--)
		threads[n_threads++] = start_thread(play_foreign_main);
	if (world_pick(4) == 0)
		for (uint32_t n = 1 + world_pick(world_pick(4) == 0 ? 16 : 4); n > 0; n--)
			threads[n_threads++] = start_thread(play_ask_main);
	if (world_pick(4) == 0)
		threads[n_threads++] = start_thread(play_cancel_main);
	if (play->has_run)
		threads[n_threads++] = start_thread(play_run_main);
	load = start_thread(play_load_main);
	if (play->config.wait == VOLLEY_WAIT_FD)
		loop = start_thread(play_loop_main);
	fault_plan = kept;
}

/* Whoever acts comes to an end: run does when it is told to, and may just be about to begin. */
static void join_threads(void)
{
	play->is_settling = true;
	play->is_holding = false;
	for (uint32_t i = 0; i < n_threads; i++) {
		struct thread *thread = (struct thread *)(uintptr_t)threads[i];

		while (!thread->is_over) {
			if (play->has_run)
				(void)play_stop(play);
			play_rest(play, 100 * US);
		}
		pthread_join(threads[i], NULL);
	}
}

/* The end -------------------------------------------------------------------------------------- */

/* All that is under way comes to its end, and then nothing may be left. */
static void settle(void)
{
	struct volley_stats stats = { .size = sizeof stats };
	int r;

	storm_end();
	fault_plan = (struct fault_plan){ 0 };
	world_pauses = (struct pauses){ 0 };
	join_threads();
	stop();
	if (count_listeners() == 0)
		(void)play_listen(play, 0);
	r = volley_server_start(play->server);
	if (r < 0)
		world_blame("it does not start any more: %d", r);
	while (play->n_load > 0)
		play_rest(play, 1000000);
	play_rest(play, net_weather.most_ns + 1); /* the last one has come */
	play_settle(play);
	play_rest(play, 20000000);
	timers_judge();
	play->is_over = true;
	pthread_join(load, NULL);
	if (play->config.wait == VOLLEY_WAIT_FD)
		pthread_join(loop, NULL);
	world_tell("close: %d", volley_server_close(play->server));
	timers_end();
	play_judge_sums(play);
	play_sleep(net_weather.most_ns + 1);
	volley_server_get_stats(play->server, &stats);
	if (fault_count() == 0)
		replies_judge(&stats);
}

/* What a socket dropped before it was adopted is in no books. */
static void forget_drops(struct process *process)
{
	struct volley_stats stats = { .size = sizeof stats };

	volley_server_get_stats(play->server, &stats);
	if (stats.kernel_drops < process->n_dropped &&
	    process->n_dropped - stats.kernel_drops <= play->n_before)
		process->n_dropped = stats.kernel_drops;
}

static void judge_leftovers(struct process *process)
{
	if (kernel_count_fds(process) != 0)
		world_blame("%u descriptors are left", kernel_count_fds(process));
	if (process->n_bytes != 0)
		world_blame("%llu bytes are left", (unsigned long long)process->n_bytes);
	if (play->n_allocated != 0)
		world_blame("%llu bytes of the program's are left",
			    (unsigned long long)play->n_allocated);
}

static void tell_config(const struct volley_config *config)
{
	world_tell("wait %u, %u workers of %u handlers, batch %u, budget %u, ring %u, held %u, "
		   "hold %u us, backlog %u, %u us, linger %u us, drain %u us, "
		   "buffers %u and %u, io %s, own %d",
		   config->wait, config->n_workers, config->n_handlers, config->n_batch,
		   config->n_budget, config->n_ring, config->n_held, config->hold_us,
		   config->n_backlog, config->backlog_us, config->linger_us, config->drain_us,
		   config->rcvbuf_bytes, config->sndbuf_bytes,
		   config->io != NULL ? config->io : "any", config->event_base != NULL);
	world_tell("%u of 64 packets take %llu us; run %d, lazy %d", play->n_slow,
		   (unsigned long long)(play->slow_ns / US), play->has_run, play->is_lazy);
}

void *player_main(void *arg)
{
	struct process *process = kernel_process();
	uint32_t n_acts;
	int r;

	(void)arg;
	bounds_begin();
	play_init(play, process);
	play_widen(play);
	timers_begin(play);
	play->n_load = 1 + world_pick(play->n_slow > 1 ? 400 : play->is_lazy ? 150 : 2000);
	if (play->n_load > world_cut.n_load)
		play->n_load = world_cut.n_load;
	world_thread->blocked |= UINT64_C(1) << SIGTERM | UINT64_C(1) << SIGINT;
	play_misuse_config(play);
	r = volley_server_new(&play->config, &play->server);
	if (r < 0) {
		world_blame("new: %d", r);
		return NULL;
	}
	tell_config(&play->config);
	make_faults();
	process->n_taken = process->n_sent = 0; /* what it tried the kernel with */
	memset(process->n_refused, 0, sizeof process->n_refused);
	process->sends_singly = false;
	play->config.n_workers = volley_server_get_n_workers(play->server);
	(void)play_listen(play, 0);
	for (uint32_t i = 1; i < N_LISTENERS && play->config.wait != VOLLEY_WAIT_BLOCK; i++)
		if (world_pick(2) == 0)
			(void)play_listen(play, i);
	start_threads();
	storm_begin(process);
	bounds_start();
	if (!play->has_run && world_pick(4) > 0)
		start();
	n_acts = world_pick(60);
	for (uint32_t i = 0; i < n_acts && i < world_cut.n_acts; i++)
		act();
	settle();
	forget_drops(process);
	judge_books(play->server, process);
	judge_refusals(play->server, process);
	volley_server_free(play->server);
	if (play->base != NULL)
		event_base_free(play->base);
	judge_leftovers(process);
	return NULL;
}

/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SIMULATE_PLAY_H
#define TESTS_SIMULATE_PLAY_H

/* A program that embeds the library: its callbacks, and its threads beside the main one. */

#include <pthread.h>
#include <stdbool.h>

#include <volley/volley.h>

#include "kernel.h"

enum { N_HELD = 256, N_LISTENERS = 4, N_STALE = 32, N_TOLD = 256 };

struct token {
	struct volley_held held;
	uint32_t id;
	uint64_t at_ns;  /* when it was given */
	uint32_t n_ends; /* of workers and listeners, until then */
};

struct play {
	struct volley_server *server;
	struct volley_config config;
	struct event_base *base; /* the program's own, on which the main thread serves */
	bool is_running;         /* as the main thread knows */
	bool was_asked;          /* to stop, by whatever thread: it may have, by now */
	uint32_t n_asking;
	bool is_settling; /* nobody but the main thread acts any more */
	bool is_over;     /* other threads end */
	bool has_run;     /* a thread is in volley_server_run() again and again */
	uint32_t style;   /* of the callbacks */
	uint64_t slow_ns; /* how long slow ones take, and how many of 64 are */
	uint32_t n_slow;
	bool is_storming; /* whoever asks for a stop does nothing else */
	bool is_holding;  /* nobody uses tokens, so a drain has to wait */
	bool is_lazy;     /* long times between whatever happens */
	bool is_plain;    /* they reply, and nothing else */
	/* Tokens, with the request that each is for; and some that are used up. */
	struct token tokens[N_HELD];
	uint32_t n_tokens;
	struct volley_held stale[N_STALE];
	uint32_t n_stale;
	struct volley_worker *worker; /* one of them, once a callback has met it */
	struct volley_addr bound[N_LISTENERS];
	struct volley_addr addrs[N_LISTENERS]; /* where requests go */
	struct volley_listener handles[N_LISTENERS];
	uint32_t flags[N_LISTENERS];
	bool listens[N_LISTENERS];
	bool changes[N_LISTENERS];     /* somebody listens or closes */
	uint32_t n_looks[N_LISTENERS]; /* who has the listener's pointer */
	int kept_fds[N_LISTENERS];     /* of adopted sockets that the program keeps, too; 0: none */
	uint32_t n_load;               /* requests still to be sent */
	uint32_t n_said;               /* log lines */
	uint32_t n_begun, n_ended;     /* hooks on_start that succeeded, and on_stop */
	uint32_t n_unstarted;          /* hooks on_start that failed */
	uint32_t n_closes;             /* of listeners, begun and ended */
	uint32_t n_runs;               /* ends of volley_server_run() */
	uint32_t n_hurries;            /* stops, and second signals, begun */
	uint32_t n_hurrying;           /* of those, under way */
	uint32_t n_late;               /* drains whose time was over, as the log says */
	uint32_t n_opened;             /* listeners that came */
	uint32_t n_told;               /* hooks on_drain */
	uint32_t told[N_TOLD];         /* by worker: n_begun when it had it last */
	/* Lines that a worker's packet callback was told of, and has on_writable to come for. */
	struct line {
		uint64_t listener_id; /* 0: none */
		uint32_t n_begun;
	} lines[N_TOLD][N_LISTENERS];
	int run_result;
	uint32_t n_signals; /* on_signal */
	uint64_t n_allocated;
	uint64_t n_before; /* dropped while sockets were being adopted: before, or after */
	struct process *process;
};

/* A config by chance, and nothing else yet. */
void play_init(struct play *play, struct process *process);
/* And what is out of the ordinary. */
void play_widen(struct play *play);
/* Listener i, at an address that follows from i. What volley_server_listen() returns. */
int play_listen(struct play *play, uint32_t i);
/* The same with sockets of the program's. */
int play_adopt(struct play *play, uint32_t i);
void play_close(struct play *play, uint32_t i);
void play_sleep(uint64_t ns);
/* The same, while its own loop goes on. */
void play_rest(struct play *play, uint64_t ns);
/* Until nothing is under way; it is wrong if that takes 20 s, for callbacks may be slow. */
void play_settle(struct play *play);
void play_ask(struct play *play); /* volley_server_request_stop() */
int play_stop(struct play *play); /* volley_server_stop() */
/* Around whatever ends a run at once; one that begins meanwhile may be told, too. */
void play_begin_hurry(struct play *play);
void play_end_hurry(struct play *play);
bool play_has_own_loop(const struct play *play);

/* callbacks.c */
void play_fill_config(struct play *play);
void play_fill_hooks(struct play *play);
void play_fill_listen(struct play *play, struct volley_listen_config *config);
/* Sometimes another way to the workers than the kernel's own. */
void play_steer(struct volley_listen_config *listen);
void play_post(struct volley_worker *worker, void *arg);
/* One that a post of play_post() is given. */
struct post {
	struct play *play;
	uint32_t n_done;
	uint32_t n_all; /* workers that it is for */
};

/* goodbye.c */
void play_fill_goodbye(struct play *play);
uint64_t play_get_linger_ns(const struct play *play);
void play_judge_goodbye(struct play *play, uint32_t n_told, bool has_listeners, uint64_t took_ns);
int play_post_somewhere(struct play *play, struct post *post);

/* sends.c: each says what it was told to the oracle. */
void play_send_by(struct play *play, struct volley_worker *worker);
/* The same in a packet callback, and a look at a line there. */
void play_send_inside(struct play *play, struct volley_worker *worker);
void play_on_writable(struct volley_worker *worker, struct volley_listener listener, void *arg);
void play_send_to_nobody(struct play *play, struct volley_worker *worker);
void play_use_token(struct play *play);
void play_keep_token(struct play *play, struct volley_held held, uint32_t id, uint64_t at_ns);

/* misuse.c */
void play_misuse_inside(struct play *play, struct volley_worker *worker);
void play_misuse_packet(struct volley_packet *packet);
void play_misuse(struct play *play);
void play_misuse_config(struct play *play);

/* fork.c: a child comes and goes. */
void play_fork(struct play *play);

/* snapshot.c */
struct snapshots {
	struct volley_stats server;
	struct volley_stats workers[4];
};
void play_look(struct play *play, struct snapshots *snapshots);
void play_judge_sums(struct play *play);

/* Threads, whose argument is the play. */
void *play_foreign_main(void *arg); /* uses tokens, sends, reads statistics */
void *play_loop_main(void *arg);    /* the loop of VOLLEY_WAIT_FD */
void *play_ask_main(void *arg);     /* volley_server_request_stop() */
void *play_load_main(void *arg);    /* requests: it stands for the clients */
void *play_run_main(void *arg);     /* volley_server_run() */
void *play_cancel_main(void *arg);  /* volley/cancel.h, beside the server */

#endif

/* SPDX-License-Identifier: MIT */
#ifndef TESTS_CANCEL_STEP_H
#define TESTS_CANCEL_STEP_H

/*
 * What the stepping driver (step.c, tracer.c) and the process it steps (victim.c, op_*.c) share.
 *
 * The tracer makes the sockets and forks the victim process. There one thread, the victim, makes
 * the call that is stepped, and another, the helper, does what the tracer asks for meanwhile: it is
 * not traced, so that its requests are as genuine as anybody's.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define N_BATCH 4  /* messages per batch call */
#define N_MAX   64 /* messages in any one case */

enum phase {
	PHASE_NONE,
	PHASE_READY, /* waiting for the next case */
	PHASE_BEGIN, /* about to make the call */
	PHASE_END,   /* made it */
	PHASE_GONE,  /* the C library's cancellation unwound it */
};

/* What the helper can be asked to do at a boundary. */
enum event {
	EVENT_NONE,
	EVENT_REQUEST, /* request cancellation of the victim */
	EVENT_SIGNAL,  /* send the unrelated signal to the victim */
	EVENT_CLEAR,   /* these are for a stepped request, whose target is the helper */
	EVENT_DETACH,
	EVENT_SLEEP,
	EVENT_LOOK,
	EVENT_ATTACH, /* its own, before the victim's */
	EVENT_FINISH, /* the helper checks itself after one of them */
	EVENT_QUIT,
};

/* What the unrelated signal's handler does. */
enum handler {
	HANDLER_NONE,   /* no such signal */
	HANDLER_EMPTY,  /* SIGUSR1: delivered before the cancellation signal */
	HANDLER_LATE,   /* SIGPWR, empty: delivered after it */
	HANDLER_BLOCKS, /* SIGUSR1: blocks in a cancellable call of its own */
	N_HANDLERS,
};

/* Sockets, made by the tracer. */
struct wires {
	int recv_in;   /* UDP: the victim receives here, */
	int recv_out;  /* the tracer sends here */
	int send_in;   /* UNIX datagrams: the victim sends here, */
	int send_out;  /* the tracer receives here */
	int listener;  /* UNIX stream: the victim accepts here */
	int silent[2]; /* a pipe that nobody ever writes to */
	int epoll;     /* has recv_in */
};

struct shared {
	_Atomic int phase;
	_Atomic int victim_tid;
	_Atomic int helper_tid;
	_Atomic int seized;
	/* The case, set by the tracer while the victim is stopped. */
	int op;
	int handler;
	/* Helper. */
	_Atomic int event;
	_Atomic int event_posted; /* futex: number of events asked for */
	_Atomic int event_done;   /* and done */
	_Atomic int event_result;
	/* What the victim reports. */
	int64_t result;
	int n_reported;
	uint32_t reported[N_MAX];
	bool cancelled;
	bool pending_after; /* for clear and detach: did the request survive? */
	bool in_handler;
	_Atomic int n_signals;
	char fault[128]; /* what its own checks found, empty when nothing */
};

/* How a call meets its queue. */
enum direction { RECEIVES, SENDS, RELAYS, POLLS, ACCEPTS, CONTROLS, STEPS_REQUEST };

struct op {
	const char *name;
	enum direction direction;
	int64_t (*call)(void);
	enum event event; /* only for STEPS_REQUEST: what the helper does at the boundary */
	bool paired;      /* every pair of boundaries with an unrelated signal */
};

extern struct shared *shared;
extern struct wires wires;

/* One table per library: volley's calls or the C library's. */
struct library {
	const char *name;
	const struct op *ops;
	int n_ops;
	void (*attach)(void); /* on the victim's thread, once */
	void (*before)(const struct op *op);
	void (*after)(const struct op *op); /* clears and checks */
	int (*request)(void);               /* on the helper's thread */
	bool single_use;                    /* a victim dies of a request */
};

extern const struct library volley_library;
extern const struct library c_library;

/* victim.c */
void victim_process(const struct library *library);
void victim_fault(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The helper's part of volley_library. */
int helper_event(enum event event);

/* tracer.c */
enum stop { STOP_STEP, STOP_ASLEEP, STOP_MARK, STOP_DEAD, STOP_STUCK };

struct tracer {
	pid_t pid;
	pid_t tid;
	int inject;  /* signal to deliver with the next resume */
	bool asleep; /* a step is under way inside the kernel */
};

int tracer_start(struct tracer *tracer, const struct library *library);
void tracer_kill(struct tracer *tracer);
void tracer_detach(struct tracer *tracer);
enum stop tracer_step(struct tracer *tracer);
enum stop tracer_await(struct tracer *tracer);        /* the end of a step that is asleep */
enum stop tracer_run(struct tracer *tracer);          /* to the next mark */
enum stop tracer_run_or_sleep(struct tracer *tracer); /* likewise, or until it sleeps */
void helper_post(enum event event);
bool helper_wait(int timeout_ms);

/* queues.c: the tracer's ends */
int queues_open(void);
int queue_fill(const struct op *op, int state); /* returns how many messages the victim can get */
int queue_check(const struct op *op, int n_filled, char *fault, size_t n_fault);

#endif

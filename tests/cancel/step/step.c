/* SPDX-License-Identifier: MIT */

/*
 * The stepping driver: the request arrives at every instruction boundary of every call.
 *
 * A case stops the victim after k instructions of one call, has the untraced helper do its part
 * (request cancellation, in most), lets the victim go, and then checks: the call returned, every
 * message is reported or still there, none twice, the request is still pending, and after a clear
 * nothing of it is left. k goes from 0 to the end of the call, or to where it sleeps. With an
 * unrelated signal there are two numbers: where its handler lies on top, and where, later, the
 * request arrives, which may be inside that handler or after it.
 *
 * The same is done to the C library's pthread_cancel(), for comparison. That never fails the run.
 *
 *	step [--long] [--stop-first] [--no-libc] [--op NAME] [--handler NAME]
 *
 * Without --long the pairs of boundaries are sampled, one in SAMPLE; everything else is complete.
 */

#include "step.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/*
 * One pair in so many, primes so that no row or column is left out. In CI that leaves two minutes.
 * A clear is four times as long as a receive and its pairs need not be complete: in CI one in
 * 1,999, with --long as many as the receive has in CI.
 */
#define SAMPLE       13
#define SAMPLE_CLEAR 1999

/* No call here is that long; whoever gets there spins. */
#define MAX_BOUNDARIES 20000

#define NEVER (-1)

static struct {
	bool complete;
	bool stop_first;
	bool with_libc;
	const char *op;
	const char *handler; /* only the pairs with this one */
} options = { .with_libc = true };

struct row {
	time_t start;
	int n_boundaries, n_cases, n_done, n_cancelled, n_lost, n_doubled, n_hung, n_faulty;
};

struct one_case {
	const struct library *library;
	int op;
	int state;
	enum handler handler;
	int signal_at;
	int request_at;
};

/* What became of one case. */
struct verdict {
	bool past;   /* the call ended, or slept, before request_at */
	bool at_end; /* the request came after the call */
	bool hung;
	bool started; /* false: the driver itself failed */
	int n_lost;
	char fault[128];
};

static struct tracer tracer;
static const char *const handler_names[N_HANDLERS] = { "-", "empty", "late", "blocks" };
static int n_passed, n_failed;

static const struct op *op_of(const struct one_case *c)
{
	return &c->library->ops[c->op];
}

static bool is_clear(const struct one_case *c)
{
	return strcmp(op_of(c)->name, "clear") == 0;
}

/* To the begin mark of the case, with the queue filled. */
static bool begin(const struct one_case *c, int *ret_filled)
{
	if (tracer.pid == 0 && tracer_start(&tracer, c->library) < 0)
		return false;
	shared->op = c->op;
	shared->handler = c->handler;
	shared->result = 0;
	shared->n_reported = 0;
	shared->cancelled = false;
	shared->pending_after = false;
	shared->in_handler = false;
	atomic_store(&shared->n_signals, 0);
	shared->fault[0] = 0;
	*ret_filled = queue_fill(op_of(c), c->state);
	return *ret_filled >= 0 && tracer_run(&tracer) == STOP_MARK &&
	       atomic_load(&shared->phase) == PHASE_BEGIN;
}

/* Have the helper do it. A request and a signal never wait for the victim; a clear may. */
static void post(enum event event, struct verdict *verdict)
{
	bool may_wait = event == EVENT_CLEAR || event == EVENT_DETACH || event == EVENT_SLEEP;

	helper_post(event);
	if (!helper_wait(may_wait ? 2 : 4000) && !may_wait)
		snprintf(verdict->fault, sizeof verdict->fault, "the helper's call blocks");
}

/* Stop at each boundary; do what is due there. Returns the last stop. */
static enum stop walk(const struct one_case *c, struct verdict *verdict)
{
	enum event event = op_of(c)->event ? op_of(c)->event : EVENT_REQUEST;
	/* What sleeps in a control call wakes by itself, unless it is the handler. */
	bool naps = op_of(c)->direction == CONTROLS && c->handler != HANDLER_BLOCKS;
	enum stop stop = STOP_STEP;

	for (int k = 0; k < MAX_BOUNDARIES; k++) {
		bool due = k == c->signal_at && stop != STOP_MARK;

		if (due)
			post(EVENT_SIGNAL, verdict);
		verdict->at_end = stop == STOP_MARK;
		if (k == c->request_at || stop == STOP_MARK ||
		    (stop == STOP_ASLEEP && !due && !naps)) {
			verdict->past = k != c->request_at;
			post(event, verdict);
			return stop;
		}
		stop = stop == STOP_ASLEEP && !due ? tracer_await(&tracer) : tracer_step(&tracer);
		if (stop == STOP_DEAD || stop == STOP_STUCK)
			return stop;
	}
	return STOP_STUCK;
}

/*
 * A handler that blocks on top of a clear which has covered the request sleeps for good reason:
 * nobody wants it to stop. A new request must wake it.
 */
static enum stop run_rescuing(void)
{
	enum stop stop = tracer_run_or_sleep(&tracer);

	if (stop != STOP_ASLEEP)
		return stop;
	helper_post(EVENT_REQUEST);
	return helper_wait(4000) ? tracer_run(&tracer) : STOP_STUCK;
}

/* The helper was the target of a stepped request: let it finish and check itself. */
static void finish_helper(const struct one_case *c, struct verdict *verdict)
{
	if (!helper_wait(2000)) {
		verdict->hung = true;
		return;
	}
	if (op_of(c)->event == EVENT_SLEEP && atomic_load(&shared->event_result) != -ECANCELED)
		snprintf(verdict->fault, sizeof verdict->fault, "the sleeper returned %d",
			 atomic_load(&shared->event_result));
	helper_post(EVENT_FINISH);
	verdict->hung = !helper_wait(2000);
}

/* Let it go: to the end mark, through its own checks, to the next case. */
static void finish(const struct one_case *c, enum stop stop, struct verdict *verdict)
{
	if (stop != STOP_MARK)
		stop = c->handler == HANDLER_BLOCKS && is_clear(c) ? run_rescuing()
								   : tracer_run(&tracer);
	if (stop == STOP_MARK && !c->library->single_use)
		stop = tracer_run(&tracer);
	if (stop == STOP_MARK && op_of(c)->direction == STEPS_REQUEST)
		finish_helper(c, verdict);
	verdict->hung |= stop == STOP_STUCK;
	if (stop == STOP_DEAD)
		snprintf(verdict->fault, sizeof verdict->fault, "the victim died");
}

static struct verdict run_case(const struct one_case *c)
{
	struct verdict verdict = { 0 };
	enum stop stop;
	int n_filled;

	verdict.started = begin(c, &n_filled);
	if (!verdict.started) {
		snprintf(verdict.fault, sizeof verdict.fault, "the case does not begin");
		tracer_kill(&tracer);
		return verdict;
	}
	stop = walk(c, &verdict);
	finish(c, stop, &verdict);
	if (verdict.hung || verdict.fault[0] != 0 || c->library->single_use)
		tracer_kill(&tracer);
	if (verdict.fault[0] == 0)
		memcpy(verdict.fault, shared->fault, sizeof verdict.fault);
	verdict.n_lost = queue_check(op_of(c), n_filled, verdict.fault, sizeof verdict.fault);
	return verdict;
}

/* Count one case; say what went wrong with volley's. Returns false to stop the run. */
static bool count(const struct one_case *c, const struct verdict *v, struct row *row)
{
	bool ok = !v->hung && v->n_lost == 0 && v->fault[0] == 0;

	row->n_cases++;
	row->n_hung += v->hung;
	row->n_lost += v->n_lost > 0;
	row->n_doubled += v->n_lost < 0;
	row->n_faulty += v->fault[0] != 0;
	if (shared->cancelled || shared->result == -ECANCELED)
		row->n_cancelled++;
	else if (!v->hung)
		row->n_done++;
	if (c->library != &volley_library)
		return true;
	n_passed += ok;
	n_failed += !ok;
	if (!ok && n_failed <= 20)
		printf("FAILED %s, queue %d, handler %s at %d, request at %d: %s%d lost, %s\n",
		       op_of(c)->name, c->state, handler_names[c->handler], c->signal_at,
		       c->request_at, v->hung ? "hung, " : "", v->n_lost, v->fault);
	return ok || !options.stop_first;
}

static void print_row(const struct one_case *c, const struct row *row)
{
	static const char *const states[] = { "full", "0", "1", "", "3" };

	printf("%-7s %-15s %-5s %-7s %6d %7d %7d %7d %6d %6d %6d %6d %4ds\n", c->library->name,
	       op_of(c)->name, states[c->state + 1], handler_names[c->handler], row->n_boundaries,
	       row->n_cases, row->n_done, row->n_cancelled, row->n_lost, row->n_doubled,
	       row->n_hung, row->n_faulty, (int)(time(NULL) - row->start));
	fflush(stdout);
}

static void print_head(void)
{
	printf("%-7s %-15s %-5s %-7s %6s %7s %7s %7s %6s %6s %6s %6s %5s\n", "library", "call",
	       "queue", "handler", "bounds", "cases", "done", "cancel", "lost", "double", "hung",
	       "fault", "time");
}

/*
 * A clear covers what was requested before its flag falls and nothing after. So over the boundaries
 * "still pending afterwards" goes from no to yes exactly once; a stepped request against a clear
 * goes the other way.
 */
static void check_order(const struct one_case *c, const struct verdict *v, bool *pending,
			struct row *row)
{
	bool is_request = op_of(c)->event == EVENT_CLEAR;
	bool now = is_request ? !shared->pending_after : shared->pending_after;
	bool wrong = (c->request_at == 0 && now) || (*pending && !now) || (v->at_end && !now);

	if ((!is_clear(c) && !is_request) || c->handler != HANDLER_NONE)
		return;
	if (wrong) {
		printf("FAILED %s, request at %d: %s\n", op_of(c)->name, c->request_at,
		       now ? "a covered request came back" : "a request was lost");
		row->n_faulty++;
		n_failed++;
	}
	*pending = now;
}

/* Every boundary; with a signal, it and the request come at the same one. */
static bool sweep(struct one_case c)
{
	struct row row = { .start = time(NULL) };
	bool pending = false;
	bool go_on = true;

	for (int k = 0; go_on; k++) {
		struct verdict v;

		c.request_at = k;
		c.signal_at = c.handler == HANDLER_NONE ? NEVER : k;
		v = run_case(&c);
		if (v.past && !v.at_end)
			break; /* it sleeps at k - 1, and that was tried */
		go_on = count(&c, &v, &row);
		check_order(&c, &v, &pending, &row);
		row.n_boundaries++;
		if (v.at_end || !v.started)
			break;
	}
	print_row(&c, &row);
	return go_on && !(options.stop_first && n_failed > 0);
}

/* Every pair: the handler on top from boundary i on, the request at j, in the handler or after. */
static bool pairs(struct one_case c)
{
	int dense = options.complete ? 1 : SAMPLE;
	int sample = !is_clear(&c) ? dense : options.complete ? SAMPLE : SAMPLE_CLEAR;
	int stride = is_clear(&c) && !options.complete ? 5 : 1;
	struct row row = { .start = time(NULL) };
	struct verdict v = { 0 };
	bool go_on = true;

	for (int i = 0, ended = 0; go_on && !ended; i += stride) {
		for (int j = i; go_on; j++) {
			if ((i * 5 + j) % sample != 0)
				continue;
			c.signal_at = i;
			c.request_at = j;
			v = run_case(&c);
			if (!v.past || v.at_end || !options.complete)
				go_on = count(&c, &v, &row);
			if (v.past || v.at_end || !v.started)
				break;
		}
		/* The call was over before the signal was due. */
		ended = !v.started || (v.past && atomic_load(&shared->n_signals) == 0);
		row.n_boundaries++;
	}
	print_row(&c, &row);
	return go_on;
}

static int states_of(const struct op *op, const int **ret_states)
{
	static const int queues[] = { 0, 1, 3, -1 };

	*ret_states = queues;
	switch (op->direction) {
	case POLLS:
		return 2;
	case CONTROLS:
	case STEPS_REQUEST:
		return 1;
	default:
		return 4;
	}
}

/* The blocking handler is volley's: in a thread that is not attached it would be a plain read. */
static bool run_pairs(struct one_case c)
{
	int n_handlers = c.library->single_use ? HANDLER_BLOCKS : N_HANDLERS;

	for (int h = HANDLER_EMPTY; h < n_handlers; h++) {
		c.handler = (enum handler)h;
		if (options.handler != NULL && strcmp(options.handler, handler_names[h]) != 0)
			continue;
		if (!pairs(c))
			return false;
	}
	return true;
}

static bool run_op(const struct library *library, int op)
{
	const int *states;
	int n_states = states_of(&library->ops[op], &states);
	int n_paired = library->single_use ? 1 : n_states; /* one will do for comparison */
	bool with_signal = library->ops[op].direction != STEPS_REQUEST;

	for (int s = 0; s < n_states; s++) {
		struct one_case c = { .library = library, .op = op, .state = states[s] };

		if (options.handler == NULL && !sweep(c))
			return false;
		c.handler = HANDLER_EMPTY;
		if (options.handler == NULL && with_signal && !sweep(c))
			return false;
		if (library->ops[op].paired && s < n_paired && !run_pairs(c))
			return false;
	}
	return true;
}

static void run_library(const struct library *library)
{
	for (int op = 0; op < library->n_ops; op++)
		if (options.op == NULL || strcmp(options.op, library->ops[op].name) == 0)
			if (!run_op(library, op))
				break;
	tracer_kill(&tracer);
}

static void pin(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	sched_setaffinity(0, sizeof cpus, &cpus);
}

static void *wait_for_cancel(void *arg)
{
	for (;;)
		pause();
	return arg;
}

/* The first pthread_cancel() loads the unwinder: once here, not in every victim. */
static void warm_up(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, wait_for_cancel, NULL) != 0)
		return;
	pthread_cancel(thread);
	pthread_join(thread, NULL);
}

/* Containers and yama may forbid it. */
static bool may_trace(void)
{
	int r = tracer_start(&tracer, &volley_library);

	tracer_kill(&tracer);
	return r != -EPERM;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = { { "long", no_argument, NULL, 'l' },
					       { "stop-first", no_argument, NULL, 's' },
					       { "no-libc", no_argument, NULL, 'n' },
					       { "op", required_argument, NULL, 'o' },
					       { "handler", required_argument, NULL, 'h' },
					       { 0 } };
	int option;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		options.complete |= option == 'l';
		options.stop_first |= option == 's';
		options.with_libc &= option != 'n';
		if (option == 'o')
			options.op = optarg;
		if (option == 'h')
			options.handler = optarg;
		if (option == '?')
			return 2;
	}
	pin();
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED || queues_open() < 0) {
		perror("step");
		return 1;
	}
	warm_up();
	if (!may_trace()) {
		printf("SKIP: ptrace is not permitted here\n");
		return 77;
	}
	print_head();
	run_library(&volley_library);
	if (options.with_libc && !(options.stop_first && n_failed > 0))
		run_library(&c_library);
	printf("%d passed, %d failed\n", n_passed, n_failed);
	return n_failed > 0 || n_passed == 0;
}

/* SPDX-License-Identifier: MIT */
#ifndef BENCH_TRIAL_H
#define BENCH_TRIAL_H

/* One run of one subject under one load: server and generator on cores of their own. */

#include "load/load.h"
#include "setting.h"
#include "subjects/peer.h"
#include "subjects/subject.h"

struct bench_trial_config {
	const struct bench_setting *setting;
	const struct bench_subject *subject;
	struct bench_load load; /* server's address is filled in */
	double warmup_s;
	double seconds;
};

struct bench_trial {
	double seconds;
	double cpu_ns;
	double replies;
	double rate;      /* replies per second */
	double sent_rate; /* datagrams sent per second */
	double ns_each;   /* server CPU per reply */
	double busy;      /* CPU in use, per worker, of the time that others left it */
	double disturbed; /* share of the time in which others had its CPU */
	double batch;     /* datagrams per receive call; 0: not known */
	double calls;     /* system calls per datagram; 0: not known */
	double sizes[BENCH_PEER_N_SIZES]; /* share of volleys by size; all 0: not known */
	double sent; /* these ten over the whole run, warm-up and drain included */
	double replied;
	double lost;
	double lost_server;  /* of the lost: dropped by the kernel at the server's sockets */
	double lost_backlog; /* dropped before they came to any socket */
	double lost_sends;   /* replies that the server's kernel refused */
	double lost_clients; /* replies dropped at the generator's own sockets */
	double unexplained;  /* the rest */
	double reordered;
	double wrong;                    /* duplicates and foreign */
	double p50, p90, p99, p999, max; /* open loop: ns from the intended send time */
	double slip_p99;
};

/* 0 or -errno; *ret_why then gets a sentence. */
int bench_trial_run(const struct bench_trial_config *config, struct bench_trial *ret_trial,
		    const char **ret_why);

/*
 * What the generator sends into a socket that refuses everything, datagrams per second: the best of
 * three runs of so many seconds.
 */
int bench_trial_get_sink_rate(const struct bench_setting *setting, const struct bench_load *load,
			      double seconds, double *ret_rate);

/* Does the subject echo every size correctly? 0 or -errno with a sentence. */
int bench_trial_check_echo(const struct bench_setting *setting, const struct bench_subject *subject,
			   const char **ret_why);

#endif

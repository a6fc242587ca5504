/* SPDX-License-Identifier: MIT */
#ifndef BENCH_SUBJECT_H
#define BENCH_SUBJECT_H

/* What is measured: a peer, volley in one of its modes, or a program of its own. */

#include <stdbool.h>
#include <stddef.h>

struct bench_peer;
struct bench_volley_mode;

struct bench_subject {
	const char *name;
	const char *about;
	const struct bench_peer *peer;
	const struct bench_volley_mode *mode;
	const char *program; /* path of volley-echo */
	const char *absent;  /* why it cannot be measured here, or NULL */
};

/* Can it serve several sockets? */
bool bench_subject_has_listeners(const struct bench_subject *subject);

/* Why it cannot be made to handle exactly so many queued datagrams on one thread, or NULL. */
const char *bench_subject_why_not_preloaded(const struct bench_subject *subject);

#define BENCH_SUBJECT_MAX 48

struct bench_subjects {
	size_t n;
	struct bench_subject all[BENCH_SUBJECT_MAX];
};

/* All of them, absent ones too; `program` may be NULL. */
void bench_subjects_get(const char *program, struct bench_subjects *ret_subjects);

/*
 * Keep those that a comma-separated list names ("volley*" is all that begin so), in the list's
 * order. -ENOENT for a name that is none; *ret_bad then points to it.
 */
int bench_subjects_select(struct bench_subjects *subjects, const char *list, const char **ret_bad);

/* NULL when there is none. */
const struct bench_subject *bench_subjects_find(const struct bench_subjects *subjects,
						const char *name);

#endif

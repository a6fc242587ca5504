/* SPDX-License-Identifier: MIT */

/*
 * The list of all that can be measured. A peer whose library was not there at build time is in it
 * as absent, with the package that would bring it, because a table that leaves somebody out in
 * silence is not a comparison.
 */

#include "subject.h"

#include <errno.h>
#include <string.h>

#include <volley/config.h>

#include "peers/peers.h"
#include "volley.h"

static void add(struct bench_subjects *subjects, struct bench_subject subject)
{
	if (subjects->n < BENCH_SUBJECT_MAX)
		subjects->all[subjects->n++] = subject;
}

void bench_subjects_get(const char *program, struct bench_subjects *ret_subjects)
{
	const struct bench_peer *peer;
	const struct bench_volley_mode *mode;

	ret_subjects->n = 0;
	for (size_t i = 0; (peer = bench_peers_get(i)) != NULL; i++)
		add(ret_subjects, (struct bench_subject){ .name = peer->name,
							  .about = peer->about,
							  .absent = peer->absent,
							  .peer = peer });
	for (size_t i = 0; (mode = bench_volley_get_mode(i)) != NULL; i++)
		add(ret_subjects, (struct bench_subject){ .name = mode->name,
							  .about = mode->about,
							  .absent = mode->absent,
							  .mode = mode });
	if (program != NULL)
		add(ret_subjects, (struct bench_subject){ .name = "volley-echo",
							  .about = "the example program",
							  .program = program });
}

const struct bench_subject *bench_subjects_find(const struct bench_subjects *subjects,
						const char *name)
{
	for (size_t i = 0; i < subjects->n; i++)
		if (strcmp(subjects->all[i].name, name) == 0)
			return &subjects->all[i];
	return NULL;
}

static bool is_named(const struct bench_subject *subject, const char *name, size_t n_name)
{
	if (n_name > 0 && name[n_name - 1] == '*')
		return strncmp(subject->name, name, n_name - 1) == 0;
	return strlen(subject->name) == n_name && memcmp(subject->name, name, n_name) == 0;
}

int bench_subjects_select(struct bench_subjects *subjects, const char *list, const char **ret_bad)
{
	struct bench_subjects chosen = { 0 };

	while (*list != '\0') {
		size_t n_name = strcspn(list, ",");
		size_t before = chosen.n;

		for (size_t i = 0; i < subjects->n; i++)
			if (is_named(&subjects->all[i], list, n_name))
				add(&chosen, subjects->all[i]);
		if (chosen.n == before) {
			*ret_bad = list;
			return -ENOENT;
		}
		list += n_name + (list[n_name] == ',');
	}
	*subjects = chosen;
	return 0;
}

bool bench_subject_has_listeners(const struct bench_subject *subject)
{
	if (subject->mode != NULL)
		return subject->mode->wait != VOLLEY_WAIT_BLOCK;
	return subject->peer != NULL && subject->peer->has_listeners;
}

const char *bench_subject_why_not_preloaded(const struct bench_subject *subject)
{
	if (subject->absent != NULL)
		return subject->absent;
	if (subject->program != NULL)
		return "a program of its own cannot be preloaded";
	if (subject->mode != NULL && subject->mode->n_handlers > 0)
		return "its callbacks have threads of their own";
	return NULL;
}

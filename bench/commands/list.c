/* SPDX-License-Identifier: MIT */

/* list: what can be measured here, what is absent, and on what machine. */

#include <stdio.h>

#include "commands.h"
#include "figures/host.h"

int bench_list(const struct bench_options *options)
{
	struct bench_subjects subjects;

	bench_subjects_get(options->program, &subjects);
	for (size_t i = 0; i < subjects.n; i++)
		printf("  %-22s %s%s%s\n", subjects.all[i].name, subjects.all[i].about,
		       subjects.all[i].absent != NULL ? "; ABSENT: " : "",
		       subjects.all[i].absent != NULL ? subjects.all[i].absent : "");
	putchar('\n');
	bench_host_print(stdout);
	return 0;
}

/* SPDX-License-Identifier: MIT */

/*
 * A filter of system calls that refuses one of the batch calls, with whatever errno, costs speed
 * and no service: nothing is said to be ready that serves nothing.
 */

#include "promise.h"

#include "lib/confined.h"

static void try(const struct filter_rule *rule, int error, uint32_t wait)
{
	struct volley_config config = { .size = sizeof config, .n_workers = 2, .wait = wait };
	enum confined_end end = confined_try(
		rule, error, config, VOLLEY_LISTEN(.on_batch = confined_echo), "127.0.0.1:7777");

	if (end == CONFINED_NO_FILTER) {
		SKIP(confined_names[end]);
		exit(check_done());
	}
	if (end != CONFINED_WORKS)
		fprintf(stderr, "without %s (%s) a server %s\n", rule->name,
			volley_error_name(error), confined_names[end]);
	CHECK(end == CONFINED_WORKS);
	CHECK(confined_shared->n_warnings == 1);
}

int main(void)
{
	static const struct filter_rule rules[] = { { "recvmmsg", SYS_recvmmsg, -1, 0 },
						    { "sendmmsg", SYS_sendmmsg, -1, 0 } };
	static const int errors[] = { EPERM, ENOSYS, EACCES };

	promise_begin(30);
	for (size_t i = 0; i < 2; i++) {
		for (size_t k = 0; k < sizeof errors / sizeof errors[0]; k++)
			try(&rules[i], errors[k],
			    k == 1 ? (uint32_t)VOLLEY_WAIT_BLOCK : (uint32_t)VOLLEY_WAIT_EVENT);
	}
	return check_done();
}

/* SPDX-License-Identifier: MIT */

/*
 * The old server of a hot restart gives up waiting, or is told to end, before the new one has said
 * that it is ready; then it ends. The new one serves, and is not made deaf by that end.
 */

#include <errno.h>

#include "handover.h"

enum { SHORT_US = 200000 };

static void try(bool drain_early)
{
	struct volley_addr addr;
	struct volley_server *old = open_old(&addr);
	struct volley_server *new;
	struct giver giver;

	begin(&giver, old, drain_early ? PATIENCE_US : SHORT_US);
	new = import(&addr);
	if (drain_early)
		CHECK(volley_server_drain(old) == 0);
	CHECK(giver_join(&giver) == (drain_early ? -ECANCELED : -ETIMEDOUT));
	CHECK(volley_server_drain(old) == 0);
	CHECK(volley_server_free(old) == 0);
	if (volley_server_import_commit(new, fds[1], PATIENCE_US) < 0) {
		volley_server_free(new); /* as a program does */
		new = NULL;
	}
	CHECK(is_replied_to(&addr));
	volley_server_free(new);
	close(fds[1]);
}

int main(void)
{
	promise_begin(20);
	try(false);
	try(true);
	return check_done();
}

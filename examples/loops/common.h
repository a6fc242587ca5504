/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_LOOPS_COMMON_H
#define EXAMPLES_LOOPS_COMMON_H

/* What the examples of this folder have in common, so that each shows its loop and little else. */

#include <volley/volley.h>

/* An echo server with this config on argv[1], or 127.0.0.1:7777; NULL after saying why not. */
struct volley_server *common_open(int argc, char **argv, const struct volley_config *config);

/* Started: say on which address. */
void common_announce(struct volley_server *server, const char *program);

/* Print the ledger to stdout, and free. The exit code. */
int common_close(struct volley_server *server);

#endif

/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_COMMON_START_H
#define EXAMPLES_COMMON_START_H

/*
 * What a server does first, in main(). Somebody who hangs up, a TCP client or the reader of the
 * log, ends that write (EPIPE), not the server, and so does a file that may not grow any more
 * (EFBIG). And descriptors 0 to 2 are taken: where the parent left one closed, a socket would get
 * its number, and log lines would be written to that socket.
 */

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static inline void start_program(void)
{
	int fd;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

#endif

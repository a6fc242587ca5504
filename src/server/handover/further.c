/* SPDX-License-Identifier: MIT */

/*
 * A descriptor has one owner at each moment: the packet that it came with, this, or the program.
 * Whoever passes it on has none of it left, so each is closed once, whatever fails in between.
 */

#include "server/handover/further.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "sys/socket.h"

static_assert((int)VOLLEY_HANDOVER_N_FDS <= (int)VLY_UNIX_N_FDS, "they come in one packet");

static bool is_open(int fd)
{
	int type;

	return vly_socket_get_int(fd, SOL_SOCKET, SO_TYPE, &type) != -EBADF;
}

int vly_further_check(const struct volley_config *config, const int *fds, uint32_t n)
{
	if (n > VOLLEY_HANDOVER_N_FDS || (fds == NULL && n > 0)) {
		vly_log_write(config, VOLLEY_LOG_ERROR,
			      "export_fds: %u further descriptors%s; there may be %d", n,
			      fds == NULL ? " at NULL" : "", VOLLEY_HANDOVER_N_FDS);
		return -EINVAL;
	}
	for (uint32_t i = 0; i < n; i++) {
		if (is_open(fds[i]))
			continue;
		vly_log_write(config, VOLLEY_LOG_ERROR,
			      "export_fds: further descriptor %u (%d) is not open", i, fds[i]);
		return -EBADF;
	}
	return 0;
}

int vly_further_recv(struct vly_handover *handover, struct vly_further *further)
{
	int r = vly_wire_recv(handover, VLY_HANDOVER_FURTHER);

	if (r < 0)
		return r;
	if (handover->n_fds > VOLLEY_HANDOVER_N_FDS)
		return -EPROTO; /* the conversation closes them */
	further->n = handover->n_fds;
	memcpy(further->fds, handover->fds, sizeof further->fds);
	handover->n_fds = 0;
	return 0;
}

void vly_further_give(struct vly_further *further, int *ret_fds, uint32_t *ret_n)
{
	if (ret_fds == NULL) {
		vly_further_close(further);
		return;
	}
	memcpy(ret_fds, further->fds, further->n * sizeof *ret_fds);
	*ret_n = further->n;
	further->n = 0;
}

void vly_further_close(struct vly_further *further)
{
	while (further->n > 0)
		vly_socket_close(further->fds[--further->n]);
}

/* SPDX-License-Identifier: MIT */
#ifndef VLY_CANCEL_MMSG_LOOP_H
#define VLY_CANCEL_MMSG_LOOP_H

/*
 * volley_recvmmsg() and volley_sendmmsg() made of single calls, for systems that have no batch
 * calls: the same contract, one system call per message.
 */

#include <sys/socket.h>

int vly_mmsg_loop_recv(int fd, struct mmsghdr *msgs, unsigned int vlen, int flags);
int vly_mmsg_loop_send(int fd, struct mmsghdr *msgs, unsigned int vlen, int flags);

#endif

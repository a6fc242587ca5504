/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_STEER_H
#define VOLLEY_STEER_H

/**
 * @file steer.h
 * Who serves a datagram: which of a listener's sockets it comes to, and with it which worker, and
 * which of that worker's handlers.
 */

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Which of a listener's sockets a datagram comes to. Socket j is served by worker j modulo
 * n_workers; as a rule there is one for each, of the same index.
 *
 * All but FLOW are a classic BPF program that the kernel runs for each datagram
 * (SO_ATTACH_REUSEPORT_CBPF), whose result is the socket's index. Where it names no socket, because
 * there are not so many, the kernel chooses as for FLOW. The program is there before there is a
 * choice, which the second socket brings. While the others follow, a few microseconds, a datagram
 * may come to one that is there already.
 *
 * Broadcasts and what is sent to groups are not steered: the listener's first socket serves them.
 * Nor are the network's reports (on_error), which come to the socket that the hash names. Datagrams
 * of one client that the kernel or a card has merged (UDP_GRO, UDP_SEGMENT over loopback) come
 * together to the socket of the first. So where one client's datagrams are for several sockets, a
 * program has to be ready for those of others, as it has to be whenever the number of sockets
 * changes: volley_server_post_to() and volley_packet_hold() hand them on. With
 * VOLLEY_LISTEN_NO_COALESCE volley does not ask for the former.
 *
 * Not with VOLLEY_LISTEN_SHARE_PORT, for the sockets of others would have indexes too. A listener
 * of one socket steers nothing. docs/steering.md has examples.
 */
enum volley_steer {
	/**
	 * The kernel's: by a hash of both addresses and ports, so a client stays at its socket for
	 * as long as it keeps its address. Adopted sockets keep a program that somebody else has
	 * given them.
	 */
	VOLLEY_STEER_FLOW = 0,
	/**
	 * By the CPU that received it: the i-th of those that the thread which called listen may
	 * use (sched_getaffinity(2)) means socket i. With VOLLEY_SERVER_PIN worker i runs there as
	 * well, so a datagram stays on the CPU where its interrupt was. Other CPUs name no socket.
	 */
	VOLLEY_STEER_CPU,
	/**
	 * By the byte at `steer_offset` of the payload: its value is the index, 0 to 255. Shorter
	 * datagrams name no socket.
	 */
	VOLLEY_STEER_BYTE,
	/**
	 * By `steer_program`. It finds the payload at offset 0, and the kernel's ancillary data
	 * (SKF_AD_CPU and others of linux/filter.h). Test BPF_LEN before you load: the kernel takes
	 * a load beyond the end for the result 0, so all that is short would come to the first
	 * socket. 0xffffffff is a result that names none.
	 */
	VOLLEY_STEER_PROGRAM,
};

/** Which of a worker's handlers (`n_handlers`) a datagram goes to. */
enum volley_spread {
	/** The same for all datagrams of one client (address and port): they stay in order. */
	VOLLEY_SPREAD_FLOW = 0,
	/**
	 * The one that has the fewest packets: any number of CPUs work for one client, as a sender
	 * of log lines or flow records is. Order is lost, also among the replies to one client.
	 */
	VOLLEY_SPREAD_ANY,
};

#ifdef __cplusplus
}
#endif

#endif

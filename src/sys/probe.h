/* SPDX-License-Identifier: MIT */
#ifndef VLY_SYS_PROBE_H
#define VLY_SYS_PROBE_H

/*
 * What this kernel can do, found out by doing it on loopback sockets of our own. Takes some 2 ms
 * where no other socket uses UDP_GRO, as the kernel patches its code for the first one and back
 * after the last; 0.1 ms otherwise. Done once per server.
 */
enum vly_probe_bit {
	VLY_PROBE_RECVMMSG = 1,
	VLY_PROBE_SENDMMSG = 2,
	VLY_PROBE_MEMINFO = 4, /* SO_MEMINFO, Linux 4.12 */
	VLY_PROBE_GSO = 8,     /* UDP_SEGMENT, Linux 4.18 */
	VLY_PROBE_GRO = 16,    /* UDP_GRO, Linux 5.0 */
	VLY_PROBE_IPV6 = 32,
};

struct vly_probe {
	int bits; /* enum vly_probe_bit */
	/* Most segments that one UDP_SEGMENT message may hold: 64 or 128; 0 without GSO. */
	int n_segments;
};

/* 0, or -errno when not even a socket could be opened. */
int vly_probe_run(struct vly_probe *ret_probe);

#endif

/* SPDX-License-Identifier: MIT */
#ifndef VLY_SYS_PROBE_H
#define VLY_SYS_PROBE_H

/*
 * What this kernel can do, found out by doing it on loopback sockets of our own. Takes some 2 ms
 * where no other socket uses UDP_GRO, as the kernel patches its code for the first one and back
 * after the last; 0.1 ms otherwise. Done once per server.
 */
enum vly_probe_call {
	VLY_PROBE_RECVMMSG = 0,
	VLY_PROBE_SENDMMSG,
	VLY_PROBE_RECVMSG,
	VLY_PROBE_SENDMSG,
	VLY_PROBE_POLL,    /* ppoll, and poll as the C library makes it */
	VLY_PROBE_MEMINFO, /* SO_MEMINFO, Linux 4.12 */
	VLY_PROBE_GSO,     /* UDP_SEGMENT, Linux 4.18 */
	VLY_PROBE_GRO,     /* UDP_GRO, Linux 5.0 */
	VLY_PROBE_IPV6,    /* a socket of it */
	VLY_PROBE_N,
};

struct vly_probe {
	int errors[VLY_PROBE_N]; /* what each call got: 0, or the -errno that refused it */
	/* Most segments that one UDP_SEGMENT message may hold: 64 or 128; 0 without GSO. */
	int n_segments;
};

/* 0, or -errno when not even a socket could be opened. */
int vly_probe_run(struct vly_probe *ret_probe);

/* What a call is called in sentences. */
const char *vly_probe_get_name(enum vly_probe_call call);

#endif

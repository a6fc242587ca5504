/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_GATE_H
#define VLY_PATH_GATE_H

/*
 * Where threads that start meet: each reports how its start went, and whoever started them waits
 * for all reports, judges, and lets them go.
 */

#include <stdbool.h>
#include <stdint.h>

#include "sys/cond.h"
#include "sys/lock.h"

struct vly_gate {
	struct vly_lock lock;
	struct vly_cond changed;
	/* The lock's: */
	uint32_t n_reported;
	int result; /* the first failure that was reported, or 0 */
	bool is_open;
};

void vly_gate_init(struct vly_gate *gate);
void vly_gate_fini(struct vly_gate *gate);

/* Before anybody starts: nobody has reported, and the gate is shut. */
void vly_gate_close(struct vly_gate *gate);

/* A thread that starts: 0 or -errno. Then wait for the verdict: 0, or the first failure. */
void vly_gate_post(struct vly_gate *gate, int result);
int vly_gate_wait(struct vly_gate *gate);

/* Wait until n have reported: 0, or the first failure. Then let all of them go. */
int vly_gate_wait_all(struct vly_gate *gate, uint32_t n);
void vly_gate_open(struct vly_gate *gate, int verdict);

#endif

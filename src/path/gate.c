/* SPDX-License-Identifier: MIT */

/*
 * A gate is shut, takes reports, and is opened once with a verdict over all who wait:
 *
 *     starter: close | start n threads | wait for all n ----- open, with a verdict
 *     thread:                          post, wait --------------------------- go on, or leave
 */

#include "path/gate.h"

void vly_gate_init(struct vly_gate *gate)
{
	vly_lock_init(&gate->lock);
	vly_cond_init(&gate->changed);
}

void vly_gate_fini(struct vly_gate *gate)
{
	vly_cond_fini(&gate->changed);
	vly_lock_fini(&gate->lock);
}

void vly_gate_close(struct vly_gate *gate)
{
	vly_lock_take(&gate->lock);
	gate->n_reported = 0;
	gate->result = 0;
	gate->is_open = false;
	vly_lock_give(&gate->lock);
}

void vly_gate_post(struct vly_gate *gate, int result)
{
	vly_lock_take(&gate->lock);
	gate->n_reported++;
	if (result < 0 && gate->result >= 0)
		gate->result = result;
	vly_cond_wake(&gate->changed);
	vly_lock_give(&gate->lock);
}

int vly_gate_wait(struct vly_gate *gate)
{
	int r;

	vly_lock_take(&gate->lock);
	while (!gate->is_open)
		vly_cond_wait(&gate->changed, &gate->lock);
	r = gate->result;
	vly_lock_give(&gate->lock);
	return r;
}

int vly_gate_wait_all(struct vly_gate *gate, uint32_t n)
{
	int r;

	vly_lock_take(&gate->lock);
	while (gate->n_reported < n)
		vly_cond_wait(&gate->changed, &gate->lock);
	r = gate->result;
	vly_lock_give(&gate->lock);
	return r;
}

void vly_gate_open(struct vly_gate *gate, int verdict)
{
	assert(verdict <= 0);
	vly_lock_take(&gate->lock);
	gate->result = verdict;
	gate->is_open = true;
	vly_cond_wake(&gate->changed);
	vly_lock_give(&gate->lock);
}

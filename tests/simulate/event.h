/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SIMULATE_EVENT_H
#define TESTS_SIMULATE_EVENT_H

#include "kernel.h"

struct file *event_open(void);
struct file *event_open_signals(struct process *process, uint64_t mask);
struct file *event_open_process(struct process *process);
struct file *event_open_timer(void);
/* UINT64_MAX: not at all. */
void event_set_timer(struct file *file, uint64_t at_ns);
void event_open_pipe(struct file *ret_files[2]); /* to read, to write */

/* What is woken when one of these changes is not always its own. */
struct waits *event_get_waits(struct file *file);

int event_read(struct file *file, void *data, size_t n);
int event_write(struct file *file, const void *data, size_t n);

#endif

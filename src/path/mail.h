/* SPDX-License-Identifier: MIT */
#ifndef VLY_PATH_MAIL_H
#define VLY_PATH_MAIL_H

/*
 * A worker's mail: what other threads put into its inbox, and how they wake it. What the worker
 * does with it is in worker/chores.c.
 */

#include <stdatomic.h>
#include <stdbool.h>

#include <volley/cancel.h>
#include <volley/config.h>

#include "data/inbox.h"

/* vly_inbox_node.kind: the struct that a node of the inbox is embedded in. */
enum vly_mail_kind {
	VLY_MAIL_POST = 0, /* struct vly_post */
	VLY_MAIL_ERRAND,   /* struct vly_errand, of worker.h */
	VLY_MAIL_SEND,     /* struct vly_buffer, of remote.c */
	VLY_MAIL_HANDLER,  /* struct vly_handler, whose tx ring has something */
	VLY_MAIL_GOODBYE,  /* struct vly_goodbye, of worker.h */
};

/* The user's function for a worker. chores.c runs it and frees the post. */
struct vly_post {
	struct vly_inbox_node node;
	volley_worker_fn fn;
	void *arg;
};

/* Where a worker sleeps, and so how it is woken. */
enum vly_mail_sleep {
	VLY_MAIL_IN_LOOP = 0, /* in epoll, which knows the eventfd */
	VLY_MAIL_IN_CALL,     /* in a receive call, a cancellation point */
	VLY_MAIL_IN_CALLERS, /* in the caller's loop, which knows the eventfd; there is no thread */
};

struct vly_mail {
	struct vly_inbox inbox;
	/* Set once. */
	VLY_ALIGNED int event_fd; /* also the waker of the handle */
	enum vly_mail_sleep sleep;
	struct volley_cancel *_Atomic handle; /* NULL: the worker has no thread */
	_Atomic bool was_deaf;                /* somebody had taken the signal that is to wake it */
};

/* Before init of anything: so that fini takes one whose init was never called. */
void vly_mail_reset(struct vly_mail *mail);

/* 0 or -errno. fini takes one whose init failed. */
int vly_mail_init(struct vly_mail *mail, enum vly_mail_sleep sleep);
void vly_mail_fini(struct vly_mail *mail);

/* Worker's thread: let others cancel it; -errno, and then nobody can. */
int vly_mail_attach(struct vly_mail *mail);
/* Control thread, when the worker's has left: the handle, which is the caller's to unref. */
struct volley_cancel *vly_mail_detach(struct vly_mail *mail);

/* Any thread, signal handlers too: end the worker's wait, so that it reads the command. */
void vly_mail_cancel(struct vly_mail *mail);

/* Whether it would not have heard of a request since this was asked last. */
bool vly_mail_take_deaf(struct vly_mail *mail);

/* Any thread, signal handlers too: have the worker look at its inbox. */
void vly_mail_wake(struct vly_mail *mail);

/* Any thread but a signal handler, while the worker runs: into the inbox, and wake it if asleep. */
void vly_mail_push(struct vly_mail *mail, struct vly_inbox_node *node, enum vly_mail_kind kind);

/* Worker: as vly_inbox_take(), _sleep() and _awake(); and take what woke it out of the eventfd. */
struct vly_inbox_node *vly_mail_take(struct vly_mail *mail);
bool vly_mail_sleep(struct vly_mail *mail);
bool vly_mail_awake(struct vly_mail *mail);
void vly_mail_clear(struct vly_mail *mail);

/* The descriptor that is readable when there is a wake. */
int vly_mail_get_fd(const struct vly_mail *mail);

#endif

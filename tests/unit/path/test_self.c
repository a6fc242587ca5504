/* SPDX-License-Identifier: MIT */

/* Which thread is the worker, as the worker, the control thread and others see it. */

#include <criterion/criterion.h>
#include <pthread.h>

#include "path/self.h"

static struct vly_self self;

/* What another thread finds, as bits. */
enum { TAKEN = 1, ME = 2, ALLOWED = 4 };

static intptr_t look(void)
{
	return (vly_self_is_taken(&self) ? TAKEN : 0) | (vly_self_is_me(&self) ? ME : 0) |
	       (vly_self_is_allowed(&self) ? ALLOWED : 0);
}

static void *look_elsewhere(void *arg)
{
	(void)arg;
	return (void *)look();
}

static intptr_t ask_another(void)
{
	pthread_t thread;
	void *r;

	cr_assert_eq(pthread_create(&thread, NULL, look_elsewhere, NULL), 0);
	pthread_join(thread, &r);
	return (intptr_t)r;
}

Test(self, while_nobody_is_everybody_may)
{
	cr_assert_eq(look(), ALLOWED);
	cr_assert_eq(ask_another(), ALLOWED);
}

Test(self, the_worker_alone_is_and_may)
{
	vly_self_enter(&self);
	cr_assert_eq(look(), TAKEN | ME | ALLOWED);
	cr_assert_eq(ask_another(), TAKEN);
	vly_self_leave(&self);
	cr_assert_eq(look(), ALLOWED);
}

static void *enter(void *arg)
{
	(void)arg;
	vly_self_enter(&self);
	return NULL;
}

Test(self, another_is_the_worker)
{
	pthread_t thread;

	cr_assert_eq(pthread_create(&thread, NULL, enter, NULL), 0);
	while (!vly_self_is_taken(&self))
		continue;
	cr_assert_eq(look(), TAKEN);
	pthread_join(thread, NULL);
}

/* SPDX-License-Identifier: MIT */

/* Two threads count without an atomic, which ThreadSanitizer has to see. */

#include <pthread.h>
#include <stdio.h>

static int count;

static void *add(void *arg)
{
	(void)arg;
	for (int i = 0; i < 1000; i++)
		count++;
	return NULL;
}

int main(void)
{
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, add, NULL))
			return 1;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	printf("%d passed, 0 failed\n", count > 0);
	return 0;
}

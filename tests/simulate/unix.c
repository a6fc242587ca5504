/* SPDX-License-Identifier: MIT */

/* Connected pairs of AF_UNIX sockets that carry packets and descriptors. */

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "event.h"

void *__real_malloc(size_t n);
void __real_free(void *memory);

enum { N_FILES = 253, N_QUEUED = 10 };

struct letter {
	struct letter *next;
	uint32_t len;
	uint32_t n_files;
	struct file *files[N_FILES];
	uint8_t data[];
};

struct unix_file {
	struct file file;
	struct unix_file *other; /* NULL: gone */
	struct letter *first, *last;
	uint32_t n_queued;
	bool is_shut;  /* in both directions */
	bool is_reset; /* the other one went with something unread */
};

static bool is_disturbed;
static uint32_t n_burden;

void unix_disturb(void)
{
	is_disturbed = true;
}

void unix_burden(uint32_t n_fds)
{
	n_burden = n_fds;
}

void unix_calm(void)
{
	is_disturbed = false;
	n_burden = 0;
}

static struct unix_file *of(struct file *file)
{
	return (struct unix_file *)(void *)file;
}

int unix_pair(struct file *ret_files[2])
{
	struct unix_file *ends[2];

	for (int i = 0; i < 2; i++) {
		ends[i] = __real_malloc(sizeof *ends[i]);
		*ends[i] = (struct unix_file){ 0 };
		file_init(&ends[i]->file, FILE_UNIX);
		ret_files[i] = &ends[i]->file;
	}
	ends[0]->other = ends[1];
	ends[1]->other = ends[0];
	return 0;
}

static void drop_first(struct unix_file *end)
{
	struct letter *letter = end->first;

	end->first = letter->next;
	if (end->first == NULL)
		end->last = NULL;
	end->n_queued--;
	for (uint32_t i = 0; i < letter->n_files; i++)
		file_unref(letter->files[i]);
	__real_free(letter);
	if (end->other != NULL)
		world_wake(&end->other->file.waits);
}

void unix_close(struct file *file)
{
	struct unix_file *end = of(file);

	if (end->other != NULL) {
		end->other->is_reset = end->first != NULL;
		end->other->other = NULL;
		world_wake(&end->other->file.waits);
		end->other = NULL;
	}
	while (end->first != NULL)
		drop_first(end);
}

static bool is_over(const struct unix_file *end)
{
	return end->other == NULL || end->is_shut;
}

short unix_poll(struct file *file)
{
	struct unix_file *end = of(file);
	int events = 0;

	if (end->first != NULL || is_over(end))
		events |= POLLIN;
	if (is_over(end))
		events |= POLLHUP | POLLOUT;
	else if (end->other->n_queued < N_QUEUED)
		events |= POLLOUT;
	return (short)events;
}

int unix_sendmsg(struct file *file, const struct msghdr *msg)
{
	struct unix_file *end = of(file);
	struct msghdr copy = *msg;
	struct letter *letter;
	size_t len = 0;

	if (is_over(end))
		return -EPIPE;
	if (end->other->n_queued >= N_QUEUED)
		return -EAGAIN;
	for (size_t i = 0; i < msg->msg_iovlen; i++)
		len += msg->msg_iov[i].iov_len;
	letter = __real_malloc(sizeof *letter + len);
	*letter = (struct letter){ .len = 0 };
	for (size_t i = 0; i < msg->msg_iovlen; i++) {
		memcpy(letter->data + letter->len, msg->msg_iov[i].iov_base,
		       msg->msg_iov[i].iov_len);
		letter->len += (uint32_t)msg->msg_iov[i].iov_len;
	}
	if (is_disturbed && letter->len > 4)
		letter->data[world_pick(letter->len < 16 ? letter->len : 16)] ^= 0x55;
	is_disturbed = false;
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(&copy); cmsg != NULL;
	     cmsg = CMSG_NXTHDR(&copy, cmsg)) {
		size_t n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof fd, sizeof fd);
			if (kernel_get(fd) == NULL)
				abort();
			letter->files[letter->n_files++] = file_ref(kernel_get(fd));
		}
	}
	for (; n_burden > 0; n_burden--)
		letter->files[letter->n_files++] = event_open();
	if (end->other->last != NULL)
		end->other->last->next = letter;
	else
		end->other->first = letter;
	end->other->last = letter;
	end->other->n_queued++;
	world_wake(&end->other->file.waits);
	return (int)len;
}

static void put_files(struct letter *letter, struct msghdr *msg)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);
	uint32_t n = 0;

	if (letter->n_files == 0 || cmsg == NULL) {
		msg->msg_controllen = 0;
		return;
	}
	while (n < letter->n_files && CMSG_SPACE((n + 1) * sizeof(int)) <= msg->msg_controllen) {
		int fd = kernel_install(file_ref(letter->files[n]));

		if (fd < 0)
			break;
		memcpy(CMSG_DATA(cmsg) + n * sizeof fd, &fd, sizeof fd);
		n++;
	}
	if (n < letter->n_files)
		msg->msg_flags |= MSG_CTRUNC;
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(n * sizeof(int));
	msg->msg_controllen = n > 0 ? CMSG_SPACE(n * sizeof(int)) : 0;
}

int unix_recvmsg(struct file *file, struct msghdr *msg)
{
	struct unix_file *end = of(file);
	struct letter *letter = end->first;
	size_t n = 0;

	if (end->is_reset) {
		end->is_reset = false;
		return -ECONNRESET;
	}
	if (letter == NULL && !is_over(end))
		return -EAGAIN;
	msg->msg_flags = 0;
	if (letter == NULL) {
		msg->msg_controllen = 0;
		return 0;
	}
	for (size_t i = 0; i < msg->msg_iovlen && n < letter->len; i++) {
		size_t part = msg->msg_iov[i].iov_len;

		if (part > letter->len - n)
			part = letter->len - n;
		memcpy(msg->msg_iov[i].iov_base, letter->data + n, part);
		n += part;
	}
	if (n < letter->len)
		msg->msg_flags |= MSG_TRUNC;
	put_files(letter, msg);
	drop_first(end);
	return (int)n;
}

void unix_shutdown(struct file *file)
{
	struct unix_file *end = of(file);

	end->is_shut = true;
	world_wake(&end->file.waits);
	if (end->other != NULL) {
		end->other->is_shut = true;
		world_wake(&end->other->file.waits);
	}
}

/* SPDX-License-Identifier: MIT */

/* rtnetlink, as far as it tells the addresses of the host, and that they have changed. */

#include "netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "net.h"

void *__real_malloc(size_t n);
void __real_free(void *memory);

enum { N_BYTES = 8192 };

struct message {
	struct message *next;
	uint32_t len;
	char data[];
};

struct netlink_file {
	struct file file;
	bool hears;
	bool is_overrun; /* something was too much for it, and it is not told yet */
	uint32_t n_queued;
	/* A list is made in parts, each when the one before has been read. */
	bool is_dumping;
	uint32_t n_dumped, seq;
	uint64_t changed_ns; /* when it was begun */
	struct message *first, *last;
	struct netlink_file *next; /* of all that are open */
};

static struct netlink_file *all;
static uint32_t n_room; /* notices; 0: not drawn yet */
static uint64_t blurred_ns;

/* Of a list that is read meanwhile, nobody knows what it holds. */
static void blur(struct netlink_file *netlink)
{
	if (netlink->first != NULL || netlink->is_dumping)
		blurred_ns = world_now();
}

uint64_t netlink_get_blurred_ns(void)
{
	return blurred_ns;
}

static struct netlink_file *of(struct file *file)
{
	return (struct netlink_file *)(void *)file;
}

struct file *netlink_open(void)
{
	struct netlink_file *netlink = __real_malloc(sizeof *netlink);

	*netlink = (struct netlink_file){ .next = all };
	file_init(&netlink->file, FILE_NETLINK);
	all = netlink;
	return &netlink->file;
}

void netlink_close(struct file *file)
{
	struct netlink_file **link = &all;

	while (*link != of(file))
		link = &(*link)->next;
	*link = of(file)->next;
	while (of(file)->first != NULL) {
		struct message *message = of(file)->first;

		of(file)->first = message->next;
		__real_free(message);
	}
}

short netlink_poll(struct file *file)
{
	return (short)(POLLOUT | (of(file)->first != NULL ? POLLIN : 0) |
		       (of(file)->is_overrun ? POLLIN | POLLERR : 0));
}

void netlink_bind(struct file *file)
{
	of(file)->hears = true;
}

static void queue(struct netlink_file *netlink, const void *data, uint32_t len)
{
	struct message *message = __real_malloc(sizeof *message + len);

	*message = (struct message){ .len = len };
	memcpy(message->data, data, len);
	if (netlink->last != NULL && netlink->first != NULL)
		netlink->last->next = message;
	else
		netlink->first = message;
	netlink->last = message;
	netlink->n_queued++;
	world_wake(&netlink->file.waits);
}

static uint32_t put_addr(char *at, const struct volley_addr *addr, uint32_t seq, uint16_t type)
{
	bool is4 = addr->sa.sa_family == AF_INET;
	uint32_t n = is4 ? 4 : 16;
	struct {
		struct nlmsghdr head;
		struct ifaddrmsg body;
		struct rtattr attr;
		char data[16];
	} message = {
		.head = { .nlmsg_type = type, .nlmsg_seq = seq, .nlmsg_flags = NLM_F_MULTI },
		.body = { .ifa_family = (unsigned char)addr->sa.sa_family,
			  .ifa_index = net_find_interface(addr) },
		.attr = { .rta_len = (unsigned short)RTA_LENGTH(n),
			  .rta_type = is4 ? IFA_LOCAL : IFA_ADDRESS },
	};

	memcpy(message.data, is4 ? (const void *)&addr->in.sin_addr : &addr->in6.sin6_addr, n);
	message.head.nlmsg_len = (uint32_t)(NLMSG_LENGTH(sizeof message.body) + RTA_LENGTH(n));
	memcpy(at, &message, message.head.nlmsg_len);
	return NLMSG_ALIGN(message.head.nlmsg_len);
}

/* The next addresses, or the end. */
static void dump(struct netlink_file *netlink)
{
	bool has_changed;
	struct nlmsghdr done = { .nlmsg_len = NLMSG_LENGTH(4),
				 .nlmsg_type = NLMSG_DONE,
				 .nlmsg_seq = netlink->seq };
	alignas(struct nlmsghdr) char data[N_BYTES] = { 0 };
	uint32_t n = 0;
	uint32_t n_left = 1 + world_pick(6);
	struct volley_addr addr;

	if (netlink->n_dumped > 0 && world_pick(4) == 0) { /* it comes just then, if it is to */
		net_set_own(1, true);
		net_set_own(3, true);
	}
	has_changed = net_get_changed_ns() != netlink->changed_ns;
	while (n_left-- > 0 && net_get_own(netlink->n_dumped, &addr)) {
		struct nlmsghdr *head = (struct nlmsghdr *)(void *)(data + n);

		n += put_addr(data + n, &addr, netlink->seq, RTM_NEWADDR);
		if (has_changed)
			head->nlmsg_flags |= NLM_F_DUMP_INTR;
		netlink->n_dumped++;
	}
	if (n > 0) {
		queue(netlink, data, n);
		return;
	}
	netlink->is_dumping = false;
	if (has_changed)
		done.nlmsg_flags |= NLM_F_DUMP_INTR;
	memcpy(data, &done, sizeof done);
	queue(netlink, data, done.nlmsg_len);
}

/* It has not read the one before to its end. */
static void refuse(struct netlink_file *netlink, const struct nlmsghdr *request)
{
	struct {
		struct nlmsghdr head;
		struct nlmsgerr body;
	} message = {
		.head = { .nlmsg_len = sizeof message,
			  .nlmsg_type = NLMSG_ERROR,
			  .nlmsg_seq = request->nlmsg_seq },
		.body = { .error = -EBUSY, .msg = *request },
	};

	queue(netlink, &message, sizeof message);
}

/* A list of all addresses is the only thing that is ever asked for. */
int netlink_sendmsg(struct file *file, const struct msghdr *msg)
{
	struct netlink_file *netlink = of(file);
	struct nlmsghdr request;

	memcpy(&request, msg->msg_iov[0].iov_base, sizeof request);
	if (request.nlmsg_type != RTM_GETADDR)
		abort();
	blur(netlink);
	if (netlink->is_dumping) {
		refuse(netlink, &request);
		return (int)request.nlmsg_len;
	}
	netlink->is_dumping = true;
	netlink->n_dumped = 0;
	netlink->seq = request.nlmsg_seq;
	netlink->changed_ns = net_get_changed_ns();
	dump(netlink);
	return (int)request.nlmsg_len;
}

int netlink_recvmsg(struct file *file, struct msghdr *msg, int flags)
{
	struct netlink_file *netlink = of(file);
	struct message *message = netlink->first;
	size_t n;
	int len;

	if (netlink->is_overrun) {
		netlink->is_overrun = false;
		blur(netlink);
		return -ENOBUFS;
	}
	if (message == NULL)
		return -EAGAIN;
	n = msg->msg_iov[0].iov_len;
	len = (int)message->len;
	memcpy(msg->msg_iov[0].iov_base, message->data, n < message->len ? n : message->len);
	msg->msg_controllen = 0;
	netlink->first = message->next;
	netlink->n_queued--;
	__real_free(message);
	if (netlink->is_dumping)
		dump(netlink);
	return flags & MSG_TRUNC ? len : (int)(n < (size_t)len ? n : (size_t)len);
}

void netlink_tell(const struct volley_addr *addr, bool comes)
{
	char data[128] = { 0 };
	uint32_t n = put_addr(data, addr, 0, comes ? RTM_NEWADDR : RTM_DELADDR);

	if (n_room == 0)
		n_room = 1 + world_pick(world_pick(2) ? 4 : 100);
	for (struct netlink_file *netlink = all; netlink != NULL; netlink = netlink->next) {
		if (!netlink->hears)
			continue;
		if (netlink->n_queued >= n_room) {
			netlink->is_overrun = true;
			world_wake(&netlink->file.waits);
			continue;
		}
		blur(netlink);
		queue(netlink, data, n);
	}
}

/* SPDX-License-Identifier: MIT */

/*
 * The mmsghdr arrays of the socket backends.
 *
 * Receiving: an array of headers, one per slot, filled once, for all sockets that want the same
 * control messages and slots; so a socket more takes no array, and ten thousand share the lines of
 * one in the cache. The kernel overwrites three fields of each header it uses (name length, control
 * length, flags), of which it reads the first two, so exactly the used headers are re-armed with
 * those, right after their results were copied into the slots while the line is hot. The arrays are
 * contiguous mmsghdr and nothing else: embedding them in a larger struct is a bug that others have
 * shipped.
 *
 * Sending: one array per worker, filled anew for each call, because every field differs.
 *
 * Invariant: between calls every receive header is armed.
 */

#include "io/msgs.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

#include "base/compiler.h"
#include "base/mem.h"
#include "sys/cmsg.h"

/*
 * One call's worth: the kernel takes no more than 1,024 messages (UIO_MAXIOV), nor iovecs per
 * message.
 */
enum { N_TX = 1024 };

enum {
	TX_CONTROL_BYTES = VLY_CMSG_SOURCE_BYTES + VLY_CMSG_HEADER_BYTES +
			   CMSG_SPACE(sizeof(uint16_t))
};

static_assert(TX_CONTROL_BYTES % 8 == 0, "control messages are aligned to 8 bytes");
static_assert(sizeof(struct mmsghdr) <= 64, "the arrays are sized for the kernel's struct");

/* What sockets that are alike receive by. */
struct shape {
	struct mmsghdr *rx; /* one per slot */
	uint8_t *control;
	uint32_t room_bytes;  /* control room per message */
	bool wants_infos;     /* control messages say more than the segment size */
	struct iovec *rx_iov; /* own ones, where larger slots are used in full; else NULL */
	uint32_t slot_bytes;  /* of those */
	uint32_t n_socks;     /* that have it */
	struct shape *next;
};

struct sock {
	struct shape *shape;
	int fd;
};

struct msgs {
	struct vly_io io;
	const struct vly_msgs_calls *calls;
	struct vly_slots *slots;
	struct iovec *rx_iov; /* one per slot, shared by the sockets: the kernel only reads it */
	uint32_t max_bytes;   /* the longest datagram that is received whole */
	struct mmsghdr *tx;
	struct iovec *tx_iov;
	uint8_t *tx_control;
	struct sock *socks; /* by index; shape NULL: free */
	uint32_t n_socks;
	struct shape *shapes;
};

static struct msgs *msgs_of(struct vly_io *io)
{
	return VLY_CONTAINER_OF(io, struct msgs, io);
}

int vly_msgs_open(struct vly_slots *slots, const struct vly_msgs_calls *calls,
		  struct vly_io **ret_io)
{
	struct msgs *self = vly_mem_new(slots->allocator, 1, sizeof *self);

	if (self == NULL)
		return -ENOMEM;
	self->calls = calls;
	self->slots = slots;
	self->rx_iov = vly_mem_new(slots->allocator, slots->n_slots, sizeof *self->rx_iov);
	self->tx = vly_mem_new(slots->allocator, N_TX, sizeof *self->tx);
	self->tx_iov = vly_mem_new(slots->allocator, N_TX, sizeof *self->tx_iov);
	self->tx_control = vly_mem_new(slots->allocator, N_TX, TX_CONTROL_BYTES);
	if (self->rx_iov == NULL || self->tx == NULL || self->tx_iov == NULL ||
	    self->tx_control == NULL) {
		vly_msgs_close(&self->io);
		return -ENOMEM;
	}
	self->max_bytes = slots->slots[0].capacity;
	*ret_io = &self->io;
	return 0;
}

void vly_msgs_close(struct vly_io *io)
{
	struct msgs *self = msgs_of(io);

	for (uint32_t i = 0; i < self->n_socks; i++)
		vly_msgs_detach(io, i);
	vly_mem_free(self->socks);
	vly_mem_free(self->rx_iov);
	vly_mem_free(self->tx);
	vly_mem_free(self->tx_iov);
	vly_mem_free(self->tx_control);
	vly_mem_free(self);
}

/* Indices are given out lowest first, so the table is about as long as there are sockets. */
static int make_room(struct msgs *self, uint32_t sock_index)
{
	uint32_t n = self->n_socks > 0 ? self->n_socks : 4;
	struct sock *socks;

	if (sock_index < self->n_socks)
		return 0;
	while (n <= sock_index)
		n *= 2;
	socks = vly_mem_grow(self->slots->allocator, self->socks, self->n_socks, n, sizeof *socks);
	if (socks == NULL)
		return -ENOMEM;
	self->socks = socks;
	self->n_socks = n;
	return 0;
}

/* Where slots lie is known anew with each socket, because they may have grown for it. */
static void point_to_slots(const struct vly_slots *slots, struct iovec *iov, uint32_t n_bytes)
{
	for (uint32_t i = 0; i < slots->n_slots; i++) {
		iov[i].iov_base = slots->slots[i].data;
		iov[i].iov_len = n_bytes;
	}
}

static int use_slots(struct msgs *self, struct shape *shape)
{
	const struct vly_slots *slots = self->slots;

	assert(shape->slot_bytes <= slots->slots[0].capacity);
	if (shape->slot_bytes == 0)
		return 0;
	shape->rx_iov = vly_mem_new(slots->allocator, slots->n_slots, sizeof *shape->rx_iov);
	if (shape->rx_iov == NULL)
		return -ENOMEM;
	point_to_slots(slots, shape->rx_iov, shape->slot_bytes);
	return 0;
}

static int fill_shape(struct msgs *self, struct shape *shape)
{
	const struct vly_slots *slots = self->slots;

	shape->rx = vly_mem_new(slots->allocator, slots->n_slots, sizeof *shape->rx);
	if (shape->room_bytes > 0)
		shape->control = vly_mem_new(slots->allocator, slots->n_slots, shape->room_bytes);
	if (shape->rx == NULL || (shape->room_bytes > 0 && shape->control == NULL) ||
	    use_slots(self, shape) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < slots->n_slots; i++) {
		struct msghdr *msg = &shape->rx[i].msg_hdr;

		msg->msg_name = &slots->slots[i].peer;
		msg->msg_namelen = sizeof(struct sockaddr_in6);
		msg->msg_iov = shape->rx_iov != NULL ? &shape->rx_iov[i] : &self->rx_iov[i];
		msg->msg_iovlen = 1;
		if (shape->control != NULL)
			msg->msg_control = shape->control + (size_t)i * shape->room_bytes;
		msg->msg_controllen = shape->room_bytes;
	}
	return 0;
}

static void free_shape(struct shape *shape)
{
	vly_mem_free(shape->rx);
	vly_mem_free(shape->control);
	vly_mem_free(shape->rx_iov);
	vly_mem_free(shape);
}

static bool is_alike(const struct shape *a, const struct shape *b)
{
	return a->room_bytes == b->room_bytes && a->wants_infos == b->wants_infos &&
	       a->slot_bytes == b->slot_bytes;
}

/* One that is there, or a new one: one for each kind of socket. NULL for lack of memory. */
static struct shape *get_shape(struct msgs *self, const struct shape *like)
{
	struct shape *shape = self->shapes;

	while (shape != NULL && !is_alike(shape, like))
		shape = shape->next;
	if (shape != NULL)
		return shape;
	shape = vly_mem_new(self->slots->allocator, 1, sizeof *shape);
	if (shape == NULL)
		return NULL;
	*shape = *like;
	if (fill_shape(self, shape) < 0) {
		free_shape(shape);
		return NULL;
	}
	shape->next = self->shapes;
	self->shapes = shape;
	return shape;
}

int vly_msgs_attach(struct vly_io *io, uint32_t sock_index, const struct vly_io_sock *config)
{
	struct msgs *self = msgs_of(io);
	const struct shape like = {
		.room_bytes = vly_cmsg_get_room(config->family, config->want) + config->spare_bytes,
		.wants_infos = config->want & ~(uint32_t)VLY_CMSG_SEGMENT,
		.slot_bytes = config->slot_bytes > self->max_bytes ? config->slot_bytes : 0,
	};
	struct shape *shape;

	point_to_slots(self->slots, self->rx_iov, self->max_bytes);
	if (make_room(self, sock_index) < 0)
		return -ENOMEM;
	shape = get_shape(self, &like);
	if (shape == NULL)
		return -ENOMEM;
	shape->n_socks++;
	self->socks[sock_index] = (struct sock){ .shape = shape, .fd = config->fd };
	return 0;
}

static void remove_shape(struct msgs *self, struct shape *shape)
{
	struct shape **link = &self->shapes;

	while (*link != shape)
		link = &(*link)->next;
	*link = shape->next;
	free_shape(shape);
}

void vly_msgs_detach(struct vly_io *io, uint32_t sock_index)
{
	struct msgs *self = msgs_of(io);
	struct shape *shape;

	if (sock_index >= self->n_socks || self->socks[sock_index].shape == NULL)
		return; /* whose attach had no memory */
	shape = self->socks[sock_index].shape;
	self->socks[sock_index].shape = NULL;
	if (--shape->n_socks == 0)
		remove_shape(self, shape);
}

/* What did not fit. The length is the whole message's, for which the receive calls ask. */
static VLY_COLD void take_cut(const struct msghdr *msg, struct vly_slot *slot)
{
	if (msg->msg_flags & MSG_CTRUNC)
		slot->flags |= VLY_SLOT_CTRUNC;
	if (!(msg->msg_flags & MSG_TRUNC))
		return;
	slot->flags |= VLY_SLOT_TRUNCATED;
	slot->full_bytes = slot->len;
	slot->len = (uint32_t)msg->msg_iov->iov_len;
}

/*
 * Where slots are used that are larger than a datagram may be: those that are longer all the same.
 */
static VLY_COLD void mark_long(const struct msgs *self, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct vly_slot *slot = &self->slots->slots[i];
		uint32_t n_bytes = slot->segment_bytes > 0 ? slot->segment_bytes : slot->len;

		if (n_bytes <= self->max_bytes || slot->len <= self->max_bytes ||
		    (slot->flags & VLY_SLOT_TRUNCATED))
			continue;
		slot->flags |= VLY_SLOT_TRUNCATED;
		slot->full_bytes = slot->len;
	}
}

/* Copy what the kernel reported about one message into its slot, and arm the header again. */
static inline void take(struct mmsghdr *header, struct vly_slot *slot)
{
	struct msghdr *msg = &header->msg_hdr;

	slot->len = header->msg_len;
	slot->peer.len = msg->msg_namelen;
	slot->segment_bytes = 0;
	slot->flags = 0;
	if (VLY_UNLIKELY(msg->msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		take_cut(msg, slot);
	msg->msg_namelen = sizeof(struct sockaddr_in6);
}

/*
 * The same for the control messages. Where only UDP_GRO asks for them, most datagrams come without,
 * and nobody reads the rest of the info: it is not touched then.
 */
static inline void take_control(const struct shape *shape, struct msghdr *msg,
				struct vly_slot *slot, struct vly_cmsg_info *info)
{
	if (shape->wants_infos || msg->msg_controllen > 0) {
		vly_cmsg_parse(msg, info);
		slot->segment_bytes = info->segment_bytes;
		if (VLY_UNLIKELY(info->cast != 0))
			slot->flags |= info->cast;
	}
	msg->msg_controllen = shape->room_bytes;
}

/* A loop of single calls stops at the first error, which is one more call than it has results. */
static uint64_t count_syscalls(const struct msgs *self, int result, uint32_t n)
{
	if (self->calls->batched || result < 0)
		return 1;
	return (uint64_t)result + ((uint32_t)result < n);
}

static void take_all(struct msgs *self, const struct shape *shape, uint32_t n)
{
	struct vly_slot *slots = self->slots->slots;
	struct mmsghdr *rx = shape->rx;

	for (uint32_t i = 0; i < n; i++)
		take(&rx[i], &slots[i]);
	for (uint32_t i = 0; i < n && shape->room_bytes > 0; i++)
		take_control(shape, &rx[i].msg_hdr, &slots[i], &self->slots->infos[i]);
	if (VLY_UNLIKELY(shape->rx_iov != NULL))
		mark_long(self, n);
}

/*
 * A receive that waits comes back from a socket that was shut down for reading without an error:
 * with messages of no bytes from nobody, behind what was in the queue. Returns how many that was.
 */
static VLY_COLD int leave_nothings(const struct shape *shape, uint32_t n)
{
	for (; n > 0 && shape->rx[n - 1].msg_len == 0; n--) {
		struct msghdr *msg = &shape->rx[n - 1].msg_hdr;

		if (msg->msg_namelen > 0)
			break;
		msg->msg_namelen = sizeof(struct sockaddr_in6);
		msg->msg_controllen = shape->room_bytes;
	}
	return n > 0 ? (int)n : -ESHUTDOWN;
}

int vly_msgs_recv(struct vly_io *io, uint32_t sock_index, uint32_t n, bool wait)
{
	struct msgs *self = msgs_of(io);
	const struct sock *sock = &self->socks[sock_index];
	const struct shape *shape = sock->shape;
	int r = wait ? self->calls->recv_wait(sock->fd, shape->rx, n)
		     : self->calls->recv(sock->fd, shape->rx, n);

	assert(sock_index < self->n_socks && n <= self->slots->n_slots);
	self->io.rx_syscalls += count_syscalls(self, r, n);
	if (r < 0)
		return r == -EAGAIN ? 0 : r;
	if (r > 0 && VLY_UNLIKELY(shape->rx[r - 1].msg_hdr.msg_namelen == 0)) {
		r = leave_nothings(shape, (uint32_t)r);
		if (r < 0)
			return r;
	}
	take_all(self, shape, (uint32_t)r);
	return r;
}

/* The segment size goes behind the source address, in the same control room. */
static uint32_t put_segment(uint8_t *control, uint32_t segment_bytes)
{
	struct cmsghdr *cmsg = (struct cmsghdr *)(void *)control;
	uint16_t value = (uint16_t)segment_bytes;

	cmsg->cmsg_level = IPPROTO_UDP;
	cmsg->cmsg_type = UDP_SEGMENT;
	cmsg->cmsg_len = CMSG_LEN(sizeof value);
	memcpy(CMSG_DATA(cmsg), &value, sizeof value);
	return CMSG_SPACE(sizeof value);
}

/* What the IP header shall say. Returns the bytes that it takes. */
static VLY_NOINLINE uint32_t put_header(uint8_t *control, const struct vly_tx *head)
{
	uint32_t used = 0;

	if (head->header & VLY_CMSG_HEADER_LOCAL)
		used = vly_cmsg_put_source(control, VLY_CMSG_SOURCE_BYTES, head->local,
					   head->ifindex);
	return used +
	       vly_cmsg_put_header(control + used, VLY_CMSG_HEADER_BYTES, head->peer, head->header);
}

static void put_control(struct msgs *self, uint32_t i, const struct vly_tx *head)
{
	struct msghdr *msg = &self->tx[i].msg_hdr;
	uint8_t *control = self->tx_control + (size_t)i * TX_CONTROL_BYTES;
	uint32_t used = 0;

	if (VLY_UNLIKELY(head->header != 0))
		used = put_header(control, head);
	if (head->n_segments > 1)
		used += put_segment(control + used, head->len);
	msg->msg_control = used > 0 ? control : NULL;
	msg->msg_controllen = used;
}

static inline void put_data(struct iovec *iov, const struct vly_tx *entry)
{
	/* The kernel does not write through it; the struct has no const for either direction. */
	iov->iov_base = (void *)(uintptr_t)entry->data;
	iov->iov_len = entry->len;
}

/*
 * Data behind that of the last iovec: true when it could be made longer instead. The datagrams of a
 * super-packet that are replied to in place in their order leave as the one piece they came in.
 */
static inline bool extend_data(struct iovec *last, const struct vly_tx *entry)
{
	if ((const uint8_t *)last->iov_base + last->iov_len != entry->data)
		return false;
	last->iov_len += entry->len;
	return true;
}

/* Fill message i from the chain that starts at `head`; returns the next free iovec. */
static inline struct iovec *fill(struct msgs *self, uint32_t i, const struct vly_tx *tx,
				 const struct vly_tx *head, struct iovec *iov)
{
	struct msghdr *msg = &self->tx[i].msg_hdr;
	const struct vly_tx *entry = head;

	msg->msg_name = (void *)(uintptr_t)head->peer;
	msg->msg_namelen = head->peer->len;
	msg->msg_iov = iov;
	msg->msg_control = NULL;
	msg->msg_controllen = 0;
	put_data(iov++, entry);
	for (uint32_t k = head->n_segments; k > 1; k--) {
		entry = &tx[entry->next];
		if (!extend_data(iov - 1, entry))
			put_data(iov++, entry);
	}
	msg->msg_iovlen = (size_t)(iov - msg->msg_iov);
	if (VLY_UNLIKELY(head->header != 0 || head->n_segments > 1))
		put_control(self, i, head);
	return iov;
}

int vly_msgs_send(struct vly_io *io, uint32_t sock_index, const struct vly_tx *tx,
		  const uint16_t *heads, uint32_t n)
{
	struct msgs *self = msgs_of(io);
	struct iovec *iov = self->tx_iov;
	int r;

	assert(n > 0 && sock_index < self->n_socks);
	if (n > N_TX)
		n = N_TX;
	for (uint32_t i = 0; i < n; i++)
		iov = fill(self, i, tx, &tx[heads[i]], iov);
	r = self->calls->send(self->socks[sock_index].fd, self->tx, n);
	self->io.tx_syscalls += count_syscalls(self, r, n);
	return r;
}

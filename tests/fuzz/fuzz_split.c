/* SPDX-License-Identifier: MIT */

/*
 * The split of super-packets: messages of any length and segment size, with any flags, through the
 * engine over the scripted backend. Every byte must come to the callback exactly once and in order,
 * in views of the right size, and the books must balance.
 */

#include <string.h>

#include "fuzz/fuzz.h"
#include "lib/fake_io.h"
#include "path/pipeline.h"

/* 65,507: no IPv4 datagram is longer, and no reply could be. */
enum { N_MESSAGES = 80, MAX_BYTES = 65507 };

struct message {
	uint32_t len;
	uint32_t segment_bytes;
	uint32_t flags;
	uint8_t fill;
};

static struct message messages[N_MESSAGES];
static uint32_t n_messages;
static uint32_t message; /* that the next view is of */
static uint32_t at;      /* its first byte */
static uint64_t n_views;

static uint8_t byte_at(const struct message *m, uint32_t i)
{
	return (uint8_t)(m->fill + i * 31 + (i >> 8) * 7);
}

static bool is_cut(const struct message *m)
{
	return m->flags & VLY_SLOT_TRUNCATED;
}

/* Messages of which nothing is delivered: one that is cut off has its whole segments. */
static void skip_dropped(void)
{
	while (message < n_messages &&
	       ((messages[message].flags & VLY_SLOT_CTRUNC) ||
		(is_cut(&messages[message]) &&
		 (messages[message].segment_bytes == 0 ||
		  messages[message].segment_bytes > messages[message].len))))
		message++;
}

static void see(struct volley_packet *view)
{
	const struct message *m;
	uint32_t rest;
	uint32_t len;

	skip_dropped();
	FUZZ_CHECK(message < n_messages);
	m = &messages[message];
	rest = m->len - at;
	len = m->segment_bytes > 0 && m->segment_bytes < rest ? m->segment_bytes : rest;
	FUZZ_CHECK(view->len == len && view->flags == 0);
	FUZZ_CHECK(view->capacity >= len &&
		   ((len == m->len && !is_cut(m)) || view->capacity == len));
	for (uint32_t i = 0; i < len; i += 1 + len / 16)
		FUZZ_CHECK(view->data[i] == byte_at(m, at + i));
	if (len > 0)
		FUZZ_CHECK(view->data[len - 1] == byte_at(m, at + len - 1));
	at += len;
	n_views++;
	if (is_cut(m) ? m->len - at < m->segment_bytes : at == m->len) {
		at = 0;
		message++;
	}
}

static void on_batch(struct volley_worker *worker, struct volley_packet *packets, size_t n,
		     void *arg)
{
	(void)worker;
	(void)arg;
	FUZZ_CHECK(n > 0 && n <= VLY_PIPELINE_N_VIEWS);
	for (size_t i = 0; i < n; i++) {
		see(&packets[i]);
		/* In place, where what follows must stay unread. */
		memset(packets[i].data, 0xee, packets[i].capacity);
		volley_packet_reply(&packets[i], packets[i].data, packets[i].len);
	}
}

static void write_script(struct fuzz_input *input, struct fake_io *io)
{
	static uint8_t data[MAX_BYTES];

	n_messages = 0;
	while (input->size > 0 && n_messages < N_MESSAGES) {
		struct message *m = &messages[n_messages++];
		uint32_t kind = fuzz_take(input, 1);

		m->fill = (uint8_t)kind;
		m->len = fuzz_take(input, kind & 1 ? 2 : 1);
		m->len = m->len < MAX_BYTES ? m->len : MAX_BYTES;
		m->segment_bytes = fuzz_take(input, kind & 2 ? 2 : 1);
		/* The kernel cuts a message into no more segments than UDP_MAX_SEGMENTS. */
		if (m->segment_bytes > 0 && m->len / m->segment_bytes > 128)
			m->segment_bytes = m->len / 128 + 1;
		m->flags = (kind & 0x3c) != 0x3c ? 0
			   : kind & 0x40         ? VLY_SLOT_TRUNCATED
						 : VLY_SLOT_CTRUNC;
		for (uint32_t i = 0; i < m->len; i++)
			data[i] = byte_at(m, i);
		fake_io_recv(io, &(struct fake_datagram){ .data = data,
							  .len = m->len,
							  .flags = m->flags,
							  .segment_bytes = m->segment_bytes });
		if (kind & 0x80)
			fake_io_recv_end(io, 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fake_server fake;
	struct fuzz_input input = { data, size };
	struct volley_stats before;
	struct volley_stats after;

	if (fake.server == NULL)
		fake_server_open(
			&fake, NULL, "127.0.0.1:0",
			VOLLEY_LISTEN(.on_batch = on_batch, .flags = VOLLEY_LISTEN_WANT_TTL));
	before = fake_server_stats(&fake);
	fake.io = fake_io_install(fake.worker); /* forgets the last input, but not the books */
	fake.worker->io->rx_syscalls = before.rx_syscalls;
	fake.worker->io->tx_syscalls = before.tx_syscalls;
	message = at = 0;
	n_views = 0;
	write_script(&input, fake.io);
	for (uint32_t i = 0; i <= N_MESSAGES; i++)
		fake_server_run(&fake);
	skip_dropped();
	FUZZ_CHECK(message == n_messages && at == 0);
	after = fake_server_stats(&fake);
	FUZZ_CHECK(after.delivered - before.delivered == n_views);
	FUZZ_CHECK(after.rx_messages - before.rx_messages == n_messages);
	FUZZ_CHECK(fake_io_n_sent(fake.io) == n_views);
	return 0;
}

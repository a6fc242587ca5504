/* SPDX-License-Identifier: MIT */

/*
 * From what the user wrote to a config in which every field is set and in range. Nothing later
 * checks again.
 */

#include "server/config.h"

#include <errno.h>
#include <stdlib.h>

#include <volley/send.h>

#include "base/compiler.h"
#include "base/log.h"
#include "base/opts.h"
#include "io/io.h"
#include "server/steer.h"
#include "sys/cgroup.h"
#include "sys/thread.h"

/* The size of the structs in the first release: what an older caller may pass at least. */
enum { MIN_CONFIG_SIZE = sizeof(size_t), MIN_LISTEN_SIZE = sizeof(size_t) };

/* The kernel's own limit on messages per call (UIO_MAXIOV) bounds the batch. */
enum { MAX_BATCH = 1024, MAX_WORKERS = 1024 };

struct range {
	const char *name;
	size_t offset;
	uint32_t standard; /* the default */
	uint32_t min;
	uint32_t max;
};

#define RANGE(field, standard, min, max)                                          \
	{                                                                         \
#field, offsetof(struct volley_config, field), standard, min, max \
	}

static const struct range ranges[] = {
	RANGE(n_workers, 0, 1, MAX_WORKERS),
	RANGE(n_batch, 64, 1, MAX_BATCH),
	RANGE(n_budget, 4, 1, 1024),
	RANGE(max_datagram_bytes, VLY_CONFIG_MAX_DATAGRAM_BYTES, 1, VLY_CONFIG_MAX_DATAGRAM_BYTES),
	RANGE(arena_bytes, 1 << 20, 1 << 16, 1 << 30),
	RANGE(n_backlog, 1024, 1, 1 << 16),
	RANGE(backlog_us, 50000, 1, 60000000),
	RANGE(linger_us, 0, 0, 600000000),
	RANGE(drain_us, 1000000, 1, 600000000),
	RANGE(n_handlers, 0, 0, 256),
	RANGE(n_ring, 1024, 8, 1 << 15),
	RANGE(max_age_us, 0, 0, UINT32_MAX),
	RANGE(n_held, 1024, 1, 1 << 20),
	RANGE(hold_us, 10000000, 1, 3600000000),
	RANGE(wait, VOLLEY_WAIT_EVENT, VOLLEY_WAIT_EVENT, VOLLEY_WAIT_FD),
};

static int read_ranges(struct volley_config *config)
{
	for (size_t i = 0; i < VLY_ARRAY_SIZE(ranges); i++) {
		const struct range *range = &ranges[i];
		uint32_t *value = (uint32_t *)(void *)((char *)config + range->offset);

		if (*value == 0)
			*value = range->standard;
		if (*value >= range->min && *value <= range->max)
			continue;
		vly_log_write(config, VOLLEY_LOG_ERROR, "config: %s is %u, but must be %u to %u",
			      range->name, *value, range->min, range->max);
		return -EINVAL;
	}
	return 0;
}

/* A loop of the caller's is one thread's, so there is one worker, and none of ours to pin. */
static int read_own_loop(struct volley_config *config)
{
	const char *problem = NULL;

	if (config->event_base != NULL && config->wait != VOLLEY_WAIT_EVENT)
		problem = "event_base needs the wait strategy `event`";
	else if (config->event_base == NULL && config->wait != VOLLEY_WAIT_FD)
		return 0;
	else if (config->n_workers > 1)
		problem =
			"n_workers must be 1 where the loop is yours: use a server for each loop, "
			"with VOLLEY_LISTEN_SHARE_PORT";
	else if (config->flags & VOLLEY_SERVER_PIN)
		problem = "flags ask for pinning, but where the loop is yours so is its thread";
	if (problem != NULL) {
		vly_log_write(config, VOLLEY_LOG_ERROR, "config: %s", problem);
		return -EINVAL;
	}
	config->n_workers = 1;
	return 0;
}

/* More threads than the quota has CPUs would only be throttled, all at once and in mid-volley. */
static uint32_t choose_n_workers(const struct volley_config *config)
{
	uint32_t n_cpus = vly_thread_count_cpus();
	uint32_t n_quota = vly_cgroup_get_n_cpus("");
	uint32_t n = n_quota < n_cpus ? n_quota : n_cpus;

	if (n > MAX_WORKERS)
		n = MAX_WORKERS;
	if (n < n_cpus)
		vly_log_write(
			config, VOLLEY_LOG_INFO,
			"config: %u workers for %u CPUs, because %s; n_workers says otherwise", n,
			n_cpus,
			n == MAX_WORKERS ? "there are no more than that"
					 : "the CPU quota of the control group is no more");
	return n;
}

void volley_config_init(struct volley_config *config, size_t size)
{
	vly_opts_init(config, size);
}

void volley_listen_config_init(struct volley_listen_config *config, size_t size)
{
	vly_opts_init(config, size);
}

void volley_send_options_init(struct volley_send_options *options, size_t size)
{
	vly_opts_init(options, size);
}

int vly_config_read(const struct volley_config *config, struct volley_config *ret_config)
{
	struct volley_config c;
	int r = vly_opts_read(&c, sizeof c, MIN_CONFIG_SIZE, config);

	if (r >= 0)
		r = read_own_loop(&c);
	if (r < 0)
		return r;
	if (c.n_workers == 0)
		c.n_workers = choose_n_workers(&c);
	r = read_ranges(&c);
	if (r < 0)
		return r;
	if (c.flags & ~(uint32_t)VOLLEY_SERVER_PIN) {
		vly_log_write(&c, VOLLEY_LOG_ERROR,
			      "config: flags 0x%x has bits this version lacks", c.flags);
		return -EINVAL;
	}
	if ((c.n_ring & (c.n_ring - 1)) != 0) {
		vly_log_write(&c, VOLLEY_LOG_ERROR,
			      "config: n_ring is %u, but must be a power of two", c.n_ring);
		return -EINVAL;
	}
	if (c.io == NULL)
		c.io = getenv("VOLLEY_IO");
	if (!vly_io_is_name(c.io)) {
		vly_log_write(&c, VOLLEY_LOG_ERROR,
			      "config: no I/O backend is called \"%s\"; use auto, mmsg or msg",
			      c.io);
		return -EINVAL;
	}
	if (c.run_signals != 0 && c.on_signal == NULL) {
		vly_log_write(&c, VOLLEY_LOG_ERROR, "config: run_signals needs on_signal");
		return -EINVAL;
	}
	if (c.allocator != NULL &&
	    (c.allocator->allocate == NULL || c.allocator->deallocate == NULL)) {
		vly_log_write(&c, VOLLEY_LOG_ERROR,
			      "config: allocator needs both allocate and deallocate");
		return -EINVAL;
	}
	*ret_config = c;
	return 0;
}

/* Each field belongs to one way; and an index counts all sockets of the port. */
static const char *find_steer_problem(const struct volley_listen_config *config)
{
	bool by_byte = config->steer == VOLLEY_STEER_BYTE;
	bool by_program = config->steer == VOLLEY_STEER_PROGRAM;
	uint32_t n = config->n_steer_program;

	if (!by_byte && config->steer_offset != 0)
		return "steer_offset is for VOLLEY_STEER_BYTE alone: set `steer` to it";
	if (config->steer_offset >= VLY_CONFIG_MAX_DATAGRAM_BYTES)
		return "steer_offset is beyond the longest datagram: it may be 0 to 65534";
	if (!by_program && (config->steer_program != NULL || n > 0))
		return "steer_program is for VOLLEY_STEER_PROGRAM alone: set `steer` to it";
	if (by_program && (config->steer_program == NULL || n == 0 || n > VLY_STEER_MAX_PROGRAM))
		return "VOLLEY_STEER_PROGRAM needs steer_program, and in n_steer_program how many "
		       "instructions that has, 1 to 4096";
	if (config->steer != VOLLEY_STEER_FLOW && (config->flags & VOLLEY_LISTEN_SHARE_PORT))
		return "`steer` would count the sockets of others with VOLLEY_LISTEN_SHARE_PORT: "
		       "leave one of the two";
	return NULL;
}

int vly_config_read_listen(const struct volley_config *server,
			   const struct volley_listen_config *config,
			   struct volley_listen_config *ret_config)
{
	const uint32_t known = VOLLEY_LISTEN_SHARE_PORT | VOLLEY_LISTEN_V6ONLY |
			       VOLLEY_LISTEN_DELIVER_TRUNCATED | VOLLEY_LISTEN_WANT_TTL |
			       VOLLEY_LISTEN_WANT_TOS | VOLLEY_LISTEN_WANT_INTERFACE |
			       VOLLEY_LISTEN_WANT_TIMESTAMP | VOLLEY_LISTEN_NO_COALESCE |
			       VOLLEY_LISTEN_REPORT_ERRORS | VOLLEY_LISTEN_GROUP_BY_SIZE |
			       VOLLEY_LISTEN_KEEP_SOCKETS | VOLLEY_LISTEN_ARRIVAL_INTERFACE |
			       VOLLEY_LISTEN_BROADCAST | VOLLEY_LISTEN_MULTICAST_LOOP |
			       VOLLEY_LISTEN_ONE_SOCKET | VOLLEY_LISTEN_TRANSPARENT |
			       VOLLEY_LISTEN_DRAIN_LAST;
	struct volley_listen_config c;
	const char *problem;
	int r = vly_opts_read(&c, sizeof c, MIN_LISTEN_SIZE, config);

	if (r < 0)
		return r;
	if ((c.on_batch == NULL) == (c.on_packet == NULL)) {
		vly_log_write(server, VOLLEY_LOG_ERROR,
			      "listen: set exactly one of on_batch and on_packet");
		return -EINVAL;
	}
	if (c.on_error != NULL && !(c.flags & VOLLEY_LISTEN_REPORT_ERRORS)) {
		vly_log_write(server, VOLLEY_LOG_ERROR,
			      "listen: on_error needs VOLLEY_LISTEN_REPORT_ERRORS");
		return -EINVAL;
	}
	if (c.mtu_discover > VOLLEY_MTU_PROBE) {
		vly_log_write(server, VOLLEY_LOG_ERROR, "listen: mtu_discover is %u, at most %u",
			      c.mtu_discover, VOLLEY_MTU_PROBE);
		return -EINVAL;
	}
	if (c.spread > VOLLEY_SPREAD_ANY) {
		vly_log_write(server, VOLLEY_LOG_ERROR, "listen: spread is %u, at most %u",
			      c.spread, VOLLEY_SPREAD_ANY);
		return -EINVAL;
	}
	if ((c.flags & ~known) != 0) {
		vly_log_write(server, VOLLEY_LOG_ERROR,
			      "listen: flags 0x%x has bits this version lacks", c.flags);
		return -EINVAL;
	}
	if (c.steer > VOLLEY_STEER_PROGRAM) {
		vly_log_write(server, VOLLEY_LOG_ERROR, "listen: steer is %u, at most %u", c.steer,
			      VOLLEY_STEER_PROGRAM);
		return -EINVAL;
	}
	problem = find_steer_problem(&c);
	if (problem != NULL) {
		vly_log_write(server, VOLLEY_LOG_ERROR, "listen: %s", problem);
		return -EINVAL;
	}
	if (c.rcvbuf_bytes == 0)
		c.rcvbuf_bytes = server->rcvbuf_bytes;
	if (c.sndbuf_bytes == 0)
		c.sndbuf_bytes = server->sndbuf_bytes;
	*ret_config = c;
	return 0;
}

/* SPDX-License-Identifier: MIT */

/* Every field's default and range, and that each refusal is a sentence that names its field. */

#include <criterion/criterion.h>
#include <errno.h>
#include <linux/filter.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/config.h"

static char last_log[512];
static enum volley_log_level last_level;
static unsigned int n_logs;

static void on_log(enum volley_log_level level, const char *text, void *arg)
{
	cr_assert_eq(arg, &n_logs);
	snprintf(last_log, sizeof last_log, "%s", text);
	last_level = level;
	n_logs++;
}

/* A config with the log hook set. */
static struct volley_config with_log(void)
{
	struct volley_config config;

	volley_config_init(&config, sizeof config);
	config.log = on_log;
	config.arg = &n_logs;
	n_logs = 0;
	return config;
}

static void expect_refused(const struct volley_config *config, const char *word)
{
	struct volley_config c = { .size = 12345 };

	n_logs = 0;
	cr_assert_eq(vly_config_read(config, &c), -EINVAL, "%s was taken", word);
	cr_assert_eq(n_logs, 1);
	cr_assert_eq(last_level, VOLLEY_LOG_ERROR);
	cr_assert_not_null(strstr(last_log, word), "\"%s\" does not name %s", last_log, word);
	cr_assert_eq(c.size, 12345, "untouched on failure");
}

static void *give_nothing(size_t n_bytes, size_t align, void *arg)
{
	(void)n_bytes, (void)align, (void)arg;
	return NULL;
}

static void setup(void)
{
	unsetenv("VOLLEY_IO");
}

TestSuite(config, .init = setup);

Test(config, defaults_are_those_of_the_header)
{
	struct volley_config c;
	cpu_set_t set;

	cr_assert_eq(sched_getaffinity(0, sizeof set, &set), 0);
	cr_assert_eq(vly_config_read(NULL, &c), 0);
	cr_assert_eq(c.size, sizeof c);
	cr_assert_eq(c.n_workers, (uint32_t)CPU_COUNT(&set));
	cr_assert_eq(c.n_batch, 64);
	cr_assert_eq(c.n_budget, 4);
	cr_assert_eq(c.max_datagram_bytes, 65535);
	cr_assert_eq(c.arena_bytes, 1 << 20);
	cr_assert_eq(c.n_backlog, 1024);
	cr_assert_eq(c.backlog_us, 50000);
	cr_assert_eq(c.drain_us, 1000000);
	cr_assert_eq(c.wait, VOLLEY_WAIT_EVENT);
	cr_assert_eq(c.flags, 0);
	cr_assert_eq(c.n_handlers, 0);
	cr_assert_eq(c.n_ring, 1024);
	cr_assert_eq(c.max_age_us, 0);
	cr_assert_eq(c.n_held, 1024);
	cr_assert_eq(c.hold_us, 10000000);
	cr_assert_null(c.io);
}

Test(config, a_ring_is_a_power_of_two)
{
	struct volley_config config = with_log();

	config.n_ring = 1000;
	expect_refused(&config, "n_ring");
}

struct field {
	const char *name;
	size_t offset;
	uint32_t min;
	uint32_t max;
};

#define FIELD(name, min, max)                                         \
	{                                                             \
#name, offsetof(struct volley_config, name), min, max \
	}

Test(config, every_range_has_its_ends)
{
	static const struct field fields[] = {
		FIELD(n_workers, 1, 1024),
		FIELD(n_batch, 1, 1024),
		FIELD(n_budget, 1, 1024),
		FIELD(max_datagram_bytes, 1, 65535),
		FIELD(arena_bytes, 65536, 1 << 30),
		FIELD(n_backlog, 1, 65536),
		FIELD(backlog_us, 1, 60000000),
		FIELD(drain_us, 1, 600000000),
		FIELD(wait, 0, VOLLEY_WAIT_FD),
		FIELD(n_handlers, 0, 256),
		FIELD(n_ring, 8, 32768),
		FIELD(n_held, 1, 1048576),
		FIELD(hold_us, 1, 3600000000),
	};

	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
		struct volley_config config = with_log();
		uint32_t *value = (uint32_t *)(void *)((char *)&config + fields[i].offset);
		struct volley_config c;

		*value = fields[i].max;
		cr_assert_eq(vly_config_read(&config, &c), 0, "%s", fields[i].name);
		*value = fields[i].max + 1;
		expect_refused(&config, fields[i].name);
		*value = UINT32_MAX;
		expect_refused(&config, fields[i].name);
		*value = fields[i].min;
		cr_assert_eq(vly_config_read(&config, &c), 0, "%s", fields[i].name);
		if (fields[i].min > 1) {
			*value = fields[i].min - 1;
			expect_refused(&config, fields[i].name);
		}
	}
}

Test(config, unknown_flags_are_refused)
{
	struct volley_config config = with_log();
	struct volley_config c;

	config.flags = VOLLEY_SERVER_PIN;
	cr_assert_eq(vly_config_read(&config, &c), 0);
	cr_assert_eq(c.flags, VOLLEY_SERVER_PIN);
	config.flags = 1u << 31;
	expect_refused(&config, "flags");
	config.flags = 0;
	config.linger_us = 600000001;
	expect_refused(&config, "linger_us");
}

Test(config, backends_have_names)
{
	struct volley_config config = with_log();
	struct volley_config c;

	for (size_t i = 0; i < 3; i++) {
		config.io = (const char *const[]){ "auto", "mmsg", "msg" }[i];
		cr_assert_eq(vly_config_read(&config, &c), 0, "%s", config.io);
		cr_assert_str_eq(c.io, config.io);
	}
	config.io = "carrier-pigeon";
	expect_refused(&config, "carrier-pigeon");
	config.io = "";
	expect_refused(&config, "backend");
}

Test(config, the_environment_chooses_the_backend_unless_the_config_does)
{
	struct volley_config config = with_log();
	struct volley_config c;

	setenv("VOLLEY_IO", "msg", 1);
	cr_assert_eq(vly_config_read(&config, &c), 0);
	cr_assert_str_eq(c.io, "msg");
	config.io = "mmsg";
	cr_assert_eq(vly_config_read(&config, &c), 0);
	cr_assert_str_eq(c.io, "mmsg");
	config.io = NULL;
	setenv("VOLLEY_IO", "carrier-pigeon", 1);
	expect_refused(&config, "carrier-pigeon");
}

static void on_signal(struct volley_server *server, int signo, void *arg)
{
	(void)server, (void)signo, (void)arg;
}

Test(config, run_signals_need_their_hook)
{
	struct volley_config config = with_log();
	struct volley_config c;

	config.run_signals = VOLLEY_SIGNAL(10);
	expect_refused(&config, "on_signal");
	config.on_signal = on_signal;
	cr_assert_eq(vly_config_read(&config, &c), 0);
}

/* What a program built against an older header passes: the struct ends early. */
Test(config, a_smaller_struct_gets_defaults_for_the_rest)
{
	struct volley_config config = with_log();
	struct volley_config c;

	config.n_workers = 3;
	config.n_batch = 99999; /* beyond the size: nobody's */
	config.size = offsetof(struct volley_config, n_batch);
	cr_assert_eq(vly_config_read(&config, &c), 0);
	cr_assert_eq(c.n_workers, 3);
	cr_assert_eq(c.n_batch, 64);
	cr_assert_eq(c.size, sizeof c);
	cr_assert(c.log == NULL);
	config.size = 0;
	cr_assert_eq(vly_config_read(&config, &c), -EINVAL);
	config.size = sizeof config.size - 1;
	cr_assert_eq(vly_config_read(&config, &c), -EINVAL);
}

/* What a program built against a newer one passes: fine as long as it sets nothing new. */
Test(config, a_larger_struct_must_be_zero_behind)
{
	struct {
		struct volley_config config;
		uint64_t newer;
	} config = { .config = with_log() };
	struct volley_config c;

	config.config.size = sizeof config;
	config.config.n_workers = 3;
	cr_assert_eq(vly_config_read(&config.config, &c), 0);
	cr_assert_eq(c.n_workers, 3);
	config.newer = 1;
	cr_assert_eq(vly_config_read(&config.config, &c), -E2BIG);
}

Test(config, without_a_hook_nothing_is_said)
{
	struct volley_config c;

	cr_assert_eq(vly_config_read(VOLLEY_CONFIG(.n_batch = 2000), &c), -EINVAL);
	cr_assert_eq(n_logs, 0);
}

/* Listeners ------------------------------------------------------------------------------------ */

static void on_batch(struct volley_worker *worker, struct volley_packet *packets, size_t n,
		     void *arg)
{
	(void)worker, (void)packets, (void)n, (void)arg;
}

static void on_packet(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	(void)worker, (void)packet, (void)arg;
}

static void expect_listen_refused(const struct volley_listen_config *listen, const char *word)
{
	struct volley_config server = with_log();
	struct volley_listen_config c = { .size = 12345 };

	cr_assert_eq(vly_config_read_listen(&server, listen, &c), -EINVAL, "%s", word);
	cr_assert_eq(n_logs, 1);
	cr_assert_not_null(strstr(last_log, word), "\"%s\" does not name %s", last_log, word);
	cr_assert_eq(c.size, 12345);
}

Test(config, a_listener_has_exactly_one_callback)
{
	struct volley_config server = with_log();
	struct volley_listen_config c;

	expect_listen_refused(NULL, "on_batch");
	expect_listen_refused(VOLLEY_LISTEN(.flags = 0), "on_packet");
	expect_listen_refused(VOLLEY_LISTEN(.on_batch = on_batch, .on_packet = on_packet),
			      "exactly one");
	n_logs = 0;
	cr_assert_eq(vly_config_read_listen(&server, VOLLEY_LISTEN(.on_packet = on_packet), &c), 0);
	cr_assert_eq(n_logs, 0);
}

Test(config, a_listeners_flags_and_mtu_discover_are_checked)
{
	expect_listen_refused(VOLLEY_LISTEN(.on_batch = on_batch, .flags = 1u << 31), "flags");
	expect_listen_refused(
		VOLLEY_LISTEN(.on_batch = on_batch, .mtu_discover = VOLLEY_MTU_PROBE + 1),
		"mtu_discover");
	expect_listen_refused(VOLLEY_LISTEN(.on_batch = on_batch, .spread = VOLLEY_SPREAD_ANY + 1),
			      "spread");
}

/* Each says what is wrong and what to set. */
Test(config, a_listeners_steering_is_checked)
{
	static const struct sock_filter one[] = { BPF_STMT(BPF_RET | BPF_K, 0) };
	struct volley_config server = with_log();
	struct volley_listen_config listen = *VOLLEY_LISTEN(.on_batch = on_batch,
							    .steer = VOLLEY_STEER_PROGRAM,
							    .steer_program = one,
							    .n_steer_program = 4096);
	struct volley_listen_config c;

	cr_assert_eq(vly_config_read_listen(&server, &listen, &c), 0);
	listen.n_steer_program = 4097;
	expect_listen_refused(&listen, "n_steer_program");
	listen.n_steer_program = 0;
	expect_listen_refused(&listen, "n_steer_program");
	listen.n_steer_program = 1;
	listen.steer_program = NULL;
	expect_listen_refused(&listen, "needs steer_program");
	listen.steer = VOLLEY_STEER_FLOW;
	expect_listen_refused(&listen, "VOLLEY_STEER_PROGRAM");
	listen.n_steer_program = 0;
	listen.steer_program = one;
	expect_listen_refused(&listen, "VOLLEY_STEER_PROGRAM");
	listen.steer_program = NULL;
	listen.steer = VOLLEY_STEER_PROGRAM + 1;
	expect_listen_refused(&listen, "steer is 4");
	listen.steer = VOLLEY_STEER_CPU;
	listen.steer_offset = 1;
	expect_listen_refused(&listen, "VOLLEY_STEER_BYTE");
	listen.steer = VOLLEY_STEER_BYTE;
	listen.steer_offset = 65535;
	expect_listen_refused(&listen, "65534");
	listen.steer_offset = 65534;
	cr_assert_eq(vly_config_read_listen(&server, &listen, &c), 0);
	listen.flags = VOLLEY_LISTEN_SHARE_PORT;
	expect_listen_refused(&listen, "VOLLEY_LISTEN_SHARE_PORT");
}

Test(config, a_listeners_buffers_are_the_servers_unless_it_says_otherwise)
{
	struct volley_config server = with_log();
	struct volley_listen_config c;

	server.rcvbuf_bytes = 111;
	server.sndbuf_bytes = 222;
	cr_assert_eq(vly_config_read_listen(&server, VOLLEY_LISTEN(.on_batch = on_batch), &c), 0);
	cr_assert_eq(c.rcvbuf_bytes, 111);
	cr_assert_eq(c.sndbuf_bytes, 222);
	cr_assert_eq(vly_config_read_listen(&server,
					    VOLLEY_LISTEN(.on_batch = on_batch, .rcvbuf_bytes = 333,
							  .sndbuf_bytes = 444),
					    &c),
		     0);
	cr_assert_eq(c.rcvbuf_bytes, 333);
	cr_assert_eq(c.sndbuf_bytes, 444);
}

Test(config, a_listeners_struct_may_be_older_or_newer)
{
	struct {
		struct volley_listen_config config;
		uint64_t newer;
	} listen = { .config = { .on_batch = on_batch, .arg = &listen, .flags = UINT32_MAX } };
	struct volley_config server = with_log();
	struct volley_listen_config c;

	listen.config.size = offsetof(struct volley_listen_config, flags);
	cr_assert_eq(vly_config_read_listen(&server, &listen.config, &c), 0);
	cr_assert_eq(c.flags, 0);
	cr_assert_eq(c.arg, &listen);
	listen.config.flags = 0;
	listen.config.size = sizeof listen;
	cr_assert_eq(vly_config_read_listen(&server, &listen.config, &c), 0);
	listen.newer = 1;
	cr_assert_eq(vly_config_read_listen(&server, &listen.config, &c), -E2BIG);
	listen.config.size = 1;
	cr_assert_eq(vly_config_read_listen(&server, &listen.config, &c), -EINVAL);
}

Test(config, half_an_allocator_is_refused)
{
	struct volley_allocator allocator = { .allocate = give_nothing };
	struct volley_config config = with_log();

	config.allocator = &allocator;
	expect_refused(&config, "allocator");
}

Test(config, a_loop_of_ones_own_has_one_worker)
{
	struct event_base *base = (struct event_base *)(void *)&n_logs; /* only ever compared */
	struct volley_config config = with_log();
	struct volley_config c;

	config.wait = VOLLEY_WAIT_FD;
	cr_assert_eq(vly_config_read(&config, &c), 0);
	cr_assert_eq(c.n_workers, 1);
	config.n_workers = 2;
	expect_refused(&config, "n_workers");
	config.n_workers = 1;
	cr_assert_eq(vly_config_read(&config, &c), 0);
	config.flags = VOLLEY_SERVER_PIN;
	expect_refused(&config, "pinning");
	config.flags = 0;
	config.event_base = base;
	expect_refused(&config, "event_base");
	config.wait = VOLLEY_WAIT_EVENT;
	cr_assert_eq(vly_config_read(&config, &c), 0);
	cr_assert_eq(c.event_base, base);
	config.n_workers = 2;
	expect_refused(&config, "n_workers");
}

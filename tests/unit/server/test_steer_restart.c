/* SPDX-License-Identifier: MIT */

/*
 * Steering of sockets that others had before: of the process before in a hot restart, whose program
 * stays until it is gone, and of whoever bound those that are adopted. A plain program, as
 * test_steer.c.
 */

#include <errno.h>
#include <linux/filter.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/giver.h"
#include "steer.h"

enum { TIMEOUT_US = 20000000 };

/* Byte 0 says 1, byte 1 says 2. */
static const uint8_t one_two[] = { 1, 2 };

static const struct volley_listen_config flow = { .size = sizeof flow };
static const struct volley_listen_config by_first = { .size = sizeof by_first,
						      .steer = VOLLEY_STEER_BYTE };
static const struct volley_listen_config by_second = { .size = sizeof by_second,
						       .steer = VOLLEY_STEER_BYTE,
						       .steer_offset = 1 };

/* A new server has taken the sockets of an old one, and has not committed yet. */
struct restart {
	struct volley_server *old, *new;
	int fds[2];
	struct giver giver;
};

static void begin(struct restart *restart, const struct volley_listen_config *old,
		  const struct volley_listen_config *new, uint32_t n_workers)
{
	char text[VOLLEY_ADDR_TEXT_BYTES];

	restart->old = steer_start("127.0.0.1:0", 0, old);
	restart->new = steer_new_server(n_workers, 0);
	REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, restart->fds) == 0);
	giver_start(&restart->giver, restart->old, restart->fds[0], TIMEOUT_US, true);
	REQUIRE(volley_server_import_fds(restart->new, restart->fds[1], TIMEOUT_US, NULL, NULL) ==
		STEER_N_WORKERS);
	volley_addr_format(LISTENER_ADDR(restart->old, 0), text, sizeof text);
	REQUIRE(steer_listen(restart->new, text, new) == 0);
	REQUIRE(volley_server_start(restart->new) == 0);
}

static void commit(struct restart *restart)
{
	CHECK_EQ(volley_server_import_commit(restart->new, restart->fds[1], TIMEOUT_US), 0);
	CHECK_EQ(giver_join(&restart->giver), 0);
	CHECK_EQ(volley_server_free(restart->old), 0);
}

static void end(struct restart *restart)
{
	CHECK_EQ(volley_server_free(restart->new), 0);
	close(restart->fds[1]);
}

/* Both serve until the commit, and socket j is worker j's of either. */
static void the_old_program_stays_until_the_commit(void)
{
	struct restart restart;

	begin(&restart, &by_first, &by_second, STEER_N_WORKERS);
	steer_expect(restart.new, one_two, 2, 1);
	commit(&restart);
	steer_expect(restart.new, one_two, 2, 2);
	end(&restart);
}

static void no_steering_ends_it(void)
{
	struct restart restart;

	begin(&restart, &by_first, &flow, STEER_N_WORKERS);
	steer_expect(restart.new, one_two, 2, 1);
	commit(&restart);
	steer_expect_spread(restart.new, one_two, 2);
	CHECK(steer_log[0] == '\0');
	end(&restart);
}

static void steering_begins_with_the_commit(void)
{
	struct restart restart;

	begin(&restart, &flow, &by_second, STEER_N_WORKERS);
	steer_expect_spread(restart.new, one_two, 2);
	commit(&restart);
	steer_expect(restart.new, one_two, 2, 2);
	end(&restart);
}

static void neither_is_nothing_to_tell(void)
{
	struct restart restart;

	begin(&restart, &flow, &flow, STEER_N_WORKERS);
	commit(&restart);
	steer_expect_spread(restart.new, one_two, 2);
	CHECK(steer_log[0] == '\0');
	end(&restart);
}

static void fewer_workers_have_several_sockets(void)
{
	struct restart restart;

	begin(&restart, &by_first, &by_first, 2);
	commit(&restart);
	for (uint8_t i = 0; i < STEER_N_WORKERS; i++)
		steer_expect(restart.new, &i, 1, i % 2);
	end(&restart);
}

static void who_gives_up_changes_nothing(void)
{
	struct restart restart;

	begin(&restart, &by_first, &by_second, STEER_N_WORKERS);
	end(&restart);
	CHECK(giver_join(&restart.giver) < 0);
	steer_expect(restart.old, one_two, 2, 1);
	CHECK_EQ(volley_server_free(restart.old), 0);
}

/* It is seen while there is somebody to tell, and the sockets may still be taken otherwise. */
static void a_bad_program_is_refused_before_the_commit(void)
{
	static const struct sock_filter endless[] = { BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0) };
	struct volley_server *new = steer_new_server(STEER_N_WORKERS, 0);
	struct restart restart = { .new = new };
	char text[VOLLEY_ADDR_TEXT_BYTES];

	restart.old = steer_start("127.0.0.1:0", 0, &by_first);
	REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, restart.fds) == 0);
	giver_start(&restart.giver, restart.old, restart.fds[0], TIMEOUT_US, true);
	REQUIRE(volley_server_import_fds(new, restart.fds[1], TIMEOUT_US, NULL, NULL) ==
		STEER_N_WORKERS);
	volley_addr_format(LISTENER_ADDR(restart.old, 0), text, sizeof text);
	CHECK_EQ(steer_listen(new, text,
			      VOLLEY_LISTEN(.steer = VOLLEY_STEER_PROGRAM, .steer_program = endless,
					    .n_steer_program = 1)),
		 -EINVAL);
	CHECK(strstr(steer_log, "steer_program") != NULL);
	CHECK_EQ(steer_listen(new, text, &by_second), 0);
	REQUIRE(volley_server_start(new) == 0);
	commit(&restart);
	steer_expect(new, one_two, 2, 2);
	end(&restart);
}

/* Adopted -------------------------------------------------------------------------------------- */

static void open_pair(int option, int *ret_fds)
{
	struct volley_addr addr = loopback_addr("127.0.0.1:0");
	socklen_t n = addr.len;
	int on = 1;

	for (int i = 0; i < 2; i++) {
		ret_fds[i] = socket(AF_INET, SOCK_DGRAM, 0);
		REQUIRE(setsockopt(ret_fds[i], SOL_SOCKET, option, &on, sizeof on) == 0);
		REQUIRE(bind(ret_fds[i], &addr.sa, addr.len) == 0);
		REQUIRE(getsockname(ret_fds[i], &addr.sa, &n) == 0);
	}
}

static int adopt(struct volley_server *server, const int *fds, uint32_t n,
		 const struct volley_listen_config *config)
{
	struct volley_listen_config own = *config;

	own.on_packet = steer_tell;
	return volley_server_adopt(server, fds, n, &own, NULL);
}

static void adopted_sockets_keep_a_program_of_others(void)
{
	static struct sock_filter to_one[] = { BPF_STMT(BPF_RET | BPF_K, 1) };
	const struct sock_fprog program = { .len = 1, .filter = to_one };
	struct volley_server *server = steer_new_server(2, 0);
	int fds[2];

	open_pair(SO_REUSEPORT, fds);
	REQUIRE(setsockopt(fds[0], SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program,
			   sizeof program) == 0);
	CHECK_EQ(adopt(server, fds, 2, &flow), 1);
	REQUIRE(volley_server_start(server) == 0);
	steer_expect(server, "x", 1, 1);
	CHECK_EQ(volley_server_free(server), 0);
}

static void adopted_sockets_are_steered(void)
{
	struct volley_server *server = steer_new_server(2, 0);
	int fds[2];

	open_pair(SO_REUSEPORT, fds);
	CHECK_EQ(adopt(server, fds, 2, &by_first), 1);
	REQUIRE(volley_server_start(server) == 0);
	for (uint8_t i = 0; i < 2; i++)
		steer_expect(server, &i, 1, i);
	CHECK_EQ(volley_server_free(server), 0);
}

/* Those that are no group, and one by itself. */
static void what_is_no_group_is_not_steered(void)
{
	struct volley_server *server = steer_new_server(2, 0);
	int fds[2];
	uint8_t byte = 1;

	open_pair(SO_REUSEADDR, fds);
	CHECK_EQ(adopt(server, fds, 2, &by_first), -EINVAL);
	CHECK(strstr(steer_log, "SO_ATTACH_REUSEPORT_CBPF") != NULL);
	close(fds[1]);
	CHECK_EQ(adopt(server, fds, 1, &by_first), 1);
	REQUIRE(volley_server_start(server) == 0);
	steer_expect(server, &byte, 1, 0);
	CHECK_EQ(volley_server_free(server), 0);
}

int main(void)
{
	the_old_program_stays_until_the_commit();
	no_steering_ends_it();
	steering_begins_with_the_commit();
	neither_is_nothing_to_tell();
	fewer_workers_have_several_sockets();
	who_gives_up_changes_nothing();
	a_bad_program_is_refused_before_the_commit();
	adopted_sockets_keep_a_program_of_others();
	adopted_sockets_are_steered();
	what_is_no_group_is_not_steered();
	return check_done();
}

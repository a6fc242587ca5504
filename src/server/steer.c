/* SPDX-License-Identifier: MIT */

/*
 * Which of a listener's sockets a datagram comes to, where that is not the kernel's hash: a classic
 * BPF program of the SO_REUSEPORT group, whose result is the index of a socket, in the order of
 * their binds. An index beyond the group lets the kernel hash.
 *
 * The program belongs to the group. So it is written, and shown to the kernel on a socket that
 * nobody uses, when the listener is made: sockets of the process before have another program until
 * they are ours alone (vly_sharers_adopt()), and by then nothing may fail.
 */

#include "server/steer.h"

#include <errno.h>
#include <linux/filter.h>
#include <string.h>
#include <sys/socket.h>

#include "base/compiler.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/needs.h"
#include "server/options.h"
#include "server/state.h"
#include "sys/socket.h"
#include "sys/thread.h"

#define NO_SOCKET UINT32_MAX

/* CPUs beyond these name no socket. */
enum { N_FOR_RUN = 5, MAX_CPUS = 800 };

static_assert(VLY_STEER_MAX_PROGRAM == BPF_MAXINSNS, "as the kernel has it");
static_assert(MAX_CPUS * N_FOR_RUN + 2 <= BPF_MAXINSNS, "where no two are neighbours");

/* The programs --------------------------------------------------------------------------------- */

static uint16_t write_byte(struct sock_filter *to, uint32_t offset)
{
	const struct sock_filter steps[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, offset, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, NO_SOCKET),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, offset),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};

	memcpy(to, steps, sizeof steps);
	return VLY_ARRAY_SIZE(steps);
}

/* What a CPU of first to last means, whose sockets begin at `base`; the others go on behind it. */
static void write_run(struct sock_filter *to, uint32_t first, uint32_t last, uint32_t base)
{
	const struct sock_filter steps[N_FOR_RUN] = {
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, last, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, first, 0, 2),
		BPF_STMT(BPF_ALU | BPF_SUB | BPF_K, first - base),
		BPF_STMT(BPF_RET | BPF_A, 0),
		BPF_STMT(BPF_RET | BPF_K, NO_SOCKET),
	};

	memcpy(to, steps, sizeof steps);
}

/* As vly_thread_pin() counts CPUs: in a container they seldom begin with 0. */
static uint16_t write_cpu(struct sock_filter *to)
{
	uint32_t cpus[MAX_CPUS];
	uint32_t n_cpus = vly_thread_get_cpus(cpus, MAX_CPUS);
	uint16_t n = 0;

	to[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					       (uint32_t)(SKF_AD_OFF + SKF_AD_CPU));
	for (uint32_t first = 0, end; first < n_cpus; first = end) {
		for (end = first + 1; end < n_cpus && cpus[end] == cpus[end - 1] + 1;)
			end++;
		write_run(&to[n], cpus[first], cpus[end - 1], first);
		n += N_FOR_RUN;
	}
	to[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, NO_SOCKET);
	return n;
}

static uint16_t write_program(const struct volley_listen_config *config, struct sock_filter *to)
{
	if (config->steer == VOLLEY_STEER_CPU)
		return write_cpu(to);
	if (config->steer == VOLLEY_STEER_BYTE)
		return write_byte(to, config->steer_offset);
	memcpy(to, config->steer_program, config->n_steer_program * sizeof *to);
	return (uint16_t)config->n_steer_program;
}

/* The listener's own, as long as it has to be. */
static int new_program(struct vly_listener *listener)
{
	const struct volley_allocator *allocator = listener->server->shared.config.allocator;
	struct sock_filter *draft = vly_mem_new(allocator, VLY_STEER_MAX_PROGRAM, sizeof *draft);
	uint16_t n;

	if (draft == NULL)
		return -ENOMEM;
	n = write_program(&listener->config, draft);
	listener->config.steer_program = NULL; /* the caller's, who may free it now */
	listener->steering = vly_mem_new(allocator, n, sizeof *draft);
	if (listener->steering != NULL) {
		memcpy(listener->steering, draft, n * sizeof *draft);
		listener->n_steering = n;
	}
	vly_mem_free(draft);
	return listener->steering != NULL ? 0 : -ENOMEM;
}

/* Setting it ----------------------------------------------------------------------------------- */

static int set_program(const struct vly_listener *listener, int fd)
{
	return vly_socket_set_steering(fd, listener->steering, listener->n_steering);
}

/*
 * A socket that was bound without SO_REUSEPORT takes no program before another one has joined it.
 * So it gets its program before, and has the option only for this moment, in which it is bound to
 * nothing: vly_socket_bind() can keep others out.
 */
static int set_unbound(const struct vly_listener *listener, int fd)
{
	int r = vly_socket_set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	int cleared;

	if (r >= 0)
		r = set_program(listener, fd);
	cleared = vly_socket_set_int(fd, SOL_SOCKET, SO_REUSEPORT, 0);
	return r < 0 ? r : cleared;
}

int vly_steer_init(struct vly_listener *listener)
{
	struct volley_server *server = listener->server;
	bool is_theirs = listener->config.steer == VOLLEY_STEER_PROGRAM;
	int fd, r;

	if (listener->config.steer == VOLLEY_STEER_FLOW)
		return 0;
	r = new_program(listener);
	if (r < 0)
		return r;
	fd = vly_socket_open(AF_INET, false);
	if (fd < 0) {
		vly_log_write_refused(&server->shared.config, "socket", fd);
		return fd;
	}
	r = set_unbound(listener, fd);
	vly_socket_close(fd);
	if (r == -EINVAL && is_theirs) {
		vly_log_write(&server->shared.config, VOLLEY_LOG_ERROR,
			      "listen: the kernel refuses steer_program (EINVAL): it has to end in "
			      "BPF_RET, its jumps go forward and stay inside, and there is no code "
			      "but that of linux/filter.h");
		return r;
	}
	return vly_needs_check(server, VLY_NEED_STEER, r, true);
}

/* One socket gets all there is, and a program would only cost time. */
int vly_steer_begin(const struct vly_listener *listener, int fd, uint32_t n, bool is_bound)
{
	int r;

	if (listener->steering == NULL || n == 1)
		return 0;
	r = is_bound ? set_program(listener, fd) : set_unbound(listener, fd);
	return vly_needs_check(listener->server, VLY_NEED_STEER, r, true);
}

/*
 * A process before us may have left a program that nobody asks for now. What is adopted from
 * somebody else keeps his.
 */
int vly_steer_configure(struct vly_listener *listener)
{
	int r;

	if (listener->n_fds == 1 || (listener->steering == NULL && !listener->foreign))
		return 0;
	r = set_program(listener, listener->fds[0]);
	if (listener->steering != NULL)
		return vly_needs_check(listener->server, VLY_NEED_STEER, r, true);
	vly_options_clear(listener, r);
	return 0;
}

/*
 * A socket that leaves (vly_socket_leave()) keeps its index in the group with older kernels, and a
 * program would find it there; the hash does not. Where the program stays, what came between the
 * last look and the close is in no books.
 */
void vly_steer_end(const struct vly_listener *listener)
{
	if (listener->steering != NULL && listener->n_fds > 1 && !vly_listener_is_shared(listener))
		vly_socket_set_steering(listener->fds[0], NULL, 0);
}

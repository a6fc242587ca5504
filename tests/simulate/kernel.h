/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SIMULATE_KERNEL_H
#define TESTS_SIMULATE_KERNEL_H

/*
 * The simulated kernel: processes, descriptors, and what stands behind them. It knows what
 * docs/kernel.md says that volley relies on, and nothing else: what it does not know aborts.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "world.h"

enum { N_ERRNOS = 134, N_FDS = 256, N_SIGNALS = 65, PID_FIRST = 1000 };

enum file_kind {
	FILE_UDP = 1,
	FILE_UNIX,
	FILE_EVENTFD,
	FILE_SIGNALFD,
	FILE_EPOLL,
	FILE_PIPE_READ,
	FILE_PIPE_WRITE,
	FILE_PIDFD,
	FILE_TIMERFD,
	FILE_NETLINK,
};

/* An open file description; the first member of each kind. */
struct file {
	enum file_kind kind;
	uint64_t number;  /* its inode */
	uint32_t n_users; /* descriptors, and those on their way in a message; at 0 it is closed */
	uint32_t n_holds; /* of its memory: one for all users, and one of each that looks at it */
	struct waits waits; /* for a change of what file_poll() says */
	bool nonblocking;
};

struct signal_action {
	void (*handler)(int signo, void *info, void *context);
	uint64_t mask;
};

struct process {
	int pid;
	bool is_dead;
	struct file *fds[N_FDS];
	uint32_t n_limit; /* RLIMIT_NOFILE */
	struct thread *threads;
	uint64_t pending; /* of the whole process: for a signalfd */
	struct waits signals;
	struct waits death;
	struct block *memory;
	struct mapping *mappings;
	uint64_t n_bytes;
	uint64_t most_bytes; /* 0: no limit */
	/* What its UDP sockets did: the truth that its books have to agree with. */
	uint64_t n_taken;        /* messages */
	uint64_t n_sent;         /* datagrams */
	uint64_t n_copies_taken; /* messages that were sent to many */
	uint64_t n_cast_delivered;
	uint64_t n_refused[N_ERRNOS]; /* single datagrams, by what they met themselves */
	uint32_t n_lost_reports;      /* that found no room: whose error it was, nobody knows */
	bool hears_errors;            /* of the network, which are told to others too */
	bool sends_singly;            /* one by one */
	uint64_t n_dropped;           /* messages that found no room, or a filter */
	uint64_t n_dropped_late;      /* the same, by a socket that was about to be closed */
	uint64_t n_discarded;         /* messages that a socket held when it was closed */
	struct process *next;
};

/* One for all: the library's own state is one for all as well. */
extern struct signal_action kernel_actions[N_SIGNALS];

/* The calling thread's, or the one that the world itself acts for. */
extern struct process *kernel_host;
struct process *kernel_process(void);

struct process *kernel_fork(void); /* a new one, with nothing */
/* Every thread ends where it is, every descriptor is closed, memory is forgotten. */
void kernel_kill(struct process *process);
void kernel_free_process(struct process *process);

/* Descriptors: these return a number or -errno. */
int kernel_install(struct file *file);
struct file *kernel_get(int fd); /* NULL: EBADF */
struct file *kernel_get_kind(int fd, enum file_kind kind);
int kernel_close(int fd);
uint32_t kernel_count_fds(const struct process *process);

void file_init(struct file *file, enum file_kind kind);
struct file *file_ref(struct file *file);
void file_unref(struct file *file);
struct file *file_hold(struct file *file);
void file_drop(struct file *file);
/* POLLIN and so on, all that is so. */
short file_poll(struct file *file);

/* Whether a call fails here, by the plan of this world: 0 or an errno. */
int kernel_fault(const char *call, int detail);
/* It fails because nothing is left. */
void kernel_run_out(const char *of);

/* A UDP socket. net.core.rmem_max is what a receive buffer may be. */
enum { UDP_RMEM_DEFAULT = 212992 };
extern uint32_t udp_rmem_max;
void udp_close(struct file *file);
/* How many messages wait in those of a process. */
uint32_t udp_count_queued(const struct process *process);
/* Its sockets whose filter lets an empty datagram not pass. */
uint32_t udp_count_refusing(const struct process *process);
short udp_poll(struct file *file);
int udp_open(int family, struct file **ret_file);
int udp_bind(struct file *file, const struct sockaddr *addr, socklen_t len);
int udp_connect(struct file *file, const struct sockaddr *addr, socklen_t len);
/*
 * Whether somebody who asked by a connect() if an address is a broadcast was told nothing, because
 * the call was refused or the link away.
 */
bool udp_has_hidden_casts(void);
void udp_hide_cast(const struct sockaddr *addr, socklen_t len);
void udp_hide_casts(void);
int udp_get_name(struct file *file, struct sockaddr *addr, socklen_t *len);
int udp_set_option(struct file *file, int level, int name, const void *value, socklen_t n);
int udp_get_option(struct file *file, int level, int name, void *value, socklen_t *n);
int udp_recvmsg(struct file *file, struct msghdr *msg, int flags);
/* Who is not told, for others have left by the same call, asks again. */
int udp_sendmsg(struct file *file, const struct msghdr *msg, bool is_told);
/* The call itself fails, and this message is the first. Returns -error. */
int udp_refuse(const struct msghdr *msg, int error);
/* The pending error, which is there no longer; and that it is there. */
int udp_take_error(struct file *file);
void udp_put_error(struct file *file, int error);

/* AF_UNIX, SOCK_SEQPACKET. */
void unix_close(struct file *file);
short unix_poll(struct file *file);
int unix_pair(struct file *ret_files[2]);
int unix_sendmsg(struct file *file, const struct msghdr *msg);
int unix_recvmsg(struct file *file, struct msghdr *msg);
void unix_shutdown(struct file *file);
/* The next packet of any of them arrives as something else, or with others' descriptors. */
void unix_disturb(void);
void unix_burden(uint32_t n_fds);
void unix_calm(void); /* or it does not */

/* epoll. */
void epoll_close(struct file *file);
short epoll_poll(struct file *file);

/* What the others are: event.c. */
void event_close(struct file *file);
short event_poll(struct file *file);

/* A signal for a thread, or for a process. */
void kernel_signal_thread(struct thread *thread, int signo);
void kernel_signal_process(struct process *process, int signo);

#endif

/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_FILTER_H
#define TESTS_LIB_FILTER_H

/*
 * A filter of system calls that refuses one, or one socket option, with an errno of our choice, as
 * containers and hardened services have them. For this process and what it starts, and for good: in
 * a child.
 */

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct filter_rule {
	const char *name;
	int nr;    /* of the system call */
	int level; /* of a socket option, with its name; -1: of all calls */
	int option;
};

#define FILTER_LOAD(field) \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned int)offsetof(struct seccomp_data, field))
#define FILTER_ELSE(value, n_skipped) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)(value), 0, n_skipped)

/* The low words of arguments, as they lie on little-endian machines. */
static inline bool filter_refuse(const struct filter_rule *rule, int error)
{
	struct sock_filter any[] = {
		FILTER_LOAD(nr),
		FILTER_ELSE(rule->nr, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned int)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_filter one[] = {
		FILTER_LOAD(nr),
		FILTER_ELSE(rule->nr, 5),
		FILTER_LOAD(args[1]),
		FILTER_ELSE(rule->level, 3),
		FILTER_LOAD(args[2]),
		FILTER_ELSE(rule->option, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned int)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof any / sizeof any[0], .filter = any };

	if (rule->level >= 0)
		program = (struct sock_fprog){ .len = sizeof one / sizeof one[0], .filter = one };
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

#endif

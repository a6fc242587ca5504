/* SPDX-License-Identifier: MIT */

#include "fiber.h"

#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

/*
 * What the calling convention says survives a call goes to the stack; the rest is the caller's. The
 * C library can do it on every CPU, at the price of a system call each time.
 */
#if defined(__x86_64__) && !defined(SIMULATE_UCONTEXT)
enum { N_SAVED = 6 };

struct registers {
	void *sp;
};

void simulate_swap(struct registers *ret_from, const struct registers *to);
__asm__(".text\n"
	".global simulate_swap\n"
	".type simulate_swap, @function\n"
	"simulate_swap:\n"
	"	push %rbp\n	push %rbx\n	push %r12\n	push %r13\n"
	"	push %r14\n	push %r15\n"
	"	mov %rsp, (%rdi)\n"
	"	mov (%rsi), %rsp\n"
	"	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n"
	"	pop %rbx\n	pop %rbp\n"
	"	ret\n"
	".size simulate_swap, . - simulate_swap\n");

static void prepare(struct registers *registers, void *stack, size_t n, void (*begin)(void))
{
	void **sp = (void **)(void *)((char *)stack + n);

	*--sp = NULL; /* as after a call: 8 bytes off 16 */
	*--sp = (void *)(uintptr_t)begin;
	sp -= N_SAVED;
	memset(sp, 0, N_SAVED * sizeof *sp);
	registers->sp = sp;
}
#else
struct registers {
	ucontext_t context;
};

static void simulate_swap(struct registers *ret_from, const struct registers *to)
{
	swapcontext(&ret_from->context, &to->context);
}

static void prepare(struct registers *registers, void *stack, size_t n, void (*begin)(void))
{
	getcontext(&registers->context);
	registers->context.uc_stack.ss_sp = stack;
	registers->context.uc_stack.ss_size = n;
	registers->context.uc_link = NULL;
	makecontext(&registers->context, begin, 0);
}
#endif

/* What a hand-over puts on the stack is 100 KiB. */
enum { STACK_BYTES = 512 * 1024, GUARD_BYTES = 4096 };

struct fiber {
	struct registers registers; /* while it does not run */
	void *stack;
	void *locals; /* while it does not run */
	int error;    /* errno */
	fiber_fn main;
	void *arg;
	struct fiber *next_free;
};

void *__real_mmap64(void *at, size_t n, int access, int flags, int fd, off_t offset);
void *__real_malloc(size_t n);
void __real_free(void *memory);

static struct fiber root;
static struct fiber *current = &root;
/* Whose thread-locals lie in place: the root, which has none, leaves those of whoever ran last. */
static struct fiber *owner;
static struct fiber *free_fibers;

/* The program's own thread-locals, as they lie in memory: found once, saved and put back whole. */
static void *locals;
static size_t n_locals;

static int find_locals(struct dl_phdr_info *info, size_t n, void *arg)
{
	(void)n, (void)arg;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		if (info->dlpi_phdr[i].p_type != PT_TLS)
			continue;
		locals = info->dlpi_tls_data;
		n_locals = info->dlpi_phdr[i].p_memsz;
	}
	return 1; /* the first one is the program */
}

void fiber_init(void)
{
	dl_iterate_phdr(find_locals, NULL);
}

struct fiber *fiber_root(void)
{
	return &root;
}

static void begin(void)
{
	current->main(current->arg);
	abort();
}

static struct fiber *make(void)
{
	struct fiber *fiber = __real_malloc(sizeof *fiber);
	char *stack = __real_mmap64(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (fiber == NULL || stack == MAP_FAILED)
		abort();
	mprotect(stack, GUARD_BYTES, PROT_NONE);
	*fiber = (struct fiber){ .stack = stack, .locals = __real_malloc(n_locals + 1) };
	return fiber;
}

struct fiber *fiber_new(fiber_fn main, void *arg)
{
	struct fiber *fiber = free_fibers;

	if (fiber != NULL)
		free_fibers = fiber->next_free;
	else
		fiber = make();
	fiber->main = main;
	fiber->arg = arg;
	fiber->error = 0;
	memset(fiber->locals, 0, n_locals);
	if (fiber == owner)
		owner = NULL;
	prepare(&fiber->registers, fiber->stack, STACK_BYTES, begin);
	return fiber;
}

void fiber_free(struct fiber *fiber)
{
	fiber->next_free = free_fibers;
	free_fibers = fiber;
}

void fiber_switch(struct fiber *to)
{
	struct fiber *from = current;

	if (to == from)
		return;
	from->error = errno;
	if (to != &root && to != owner) {
		if (owner != NULL)
			memcpy(owner->locals, locals, n_locals);
		memcpy(locals, to->locals, n_locals);
		owner = to;
	}
	current = to;
	simulate_swap(&from->registers, &to->registers);
	errno = from->error;
}

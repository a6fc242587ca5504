/* SPDX-License-Identifier: MIT */

/* Tables of peers over time: 100,000 random steps against a plain array, and where memory goes. */

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include <volley/config.h>
#include <volley/peers.h>

#include "lib/fault.h"

/* A model -------------------------------------------------------------------------------------- */

enum { N_ADDRS = 96, N_MAX = 48, N_STEPS = 100000, IDLE_NS = 40 };

struct known {
	uint64_t touched_ns;
	uint64_t touched_step; /* which of equal times was later */
	uint64_t content;
	uint64_t *data; /* NULL: not in the table */
};

struct model {
	struct volley_peers *peers;
	struct known known[N_ADDRS];
	uint32_t n;
	uint64_t now_ns;
	uint64_t step;
	uint32_t n_told;
	enum volley_peers_end reason; /* the one that is expected */
};

static struct volley_addr make(uint32_t i)
{
	struct volley_addr addr = { .len = sizeof addr.in };

	if (i % 3 == 0) {
		addr.in.sin_family = AF_INET;
		addr.in.sin_addr.s_addr = htonl(0x0a000000 + i);
	} else {
		addr.len = sizeof addr.in6;
		addr.in6.sin6_family = AF_INET6;
		addr.in6.sin6_addr.s6_addr[15] = (uint8_t)i;
		addr.in6.sin6_scope_id = i % 5;
	}
	addr.in.sin_port = htons((uint16_t)(1000 + i));
	return addr;
}

static struct known *find_oldest(struct model *model)
{
	struct known *oldest = NULL;

	for (struct known *known = model->known; known < model->known + N_ADDRS; known++)
		if (known->data != NULL &&
		    (oldest == NULL || known->touched_step < oldest->touched_step))
			oldest = known;
	return oldest;
}

static void touch(struct model *model, struct known *known)
{
	known->touched_ns = model->now_ns;
	known->touched_step = ++model->step;
}

static void forget(struct model *model, struct known *known)
{
	known->data = NULL;
	model->n--;
}

/* Who ends by time is the oldest of the model; a removed one was forgotten before. */
static void on_end(const struct volley_addr *peer, void *data, enum volley_peers_end reason,
		   void *arg)
{
	struct model *model = arg;
	struct known *oldest = find_oldest(model);
	struct volley_addr addr;

	cr_assert_eq(reason, model->reason);
	model->n_told++;
	if (reason == VOLLEY_PEERS_REMOVED)
		return;
	cr_assert_eq(data, oldest->data, "the longest idle");
	cr_assert_eq(*oldest->data, oldest->content);
	addr = make((uint32_t)(oldest - model->known));
	cr_assert(volley_addr_is_equal(peer, &addr));
	if (reason == VOLLEY_PEERS_EXPIRED)
		cr_assert_geq(model->now_ns - oldest->touched_ns, IDLE_NS);
	forget(model, oldest);
}

static void step_get(struct model *model, struct known *known, const struct volley_addr *addr)
{
	uint64_t *data = volley_peers_get(model->peers, addr, model->now_ns);

	cr_assert_eq(data, known->data, "in place");
	if (data == NULL)
		return;
	cr_assert_eq(*data, known->content);
	touch(model, known);
}

static void step_add(struct model *model, struct known *known, const struct volley_addr *addr,
		     bool evicts)
{
	bool was_known = known->data != NULL;
	bool is_full = model->n == N_MAX && !was_known;
	uint64_t *data;

	model->reason = VOLLEY_PEERS_EVICTED;
	model->n_told = 0;
	data = volley_peers_add(model->peers, addr, model->now_ns);
	cr_assert_eq(model->n_told, is_full && evicts);
	cr_assert_eq(data == NULL, is_full && !evicts);
	if (data == NULL)
		return;
	if (was_known) {
		cr_assert_eq(data, known->data);
		cr_assert_eq(*data, known->content);
	} else {
		cr_assert_eq(*data, 0);
		known->data = data;
		known->content = *data = model->step * 1000 + 1;
		model->n++;
	}
	touch(model, known);
}

static void step_remove(struct model *model, struct known *known, const struct volley_addr *addr)
{
	bool was_known = known->data != NULL;

	if (was_known)
		forget(model, known);
	model->reason = VOLLEY_PEERS_REMOVED;
	model->n_told = 0;
	cr_assert_eq(volley_peers_remove(model->peers, addr), was_known ? 0 : -ENOENT);
	cr_assert_eq(model->n_told, was_known);
}

static void step_expire(struct model *model, uint32_t n_most)
{
	uint32_t n;

	model->reason = VOLLEY_PEERS_EXPIRED;
	model->n_told = 0;
	n = volley_peers_expire(model->peers, model->now_ns, n_most);
	cr_assert_eq(n, model->n_told);
	cr_assert_leq(n, n_most);
	if (n < n_most && model->n > 0)
		cr_assert_lt(model->now_ns - find_oldest(model)->touched_ns, IDLE_NS);
}

static void run(bool evicts)
{
	struct model model = { .now_ns = 1 };
	struct volley_peers_stats stats = { .size = sizeof stats };
	unsigned int seed = 1;

	cr_assert_eq(
		volley_peers_new(VOLLEY_PEERS(.n_max = N_MAX, .n_bytes = sizeof(uint64_t),
					      .idle_ns = IDLE_NS, .on_end = on_end, .arg = &model,
					      .flags = evicts ? VOLLEY_PEERS_EVICT_IDLEST : 0),
				 &model.peers),
		0);
	for (int i = 0; i < N_STEPS; i++) {
		uint32_t k = (uint32_t)rand_r(&seed) % N_ADDRS;
		struct volley_addr addr = make(k);
		int what = rand_r(&seed) % 100;

		model.now_ns += rand_r(&seed) % 4 == 0;
		if (what < 45)
			step_get(&model, &model.known[k], &addr);
		else if (what < 85)
			step_add(&model, &model.known[k], &addr, evicts);
		else if (what < 95)
			step_remove(&model, &model.known[k], &addr);
		else
			step_expire(&model, (uint32_t)rand_r(&seed) % 6);
		cr_assert_eq(volley_peers_get_stats(model.peers, &stats), 0);
		cr_assert_eq(stats.now, model.n, "step %d", i);
	}
	cr_assert_gt(stats.expired, 100);
	cr_assert_gt(evicts ? stats.evicted : stats.refused, 100);
	cr_assert_gt(stats.removed, 100);
	model.reason = VOLLEY_PEERS_FREED;
	model.n_told = 0;
	volley_peers_free(model.peers);
	cr_assert_eq(model.n_told, stats.now);
	cr_assert_eq(model.n, 0);
}

Test(peers_memory, random_steps_against_a_plain_array)
{
	run(false);
}

Test(peers_memory, random_steps_with_evictions)
{
	run(true);
}

/*
 * So many that some surely have the same 32 bits of a hash, ten pairs on average: each is found by
 * its own address all the same.
 */
Test(peers_memory, peers_that_share_a_hash_are_not_confused)
{
	enum { N = 300000 };
	struct volley_peers_stats stats = { .size = sizeof stats };
	struct volley_addr addr = make(0);
	struct volley_peers *peers;

	cr_assert_eq(
		volley_peers_new(VOLLEY_PEERS(.n_max = N, .n_bytes = sizeof(uint32_t)), &peers), 0);
	for (uint32_t i = 0; i < N; i++) {
		addr.in.sin_addr.s_addr = htonl(i);
		*(uint32_t *)volley_peers_add(peers, &addr, i) = i;
	}
	volley_peers_get_stats(peers, &stats);
	cr_assert_eq(stats.now, N);
	for (uint32_t i = 0; i < N; i++) {
		addr.in.sin_addr.s_addr = htonl(i);
		cr_assert_eq(*(uint32_t *)volley_peers_get(peers, &addr, i), i);
	}
	volley_peers_free(peers);
}

/* Memory --------------------------------------------------------------------------------------- */

struct purse {
	uint32_t n_calls;
	uint32_t n_left; /* calls that succeed */
	int64_t n_bytes;
};

static void *allocate(size_t n_bytes, size_t align_bytes, void *arg)
{
	struct purse *purse = arg;
	void *mem;

	purse->n_calls++;
	if (purse->n_left == 0)
		return NULL;
	purse->n_left--;
	mem = aligned_alloc(align_bytes, n_bytes);
	cr_assert_not_null(mem);
	memset(mem, 0xa5, n_bytes); /* what it holds does not matter */
	purse->n_bytes += (int64_t)n_bytes;
	return mem;
}

static void deallocate(void *mem, size_t n_bytes, size_t align_bytes, void *arg)
{
	struct purse *purse = arg;

	(void)align_bytes;
	purse->n_bytes -= (int64_t)n_bytes;
	free(mem);
}

Test(peers_memory, all_of_it_is_taken_at_new)
{
	struct purse purse = { .n_left = UINT32_MAX };
	const struct volley_allocator allocator = { allocate, deallocate, &purse };
	struct volley_peers *peers;
	uint32_t n_calls;

	cr_assert_eq(volley_peers_new(VOLLEY_PEERS(.n_max = 1000, .n_bytes = 20, .idle_ns = 10,
						   .allocator = &allocator),
				      &peers),
		     0);
	n_calls = purse.n_calls;
	cr_assert_gt(purse.n_bytes, 1000 * (32 + 32 + 16));
	purse.n_left = 0;
	fault_arm_from(FAULT_ANY, 1, ENOMEM);
	for (uint64_t i = 0; i < 20000; i++) {
		struct volley_addr addr = make((uint32_t)(i % 1500));
		uint32_t *data;

		addr.in.sin_port = htons((uint16_t)(i % 1500));
		data = volley_peers_add(peers, &addr, i);
		if (data != NULL)
			cr_assert_eq(data[4], 0);
		if (i % 7 == 0)
			volley_peers_remove(peers, &addr);
		volley_peers_expire(peers, i, (uint32_t)(i % 3 == 0));
	}
	cr_assert_eq(fault_disarm(), 0);
	cr_assert_eq(purse.n_calls, n_calls);
	volley_peers_free(peers);
	cr_assert_eq(purse.n_bytes, 0);
}

Test(peers_memory, an_allocator_that_has_no_more)
{
	struct volley_peers *const none = (struct volley_peers *)&(int){ 0 };
	struct volley_peers *peers = none;
	uint32_t n;
	int r = -ENOMEM;

	for (n = 0; r < 0; n++) {
		struct purse purse = { .n_left = n };
		const struct volley_allocator allocator = { allocate, deallocate, &purse };

		r = volley_peers_new(VOLLEY_PEERS(.n_max = 5, .allocator = &allocator), &peers);
		if (r >= 0)
			volley_peers_free(peers);
		else
			cr_assert_eq(peers, none, "untouched");
		cr_assert(r == 0 || r == -ENOMEM);
		cr_assert_eq(purse.n_bytes, 0);
	}
	cr_assert_eq(n, 5, "the table and its three arrays can fail");
}

/* Each call that new makes of the system fails once: memory, and then the random key. */
Test(peers_memory, new_without_memory_or_key)
{
	struct volley_peers *peers = NULL;
	unsigned int nth = 0;

	for (;;) {
		int r;

		fault_arm(FAULT_ANY, ++nth, ENOMEM);
		r = volley_peers_new(VOLLEY_PEERS(.n_max = 5), &peers);
		if (fault_disarm() == 0) {
			cr_assert_eq(r, 0);
			volley_peers_free(peers);
			break;
		}
		cr_assert_eq(r, -ENOMEM);
		cr_assert_null(peers);
	}
	cr_assert_eq(nth, 6, "four pieces of memory and the key can fail");
	fault_arm(FAULT_SYSCALL, 1, EPERM);
	cr_assert_eq(volley_peers_new(VOLLEY_PEERS(.n_max = 5), &peers), -EPERM);
	fault_disarm();
}

static uint32_t n_keys;

static int count_keys(enum fault_function function, const void *site, long detail)
{
	(void)site;
	n_keys += function == FAULT_SYSCALL && detail == SYS_getrandom;
	return 0;
}

/* What a key does is not seen from outside; that each table asks for its own is. */
Test(peers_memory, each_table_has_a_key_of_its_own)
{
	struct volley_peers *peers[2];

	fault_set_judge(count_keys);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(volley_peers_new(VOLLEY_PEERS(.n_max = 5), &peers[i]), 0);
	fault_set_judge(NULL);
	cr_assert_eq(n_keys, 2);
	for (int i = 0; i < 2; i++)
		volley_peers_free(peers[i]);
}

/* pthread_cancel() ----------------------------------------------------------------------------- */

static int get_cancel_state(void)
{
	int state, held_off;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	pthread_setcancelstate(state, &held_off);
	return state;
}

static void look_at_state(const struct volley_addr *peer, void *data, enum volley_peers_end reason,
			  void *arg)
{
	uint32_t *n_held_off = arg;

	(void)peer, (void)data, (void)reason;
	*n_held_off += get_cancel_state() == PTHREAD_CANCEL_DISABLE;
}

/* A thread that ended in on_end would leave an entry that is neither in use nor free. */
Test(peers_memory, on_end_is_no_place_to_be_cancelled)
{
	struct volley_addr addrs[3] = { make(0), make(1), make(2) };
	struct volley_peers *peers;
	uint32_t n_held_off = 0;
	cr_assert_eq(volley_peers_new(VOLLEY_PEERS(.n_max = 2, .idle_ns = 10,
						   .flags = VOLLEY_PEERS_EVICT_IDLEST,
						   .on_end = look_at_state, .arg = &n_held_off),
				      &peers),
		     0);
	for (int i = 0; i < 3; i++)
		volley_peers_add(peers, &addrs[i], 0);
	cr_assert_eq(n_held_off, 1, "evicted");
	cr_assert_eq(volley_peers_remove(peers, &addrs[1]), 0);
	cr_assert_eq(n_held_off, 2);
	cr_assert_eq(volley_peers_expire(peers, 10, 1), 1);
	cr_assert_eq(n_held_off, 3);
	volley_peers_add(peers, &addrs[0], 0);
	cr_assert_eq(get_cancel_state(), PTHREAD_CANCEL_ENABLE, "it is put back");
	volley_peers_free(peers);
	cr_assert_eq(n_held_off, 4);
	cr_assert_eq(get_cancel_state(), PTHREAD_CANCEL_ENABLE);
}

/* SPDX-License-Identifier: MIT */

/*
 * Shapes that matter to the send engine: runs of equal sizes and mixed ones, consecutive and
 * interleaved destinations, sizes at the edges, and bad destinations at any position of a volley,
 * alone and as whole segmented messages.
 */

#include "send/script.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/compiler.h"
#include "lib/loopback.h"
#include "lib/namespace.h"

/* What the kernel says to each is what the reference learns. */
static const char *const bad_texts[2][8] = {
	{
		"127.0.0.1:0",       /* the library's own rule: refused */
		"127.0.0.1:9",       /* a firewall: EPERM */
		"203.0.113.7:7",     /* no route: ENETUNREACH */
		"198.51.100.7:7",    /* EHOSTUNREACH */
		"198.51.101.7:7",    /* EACCES */
		"198.51.102.7:7",    /* EINVAL */
		"127.255.255.255:7", /* broadcast: EACCES */
		"127.0.0.5:9",
	},
	{
		"[::1]:0",
		"[::1]:9",
		"[2001:db8:f::1]:7",
		"[2001:db8:1::1]:7",
		"[2001:db8:2::1]:7",
		"[2001:db8:3::1]:7",
		"[2001:db8:1::2]:7",
		"[::1]:9",
	},
};

bool script_prepare_network(void)
{
	return namespace_run("ip route add unreachable 198.51.100.0/24") &&
	       namespace_run("ip route add prohibit 198.51.101.0/24") &&
	       namespace_run("ip route add blackhole 198.51.102.0/24") &&
	       namespace_run("ip route add unreachable 2001:db8:1::/48") &&
	       namespace_run("ip route add prohibit 2001:db8:2::/48") &&
	       namespace_run("ip route add blackhole 2001:db8:3::/48") &&
	       /* A narrow path: longer datagrams pass in fragments, but not as segments. */
	       namespace_run("ip route add local 127.0.2.0/24 dev lo src 127.0.0.1 mtu lock 1400"
			     " table local") &&
	       namespace_run("nft 'table inet t { chain c { type filter hook output priority 0;"
			     " udp dport 9 drop; }; }'");
}

/* Sequence of Vigna's splitmix64: any seed is a good one. */
static uint32_t draw(uint64_t *state, uint32_t below)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)((z ^ z >> 31) >> 33) % below;
}

static uint32_t draw_size(uint64_t *state, bool slow)
{
	static const uint32_t sizes[] = { 64, 64, 64, 63, 65, 512, 1200, 1, 100, 200 };

	if (slow || draw(state, 20) > 0)
		return sizes[draw(state, VLY_ARRAY_SIZE(sizes))];
	switch (draw(state, 6)) {
	case 0:
		return 0;
	case 1:
		return 65507;
	case 2:
		return 9000;
	default:
		return 1300 + draw(state, 200); /* around the narrow path's 1,372 */
	}
}

static const struct volley_addr *draw_bad(const struct script_world *world, uint32_t listener,
					  uint64_t *state)
{
	static _Thread_local struct volley_addr bad[2][VLY_ARRAY_SIZE(bad_texts[0])];
	bool v6 = listener == 1;
	uint32_t i = draw(state, VLY_ARRAY_SIZE(bad_texts[0]) + 1);

	if (i == VLY_ARRAY_SIZE(bad_texts[0]))
		return &world->own[listener];
	if (bad[v6][i].len == 0)
		bad[v6][i] = loopback_addr(bad_texts[v6][i]);
	return &bad[v6][i];
}

static void make_burst(struct script_burst *burst, const struct script_world *world,
		       uint32_t listener, uint32_t n_peers, uint64_t *state)
{
	uint32_t size = draw_size(state, world->slow);
	uint32_t n = draw(state, 3) == 0 ? 1 + draw(state, 20) : 1;

	*burst = (struct script_burst){
		.peer = &world->healthy[listener == 1][draw(state, n_peers)],
		.bad = !world->slow && draw(state, 100) < 13,
		.segment_bytes = size,
		.n_bytes = size,
		.fill = draw(state, UINT32_MAX),
		.how = (enum script_how)draw(state, SCRIPT_N_HOWS),
	};
	if (burst->bad && draw(state, 12) == 0) {
		/* Longer than UDP can carry: EMSGSIZE. */
		burst->n_bytes = burst->segment_bytes = listener == 1 ? 65528 : 65508;
		return;
	}
	if (burst->bad)
		burst->peer = draw_bad(world, listener, state);
	if (size > 0 && n > 1) {
		uint32_t last = draw(state, 2) ? size : 1 + draw(state, size);

		n = n * size > SCRIPT_MAX_BYTES ? SCRIPT_MAX_BYTES / size : n;
		burst->n_bytes = (n - 1) * size + last;
		if (n == 1)
			burst->segment_bytes = burst->n_bytes;
	}
	if (listener == 2 && draw(state, 4) > 0)
		burst->local = loopback_addr(draw(state, 2) ? "127.0.0.3:0" : "127.0.0.4:0");
	if (burst->peer == &world->own[2]) /* 127.0.0.3: itself only when it leaves from there */
		burst->local = loopback_addr("127.0.0.3:0");
}

static uint32_t make_volley(struct script *script, struct script_volley *volley,
			    const struct script_world *world, uint64_t *state)
{
	/* Few peers and one size make messages, many peers and sizes break them. */
	uint32_t n_peers = 1 + draw(state, SCRIPT_N_HEALTHY);
	bool same_size = draw(state, 3) > 0;
	uint32_t n_sends = 0;

	volley->listener = draw(state, SCRIPT_N_LISTENERS);
	volley->n_bursts = 1 + draw(state, SCRIPT_MAX_BURSTS);
	for (uint32_t i = 0; i < volley->n_bursts; i++) {
		struct script_burst *burst = &volley->bursts[i];
		uint32_t n;

		make_burst(burst, world, volley->listener, n_peers, state);
		if (same_size && !burst->bad && i > 0 && !volley->bursts[0].bad)
			burst->segment_bytes = burst->n_bytes = volley->bursts[0].segment_bytes;
		n = script_count(burst);
		n_sends += n;
		if (burst->bad)
			script->n_bad += n;
	}
	return n_sends;
}

void script_make(struct script *script, const struct script_world *world, uint64_t seed)
{
	uint64_t state = seed;

	script->n_volleys = 0;
	script->n_sends = 0;
	script->n_bad = 0;
	while (script->n_sends < SCRIPT_MIN_SENDS && script->n_volleys < SCRIPT_MAX_VOLLEYS)
		script->n_sends += make_volley(script, &script->volleys[script->n_volleys++], world,
					       &state);
}

uint32_t script_count(const struct script_burst *burst)
{
	if (burst->segment_bytes == 0)
		return 1;
	return (burst->n_bytes + burst->segment_bytes - 1) / burst->segment_bytes;
}

uint32_t script_len(const struct script_burst *burst, uint32_t i)
{
	uint32_t rest = burst->n_bytes - i * burst->segment_bytes;

	return rest < burst->segment_bytes ? rest : burst->segment_bytes;
}

void script_fill(const struct script_burst *burst, uint8_t *data)
{
	uint32_t word = burst->fill;
	uint32_t i = 0;

	for (; i + sizeof word <= burst->n_bytes; i += sizeof word) {
		memcpy(data + i, &word, sizeof word);
		word = word * 1664525 + 1013904223;
	}
	for (; i < burst->n_bytes; i++)
		data[i] = (uint8_t)(word >> 8 * (i % sizeof word));
}

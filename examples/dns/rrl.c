/* SPDX-License-Identifier: MIT */

/*
 * A forged source address makes a name server a weapon against its owner. The limit is on answers,
 * not on queries, and on alike ones: an account for each network (/24 of IPv4, /56 of IPv6) and
 * kind of answer. Each second puts `rate` answers into an account, up to one second's worth; each
 * answer takes one, and a debt of up to WINDOW seconds is remembered, so a flood stays limited
 * until it ends.
 *
 * Accounts are found by a keyed hash in a table of fixed size, without chains: two that fall
 * together take turns, and the newcomer begins with a full one. A stranger cannot aim at anybody's
 * account without the key. Each worker has its own table, so the limit is per worker.
 */

#include "rrl.h"

#include <stdlib.h>
#include <string.h>

#include "siphash.h"

enum {
	N_ACCOUNTS = 1 << 16, /* 1 MiB per worker */
	WINDOW = 15,          /* seconds, as BIND and NSD have it */
};

struct account {
	uint32_t tag;
	uint32_t second; /* of the last answer */
	int32_t balance;
	uint32_t n_over;
};

struct dns_rrl {
	uint8_t key[SIPHASH_KEY_BYTES];
	int32_t rate;
	uint32_t slip;
	struct account accounts[N_ACCOUNTS];
};

struct dns_rrl *dns_rrl_new(uint32_t rate, uint32_t slip, const uint8_t *key)
{
	struct dns_rrl *rrl = calloc(1, sizeof *rrl);

	if (rrl == NULL)
		return NULL;
	memcpy(rrl->key, key, sizeof rrl->key);
	rrl->rate = (int32_t)rate;
	rrl->slip = slip;
	return rrl;
}

void dns_rrl_free(struct dns_rrl *rrl)
{
	free(rrl);
}

static uint64_t hash(const struct dns_rrl *rrl, const struct volley_addr *peer, uint32_t kind)
{
	uint8_t block[12] = { 0 };
	struct volley_addr client;

	memcpy(block, &kind, sizeof kind);
	volley_addr_unmap(peer, &client);
	if (client.sa.sa_family == AF_INET)
		memcpy(block + 4, &client.in.sin_addr, 3);
	else
		memcpy(block + 4, &client.in6.sin6_addr, 7);
	return siphash(rrl->key, block, sizeof block);
}

static void pay_in(const struct dns_rrl *rrl, struct account *account, uint32_t now)
{
	int64_t balance = account->balance;
	int32_t n_seconds = (int32_t)(now - account->second);

	if (n_seconds <= 0)
		return;
	balance += (int64_t)n_seconds * rrl->rate;
	account->balance = balance > rrl->rate ? rrl->rate : (int32_t)balance;
	account->second = now;
}

enum dns_rrl_verdict dns_rrl_check(struct dns_rrl *rrl, const struct volley_addr *peer,
				   uint32_t kind, uint32_t now)
{
	uint64_t place = hash(rrl, peer, kind);
	struct account *account = &rrl->accounts[place % N_ACCOUNTS];
	uint32_t tag = (uint32_t)(place >> 32) | 1;

	if (account->tag != tag)
		*account = (struct account){ tag, now, rrl->rate, 0 };
	pay_in(rrl, account, now);
	if (account->balance > -WINDOW * rrl->rate)
		account->balance--;
	if (account->balance >= 0)
		return DNS_RRL_SEND;
	account->n_over++;
	return rrl->slip > 0 && account->n_over % rrl->slip == 0 ? DNS_RRL_SLIP : DNS_RRL_DROP;
}

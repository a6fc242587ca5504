/* SPDX-License-Identifier: MIT */

#include "restart.h"

#include <stdlib.h>
#include <string.h>

#include "life.h"
#include "oracle.h"

static const uint64_t MS = 1000000;

static struct life lives[N_LIVES];
static int n_lives;
static bool is_rough;    /* somebody was killed, or a word was changed, or somebody slept */
static bool is_troubled; /* any of these, or told to end in the middle of a hand-over */
static bool is_lossy;    /* some requests may have been replied to by nobody */

/* What happens to the two of a hand-over. */
enum trouble {
	TROUBLE_NONE,
	TROUBLE_KILL,
	TROUBLE_END,
	TROUBLE_SLEEP,
	TROUBLE_WORD,
	TROUBLE_DESCRIPTORS,
	TROUBLE_WANT,
};

static struct life *add_life(struct file *conversation)
{
	struct life *life = &lives[n_lives];

	if (n_lives == N_LIVES)
		abort();
	life_start(life, n_lives++, conversation);
	return life;
}

static bool is_alive(const struct life *life)
{
	return !life->process->is_dead;
}

static bool is_serving(const struct life *life)
{
	return is_alive(life) && life->is_serving && !life->shall_end;
}

static struct life *pick_serving(void)
{
	struct life *found = NULL;
	uint32_t n = 0;

	for (int i = 0; i < n_lives; i++)
		if (is_serving(&lives[i]) && lives[i].export_fd < 0 && world_pick(++n) == 0)
			found = &lives[i];
	return found;
}

static int count_serving(void)
{
	int n = 0;

	for (int i = 0; i < n_lives; i++)
		n += is_serving(&lives[i]);
	return n;
}

/* Clients -------------------------------------------------------------------------------------- */

static uint32_t pick_listener(void)
{
	uint32_t i;

	do
		i = world_pick(chain.n_listeners);
	while (!chain.serves[i]);
	return i;
}

/* Every client is replied to, several times: so is every socket, most likely. */
static void ask(const char *when)
{
	uint32_t n_before = oracle_count_replied();
	uint32_t n = 0;

	for (uint32_t i = 0; i < chain.n_listeners; i++) {
		struct volley_addr addr = life_get_addr(i);

		for (int k = 0; k < 40 && chain.serves[i]; k++, n++) {
			oracle_send_request(&addr, 64);
			if (chain.is_small)
				play_sleep(2 * MS);
		}
	}
	for (int i = 0; i < 400 && oracle_count_replied() < n_before + n; i++)
		play_sleep(5 * MS);
	if (oracle_count_replied() < n_before + n)
		world_blame("%s: %u of %u are replied to, and %d serve", when,
			    oracle_count_replied() - n_before, n, count_serving());
}

/* Nobody waits for these; a small buffer has no room for all. */
static void ask_many(void)
{
	struct volley_addr addr = life_get_addr(pick_listener());
	uint32_t n = world_pick(200);

	is_lossy |= chain.is_small;
	if (oracle_count_requests() > MAX_REQUESTS / 2)
		return; /* the rest is for ask() */
	for (uint32_t k = 0; k < n; k++)
		oracle_send_request(&addr, 64);
}

/* What the sockets' own filter is there for. */
static void knock(void)
{
	struct volley_addr addr = life_get_addr(pick_listener());
	struct volley_addr from = addr;
	uint8_t data[64] = { LIFE_FORBIDDEN };

	if (addr.sa.sa_family == AF_INET)
		from.in.sin_addr.s_addr ^= htonl(0xff);
	else
		from.in6.sin6_addr.s6_addr[15] ^= 0xff;
	if (chain.adopts)
		net_send(packet_new(&from, &addr, data, sizeof data));
}

/* Somebody asks all the time. */
static void ask_for(uint64_t ns)
{
	uint64_t end_ns = world_now() + ns;

	while (world_now() < end_ns) {
		uint64_t left_ns = end_ns - world_now();

		knock();
		if (world_pick(4) == 0)
			ask_many();
		play_sleep(1 + world_random() % (left_ns < MS ? left_ns : MS));
	}
}

/* Trouble -------------------------------------------------------------------------------------- */

static void kill_one(struct life *life)
{
	world_tell("%d is killed", life->number);
	is_rough = true;
	kernel_kill(life->process);
}

static void end_one(struct life *life)
{
	world_tell("%d is told to end", life->number);
	life->shall_end = true;
	world_wake(&life_changes);
}

static void put_to_sleep(struct life *life, uint64_t ns)
{
	world_tell("%d sleeps for %llu ms", life->number, (unsigned long long)(ns / MS));
	is_rough = true;
	for (struct thread *thread = life->process->threads; thread != NULL; thread = thread->next)
		if (!thread->is_over)
			world_pause(thread, ns);
}

/* It has hardly any descriptors, or memory, left. */
static void starve(struct life *life)
{
	is_rough = true;
	life->is_starved = true;
	if (world_pick(2) == 0)
		life->process->n_limit = kernel_count_fds(life->process) + world_pick(6);
	else
		life->process->most_bytes = life->process->n_bytes + 1 + world_pick(200000);
	world_tell("%d may have %u descriptors and %llu bytes", life->number,
		   life->process->n_limit, (unsigned long long)life->process->most_bytes);
}

static void feed(struct life *life)
{
	life->process->n_limit = N_FDS;
	life->process->most_bytes = 0;
}

static void wait_for_end(struct life *life)
{
	if (is_alive(life))
		world_wait_for(&life->process->death, world_now() + 100000 * MS);
	if (is_alive(life))
		world_blame("%d does not end", life->number);
}

/* At any moment of the hand-over. */
static enum trouble disturb(struct life *life)
{
	enum trouble trouble = TROUBLE_KILL + world_pick(6);

	if (world_pick(3) == 0)
		return TROUBLE_NONE;
	ask_for(world_random() % (world_pick(2) ? 100000 : 3 * MS));
	if (!is_alive(life))
		return TROUBLE_NONE;
	is_lossy = is_troubled = true;
	switch (trouble) {
	case TROUBLE_KILL:
		kill_one(life);
		break;
	case TROUBLE_END:
		end_one(life);
		break;
	case TROUBLE_SLEEP:
		put_to_sleep(life, world_random() % (15000 * MS));
		break;
	case TROUBLE_WORD:
		unix_disturb(); /* the next one is nonsense */
		is_rough = true;
		break;
	case TROUBLE_WANT:
		starve(life);
		break;
	default:
		unix_burden(60);
		is_rough = true;
		break;
	}
	return trouble;
}

/* Hand-overs ----------------------------------------------------------------------------------- */

static bool is_decided(const struct life *old, const struct life *new)
{
	return (!is_alive(new) || new->is_serving) && (!is_alive(old) || old->export_fd < 0);
}

/* In every doubt both serve rather than none. */
static void judge(const struct life *old, const struct life *new, enum trouble trouble,
		  const struct life *troubled)
{
	bool ends = trouble == TROUBLE_KILL || trouble == TROUBLE_END;
	const char *what = trouble == TROUBLE_KILL ? "was killed" : "was told to end";

	if (trouble == TROUBLE_NONE && !(old->is_replaced && new->is_serving))
		world_blame("%d does not replace %d, and there is no reason", new->number,
			    old->number);
	if (ends && troubled == old && !new->is_serving &&count_serving() == 0)
		world_blame("%d %s, and %d does not serve", old->number, what, new->number);
	if (ends && troubled == new && !old->is_replaced &&count_serving() == 0)
		world_blame("%d %s, and %d does not serve", new->number, what, old->number);
	if (!ends && count_serving() == 0)
		world_blame("neither %d nor %d serves", old->number, new->number);
}

/* One that the next process takes and closes; nobody serves it later. */
static int pick_closed(void)
{
	uint32_t i = 1 + world_pick(N_LISTENERS);

	if (i >= chain.n_listeners || !chain.serves[i])
		return -1;
	chain.serves[i] = false;
	return (int)i;
}

static void restart(struct life *old)
{
	struct file *ends[2];
	struct life *troubled, *new;
	enum trouble trouble;

	unix_calm();
	unix_pair(ends);
	new = add_life(ends[1]);
	new->closes = pick_closed();
	old->rests = world_pick(8) == 0;
	is_lossy |= old->rests || new->closes >= 0;
	old->export_fd = life_install(old, ends[0]);
	world_wake(&life_changes);
	world_tell("%d shall replace %d", new->number, old->number);
	troubled = world_pick(2) ? old : new;
	trouble = disturb(troubled);
	/* Until the new one serves or is gone, and the old one is done with it. */
	for (int i = 0; i < 2000 && !is_decided(old, new); i++) {
		ask_for(world_pick(2) * 3 * MS);
		life_wait(50 * MS); /* a killed one says nothing */
	}
	feed(old);
	feed(new);
	play_sleep(20000 * MS); /* everybody is awake, and whoever gives up has */
	judge(old, new, trouble, troubled);
	if (new->shall_end)
		wait_for_end(new);
	if (old->shall_end || old->is_replaced)
		wait_for_end(old);
}

/* What all have written, against what happened. */
static void judge_books(void)
{
	struct process truth = { 0 };
	struct volley_stats sum = { 0 };
	uint64_t n_missing = 0;
	bool any_killed = false;

	for (int i = 0; i < n_lives; i++) {
		const struct life *life = &lives[i];

		truth.n_taken += life->process->n_taken + life->process->n_discarded;
		truth.n_sent += life->process->n_sent;
		truth.n_dropped += life->process->n_dropped;
		any_killed |= !life->has_ended;
		if (!life->has_ended || life->is_replaced || life->gave_up)
			continue; /* its books are in another's */
		sum.rx_messages += life->books.rx_messages + life->books.discarded_at_close;
		sum.tx_sent += life->books.tx_sent;
		sum.kernel_drops += life->books.kernel_drops;
		n_missing += life->n_missing;
	}
	if (!is_rough && n_missing != 0)
		world_blame("%llu books are missing, of nobody", (unsigned long long)n_missing);
	/* Two that serve the same sockets, and do not know of each other's end, count the same. */
	if (!is_troubled && sum.kernel_drops != truth.n_dropped)
		world_blame("all know of %llu drops, and there were %llu",
			    (unsigned long long)sum.kernel_drops,
			    (unsigned long long)truth.n_dropped);
	if (any_killed || n_missing != 0)
		return;
	if (sum.rx_messages != truth.n_taken)
		world_blame("all have got %llu, and %llu in truth",
			    (unsigned long long)sum.rx_messages, (unsigned long long)truth.n_taken);
	if (sum.tx_sent != truth.n_sent)
		world_blame("all have sent %llu, and %llu in truth",
			    (unsigned long long)sum.tx_sent, (unsigned long long)truth.n_sent);
}

/* Where nothing went wrong, no request was lost that had found room. */
static void judge_requests(void)
{
	for (int i = 0; i < n_lives; i++)
		is_lossy |= lives[i].process->n_dropped > 0;
	if (!is_lossy && oracle_count_replied() != oracle_count_requests())
		world_blame("%u of %u are replied to", oracle_count_replied(),
			    oracle_count_requests());
}

static void end_some(const char *when, int n_left)
{
	while (count_serving() > n_left && world_get_blame() == NULL &&
	       (n_left == 0 || world_pick(2) == 0)) {
		struct life *life = pick_serving();

		end_one(life);
		wait_for_end(life);
		if (count_serving() > 0)
			ask(when);
	}
}

static void begin(void)
{
	n_lives = 0;
	is_rough = is_troubled = is_lossy = false;
	net_weather.lost = net_weather.doubled = net_weather.refused = 0;
	world_pauses = (struct pauses){ 0 };
	oracle_forget_order();
	chain = (struct chain){ .n_listeners = 1 + world_pick(3) };
	chain.adopts = world_pick(4) == 0;
	chain.is_small = world_pick(4) == 0;
	for (uint32_t i = 0; i < chain.n_listeners; i++)
		chain.serves[i] = true;
}

static void go_on(void)
{
	struct life *old = pick_serving();

	if (old != NULL) {
		restart(old);
		return;
	}
	chain.adopts = false;
	play_sleep(2 * MS);
	add_life(NULL);
	play_sleep(10 * MS);
}

void *restart_main(void *arg)
{
	uint32_t n;

	(void)arg;
	begin();
	add_life(NULL);
	play_sleep(10 * MS);
	ask("at first");
	n = 1 + world_pick(8);
	if (n > world_cut.n_acts)
		n = world_cut.n_acts;
	for (; n > 0 && world_get_blame() == NULL; n--) {
		go_on();
		if (count_serving() > 0)
			ask("after a restart");
		end_some("after an end", 1);
	}
	end_some("at last", 0);
	for (int i = 0; i < n_lives && world_get_blame() == NULL; i++)
		wait_for_end(&lives[i]);
	if (world_get_blame() != NULL)
		return NULL;
	judge_books();
	judge_requests();
	return NULL;
}

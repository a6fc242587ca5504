/* SPDX-License-Identifier: MIT */

/*
 * Slots, arenas and pools are resident only where datagrams touched them, also where transparent
 * huge pages are "always": whatever a server maps that could hold a huge page has them off.
 */

#include "promise.h"

#include <stdbool.h>
#include <string.h>

#include <volley/volley.h>

enum { HUGE_KIB = 2048 };

static void reply(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	(void)worker, (void)arg;
	volley_packet_reply(packet, packet->data, packet->len);
}

/* KiB of anonymous, writable mappings that are large enough for huge pages, and may have them. */
static long count_huge(bool *ret_is_told)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	char line[512], flags[8], name[64];
	unsigned long begin, end, inode;
	long size = 0, all = 0;

	*ret_is_told = false;
	REQUIRE(file != NULL);
	while (fgets(line, sizeof line, file) != NULL) {
		name[0] = '\0';
		if (sscanf(line, "%lx-%lx %7s %*s %*s %lu %63s", &begin, &end, flags, &inode,
			   name) >= 4) {
			size = 0;
			if (strcmp(flags, "rw-p") == 0 && inode == 0 && name[0] == '\0')
				size = (long)((end - begin) / 1024);
		}
		if (strncmp(line, "VmFlags:", 8) == 0) {
			*ret_is_told = true;
			if (size >= HUGE_KIB && strstr(line, " nh") == NULL)
				all += size;
		}
	}
	fclose(file);
	return all;
}

int main(void)
{
	struct volley_server *server;
	bool is_told;
	long before;

	promise_begin(5);
	before = count_huge(&is_told);
	if (!is_told) {
		SKIP("/proc/self/smaps tells no flags of mappings");
		return check_done();
	}
	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 2, .n_handlers = 1, .n_held = 65536,
						.arena_bytes = 16 << 20),
				  &server) == 0);
	REQUIRE(volley_server_listen(server, "127.0.0.1:7777", VOLLEY_LISTEN(.on_packet = reply),
				     NULL) >= 0);
	CHECK_EQ(count_huge(&is_told) - before, 0);
	CHECK(volley_server_free(server) == 0);
	return check_done();
}

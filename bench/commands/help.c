/* SPDX-License-Identifier: MIT */

/* The text of --help: the subcommands, the options, and what each figure means. */

#include "help.h"

#include <stdio.h>

#include "table.h"

/* One line each; %s is not used, so that they stay plain text. */
static const char *const option_lines[] = {
	"--subjects A,B      whom to measure, 'volley*' for all that begin so; see list",
	"--baseline NAME     whom the ratios refer to (recvmmsg)",
	"--volley-echo PATH  the program as a further subject, volley-echo",
	"--sizes S[:W],...   payload bytes, with weights (64)",
	"--clients N         client addresses, 1 to 1,000,000 (16)",
	"--sockets N         client sockets that they share (1)",
	"--burst N           datagrams a client sends at once, 1 to 64 (2; preload 1)",
	"--window N          closed loop: datagrams outstanding in all (256)",
	"--rate R            open loop: datagrams per second",
	"--seconds S         length of one run",
	"--rounds N          runs of each subject; the median is reported",
	"--preload K         datagrams per preloaded run (2048)",
	"--workers N         server threads (1)",
	"--listeners N       sockets of each worker, 1 to 64, bursts go to each in turn (1)",
	"--batch N           datagrams per receive call (64)",
	"--server-cpus A,B   where workers run (the last CPU)",
	"--generator-cpu N   where the generator runs (the first CPU)",
	"--client-gro        clients take coalesced replies",
	"--client-no-gso     a burst leaves as single messages, not as one UDP_SEGMENT message:",
	"                    --burst 2 then arrives as A A B B, --burst 1 as A B A B",
	"--path P            loopback, or veth: generator and server in two namespaces that are",
	"                    made for it and go with it; wants root or user namespaces (loopback)",
	"--listen IPV4:PORT  serve: where",
	"--out DIR           write JSON, CSV and plots there",
	"--json              print JSON instead of the table",
	"--smoke             tiny sizes: does everything work; no figure of it means anything",
	"--quiet             no progress lines (they appear on a terminal only)",
};

static const char *const figure_lines[] = {
	"ns/datagram     server CPU time, user and system, per datagram received and replied to",
	"replies/cpu-s   the same turned round: replies per second of server CPU",
	"datagrams/s     replies per second of wall clock; says as much about the generator",
	"ratio           the subject's ns/datagram over the baseline's of the same round; below",
	"                1 is cheaper than the baseline. (a-b) is the range over the rounds, in",
	"                preload and null the 95 % interval of the median",
	"busy            server CPU in use of the time that others left it; below 97 % the run",
	"                is void",
	"disturbed       share of the time in which other processes had that CPU",
	"headroom        what the generator sends into a sink over what the server replied to;",
	"                below 1.5 the run is void",
	"batch           datagrams per receive call",
	"calls/datagram  system calls of the server, receiving and sending",
	"loss            share not replied to. A run with loss that the kernel did not count at",
	"                the server's socket is void",
	"lost at socket  and after it, loss by cause, in datagrams of a whole run: the server's",
	"                socket buffer was full; the device's backlog was full; the server's",
	"                kernel refused the reply. Loss without a cause voids the run",
	"n=1 ... n=64+   share of the server's volleys that held so many datagrams",
	"reordered       replies that a later one of the same client overtook",
	"p50 ... max     open loop: microseconds from the intended send time to the reply",
	"slip            p99 of how late the generator itself was; when that is more than a",
	"                tenth of the latency's p99 (and 50 us) the run is void",
	"knee            the highest rate with a loss of at most 0.1 %",
	"instructions    of user space, per echoed datagram, by callgrind",
	"D1 misses       of a simulated first-level data cache of this CPU's geometry, likewise",
};

static void print_lines(const char *title, const char *const *lines, size_t n)
{
	printf("\n%s\n", title);
	for (size_t i = 0; i < n; i++)
		printf("  %s\n", lines[i]);
}

void bench_help_print(void)
{
	const struct bench_command *command;

	puts("Usage: volley-bench SUBCOMMAND [OPTION...]\n");
	puts("Throughput and latency of UDP echo servers: volley and what else one would use.\n");
	for (size_t i = 0; (command = bench_table_get(i)) != NULL; i++)
		printf("  %-10s %s\n", command->name, command->about);
	print_lines("Options (each subcommand uses those that mean something to it):", option_lines,
		    sizeof option_lines / sizeof option_lines[0]);
	print_lines("What the figures mean:", figure_lines,
		    sizeof figure_lines / sizeof figure_lines[0]);
	puts("\nAbsolute figures of a shared machine mean little; ratios of one run do.\n"
	     "Nothing here claims less than 3 %; preload and null with an interval within 1 %\n"
	     "may claim 1 %.");
}

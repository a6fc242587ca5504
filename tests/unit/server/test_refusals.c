/* SPDX-License-Identifier: MIT */

/*
 * Groups that cannot be joined: wrong ones, too many, those of no listener, and where the system
 * does not know the options. In a network namespace, whose routes and limits are known.
 */

#include <errno.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "groups.h"
#include "lib/fault.h"
#include "lib/loopback.h"
#include "lib/namespace.h"

/* What is wrong with the group, the listener or both; nothing of it changes anything. */
static void refuse(void)
{
	static const struct {
		const char *address;
		uint32_t flags;
		const char *group, *source, *interface;
		int r;
		const char *word;
	} cases[] = {
		{ "0.0.0.0:0", 0, "239.1.2.3:0", NULL, "nosuch", -ENODEV, "no such interface" },
		{ "0.0.0.0:0", 0, "239.1.2.3:0", NULL, NULL, -ENODEV, "name one" },
		{ "0.0.0.0:0", 0, "127.0.0.1:0", NULL, "lo", -EINVAL, "no multicast group" },
		{ "0.0.0.0:0", 0, "[ff02::7]:0", NULL, "lo", -EINVAL, "does not include" },
		{ "0.0.0.0:0", 0, "239.1.2.3:0", "239.1.2.4:0", "lo", -EINVAL, "source" },
		{ "0.0.0.0:0", 0, "239.1.2.3:0", "[::1]:0", "lo", -EINVAL, "source" },
		{ "[::]:0", 0, "[ff02::7%999]:0", NULL, "lo", -EINVAL, "another interface" },
		{ "[::]:0", 0, "[ff02::7%999]:0", NULL, NULL, -ENODEV, "no such interface" },
		{ "[::]:0", VOLLEY_LISTEN_V6ONLY, "239.1.2.3:0", NULL, "lo", -EINVAL, "include" },
		{ "127.0.0.1:0", 0, "239.1.2.3:0", NULL, "lo", -EINVAL, "does not include" },
		{ "239.1.2.4:0", 0, "239.1.2.3:0", NULL, "lo", -EINVAL, "does not include" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct volley_server *server = new_server(2, NULL);

		listen_at(server, cases[i].address, cases[i].flags);
		CHECK_EQ(join(server, cases[i].group, cases[i].source, cases[i].interface),
			 cases[i].r);
		CHECK(strstr(last_log, cases[i].word) != NULL);
		CHECK(strstr(last_log, "join: ") == last_log);
		CHECK_EQ(volley_server_free(server), 0);
	}
}

static void refuse_by_size(void)
{
	struct volley_server *server = new_server(1, "0.0.0.0:0");
	struct volley_listener listener = listener_at(server, 0);
	struct {
		struct volley_group known;
		uint64_t later;
	} group = { .known = make_group("239.1.2.3:0", NULL, "lo"), .later = 1 };

	CHECK_EQ(volley_listener_join(NULL, listener, &group.known), -EINVAL);
	CHECK_EQ(volley_listener_join(server, listener, NULL), -EINVAL);
	group.known.size = sizeof group;
	CHECK_EQ(volley_listener_join(server, listener, &group.known), -E2BIG);
	group.known.size = 1;
	CHECK_EQ(volley_listener_join(server, listener, &group.known), -EINVAL);
	group.known.size = offsetof(struct volley_group,
				    source); /* the interface is the system's */
	CHECK_EQ(volley_listener_join(server, listener, &group.known), -ENODEV);
	CHECK_EQ(volley_server_free(server), 0);
}

/* What looks for an interface needs a descriptor; that it has none is not the interface's fault. */
static void refuse_without_descriptors(void)
{
	struct volley_server *server = new_server(1, "0.0.0.0:0");
	struct rlimit limit, none;
	struct volley_addr addr;

	REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = limit.rlim_max };
	REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
	CHECK_EQ(join(server, "239.1.2.3:0", NULL, "lo"), -EMFILE);
	CHECK(strstr(last_log, "ulimit -n") != NULL);
	CHECK_EQ(volley_addr_parse("[fe80::1%lo]:0", &addr), -EMFILE);
	CHECK_EQ(volley_server_listen(server, "[fe80::1%lo]:0",
				      VOLLEY_LISTEN(.on_packet = listen_to), NULL),
		 -EMFILE);
	CHECK(strstr(last_log, "ulimit -n") != NULL);
	CHECK_EQ(volley_addr_parse("[fe80::1%7]:0", &addr), 0);
	REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	CHECK_EQ(volley_server_listen(server, "[fe80::1%nosuch]:0",
				      VOLLEY_LISTEN(.on_packet = listen_to), NULL),
		 -ENODEV);
	CHECK(strstr(last_log, "no such interface") != NULL);
	CHECK_EQ(join(server, "239.1.2.3:0", NULL, "lo"), 0);
	CHECK_EQ(volley_server_free(server), 0);
}

/* The system's limits, and the names by which they are raised. */
static void exceed(const char *address, const char *format, const char *source, int most,
		   const char *name)
{
	struct volley_server *server = new_server(1, address);
	char text[VOLLEY_ADDR_TEXT_BYTES], from[VOLLEY_ADDR_TEXT_BYTES];
	int r = 0;

	for (int n = 1; r == 0 && n <= most; n++) {
		snprintf(text, sizeof text, format, source == NULL ? n : 1);
		if (source != NULL)
			snprintf(from, sizeof from, source, n);
		r = join(server, text, source != NULL ? from : NULL, "lo");
	}
	CHECK_EQ(r, -ENOBUFS);
	CHECK(strstr(last_log, name) != NULL);
	CHECK_EQ(volley_server_free(server), 0);
}

static void refuse_of_no_listener(void)
{
	struct volley_server *server = new_server(2, "0.0.0.0:0");
	struct volley_server *other = new_server(1, NULL);
	struct volley_listener listener = listener_at(server, 0);
	struct volley_group group = make_group("239.1.2.3:0", NULL, "lo");
	int status = 1;
	pid_t child;

	CHECK_EQ(volley_listener_join(other, listener, &group), -ESTALE);
	child = fork();
	if (child == 0)
		_exit(volley_listener_join(server, listener, &group) != -ESRCH ||
		      volley_listener_leave(server, listener, &group) != -ESRCH);
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, 0);
	CHECK_EQ(volley_listener_close(server, listener), 0);
	CHECK_EQ(volley_listener_join(server, listener, &group), -ESTALE);
	CHECK_EQ(volley_listener_leave(server, listener, &group), -ESTALE);
	listener = listen_at(server, "0.0.0.0:0", 0);
	CHECK_EQ(volley_server_close(server), 0);
	CHECK_EQ(volley_listener_join(server, listener, &group), -ESTALE);
	CHECK_EQ(volley_server_free(server), 0);
	CHECK_EQ(volley_server_free(other), 0);
}

static long refused_option;

static int judge(enum fault_function function, const void *site, long detail)
{
	(void)site;
	return function == FAULT_SETSOCKOPT && detail == refused_option ? ENOPROTOOPT : 0;
}

/* As by a system that imitates Linux. */
static void refuse_each_option(void)
{
	static const struct {
		int name;
		bool leaves, is_sourced;
	} options[] = { { MCAST_JOIN_GROUP, false, false },
			{ MCAST_LEAVE_GROUP, true, false },
			{ MCAST_JOIN_SOURCE_GROUP, false, true },
			{ MCAST_LEAVE_SOURCE_GROUP, true, true } };
	struct volley_server *server = new_server(1, "0.0.0.0:0");

	fault_set_judge(judge);
	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
		const char *source = options[i].is_sourced ? "127.0.0.1:0" : NULL;

		refused_option = FAULT_OPTION(IPPROTO_IP, options[i].name);
		CHECK_EQ((options[i].leaves ? leave : join)(server, "239.1.2.3:0", source, "lo"),
			 -ENOPROTOOPT);
		CHECK(strstr(last_log, "MCAST_JOIN_GROUP") != NULL);
	}
	fault_set_judge(NULL);
	CHECK_EQ(volley_server_free(server), 0);
}

int main(void)
{
	int n_fds;

	if (!namespace_enter())
		return 77;
	n_fds = loopback_n_fds();
	refuse();
	refuse_by_size();
	refuse_without_descriptors();
	exceed("0.0.0.0:0", "239.1.2.%d:0", NULL, 1000,
	       "net.ipv4.igmp_max_memberships` or `net.core.optmem_max`");
	exceed("0.0.0.0:0", "239.1.2.%d:0", "127.0.0.%d:0", 200, "net.ipv4.igmp_max_msf");
	exceed("[::]:0", "[ff02::%x]:0", NULL, 100000, "net.core.optmem_max");
	exceed("[::]:0", "[ff02::%x]:0", "[fd01::%x]:0", 1000, "net.ipv6.mld_max_msf");
	refuse_of_no_listener();
	refuse_each_option();
	CHECK_EQ(loopback_n_fds(), n_fds);
	return check_done();
}

/* SPDX-License-Identifier: MIT */

/*
 * The walk over control messages: any bytes are a control buffer. The address sanitizer watches the
 * ends of it; what is found must be something that one of the messages could have said.
 */

#include <stddef.h>
#include <string.h>

#include <volley/addr.h>

#include "fuzz/fuzz.h"
#include "sys/cmsg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint32_t all = VLY_CMSG_LOCAL | VLY_CMSG_TTL | VLY_CMSG_TOS | VLY_CMSG_TIMESTAMP |
			     VLY_CMSG_SEGMENT | VLY_CMSG_OTHER | VLY_CMSG_ORIGIN;
	struct volley_addr peer = { .len = sizeof peer.in6 };
	struct vly_cmsg_info info;
	struct vly_cmsg_info again;
	struct msghdr msg = { .msg_name = &peer, .msg_namelen = sizeof peer.in6 };
	uint8_t *control;

	if (size == 0)
		return 0;
	/* The first byte is the kind of the socket, and the buffer begins aligned. */
	peer.sa.sa_family = data[0] & 1 ? AF_INET6 : AF_INET;
	msg.msg_controllen = size - 1;
	control = malloc(size);
	FUZZ_CHECK(control != NULL);
	memcpy(control, data + 1, size - 1);
	msg.msg_control = control;
	memset(&info, 0xaa, sizeof info);
	vly_cmsg_parse(&msg, &info);
	FUZZ_CHECK((info.found & ~all) == 0);
	FUZZ_CHECK(info.local.len == 0 || (info.found & VLY_CMSG_LOCAL));
	FUZZ_CHECK(info.local.len == 0 || info.local.len == sizeof info.local.in ||
		   info.local.len == sizeof info.local.in6);
	FUZZ_CHECK((info.found & VLY_CMSG_SEGMENT) || info.segment_bytes == 0);
	FUZZ_CHECK((info.found & VLY_CMSG_TIMESTAMP) || info.timestamp_ns == 0);
	/* Nothing of an earlier datagram shows. */
	memset(&again, 0x55, sizeof again);
	vly_cmsg_parse(&msg, &again);
	FUZZ_CHECK(memcmp(&info, &again, offsetof(struct vly_cmsg_info, destination)) == 0);
	FUZZ_CHECK(info.cast == 0 || volley_addr_is_equal(&info.destination, &again.destination));
	free(control);
	return 0;
}

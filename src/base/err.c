/* SPDX-License-Identifier: MIT */

/*
 * Names of errors. glibc 2.32 has strerrorname_np(); musl and the BSDs do not, and what the ledger
 * prints must not depend on the C library, so the names that sockets can give are listed here.
 */

#include <errno.h>
#include <stddef.h>

#include <volley/error.h>
#include <volley/version.h>

#include "base/compiler.h"

struct name {
	int error;
	const char *name;
};

#define NAME(e)       \
	{             \
		e, #e \
	}

static const struct name names[] = {
	NAME(E2BIG),        NAME(EACCES),       NAME(EADDRINUSE),   NAME(EADDRNOTAVAIL),
	NAME(EAFNOSUPPORT), NAME(EAGAIN),       NAME(EALREADY),     NAME(EBADF),
	NAME(EBUSY),        NAME(ECANCELED),    NAME(ECONNREFUSED), NAME(ECONNRESET),
	NAME(EDEADLK),      NAME(EDESTADDRREQ), NAME(EEXIST),       NAME(EFAULT),
	NAME(EHOSTDOWN),    NAME(EHOSTUNREACH), NAME(EINTR),        NAME(EINVAL),
	NAME(EIO),          NAME(EMFILE),       NAME(EMSGSIZE),     NAME(ENETDOWN),
	NAME(ENETUNREACH),  NAME(ENFILE),       NAME(ENOBUFS),      NAME(ENODATA),
	NAME(ENODEV),       NAME(ENOENT),       NAME(ENOMEM),       NAME(ENOPROTOOPT),
	NAME(ENOSPC),       NAME(ENOSYS),       NAME(ENOTCONN),     NAME(ENOTSOCK),
	NAME(ENXIO),        NAME(EOPNOTSUPP),   NAME(EPERM),        NAME(EPIPE),
	NAME(EPROTO),       NAME(EPROTOTYPE),   NAME(ESHUTDOWN),    NAME(ESRCH),
	NAME(ESTALE),       NAME(ETIME),        NAME(ETIMEDOUT),    NAME(EUSERS),
};

const char *volley_error_name(int error)
{
	for (size_t i = 0; i < VLY_ARRAY_SIZE(names); i++)
		if (error == names[i].error || error == -names[i].error)
			return names[i].name;
	return "EUNKNOWN";
}

const char *volley_version(void)
{
	return VOLLEY_VERSION_STRING;
}

uint32_t volley_version_number(void)
{
	return VOLLEY_VERSION_NUMBER;
}

/* SPDX-License-Identifier: MIT */

/* The calls that have to do with sockets. */

#include "wrap.h"

#include <errno.h>
#include <string.h>

#include "kernel.h"
#include "netlink.h"

static int get_udp(const char *call, int fd, int detail, struct file **ret_file)
{
	int r = wrap_begin(call, detail);

	*ret_file = kernel_get_kind(fd, FILE_UDP);
	return r < 0 ? r : kernel_get(fd) == NULL ? -EBADF : *ret_file == NULL ? -EOPNOTSUPP : 0;
}

int __wrap_bind(int fd, const struct sockaddr *addr, socklen_t len);
int __wrap_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct file *file;
	int r = get_udp("bind", fd, 0, &file);

	if (r == -EOPNOTSUPP && kernel_get_kind(fd, FILE_NETLINK) != NULL) {
		netlink_bind(kernel_get(fd));
		return 0;
	}
	return wrap_result(r < 0 ? r : udp_bind(file, addr, len));
}

int __wrap_connect(int fd, const struct sockaddr *addr, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct file *file;
	int r = get_udp("connect", fd, 0, &file);

	if (r >= 0)
		r = udp_connect(file, addr, len);
	if (file != NULL && r < 0 && r != -EACCES)
		udp_hide_cast(addr, len);
	return wrap_result(r);
}

int __wrap_getsockname(int fd, struct sockaddr *addr, socklen_t *len);
int __wrap_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
	struct file *file;
	int r = get_udp("getsockname", fd, 0, &file);

	return wrap_result(r < 0 ? r : udp_get_name(file, addr, len));
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t n);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t n)
{
	struct file *file;
	int r = get_udp("setsockopt", fd, name, &file);

	return wrap_result(r < 0 ? r : udp_set_option(file, level, name, value, n));
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *n);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *n)
{
	struct file *file;
	int r = get_udp("getsockopt", fd, name, &file);

	if (r == -EOPNOTSUPP && kernel_get_kind(fd, FILE_UNIX) != NULL && level == SOL_SOCKET) {
		int number = name == SO_DOMAIN ? AF_UNIX : SOCK_SEQPACKET;
		struct ucred peer = { .pid = 1 };

		if (name == SO_PEERCRED)
			memcpy(value, &peer, sizeof peer);
		else
			memcpy(value, &number, sizeof number);
		return 0;
	}
	return wrap_result(r < 0 ? r : udp_get_option(file, level, name, value, n));
}

int __wrap_shutdown(int fd, int how);
int __wrap_shutdown(int fd, int how)
{
	struct file *file = kernel_get_kind(fd, FILE_UNIX);
	int r = wrap_begin("shutdown", how);

	if (r >= 0 && file != NULL)
		unix_shutdown(file);
	return wrap_result(r);
}

int wrap_receive(const char *call, int fd, struct msghdr *msg, int flags)
{
	int r = wrap_begin(call, 0);
	struct file *file = kernel_get(fd);

	if (r < 0)
		return r;
	if (file == NULL)
		return -EBADF;
	if (file->kind == FILE_UNIX)
		return unix_recvmsg(file, msg);
	if (file->kind == FILE_NETLINK)
		return netlink_recvmsg(file, msg, flags);
	return file->kind == FILE_UDP ? udp_recvmsg(file, msg, flags) : -ENOTSOCK;
}

int wrap_transmit(const char *call, int fd, const struct msghdr *msg)
{
	int r = wrap_begin(call, 0);
	struct file *file = kernel_get(fd);

	if (r < 0 && file != NULL && file->kind == FILE_UDP)
		return udp_refuse(msg, -r);
	if (r < 0)
		return r;
	if (file == NULL)
		return -EBADF;
	if (file->kind == FILE_UNIX)
		return unix_sendmsg(file, msg);
	if (file->kind == FILE_NETLINK)
		return netlink_sendmsg(file, msg);
	if (file->kind != FILE_UDP)
		return -ENOTSOCK;
	kernel_process()->sends_singly = true;
	return udp_sendmsg(file, msg, true);
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags)
{
	return wrap_result(wrap_receive("recvmsg", fd, msg, flags));
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	(void)flags;
	return wrap_result(wrap_transmit("sendmsg", fd, msg));
}

/*
 * One that is pending may just as well come when some messages are through already: it ends the
 * batch then, and is told by the next call.
 */
struct late {
	int error;
	unsigned int at;
};

static struct late put_off(struct file *file, unsigned int n)
{
	struct late late = { udp_take_error(file), 0 };

	if (late.error != 0 && n > 1)
		late.at = world_pick(n);
	return late;
}

int wrap_receive_many(int fd, struct mmsghdr *msgs, unsigned int n, int flags)
{
	unsigned int i = 0;
	int r = wrap_begin("recvmmsg", 0);
	struct file *file = kernel_get_kind(fd, FILE_UDP);
	struct late late;

	if (r >= 0 && file == NULL)
		r = -EBADF;
	if (r < 0)
		return r;
	late = put_off(file, n);
	for (; i < n; i++) {
		if (i == late.at)
			udp_put_error(file, late.error);
		if (i == late.at && i > 0 && late.error != 0)
			break;
		r = udp_recvmsg(file, &msgs[i].msg_hdr, flags);
		if (r < 0)
			break;
		msgs[i].msg_len = (unsigned int)r;
	}
	if (i < late.at)
		udp_put_error(file, late.error);
	return i > 0 ? (int)i : r;
}

/* What meets a later message is told when the next call begins with that one. */
int wrap_transmit_many(int fd, struct mmsghdr *msgs, unsigned int n)
{
	unsigned int i = 0;
	int r = wrap_begin("sendmmsg", 0);
	struct file *file = kernel_get_kind(fd, FILE_UDP);
	struct late late;

	if (r >= 0 && file == NULL)
		r = -EBADF;
	if (r < 0 && n > 0)
		return udp_refuse(&msgs[0].msg_hdr, -r);
	if (r < 0)
		return r;
	late = put_off(file, n);
	for (; i < n; i++) {
		if (i == late.at)
			udp_put_error(file, late.error);
		if (i > 0 &&
		    (kernel_fault("sendmmsg", (int)i) != 0 || (i == late.at && late.error != 0)))
			break;
		r = udp_sendmsg(file, &msgs[i].msg_hdr, i == 0);
		if (r < 0)
			break;
		msgs[i].msg_len = (unsigned int)r;
	}
	if (i < late.at)
		udp_put_error(file, late.error);
	return i > 0 ? (int)i : r;
}

int __wrap_recvmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags,
		    struct timespec *timeout);
int __wrap_recvmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags,
		    struct timespec *timeout)
{
	(void)timeout;
	return wrap_result(wrap_receive_many(fd, msgs, n, flags));
}

int __wrap_sendmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags)
{
	(void)flags;
	return wrap_result(wrap_transmit_many(fd, msgs, n));
}

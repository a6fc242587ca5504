/* SPDX-License-Identifier: MIT */

/*
 * Files are mapped, so what is encrypted are the kernel's pages, and many clients of one file need
 * it once. The price: a file that becomes shorter while it is sent ends the process (SIGBUS).
 * Replace it by rename(2), as rsync does.
 *
 * That nothing outside of the root is reached, be it by "..", a link or a rename meanwhile, is the
 * kernel's business: openat2(2), Linux 5.6.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "http3.h"

static int get_digit(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 'a' ^ 'A';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* From "/a%20b/?q" to "a b/index.html". */
static bool make_name(const uint8_t *path, size_t n_path, char *name, size_t n_name)
{
	static const char index[] = "index.html";
	size_t n = 0;

	for (size_t i = 1; i < n_path && path[i] != '?'; i++) {
		int c = path[i];

		if (c == '%') {
			int high = i + 2 < n_path ? get_digit(path[i + 1]) : -1;
			int low = i + 2 < n_path ? get_digit(path[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			c = high * 16 + low;
			i += 2;
		}
		if (c == '\0' || n + sizeof index >= n_name)
			return false;
		name[n++] = (char)c;
	}
	name[n] = '\0';
	if (n == 0 || name[n - 1] == '/')
		memcpy(name + n, index, sizeof index);
	return n_path > 0 && path[0] == '/';
}

int file_map(int root_fd, const uint8_t *path, size_t n_path, nghttp3_vec *ret_file)
{
	/* O_NONBLOCK: somebody may have made a pipe there. */
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
	void *data = NULL;
	struct stat st;
	char name[1024];
	int status = 404;
	int fd;

	if (!make_name(path, n_path, name, sizeof name))
		return 400;
	fd = (int)syscall(SYS_openat2, root_fd, name, &how, sizeof how);
	if (fd < 0)
		return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? 503 : 404;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		if (st.st_size > 0)
			data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (data != MAP_FAILED)
			*ret_file = (nghttp3_vec){ .base = data, .len = (size_t)st.st_size };
		status = data != MAP_FAILED ? 200 : 503;
	}
	close(fd);
	return status;
}

/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_VERSION_H
#define VOLLEY_VERSION_H

/**
 * @file version.h
 * The version of the headers, the version of the library, and the export macro.
 */

#include <stdint.h>

#define VOLLEY_VERSION_MAJOR  0
#define VOLLEY_VERSION_MINOR  1
#define VOLLEY_VERSION_PATCH  0
#define VOLLEY_VERSION_STRING "0.1.0"

/** The version of the headers as one number, 0xMMmmpp, which grows with each release. */
#define VOLLEY_VERSION_NUMBER \
	(VOLLEY_VERSION_MAJOR << 16 | VOLLEY_VERSION_MINOR << 8 | VOLLEY_VERSION_PATCH)

/** For #if: whether the headers are of this version or a newer one. */
#define VOLLEY_VERSION_AT_LEAST(major, minor, patch) \
	(VOLLEY_VERSION_NUMBER >= ((major) << 16 | (minor) << 8 | (patch)))

/* Everything is built with hidden visibility; this is what leaves the library. */
#define VOLLEY_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The version of the library that is loaded, which may be newer than the headers.
 *
 * @return a static string such as "0.1.0"
 * @threads  any
 * @blocks   never
 */
VOLLEY_API const char *volley_version(void);

/**
 * The same as a number, for comparing: less than VOLLEY_VERSION_NUMBER says that the library is
 * older than the headers that the program was built with, and may lack what they have.
 *
 * @return 0xMMmmpp, such as 0x000100 of "0.1.0"
 * @threads  any
 * @blocks   never
 */
VOLLEY_API uint32_t volley_version_number(void);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_VERSION_H
#define VOLLEY_VERSION_H

/**
 * @file version.h
 * The version of the headers, the version of the library, and the export macro.
 */

#define VOLLEY_VERSION_MAJOR  0
#define VOLLEY_VERSION_MINOR  1
#define VOLLEY_VERSION_PATCH  0
#define VOLLEY_VERSION_STRING "0.1.0"

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

#ifdef __cplusplus
}
#endif

#endif

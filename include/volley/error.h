/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_ERROR_H
#define VOLLEY_ERROR_H

/**
 * @file error.h
 * Errors. Every function that can fail returns 0 or a count, or a negative errno value.
 */

#include <volley/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The name of an errno value, as the ledger and the logs spell it.
 *
 * @param error  an errno value, positive or negative
 * @return a static string such as "ECONNREFUSED", or "EUNKNOWN"
 * @threads  any
 * @blocks   never
 */
VOLLEY_API const char *volley_error_name(int error);

#ifdef __cplusplus
}
#endif

#endif

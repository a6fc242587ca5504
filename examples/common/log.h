/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_COMMON_LOG_H
#define EXAMPLES_COMMON_LOG_H

/*
 * From here on nobody who writes to `stderr` ever waits for its reader: what a full pipe, socket or
 * terminal does not take is left out, line by line, and counted; the next line that is taken comes
 * after one that says how many were lost. Call it once, before there are threads.
 */
void log_open(void);

#endif

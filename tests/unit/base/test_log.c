/* SPDX-License-Identifier: MIT */

/* Sentences to the user's hook. */

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/log.h"

static struct {
	unsigned int n;
	enum volley_log_level level;
	char text[1024];
} seen;

static void on_log(enum volley_log_level level, const char *text, void *arg)
{
	cr_assert_eq(arg, &seen);
	cr_assert_lt(strlen(text), sizeof seen.text);
	seen.n++;
	seen.level = level;
	strcpy(seen.text, text);
}

static const struct volley_config config = { .log = on_log, .arg = &seen };

Test(log, a_sentence_comes_once_with_its_level)
{
	vly_log_write(&config, VOLLEY_LOG_WARNING, "%u of %s", 3u, "seven");
	cr_assert_eq(seen.n, 1);
	cr_assert_eq(seen.level, VOLLEY_LOG_WARNING);
	cr_assert_str_eq(seen.text, "3 of seven");
	vly_log_write(&config, VOLLEY_LOG_ERROR, "%s", "100 %");
	cr_assert_eq(seen.level, VOLLEY_LOG_ERROR);
	cr_assert_str_eq(seen.text, "100 %");
}

Test(log, without_a_hook_nothing_is_said)
{
	struct volley_config silent = { .arg = &seen };

	vly_log_write(&silent, VOLLEY_LOG_ERROR, "%d", 1);
	cr_assert_eq(seen.n, 0);
}

Test(log, a_long_sentence_is_cut)
{
	char text[1000];

	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	vly_log_write(&config, VOLLEY_LOG_INFO, "%s", text);
	cr_assert_eq(strlen(seen.text), 511);
	cr_assert_arr_eq(seen.text, text, 511);
}

Test(log, a_refusal_has_a_name_and_a_way_out)
{
	vly_log_write_refused(&config, "eventfd2", -EMFILE);
	cr_assert_eq(seen.level, VOLLEY_LOG_ERROR);
	cr_assert_not_null(strstr(seen.text, "eventfd2 is refused (EMFILE): "));
	cr_assert_not_null(strstr(seen.text, "ulimit -n"));
	vly_log_write_refused(&config, "clone", -EAGAIN);
	cr_assert_not_null(strstr(seen.text, "fewer workers"));
	vly_log_write_refused(&config, "socket", -EPERM);
	cr_assert_not_null(strstr(seen.text, "filter of system calls"));
}

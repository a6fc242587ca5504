/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <volley/error.h>
#include <volley/version.h>

Test(err, names_are_the_ones_of_the_c_library)
{
	for (int e = 1; e < 134; e++) {
		const char *name = volley_error_name(e);

		if (strcmp(name, "EUNKNOWN") != 0)
			cr_expect_str_eq(name, strerrorname_np(e));
	}
}

Test(err, every_errno_of_the_ledger_has_a_name)
{
	static const int errors[] = {
		EPERM,       EAGAIN,       ENOBUFS, ECONNREFUSED, EMSGSIZE,
		ENETUNREACH, EHOSTUNREACH, EACCES,  EINVAL,       EADDRINUSE
	};

	for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
		cr_expect_str_eq(volley_error_name(errors[i]), strerrorname_np(errors[i]));
}

Test(err, sign_does_not_matter)
{
	cr_assert_str_eq(volley_error_name(-EINVAL), "EINVAL");
	cr_assert_str_eq(volley_error_name(EINVAL), "EINVAL");
}

Test(err, unknown_is_said)
{
	cr_assert_str_eq(volley_error_name(0), "EUNKNOWN");
	cr_assert_str_eq(volley_error_name(4000), "EUNKNOWN");
	cr_assert_str_eq(volley_error_name(INT_MIN), "EUNKNOWN");
}

Test(version, string_is_made_of_the_numbers)
{
	char text[32];

	snprintf(text, sizeof text, "%d.%d.%d", VOLLEY_VERSION_MAJOR, VOLLEY_VERSION_MINOR,
		 VOLLEY_VERSION_PATCH);
	cr_assert_str_eq(volley_version(), text);
}

Test(version, number_grows_with_the_version)
{
	cr_assert_eq(volley_version_number(), VOLLEY_VERSION_MAJOR * 0x10000 +
						      VOLLEY_VERSION_MINOR * 0x100 +
						      VOLLEY_VERSION_PATCH);
	cr_assert(VOLLEY_VERSION_AT_LEAST(0, 1, 0));
	cr_assert(VOLLEY_VERSION_AT_LEAST(0, 0, 255));
	cr_assert(VOLLEY_VERSION_AT_LEAST(VOLLEY_VERSION_MAJOR, VOLLEY_VERSION_MINOR,
					  VOLLEY_VERSION_PATCH));
	cr_assert_not(VOLLEY_VERSION_AT_LEAST(VOLLEY_VERSION_MAJOR, VOLLEY_VERSION_MINOR,
					      VOLLEY_VERSION_PATCH + 1));
	cr_assert_not(VOLLEY_VERSION_AT_LEAST(VOLLEY_VERSION_MAJOR + 1, 0, 0));
}

/* The preprocessor has to take it too. */
#if !VOLLEY_VERSION_AT_LEAST(0, 1, 0) || VOLLEY_VERSION_AT_LEAST(255, 0, 0)
#error "VOLLEY_VERSION_AT_LEAST"
#endif

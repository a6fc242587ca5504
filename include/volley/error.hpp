/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_ERROR_HPP
#define VOLLEY_ERROR_HPP

/**
 * @file error.hpp
 * Errors and exceptions between C and C++: what a call of the C library returns becomes a
 * std::system_error, and what a callback throws does not get into the C library.
 *
 * The only file with a `throw` and a `try`. A program that is compiled without exceptions
 * (-fno-exceptions) has all of volley.hpp; what would throw there writes a line to stderr and
 * aborts, as the standard library does.
 */

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <system_error>
#include <utility>

#include <volley/error.h>

namespace volley
{

/**
 * Throw a std::system_error.
 *
 * @param error  an errno value, negative as the C functions return it
 * @param what   the function that failed
 * @threads  any
 * @blocks   never
 */
[[noreturn]] inline void throw_error(int error, const char *what)
{
#ifdef __cpp_exceptions
	throw std::system_error(-error, std::generic_category(), what);
#else
	std::fprintf(stderr, "%s: %s\n", what, volley_error_name(error));
	std::abort();
#endif
}

/**
 * What a C function returned, unless it was an error: that is thrown. For the functions of C that
 * have no class here, such as those of volley/mmsg.h.
 *
 * @param result  0, a count, or a negative errno
 * @param what    the function
 * @return the result
 * @threads  any
 * @blocks   never
 */
template <typename Number> Number check(Number result, const char *what)
{
	if (result < 0)
		throw_error(static_cast<int>(result), what);
	return result;
}

namespace detail
{

/** Call something; what it throws goes to `caught`, as an exception_ptr, and no further. */
template <typename Call, typename Caught>
inline void call_guarded(Call &&call, Caught &&caught) noexcept
{
#ifdef __cpp_exceptions
	try {
		call();
	} catch (...) {
		caught(std::current_exception());
	}
#else
	call();
	static_cast<void>(caught);
#endif
}

/** Call something that makes an object; when it throws, undo is called first. */
template <typename Call, typename Undo> inline void call_or_undo(Call &&call, Undo &&undo)
{
#ifdef __cpp_exceptions
	try {
		call();
	} catch (...) {
		undo();
		throw;
	}
#else
	call();
	static_cast<void>(undo);
#endif
}

/** Throw what was caught, if anything was. */
inline void rethrow(std::exception_ptr &thrown)
{
	if (thrown != nullptr)
		std::rethrow_exception(std::exchange(thrown, nullptr));
}

} // namespace detail
} // namespace volley

#endif

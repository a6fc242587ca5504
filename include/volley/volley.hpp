/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_VOLLEY_HPP
#define VOLLEY_VOLLEY_HPP

/**
 * @file volley.hpp
 * All of volley for C++17, on the headers of C and nothing else: no library of its own.
 *
 * What has to be given back is an object, callbacks are callables of any type, addresses and
 * listeners are values, and time is std::chrono's. volley_<noun>_<verb>() is <noun>.<verb>() here,
 * and does what the header of C says. docs/cxx.md begins with a whole server.
 */

#include <volley/addr.hpp>
#include <volley/cancel.hpp>
#include <volley/error.hpp>
#include <volley/hooks.hpp>
#include <volley/listener.hpp>
#include <volley/memory.hpp>
#include <volley/packet.hpp>
#include <volley/peers.hpp>
#include <volley/send.hpp>
#include <volley/server.hpp>
#include <volley/timer.hpp>
#include <volley/volley.h>
#include <volley/worker.hpp>

#endif

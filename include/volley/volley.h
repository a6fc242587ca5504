/* SPDX-License-Identifier: MIT */
#ifndef VOLLEY_VOLLEY_H
#define VOLLEY_VOLLEY_H

/**
 * @file volley.h
 * All of volley: a UDP server library that moves datagrams in volleys.
 */

#include <volley/addr.h>
#include <volley/cancel.h>
#include <volley/config.h>
#include <volley/error.h>
#include <volley/handover.h>
#include <volley/held.h>
#include <volley/listener.h>
#include <volley/loop.h>
#include <volley/mmsg.h>
#include <volley/packet.h>
#include <volley/peers.h>
#include <volley/send.h>
#include <volley/server.h>
#include <volley/stats.h>
#include <volley/steer.h>
#include <volley/timer.h>
#include <volley/version.h>
#include <volley/worker.h>

#endif

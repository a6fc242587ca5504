/* SPDX-License-Identifier: MIT */

/*
 * Never run: test_cxx.py compiles it optimised and reads the machine code of the functions that C
 * calls. Each has to hold the callback itself, with no call but the ones that are named here.
 */

#include <volley/volley.hpp>

using namespace volley;

void listen(server &server, unsigned long &n);

void listen(server &server, unsigned long &n)
{
	/* volley_packet_reply */
	server.listen("[::]:7777", on_batch([&n](worker, packets volley) {
			      for (packet packet : volley) {
				      n += packet->len;
				      packet.reply(packet.get_payload());
			      }
		      }));
	/* volley_packet_reply */
	server.listen("[::]:7778", on_packet([&n](worker, packet packet) {
			      n += packet->len;
			      packet.reply(packet.get_payload());
		      }));
}

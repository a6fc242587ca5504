/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_DNS_ZONE_DATA_H
#define EXAMPLES_DNS_ZONE_DATA_H

/* Where the names are in a record's data, for the types whose names matter to a server. */

#include <stdbool.h>
#include <stdint.h>

struct dns_data_form {
	uint16_t type;
	uint8_t n_before; /* bytes before the names */
	uint8_t n_names;
	uint8_t n_after;    /* bytes behind them */
	bool is_compressed; /* RFC 3597, 4: only the types of RFC 1035 */
};

/* NULL for a type whose data is bytes to us. */
const struct dns_data_form *dns_data_form(uint16_t type);

/* Whether data of this form is complete. Always true for NULL. */
bool dns_data_check(const struct dns_data_form *form, const uint8_t *data, uint32_t n);

#endif

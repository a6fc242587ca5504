/* SPDX-License-Identifier: MIT */

/* The few types of which a server knows more than their bytes. */

#include "zone_data.h"

#include <stddef.h>

#include "name.h"
#include "wire.h"

static const struct dns_data_form forms[] = {
	{ DNS_NS, 0, 1, 0, true },     { DNS_MD, 0, 1, 0, true },   { DNS_MF, 0, 1, 0, true },
	{ DNS_CNAME, 0, 1, 0, true },  { DNS_SOA, 0, 2, 20, true }, { DNS_MB, 0, 1, 0, true },
	{ DNS_MG, 0, 1, 0, true },     { DNS_MR, 0, 1, 0, true },   { DNS_PTR, 0, 1, 0, true },
	{ DNS_MINFO, 0, 2, 0, true },  { DNS_MX, 2, 1, 0, true },   { DNS_SRV, 6, 1, 0, false },
	{ DNS_DNAME, 0, 1, 0, false }, { DNS_A, 4, 0, 0, false },   { DNS_AAAA, 16, 0, 0, false },
};

const struct dns_data_form *dns_data_form(uint16_t type)
{
	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
		if (forms[i].type == type)
			return &forms[i];
	return NULL;
}

bool dns_data_check(const struct dns_data_form *form, const uint8_t *data, uint32_t n)
{
	uint32_t at;

	if (form == NULL)
		return true;
	at = form->n_before;
	for (uint32_t i = 0; i < form->n_names; i++) {
		size_t n_name = at < n ? dns_name_measure(data + at, n - at) : 0;

		if (n_name == 0)
			return false;
		at += (uint32_t)n_name;
	}
	return at + form->n_after == n;
}

/* SPDX-License-Identifier: MIT */

/*
 * Master files. An entry is put together here - parentheses, comments, quotes, the line it began on
 * - with its owner, TTL and class, in either order; ldns reads what has a grammar of its own: names
 * and the data of each type. ldns's own file reader is not used because it takes an unclosed
 * parenthesis and a line end inside quotes for granted, refuses a class before the TTL, and names
 * the last line of an entry.
 *
 *     file -> entry -> $ORIGIN, $TTL, $INCLUDE, $GENERATE (zone_generate.c)
 *                   -> owner [TTL] [class] -> ldns (type and data) -> dns_build_add()
 *
 * An included file must lie in the folder of the zone file or below it: a zone from elsewhere
 * cannot make us read what is not its business.
 */

#include <stdbool.h> /* before ldns.h, which else makes bool a signed char */

#include "zone_file.h"

#include <errno.h>
#include <fcntl.h>
#include <ldns/ldns.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire.h"
#include "zone_generate.h"

enum {
	MAX_ENTRY = 1 << 18, /* every byte of 65,535 as \DDD */
	MAX_DEPTH = 8,       /* files in files */
	MAX_FILES = 1000,    /* in all: one that includes itself twice would be 2^8 of them */
	/*
	 * Records that the $GENERATE lines of a zone make in all: a short file shall not fill the
	 * memory. 16 times the addresses of a /16. A text in memory gets by with few.
	 */
	MAX_GENERATED = 1 << 20,
	MAX_GENERATED_TEXT = 1 << 12,
	TOKEN_BYTES = 4 * DNS_NAME_MAX + 2,
};

/* RFC 2181, 8. */
#define MAX_TTL UINT32_C(0x7fffffff)

struct source {
	const char *path;
	const char *at;
	const char *end;
	unsigned int line; /* of `at` */
};

struct load {
	struct dns_build build;
	ldns_rdf *origin;
	ldns_rdf *owner; /* of the last record */
	uint32_t ttl;    /* $TTL, or that of the last record */
	bool has_ttl;
	bool is_ttl_set; /* by $TTL: records do not change it */
	unsigned int depth;
	unsigned int n_files;
	uint64_t n_generated;
	uint64_t max_generated;
	const char *folder; /* ends where an included file must begin; NULL: none allowed */
	char *why;
	char *entry; /* MAX_ENTRY + 1, the entry put together */
	char *rest;  /* MAX_ENTRY + TOKEN_BYTES, what ldns reads */
};

static int load_text(struct load *load, const char *text, size_t n, const char *path);
static int load_file(struct load *load, const char *path);

static int refuse(const struct load *load, const struct source *source, unsigned int line,
		  const char *what)
{
	snprintf(load->why, DNS_WHY_BYTES, "%.200s:%u: %.250s", source->path, line, what);
	return -EINVAL;
}

/* Entries -------------------------------------------------------------------------------------- */

struct entry {
	size_t n;
	unsigned int line;   /* on which it began */
	unsigned int n_open; /* parentheses */
	bool is_quoted;
};

static void skip_comment(struct source *source)
{
	while (source->at < source->end && *source->at != '\n')
		source->at++;
}

/* One character; false at the end of the entry, or where it goes wrong. */
static bool take_char(struct load *load, struct source *source, struct entry *entry)
{
	char c = *source->at++;

	if (c == '\n')
		source->line++;
	if (c == '\\' && source->at < source->end && *source->at != '\n') {
		load->entry[entry->n++] = c;
		c = *source->at++;
	} else if (c == '"') {
		entry->is_quoted = !entry->is_quoted;
	} else if (entry->is_quoted) {
		if (c == '\n')
			return false;
	} else if (c == ';') {
		skip_comment(source);
		return true;
	} else if (c == '\n' && entry->n_open == 0) {
		return false;
	} else if (c == '(' || c == ')') {
		entry->n_open += c == '(' ? 1 : UINT_MAX;
		c = ' ';
	} else if (c == '\n' || c == '\r' || c == '\t') {
		c = ' ';
	}
	load->entry[entry->n++] = c;
	return entry->n_open != UINT_MAX;
}

/* The next entry into load->entry. 1, 0 at the end of the file, or -EINVAL. */
static int next_entry(struct load *load, struct source *source, struct entry *entry)
{
	do {
		memset(entry, 0, sizeof *entry);
		entry->line = source->line;
		while (source->at < source->end && entry->n + 2 <= MAX_ENTRY)
			if (!take_char(load, source, entry))
				break;
		if (entry->n + 2 > MAX_ENTRY)
			return refuse(load, source, entry->line, "the entry is too long");
		if (entry->is_quoted)
			return refuse(load, source, entry->line, "a quoted text does not end");
		if (entry->n_open == UINT_MAX)
			return refuse(load, source, entry->line, "a ) without a (");
		if (entry->n_open != 0)
			return refuse(load, source, entry->line, "a ( without a )");
		load->entry[entry->n] = '\0';
		if (strspn(load->entry, " ") != entry->n)
			return 1;
	} while (source->at < source->end);
	return 0;
}

/* Words ---------------------------------------------------------------------------------------- */

/* The next word of an entry, NULL at its end. The word is ended; *ret_next is behind it. */
static char *next_word(char *text, char **ret_next)
{
	char *word = text + strspn(text, " ");
	char *end = word;

	if (*word == '\0')
		return NULL;
	while (*end != '\0' && *end != ' ')
		end += end[0] == '\\' && end[1] != '\0' ? 2 : 1;
	*ret_next = *end == '\0' ? end : end + 1;
	*end = '\0';
	return word;
}

/* Seconds, or the form 1w2d3h4m5s. False when it is no TTL. */
static bool read_ttl(const char *text, uint32_t *ret_ttl)
{
	static const char units[] = "smhdw";
	static const uint32_t seconds[] = { 1, 60, 3600, 86400, 604800 };
	uint64_t total = 0;

	if (*text < '0' || *text > '9')
		return false;
	while (*text != '\0') {
		uint64_t number = 0;
		const char *unit;

		if (*text < '0' || *text > '9')
			return false;
		for (; *text >= '0' && *text <= '9' && number <= MAX_TTL; text++)
			number = 10 * number + (uint64_t)(*text - '0');
		unit = *text == '\0' ? units : strchr(units, *text | 0x20);
		if (unit == NULL || *unit == '\0')
			return false;
		total += number * seconds[unit - units];
		if (total > MAX_TTL)
			return false;
		text += *text != '\0';
	}
	*ret_ttl = (uint32_t)total;
	return true;
}

/* 1 for IN, 0 for no class, -1 for a class that we do not serve. */
static int read_class(const char *text)
{
	if (strcasecmp(text, "IN") == 0 || strcasecmp(text, "CLASS1") == 0)
		return 1;
	if (strcasecmp(text, "CH") == 0 || strcasecmp(text, "HS") == 0 ||
	    strcasecmp(text, "CS") == 0 || strncasecmp(text, "CLASS", 5) == 0)
		return -1;
	return 0;
}

static int read_name(const char *text, const ldns_rdf *origin, ldns_rdf **ret_name)
{
	ldns_rdf *name = NULL;

	if (strcmp(text, "@") == 0 && origin != NULL)
		name = ldns_rdf_clone(origin);
	else if (ldns_str2rdf_dname(&name, text) != LDNS_STATUS_OK)
		return -EINVAL;
	if (name != NULL && origin != NULL && strcmp(text, "@") != 0 &&
	    !ldns_dname_str_absolute(text)) {
		if (ldns_dname_cat(name, origin) != LDNS_STATUS_OK) {
			ldns_rdf_deep_free(name);
			return -EINVAL;
		}
	}
	if (name == NULL)
		return -ENOMEM;
	if (ldns_rdf_size(name) > DNS_NAME_MAX ||
	    dns_name_measure(ldns_rdf_data(name), ldns_rdf_size(name)) != ldns_rdf_size(name)) {
		ldns_rdf_deep_free(name);
		return -EINVAL;
	}
	*ret_name = name;
	return 0;
}

int dns_zone_file_name(const char *text, uint8_t ret_wire[DNS_NAME_MAX])
{
	ldns_rdf *name;
	int r = read_name(text, NULL, &name);

	if (r < 0)
		return r;
	memcpy(ret_wire, ldns_rdf_data(name), ldns_rdf_size(name));
	ldns_rdf_deep_free(name);
	return 0;
}

/* Records -------------------------------------------------------------------------------------- */

static int add(struct load *load, const struct source *source, unsigned int line, const ldns_rr *rr)
{
	const ldns_rdf *owner = ldns_rr_owner(rr);
	uint8_t data[DNS_MAX_MESSAGE];
	size_t n = 0;
	int r;

	for (size_t i = 0; i < ldns_rr_rd_count(rr); i++) {
		const ldns_rdf *field = ldns_rr_rdf(rr, i);

		if (ldns_rdf_size(field) > sizeof data - n)
			return refuse(load, source, line, "the data is too long");
		memcpy(data + n, ldns_rdf_data(field), ldns_rdf_size(field));
		n += ldns_rdf_size(field);
	}
	r = dns_build_add(&load->build, ldns_rdf_data(owner), (uint16_t)ldns_rr_get_type(rr),
			  load->ttl, data, n);
	if (r == -EINVAL)
		return refuse(load, source, line, load->build.why);
	return r;
}

/* RFC 2308, 4: $TTL, else what the last record had; an SOA may fall back on its own minimum. */
static int find_ttl(struct load *load, const struct source *source, unsigned int line,
		    const ldns_rr *rr)
{
	if (load->has_ttl)
		return 0;
	if (ldns_rr_get_type(rr) != LDNS_RR_TYPE_SOA || ldns_rr_rd_count(rr) != 7)
		return refuse(load, source, line, "no TTL: neither here, nor before, nor by $TTL");
	load->ttl = ldns_rdf2native_int32(ldns_rr_rdf(rr, 6));
	load->has_ttl = true;
	return 0;
}

static int take_data(struct load *load, const struct source *source, unsigned int line,
		     const char *owner, const char *data)
{
	ldns_rr *rr = NULL;
	ldns_status status;
	int r;

	/* The entry fits, and so do both parts of it: both come out of it. */
	stpcpy(stpcpy(stpcpy(load->rest, owner), " 1 IN "), data);
	status = ldns_rr_new_frm_str(&rr, load->rest, 1, load->origin, &load->owner);
	if (status != LDNS_STATUS_OK)
		return refuse(load, source, line, ldns_get_errorstr_by_id(status));
	r = find_ttl(load, source, line, rr);
	if (r >= 0)
		r = add(load, source, line, rr);
	ldns_rr_free(rr);
	return r;
}

/* owner [TTL] [class] type data, or the same with a blank for the last owner. */
static int take_record(struct load *load, const struct source *source, unsigned int line)
{
	uint32_t set_ttl = load->ttl;
	bool is_set = load->is_ttl_set;
	char *next = load->entry;
	const char *owner = "";
	bool has_class = false;
	bool has_ttl = false;
	int r;

	if (load->entry[0] != ' ')
		owner = next_word(next, &next);
	else if (load->owner == NULL)
		return refuse(load, source, line, "the first record has no name");
	for (;;) {
		char *begin = next + strspn(next, " ");
		size_t n = strcspn(begin, " ");
		char word[32];

		if (n >= sizeof word)
			break;
		memcpy(word, begin, n);
		word[n] = '\0';
		if (!has_ttl && read_ttl(word, &load->ttl))
			has_ttl = true;
		else if (!has_class && read_class(word) == 1)
			has_class = true;
		else if (!has_class && read_class(word) < 0)
			return refuse(load, source, line, "only class IN is served");
		else
			break;
		next = begin + n;
	}
	load->has_ttl = load->has_ttl || has_ttl;
	r = take_data(load, source, line, owner, next);
	if (is_set)
		load->ttl = set_ttl;
	return r;
}

/* Directives ----------------------------------------------------------------------------------- */

static int take_origin(struct load *load, const struct source *source, unsigned int line,
		       const char *text)
{
	ldns_rdf *origin;

	if (text == NULL || read_name(text, load->origin, &origin) < 0)
		return refuse(load, source, line, "$ORIGIN takes a name");
	ldns_rdf_deep_free(load->origin);
	load->origin = origin;
	return 0;
}

static int take_ttl(struct load *load, const struct source *source, unsigned int line,
		    const char *text)
{
	if (text == NULL || !read_ttl(text, &load->ttl))
		return refuse(load, source, line, "$TTL takes seconds from 0 to 2147483647");
	load->has_ttl = true;
	load->is_ttl_set = true;
	return 0;
}

/* The real path of an included file, if it may be read; malloc'ed. */
static char *find_included(const struct load *load, const struct source *source, const char *name)
{
	char candidate[PATH_MAX];
	const char *slash = strrchr(source->path, '/');
	int n_folder = slash == NULL || *name == '/' ? 0 : (int)(slash - source->path + 1);
	size_t n_allowed = strlen(load->folder);
	char *path;

	if (snprintf(candidate, sizeof candidate, "%.*s%s", n_folder, source->path, name) >=
	    (int)sizeof candidate)
		return NULL;
	path = realpath(candidate, NULL);
	if (path != NULL && strncmp(path, load->folder, n_allowed) == 0)
		return path;
	free(path);
	return NULL;
}

/* The names that are current here are so again afterwards. */
static int include(struct load *load, const char *path, const char *origin)
{
	ldns_rdf *saved_origin = ldns_rdf_clone(load->origin);
	ldns_rdf *saved_owner = load->owner == NULL ? NULL : ldns_rdf_clone(load->owner);
	ldns_rdf *given = NULL;
	int r = 0;

	if (origin != NULL)
		r = read_name(origin, load->origin, &given);
	if (given != NULL) {
		ldns_rdf_deep_free(load->origin);
		load->origin = given;
	}
	load->depth++;
	if (r >= 0)
		r = load_file(load, path);
	else
		snprintf(load->why, DNS_WHY_BYTES,
			 "%.200s: the origin it is included with is no name", path);
	load->depth--;
	ldns_rdf_deep_free(load->origin);
	ldns_rdf_deep_free(load->owner);
	load->origin = saved_origin;
	load->owner = saved_owner;
	return r;
}

static int take_include(struct load *load, const struct source *source, unsigned int line,
			const char *name, const char *origin)
{
	char *path;
	int r;

	if (name == NULL)
		return refuse(load, source, line, "$INCLUDE takes a file");
	if (load->folder == NULL || load->depth == MAX_DEPTH || load->n_files++ == MAX_FILES)
		return refuse(load, source, line,
			      load->folder == NULL ? "$INCLUDE is not possible here"
						   : "too many files in files");
	path = find_included(load, source, name);
	if (path == NULL)
		return refuse(load, source, line,
			      "the included file is not there, or not in the zone file's folder");
	r = include(load, path, origin);
	free(path);
	return r;
}

static int generate(struct load *load, const struct source *source, unsigned int line,
		    const struct dns_generate *range, const char *template)
{
	uint32_t number = range->first;
	int r = 0;

	for (uint64_t n = dns_generate_count(range); r >= 0 && n > 0; n--) {
		if (!dns_generate_expand(template, number, load->entry, MAX_ENTRY))
			return refuse(load, source, line, "$GENERATE: a malformed template");
		r = take_record(load, source, line);
		number += range->step;
	}
	return r;
}

static int take_generate(struct load *load, const struct source *source, unsigned int line,
			 const char *range_text, const char *template)
{
	struct dns_generate range;
	char *copy;
	int r;

	template += strspn(template, " ");
	if (range_text == NULL || !dns_generate_read(&range, range_text) || *template == '\0')
		return refuse(load, source, line, "$GENERATE takes FIRST-LAST[/STEP] and a record");
	load->n_generated += dns_generate_count(&range);
	if (load->n_generated > load->max_generated)
		return refuse(load, source, line, "$GENERATE makes too many records");
	copy = strdup(template); /* it stands where the records will be made */
	r = copy == NULL ? -ENOMEM : generate(load, source, line, &range, copy);
	free(copy);
	return r;
}

static int take_directive(struct load *load, const struct source *source, unsigned int line)
{
	char *next = load->entry;
	const char *what = next_word(next, &next);
	const char *first = next_word(next, &next);
	const char *second;

	if (strcasecmp(what, "$GENERATE") == 0)
		return take_generate(load, source, line, first, next);
	second = first == NULL ? NULL : next_word(next, &next);
	if (strcasecmp(what, "$ORIGIN") == 0)
		return take_origin(load, source, line, first);
	if (strcasecmp(what, "$TTL") == 0)
		return take_ttl(load, source, line, first);
	if (strcasecmp(what, "$INCLUDE") == 0)
		return take_include(load, source, line, first, second);
	return refuse(load, source, line,
		      "unknown directive; $ORIGIN, $TTL, $INCLUDE and $GENERATE are known");
}

/* Files ---------------------------------------------------------------------------------------- */

static int load_text(struct load *load, const char *text, size_t n, const char *path)
{
	struct source source = { .path = path, .at = text, .end = text + n, .line = 1 };
	const char *nul = memchr(text, 0, n);
	struct entry entry;
	int r;

	if (nul != NULL)
		return refuse(load, &source, 1, "a NUL byte: this is no master file");
	while ((r = next_entry(load, &source, &entry)) > 0) {
		if (load->entry[0] == '$')
			r = take_directive(load, &source, entry.line);
		else
			r = take_record(load, &source, entry.line);
		if (r < 0)
			return r;
	}
	return r;
}

static int fail(const struct load *load, const char *path, int error)
{
	snprintf(load->why, DNS_WHY_BYTES, "%.300s: %s", path, strerror(-error));
	return error;
}

/* All of a regular file; malloc'ed. It is not mapped: one that shrinks meanwhile would kill us. */
static int read_file(const char *path, char **ret_text, size_t *ret_n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold us up */
	struct stat about;
	char *text = NULL;
	ssize_t r = 1;
	size_t n = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &about) < 0)
		r = -errno;
	else if (!S_ISREG(about.st_mode))
		r = -EINVAL;
	else if ((text = malloc((size_t)about.st_size + 1)) == NULL)
		r = -ENOMEM;
	while (r > 0 && n < (size_t)about.st_size) {
		r = read(fd, text + n, (size_t)about.st_size - n);
		if (r < 0)
			r = -errno;
		else
			n += (size_t)r;
	}
	close(fd);
	if (r < 0) {
		free(text);
		return (int)r;
	}
	*ret_text = text;
	*ret_n = n;
	return 0;
}

static int load_file(struct load *load, const char *path)
{
	char *text = NULL;
	size_t n = 0;
	int r = read_file(path, &text, &n);

	if (text == NULL)
		return fail(load, path, r);
	r = load_text(load, text, n, path);
	free(text);
	return r;
}

static int load_init(struct load *load, const uint8_t *apex, const struct dns_hash_key *key,
		     char *why)
{
	memset(load, 0, sizeof *load);
	load->why = why;
	load->max_generated = MAX_GENERATED_TEXT;
	load->entry = malloc(MAX_ENTRY + 1);
	load->rest = malloc(MAX_ENTRY + TOKEN_BYTES);
	load->origin = ldns_rdf_new_frm_data(LDNS_RDF_TYPE_DNAME,
					     dns_name_measure(apex, DNS_NAME_MAX), apex);
	if (load->entry == NULL || load->rest == NULL || load->origin == NULL)
		return -ENOMEM;
	return dns_build_init(&load->build, apex, key);
}

static int finish(struct load *load, const char *path, int r, struct dns_zone **ret_zone)
{
	if (r >= 0) {
		r = dns_build_finish(&load->build, ret_zone);
		if (r == -EINVAL)
			snprintf(load->why, DNS_WHY_BYTES, "%.200s: %.250s", path, load->build.why);
	}
	if (r == -ENOMEM)
		snprintf(load->why, DNS_WHY_BYTES, "%.200s: out of memory", path);
	dns_build_fini(&load->build);
	ldns_rdf_deep_free(load->origin);
	ldns_rdf_deep_free(load->owner);
	free(load->entry);
	free(load->rest);
	return r;
}

int dns_zone_file_load(const char *path, const uint8_t *apex, const struct dns_hash_key *key,
		       struct dns_zone **ret_zone, char *why)
{
	char *real = realpath(path, NULL);
	char *folder = real == NULL ? NULL : strdup(real);
	struct load load;
	int r = -errno;

	if (folder == NULL) {
		snprintf(why, DNS_WHY_BYTES, "%.300s: %s", path, strerror(-r));
		free(real);
		return r;
	}
	strrchr(folder, '/')[1] = '\0';
	r = load_init(&load, apex, key, why);
	load.folder = folder;
	load.max_generated = MAX_GENERATED;
	if (r >= 0)
		r = load_file(&load, path);
	r = finish(&load, path, r, ret_zone);
	free(folder);
	free(real);
	return r;
}

int dns_zone_file_load_text(const char *text, size_t n, const uint8_t *apex,
			    const struct dns_hash_key *key, struct dns_zone **ret_zone, char *why)
{
	struct load load;
	int r = load_init(&load, apex, key, why);

	if (r >= 0)
		r = load_text(&load, text, n, "text");
	return finish(&load, "text", r, ret_zone);
}

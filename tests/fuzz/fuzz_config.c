/* fuzz_config: any bytes as an environment, a span, a size, a yes or no, a list of globs.
 *
 * What must hold: a refusal says so in one line without control characters, that names the variable and ends with the
 * consequence; what is accepted lies within its range, and is the same when it is read again; numbers are what long
 * arithmetic says; a glob list read again is itself; a plain name as glob keeps that name, all below it, and no other.
 */
#include <stdbool.h>

#include "config.h"
#include "fuzz.h"
#include "ground.h"
#include "keep.h"

enum { ENTRIES_MAX = 24, TEXT_MAX = 600 };

static void is_one_line(const char *text, size_t size) {
  REQUIRE(memchr(text, 0, size) != NULL);
  for (const char *p = text; *p; p++) REQUIRE((unsigned char)*p >= ' ' && *p != 0x7f);
}

static bool is_terminated(const char *text, size_t size) { return memchr(text, 0, size) != NULL; }

static void in_range(const struct fc_config *c) {
  const struct fc_policy *p = &c->policy;
  REQUIRE(p->ttl_ns > 0 && p->interval_ns > 0 && p->exit_budget_ns >= 0);
  REQUIRE(p->max_bytes > 0 && p->max_files > 0);
  REQUIRE(p->on_exit <= FC_ON_EXIT_REPORT && p->scope <= FC_SCOPE_PROCESS && p->dirs <= FC_DIRS_RECURSIVE);
  REQUIRE(p->in_use <= FC_IN_USE_IGNORE && p->age_by <= FC_AGE_BY_MTIME && p->track <= FC_TRACK_ALL);
  REQUIRE(p->log_level <= FC_LOG_DEBUG && p->periodic <= 1 && p->on_startup <= 1 && p->trust_base <= 1);
  REQUIRE(p->guardian <= 1 && p->reserved == 0);
  REQUIRE(is_terminated(p->keep, sizeof p->keep) && is_terminated(p->log_file, sizeof p->log_file));
  REQUIRE(is_terminated(p->stats_file, sizeof p->stats_file));
  REQUIRE(is_terminated(c->base, sizeof c->base) && is_terminated(c->state_dir, sizeof c->state_dir));
  REQUIRE(!c->has_base || c->base[0] == '/');
  REQUIRE(!c->state_dir[0] || c->state_dir[0] == '/');
  REQUIRE(!p->stats_file[0] || p->stats_file[0] == '/');
  REQUIRE(!p->log_file[0] || p->log_file[0] == '/' || strcmp(p->log_file, "syslog") == 0);
  const char *name = fc_config_session_name(c);
  REQUIRE(!name || fc_config_is_session_name(name));
}

/* The two are not of one kind: fields only, no padding. */
static bool same(const struct fc_config *a, const struct fc_config *b) {
  return memcmp(&a->policy, &b->policy, sizeof a->policy) == 0 && a->disabled == b->disabled &&
         a->has_base == b->has_base && strcmp(a->base, b->base) == 0 && strcmp(a->state_dir, b->state_dir) == 0 &&
         a->session == b->session;
}

static void environment(const uint8_t *data, size_t size) {
  static struct fc_config config, again;
  char text[4 * TEXT_MAX * ENTRIES_MAX / 4 + 1], *envp[ENTRIES_MAX + 1] = {NULL};
  if (size >= sizeof text) size = sizeof text - 1;
  memcpy(text, data, size);
  text[size] = '\0';
  size_t count = 0;
  for (char *p = text; p < text + size && count < ENTRIES_MAX; p += strlen(p) + 1) envp[count++] = p;
  char message[1280] = "?", short_one[40] = "?";
  memset(&config, 0x55, sizeof config);
  const int rc = fc_config_parse(&config, envp, message, sizeof message);
  REQUIRE(rc == 0 || rc == -1);
  is_one_line(message, sizeof message);
  REQUIRE(fc_config_parse(&again, envp, short_one, sizeof short_one) == rc);
  is_one_line(short_one, sizeof short_one);
  if (rc == 0) {
    REQUIRE(message[0] == '\0' && same(&config, &again));
    if (!config.disabled) in_range(&config);
  } else {
    static const char consequence[] = "; nothing will be deleted";
    const size_t length = strlen(message);
    REQUIRE(strncmp(message, "filecleanup: FILECLEANUP_", 25) == 0);
    REQUIRE(length + 1 == sizeof message || strcmp(message + length - (sizeof consequence - 1), consequence) == 0);
  }
}

/* Digits and a unit of which the answer is plain. */
static bool plain_number(const char *text, const char **rest, unsigned __int128 *value) {
  const char *p = text;
  for (*value = 0; *p >= '0' && *p <= '9' && p - text < 30; p++) *value = *value * 10 + (unsigned)(*p - '0');
  *rest = p;
  return p > text && p - text < 30;
}

static void span(const char *text) {
  static const struct {
    const char *unit;
    uint64_t ns;
  } units[] = {{"", 1000000000},     {"s", 1000000000},     {"ms", 1000000},
               {"us", 1000},         {"min", 60000000000},  {"m", 60000000000},
               {"h", 3600000000000}, {"d", 86400000000000}, {"w", 604800000000000}};
  int64_t ns = -7, more = 0;
  const int rc = fc_config_parse_span(text, &ns);
  REQUIRE(rc == 0 || (rc == -1 && ns == -7));
  if (rc == 0) REQUIRE(ns >= 0);
  unsigned __int128 value;
  const char *rest;
  if (plain_number(text, &rest, &value))
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
      if (strcmp(units[i].unit, rest) != 0) continue;
      const unsigned __int128 expected = value * units[i].ns;
      REQUIRE((rc == 0) == (expected < (unsigned __int128)INT64_MAX));
      if (rc == 0) REQUIRE((unsigned __int128)(uint64_t)ns == expected);
    }
  REQUIRE(!(rc == 0 && strchr(text, 'M')));
  if (rc != 0 || ns == INT64_MAX || strlen(text) > TEXT_MAX - 8) return;
  char longer[TEXT_MAX]; /* a second more is a second more, where a unit stands */
  (void)snprintf(longer, sizeof longer, "1s %s", text);
  if (fc_config_parse_span(longer, &more) == 0) REQUIRE(more == ns + 1000000000);
}

static void size_of(const char *text) {
  uint64_t bytes = 7;
  const int rc = fc_config_parse_size(text, &bytes);
  REQUIRE(rc == 0 || (rc == -1 && bytes == 7));
  unsigned __int128 value;
  const char *rest;
  if (!plain_number(text, &rest, &value)) {
    REQUIRE(rc == -1 || strcmp(text, "infinity") == 0 || strlen(text) >= 30); /* leading zeros may be many */
    return;
  }
  static const char suffixes[] = "KMGT";
  const char *suffix = rest[0] && !rest[1] ? strchr(suffixes, rest[0]) : NULL;
  if (suffix) value <<= 10 * (suffix - suffixes + 1);
  const bool expected = (!rest[0] || suffix) && value < (unsigned __int128)UINT64_MAX;
  REQUIRE((rc == 0) == expected);
  if (rc == 0) REQUIRE((unsigned __int128)bytes == value);
}

static void yes_or_no(const char *text) {
  bool on = false, off = true;
  const int rc = fc_config_parse_bool(text, &on);
  REQUIRE(fc_config_parse_bool(text, &off) == rc);
  if (rc == 0) REQUIRE(on == off && strlen(text) <= 5);
  if (rc != 0) REQUIRE(!on && off);
}

/* text: the list, NUL, a name. */
static void globs(const char *list, const char *name) {
  static struct fc_config config, again;
  static struct fc_session_header header;
  char entry[TEXT_MAX + 32], message[1280], below[2 * TEXT_MAX];
  char *envp[] = {entry, NULL};
  if (strlen(list) > 60 || strlen(name) > 60) return; /* fnmatch takes its time over many stars */
  (void)snprintf(entry, sizeof entry, "FILECLEANUP_KEEP=%s", list);
  if (fc_config_parse(&config, envp, message, sizeof message) != 0) return;
  (void)snprintf(entry, sizeof entry, "FILECLEANUP_KEEP=%s", config.policy.keep);
  REQUIRE(fc_config_parse(&again, envp, message, sizeof message) == 0);
  REQUIRE(strcmp(config.policy.keep, again.policy.keep) == 0);
  memcpy(&header.policy, &config.policy, sizeof header.policy);
  if (!name[0] || name[0] == '/') return;
  const bool kept = fc_keep_names(&header, name);
  (void)snprintf(below, sizeof below, "%s/x", name);
  if (kept) REQUIRE(fc_keep_names(&header, below)); /* a directory is kept with all that is in it */
  const char *keep = header.policy.keep;
  if (!strpbrk(keep, "*?[\\:")) {
    const size_t length = strlen(keep);
    const bool expected = length > 0 && strncmp(name, keep, length) == 0 && (!name[length] || name[length] == '/');
    REQUIRE(kept == expected);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const uint8_t what = fuzz_take(&data, &size);
  char text[TEXT_MAX];
  if (what % 8 > 3) {
    environment(data, size);
    return 0;
  }
  if (size >= sizeof text) size = sizeof text - 1;
  memcpy(text, data, size);
  text[size] = '\0';
  switch (what % 8) {
  case 0:
    span(text);
    break;
  case 1:
    size_of(text);
    break;
  case 2:
    yes_or_no(text);
    (void)fc_config_is_session_name(text);
    break;
  default:
    globs(text, strlen(text) < size ? text + strlen(text) + 1 : "");
    break;
  }
  return 0;
}

/* config: see config.h.
 *
 * It runs in the constructor of the shim, where open() or stat() would be the shim's own: so raw system calls and pure
 * functions of texts only, and all memory is the caller's.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "message.h"
#include "sys.h"

/* The policy is read by 32- and 64-bit processes from one session header. */
_Static_assert(offsetof(struct fc_policy, ttl_ns) == 0, "policy layout");
_Static_assert(offsetof(struct fc_policy, interval_ns) == 8, "policy layout");
_Static_assert(offsetof(struct fc_policy, exit_budget_ns) == 16, "policy layout");
_Static_assert(offsetof(struct fc_policy, max_bytes) == 24, "policy layout");
_Static_assert(offsetof(struct fc_policy, max_files) == 32, "policy layout");
_Static_assert(offsetof(struct fc_policy, on_exit) == 40, "policy layout");
_Static_assert(offsetof(struct fc_policy, scope) == 44, "policy layout");
_Static_assert(offsetof(struct fc_policy, dirs) == 48, "policy layout");
_Static_assert(offsetof(struct fc_policy, in_use) == 52, "policy layout");
_Static_assert(offsetof(struct fc_policy, age_by) == 56, "policy layout");
_Static_assert(offsetof(struct fc_policy, track) == 60, "policy layout");
_Static_assert(offsetof(struct fc_policy, log_level) == 64, "policy layout");
_Static_assert(offsetof(struct fc_policy, periodic) == 68, "policy layout");
_Static_assert(offsetof(struct fc_policy, on_startup) == 72, "policy layout");
_Static_assert(offsetof(struct fc_policy, trust_base) == 76, "policy layout");
_Static_assert(offsetof(struct fc_policy, guardian) == 80, "policy layout");
_Static_assert(offsetof(struct fc_policy, reserved) == 84, "policy layout");
_Static_assert(offsetof(struct fc_policy, keep) == 88, "policy layout");
_Static_assert(offsetof(struct fc_policy, log_file) == 2136, "policy layout");
_Static_assert(offsetof(struct fc_policy, stats_file) == 3160, "policy layout");
_Static_assert(sizeof(struct fc_policy) == 4184, "policy layout");

#define NS_PER_S INT64_C(1000000000)
#define TTL_DEFAULT_NS (24 * 60 * 60 * NS_PER_S)
#define INTERVAL_DEFAULT_NS (30 * 60 * NS_PER_S)
/* A sweep without a pause between two would be a busy loop inside the host. */
#define INTERVAL_MIN_NS (NS_PER_S / 1000)
#define EXIT_BUDGET_DEFAULT_NS (5 * NS_PER_S)

#define SESSION_NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

/* words: each with its NUL, in the order of their enum; an empty one ends them. One text, not a table of pointers:
 * those would be relocated in every process that starts (the same goes for every other table here). */
static int choose(const char *value, const char *words, uint32_t *out) {
  for (uint32_t i = 0; *words != '\0'; i++, words += strlen(words) + 1) {
    if (strcmp(value, words) == 0) {
      *out = i;
      return 0;
    }
  }
  return -1;
}

static const char *set_bool(uint32_t *field, const char *value) {
  bool on = false;
  if (fc_config_parse_bool(value, &on) != 0) return "not a yes or no; use 1, yes, true or on, or 0, no, false or off";
  *field = on;
  return NULL;
}

static const char *set_cap(uint64_t *field, const char *value, const char *zero, const char *malformed) {
  uint64_t cap = 0;
  if (fc_config_parse_size(value, &cap) != 0) return malformed;
  if (cap == 0) return zero;
  *field = cap;
  return NULL;
}

enum path_error { PATH_FITS = 0, PATH_TOO_LONG, PATH_NO_CWD };

/* Makes a path absolute against the working directory and drops "." and double slashes. ".." stays: what it means is
 * known only to who follows the links before it. */
static enum path_error absolute_path(const char *value, char *out, size_t size) {
  size_t length = 0;
  if (value[0] != '/') {
    long got = fc_sys_getcwd(out, size);
    if (got == -ERANGE) return PATH_TOO_LONG;
    /* Since Linux 2.6.36 a directory outside the root is given as "(unreachable)/...". */
    if (got <= 1 || out[0] != '/') return PATH_NO_CWD;
    length = strlen(out);
    if (length == 1) length = 0;
  }
  for (const char *p = value; *p != '\0';) {
    while (*p == '/') p++;
    size_t part = strcspn(p, "/");
    if (part > 0 && !(part == 1 && p[0] == '.')) {
      if (length + 1 + part >= size) return PATH_TOO_LONG;
      out[length++] = '/';
      memcpy(out + length, p, part);
      length += part;
    }
    p += part;
  }
  if (length == 0) out[length++] = '/';
  out[length] = '\0';
  return PATH_FITS;
}

static const char *set_path(char *field, size_t size, const char *value) {
  switch (absolute_path(value, field, size)) {
  case PATH_FITS:
    return NULL;
  case PATH_NO_CWD:
    return "a relative name, but the working directory has no name; use an absolute name";
  case PATH_TOO_LONG:
  default:
    return size == FC_FILE_MAX ? "the name is too long; use an absolute name of less than 1024 bytes"
                               : "the name is too long; use an absolute name of less than 4096 bytes";
  }
}
_Static_assert(FC_FILE_MAX == 1024 && PATH_MAX == 4096, "the messages of set_path name the limits");

static const char *set_base_dir(struct fc_config *config, const char *value) {
  if (value[0] == '\0') return NULL;
  const char *reason = set_path(config->base, sizeof config->base, value);
  config->has_base = reason == NULL;
  return reason;
}

static const char *set_ttl(struct fc_config *config, const char *value) {
  int64_t ns = 0;
  if (fc_config_parse_span(value, &ns) != 0)
    return "not a span of time; use one like 24h, 2h 30min or 90 (seconds), or infinity for off"
           " (minutes are min, months month, never M)";
  if (ns == 0) return "0 would delete at once; use a span like 24h, or infinity for off";
  config->policy.ttl_ns = ns;
  return NULL;
}

static const char *set_interval(struct fc_config *config, const char *value) {
  int64_t ns = 0;
  if (fc_config_parse_span(value, &ns) != 0)
    return "not a span of time; use one like 30min, 2h 30min or 90 (seconds), or infinity for no sweeps"
           " (minutes are min, months month, never M)";
  if (ns < INTERVAL_MIN_NS)
    return "too short between two sweeps; use a span of at least 1ms like 30min, or infinity for no sweeps";
  config->policy.interval_ns = ns;
  return NULL;
}

static const char *set_exit_budget(struct fc_config *config, const char *value) {
  int64_t ns = 0;
  if (fc_config_parse_span(value, &ns) != 0)
    return "not a span of time; use one like 5s, 1min 30s or 90 (seconds), 0 for none, or infinity"
           " (minutes are min, months month, never M)";
  config->policy.exit_budget_ns = ns;
  return NULL;
}

static const char *set_age_by(struct fc_config *config, const char *value) {
  if (choose(value, "newest\0mtime\0", &config->policy.age_by) != 0)
    return "not a way to tell age; use newest or mtime";
  return NULL;
}

static const char *set_periodic(struct fc_config *config, const char *value) {
  return set_bool(&config->policy.periodic, value);
}

static const char *set_on_startup(struct fc_config *config, const char *value) {
  return set_bool(&config->policy.on_startup, value);
}

static const char *set_trust_base(struct fc_config *config, const char *value) {
  return set_bool(&config->policy.trust_base, value);
}

static const char *set_guardian(struct fc_config *config, const char *value) {
  return set_bool(&config->policy.guardian, value);
}

static const char *set_on_exit(struct fc_config *config, const char *value) {
  if (choose(value, "delete\0keep\0keep-on-failure\0report\0", &config->policy.on_exit) != 0)
    return "not something to do at the end; use delete, keep, keep-on-failure or report";
  return NULL;
}

static const char *set_scope(struct fc_config *config, const char *value) {
  if (choose(value, "session\0leader\0process\0", &config->policy.scope) != 0)
    return "not a scope; use session, leader or process";
  return NULL;
}

static const char *set_dirs(struct fc_config *config, const char *value) {
  if (choose(value, "empty\0keep\0recursive\0", &config->policy.dirs) != 0)
    return "not a way to treat directories; use keep, empty or recursive";
  return NULL;
}

static const char *set_in_use(struct fc_config *config, const char *value) {
  if (choose(value, "skip\0ignore\0", &config->policy.in_use) != 0)
    return "not a way to treat files in use; use skip or ignore";
  return NULL;
}

static const char *set_track(struct fc_config *config, const char *value) {
  if (choose(value, "own\0all\0", &config->policy.track) != 0) return "not a way to track; use own or all";
  return NULL;
}

static const char *set_log(struct fc_config *config, const char *value) {
  if (choose(value, "off\0error\0warn\0info\0debug\0", &config->policy.log_level) != 0)
    return "not a log level; use off, error, warn, info or debug";
  return NULL;
}

/* One glob of the list: without "./" before and "/" behind, with which fnmatch would match no name below the base. A
 * glob that can never match is refused, since who wrote it believes that something is kept. */
static const char *keep_append(char *keep, size_t *length, const char *glob, size_t glob_length) {
  while (glob_length >= 2 && glob[0] == '.' && glob[1] == '/') {
    for (glob++, glob_length--; glob_length > 0 && glob[0] == '/'; glob_length--) glob++;
  }
  if (glob_length > 0 && glob[0] == '/')
    return "a glob begins with /; use globs relative to the base, separated by :, like *.log:results/*";
  while (glob_length > 0 && glob[glob_length - 1] == '/') glob_length--;
  if (glob_length == 0) return NULL;
  size_t backslashes = 0;
  while (backslashes < glob_length && glob[glob_length - 1 - backslashes] == '\\') backslashes++;
  if (backslashes % 2 == 1)
    return "a glob ends with a backslash; use globs relative to the base, separated by : (in a name, ? matches a :)";
  for (size_t i = 0; i < glob_length; i++) {
    size_t part = i;
    while (i < glob_length && glob[i] != '/') i++;
    size_t part_length = i - part;
    if (part_length == 0 || (part_length == 1 && glob[part] == '.') ||
        (part_length == 2 && glob[part] == '.' && glob[part + 1] == '.'))
      return "a glob has an empty, . or .. component and would match nothing; use globs relative to the base,"
             " separated by :, like *.log:results/*";
  }
  if (*length + (*length > 0 ? 1 : 0) + glob_length >= FC_KEEP_MAX)
    return "the list is too long; use globs relative to the base, separated by :, of less than 2048 bytes in all";
  if (*length > 0) keep[(*length)++] = ':';
  memcpy(keep + *length, glob, glob_length);
  *length += glob_length;
  keep[*length] = '\0';
  return NULL;
}
_Static_assert(FC_KEEP_MAX == 2048, "the message of keep_append names the limit");

static const char *set_keep(struct fc_config *config, const char *value) {
  size_t length = 0;
  config->policy.keep[0] = '\0';
  for (const char *p = value;; p++) {
    size_t part = strcspn(p, ":");
    const char *reason = keep_append(config->policy.keep, &length, p, part);
    if (reason != NULL) return reason;
    p += part;
    if (*p == '\0') return NULL;
  }
}

static const char *set_max_bytes(struct fc_config *config, const char *value) {
  return set_cap(&config->policy.max_bytes, value,
                 "0 would delete at once; use a size like 512M, or infinity for no cap",
                 "not a size; use digits with an optional K, M, G or T, like 512M, or infinity for no cap");
}

static const char *set_max_files(struct fc_config *config, const char *value) {
  return set_cap(&config->policy.max_files, value,
                 "0 would delete at once; use a number like 10000, or infinity for no cap",
                 "not a number of files; use digits with an optional K, M, G or T, like 10000, or infinity for no cap");
}

static const char *set_state_dir(struct fc_config *config, const char *value) {
  return value[0] == '\0' ? NULL : set_path(config->state_dir, sizeof config->state_dir, value);
}

static const char *set_log_file(struct fc_config *config, const char *value) {
  char *field = config->policy.log_file;
  if (value[0] == '\0' || strcmp(value, "journal") == 0) return NULL;
  if (strcmp(value, "syslog") == 0) {
    memcpy(field, "syslog", sizeof "syslog");
    return NULL;
  }
  if (value[strlen(value) - 1] == '/') return "the name of a directory; use the name of a file, or syslog";
  return set_path(field, sizeof config->policy.log_file, value);
}

static const char *set_stats(struct fc_config *config, const char *value) {
  if (value[0] == '\0') return NULL;
  if (value[strlen(value) - 1] == '/') return "the name of a directory; use the name of a file";
  return set_path(config->policy.stats_file, sizeof config->policy.stats_file, value);
}

static const char *set_disable(struct fc_config *config, const char *value) {
  config->disabled = value[0] != '\0' && strcmp(value, "0") != 0;
  return NULL;
}

bool fc_config_is_session_name(const char *name) {
  const size_t length = strspn(name, SESSION_NAME_CHARACTERS);
  return length > 0 && length <= FC_SESSION_NAME_MAX && name[length] == '\0' && name[0] != '.';
}

const char *fc_config_session_name(const struct fc_config *config) {
  static const size_t prefix = sizeof FC_SESSION_NAME_PREFIX - 1;
  if (!config->session || strncmp(config->session, FC_SESSION_NAME_PREFIX, prefix) != 0) return NULL;
  return config->session + prefix;
}

/* What stands here without "name:" was put there by a shim and is checked by who opens it. */
static const char *set_session(struct fc_config *config, const char *value) {
  static const size_t prefix = sizeof FC_SESSION_NAME_PREFIX - 1;
  if (strncmp(value, FC_SESSION_NAME_PREFIX, prefix) == 0) {
    if (!fc_config_is_session_name(value + prefix))
      return "not the name of a session; use name: and 1 to 64 letters, digits, - _ or . (not first)";
  }
  config->session = value[0] == '\0' ? NULL : value;
  return NULL;
}
_Static_assert(FC_SESSION_NAME_MAX == 64, "the message of set_session names the limit");

#define VARIABLE_PREFIX "FILECLEANUP_"

/* Name behind the prefix, and the function that stores a value: it returns NULL, or the reason of a refusal, which says
 * what is accepted. DISABLE is looked at first: with it nothing else is even parsed. */
#define VARIABLES(X)                                                                                                   \
  X(DISABLE, set_disable)                                                                                              \
  X(BASE_DIR, set_base_dir)                                                                                            \
  X(TTL, set_ttl)                                                                                                      \
  X(INTERVAL, set_interval)                                                                                            \
  X(AGE_BY, set_age_by)                                                                                                \
  X(PERIODIC, set_periodic)                                                                                            \
  X(ON_STARTUP, set_on_startup)                                                                                        \
  X(ON_EXIT, set_on_exit)                                                                                              \
  X(SCOPE, set_scope)                                                                                                  \
  X(KEEP, set_keep)                                                                                                    \
  X(DIRS, set_dirs)                                                                                                    \
  X(IN_USE, set_in_use)                                                                                                \
  X(MAX_BYTES, set_max_bytes)                                                                                          \
  X(MAX_FILES, set_max_files)                                                                                          \
  X(STATE_DIR, set_state_dir)                                                                                          \
  X(TRACK, set_track)                                                                                                  \
  X(TRUST_BASE, set_trust_base)                                                                                        \
  X(GUARDIAN, set_guardian)                                                                                            \
  X(EXIT_BUDGET, set_exit_budget)                                                                                      \
  X(LOG, set_log)                                                                                                      \
  X(LOG_FILE, set_log_file)                                                                                            \
  X(STATS, set_stats)                                                                                                  \
  X(SESSION, set_session)

#define VARIABLE_NAME_SIZE 12
#define VARIABLE_NAME(name, setter) VARIABLE_PREFIX #name,
static const char variable_names[][sizeof VARIABLE_PREFIX + VARIABLE_NAME_SIZE] = {VARIABLES(VARIABLE_NAME)};
#define VARIABLE_COUNT (sizeof variable_names / sizeof *variable_names)

#define VARIABLE_INDEX(name, setter) VARIABLE_##name,
enum variable { VARIABLES(VARIABLE_INDEX) };

static const char *set_variable(enum variable variable, struct fc_config *config, const char *value) {
  switch (variable) {
#define VARIABLE_CASE(name, setter)                                                                                    \
  case VARIABLE_##name:                                                                                                \
    return setter(config, value);
    VARIABLES(VARIABLE_CASE)
  }
  return NULL;
}

/* The value in a "NAME=value" of envp when it has this name, else NULL. */
static const char *value_of(const char *entry, const char *name) {
  size_t length = strlen(name);
  return strncmp(entry, name, length) == 0 && entry[length] == '=' ? entry + length + 1 : NULL;
}

void fc_config_default(struct fc_config *config) {
  memset(config, 0, sizeof *config);
  config->policy.ttl_ns = TTL_DEFAULT_NS;
  config->policy.interval_ns = INTERVAL_DEFAULT_NS;
  config->policy.exit_budget_ns = EXIT_BUDGET_DEFAULT_NS;
  config->policy.max_bytes = FC_INFINITY_COUNT;
  config->policy.max_files = FC_INFINITY_COUNT;
  config->policy.on_exit = FC_ON_EXIT_DELETE;
  config->policy.scope = FC_SCOPE_SESSION;
  config->policy.dirs = FC_DIRS_EMPTY;
  config->policy.in_use = FC_IN_USE_SKIP;
  config->policy.age_by = FC_AGE_BY_NEWEST;
  config->policy.track = FC_TRACK_OWN;
  config->policy.log_level = FC_LOG_WARN;
  config->policy.periodic = 1;
  config->policy.on_startup = 1;
}

int fc_config_parse(struct fc_config *config, char *const *envp, char *message, size_t message_size) {
  static const size_t prefix = sizeof VARIABLE_PREFIX - 1;
  const char *values[VARIABLE_COUNT] = {NULL};
  (void)fc_message_start(message, message_size); /* an empty message, should all be well */
  fc_config_default(config);
  /* One pass over what may be a large environment; of two entries the first counts, as for getenv. */
  for (char *const *entry = envp; entry != NULL && *entry != NULL; entry++) {
    if (strncmp(*entry, VARIABLE_PREFIX, prefix) != 0) continue;
    for (size_t i = 0; i < VARIABLE_COUNT; i++) {
      const char *value = value_of(*entry, variable_names[i]);
      if (value != NULL && values[i] == NULL) values[i] = value;
    }
  }
  for (size_t i = 0; i < VARIABLE_COUNT && !config->disabled; i++) {
    if (values[i] == NULL) continue;
    const char *reason = set_variable((enum variable)i, config, values[i]);
    if (reason != NULL) return fc_message_refuse(message, message_size, variable_names[i], values[i], reason);
  }
  return 0;
}

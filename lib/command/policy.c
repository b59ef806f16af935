#include "policy.h"

#include <stdio.h>
#include <string.h>

#include "human.h"
#include "verb.h"

const char *fc_policy_on_exit(const struct fc_policy *p) {
  static const char *const words[] = {"delete", "keep", "keep-on-failure", "report"};
  return words[p->on_exit];
}

const char *fc_policy_scope(const struct fc_policy *p) {
  static const char *const words[] = {"session", "leader", "process"};
  return words[p->scope];
}

const char *fc_policy_dirs(const struct fc_policy *p) {
  static const char *const words[] = {"empty", "keep", "recursive"};
  return words[p->dirs];
}

const char *fc_policy_in_use(const struct fc_policy *p) {
  static const char *const words[] = {"skip", "ignore"};
  return words[p->in_use];
}

const char *fc_policy_track(const struct fc_policy *p) {
  static const char *const words[] = {"own", "all"};
  return words[p->track];
}

static const char *age_by(const struct fc_policy *p) {
  static const char *const words[] = {"newest", "mtime"};
  return words[p->age_by];
}

static const char *log_level(const struct fc_policy *p) {
  static const char *const words[] = {"off", "error", "warn", "info", "debug"};
  return words[p->log_level];
}

/* Exact where a suffix can say it. */
static const char *size_text(uint64_t size, char out[FC_HUMAN_BYTES]) {
  static const char suffixes[] = "KMGT";
  const char *suffix = "";
  char one[2] = "";
  if (size == FC_INFINITY_COUNT) return "infinity";
  for (size_t i = 0; suffixes[i] && size >= 1024 && size % 1024 == 0; i++) {
    size /= 1024;
    one[0] = suffixes[i];
    suffix = one;
  }
  (void)snprintf(out, FC_HUMAN_BYTES, "%llu%s", (unsigned long long)size, suffix);
  return out;
}

static const char *flag(uint32_t on) { return on ? "1" : "0"; }

char *fc_policy_value(const struct fc_config *config, const char *variable) {
  const struct fc_policy *p = &config->policy;
  char ttl[FC_HUMAN_BYTES];
  char interval[FC_HUMAN_BYTES];
  char budget[FC_HUMAN_BYTES];
  char bytes[FC_HUMAN_BYTES];
  char files[FC_HUMAN_BYTES];
  const struct {
    const char *name;
    const char *value;
  } rows[] = {
      {"BASE_DIR", config->base},
      {"TTL", fc_human_span(p->ttl_ns, ttl)},
      {"INTERVAL", fc_human_span(p->interval_ns, interval)},
      {"AGE_BY", age_by(p)},
      {"PERIODIC", flag(p->periodic)},
      {"ON_STARTUP", flag(p->on_startup)},
      {"ON_EXIT", fc_policy_on_exit(p)},
      {"SCOPE", fc_policy_scope(p)},
      {"KEEP", p->keep},
      {"DIRS", fc_policy_dirs(p)},
      {"IN_USE", fc_policy_in_use(p)},
      {"MAX_BYTES", size_text(p->max_bytes, bytes)},
      {"MAX_FILES", size_text(p->max_files, files)},
      {"STATE_DIR", config->state_dir},
      {"TRACK", fc_policy_track(p)},
      {"TRUST_BASE", flag(p->trust_base)},
      {"GUARDIAN", flag(p->guardian)},
      {"EXIT_BUDGET", fc_human_span(p->exit_budget_ns, budget)},
      {"LOG", log_level(p)},
      {"LOG_FILE", p->log_file},
      {"STATS", p->stats_file},
      {"SESSION", config->session ? config->session : ""},
  };
  const char *name = variable + sizeof "FILECLEANUP_" - 1;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (strcmp(rows[i].name, name) == 0) return fc_verb_copy(rows[i].value, strlen(rows[i].value));
  return NULL;
}

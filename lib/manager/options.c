#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_MS INT64_C(1000000)
#define MESSAGE_BYTES 512
#define QUEUE_DEFAULT 1024u

extern char **environ;

static const struct fcm_options defaults = {
    .ttl = FCM_HOURS(24),
    .interval = FCM_MINUTES(30),
    .cleanup_on_startup = true,
    .cleanup_after_processing = true,
    .enable_periodic_cleanup = true,
    .async_queue = QUEUE_DEFAULT,
    .async_workers = 1,
};

void fcm_options_init_size(struct fcm_options *options, size_t size) {
  if (!options || size < sizeof options->size) return;
  memset(options, 0, size);
  memcpy(options, &defaults, size < sizeof defaults ? size : sizeof defaults);
  options->size = size;
}

/* A larger struct comes from a program that was compiled with a later version and may want what is not known here. */
bool fc_options_read(struct fcm_options *out, const struct fcm_options *options) {
  if (options->size < offsetof(struct fcm_options, state_dir) || options->size > sizeof *out) return false;
  *out = defaults;
  memcpy(out, options, options->size);
  return true;
}

static int64_t in_ns(int64_t ms) { return ms > INT64_MAX / NS_PER_MS ? FC_INFINITY_NS : ms * NS_PER_MS; }

/* "NAME=text" for fc_config_parse, which knows what a path and a list of globs must be. */
static char *setting(const char *name, const char *text) {
  if (!text) return NULL;
  const size_t size = strlen(name) + 1 + strlen(text) + 1;
  char *entry = malloc(size);
  if (entry) (void)snprintf(entry, size, "%s=%s", name, text);
  return entry;
}

static int refuse(const char *what, char *message, size_t size) {
  (void)snprintf(message, size, "filecleanup: fcm_options: %s", what);
  return -1;
}

int fc_options_config(const struct fcm_options *o, struct fc_config *config, char *message, size_t size) {
  if (!o->base_dir || !o->base_dir[0]) return refuse("base_dir is missing", message, size);
  if (o->ttl <= 0) return refuse("ttl must be more than 0; FCM_FOREVER is off", message, size);
  if (o->interval <= 0) return refuse("interval must be more than 0; FCM_FOREVER is off", message, size);
  if (o->async_queue == 0 || o->async_workers == 0)
    return refuse("async_queue and async_workers must be more than 0", message, size);
  char *const entries[] = {setting("FILECLEANUP_BASE_DIR", o->base_dir), setting("FILECLEANUP_STATE_DIR", o->state_dir),
                           setting("FILECLEANUP_KEEP", o->keep)};
  char *envp[sizeof entries / sizeof *entries + 1];
  size_t count = 0;
  for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
    if (entries[i]) envp[count++] = entries[i];
  envp[count] = NULL;
  const bool whole = count == 1u + (o->state_dir != NULL) + (o->keep != NULL);
  const int rc = whole ? fc_config_parse(config, envp, message, size) : refuse("no memory to read them", message, size);
  for (size_t i = 0; i < count; i++) free(envp[i]);
  if (rc != 0) return -1;
  struct fc_policy *const p = &config->policy;
  config->manager = true;
  p->ttl_ns = in_ns(o->ttl);
  p->interval_ns = in_ns(o->interval);
  p->exit_budget_ns = FC_INFINITY_NS;
  p->on_exit = o->cleanup_after_processing && !o->disabled ? FC_ON_EXIT_DELETE : FC_ON_EXIT_KEEP;
  p->in_use = o->spare_in_use ? FC_IN_USE_SKIP : FC_IN_USE_IGNORE;
  p->age_by = FC_AGE_BY_MTIME;
  p->periodic = o->enable_periodic_cleanup;
  p->on_startup = o->cleanup_on_startup;
  p->trust_base = o->trust_base;
  return 0;
}

static int64_t in_ms(int64_t ns) { return ns == FC_INFINITY_NS ? FCM_FOREVER : (ns + NS_PER_MS - 1) / NS_PER_MS; }

static void take_over(struct fcm_options *o, const struct fc_config *config) {
  const struct fc_policy *p = &config->policy;
  const char *text = getenv("FILECLEANUP_BASE_DIR");
  if (text && text[0]) o->base_dir = text;
  text = getenv("FILECLEANUP_STATE_DIR");
  if (text && text[0]) o->state_dir = text;
  text = getenv("FILECLEANUP_KEEP");
  if (text) o->keep = text;
  if (getenv("FILECLEANUP_TTL")) o->ttl = in_ms(p->ttl_ns);
  if (getenv("FILECLEANUP_INTERVAL")) o->interval = in_ms(p->interval_ns);
  if (getenv("FILECLEANUP_ON_STARTUP")) o->cleanup_on_startup = p->on_startup;
  if (getenv("FILECLEANUP_ON_EXIT")) o->cleanup_after_processing = p->on_exit == FC_ON_EXIT_DELETE;
  if (getenv("FILECLEANUP_PERIODIC")) o->enable_periodic_cleanup = p->periodic;
  if (getenv("FILECLEANUP_IN_USE")) o->spare_in_use = p->in_use == FC_IN_USE_SKIP;
  if (getenv("FILECLEANUP_TRUST_BASE")) o->trust_base = p->trust_base;
}

int fcm_options_from_environment(struct fcm_options *options, char *message, size_t message_size) {
  char own[MESSAGE_BYTES];
  struct fcm_options whole;
  if (!options || !fc_options_read(&whole, options)) return fc_manager_fail(EINVAL);
  struct fc_config *config = malloc(sizeof *config);
  if (!config) return fc_manager_fail(ENOMEM);
  char *const out = message && message_size ? message : own;
  const size_t out_size = message && message_size ? message_size : sizeof own;
  const int rc = fc_config_parse(config, environ, out, out_size);
  if (rc == 0) {
    if (config->disabled)
      whole.disabled = true;
    else
      take_over(&whole, config);
    memcpy(options, &whole, options->size);
  }
  free(config);
  return rc == 0 ? 0 : fc_manager_fail(EINVAL);
}

/* log: where the part of us that runs without a terminal says what happened.
 *
 * Responsible for: one line at a time to LOG_FILE, to syslog, or (the default) to the file "messages" beside the
 * session file, which the command shows. Must never: write to the host's fds, or fail loudly. Not for hooks.
 */
#ifndef FC_LOG_H
#define FC_LOG_H

#include <limits.h>
#include <stdbool.h>

#include "config.h"

struct fc_log {
  unsigned level; /* enum fc_log_level */
  bool bounded;   /* the default file, which stops growing */
  char target[PATH_MAX];
  /* Set by who opened it: gets the lines instead. */
  void (*hear)(void *context, enum fc_log_level level, const char *line);
  void *context;
};

/* session_path may be NULL; then only LOG_FILE or syslog of the policy count. */
void fc_log_open(struct fc_log *log, const struct fc_policy *policy, const char *session_path);

void fc_log_write(const struct fc_log *log, enum fc_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif

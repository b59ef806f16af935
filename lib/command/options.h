/* options: the command line of `filecleanup run`.
 *
 * Responsible for: the table of options and its help text, and putting what stands for a variable into the environment,
 * which is then parsed once. Must never: look at what follows PROGRAM.
 */
#ifndef FC_OPTIONS_H
#define FC_OPTIONS_H

#include <limits.h>
#include <stdbool.h>

#include "config.h"

#define FC_LEAK_STATUS 99

struct fc_options {
  bool wait;
  bool guardian;
  bool tmpdir;
  bool report;
  int leak_status;     /* of --fail-on-leak, 0 = not given */
  const char *session; /* of --session, NULL = not given */
  char keep[FC_KEEP_MAX];
};

/* Reads options into *options and the environment. argv[0] is replaced. Returns the index of PROGRAM, 0 to end with
 * status 0, or -1 after a message. */
int fc_options_parse(struct fc_options *options, int argc, char **argv);

#endif

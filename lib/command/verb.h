/* verb: what all verbs of the command have in common.
 *
 * Responsible for: the table's row, the options that verbs share, exit statuses, and memory (a command that has none
 * left says so and ends). Must never: change anything while it reads options.
 */
#ifndef FC_VERB_H
#define FC_VERB_H

#include <stdbool.h>
#include <stddef.h>

#include "config.h"

enum fc_exit {
  FC_EXIT_DONE = 0,
  FC_EXIT_SOME_FAILED = 1,
  FC_EXIT_USAGE = 2,
  FC_EXIT_BAD_CONFIG = 65,
  FC_EXIT_BUSY = 75,
  FC_EXIT_REFUSED = 77 /* the base is refused, or may not be looked at */
};

/* Which of the shared options a verb takes. --help is taken by all. */
enum fc_option {
  FC_OPTION_BASE = 1 << 0, /* --base and --state-dir */
  FC_OPTION_JSON = 1 << 1,
  FC_OPTION_VERBOSE = 1 << 2, /* -v and -q */
  FC_OPTION_NULL = 1 << 3,
  FC_OPTION_WATCH = 1 << 4,
  FC_OPTION_PROBE_BASE = 1 << 5,
  FC_OPTION_SESSION = 1 << 6,
  FC_OPTION_DRY_RUN = 1 << 8,
  FC_OPTION_HTML = 1 << 9,
  FC_OPTION_VARIABLES = 1 << 7, /* every option of `run` that stands for a variable */
};

struct fc_verb_options {
  bool json;
  bool quiet;
  bool null;
  bool watch;
  bool probe_base;
  bool dry_run;
  unsigned verbose;
  const char *html;         /* a file, "-" = stdout; NULL = not given */
  const char *session;      /* an id or the beginning of one; NULL = all */
  const char *const *given; /* names of the variables that an option has set, NULL at the end */
  char *const *operands;    /* NULL at the end */
  struct fc_config config;  /* of the environment and the options */
};

struct fc_verb {
  const char *name;
  const char *summary;  /* one line of the table of verbs */
  const char *operands; /* "" or for instance " PATH..." */
  const char *help;     /* more lines for --help */
  unsigned options;     /* FC_OPTION_* */
  int (*run)(const struct fc_verb *verb, const struct fc_verb_options *options);
  int (*main)(int argc, char **argv); /* instead of all that: reads its options itself; argv[0] is the verb */
};

extern const struct fc_verb fc_verb_status;
extern const struct fc_verb fc_verb_list;
extern const struct fc_verb fc_verb_explain;
extern const struct fc_verb fc_verb_check;
extern const struct fc_verb fc_verb_sweep;
extern const struct fc_verb fc_verb_keep;
extern const struct fc_verb fc_verb_untrack;
extern const struct fc_verb fc_verb_report;
extern const struct fc_verb fc_verb_hooks;

/* Reads argv (argv[0] is the verb), the environment and the configuration, and runs the verb. An exit status. */
int fc_verb_main(const struct fc_verb *verb, int argc, char **argv);

/* One line on stderr, "filecleanup: ...". */
void fc_verb_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* DONE when all of stdout could be written, else SOME_FAILED with a line. */
int fc_verb_finish(int status);

/* Zeroed memory, copies and joined texts, owned by the caller (free). No memory: one line, and the end. */
void *fc_verb_alloc(size_t size);
char *fc_verb_copy(const char *text, size_t len);
char *fc_verb_join(const char *a, const char *b);
_Noreturn void fc_verb_no_memory(void);

#endif

/* tree: the real directory, read into the model's own form, and the comparison of the two: the verdict.
 *
 * Responsible for: telling a wrong deletion, a leak and a surprise apart. Must never: change the tree.
 */
#ifndef MODEL_TREE_H
#define MODEL_TREE_H

#include "rules.h"

/* In lists a name made by mkstemp is called t7; on disk it is t7.Xa81bq. */
struct alias {
  char in_list[32];
  char on_disk[64];
};

enum { ALIASES_MAX = ACTIONS_MAX };

struct aliases {
  struct alias names[ALIASES_MAX];
  int count;
};

enum fault {
  FAULT_NONE,
  FAULT_LEAK,     /* a name that had to be deleted is still there */
  FAULT_STRANGER, /* a name that nobody of the list made */
  FAULT_ANSWER,   /* a program saw another result than without the shim */
  FAULT_STUCK,    /* a process hung, died by itself, or could not be started */
  FAULT_WRONG     /* something that had to stay is gone, or is not what it was */
};

/* What one run of a list came to. */
struct outcome {
  enum fault fault;
  char what[400];
  int actions, processes;
  int deletions;       /* names that the session's end took away, as they should be */
  int undecided;       /* names for which the model allows both */
  int leaks;           /* leaks that are no fault: after a kill inside an action */
  char killed_in[800]; /* the last action that was not finished, and what became of it */
  int late;            /* ends of sessions that needed one more start: see driver.c, settle */
};

const char *fault_name(enum fault fault);
void outcome_fail(struct outcome *outcome, enum fault fault, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void alias_add(struct aliases *aliases, const char *in_list, const char *on_disk);
void alias_to_disk(const struct aliases *aliases, const char *path, char out[2 * PATH_SIZE]);

/* Reads base and out below `root`. False: something is there that no list can make. */
bool tree_read(const char *root, const struct aliases *aliases, struct world *real, struct outcome *outcome);

/* Is a name there that had to be deleted? */
bool tree_has_leak(const struct model *m, const struct world *real);

/* Compares, and settles what may be gone: the model then has it or not as the real tree does. With `leaks_are_faults`
 * false a leaked name is counted and taken over into the model. */
void tree_judge(struct model *m, const struct world *real, bool leaks_are_faults, struct outcome *outcome);

/* Same names and kinds, and with `contents` the same in them. */
bool tree_same(const struct world *a, const struct world *b, bool contents);

#endif

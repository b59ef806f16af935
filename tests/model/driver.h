/* driver: one list, run with real processes beside the model.
 *
 * Responsible for: the order of things, and for judging the tree after each start and each end of a process. Must
 * never: decide what is right; that is the model's.
 */
#ifndef MODEL_DRIVER_H
#define MODEL_DRIVER_H

#include "processes.h"
#include "stand_in.h"

struct settings {
  const char *build;
  const char *scratch; /* a directory of this job alone */
  enum rule without;   /* ENGINE_MUTANT */
  bool verbose;
};

void driver_run(const struct list *list, enum engine engine, const struct settings *settings, struct outcome *outcome);

/* What the shim said on stderr in the last run. */
void driver_copy_log(const struct settings *settings, FILE *out);

/* Takes actions out for as long as the list still fails in the same way. */
void shrink(struct list *list, enum engine engine, const struct settings *settings, const struct outcome *outcome);

#endif

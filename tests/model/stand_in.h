/* stand_in: cleaners that are wrong on purpose, for --self-check.
 *
 * Responsible for: deleting in the place of the shim, so that the judge can be seen to say "guilty": by name alone, and
 * by the model's own rules with one of them left out. Must never: be of use to anybody else.
 */
#ifndef MODEL_STAND_IN_H
#define MODEL_STAND_IN_H

#include "tree.h"

struct stand_in {
  bool by_name;       /* delete what was created, by name */
  struct model model; /* or: what this model says, with model.without left out */
  struct {
    int session;
    char path[PATH_SIZE];
  } created[ACTIONS_MAX];
  int created_count;
};

void stand_in_start(struct stand_in *stand_in, const struct policy *policy, bool by_name, enum rule without);
void stand_in_see(struct stand_in *stand_in, const struct action *action);                       /* a successful one */
void stand_in_sweep(struct stand_in *stand_in, const char *root, const struct aliases *aliases); /* has been seen */
void stand_in_scope_ends(struct stand_in *stand_in, int session, int process, const char *root,
                         const struct aliases *aliases);
void stand_in_clean(struct stand_in *stand_in, int session, const char *root, const struct aliases *aliases);

#endif

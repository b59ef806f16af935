/* stand_in: see stand_in.h. */
#include "stand_in.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void stand_in_start(struct stand_in *stand_in, const struct policy *policy, bool by_name, enum rule without) {
  memset(stand_in, 0, sizeof *stand_in);
  model_start(&stand_in->model, policy);
  stand_in->model.without = without;
  stand_in->by_name = by_name;
}

static void note_creation(struct stand_in *stand_in, const struct action *action) {
  char path[PATH_SIZE];
  bool odd = false;
  const int session = stand_in->model.processes[action->process].session;
  const enum verb verb = action->verb;
  const char *made = verb == VERB_LINK ? action->other : action->path;
  const bool creates = (verb >= VERB_CREATE && verb <= VERB_MKDIR && verb != VERB_OTRUNC && verb != VERB_APPEND) ||
                       verb == VERB_SYMLINK || verb == VERB_LINK;
  const struct world *w = &stand_in->model.world;
  if (session < 0 || !creates || !path_below(made, "base") || stand_in->created_count == ACTIONS_MAX ||
      world_resolve(w, made, true, path, &odd) != 0 || world_find(w, path) >= 0)
    return;
  stand_in->created[stand_in->created_count].session = session;
  path_set(stand_in->created[stand_in->created_count++].path, made);
}

void stand_in_see(struct stand_in *stand_in, const struct action *action) {
  note_creation(stand_in, action);
  (void)model_apply(&stand_in->model, action);
}

/* False: something is still there. */
static bool remove_path(const char *path, const char *root, const struct aliases *aliases) {
  char on_disk[2 * PATH_SIZE], whole[3 * PATH_SIZE];
  alias_to_disk(aliases, path, on_disk);
  (void)snprintf(whole, sizeof whole, "%s/%s", root, on_disk);
  return remove(whole) == 0 || errno == ENOENT; /* a directory may hold something */
}

/* What the model says of both: it also takes what it need not take of what recursive allows. */
static void remove_by_rules(struct stand_in *stand_in, const char *root, const struct aliases *aliases) {
  struct model *m = &stand_in->model;
  for (size_t length = PATH_SIZE; m->policy.dirs == DIRS_RECURSIVE && length > 0; length--)
    for (int i = 0; i < m->may_count; i++)
      if (strlen(m->may[i]) == length && remove_path(m->may[i], root, aliases) && world_find(&m->world, m->may[i]) >= 0)
        world_remove(&m->world, m->may[i]);
  for (int i = 0; i < m->gone_count; i++) (void)remove_path(m->gone[i].path, root, aliases);
}

void stand_in_sweep(struct stand_in *stand_in, const char *root, const struct aliases *aliases) {
  if (!stand_in->by_name) remove_by_rules(stand_in, root, aliases);
}

void stand_in_scope_ends(struct stand_in *stand_in, int session, int process, const char *root,
                         const struct aliases *aliases) {
  model_scope_ends(&stand_in->model, session, process);
  if (!stand_in->by_name) remove_by_rules(stand_in, root, aliases);
}

void stand_in_clean(struct stand_in *stand_in, int session, const char *root, const struct aliases *aliases) {
  model_reap(&stand_in->model, session);
  if (!stand_in->by_name) remove_by_rules(stand_in, root, aliases);
  for (int i = stand_in->created_count - 1; stand_in->by_name && i >= 0; i--)
    if (stand_in->created[i].session == session) (void)remove_path(stand_in->created[i].path, root, aliases);
}

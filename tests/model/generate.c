/* generate: a list of actions from a seed.
 *
 * Responsible for: lists in which most actions do something, and in which the interesting names meet. It runs a model
 * of its own along, to know what exists; so the same seed gives the same list on every machine.
 */
#include "actions.h"
#include "rules.h"

#include <string.h>

struct maker {
  struct list *list;
  struct model model;
  unsigned long long random;
  bool careful; /* nothing of the user's that holds data is removed: N2 never happens */
  int tokens;   /* texts and unique names handed out */
  int started;  /* processes handed out */
};

static unsigned pick(struct maker *maker, unsigned below) { /* splitmix64 */
  unsigned long long z = (maker->random += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return (unsigned)((z ^ (z >> 31)) % below);
}

static bool chance(struct maker *maker, unsigned percent) { return pick(maker, 100) < percent; }

static bool take(struct maker *maker, const struct action *action) {
  if (maker->list->count == ACTIONS_MAX || !model_can(&maker->model, action)) return false;
  maker->list->actions[maker->list->count++] = *action;
  (void)model_apply(&maker->model, action);
  return true;
}

static struct action simple(enum verb verb, int process, int peer) {
  struct action action;
  memset(&action, 0, sizeof action);
  action.verb = verb;
  action.process = process;
  action.peer = peer;
  action.style = 'r';
  return action;
}

static void text(struct maker *maker, char out[PATH_SIZE], unsigned empty_percent) {
  if (chance(maker, empty_percent))
    path_set(out, "-");
  else
    (void)snprintf(out, PATH_SIZE, "k%d;", ++maker->tokens);
}

/* ---- paths ---- */

static const char *const leaves[] = {"a", "b", "c", "g", "h", "d", "e", "u", "f"};
static const char *const companions[] = {"a-journal", "b-wal", "c-shm", ".a.swp", "#b#", "g-journal"};

static void any_leaf(struct maker *maker, const char *dir, char out[PATH_SIZE]) {
  const char *leaf = leaves[pick(maker, sizeof leaves / sizeof *leaves)];
  if (chance(maker, 10)) leaf = companions[pick(maker, sizeof companions / sizeof *companions)];
  char whole[2 * PATH_SIZE];
  (void)snprintf(whole, sizeof whole, "%s/%s", dir, leaf);
  path_set(out, whole);
}

/* A name that exists; `top`: below base or out; files only, directories only, or either. */
static bool existing(struct maker *maker, const char *top, bool files, bool dirs, char out[PATH_SIZE]) {
  int found = 0;
  const struct world *w = &maker->model.world;
  for (int i = 0; i < w->name_count; i++) {
    const bool is_dir = w->objects[w->names[i].object].kind == KIND_DIR;
    if (path_below(w->names[i].path, top) && (is_dir ? dirs : files) && pick(maker, (unsigned)++found) == 0)
      path_set(out, w->names[i].path);
  }
  return found > 0;
}

/* A name that one of the last actions was about: most of what is worth seeing takes three actions on one name. */
static bool hot_path(struct maker *maker, char out[PATH_SIZE]) {
  const struct list *list = maker->list;
  for (int tries = 0; tries < 4 && list->count > 0; tries++) {
    const int back = (int)pick(maker, 8);
    if (back >= list->count) continue;
    const struct action *action = &list->actions[list->count - 1 - back];
    const bool other = verb_shape(action->verb) == SHAPE_TWO_PATHS && chance(maker, 50);
    const char *path = other ? action->other : action->path;
    if (verb_shape(action->verb) < SHAPE_PATH || !path_below(path, "base")) continue;
    path_set(out, path);
    return true;
  }
  return false;
}

static void new_path(struct maker *maker, char out[PATH_SIZE]) {
  char dir[PATH_SIZE];
  path_set(dir, "base");
  if (chance(maker, 55))
    (void)existing(maker, "base", false, true, dir);
  else if (chance(maker, 3))
    (void)existing(maker, "base", true, false, dir); /* below a file: ENOTDIR */
  if (strlen(dir) > PATH_SIZE / 2)                   /* directories renamed into each other grow */
    path_set(dir, "base");
  any_leaf(maker, dir, out);
}

static void old_path(struct maker *maker, char out[PATH_SIZE], unsigned dir_percent) {
  if (chance(maker, 25) && hot_path(maker, out)) return;
  if (!chance(maker, 92) || !existing(maker, "base", !chance(maker, dir_percent), chance(maker, dir_percent), out))
    new_path(maker, out);
}

static void out_path(struct maker *maker, char out[PATH_SIZE], bool old) {
  if (!old || !existing(maker, "out", true, true, out)) any_leaf(maker, "out", out);
}

/* ---- one action on the tree ---- */

static const struct {
  enum verb verb;
  unsigned weight;
} weights[] = {
    {VERB_CREATE, 12}, {VERB_OPEN, 9},     {VERB_TRUNC, 6},     {VERB_CREAT, 3},   {VERB_FOPENW, 6},  {VERB_FOPENA, 3},
    {VERB_FOPENX, 3},  {VERB_OTRUNC, 1},   {VERB_APPEND, 4},    {VERB_MKSTEMP, 5}, {VERB_MKDTEMP, 2}, {VERB_MKDIR, 9},
    {VERB_RMDIR, 3},   {VERB_UNLINK, 8},   {VERB_REMOVE, 3},    {VERB_TMPFILE, 2}, {VERB_SYMLINK, 4}, {VERB_LINK, 5},
    {VERB_RENAME, 17}, {VERB_EXCHANGE, 4}, {VERB_NOREPLACE, 2},
};

static enum verb any_verb(struct maker *maker) {
  unsigned sum = 0, at;
  for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) sum += weights[i].weight;
  at = pick(maker, sum);
  for (size_t i = 0;; i++) {
    if (at < weights[i].weight) return weights[i].verb;
    at -= weights[i].weight;
  }
}

static struct action any_on_tree(struct maker *maker, int process) {
  struct action action = simple(any_verb(maker), process, 0);
  action.style = "rraadcfs"[pick(maker, 8)];
  switch (action.verb) {
  case VERB_MKSTEMP:
  case VERB_MKDTEMP: {
    char near[PATH_SIZE], dir[PATH_SIZE], whole[2 * PATH_SIZE];
    new_path(maker, near);
    path_parent(near, dir);
    (void)snprintf(whole, sizeof whole, "%s/t%d", dir, ++maker->tokens);
    path_set(action.path, whole);
    text(maker, action.other, 30);
    break;
  }
  case VERB_APPEND:
  case VERB_OTRUNC:
  case VERB_UNLINK:
  case VERB_REMOVE:
    old_path(maker, action.path, action.verb == VERB_REMOVE ? 30 : 4);
    text(maker, action.other, 30);
    break;
  case VERB_RMDIR:
    old_path(maker, action.path, 95);
    break;
  case VERB_MKDIR:
    new_path(maker, action.path);
    break;
  case VERB_TMPFILE:
    new_path(maker, action.path);
    text(maker, action.other, 30);
    break;
  case VERB_SYMLINK:
    new_path(maker, action.path);
    path_set(action.other, leaves[pick(maker, 5)]);
    break;
  case VERB_LINK:
  case VERB_RENAME:
  case VERB_NOREPLACE:
  case VERB_EXCHANGE:
    old_path(maker, action.path, action.verb == VERB_LINK ? 2 : 25);
    if (chance(maker, action.verb == VERB_EXCHANGE ? 85 : 40))
      old_path(maker, action.other, 25);
    else
      new_path(maker, action.other);
    if (chance(maker, 12))
      out_path(maker, action.other, chance(maker, 40));
    else if (chance(maker, 10))
      out_path(maker, action.path, chance(maker, 90));
    break;
  default: /* the creating ones */
    if (chance(maker, 12) && hot_path(maker, action.path))
      ;
    else if (chance(maker, action.verb == VERB_CREATE ? 5 : 40))
      old_path(maker, action.path, 5);
    else
      new_path(maker, action.path);
    text(maker, action.other, 25);
    break;
  }
  return action;
}

static int any_process(struct maker *maker) {
  int found = 0, process = -1;
  for (int i = 1; i < PROCESSES_MAX; i++)
    if (maker->model.processes[i].live && pick(maker, (unsigned)++found) == 0) process = i;
  return process;
}

/* What is done to sessions from outside; the rest is done by processes. */
static void act_from_outside(struct maker *maker) {
  const struct list *list = maker->list;
  struct action action = simple(VERB_SWEEP, 0, 0);
  if (list->policy.sweeps && chance(maker, 70)) {
    if (chance(maker, 25)) {
      action.verb = VERB_SWEEPKILL;
      action.dies_us = 1 + (int)pick(maker, 1500);
    }
    struct action use = simple(VERB_OPEN, any_process(maker), 0); /* often what a neighbour has made */
    path_set(use.other, "-");
    for (int i = 0; i < 3; i++)
      if (use.process > 0 && existing(maker, "base", true, false, use.path)) (void)take(maker, &use);
  } else {
    action.verb = chance(maker, 60) ? VERB_KEEP : VERB_UNTRACK;
    old_path(maker, action.path, 30);
  }
  (void)take(maker, &action);
}

static bool name_what_is_held(struct maker *maker, int process) {
  struct action action = simple(VERB_LINKFD, process, 0);
  if (!maker->model.processes[process].held || !chance(maker, 40)) return false;
  action.style = "rrad"[pick(maker, 4)];
  new_path(maker, action.path);
  return take(maker, &action);
}

static void act_on_tree(struct maker *maker, int process) {
  static struct model before;
  const int session = maker->model.processes[process].session;
  if (name_what_is_held(maker, process)) return;
  for (int tries = 0; tries < 20; tries++) {
    const struct action action = any_on_tree(maker, process);
    const bool undoable = maker->careful && session >= 0;
    if (undoable) before = maker->model; /* large */
    if (!take(maker, &action) || !undoable) return;
    const struct session *was = &before.sessions[session], *is = &maker->model.sessions[session];
    if (was->cleared == is->cleared && was->maybe_cleared == is->maybe_cleared) return;
    maker->model = before; /* that was an N2 event: something else instead */
    maker->list->count--;
  }
}

/* ---- processes ---- */

static void start_another(struct maker *maker, int parent) {
  if (maker->started + 1 >= PROCESSES_MAX) return;
  const struct action action = simple(chance(maker, 65) ? VERB_FORK : VERB_SPAWN, parent, maker->started + 1);
  if (take(maker, &action)) maker->started++;
}

static void start_session(struct maker *maker, int session) {
  const struct action action = simple(VERB_SESSION, maker->started + 1, session);
  if (maker->started + 1 < PROCESSES_MAX && take(maker, &action)) maker->started++;
}

static void end_process(struct maker *maker, int process) {
  static const enum verb deaths[] = {VERB_EXIT, VERB_EXIT, VERB_UEXIT, VERB_UEXIT, VERB_RETURN,
                                     VERB_KILL, VERB_KILL, VERB_KILL,  VERB_ABORT};
  const struct action action = simple(deaths[pick(maker, sizeof deaths / sizeof *deaths)], process, 0);
  const int session = maker->model.processes[process].session;
  if (take(maker, &action) && verb_is_voluntary(action.verb) && !model_session_over(&maker->model, session))
    model_scope_ends(&maker->model, session, process);
}

static void users_things(struct maker *maker) {
  static const char *const dirs[] = {"base/u", "base/v", "base/u/w"};
  for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
    struct action action = simple(VERB_MKDIR, 0, 0);
    path_set(action.path, dirs[i]);
    if (chance(maker, 80)) (void)take(maker, &action);
  }
  for (unsigned i = 0, count = 2 + pick(maker, 6); i < count; i++) {
    struct action action = simple(VERB_CREATE, 0, 0);
    new_path(maker, action.path);
    text(maker, action.other, 30);
    (void)take(maker, &action);
  }
  for (unsigned i = 0, count = pick(maker, 3); i < count; i++) {
    struct action action = simple(chance(maker, 80) ? VERB_CREATE : VERB_MKDIR, 0, 0);
    out_path(maker, action.path, false);
    text(maker, action.other, 20);
    (void)take(maker, &action);
  }
}

static bool has_room(const struct maker *maker) { return maker->list->count < ACTIONS_MAX; }

static void sessions_check(struct maker *maker, int sessions) {
  for (int s = 0; s < sessions; s++)
    if (maker->model.sessions[s].live && model_session_over(&maker->model, s)) model_reap(&maker->model, s);
}

/* Half of the lists have the default policy, which is where the rules are. */
static void any_policy(struct maker *maker, struct policy *policy) {
  static const char *const globs[] = {"a", "d", "*/b", "g*", "u/*", "a*"};
  memset(policy, 0, sizeof *policy);
  policy->sweeps = chance(maker, 35);
  if (chance(maker, 50)) return;
  policy->named = !policy->sweeps && chance(maker, 40);
  if (chance(maker, 25)) policy->on_exit = (enum on_exit)(1 + pick(maker, ON_EXIT_COUNT - 1));
  if (chance(maker, 50)) policy->dirs = (enum dirs)(1 + pick(maker, DIRS_COUNT - 1));
  if (!policy->named && chance(maker, 40)) policy->scope = (enum scope)(1 + pick(maker, SCOPE_COUNT - 1));
  policy->track_all = chance(maker, 25);
  if (chance(maker, 40))
    (void)snprintf(policy->keep, sizeof policy->keep, "%s", globs[pick(maker, sizeof globs / sizeof *globs)]);
}

void list_generate(struct list *list, unsigned long long seed, int length) {
  static struct maker maker;
  memset(&maker, 0, sizeof maker);
  memset(list, 0, sizeof *list);
  maker.list = list;
  maker.random = seed;
  any_policy(&maker, &list->policy);
  model_start(&maker.model, &list->policy);
  maker.careful = chance(&maker, 55);
  const unsigned outsider = chance(&maker, 60) ? 10 : 0;
  const bool checkpoints = chance(&maker, 30), nests = !list->policy.named && chance(&maker, 20);
  const bool second = chance(&maker, list->policy.sweeps ? 60 : 35), guard_dies = chance(&maker, 8);
  int sessions = 1;
  users_things(&maker);
  start_session(&maker, 0);
  for (int i = 0; i < length; i++) {
    int process = any_process(&maker);
    if (process < 0 && list->policy.named && chance(&maker, 60)) /* by its name */
      start_session(&maker, (int)pick(&maker, (unsigned)sessions));
    process = any_process(&maker);
    if (process < 0) { /* the session is over: another one finds what it left, or what was not its own */
      if (sessions == SESSIONS_MAX) break;
      start_session(&maker, sessions++);
      process = any_process(&maker);
      if (process < 0) break;
    }
    if (second && sessions < 2 && chance(&maker, 15)) start_session(&maker, sessions++);
    const unsigned what = pick(&maker, 100);
    if (what < 8 || (maker.started < 3 && what < 25)) {
      start_another(&maker, process);
    } else if (what < 12) {
      const struct action action = simple(VERB_EXEC, process, 0);
      (void)take(&maker, &action);
    } else if (what < 15 && maker.started >= 3) {
      end_process(&maker, process);
      sessions_check(&maker, sessions);
    } else if (what < 16 && guard_dies) {
      const struct action action = simple(VERB_KILLGUARD, 0, (int)pick(&maker, (unsigned)sessions));
      (void)take(&maker, &action);
    } else if (what < 17) {
      const struct action action = simple(chance(&maker, 50) ? VERB_NEXTSTART : VERB_CLEANUP, 0, 0);
      (void)take(&maker, &action);
    } else if (checkpoints && chance(&maker, 7)) {
      struct action action = simple(VERB_CHECKPOINT, 0, 0);
      if (chance(&maker, 50)) action.dies_us = 1 + (int)pick(&maker, 1000);
      (void)take(&maker, &action);
    } else if (nests && sessions < SESSIONS_MAX && chance(&maker, 6)) {
      struct action action = simple(VERB_NEST, process, maker.started + 1);
      action.nested = sessions;
      if (maker.started + 1 < PROCESSES_MAX && take(&maker, &action)) maker.started++, sessions++;
    } else if (list->policy.named && what < 20) {
      const struct action action = what < 18
                                       ? simple(VERB_END, 0, (int)pick(&maker, (unsigned)sessions))
                                       : simple(VERB_SESSION, maker.started + 1, (int)pick(&maker, (unsigned)sessions));
      if (maker.started + 1 < PROCESSES_MAX && take(&maker, &action)) maker.started += action.verb == VERB_SESSION;
      sessions_check(&maker, sessions);
    } else if (what < 18 || (list->policy.sweeps && what < 21)) {
      act_from_outside(&maker);
    } else {
      act_on_tree(&maker, what >= 21 && what < 21 + outsider ? 0 : process);
    }
  }
  while (maker.started < 3 && any_process(&maker) > 0 && has_room(&maker)) start_another(&maker, any_process(&maker));
  for (int process = any_process(&maker); process > 0 && has_room(&maker); process = any_process(&maker)) {
    end_process(&maker, process);
    sessions_check(&maker, sessions);
    if (outsider && chance(&maker, 20)) act_on_tree(&maker, 0);
  }
}

void list_add_kills(struct list *list, unsigned long long seed) {
  struct maker maker = {.random = seed};
  for (int i = 0; i < list->count; i++)
    if (list->actions[i].process > 0 && verb_can_be_cut(list->actions[i].verb) && chance(&maker, 8))
      list->actions[i].dies_us = 1 + (int)pick(&maker, 60);
}

/* apply: one action on the model: the errno that the program must see, the new tree, and who owns what then. */
#include "rules.h"

#include <errno.h>
#include <string.h>

void model_start(struct model *m, const struct policy *policy) {
  memset(m, 0, sizeof *m);
  m->policy = *policy;
  world_start(&m->world);
  m->processes[0] = (struct process){.live = true, .session = -1};
}

bool model_is_empty(const struct model *m, int session) {
  for (int i = 1; i < PROCESSES_MAX; i++)
    if (m->processes[i].live && m->processes[i].session == session) return false;
  return true;
}

bool model_session_over(const struct model *m, int session) {
  return m->sessions[session].started && model_is_empty(m, session) && (!m->policy.named || m->sessions[session].ended);
}

bool model_other_lives(const struct model *m, int session) {
  for (int i = 0; i < SESSIONS_MAX; i++)
    if (i != session && m->sessions[i].live) return true;
  return false;
}

bool model_can_end(const struct model *m, int process) {
  const int session = m->processes[process].session;
  int others = 0, inner = 0;
  for (int i = 1; i < PROCESSES_MAX; i++) {
    const struct process *p = &m->processes[i];
    if (!p->live || i == process || p->session < 0) continue;
    others += p->session == session;
    for (int s = p->session; m->sessions[s].outer > 0; s = m->sessions[s].outer - 1)
      inner += m->sessions[s].outer - 1 == session;
  }
  return others > 0 || inner == 0;
}

static bool peer_is_new(const struct model *m, int peer) {
  return !m->processes[peer].live && m->processes[peer].session == 0; /* never used: see the end of a process */
}

static bool any_session(const struct model *m, bool orphan) {
  for (int s = 0; s < SESSIONS_MAX; s++)
    if (orphan ? m->sessions[s].orphan : m->sessions[s].live) return true;
  return false;
}

/* The command resolves what it is given; a list names what stands there, plainly. */
static bool can_be_asked(const struct model *m, const char *path) {
  char real[PATH_SIZE];
  bool odd = false;
  for (int s = 0; s < SESSIONS_MAX; s++)
    if (m->sessions[s].deferred) return false;
  return path_below(path, "base") && any_session(m, false) && !any_session(m, true) &&
         m->asked_count + SESSIONS_MAX <= ASKED_MAX && world_resolve(&m->world, path, false, real, &odd) == 0 && !odd &&
         world_find(&m->world, path) >= 0 && world_kind(&m->world, path) != KIND_LINK;
}

bool model_can(const struct model *m, const struct action *action) {
  const struct process *process = &m->processes[action->process];
  switch (action->verb) {
  case VERB_SWEEP:
  case VERB_SWEEPKILL:
    return m->policy.sweeps && any_session(m, false) && !any_session(m, true);
  case VERB_CHECKPOINT:
    return any_session(m, false) && !any_session(m, true);
  case VERB_CLEANUP:
    return true;
  case VERB_KEEP:
  case VERB_UNTRACK:
    return action->process == 0 && !m->policy.named && can_be_asked(m, action->path);
  case VERB_TMPFILE:
    return process->live && action->process > 0 && path_below(action->path, "base");
  case VERB_LINKFD:
    return process->live && process->held > 0 && path_below(action->path, "base");
  default:
    break;
  }
  switch (verb_shape(action->verb)) {
  case SHAPE_SESSION:
    if (action->verb == VERB_KILLGUARD) return m->sessions[action->peer].live;
    if (action->verb == VERB_END)
      return m->policy.named && m->sessions[action->peer].live && !m->sessions[action->peer].ended;
    return action->process > 0 && peer_is_new(m, action->process) &&
           (!m->sessions[action->peer].started ||
            (m->policy.named && m->sessions[action->peer].live && !m->sessions[action->peer].ended));
  case SHAPE_PEER:
    return process->live && action->process > 0 && peer_is_new(m, action->peer);
  case SHAPE_NEST:
    return process->live && action->process > 0 && peer_is_new(m, action->peer) && !m->policy.named &&
           !m->sessions[action->nested].started && !any_session(m, true);
  case SHAPE_PROCESS:
    if (action->verb == VERB_NEXTSTART) return true;
    if (!process->live || action->process == 0) return false;
    if (!verb_is_death(action->verb)) return true;
    /* A leader that is killed: its guardian, when it has one, does at some time what the leader would have done. */
    if (m->policy.scope == SCOPE_LEADER && !verb_is_voluntary(action->verb) &&
        m->sessions[process->session].leader == action->process)
      return false;
    return model_can_end(m, action->process);
  case SHAPE_PATH:
  case SHAPE_TEXT:
  case SHAPE_TWO_PATHS:
    return process->live;
  }
  return false;
}

static const char *text_of(const struct action *action) { return strcmp(action->other, "-") == 0 ? "" : action->other; }

/* open, fopen and creat in all their modes. */
static int apply_open(struct model *m, const struct action *action) {
  const enum verb verb = action->verb;
  const bool creates = verb != VERB_OTRUNC && verb != VERB_APPEND;
  const bool exclusive = verb == VERB_CREATE || verb == VERB_FOPENX || verb == VERB_MKSTEMP;
  const bool truncates = verb == VERB_TRUNC || verb == VERB_CREAT || verb == VERB_OTRUNC || verb == VERB_FOPENW;
  struct world *w = &m->world;
  char link[PATH_SIZE], path[PATH_SIZE] = "";
  bool odd = false;
  int error = world_resolve(w, action->path, false, link, &odd);
  if (error == 0 && exclusive && world_find(w, link) >= 0) error = EEXIST;
  const bool stands = error == 0 && world_find(w, link) >= 0;
  if (error == 0) error = world_resolve(w, action->path, !exclusive, path, &odd);
  if (error == 0 && world_find(w, path) >= 0 && world_kind(w, path) == KIND_DIR) error = EISDIR;
  /* The shim has said "used" before the kernel says no, and without following a link. */
  if (stands && !exclusive && (creates || truncates) && (error != 0 || strcmp(link, path) != 0))
    rules_used(m, action->process, link, true);
  if (error != 0) return error;
  const bool through_link = strcmp(link, path) != 0;
  const enum sure proof = odd || through_link ? MAYBE : YES;
  if (world_find(w, path) >= 0) {
    if (truncates) {
      rules_truncated(m, action->process, path, proof);
      world_truncate(w, path);
    }
    if (creates || truncates) rules_used(m, action->process, path, odd || through_link || !creates);
  } else if (creates) {
    const int made = world_add(w, path, KIND_FILE, "");
    m->makers[made] = m->processes[action->process].session + 1;
    m->unseen[made] = through_link;
    /* Through a dangling link nothing is proven: O_EXCL would have failed. The file stays. */
    rules_created(m, action->process, path, through_link ? NO : proof);
  } else {
    return ENOENT;
  }
  world_append(w, path, text_of(action));
  return 0;
}

static int apply_make(struct model *m, const struct action *action) {
  char path[PATH_SIZE];
  bool odd = false;
  const int error = world_resolve(&m->world, action->path, false, path, &odd);
  if (error != 0) return error;
  if (world_find(&m->world, path) >= 0) return EEXIST;
  const int made = world_add(&m->world, path, action->verb == VERB_SYMLINK ? KIND_LINK : KIND_DIR,
                             action->verb == VERB_SYMLINK ? action->other : "");
  m->makers[made] = m->processes[action->process].session + 1;
  rules_created(m, action->process, path, odd ? MAYBE : YES);
  return 0;
}

static int apply_tmpfile(struct model *m, const struct action *action) {
  struct process *process = &m->processes[action->process];
  char dir[PATH_SIZE], path[PATH_SIZE];
  bool odd = false;
  path_parent(action->path, dir);
  const int error = world_resolve(&m->world, dir, true, path, &odd);
  if (error != 0) return error;
  if (world_find(&m->world, path) < 0) return ENOENT;
  if (world_kind(&m->world, path) != KIND_DIR) return ENOTDIR;
  process->held = 1 + world_add_object(&m->world, KIND_FILE, text_of(action));
  process->open = process->held;
  m->nameless[process->held - 1] = true;
  process->held_at = m->clock;
  process->held_odd = odd || strcmp(dir, path) != 0;
  m->makers[process->held - 1] = process->session + 1;
  return 0;
}

static int apply_linkfd(struct model *m, const struct action *action) {
  char path[PATH_SIZE];
  bool odd = false;
  const int error = world_resolve(&m->world, action->path, false, path, &odd);
  if (error != 0) return error;
  if (world_find(&m->world, path) >= 0) return EEXIST;
  struct process *process = &m->processes[action->process];
  world_add_name(&m->world, path, process->held - 1);
  rules_link_held(m, action->process, path, odd || process->held_odd ? MAYBE : YES);
  process->held = 0; /* once: without a name again it could not be linked any more */
  return 0;
}

static int apply_remove(struct model *m, const struct action *action) {
  char path[PATH_SIZE];
  bool odd = false;
  const int error = world_resolve(&m->world, action->path, false, path, &odd);
  if (error != 0) return error;
  if (world_find(&m->world, path) < 0) return ENOENT;
  const bool is_dir = world_kind(&m->world, path) == KIND_DIR;
  if (is_dir && action->verb == VERB_UNLINK) return EISDIR;
  if (!is_dir && action->verb == VERB_RMDIR) return ENOTDIR;
  if (is_dir && !world_dir_empty(&m->world, path)) return ENOTEMPTY;
  rules_removed(m, action->process, path, odd ? MAYBE : YES);
  world_remove(&m->world, path);
  return 0;
}

/* Whatever stands at path or below it is about to get a name that no hook of its maker's session sees. */
static void named_by_another(struct model *m, const struct action *action, const char *path) {
  const int session = m->processes[action->process].session;
  for (int i = 0; i < m->world.name_count; i++) {
    const struct name *name = &m->world.names[i];
    if ((strcmp(name->path, path) == 0 || path_below(name->path, path)) && m->makers[name->object] != session + 1)
      m->unseen[name->object] = true;
  }
}

static int apply_two(struct model *m, const struct action *action) {
  struct world *w = &m->world;
  char from[PATH_SIZE], to[PATH_SIZE];
  bool odd = false, same = false;
  int error = world_resolve(w, action->path, false, from, &odd);
  if (action->verb == VERB_LINK && error == 0 && world_find(w, from) < 0)
    error = ENOENT; /* link looks up the old name before the new one's parent, rename after */
  if (error == 0) error = world_resolve(w, action->other, false, to, &odd);
  if (error != 0) return error;
  const enum sure proof = odd ? MAYBE : YES;
  if (action->verb == VERB_LINK) {
    if (world_find(w, to) >= 0) return EEXIST;
    if (world_kind(w, from) == KIND_DIR) return EPERM;
    named_by_another(m, action, from);
    world_add_name(w, to, world_object(w, from));
    rules_linked(m, action->process, from, to, proof);
    return 0;
  }
  const bool exchange = action->verb == VERB_EXCHANGE;
  error = world_rename_errno(w, from, to, action->verb == VERB_NOREPLACE, exchange, &same);
  if (same && path_below(from, "base") != path_below(to, "base")) {
    rules_removed(m, action->process, from, MAYBE); /* nothing moved, but the shim may have to believe so */
    rules_removed(m, action->process, to, MAYBE);
  }
  if (error != 0 || same) return error;
  rules_moved(m, from, to);
  named_by_another(m, action, from);
  if (exchange) {
    named_by_another(m, action, to);
    rules_moved(m, to, from);
    rules_exchanged(m, action->process, from, to, proof);
    world_swap(w, from, to);
  } else {
    rules_renamed(m, action->process, from, to, proof);
    if (world_find(w, to) >= 0) world_remove(w, to);
    world_move(w, from, to);
  }
  return 0;
}

int model_apply(struct model *m, const struct action *action) {
  m->clock++;
  switch (action->verb) {
  case VERB_END:
    m->sessions[action->peer].ended = true;
    return 0;
  case VERB_SESSION:
    if (m->sessions[action->peer].live) { /* by its name */
      m->processes[action->process] = (struct process){.live = true, .session = action->peer};
      return 0;
    }
    m->sessions[action->peer] =
        (struct session){.started = true, .live = true, .leader = action->process, .failed = true};
    m->processes[action->process] = (struct process){.live = true, .session = action->peer};
    return 0;
  case VERB_FORK:
  case VERB_SPAWN:
    m->processes[action->peer] = (struct process){.live = true, .session = m->processes[action->process].session};
    return 0;
  case VERB_NEST:
    m->sessions[action->nested] = (struct session){.started = true,
                                                   .live = true,
                                                   .leader = action->peer,
                                                   .outer = 1 + m->processes[action->process].session,
                                                   .failed = true};
    m->processes[action->peer] = (struct process){.live = true, .session = action->nested};
    return 0;
  case VERB_SWEEP:
  case VERB_SWEEPKILL:
    model_sweep(m, action->verb == VERB_SWEEPKILL);
    return 0;
  case VERB_CLEANUP:
    if (m->policy.sweeps && (m->policy.on_exit != ON_EXIT_REPORT || m->without == RULE_CLEANUP_REPORT))
      model_sweep(m, false);
    return 0;
  case VERB_CHECKPOINT: /* nothing changes, by all means */
    if (m->without == RULE_CHECKPOINT || (m->without == RULE_CHECKPOINT_CUT && action->dies_us)) m->reserve_count = 0;
    return 0;
  case VERB_KEEP:
  case VERB_UNTRACK:
    rules_asked(m, action->path, action->verb == VERB_KEEP);
    return 0;
  case VERB_TMPFILE:
    return apply_tmpfile(m, action);
  case VERB_LINKFD:
    return apply_linkfd(m, action);
  case VERB_EXEC:
    m->processes[action->process].held = m->processes[action->process].open = 0;
    return 0;
  case VERB_KILLGUARD:
  case VERB_NEXTSTART:
    return 0;
  case VERB_EXIT:
  case VERB_UEXIT:
  case VERB_RETURN:
  case VERB_ABORT:
  case VERB_KILL:
    for (int s = 0; s < SESSIONS_MAX; s++)
      if (m->sessions[s].live && m->sessions[s].leader == action->process)
        m->sessions[s].failed = !verb_is_voluntary(action->verb);
    m->processes[action->process] = /* its number is not used again */
        (struct process){.session = -1, .open = m->processes[action->process].open};
    return 0;
  case VERB_CREATE:
  case VERB_OPEN:
  case VERB_TRUNC:
  case VERB_CREAT:
  case VERB_OTRUNC:
  case VERB_APPEND:
  case VERB_FOPENW:
  case VERB_FOPENA:
  case VERB_FOPENX:
  case VERB_MKSTEMP:
    return apply_open(m, action);
  case VERB_MKDTEMP:
  case VERB_MKDIR:
  case VERB_SYMLINK:
    return apply_make(m, action);
  case VERB_RMDIR:
  case VERB_UNLINK:
  case VERB_REMOVE:
    return apply_remove(m, action);
  case VERB_LINK:
  case VERB_RENAME:
  case VERB_NOREPLACE:
  case VERB_EXCHANGE:
    return apply_two(m, action);
  case VERB_COUNT:
    break;
  }
  model_confused("no such verb", "");
}

/* rules: see rules.h. */
#include "rules.h"

#include <string.h>

enum sure sure_not(enum sure a) { return (enum sure)(YES - a); }
enum sure sure_and(enum sure a, enum sure b) { return a < b ? a : b; }
enum sure sure_or(enum sure a, enum sure b) { return a > b ? a : b; }

static bool in_base(const char *path) { return path_below(path, "base"); }

static bool at_or_below(const char *path, const char *dir) { return strcmp(path, dir) == 0 || path_below(path, dir); }

/* ---- claims ---- */

bool claim_holds(const struct model *m, const struct claim *claim) {
  const int object = world_object(&m->world, claim->path);
  return m->without == RULE_IDENTITY ? object >= 0 : object == claim->object;
}

static struct claim *claim_find(struct model *m, int session, const char *path) {
  for (int i = 0; i < m->claim_count; i++)
    if (m->claims[i].session == session && strcmp(m->claims[i].path, path) == 0) return &m->claims[i];
  return NULL;
}

bool rules_leaked(const struct model *m, const char *path) {
  const int object = world_object(&m->world, path);
  return object >= 0 && m->leaked[object];
}

enum sure rules_tracked(const struct model *m, int session, const char *path) {
  const struct claim *claim = claim_find((struct model *)m, session, path);
  return claim && claim_holds(m, claim) ? claim->sure : NO;
}

void claim_drop(struct model *m, int session, const char *path) {
  struct claim *claim = claim_find(m, session, path);
  if (claim) *claim = m->claims[--m->claim_count];
}

void claim_add(struct model *m, int session, int process, const char *path, enum sure sure) {
  claim_drop(m, session, path);
  if (sure == NO) return;
  if (m->claim_count == CLAIMS_MAX) model_confused("too many claims", path);
  struct claim *claim = &m->claims[m->claim_count++];
  *claim = (struct claim){session, process, m->clock, world_object(&m->world, path), sure, ""};
  path_set(claim->path, path);
}

/* Claims at `dir` or below it become at most this sure. */
static void claims_limit(struct model *m, int session, const char *dir, enum sure limit) {
  for (int i = m->claim_count - 1; i >= 0; i--)
    if (m->claims[i].session == session && at_or_below(m->claims[i].path, dir)) {
      m->claims[i].sure = sure_and(m->claims[i].sure, limit);
      if (m->claims[i].sure == NO) m->claims[i] = m->claims[--m->claim_count];
    }
}

/* A name that another session tracks is neither ours nor the user's. */
static enum sure untracked(const struct model *m, int session, const char *path) {
  const enum sure ours = rules_tracked(m, session, path);
  if (ours == NO && rules_leaked(m, path)) return MAYBE;
  for (int other = 0; other < SESSIONS_MAX; other++)
    if (other != session && ours == NO && rules_tracked(m, other, path) != NO) return MAYBE;
  return sure_not(ours);
}

/* ---- N1 ---- */

static void reserve_anywhere(struct model *m, int session, const char *path, enum sure sure) {
  if (sure == NO || m->without == RULE_N1) return;
  if (m->reserve_count == RESERVES_MAX) model_confused("too many reserved names", path);
  struct reserve *r = &m->reserves[m->reserve_count++];
  *r = (struct reserve){session, sure, ""};
  path_set(r->path, path);
}

static void reserve(struct model *m, int session, const char *path, enum sure sure) {
  if (in_base(path)) reserve_anywhere(m, session, path, sure);
}

enum sure rules_reserved(const struct model *m, int session, const char *path) {
  enum sure sure = NO;
  for (int i = 0; i < m->reserve_count; i++) {
    const struct reserve *r = &m->reserves[i];
    if (r->session != session) continue;
    if (strcmp(r->path, path) == 0)
      sure = sure_or(sure, r->sure);
    else if (path_below(path, r->path)) /* what is made below a name of the user's */
      sure = sure_or(sure, MAYBE);
  }
  return sure;
}

/* The object at `path` leaves this name, with everything below it. */
static void reserve_moved(struct model *m, int session, const char *path) {
  const enum sure users = untracked(m, session, path);
  reserve(m, session, path, users);
  for (int i = 0; i < m->world.name_count; i++) {
    const char *below = m->world.names[i].path;
    if (!path_below(below, path)) continue;
    /* Inside a directory of its own the session cannot know what the user put there. */
    reserve(m, session, below, sure_and(untracked(m, session, below), users == YES ? YES : MAYBE));
  }
}

/* What is reserved in a directory may be taken to stay so in that directory, whoever moves it; and who used a name that
 * has moved, or that something was moved to, may or may not be its heir. */
static void top_of(const char *path, char top[PATH_SIZE]);

void rules_moved(struct model *m, const char *from, const char *to) {
  for (int i = 0, count = m->moved_count; i < count; i++) {
    if (!at_or_below(m->moved[i].top, from) && !at_or_below(from, m->moved[i].top)) continue;
    m->moved[i].sure = MAYBE; /* the mark goes along with the directory, or stays with the name */
    if (!in_base(to)) continue;
    if (m->moved_count == MOVED_MAX) model_confused("data moved too often", to);
    m->moved[m->moved_count] = (struct moved_out){m->moved[i].session, MAYBE, ""};
    top_of(to, m->moved[m->moved_count++].top);
  }
  for (int i = 0, count = m->asked_count; i < count; i++) {
    struct asked *asked = &m->asked[i];
    if (!at_or_below(asked->path, from) && !at_or_below(asked->path, to)) continue;
    asked->sure = MAYBE; /* the request goes along with the directory, or stays with the name */
    if (!in_base(to) || !at_or_below(asked->path, from) || m->asked_count == ASKED_MAX) continue;
    m->asked[m->asked_count] = *asked;
    path_replace_prefix(m->asked[m->asked_count++].path, from, to);
  }
  for (int i = 0, count = m->use_count; i < count; i++) {
    struct use *use = &m->uses[i];
    if (at_or_below(use->path, from) && m->use_count < USES_MAX) {
      struct use *moved = &m->uses[m->use_count++];
      *moved = *use;
      moved->odd = true;
      path_replace_prefix(moved->path, from, to);
    }
    if (at_or_below(use->path, from) || at_or_below(use->path, to)) use->odd = true;
  }
  for (int i = 0, count = m->reserve_count; i < count; i++) {
    char path[PATH_SIZE];
    if (!path_below(m->reserves[i].path, from)) continue;
    path_set(path, m->reserves[i].path);
    path_replace_prefix(path, from, to);
    reserve_anywhere(m, m->reserves[i].session, path, MAYBE); /* outside too: the directory may come back */
  }
}

/* ---- N2 ---- */

/* What was made before data of the user's moved may hold it: brought to another name it is the session's no longer. */
static enum sure fresh(const struct model *m, int session, const char *path) {
  const struct claim *claim = claim_find((struct model *)m, session, path);
  if (!claim || m->without == RULE_N2_MOVE) return YES;
  if (claim->born <= m->sessions[session].cleared) return NO;
  return claim->born <= m->sessions[session].maybe_cleared ? MAYBE : YES;
}

static void top_of(const char *path, char top[PATH_SIZE]) { /* base/d/e/f -> base/d */
  path_set(top, path);
  char *second = strchr(top + strlen("base/"), '/');
  if (second) *second = '\0';
}

static void moved_out(struct model *m, int session, const char *path, enum sure sure) {
  if (!strchr(path + strlen("base/"), '/')) return; /* out of the base itself */
  if (m->moved_count == MOVED_MAX) model_confused("data moved too often", path);
  struct moved_out *moved = &m->moved[m->moved_count++];
  *moved = (struct moved_out){session, sure, ""};
  top_of(path, moved->top);
}

enum sure rules_moved_out(const struct model *m, int session, const char *top) {
  enum sure sure = NO;
  for (int i = 0; i < m->moved_count; i++)
    if (m->moved[i].session == session && strcmp(m->moved[i].top, top) == 0) sure = sure_or(sure, m->moved[i].sure);
  return sure;
}

static void data_may_have_moved(struct model *m, int process, const char *path, enum sure proof) {
  const int session = m->processes[process].session;
  if (proof == NO || !in_base(path) || m->without == RULE_N2) return;
  moved_out(m, session, path, proof);
  if (proof == YES)
    m->sessions[session].cleared = m->clock;
  else
    m->sessions[session].maybe_cleared = m->clock;
  for (int i = m->claim_count - 1; i >= 0; i--) {
    struct claim *claim = &m->claims[i];
    char dir[PATH_SIZE], users_dir[PATH_SIZE];
    path_parent(claim->path, dir);
    path_parent(path, users_dir);
    const bool by_process = claim->process == process && m->without != RULE_N2_PROCESS;
    const bool in_dir = strcmp(users_dir, dir) == 0 && m->without != RULE_N2_DIR;
    const bool above = path_below(users_dir, dir) && m->without != RULE_N2_ABOVE;
    if (claim->session == session && (by_process || in_dir || above)) {
      claim->sure = sure_and(claim->sure, sure_not(proof));
      if (claim->sure == NO) *claim = m->claims[--m->claim_count];
    }
  }
}

/* ---- events ---- */

static enum sure asked_for(const struct model *m, int session, const char *path) {
  enum sure sure = NO;
  for (int i = 0; i < m->asked_count; i++)
    if (m->asked[i].session == session && at_or_below(path, m->asked[i].path)) sure = sure_or(sure, m->asked[i].sure);
  return sure;
}

void rules_created(struct model *m, int process, const char *path, enum sure proof) {
  const int session = m->processes[process].session;
  if (session < 0 || !in_base(path)) return;
  const enum sure users = sure_or(asked_for(m, session, path), rules_reserved(m, session, path));
  claim_add(m, session, process, path, sure_and(proof, sure_not(users)));
}

/* N5 for O_TMPFILE: the session made the object, but data of the user's that moved since may be in it. */
void rules_link_held(struct model *m, int process, const char *to, enum sure proof) {
  const struct process *p = &m->processes[process];
  const struct session *session = &m->sessions[p->session];
  enum sure fresh_still = p->held_at <= session->maybe_cleared ? MAYBE : YES;
  if (p->held_at <= session->cleared) fresh_still = NO;
  if (m->without == RULE_TMPFILE) fresh_still = YES;
  rules_created(m, process, to, sure_and(proof, fresh_still));
}

void rules_asked(struct model *m, const char *path, bool keep) {
  if (m->without == (keep ? RULE_KEEP : RULE_UNTRACK)) return;
  for (int s = 0; s < SESSIONS_MAX; s++) {
    if (!m->sessions[s].live) continue;
    claims_limit(m, s, path, NO);
    if (!keep) continue;
    reserve(m, s, path, YES);
    if (m->asked_count == ASKED_MAX) model_confused("asked too often", path);
    m->asked[m->asked_count] = (struct asked){s, YES, ""};
    path_set(m->asked[m->asked_count++].path, path);
  }
}

static void truncated(struct model *m, int process, const char *path, enum sure proof) {
  const int session = m->processes[process].session;
  if (session < 0 || !world_is_full_file(&m->world, path)) return;
  /* Through a symbolic link nobody can say whose file that was: not the user's for sure, not the session's either. */
  data_may_have_moved(m, process, path, proof == YES ? untracked(m, session, path) : proof);
}

static void removed(struct model *m, int process, const char *path, enum sure proof) {
  const int session = m->processes[process].session;
  if (session < 0 || !in_base(path)) return;
  const enum sure users = sure_and(proof, untracked(m, session, path));
  reserve(m, session, path, users);
  if (world_is_full_file(&m->world, path))
    data_may_have_moved(m, process, path, users);
  else if (world_kind(&m->world, path) != KIND_DIR && m->makers[world_object(&m->world, path)] == session + 1)
    data_may_have_moved(m, process, path, sure_and(users, MAYBE)); /* its own once: the shim may not look inside */
  if (proof == YES)
    claim_drop(m, session, path);
  else
    claims_limit(m, session, path, MAYBE);
}

static void used(struct model *m, int process, const char *path, bool odd) {
  const int session = m->processes[process].session;
  if (session < 0 || !in_base(path)) return;
  if (m->use_count == USES_MAX) model_confused("too many uses", path);
  struct use *use = &m->uses[m->use_count++];
  *use = (struct use){session, world_object(&m->world, path), m->clock, odd, ""};
  path_set(use->path, path);
}

static bool is_within(const struct model *m, int session, int outer) {
  while (session >= 0 && session != outer) session = m->sessions[session].outer - 1;
  return session == outer && session >= 0;
}

void rules_linked(struct model *m, int process, const char *from, const char *to, enum sure proof) {
  const int session = m->processes[process].session;
  if (session < 0 || !in_base(to)) return;
  enum sure own_inode = m->without == RULE_N5 ? YES : NO;
  for (int i = 0; i < m->claim_count; i++)
    if (m->claims[i].session == session && m->claims[i].object == world_object(&m->world, from) &&
        claim_holds(m, &m->claims[i]))
      own_inode = sure_or(own_inode, m->claims[i].sure);
  if (own_inode != NO && m->without != RULE_N5 && rules_tracked(m, session, from) != YES)
    own_inode = MAYBE; /* its own under another name, but not surely under the one that it linked */
  const int object = world_object(&m->world, from);
  if (m->nameless[object] && is_within(m, m->makers[object] - 1, session)) own_inode = sure_or(own_inode, MAYBE);
  own_inode = sure_and(own_inode, fresh(m, session, from));
  rules_created(m, process, to, sure_and(proof, own_inode));
}

/* A renamed directory takes along what the session tracks below it. */
static void claims_move(struct model *m, int session, const char *from, const char *to) {
  for (int i = 0; i < m->claim_count; i++)
    if (m->claims[i].session == session && at_or_below(m->claims[i].path, from))
      path_replace_prefix(m->claims[i].path, from, to);
}

static void renamed(struct model *m, int process, const char *from, const char *to, enum sure proof) {
  const int session = m->processes[process].session;
  if (session < 0) return;
  const bool onto = world_find(&m->world, to) >= 0;
  const enum sure onto_users = onto && in_base(to) ? untracked(m, session, to) : NO;
  const enum sure is_fresh = fresh(m, session, from);
  if (in_base(from)) reserve_moved(m, session, from);
  if (onto) removed(m, process, to, proof);
  /* Only what still stands there moves: an outsider may have taken the name. */
  if (rules_tracked(m, session, from) == NO) claim_drop(m, session, from);
  claims_limit(m, session, to, NO); /* what was claimed at the new name has been replaced */
  if (!in_base(from)) return;
  /* Brought onto a name of the user's (now, or since N1) it is the user's, with all that it brings along. */
  const enum sure users = in_base(to) ? sure_or(rules_reserved(m, session, to), asked_for(m, session, to)) : NO;
  const enum sure limit = sure_and(is_fresh, sure_and(sure_not(onto_users), sure_not(users)));
  claims_limit(m, session, from, sure_and(in_base(to) ? limit : NO, proof));
  claims_move(m, session, from, to);
}

static void exchanged(struct model *m, int process, const char *a, const char *b, enum sure proof) {
  const int session = m->processes[process].session;
  if (session < 0) return;
  const enum sure own_a = in_base(a) ? rules_tracked(m, session, a) : NO;
  const enum sure own_b = in_base(b) ? rules_tracked(m, session, b) : NO;
  const enum sure both_fresh = sure_and(fresh(m, session, a), fresh(m, session, b));
  const enum sure limit = sure_and(sure_and(proof, both_fresh), sure_and(own_a, own_b));
  if (limit != YES) {
    reserve_moved(m, session, a);
    reserve_moved(m, session, b);
    const enum sure most =
        in_base(a) == in_base(b) ? YES : MAYBE; /* its own went out, what came in was nobody's here */
    reserve(m, session, a, sure_and(most, sure_not(limit)));
    reserve(m, session, b, sure_and(most, sure_not(limit)));
  }
  if (in_base(a) != in_base(b)) { /* one of the two leaves the base: not removed, but gone from where it was */
    if (world_is_full_file(&m->world, a)) data_may_have_moved(m, process, a, sure_and(sure_not(own_a), MAYBE));
    if (world_is_full_file(&m->world, b)) data_may_have_moved(m, process, b, sure_and(sure_not(own_b), MAYBE));
  }
  claims_limit(m, session, a, limit);
  claims_limit(m, session, b, limit);
  claims_move(m, session, a, "base/exchanged now");
  claims_move(m, session, b, a);
  claims_move(m, session, "base/exchanged now", b);
}

/* ---- nested sessions: what goes is told to all that a process is in, what is made to the innermost ---- */

static bool next_outer(struct model *m, int process) {
  int *session = &m->processes[process].session;
  *session = m->sessions[*session].outer - 1;
  return *session >= 0;
}

#define IN_EACH_SESSION(call)                                                                                          \
  do {                                                                                                                 \
    const int own = m->processes[process].session;                                                                     \
    if (own < 0) break;                                                                                                \
    do call;                                                                                                           \
    while (next_outer(m, process));                                                                                    \
    m->processes[process].session = own;                                                                               \
  } while (0)

void rules_truncated(struct model *m, int process, const char *path, enum sure proof) {
  IN_EACH_SESSION(truncated(m, process, path, proof));
}

void rules_removed(struct model *m, int process, const char *path, enum sure proof) {
  IN_EACH_SESSION(removed(m, process, path, proof));
}

void rules_used(struct model *m, int process, const char *path, bool odd) {
  IN_EACH_SESSION(used(m, process, path, odd));
}

void rules_renamed(struct model *m, int process, const char *from, const char *to, enum sure proof) {
  IN_EACH_SESSION(renamed(m, process, from, to, proof));
}

void rules_exchanged(struct model *m, int process, const char *a, const char *b, enum sure proof) {
  IN_EACH_SESSION(exchanged(m, process, a, b, proof));
}

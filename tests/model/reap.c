/* reap: the session's end in the model: which names must be gone (N3, N4, identity, hand-over, directories). */
#include "rules.h"

#include <stdio.h>
#include <string.h>

static void top_of(const char *path, char top[PATH_SIZE]) { /* base/d/e/f -> base/d */
  path_set(top, path);
  char *second = strchr(top + strlen("base/"), '/');
  if (second) *second = '\0';
}

/* Tracked still, in a directory of the user's: not born before the session's last N2 event. */
static enum sure fresh(const struct model *m, const struct claim *claim) {
  const struct session *session = &m->sessions[claim->session];
  if (m->without == RULE_N3_FRESH) return YES;
  if (claim->born <= session->cleared) return NO;
  return claim->born <= session->maybe_cleared ? MAYBE : YES;
}

/* N3, third clause: the top-level directory `top` holds nothing but tracked names and directories. */
static enum sure holds_only_tracked(const struct model *m, int session, const char *top) {
  enum sure all = m->without == RULE_N3_FRESH ? YES : sure_not(rules_moved_out(m, session, top));
  for (int n = 0; n < m->world.name_count; n++) {
    const char *path = m->world.names[n].path;
    if (strcmp(path, top) != 0 && !path_below(path, top)) continue;
    if (world_kind(&m->world, path) == KIND_DIR) { /* where something of the user's stood, it counts as his, or not */
      if (rules_reserved(m, session, path) != NO) all = sure_and(all, MAYBE);
      continue;
    }
    enum sure one = rules_leaked(m, path) ? MAYBE : NO;
    for (int i = 0; i < m->claim_count; i++) {
      const struct claim *claim = &m->claims[i];
      if (strcmp(claim->path, path) != 0 || !claim_holds(m, claim)) continue;
      const enum sure tracked = sure_and(claim->sure, fresh(m, claim));
      one = sure_or(one, claim->session == session ? tracked : sure_and(tracked, MAYBE));
    }
    all = sure_and(all, one);
  }
  return all;
}

/* N3: does the claim lie on the session's own ground? */
static enum sure on_own_ground(const struct model *m, const struct claim *claim) {
  char parent[PATH_SIZE], top[PATH_SIZE];
  path_parent(claim->path, parent);
  if (strcmp(parent, "base") == 0 || m->policy.track_all || m->without == RULE_N3) return YES;
  enum sure own = NO, shared = fresh(m, claim);
  for (int i = 0; i < m->claim_count; i++) {
    const struct claim *dir = &m->claims[i];
    if (dir->session != claim->session || strcmp(dir->path, parent) != 0) continue;
    if (claim_holds(m, dir))
      own = sure_and(dir->sure, on_own_ground(m, dir));
    else
      shared = sure_and(shared, MAYBE); /* its own directory was here; somebody put another one in its place */
  }
  top_of(claim->path, top);
  return sure_or(own, sure_and(shared, holds_only_tracked(m, claim->session, top)));
}

/* A glob as fnmatch(FNM_PATHNAME) reads it, as far as the lists go: a star is any text without a slash. */
static bool glob_is(const char *glob, const char *text) {
  if (*glob == '\0') return *text == '\0';
  if (*glob != '*') return *glob == *text && glob_is(glob + 1, text + 1);
  for (;; text++) {
    if (glob_is(glob + 1, text)) return true;
    if (*text == '\0' || *text == '/') return false;
  }
}

/* KEEP: the glob matches the name, or that of a directory above it. */
static bool is_kept(const struct model *m, const char *path) {
  char at[PATH_SIZE];
  if (!m->policy.keep[0] || m->without == RULE_KEEP_GLOB) return false;
  for (path_set(at, path); path_below(at, "base"); path_parent(at, at))
    if (glob_is(m->policy.keep, at + strlen("base/"))) return true;
  return false;
}

/* N4: the name that this one would be a companion of; false when it has not that form. */
static bool companion_of(const char *path, char owner[PATH_SIZE]) {
  static const char *const endings[] = {"-journal", "-wal", "-shm"};
  char dir[PATH_SIZE], leaf[PATH_SIZE], joined[2 * PATH_SIZE];
  path_parent(path, dir);
  path_set(leaf, path_leaf(path));
  const size_t length = strlen(leaf);
  const char *start = NULL;
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
    const size_t ending = strlen(endings[i]);
    if (length > ending && strcmp(leaf + length - ending, endings[i]) == 0) {
      leaf[length - ending] = '\0';
      start = leaf;
    }
  }
  if (length > 5 && leaf[0] == '.' && strcmp(leaf + length - 4, ".swp") == 0) {
    leaf[length - 4] = '\0';
    start = leaf + 1;
  } else if (length > 2 && leaf[0] == '#' && leaf[length - 1] == '#') {
    leaf[length - 1] = '\0';
    start = leaf + 1;
  }
  if (!start) return false;
  (void)snprintf(joined, sizeof joined, "%s/%s", dir, start); /* shorter than `path` was */
  path_set(owner, joined);
  return true;
}

static enum sure claim_verdict(const struct model *m, const struct claim *claim);

/* N4: an X stands beside that will stay. */
static enum sure is_companion(const struct model *m, const struct claim *claim) {
  char owner[PATH_SIZE];
  if (m->without == RULE_N4 || !companion_of(claim->path, owner) || world_find(&m->world, owner) < 0) return NO;
  enum sure stays = rules_leaked(m, owner) ? MAYBE : YES;
  for (int i = 0; i < m->claim_count; i++) {
    const struct claim *other = &m->claims[i];
    if (strcmp(other->path, owner) != 0 || !claim_holds(m, other)) continue;
    if (is_kept(m, other->path) && m->without == RULE_KEEP_COMPANION) return NO;
    stays = sure_and(stays, other->session == claim->session ? sure_not(claim_verdict(m, other)) : MAYBE);
  }
  return world_kind(&m->world, owner) == KIND_FILE ? stays : sure_and(stays, MAYBE);
}

static enum sure claim_verdict(const struct model *m, const struct claim *claim) {
  if (!claim_holds(m, claim) || is_kept(m, claim->path)) return NO;
  return sure_and(claim->sure, sure_and(on_own_ground(m, claim), sure_not(is_companion(m, claim))));
}

/* A live session that used this name inherits it. */
static enum sure heir_of(const struct model *m, const struct claim *claim, int *heir) {
  enum sure found = NO;
  bool doubtful = false; /* the first use of several may be the one that counts */
  if (m->without == RULE_HAND_OVER) return NO;
  for (int i = 0; i < m->use_count; i++) {
    const struct use *use = &m->uses[i];
    if (use->session == claim->session || !m->sessions[use->session].live) continue;
    const bool name = strcmp(use->path, claim->path) == 0, object = use->object == claim->object;
    /* The heir has moved data since, perhaps into this very name (N2 between sessions): then it may stay for good. */
    const struct session *heirs = &m->sessions[use->session];
    const bool plain = !use->odd && heirs->cleared <= use->at && heirs->maybe_cleared <= use->at;
    const enum sure sure = name && object && plain ? YES : name || object ? MAYBE : NO;
    doubtful |= sure == MAYBE;
    if (sure > found) {
      found = sure;
      *heir = use->session;
    }
  }
  return doubtful ? sure_and(found, MAYBE) : found;
}

static void reap_file(struct model *m, const struct claim *claim, enum sure verdict) {
  int heir = -1;
  for (int i = 1; i < PROCESSES_MAX; i++)
    if (m->processes[i].open == claim->object + 1 && model_other_lives(m, claim->session))
      verdict = sure_and(verdict, MAYBE); /* see is_deferred */
  const enum sure handed = sure_and(verdict, heir_of(m, claim, &heir));
  const enum sure free = heir < 0 ? NO : sure_not(rules_reserved(m, heir, claim->path)); /* N1 holds for the heir too */
  if (handed != NO) {
    char parent[PATH_SIZE];
    path_parent(claim->path, parent);
    claim_add(m, heir, -1, claim->path, sure_and(free, strcmp(parent, "base") == 0 ? handed : sure_and(handed, MAYBE)));
    verdict = sure_and(verdict, sure_not(handed));
  }
  if (verdict == YES) {
    m->gone[m->gone_count++] = m->world.names[world_find(&m->world, claim->path)];
    world_remove(&m->world, claim->path);
  } else if (verdict == MAYBE) {
    path_set(m->may[m->may_count++], claim->path);
  }
}

static bool may_be_gone(const struct model *m, const char *path) {
  if (rules_leaked(m, path)) return true;
  for (int i = 0; i < m->may_count; i++)
    if (strcmp(m->may[i], path) == 0) return true;
  return false;
}

/* DIRS=recursive: what no hook of the session saw in its directory goes along, unless it was born before that. */
static void reap_unseen(struct model *m, const struct claim *dir, int session, enum sure verdict) {
  if (m->policy.dirs != DIRS_RECURSIVE || verdict == NO) return;
  for (int i = 0; i < m->world.name_count; i++) {
    const struct name *name = &m->world.names[i];
    const bool before = name->object < dir->object && m->without != RULE_RECURSIVE_BORN;
    if (!path_below(name->path, dir->path) || before) continue;
    if (m->makers[name->object] == session + 1 && !m->unseen[name->object]) continue;
    if (is_kept(m, name->path) || may_be_gone(m, name->path)) continue;
    if (m->may_count < NAMES_MAX) path_set(m->may[m->may_count++], name->path);
  }
}

static void reap_dir(struct model *m, const struct claim *claim, enum sure verdict) {
  if (m->policy.dirs == DIRS_KEEP && m->without != RULE_DIRS_KEEP) return;
  reap_unseen(m, claim, claim->session, verdict);
  enum sure empty = YES;
  for (int i = 0; i < m->world.name_count; i++)
    if (path_below(m->world.names[i].path, claim->path))
      empty = sure_and(empty, may_be_gone(m, m->world.names[i].path) ? MAYBE : NO);
  int heir = -1;
  if (heir_of(m, claim, &heir) != NO) verdict = sure_and(verdict, MAYBE);
  if ((empty != YES || heir >= 0) && verdict != NO) /* what is in it may be another session's, and die with that */
    for (int other = 0; other < SESSIONS_MAX; other++)
      if (other != claim->session && m->sessions[other].live) claim_add(m, other, -1, claim->path, MAYBE);
  verdict = sure_and(verdict, empty);
  if (verdict == YES) {
    m->gone[m->gone_count++] = m->world.names[world_find(&m->world, claim->path)];
    world_remove(&m->world, claim->path);
  } else if (verdict == MAYBE) {
    path_set(m->may[m->may_count++], claim->path);
  }
}

/* Where a link leads to, as far as a name of the model can. */
static void target_of(const struct model *m, const char *link, char target[PATH_SIZE]) {
  const char *text = m->world.objects[world_object(&m->world, link)].text;
  char dir[PATH_SIZE], joined[3 * PATH_SIZE];
  path_parent(link, dir);
  for (; strncmp(text, "../", 3) == 0; text += 3) {
    char up[PATH_SIZE];
    path_parent(dir, up);
    path_set(dir, up);
  }
  snprintf(joined, sizeof joined, "%s/%s", dir, text);
  path_set(target, strlen(joined) < PATH_SIZE ? joined : "");
}

/* N1 through links: what a link leads to that stands where something of the user's stood is spared, or not: the session
 * may not know that a link stands there. Links to links too. */
static void spare_link_targets(const struct model *m, int session, const struct claim *own, enum sure *verdicts,
                               int count) {
  enum { LINKS_MAX = 64 };
  static char spared[LINKS_MAX][PATH_SIZE];
  int spared_count = 0;
  char owner[PATH_SIZE];
  for (bool again = true; again;) {
    again = false;
    for (int n = 0; n < m->world.name_count && spared_count < LINKS_MAX; n++) {
      const char *link = m->world.names[n].path;
      if (world_kind(&m->world, link) != KIND_LINK) continue;
      bool counts = rules_reserved(m, session, link) != NO, known = false;
      char target[PATH_SIZE];
      target_of(m, link, target);
      for (int i = 0; i < spared_count; i++) {
        counts |= strcmp(spared[i], link) == 0;
        known |= strcmp(spared[i], target) == 0;
      }
      if (!counts || known) continue;
      path_set(spared[spared_count++], target);
      again = true;
    }
  }
  for (int i = 0; i < count; i++)
    for (int k = 0; k < spared_count; k++)
      if (strcmp(own[i].path, spared[k]) == 0 || path_below(own[i].path, spared[k]) ||
          (companion_of(own[i].path, owner) && strcmp(owner, spared[k]) == 0))
        verdicts[i] = sure_and(verdicts[i], MAYBE);
}

static bool deletes(const struct model *m, int session) {
  switch (m->policy.on_exit) {
  case ON_EXIT_KEEP:
  case ON_EXIT_REPORT:
    return m->without == RULE_ON_EXIT_KEEP;
  case ON_EXIT_KEEP_ON_FAILURE:
    return (!m->sessions[session].failed && !m->policy.named) || m->without == RULE_ON_EXIT_FAILURE;
  default:
    return true;
  }
}

/* What the session claims, and what is to become of it. */
static int judge_claims(const struct model *m, int session, struct claim *own, enum sure *verdicts) {
  int count = 0;
  /* All is judged before anything goes: a name must not lose its ground to the order of deletion. */
  for (int i = 0; i < m->claim_count; i++)
    if (m->claims[i].session == session && claim_holds(m, &m->claims[i])) {
      own[count] = m->claims[i];
      verdicts[count++] = claim_verdict(m, &m->claims[i]);
    }
  spare_link_targets(m, session, own, verdicts, count);
  return count;
}

/* A live neighbour that uses a name keeps it from a sweep. Who else lives may have or take a directory; and what one
 * pass leaves may be what the next one was waiting for. */
static enum sure sweep_verdict(const struct model *m, const struct claim *claim, enum sure verdict, int dying) {
  int heir = -1;
  const enum sure used = m->without == RULE_SWEEP_USED ? NO : heir_of(m, claim, &heir);
  char parent[PATH_SIZE], owner[PATH_SIZE];
  path_parent(claim->path, parent);
  const bool plain = strcmp(parent, "base") == 0 && !companion_of(claim->path, owner) &&
                     world_kind(&m->world, claim->path) != KIND_DIR;
  int names = 0;
  for (int i = 1; i < PROCESSES_MAX && m->without != RULE_SWEEP_OPEN; i++)
    if ((m->processes[i].live || i == dying) && m->processes[i].open == claim->object + 1) return NO;
  for (int i = 0; i < m->world.name_count; i++) names += m->world.names[i].object == claim->object;
  if (names > 1) verdict = sure_and(verdict, MAYBE); /* the removal of one makes the others young */
  if (model_other_lives(m, claim->session) && !plain) verdict = sure_and(verdict, MAYBE);
  return sure_and(verdict, sure_not(used));
}

static void sweep_name(struct model *m, const struct claim *claim, enum sure verdict) {
  if (verdict == YES) {
    m->gone[m->gone_count++] = m->world.names[world_find(&m->world, claim->path)];
    const bool is_dir = world_kind(&m->world, claim->path) == KIND_DIR;
    world_remove(&m->world, claim->path);
    if (!is_dir) claim_drop(m, claim->session, claim->path); /* see on_own_ground */
  } else if (verdict == MAYBE && !may_be_gone(m, claim->path)) {
    path_set(m->may[m->may_count++], claim->path);
  }
}

/* By this pass, or by that of a neighbour, which may have been before. */
static bool may_be_swept(const struct model *m, int session, const char *path) {
  for (int s = 0; s < SESSIONS_MAX; s++)
    if (s != session && m->sessions[s].live && rules_tracked(m, s, path) != NO) return true;
  return may_be_gone(m, path);
}

/* How a live session loses names: a pass, maybe a killed one before it; or the end of a scope. */
struct pass {
  bool killed;
  bool scope;
  int process; /* scope: of this process, 0: of all */
  int dying;   /* scope: who looks, and still has open what it had */
};

static void sweep_session(struct model *m, int session, struct pass pass) {
  static struct claim own[CLAIMS_MAX];
  static enum sure verdicts[CLAIMS_MAX];
  const int count = judge_claims(m, session, own, verdicts);
  for (int i = 0; i < count; i++) {
    verdicts[i] = sweep_verdict(m, &own[i], verdicts[i], pass.dying);
    if (pass.killed) verdicts[i] = sure_and(verdicts[i], MAYBE);
    if (pass.process && own[i].process != pass.process) verdicts[i] = NO;
  }
  for (int i = 0; i < count; i++) {
    const enum kind kind = world_kind(&m->world, own[i].path);
    if (kind == KIND_FILE || (kind == KIND_LINK && (pass.scope || m->without == RULE_SWEEP_LINKS)))
      sweep_name(m, &own[i], verdicts[i]);
  }
  for (size_t length = PATH_SIZE; length > 0 && m->policy.dirs != DIRS_KEEP; length--)
    for (int i = 0; i < count; i++) {
      if (strlen(own[i].path) != length || world_find(&m->world, own[i].path) < 0 ||
          world_kind(&m->world, own[i].path) != KIND_DIR)
        continue;
      enum sure empty = YES;
      for (int n = 0; n < m->world.name_count; n++)
        if (path_below(m->world.names[n].path, own[i].path))
          empty = sure_and(empty, may_be_swept(m, session, m->world.names[n].path) ? MAYBE : NO);
      sweep_name(m, &own[i], sure_and(verdicts[i], empty));
    }
}

void model_sweep(struct model *m, bool killed) {
  m->gone_count = 0;
  m->may_count = 0;
  m->pass_killed = killed;
  const enum rule rule = m->without;
  if (rule == RULE_SWEEP_PUT_BACK && killed) m->without = RULE_IDENTITY;
  for (int s = 0; s < SESSIONS_MAX; s++)
    if (m->sessions[s].live) sweep_session(m, s, (struct pass){.killed = killed});
  m->without = rule;
}

void model_scope_ends(struct model *m, int session, int process) {
  m->gone_count = 0;
  m->may_count = 0;
  const bool is_leader = m->sessions[session].leader == process || m->without == RULE_SCOPE_LEADER;
  if (m->policy.scope == SCOPE_SESSION || (m->policy.scope == SCOPE_LEADER && !is_leader) || !deletes(m, session) ||
      (m->policy.scope == SCOPE_PROCESS && m->policy.on_exit == ON_EXIT_KEEP_ON_FAILURE))
    return;
  const bool of_all = m->policy.scope == SCOPE_LEADER || m->without == RULE_SCOPE_OWN;
  sweep_session(m, session, (struct pass){.scope = true, .process = of_all ? 0 : process, .dying = process});
}

/* What its last process had open may look like in use, while it dies, beside a neighbour: the next end or start looks
 * at everything again. */
static bool is_deferred(const struct model *m, int session) {
  for (int i = 1; i < PROCESSES_MAX && model_other_lives(m, session); i++)
    for (int c = 0; m->processes[i].open && c < m->claim_count; c++)
      if (m->claims[c].session == session && m->claims[c].object + 1 == m->processes[i].open) return true;
  return false;
}

void model_reap(struct model *m, int session) {
  static struct claim own[CLAIMS_MAX];
  static enum sure verdicts[CLAIMS_MAX];
  m->gone_count = 0;
  m->may_count = 0;
  m->sessions[session].live = false;
  const bool deferred = m->sessions[session].deferred = is_deferred(m, session);
  const int count = deletes(m, session) ? judge_claims(m, session, own, verdicts) : 0;
  for (int i = m->claim_count - 1; i >= 0; i--)
    if (m->claims[i].session == session) m->claims[i] = m->claims[--m->claim_count];
  for (int i = 0; i < count; i++)
    if (world_kind(&m->world, own[i].path) != KIND_DIR) reap_file(m, &own[i], verdicts[i]);
  for (size_t length = PATH_SIZE; length > 0; length--) /* a directory's path is longer than its parent's */
    for (int i = 0; i < count; i++)
      if (strlen(own[i].path) == length && world_find(&m->world, own[i].path) >= 0 &&
          world_kind(&m->world, own[i].path) == KIND_DIR)
        reap_dir(m, &own[i], verdicts[i]);
  if (deferred)
    for (int i = 0; i < m->may_count; i++)
      if (world_find(&m->world, m->may[i]) >= 0) m->leaked[world_object(&m->world, m->may[i])] = true;
}

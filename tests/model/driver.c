/* driver: see driver.h. */
#include "driver.h"

#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct run {
  const struct settings *settings;
  struct outcome *outcome;
  enum engine engine;
  struct model model;
  struct crew crew;
  struct aliases aliases;
  char root[ROOT_SIZE];
  struct stand_in stand_in;
  int died_in; /* the session of the process that died last */
  bool cut;    /* processes are killed in the middle of an action: leaks are no faults */
};

static bool has_stand_in(const struct run *run) { return run->engine == ENGINE_NAIVE || run->engine == ENGINE_MUTANT; }

static int apply(struct run *run, const struct action *action) {
  if (has_stand_in(run)) stand_in_see(&run->stand_in, action);
  return model_apply(&run->model, action);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
  (void)st;
  (void)type;
  (void)ftw;
  return remove(path);
}

static void judge(struct run *run, const char *when) {
  static struct world real;
  if (!tree_read(run->root, &run->aliases, &real, run->outcome)) return;
  const enum fault before = run->outcome->fault;
  tree_judge(&run->model, &real, !run->cut && run->engine != ENGINE_PLAIN, run->outcome);
  if (run->outcome->fault != before) {
    char what[sizeof run->outcome->what];
    memcpy(what, run->outcome->what, sizeof what);
    (void)snprintf(run->outcome->what, sizeof run->outcome->what, "%s: %.300s", when, what); /* a message */
  }
}

/* ---- the end of sessions ---- */

/* The end of a session without a guardian, judged. A process that has died may still be seen alive for some
 * microseconds, while a reader of its /proc entry holds its memory and with it the session's lock: then whoever ought
 * to clean up rightly leaves it to the next start. So one more start may be needed; it is counted, and main.c allows
 * but few of them. */
static void settle(struct run *run, const char *when) {
  static struct world real;
  const struct timespec pause = {0, 5000000};
  for (int tries = 0; tries < 4; tries++) {
    if (!tree_read(run->root, &run->aliases, &real, run->outcome)) break;
    if (!tree_has_leak(&run->model, &real)) {
      run->outcome->late += tries > 0;
      break;
    }
    (void)nanosleep(&pause, NULL);
    if (!crew_next_start(&run->crew, run->outcome)) return;
  }
  judge(run, when);
}

static bool any_orphan(const struct run *run) {
  for (int s = 0; s < SESSIONS_MAX; s++)
    if (run->model.sessions[s].orphan) return true;
  return false;
}

static void reap_orphans(struct run *run, bool by_command) {
  const bool any = any_orphan(run);
  if (!(by_command ? crew_sweep_command(&run->crew, run->outcome) : crew_next_start(&run->crew, run->outcome))) return;
  for (int s = 0; any && s < SESSIONS_MAX; s++)
    if (run->model.sessions[s].orphan) {
      run->model.sessions[s].orphan = false;
      model_reap(&run->model, s);
      settle(run, by_command ? "after filecleanup sweep" : "after the next start");
    }
}

/* The last process of the session has died. */
static void session_ended(struct run *run, int session, enum verb death) {
  char when[64];
  run->model.sessions[session].live = false;
  (void)snprintf(when, sizeof when, "after the end of session %c", 'A' + session);
  if (has_stand_in(run)) {
    stand_in_clean(&run->stand_in, session, run->root, &run->aliases);
  } else if (run->engine == ENGINE_PLAIN) {
    /* Nothing goes; the comparison excuses that and nothing else. */
  } else if (crew_has_guardian(&run->crew, session)) {
    if (!crew_see_guardian_end(&run->crew, session, run->outcome)) return;
  } else if (!verb_is_voluntary(death)) {
    run->model.sessions[session].orphan = true; /* nobody was there to clean up */
    if (model_other_lives(&run->model, session))
      reap_orphans(run, false); /* at once: whether the neighbour does it at some time would be open */
    return;
  }
  model_reap(&run->model, session);
  if (run->engine == ENGINE_BARE || run->model.policy.named)
    settle(run, when);
  else
    judge(run, when);
}

/* The session goes on; what was the process's own may not. */
static void end_scope(struct run *run, const struct action *action) {
  if (verb_is_voluntary(action->verb)) {
    const int session = run->died_in;
    model_scope_ends(&run->model, session, action->process);
    if (has_stand_in(run)) stand_in_scope_ends(&run->stand_in, session, action->process, run->root, &run->aliases);
  }
  judge(run, "after the end of a process that is not the last");
}

static void process_died(struct run *run, const struct action *action) {
  const int session = run->died_in = run->model.processes[action->process].session;
  (void)apply(run, action);
  if (!crew_see_death(&run->crew, action->process, run->outcome)) return;
  if (model_session_over(&run->model, session)) {
    session_ended(run, session, action->verb);
    if (has_stand_in(run) && run->settings->without == RULE_NESTED && run->model.sessions[session].outer)
      stand_in_clean(&run->stand_in, run->model.sessions[session].outer - 1, run->root, &run->aliases),
          judge(run, "after the end of a nested session");
  } else if (has_stand_in(run) && run->settings->without == RULE_NAMED && model_is_empty(&run->model, session))
    stand_in_clean(&run->stand_in, session, run->root, &run->aliases), judge(run, "after the end of a process");
  else
    end_scope(run, action);
}

/* ---- actions ---- */

static void line_of(const struct run *run, const struct action *action, char line[800]) {
  char path[2 * PATH_SIZE] = "", other[2 * PATH_SIZE] = "";
  const enum shape shape = verb_shape(action->verb);
  if (shape == SHAPE_PEER || shape == SHAPE_NEST) {
    (void)snprintf(line, 800, "%s %d %d", verb_name(action->verb), action->process, action->peer);
    return;
  }
  if (shape == SHAPE_PROCESS || shape == SHAPE_SESSION) {
    (void)snprintf(line, 800, "%s %d", verb_name(action->verb), action->process);
    return;
  }
  alias_to_disk(&run->aliases, action->path, path);
  if (shape == SHAPE_TWO_PATHS) alias_to_disk(&run->aliases, action->other, other);
  (void)snprintf(line, 800, "%s %d %c %s %s", verb_name(action->verb), action->process, action->style, path,
                 shape == SHAPE_TWO_PATHS ? other : action->other);
}

/* DIRS=recursive asks which of two was born first, by the clock of a file system, which may stand still for 10 ms. */
static void wait_for_a_tick(const struct run *run, enum verb verb) {
  const struct timespec little = {0, 200000};
  struct timespec then, now;
  if (run->model.policy.dirs != DIRS_RECURSIVE || (verb != VERB_MKDIR && verb != VERB_MKDTEMP)) return;
  (void)clock_gettime(CLOCK_REALTIME_COARSE, &then);
  do {
    (void)nanosleep(&little, NULL);
    (void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
  } while (now.tv_sec == then.tv_sec && now.tv_nsec == then.tv_nsec);
}

static void do_on_tree(struct run *run, const struct action *action) {
  char line[800], made[64] = "-";
  int error = 0;
  line_of(run, action, line);
  wait_for_a_tick(run, action->verb);
  if (!crew_tell(&run->crew, action->process, line) ||
      !crew_hear(&run->crew, action->process, &error, made, run->outcome)) {
    outcome_fail(run->outcome, FAULT_STUCK, "process %d is gone: %s", action->process, line);
    return;
  }
  const int expected = apply(run, action);
  if (error == EEXIST && expected == ENOTEMPTY) error = ENOTEMPTY; /* xfs says so of a directory that is not empty */
  if (error != expected)
    outcome_fail(run->outcome, FAULT_ANSWER, "%s: gave '%s', must give '%s'", line, strerror(error),
                 strerror(expected));
  if (error == 0 && strcmp(made, "-") != 0) alias_add(&run->aliases, path_leaf(action->path), made);
}

/* The process dies somewhere inside the action. The tree then shows whether it was done; in either case
 * the model may count a made name as leaked, never a user's as lost. */
static void do_and_kill(struct run *run, const struct action *action) {
  static struct model before;
  static struct world real;
  char line[800];
  line_of(run, action, line);
  if (!crew_tell(&run->crew, action->process, line)) return;
  const struct timespec while_it_runs = {0, action->dies_us * 1000L};
  (void)nanosleep(&while_it_runs, NULL);
  crew_kill(&run->crew, action->process);
  if (!crew_see_death(&run->crew, action->process, run->outcome) ||
      !tree_read(run->root, &run->aliases, &real, run->outcome))
    return;
  before = run->model;
  (void)model_apply(&run->model, action);
  const bool undone = tree_same(&before.world, &real, true) || !tree_same(&run->model.world, &real, false);
  if (undone) {
    run->model = before;
    if (world_find(&before.world, action->path) >= 0) /* it may have said already that it uses the name */
      rules_used(&run->model, action->process, action->path, true);
  }
  (void)snprintf(run->outcome->killed_in, sizeof run->outcome->killed_in, "%.700s: %s", line,
                 undone ? "not done" : "done, or begun");
  for (int i = 0; i < run->model.world.name_count; i++) { /* it may have died before it wrote */
    const struct name *name = &run->model.world.names[i];
    const int there = world_object(&real, name->path);
    if (there >= 0) memcpy(run->model.world.objects[name->object].text, real.objects[there].text, TEXT_SIZE);
  }
  const struct action death = {.verb = VERB_KILL, .process = action->process};
  (void)model_apply(&run->model, &death);
  judge(run, "after a kill inside an action");
}

/* Not the last of its session: whether the end then comes before the judgement would be open. */
static bool may_kill_inside(const struct run *run, const struct action *action) {
  int alive = 0;
  const int session = run->model.processes[action->process].session;
  for (int i = 1; i < PROCESSES_MAX; i++)
    alive += run->model.processes[i].live && run->model.processes[i].session == session;
  const struct action death = {.verb = VERB_KILL, .process = action->process};
  return action->dies_us && session >= 0 && alive > 1 && verb_can_be_cut(action->verb) &&
         model_can(&run->model, &death);
}

static void do_end(struct run *run, const struct action *action) {
  const bool held = !model_is_empty(&run->model, action->peer);
  (void)apply(run, action);
  if (!crew_end(&run->crew, action->peer, held, run->outcome)) return;
  if (held)
    judge(run, "after a session was told to end");
  else
    session_ended(run, action->peer, VERB_EXIT);
}

static void do_sweep(struct run *run, const struct action *action) {
  const bool killed = action->verb == VERB_SWEEPKILL;
  (void)apply(run, action);
  if (has_stand_in(run)) stand_in_sweep(&run->stand_in, run->root, &run->aliases);
  if (killed && !crew_sweep(&run->crew, action->dies_us ? action->dies_us : rand() % 1500, run->outcome)) return;
  if (crew_sweep(&run->crew, -1, run->outcome))
    judge(run, killed ? "after a killed sweep and a whole one" : "after a sweep");
}

static void do_checkpoint(struct run *run, const struct action *action) {
  (void)apply(run, action);
  if (crew_checkpoint(&run->crew, action->dies_us ? action->dies_us : -1, run->outcome))
    judge(run, action->dies_us ? "after a killed checkpoint" : "after a checkpoint");
}

static void do_cleanup(struct run *run, const struct action *action) {
  if (any_orphan(run)) reap_orphans(run, true);
  (void)apply(run, action);
  if (has_stand_in(run) && run->model.policy.sweeps) stand_in_sweep(&run->stand_in, run->root, &run->aliases);
  if (crew_sweep_command(&run->crew, run->outcome)) judge(run, "after filecleanup sweep");
}

static void do_nest(struct run *run, const struct action *action) {
  char line[800], made[64];
  int error = 0;
  line_of(run, action, line);
  run->outcome->processes++;
  (void)apply(run, action);
  if (!crew_tell(&run->crew, action->process, line) ||
      !crew_hear(&run->crew, action->process, &error, made, run->outcome) || error != 0 ||
      !crew_meet_nested(&run->crew, action->peer, action->nested, run->outcome))
    outcome_fail(run->outcome, FAULT_STUCK, "%s: %s", line, strerror(error));
  else
    judge(run, "after the start of a nested session");
}

static void do_action(struct run *run, const struct action *action) {
  char line[800], made[64], path[2 * PATH_SIZE];
  int error = 0;
  switch (action->verb) {
  case VERB_SESSION:
    for (int s = 0; s < SESSIONS_MAX; s++)
      if (run->model.sessions[s].orphan) reap_orphans(run, false); /* the model must know when it happens */
    (void)apply(run, action);
    run->outcome->processes++;
    if (crew_start(&run->crew, action->process, action->peer, run->outcome)) judge(run, "after the start of a session");
    return;
  case VERB_FORK:
  case VERB_SPAWN:
    line_of(run, action, line);
    run->outcome->processes++;
    (void)apply(run, action);
    if (!crew_tell(&run->crew, action->process, line) ||
        !crew_hear(&run->crew, action->process, &error, made, run->outcome) || error != 0 ||
        !crew_meet(&run->crew, action->peer, run->outcome))
      outcome_fail(run->outcome, FAULT_STUCK, "%s: %s", line, strerror(error));
    return;
  case VERB_EXEC:
    line_of(run, action, line);
    (void)apply(run, action);
    if (crew_tell(&run->crew, action->process, line) && crew_meet(&run->crew, action->process, run->outcome))
      judge(run, "after an exec");
    return;
  case VERB_KILL:
    crew_kill(&run->crew, action->process);
    process_died(run, action);
    return;
  case VERB_EXIT:
  case VERB_UEXIT:
  case VERB_RETURN:
  case VERB_ABORT:
    line_of(run, action, line);
    (void)crew_tell(&run->crew, action->process, line);
    process_died(run, action);
    return;
  case VERB_KILLGUARD:
    crew_kill_guardian(&run->crew, action->peer);
    return;
  case VERB_END:
    do_end(run, action);
    return;
  case VERB_SWEEP:
  case VERB_SWEEPKILL:
    do_sweep(run, action);
    return;
  case VERB_CHECKPOINT:
    do_checkpoint(run, action);
    return;
  case VERB_CLEANUP:
    do_cleanup(run, action);
    return;
  case VERB_NEST:
    do_nest(run, action);
    return;
  case VERB_KEEP:
  case VERB_UNTRACK:
    alias_to_disk(&run->aliases, action->path, path);
    (void)apply(run, action);
    if (crew_command(&run->crew, verb_name(action->verb), path, run->outcome))
      judge(run, "after somebody asked from outside");
    return;
  case VERB_NEXTSTART:
    reap_orphans(run, false);
    judge(run, "after a next start");
    return;
  default:
    if (may_kill_inside(run, action))
      do_and_kill(run, action);
    else
      do_on_tree(run, action);
    return;
  }
}

static void do_list(struct run *run, const struct list *list) {
  for (int i = 0; i < list->count && run->outcome->fault == FAULT_NONE; i++) {
    if (!model_can(&run->model, &list->actions[i])) continue;
    if (run->settings->verbose) action_print(stderr, &list->actions[i]);
    do_action(run, &list->actions[i]);
    run->outcome->actions++;
  }
  for (int p = 1; p < PROCESSES_MAX && run->outcome->fault == FAULT_NONE; p++) { /* a shortened list lacks the ends */
    const struct action end = {.verb = VERB_EXIT, .process = p};
    if (!model_can(&run->model, &end)) continue;
    do_action(run, &end);
    p = 0; /* one that could not end before may be able to now */
  }
  for (int s = 0; s < SESSIONS_MAX && run->outcome->fault == FAULT_NONE; s++) {
    const struct action end = {.verb = VERB_END, .peer = s};
    if (model_can(&run->model, &end)) do_action(run, &end);
    if (run->model.sessions[s].orphan) reap_orphans(run, false);
  }
}

void driver_run(const struct list *list, enum engine engine, const struct settings *settings, struct outcome *outcome) {
  static struct run run;
  char path[128];
  memset(&run, 0, sizeof run);
  memset(outcome, 0, sizeof *outcome);
  run.settings = settings;
  run.outcome = outcome;
  run.engine = engine;
  run.cut = list_has_kills(list);
  (void)snprintf(run.root, sizeof run.root, "%s/run", settings->scratch);
  (void)nftw(run.root, remove_entry, 16, FTW_DEPTH | FTW_PHYS); /* what the last run left; none at first */
  static const char *const parts[] = {"", "/base", "/out", "/state"};
  bool made = true;
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    (void)snprintf(path, sizeof path, "%s%s", run.root, parts[i]);
    made = made && mkdir(path, i == 3 ? 0700 : 0755) == 0;
  }
  if (!made || !crew_open(&run.crew, run.root, settings->build, engine, &list->policy)) {
    outcome_fail(outcome, FAULT_STUCK, "cannot make %s: %s", path, strerror(errno));
    return;
  }
  model_start(&run.model, &list->policy);
  if (has_stand_in(&run)) stand_in_start(&run.stand_in, &list->policy, engine == ENGINE_NAIVE, settings->without);
  if (crew_start(&run.crew, 0, -1, outcome)) do_list(&run, list);
  crew_close(&run.crew);
}

void driver_copy_log(const struct settings *settings, FILE *out) {
  char path[128], line[512];
  (void)snprintf(path, sizeof path, "%s/run/log", settings->scratch);
  FILE *log = fopen(path, "r");
  while (log && fgets(line, sizeof line, log)) fprintf(out, "  stderr: %s", line);
  if (log) (void)fclose(log);
}

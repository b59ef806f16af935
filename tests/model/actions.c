/* actions: see actions.h. */
#include "actions.h"

#include <string.h>

static const struct {
  const char *name;
  enum shape shape;
} verbs[VERB_COUNT] = {
    [VERB_SESSION] = {"session", SHAPE_SESSION},
    [VERB_FORK] = {"fork", SHAPE_PEER},
    [VERB_SPAWN] = {"spawn", SHAPE_PEER},
    [VERB_EXEC] = {"exec", SHAPE_PROCESS},
    [VERB_EXIT] = {"exit", SHAPE_PROCESS},
    [VERB_UEXIT] = {"_exit", SHAPE_PROCESS},
    [VERB_RETURN] = {"return", SHAPE_PROCESS},
    [VERB_ABORT] = {"abort", SHAPE_PROCESS},
    [VERB_KILL] = {"kill", SHAPE_PROCESS},
    [VERB_KILLGUARD] = {"killguard", SHAPE_SESSION},
    [VERB_NEXTSTART] = {"nextstart", SHAPE_PROCESS},
    [VERB_CREATE] = {"create", SHAPE_TEXT},
    [VERB_OPEN] = {"open", SHAPE_TEXT},
    [VERB_TRUNC] = {"trunc", SHAPE_TEXT},
    [VERB_CREAT] = {"creat", SHAPE_TEXT},
    [VERB_OTRUNC] = {"otrunc", SHAPE_TEXT},
    [VERB_APPEND] = {"append", SHAPE_TEXT},
    [VERB_FOPENW] = {"fopenw", SHAPE_TEXT},
    [VERB_FOPENA] = {"fopena", SHAPE_TEXT},
    [VERB_FOPENX] = {"fopenx", SHAPE_TEXT},
    [VERB_END] = {"end", SHAPE_SESSION},
    [VERB_SWEEP] = {"sweep", SHAPE_PROCESS},
    [VERB_SWEEPKILL] = {"sweepkill", SHAPE_PROCESS},
    [VERB_CHECKPOINT] = {"checkpoint", SHAPE_PROCESS},
    [VERB_CLEANUP] = {"cleanup", SHAPE_PROCESS},
    [VERB_NEST] = {"nest", SHAPE_NEST},
    [VERB_KEEP] = {"keep", SHAPE_PATH},
    [VERB_UNTRACK] = {"untrack", SHAPE_PATH},
    [VERB_TMPFILE] = {"tmpfile", SHAPE_TEXT},
    [VERB_LINKFD] = {"linkfd", SHAPE_PATH},
    [VERB_MKSTEMP] = {"mkstemp", SHAPE_TEXT},
    [VERB_MKDTEMP] = {"mkdtemp", SHAPE_PATH},
    [VERB_MKDIR] = {"mkdir", SHAPE_PATH},
    [VERB_RMDIR] = {"rmdir", SHAPE_PATH},
    [VERB_UNLINK] = {"unlink", SHAPE_PATH},
    [VERB_REMOVE] = {"remove", SHAPE_PATH},
    [VERB_SYMLINK] = {"symlink", SHAPE_TEXT},
    [VERB_LINK] = {"link", SHAPE_TWO_PATHS},
    [VERB_RENAME] = {"rename", SHAPE_TWO_PATHS},
    [VERB_NOREPLACE] = {"noreplace", SHAPE_TWO_PATHS},
    [VERB_EXCHANGE] = {"exchange", SHAPE_TWO_PATHS},
};

const char *verb_name(enum verb verb) { return verbs[verb].name; }

enum shape verb_shape(enum verb verb) { return verbs[verb].shape; }

bool verb_is_voluntary(enum verb verb) { return verb == VERB_EXIT || verb == VERB_UEXIT || verb == VERB_RETURN; }

bool verb_is_death(enum verb verb) { return verb_is_voluntary(verb) || verb == VERB_ABORT || verb == VERB_KILL; }

void action_print(FILE *out, const struct action *action) {
  fprintf(out, "%s %d", verb_name(action->verb), action->process);
  switch (verb_shape(action->verb)) {
  case SHAPE_PROCESS:
    break;
  case SHAPE_PEER:
    fprintf(out, " %d", action->peer);
    break;
  case SHAPE_SESSION:
    fprintf(out, " %c", 'A' + action->peer);
    break;
  case SHAPE_NEST:
    fprintf(out, " %d %c", action->peer, 'A' + action->nested);
    break;
  case SHAPE_PATH:
    fprintf(out, " %c %s", action->style, action->path);
    break;
  case SHAPE_TEXT:
  case SHAPE_TWO_PATHS:
    fprintf(out, " %c %s %s", action->style, action->path, action->other);
    break;
  }
  if (action->dies_us) fprintf(out, " !%d", action->dies_us);
  fputc('\n', out);
}

static const char *const on_exits[ON_EXIT_COUNT] = {"delete", "keep", "keep-on-failure", "report"};
static const char *const scopes[SCOPE_COUNT] = {"session", "leader", "process"};
static const char *const dirs_words[DIRS_COUNT] = {"empty", "keep", "recursive"};

const char *on_exit_name(enum on_exit on_exit) { return on_exits[on_exit]; }
const char *dirs_name(enum dirs dirs) { return dirs_words[dirs]; }
const char *scope_name(enum scope scope) { return scopes[scope]; }

static void policy_print(FILE *out, const struct policy *policy) {
  if (policy->on_exit) fprintf(out, "policy ON_EXIT %s\n", on_exit_name(policy->on_exit));
  if (policy->dirs) fprintf(out, "policy DIRS %s\n", dirs_name(policy->dirs));
  if (policy->scope) fprintf(out, "policy SCOPE %s\n", scope_name(policy->scope));
  if (policy->track_all) fprintf(out, "policy TRACK all\n");
  if (policy->keep[0]) fprintf(out, "policy KEEP %s\n", policy->keep);
  if (policy->named) fprintf(out, "policy named on\n");
  if (policy->sweeps) fprintf(out, "policy sweeps on\n");
}

static int word_index(const char *word, const char *const *words, int count) {
  int i = 0;
  while (i < count && strcmp(words[i], word) != 0) i++;
  return i;
}

static bool policy_read(const char *line, struct policy *policy) {
  char name[16], value[32];
  if (sscanf(line, "policy %15s %31s", name, value) != 2) return false;
  if (strcmp(name, "ON_EXIT") == 0) {
    policy->on_exit = (enum on_exit)word_index(value, on_exits, ON_EXIT_COUNT);
    return policy->on_exit < ON_EXIT_COUNT;
  }
  if (strcmp(name, "DIRS") == 0) {
    policy->dirs = (enum dirs)word_index(value, dirs_words, DIRS_COUNT);
    return policy->dirs < DIRS_COUNT;
  }
  if (strcmp(name, "SCOPE") == 0) {
    policy->scope = (enum scope)word_index(value, scopes, SCOPE_COUNT);
    return policy->scope < SCOPE_COUNT;
  }
  if (strcmp(name, "KEEP") == 0) strcpy(policy->keep, value);
  policy->track_all |= strcmp(name, "TRACK") == 0 && strcmp(value, "all") == 0;
  policy->sweeps |= strcmp(name, "sweeps") == 0 && strcmp(value, "on") == 0;
  policy->named |= strcmp(name, "named") == 0 && strcmp(value, "on") == 0;
  return strcmp(name, "KEEP") == 0 || strcmp(name, "TRACK") == 0 || strcmp(value, "on") == 0;
}

void list_print(FILE *out, const struct list *list) {
  policy_print(out, &list->policy);
  if (list->runs_in != RUNS_IN_BOTH) fprintf(out, "mode %s\n", list->runs_in == RUNS_IN_BARE ? "bare" : "guardian");
  for (int i = 0; i < list->count; i++) action_print(out, &list->actions[i]);
}

/* What a kill may cut in two: not where the tree would not show what happened, as with names that mkstemp makes up and
 * two empty files exchanged. */
bool verb_can_be_cut(enum verb verb) {
  return verb_shape(verb) >= SHAPE_PATH && verb != VERB_KEEP && verb != VERB_UNTRACK && verb != VERB_MKSTEMP &&
         verb != VERB_MKDTEMP && verb != VERB_EXCHANGE && verb != VERB_TMPFILE && verb != VERB_LINKFD;
}

bool list_has_kills(const struct list *list) {
  for (int i = 0; i < list->count; i++)
    if (list->actions[i].dies_us && verb_can_be_cut(list->actions[i].verb)) return true;
  return false;
}

static bool path_is_allowed(const char *path) {
  return (path_below(path, "base") || path_below(path, "out")) && strstr(path, "..") == NULL;
}

static bool action_read(const char *line, struct action *action) {
  char verb[16], letter = 0;
  int used = 0;
  memset(action, 0, sizeof *action);
  if (sscanf(line, "%15s %d%n", verb, &action->process, &used) != 2 || action->process < 0 ||
      action->process >= PROCESSES_MAX)
    return false;
  int v = 0;
  while (v < VERB_COUNT && strcmp(verbs[v].name, verb) != 0) v++;
  if (v == VERB_COUNT) return false;
  action->verb = (enum verb)v;
  const char *rest = line + used, *mark = strrchr(rest, '!');
  if (mark && sscanf(mark, "!%d", &action->dies_us) != 1) return false;
  switch (verbs[v].shape) {
  case SHAPE_PROCESS:
    return true;
  case SHAPE_PEER:
    return sscanf(rest, "%d", &action->peer) == 1 && action->peer > 0 && action->peer < PROCESSES_MAX;
  case SHAPE_SESSION:
    action->peer = sscanf(rest, " %c", &letter) == 1 ? letter - 'A' : -1;
    return action->peer >= 0 && action->peer < SESSIONS_MAX;
  case SHAPE_NEST:
    if (sscanf(rest, "%d %c", &action->peer, &letter) != 2) return false;
    action->nested = letter - 'A';
    return action->peer > 0 && action->peer < PROCESSES_MAX && action->nested >= 0 && action->nested < SESSIONS_MAX;
  case SHAPE_PATH:
    return sscanf(rest, " %c %127s", &action->style, action->path) == 2 && path_is_allowed(action->path);
  case SHAPE_TEXT:
    return sscanf(rest, " %c %127s %127s", &action->style, action->path, action->other) == 3 &&
           path_is_allowed(action->path);
  case SHAPE_TWO_PATHS:
    return sscanf(rest, " %c %127s %127s", &action->style, action->path, action->other) == 3 &&
           path_is_allowed(action->path) && path_is_allowed(action->other);
  }
  return false;
}

bool list_read(FILE *in, struct list *list, char why[160]) {
  char line[400];
  memset(list, 0, sizeof *list);
  while (fgets(line, sizeof line, in)) {
    line[strcspn(line, "\n")] = '\0';
    if (line[0] == '#' || line[strspn(line, " \t")] == '\0') /* a '#' elsewhere belongs to a name such as #a# */
      continue;
    if (strcmp(line, "mode bare") == 0)
      list->runs_in = RUNS_IN_BARE;
    else if (strcmp(line, "mode guardian") == 0)
      list->runs_in = RUNS_IN_GUARDIAN;
    else if (strncmp(line, "policy ", 7) == 0 && policy_read(line, &list->policy))
      continue;
    else if (list->count == ACTIONS_MAX || !action_read(line, &list->actions[list->count++])) {
      (void)snprintf(why, 160, "%.150s", line); /* for a message: cut if long */
      return false;
    }
  }
  return true;
}

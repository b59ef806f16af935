/* self_check: is the judge any good? See self_check.h. */
#include "self_check.h"

static const char *rule_name(enum rule rule) {
  static const char *const names[RULE_COUNT] = {
      [RULE_N1] = "N1, reserved names",
      [RULE_N2] = "N2, data may have moved",
      [RULE_N2_PROCESS] = "N2, what the process created",
      [RULE_N2_DIR] = "N2, what the session created in the directory",
      [RULE_N2_ABOVE] = "N2, and in the directories above",
      [RULE_N2_MOVE] = "N2, and not under another name",
      [RULE_N3] = "N3, own ground",
      [RULE_N3_FRESH] = "N3, only what is newer than the last N2",
      [RULE_N4] = "N4, companions",
      [RULE_N5] = "N5, links",
      [RULE_IDENTITY] = "identity",
      [RULE_HAND_OVER] = "hand-over to a live session",
      [RULE_TMPFILE] = "N2 for nameless objects",
      [RULE_ON_EXIT_KEEP] = "ON_EXIT=keep and report",
      [RULE_ON_EXIT_FAILURE] = "ON_EXIT=keep-on-failure",
      [RULE_DIRS_KEEP] = "DIRS=keep",
      [RULE_RECURSIVE_BORN] = "DIRS=recursive, not what was born before",
      [RULE_KEEP_GLOB] = "KEEP",
      [RULE_KEEP_COMPANION] = "N4 beside what KEEP keeps",
      [RULE_KEEP] = "filecleanup keep",
      [RULE_UNTRACK] = "filecleanup untrack",
      [RULE_NAMED] = "named sessions go on",
      [RULE_SWEEP_LINKS] = "sweeps, regular files only",
      [RULE_SWEEP_OPEN] = "sweeps, nothing that is open",
      [RULE_SWEEP_USED] = "sweeps, nothing that a neighbour uses",
      [RULE_SWEEP_PUT_BACK] = "killed sweeps, what was taken by mistake comes back",
      [RULE_CLEANUP_REPORT] = "filecleanup sweep, ON_EXIT=report",
      [RULE_CHECKPOINT] = "checkpoints, nothing is forgotten",
      [RULE_CHECKPOINT_CUT] = "killed checkpoints, nothing is forgotten",
      [RULE_SCOPE_OWN] = "SCOPE=process, what the process made",
      [RULE_SCOPE_LEADER] = "SCOPE=leader, the leader's end",
      [RULE_NESTED] = "nested sessions, the end of the inner one",
  };
  return names[rule];
}

static enum fault run(const struct self_check *check, long list_number, enum engine engine, enum rule without,
                      bool print) {
  static struct list list;
  struct outcome outcome;
  struct settings settings = *check->settings;
  settings.without = without;
  list_generate(&list, check->first_seed + (unsigned long long)list_number, check->actions);
  driver_run(&list, engine, &settings, &outcome);
  if (outcome.fault != FAULT_NONE && print &&
      (without != RULE_NONE || engine != ENGINE_MUTANT || outcome.fault == FAULT_WRONG)) {
    shrink(&list, engine, &settings, &outcome);
    driver_run(&list, engine, &settings, &outcome);
    printf("# %s\n", outcome.what);
    list_print(stdout, &list);
  }
  return outcome.fault;
}

static bool caught_by_file(const struct self_check *check, const char *path, enum rule rule) {
  static struct list list;
  struct outcome outcome = {0};
  struct settings settings = *check->settings;
  char why[160];
  FILE *file = fopen(path, "r");
  const bool read = file && list_read(file, &list, why);
  if (file) (void)fclose(file);
  settings.without = rule;
  if (read) driver_run(&list, ENGINE_MUTANT, &settings, &outcome);
  return outcome.fault == FAULT_WRONG;
}

bool self_check(const struct self_check *check) {
  long looked_at = 0, guilty = 0, right = 0, whole = 0;
  for (long i = check->job; i < check->lists; i += check->jobs) {
    looked_at++;
    right += run(check, i, ENGINE_PLAIN, RULE_NONE, true) == FAULT_NONE;
    guilty += run(check, i, ENGINE_NAIVE, RULE_NONE, false) == FAULT_WRONG;
    /* Or what catches a mutation below might be no mutation at all. */
    whole += run(check, i, ENGINE_MUTANT, RULE_NONE, true) != FAULT_WRONG;
  }
  printf("self-check: without a cleaner the tree was as the model says in %ld of %ld lists\n", right, looked_at);
  printf("self-check: a cleaner that deletes by name was caught in %ld of %ld lists\n", guilty, looked_at);
  printf("self-check: a cleaner that follows all rules was found innocent in %ld of %ld lists\n", whole, looked_at);
  bool fine = right == looked_at && (guilty > 0 || looked_at == 0) && whole == looked_at;
  for (enum rule rule = (enum rule)(RULE_NONE + 1 + check->job); rule < RULE_COUNT; rule += (unsigned)check->jobs) {
    const long most = check->lists;
    long i = 0;
    int f = 0;
    while (i < most && run(check, i, ENGINE_MUTANT, rule, false) != FAULT_WRONG) i++;
    printf("self-check: without %s: ", rule_name(rule));
    if (i < most)
      printf("caught by list %ld\n", i);
    else {
      while (f < check->file_count && !caught_by_file(check, check->files[f], rule)) f++;
      printf("%s %s\n", f < check->file_count ? "caught by" : "NOT caught",
             f < check->file_count ? path_leaf(check->files[f]) : "");
    }
    if (i < most && check->settings->verbose) (void)run(check, i, ENGINE_MUTANT, rule, true);
    fine = fine && (i < most || f < check->file_count);
  }
  return fine;
}

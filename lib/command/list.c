/* list: the names that are tracked. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "account.h"
#include "human.h"
#include "json.h"
#include "verb.h"

#define CREATOR_COLUMNS 20

/* Adds the names of one session. False when they cannot be told. */
static bool add(struct fc_accounts *accounts, struct fc_found *found, bool untracked_too) {
  char *file = fc_human_name(found->file);
  bool fine = found->replayed;
  if (!fine) fc_verb_say("%s: %s: its names cannot be told", file, found->detail);
  if (fine) {
    struct fc_judge judge;
    fc_judge_begin(&judge, found);
    if (judge.blind) fc_verb_say("%s: not everything beside it can be read; the answer may change", file);
    if (judge.base_fd < 0 && judge.error != ENOENT && judge.error != ESTALE) {
      char *base = fc_human_name(found->header->base);
      fc_verb_say("%s: %s", base, strerror(judge.error));
      free(base);
      fine = false;
    } else {
      fc_accounts_collect(accounts, &judge, untracked_too);
    }
    fc_judge_end(&judge);
  }
  free(file);
  return fine;
}

static bool print_json(const struct fc_survey *survey, const struct fc_accounts *accounts) {
  json_t *root = fc_json_begin("list");
  json_t *names = json_array();
  fc_json_name(root, "base", survey->has_base ? survey->base : NULL);
  for (size_t i = 0; i < accounts->count; i++) fc_json_add(names, fc_account_json(&accounts->list[i]));
  fc_json_set(root, "names", names);
  return fc_json_end(root, false);
}

static void print_row(const struct fc_account *a, const struct fc_verb_options *options) {
  const struct fc_judgement *what = &a->judgement;
  const bool is_dir = (what->st.stx_mode & S_IFMT) == S_IFDIR;
  char size[FC_HUMAN_BYTES] = "-";
  char age[FC_HUMAN_BYTES] = "?";
  char *creator = NULL;
  char *program = fc_human_name(a->creator.program);
  if (asprintf(&creator, "%u %s", a->creator.pid, program) < 0) fc_verb_no_memory();
  if (!a->has_creator) (void)snprintf(creator, strlen(creator) + 1, "-");
  if (!is_dir && what->exists) (void)fc_human_size(what->st.stx_size, size);
  if (a->created_s != FC_JSON_NEVER) (void)fc_human_age((int64_t)time(NULL) - a->created_s, age);
  char *name = fc_human_name(a->path + strlen(a->found->header->base) + 1);
  const size_t columns = fc_human_columns(creator);
  (void)printf("%10s  %7s  %s%*s %s%s", size, age, creator,
               columns < CREATOR_COLUMNS ? (int)(CREATOR_COLUMNS - columns) : 0, "", name, is_dir ? "/" : "");
  const bool deletes = fc_judgement_deletes(a->found, what);
  if (!deletes && !options->verbose) {
    const char *rule = fc_reason_rule(what->reason);
    char *glob = fc_human_name(what->reason == FC_REASON_KEEP ? a->detail : "");
    (void)printf("  %s(stays%s%s%s)%s", fc_human_colour(FC_COLOUR_NOTE), rule || glob[0] ? ": " : "", rule ? rule : "",
                 glob, fc_human_plain());
    free(glob);
  }
  (void)putchar('\n');
  if (options->verbose) {
    char *because = fc_account_because(a);
    char *shown = fc_human_name(because);
    const char *fate = deletes ? "delete" : "keep";
    (void)printf("%*s%s%s%s  ", 21, "", fc_human_colour(deletes ? FC_COLOUR_GOOD : FC_COLOUR_NOTE), fate,
                 fc_human_plain());
    fc_human_wrap(shown, 23 + strlen(fate), 23 + strlen(fate), fc_human_width());
    free(shown);
    free(because);
  }
  free(name);
  free(program);
  free(creator);
}

/* The accounts of one session stand in the order of their paths. */
static void print_session(struct fc_found *found, const struct fc_accounts *accounts,
                          const struct fc_verb_options *options) {
  bool any = false;
  for (size_t i = 0; i < accounts->count; i++) {
    const struct fc_account *a = &accounts->list[i];
    if (a->found != found) continue;
    if (!any) {
      char *base = fc_human_name(found->header->base);
      (void)printf("%s%s%s  (session %s, %s)\n", fc_human_colour(FC_COLOUR_HEAD), base, fc_human_plain(), found->id,
                   fc_survey_state_name(found->state));
      (void)printf("%s%10s  %7s  %-*s %s%s\n", fc_human_colour(FC_COLOUR_DIM), "size", "age", CREATOR_COLUMNS,
                   "made by", "name", fc_human_plain());
      free(base);
    }
    any = true;
    print_row(a, options);
  }
}

static void print_names(const struct fc_accounts *accounts, bool null) {
  for (size_t i = 0; i < accounts->count; i++) {
    if (i && strcmp(accounts->list[i].path, accounts->list[i - 1].path) == 0) continue;
    if (null) {
      (void)fputs(accounts->list[i].path, stdout);
      (void)putchar('\0');
      continue;
    }
    char *shown = fc_human_name(accounts->list[i].path);
    (void)puts(shown);
    free(shown);
  }
}

static int run(const struct fc_verb *verb, const struct fc_verb_options *options) {
  (void)verb;
  struct fc_survey survey;
  struct fc_accounts accounts = {0};
  int rc = fc_survey_take(&survey, options);
  if (rc != FC_EXIT_DONE) return rc;
  for (struct fc_found *found = survey.first; found; found = found->next)
    if (!add(&accounts, found, options->verbose > 0)) rc = FC_EXIT_SOME_FAILED;
  fc_accounts_sort(&accounts);
  for (size_t i = 0; i < accounts.count; i++)
    if (accounts.list[i].judgement.reason == FC_REASON_FAILED) rc = FC_EXIT_SOME_FAILED;
  if (options->json) {
    if (!print_json(&survey, &accounts)) rc = FC_EXIT_SOME_FAILED;
  } else if (options->null || options->quiet) {
    print_names(&accounts, options->null);
  } else {
    for (struct fc_found *found = survey.first; found; found = found->next) print_session(found, &accounts, options);
    if (!accounts.count) (void)puts("no tracked names");
  }
  fc_accounts_free(&accounts);
  fc_survey_free(&survey);
  return rc;
}

const struct fc_verb fc_verb_list = {
    .name = "list",
    .summary = "The names that are tracked: size, age, and who made them",
    .operands = "",
    .help = "Lists what the sessions of the base, or of all your bases, have made and would\n"
            "delete at their end. \"stays\" marks what a glob, a rule or the policy of its\n"
            "session keeps. With -v also the names that are not tracked, or not any more, and\n"
            "why. Changes nothing. Status 1: the names of a session could not be told.\n",
    .options = FC_OPTION_BASE | FC_OPTION_JSON | FC_OPTION_VERBOSE | FC_OPTION_NULL | FC_OPTION_SESSION,
    .run = run,
};

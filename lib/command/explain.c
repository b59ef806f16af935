/* explain: what will happen to a path, and why. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "account.h"
#include "human.h"
#include "json.h"
#include "operand.h"
#include "verb.h"

#define ROW_LABEL_COLUMNS 11

struct question {
  const char *given;
  char *path; /* canonical but for the last component */
  bool exists;
  struct statx st;
  int error;                   /* it cannot be looked at */
  struct fc_account *accounts; /* one for each session whose base it lies in */
  size_t count;
  struct fc_roster_process *users;
  size_t user_count;
};

/* The session that a question is put to; its judge is kept for all paths. */
struct witness {
  struct fc_found *found;
  struct fc_judge judge;
};

static void ask(struct question *q, struct fc_survey *survey, struct witness *witnesses) {
  q->path = fc_operand_canonical(q->given, &q->error);
  q->accounts = fc_verb_alloc((survey->count + 1) * sizeof *q->accounts);
  if (statx(AT_FDCWD, q->path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &q->st) == 0)
    q->exists = true;
  else if (!q->error && errno != ENOENT && errno != ENOTDIR)
    q->error = errno;
  for (size_t i = 0; i < survey->count; i++) {
    const struct fc_session_header *h = witnesses[i].found->header;
    if (!h) continue;
    const char *relative = fc_operand_beneath(q->path, h->base);
    if (!relative) relative = fc_operand_beneath(q->path, h->alias);
    if (relative) fc_account_of_path(&witnesses[i].judge, relative, &q->accounts[q->count++]);
  }
  if (q->exists)
    q->user_count = fc_roster_users(q->st.stx_ino, q->st.stx_dev_major, q->st.stx_dev_minor, NULL, &q->users);
}

static bool knows(const struct fc_account *a) { return a->judgement.reason != FC_REASON_NO_RECORD; }

static bool is_deleted(const struct question *q) {
  for (size_t i = 0; i < q->count; i++)
    if (q->exists && fc_judgement_deletes(q->accounts[i].found, &q->accounts[i].judgement)) return true;
  return false;
}

/* ---- for programs ---- */

static json_t *question_json(const struct question *q) {
  json_t *out = json_object();
  json_t *bases = json_array();
  json_t *records = json_array();
  json_t *users = json_array();
  if (!out) fc_verb_no_memory();
  fc_json_name(out, "path", q->path);
  fc_json_set(out, "exists", q->error ? NULL : json_boolean(q->exists));
  fc_json_text(out, "error", q->error ? strerror(q->error) : NULL);
  fc_json_text(out, "fate", is_deleted(q) ? "delete" : "keep");
  for (size_t i = 0; i < q->count; i++) {
    const char *base = q->accounts[i].found->header->base;
    if (i == 0 || strcmp(base, q->accounts[i - 1].found->header->base) != 0) {
      json_t *one = json_object();
      fc_json_name(one, "base", base);
      fc_json_add(bases, one);
    }
    fc_json_add(records, fc_account_json(&q->accounts[i]));
  }
  for (size_t i = 0; i < q->user_count; i++) fc_json_add(users, fc_account_process_json(&q->users[i]));
  fc_json_set(out, "bases", bases);
  fc_json_set(out, "records", records);
  fc_json_set(out, "users", users);
  return out;
}

/* ---- for people ---- */

static void label(const char *text, enum fc_colour colour) {
  (void)printf("  %s%-8s%s ", fc_human_colour(colour), text, fc_human_plain());
}

static void row(const char *name, const char *text) {
  label(name, FC_COLOUR_DIM);
  fc_human_wrap(text, ROW_LABEL_COLUMNS, ROW_LABEL_COLUMNS, fc_human_width());
}

static void fate_row(bool deletes, const char *when) {
  label(deletes ? "delete" : "keep", deletes ? FC_COLOUR_GOOD : FC_COLOUR_NOTE);
  fc_human_wrap(deletes ? when : "it is never deleted", ROW_LABEL_COLUMNS, ROW_LABEL_COLUMNS, fc_human_width());
}

static void print_fate(const struct fc_account *a) {
  const bool deletes = fc_judgement_deletes(a->found, &a->judgement);
  if (a->expires_s == FC_JSON_NEVER) {
    fate_row(deletes, fc_judgement_when(a->found, &a->judgement));
    return;
  }
  /* Its time may never come, so that what happens at the end is told first. */
  char when[FC_HUMAN_BYTES];
  char ttl[FC_HUMAN_BYTES];
  char *text = NULL;
  if (asprintf(&text, "%s; before that it is swept when it is older than %s (from %s on) and nobody uses it",
               deletes ? fc_judgement_when(a->found, &a->judgement) : "when the session ends",
               fc_human_span(a->found->header->policy.ttl_ns, ttl), fc_human_time(a->expires_s, when)) < 0)
    fc_verb_no_memory();
  label(deletes ? "delete" : "keep", deletes ? FC_COLOUR_GOOD : FC_COLOUR_NOTE);
  fc_human_wrap(text, ROW_LABEL_COLUMNS, ROW_LABEL_COLUMNS, fc_human_width());
  free(text);
}

static void print_account(const struct question *q, const struct fc_account *a) {
  const struct fc_session_header *h = a->found->header;
  char *base = fc_human_name(h->base);
  char *because = fc_account_because(a);
  char *shown = fc_human_name(because);
  if (q->exists) print_fate(a);
  row("because", shown);
  if (a->has_creator) {
    char when[FC_HUMAN_BYTES];
    char age[FC_HUMAN_BYTES];
    char *text = NULL;
    char *program = fc_human_name(a->creator.program[0] ? a->creator.program : "an unknown program");
    const bool dated = a->created_s != FC_JSON_NEVER;
    if (asprintf(&text, "%s%s%s%sby %u (%s)", dated ? fc_human_time(a->created_s, when) : "", dated ? ", age " : "",
                 dated ? fc_human_age((int64_t)time(NULL) - a->created_s, age) : "", dated ? ", " : "", a->creator.pid,
                 program) < 0)
      fc_verb_no_memory();
    row("made", text);
    free(program);
    free(text);
  }
  label("session", FC_COLOUR_DIM);
  (void)printf("%s, %s, base %s\n", a->found->id, fc_survey_state_name(a->found->state), base);
  free(shown);
  free(because);
  free(base);
}

static void print_users(const struct question *q) {
  for (size_t i = 0; i < q->user_count; i++) {
    char *program = fc_human_name(q->users[i].program);
    label(i ? "" : "in use", FC_COLOUR_DIM);
    (void)printf("by %u (%s)\n", q->users[i].pid, program);
    free(program);
  }
}

static void print_unknown(const struct question *q, const struct fc_survey *survey) {
  if (q->exists) fate_row(false, "");
  if (q->count) {
    row("because", fc_reason_text(FC_REASON_NO_RECORD));
    const struct fc_account *a = &q->accounts[0];
    char *base = fc_human_name(a->found->header->base);
    label("base", FC_COLOUR_DIM);
    (void)printf("%s (%zu session%s)\n", base, q->count, q->count == 1 ? "" : "s");
    free(base);
    const char *keeps = fc_account_session_keeps(a->found);
    if (keeps) row("note", keeps);
  } else {
    row("because", survey->has_base && fc_operand_beneath(q->path, survey->base)
                       ? "no session of yours has this base: nothing in it is tracked"
                       : "it does not lie in the base of any session of yours");
  }
}

static void print(const struct question *q, const struct fc_survey *survey, const struct fc_verb_options *options) {
  char *path = fc_human_name(q->path);
  if (options->quiet) {
    (void)printf("%s  %s\n", is_deleted(q) ? "delete" : "keep  ", path);
    free(path);
    return;
  }
  const char *note = q->error ? strerror(q->error) : q->exists ? NULL : "does not exist";
  (void)printf("%s%s%s%s%s%s\n", fc_human_colour(FC_COLOUR_HEAD), path, fc_human_plain(), note ? "  (" : "",
               note ? note : "", note ? ")" : "");
  free(path);
  size_t told = 0;
  for (size_t i = 0; i < q->count; i++) {
    if (!knows(&q->accounts[i]) && !options->verbose) continue;
    print_account(q, &q->accounts[i]);
    told++;
  }
  if (!told) print_unknown(q, survey);
  print_users(q);
}

static void forget(struct question *q) {
  for (size_t i = 0; i < q->count; i++) fc_account_free(&q->accounts[i]);
  free(q->accounts);
  free(q->users);
  free(q->path);
}

/* Nothing can be said of what does not exist and no record tells of, or must not be looked at. */
static bool is_answered(const struct question *q) {
  bool known = false;
  for (size_t i = 0; i < q->count; i++) known |= q->accounts[i].judgement.node != NULL;
  return !q->error && (q->exists || known);
}

static int run(const struct fc_verb *verb, const struct fc_verb_options *options) {
  struct fc_survey survey;
  int rc = fc_survey_take(&survey, options);
  if (rc != FC_EXIT_DONE) return rc;
  struct witness *witnesses = fc_verb_alloc((survey.count + 1) * sizeof *witnesses);
  size_t n = 0;
  for (struct fc_found *f = survey.first; f; f = f->next) {
    witnesses[n].found = f;
    if (f->header) fc_judge_begin(&witnesses[n].judge, f);
    n++;
  }
  json_t *paths = options->json ? json_array() : NULL;
  for (char *const *operand = options->operands; *operand; operand++) {
    struct question q = {.given = *operand};
    ask(&q, &survey, witnesses);
    if (paths)
      fc_json_add(paths, question_json(&q));
    else
      print(&q, &survey, options);
    if (!paths && operand[1] && !options->quiet) (void)putchar('\n');
    if (!is_answered(&q)) rc = FC_EXIT_SOME_FAILED;
    forget(&q);
  }
  if (paths) {
    json_t *root = fc_json_begin(verb->name);
    fc_json_set(root, "paths", paths);
    if (!fc_json_end(root, false)) rc = FC_EXIT_SOME_FAILED;
  }
  for (size_t i = 0; i < n; i++)
    if (witnesses[i].found->header) fc_judge_end(&witnesses[i].judge);
  free(witnesses);
  fc_survey_free(&survey);
  return rc;
}

const struct fc_verb fc_verb_explain = {
    .name = "explain",
    .summary = "What will happen to a path, and why",
    .operands = " PATH...",
    .help = "Says for each PATH whether a session tracks it, who made it and when, the rule\n"
            "that keeps it or the moment at which it is deleted, and who has it open (of the\n"
            "processes that you may look at). Changes nothing. Status 1: a PATH does not\n"
            "exist and no record tells of it, or it may not be looked at.\n",
    .options = FC_OPTION_BASE | FC_OPTION_JSON | FC_OPTION_VERBOSE,
    .run = run,
};

/* status: who holds a session, and what it holds. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "account.h"
#include "human.h"
#include "json.h"
#include "policy.h"
#include "verb.h"

#define WATCH_S 2
#define LABEL_COLUMNS 11 /* "  guardian " */

struct tally {
  uint64_t files;
  uint64_t dirs;
  uint64_t bytes;
  int error; /* the base cannot be opened, or is another directory by now */
};

static void count(struct fc_found *found, struct tally *tally) {
  struct fc_judge judge;
  struct fc_accounts accounts = {0};
  memset(tally, 0, sizeof *tally);
  fc_judge_begin(&judge, found);
  tally->error = judge.base_fd < 0 ? judge.error : 0;
  fc_accounts_collect(&accounts, &judge, false);
  for (size_t i = 0; i < accounts.count; i++) {
    const struct fc_judgement *what = &accounts.list[i].judgement;
    if (!what->exists) continue;
    const bool is_dir = (what->st.stx_mode & S_IFMT) == S_IFDIR;
    *(is_dir ? &tally->dirs : &tally->files) += 1;
    if (!is_dir) tally->bytes += what->st.stx_size;
  }
  fc_accounts_free(&accounts);
  fc_judge_end(&judge);
}

static size_t alive(const struct fc_found *found, struct fc_roster_process **list) {
  return fc_roster_alive(&found->roster, list);
}

static void leader_of(const struct fc_found *found, struct fc_roster_process *out) {
  fc_roster_ask(&found->roster, found->header->leader_pid, out);
}

/* Hooks may fill half of the ring; the other half is for those who delete and for checkpoints. */
static uint32_t capacity_of(const struct fc_session_header *h) { return h->capacity / 2; }

static uint32_t used_cells(const struct fc_session_header *h) {
  const uint32_t used = h->words.next - h->words.head;
  return used < capacity_of(h) ? used : capacity_of(h);
}

/* ---- for programs ---- */

static json_t *span_json(int64_t ns) { return ns == FC_INFINITY_NS ? NULL : json_real((double)ns / 1e9); }
static json_t *cap_json(uint64_t count_) {
  return count_ == FC_INFINITY_COUNT ? NULL : json_integer((json_int_t)count_);
}

static json_t *object(void) {
  json_t *made = json_object();
  if (!made) fc_verb_no_memory();
  return made;
}

static json_t *policy_json(const struct fc_policy *p) {
  json_t *out = object();
  json_t *keep = json_array();
  fc_json_text(out, "on_exit", fc_policy_on_exit(p));
  fc_json_text(out, "dirs", fc_policy_dirs(p));
  fc_json_text(out, "track", fc_policy_track(p));
  fc_json_text(out, "in_use", fc_policy_in_use(p));
  fc_json_text(out, "scope", fc_policy_scope(p));
  for (const char *glob = p->keep; *glob;) {
    const size_t len = strcspn(glob, ":");
    char *one = fc_verb_copy(glob, len);
    json_t *item = object();
    fc_json_name(item, "glob", one);
    fc_json_add(keep, item);
    free(one);
    glob += len + (glob[len] ? 1 : 0);
  }
  fc_json_set(out, "keep", keep);
  fc_json_set(out, "ttl_s", span_json(p->ttl_ns));
  fc_json_set(out, "interval_s", span_json(p->interval_ns));
  fc_json_set(out, "exit_budget_s", span_json(p->exit_budget_ns));
  fc_json_set(out, "max_bytes", cap_json(p->max_bytes));
  fc_json_set(out, "max_files", cap_json(p->max_files));
  return out;
}

static json_t *session_json(struct fc_found *found) {
  const struct fc_session_header *h = found->header;
  json_t *out = object();
  fc_json_name(out, "id", found->id);
  fc_json_text(out, "name", h && h->name[0] ? h->name : NULL);
  fc_json_text(out, "state", fc_survey_state_name(found->state));
  fc_json_text(out, "detail", found->detail);
  fc_json_name(out, "file", found->file);
  if (!h) return out;
  fc_json_name(out, "base", h->base);
  fc_json_time(out, "since", h->created_s);
  struct fc_roster_process leader;
  leader_of(found, &leader);
  fc_json_set(out, "leader", fc_account_process_json(&leader));
  struct fc_roster_process *list;
  const size_t n = alive(found, &list);
  json_t *members = json_array();
  for (size_t i = 0; i < n; i++) fc_json_add(members, fc_account_process_json(&list[i]));
  free(list);
  fc_json_set(out, "members", members);
  const uint32_t guardian = fc_survey_guardian(found);
  fc_json_set(out, "guardian", guardian ? json_integer(guardian) : NULL);
  fc_json_set(out, "sweeper", json_boolean(fc_survey_has_sweeper(found)));
  fc_json_number(out, "unseen", found->unseen);
  fc_json_set(out, "policy", policy_json(&h->policy));
  struct tally tally = {0};
  if (found->replayed) count(found, &tally);
  if (found->replayed && !tally.error) {
    json_t *tracked = object();
    fc_json_number(tracked, "files", (int64_t)tally.files);
    fc_json_number(tracked, "dirs", (int64_t)tally.dirs);
    fc_json_number(tracked, "bytes", (int64_t)tally.bytes);
    fc_json_set(out, "tracked", tracked);
  } else {
    fc_json_set(out, "tracked", NULL);
  }
  json_t *journal = object();
  fc_json_number(journal, "cells", used_cells(h));
  fc_json_number(journal, "capacity", capacity_of(h));
  fc_json_number(journal, "torn", found->torn);
  fc_json_number(journal, "lost_creating", h->words.lost_creating);
  fc_json_number(journal, "lost_destructive", h->words.lost_destructive);
  fc_json_set(out, "journal", journal);
  return out;
}

static bool print_json(const struct fc_survey *survey, bool compact) {
  json_t *root = fc_json_begin("status");
  json_t *sessions = json_array();
  fc_json_name(root, "base", survey->has_base ? survey->base : NULL);
  for (struct fc_found *f = survey->first; f; f = f->next) fc_json_add(sessions, session_json(f));
  fc_json_set(root, "sessions", sessions);
  return fc_json_end(root, compact);
}

/* ---- for people ---- */

static enum fc_colour colour_of(enum fc_found_state state) {
  switch (state) {
  case FC_FOUND_LIVE:
  case FC_FOUND_ENDING:
    return FC_COLOUR_GOOD;
  case FC_FOUND_ORPHAN:
  case FC_FOUND_KEPT:
  case FC_FOUND_UNKNOWN:
    return FC_COLOUR_NOTE;
  default:
    return FC_COLOUR_BAD;
  }
}

static const char *meaning_of(enum fc_found_state state) {
  switch (state) {
  case FC_FOUND_ENDING:
    return "its last process has ended, and it is being cleaned up";
  case FC_FOUND_ORPHAN:
    return "no process of it is left; the next start with this base cleans it up";
  case FC_FOUND_KEPT:
    return "it has ended and keeps what it made; nothing of it is deleted";
  case FC_FOUND_DAMAGED:
  case FC_FOUND_FOREIGN:
  case FC_FOUND_FUTURE:
    return "nothing is deleted because of it";
  case FC_FOUND_UNKNOWN:
    return "from another boot, on a file system that other machines may share; nothing of it is deleted here";
  default:
    return NULL;
  }
}

static void row(const char *label, const char *text) {
  (void)printf("  %s%-8s%s ", fc_human_colour(FC_COLOUR_DIM), label, fc_human_plain());
  fc_human_wrap(text, LABEL_COLUMNS, LABEL_COLUMNS, fc_human_width());
}

static void __attribute__((format(printf, 2, 3))) row_format(const char *label, const char *format, ...) {
  va_list args;
  char *text = NULL;
  va_start(args, format);
  if (vasprintf(&text, format, args) < 0) fc_verb_no_memory();
  va_end(args);
  row(label, text);
  free(text);
}

static void row_name(const char *label, const char *name) {
  char *shown = fc_human_name(name);
  (void)printf("  %s%-8s%s %s\n", fc_human_colour(FC_COLOUR_DIM), label, fc_human_plain(), shown);
  free(shown);
}

/* "1234 python3, 1240 sh": a comma and a space where a line may break. */
static void row_processes(const char *label, const struct fc_roster_process *list, size_t n) {
  char *text = fc_verb_copy("", 0);
  for (size_t i = 0; i < n; i++) {
    char *program = fc_human_name(list[i].program);
    char *longer = NULL;
    /* U+00A0 would be no better: a number and its program may stand on two lines. */
    if (asprintf(&longer, "%s%s%u %s", text, i ? ", " : "", list[i].pid, program) < 0) fc_verb_no_memory();
    free(text);
    free(program);
    text = longer;
  }
  row(label, n ? text : "none");
  free(text);
}

static void print_policy(const struct fc_found *found) {
  const struct fc_policy *p = &found->header->policy;
  char ttl[FC_HUMAN_BYTES];
  char bytes[FC_HUMAN_BYTES] = "";
  char *keep = fc_human_name(p->keep);
  const bool by_session = p->scope == FC_SCOPE_SESSION;
  if (p->max_bytes != FC_INFINITY_COUNT) (void)fc_human_size(p->max_bytes, bytes);
  row_format("policy", "on exit %s%s%s, directories %s, track %s%s%s", fc_policy_on_exit(p),
             by_session ? "" : " of the ", by_session ? "" : fc_policy_scope(p), fc_policy_dirs(p), fc_policy_track(p),
             keep[0] ? ", keep " : "", keep);
  free(keep);
  if (!fc_survey_has_sweeper(found)) return;
  if (p->max_files != FC_INFINITY_COUNT)
    row_format("swept", "older than %s%s%s, over %llu files", fc_human_span(p->ttl_ns, ttl), bytes[0] ? ", over " : "",
               bytes, (unsigned long long)p->max_files);
  else
    row_format("swept", "older than %s%s%s", fc_human_span(p->ttl_ns, ttl), bytes[0] ? ", over " : "", bytes);
}

static void print_details(struct fc_found *found, unsigned verbose) {
  const struct fc_session_header *h = found->header;
  char files[FC_HUMAN_BYTES];
  char dirs[FC_HUMAN_BYTES];
  char size[FC_HUMAN_BYTES];
  struct fc_roster_process leader;
  struct fc_roster_process *list;
  leader_of(found, &leader);
  char *program = fc_human_name(leader.program);
  row_format("leader", "%u %s%s", leader.pid, program, leader.alive ? "" : program[0] ? " (gone)" : "(gone)");
  free(program);
  const size_t n = alive(found, &list);
  if (n)
    row_processes("members", list, n);
  else if (found->state == FC_FOUND_LIVE)
    row("members", "alive, but none that the records name");
  free(list);
  const uint32_t guardian = fc_survey_guardian(found);
  if (guardian) row_format("guardian", "%u", guardian);
  print_policy(found);
  if (found->replayed) {
    struct tally tally;
    count(found, &tally);
    if (tally.error)
      row("tracked", tally.error == ENOENT || tally.error == ESTALE ? "nothing: the base is gone, or was replaced"
                                                                    : strerror(tally.error));
    else
      row_format("tracked", "%s, %s, %s", fc_human_count(tally.files, "file", "files", files),
                 fc_human_count(tally.dirs, "directory", "directories", dirs), fc_human_size(tally.bytes, size));
  }
  if (found->unseen)
    row_format("unseen", "%u without the shim (static, set-user-ID, or just starting): what they make stays",
               found->unseen);
  const uint32_t used = used_cells(h);
  const double percent = capacity_of(h) ? 100.0 * used / capacity_of(h) : 0;
  row_format("journal", "%.1f %% full%s", percent, h->words.lost_creating ? "; names were lost, and stay" : "");
  if (verbose) {
    row_name("file", found->file);
    row_format("cells", "%u of %u, %u torn; lost: %u creations, %u removals", used, capacity_of(h), found->torn,
               h->words.lost_creating, h->words.lost_destructive);
  }
}

static void print_session(struct fc_found *found, const struct fc_verb_options *options) {
  char age[FC_HUMAN_BYTES];
  char when[FC_HUMAN_BYTES];
  char *id = fc_human_name(found->id);
  const struct fc_session_header *h = found->header;
  (void)printf("%s%s%s  %s%s%s", fc_human_colour(FC_COLOUR_HEAD), id, fc_human_plain(),
               fc_human_colour(colour_of(found->state)), fc_survey_state_name(found->state), fc_human_plain());
  free(id);
  if (h && h->name[0]) (void)printf("  named %s", h->name);
  if (h)
    (void)printf("  since %s (%s)", fc_human_time(h->created_s, when),
                 fc_human_age((int64_t)time(NULL) - h->created_s, age));
  (void)putchar('\n');
  if (h)
    row_name("base", h->base);
  else
    row_name("file", found->file);
  if (found->detail) row("detail", found->detail);
  if (meaning_of(found->state)) row("meaning", meaning_of(found->state));
  if (h) print_details(found, options->verbose);
}

static void print_none(const struct fc_survey *survey) {
  if (!survey->has_base) {
    (void)puts("no sessions");
    return;
  }
  char *base = fc_human_name(survey->base);
  (void)printf("no sessions of yours in %s%s\n", base, survey->base_exists ? "" : ", which does not exist");
  free(base);
}

static bool print(const struct fc_survey *survey, const struct fc_verb_options *options) {
  if (options->json) return print_json(survey, options->watch);
  if (!survey->first && !options->quiet) print_none(survey);
  for (struct fc_found *found = survey->first; found; found = found->next) {
    if (options->quiet) {
      char *id = fc_human_name(found->id);
      (void)puts(id);
      free(id);
      continue;
    }
    print_session(found, options);
    if (found->next) (void)putchar('\n');
  }
  return !ferror(stdout);
}

static int once(const struct fc_verb_options *options) {
  struct fc_survey survey;
  int rc = fc_survey_take(&survey, options);
  if (rc == FC_EXIT_DONE && !print(&survey, options)) rc = FC_EXIT_SOME_FAILED;
  fc_survey_free(&survey);
  return rc;
}

/* ---- again and again ---- */

static void nothing(int number) { (void)number; }

static int watch(const struct fc_verb_options *options) {
  const bool screen = isatty(STDOUT_FILENO) && !options->json;
  sigset_t waited;
  (void)sigemptyset(&waited);
  (void)sigaddset(&waited, SIGINT);
  (void)sigaddset(&waited, SIGTERM);
  (void)sigaddset(&waited, SIGHUP);
  (void)sigaddset(&waited, SIGWINCH);
  (void)sigprocmask(SIG_BLOCK, &waited, NULL);
  (void)signal(SIGWINCH, nothing); /* ignored by default, and then it would not be told */
  int rc;
  for (;;) {
    if (screen) (void)fputs("\033[H\033[2J", stdout);
    if (!options->json) {
      char now[FC_HUMAN_BYTES];
      (void)printf("every %d s, %s (interrupt to end)\n\n", WATCH_S, fc_human_time((int64_t)time(NULL), now));
    }
    rc = once(options);
    if (rc != FC_EXIT_DONE || fflush(stdout) != 0) break;
    const struct timespec pause = {.tv_sec = WATCH_S};
    const int number = sigtimedwait(&waited, NULL, &pause);
    if (number == SIGINT || number == SIGTERM || number == SIGHUP) break; /* the screen stays as it is */
    if (!screen && !options->json) (void)putchar('\n');
  }
  return rc;
}

static int run(const struct fc_verb *verb, const struct fc_verb_options *options) {
  (void)verb;
  return options->watch ? watch(options) : once(options);
}

const struct fc_verb fc_verb_status = {
    .name = "status",
    .summary = "Who holds a session: processes, policy, what is tracked",
    .operands = "",
    .help = "Shows the sessions of the base, or of all your bases: live ones; orphans, whose\n"
            "processes are gone; kept ones; and files that are damaged or no sessions.\n"
            "Changes nothing.\n",
    .options = FC_OPTION_BASE | FC_OPTION_JSON | FC_OPTION_VERBOSE | FC_OPTION_WATCH | FC_OPTION_SESSION,
    .run = run,
};

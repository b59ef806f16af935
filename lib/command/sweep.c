/* sweep: `filecleanup sweep`, one pass over everything of this user, or of one base: what dead sessions left, each by
 * its own policy, and what has expired in living ones. Safe from cron: who is at work already is waited for, and what
 * is in use stays.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "account.h"
#include "beneath.h"
#include "ending.h"
#include "human.h"
#include "json.h"
#include "sweeper.h"
#include "verb.h"

#define BAR_COLUMNS 30
#define BAR_STEP_NS 100000000 /* between two states of the progress bar */
#define BAR_LEAST 1000        /* fewer names need no bar */

/* What is done about one session. */
struct job {
  struct fc_found *found;
  const struct fc_verb_options *options;
  struct fc_reap_result done;
  const char *outcome; /* a word for programs */
  unsigned long long total;
  unsigned long long seen;
  int64_t drawn_ns;
  bool bar;
};

static void draw(struct job *job) {
  const int64_t now = fc_sys_boottime();
  if (!job->bar || now - job->drawn_ns < BAR_STEP_NS) return;
  job->drawn_ns = now;
  const unsigned long long part = job->total ? job->seen * BAR_COLUMNS / job->total : 0;
  char bar[BAR_COLUMNS + 1];
  for (unsigned i = 0; i < BAR_COLUMNS; i++) bar[i] = i < part ? '#' : '.';
  bar[BAR_COLUMNS] = '\0';
  char total[FC_HUMAN_BYTES];
  const int digits = snprintf(total, sizeof total, "%llu", job->total);
  (void)fprintf(stderr, "\r[%s] %*llu of %s names", bar, digits, job->seen, total);
  (void)fflush(stderr);
}

static void undraw(struct job *job) {
  if (job->bar && job->drawn_ns) (void)fprintf(stderr, "\r%*s\r", 2 * 24 + BAR_COLUMNS, "");
}

static void each(void *context, const char *path, const char *why) {
  struct job *job = context;
  job->seen++;
  if (!why && (job->options->verbose || job->options->dry_run) && !job->options->json && !job->options->quiet) {
    char *shown = fc_human_name(path);
    undraw(job);
    (void)printf("%s %s/%s\n", job->options->dry_run ? "would remove" : "removed", job->found->header->base, shown);
    free(shown);
  }
  draw(job);
}

static void count_tracked(struct job *job) {
  struct fc_node *const root = &job->found->registry.root;
  for (struct fc_node *n = fc_registry_postorder(root, NULL); n; n = fc_registry_postorder(root, n))
    job->total += n->tracked && !n->reserved ? 1 : 0;
  job->bar = isatty(STDERR_FILENO) && job->total >= BAR_LEAST && !job->options->quiet && !job->options->dry_run;
}

/* Where the directory that holds path stands in the sorted accounts. False: it is not the session's. */
static bool find_above(const struct fc_accounts *accounts, const char *path, size_t *index) {
  const size_t len = (size_t)(strrchr(path, '/') - path);
  size_t low = 0;
  size_t high = accounts->count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    const char *other = accounts->list[middle].path;
    const int order = strncmp(other, path, len);
    if (order == 0 && other[len] == '\0') {
      *index = middle;
      return true;
    }
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return false;
}

/* A directory goes when nothing is left in it. DIRS=recursive has more go than the records tell of: then it is believed
 * to go. */
static bool is_emptied(const struct fc_judge *judge, const struct fc_account *directory, size_t going) {
  static char buffer[FC_LIST_BYTES];
  const struct fc_session_header *h = judge->found->header;
  if (h->policy.dirs == FC_DIRS_RECURSIVE) return true;
  const int fd = fc_beneath_open(judge->base_fd, directory->path + strlen(h->base) + 1);
  if (fd < 0) return false;
  struct fc_list list;
  struct fc_entry entry;
  size_t entries = 0;
  fc_list_begin(&list, fd, buffer);
  while (entries <= going && fc_list_next(&list, &entry) == 1) entries++;
  (void)close(fd);
  return entries <= going;
}

/* What the end would remove, by the judge, who looks as the reaper does: what is in a directory before that. */
static void foretell_end(struct job *job) {
  struct fc_judge judge;
  struct fc_accounts accounts = {0};
  fc_judge_begin(&judge, job->found);
  fc_accounts_collect(&accounts, &judge, false);
  fc_accounts_sort(&accounts);
  size_t *going = fc_verb_alloc(accounts.count * sizeof *going); /* entries of that directory */
  for (size_t i = accounts.count; i-- > 0;) {
    const struct fc_account *a = &accounts.list[i];
    const bool is_dir = (a->judgement.st.stx_mode & S_IFMT) == S_IFDIR;
    if (!fc_judgement_deletes(job->found, &a->judgement) || (is_dir && !is_emptied(&judge, a, going[i]))) {
      job->done.kept++;
      continue;
    }
    size_t above;
    if (find_above(&accounts, a->path, &above)) going[above]++;
    *(is_dir ? &job->done.dirs : &job->done.files) += 1;
    if (!is_dir) job->done.bytes += a->judgement.st.stx_size;
    each(job, a->path + strlen(job->found->header->base) + 1, NULL);
  }
  free(going);
  fc_accounts_free(&accounts);
  fc_judge_end(&judge);
}

static void sweep_orphan(struct job *job, int dirfd, const struct fc_reap_watch *watch) {
  const struct fc_found *found = job->found;
  const char *name = strrchr(found->file, '/') + 1;
  const struct fc_end_options options = {.watch = watch};
  struct statx st;
  job->outcome = "busy";
  if (fc_sys_lock(found->fd, FC_F_OFD_SETLK, F_WRLCK, FC_BYTE_MEMBERS, NULL) < 0) return; /* somebody reaps it now */
  if (fc_sys_statx(found->fd, "", AT_EMPTY_PATH, STATX_NLINK, &st) == 0 && st.stx_nlink > 0) {
    switch (fc_ending_run(dirfd, name, found->fd, found->header, FC_INFINITY_NS, &options, &job->done)) {
    case FC_END_DONE:
      job->outcome = "removed";
      break;
    case FC_END_CLOSED:
      job->outcome = "kept";
      break;
    case FC_END_DEFERRED:
      job->outcome = "deferred";
      break;
    case FC_END_FAILED:
      job->outcome = "failed";
      job->done.failed++;
      break;
    default:
      break;
    }
  }
  (void)fc_sys_lock(found->fd, FC_F_OFD_SETLK, F_UNLCK, FC_BYTE_MEMBERS, NULL);
}

static void sweep_live(struct job *job, int dirfd, const struct fc_reap_watch *watch) {
  struct fc_sweep_result result;
  const struct fc_sweep sweep = {.what = FC_SWEEP_EXPIRED, .watch = watch, .dry = job->options->dry_run};
  job->outcome = "nothing";
  if (job->found->header->policy.on_exit == FC_ON_EXIT_REPORT) return; /* its policy: delete nothing */
  const int rc = fc_sweeper_pass(dirfd, job->found->fd, job->found->header, &sweep, NULL, FC_INFINITY_NS, &result);
  job->done = result.reaped;
  if (rc == 0)
    job->outcome = "swept";
  else if (rc == -ESTALE)
    job->outcome = "busy"; /* it has ended meanwhile */
  else {
    job->outcome = "failed";
    job->done.failed++;
  }
}

static void sweep(struct job *job) {
  struct fc_found *found = job->found;
  const struct fc_reap_watch watch = {each, job};
  job->outcome = "skipped";
  const int dirfd = fc_sys_openat(AT_FDCWD, found->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
  if (dirfd < 0) return;
  if (found->replayed) count_tracked(job);
  if (found->state == FC_FOUND_LIVE && found->replayed) {
    sweep_live(job, dirfd, &watch);
  } else if (found->state == FC_FOUND_ORPHAN && job->options->dry_run) {
    job->outcome = "removed";
    foretell_end(job);
  } else if (found->state == FC_FOUND_ORPHAN) {
    sweep_orphan(job, dirfd, &watch);
  }
  undraw(job);
  (void)close(dirfd);
}

static json_t *job_json(const struct job *job) {
  const struct fc_reap_result *d = &job->done;
  const struct {
    const char *key;
    unsigned long long value;
  } numbers[] = {{"removed_files", d->files}, {"removed_dirs", d->dirs}, {"removed_unseen", d->unseen},
                 {"removed_bytes", d->bytes}, {"kept", d->kept},         {"in_use", d->in_use},
                 {"replaced", d->replaced},   {"put_back", d->restored}, {"handed_over", d->adopted},
                 {"errors", d->failed}};
  json_t *out = json_object();
  if (!out) fc_verb_no_memory();
  fc_json_name(out, "id", job->found->id);
  fc_json_name(out, "base", job->found->header ? job->found->header->base : NULL);
  fc_json_text(out, "state", fc_survey_state_name(job->found->state));
  fc_json_text(out, "outcome", job->outcome);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    fc_json_number(out, numbers[i].key, (int64_t)numbers[i].value);
  return out;
}

static void print_job(const struct job *job) {
  const struct fc_reap_result *d = &job->done;
  const bool idle = d->files + d->dirs + d->unseen + d->in_use + d->failed == 0;
  const bool acted = strcmp(job->outcome, "skipped") != 0;
  if (job->options->quiet || (!job->options->verbose && idle && strcmp(job->outcome, "removed") != 0)) return;
  char *base = fc_human_name(job->found->header ? job->found->header->base : job->found->file);
  (void)printf("%s%s%s  (session %s, %s)\n", fc_human_colour(FC_COLOUR_HEAD), base, fc_human_plain(), job->found->id,
               fc_survey_state_name(job->found->state));
  free(base);
  if (!acted) {
    (void)printf("  left alone%s%s\n", job->found->detail ? ": " : "", job->found->detail ? job->found->detail : "");
    return;
  }
  char files[FC_HUMAN_BYTES];
  char dirs[FC_HUMAN_BYTES];
  char size[FC_HUMAN_BYTES];
  const bool removed = d->files + d->dirs + d->unseen > 0;
  if (!removed) (void)printf("  nothing%s removed\n", job->options->dry_run ? " would be" : "");
  if (removed)
    (void)printf("  %s %s, %s, %s\n", job->options->dry_run ? "would remove" : "removed",
                 fc_human_count(d->files + d->unseen, "file", "files", files),
                 fc_human_count(d->dirs, "directory", "directories", dirs), fc_human_size(d->bytes, size));
  const struct {
    unsigned long long count;
    const char *what;
  } rest[] = {{d->in_use, "in use"},
              {d->kept, "kept by pattern, policy or rule"},
              {d->replaced + d->restored, "replaced by something else"},
              {d->adopted, "handed to another session"},
              {d->failed, "failed; see its log (filecleanup status)"}};
  for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
    if (rest[i].count) (void)printf("  stay: %llu %s\n", rest[i].count, rest[i].what);
  if (strcmp(job->outcome, "busy") == 0) (void)puts("  somebody else is at work on it");
}

static int run(const struct fc_verb *verb, const struct fc_verb_options *options) {
  struct fc_survey survey;
  int status = fc_survey_take(&survey, options);
  if (status != FC_EXIT_DONE) return status;
  json_t *root = options->json ? fc_json_begin(verb->name) : NULL;
  json_t *sessions = options->json ? json_array() : NULL;
  size_t printed = 0;
  for (struct fc_found *found = survey.first; found; found = found->next) {
    struct job job = {.found = found, .options = options};
    sweep(&job);
    if (job.done.failed) status = FC_EXIT_SOME_FAILED;
    if (sessions)
      fc_json_add(sessions, job_json(&job));
    else
      print_job(&job);
    printed++;
    if (!options->dry_run) (void)rmdir(found->dir); /* only when no session of this base is left */
  }
  if (root) {
    fc_json_name(root, "base", survey.has_base ? survey.base : NULL);
    fc_json_set(root, "dry_run", json_boolean(options->dry_run));
    fc_json_set(root, "sessions", sessions);
    if (!fc_json_end(root, false)) status = FC_EXIT_SOME_FAILED;
  } else if (printed == 0 && !options->quiet && options->verbose) {
    (void)puts("no sessions");
  }
  fc_survey_free(&survey);
  return status;
}

const struct fc_verb fc_verb_sweep = {
    .name = "sweep",
    .summary = "Remove what dead sessions left, and what has expired",
    .operands = "",
    .help = "Looks at all sessions of the base, or of all your bases: a session whose\n"
            "processes are all gone is ended by its own policy; in one that lives, files\n"
            "older than its TTL, or over its caps, are removed, but for those in use. Safe\n"
            "from cron. Says nothing when there was nothing to do. With -v each name; with -n\n"
            "nothing is done. Status 1: something could not be removed.\n",
    .options = FC_OPTION_BASE | FC_OPTION_JSON | FC_OPTION_VERBOSE | FC_OPTION_SESSION | FC_OPTION_DRY_RUN,
    .run = run,
};

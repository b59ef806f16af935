/* The model test: lists of actions, run by real processes under the shim, against a plain model of who owns which name.
 *
 * Responsible for: choosing the lists (help() below), running them in several jobs at once, and saying what was found.
 * Must never: go on quietly after a list that failed.
 */
#include "../harness/harness_row.h"
#include "self_check.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef FC_BUILD_DIR
#define FC_BUILD_DIR "build"
#endif

enum { JOBS_MAX = 64, FIXED_MAX = 200, KILLS_EVERY = 8, PLACE_MAX = 32 };

struct options {
  long lists;
  long seconds;
  unsigned long long seed;
  int actions, jobs;
  bool bare, guardian, alternate, self_check, kill_anytime, verbose;
  const char *build, *keep;
  char *files[FIXED_MAX];
  int file_count;
};

/* What the jobs share; each writes only its own slot, and `stop`. */
struct tally {
  long lists, actions, deletions, undecided, leaks, late;
  long faults[FAULT_WRONG + 1];
  int fewest, most; /* processes of a list */
};

struct shared {
  volatile int stop;
  struct tally jobs[JOBS_MAX];
};

static void add_outcome(struct tally *tally, const struct outcome *outcome) {
  tally->actions += outcome->actions;
  tally->deletions += outcome->deletions;
  tally->undecided += outcome->undecided;
  tally->leaks += outcome->leaks;
  tally->late += outcome->fault == FAULT_NONE ? outcome->late : 0;
  tally->faults[outcome->fault]++;
  if (tally->fewest == 0 || outcome->processes < tally->fewest) tally->fewest = outcome->processes;
  if (outcome->processes > tally->most) tally->most = outcome->processes;
}

static const char *engine_name(enum engine engine) { return engine == ENGINE_BARE ? "bare" : "guardian"; }

static void report(const struct options *options, const char *name, struct list *list, enum engine engine,
                   const struct settings *settings, const struct outcome *first) {
  struct outcome again = *first;
  char path[512];
  fprintf(stderr, "model: %s: %s (%s): %s\n", name, fault_name(first->fault), engine_name(engine), first->what);
  if (first->killed_in[0]) fprintf(stderr, "model: last kill inside an action: %s\n", first->killed_in);
  driver_copy_log(settings, stderr);
  shrink(list, engine, settings, first);
  driver_run(list, engine, settings, &again);
  if (again.fault == FAULT_NONE) fprintf(stderr, "model: %s: did not fail again; it depends on timing\n", name);
  list->runs_in = engine == ENGINE_BARE ? RUNS_IN_BARE : RUNS_IN_GUARDIAN;
  const char *leaf = path_leaf(name);
  (void)snprintf(path, sizeof path, "%s/model-failed-%.*s.list", options->keep, (int)strcspn(leaf, "."), leaf);
  FILE *file = fopen(path, "w");
  FILE *const outs[] = {stderr, file};
  for (int i = 0; i < 2 && outs[i]; i++) {
    fprintf(outs[i], "# %s: %s: %s\n", name, fault_name(again.fault), again.what);
    list_print(outs[i], list);
  }
  if (file) {
    (void)fclose(file);
    fprintf(stderr, "model: kept in %s; run it with --list-file\n", path);
  }
}

/* One list in each of the modes asked for. */
static bool try_list(const struct options *options, const char *name, const struct list *list,
                     const struct settings *settings, struct tally *tally) {
  bool fine = true;
  tally->lists++;
  for (enum engine engine = ENGINE_BARE; engine <= ENGINE_GUARDIAN; engine++) {
    static struct list copy;
    struct outcome outcome;
    const bool wanted = engine == ENGINE_BARE ? options->bare && list->runs_in != RUNS_IN_GUARDIAN
                                              : options->guardian && list->runs_in != RUNS_IN_BARE;
    if (!wanted) continue;
    driver_run(list, engine, settings, &outcome);
    add_outcome(tally, &outcome);
    if (outcome.fault == FAULT_NONE) continue;
    fine = false;
    copy = *list;
    report(options, name, &copy, engine, settings, &outcome);
  }
  return fine;
}

static bool try_file(const struct options *options, const char *path, const struct settings *settings,
                     struct tally *tally) {
  static struct list list;
  char why[160];
  FILE *file = fopen(path, "r");
  if (!file) {
    fprintf(stderr, "model: %s: %s\n", path, strerror(errno));
    return false;
  }
  const bool read = list_read(file, &list, why);
  (void)fclose(file);
  if (!read) {
    fprintf(stderr, "model: %s: no action: %s\n", path, why);
    return false;
  }
  return try_list(options, path, &list, settings, tally);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
  (void)st;
  (void)type;
  (void)ftw;
  return remove(path);
}

/* Job `job` takes every jobs-th list; the first also takes the files. */
static bool run_job(const struct options *options, int job, const char *scratch, struct shared *shared) {
  char own[ROOT_SIZE];
  bool fine = true;
  if ((size_t)snprintf(own, sizeof own, "%s/%d", scratch, job) >= sizeof own || mkdir(own, 0755) != 0) return false;
  const struct settings settings = {options->build, own, RULE_NONE, options->verbose};
  const unsigned long long first_seed = options->seed * 1000003ULL;
  if (options->self_check) {
    const struct self_check check = {&settings,           first_seed, options->lists, options->actions, options->files,
                                     options->file_count, job,        options->jobs};
    return self_check(&check);
  }
  srand((unsigned)options->seed + (unsigned)job);
  for (int i = job; i < options->file_count && !shared->stop; i += options->jobs)
    if (!try_file(options, options->files[i], &settings, &shared->jobs[job])) fine = false;
  const time_t until = options->seconds ? time(NULL) + options->seconds : 0;
  for (long i = job; i < options->lists && !shared->stop && (!until || time(NULL) < until); i += options->jobs) {
    static struct list list;
    char name[64];
    list_generate(&list, first_seed + (unsigned long long)i, options->actions);
    if (options->alternate) list.runs_in = i / 2 % 2 ? RUNS_IN_GUARDIAN : RUNS_IN_BARE;
    if (options->kill_anytime || i % KILLS_EVERY == KILLS_EVERY - 1)
      list_add_kills(&list, first_seed + (unsigned long long)i);
    (void)snprintf(name, sizeof name, "seed-%llu-list-%ld", options->seed, i);
    if (!try_list(options, name, &list, &settings, &shared->jobs[job])) {
      fine = false;
      shared->stop = 1;
    }
  }
  return fine;
}

static bool run_jobs(const struct options *options, struct tally *sum) {
  char scratch[64];
  bool fine = true;
  const char *place = getenv("TMPDIR");
  if (!place || !*place || strlen(place) > PLACE_MAX) place = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
  (void)snprintf(scratch, sizeof scratch, "%s/fc-model.XXXXXX", place);
  struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED || !mkdtemp(scratch)) {
    perror("model: cannot start");
    return false;
  }
  (void)fflush(NULL);
  for (int job = 0; job < options->jobs; job++)
    if (fork() == 0) {
      const bool job_fine = run_job(options, job, scratch, shared);
      (void)fflush(NULL);
      _exit(job_fine ? 0 : 1);
    }
  for (int job = 0; job < options->jobs; job++) {
    int status = 0;
    if (wait(&status) < 0 || status != 0) fine = false;
  }
  for (int job = 0; job < options->jobs; job++) {
    const struct tally *one = &shared->jobs[job];
    sum->lists += one->lists;
    sum->actions += one->actions;
    sum->deletions += one->deletions;
    sum->undecided += one->undecided;
    sum->leaks += one->leaks;
    sum->late += one->late;
    for (int i = 0; i <= FAULT_WRONG; i++) sum->faults[i] += one->faults[i];
    if (one->fewest && (!sum->fewest || one->fewest < sum->fewest)) sum->fewest = one->fewest;
    if (one->most > sum->most) sum->most = one->most;
  }
  (void)nftw(scratch, remove_entry, 16, FTW_DEPTH | FTW_PHYS); /* what cannot go is no failure */
  return fine;
}

static void add_fixed_lists(struct options *options, const char *dir) {
  struct dirent **entries = NULL;
  const int count = scandir(dir, &entries, NULL, alphasort);
  for (int i = 0; i < count; i++) {
    const char *name = entries[i]->d_name;
    char *path = NULL;
    if (strlen(name) > 5 && strcmp(name + strlen(name) - 5, ".list") == 0 && options->file_count < FIXED_MAX &&
        asprintf(&path, "%s/%s", dir, name) > 0)
      options->files[options->file_count++] = path;
    free(entries[i]);
  }
  free(entries);
}

static const char *with_commas(long number, char out[32]) {
  char digits[32];
  const int length = snprintf(digits, sizeof digits, "%ld", number);
  char *at = out;
  for (int i = 0; i < length; i++) {
    if (i > 0 && (length - i) % 3 == 0) *at++ = ',';
    *at++ = digits[i];
  }
  *at = '\0';
  return out;
}

static bool built(const struct options *options) {
  static const char *const needed[] = {"probes/model_worker", "libfilecleanup_preload.so", "filecleanup"};
  for (int i = 0; i < (options->self_check ? 1 : options->guardian ? 3 : 2); i++) {
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", options->build, needed[i]);
    if (access(path, R_OK) != 0) {
      fprintf(stderr, "model: %s: %s\n", path, strerror(errno));
      return false;
    }
  }
  return true;
}

static void help(FILE *out) {
  fputs(
      "usage: model [OPTION...]\n"
      "Runs random lists of actions by real processes under filecleanup, beside a plain model of who owns which name:\n"
      "what must stay and is missing, what must go and is there, and what a program sees otherwise, is a violation.\n"
      "  --lists N          so many random lists (1000)\n"
      "  --seed S           which ones (1): the same seed makes the same lists\n"
      "  --seconds T        no list begins after T seconds (0: no limit); for hours: --lists 100000000 --seconds 36000\n"
      "  --actions K        about so many actions in a list (30)\n"
      "  --mode WHICH       bare (LD_PRELOAD), guardian (filecleanup run), both, or each: one or the other by turns\n"
      "                     (each; the fixed lists run in both)\n"
      "  --kill-anytime     processes are killed inside actions in every list, not in one of eight\n"
      "  --jobs N           so many lists at once (two for each processor)\n"
      "  --list-file FILE   this list and no random ones; again for more (tests/model/actions.h has the language)\n"
      "  --fixed DIR        the lists in *.list run first (tests/model/lists)\n"
      "  --build DIR        what is tested\n"
      "  --keep DIR         where a list that failed is kept, made as short as it still fails (the build directory)\n"
      "  --self-check       asks whether the judge is any good: a cleaner without one of the rules must be found guilty\n"
      "  -v, --verbose      each action as it is done\n"
      "Status: 0 all is well, 1 a list failed, 2 usage, 77 nothing to test is built.\n",
      out);
}

int main(int argc, char **argv) {
  static const struct option longs[] = {
      {"lists", 1, NULL, 'l'},     {"seconds", 1, NULL, 't'},      {"seed", 1, NULL, 's'},
      {"actions", 1, NULL, 'a'},   {"mode", 1, NULL, 'm'},         {"jobs", 1, NULL, 'j'},
      {"list-file", 1, NULL, 'f'}, {"build", 1, NULL, 'b'},        {"fixed", 1, NULL, 'x'},
      {"keep", 1, NULL, 'k'},      {"kill-anytime", 0, NULL, 'K'}, {"self-check", 0, NULL, 'S'},
      {"help", 0, NULL, 'h'},      {"verbose", 0, NULL, 'v'},      {NULL, 0, NULL, 0}};
  static struct options options = {
      .lists = 1000, .seed = 1, .actions = 30, .bare = true, .guardian = true, .alternate = true};
  char fixed[512], build[PATH_MAX], commas[3][32];
  options.build = FC_BUILD_DIR;
  options.keep = NULL;                                   /* beside what was tested */
  options.jobs = 2 * (int)sysconf(_SC_NPROCESSORS_ONLN); /* a list waits for its processes half of the time */
  (void)snprintf(fixed, sizeof fixed, "%.*slists", (int)(path_leaf(__FILE__) - __FILE__), __FILE__);
  for (int c; (c = getopt_long(argc, argv, "v", longs, NULL)) != -1;) switch (c) {
    case 'l':
      options.lists = atol(optarg);
      break;
    case 't':
      options.seconds = atol(optarg);
      break;
    case 's':
      options.seed = strtoull(optarg, NULL, 10);
      break;
    case 'a':
      options.actions = atoi(optarg);
      break;
    case 'm':
      options.bare = strcmp(optarg, "guardian") != 0;
      options.guardian = strcmp(optarg, "bare") != 0;
      options.alternate = strcmp(optarg, "each") == 0;
      break;
    case 'j':
      options.jobs = atoi(optarg);
      break;
    case 'f':
      options.lists = 0;
      fixed[0] = '\0';
      if (options.file_count < FIXED_MAX) options.files[options.file_count++] = optarg;
      break;
    case 'b':
      options.build = optarg;
      break;
    case 'x':
      (void)snprintf(fixed, sizeof fixed, "%s", optarg);
      break;
    case 'k':
      options.keep = optarg;
      break;
    case 'K':
      options.kill_anytime = true;
      break;
    case 'S':
      options.self_check = true;
      break;
    case 'v':
      options.verbose = true;
      break;
    case 'h':
      help(stdout);
      return 0;
    default:
      help(stderr);
      return 2;
    }
  if (optind < argc || options.actions < 1 || options.actions > ACTIONS_MAX - 40) {
    help(stderr);
    return 2;
  }
  if (!realpath(options.build, build)) {
    fprintf(stderr, "model: %s: %s\n", options.build, strerror(errno));
    return 77;
  }
  options.build = build;
  if (!options.keep) options.keep = build;
  if (!built(&options)) return 77;
  if (fixed[0]) add_fixed_lists(&options, fixed);
  if (options.jobs < 1 || options.jobs > JOBS_MAX || options.verbose) options.jobs = 1;
  (void)signal(SIGPIPE, SIG_IGN);
  (void)setvbuf(stdout, NULL, _IOLBF, 0); /* the jobs' lines, whole and as they come */

  struct tally sum = {0};
  const time_t began = time(NULL);
  const bool fine = run_jobs(&options, &sum);
  const long seconds = (long)(time(NULL) - began);
  if (options.self_check) return fine ? 0 : 1;
  const long wrong = sum.faults[FAULT_WRONG], leaks = sum.faults[FAULT_LEAK] + sum.leaks;
  printf("model: %s lists, %s actions, %d-%d processes, %ld wrong deletions, %ld leaks%s, %ld undecided (may), %s "
         "genuine deletions\n",
         with_commas(sum.lists, commas[0]), with_commas(sum.actions, commas[1]), sum.fewest, sum.most, wrong, leaks,
         sum.leaks ? " (excused: killed inside an action)" : "", sum.undecided, with_commas(sum.deletions, commas[2]));
  printf("model: %ld s, %ld lists a second on %d at once\n", seconds, sum.lists / (seconds > 0 ? seconds : 1),
         options.jobs);
  if (sum.faults[FAULT_STRANGER] || sum.faults[FAULT_ANSWER] || sum.faults[FAULT_STUCK])
    printf("model: also %ld strangers, %ld wrong answers, %ld stuck\n", sum.faults[FAULT_STRANGER],
           sum.faults[FAULT_ANSWER], sum.faults[FAULT_STUCK]);
  const long harmed =
      wrong + sum.faults[FAULT_LEAK] + sum.faults[FAULT_STRANGER] + sum.faults[FAULT_ANSWER] + sum.faults[FAULT_STUCK];
  (void)snprintf(fixed, sizeof fixed, "seed %llu%s", options.seed,
                 options.kill_anytime ? ", killed inside actions" : "");
  FCT_ROW("model", fixed, "killed inside an action", {"lists", (unsigned long long)sum.lists},
          {"violations", (unsigned long long)harmed}, {"leaks", (unsigned long long)sum.leaks});
  const bool too_late = sum.late > 2 + sum.lists / 200;
  if (sum.late > 0)
    printf("model: %ld ends of a session needed one more start%s\n", sum.late, too_late ? ": too many" : "");
  if (sum.deletions == 0) fprintf(stderr, "model: nothing was deleted at all; that proves nothing\n");
  return fine && sum.deletions > 0 && !too_late ? 0 : 1;
}

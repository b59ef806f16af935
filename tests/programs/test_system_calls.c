/* What strace shows with and without the shim. A program that creates nothing under the base makes the same system
 * calls in the same order; what is added at start, exec, fork and exit, and by each operation under the base, is listed
 * here by name and number, so that one call more is a failure. The lists are printed. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../harness/harness.h"

TestSuite(system_calls, .fini = fct_teardown, .timeout = 200);

#define LINES_MAX 12000
#define FILES_MAX 128
#define NAMES_MAX 64

/* ---- logs: strace -ff writes one file for each process, PREFIX.PID ---- */

struct log {
  char *lines[LINES_MAX]; /* normalized; those of the first process come first */
  size_t count;
  size_t first; /* how many of them are of the first process */
};

/* Addresses, process ids and times differ between any two runs. */
static char *normalize(char *line) {
  char *out = malloc(strlen(line) * 2 + 8);
  char *to = out;
  for (const char *p = line; *p;) {
    if (p[0] == '0' && p[1] == 'x') {
      p += 2 + strspn(p + 2, "0123456789abcdef");
      *to++ = '@';
    } else {
      *to++ = *p++;
    }
  }
  *to = '\0';
  char *variables = strncmp(out, "execve(", 7) == 0 ? strstr(out, " /* ") : NULL;
  if (variables) *variables = '\0'; /* their number */
  static const char *const of_process[] = {"getpid(", "getppid(",      "clone",           "wait4(",
                                           "vfork(",  "rt_sigreturn(", "set_tid_address("};
  for (size_t i = 0; i < sizeof of_process / sizeof *of_process; i++) {
    char *result = strncmp(out, of_process[i], strlen(of_process[i])) == 0 ? strrchr(out, '=') : NULL;
    if (result) strcpy(result, "= pid");
  }
  char *length = strncmp(out, "getrandom(", 10) == 0 ? strstr(out, "\", ") : NULL;
  if (length) memmove(strchr(out, '(') + 1, length, strlen(length) + 1);
  char *file_system = strstr(out, "statfs(") ? strchr(out, '{') : NULL;
  if (file_system) *file_system = '\0'; /* how full it is */
  return out;
}

static int by_pid(const void *a, const void *b) {
  const int first = *(const int *)a;
  const int second = *(const int *)b;
  return (first > second) - (first < second);
}

/* Pids grow from the first process to its children. A wrap-around in between would be seen as a difference: the run is
 * so short that it is not worth guarding against. */
static struct log *read_log(const struct fct_world *world, const char *prefix) {
  int pids[FILES_MAX];
  size_t files = 0;
  struct log *log = calloc(1, sizeof *log);
  DIR *directory = opendir(world->root);
  cr_assert(log && directory);
  const size_t length = strlen(prefix);
  for (const struct dirent *entry; (entry = readdir(directory));)
    if (strncmp(entry->d_name, prefix, length) == 0 && entry->d_name[length] == '.' && files < FILES_MAX)
      pids[files++] = atoi(entry->d_name + length + 1);
  closedir(directory);
  cr_assert(files > 0, "strace wrote no %s", prefix);
  qsort(pids, files, sizeof *pids, by_pid);
  for (size_t i = 0; i < files; i++) {
    char line[4096];
    FILE *file = fopen(fct_format("%s/%s.%d", world->root, prefix, pids[i]), "r");
    cr_assert(file);
    while (fgets(line, sizeof line, file)) {
      line[strcspn(line, "\n")] = '\0';
      if (line[0] == '-' || line[0] == '+') continue; /* signals, exits */
      /* At which moment a shell hears of the end of a child, and how often it asks, differs from run to run. */
      if (strncmp(line, "wait4(", 6) == 0 || strncmp(line, "rt_sigreturn(", 13) == 0) continue;
      cr_assert(log->count < LINES_MAX);
      log->lines[log->count++] = normalize(line);
    }
    (void)fclose(file);
    if (i == 0) log->first = log->count;
  }
  return log;
}

/* ---- parts of logs, and what one has more than another ---- */

struct part {
  char *const *lines;
  size_t count;
};

static struct part whole(const struct log *log) { return (struct part){log->lines, log->count}; }

static size_t find_mark(const struct log *log, const char *edge, const char *section) {
  const char *mark = fct_format("write(-1, \"%s %s\"", edge, section);
  for (size_t i = 0; i < log->first; i++)
    if (strncmp(log->lines[i], mark, strlen(mark)) == 0) return i;
  cr_assert_fail("no %s %s in the log", edge, section);
  return 0;
}

static struct part between(const struct log *log, const char *section) {
  const size_t from = find_mark(log, "begin", section) + 1;
  return (struct part){log->lines + from, find_mark(log, "end", section) - from};
}

static struct part before(const struct log *log, const char *section) {
  return (struct part){log->lines, find_mark(log, "begin", section)};
}

static struct part after(const struct log *log, const char *section) {
  const size_t from = find_mark(log, "begin", section) + 1;
  return (struct part){log->lines + from, log->first - from};
}

static struct part children(const struct log *log) {
  return (struct part){log->lines + log->first, log->count - log->first};
}

struct tally {
  char name[32];
  int count;
};

static void count_calls(struct tally *tallies, size_t *names, struct part part, int each) {
  for (size_t i = 0; i < part.count; i++) {
    const size_t length = strcspn(part.lines[i], "(");
    size_t at = 0;
    while (at < *names && (strlen(tallies[at].name) != length || strncmp(tallies[at].name, part.lines[i], length) != 0))
      at++;
    if (at == *names) {
      cr_assert(*names < NAMES_MAX && length < sizeof tallies->name, "%s", part.lines[i]);
      memcpy(tallies[at].name, part.lines[i], length);
      tallies[(*names)++].count = 0;
    }
    tallies[at].count += each;
  }
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const struct tally *)a)->name, ((const struct tally *)b)->name);
}

/* "close 1, openat 2": what the shim's part has more, in the order of the names; a minus where it has less. */
static const char *more(struct part plain, struct part shim) {
  struct tally tallies[NAMES_MAX] = {0};
  size_t names = 0;
  count_calls(tallies, &names, shim, 1);
  count_calls(tallies, &names, plain, -1);
  qsort(tallies, names, sizeof *tallies, by_name);
  const char *list = "";
  for (size_t i = 0; i < names; i++)
    if (tallies[i].count != 0)
      list = fct_format("%s%s%s %d", list, *list ? ", " : "", tallies[i].name, tallies[i].count);
  return list;
}

static void expect_more(const char *what, struct part plain, struct part shim, const char *expected) {
  const char *found = more(plain, shim);
  printf("  %-24s %s\n", what, *found ? found : "nothing");
  cr_expect_str_eq(found, expected, "%s: the shim adds \"%s\", listed is \"%s\"", what, found, expected);
}

static void expect_equal(const char *what, struct part plain, struct part shim) {
  expect_more(what, plain, shim, "");
  for (size_t i = 0; i < plain.count && i < shim.count; i++)
    if (strcmp(plain.lines[i], shim.lines[i]) != 0)
      cr_assert_fail("%s: call %zu of %zu is\n  %s\nwith the shim\n  %s", what, i + 1, plain.count, plain.lines[i],
                     shim.lines[i]);
}

/* All of the plain part, in its order, with other calls between. Where the loader's own heap grows depends on how many
 * objects it loads; that it does not grow more often has been counted. */
static void expect_within(const char *what, struct part plain, struct part shim) {
  size_t at = 0;
  for (size_t i = 0; i < plain.count; i++) {
    if (strstr(plain.lines[i], "MAP_ANONYMOUS")) continue;
    while (at < shim.count && strcmp(plain.lines[i], shim.lines[at]) != 0) at++;
    if (at == shim.count)
      cr_assert_fail("%s: with the shim this call is missing, changed or late:\n  %s", what, plain.lines[i]);
  }
}

/* ---- runs ---- */

/* The shell and strace are members of the session too, so that the program joins it, as nearly all programs do. */
static struct log *trace(const struct fct_world *world, enum fct_mode mode, const char *prefix, const char *command) {
  struct fct_result set_up = FCT_EXECUTE(
      world, .script = "rm -rf base/* elsewhere; mkdir base/sub elsewhere; echo text > base/there; : > base/sub/file");
  cr_assert_eq(set_up.status, 0, "%s", set_up.err);
  struct fct_result run = FCT_EXECUTE(
      world, .mode = mode, .script = fct_format("strace -ff -qq -o %s/%s %s; exit $?", world->root, prefix, command));
  cr_assert_eq(run.status, 0, "%s: %s%s", command, run.out, run.err);
  return read_log(world, prefix);
}

/* Of this the loader makes seven: open, read, stat, three mappings, close. */
#define START                                                                                                          \
  "clock_gettime 1, close 2, getpid 2, getppid 1, madvise 1, mmap 5, newfstatat 1, openat 1, ppoll 1, read 1, "        \
  "rt_sigprocmask 1, statx 1"
#define EXIT "close 1, fcntl 1, getpid 1, mmap 1, openat 1, rt_sigprocmask 2, statx 1"
#define ONE_PROGRAM                                                                                                    \
  "clock_gettime 1, close 3, fcntl 1, getpid 3, getppid 1, madvise 1, mmap 6, newfstatat 1, openat 2, ppoll 1, "       \
  "read 1, rt_sigprocmask 3, statx 2"
/* The name of the directory is asked for once, as in "outside-truncate" below. */
#define ONE_RM                                                                                                         \
  "clock_gettime 1, close 4, fcntl 1, getpid 3, getppid 1, madvise 1, mmap 6, newfstatat 1, openat 3, ppoll 1, "       \
  "read 1, readlinkat 1, rt_sigprocmask 3, statx 2"
/* It leaves by _exit. */
#define ONE_SHELL                                                                                                      \
  "clock_gettime 1, close 3, fcntl 1, getpid 4, getppid 1, madvise 1, mmap 6, newfstatat 1, openat 2, ppoll 1, "       \
  "read 1, rt_sigprocmask 2, statx 2"
#define TEN_SUBSHELLS                                                                                                  \
  "clock_gettime 1, close 13, fcntl 11, getpid 34, getppid 1, madvise 1, mmap 16, newfstatat 1, openat 12, ppoll 1, "  \
  "read 1, rt_sigprocmask 12, statx 12"
#define TEN_COMMANDS                                                                                                   \
  "clock_gettime 21, close 43, fcntl 31, getpid 44, getppid 11, madvise 11, mmap 66, newfstatat 11, openat 32, "       \
  "ppoll 11, read 11, rt_sigprocmask 32, statx 32"
#define TEN_CHILDREN "close 10, fcntl 10, getpid 30, mmap 10, openat 10, rt_sigprocmask 10, statx 10"

Test(system_calls, what_each_operation_adds) {
  fct_need("strace");
  static const struct {
    const char *section;
    const char *expected; /* NULL: the same calls in the same order, arguments and results included */
  } sections[] = {
      {"main", NULL},
      {"open", NULL},
      {"write", NULL},
      {"stat", NULL},
      {"list", NULL},
      {"chdir", NULL},
      {"stdio", NULL},
      {"fork", NULL},
      {"outside-create", NULL},
      {"outside-reopen", NULL},
      /* It might be a symbolic link to what the user has under the base: the directory's real name is asked for once.
       */
      {"outside-truncate", "close 1, openat 1, readlinkat 1"},
      {"outside-link", NULL},
      {"outside-rename", NULL},
      {"outside-replace", NULL},
      {"outside-unlink", NULL},
      {"outside-symlink", NULL},
      {"outside-mkdir", NULL},
      {"outside-fifo", NULL},
      {"outside-relative", "getcwd 1, getpid 1"}, /* of ten creations and ten removals; once after each chdir */
      /* Ten of each: three calls that would remove or make, and fail. */
      {"fail", "statx 30"},
      {"inside-create", "statx 10"},
      {"inside-reopen",
       "madvise 1, openat 10, statx 10"}, /* the try with O_EXCL; a page of the journal is made present */
      {"inside-truncate", "openat 10, statx 10"},
      {"inside-link", "statx 30"},
      {"inside-rename", "rename -20, renameat2 20, statx 20"}, /* without replacing, which succeeds */
      {"inside-replace", "statx 30"},
      {"inside-unlink", "statx 10"},
      {"inside-symlink", "statx 20"},
      {"inside-mkdir", "statx 20"},
      {"inside-fifo", "statx 20"},
      /* What getcwd is for a relative name, this is for one that is relative to a descriptor: it is asked each time. */
      {"outside-dirfd", "readlinkat 20"},
      {"inside-dirfd", "readlinkat 20, statx 20"},
      {"inside-relative", "getcwd 1, getpid 1, statx 20"},
  };
  struct fct_world *world = fct_world_new();
  const char *command = fct_format("$PROBES/operations %s %s", world->base, fct_path(world, "elsewhere"));
  const struct log *plain = trace(world, FCT_PLAIN, "plain", command);
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    const struct log *shim = trace(world, *mode, fct_format("shim%d", *mode), command);
    printf("what the shim adds, %s:\n", fct_mode_name(*mode));
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
      const struct part a = between(plain, sections[i].section);
      const struct part b = between(shim, sections[i].section);
      if (sections[i].expected)
        expect_more(sections[i].section, a, b, sections[i].expected);
      else
        expect_equal(sections[i].section, a, b);
    }
    expect_more("loading and joining", before(plain, "main"), before(shim, "main"), START);
    expect_more("exit", after(plain, "exit"), after(shim, "exit"), EXIT);
    expect_more("exit of ten children", children(plain), children(shim), TEN_CHILDREN);
  }
}

Test(system_calls, what_programs_do_is_all_there_and_nothing_between) {
  fct_need("strace");
  static const struct {
    const char *command;
    const char *expected;
  } programs[] = {
      {"cat base/there base/there", ONE_PROGRAM},
      {"ls -lR .", ONE_PROGRAM},
      {"du base", ONE_PROGRAM},
      {"stat base base/sub base/there", ONE_PROGRAM},
      {"wc base/there", ONE_PROGRAM},
      {"chmod 600 base/there", ONE_PROGRAM},
      {"dash -c 'i=0; while [ $i -lt 50 ]; do i=$((i + 1)); [ -e base/there ]; read -r x < base/there; done'",
       ONE_SHELL},
      {"dash -c 'cd base/sub; cd ..; pwd; cd /; [ -d tmp ]'", ONE_SHELL},
      {"cp base/there $PWD/elsewhere/copy", ONE_PROGRAM},
      {"ln -s x $PWD/elsewhere/link", ONE_PROGRAM},
      {"mkdir -m 700 $PWD/elsewhere/made", ONE_PROGRAM},
      {"rm -r $PWD/elsewhere", ONE_RM},
      {"dash -c 'for i in 1 2 3 4 5 6 7 8 9 10; do (:); done'", TEN_SUBSHELLS},
      {"dash -c 'for i in 1 2 3 4 5 6 7 8 9 10; do cat base/there; done'", TEN_COMMANDS},
  };
  struct fct_world *world = fct_world_new();
  for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
    const char *command = programs[i].command;
    const struct log *plain = trace(world, FCT_PLAIN, fct_format("plain%zu", i), command);
    for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
      const struct log *shim = trace(world, *mode, fct_format("shim%d-%zu", *mode, i), command);
      expect_more(command, whole(plain), whole(shim), programs[i].expected);
      expect_within(command, whole(plain), whole(shim));
    }
  }
}

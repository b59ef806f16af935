/* exit_storm: all processes of one session end within the same milliseconds, round after round.
 *
 * usage: exit_storm drive MODE SHIM COMMAND BASE ROUNDS PROCESSES KILLED
 *        exit_storm leader BASE PROCESSES JOINERS KILLED REPORT_FD
 *        exit_storm joiner FILE REPORT_FD
 *        exit_storm noop
 *
 * MODE is bare (LD_PRELOAD=SHIM) or run (COMMAND run); KILLED says how many end by SIGKILL: none, half or all.
 * EXIT_STORM_STATE in the environment names a state directory to make and to use. Then there is a log beside it too,
 * and each session must have been reaped exactly once; only in bare mode with half of them killed the next start may do
 * it.
 *
 * Responsible for: the driver, which is not under the shim, starts one session in each round and looks at the base at
 * the very moment when the last process of the session is gone (that is, when the last copy of the report pipe is
 * closed). Then everything must be gone. A joiner has created a file and becomes another program (exec, spawn, fork +
 * exec) while all others end; its file must be there as long as it lives. The driver prints one line of counts and
 * exits 1 when something was lost or left, 3 when it cannot work at all.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { JOINERS_IN_A_ROUND = 6, LOOKS = 8, LATE_MAX_MS = 10000, NEXT_STARTS_MAX = 20 };

/* What joiners write to the report pipe. */
#define REPORT_KEPT 'k'
#define REPORT_LOST 'l'

extern char **environ;
static const char *self;

static void die(const char *what) {
  fprintf(stderr, "exit_storm: %s: %s\n", what, strerror(errno));
  _exit(3);
}

static int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void sleep_us(long us) {
  const struct timespec t = {0, us * 1000};
  nanosleep(&t, NULL);
}

static void touch(const char *name) {
  const int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
  if (fd < 0) die(name);
  close(fd);
}

/* ---- the session ---- */

struct barrier {
  uint32_t arrived;
  uint32_t go;
};

static void wait_until(uint32_t *word, uint32_t value) {
  for (uint32_t seen; (seen = __atomic_load_n(word, __ATOMIC_ACQUIRE)) < value;) {
    syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0);
  }
}

static void add_and_wake(uint32_t *word) {
  __atomic_fetch_add(word, 1, __ATOMIC_RELEASE);
  syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static int joiner(const char *file, int report) {
  struct stat st;
  bool kept = true;
  for (int look = 0; look < LOOKS && kept; look++) {
    kept = lstat(file, &st) == 0;
    sleep_us(100L << look);
  }
  const char letter = kept ? REPORT_KEPT : REPORT_LOST;
  if (write(report, &letter, 1) != 1) die("report");
  return 0;
}

static void become_joiner(char *file, const char *report, int way) {
  char *const arguments[] = {(char *)self, "joiner", file, (char *)report, NULL};
  pid_t child;
  switch (way % 3) {
  case 0:
    execve(self, arguments, environ);
    die("exec");
    break;
  case 1:
    if (posix_spawn(&child, self, NULL, NULL, arguments, environ) != 0) die("posix_spawn");
    _exit(0);
  default:
    child = fork();
    if (child < 0) die("fork");
    if (child == 0) {
      execv(self, arguments);
      die("exec");
    }
    _exit(0);
  }
}

static void member(const char *base, int number, bool joins, bool killed, const char *report, struct barrier *barrier) {
  char directory[PATH_MAX - 16];
  char below[PATH_MAX];
  char file[PATH_MAX];
  snprintf(directory, sizeof directory, "%s/d%d", base, number);
  snprintf(below, sizeof below, "%s/f", directory);
  snprintf(file, sizeof file, "%s/f%d", base, number);
  if (mkdir(directory, 0700) != 0) die(directory);
  touch(below);
  touch(file);
  add_and_wake(&barrier->arrived);
  wait_until(&barrier->go, 1);
  if (joins) become_joiner(file, report, number);
  if (killed) raise(SIGKILL);
  switch (number % 3) {
  case 0:
    _exit(0);
  case 1:
    exit(0);
  default:
    _Exit(0);
  }
}

static int leader(const char *base, int processes, int joiners, const char *killed, const char *report) {
  struct barrier *const barrier =
      mmap(NULL, sizeof *barrier, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (barrier == MAP_FAILED) die("mmap");
  const bool half = strcmp(killed, "half") == 0;
  const bool all = strcmp(killed, "all") == 0;
  signal(SIGCHLD, SIG_IGN);
  for (int i = 1; i < processes; i++) {
    const pid_t child = fork();
    if (child < 0) die("fork");
    if (child == 0) {
      signal(SIGCHLD, SIG_DFL);
      member(base, i, i <= joiners, all || (half && i % 2 == 0), report, barrier);
    }
  }
  wait_until(&barrier->arrived, (uint32_t)processes - 1);
  add_and_wake(&barrier->go);
  if (all) raise(SIGKILL);
  return 0;
}

/* ---- the driver ---- */

static long entries(const char *base) {
  DIR *const stream = opendir(base);
  if (!stream) return errno == ENOENT ? 0 : -1;
  long count = 0;
  for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) count++;
  }
  closedir(stream);
  return count;
}

struct storm {
  bool bare;
  const char *shim;
  const char *command;
  const char *base;
  const char *killed;
};

/* Starts a session; returns the report pipe's reading end, which is at its end when the session is. */
static int start(const struct storm *storm, char *const *program, pid_t *child, int *report) {
  int ends[2];
  if (pipe(ends) != 0) die("pipe");
  *report = ends[1];
  *child = fork();
  if (*child < 0) die("fork");
  if (*child > 0) {
    close(ends[1]);
    return ends[0];
  }
  close(ends[0]);
  if (storm->bare) {
    setenv("LD_PRELOAD", storm->shim, 1);
    setenv("FILECLEANUP_BASE_DIR", storm->base, 1);
    execve(program[0], program, environ);
  } else {
    char *arguments[24] = {(char *)storm->command, "run", "--base", (char *)storm->base, "--"};
    for (int i = 0; program[i] && i < 16; i++) arguments[5 + i] = program[i];
    execve(storm->command, arguments, environ);
  }
  die("exec");
  return -1;
}

struct counts {
  long kept;
  long lost;
  long failed; /* the leader ended badly */
  long late;   /* rounds in which something still stood when the last process was gone */
  long latest_ms;
  long left; /* rounds in which something stood even after that */
};

static void finish(int end, pid_t child, bool killed, struct counts *counts) {
  char letters[256];
  ssize_t n;
  while ((n = read(end, letters, sizeof letters)) != 0) {
    if (n < 0 && errno != EINTR) die("read");
    for (ssize_t i = 0; i < n; i++) {
      counts->kept += letters[i] == REPORT_KEPT;
      counts->lost += letters[i] == REPORT_LOST;
    }
  }
  close(end);
  int status;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) die("waitpid");
  if (killed ? !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) : status != 0) counts->failed++;
}

static void round_of(const struct storm *storm, int processes, int joiners, struct counts *counts) {
  char processes_text[16];
  char joiners_text[16];
  char report_text[16];
  char *const program[] = {(char *)self,   "leader",     (char *)storm->base,
                           processes_text, joiners_text, (char *)storm->killed,
                           report_text,    NULL};
  snprintf(processes_text, sizeof processes_text, "%d", processes);
  snprintf(joiners_text, sizeof joiners_text, "%d", joiners);
  /* pipe() gives the lowest two free descriptors, the same ones in every round. */
  const int probe = dup(0);
  if (probe < 0) die("dup");
  close(probe);
  snprintf(report_text, sizeof report_text, "%d", probe + 1);
  pid_t child;
  int report;
  const int end = start(storm, program, &child, &report);
  if (report != probe + 1) {
    errno = EBADF;
    die("the report pipe");
  }
  finish(end, child, strcmp(storm->killed, "all") == 0, counts);

  /* The session is gone: the report pipe is closed everywhere. */
  if (entries(storm->base) == 0) return;
  counts->late++;
  if (storm->bare) {
    /* Nobody is left who could clean up; the next start does. A process that was killed closes its pipe a moment before
     * the lock that says it lives, so the first of these starts may rightly leave everything alone. */
    for (int tries = 0; tries < NEXT_STARTS_MAX && entries(storm->base) != 0; tries++) {
      char *const noop[] = {(char *)self, "noop", NULL};
      pid_t next;
      struct counts ignored = {0};
      if (tries > 0) sleep_us(10000);
      const int next_end = start(storm, noop, &next, &report);
      finish(next_end, next, false, &ignored);
    }
    if (entries(storm->base) != 0) counts->left++;
    return;
  }
  const int64_t from = now_ms();
  while (entries(storm->base) != 0 && now_ms() - from < LATE_MAX_MS) sleep_us(200);
  const int64_t took = now_ms() - from;
  if (took > counts->latest_ms) counts->latest_ms = took;
  if (entries(storm->base) != 0) counts->left++;
}

/* Each reaping writes one line into the log. -1 when there is no log. */
static long count_reapings(void) {
  const char *log = getenv("FILECLEANUP_LOG_FILE");
  FILE *const file = log ? fopen(log, "re") : NULL;
  if (!file) return -1;
  char line[2 * PATH_MAX];
  long count = 0;
  while (fgets(line, sizeof line, file)) count += strstr(line, ": removed ") != NULL;
  fclose(file);
  return count;
}

static int drive(const struct storm *storm, int rounds, int processes) {
  struct counts counts = {0};
  long joiners = 0;
  const char *state = getenv("EXIT_STORM_STATE");
  if (state) {
    char log[PATH_MAX];
    snprintf(log, sizeof log, "%s.log", state);
    if (mkdir(state, 0700) != 0 || setenv("FILECLEANUP_STATE_DIR", state, 1) != 0) die(state);
    setenv("FILECLEANUP_LOG", "info", 1);
    setenv("FILECLEANUP_LOG_FILE", log, 1);
  }
  if (mkdir(storm->base, 0700) != 0 && errno != EEXIST) die(storm->base);
  const int64_t from = now_ms();
  for (int i = 0; i < rounds && counts.lost == 0 && counts.left == 0; i++) {
    const int now = i % 2 ? JOINERS_IN_A_ROUND : 0;
    joiners += now;
    round_of(storm, processes, now, &counts);
  }
  const long reapings = count_reapings();
  printf("rounds %d processes %d killed %s: joiners %ld kept %ld lost %ld failed %ld late %ld latest_ms %ld left %ld "
         "reapings %ld (%lld ms)\n",
         rounds, processes, storm->killed, joiners, counts.kept, counts.lost, counts.failed, counts.late,
         counts.latest_ms, counts.left, reapings, (long long)(now_ms() - from));
  const bool may_be_late = strcmp(storm->killed, "none") != 0;
  return counts.lost || counts.left || counts.failed || counts.kept != joiners || (counts.late && !may_be_late) ||
         (reapings >= 0 && !(may_be_late && storm->bare) && reapings != rounds);
}

int main(int argc, char **argv) {
  self = argv[0];
  if (argc == 2 && strcmp(argv[1], "noop") == 0) return 0;
  if (argc == 4 && strcmp(argv[1], "joiner") == 0) return joiner(argv[2], atoi(argv[3]));
  if (argc == 7 && strcmp(argv[1], "leader") == 0) {
    return leader(argv[2], atoi(argv[3]), atoi(argv[4]), argv[5], argv[6]);
  }
  if (argc == 9 && strcmp(argv[1], "drive") == 0) {
    const struct storm storm = {strcmp(argv[2], "bare") == 0, argv[3], argv[4], argv[5], argv[8]};
    return drive(&storm, atoi(argv[6]), atoi(argv[7]));
  }
  fprintf(stderr, "usage: exit_storm drive bare|run SHIM COMMAND BASE ROUNDS PROCESSES none|half|all\n");
  return 2;
}

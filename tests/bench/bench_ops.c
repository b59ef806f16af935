/* bench_ops: the operations whose cost the hooks may change, each in a loop that reports its own CPU time.
 *
 * Responsible for: doing one kind of operation many times and printing "CPU_NS WALL_NS", nanoseconds for one operation.
 * It knows nothing of preloads: scripts/bench runs it without one, with an empty one and with the shim, in turns. CPU
 * time is user + system time of the process (for fork+exec also of its children), since wall time differs by a quarter
 * from run to run where the CPU is shared. Must never: leave anything in the directory that it was given, but for the
 * verbs "prepare" and "leave", which exist to do just that.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NAME_MAX_BYTES 4096
#define NS_PER_S 1000000000LL
#define NS_PER_US 1000LL
#define RENAME_BATCH 256
#define WARM_UP_DIVISOR 10

extern char **environ;

struct clocks {
  int64_t cpu_ns;
  int64_t wall_ns;
};

static const char *directory;
static const char *program = "/bin/true";
static char *const *program_arguments; /* of "command"; NULL = none */
static int rusage_children;            /* only fork+exec counts what the children used */

static void die(const char *what) {
  fprintf(stderr, "bench_ops: %s: %s\n", what, strerror(errno));
  exit(2);
}

static void path_of(char out[NAME_MAX_BYTES], const char *name) {
  if (snprintf(out, NAME_MAX_BYTES, "%s/%s", directory, name) >= NAME_MAX_BYTES) {
    errno = ENAMETOOLONG;
    die(directory);
  }
}

static int64_t timeval_ns(struct timeval t) { return t.tv_sec * NS_PER_S + t.tv_usec * NS_PER_US; }

static int64_t rusage_ns(int who) {
  struct rusage usage;
  if (getrusage(who, &usage) != 0) die("getrusage");
  return timeval_ns(usage.ru_utime) + timeval_ns(usage.ru_stime);
}

static struct clocks clocks_now(void) {
  struct timespec now;
  if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) die("clock_gettime");
  struct clocks c = {.cpu_ns = rusage_ns(RUSAGE_SELF), .wall_ns = now.tv_sec * NS_PER_S + now.tv_nsec};
  if (rusage_children) c.cpu_ns += rusage_ns(RUSAGE_CHILDREN);
  return c;
}

static void add_elapsed(struct clocks *sum, struct clocks from) {
  const struct clocks to = clocks_now();
  sum->cpu_ns += to.cpu_ns - from.cpu_ns;
  sum->wall_ns += to.wall_ns - from.wall_ns;
}

static void create_empty(const char *name) {
  const int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
  if (fd < 0) die(name);
  close(fd);
}

static void create_cycles(const char *name, long count) {
  for (long i = 0; i < count; i++) {
    const int fd = open(name, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    if (fd < 0) die(name);
    close(fd);
    if (unlink(name) != 0) die(name);
  }
}

static void open_cycles(const char *name, int flags, long count) {
  for (long i = 0; i < count; i++) {
    const int fd = open(name, flags, 0600);
    if (fd < 0) die(name);
    close(fd);
  }
}

static void measure_open_existing(long count, struct clocks *sum) {
  char name[NAME_MAX_BYTES];
  path_of(name, "existing");
  const struct clocks from = clocks_now();
  open_cycles(name, O_RDONLY, count);
  add_elapsed(sum, from);
}

static void measure_create_existing(long count, struct clocks *sum) {
  char name[NAME_MAX_BYTES];
  path_of(name, "existing");
  const struct clocks from = clocks_now();
  open_cycles(name, O_CREAT | O_WRONLY, count);
  add_elapsed(sum, from);
}

static void measure_create_absolute(long count, struct clocks *sum) {
  char name[NAME_MAX_BYTES];
  path_of(name, "cycle");
  const struct clocks from = clocks_now();
  create_cycles(name, count);
  add_elapsed(sum, from);
}

static void measure_create_relative(long count, struct clocks *sum) {
  if (chdir(directory) != 0) die(directory);
  const struct clocks from = clocks_now();
  create_cycles("cycle", count);
  add_elapsed(sum, from);
}

/* Every second rename goes back, so each goes onto a name that is free. */
static void measure_rename_new(long count, struct clocks *sum) {
  char here[NAME_MAX_BYTES];
  char there[NAME_MAX_BYTES];
  path_of(here, "rename-here");
  path_of(there, "rename-there");
  create_empty(here);
  const struct clocks from = clocks_now();
  for (long i = 0; i < count; i++) {
    if (rename(i % 2 ? there : here, i % 2 ? here : there) != 0) die("rename onto a new name");
  }
  add_elapsed(sum, from);
  if (unlink(count % 2 ? there : here) != 0) die("unlink");
}

/* Both names must exist before each rename; they are made in batches outside the measured time. */
static void measure_rename_existing(long count, struct clocks *sum) {
  static char source[RENAME_BATCH][NAME_MAX_BYTES];
  static char target[RENAME_BATCH][NAME_MAX_BYTES];
  for (int i = 0; i < RENAME_BATCH; i++) {
    char name[64];
    snprintf(name, sizeof name, "rename-source-%d", i);
    path_of(source[i], name);
    snprintf(name, sizeof name, "rename-target-%d", i);
    path_of(target[i], name);
  }
  for (long left = count; left > 0; left -= RENAME_BATCH) {
    const int batch = left < RENAME_BATCH ? (int)left : RENAME_BATCH;
    for (int i = 0; i < batch; i++) {
      create_empty(source[i]);
      create_empty(target[i]);
    }
    const struct clocks from = clocks_now();
    for (int i = 0; i < batch; i++) {
      if (rename(source[i], target[i]) != 0) die("rename onto an existing name");
    }
    add_elapsed(sum, from);
    for (int i = 0; i < batch; i++) {
      if (unlink(target[i]) != 0) die("unlink");
    }
  }
}

static void measure_spawn(long count, struct clocks *sum) {
  rusage_children = 1;
  char *const no_arguments[] = {(char *)program, NULL};
  char *const *arguments = program_arguments ? program_arguments : no_arguments;
  const struct clocks from = clocks_now();
  for (long i = 0; i < count; i++) {
    const pid_t child = fork();
    if (child < 0) die("fork");
    if (child == 0) {
      execve(program, arguments, environ);
      _exit(127);
    }
    int status;
    if (waitpid(child, &status, 0) != child) die("waitpid");
    if (status != 0) {
      errno = ECHILD;
      die(program);
    }
  }
  add_elapsed(sum, from);
}

/* A process that is a session of its own: this process runs without a preload, its children get the one that is named
 * in BENCH_CHILD_PRELOAD. */
static void measure_session(long count, struct clocks *sum) {
  const char *preload = getenv("BENCH_CHILD_PRELOAD");
  if (preload != NULL && *preload != '\0' && setenv("LD_PRELOAD", preload, 1) != 0) die("setenv");
  measure_spawn(count, sum);
}

/* Not measured: the file that "existing" means, made before any session. */
static int prepare(void) {
  char name[NAME_MAX_BYTES];
  path_of(name, "existing");
  const int fd = open(name, O_CREAT | O_WRONLY, 0600);
  if (fd < 0) die(name);
  if (write(fd, "existing\n", 9) != 9) die(name);
  close(fd);
  return 0;
}

/* Not measured: a file that only a shim at work removes. A bench of a shim that does nothing would be worthless. */
static int leave(void) {
  char name[NAME_MAX_BYTES];
  path_of(name, "left");
  create_empty(name);
  return 0;
}

static const struct {
  const char *name;
  void (*measure)(long count, struct clocks *sum);
} operations[] = {
    {"open-existing", measure_open_existing},
    {"create-existing", measure_create_existing},
    {"create-absolute", measure_create_absolute},
    {"create-relative", measure_create_relative},
    {"rename-new", measure_rename_new},
    {"rename-existing", measure_rename_existing},
    {"spawn", measure_spawn},
    {"session", measure_session},
    {"command", measure_spawn},
};

int main(int argc, char **argv) {
  if (argc >= 3) directory = argv[2];
  if (argc == 3 && strcmp(argv[1], "prepare") == 0) return prepare();
  if (argc == 3 && strcmp(argv[1], "leave") == 0) return leave();
  const long count = argc >= 4 ? strtol(argv[3], NULL, 10) : 0;
  if (argc >= 5) program = argv[4];
  if (argc >= 5 && strcmp(argv[1], "command") == 0) program_arguments = argv + 4;
  for (size_t i = 0; count > 0 && i < sizeof operations / sizeof operations[0]; i++) {
    if (strcmp(argv[1], operations[i].name) != 0) continue;
    struct clocks sum = {0, 0};
    operations[i].measure(count / WARM_UP_DIVISOR + 1, &sum); /* page faults, caches, the name's directory entry */
    sum = (struct clocks){0, 0};
    operations[i].measure(count, &sum);
    printf("%lld %lld\n", (long long)(sum.cpu_ns / count), (long long)(sum.wall_ns / count));
    return 0;
  }
  fprintf(stderr,
          "usage: bench_ops prepare|leave DIRECTORY\n       bench_ops OPERATION DIRECTORY COUNT [PROGRAM [ARG]...]\n");
  for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) fprintf(stderr, "  %s\n", operations[i].name);
  return 2;
}

/* storm: as many operations on names as asked for, from eight threads, their children and their signal handlers.
 *
 * usage: storm BASE OPERATIONS [SEED]
 *        storm --leave FILE          (what it spawns: a process that leaves one more file)
 *
 * Responsible for: knowing at the end exactly which names must stand in BASE, comparing, and leaving them all there.
 * What is in BASE and begins with "user-" is opened with O_CREAT and otherwise left alone. Exits 0 and prints one line
 * of counts, or says what is wrong and exits 1.
 *
 * Each thread owns the names "t<thread>-...", so no two threads ever race for one name: a name that the model expects
 * and that is missing, or the other way round, is somebody's error and no race. Signal handlers and children use names
 * of their own for the same reason.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
  THREADS = 8,
  BASE_SLOTS = 48,     /* a thread's names directly in the base */
  DIRECTORIES = 6,     /* its directories */
  DIRECTORY_SLOTS = 4, /* names in each */
  SLOTS = BASE_SLOTS + DIRECTORIES * DIRECTORY_SLOTS,
  FORK_EVERY = 1000, /* operations of a thread between two children */
  SIGNAL_EVERY = 100,
  HANDLER_KEEP_EVERY = 32,
  HANDLER_KEEP_MAX = 100,
  USER_FILES = 4,
  TIMER_US = 1000,
  NAME_BYTES = 64,
  SYMBOLIC = -1 /* a slot's file number when it is a symbolic link; others count up from 1 */
};

enum child_kind { CHILD_EXIT_NOW, CHILD_EXIT, CHILD_KILLED, CHILD_EXEC, CHILD_VFORK, CHILD_SPAWN, CHILD_KINDS };

struct worker {
  int number;
  pthread_t thread;
  uint64_t random;
  long operations; /* to do */
  int slot[SLOTS]; /* file number, 0 = no such name */
  bool directory[DIRECTORIES];
  int next_file;
  int children[CHILD_KINDS];
  int handler_runs; /* atomic: handlers interrupt one another */
  int handler_kept;
};

static char base[PATH_MAX / 2];
static const char *self;
static pid_t main_pid;
static struct worker workers[THREADS];
static pthread_barrier_t barrier;
static __thread struct worker *current; /* NULL in the main thread */
extern char **environ;

__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *format, ...) {
  char text[2 * PATH_MAX];
  const int error = errno;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  fprintf(stderr, "storm: %s (errno %d, %s)\n", text, error, strerror(error));
  _exit(1);
}

static uint32_t random_below(struct worker *w, uint32_t limit) {
  w->random ^= w->random << 13;
  w->random ^= w->random >> 7;
  w->random ^= w->random << 17;
  return (uint32_t)((w->random >> 16) % limit);
}

/* ---- names ---- */

/* Names are built without stdio, since handlers and vfork children build them too. Both return the new end. */
static char *append(char *to, const char *text) {
  while (*text) *to++ = *text++;
  *to = '\0';
  return to;
}

static char *append_number(char *to, unsigned long value) {
  char digits[24];
  int n = 0;
  do digits[n++] = (char)('0' + value % 10);
  while (value /= 10);
  while (n > 0) *to++ = digits[--n];
  *to = '\0';
  return to;
}

struct name {
  char text[PATH_MAX];
};

/* BASE/<kind><thread>-<number><suffix> */
static struct name name_of(const char *kind, int thread, unsigned long number, const char *suffix) {
  struct name name;
  char *end = append(append(append(name.text, base), "/"), kind);
  end = append(append_number(end, (unsigned long)thread), "-");
  append(append_number(end, number), suffix);
  return name;
}

static struct name directory_name(const struct worker *w, int d) {
  return name_of("t", w->number, (unsigned long)d, "d");
}

static int directory_of(int slot) { return slot < BASE_SLOTS ? -1 : (slot - BASE_SLOTS) / DIRECTORY_SLOTS; }

static struct name slot_name(const struct worker *w, int slot) {
  const int d = directory_of(slot);
  if (d < 0) return name_of("t", w->number, (unsigned long)slot, "s");
  struct name name = directory_name(w, d);
  append_number(append(name.text + strlen(name.text), "/f"), (unsigned long)(slot % DIRECTORY_SLOTS));
  return name;
}

/* A random slot whose directory exists, and that is taken or free as asked. -1 when luck does not find one. */
static int pick_slot(struct worker *w, bool taken) {
  for (int tries = 0; tries < 20; tries++) {
    const int slot = (int)random_below(w, SLOTS);
    const int d = directory_of(slot);
    if ((d < 0 || w->directory[d]) && (w->slot[slot] != 0) == taken) return slot;
  }
  return -1;
}

/* ---- operations on the names of a thread ---- */

static void create_slot(struct worker *w, int slot) {
  const struct name name = slot_name(w, slot);
  const int existing = pick_slot(w, true);
  int fd = -1;
  w->slot[slot] = ++w->next_file;
  switch (random_below(w, 9)) {
  case 0:
    fd = open(name.text, O_CREAT | O_WRONLY, 0600);
    break;
  case 1:
    fd = open(name.text, O_CREAT | O_EXCL | O_RDWR, 0600);
    break;
  case 2:
    fd = open(name.text, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    break;
  case 3:
    fd = openat(AT_FDCWD, name.text, O_CREAT | O_WRONLY, 0600);
    break;
  case 4:
    fd = creat(name.text, 0600);
    break;
  case 5: {
    FILE *stream = fopen(name.text, "w");
    if (!stream) die("fopen %s", name.text);
    if (fclose(stream) != 0) die("fclose %s", name.text);
    return;
  }
  case 6: {
    struct name temporary = name_of("t", w->number, (unsigned long)slot, "-XXXXXX");
    fd = mkstemp(temporary.text);
    if (fd < 0) die("mkstemp %s", temporary.text);
    if (rename(temporary.text, name.text) != 0) die("rename %s %s", temporary.text, name.text);
    break;
  }
  case 7:
    w->slot[slot] = SYMBOLIC;
    if (symlink("nowhere", name.text) != 0) die("symlink %s", name.text);
    return;
  default: {
    if (existing < 0 || w->slot[existing] == SYMBOLIC) {
      fd = open64(name.text, O_CREAT | O_APPEND | O_WRONLY, 0600);
      break;
    }
    const struct name from = slot_name(w, existing);
    w->slot[slot] = w->slot[existing];
    if (link(from.text, name.text) != 0) die("link %s %s", from.text, name.text);
    return;
  }
  }
  if (fd < 0) die("create %s", name.text);
  close(fd);
}

static void remove_slot(struct worker *w, int slot) {
  const struct name name = slot_name(w, slot);
  int rc;
  w->slot[slot] = 0;
  switch (random_below(w, 3)) {
  case 0:
    rc = unlinkat(AT_FDCWD, name.text, 0);
    break;
  case 1:
    rc = remove(name.text);
    break;
  default:
    rc = unlink(name.text);
    break;
  }
  if (rc != 0) die("unlink %s", name.text);
}

/* Renaming one name of a file onto another name of the same file does nothing, says POSIX. */
static void rename_slot(struct worker *w, int from, int to) {
  const struct name old = slot_name(w, from);
  const struct name new = slot_name(w, to);
  const bool same = w->slot[from] == w->slot[to] && w->slot[from] != SYMBOLIC;
  if (random_below(w, 2) ? rename(old.text, new.text) : renameat(AT_FDCWD, old.text, AT_FDCWD, new.text)) {
    die("rename %s %s", old.text, new.text);
  }
  if (same || from == to) return;
  w->slot[to] = w->slot[from];
  w->slot[from] = 0;
}

static void exchange_slots(struct worker *w, int a, int b) {
  const struct name first = slot_name(w, a);
  const struct name second = slot_name(w, b);
  if (renameat2(AT_FDCWD, first.text, AT_FDCWD, second.text, RENAME_EXCHANGE) != 0) {
    if (errno == EINVAL || errno == ENOSYS) return; /* this file system has none */
    die("exchange %s %s", first.text, second.text);
  }
  const int file = w->slot[a];
  w->slot[a] = w->slot[b];
  w->slot[b] = file;
}

static void change_directory(struct worker *w) {
  const int d = (int)random_below(w, DIRECTORIES);
  int *const files = &w->slot[BASE_SLOTS + d * DIRECTORY_SLOTS];
  const struct name name = directory_name(w, d);
  if (!w->directory[d]) {
    if (random_below(w, 2) ? mkdir(name.text, 0700) : mkdirat(AT_FDCWD, name.text, 0700)) die("mkdir %s", name.text);
    w->directory[d] = true;
    return;
  }
  const int other = (int)random_below(w, DIRECTORIES);
  if (!w->directory[other]) {
    /* A directory takes its children along. */
    const struct name new = directory_name(w, other);
    if (rename(name.text, new.text) != 0) die("rename %s %s", name.text, new.text);
    w->directory[d] = false;
    w->directory[other] = true;
    memcpy(&w->slot[BASE_SLOTS + other * DIRECTORY_SLOTS], files, sizeof(int) * DIRECTORY_SLOTS);
    memset(files, 0, sizeof(int) * DIRECTORY_SLOTS);
    return;
  }
  bool empty = true;
  for (int i = 0; i < DIRECTORY_SLOTS; i++) empty = empty && files[i] == 0;
  const int rc = random_below(w, 2) ? rmdir(name.text) : unlinkat(AT_FDCWD, name.text, AT_REMOVEDIR);
  if ((rc == 0) != empty) die("rmdir %s: %d", name.text, rc);
  if (empty) w->directory[d] = false;
}

static void open_user_file(struct worker *w) {
  struct name name;
  append_number(append(append(name.text, base), "/user-"), random_below(w, USER_FILES));
  if (access(name.text, F_OK) != 0) return; /* there are none in this run */
  const int fd = open(name.text, O_CREAT | O_RDONLY, 0600);
  if (fd < 0) die("open %s", name.text);
  close(fd);
}

/* ---- children ---- */

static void touch(const char *name) {
  const int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
  if (fd < 0) die("create %s", name);
  close(fd);
}

/* Leaves -a, -b and -c2; makes, renames and removes others. */
static void child_operations(const struct worker *w, unsigned long number) {
  static const char *const made[] = {"-a", "-b", "-c", "-d", "-e"};
  for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) {
    const struct name name = name_of("c", w->number, number, made[i]);
    touch(name.text);
  }
  const struct name c = name_of("c", w->number, number, "-c");
  const struct name c2 = name_of("c", w->number, number, "-c2");
  const struct name d = name_of("c", w->number, number, "-d");
  const struct name e = name_of("c", w->number, number, "-e");
  if (rename(c.text, c2.text) != 0 || unlink(d.text) != 0 || rename(e.text, d.text) != 0 || unlink(d.text) != 0) {
    die("a child's names %s", c.text);
  }
  raise(SIGUSR1);
}

static void wait_for(pid_t child, enum child_kind kind) {
  int status;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) die("waitpid");
  const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  if (kind == CHILD_KILLED ? !killed : status != 0) die("child of kind %d ended with %#x", (int)kind, status);
}

static void start_child(struct worker *w) {
  const enum child_kind kind = (enum child_kind)random_below(w, CHILD_KINDS);
  const unsigned long number = (unsigned long)w->children[kind]++ * CHILD_KINDS + kind;
  const struct name left = name_of("c", w->number, number, "-left");
  pid_t child;
  if (kind == CHILD_SPAWN) {
    char *const arguments[] = {(char *)self, "--leave", (char *)left.text, NULL};
    if (posix_spawn(&child, self, NULL, NULL, arguments, environ) != 0) die("posix_spawn %s", self);
    wait_for(child, kind);
    return;
  }
  if (kind == CHILD_VFORK) {
    child = vfork();
    if (child == 0) {
      char *const arguments[] = {"nowhere", NULL};
      const int fd = open(left.text, O_CREAT | O_EXCL | O_WRONLY, 0600);
      if (fd >= 0) close(fd);
      execve("/nowhere/at/all", arguments, environ);
      _exit(fd >= 0 ? 0 : 1);
    }
    if (child < 0) die("vfork");
    wait_for(child, kind);
    return;
  }
  child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    child_operations(w, number);
    char *const arguments[] = {(char *)self, "--leave", (char *)left.text, NULL};
    switch (kind) {
    case CHILD_EXIT:
      exit(0);
    case CHILD_KILLED:
      raise(SIGKILL);
      break;
    case CHILD_EXEC:
      execv(self, arguments);
      die("exec %s", self);
    default:
      break;
    }
    _exit(0);
  }
  wait_for(child, kind);
}

/* ---- signal handlers ---- */

static void handler(int signal_number) {
  (void)signal_number;
  struct worker *const w = current;
  if (!w) return;
  const int saved = errno;
  const pid_t pid = getpid();
  const int run = __atomic_fetch_add(&w->handler_runs, 1, __ATOMIC_RELAXED);
  struct name name = name_of("h", w->number, (unsigned long)run, "-");
  append_number(name.text + strlen(name.text), (unsigned long)pid);
  const int fd = open(name.text, O_CREAT | O_EXCL | O_WRONLY, 0600);
  if (fd < 0) die("in a handler: create %s", name.text);
  close(fd);
  int kept = HANDLER_KEEP_MAX;
  if (pid == main_pid && run % HANDLER_KEEP_EVERY == 0) {
    kept = __atomic_fetch_add(&w->handler_kept, 1, __ATOMIC_RELAXED);
  }
  if (kept < HANDLER_KEEP_MAX) {
    const struct name keep = name_of("k", w->number, (unsigned long)kept, "");
    if (rename(name.text, keep.text) != 0) die("in a handler: rename %s", name.text);
  } else if (unlink(name.text) != 0) {
    die("in a handler: unlink %s", name.text);
  }
  errno = saved;
}

/* ---- threads ---- */

static void *work(void *argument) {
  struct worker *const w = argument;
  current = w;
  pthread_barrier_wait(&barrier); /* pthread_kill needs everybody's id */
  for (long i = 0; i < w->operations; i++) {
    if (i % FORK_EVERY == FORK_EVERY / 2) start_child(w);
    if (i % SIGNAL_EVERY == SIGNAL_EVERY / 2) raise(SIGUSR1);
    const int taken = pick_slot(w, true);
    const int unused = pick_slot(w, false);
    const int other = pick_slot(w, true);
    switch (random_below(w, 16)) {
    case 0:
      change_directory(w);
      break;
    case 1:
    case 2:
      if (taken >= 0 && unused >= 0) rename_slot(w, taken, unused);
      break;
    case 3:
      if (taken >= 0 && other >= 0) rename_slot(w, taken, other);
      break;
    case 4:
      if (taken >= 0 && other >= 0 && taken != other) exchange_slots(w, taken, other);
      break;
    case 5:
      open_user_file(w);
      break;
    case 6:
      pthread_kill(workers[random_below(w, THREADS)].thread, SIGUSR1);
      break;
    case 7:
    case 8:
    case 9:
    case 10:
    case 11:
      if (unused >= 0) create_slot(w, unused);
      break;
    default:
      if (taken >= 0) remove_slot(w, taken);
      break;
    }
  }
  pthread_barrier_wait(&barrier); /* nobody may signal a thread that has been joined */
  return NULL;
}

/* ---- the end ---- */

static long expected;

static void expect(const char *name) {
  struct stat st;
  if (lstat(name, &st) != 0) die("missing at the end: %s", name);
  expected++;
}

static void expect_child(const struct worker *w, unsigned long number, const char *suffix) {
  const struct name name = name_of("c", w->number, number, suffix);
  expect(name.text);
}

static void expect_all(const struct worker *w) {
  for (int i = 0; i < SLOTS; i++) {
    const struct name name = slot_name(w, i);
    if (w->slot[i] != 0) expect(name.text);
  }
  for (int d = 0; d < DIRECTORIES; d++) {
    const struct name name = directory_name(w, d);
    if (w->directory[d]) expect(name.text);
  }
  for (int k = 0; k < w->handler_kept && k < HANDLER_KEEP_MAX; k++) {
    const struct name name = name_of("k", w->number, (unsigned long)k, "");
    expect(name.text);
  }
  for (int kind = 0; kind < CHILD_KINDS; kind++) {
    for (int i = 0; i < w->children[kind]; i++) {
      const unsigned long number = (unsigned long)i * CHILD_KINDS + (unsigned long)kind;
      if (kind == CHILD_EXEC || kind == CHILD_SPAWN || kind == CHILD_VFORK) expect_child(w, number, "-left");
      if (kind == CHILD_SPAWN || kind == CHILD_VFORK) continue;
      expect_child(w, number, "-a");
      expect_child(w, number, "-b");
      expect_child(w, number, "-c2");
    }
  }
}

static long count_entries(const char *directory) {
  DIR *const stream = opendir(directory);
  if (!stream) die("opendir %s", directory);
  long count = 0;
  for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (strncmp(entry->d_name, "user-", 5) == 0) continue;
    count++;
    if (entry->d_type != DT_DIR) continue;
    char below[PATH_MAX];
    if (snprintf(below, sizeof below, "%s/%s", directory, entry->d_name) < PATH_MAX) count += count_entries(below);
  }
  closedir(stream);
  return count;
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "--leave") == 0) {
    touch(argv[2]);
    return 0;
  }
  if (argc < 3 || strlen(argv[1]) >= sizeof base) {
    fprintf(stderr, "usage: storm BASE OPERATIONS [SEED]\n");
    return 2;
  }
  strcpy(base, argv[1]);
  self = argv[0];
  main_pid = getpid();
  const long operations = strtol(argv[2], NULL, 10);
  const uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;

  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &action, NULL);
  sigaction(SIGALRM, &action, NULL);

  if (pthread_barrier_init(&barrier, NULL, THREADS) != 0) die("pthread_barrier_init");
  for (int i = 0; i < THREADS; i++) {
    workers[i] = (struct worker){.number = i, .operations = operations / THREADS};
    workers[i].random = (seed * THREADS + (uint64_t)i + 1) * 0x9E3779B97F4A7C15ULL;
  }
  for (int i = 0; i < THREADS; i++) {
    if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) die("pthread_create");
  }
  /* The kernel prefers the main thread for signals of the process; the workers are to have them. */
  sigset_t alarm_only;
  sigemptyset(&alarm_only);
  sigaddset(&alarm_only, SIGALRM);
  pthread_sigmask(SIG_BLOCK, &alarm_only, NULL);
  const struct itimerval interval = {{0, TIMER_US}, {0, TIMER_US}};
  if (setitimer(ITIMER_REAL, &interval, NULL) != 0) die("setitimer");
  for (int i = 0; i < THREADS; i++) pthread_join(workers[i].thread, NULL);
  const struct itimerval off = {{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &off, NULL);

  long children = 0;
  long handlers = 0;
  for (int i = 0; i < THREADS; i++) {
    expect_all(&workers[i]);
    for (int kind = 0; kind < CHILD_KINDS; kind++) children += workers[i].children[kind];
    handlers += workers[i].handler_runs;
  }
  const long found = count_entries(base);
  if (found != expected) die("%ld names in the base, %ld expected", found, expected);
  printf("operations %ld children %ld handlers %ld names %ld\n", operations, children, handlers, found);
  return 0;
}

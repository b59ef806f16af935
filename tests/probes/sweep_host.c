/* sweep_host HOW BASE: a host in which the shim sweeps (TTL and INTERVAL of a second or less), and that looks whether
 * it can notice. Says what is wrong on stdout and returns 1; else 0.
 *
 * HOW: signals, fork, mainexit, rawexit, setuid, fds, limit, exec, errno, quiet, mask. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 8000
#define NOBODY 65534
#define STORM_S 5
#define STORM_MAX 4000

static const char *base;
static int failures;

#define CHECK(condition, ...)                                                                                          \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      failures++;                                                                                                      \
      printf("%d: ", __LINE__);                                                                                        \
      printf(__VA_ARGS__);                                                                                             \
      printf(" (errno %d)\n", errno);                                                                                  \
      fflush(stdout);                                                                                                  \
    }                                                                                                                  \
  } while (0)

static void sleep_ms(long ms) {
  /* Until a moment, not for a span: what is left of a span after a signal includes the timer's slack, so with one every
   * 50 us a sleep never ends. */
  struct timespec end;
  clock_gettime(CLOCK_MONOTONIC, &end);
  end.tv_nsec += ms % 1000 * 1000000;
  end.tv_sec += ms / 1000 + end.tv_nsec / 1000000000;
  end.tv_nsec %= 1000000000;
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == EINTR) continue;
}

static time_t seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec;
}

static const char *in_base(const char *name) {
  static __thread char path[4096];
  snprintf(path, sizeof path, "%s/%s", base, name);
  return path;
}

static int make(const char *name) {
  const int fd = open(in_base(name), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
  const int failed = fd < 0 || write(fd, "x", 1) != 1;
  if (fd >= 0) close(fd);
  return failed ? -1 : 0;
}

static int exists(const char *name) { return access(in_base(name), F_OK) == 0; }

static int gone_soon(const char *name) {
  for (int waited = 0; waited < WAIT_MS && exists(name); waited += 10) sleep_ms(10);
  return !exists(name);
}

static int threads(void) {
  DIR *stream = opendir("/proc/self/task");
  int count = -2;
  if (!stream) return -1;
  while (readdir(stream)) count++;
  closedir(stream);
  return count;
}

/* The sweeper's thread id, 0 when there is none. */
static pid_t sweeper(void) {
  DIR *stream = opendir("/proc/self/task");
  pid_t found = 0;
  for (struct dirent *entry; stream && (entry = readdir(stream));) {
    char path[300], name[32] = "";
    snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
    FILE *file = fopen(path, "re");
    if (file && fgets(name, sizeof name, file) && strncmp(name, "fc-sweeper", 10) == 0) found = atoi(entry->d_name);
    if (file) fclose(file);
  }
  if (stream) closedir(stream);
  return found;
}

/* ---- signals ---- */

static const int caught[] = {SIGUSR1, SIGALRM, SIGIO, SIGURG, SIGCHLD, SIGTERM};
#define CAUGHT (sizeof caught / sizeof *caught)
static atomic_long handled[NSIG], sent[NSIG];
static atomic_int strangers;
static pid_t the_sweeper;
static atomic_int stopping;

static void on_signal(int number) {
  atomic_fetch_add(&handled[number], 1);
  if (syscall(SYS_gettid) == the_sweeper) atomic_fetch_add(&strangers, 1);
}

/* Opens what is being swept, so that leases are broken all the time. */
static void *open_all(void *argument) {
  (void)argument;
  while (!atomic_load(&stopping)) {
    DIR *stream = opendir(base);
    for (struct dirent *entry; stream && (entry = readdir(stream));) {
      const int fd = openat(dirfd(stream), entry->d_name, O_RDWR | O_CLOEXEC);
      if (fd >= 0) close(fd);
    }
    if (stream) closedir(stream);
  }
  return NULL;
}

static void *send_all(void *argument) {
  const pthread_t target = *(pthread_t *)argument;
  const pid_t self = getpid();
  for (unsigned i = 0; !atomic_load(&stopping); i++) {
    const int number = caught[i % 3 == 0 ? 0 : 1]; /* SIGUSR1 and SIGALRM only: SIGIO and SIGURG must never come */
    if (i % 2)
      kill(self, number);
    else
      pthread_kill(target, number);
    atomic_fetch_add(&sent[number], 1);
    if (i % 64 == 0) sleep_ms(1);
  }
  return NULL;
}

static void test_signals(void) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  for (size_t i = 0; i < CAUGHT; i++) sigaction(caught[i], &action, NULL);
  CHECK(make("first") == 0, "cannot make first");
  for (int i = 0; i < 200 && !(the_sweeper = sweeper()); i++) sleep_ms(10);
  CHECK(the_sweeper != 0, "there is no sweeper");
  pthread_t openers[3], sender, self = pthread_self();
  for (int i = 0; i < 3; i++) pthread_create(&openers[i], NULL, open_all, NULL);
  pthread_create(&sender, NULL, send_all, &self);
  int swept = 0, made = 0;
  /* By the clock, not by a count: with as many busy threads as this a sleep of 1 ms takes 1 or 20. */
  for (const time_t end = seconds_now() + STORM_S; seconds_now() < end && made < STORM_MAX; made++) {
    char name[32];
    snprintf(name, sizeof name, "s%d", made);
    CHECK(make(name) == 0, "cannot make %s", name);
    sleep_ms(1);
  }
  for (int i = 0; i < made; i++) {
    char name[32];
    snprintf(name, sizeof name, "s%d", i);
    swept += !exists(name);
  }
  atomic_store(&stopping, 1);
  pthread_join(sender, NULL);
  for (int i = 0; i < 3; i++) pthread_join(openers[i], NULL);
  CHECK(swept > 0, "nothing was swept");
  CHECK(strangers == 0, "%d handlers ran in the sweeper", strangers);
  CHECK(handled[SIGIO] == 0 && handled[SIGURG] == 0, "%ld SIGIO and %ld SIGURG that nobody sent", handled[SIGIO],
        handled[SIGURG]);
  CHECK(handled[SIGCHLD] == 0 && handled[SIGTERM] == 0, "strange signals");
  CHECK(handled[SIGUSR1] > 0 && handled[SIGALRM] > 0, "no signal arrived");
  /* What the host sends itself of these two arrives, one by one. */
  for (int k = 2; k <= 3; k++) {
    const long before = handled[caught[k]];
    for (int i = 0; i < 100; i++) {
      kill(getpid(), caught[k]);
      for (int waited = 0; waited < 1000 && handled[caught[k]] == before + i; waited++) sleep_ms(1);
    }
    CHECK(handled[caught[k]] == before + 100, "%ld of 100 signals %d arrived", handled[caught[k]] - before, caught[k]);
  }
  CHECK(strangers == 0, "%d handlers ran in the sweeper", strangers);
  fprintf(stderr, "signals: %d of %d swept, %ld and %ld signals handled\n", swept, made, handled[SIGUSR1],
          handled[SIGALRM]);
}

/* ---- the others ---- */

static void test_fork(void) {
  CHECK(make("parents") == 0, "cannot make");
  CHECK(gone_soon("parents"), "the parent is not swept");
  CHECK(sweeper() != 0, "no sweeper");
  const pid_t child = fork();
  if (child == 0) {
    CHECK(threads() == 1, "a fork child has %d threads", threads());
    sleep_ms(2500); /* the parent is gone by now */
    CHECK(make("childs-1") == 0, "cannot make");
    sleep_ms(1100);
    CHECK(make("childs-2") == 0, "cannot make"); /* an interval has passed: somebody must sweep by now */
    CHECK(gone_soon("childs-1"), "the child is not swept");
    CHECK(gone_soon("childs-2"), "the child is not swept again");
    const int fd = open("verdict.tmp", O_CREAT | O_WRONLY, 0644);
    dprintf(fd, "%d\n", failures);
    rename("verdict.tmp", "verdict");
    _exit(failures != 0);
  }
}

static void *work(void *argument) {
  (void)argument;
  sleep_ms(1500);
  CHECK(make("of-the-worker") == 0, "cannot make");
  return NULL;
}

static void test_mainexit(int by_number) {
  pthread_t worker;
  CHECK(make("of-main") == 0, "cannot make");
  for (int i = 0; i < 200 && !sweeper(); i++) sleep_ms(10);
  CHECK(sweeper() != 0, "no sweeper");
  pthread_create(&worker, NULL, work, NULL);
  if (failures == 0 && by_number) syscall(SYS_exit, 0);
  if (failures == 0) pthread_exit(NULL);
}

static int id_of(pid_t thread) {
  char path[64], line[256];
  int id = -1;
  snprintf(path, sizeof path, "/proc/self/task/%d/status", (int)thread);
  FILE *file = fopen(path, "re");
  while (file && fgets(line, sizeof line, file) && sscanf(line, "Uid: %d", &id) != 1) continue;
  if (file) fclose(file);
  return id;
}

static void test_setuid(void) {
  for (int i = 0; i < 20; i++) {
    char name[32];
    snprintf(name, sizeof name, "r%d", i);
    CHECK(make(name) == 0, "cannot make");
  }
  for (int i = 0; i < 200 && !sweeper(); i++) sleep_ms(10);
  const pid_t thread = sweeper();
  CHECK(thread != 0, "no sweeper");
  struct timespec before, after;
  clock_gettime(CLOCK_MONOTONIC, &before);
  CHECK(setgid(NOBODY) == 0 && setuid(NOBODY) == 0, "setuid");
  clock_gettime(CLOCK_MONOTONIC, &after);
  CHECK(after.tv_sec - before.tv_sec < 5, "setuid took %ld s", (long)(after.tv_sec - before.tv_sec));
  CHECK(id_of(thread) == NOBODY || sweeper() == 0, "the sweeper stays user %d", id_of(thread));
  sleep_ms(2200);
  CHECK(make("of-nobody") == 0, "cannot make");
}

/* Each number is ours or the host's, never both: what the host puts at a number stays what it put there. */
static void test_fds(void) {
  CHECK(make("first") == 0, "cannot make");
  struct stat null, now;
  CHECK(stat("/dev/null", &null) == 0, "stat");
  const int keep = open("/dev/null", O_RDWR | O_CLOEXEC);
  struct timespec begin, at;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  int rounds = 0;
  do {
    char name[32];
    snprintf(name, sizeof name, "f%d", rounds++);
    CHECK(make(name) == 0, "cannot make %s", name);
    for (int fd = keep + 1; fd < 64; fd++) {
      if (dup2(keep, fd) != fd) CHECK(0, "dup2 to %d", fd);
      if (fstat(fd, &now) != 0 || now.st_rdev != null.st_rdev) CHECK(0, "%d is not what was put there", fd);
    }
    CHECK(syscall(SYS_close_range, keep + 1, ~0u, 0) == 0, "close_range");
    for (int fd = keep + 1; fd < 64; fd++)
      if (fcntl(fd, F_GETFD) >= 0) CHECK(0, "%d is open again", fd);
    sleep_ms(2);
    clock_gettime(CLOCK_MONOTONIC, &at);
  } while (at.tv_sec - begin.tv_sec < 4 && failures == 0);
  CHECK(gone_soon("f0") && gone_soon("f1"), "nothing is swept");
}

static void test_limit(void) {
  const struct rlimit limit = {8, 8};
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
  CHECK(make("few") == 0, "cannot make");
  CHECK(gone_soon("few"), "nothing is swept with eight descriptors");
}

static void test_exec(char **argv) {
  CHECK(make("before") == 0, "cannot make");
  for (int i = 0; i < 50; i++) {
    char name[32];
    snprintf(name, sizeof name, "e%d", i);
    CHECK(make(name) == 0, "cannot make %s", name);
  }
  sleep_ms(1100); /* right when a pass is under way */
  if (failures) return;
  execl(argv[0], argv[0], "executed", base, (char *)NULL);
  CHECK(0, "exec");
}

static void test_executed(void) {
  CHECK(threads() == 1, "%d threads after an exec", threads());
  CHECK(make("after") == 0, "cannot make");
  CHECK(gone_soon("after"), "the new image is not swept");
  CHECK(gone_soon("before") && gone_soon("e0") && gone_soon("e49"), "what the old image made stays");
}

static void test_errno(void) {
  for (int i = 0; i < 3; i++) {
    char name[32];
    snprintf(name, sizeof name, "n%d", i);
    errno = 4711;
    const int fd = open(in_base(name), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    CHECK(fd >= 0 && errno == 4711, "errno is changed by the start of a thread");
    close(fd);
    sleep_ms(1100);
  }
  CHECK(sweeper() != 0, "no sweeper");
}

/* No thread can be made: nobody may notice. */
static void test_nothread(void) {
  const struct rlimit limit = {1, 1};
  CHECK(setgid(NOBODY) == 0 && setuid(NOBODY) == 0, "setuid");
  CHECK(setrlimit(RLIMIT_NPROC, &limit) == 0, "setrlimit");
  for (int i = 0; i < 3; i++) {
    char name[32];
    snprintf(name, sizeof name, "n%d", i);
    errno = 4711;
    const int fd = open(in_base(name), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    CHECK(fd >= 0 && errno == 4711, "errno is changed by a thread that could not be made");
    close(fd);
    sleep_ms(1100);
  }
}

/* Starts in no process that has made nothing. */
static void test_quiet(void) {
  const int fd = open("/dev/null", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  CHECK(fd >= 0, "open");
  sleep_ms(1500);
  CHECK(threads() == 1, "%d threads in a process that has made nothing", threads());
  CHECK(unshare(CLONE_NEWUSER) == 0 || errno == EPERM || errno == ENOSPC, "unshare -U");
}

/* Signals that a thread has blocked since it takes them elsewhere. */
static void test_mask(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  sigprocmask(SIG_BLOCK, &set, NULL);
  CHECK(make("masked") == 0, "cannot make");
  sleep_ms(1500);
  CHECK(make("masked-2") == 0, "cannot make");
  FILE *file = fopen(in_base("stream"), "we"); /* no handler may call this */
  CHECK(file != NULL, "fopen");
  if (file) fclose(file);
  CHECK(gone_soon("masked"), "a thread that blocks a signal is never swept");
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  base = argv[2];
  const char *how = argv[1];
  if (strcmp(how, "signals") == 0) test_signals();
  if (strcmp(how, "fork") == 0) test_fork();
  if (strcmp(how, "mainexit") == 0) test_mainexit(0);
  if (strcmp(how, "rawexit") == 0) test_mainexit(1);
  if (strcmp(how, "setuid") == 0) test_setuid();
  if (strcmp(how, "fds") == 0) test_fds();
  if (strcmp(how, "limit") == 0) test_limit();
  if (strcmp(how, "exec") == 0) test_exec(argv);
  if (strcmp(how, "executed") == 0) test_executed();
  if (strcmp(how, "errno") == 0) test_errno();
  if (strcmp(how, "nothread") == 0) test_nothread();
  if (strcmp(how, "quiet") == 0) test_quiet();
  if (strcmp(how, "mask") == 0) test_mask();
  return failures != 0;
}

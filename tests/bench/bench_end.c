/* bench_end: the deletion of many tracked files, at the end of a session and by a pass of the sweeper.
 *
 * Responsible for: preparing a session whose members are gone ("session"), or the same tree alone ("tree"), and then
 * for removing it in a process of its own, so that its memory is the remover's: by the reaper ("end"), by a pass over a
 * session that lives ("sweep"), by a plain loop of unlinkat ("unlink"), or by a program ("run"). Prints "CPU_NS WALL_NS
 * MEMORY_BYTES JOURNAL_BYTES", each for one file; memory is how far the peak resident set lies above what the process
 * had before. Must never: report a time for work that was not done: what should be gone is counted, and so is what
 * should have stayed.
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

#include "ending.h"
#include "sweeper.h"

#define NS_PER_S 1000000000LL
#define NS_PER_US 1000LL
#define DIRECTORIES 100 /* of the shape "spread" */
#define NAME_BYTES 64
#define BLOCK_BYTES 512 /* of st_blocks */

extern char **environ;

enum shape { FLAT, BELOW, SPREAD };
static const char *const shape_names[] = {"flat", "below", "spread"};

static void die(const char *what) {
  (void)fprintf(stderr, "bench_end: %s: %s\n", what, strerror(errno));
  exit(2);
}

/* ---- clocks and memory ---- */

static int64_t timeval_ns(struct timeval t) { return t.tv_sec * NS_PER_S + t.tv_usec * NS_PER_US; }

static int64_t cpu_ns(int who) {
  struct rusage usage;
  if (getrusage(who, &usage) != 0) die("getrusage");
  return timeval_ns(usage.ru_utime) + timeval_ns(usage.ru_stime);
}

static int64_t wall_ns(void) {
  struct timespec now;
  if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) die("clock_gettime");
  return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static long status_bytes(const char *key) {
  FILE *status = fopen("/proc/self/status", "re");
  char line[256];
  long kib = -1;
  if (!status) die("/proc/self/status");
  while (kib < 0 && fgets(line, sizeof line, status))
    if (strncmp(line, key, strlen(key)) == 0) kib = strtol(line + strlen(key), NULL, 10);
  (void)fclose(status);
  if (kib < 0) die(key);
  return kib * 1024;
}

struct measured {
  int who;
  int64_t cpu_ns;
  int64_t wall_ns;
  long bytes;
};

static struct measured begin(int who) {
  return (struct measured){who, cpu_ns(who), wall_ns(), who == RUSAGE_SELF ? status_bytes("VmRSS:") : 0};
}

static struct measured elapsed(struct measured from) {
  return (struct measured){from.who, cpu_ns(from.who) - from.cpu_ns, wall_ns() - from.wall_ns,
                           from.who == RUSAGE_SELF ? status_bytes("VmHWM:") - from.bytes : 0};
}

static void tell(struct measured m, long long journal_bytes, long files) {
  printf("%lld %lld %.1f %.1f\n", (long long)(m.cpu_ns / files), (long long)(m.wall_ns / files),
         (double)m.bytes / (double)files, (double)journal_bytes / (double)files);
}

/* ---- the tree ---- */

static long directories_of(enum shape shape) { return shape == FLAT ? 0 : shape == BELOW ? 1 : DIRECTORIES; }

static void directory_name(char out[NAME_BYTES], long i) { (void)snprintf(out, NAME_BYTES, "directory-%ld", i); }

static void file_name(char out[NAME_BYTES], enum shape shape, long i) {
  if (shape == FLAT)
    (void)snprintf(out, NAME_BYTES, "file-%ld", i);
  else
    (void)snprintf(out, NAME_BYTES, "directory-%ld/file-%ld", i % directories_of(shape), i);
}

/* As the hooks do it. */
static void record_created(struct fc_session *session, int base, const char *name, bool is_dir) {
  struct fc_identity identity;
  struct statx st;
  if (!session) return;
  if (fc_identity_take(base, name, session->journal.with_handle != 0, &identity, &st) < 0) die(name);
  const struct fc_record record = {.type = FC_REC_CREATE,
                                   .flags = is_dir ? FC_REC_DIR : 0,
                                   .pid = (uint32_t)getpid(),
                                   .time_ns = fc_journal_now(),
                                   .identity = &identity,
                                   .path = {NULL, 0, name, strlen(name)}};
  if (fc_journal_append(&session->journal, &record) < 0) die("the journal is full");
}

static void make_tree(struct fc_session *session, int base, enum shape shape, long files) {
  char name[NAME_BYTES];
  for (long i = 0; i < directories_of(shape); i++) {
    directory_name(name, i);
    if (mkdirat(base, name, 0700) != 0) die(name);
    record_created(session, base, name, true);
  }
  for (long i = 0; i < files; i++) {
    file_name(name, shape, i);
    const int fd = openat(base, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) die(name);
    (void)close(fd);
    record_created(session, base, name, false);
  }
}

static int open_base(const char *root) {
  char base[PATH_MAX];
  (void)snprintf(base, sizeof base, "%s/base", root);
  if (mkdir(base, 0700) != 0 && errno != EEXIST) die(base);
  const int fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) die(base);
  return fd;
}

/* Prints the session file's name. This process is its only member, so it is dead, or abandoned, afterwards. */
static int prepare_session(const char *root, enum shape shape, long files) {
  static struct fc_session session;
  static struct fc_config config;
  char message[1024];
  const int base = open_base(root);
  fc_config_default(&config);
  config.has_base = true;
  (void)snprintf(config.base, sizeof config.base, "%s/base", root);
  (void)snprintf(config.state_dir, sizeof config.state_dir, "%s/state", root);
  /* For a pass in which everything has expired; the pass in which nothing has changes its copy. */
  config.policy.ttl_ns = 1;
  if (fc_session_establish(&session, &config, 0, NULL, environ, NULL, message, sizeof message) != 0) {
    (void)fprintf(stderr, "bench_end: %s\n", message);
    return 2;
  }
  make_tree(&session, base, shape, files);
  printf("%s\n", fc_session_path(&session));
  return 0;
}

/* ---- its removal ---- */

struct opened {
  char dir[PATH_MAX];
  const char *name;
  int dirfd;
  int fd;
  struct fc_session_header header;
};

static void open_session(struct opened *at, const char *path) {
  at->name = fc_session_split(path, at->dir, sizeof at->dir);
  at->dirfd = at->name ? open(at->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  if (at->dirfd < 0) die(path);
  if (fc_session_open_file(at->dirfd, at->name, &at->fd, &at->header) != FC_VERDICT_VALID) die("no session file");
}

static long long journal_bytes(const struct opened *at) {
  struct stat st;
  if (fstat(at->fd, &st) != 0) die("fstat");
  return (long long)st.st_blocks * BLOCK_BYTES;
}

static int end(const char *path, long files) {
  static struct opened at;
  struct fc_reap_result result = {0};
  open_session(&at, path);
  if (fc_sys_lock(at.fd, FC_F_OFD_SETLK, F_WRLCK, FC_BYTE_MEMBERS, NULL) < 0) die("the session lives");
  const struct measured from = begin(RUSAGE_SELF);
  const enum fc_end_outcome outcome =
      fc_ending_run(at.dirfd, at.name, at.fd, &at.header, FC_INFINITY_NS, NULL, &result);
  const struct measured took = elapsed(from);
  if (outcome != FC_END_DONE || result.files != (unsigned long long)files) {
    (void)fprintf(stderr, "bench_end: outcome %d, %llu of %ld files removed\n", (int)outcome, result.files, files);
    return 2;
  }
  tell(took, journal_bytes(&at), files);
  return 0;
}

static int sweep(const char *path, long files, bool expired) {
  static struct opened at;
  struct fc_sweep_result result = {0};
  const struct fc_sweep what = {.what = FC_SWEEP_EXPIRED};
  open_session(&at, path);
  if (!expired) at.header.policy.ttl_ns = 24 * 3600 * NS_PER_S;
  const struct measured from = begin(RUSAGE_SELF);
  const int rc = fc_sweeper_pass(at.dirfd, at.fd, &at.header, &what, NULL, FC_INFINITY_NS, &result);
  const struct measured took = elapsed(from);
  if (rc != 0 || result.reaped.files != (unsigned long long)(expired ? files : 0) ||
      result.tracked_files != (unsigned long long)(expired ? 0 : files)) {
    (void)fprintf(stderr, "bench_end: pass %d, %llu of %ld files removed\n", rc, result.reaped.files, files);
    return 2;
  }
  tell(took, journal_bytes(&at), files);
  return 0;
}

static int unlink_loop(const char *root, enum shape shape, long files) {
  char name[NAME_BYTES];
  const int base = open_base(root);
  const struct measured from = begin(RUSAGE_SELF);
  const long directories = directories_of(shape);
  for (long i = 0; i < (directories ? directories : 1); i++) {
    directory_name(name, i);
    const int fd = directories ? openat(base, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : base;
    if (fd < 0) die(name);
    for (long n = i; n < files; n += directories ? directories : 1) {
      (void)snprintf(name, sizeof name, "file-%ld", n);
      if (unlinkat(fd, name, 0) != 0) die(name);
    }
    directory_name(name, i);
    if (directories && (close(fd) != 0 || unlinkat(base, name, AT_REMOVEDIR) != 0)) die(name);
  }
  tell(elapsed(from), 0, files);
  return 0;
}

static int run_program(char **argv, long files) {
  const struct measured from = begin(RUSAGE_CHILDREN);
  const pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    (void)execvp(argv[0], argv);
    _exit(127);
  }
  int status;
  if (waitpid(child, &status, 0) != child || status != 0) die(argv[0]);
  tell(elapsed(from), 0, files);
  return 0;
}

static enum shape shape_of(const char *name) {
  for (int i = FLAT; i <= SPREAD; i++)
    if (strcmp(name, shape_names[i]) == 0) return (enum shape)i;
  errno = EINVAL;
  die(name);
  return FLAT;
}

int main(int argc, char **argv) {
  const char *verb = argc >= 4 ? argv[1] : "";
  const long files = argc >= 4 ? strtol(argv[2], NULL, 10) : 0;
  if (files > 0 && argc == 5 && strcmp(verb, "session") == 0) return prepare_session(argv[4], shape_of(argv[3]), files);
  if (files > 0 && argc == 5 && strcmp(verb, "tree") == 0) {
    make_tree(NULL, open_base(argv[4]), shape_of(argv[3]), files);
    return 0;
  }
  if (files > 0 && argc == 5 && strcmp(verb, "unlink") == 0) return unlink_loop(argv[4], shape_of(argv[3]), files);
  if (files > 0 && argc == 4 && strcmp(verb, "end") == 0) return end(argv[3], files);
  if (files > 0 && argc == 4 && strcmp(verb, "sweep-none") == 0) return sweep(argv[3], files, false);
  if (files > 0 && argc == 4 && strcmp(verb, "sweep-all") == 0) return sweep(argv[3], files, true);
  if (files > 0 && strcmp(verb, "run") == 0) return run_program(argv + 3, files);
  (void)fprintf(stderr, "usage: bench_end session|tree|unlink FILES flat|below|spread ROOT\n"
                        "       bench_end end|sweep-none|sweep-all FILES SESSION-FILE\n"
                        "       bench_end run FILES PROGRAM [ARGUMENT]...\n");
  return 2;
}

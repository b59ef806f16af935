/* harness: worlds, and the processes in them. See harness.h. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"
#include "harness_internal.h"

#define OVERLAYFS_MAGIC 0x794c7630
#define FUSE_SUPER_MAGIC 0x65735546
#define WAIT_LIMIT_MS 10000
#define MAX_WORLDS 64
#define RELEASE_MS 5 /* a process that ends gives up its locks a moment after its working directory */
#define MAX_PROCESSES 4096

static struct fct_world *worlds[MAX_WORLDS];
static size_t world_count;

static void sleep_ms(long ms) {
  struct timespec span = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
  nanosleep(&span, NULL);
}

static bool same_file_system(const char *a, const char *b) {
  struct stat sa, sb;
  return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev;
}

static void make_private(char *out, size_t size, const char *parent, const char *what) {
  snprintf(out, size, "%s/%s-XXXXXX", parent, what);
  cr_assert(mkdtemp(out), "cannot make %s: %s", out, strerror(errno));
  /* Others may pass: some tests run programs as nobody here. */
  cr_assert(chmod(out, 0755) == 0, "chmod %s: %s", out, strerror(errno));
}

struct fct_world *fct_world_new(void) {
  cr_assert(world_count < MAX_WORLDS, "too many worlds in one test");
  const char *tmp = getenv("TMPDIR");
  char real[PATH_MAX];
  cr_assert(realpath(tmp && *tmp ? tmp : "/tmp", real), "TMPDIR: %s", strerror(errno));
  cr_assert(strlen(real) < 200, "TMPDIR is too long for the harness");

  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  struct fct_world *world = calloc(1, sizeof *world);
  cr_assert(world, "out of memory");
  worlds[world_count++] = world;
  make_private(world->root, sizeof world->root, real, "fct");
  snprintf(world->dir, sizeof world->dir, "%s/world", world->root);
  snprintf(world->base, sizeof world->base, "%s/world/base", world->root);
  snprintf(world->home, sizeof world->home, "%s/home", world->root);

  static const char *const elsewhere[] = {"/dev/shm", "/var/tmp", "/tmp"};
  for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere && !world->other[0]; i++) {
    if (same_file_system(elsewhere[i], world->root) || access(elsewhere[i], W_OK | X_OK)) continue;
    make_private(world->other, sizeof world->other, elsewhere[i], "fct-other");
  }
  /* A lock mapped on an overlay, or on FUSE that passes through, pins another file: the state must not stand there,
   * wherever the base does. */
  struct statfs fs;
  bool elsewhere_only =
      statfs(world->root, &fs) == 0 && (fs.f_type == OVERLAYFS_MAGIC || fs.f_type == FUSE_SUPER_MAGIC);
  snprintf(world->state, sizeof world->state, "%s/state",
           elsewhere_only && world->other[0] ? world->other : world->root);

  const char *const made[] = {world->dir, world->base, world->home, world->state};
  for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
    cr_assert(mkdir(made[i], 0755) == 0, "mkdir %s: %s", made[i], strerror(errno));
  }
  cr_assert(chmod(world->state, 0700) == 0, "chmod %s: %s", world->state, strerror(errno));
  return world;
}

static uid_t new_owner;

static int give_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
  (void)st;
  (void)type;
  (void)ftw;
  return lchown(path, new_owner, (gid_t)new_owner);
}

void fct_world_give(const struct fct_world *world, uid_t uid) {
  new_owner = uid;
  cr_assert(nftw(world->root, give_one, 16, FTW_PHYS) == 0, "chown %s: %s", world->root, strerror(errno));
  if (world->other[0]) cr_assert(nftw(world->other, give_one, 16, FTW_PHYS) == 0, "chown: %s", strerror(errno));
}

const char *fct_path(const struct fct_world *world, const char *relative) {
  return fct_format("%s/%s", world->dir, relative);
}

void fct_need_birth_times(void) {
  struct statx stx;
  const struct fct_world *world = fct_world_new();
  cr_assert(statx(AT_FDCWD, world->base, 0, STATX_BTIME, &stx) == 0, "%s: %s", world->base, strerror(errno));
  if (!(stx.stx_mask & STATX_BTIME)) cr_skip("the file system here has no birth times: recursive is as empty");
}

bool fct_proves(const struct fct_world *world) {
  struct statx stx;
  struct statfs fs;
  cr_assert(statx(AT_FDCWD, world->base, 0, STATX_BTIME, &stx) == 0, "%s: %s", world->base, strerror(errno));
  cr_assert(statfs(world->base, &fs) == 0, "%s: %s", world->base, strerror(errno));
  if (stx.stx_mask & STATX_BTIME) return true;
  struct {
    struct file_handle head;
    unsigned char data[MAX_HANDLE_SZ];
  } handle = {.head.handle_bytes = MAX_HANDLE_SZ};
  int mount_id;
  return fs.f_type != FUSE_SUPER_MAGIC && name_to_handle_at(AT_FDCWD, world->base, &handle.head, &mount_id, 0) == 0;
}

bool fct_exists(const struct fct_world *world, const char *relative) {
  struct stat st;
  return lstat(fct_path(world, relative), &st) == 0;
}

void fct_write(const struct fct_world *world, const char *relative, const char *text) {
  const char *path = fct_path(world, relative);
  FILE *file = fopen(path, "we");
  cr_assert(file, "%s: %s", path, strerror(errno));
  cr_assert(fputs(text, file) >= 0 && fclose(file) == 0, "%s: %s", path, strerror(errno));
}

const char *fct_read(const struct fct_world *world, const char *relative) {
  return fct_slurp(fct_path(world, relative), NULL);
}

/* ---- processes of a world ----
 *
 * The test is its descendants' child subreaper, so every process of its worlds stands below it whatever died in
 * between. Nothing is reaped here: a dead process that nobody has waited for is what a lazy init leaves, and must not
 * disturb.
 *
 * To read /proc/PID/environ, cmdline or stat holds on to the memory of that process for a moment; should it end just
 * then, its mappings, and the locks that live in them, outlive it by that moment, and a test would fail for it. So only
 * own descendants are looked at, each one's memory once, and whether it lives is asked without. */

#define NESTING_MAX 64

enum relation { MEMBER, GUARDIAN, ANY };

/* What the memory of a process said when it was first seen. */
struct seen {
  pid_t pid;
  const char *state; /* its FILECLEANUP_STATE_DIR; "" when it has none that can be read */
  const char *title; /* of a guardian: its command line; NULL until it has been read */
};
static struct seen *seen;
static size_t seen_count;
static size_t seen_room;

static char *proc_file(pid_t pid, const char *name, size_t *length) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
  char *text = fct_slurp(path, length);
  if (!text) *length = 0;
  return text ? text : fct_format("%s", "");
}

static const char *state_of(pid_t pid) {
  static const char name[] = "FILECLEANUP_STATE_DIR=";
  size_t length;
  const char *env = proc_file(pid, "environ", &length);
  for (size_t at = 0; at < length; at += strlen(env + at) + 1) {
    if (strncmp(env + at, name, sizeof name - 1) == 0) return env + at + sizeof name - 1;
  }
  return "";
}

static struct seen *look_at(pid_t pid) {
  for (size_t i = 0; i < seen_count; i++) {
    if (seen[i].pid == pid) return &seen[i];
  }
  if (seen_count == seen_room) {
    struct seen *grown = fct_alloc((seen_room + 1) * 2 * sizeof *grown);
    if (seen_count) memcpy(grown, seen, seen_count * sizeof *grown);
    seen = grown;
    seen_room = (seen_room + 1) * 2;
  }
  seen[seen_count] = (struct seen){.pid = pid, .state = state_of(pid)};
  return &seen[seen_count++];
}

/* A process gives up its working directory when it ends, zombie or not, and nothing of its memory is asked for this. */
static bool is_dead(pid_t pid) {
  char path[64], target[PATH_MAX];
  snprintf(path, sizeof path, "/proc/%d/cwd", (int)pid);
  return readlink(path, target, sizeof target) < 0 && errno != EACCES;
}

static bool is_guardian(pid_t pid) {
  size_t length;
  return strncmp(proc_file(pid, "comm", &length), "fc-guardian", 11) == 0;
}

static bool related(const struct fct_world *world, pid_t pid, enum relation relation) {
  if (is_dead(pid)) return false;
  if (relation == ANY) return true;
  struct seen *process = look_at(pid);
  if (!is_guardian(pid)) {
    return relation == MEMBER && (!process->state[0] || strcmp(process->state, world->state) == 0);
  }
  if (!process->title) {
    size_t length;
    char *title = proc_file(pid, "cmdline", &length);
    for (size_t i = 0; i + 1 < length; i++)
      if (title[i] == '\0') title[i] = ' ';
    process->title = title;
  }
  return relation == GUARDIAN && strstr(process->title, world->root);
}

/* Calls itself for the children of each thread of pid. */
static size_t add_descendants(pid_t pid, pid_t *pids, size_t count, size_t max, int depth) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
  DIR *threads = depth < NESTING_MAX ? opendir(path) : NULL;
  if (!threads) return count; /* it has ended meanwhile */
  for (struct dirent *entry; (entry = readdir(threads));) {
    if (entry->d_name[0] == '.') continue;
    size_t length;
    char *rest = proc_file(pid, fct_format("task/%s/children", entry->d_name), &length);
    for (char *word; (word = strtok_r(rest, " ", &rest)) && count < max;) {
      pids[count] = (pid_t)strtol(word, NULL, 10);
      if (pids[count] > 0) count = add_descendants(pids[count], pids, count + 1, max, depth + 1);
    }
  }
  closedir(threads);
  return count;
}

static size_t processes(const struct fct_world *world, enum relation relation, pid_t *pids, size_t max) {
  static pid_t all[MAX_PROCESSES];
  size_t found = add_descendants(getpid(), all, 0, MAX_PROCESSES, 0), count = 0;
  for (size_t i = 0; i < found && count < max; i++) {
    if (related(world, all[i], relation)) pids[count++] = all[i];
  }
  return count;
}

/* The kernel does not promise a whole list of children while processes come and go: none means none twice. */
static bool has_none(const struct fct_world *world, enum relation relation) {
  pid_t pid;
  if (processes(world, relation, &pid, 1)) return false;
  sleep_ms(RELEASE_MS);
  return processes(world, relation, &pid, 1) == 0;
}

size_t fct_members(const struct fct_world *world, pid_t *pids, size_t max) {
  return processes(world, MEMBER, pids, max);
}

pid_t fct_guardian(const struct fct_world *world) {
  pid_t pid = 0;
  return processes(world, GUARDIAN, &pid, 1) ? pid : 0;
}

static void kill_until_none(const struct fct_world *world, enum relation relation) {
  static pid_t pids[MAX_PROCESSES];
  for (int waited = 0; waited < WAIT_LIMIT_MS; waited += 2) {
    size_t count = processes(world, relation, pids, MAX_PROCESSES);
    for (size_t i = 0; i < count; i++) kill(pids[i], SIGKILL);
    if (count == 0 && has_none(world, relation)) return;
    sleep_ms(2);
  }
  if (relation != ANY) cr_assert_fail("processes of the world could not be killed");
}

void fct_kill_members(const struct fct_world *world) { kill_until_none(world, MEMBER); }
void fct_kill_guardian(const struct fct_world *world) { kill_until_none(world, GUARDIAN); }

bool fct_wait_exists(const struct fct_world *world, const char *relative) {
  for (int waited = 0; waited < WAIT_LIMIT_MS; waited += 2) {
    if (fct_exists(world, relative)) return true;
    sleep_ms(2);
  }
  return false;
}

bool fct_wait_gone(const struct fct_world *world, const char *relative) {
  for (int waited = 0; waited < WAIT_LIMIT_MS; waited += 2) {
    if (!fct_exists(world, relative)) return true;
    sleep_ms(2);
  }
  return false;
}

static bool wait_none(const struct fct_world *world, enum relation relation) {
  for (int waited = 0; waited < WAIT_LIMIT_MS; waited += 2) {
    if (has_none(world, relation)) return true;
    sleep_ms(2);
  }
  return false;
}

static bool group_lives(pid_t group) {
  static pid_t all[MAX_PROCESSES];
  size_t found = add_descendants(getpid(), all, 0, MAX_PROCESSES, 0);
  for (size_t i = 0; i < found; i++) {
    if (getpgid(all[i]) == group && !is_dead(all[i])) return true;
  }
  return false;
}

void fct_wait_group_dead(pid_t group) {
  for (int waited = 0; waited < WAIT_LIMIT_MS; waited += 2) {
    bool lives = group_lives(group);
    sleep_ms(RELEASE_MS);
    if (!lives && !group_lives(group)) return;
  }
  cr_assert_fail("the process group does not end");
}

bool fct_wait_no_members(const struct fct_world *world) { return wait_none(world, MEMBER); }
bool fct_wait_no_guardian(const struct fct_world *world) { return wait_none(world, GUARDIAN); }

/* ---- end ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
  (void)st;
  (void)type;
  (void)ftw;
  (void)remove(path); /* a world that cannot be removed wholly is no failure of what was tested */
  return 0;
}

void fct_worlds_remove(void) {
  bool keep = getenv("FC_TEST_KEEP") != NULL;
  for (size_t i = 0; i < world_count; i++) {
    kill_until_none(worlds[i], ANY);
    if (keep) fprintf(stderr, "kept: %s\n", worlds[i]->root);
    if (!keep) nftw(worlds[i]->root, remove_one, 16, FTW_PHYS | FTW_DEPTH);
    if (!keep && worlds[i]->other[0]) nftw(worlds[i]->other, remove_one, 16, FTW_PHYS | FTW_DEPTH);
    free(worlds[i]);
  }
  world_count = 0;
  seen = NULL;
  seen_count = seen_room = 0;
}

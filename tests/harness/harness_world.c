/* harness: worlds, and the processes in them. See harness.h. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"
#include "harness_internal.h"

#define OVERLAYFS_MAGIC 0x794c7630
#define WAIT_LIMIT_MS 10000
#define MAX_WORLDS 64
#define RELEASE_MS 5 /* a dying process gives up its memory, by which it is found, a moment before its locks */
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
  /* A lock mapped on an overlay pins another file: the state must not stand there, wherever the base does. */
  struct statfs fs;
  bool overlay = statfs(world->root, &fs) == 0 && fs.f_type == OVERLAYFS_MAGIC;
  snprintf(world->state, sizeof world->state, "%s/state", overlay && world->other[0] ? world->other : world->root);

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

/* ---- processes of a world ---- */

enum relation { MEMBER, GUARDIAN, ANY };

static bool holds_entry(const char *list, size_t length, const char *entry) {
  for (size_t at = 0; at < length; at += strlen(list + at) + 1) {
    if (strcmp(list + at, entry) == 0) return true;
  }
  return false;
}

static bool holds_text(const char *list, size_t length, const char *text) {
  return memmem(list, length, text, strlen(text)) != NULL;
}

static char *proc_file(pid_t pid, const char *name, size_t *length) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
  char *text = fct_slurp(path, length);
  if (!text) *length = 0;
  return text ? text : fct_format("%s", "");
}

static bool related(const struct fct_world *world, pid_t pid, enum relation relation) {
  size_t comm_length, line_length, env_length;
  const char *comm = proc_file(pid, "comm", &comm_length);
  bool guardian = strncmp(comm, "fc-guardian", 11) == 0;
  const char *line = proc_file(pid, "cmdline", &line_length);
  if (relation == GUARDIAN) return guardian && holds_text(line, line_length, world->base);
  const char *env = proc_file(pid, "environ", &env_length);
  if (relation == ANY) return holds_text(line, line_length, world->root) || holds_text(env, env_length, world->root);
  return !guardian && holds_entry(env, env_length, fct_format("FILECLEANUP_STATE_DIR=%s", world->state));
}

static size_t processes(const struct fct_world *world, enum relation relation, pid_t *pids, size_t max) {
  DIR *proc = opendir("/proc");
  cr_assert(proc, "/proc: %s", strerror(errno));
  size_t count = 0;
  for (struct dirent *entry; (entry = readdir(proc)) && count < max;) {
    pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
    if (pid > 0 && pid != getpid() && related(world, pid, relation)) pids[count++] = pid;
  }
  closedir(proc);
  return count;
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
    if (count == 0) {
      sleep_ms(RELEASE_MS);
      return;
    }
    for (size_t i = 0; i < count; i++) kill(pids[i], SIGKILL);
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
  pid_t pid;
  for (int waited = 0; waited < WAIT_LIMIT_MS; waited += 2) {
    if (processes(world, relation, &pid, 1) == 0) {
      sleep_ms(RELEASE_MS);
      return true;
    }
    sleep_ms(2);
  }
  return false;
}

/* Processes of the group that are not yet dead. A zombie is dead: its locks are gone, whenever its parent looks. */
static bool group_lives(pid_t group) {
  DIR *proc = opendir("/proc");
  cr_assert(proc, "/proc: %s", strerror(errno));
  bool lives = false;
  for (struct dirent *entry; (entry = readdir(proc)) && !lives;) {
    pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
    size_t length;
    const char *stat = pid > 0 ? strrchr(proc_file(pid, "stat", &length), ')') : NULL;
    char state;
    int parent, pgrp;
    if (stat && sscanf(stat, ") %c %d %d", &state, &parent, &pgrp) == 3) lives = pgrp == group && !strchr("ZX", state);
  }
  closedir(proc);
  return lives;
}

void fct_wait_group_dead(pid_t group) {
  for (int waited = 0; waited < WAIT_LIMIT_MS; waited += 2) {
    if (!group_lives(group)) return;
    sleep_ms(2);
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
}

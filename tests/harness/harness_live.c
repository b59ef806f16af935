/* harness: a living session. See harness_live.h. */
#include "harness_live.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "harness_internal.h"

static bool open_first(struct fct_live *live, const char *directory) {
  DIR *stream = opendir(directory);
  if (!stream) return false;
  live->dirfd = dup(dirfd(stream));
  bool found = false;
  for (struct dirent *entry; !found && (entry = readdir(stream));) {
    if (strncmp(entry->d_name, FC_SESSION_PREFIX, sizeof FC_SESSION_PREFIX - 1) != 0) continue;
    if (fc_session_open_file(live->dirfd, entry->d_name, &live->fd, &live->header) != FC_VERDICT_VALID) continue;
    found = fc_session_probe(live->fd, FC_BYTE_MEMBERS) != F_UNLCK;
    if (found)
      memcpy(live->name, entry->d_name, strnlen(entry->d_name, sizeof live->name - 1));
    else
      close(live->fd);
  }
  closedir(stream);
  if (!found) close(live->dirfd);
  return found;
}

struct fct_live *fct_live_open(const struct fct_world *world) {
  struct fct_live *live = fct_alloc(sizeof *live);
  DIR *stream = opendir(world->state);
  cr_assert(stream, "%s: %s", world->state, strerror(errno));
  bool found = false;
  for (struct dirent *entry; !found && (entry = readdir(stream));)
    if (entry->d_name[0] != '.') found = open_first(live, fct_format("%s/%s", world->state, entry->d_name));
  closedir(stream);
  cr_assert(found, "no session lives in this world");
  /* A lease of a pass is broken by whoever opens the file: in a host all signals are blocked meanwhile. */
  sigset_t all;
  sigfillset(&all);
  sigdelset(&all, SIGALRM);
  sigprocmask(SIG_BLOCK, &all, NULL);
  return live;
}

struct fct_job *fct_hold(const struct fct_world *world, enum fct_mode mode, const char *const *policy,
                         const char *script) {
  const char **env = fct_alloc(16 * sizeof *env);
  size_t n = 0;
  for (; policy && policy[n] && n < 15; n++) env[n] = fct_format("FILECLEANUP_%s", policy[n]);
  struct fct_job *job = FCT_START(world, .mode = mode, .env = env,
                                  .script = fct_format("%s\n: > ready; $PROBES/await go; exit $?", script));
  cr_assert(fct_wait_exists(world, "ready"), "the host did not get ready");
  cr_assert(unlink(fct_path(world, "ready")) == 0, "ready: %s", strerror(errno));
  return job;
}

void fct_release(const struct fct_world *world, struct fct_job *job) {
  fct_write(world, "go", "");
  const struct fct_result result = fct_finish(job);
  cr_expect_eq(result.status, 0, "status %d: %s", result.status, result.err);
  cr_expect_str_eq(result.err, "");
  (void)unlink(fct_path(world, "go"));
}

int fct_pass_as(struct fct_live *live, struct fc_sweep sweep, struct fc_sweep_result *result) {
  return fc_sweeper_pass(live->dirfd, live->fd, &live->header, &sweep, NULL, FC_INFINITY_NS, result);
}

struct fc_sweep_result fct_pass(struct fct_live *live) {
  struct fc_sweep_result result = {0};
  const int rc = fct_pass_as(live, (struct fc_sweep){.what = FC_SWEEP_EXPIRED}, &result);
  cr_assert_eq(rc, 0, "the pass failed: %s", strerror(-rc));
  return result;
}

struct fc_head_words fct_live_words(const struct fct_live *live) {
  struct fc_head_words words;
  const ssize_t got = pread(live->fd, &words, sizeof words, offsetof(struct fc_session_header, words));
  cr_assert_eq(got, (ssize_t)sizeof words, "the session file is short");
  return words;
}

static size_t count_entries(const char *directory) {
  DIR *stream = opendir(directory);
  if (!stream) return 0;
  size_t count = 0;
  for (struct dirent *entry; (entry = readdir(stream));)
    count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
  closedir(stream);
  return count;
}

unsigned fct_threads(pid_t pid) { return (unsigned)count_entries(fct_format("/proc/%d/task", (int)pid)); }

size_t fct_count(const struct fct_world *world, const char *relative) {
  return count_entries(fct_path(world, relative));
}

void fct_need_mounts(void) {
  fct_need_root();
  fct_need("mount");
  if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
    cr_skip("no mount namespace here: %s", strerror(errno));
}

/* manager_workload: a program of the library that uses all that it offers, and goes on whatever fails.
 *
 * usage: manager_workload BASE OUTSIDE
 *
 * What is tracked is named tmp-*; when it cannot be tracked the program removes it itself. m-* are files that the
 * library has said to be the program's own again, or that are others' by what was done to them: each is told on stdout
 * by a line `promised PATH` (relative to the parent of BASE) and holds that word. The journal is short of room, so that
 * it has to be compacted.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filecleanup.h"

#define JOURNAL_BYTES (300 << 10)
#define CHURN 500

static fcm_manager *m;
static const char *base;

static const char *in_base(const char *name) {
  static char paths[4][PATH_MAX];
  static unsigned next;
  char *const path = paths[next++ % 4];
  snprintf(path, PATH_MAX, "%s/%s", base, name);
  return path;
}

static void make(const char *name) {
  const int fd = open(in_base(name), O_CREAT | O_EXCL | O_WRONLY, 0600);
  if (fd < 0 || write(fd, "promised\n", 9) != 9 || close(fd) != 0) _exit(3);
}

static void promise(const char *path) {
  if (dprintf(1, "promised %s\n", path) < 0) _exit(4);
}

static bool track(const char *name) {
  if (fcm_track_file(m, in_base(name)) == 0) return true;
  (void)remove(in_base(name)); /* it may be one that is only expected */
  return false;
}

static void use(const char *outside) {
  char name[64], path[PATH_MAX];
  struct fcm_result result;
  for (int i = 0; i < 12; i++) {
    snprintf(name, sizeof name, "tmp-f%d", i);
    make(name);
    (void)track(name);
  }
  if (mkdir(in_base("tmp-d"), 0700) != 0) _exit(5);
  if (track("tmp-d")) {
    make("tmp-d/f");
    (void)track("tmp-d/f");
  }
  if (mkdir(in_base("tmp-t"), 0700) != 0) _exit(6);
  if (fcm_track_tree(m, in_base("tmp-t")) != 0)
    (void)rmdir(in_base("tmp-t"));
  else
    make("tmp-t/untold");
  if (track("tmp-expected")) make("tmp-expected");

  make("m-back");
  if (!track("m-back") || fcm_untrack_file(m, in_base("m-back")) == 0)
    if (access(in_base("m-back"), F_OK) == 0) promise("base/m-back");
  make("tmp-p");
  snprintf(path, sizeof path, "%s/m-persisted", outside);
  if (track("tmp-p") && fcm_persist(m, in_base("tmp-p"), path) == 0) promise("outside/m-persisted");
  make("m-replaced");
  if (track("m-replaced")) { /* as an outsider would, without a word */
    make("m-new");
    if (rename(in_base("m-new"), in_base("m-replaced")) != 0) _exit(7);
    promise("base/m-replaced");
  }

  (void)fcm_cleanup_file(m, in_base("tmp-f0"), NULL);
  (void)fcm_cleanup_file_async(m, in_base("tmp-f1"), NULL, NULL, NULL);
  (void)fcm_async_flush(m);
  for (int i = 0; i < CHURN; i++) {
    if (fcm_track_file(m, in_base("tmp-churn")) == 0) (void)fcm_untrack_file(m, in_base("tmp-churn"));
  }
  const struct timespec old[2] = {{1000000000, 0}, {1000000000, 0}};
  (void)utimensat(AT_FDCWD, in_base("tmp-f2"), old, 0);
  (void)fcm_cleanup_old_files(m, FCM_DEFAULT, &result);
  (void)fcm_cleanup_directory(m, in_base("tmp-d"), true, NULL);
  fcm_scope *scope = fcm_scoped_new_file(m, NULL, "tmp-scope", NULL, 0, NULL);
  if (scope) (void)fcm_scope_exit(scope, FCM_SUCCEEDED);
  (void)fcm_cleanup_all_tracked(m, &result);
  make("tmp-last");
  (void)track("tmp-last");
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  base = argv[1];
  const struct rlimit limit = {JOURNAL_BYTES, JOURNAL_BYTES};
  if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 2;
  struct fcm_options options;
  fcm_options_init(&options);
  options.base_dir = base;
  options.state_dir = getenv("FILECLEANUP_STATE_DIR");
  options.enable_periodic_cleanup = false;
  m = fcm_create(&options);
  if (!m) return 0; /* it says so, and nothing is tracked */
  use(argv[2]);
  (void)fcm_destroy(m);
  return 0;
}

/* bench_library: the manager at the same three things as tests/bench/file_cleanup_manager.py, told in the same way.
 *
 *   bench_library clean ROOT N    make, track and clean N files: CPU and wall ns for one
 *   bench_library track ROOT N    track and untrack with N tracked: CPU ns for one call of each
 *   bench_library memory ROOT N   track N files with names of 40 bytes: bytes for one, in memory and in the journal
 *
 * The base is ROOT/base, which must hold nothing, and the journal stands in ROOT/state. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "filecleanup.h"

#define CALLS 10000

static char base[4096];
static char state[4096];

static void die(const char *what) {
  (void)fprintf(stderr, "bench_library: %s: %s\n", what, strerror(errno));
  exit(1);
}

static int64_t now(clockid_t clock) {
  struct timespec time;
  (void)clock_gettime(clock, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static const char *name(int64_t i, const char *suffix) {
  static char path[sizeof base + 64];
  (void)snprintf(path, sizeof path, "%s/file-%035" PRId64 "%s", base, i, suffix);
  return path;
}

static void make(const char *path) {
  const int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
  if (fd < 0) die(path);
  (void)close(fd);
}

static void track(fcm_manager *manager, const char *path) {
  if (fcm_track_file(manager, path) != 0) die(path);
}

static void clean(fcm_manager *manager, int64_t count) {
  struct fcm_result result;
  for (int64_t i = 0; i < count; i++) {
    make(name(i, ""));
    track(manager, name(i, ""));
  }
  const int64_t cpu = now(CLOCK_PROCESS_CPUTIME_ID);
  const int64_t wall = now(CLOCK_MONOTONIC);
  if (fcm_cleanup_old_files(manager, 0, &result) != 0) die("fcm_cleanup_old_files");
  (void)printf("%" PRId64, (now(CLOCK_PROCESS_CPUTIME_ID) - cpu) / count);
  (void)printf(" %" PRId64 "\n", (now(CLOCK_MONOTONIC) - wall) / count);
  errno = 0;
  if (result.removed_count != (uint64_t)count || result.errors > 0) die("not all were removed");
}

/* Those that are timed exist: each is looked at. */
static void track_and_untrack(fcm_manager *manager, int64_t count) {
  for (int64_t i = 0; i < count; i++) track(manager, name(i, ""));
  for (int64_t i = 0; i < CALLS; i++) make(name(i, "+"));
  const int64_t start = now(CLOCK_PROCESS_CPUTIME_ID);
  for (int64_t i = 0; i < CALLS; i++) track(manager, name(i, "+"));
  const int64_t between = now(CLOCK_PROCESS_CPUTIME_ID);
  for (int64_t i = 0; i < CALLS; i++)
    if (fcm_untrack_file(manager, name(i, "+")) != 0) die("fcm_untrack_file");
  (void)printf("%" PRId64 " %" PRId64 "\n", (between - start) / CALLS,
               (now(CLOCK_PROCESS_CPUTIME_ID) - between) / CALLS);
  for (int64_t i = 0; i < CALLS; i++)
    if (unlink(name(i, "+")) != 0) die("unlink");
}

/* All that is private to the process: heap, tables and arenas. */
static int64_t private_bytes(void) {
  char line[256];
  int64_t kib = -1;
  FILE *status = fopen("/proc/self/status", "re");
  if (!status) die("/proc/self/status");
  while (fgets(line, sizeof line, status))
    if (sscanf(line, "RssAnon: %" SCNd64, &kib) == 1) break;
  (void)fclose(status);
  return kib * 1024;
}

static void memory(fcm_manager *manager, int64_t count) {
  struct fcm_stats stats;
  for (int64_t i = 0; i < count; i++) make(name(i, ""));
  const int64_t before = private_bytes();
  for (int64_t i = 0; i < count; i++) track(manager, name(i, ""));
  const int64_t bytes = private_bytes() - before;
  if (fcm_get_stats(manager, &stats) != 0) die("fcm_get_stats");
  (void)printf("%" PRId64 " %" PRIu64 "\n", bytes / count, stats.journal_bytes / (uint64_t)count);
}

int main(int argc, char **argv) {
  const int64_t count = argc == 4 ? strtoll(argv[3], NULL, 10) : 0;
  if (count <= 0) return 2;
  struct fcm_options options;
  (void)snprintf(base, sizeof base, "%s/base", argv[2]);
  (void)snprintf(state, sizeof state, "%s/state", argv[2]);
  fcm_options_init(&options);
  options.base_dir = base;
  options.state_dir = state;
  options.enable_periodic_cleanup = false;
  fcm_manager *manager = fcm_create(&options);
  if (!manager) die("fcm_create");
  if (strcmp(argv[1], "clean") == 0)
    clean(manager, count);
  else if (strcmp(argv[1], "track") == 0)
    track_and_untrack(manager, count);
  else if (strcmp(argv[1], "memory") == 0)
    memory(manager, count);
  else
    return 2;
  if (fcm_destroy(manager) != 0) die("fcm_destroy");
  return 0;
}

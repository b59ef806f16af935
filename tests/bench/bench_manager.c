/* bench_manager: what a manager costs: track and untrack from 100 to 1,000,000 names, memory and journal for each, and
 * the time to clean up 100 and 100,000 files.
 *
 *   bench_manager [DIRECTORY]     (default /dev/shm; everything happens in a directory of its own below it)
 *
 * Prints one line "name value unit" for each figure. CPU time is that of this process, wall time in brackets.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "filecleanup.h"

#define MOST 1000000
#define NAME_LEN 40
#define BARE_FILES 20000

static char root[256];

static void die(const char *what) {
  (void)fprintf(stderr, "bench_manager: %s: %s\n", what, strerror(errno));
  exit(1);
}

static double seconds(clockid_t clock) {
  struct timespec now;
  (void)clock_gettime(clock, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct span {
  double cpu;
  double wall;
};

static struct span begin(void) { return (struct span){seconds(CLOCK_PROCESS_CPUTIME_ID), seconds(CLOCK_MONOTONIC)}; }

static void tell(const char *what, unsigned long names, struct span from, double unit, const char *unit_name) {
  const double cpu = (seconds(CLOCK_PROCESS_CPUTIME_ID) - from.cpu) / (double)names * unit;
  const double wall = (seconds(CLOCK_MONOTONIC) - from.wall) / (double)names * unit;
  (void)printf("%-34s %9lu names %10.2f %s a name (wall %.2f)\n", what, names, cpu, unit_name, wall);
  (void)fflush(stdout);
}

/* NAME_LEN bytes beneath the base. */
static void path_of(char *out, size_t size, const char *base, unsigned long i) {
  (void)snprintf(out, size, "%s/%0*lu", base, NAME_LEN, i);
}

static fcm_manager *manager_in(const char *base) {
  static char state[300];
  struct fcm_options options;
  (void)snprintf(state, sizeof state, "%s/state", root);
  fcm_options_init(&options);
  options.base_dir = base;
  options.state_dir = state;
  options.enable_periodic_cleanup = false;
  fcm_manager *m = fcm_create(&options);
  if (!m) die("fcm_create");
  return m;
}

static void make_file(const char *path) {
  const int fd = open(path, O_CREAT | O_WRONLY | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) die(path);
  (void)close(fd);
}

/* Files that exist, all tracked by one manager that grows; each size is measured by taking its last tenth (100 at
 * least) out and in again, so that what is timed is a call at that size. */
static void track_and_untrack(const char *base) {
  char path[512];
  fcm_manager *m = manager_in(base);
  const size_t heap_before = mallinfo2().uordblks + mallinfo2().hblkhd;
  unsigned long tracked = 0;
  for (unsigned long size = 100; size <= MOST; size *= 10) {
    for (unsigned long i = tracked; i < size; i++) {
      path_of(path, sizeof path, base, i);
      make_file(path);
    }
    struct span from = begin();
    for (unsigned long i = tracked; i < size; i++) {
      path_of(path, sizeof path, base, i);
      if (fcm_track_file(m, path) < 0) die("fcm_track_file");
    }
    tell("track (growing)", size - tracked, from, 1e9, "ns");
    tracked = size;
    const unsigned long part = size / 10 < 100 ? 100 : size / 10;
    from = begin();
    for (unsigned long i = size - part; i < size; i++) {
      path_of(path, sizeof path, base, i);
      if (fcm_untrack_file(m, path) < 0) die("fcm_untrack_file");
    }
    tell("untrack", part, from, 1e9, "ns");
    from = begin();
    for (unsigned long i = size - part; i < size; i++) {
      path_of(path, sizeof path, base, i);
      if (fcm_track_file(m, path) < 0) die("fcm_track_file");
    }
    tell("track", part, from, 1e9, "ns");
  }
  struct fcm_stats stats;
  if (fcm_get_stats(m, &stats) < 0) die("fcm_get_stats");
  const size_t heap = mallinfo2().uordblks + mallinfo2().hblkhd - heap_before;
  (void)printf("after all of that, for each of %d names: heap %.1f bytes (the table says %.1f), journal %.1f bytes\n",
               MOST, (double)heap / MOST, (double)stats.memory_bytes / MOST, (double)stats.journal_bytes / MOST);
  struct span from = begin();
  struct fcm_result result;
  if (fcm_cleanup_all_tracked(m, &result) < 0) die("fcm_cleanup_all_tracked");
  tell("cleanup_all_tracked", (unsigned long)result.removed_count, from, 1e6, "us");
  if (fcm_destroy(m) < 0) die("fcm_destroy");
}

/* The memory goal without the churn above: tracked once each. */
static void memory(const char *base) {
  char path[512];
  fcm_manager *m = manager_in(base);
  const size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
  for (unsigned long i = 0; i < MOST; i++) {
    path_of(path, sizeof path, base, i);
    make_file(path);
    if (fcm_track_file(m, path) < 0) die("fcm_track_file");
  }
  struct fcm_stats stats;
  if (fcm_get_stats(m, &stats) < 0) die("fcm_get_stats");
  const double heap = (double)(mallinfo2().uordblks + mallinfo2().hblkhd - before) / MOST;
  (void)printf("memory at %d names: heap %.1f + journal %.1f = %.1f bytes a name\n", MOST, heap,
               (double)stats.journal_bytes / MOST, heap + (double)stats.journal_bytes / MOST);
  if (fcm_destroy(m) < 0) die("fcm_destroy");
}

static void clean(const char *base, unsigned long files) {
  char path[512];
  fcm_manager *m = manager_in(base);
  const struct timespec old[2] = {{time(NULL) - 7200, 0}, {time(NULL) - 7200, 0}};
  for (unsigned long i = 0; i < files; i++) {
    path_of(path, sizeof path, base, i);
    make_file(path);
    if (utimensat(AT_FDCWD, path, old, 0) < 0 || fcm_track_file(m, path) < 0) die(path);
  }
  struct fcm_result result;
  const struct span from = begin();
  if (fcm_cleanup_old_files(m, FCM_HOURS(1), &result) < 0) die("fcm_cleanup_old_files");
  tell("cleanup_old_files", files, from, 1e6, "us");
  if (result.removed_count != files) die("not all were removed");
  if (fcm_destroy(m) < 0) die("fcm_destroy");
}

static void bare(const char *base) {
  char path[512];
  for (unsigned long i = 0; i < BARE_FILES; i++) {
    path_of(path, sizeof path, base, i);
    make_file(path);
  }
  const struct span from = begin();
  for (unsigned long i = 0; i < BARE_FILES; i++) {
    path_of(path, sizeof path, base, i);
    if (unlink(path) < 0) die(path);
  }
  tell("for comparison: unlink", BARE_FILES, from, 1e6, "us");
}

int main(int argc, char **argv) {
  char base[300];
  (void)snprintf(root, sizeof root, "%s/bench_manager.XXXXXX", argc > 1 ? argv[1] : "/dev/shm");
  if (!mkdtemp(root)) die(root);
  (void)snprintf(base, sizeof base, "%s/base", root);
  (void)mkdir(base, 0700);
  bare(base);
  for (int i = 0; i < 5; i++) clean(base, 100);
  clean(base, 100000);
  memory(base);
  track_and_untrack(base);
  char state[300];
  (void)snprintf(state, sizeof state, "%s/state", root);
  (void)rmdir(state);
  (void)rmdir(base);
  return rmdir(root) == 0 ? 0 : 1;
}

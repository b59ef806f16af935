/* manager_world: a base and a state directory for tests of the manager, gone with the test. */
#ifndef FCT_MANAGER_WORLD_H
#define FCT_MANAGER_WORLD_H

#include <criterion/criterion.h>
#include <criterion/logging.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filecleanup.h"
#include "library_world.h"

static char world_root[128];
static char world_base[160];
static char world_state[160];
static char world_log[8192]; /* what the manager has said */

static void world_hear(void *context, enum fcm_log_level level, const char *line) {
  (void)context;
  (void)level;
  const size_t len = strlen(world_log);
  (void)snprintf(world_log + len, sizeof world_log - len, "%s\n", line);
}

/* In memory when there is room for that: the state directory must hold locks through mappings, which an overlay does
 * not. */
static void world_begin(void) {
  library_place_make(world_root, sizeof world_root, world_state, sizeof world_state,
                     access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
  (void)snprintf(world_base, sizeof world_base, "%s/base", world_root);
  cr_assert_eq(setenv("HOME", world_root, 1), 0);
}

/* LeakSanitizer cannot look at a process whose users differ. */
static void world_end(void) {
  if (getuid() == 0 && (seteuid(0) != 0 || setegid(0) != 0)) cr_log_warn("root is not root any more");
  (void)library_place_remove(world_root, world_state);
}

static inline struct fcm_options world_options(void) {
  struct fcm_options options;
  fcm_options_init(&options);
  options.base_dir = world_base;
  options.state_dir = world_state;
  options.enable_periodic_cleanup = false;
  options.log = world_hear;
  return options;
}

static inline fcm_manager *world_manager(void) {
  const struct fcm_options options = world_options();
  fcm_manager *manager = fcm_create(&options);
  cr_assert(manager, "fcm_create: %s\n%s", strerror(errno), world_log);
  return manager;
}

/* One of a few names of the base at a time. */
static inline const char *in_base(const char *rel) {
  static char paths[8][PATH_MAX];
  static unsigned next;
  char *const path = paths[next++ % 8];
  (void)snprintf(path, PATH_MAX, "%s/%s", world_base, rel);
  return path;
}

static inline bool stands(const char *path) {
  struct stat st;
  return lstat(path, &st) == 0;
}

static inline void write_file(const char *path, const char *text) {
  const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  cr_assert_geq(fd, 0, "%s: %s", path, strerror(errno));
  cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
  (void)close(fd);
}

static inline bool holds(const char *path, const char *text) {
  char buffer[256];
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const ssize_t n = read(fd, buffer, sizeof buffer - 1);
  (void)close(fd);
  if (n < 0) return false;
  buffer[n] = '\0';
  return strcmp(buffer, text) == 0;
}

static inline void set_age(const char *path, long seconds) {
  struct timespec now;
  (void)clock_gettime(CLOCK_REALTIME, &now);
  const struct timespec times[2] = {{now.tv_sec - seconds, 0}, {now.tv_sec - seconds, 0}};
  cr_assert_eq(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static inline unsigned entries_in(const char *path) {
  unsigned count = 0;
  DIR *dir = opendir(path);
  if (!dir) return 0;
  for (struct dirent *e = readdir(dir); e; e = readdir(dir))
    if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) count++;
  (void)closedir(dir);
  return count;
}

static inline bool is_tracked(fcm_manager *manager, const char *path) {
  bool tracked;
  cr_assert_eq(fcm_is_tracked(manager, path, &tracked), 0, "%s", strerror(errno));
  return tracked;
}

static inline uint64_t tracked_files(fcm_manager *manager) {
  struct fcm_stats stats;
  cr_assert_eq(fcm_get_stats(manager, &stats), 0);
  return stats.tracked_files;
}

#define ASSERT_FAILS(call, error)                                                                                      \
  do {                                                                                                                 \
    errno = 0;                                                                                                         \
    cr_assert_eq((call), -1, #call);                                                                                   \
    cr_assert_eq(errno, (error), #call ": %s", strerror(errno));                                                       \
  } while (0)

#endif

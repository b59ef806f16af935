#include "removal.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "outside.h"
#include "owner.h"

char *fc_removal_absolute(const char *path) {
  char directory[PATH_MAX];
  if (!path || !*path) {
    errno = EINVAL;
    return NULL;
  }
  directory[0] = '\0';
  if (path[0] != '/' && !getcwd(directory, sizeof directory)) {
    if (errno == ERANGE) errno = ENAMETOOLONG;
    return NULL;
  }
  const size_t before = strlen(directory);
  const size_t length = strnlen(path, PATH_MAX);
  if (before + 1 + length >= PATH_MAX) {
    errno = ENAMETOOLONG;
    return NULL;
  }
  char *absolute = malloc(before + 1 + length + 1);
  if (!absolute) return NULL;
  memcpy(absolute, directory, before);
  absolute[before] = '/';
  /* One that is absolute has its slash already. */
  memcpy(absolute + before + (path[0] != '/'), path, length + 1);
  return absolute;
}

/* As it is just before: another may write to it meanwhile. */
static uint64_t size_of(const char *path) {
  struct stat status;
  return lstat(path, &status) == 0 && S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0;
}

static int tell(fcm_manager *manager, int status, bool removed, uint64_t bytes, struct fcm_result *result) {
  const int error = errno;
  if (removed) {
    result->removed_count = 1;
    result->removed_size_bytes = bytes;
    result->removed_size_mb = (double)bytes / (1024 * 1024);
  }
  result->errors = status != 0;
  fc_outside_lock(manager, NULL);
  result->tracked_files_remaining = manager->table.count;
  fc_outside_unlock(manager);
  errno = error;
  return status;
}

int fc_removal_file(fcm_manager *manager, const char *path, struct fcm_result *result) {
  bool removed = false;
  const uint64_t bytes = size_of(path);
  const int status = fcm_cleanup_file(manager, path, &removed);
  return tell(manager, status, removed, bytes, result);
}

int fc_removal_directory(fcm_manager *manager, const char *path, bool recursive, struct fcm_result *result) {
  bool removed = false;
  const int status = fcm_cleanup_directory(manager, path, recursive, &removed);
  return tell(manager, status, removed, 0, result);
}

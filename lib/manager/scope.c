#include "scope.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "owner.h"
#include "removal.h"

struct fcm_scope {
  fcm_manager *manager;
  unsigned flags;
  enum fcm_outcome outcome;
  bool released; /* kept or persisted: nothing is removed */
  char path[];   /* absolute: the working directory may be another one at the end */
};

static fcm_scope *new_scope(fcm_manager *manager, const char *path, unsigned flags) {
  const size_t size = strlen(path) + 1;
  fcm_scope *scope = calloc(1, sizeof *scope + size);
  if (!scope) return NULL;
  scope->manager = manager;
  scope->flags = flags;
  memcpy(scope->path, path, size);
  return scope;
}

static bool flags_are_known(unsigned flags) {
  if ((flags & ~FCM_KEEP_ON_ERROR) == 0) return true;
  errno = EINVAL;
  return false;
}

static int track(fcm_manager *manager, const char *path) {
  struct stat status;
  const bool directory = lstat(path, &status) == 0 && S_ISDIR(status.st_mode);
  return directory ? fcm_track_tree(manager, path) : fcm_track_file(manager, path);
}

fcm_scope *fcm_scoped_file(fcm_manager *manager, const char *path, unsigned flags) {
  if (!flags_are_known(flags)) return NULL;
  char *absolute = fc_removal_absolute(path);
  fcm_scope *scope = absolute ? new_scope(manager, absolute, flags) : NULL;
  free(absolute);
  if (!scope || track(manager, scope->path) == 0) return scope;
  fc_scope_forget(scope);
  return NULL;
}

/* What has just been made is tracked: without memory for the scope it is removed again. */
static fcm_scope *scope_of_new(fcm_manager *manager, const char *path, unsigned flags) {
  fcm_scope *scope = new_scope(manager, path, flags);
  if (scope) return scope;
  (void)fcm_cleanup_file(manager, path, NULL); /* else the manager has it */
  errno = ENOMEM;
  return NULL;
}

fcm_scope *fcm_scoped_new_file(fcm_manager *manager, const char *dir, const char *prefix, const char *suffix,
                               unsigned flags, int *fd) {
  char path[PATH_MAX];
  if (!flags_are_known(flags)) return NULL;
  const int opened = fcm_make_file(manager, dir, prefix, suffix, path, sizeof path);
  if (opened < 0) return NULL;
  fcm_scope *scope = scope_of_new(manager, path, flags);
  if (scope && fd)
    *fd = opened;
  else
    (void)close(opened); /* nothing was written */
  return scope;
}

fcm_scope *fcm_scoped_new_directory(fcm_manager *manager, const char *dir, const char *prefix, unsigned flags) {
  char path[PATH_MAX];
  if (!flags_are_known(flags) || fcm_make_directory(manager, dir, prefix, path, sizeof path) != 0) return NULL;
  return scope_of_new(manager, path, flags);
}

const char *fcm_scope_path(const fcm_scope *scope) { return scope ? scope->path : NULL; }

fcm_manager *fc_scope_manager(const fcm_scope *scope) { return scope->manager; }

void fc_scope_forget(fcm_scope *scope) { free(scope); }

/* The aim is that nobody tracks it; that somebody else untracked it before is fine. */
static int untrack(const fcm_scope *scope) {
  if (fcm_untrack_file(scope->manager, scope->path) == 0) return 0;
  return errno == ENOENT ? 0 : -1;
}

int fcm_scope_keep(fcm_scope *scope) {
  if (!scope) {
    errno = EINVAL;
    return -1;
  }
  if (!scope->released && untrack(scope) != 0) return -1;
  scope->released = true;
  return 0;
}

int fcm_scope_persist(fcm_scope *scope, const char *to) {
  if (!scope) {
    errno = EINVAL;
    return -1;
  }
  if (fcm_persist(scope->manager, scope->path, to) != 0) return -1;
  scope->released = true;
  return 0;
}

void fcm_scope_set_outcome(fcm_scope *scope, enum fcm_outcome outcome) {
  if (scope) scope->outcome = outcome;
}

static int end(const fcm_scope *scope, enum fcm_outcome outcome, struct fcm_result *result) {
  if (scope->released) return 0;
  if (outcome != FCM_SUCCEEDED && (scope->flags & FCM_KEEP_ON_ERROR)) return untrack(scope);
  if (!scope->manager->options.cleanup_after_processing) return 0; /* in place, and on record for its age */
  if (fc_removal_file(scope->manager, scope->path, result) == 0) return 0;
  return errno == ENOTEMPTY ? fc_removal_directory(scope->manager, scope->path, true, result) : -1;
}

int fc_scope_leave(fcm_scope *scope, enum fcm_outcome outcome, struct fcm_result *result) {
  const int status = end(scope, outcome, result);
  const int error = errno;
  fc_scope_forget(scope);
  errno = error;
  return status;
}

int fcm_scope_exit(fcm_scope *scope, enum fcm_outcome outcome) {
  struct fcm_result result = {0};
  return scope ? fc_scope_leave(scope, outcome, &result) : 0;
}

void fcm_scope_end(fcm_scope **scope) {
  if (!scope || !*scope) return;
  const int error = errno;
  (void)fcm_scope_exit(*scope, (*scope)->outcome); /* logged; a block's end has nobody to tell */
  *scope = NULL;
  errno = error;
}

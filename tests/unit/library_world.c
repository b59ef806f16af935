#include "library_world.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define OVERLAYFS_MAGIC 0x794c7630
#define FUSE_SUPER_MAGIC 0x65735546

static void make_below(const char *place, char *out, size_t size) {
  const int length = snprintf(out, size, "%s/fc-library-XXXXXX", place);
  cr_assert(length > 0 && (size_t)length < size, "%s is too long for a test", place);
  cr_assert_not_null(mkdtemp(out), "%s: %s", out, strerror(errno));
}

void library_place_make(char *root, size_t root_size, char *state, size_t state_size, const char *otherwise) {
  const char *place = getenv("TMPDIR");
  make_below(place && *place ? place : otherwise, root, root_size);
  struct statfs fs;
  const bool keeps_locks = statfs(root, &fs) == 0 && fs.f_type != OVERLAYFS_MAGIC && fs.f_type != FUSE_SUPER_MAGIC;
  char elsewhere[PATH_MAX] = "";
  if (!keeps_locks) make_below("/dev/shm", elsewhere, sizeof elsewhere);
  const int length = snprintf(state, state_size, "%s/state", keeps_locks ? root : elsewhere);
  cr_assert(length > 0 && (size_t)length < state_size, "%s is too long for a test", root);
}

void library_world_prepare(struct library_world *world) {
  memset(world, 0, sizeof *world);
  library_place_make(world->root, sizeof world->root, world->state, sizeof world->state, "/tmp");
  (void)snprintf(world->base, sizeof world->base, "%s/base", world->root);
  fcm_options_init(&world->options);
  world->options.base_dir = world->base;
  world->options.state_dir = world->state;
  world->options.enable_periodic_cleanup = false;
}

void library_world_create(struct library_world *world) {
  world->manager = fcm_create(&world->options);
  cr_assert_not_null(world->manager, "fcm_create: %s", strerror(errno));
}

void library_world_begin(struct library_world *world) {
  library_world_prepare(world);
  library_world_create(world);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *where) {
  (void)status, (void)type, (void)where;
  return remove(path);
}

/* Where the state directory stands or will stand: the root, or a directory elsewhere. */
static void place_of_state(const char *state, char out[PATH_MAX]) {
  (void)snprintf(out, PATH_MAX, "%s", state);
  char *slash = strrchr(out, '/');
  if (slash) *slash = '\0';
}

bool library_place_remove(const char *root, const char *state) {
  char elsewhere[PATH_MAX];
  place_of_state(state, elsewhere);
  const bool gone = strcmp(elsewhere, root) == 0 || nftw(elsewhere, remove_entry, 16, FTW_DEPTH | FTW_PHYS) == 0;
  return nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS) == 0 && gone;
}

bool library_place_give(const char *root, const char *state, uid_t uid) {
  char elsewhere[PATH_MAX];
  place_of_state(state, elsewhere);
  return chown(root, uid, (gid_t)uid) == 0 && chown(elsewhere, uid, (gid_t)uid) == 0;
}

void library_world_end(struct library_world *world) {
  if (world->manager) cr_expect_eq(fcm_destroy(world->manager), 0, "fcm_destroy: %s", strerror(errno));
  world->manager = NULL;
  cr_expect(library_place_remove(world->root, world->state), "not all of %s can be removed", world->root);
}

const char *library_path(const struct library_world *world, const char *relative) {
  static char paths[16][PATH_MAX];
  static unsigned next;
  char *path = paths[next++ % 16];
  (void)snprintf(path, PATH_MAX, "%s/%s", world->root, relative);
  return path;
}

bool library_exists(const char *path) { return access(path, F_OK) == 0; }

void library_write(const char *path, const char *text) {
  FILE *file = fopen(path, "w");
  cr_assert_not_null(file, "%s: %s", path, strerror(errno));
  cr_assert_geq(fputs(text, file), 0);
  cr_assert_eq(fclose(file), 0);
}

const char *library_tracked(const struct library_world *world, const char *relative) {
  const char *path = library_path(world, relative);
  library_write(path, "text");
  ASSERT_DOES(fcm_track_file(world->manager, path));
  return path;
}

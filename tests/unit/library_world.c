#include "library_world.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void library_world_prepare(struct library_world *world) {
  memset(world, 0, sizeof *world);
  (void)snprintf(world->root, sizeof world->root, "/tmp/fc-library-XXXXXX");
  cr_assert_not_null(mkdtemp(world->root));
  (void)snprintf(world->base, sizeof world->base, "%s/base", world->root);
  (void)snprintf(world->state, sizeof world->state, "%s/state", world->root);
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

void library_world_end(struct library_world *world) {
  if (world->manager) cr_expect_eq(fcm_destroy(world->manager), 0, "fcm_destroy: %s", strerror(errno));
  world->manager = NULL;
  cr_expect_eq(nftw(world->root, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
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

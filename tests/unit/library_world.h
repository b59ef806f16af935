/* A manager on a base of its own, used in this process: for tests of scopes and of the asynchronous forms. */
#ifndef LIBRARY_WORLD_H
#define LIBRARY_WORLD_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/types.h>

#include "filecleanup.h"

struct library_world {
  char root[64];
  char base[80];
  char state[80];
  struct fcm_options options; /* without a periodic cleanup */
  fcm_manager *manager;
};

/* A new directory for a test, below TMPDIR or, without one, below `otherwise`; and in it, or where locks are kept when
 * that is an overlay or FUSE, the name of a state directory. library_place_remove removes both, and says whether it
 * could. */
void library_place_make(char *root, size_t root_size, char *state, size_t state_size, const char *otherwise);
bool library_place_remove(const char *root, const char *state);
/* Gives both to another user. */
bool library_place_give(const char *root, const char *state, uid_t uid);

/* The options may be changed between the two. */
void library_world_prepare(struct library_world *world);
void library_world_create(struct library_world *world);

/* Both. */
void library_world_begin(struct library_world *world);

/* Destroys the manager, when there is one, and removes all. */
void library_world_end(struct library_world *world);

/* The absolute name of one below the root; good until 15 others have been asked for. On one thread. */
const char *library_path(const struct library_world *world, const char *relative);

bool library_exists(const char *path);
void library_write(const char *path, const char *text);
/* Writes a file and tracks it. */
const char *library_tracked(const struct library_world *world, const char *relative);

/* Fails the test unless the call returned -1 with that errno. */
#define EXPECT_FAILS(error, call)                                                                                      \
  do {                                                                                                                 \
    errno = 0;                                                                                                         \
    cr_expect_eq((call), -1, "%s did not fail", #call);                                                                \
    cr_expect_eq(errno, (error), "%s: %s instead of %s", #call, strerrorname_np(errno), strerrorname_np(error));       \
  } while (0)

#define ASSERT_DOES(call) cr_assert_eq((call), 0, "%s: %s", #call, strerror(errno))

#endif

/* A storm of operations from threads, children and signal handlers: every name that it leaves is known to filecleanup,
 * and nothing deadlocks.
 *
 * FC_STORM_OPERATIONS=1000000 is the full form; FC_STORM_SEED another order of events. */
#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../harness/harness.h"

#define OPERATIONS_DEFAULT "200000"
#define LIMIT_S 240 /* a deadlock ends here */

TestSuite(storm, .fini = fct_teardown, .timeout = 300);

static const char *setting(const char *name, const char *otherwise) {
  const char *value = getenv(name);
  return value && *value ? value : otherwise;
}

static void write_file(const char *directory, const char *name, const char *text) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  FILE *const file = fopen(path, "we");
  cr_assert(file && fputs(text, file) >= 0 && fclose(file) == 0, "%s", path);
}

static void storm_under(enum fct_mode mode) {
  struct fct_world *world = fct_world_new();
  /* On a memory file system when there is one at hand: it is the faster storm. */
  char base[sizeof world->root + 16];
  snprintf(base, sizeof base, "%s/storm", world->other[0] ? world->other : world->root);
  cr_assert_eq(mkdir(base, 0755), 0, "mkdir %s", base);
  write_file(base, "user-0", "the user's\n");
  write_file(base, "user-1", "");
  write_file(base, "user-2", "also\n");
  const struct fct_tree *before = fct_tree_of(base);
  const struct fct_result result =
      FCT_EXECUTE(world, .mode = mode, .limit_s = LIMIT_S, .base = base,
                  .argv = FCT_LIST(FC_BUILD_DIR "/probes/storm", base,
                                   setting("FC_STORM_OPERATIONS", OPERATIONS_DEFAULT), setting("FC_STORM_SEED", "1")));
  fprintf(stderr, "%s: %s", fct_mode_name(mode), result.out);
  cr_assert_eq(result.status, 0, "%s: the storm itself failed with %d: %s", fct_mode_name(mode), result.status,
               result.err);
  const char *difference = fct_tree_diff(before, fct_tree_of(base), NULL);
  if (mode == FCT_PLAIN) {
    cr_assert(difference, "the storm leaves nothing, so it proves nothing");
  } else {
    cr_assert_null(difference, "%s: after the storm:\n%.4000s", fct_mode_name(mode), difference);
  }
}

Test(storm, it_leaves_many_names_without_filecleanup) { storm_under(FCT_PLAIN); }

Test(storm, loses_no_record_and_never_deadlocks_under_ld_preload) { storm_under(FCT_BARE); }

Test(storm, loses_no_record_and_never_deadlocks_under_the_launcher) { storm_under(FCT_RUN); }

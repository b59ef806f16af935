/* What the session made unwritable or unreadable is the session's all the same; and what stays keeps its mode. */
#include <criterion/criterion.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../harness/harness.h"

TestSuite(permissions, .fini = fct_teardown, .timeout = 120);

#define NOBODY 65534

/* Root needs no permission, so these run as somebody else where they can. */
static struct fct_world *world_of_nobody(void) {
  struct fct_world *world = fct_world_new();
  if (geteuid() == 0) {
    fct_need_build_for(NOBODY);
    fct_world_give(world, NOBODY);
  }
  return world;
}

static uid_t somebody(void) { return geteuid() == 0 ? NOBODY : 0; }

#define MAKE                                                                                                           \
  "cd base; mkdir -p empty full/sub zero/z; echo x > full/f; echo y > full/sub/g; echo z > zero/z/z; "                 \
  "chmod a-w full/f; chmod -R a-w empty full; chmod 0 zero/z zero"

Test(permissions, directories_without_write_or_read_permission_are_removed) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = world_of_nobody();
    struct fct_result result = FCT_EXECUTE(world, .mode = *mode, .script = MAKE, .uid = somebody());
    cr_expect_eq(result.status, 0);
    cr_expect_str_eq(result.err, "");
    fct_assert_base_empty(world, fct_mode_name(*mode));
  }
}

Test(permissions, a_directory_that_stays_gets_its_mode_back) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = world_of_nobody();
    FCT_EXECUTE(world, .mode = *mode, .uid = somebody(), .env = FCT_LIST("FILECLEANUP_KEEP=d/kept"),
                .script = "mkdir base/d; echo k > base/d/kept; echo m > base/d/more; chmod 0511 base/d");
    struct stat st;
    cr_assert_eq(stat(fct_path(world, "base/d"), &st), 0);
    cr_expect_eq(st.st_mode & 07777, 0511, "%s: %o", fct_mode_name(*mode), st.st_mode & 07777u);
    cr_expect(fct_exists(world, "base/d/kept"));
    cr_expect(!fct_exists(world, "base/d/more"));
  }
}

Test(permissions, a_directory_of_the_users_keeps_its_mode_and_what_is_in_it) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = world_of_nobody();
    FCT_EXECUTE(world, .uid = somebody(), .script = "mkdir base/mine; echo m > base/mine/m");
    FCT_EXECUTE(world, .mode = *mode, .uid = somebody(),
                .script = "echo new > base/mine/new; mkdir base/d; echo d > base/d/d; chmod 0500 base/mine base/d");
    struct stat st;
    cr_assert_eq(stat(fct_path(world, "base/mine"), &st), 0);
    cr_expect_eq(st.st_mode & 07777, 0500);
    cr_expect_str_eq(fct_read(world, "base/mine/m"), "m\n");
    cr_expect(!fct_exists(world, "base/d"), "%s", fct_mode_name(*mode));
  }
}

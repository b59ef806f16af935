/* Gates on what was built rather than on what it does: the objects that hooks are made of. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "../harness/harness.h"

TestSuite(gates, .fini = fct_teardown, .timeout = 60);

Test(gates, hooks_import_no_allocator_lock_or_stdio_and_take_at_most_one_kib_of_stack) {
  fct_need("nm");
  struct fct_world *world = fct_world_new();
  const struct fct_result result =
      FCT_EXECUTE(world, .mode = FCT_PLAIN, .argv = FCT_LIST(FC_SOURCE_DIR "/scripts/check-hooks", FC_BUILD_DIR));
  fprintf(stderr, "%s", result.out);
  if (result.status == 77) cr_skip("%s", result.err);
  cr_assert_eq(result.status, 0, "scripts/check-hooks: %d\n%s%s", result.status, result.out, result.err);
}

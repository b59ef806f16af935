/* Test suites that nobody here wrote, in the short form: scripts/upstream runs them without and with the shim and
 * compares case by case. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "../harness/harness.h"

TestSuite(upstream, .fini = fct_teardown, .timeout = 280);

#define LIMIT_S 270
#define NOTHING_RUN 77

Test(upstream, the_short_form_finds_no_difference) {
  fct_need("bash");
  struct fct_world *world = fct_world_new();
  struct fct_result run = FCT_EXECUTE(
      world, .script = "exec \"$UPSTREAM\" --quick --build \"$BUILD\" --work \"$PWD/work\"", .limit_s = LIMIT_S,
      .env = FCT_LIST("UPSTREAM=" FC_SOURCE_DIR "/scripts/upstream", "BUILD=" FC_BUILD_DIR));
  printf("%s", run.out);
  if (run.status == NOTHING_RUN) cr_skip("%s", run.out);
  cr_assert_eq(run.status, 0, "status %d\n%s%s", run.status, run.out, run.err);
}

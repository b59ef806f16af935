/* File systems that no other test has its worlds on, in the short form: scripts/matrix mounts them and runs tests
 * there.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "../harness/harness.h"

TestSuite(matrix, .fini = fct_teardown, .timeout = 280);

#define LIMIT_S 270
#define NOTHING_RUN 77

Test(matrix, the_short_form_passes) {
  fct_need("bash");
  struct fct_world *world = fct_world_new();
  struct fct_result run = FCT_EXECUTE(
      world, .script = "exec \"$MATRIX\" --quick --build \"$BUILD\" --work \"$PWD/work\"", .limit_s = LIMIT_S,
      .env = FCT_LIST("MATRIX=" FC_SOURCE_DIR "/scripts/matrix", "BUILD=" FC_BUILD_DIR));
  printf("%s", run.out);
  if (run.status == NOTHING_RUN) cr_skip("%s", run.out);
  cr_assert_eq(run.status, 0, "status %d\n%s%s", run.status, run.out, run.err);
}

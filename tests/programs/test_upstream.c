/* Test suites that nobody here wrote, in the short form: scripts/upstream runs them without and with the shim and
 * compares case by case; and whatever becomes of it, it leaves nothing behind. */
#include <criterion/criterion.h>
#include <glob.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../harness/harness.h"

TestSuite(upstream, .fini = fct_teardown, .timeout = 280);

#define LIMIT_S 270
#define NOTHING_RUN 77
#define POLL_US 50000
#define POLLS 400 /* 20 s */
#define SCRIPT "UPSTREAM=" FC_SOURCE_DIR "/scripts/upstream", "BUILD=" FC_BUILD_DIR

Test(upstream, the_short_form_finds_no_difference) {
  fct_need("bash");
  struct fct_world *world = fct_world_new();
  struct fct_result run =
      FCT_EXECUTE(world, .script = "exec \"$UPSTREAM\" --quick --build \"$BUILD\" --work \"$PWD/work\"",
                  .limit_s = LIMIT_S, .env = FCT_LIST(SCRIPT));
  printf("%s", run.out);
  if (run.status == NOTHING_RUN) cr_skip("%s", run.out);
  cr_assert_eq(run.status, 0, "status %d\n%s%s", run.status, run.out, run.err);
}

/* Whether a file of this world backs a loop device. It does as long as a process lives that sees the mount. */
static bool mounted(const struct fct_world *world) {
  bool found = false;
  glob_t devices;
  if (glob("/sys/block/loop*/loop/backing_file", 0, NULL, &devices) != 0) return false;
  for (size_t i = 0; i < devices.gl_pathc && !found; i++) {
    char file[4096] = "";
    FILE *stream = fopen(devices.gl_pathv[i], "re");
    if (!stream) continue; /* gone meanwhile */
    found = fgets(file, sizeof(file), stream) && strstr(file, world->root);
    fclose(stream);
  }
  globfree(&devices);
  return found;
}

Test(upstream, a_killed_run_leaves_no_process_and_no_mount) {
  fct_need_root();
  fct_need("bash");
  fct_need("stress-ng");
  struct fct_world *world = fct_world_new();
  struct fct_job *job = FCT_START(
      world,
      .script = "TMPDIR=$PWD exec \"$UPSTREAM\" --quick --suite stress-ng --build \"$BUILD\" --work \"$PWD/work\"",
      .env = FCT_LIST(SCRIPT));
  bool was_mounted = false;
  for (int i = 0; i < POLLS && !was_mounted; i++, usleep(POLL_US)) {
    was_mounted = mounted(world);
    if (fct_exists(world, "work/results/stress-ng.bare")) break;
  }
  kill(fct_job_pid(job), SIGKILL); /* the script alone: all others must die with it */
  struct fct_result run = fct_finish(job);
  if (!was_mounted && strstr(run.out, "not contained")) cr_skip("%s", run.out);
  cr_assert(was_mounted, "%s%s", run.out, run.err);
  for (int i = 0; i < POLLS && mounted(world); i++) usleep(POLL_US);
  cr_assert(!mounted(world), "a file system of it is still mounted");
  cr_assert(!fct_exists(world, "work/results/stress-ng.run"), "it has gone on to its end");
}

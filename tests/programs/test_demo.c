/* The guided show of scripts/demo: it shows what it says, fails when it would not, and leaves nothing, however it ends.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../harness/harness.h"

#define DEMO FC_SOURCE_DIR "/scripts/demo"
#define NOBODY 65534

TestSuite(demo, .fini = fct_teardown, .timeout = 240);

/* Phrases that stand in the output of real programs, not in what the show says about them. */
static void assert_shown(struct fct_result got) {
  static const char *const phrases[] = {"buy bread",          "results",        "status 3",
                                        "made 30, there are", "main has ended", "That was it."};
  cr_assert_eq(got.status, 0, "status %d\n%s\n%s", got.status, got.out, got.err);
  for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++)
    cr_assert(strstr(got.out, phrases[i]), "no '%s' in\n%s\n%s", phrases[i], got.out, got.err);
}

static void assert_leaves_nothing(const struct fct_world *world, const struct fct_tree *before) {
  const char *difference = fct_tree_diff(before, fct_tree_of(world->root), NULL);
  cr_assert_null(difference, "left behind:\n%s", difference);
}

/* The world's directory is the TMPDIR of each. */
#define IN(world) FCT_LIST(fct_format("TMPDIR=%s", (world)->dir), "FILECLEANUP_BUILD_DIR=" FC_BUILD_DIR, "TERM=xterm")

Test(demo, the_show_is_true_and_leaves_nothing) {
  struct fct_world *world = fct_world_new();
  const struct fct_tree *before = fct_tree_of(world->root);
  assert_shown(FCT_EXECUTE(world, .argv = FCT_LIST(DEMO), .env = IN(world), .limit_s = 120));
  assert_leaves_nothing(world, before);
}

Test(demo, an_ordinary_user_sees_the_same_show) {
  fct_need_root();
  fct_need_build_for(NOBODY);
  struct fct_world *world = fct_world_new();
  fct_world_give(world, NOBODY);
  const struct fct_tree *before = fct_tree_of(world->root);
  assert_shown(FCT_EXECUTE(world, .argv = FCT_LIST(DEMO, "--fast"), .env = IN(world), .uid = NOBODY, .limit_s = 120));
  assert_leaves_nothing(world, before);
}

Test(demo, on_a_terminal_it_is_the_same_show) {
  fct_need("script");
  struct fct_world *world = fct_world_new();
  const struct fct_tree *before = fct_tree_of(world->root);
  assert_shown(FCT_EXECUTE(world, .argv = FCT_LIST("script", "-qec", DEMO " --fast", "/dev/null"), .env = IN(world),
                           .limit_s = 120));
  assert_leaves_nothing(world, before);
}

/* At different scenes, the last of them with a child in the background; ^C reaches the whole process group. */
Test(demo, an_interrupt_leaves_nothing) {
  for (int scene = 1; scene <= 7; scene += 3) {
    struct fct_world *world = fct_world_new();
    const struct fct_tree *before = fct_tree_of(world->root);
    struct fct_job *job = FCT_START(world, .script = "exec " DEMO " --fast > ../out", .env = IN(world), .limit_s = 120);
    const char *title = fct_format("\n%d. ", scene);
    const char *seen = NULL;
    for (int tries = 0; tries < 3000 && !(seen && strstr(seen, title)); tries++) {
      (void)usleep(10000);
      seen = fct_read(world, "../out");
    }
    cr_assert(seen && strstr(seen, title));
    cr_assert_eq(kill(-fct_job_pid(job), SIGINT), 0);
    struct fct_result got = fct_finish(job);
    cr_assert_eq(got.status, 130, "scene %d: status %d %s", scene, got.status, got.err);
    cr_assert(fct_wait_no_guardian(world));
    cr_assert_eq(unlink(fct_path(world, "../out")), 0);
    assert_leaves_nothing(world, before);
  }
}

/* What would be shown by a filecleanup that cleans up nothing. */
Test(demo, a_show_that_would_lie_fails) {
  struct fct_world *world = fct_world_new();
  cr_assert_eq(mkdir(fct_path(world, "idle"), 0755), 0);
  fct_write(world, "idle/filecleanup",
            "#!/bin/sh\n[ \"$2\" != --version ] || exit 0\n"
            "while [ \"$1\" != -- ]; do shift; done; shift; exec \"$@\"\n");
  cr_assert_eq(chmod(fct_path(world, "idle/filecleanup"), 0755), 0);
  const struct fct_tree *before = fct_tree_of(world->root);
  struct fct_result got = FCT_EXECUTE(world, .argv = FCT_LIST(DEMO, "--fast"),
                                      .env = FCT_LIST(fct_format("TMPDIR=%s", world->dir),
                                                      fct_format("FILECLEANUP_BUILD_DIR=%s", fct_path(world, "idle"))),
                                      .limit_s = 120);
  cr_assert_eq(got.status, 1);
  cr_assert(strstr(got.err, "this is not what should be seen"), "%s", got.err);
  cr_assert_null(strstr(got.out, "That was it."));
  assert_leaves_nothing(world, before);
}

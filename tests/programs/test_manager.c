/* Programs that use the library, seen from outside: what a crash leaves is removed by whoever comes next, the command
 * shows and is heard, and the shim and the library get on with each other.
 *
 * FC_MANAGER_NAMES says how many names the crash before the next manager leaves (default 10,000); the others leave
 * SOME_NAMES. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "../harness/harness.h"

static void init(void) { fct_need("jq"); }
TestSuite(manager, .init = init, .fini = fct_teardown, .timeout = 240);

#define PROBE FC_BUILD_DIR "/probes/manager_host"
#define KILLED (128 + SIGKILL)
#define KINDS 6
#define NAMES_DEFAULT 10000
#define SOME_NAMES 1200
#define STARTS 10 /* each within the budget of one; the machine may be slow */
#define LIMIT_S 120

static struct fct_result probe(const struct fct_world *world, const char *what, const char *more) {
  const char *argv[] = {PROBE, what, world->base, more, NULL};
  return FCT_EXECUTE(world, .limit_s = LIMIT_S, .argv = argv);
}

static struct fct_result run(const struct fct_world *world, const char *script) {
  return FCT_EXECUTE(world, .script = script, .limit_s = LIMIT_S);
}

static void expect_answer(const struct fct_world *world, const char *script, const char *answer) {
  const struct fct_result result = run(world, script);
  cr_expect_str_eq(result.out, answer, "%s: %s%s", script, result.out, result.err);
}

static struct fct_world *crashed(int names, const char **rest) {
  struct fct_world *world = fct_world_new();
  const struct fct_result result = probe(world, "crash", fct_format("%d", names));
  cr_assert_eq(result.status, KILLED, "%d %s", result.status, result.err);
  *rest = fct_format("%d user\n%d back\n", names / KINDS, names / KINDS);
  return world;
}

/* Exactly the user's files and those that were taken back are left, and no session. */
static void expect_exactly_those_gone(const struct fct_world *world, const char *rest) {
  expect_answer(world, "cd \"$BASE\" && ls -A | sed 's/[0-9]*$//' | sort | uniq -c | sort -k2r | sed 's/^ *//'", rest);
  expect_answer(world, "find $FILECLEANUP_STATE_DIR -name 'session-*'", "");
}

Test(manager, the_next_manager_removes_exactly_what_a_killed_one_tracked) {
  const char *asked = getenv("FC_MANAGER_NAMES");
  const char *rest;
  struct fct_world *world = crashed(asked ? atoi(asked) : NAMES_DEFAULT, &rest);
  const struct fct_result next = probe(world, "start", NULL);
  cr_expect_eq(next.status, 0, "%d %s", next.status, next.err);
  cr_expect_str_eq(next.err, "", "%s", next.err);
  expect_exactly_those_gone(world, rest);
}

Test(manager, sweep_removes_exactly_what_a_killed_one_tracked) {
  const char *rest;
  struct fct_world *world = crashed(SOME_NAMES, &rest);
  const struct fct_result next = run(world, "$FC_COMMAND sweep --base \"$BASE\"");
  cr_expect_eq(next.status, 0, "%d %s", next.status, next.err);
  expect_exactly_those_gone(world, rest);
}

Test(manager, the_next_program_under_filecleanup_run_removes_exactly_what_a_killed_one_tracked) {
  const char *rest;
  struct fct_world *world = crashed(SOME_NAMES, &rest);
  for (int i = 0; i < STARTS && run(world, "find $FILECLEANUP_STATE_DIR -name 'session-*' | grep .").status == 0; i++) {
    (void)fct_next_start(world, FCT_RUN);
    cr_expect(fct_wait_no_guardian(world));
  }
  expect_exactly_those_gone(world, rest);
}

static struct fct_job *hold(const struct fct_world *world, const char *what) {
  const char *argv[] = {PROBE, what, world->base, NULL};
  struct fct_job *job = FCT_START(world, .limit_s = LIMIT_S, .argv = argv);
  cr_assert(fct_wait_exists(world, "ready"), "it did not start");
  return job;
}

static void let_end(const struct fct_world *world, struct fct_job *job) {
  fct_write(world, "end", "");
  const struct fct_result result = fct_finish(job);
  cr_expect_eq(result.status, 0, "%d %s", result.status, result.err);
}

Test(manager, the_command_shows_what_it_tracks_and_sweeps_nothing_of_it) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = hold(world, "hold");
  expect_answer(world,
                "$FC_COMMAND list --base \"$BASE\" --json | jq -r '.. | .path? // empty' | sed 's|.*/base/||' | sort",
                "d\nf\ng\nold\n");
  expect_answer(world, "$FC_COMMAND status --base \"$BASE\" --json | jq -r '.sessions[] | .state'", "live\n");
  const struct fct_result swept = run(world, "$FC_COMMAND sweep --base \"$BASE\"");
  cr_expect_eq(swept.status, 0, "%s", swept.err);
  expect_answer(world, "ls \"$BASE\"", "d\nf\ng\nold\n");
  let_end(world, job);
  expect_answer(world, "ls -A \"$BASE\"", "");
}

Test(manager, keep_and_untrack_from_outside_are_heard) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = hold(world, "hold");
  const struct fct_result told =
      run(world, "$FC_COMMAND keep \"$BASE/f\" \"$BASE/d/inside\" && $FC_COMMAND untrack \"$BASE/g\"");
  cr_expect_eq(told.status, 0, "%s", told.err);
  let_end(world, job);
  expect_answer(world, "cd \"$BASE\" && find . -type f | sort", "./d/inside\n./f\n./g\n");
}

Test(manager, keep_and_untrack_from_outside_hold_after_a_kill) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = hold(world, "hold");
  const struct fct_result told = run(world, "$FC_COMMAND keep \"$BASE/f\" && $FC_COMMAND untrack \"$BASE/g\"");
  cr_expect_eq(told.status, 0, "%s", told.err);
  (void)fct_kill_job(job);
  cr_expect_eq(probe(world, "start", NULL).status, 0);
  /* What stood in the tree before it was tracked is in doubt when nobody is there to ask. */
  expect_answer(world, "cd \"$BASE\" && find . -type f | sort", "./d/inside\n./f\n./g\n");
}

Test(manager, exec_leaves_it_behind_like_a_crash) {
  struct fct_world *world = fct_world_new();
  const struct fct_result result = probe(world, "exec", NULL);
  cr_expect_eq(result.status, 0, "%s", result.err);
  expect_answer(world, "ls \"$BASE\"", "f\n");
  cr_expect_eq(probe(world, "start", NULL).status, 0);
  expect_answer(world, "ls -A \"$BASE\"", "");
}

Test(manager, a_daemon_takes_it_over) {
  struct fct_world *world = fct_world_new();
  const struct fct_result result = probe(world, "daemon", NULL);
  cr_expect_eq(result.status, 0, "%s", result.err);
  cr_assert(fct_wait_exists(world, "adopted"));
  cr_expect_eq(probe(world, "start", NULL).status, 0, "a manager that starts meanwhile");
  expect_answer(world, "ls \"$BASE\"", "f\ng\n");
  fct_write(world, "end", "");
  cr_assert(fct_wait_exists(world, "destroyed"));
  expect_answer(world, "ls -A \"$BASE\"", "");
}

/* What the user had before is whole, and nothing else is left, whoever had made it: the shim or the library. */
Test(manager, a_program_under_the_shim_may_use_the_library_on_the_same_base_and_on_another) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    cr_assert_eq(
        run(world, "mkdir -p base/sub other && tee base/users base/sub/users > other/users < /dev/null").status, 0);
    const char *argv[] = {PROBE, "both", world->base, fct_path(world, "other"), NULL};
    const struct fct_result result = FCT_EXECUTE(world, .mode = *mode, .limit_s = LIMIT_S, .argv = argv);
    cr_expect_eq(result.status, 0, "%s: %d %s", fct_mode_name(*mode), result.status, result.err);
    cr_expect(fct_wait_no_guardian(world));
    expect_answer(world, "cd \"$BASE\" && find . -type f | sort", "./sub/users\n./users\n");
    /* Outside the shim's base only the library removes: what it was not told of stays. */
    expect_answer(world, "cd other && ls | sed 's/[0-9]*$//' | sort -u", "plain\ntracked\nusers\n");
    expect_answer(world, "find $FILECLEANUP_STATE_DIR -name 'session-*'", "");
  }
}

Test(manager, a_copy_of_what_the_library_removes_is_not_deleted_by_the_shim) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    cr_assert_eq(run(world, "mkdir base/tree; echo data | tee base/user > base/tree/user").status, 0);
    const char *argv[] = {PROBE, "data", world->base, NULL};
    const struct fct_result result = FCT_EXECUTE(world, .mode = *mode, .limit_s = LIMIT_S, .argv = argv);
    cr_expect_eq(result.status, 0, "%s: %d %s", fct_mode_name(*mode), result.status, result.err);
    cr_expect(fct_wait_no_guardian(world));
    expect_answer(world, "cd \"$BASE\" && ls", "tree.tar\nuser\nuser.gz\n");
  }
}

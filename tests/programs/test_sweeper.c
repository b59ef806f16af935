/* While a program runs, what it has left lying about goes when it is old, and nothing else does. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../harness/harness.h"
#include "../harness/harness_live.h"

TestSuite(sweeper, .fini = fct_teardown, .timeout = 120);

/* Everything is old at once, and nobody but the test sweeps. */
#define OLD_AT_ONCE FCT_LIST("PERIODIC=0", "TTL=1us")
#define OLD_AFTER_AN_HOUR FCT_LIST("PERIODIC=0", "TTL=1h")
#define OLD_BY_MTIME FCT_LIST("PERIODIC=0", "TTL=1h", "AGE_BY=mtime")

static void pause_ms(long ms) {
  struct timespec span = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
  nanosleep(&span, NULL);
}

/* ---- by itself ---- */

Test(sweeper, what_is_older_than_the_ttl_goes_while_the_program_runs) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    fct_write(world, "base/mine", "the user's\n");
    struct fct_job *job = fct_hold(world, *mode, FCT_LIST("TTL=1s", "INTERVAL=1s", "KEEP=*.keep"),
                                   "echo a > base/a; echo b > base/b.keep; mkdir base/d; echo c > base/d/c");
    cr_expect(fct_wait_gone(world, "base/a"), "%s: a stays", fct_mode_name(*mode));
    cr_expect(fct_wait_gone(world, "base/d"), "%s: d stays", fct_mode_name(*mode));
    cr_expect(fct_exists(world, "base/b.keep"), "%s: what is to be kept is gone", fct_mode_name(*mode));
    cr_expect(fct_exists(world, "base/mine"), "%s: the user's file is gone", fct_mode_name(*mode));
    fct_release(world, job);
    cr_expect_eq(fct_count(world, "base"), 2);
  }
}

Test(sweeper, nothing_goes_without_a_sweeper_before_the_end) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_job *job = fct_hold(world, *mode, FCT_LIST("TTL=1s", "INTERVAL=1s", "PERIODIC=0"), "echo a > base/a");
    pause_ms(2500);
    cr_expect(fct_exists(world, "base/a"), "%s: swept although it was not to be", fct_mode_name(*mode));
    fct_release(world, job);
    fct_assert_base_empty(world, fct_mode_name(*mode));
  }
}

/* ---- age ---- */

/* Both directions of a program whose files are not from today. */
static void expect_after_a_pass(const char *const *policy, const char *script, bool swept) {
  struct fct_world *world = fct_world_new();
  fct_write(world, "1970", "from 1970\n");
  const struct timespec epoch[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
  cr_assert(utimensat(AT_FDCWD, fct_path(world, "1970"), epoch, 0) == 0);
  struct fct_job *job = fct_hold(world, FCT_BARE, policy, script);
  cr_assert(fct_exists(world, "base/f"), "the script has not made base/f");
  struct fct_live *live = fct_live_open(world);
  for (int i = 0; i < 10 && fct_exists(world, "base/f"); i++) {
    fct_pass(live);
    if (swept) break;
  }
  cr_expect_eq(fct_exists(world, "base/f"), !swept, "%s: %s", script, swept ? "stays" : "is gone");
  fct_release(world, job);
  fct_assert_base_empty(world, script);
}

#define UNPACK "cp -p 1970 f; tar cf f.tar f; tar xf f.tar -C base"

Test(sweeper, what_tar_unpacks_from_1970_is_not_old) {
  fct_need("tar");
  expect_after_a_pass(OLD_AFTER_AN_HOUR, UNPACK, false);
}
Test(sweeper, what_cp_p_copies_from_1970_is_not_old) {
  expect_after_a_pass(OLD_AFTER_AN_HOUR, "cp -p 1970 base/f", false);
}
Test(sweeper, touched_back_is_not_old) {
  expect_after_a_pass(OLD_AFTER_AN_HOUR, "echo f > base/f; touch -d '2 days ago' base/f", false);
}
Test(sweeper, touched_back_is_old_by_mtime) {
  expect_after_a_pass(OLD_BY_MTIME, "echo f > base/f; touch -d '2 days ago' base/f", true);
}
Test(sweeper, written_just_now_is_not_old_by_mtime) { expect_after_a_pass(OLD_BY_MTIME, "echo f > base/f", false); }
Test(sweeper, touched_into_the_future_is_not_old_by_mtime) {
  expect_after_a_pass(OLD_BY_MTIME, "echo f > base/f; touch -d '2 days' base/f", false);
}
Test(sweeper, touched_into_a_century_that_nanoseconds_do_not_reach_is_not_old) {
  expect_after_a_pass(OLD_BY_MTIME, "echo f > base/f; touch -d 2400-01-01 base/f", false);
}
Test(sweeper, touched_into_the_future_is_not_old_even_with_the_smallest_ttl) {
  expect_after_a_pass(OLD_AT_ONCE, "echo f > base/f; touch -d '2 days' base/f", false);
}

Test(sweeper, what_was_written_meanwhile_is_due_a_ttl_after_the_writing) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = fct_hold(world, FCT_BARE, FCT_LIST("PERIODIC=0", "TTL=2s"), "echo f > base/f");
  struct fct_live *live = fct_live_open(world);
  pause_ms(2100);
  fct_write(world, "base/f", "again\n");
  const int64_t written_ns = fc_journal_now();
  const struct fc_sweep_result result = fct_pass(live);
  cr_expect_eq(result.reaped.files, 0, "swept when it was just written");
  cr_expect_leq(result.next_due_ns, written_ns + INT64_C(2000000000),
                "nobody looks at it again before a whole TTL after the pass");
  cr_expect_gt(result.next_due_ns, written_ns - INT64_C(1000000000));
  fct_release(world, job);
}

/* ---- what a pass leaves alone ---- */

Test(sweeper, only_regular_files_and_empty_directories_go_while_the_program_runs) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = fct_hold(world, FCT_BARE, OLD_AT_ONCE,
                                 "echo f > base/f; ln -s f base/link; mkfifo base/fifo; mkdir base/d base/e; echo x > "
                                 "base/e/x; ln -s x base/e/link");
  struct fct_live *live = fct_live_open(world);
  pause_ms(5);
  const struct fc_sweep_result result = fct_pass(live);
  cr_expect_eq(result.reaped.files, 2);
  cr_expect_eq(result.reaped.dirs, 1);
  cr_expect(!fct_exists(world, "base/f") && !fct_exists(world, "base/d") && !fct_exists(world, "base/e/x"));
  cr_expect(fct_exists(world, "base/link") && fct_exists(world, "base/fifo") && fct_exists(world, "base/e/link"));
  fct_release(world, job);
  fct_assert_base_empty(world, "at the end");
}

/* Its own times are those of the removal then. */
Test(sweeper, a_directory_that_the_pass_has_emptied_lives_for_another_ttl) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = fct_hold(world, FCT_BARE, FCT_LIST("PERIODIC=0", "TTL=2s"), "mkdir base/d; echo f > base/d/f");
  struct fct_live *live = fct_live_open(world);
  pause_ms(1000);
  fct_write(world, "base/d/guest", "makes the directory younger than the file\n");
  cr_assert(unlink(fct_path(world, "base/d/guest")) == 0);
  pause_ms(1200);
  cr_expect_eq(fct_pass(live).reaped.files, 1);
  cr_expect(fct_exists(world, "base/d"), "the directory is gone with its file");
  cr_expect_eq(fct_pass(live).reaped.dirs, 0, "the next pass takes the directory");
  pause_ms(2300);
  cr_expect_eq(fct_pass(live).reaped.dirs, 1, "the directory does not become old");
  fct_release(world, job);
}

Test(sweeper, a_directory_with_something_of_the_users_in_it_stays) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = fct_hold(world, FCT_BARE, OLD_AT_ONCE, "mkdir base/d");
  fct_write(world, "base/d/mine", "the user's\n");
  struct fct_live *live = fct_live_open(world);
  pause_ms(5);
  cr_expect_eq(fct_pass(live).reaped.dirs, 0);
  cr_expect(fct_exists(world, "base/d/mine"));
  fct_release(world, job);
  cr_expect(fct_exists(world, "base/d/mine"));
}

/* N1, N2: the rules of the end hold in the middle. */
Test(sweeper, the_users_data_is_whole_after_a_pass_in_the_middle) {
  fct_need("gzip");
  struct fct_world *world = fct_world_new();
  fct_write(world, "base/log", "lines\n");
  fct_write(world, "base/conf", "old\n");
  fct_write(world, "base/data", "data\n");
  struct fct_job *job = fct_hold(world, FCT_BARE, OLD_AT_ONCE,
                                 "gzip base/log; rm base/conf; echo new > base/conf; cp base/data base/data.1; : > "
                                 "base/data; mv base/data base/data.old");
  const struct fct_tree *before = fct_tree_of(world->base);
  struct fct_live *live = fct_live_open(world);
  pause_ms(5);
  for (int i = 0; i < 3; i++) fct_pass(live);
  const char *difference = fct_tree_diff(before, fct_tree_of(world->base), NULL);
  cr_expect_null(difference, "a pass took: %s", difference);
  fct_release(world, job);
  difference = fct_tree_diff(before, fct_tree_of(world->base), NULL);
  cr_expect_null(difference, "the end took: %s", difference);
}

Test(sweeper, an_outsiders_file_at_a_tracked_name_is_spared) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = fct_hold(world, FCT_BARE, OLD_AT_ONCE, "echo f > base/f");
  fct_write(world, "theirs", "an outsider's\n");
  cr_assert(rename(fct_path(world, "theirs"), fct_path(world, "base/f")) == 0);
  struct fct_live *live = fct_live_open(world);
  pause_ms(5);
  const struct fc_sweep_result result = fct_pass(live);
  cr_expect_eq(result.reaped.files, 0);
  cr_expect_eq(result.reaped.replaced, 1);
  fct_release(world, job);
  cr_expect_str_eq(fct_read(world, "base/f"), "an outsider's\n");
}

Test(sweeper, a_name_that_a_live_neighbour_uses_is_spared) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = fct_hold(world, FCT_BARE, OLD_AT_ONCE, "echo f > base/f; echo g > base/g");
  struct fct_live *live = fct_live_open(world);
  struct fct_job *other = FCT_START(world, .mode = FCT_BARE, .script = "echo o >> base/f; : > other; $PROBES/await end",
                                    .env = FCT_LIST("FILECLEANUP_PERIODIC=0"));
  cr_assert(fct_wait_exists(world, "other"));
  cr_expect_eq(fct_pass(live).reaped.files, 1);
  cr_expect(fct_exists(world, "base/f"), "what a neighbour uses is gone");
  cr_expect(!fct_exists(world, "base/g"));
  fct_write(world, "end", "");
  cr_expect_eq(fct_finish(other).status, 0);
  cr_expect_eq(fct_pass(live).reaped.files, 1, "what nobody uses any more stays");
  fct_release(world, job);
  fct_assert_base_empty(world, "at the end");
}

/* ---- on-exit policies have no say in the middle, but for report ---- */

Test(sweeper, report_lets_nobody_sweep) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_job *job =
        fct_hold(world, *mode, FCT_LIST("TTL=1s", "INTERVAL=1s", "ON_EXIT=report"), "echo a > base/a");
    pause_ms(2500);
    cr_expect(fct_exists(world, "base/a"), "%s: swept although only a report was wanted", fct_mode_name(*mode));
    fct_release(world, job);
  }
}

/* ---- who sweeps when the leader has gone ---- */

Test(sweeper, a_daemon_that_leaks_is_swept_when_its_parent_has_gone) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    const struct fct_result result =
        FCT_EXECUTE(world, .mode = *mode, .env = FCT_LIST("FILECLEANUP_TTL=1s", "FILECLEANUP_INTERVAL=1s"),
                    .argv = FCT_LIST(FC_BUILD_DIR "/probes/leaker", "daemon", world->base, fct_path(world, "stop")));
    cr_assert_eq(result.status, 0, "%s", result.err);
    cr_assert(fct_wait_exists(world, "base/leak-1"), "%s: the daemon leaks nothing", fct_mode_name(*mode));
    cr_expect(fct_wait_gone(world, "base/leak-0"), "%s: the daemon is not swept", fct_mode_name(*mode));
    cr_expect(fct_wait_exists(world, "base/leak-40") && fct_wait_gone(world, "base/leak-30"),
              "%s: the daemon is swept once only", fct_mode_name(*mode));
    fct_write(world, "stop", "");
    cr_expect(fct_wait_no_members(world) && fct_wait_no_guardian(world));
    fct_assert_base_empty(world, fct_mode_name(*mode));
  }
}

Test(sweeper, workers_that_leak_are_swept_when_their_server_was_killed) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_job *job =
        FCT_START(world, .mode = *mode, .env = FCT_LIST("FILECLEANUP_TTL=1s", "FILECLEANUP_INTERVAL=1s"),
                  .argv = FCT_LIST(FC_BUILD_DIR "/probes/leaker", "prefork", world->base, fct_path(world, "stop")));
    cr_assert(fct_wait_exists(world, "base/leak-1"), "%s: the workers leak nothing", fct_mode_name(*mode));
    kill(fct_job_pid(job), SIGKILL);
    fct_finish(job);
    cr_expect(fct_wait_gone(world, "base/leak-1"), "%s: the workers are not swept", fct_mode_name(*mode));
    cr_expect(fct_wait_exists(world, "base/leak-80") && fct_wait_gone(world, "base/leak-60"),
              "%s: the workers are swept once only", fct_mode_name(*mode));
    fct_write(world, "stop", "");
    cr_expect(fct_wait_no_members(world) && fct_wait_no_guardian(world));
    fct_assert_base_empty(world, fct_mode_name(*mode));
  }
}

Test(sweeper, an_old_empty_directory_in_which_somebody_stands_stays_until_he_leaves) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_result result =
        FCT_EXECUTE(world, .mode = *mode, .env = FCT_LIST("FILECLEANUP_TTL=500ms", "FILECLEANUP_INTERVAL=100ms"),
                    .shell = "/bin/bash",
                    .script = "mkdir base/stood base/empty; echo > base/start; cd base/stood\n"
                              "until test ! -e ../empty; do sleep 0.05; echo > ../tick; done; echo f > f && cat f");
    cr_expect_str_eq(result.out, "f\n", "%s: %s", fct_mode_name(*mode), result.err);
    fct_assert_base_empty(world, fct_mode_name(*mode));
  }
}

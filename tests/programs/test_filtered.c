/* A host that installs a seccomp filter, under which our own system calls would be its end: the same results as
 * without filecleanup, nothing of the user's is lost, and what was made before the filter is cleaned up. rawcall's
 * filter kills for every call that the plain run does not make (tests/probes/rawcall.c). */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "../harness/harness.h"

TestSuite(filtered, .fini = fct_teardown, .timeout = 120);

#define RAW "$PROBES/rawcall "
#define CREAT "=0101" /* O_CREAT | O_WRONLY */
#define EXCL "=0301"
#define TRUNC "=01001"
#define CREAT_TRUNC "=01101"
#define KILL "+filter kill , "
#define USERS .setup = "echo user > base/f; mkdir base/d; echo user > base/d/g"

/* ---- N1, N2: what nobody could look at was the user's ---- */

Test(filtered, a_file_that_is_removed_and_written_again_stays) {
  FCT_USER_DATA_WHOLE(USERS,
                      .script = RAW KILL "unlinkat =cwd base/f =0 , openat =cwd base/f " CREAT " =0644 , +write new",
                      .survive = FCT_LIST("base/f"));
#ifdef SYS_open
  FCT_USER_DATA_WHOLE(USERS, .script = RAW KILL "unlink base/f , creat base/f =0644 , +write new",
                      .survive = FCT_LIST("base/f"));
#endif
}

Test(filtered, a_file_that_is_written_again_by_another_process_stays) {
  FCT_USER_DATA_WHOLE(USERS, .script = RAW KILL "unlinkat =cwd base/f =0; echo new > base/f",
                      .survive = FCT_LIST("base/f"));
}

Test(filtered, a_file_that_is_renamed_away_and_written_again_stays) {
  FCT_USER_DATA_WHOLE(
      USERS, .script = RAW KILL "renameat =cwd base/f =cwd base/bak , openat =cwd base/f " CREAT " =0644 , +write new",
      .survive = FCT_LIST("base/f", "base/bak"));
}

Test(filtered, a_new_file_that_is_renamed_onto_the_users_stays) {
  FCT_USER_DATA_WHOLE(USERS,
                      .script = RAW "openat =cwd base/new " CREAT " =0644 , +write new , +close , " KILL
                                    "renameat =cwd base/new =cwd base/f",
                      .survive = FCT_LIST("base/f"));
}

Test(filtered, a_directory_that_changes_places_with_the_users_stays) {
  FCT_USER_DATA_WHOLE(USERS, .script = "mkdir base/e; " RAW KILL "renameat2 =cwd base/e =cwd base/d =2",
                      .survive = FCT_LIST("base/e", "base/e/g", "base/d"));
}

#define COPY "openat =cwd base/copy " CREAT " =0644 , +write user , +close , "

Test(filtered, a_copy_of_what_is_then_removed_or_emptied_stays) {
  static const char *const ends[] = {"unlinkat =cwd base/f =0", "openat =cwd base/f " TRUNC,
                                     "openat =cwd base/f " CREAT_TRUNC " =0644", "truncate base/f =0",
                                     "openat =cwd base/f " CREAT " =0644 , +write over"};
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
    FCT_USER_DATA_WHOLE(USERS, .script = fct_format(RAW COPY KILL "%s", ends[i]), .survive = FCT_LIST("base/copy"));
}

Test(filtered, what_a_forked_child_removes_stays_too) {
  FCT_USER_DATA_WHOLE(
      USERS, .script = RAW KILL "clone =17 , unlinkat =cwd base/f =0 , openat =cwd base/f " CREAT " =0644 , +write new",
      .survive = FCT_LIST("base/f"));
}

/* What cannot be made out leaves the whole session unproven: nothing is deleted. */
static void cannot_be_made_out(const char *script) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    FCT_EXECUTE(world, .script = "echo user > base/f; ln -s base link");
    const struct fct_result result =
        FCT_EXECUTE(world, .mode = *mode, .script = fct_format("cp base/f base/made; " RAW "%s; rm -f base/g", script));
    cr_expect_eq(result.status, 0, "%s: %d %s", script, result.status, result.err);
    (void)fct_wait_no_guardian(world);
    fct_next_start(world, *mode);
    cr_expect(fct_read(world, "base/f") && !strcmp(fct_read(world, "base/f"), "new"), "%s: LOST f", script);
    cr_expect(fct_exists(world, "base/made"), "%s: LOST made", script);
  }
}

Test(filtered, a_name_that_cannot_be_made_out_leaves_everything) {
  static const char *const scripts[] = {
      "chdir base , unlinkat =cwd f =0 , openat =cwd f " EXCL " =0644 , +write new",
      "openat =cwd base =0200000 , unlinkat @ f =0 , openat =cwd base/f " EXCL " =0644 , +write new",
      "unlinkat =cwd link/f =0 , openat =cwd base/f " EXCL " =0644 , +write new",
      "openat =cwd base/f =01 , ftruncate @ =0 , openat =cwd base/f =01 , +write new",
  };
  for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) cannot_be_made_out(fct_format(KILL "%s", scripts[i]));
}

#ifdef SYS_open
/* The same where the filter lets us live, and answers nothing. */
Test(filtered, a_name_that_may_not_be_made_out_leaves_everything) {
  static const char *const scripts[] = {
      "openat =cwd base =0200000 , +filter deaf , unlinkat @ f =0 , open base/f =0301 =0644 , +write new",
      "+filter deaf , unlink link/f , open base/f =0301 =0644 , +write new",
      "openat =cwd base/f =01 , +filter deaf , ftruncate @ =0 , open base/f =01 , +write new",
      "chdir base , +filter deaf , unlink f , open f =0301 =0644 , +write new",
  };
  for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) cannot_be_made_out(scripts[i]);
}
#endif

/* The pages that were made present before are used up some day. */
Test(filtered, more_removals_than_there_is_room_for_leave_everything) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    fct_write(world, "base/f", "user");
    const struct fct_result result = FCT_EXECUTE(
        world, .mode = *mode,
        .script = "mkdir base/d; : > base/d/made; " RAW KILL "$(yes 'unlinkat =cwd base/none =0 ,' | head -n 5000) "
                  "unlinkat =cwd base/f =0 , openat =cwd base/f " EXCL " =0644 , +write new");
    cr_expect_eq(result.status, 0, "%s: %d %s", fct_mode_name(*mode), result.status, result.err);
    (void)fct_wait_no_guardian(world);
    fct_next_start(world, *mode);
    cr_expect_str_eq(fct_read(world, "base/f"), "new");
    cr_expect(fct_exists(world, "base/d/made"), "%s: deleted without proof", fct_mode_name(*mode));
  }
}

/* ---- the host notices nothing, and what was made before is cleaned up ---- */

static void cleaned(const char *kind, bool leader) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    fct_write(world, "base/users", "mine\n");
    const struct fct_result result = FCT_EXECUTE(
        world, .mode = *mode,
        .script = fct_format("%s" RAW "mkdirat =cwd base/d =0755 , openat =cwd base/own " CREAT
                             " =0644 , +close , +filter %s , openat =cwd base/late " EXCL
                             " =0644 , +write x , +close , openat =cwd base/users =0 , clone =17 , openat =cwd "
                             "base/child " EXCL " =0644",
                             leader ? "exec " : ": > base/before; ", kind));
    cr_expect_eq(result.status, 0, "%s, %s: %d %s %s", fct_mode_name(*mode), kind, result.status, result.out,
                 result.err);
    cr_assert(fct_wait_no_members(world) && fct_wait_no_guardian(world));
    fct_next_start(world, *mode); /* for a leader in bare mode */
    cr_expect(!fct_exists(world, "base/own") && !fct_exists(world, "base/d") && !fct_exists(world, "base/before"),
              "%s, %s: left: %s", fct_mode_name(*mode), kind, FCT_EXECUTE(world, .script = "ls -A base").out);
    cr_expect_str_eq(fct_read(world, "base/users"), "mine\n");
  }
}

Test(filtered, what_was_made_before_the_filter_is_cleaned_up) {
  cleaned("kill", false);
  cleaned("everybody", false);
}

Test(filtered, what_a_leader_made_before_the_filter_is_cleaned_up_by_the_guardian_or_the_next_start) {
  cleaned("kill", true);
}

Test(filtered, a_filter_that_lets_our_calls_pass_changes_nothing) {
  FCT_LEAVES_NOTHING(.script =
                         RAW "+filter pass , openat =cwd base/f " CREAT
                             " =0644 , +write x , +close , renameat =cwd base/f =cwd base/g , clone =17 , mkdirat "
                             "=cwd base/d =0755 , +exec touch base/h");
  FCT_LEAVES_NOTHING(.script = "exec " RAW "+filter pass , openat =cwd base/f " CREAT " =0644");
}

Test(filtered, a_filter_that_is_refused_changes_nothing) {
  FCT_LEAVES_NOTHING(.script = "exec " RAW "+filter wrong , openat =cwd base/f " CREAT
                               " =0644 , +write x , +close , renameat =cwd base/f =cwd base/g , +exec touch base/h");
}

/* Read before the kernel has refused it, a pointer to nowhere was the host's end. */
Test(filtered, a_filter_that_cannot_be_read_is_refused_as_by_the_kernel) {
  static const char *const kinds[] = {"nowhere", "wild", "cut", "empty", "long"};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    FCT_LEAVES_NOTHING(.script = fct_format("exec " RAW "+filter %s , openat =cwd base/f " CREAT " =0644", kinds[i]));
}

/* The kernel names the thread that is in the way, by a number above 0. */
Test(filtered, a_filter_for_all_that_a_thread_is_in_the_way_of_changes_nothing) {
  FCT_LEAVES_NOTHING(.script = "exec $PROBES/filter_threads 2 apart");
}

Test(filtered, a_filter_of_a_vfork_child_is_not_its_parents) {
  FCT_LEAVES_NOTHING(.script = "exec " RAW "openat =cwd base/f " CREAT " =0644 , +close , +child , " KILL "+exec true");
  FCT_LEAVES_NOTHING(.script = "exec " RAW "openat =cwd base/f " CREAT " =0644 , +close , +child , " KILL
                               "unlinkat =cwd base/none =0");
}

/* The thread that sweeps would be killed by a filter for all threads, and the host with it. */
Test(filtered, no_thread_of_ours_is_left_under_a_filter) {
  for (int i = 0; i < 8; i++) {
    struct fct_world *world = fct_world_new();
    const struct fct_result result =
        FCT_EXECUTE(world, .mode = FCT_BARE, .env = FCT_LIST("FILECLEANUP_TTL=1s", "FILECLEANUP_INTERVAL=1s"),
                    .script = "exec " RAW "openat =cwd base/f " CREAT " =0644 , +filter everybody , +exec sleep 1.5");
    cr_expect_eq(result.status, 0, "%d %s", result.status, result.err);
  }
}

/* Installed at once, 4 of 100 such hosts died in a hook that had begun before; after a pause of 20 ms, on a loaded
 * machine, one of some hundred. */
Test(filtered, threads_inside_a_hook_survive_a_filter_for_all) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    const struct fct_result result = FCT_EXECUTE(
        world, .mode = *mode,
        .script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; "
                  "do $PROBES/filter_threads 3 || exit 1; done");
    cr_expect_eq(result.status, 0, "%s: %d %s", fct_mode_name(*mode), result.status, result.err);
  }
}

/* ---- images that inherit the filter ---- */

Test(filtered, an_image_that_inherits_the_filter_lives) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    FCT_EXECUTE(world, .script = "echo text > base/f");
    const struct fct_result result = FCT_EXECUTE(
        world, .mode = *mode, .script = RAW KILL "clone =17 , +exec sleep 0; exec " RAW KILL "+exec sleep 0");
    cr_expect_eq(result.status, 0, "%s: %d %s", fct_mode_name(*mode), result.status, result.err);
    cr_expect_str_eq(result.out, "+filter: 0 \nclone: a child that ended with 0\n+filter: 0 \n", "%s", result.out);
    cr_expect_str_eq(result.err, "");
  }
}

Test(filtered, nothing_is_taken_from_under_an_image_that_inherits_the_filter) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_job *job = FCT_START(world, .mode = *mode,
                                    .script = "exec " RAW "openat =cwd base/f " CREAT " =0644 , +close , " KILL
                                              "openat =cwd base/ready " EXCL " =0644 , +exec sleep 100");
    cr_assert(fct_wait_exists(world, "base/ready"));
    const struct timespec while_it_runs = {.tv_sec = 1, .tv_nsec = 500000000};
    nanosleep(&while_it_runs, NULL);
    fct_next_start(world, *mode);
    cr_expect(fct_exists(world, "base/f"), "%s: taken from under a living process", fct_mode_name(*mode));
    fct_kill_job(job);
    if (*mode == FCT_BARE) fct_next_start(world, *mode);
    cr_expect(fct_wait_gone(world, "base/f"), "%s: never cleaned up", fct_mode_name(*mode));
  }
}

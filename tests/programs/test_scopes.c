/* SCOPE=process: each process's own names go when it ends. SCOPE=leader: everything goes when the leader ends. What is
 * in use, what others made and what is the user's stays, until the session ends. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../harness/harness.h"
#include "../harness/harness_live.h"

TestSuite(scopes, .fini = fct_teardown, .timeout = 120);

static void pause_ms(long ms) {
  struct timespec span = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
  nanosleep(&span, NULL);
}

/* Runs a script that prints what it sees of its own base, in each mode. */
static void expect_output(const char *const *env, const char *script, const char *expected) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    fct_write(world, "base/mine", "the user's\n");
    const struct fct_result result =
        FCT_EXECUTE(world, .mode = *mode, .env = env, .script = script, .shell = "/bin/bash");
    cr_expect_eq(result.status, 0, "%s: %d %s", fct_mode_name(*mode), result.status, result.err);
    cr_expect_str_eq(result.out, expected, "%s: it saw %s instead of %s", fct_mode_name(*mode), result.out, expected);
    cr_expect(fct_wait_no_members(world) && fct_wait_no_guardian(world));
    cr_expect(fct_exists(world, "base/mine"), "%s: the user's file is gone", fct_mode_name(*mode));
    cr_expect_eq(fct_count(world, "base"), 1, "%s: %zu names are left", fct_mode_name(*mode), fct_count(world, "base"));
  }
}
#define BY_PROCESS FCT_LIST("FILECLEANUP_SCOPE=process")
#define BY_LEADER FCT_LIST("FILECLEANUP_SCOPE=leader")
#define LIST "echo base/*" /* by the shell itself: each process that ends is an end of a scope */

/* ---- process ---- */

Test(scopes, a_childs_names_go_with_the_child) {
  expect_output(BY_PROCESS, "echo a > base/a; touch base/b; " LIST, "base/a base/mine\n");
}
Test(scopes, a_subshells_names_go_with_the_subshell) {
  expect_output(BY_PROCESS, "echo a > base/a; ( echo b > base/b; " LIST " ); " LIST,
                "base/a base/b base/mine\nbase/a base/mine\n");
}
Test(scopes, a_childs_directories_go_with_it) { expect_output(BY_PROCESS, "mkdir -p base/d/e; " LIST, "base/mine\n"); }
Test(scopes, a_directory_that_holds_anothers_name_stays) {
  fct_need("perl");
  expect_output(
      BY_PROCESS,
      "perl -e 'if (!fork()) { mkdir \"base/d\"; mkdir \"base/e\"; open(G, \">go\"); until (-e \"base/d/p\") {} "
      "exit 0 } until (-e \"go\") {} open(F, \">base/d/p\"); wait; print join(\" \", glob(\"base/* "
      "base/d/*\")), \"\\n\"'",
      "base/d base/mine base/d/p\n");
}
Test(scopes, an_executed_image_keeps_what_its_pid_has_made) {
  expect_output(BY_PROCESS, "( echo b > base/b; exec bash -c 'touch base/c; " LIST "; :' ); " LIST,
                "base/b base/mine\nbase/mine\n");
}
Test(scopes, an_image_that_cannot_be_started_takes_nothing) {
  fct_need("perl");
  expect_output(BY_PROCESS,
                "perl -e 'open(F, \">base/b\"); no warnings; exec(\"/nonexistent\"); print join(\" \", "
                "glob(\"base/*\")), \"\\n\"'; " LIST,
                "base/b base/mine\nbase/mine\n");
}
Test(scopes, what_another_process_has_open_stays_until_the_end) {
  expect_output(BY_PROCESS,
                "exec 8< <(echo b > base/b; echo c > base/c; exec 9>&-; until [ -e opened ]; do sleep 0.02; done)\n"
                "until [ -s base/b -a -s base/c ]; do sleep 0.02; done; exec 5< base/b; : > opened; wait $!; " LIST,
                "base/b base/mine\n");
}
Test(scopes, a_fork_childs_end_does_not_take_the_parents_names) {
  fct_need("perl");
  expect_output(BY_PROCESS,
                "perl -e 'open(F,\">base/p\");close F; for(1..20){ if(!fork()){open(F,\">base/c$_\");close F;exit 0} } "
                "1 while wait()>0; print join(\" \",sort map{s,base/,,r} glob(\"base/*\")),\"\\n\"'",
                "mine p\n");
}

Test(scopes, what_a_killed_process_made_goes_with_the_session) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_job *job =
        fct_hold(world, *mode, FCT_LIST("SCOPE=process"), "sh -c 'echo k > base/k; kill -9 $$' || true");
    cr_expect(fct_exists(world, "base/k"), "%s: nobody can have removed it yet", fct_mode_name(*mode));
    fct_write(world, "go", "");
    cr_expect_eq(fct_finish(job).status, 0);
    cr_expect(fct_wait_no_guardian(world));
    fct_assert_base_empty(world, fct_mode_name(*mode));
  }
}

Test(scopes, many_processes_at_once_take_each_their_own) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_job *job =
        fct_hold(world, *mode, FCT_LIST("SCOPE=process"),
                 "echo a > base/a; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do (echo "
                 "x > base/x$i; echo y > base/y$i) & done; wait");
    cr_expect_eq(fct_count(world, "base"), 1, "%s: %zu names instead of one", fct_mode_name(*mode),
                 fct_count(world, "base"));
    fct_release(world, job);
    cr_expect(fct_wait_no_guardian(world));
    fct_assert_base_empty(world, fct_mode_name(*mode));
  }
}

/* A process in a pid namespace of its own may have any number. */
Test(scopes, a_process_with_the_same_number_in_another_namespace_is_another) {
  fct_need_root();
  fct_need("unshare");
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    if (FCT_EXECUTE(world, .mode = FCT_PLAIN, .argv = FCT_LIST("unshare", "-p", "-f", "true")).status != 0)
      cr_skip("no pid namespaces here");
    struct fct_job *job = fct_hold(
        world, *mode, FCT_LIST("SCOPE=process"),
        "unshare -p -f sh -c 'echo one > base/one; : > one; $PROBES/await two-ended; :' & $PROBES/await one; "
        "unshare -p -f sh -c 'echo two > base/two; :'; [ -e base/one ] && : > one-stayed; : > two-ended; wait");
    cr_expect(fct_exists(world, "one-stayed"), "%s: a living process has lost its file to another's end",
              fct_mode_name(*mode));
    fct_release(world, job);
  }
}

/* ---- leader ---- */

/* The leader makes `a`, a survivor makes `b`, has `open` open, and lives on. */
#define SURVIVOR                                                                                                       \
  "echo a > base/a; echo o > base/open; mkdir base/d; echo x > base/d/x; "                                             \
  "sh -c 'exec 5< base/open; echo b > base/b; : > up; $PROBES/await go; : > base/late; : > saw-go; $PROBES/await "     \
  "go2; :' < /dev/null > /dev/null 2>&1 & $PROBES/await up; "

static void expect_leaders_end(const struct fct_world *world, const char *when) {
  cr_expect(fct_wait_gone(world, "base/a"), "%s: the leader's file stays", when);
  cr_expect(fct_wait_gone(world, "base/b"), "%s: the survivor's file stays", when);
  cr_expect(fct_wait_gone(world, "base/d"), "%s: the directory stays", when);
  cr_expect(fct_exists(world, "base/open"), "%s: what the survivor has open is gone", when);
  cr_expect(fct_exists(world, "base/mine"), "%s: the user's file is gone", when);
}

static void let_the_survivor_end(const struct fct_world *world, const char *when) {
  fct_write(world, "go", "");
  cr_assert(fct_wait_exists(world, "saw-go"));
  cr_expect(fct_exists(world, "base/late"), "%s: what came after the leader's end is gone at once", when);
  fct_write(world, "go2", "");
  cr_expect(fct_wait_no_members(world) && fct_wait_no_guardian(world));
  cr_expect_eq(fct_count(world, "base"), 1, "%s: %zu names are left", when, fct_count(world, "base"));
}

Test(scopes, everything_goes_with_the_leader_but_what_survivors_use) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    fct_write(world, "base/mine", "the user's\n");
    const struct fct_result result = FCT_EXECUTE(world, .mode = *mode, .env = BY_LEADER, .script = SURVIVOR);
    cr_expect_eq(result.status, 0, "%s", result.err);
    cr_expect(!fct_exists(world, "base/a") && !fct_exists(world, "base/b"), "%s: not gone when the leader has returned",
              fct_mode_name(*mode));
    expect_leaders_end(world, fct_mode_name(*mode));
    let_the_survivor_end(world, fct_mode_name(*mode));
  }
}

Test(scopes, a_killed_leaders_guardian_removes_everything_at_once) {
  struct fct_world *world = fct_world_new();
  fct_write(world, "base/mine", "the user's\n");
  struct fct_job *job =
      FCT_START(world, .mode = FCT_RUN, .env = BY_LEADER, .script = SURVIVOR " $PROBES/await never; :");
  cr_assert(fct_wait_exists(world, "up"));
  kill(fct_job_pid(job), SIGKILL);
  fct_finish(job);
  expect_leaders_end(world, "after the kill");
  fct_write(world, "never", "");
  let_the_survivor_end(world, "after the kill");
}

Test(scopes, without_a_guardian_a_killed_leaders_names_go_with_the_session) {
  struct fct_world *world = fct_world_new();
  fct_write(world, "base/mine", "the user's\n");
  struct fct_job *job =
      FCT_START(world, .mode = FCT_BARE, .env = BY_LEADER, .script = SURVIVOR " $PROBES/await never; :");
  cr_assert(fct_wait_exists(world, "up"));
  kill(fct_job_pid(job), SIGKILL);
  fct_finish(job);
  pause_ms(200);
  cr_expect(fct_exists(world, "base/a") && fct_exists(world, "base/open"));
  fct_write(world, "never", "");
  let_the_survivor_end(world, "after the kill");
}

Test(scopes, wait_returns_when_the_session_has_ended_and_not_with_the_leader) {
  struct fct_world *world = fct_world_new();
  fct_write(world, "base/mine", "the user's\n");
  struct fct_job *job =
      FCT_START(world, .mode = FCT_RUN, .script = SURVIVOR, .options = FCT_LIST("--wait", "--scope", "leader"));
  cr_assert(fct_wait_exists(world, "up"));
  expect_leaders_end(world, "with --wait");
  let_the_survivor_end(world, "with --wait");
  cr_expect_eq(fct_finish(job).status, 0);
}

/* In a pid namespace of its own a child may have the leader's very number. */
Test(scopes, a_child_with_the_leaders_number_in_another_namespace_is_not_the_leader) {
  fct_need_root();
  fct_need("unshare");
  struct fct_world *world = fct_world_new();
  const struct fct_result result = FCT_EXECUTE(
      world, .mode = FCT_PLAIN,
      .script = fct_format("unshare -p -f env LD_PRELOAD=%s/libfilecleanup_preload.so FILECLEANUP_BASE_DIR=$BASE "
                           "FILECLEANUP_SCOPE=leader sh -c 'echo a > base/a; unshare -p -f sh -c \"echo b > "
                           "base/b; :\"; ls base; :'",
                           FC_BUILD_DIR));
  if (strstr(result.err, "unshare")) cr_skip("no pid namespaces here: %s", result.err);
  cr_expect_str_eq(result.out, "a\nb\n", "the leader saw \"%s\" %s", result.out, result.err);
  fct_assert_base_empty(world, "when the leader has ended");
}

/* Nor does its status tell how the leader ended. */
Test(scopes, a_child_with_the_leaders_number_does_not_say_how_the_leader_ends) {
  fct_need_root();
  fct_need("unshare");
  struct fct_world *world = fct_world_new();
  const struct fct_result result =
      FCT_EXECUTE(world, .mode = FCT_PLAIN,
                  .script = fct_format("unshare -p -f --kill-child=KILL env LD_PRELOAD=%s/libfilecleanup_preload.so "
                                       "FILECLEANUP_BASE_DIR=$BASE FILECLEANUP_ON_EXIT=keep-on-failure sh -c 'echo a > "
                                       "base/a; unshare -p -f sh -c \"echo b > base/b; exit 0\"; : > up; $PROBES/await "
                                       "never' & $PROBES/await up; kill -9 $!; wait; :",
                                       FC_BUILD_DIR));
  if (strstr(result.err, "unshare")) cr_skip("no pid namespaces here: %s", result.err);
  cr_expect(fct_wait_no_members(world));
  fct_next_start(world, FCT_BARE);
  cr_expect(fct_exists(world, "base/a"), "what a leader that was killed had made is gone");
}

/* ---- on-exit policies speak for scopes too ---- */

Test(scopes, keep_and_report_keep_at_the_end_of_a_scope) {
  expect_output(FCT_LIST("FILECLEANUP_SCOPE=process", "FILECLEANUP_ON_EXIT=delete"), "touch base/b; " LIST,
                "base/mine\n");
  static const char *const others[] = {"keep", "report"};
  for (size_t i = 0; i < 2; i++) {
    for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
      struct fct_world *world = fct_world_new();
      const struct fct_result result =
          FCT_EXECUTE(world, .mode = *mode, .script = "touch base/b; ls base",
                      .env = FCT_LIST("FILECLEANUP_SCOPE=process", fct_format("FILECLEANUP_ON_EXIT=%s", others[i])));
      cr_expect_str_eq(result.out, "b\n", "%s, %s", others[i], fct_mode_name(*mode));
    }
  }
}

/* ---- the user's data, at the end of a scope ---- */

/* What the script leaves of `setup` and makes in its place is the same as without us. */
static void expect_users_data_whole(const char *scope, const char *setup, const char *script) {
  struct fct_world *plain = fct_world_new();
  FCT_EXECUTE(plain, .mode = FCT_PLAIN, .script = setup);
  cr_assert_eq(FCT_EXECUTE(plain, .mode = FCT_PLAIN, .script = script).status, 0);
  const struct fct_tree *expected = fct_tree_of(plain->base);
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    FCT_EXECUTE(world, .mode = FCT_PLAIN, .script = setup);
    const struct fct_result result =
        FCT_EXECUTE(world, .mode = *mode, .script = fct_format("%s\necho canary > base/canary", script),
                    .env = FCT_LIST(fct_format("FILECLEANUP_SCOPE=%s", scope)));
    cr_expect_eq(result.status, 0, "%s", result.err);
    const char *difference = fct_tree_diff(expected, fct_tree_of(world->base), NULL);
    cr_expect_null(difference, "%s, %s: %s", scope, fct_mode_name(*mode), difference);
  }
}
#define BOTH_SCOPES(name, setup, script)                                                                               \
  Test(scopes, process_##name) { expect_users_data_whole("process", setup, script); }                                  \
  Test(scopes, leader_##name) { expect_users_data_whole("leader", setup, script); }

BOTH_SCOPES(rm_and_write_anew_stays, "echo old > base/f", "rm base/f; sh -c 'echo new > base/f'")
BOTH_SCOPES(mv_to_bak_and_write_anew_stays, "echo old > base/f", "mv base/f base/f.bak; sh -c 'echo new > base/f'")
BOTH_SCOPES(gzip_keeps_the_result, "seq 1 1000 > base/log", "gzip -n base/log")
BOTH_SCOPES(writing_over_it_keeps_it, "echo old > base/f", "sh -c 'echo new > base/f'")
BOTH_SCOPES(sed_in_place_keeps_it, "echo old > base/f", "sed -i s/old/new/ base/f")

/* Here nothing tells the copy from a temporary file until the original is emptied, by another process or later. */
Test(scopes, leader_copy_and_truncate_keeps_the_copy) {
  expect_users_data_whole("leader", "seq 1 1000 > base/log", "cat base/log > base/log.1; : > base/log");
}

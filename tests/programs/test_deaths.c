/* However the processes of a session end, what they made goes with the last of them, and not before.
 *
 * With a guardian (filecleanup run) that is true of every death; without one (LD_PRELOAD alone) a session whose last
 * process was killed is cleaned up by the next start. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../harness/harness.h"

#define NOBODY 65534
#define PROBE(name) FC_BUILD_DIR "/probes/" name

TestSuite(deaths, .fini = fct_teardown, .timeout = 120);

static void pause_ms(long ms) {
  struct timespec span = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
  nanosleep(&span, NULL);
}

/* ---- one process ---- */

enum when { AT_ONCE, AFTER_A_KILL };

static void die_and_look(const char *how, int status, enum when when) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_result result = FCT_EXECUTE(world, .mode = *mode, .argv = FCT_LIST(PROBE("die"), "base", how));
    cr_expect_str_eq(result.out, "made\n");
    cr_expect_eq(result.status, status, "%s: status %d, not %d", fct_mode_name(*mode), result.status, status);
    if (when == AFTER_A_KILL && *mode == FCT_RUN) cr_expect(fct_wait_no_guardian(world), "the guardian does not end");
    if (when == AFTER_A_KILL && *mode == FCT_BARE) {
      cr_expect(fct_exists(world, "base/by-open"), "nobody was there to clean up: the probe did not make its files");
      fct_next_start(world, FCT_BARE);
    }
    fct_assert_base_empty(world, fct_mode_name(*mode));
  }
}

Test(deaths, by_return_from_main) { die_and_look("return", 3, AT_ONCE); }
Test(deaths, by_exit) { die_and_look("exit", 4, AT_ONCE); }
Test(deaths, by__exit) { die_and_look("_exit", 5, AT_ONCE); }
Test(deaths, by__Exit) { die_and_look("_Exit", 6, AT_ONCE); }
Test(deaths, by_abort) { die_and_look("abort", 128 + SIGABRT, AFTER_A_KILL); }
Test(deaths, by_segmentation_fault) { die_and_look("11", 128 + SIGSEGV, AFTER_A_KILL); }
Test(deaths, by_uncaught_sigterm) { die_and_look("15", 128 + SIGTERM, AFTER_A_KILL); }
Test(deaths, by_uncaught_sigint) { die_and_look("2", 128 + SIGINT, AFTER_A_KILL); }
Test(deaths, by_uncaught_sigpipe) { die_and_look("13", 128 + SIGPIPE, AFTER_A_KILL); }
Test(deaths, by_its_own_sigkill) { die_and_look("9", 128 + SIGKILL, AFTER_A_KILL); }

Test(deaths, by_sigkill_from_outside_with_a_guardian) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = FCT_START(world, .mode = FCT_RUN, .argv = FCT_LIST(PROBE("die"), "base", "pause", "ready"));
  cr_assert(fct_wait_exists(world, "ready"));
  kill(fct_job_pid(job), SIGKILL); /* the program has the pid of `filecleanup run` */
  cr_expect_eq(fct_finish(job).status, 128 + SIGKILL);
  cr_expect(fct_wait_no_guardian(world), "the guardian does not end");
  fct_assert_base_empty(world, "after the guardian's end");
}

/* ---- three generations ---- */

struct family {
  struct fct_world *world;
  struct fct_job *job;
  pid_t leader, middle, leaf;
};

static struct family start_family(enum fct_mode mode) {
  struct family family = {.world = fct_world_new()};
  family.job = FCT_START(family.world, .mode = mode, .argv = FCT_LIST(PROBE("tree"), "base", "ready"));
  cr_assert(fct_wait_exists(family.world, "ready"), "the processes did not start");
  int leader, middle, leaf;
  cr_assert_eq(sscanf(fct_read(family.world, "ready"), "%d %d %d", &leader, &middle, &leaf), 3);
  family.leader = leader;
  family.middle = middle;
  family.leaf = leaf;
  cr_assert_eq(family.leader, fct_job_pid(family.job), "the program does not have the pid that was started");
  return family;
}

/* Long enough for a guardian that took the death for the end of the session. */
static void expect_all_files(const struct family *family, const char *when) {
  pause_ms(100);
  cr_expect(fct_exists(family->world, "base/leader"), "%s: the leader's file is gone", when);
  cr_expect(fct_exists(family->world, "base/middle"), "%s: the middle's file is gone", when);
  cr_expect(fct_exists(family->world, "base/leaf"), "%s: the leaf's file is gone", when);
}

static void expect_gone_after_a_kill(const struct family *family, enum fct_mode mode) {
  if (mode == FCT_RUN) cr_expect(fct_wait_no_guardian(family->world), "the guardian does not end");
  if (mode == FCT_BARE) fct_next_start(family->world, FCT_BARE);
  fct_assert_base_empty(family->world, fct_mode_name(mode));
}

Test(deaths, sigkill_of_the_leader_spares_what_its_children_may_need) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct family family = start_family(*mode);
    kill(family.leader, SIGKILL);
    fct_finish(family.job);
    expect_all_files(&family, fct_mode_name(*mode));
    fct_kill_members(family.world);
    expect_gone_after_a_kill(&family, *mode);
  }
}

Test(deaths, sigkill_of_the_leader_is_not_the_end_for_the_next_start_either) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct family family = start_family(*mode);
    kill(family.leader, SIGKILL);
    fct_finish(family.job);
    fct_next_start(family.world, FCT_BARE);
    fct_next_start(family.world, FCT_RUN);
    expect_all_files(&family, fct_mode_name(*mode));
    fct_kill_members(family.world);
    expect_gone_after_a_kill(&family, *mode);
  }
}

Test(deaths, sigkill_of_the_middle_is_not_the_end) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct family family = start_family(*mode);
    kill(family.middle, SIGKILL);
    expect_all_files(&family, fct_mode_name(*mode));
    kill(family.leaf, SIGKILL);
    expect_all_files(&family, fct_mode_name(*mode));
    kill(family.leader, SIGKILL);
    fct_finish(family.job);
    expect_gone_after_a_kill(&family, *mode);
  }
}

Test(deaths, sigkill_of_the_whole_tree) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct family family = start_family(*mode);
    fct_kill_job(family.job);
    expect_gone_after_a_kill(&family, *mode);
  }
}

Test(deaths, sigkill_of_the_guardian_alone_is_made_up_for_by_the_last_process) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job =
      FCT_START(world, .mode = FCT_RUN, .script = "echo x > base/x; $PROBES/await go; echo y > base/y; exit 6");
  cr_assert(fct_wait_exists(world, "base/x"));
  cr_assert(fct_guardian(world), "there is no guardian");
  fct_kill_guardian(world);
  cr_expect(fct_exists(world, "base/x"), "the guardian's death took the file");
  fct_write(world, "go", "");
  cr_expect_eq(fct_finish(job).status, 6);
  fct_assert_base_empty(world, "on return");
}

Test(deaths, sigkill_of_guardian_and_tree_is_made_up_for_by_the_next_start) {
  static const enum fct_mode next[] = {FCT_RUN, FCT_BARE};
  for (size_t i = 0; i < 2; i++) {
    struct family family = start_family(FCT_RUN);
    cr_assert(fct_guardian(family.world), "there is no guardian");
    fct_kill_guardian(family.world);
    fct_kill_job(family.job);
    expect_all_files(&family, "nobody is left to clean up");
    fct_next_start(family.world, next[i]);
    fct_assert_base_empty(family.world, "after the next start");
  }
}

Test(deaths, without_a_guardian_the_last_process_cleans_up) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = FCT_START(world, .mode = FCT_RUN, .options = FCT_LIST("--no-guardian"),
                                  .script = "echo x > base/x; $PROBES/await go; exit 4");
  cr_assert(fct_wait_exists(world, "base/x"));
  cr_expect_eq(fct_guardian(world), 0, "there is a guardian");
  fct_write(world, "go", "");
  cr_expect_eq(fct_finish(job).status, 4);
  fct_assert_base_empty(world, "on return");
}

Test(deaths, a_child_that_outlives_its_parent_cleans_up_last) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_result result =
        FCT_EXECUTE(world, .mode = *mode,
                    .script = "echo p > base/parent; ($PROBES/await go; echo c > base/child; echo > done) "
                              ">/dev/null 2>&1 & exit 0");
    cr_expect_eq(result.status, 0);
    pause_ms(50);
    cr_expect(fct_exists(world, "base/parent"), "%s: the parent's file is gone before the child", fct_mode_name(*mode));
    fct_write(world, "go", "");
    cr_expect(fct_wait_exists(world, "done"));
    cr_expect(fct_wait_no_members(world) && fct_wait_no_guardian(world));
    fct_assert_base_empty(world, fct_mode_name(*mode));
  }
}

/* ---- members that are hard to see ---- */

struct survivor {
  const char *how;
  const char *executes; /* absolute; NULL = the probe itself */
  bool jail;
  bool cannot_clean; /* the last process may not delete: without a guardian the next start does */
  bool unproven;     /* it has renamed what may have been in the base: nothing is deleted */
};

/* The first process makes base/needed and ends; its child, changed as told, still finds it, however late it looks. */
static void expect_survivor_finds_its_file(struct fct_world *world, enum fct_mode mode, const struct survivor *who) {
  cr_assert(chmod(world->dir, 0777) == 0);
  const char *executes = fct_format("LINGER_EXEC=%s", who->executes ? who->executes : PROBE("linger"));
  struct fct_result result =
      FCT_EXECUTE(world, .mode = mode, .env = FCT_LIST(executes),
                  .argv = FCT_LIST(PROBE("linger"), who->how, fct_path(world, "base"), fct_path(world, "go"),
                                   fct_path(world, "result"), who->jail ? world->dir : NULL));
  cr_assert_eq(result.status, 0, "%s: status %d %s", fct_mode_name(mode), result.status, result.err);
  pause_ms(100);
  cr_expect(fct_exists(world, "base/needed"), "%s, %s: the file is gone while the child lives", fct_mode_name(mode),
            who->how);
  fct_next_start(world, FCT_BARE);
  cr_expect(fct_exists(world, "base/needed"), "%s, %s: another start took the file", fct_mode_name(mode), who->how);
  fct_write(world, "go", "");
  cr_assert(fct_wait_exists(world, "result"), "%s, %s: the child did not answer", fct_mode_name(mode), who->how);
  cr_expect_str_eq(fct_read(world, "result"), "kept\n", "%s, %s: the child did not find it", fct_mode_name(mode),
                   who->how);
  if (who->unproven) {
    cr_expect(fct_wait_no_guardian(world), "%s, %s: the guardian does not end", fct_mode_name(mode), who->how);
    fct_next_start(world, FCT_BARE);
    cr_expect(fct_exists(world, "base/needed"), "%s, %s: deleted without proof", fct_mode_name(mode), who->how);
    return;
  }
  if (mode == FCT_RUN || !who->cannot_clean) {
    cr_expect(fct_wait_gone(world, "base/needed"), "%s, %s: the file stays for ever", fct_mode_name(mode), who->how);
    cr_expect(fct_wait_no_guardian(world), "%s, %s: the guardian does not end", fct_mode_name(mode), who->how);
  } else {
    pause_ms(100);
    fct_next_start(world, FCT_BARE);
  }
  fct_assert_base_empty(world, fct_format("%s, %s", fct_mode_name(mode), who->how));
}

static void expect_survivor(struct survivor who) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    expect_survivor_finds_its_file(fct_world_new(), *mode, &who);
  }
}

Test(deaths, a_child_with_all_descriptors_closed_keeps_the_session_alive) {
  expect_survivor((struct survivor){.how = "closefds"});
}

Test(deaths, a_child_that_becomes_another_program_keeps_the_session_alive) {
  expect_survivor((struct survivor){.how = "exec"});
}

Test(deaths, a_daemon_keeps_the_session_alive) { expect_survivor((struct survivor){.how = "daemon"}); }

Test(deaths, a_child_that_loses_its_environment_keeps_the_session_alive) {
  expect_survivor((struct survivor){.how = "noenv-exec", .cannot_clean = true});
}

Test(deaths, a_child_that_becomes_nobody_keeps_the_session_alive) {
  fct_need_root();
  expect_survivor((struct survivor){.how = "setuid", .cannot_clean = true});
}

Test(deaths, a_child_that_becomes_nobody_and_another_program_keeps_the_session_alive) {
  fct_need_root();
  fct_need_build_for(NOBODY);
  expect_survivor((struct survivor){.how = "setuid-exec", .cannot_clean = true});
}

Test(deaths, a_child_in_a_chroot_keeps_the_session_alive) {
  fct_need_root();
  /* Without /proc nobody can say where its rename was: on this file system it may have been a file of the user's. */
  expect_survivor((struct survivor){.how = "chroot", .jail = true, .cannot_clean = true, .unproven = true});
}

static const char *static_linger(const struct fct_world *world) {
  fct_need("gcc");
  struct fct_result built =
      FCT_EXECUTE(world, .script = "gcc -static -o static-linger " FC_SOURCE_DIR "/tests/probes/linger.c 2>/dev/null");
  if (built.status) cr_skip("there is no static libc");
  return fct_path(world, "static-linger");
}

/* In the jail there is no libc, so only a static program runs: it cannot load the shim, but it holds the lock. */
Test(deaths, a_child_that_becomes_a_static_program_in_a_chroot_keeps_the_session_alive) {
  fct_need_root();
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct survivor who = {.how = "chroot-exec", .executes = static_linger(world), .jail = true, .cannot_clean = true};
    expect_survivor_finds_its_file(world, *mode, &who);
  }
}

Test(deaths, a_child_that_becomes_a_static_program_keeps_the_session_alive) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct survivor who = {.how = "exec", .executes = static_linger(world), .cannot_clean = true};
    expect_survivor_finds_its_file(world, *mode, &who);
  }
}

Test(deaths, a_python_child_with_closed_descriptors_keeps_the_session_alive) {
  fct_need("python3");
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_result result = FCT_EXECUTE(
        world, .mode = *mode,
        .argv = FCT_LIST("python3", "-c",
                         "import os, subprocess\n"
                         "open('base/needed', 'w').close()\n"
                         "subprocess.Popen(['sh', '-c', '$PROBES/await go; ls base > list; mv list result'],\n"
                         "                 close_fds=True, stdout=-3, stderr=-3, start_new_session=True)\n"
                         "os._exit(0)\n"));
    cr_assert_eq(result.status, 0, "%s", result.err);
    pause_ms(100);
    fct_write(world, "go", "");
    cr_assert(fct_wait_exists(world, "result"));
    cr_expect_str_eq(fct_read(world, "result"), "needed\n", "%s", fct_mode_name(*mode));
    cr_expect(fct_wait_no_members(world) && fct_wait_no_guardian(world));
    fct_assert_base_empty(world, fct_mode_name(*mode));
  }
}

static void expect_chain(const char *script) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_result result = FCT_EXECUTE(world, .mode = *mode, .script = script);
    cr_expect_eq(result.status, 0, "%s: status %d", fct_mode_name(*mode), result.status);
    cr_expect_str_eq(result.out, "arrived\n");
    cr_expect_str_eq(result.err, "", "%s: %.300s", fct_mode_name(*mode), result.err);
    fct_assert_base_empty(world, fct_mode_name(*mode));
  }
}

Test(deaths, two_hundred_execs_are_one_session) { expect_chain("exec $PROBES/execchain base 200"); }

Test(deaths, execs_with_few_descriptors_are_one_session) {
  expect_chain("ulimit -n 64; exec $PROBES/execchain base 100");
}

/* Eight are what the start of a session takes. */
Test(deaths, execs_with_hardly_a_descriptor_to_spare_are_one_session) {
  expect_chain("ulimit -n 8; exec $PROBES/execchain base 100");
}

Test(deaths, execs_while_other_sessions_start_and_end_are_one_session) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_job *job = FCT_START(world, .mode = *mode, .script = "exec $PROBES/execchain base 400");
    for (int i = 0; i < 40; i++) fct_next_start(world, i % 2 ? FCT_BARE : FCT_RUN);
    struct fct_result result = fct_finish(job);
    cr_expect_str_eq(result.out, "arrived\n", "%s: %s", fct_mode_name(*mode), result.err);
    cr_expect(fct_wait_no_guardian(world));
    fct_assert_base_empty(world, fct_mode_name(*mode));
  }
}

Test(deaths, a_vfork_child_whose_exec_fails_ends_nothing) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_result result = FCT_EXECUTE(world, .mode = *mode, .argv = FCT_LIST(PROBE("vforkfail"), "base"));
    cr_expect_str_eq(result.out, "kept\n", "%s: %s", fct_mode_name(*mode), result.err);
    cr_expect_eq(result.status, 0);
    fct_assert_base_empty(world, fct_mode_name(*mode));
  }
}

Test(deaths, an_exec_that_fails_ends_nothing) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_result result = FCT_EXECUTE(world, .mode = *mode, .shell = fct_which("bash"),
                                           .script = "shopt -s execfail; echo x > base/x; exec ./missing 2>/dev/null\n"
                                                     "sleep 0.1; cat base/x; ls /proc/self/fd");
    cr_expect(strncmp(result.out, "x\n", 2) == 0, "%s: %s", fct_mode_name(*mode), result.out);
    cr_expect_str_eq(result.out, "x\n0\n1\n2\n3\n", "%s: a descriptor is left over", fct_mode_name(*mode));
    fct_assert_base_empty(world, fct_mode_name(*mode));
  }
}

/* ---- nobody notices ---- */

static void expect_no_child(bool subreaper) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_result result =
        FCT_EXECUTE(world, .mode = *mode, .argv = FCT_LIST(PROBE("nochild"), "base"), .subreaper = subreaper);
    cr_expect_str_eq(result.out, "at the start: no child\nafter a file: no child\na moment later: no child\n", "%s: %s",
                     fct_mode_name(*mode), result.out);
    cr_expect_eq(result.status, 0);
    fct_assert_base_empty(world, fct_mode_name(*mode));
  }
}

Test(deaths, the_program_has_no_child_of_ours) { expect_no_child(false); }
Test(deaths, a_subreaper_has_no_child_of_ours) { expect_no_child(true); }

Test(deaths, the_program_has_no_child_of_ours_with_a_guardian_in_bare_mode) {
  struct fct_world *world = fct_world_new();
  struct fct_result result = FCT_EXECUTE(world, .mode = FCT_BARE, .argv = FCT_LIST(PROBE("nochild"), "base"),
                                         .env = FCT_LIST("FILECLEANUP_GUARDIAN=1"));
  cr_expect_str_eq(result.out, "at the start: no child\nafter a file: no child\na moment later: no child\n");
  cr_expect(fct_wait_no_guardian(world));
  fct_assert_base_empty(world, "on return");
}

Test(deaths, a_shell_that_captures_the_output_does_not_hang) {
  struct fct_world *world = fct_world_new();
  struct fct_result result = FCT_EXECUTE(
      world, .limit_s = 20,
      .script = "out=$($FC_COMMAND run --base base -- sh -c 'echo x > base/x; echo said; echo err >&2' 2>&1)\n"
                "echo \"$? $out\"; ls -A base\n");
  cr_expect_str_eq(result.out, "0 said\nerr\n");
}

Test(deaths, a_shell_that_captures_the_output_of_a_killed_program_does_not_hang) {
  struct fct_world *world = fct_world_new();
  struct fct_result result =
      FCT_EXECUTE(world, .limit_s = 20,
                  .script = "out=$($FC_COMMAND run --base base -- sh -c 'echo x > base/x; echo said; kill -9 $$')\n"
                            "echo \"$? $out\"\n");
  cr_expect_str_eq(result.out, "137 said\n");
  cr_expect(fct_wait_no_guardian(world));
  fct_assert_base_empty(world, "after the guardian's end");
}

Test(deaths, cleanup_is_done_when_filecleanup_run_returns) {
  struct fct_world *world = fct_world_new();
  struct fct_result result =
      FCT_EXECUTE(world, .script = "for i in $(seq 30); do\n"
                                   "  $FC_COMMAND run --base base -- sh -c 'for j in $(seq 50); do : > base/$j; done'\n"
                                   "  set -- base/*; test -e \"$1\" && echo \"round $i: $# left\"\n"
                                   "done; true\n");
  cr_expect_str_eq(result.out, "");
  cr_expect_str_eq(result.err, "");
}

Test(deaths, wait_returns_only_after_a_killed_program_is_cleaned_up) {
  struct fct_world *world = fct_world_new();
  struct fct_result result = FCT_EXECUTE(world, .mode = FCT_RUN, .options = FCT_LIST("--wait"),
                                         .script = "for j in $(seq 500); do : > base/$j; done; kill -9 $$");
  cr_expect_eq(result.status, 128 + SIGKILL, "status %d", result.status);
  fct_assert_base_empty(world, "on return");
}

Test(deaths, wait_returns_only_after_a_background_process_of_the_session) {
  struct fct_world *world = fct_world_new();
  struct fct_result result =
      FCT_EXECUTE(world, .mode = FCT_RUN, .options = FCT_LIST("--wait"),
                  .script = "(sleep 0.3; echo x > base/late; echo > done) >/dev/null 2>&1 & exit 5");
  cr_expect_eq(result.status, 5, "status %d", result.status);
  cr_expect(fct_exists(world, "done"), "it did not wait");
  fct_assert_base_empty(world, "on return");
}

Test(deaths, as_pid_1_of_a_namespace_it_cleans_up_before_it_ends) {
  fct_need_root();
  fct_need("unshare");
  struct fct_world *world = fct_world_new();
  struct fct_result possible = FCT_EXECUTE(world, .script = "unshare -p -f true");
  if (possible.status) cr_skip("unshare is not permitted here");
  struct fct_result result = FCT_EXECUTE(
      world,
      .script = "unshare -p -f $FC_COMMAND run --base base -- sh -c 'echo x > base/x; cat base/x; exit 7'; echo $?");
  cr_expect_str_eq(result.out, "x\n7\n", "%s %s", result.out, result.err);
  fct_assert_base_empty(world, "on return");
}

Test(deaths, a_signal_to_filecleanup_run_reaches_the_program) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job =
      FCT_START(world, .mode = FCT_RUN,
                .script = "trap 'echo caught; exit 8' TERM; echo x > base/x; while :; do sleep 0.02; done");
  cr_assert(fct_wait_exists(world, "base/x"));
  kill(fct_job_pid(job), SIGTERM);
  struct fct_result result = fct_finish(job);
  cr_expect_eq(result.status, 8);
  cr_expect_str_eq(result.out, "caught\n");
  cr_expect(fct_wait_no_members(world) && fct_wait_no_guardian(world));
  fct_assert_base_empty(world, "on return");
}

Test(deaths, no_guardian_is_left_over) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = FCT_START(world, .mode = FCT_RUN, .script = "echo x > base/x; $PROBES/await go");
  cr_assert(fct_wait_exists(world, "base/x"));
  cr_expect(fct_guardian(world), "there is no guardian");
  fct_write(world, "go", "");
  cr_expect_eq(fct_finish(job).status, 0);
  cr_expect(fct_wait_no_guardian(world), "guardian %d still runs", (int)fct_guardian(world));
}

Test(deaths, no_session_file_is_left_over) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_result during = FCT_EXECUTE(
        world, .mode = *mode, .script = "echo x > base/x; find $FILECLEANUP_STATE_DIR -name 'session-*' | wc -l");
    cr_expect_str_eq(during.out, "1\n", "%s: session files while it runs: %s", fct_mode_name(*mode), during.out);
    cr_expect(fct_wait_no_guardian(world));
    struct fct_result after = FCT_EXECUTE(world, .script = "find $FILECLEANUP_STATE_DIR -name 'session-*'");
    cr_expect_str_eq(after.out, "", "%s: left: %s", fct_mode_name(*mode), after.out);
  }
}

Test(deaths, a_vfork_child_of_a_fork_child_does_not_leave_for_its_parent) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_result result =
        FCT_EXECUTE(world, .mode = *mode, .argv = FCT_LIST(PROBE("vforkdaemon"), "base/f", "result"));
    cr_expect_eq(result.status, 0);
    cr_assert(fct_wait_exists(world, "result"));
    cr_assert(fct_wait_no_members(world) && fct_wait_no_guardian(world));
    cr_expect_str_eq(fct_read(world, "result"), "kept", "%s", fct_mode_name(*mode));
    fct_assert_base_empty(world, fct_mode_name(*mode));
  }
}

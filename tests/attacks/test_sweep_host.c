/* A host that has our thread in it, and does what hosts do with threads, signals, descriptors and users. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "../harness/harness.h"
#include "../harness/harness_live.h"
#include "turn.h"

TestSuite(sweep_host, .fini = fct_teardown, .timeout = 120);

#define OFTEN "FILECLEANUP_TTL=300ms", "FILECLEANUP_INTERVAL=1s"
#define PROBE FC_BUILD_DIR "/probes/sweep_host"

static void pause_ms(long ms) {
  struct timespec span = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
  nanosleep(&span, NULL);
}

static struct fct_world *run_probe(const char *how) {
  struct fct_world *world = fct_world_new();
  cr_assert(chmod(world->base, 01777) == 0);
  const struct fct_result result = FCT_EXECUTE(world, .mode = FCT_BARE, .argv = FCT_LIST(PROBE, how, world->base),
                                               .env = FCT_LIST(OFTEN), .limit_s = 60);
  cr_expect_eq(result.status, 0, "%s: status %d", how, result.status);
  cr_expect_str_eq(result.out, "", "%s: %s", how, result.out);
  if (result.err[0]) fprintf(stderr, "%s", result.err);
  return world;
}

static void expect_clean(const char *how) {
  struct fct_world *world = run_probe(how);
  fct_assert_base_empty(world, how);
}

Test(sweep_host, no_handler_runs_in_the_sweeper_and_no_signal_is_ours) { expect_clean("signals"); }
Test(sweep_host, a_host_whose_main_thread_ends_first_ends) { expect_clean("mainexit"); }
Test(sweep_host, a_host_whose_main_thread_ends_by_its_number_ends) {
  fct_next_start(run_probe("rawexit"), FCT_BARE); /* it ends as one that was killed, and the next start cleans up */
}
Test(sweep_host, descriptors_that_are_closed_and_replaced_are_the_hosts) { expect_clean("fds"); }
Test(sweep_host, eight_descriptors_are_enough) { expect_clean("limit"); }
Test(sweep_host, an_exec_in_the_middle_of_a_pass_loses_nothing) { expect_clean("exec"); }
Test(sweep_host, the_start_of_the_thread_leaves_errno_alone) { expect_clean("errno"); }
Test(sweep_host, nothing_starts_in_a_process_that_has_made_nothing) { expect_clean("quiet"); }
Test(sweep_host, a_thread_with_a_blocked_signal_starts_it_where_no_handler_can_be) { expect_clean("mask"); }

Test(sweep_host, setuid_takes_the_sweeper_along_and_does_not_hang) {
  fct_need_root();
  fct_need_build_for(65534);
  run_probe("setuid"); /* root's files are not nobody's to remove: the next start of root does it */
}

Test(sweep_host, where_no_thread_can_be_made_nobody_notices) {
  fct_need_root();
  fct_need_build_for(65534);
  run_probe("nothread");
}

Test(sweep_host, a_fork_child_sweeps_when_its_parent_has_gone) {
  struct fct_world *world = run_probe("fork");
  for (int i = 0; i < 3 && !fct_exists(world, "verdict"); i++) (void)fct_wait_exists(world, "verdict");
  cr_assert(fct_exists(world, "verdict"), "the child did not end");
  cr_expect_str_eq(fct_read(world, "verdict"), "0\n");
  cr_expect(fct_wait_no_members(world));
  fct_assert_base_empty(world, "fork");
}

Test(sweep_host, a_user_namespace_can_be_made_as_without_us) {
  fct_need("unshare");
  struct fct_world *world = fct_world_new();
  const struct fct_result plain = FCT_EXECUTE(world, .mode = FCT_PLAIN, .argv = FCT_LIST("unshare", "-U", "true"));
  const struct fct_result bare =
      FCT_EXECUTE(world, .mode = FCT_BARE, .argv = FCT_LIST("unshare", "-U", "true"), .env = FCT_LIST(OFTEN));
  cr_expect_eq(plain.status, bare.status);
  cr_expect_str_eq(plain.err, bare.err);
}

/* What a thread sleeps or waits must not be waited for. */
Test(sweep_host, the_thread_stops_within_a_second_at_the_exit) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = fct_hold(world, FCT_BARE, FCT_LIST("TTL=10min", "INTERVAL=1h"), "echo f > base/f");
  cr_expect_eq(fct_threads(fct_job_pid(job)), 2, "there is no thread to stop");
  struct timespec before, after;
  clock_gettime(CLOCK_MONOTONIC, &before);
  fct_release(world, job);
  clock_gettime(CLOCK_MONOTONIC, &after);
  const double seconds = (double)(after.tv_sec - before.tv_sec) + 1e-9 * (double)(after.tv_nsec - before.tv_nsec);
  cr_expect_lt(seconds, 2.5, "it took %.3f s to end", seconds); /* the stop gives up after five */
  fprintf(stderr, "sweep host: ended in %.3f s\n", seconds);
}

Test(sweep_host, with_a_guardian_there_is_one_thread_in_the_host) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = fct_hold(world, FCT_RUN, FCT_LIST("TTL=1s", "INTERVAL=1s"), "echo f > base/f");
  cr_expect(fct_wait_gone(world, "base/f"));
  cr_expect_eq(fct_threads(fct_job_pid(job)), 1);
  fct_release(world, job);
  world = fct_world_new();
  job = fct_hold(world, FCT_BARE, FCT_LIST("TTL=1s", "INTERVAL=1s", "GUARDIAN=1"), "echo f > base/f");
  cr_expect(fct_wait_gone(world, "base/f"));
  cr_expect_eq(fct_threads(fct_job_pid(job)), 1);
  fct_release(world, job);
  cr_expect(fct_wait_no_guardian(world));
}

/* A sweeper that was killed in the middle: its role is free, its locks are gone, another takes over. */
Test(sweep_host, another_process_sweeps_when_the_one_that_did_was_killed) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job =
      FCT_START(world, .mode = FCT_BARE, .env = FCT_LIST(OFTEN),
                .argv = FCT_LIST(FC_BUILD_DIR "/probes/leaker", "prefork", world->base, fct_path(world, "stop")));
  cr_assert(fct_wait_exists(world, "base/leak-30"));
  pid_t pids[8], sweeper = 0;
  const size_t count = fct_members(world, pids, 8);
  for (size_t i = 0; i < count; i++)
    if (fct_threads(pids[i]) > 1) sweeper = pids[i];
  cr_assert_neq(sweeper, 0, "nobody sweeps");
  cr_expect_neq(sweeper, fct_job_pid(job), "the server itself has made nothing");
  kill(sweeper, SIGKILL);
  pause_ms(1500);
  pid_t next = 0;
  for (int i = 0; i < 100 && !next; i++, pause_ms(50)) {
    const size_t left = fct_members(world, pids, 8);
    for (size_t k = 0; k < left; k++)
      if (pids[k] != sweeper && fct_threads(pids[k]) > 1) next = pids[k];
  }
  cr_expect_neq(next, 0, "nobody sweeps any more");
  fct_write(world, "stop", "");
  cr_expect_eq(fct_finish(job).status, 0);
  cr_expect(fct_wait_no_members(world));
  fct_assert_base_empty(world, "at the end");
}

/* How long a host takes to end whose sweeper waits for its turn, which somebody has who does not go on. */
static int64_t end_without_a_turn(const char *budget) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job =
      fct_hold(world, FCT_BARE, FCT_LIST("TTL=300ms", "INTERVAL=1s", fct_format("EXIT_BUDGET=%s", budget)),
               "echo f > base/f; exec 9> base/open");
  struct fct_live *live = fct_live_open(world);
  cr_assert(fc_turn_take(live->fd, FC_INFINITY_NS));
  pause_ms(2000); /* by now a pass is due */
  const int64_t from = fc_sys_boottime();
  fct_release(world, job);
  const int64_t took = fc_sys_boottime() - from;
  cr_expect(fct_exists(world, "base/f"), "it was not waiting");
  fc_turn_give(live->fd);
  fct_next_start(world, FCT_BARE);
  fct_assert_base_empty(world, "after the next start");
  return took;
}

Test(sweep_host, a_sweeper_that_waits_for_its_turn_delays_an_exit_by_no_more_than_the_budget) {
  const int64_t with_little = end_without_a_turn("100ms");
  const int64_t with_much = end_without_a_turn("3s");
  cr_expect_lt(2 * with_little, with_much, "%lld and %lld ms", (long long)(with_little / 1000000),
               (long long)(with_much / 1000000));
}

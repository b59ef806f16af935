/* No step of the wall clock ages anything: the passes here see a clock that is a year off, the files do not. */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../harness/harness_attack.h"

TestSuite(sweep_clock, .fini = fct_teardown, .timeout = 60);

#define YEAR_S (365 * 24 * 3600L)

static atomic_long offset_s;
static atomic_bool fakes_all; /* as libfaketime does, the clock that nobody can set too */

/* In place of libc's, for all that is linked into this test. */
int clock_gettime(clockid_t clock, struct timespec *out) {
  const int rc = (int)syscall(SYS_clock_gettime, clock, out);
  if (rc == 0 && (clock == CLOCK_REALTIME || atomic_load(&fakes_all))) out->tv_sec += atomic_load(&offset_s);
  return rc;
}

static void expect_spared_by_a_clock_that_is_off(long offset, const char *age_by) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = fct_hold(world, FCT_BARE, FCT_LIST("PERIODIC=0", "TTL=1h", fct_format("AGE_BY=%s", age_by)),
                                 "echo f > base/f; echo p > base/p; chmod 600 base/p; mkdir base/d");
  struct fct_live *live = fct_live_open(world);
  atomic_store(&offset_s, offset);
  unsigned long long wrong = 0;
  for (int round = 1; round <= 10; round++) {
    const struct fc_sweep_result result = fct_pass(live);
    wrong += result.reaped.files + result.reaped.dirs;
    cr_expect_eq(result.reaped.files + result.reaped.dirs, 0, "by %s, %ld years off: something went in round %d",
                 age_by, offset / YEAR_S, round);
    cr_expect_leq(result.next_due_ns, fc_sys_boottime() + INT64_C(3600000000000), "nobody would look again in time");
  }
  atomic_store(&offset_s, 0);
  cr_expect_eq(fct_count(world, "base"), 3);
  fct_release(world, job);
  fct_assert_base_empty(world, "at the end");
  fct_attack_row(fct_format("%s %ld year off, age by %s", atomic_load(&fakes_all) ? "every clock" : "wall clock",
                            offset / YEAR_S, age_by),
                 10, wrong, fct_count(world, "base"), NULL);
}

Test(sweep_clock, a_year_ahead_nothing_fresh_goes) { expect_spared_by_a_clock_that_is_off(YEAR_S, "newest"); }
Test(sweep_clock, a_year_behind_nothing_fresh_goes) { expect_spared_by_a_clock_that_is_off(-YEAR_S, "newest"); }
Test(sweep_clock, a_year_ahead_nothing_fresh_goes_by_mtime) { expect_spared_by_a_clock_that_is_off(YEAR_S, "mtime"); }
Test(sweep_clock, a_year_behind_nothing_fresh_goes_by_mtime) { expect_spared_by_a_clock_that_is_off(-YEAR_S, "mtime"); }

Test(sweep_clock, a_preload_that_fakes_every_clock_ages_nothing) {
  atomic_store(&fakes_all, true);
  expect_spared_by_a_clock_that_is_off(YEAR_S, "newest");
  expect_spared_by_a_clock_that_is_off(YEAR_S, "mtime");
}

/* So that the others can fail: the wrong clock is seen, and what is old goes by the right one. */
Test(sweep_clock, what_is_old_goes_whatever_the_clock_has_said_before) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = fct_hold(world, FCT_BARE, FCT_LIST("PERIODIC=0", "TTL=1h", "AGE_BY=mtime"),
                                 "echo f > base/f; touch -d '2 hours ago' base/f");
  struct fct_live *live = fct_live_open(world);
  atomic_store(&offset_s, -YEAR_S);
  cr_expect_eq(fct_pass(live).reaped.files, 0, "written in the future of this clock, and old");
  atomic_store(&offset_s, 0);
  cr_expect_eq(fct_pass(live).reaped.files, 1);
  fct_release(world, job);
}

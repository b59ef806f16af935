/* A sweeper that was killed leaves something in the quarantine: the next pass gives it back wherever it can, the end
 * removes what is ours, and nothing stays there. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../harness/harness.h"
#include "../harness/harness_live.h"

TestSuite(sweep_recovery, .fini = fct_teardown, .timeout = 60);

/* Does what a pass does up to the moment when it is killed: record, quarantine, rename. */
static void capture_and_die(const struct fct_world *world, const struct fct_live *live, const char *path) {
  struct fc_journal journal = {0};
  cr_assert_eq(fc_session_map(live->fd, &live->header, &journal), 0);
  struct fc_identity identity;
  struct statx st;
  const char *name = fct_path(world, fct_format("base/%s", path));
  cr_assert_eq(fc_identity_take(AT_FDCWD, name, live->header.with_handle != 0, &identity, &st), 0);
  const struct fc_record record = {.type = FC_REC_CAPTURE,
                                   .pid = 1,
                                   .time_ns = fc_journal_now(),
                                   .identity = &identity,
                                   .path = {NULL, 0, path, strlen(path)}};
  const int64_t slot = fc_journal_append(&journal, &record);
  cr_assert_geq(slot, 0);
  const char *quarantine = fct_path(world, fct_format("base/" FC_QUARANTINE_PREFIX "%s", live->header.id));
  cr_assert(mkdir(quarantine, 0700) == 0 || errno == EEXIST);
  cr_assert(rename(name, fct_format("%s/%08x", quarantine, (unsigned)slot)) == 0, "%s", strerror(errno));
}

static void expect_no_quarantine(const struct fct_world *world, const struct fct_live *live) {
  cr_expect(!fct_exists(world, fct_format("base/" FC_QUARANTINE_PREFIX "%s", live->header.id)), "a quarantine is left");
}

#define HOST                                                                                                           \
  struct fct_world *world = fct_world_new();                                                                           \
  struct fct_job *job = fct_hold(world, FCT_BARE, FCT_LIST("PERIODIC=0", "TTL=1h"),                                    \
                                 "echo a > base/a; mkdir base/d; echo f > base/d/f; mkdir base/d/e");                  \
  struct fct_live *live = fct_live_open(world)

Test(sweep_recovery, the_next_pass_gives_it_back) {
  HOST;
  capture_and_die(world, live, "d/f");
  capture_and_die(world, live, "d/e");
  capture_and_die(world, live, "a");
  fct_pass(live);
  cr_expect_str_eq(fct_read(world, "base/d/f"), "f\n");
  cr_expect_str_eq(fct_read(world, "base/a"), "a\n");
  cr_expect(fct_exists(world, "base/d/e"));
  expect_no_quarantine(world, live);
  fct_release(world, job);
  fct_assert_base_empty(world, "at the end");
}

Test(sweep_recovery, the_end_removes_what_is_ours) {
  HOST;
  capture_and_die(world, live, "d/f");
  capture_and_die(world, live, "a");
  fct_release(world, job);
  fct_assert_base_empty(world, "at the end");
}

Test(sweep_recovery, what_has_a_name_again_is_given_back_beside_it) {
  HOST;
  capture_and_die(world, live, "a");
  fct_write(world, "base/a", "somebody's\n");
  fct_pass(live);
  cr_expect_str_eq(fct_read(world, "base/a"), "somebody's\n");
  cr_expect_str_eq(fct_read(world, "base/a.filecleanup-restored.1"), "a\n");
  expect_no_quarantine(world, live);
  fct_release(world, job);
  cr_expect_str_eq(fct_read(world, "base/a"), "somebody's\n");
}

Test(sweep_recovery, what_has_lost_its_directory_is_given_back_to_the_base) {
  HOST;
  capture_and_die(world, live, "d/f");
  cr_assert(rename(fct_path(world, "base/d"), fct_path(world, "saved")) == 0);
  fct_pass(live);
  cr_expect(fct_exists(world, "base/f"), "it is nowhere to be found");
  expect_no_quarantine(world, live);
  fct_release(world, job);
  expect_no_quarantine(world, live);
}

/* Without a record nothing says what it is. */
Test(sweep_recovery, what_has_no_record_is_given_back) {
  HOST;
  const char *quarantine = fct_format("base/" FC_QUARANTINE_PREFIX "%s", live->header.id);
  cr_assert(mkdir(fct_path(world, quarantine), 0700) == 0);
  fct_write(world, fct_format("%s/strange", quarantine), "strange\n");
  fct_write(world, fct_format("%s/00000001", quarantine), "stranger\n");
  fct_pass(live);
  cr_expect_str_eq(fct_read(world, "base/strange"), "strange\n");
  cr_expect_str_eq(fct_read(world, "base/00000001"), "stranger\n");
  expect_no_quarantine(world, live);
  fct_release(world, job);
  cr_expect_eq(fct_count(world, "base"), 2);
}

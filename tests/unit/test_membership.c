/* A member's lock and its journal are one mapping: while it is a member nobody gets the lock, and when it has left, the
 * lock is free and the journal still takes records. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

#include "journal_world.h"

TestSuite(membership, .timeout = 60);

static struct journal_world world;
static struct fc_session member;

/* A second member in this process, and the one that made the session gone. */
static void setup(void) {
  char token[2 * PATH_MAX];
  journal_world_begin(&world);
  const size_t len = fc_session_token(&world.session, token, sizeof token);
  cr_assert_gt(len, 0);
  cr_assert_eq(fc_session_join(&member, token, len, "test"), 0);
  fc_session_unlock(&world.session);
}

static void teardown(void) { journal_world_end(&world); }

static int lock_state(void) {
  const int fd = journal_world_fd(&world);
  const int state = fc_session_probe(fd, FC_BYTE_MEMBERS);
  close(fd);
  return state;
}

static int64_t record(struct fc_session *session) {
  const struct fc_record outside = {.type = FC_REC_OUTSIDE, .pid = 1, .time_ns = 1};
  return fc_journal_append(&session->journal, &outside);
}

static void expect_that_leaving_frees_the_lock_and_keeps_the_journal(void) {
  cr_assert_eq(lock_state(), F_RDLCK, "the mapping does not hold the lock");
  const int fd = fc_session_leave(&member);
  cr_assert_geq(fd, 0);
  cr_expect_eq(fc_session_probe(fd, FC_BYTE_MEMBERS), F_UNLCK);
  close(fd);
  const uint32_t before = world.session.journal.words->next;
  cr_expect_geq(record(&member), 0);
  cr_expect_eq(world.session.journal.words->next, before + 1, "what is recorded after leaving is not in the file");
}

Test(membership, leaving_frees_the_lock_and_keeps_the_journal, .init = setup, .fini = teardown) {
  expect_that_leaving_frees_the_lock_and_keeps_the_journal();
}

Test(membership, leaving_frees_the_lock_of_larger_windows_too, .init = setup, .fini = teardown) {
  const uint32_t beyond[] = {1u << 16, 1u << 20, 1u << 22};
  for (size_t i = 0; i < sizeof beyond / sizeof beyond[0]; i++) {
    member.journal.words->next = beyond[i];
    cr_assert_geq(record(&member), 0);
  }
  unsigned windows = 0;
  for (unsigned i = 0; i < FC_WINDOWS; i++) windows += member.journal.windows[i] != NULL;
  cr_assert_geq(windows, 2, "the test needs larger windows");
  expect_that_leaving_frees_the_lock_and_keeps_the_journal();
}

Test(membership, a_member_that_cannot_open_the_file_keeps_the_lock_until_it_is_gone, .init = setup, .fini = teardown) {
  const int fd = journal_world_fd(&world);
  char elsewhere[PATH_MAX + 8];
  (void)snprintf(elsewhere, sizeof elsewhere, "%s.moved", fc_session_path(&member));
  cr_assert_eq(rename(fc_session_path(&member), elsewhere), 0);
  cr_expect_lt(fc_session_leave(&member), 0);
  cr_expect_eq(fc_session_probe(fd, FC_BYTE_MEMBERS), F_RDLCK);
  cr_expect_geq(record(&member), 0);
  close(fd);
}

Test(membership, a_joiner_of_a_long_journal_begins_with_the_window_that_it_needs, .init = setup, .fini = teardown) {
  char token[2 * PATH_MAX];
  static struct fc_session later;
  world.session.journal.words->next = 1u << 20;
  const size_t len = fc_session_token(&world.session, token, sizeof token);
  cr_assert_eq(fc_session_join(&later, token, len, "later"), 0);
  cr_expect_gt(later.journal.first_bytes, (size_t)(1u << 20) * FC_CELL_BYTES);
  cr_expect_gt(later.journal.words->next, 1u << 20, "no JOIN was written");
  cr_expect_null(later.journal.windows[2]);
  close(fc_session_leave(&member));
  member = later;
  expect_that_leaving_frees_the_lock_and_keeps_the_journal();
}

/* The end of a session, by what its journal still proves. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ending.h"
#include "journal_world.h"

TestSuite(ending, .timeout = 60);

static struct journal_world world;

static void begin(void) { journal_world_begin(&world); }
static void teardown(void) { journal_world_end(&world); }

/* Ends the session as if it had been begun in this boot, or in another one. */
static enum fc_end_outcome end(bool other_boot, struct fc_reap_result *result) {
  static struct fc_session_header header;
  char dir[PATH_MAX];
  (void)snprintf(dir, sizeof dir, "%s", world.session.header->path);
  char *slash = strrchr(dir, '/');
  *slash = '\0';
  const int dirfd = open(dir, O_RDONLY | O_DIRECTORY);
  const int fd = journal_world_fd(&world);
  cr_assert(dirfd >= 0 && fd >= 0);
  cr_assert_eq(pread(fd, &header, sizeof header, 0), (ssize_t)sizeof header);
  if (other_boot) header.boot_id[0] ^= 1;
  header.check = fc_session_check(&header);
  fc_session_unlock(&world.session);
  cr_assert_geq(fc_sys_lock(fd, FC_F_OFD_SETLK, F_WRLCK, FC_BYTE_MEMBERS, NULL), 0);
  const enum fc_end_outcome outcome = fc_ending_run(dirfd, slash + 1, fd, &header, FC_INFINITY_NS, NULL, result);
  close(fd);
  close(dirfd);
  return outcome;
}

static void write_with_a_hole(void) {
  cr_assert_geq(world_create(&world, WORLD_DEAD_PID, "before", 10, false), 0);
  world.session.journal.words->next += 2; /* a page that did not reach the disk, or a writer that was killed */
  cr_assert_geq(world_create(&world, WORLD_DEAD_PID, "behind", 11, false), 0);
}

Test(ending, a_hole_among_the_records_is_a_killed_writer, .init = begin, .fini = teardown) {
  struct fc_reap_result result;
  write_with_a_hole();
  cr_expect_eq(end(false, &result), FC_END_DONE);
  cr_expect_not(result.damaged);
}

Test(ending, a_hole_among_the_records_of_another_boot_is_damage, .init = begin, .fini = teardown) {
  struct fc_reap_result result;
  write_with_a_hole();
  cr_expect_eq(end(true, &result), FC_END_CLOSED);
  cr_expect(result.damaged);
}

Test(ending, records_of_another_boot_without_a_hole_are_no_damage, .init = begin, .fini = teardown) {
  struct fc_reap_result result;
  cr_assert_geq(world_create(&world, WORLD_DEAD_PID, "before", 10, false), 0);
  cr_expect_neq(end(true, &result), FC_END_CLOSED);
  cr_expect_not(result.damaged);
}

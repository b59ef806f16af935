/* ownership: the rules N1, N2 and N5 by records alone. */
#include <criterion/criterion.h>

#include "journal_world.h"

static struct journal_world world;
static struct fc_registry registry;

static void begin(void) { journal_world_begin(&world); }
static void end(void) {
  fc_registry_free(&registry);
  journal_world_end(&world);
}
static void replay(void) {
  const int fd = journal_world_fd(&world);
  cr_assert_eq(journal_world_replay(&world, fd, &registry), 0);
}

TestSuite(ownership, .init = begin, .fini = end);

Test(ownership, a_created_name_is_tracked) {
  world_create(&world, 1, "f", 10, false);
  replay();
  cr_expect(world_tracked(&registry, "f"));
}

Test(ownership, a_name_that_the_session_removed_first_is_the_users) {
  world_unlink_user(&world, 1, "f", 0, false);
  world_create(&world, 1, "f", 10, false);
  replay();
  cr_expect_not(world_tracked(&registry, "f"));
}

Test(ownership, a_removal_without_result_counts_as_done) {
  world_unlink_user(&world, 1, "f", 0, true);
  world_create(&world, 1, "f", 10, false);
  replay();
  cr_expect_not(world_tracked(&registry, "f"));
}

Test(ownership, a_name_of_our_own_can_be_made_anew) {
  world_create(&world, 1, "f", 10, false);
  world_unlink_own(&world, 1, "f", 10);
  world_create(&world, 1, "f", 11, false);
  replay();
  cr_expect(world_tracked(&registry, "f"));
}

Test(ownership, removing_the_users_data_untracks_what_the_process_made_before) {
  world_create(&world, 1, "d/copy", 10, false);
  world_create(&world, 2, "d2/other", 11, false);
  world_unlink_user(&world, 1, "e/f", 1, false);
  world_create(&world, 1, "d/later", 12, false);
  replay();
  cr_expect_not(world_tracked(&registry, "d/copy"));
  cr_expect(world_tracked(&registry, "d2/other"), "another process, another directory");
  cr_expect(world_tracked(&registry, "d/later"), "judged afresh");
}

Test(ownership, removing_the_users_data_untracks_the_directory_and_those_above) {
  world_create(&world, 1, "logs.tgz", 10, false);
  world_create(&world, 1, "logs/copy", 11, false);
  world_create(&world, 1, "x/elsewhere", 12, false);
  world_unlink_user(&world, 2, "logs/f", 1, false);
  replay();
  cr_expect_not(world_tracked(&registry, "logs.tgz"));
  cr_expect_not(world_tracked(&registry, "logs/copy"));
  cr_expect(world_tracked(&registry, "x/elsewhere"));
}

Test(ownership, removing_an_empty_file_of_the_users_moves_no_data) {
  world_create(&world, 1, "g", 10, false);
  world_unlink_user(&world, 1, "lock", 0, false);
  replay();
  cr_expect(world_tracked(&registry, "g"));
}

Test(ownership, a_rename_takes_the_children_along) {
  world_create(&world, 1, "d", 10, true);
  world_create(&world, 1, "d/f", 11, false);
  world_rename_new(&world, 1, "d", 10, "e");
  replay();
  cr_expect(world_tracked(&registry, "e"));
  cr_expect(world_tracked(&registry, "e/f"));
  cr_expect_not(world_tracked(&registry, "d/f"));
}

Test(ownership, a_rename_over_the_users_file_untracks) {
  world_create(&world, 1, "new", 10, false);
  world_rename_onto(&world, 1, "new", 10, "f", 0);
  replay();
  cr_expect_not(world_tracked(&registry, "f"));
}

Test(ownership, a_rename_over_our_own_file_stays_tracked) {
  world_create(&world, 1, "f", 9, false);
  world_create(&world, 1, "new", 10, false);
  world_rename_onto(&world, 1, "new", 10, "f", 9);
  replay();
  cr_expect(world_tracked(&registry, "f"));
}

Test(ownership, a_rename_onto_a_reserved_name_untracks) {
  world_unlink_user(&world, 1, "f", 0, false);
  world_create(&world, 1, "new", 10, false);
  world_rename_new(&world, 1, "new", 10, "f");
  replay();
  cr_expect_not(world_tracked(&registry, "f"));
}

Test(ownership, removing_what_an_outsider_put_in_our_place_is_removing_the_users) {
  world_create(&world, 1, "f", 10, false);
  world_create(&world, 1, "f.gz", 11, false);
  world_unlink_own(&world, 1, "f", 12); /* another object by then */
  world_create(&world, 1, "f", 13, false);
  replay();
  cr_expect_not(world_tracked(&registry, "f.gz"));
  cr_expect_not(world_tracked(&registry, "f"));
}

/* ---- why: told to people, decides nothing ---- */

static int why(const char *path) {
  const struct fc_node *node = fc_registry_find(&registry, path, false);
  return node ? node->why : -1;
}

Test(ownership, a_name_that_was_made_anew_tells_that_it_replaces) {
  world_unlink_user(&world, 1, "f", 0, false);
  world_create(&world, 1, "f", 10, false);
  replay();
  cr_expect_eq(why("f"), FC_WHY_REPLACES);
}

Test(ownership, a_name_of_the_users_that_was_removed_tells_that_it_is_reserved) {
  world_unlink_user(&world, 1, "f", 0, false);
  replay();
  cr_expect_eq(why("f"), FC_WHY_RESERVED);
}

Test(ownership, a_name_of_our_own_that_was_removed_tells_so) {
  world_create(&world, 1, "f", 10, false);
  world_unlink_own(&world, 1, "f", 10);
  replay();
  cr_expect_eq(why("f"), FC_WHY_REMOVED);
}

Test(ownership, what_was_made_before_data_moved_and_renamed_then_tells_so) {
  world_create(&world, 1, "d/copy", 10, false);
  world_unlink_user(&world, 1, "e/f", 1, false);
  world_rename_new(&world, 1, "d/copy", 10, "d/copy2");
  replay();
  cr_expect_not(world_tracked(&registry, "d/copy2"));
  cr_expect_eq(why("d/copy2"), FC_WHY_DATA_MOVED);
}

Test(ownership, what_was_renamed_over_the_users_file_tells_that_it_replaces) {
  world_create(&world, 1, "new", 10, false);
  world_rename_onto(&world, 1, "new", 10, "f", 0);
  replay();
  cr_expect_eq(why("f"), FC_WHY_REPLACES);
}

Test(ownership, what_the_user_had_and_was_renamed_tells_so) {
  world_rename_new(&world, 1, "theirs", 10, "f");
  replay();
  cr_expect_eq(why("f"), FC_WHY_USERS);
  cr_expect_eq(why("theirs"), FC_WHY_RESERVED);
}

Test(ownership, what_goes_with_a_directory_onto_the_users_name_tells_so) {
  world_unlink_user(&world, 1, "e", 0, false);
  world_create(&world, 1, "d", 10, true);
  world_create(&world, 1, "d/f", 11, false);
  world_rename_new(&world, 1, "d", 10, "e");
  replay();
  cr_expect_not(world_tracked(&registry, "e/f"));
  cr_expect_eq(why("e"), FC_WHY_REPLACES);
  cr_expect_eq(why("e/f"), FC_WHY_DIRECTORY);
}

Test(ownership, what_somebody_asked_to_untrack_tells_so_with_what_is_in_it) {
  world_create(&world, 1, "d", 10, true);
  world_create(&world, 1, "d/f", 11, false);
  const struct fc_record asked = {.type = FC_REC_UNTRACK, .pid = 9, .path = {NULL, 0, "d", 1}};
  cr_assert_geq(fc_journal_append(&world.session.journal, &asked), 0);
  replay();
  cr_expect_eq(why("d"), FC_WHY_ASKED);
  cr_expect_eq(why("d/f"), FC_WHY_ASKED);
}

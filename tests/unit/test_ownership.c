/* ownership: the rules N1, N2 and N5 by records alone. */
#include <criterion/criterion.h>
#include <limits.h>
#include <string.h>

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

/* Found by fuzzing: such a leaf overran a buffer of NAME_MAX when it was exchanged. */
Test(ownership, a_record_of_a_name_longer_than_any_can_be_makes_no_such_node) {
  char name[400];
  memset(name, 'n', sizeof name - 1);
  name[sizeof name - 1] = '\0';
  world_create(&world, 1, "f", 10, false);
  world_rename_new(&world, 1, "f", 10, name);
  replay();
  for (struct fc_node *n = fc_registry_postorder(&registry.root, NULL); n; n = fc_registry_postorder(&registry.root, n))
    cr_expect_leq(n->leaf_len, NAME_MAX);
  cr_expect_not(world_tracked(&registry, "f"), "it was renamed, who knows where to");
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

/* Found by the model test: with TRACK=all nothing else spared it. */
Test(ownership, what_comes_into_a_kept_directory_is_kept_too) {
  const struct fc_record asked = {.type = FC_REC_KEEP, .pid = 9, .path = {NULL, 0, "d", 1}};
  cr_assert_geq(fc_journal_append(&world.session.journal, &asked), 0);
  world_create(&world, 1, "before", 9, false);
  world_create(&world, 1, "d/e", 10, true);
  world_create(&world, 1, "d/e/f", 11, false);
  world_rename_new(&world, 1, "before", 9, "d/brought");
  world_create(&world, 1, "other", 12, false);
  replay();
  cr_expect_not(world_tracked(&registry, "d/e"));
  cr_expect_not(world_tracked(&registry, "d/e/f"));
  cr_expect_not(world_tracked(&registry, "d/brought"));
  cr_expect(world_tracked(&registry, "other"));
}

/* Found by the model test: what was spared for the directory above it was deleted at its new place. */
Test(ownership, what_was_made_in_the_users_tree_stays_his_when_it_is_moved_out_of_it) {
  world_rename_onto(&world, 1, "u", 999, "v", 0);
  world_create(&world, 1, "v/w/made", 10, true);
  world_create(&world, 1, "v/w/made/f", 11, false);
  world_create(&world, 1, "v/x/f", 12, false);
  world_rename_new(&world, 1, "v/w/made", 10, "published");
  world_rename_new(&world, 1, "v/x", 998, "x");
  replay();
  cr_expect_not(world_tracked(&registry, "published"));
  cr_expect_not(world_tracked(&registry, "published/f"));
  cr_expect_not(world_tracked(&registry, "x/f"));
}

/* ---- TRACK: the owner's word ---- */

static int64_t world_track(const char *path, unsigned ino, unsigned flags, int64_t since_s) {
  const struct fc_identity identity = world_identity(ino);
  const struct fc_identity since = {.birth_s = since_s};
  const struct fc_object info = {.identity = since};
  const bool with_info = ino && (flags & FC_REC_TREE);
  const struct fc_record record = {.type = FC_REC_TRACK,
                                   .flags = flags | (with_info ? FC_REC_INFO : 0u),
                                   .pid = 1,
                                   .identity = ino ? &identity : &since,
                                   .info = with_info ? &info : NULL,
                                   .path = {NULL, 0, path, strlen(path)}};
  const int64_t index = fc_journal_append(&world.session.journal, &record);
  cr_assert_geq(index, 0);
  return index;
}

static const struct fc_node *node_of(const char *path) {
  const struct fc_node *node = fc_registry_find(&registry, path, false);
  cr_assert_not_null(node);
  return node;
}

Test(ownership, what_the_owner_asks_for_needs_no_other_rule) {
  world_track("d/f", 10, 0, 0);
  world_unlink_user(&world, 1, "d/data", 1, false); /* N2 would spare what was made before */
  replay();
  cr_expect(world_tracked(&registry, "d/f"));
  cr_expect(node_of("d/f")->asked && !node_of("d/f")->expected && !node_of("d/f")->tree);
}

Test(ownership, a_word_that_is_taken_back_in_place_counts_no_more) {
  const int64_t first = world_track("f", 10, 0, 0);
  world_track("g", 11, 0, 0);
  fc_journal_complete(&world.session.journal, first, FC_RESULT_FAILED, NULL);
  replay();
  cr_expect_null(fc_registry_find(&registry, "f", false));
  cr_expect(world_tracked(&registry, "g"));
}

Test(ownership, an_expected_name_knows_since_when_and_is_bound_by_its_capture) {
  const struct fc_identity found = world_identity(20);
  world_track("f", 0, 0, 77);
  world_track("g", 0, 0, 78);
  const struct fc_record capture = {.type = FC_REC_CAPTURE, .pid = 1, .identity = &found, .path = {NULL, 0, "g", 1}};
  cr_assert_geq(fc_journal_append(&world.session.journal, &capture), 0);
  replay();
  cr_expect(node_of("f")->expected);
  cr_expect_eq(node_of("f")->asked_ns, INT64_C(77000000000));
  cr_expect_not(node_of("g")->expected);
  cr_expect(fc_identity_equal(&node_of("g")->identity, &found));
}

Test(ownership, a_tree_knows_since_when_what_is_in_it_counts) {
  world_track("d", 10, FC_REC_DIR | FC_REC_TREE, 99);
  replay();
  cr_expect(node_of("d")->tree && node_of("d")->is_dir && !node_of("d")->expected);
  cr_expect_eq(node_of("d")->asked_ns, INT64_C(99000000000));
}

Test(ownership, words_from_outside_count_for_what_the_owner_asked_for_too) {
  const struct fc_record keep = {.type = FC_REC_KEEP, .pid = 9, .path = {NULL, 0, "d", 1}};
  const struct fc_record untrack = {.type = FC_REC_UNTRACK, .pid = 9, .path = {NULL, 0, "f", 1}};
  world_track("d/f", 10, 0, 0);
  world_track("f", 11, 0, 0);
  world_track("g", 12, 0, 0);
  cr_assert_geq(fc_journal_append(&world.session.journal, &keep), 0);
  cr_assert_geq(fc_journal_append(&world.session.journal, &untrack), 0);
  world_track("d/later", 13, 0, 0); /* kept is kept, whatever is made there */
  replay();
  cr_expect_not(world_tracked(&registry, "d/f"));
  cr_expect_not(world_tracked(&registry, "f"));
  cr_expect(world_tracked(&registry, "g"));
  cr_expect_not(fc_ownership_stands(&registry, node_of("d/later")));
}

Test(ownership, a_name_that_the_session_creates_anew_is_judged_by_the_rules_again) {
  world_track("f", 10, FC_REC_DIR | FC_REC_TREE, 5);
  world_create(&world, 1, "f", 11, false);
  replay();
  cr_expect_not(node_of("f")->asked);
  cr_expect_not(node_of("f")->tree);
}

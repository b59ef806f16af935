/* Hard links: one inode under several names. What goes is a name, never the others.
 *
 * FC_ATTACK_LONG=1: 20,000 links during sweeps instead of 2,000. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../harness/harness_attack.h"

TestSuite(hard_links, .fini = fct_teardown, .timeout = 280);

static void expect_kept(const char *attack, const char *script, const char *const *kept) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    cr_assert_eq(mkdir(fct_path(world, "out"), 0755), 0);
    const struct fct_result result = FCT_EXECUTE(world, .mode = *mode, .script = script);
    cr_expect_eq(result.status, 0, "%s", result.err);
    cr_expect_str_eq(result.err, "");
    cr_expect(fct_wait_no_guardian(world));
    unsigned long long lost = 0;
    for (const char *const *name = kept; *name; name++) {
      const char *text = fct_read(world, *name);
      if (!text || strcmp(text, "published\n") != 0) {
        fprintf(stderr, "lost: %s\n", *name);
        lost++;
      }
    }
    fct_attack_row(fct_format("%s, %s", attack, fct_mode_name(*mode)), 1, lost, fct_count(world, "base"), NULL);
  }
}

Test(hard_links, what_is_published_by_a_link_outside_stays) {
  expect_kept("published by a link outside",
              "echo published > base/t; ln base/t out/f; mkdir base/d; echo published > base/d/t; ln base/d/t out/g",
              FCT_LIST("out/f", "out/g"));
}
Test(hard_links, of_two_tracked_names_of_one_inode_one_is_renamed_out) {
  expect_kept("two tracked names of one inode, one renamed out",
              "echo published > base/t; ln base/t base/u; mv base/u out/f; echo published > base/v; ln base/v base/w; "
              "mv base/v out/g",
              FCT_LIST("out/f", "out/g"));
}
Test(hard_links, a_nameless_file_is_published_by_way_of_a_tracked_name) {
  fct_need("python3");
  expect_kept("O_TMPFILE linked into the base, and from there outside",
              "exec python3 -c 'import os; f = os.open(\"base\", os.O_TMPFILE | os.O_RDWR); os.write(f, "
              "b\"published\\n\"); d = os.open(\"base\", os.O_RDONLY)\nos.link(f\"/proc/self/fd/{f}\", \"t\", "
              "dst_dir_fd=d, follow_symlinks=True); os.link(\"base/t\", \"out/f\")'",
              FCT_LIST("out/f"));
}

/* ---- an outsider links, in a loop ---- */

struct linker {
  const char *victim;
  const char *spare;
  const char *place;
  const char *tracked;
  const char *saved;
};

/* The user's inode comes onto a tracked name as a second name of it, and a tracked inode gets a name of the user's. */
static bool link_across(void *context, uint64_t number) {
  const struct linker *l = context;
  if (number % 2) {
    (void)unlink(l->saved);
    if (link(l->tracked, l->saved) != 0) return false;
    struct stat before, after;
    if (stat(l->saved, &before) != 0) _exit(3);
    usleep((useconds_t)(rand() % 300));
    if (stat(l->saved, &after) != 0 || after.st_ino != before.st_ino || after.st_size < before.st_size) _exit(4);
    return true;
  }
  if (link(l->victim, l->spare) != 0 && errno != EEXIST) return false;
  return rename(l->spare, l->place) == 0;
}

Test(hard_links, an_outsider_links_in_a_loop_during_sweeps) {
  struct fct_world *world = fct_world_new();
  FCT_EXECUTE(world, .mode = FCT_PLAIN, .script = "mkdir home; echo mine > home/v");
  const struct fct_victims *victims = fct_victims_of(fct_path(world, "home"));
  struct linker linker = {fct_path(world, "home/v"), fct_path(world, "spare"), fct_path(world, "base/d/f1"),
                          fct_path(world, "base/d/f2"), fct_path(world, "saved")};
  struct fct_job *job = fct_refill(world, FCT_BARE);
  struct fct_attacker *attacker = fct_attack(link_across, &linker, 0);
  fct_sweep_under_attack(world, attacker, fct_rounds_wanted(2000, 20000));
  const uint64_t rounds = fct_attack_end(attacker);
  fct_refill_end(world, job);
  unsigned long long lost = fct_victims_lost(victims);
  struct stat victim, placed;
  /* The name that the user has given his inode in the base is his too. */
  if (lstat(linker.place, &placed) != 0 || stat(linker.victim, &victim) != 0 || placed.st_ino != victim.st_ino) {
    const struct fct_result beside =
        FCT_EXECUTE(world, .mode = FCT_PLAIN, .script = "find base -samefile home/v | grep .");
    lost += beside.status != 0;
  }
  fct_attack_row("hard links across, in a loop during sweeps", rounds, lost, fct_count(world, "base") - 1,
                 "put back beside a name that had been made anew");
}

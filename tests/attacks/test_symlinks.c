/* Symbolic links: put in the place of the base, of a component, of a tracked directory or file, by an outsider, before
 * an end and in a loop during sweeps; and made by the program itself. None is ever followed to what is somebody else's.
 *
 * FC_ATTACK_LONG=1: 20,000 swaps during sweeps instead of 1,500. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../harness/harness_attack.h"

TestSuite(symlinks, .fini = fct_teardown, .timeout = 290);

/* The same names as those of the session, in all three directories. */
#define VICTIMS                                                                                                        \
  "mkdir -p victims/d victims/a/b/c victims/c links; ln -s ../victims links/base; ln -s ../victims/d links/d\n"        \
  "ln -s ../../victims/a/b links/b; ln -s \"$PWD/victims/f0\" links/f0\n"                                              \
  "for i in 0 1 2 3 4 5 6 7; do for d in victims victims/d victims/a/b/c victims/c; do echo v$i > $d/f$i; done; done"

static struct fct_world *world_with_victims(void) {
  struct fct_world *world = fct_world_new();
  const struct fct_result made = FCT_EXECUTE(world, .mode = FCT_PLAIN, .script = VICTIMS);
  cr_assert_eq(made.status, 0, "%s", made.err);
  return world;
}

/* ---- swapped before the end ---- */

#define MAKE                                                                                                           \
  "mkdir -p base/d base/a/b/c; for i in 0 1 2 3 4 5 6 7; do for d in base base/d base/a/b/c; do echo s > $d/f$i; "     \
  "done; done"

static void swapped_before_the_end(const char *attack, const char *swap, const char *why) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = world_with_victims();
    const struct fct_victims *victims = fct_victims_of(fct_path(world, "victims"));
    struct fct_job *job = fct_hold(world, *mode, FCT_LIST("PERIODIC=0", "TTL=1us", "DIRS=recursive"), MAKE);
    cr_assert_eq(FCT_EXECUTE(world, .mode = FCT_PLAIN, .script = swap).status, 0, "%s", swap);
    struct fct_live *live = fct_live_open(world);
    struct fc_sweep_result result;
    (void)fct_pass_as(live, (struct fc_sweep){.what = FC_SWEEP_EXPIRED}, &result);
    fct_release(world, job);
    cr_expect(fct_wait_no_guardian(world));
    const struct fct_result left = FCT_EXECUTE(world, .mode = FCT_PLAIN, .script = "find aside -type f | wc -l");
    fct_attack_row(fct_format("%s, %s", attack, fct_mode_name(*mode)), 1, fct_victims_lost(victims),
                   strtoull(left.out, NULL, 10), why);
  }
}

#define MOVED "it was moved out of the base"
Test(symlinks, the_base_is_swapped_for_a_link) {
  swapped_before_the_end("base swapped for a link", "mkdir aside; mv base aside/base; mv links/base base", MOVED);
}
Test(symlinks, a_directory_of_ours_is_swapped_for_a_link) {
  swapped_before_the_end("tracked directory swapped for a link",
                         "mkdir aside; mv base/d aside/d; mv links/d base/d; "
                         "ln -sfn \"$PWD/victims/d\" base/d",
                         MOVED);
}
Test(symlinks, a_component_is_swapped_for_a_link) {
  swapped_before_the_end("intermediate component swapped for a link",
                         "mkdir aside; mv base/a/b aside/b; ln -s \"$PWD/victims/a/b\" base/a/b", MOVED);
}
Test(symlinks, a_file_of_ours_is_swapped_for_a_link) {
  swapped_before_the_end("tracked file swapped for a link", "mkdir aside; mv base/f0 aside/f0; mv links/f0 base/f0",
                         MOVED);
}
Test(symlinks, a_parent_of_the_base_is_swapped_for_a_link) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    FCT_EXECUTE(world, .mode = FCT_PLAIN,
                .script = "mkdir -p victims/base/d; echo v > victims/base/d/f; echo v > "
                          "victims/base/f; mkdir up up/base");
    const struct fct_victims *victims = fct_victims_of(fct_path(world, "victims"));
    struct fct_job *job =
        FCT_START(world, .mode = *mode, .base = fct_path(world, "up/base"),
                  .script = "mkdir up/base/d; echo s > up/base/d/f; echo s > up/base/f; : > ready; $PROBES/await go");
    cr_assert(fct_wait_exists(world, "ready"));
    cr_assert_eq(FCT_EXECUTE(world, .mode = FCT_PLAIN, .script = "mv up aside; ln -s victims up").status, 0);
    fct_release(world, job);
    cr_expect(fct_wait_no_guardian(world));
    fct_attack_row(fct_format("parent of the base swapped for a link, %s", fct_mode_name(*mode)), 1,
                   fct_victims_lost(victims), 3, MOVED);
  }
}

/* What was moved out of the base is the mover's, also when a link leads there from its old name: each object is the
 * very one that the session made. */
static void linked_back(const char *attack, const char *script) {
  static const char *const tracks[] = {"TRACK=own", "TRACK=all"}; /* whose ground it is is not asked then */
  for (size_t i = 0; i < 2; i++) {
    for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
      struct fct_world *world = fct_world_new();
      struct fct_job *job =
          fct_hold(world, *mode, FCT_LIST("PERIODIC=0", "TTL=1us", "DIRS=recursive", tracks[i]), MAKE);
      cr_assert_eq(FCT_EXECUTE(world, .mode = FCT_PLAIN, .script = script).status, 0, "%s", script);
      const struct fct_victims *moved = fct_victims_of(fct_path(world, "aside"));
      struct fct_live *live = fct_live_open(world);
      struct fc_sweep_result result;
      (void)fct_pass_as(live, (struct fc_sweep){.what = FC_SWEEP_EXPIRED}, &result);
      fct_release(world, job);
      cr_expect(fct_wait_no_guardian(world));
      fct_attack_row(fct_format("%s, %s, %s", attack, tracks[i], fct_mode_name(*mode)), 1, fct_victims_lost(moved), 0,
                     NULL);
    }
  }
}

Test(symlinks, a_base_that_was_moved_out_and_linked_back_stays) {
  linked_back("base moved away and linked back", "mkdir aside; mv base aside/base; ln -s aside/base base");
}
Test(symlinks, a_directory_that_was_moved_out_and_linked_back_stays) {
  linked_back("tracked directory moved out and linked back", "mkdir aside; mv base/d aside/d; ln -s ../aside/d base/d");
}
Test(symlinks, a_component_that_was_moved_out_and_linked_back_stays) {
  linked_back("component moved out and linked back", "mkdir aside; mv base/a/b aside/b; ln -s ../../aside/b base/a/b");
}

/* ---- swapped in a loop ---- */

struct swap {
  const char *place[4];
  const char *link[4];
  int count;
};

static bool exchange(void *context, uint64_t number) {
  const struct swap *swap = context;
  const int which = (int)(number % (uint64_t)swap->count);
  if (syscall(SYS_renameat2, AT_FDCWD, swap->place[which], AT_FDCWD, swap->link[which], RENAME_EXCHANGE) != 0)
    return false;
  if (number % 5 == 0) usleep((useconds_t)(number % 300));
  const bool back =
      syscall(SYS_renameat2, AT_FDCWD, swap->place[which], AT_FDCWD, swap->link[which], RENAME_EXCHANGE) == 0;
  if (number % 3 == 0) usleep((useconds_t)(number % 900)); /* or there was hardly ever anything to sweep */
  return back;
}

static void swapped_during_sweeps(const char *attack, struct swap *swap, struct fct_world *world) {
  const struct fct_victims *victims = fct_victims_of(fct_path(world, "victims"));
  struct fct_job *job = fct_refill(world, FCT_BARE);
  struct fct_attacker *attacker = fct_attack(exchange, swap, 0);
  fct_sweep_under_attack(world, attacker, fct_rounds_wanted(1500, 20000));
  const uint64_t rounds = fct_attack_end(attacker);
  fct_refill_end(world, job);
  /* The program itself makes files behind the link now and then, where no name of the base leads to. */
  fct_attack_row(attack, rounds, fct_victims_lost(victims), fct_count(world, "base"),
                 "put back beside a name that had been made anew");
}

Test(symlinks, the_base_is_swapped_in_a_loop_during_sweeps) {
  struct fct_world *world = world_with_victims();
  struct swap swap = {{world->base}, {fct_path(world, "links/base")}, 1};
  swapped_during_sweeps("base swapped for a link, in a loop during sweeps", &swap, world);
}

Test(symlinks, what_is_ours_is_swapped_in_a_loop_during_sweeps) {
  struct fct_world *world = world_with_victims();
  struct swap swap = {
      {fct_path(world, "base/d"), fct_path(world, "base/a/b"), fct_path(world, "base/f0"), fct_path(world, "base/a")},
      {fct_path(world, "links/d"), fct_path(world, "links/b"), fct_path(world, "links/f0"), fct_path(world, "links/a")},
      4};
  cr_assert_eq(symlink(fct_path(world, "victims/a"), swap.link[3]), 0);
  swapped_during_sweeps("tracked names swapped for links, in a loop during sweeps", &swap, world);
}

Test(symlinks, what_is_ours_is_swapped_in_a_loop_while_sessions_end) {
  struct fct_world *world = world_with_victims();
  const struct fct_victims *victims = fct_victims_of(fct_path(world, "victims"));
  struct swap swap = {{world->base, fct_path(world, "base/d"), fct_path(world, "base/a/b"), fct_path(world, "base/f0")},
                      {fct_path(world, "links/base"), fct_path(world, "links/d"), fct_path(world, "links/b"),
                       fct_path(world, "links/f0")},
                      4};
  uint64_t rounds = 0, leaks = 0;
  const uint64_t sessions = fct_rounds_wanted(80, 3000);
  for (uint64_t i = 0; i < sessions; i++) {
    struct fct_job *job = fct_hold(world, i % 4 ? FCT_BARE : FCT_RUN, FCT_LIST("PERIODIC=0"), MAKE);
    struct fct_attacker *attacker = fct_attack(exchange, &swap, 0);
    fct_release(world, job);
    cr_assert(fct_wait_no_guardian(world));
    rounds += fct_attack_end(attacker);
    struct stat st;
    cr_assert(lstat(world->base, &st) == 0 && S_ISDIR(st.st_mode));
    leaks += fct_count(world, "base");
    FCT_EXECUTE(world, .mode = FCT_PLAIN, .script = "rm -rf base/..?* base/.[!.]* base/*");
  }
  fct_attack_row("base and tracked names swapped for links while sessions end", rounds, fct_victims_lost(victims),
                 leaks, "what was away when its turn came");
}

/* ---- made by the program ---- */

Test(symlinks, links_of_the_program_go_and_what_they_lead_to_stays) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = world_with_victims();
    const struct fct_victims *victims = fct_victims_of(fct_path(world, "victims"));
    const struct fct_victims *passwd = fct_victims_of("/etc/apt");
    const struct fct_result result = FCT_EXECUTE(
        world, .mode = *mode, .options = *mode == FCT_RUN ? FCT_LIST("--dirs", "recursive") : NULL,
        .env = FCT_LIST("FILECLEANUP_DIRS=recursive"),
        .script = "ln -s /etc/passwd base/passwd; ln -s /etc/apt base/etc; ln -s ../victims/f0 base/f; mkdir base/d\n"
                  "ln -s ../../victims/d base/d/dir; ln -s missing base/d/dangling; ln -s loop base/d/loop\n"
                  "ln -s . base/d/here; ln -s .. base/d/above; ln -s / base/d/root; ln -s /proc/self/fd/0 base/d/fd\n"
                  "i=0; while [ $i -lt 40 ]; do ln -s l$((i+1)) base/l$i; i=$((i+1)); done; ln -s l0 base/l40\n"
                  "i=0; ln -s ../victims base/m0; while [ $i -lt 40 ]; do ln -s m$i base/m$((i+1)); i=$((i+1)); done");
    cr_expect_eq(result.status, 0, "%s", result.err);
    cr_expect_str_eq(result.err, "");
    cr_expect(fct_wait_no_guardian(world));
    cr_expect_eq(access("/etc/passwd", R_OK), 0);
    fct_attack_row(fct_format("links of the program to the user's, loops of 40 levels, %s", fct_mode_name(*mode)), 1,
                   fct_victims_lost(victims) + fct_victims_lost(passwd), fct_count(world, "base"), NULL);
  }
}

/* ---- names that lead through /proc/self ---- */

Test(symlinks, removed_through_a_descriptor_of_the_directory_and_written_again) {
  FCT_USER_DATA_WHOLE(.setup = "echo mine > base/f", .survive = FCT_LIST("base/f"),
                      .script = "exec 5< base; cp base/f copy; rm /proc/self/fd/5/f; echo new > base/f");
}
Test(symlinks, removed_through_dev_fd_and_written_again) {
  FCT_USER_DATA_WHOLE(.setup = "mkdir base/d; echo mine > base/d/f", .survive = FCT_LIST("base/d/f"),
                      .script = "exec 5< base/d; rm /dev/fd/5/f; echo new > base/d/f");
}
Test(symlinks, removed_through_proc_self_cwd_and_written_again) {
  FCT_USER_DATA_WHOLE(.setup = "echo mine > base/f", .survive = FCT_LIST("base/f"),
                      .script = "rm /proc/self/cwd/base/f; echo new > base/f");
}
Test(symlinks, moved_through_a_descriptor_and_written_again) {
  FCT_USER_DATA_WHOLE(.setup = "echo mine > base/f", .survive = FCT_LIST("base/f", "base/f.bak"),
                      .script = "exec 5< base; mv /proc/self/fd/5/f /proc/self/fd/5/f.bak; echo new > base/f");
}
Test(symlinks, copied_and_emptied_through_dev_fd) {
  FCT_USER_DATA_WHOLE(.setup = "echo mine > base/f", .survive = FCT_LIST("base/copy"),
                      .script = "exec 5<> base/f; cp base/f base/copy; : > /dev/fd/5");
}
Test(symlinks, copied_and_emptied_through_proc_self_fd) {
  FCT_USER_DATA_WHOLE(.setup = "mkdir base/d; echo mine > base/d/f", .survive = FCT_LIST("base/d/copy"),
                      .script = "exec 5< base/d/f; cp base/d/f base/d/copy; : > /proc/self/fd/5");
}
Test(symlinks, copied_and_emptied_as_standard_output) {
  FCT_USER_DATA_WHOLE(.setup = "echo mine > base/f", .survive = FCT_LIST("base/copy"),
                      .script = "cp base/f base/copy; (exec 1<> base/f; : > /dev/stdout)");
}
Test(symlinks, copied_and_emptied_by_a_stream_through_dev_fd) {
  FCT_USER_DATA_WHOLE(.setup = "echo mine > base/f", .survive = FCT_LIST("base/copy"),
                      .script = "exec 5<> base/f; cp base/f base/copy; echo x | sed -n 'w /dev/fd/5'");
}
Test(symlinks, copied_and_emptied_by_a_stream_through_a_link_from_outside) {
  FCT_USER_DATA_WHOLE(.setup = "echo mine > base/f; ln -s base link", .survive = FCT_LIST("base/copy"),
                      .script = "cp base/f base/copy; echo x | sed -n 'w link/f'");
}
Test(symlinks, the_users_file_linked_through_a_descriptor) {
  FCT_USER_DATA_WHOLE(.setup = "echo mine > f; echo mine > base/g", .survive = FCT_LIST("base/f", "base/g2"),
                      .shell = "/bin/bash",
                      .script = "exec 5< f 6< base/g; ln -L /proc/self/fd/5 base/f; ln -L /dev/fd/6 base/g2");
}

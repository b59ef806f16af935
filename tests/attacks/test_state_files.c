/* State: what stands in the state directory is believed only as far as it proves itself. Whatever is done to a true
 * session's file, to its directory, or to the base's quarantine, nothing of the user's goes, and programs run as ever.
 * (Forged and foreign files: test_sessions.c. Single bytes of records: test_journal.c, test_checkpoint_streams.c.)
 *
 * FC_ATTACK_LONG=1: 2,000 damaged copies instead of 60. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../harness/harness_attack.h"

TestSuite(state_files, .fini = fct_teardown, .timeout = 280);

#define NOBODY 65534
#define USERS "echo mine > base/users; mkdir base/old; echo mine > base/old/f"
#define MADE "rm base/old/f; echo again > base/old/f; echo s > base/s; mkdir base/d; echo s > base/d/f"

/* A session whose processes and guardian are dead, beside the user's things. */
struct orphan {
  struct fct_world *world;
  const struct fct_victims *victims; /* base/old/f, which was made anew, included: N1 */
  const char *file;
};

static const char *session_file(const struct fct_world *world) {
  const struct fct_result found =
      FCT_EXECUTE(world, .mode = FCT_PLAIN, .script = "cd $FILECLEANUP_STATE_DIR && echo */session-*");
  cr_assert(!strchr(found.out, '*') && !strchr(found.out, ' '), "not one session file: %s", found.out);
  return fct_format("%s/%.*s", world->state, (int)strcspn(found.out, "\n"), found.out);
}

static struct orphan make_orphan(void) {
  struct orphan orphan = {.world = fct_world_new()};
  FCT_EXECUTE(orphan.world, .mode = FCT_PLAIN, .script = USERS);
  struct fct_job *job = fct_hold(orphan.world, FCT_RUN, NULL, MADE);
  fct_kill_guardian(orphan.world);
  fct_kill_job(job);
  cr_assert(fct_wait_no_members(orphan.world));
  orphan.file = session_file(orphan.world);
  cr_assert_eq(FCT_EXECUTE(orphan.world, .mode = FCT_PLAIN, .script = "mkdir keep; mv base/s base/d keep").status, 0);
  orphan.victims = fct_victims_of(orphan.world->base);
  cr_assert_eq(FCT_EXECUTE(orphan.world, .mode = FCT_PLAIN, .script = "mv keep/s keep/d base").status, 0);
  return orphan;
}

/* Everybody who might believe it: a start of each kind, and a sweep. Their own work is done as ever. */
static void let_all_look(const struct fct_world *world, bool own_work) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    const struct fct_result result = FCT_EXECUTE(
        world, .mode = *mode, .limit_s = 30, .env = FCT_LIST(fct_format("FILECLEANUP_LOG_FILE=%s/log", world->root)),
        .script = "echo x > base/own; cat base/own; exit 7");
    cr_expect_eq(result.status, 7, "%s: status %d %s", fct_mode_name(*mode), result.status, result.err);
    cr_expect_str_eq(result.out, "x\n");
    cr_expect(!own_work || !fct_exists(world, "base/own"), "%s: nothing is cleaned up any more", fct_mode_name(*mode));
    cr_expect(fct_wait_no_guardian(world));
  }
  const struct fct_result swept = FCT_EXECUTE(world, .mode = FCT_PLAIN, .limit_s = 30,
                                              .script = "timeout 25 \"$FC_COMMAND\" sweep --base base > swept 2>&1");
  cr_expect_neq(swept.status, 124, "the sweep hangs");
}

static unsigned long long of_the_session(const struct fct_world *world) {
  return (unsigned long long)fct_exists(world, "base/s") + fct_exists(world, "base/d") + fct_exists(world, "base/d/f");
}

/* Damage that is to be seen: the session's names stay. */
static void damaged_so(const char *attack, const char *script, bool own_work) {
  struct orphan o = make_orphan();
  const struct fct_result done =
      FCT_EXECUTE(o.world, .mode = FCT_PLAIN, .script = fct_format("set -e; f='%s'; %s", o.file, script));
  if (done.status == 77) cr_skip("%s: %s", attack, done.err);
  cr_assert_eq(done.status, 0, "%s: %s", attack, done.err);
  let_all_look(o.world, own_work);
  cr_expect_eq(of_the_session(o.world), 3, "%s: it was believed", attack);
  fct_attack_row(attack, 1, fct_victims_lost(o.victims), of_the_session(o.world), "what is damaged proves nothing");
}

static void damaged(const char *attack, const char *script) { damaged_so(attack, script, true); }

/* The counter-proof for all of them. */
Test(state_files, as_it_was) {
  struct orphan o = make_orphan();
  let_all_look(o.world, true);
  fct_attack_row("journal left as it was", 1, fct_victims_lost(o.victims), of_the_session(o.world), NULL);
}

Test(state_files, truncated_to_the_header) { damaged("journal truncated to the header", "truncate -s 65536 $f"); }
Test(state_files, truncated_to_a_page) { damaged("journal truncated to a page", "truncate -s 4096 $f"); }
Test(state_files, truncated_in_the_middle) {
  damaged("journal cut in the middle of its records", "s=$(stat -c %s $f); truncate -s $((s / 2)) $f");
}
Test(state_files, truncated_and_extended_again) {
  damaged("journal truncated and extended again", "s=$(stat -c %s $f); truncate -s 4096 $f; truncate -s $s $f");
}
Test(state_files, extended) { damaged("journal extended by a page", "truncate -s +4096 $f"); }
Test(state_files, ten_gigabytes) { damaged("journal of 10 GB, sparse", "truncate -s 10G $f"); }
Test(state_files, hard_linked) { damaged("journal with a second name", "ln $f $f-second"); }
Test(state_files, replaced_by_a_fifo) { damaged("journal replaced by a FIFO", "mv $f $f.old; mkfifo -m 600 $f"); }
Test(state_files, replaced_by_a_directory) { damaged("journal replaced by a directory", "mv $f old; mkdir -m 700 $f"); }
Test(state_files, replaced_by_a_link_to_it) {
  damaged("journal replaced by a link to it", "mv $f old; ln -s $PWD/old $f");
}
Test(state_files, replaced_by_a_link_to_a_device) {
  damaged("journal replaced by a link to /dev/zero", "mv $f old; ln -s /dev/zero $f");
}
Test(state_files, replaced_by_a_copy) { damaged("journal replaced by a copy of it", "cp -a $f old; rm $f; mv old $f"); }

/* Then no place is left for the state of those who look either: they are not tracked, and told so. */
Test(state_files, its_directory_replaced_by_a_link) {
  damaged_so("state directory of the base replaced by a link",
             "d=${f%/*}; mv $d $PWD/elsewhere; ln -s $PWD/elsewhere $d", false);
}

/* ---- damaged at random ---- */

static void damage(const char *file, unsigned seed) {
  struct stat st;
  srand(seed);
  const int fd = open(file, O_RDWR | O_CLOEXEC);
  cr_assert(fd >= 0 && fstat(fd, &st) == 0);
  const int holes = rand() % 3;
  for (int i = 0; i <= rand() % 4; i++) {
    /* Where there is something: the header's page, its words, the first pages of records. */
    const off_t at = rand() % 3 ? 65536 + rand() % 4096 : rand() % 24576;
    unsigned char byte = 0;
    cr_assert(pread(fd, &byte, 1, at) == 1);
    byte ^= (unsigned char)(1u << rand() % 8);
    cr_assert(pwrite(fd, &byte, 1, at) == 1);
  }
  if (holes == 0) (void)fallocate(fd, 3 /* punch, keep the size */, 4096 * (rand() % 18), 4096);
  close(fd);
}

Test(state_files, damaged_at_random) {
  struct orphan o = make_orphan();
  const uint64_t rounds = fct_rounds_wanted(60, 2000);
  const char *copy = fct_format("%s/copy", o.world->root);
  cr_assert_eq(FCT_EXECUTE(o.world, .mode = FCT_PLAIN,
                           .script = fct_format("dd if='%s' of='%s' bs=64k count=4 2> /dev/null", o.file, copy))
                   .status,
               0);
  unsigned long long lost = 0, stays = 0;
  uint64_t done = 0;
  for (; done < rounds && lost == 0; done++) {
    damage(o.file, (unsigned)done);
    const struct fct_result swept =
        FCT_EXECUTE(o.world, .mode = FCT_PLAIN, .script = "timeout 25 \"$FC_COMMAND\" sweep --base base > swept 2>&1");
    cr_expect_lt(swept.status, 2, "round %d: status %d", (int)done, swept.status);
    lost += fct_victims_lost(o.victims);
    stays += of_the_session(o.world) > 0;
    /* The same inode, whole again, and what it speaks of. */
    const struct fct_result mended = FCT_EXECUTE(
        o.world, .mode = FCT_PLAIN,
        .script = fct_format("if [ -e '%s' ] && [ -e base/d/f ] && [ -e base/s ]; then dd if='%s' of='%s' bs=64k "
                             "conv=notrunc 2> /dev/null; else exit 9; fi",
                             o.file, copy, o.file));
    if (mended.status != 0) {
      done++;
      o = make_orphan();
      cr_assert_eq(FCT_EXECUTE(o.world, .mode = FCT_PLAIN,
                               .script = fct_format("dd if='%s' of='%s' bs=64k count=4 2> /dev/null", o.file, copy))
                       .status,
                   0);
      if (done > 40) break; /* of worlds there is no end otherwise */
    }
  }
  /* The counter-proof: mended, it is believed. */
  FCT_EXECUTE(o.world, .mode = FCT_PLAIN, .script = "\"$FC_COMMAND\" sweep --base base");
  cr_expect_eq(of_the_session(o.world), 0, "the mended file is not believed");
  lost += fct_victims_lost(o.victims);
  fct_attack_row("journal damaged at random", done, lost, stays, "what is damaged proves nothing");
}

/* ---- other machines, other boots ---- */

static void rewrite(const struct orphan *o, bool other_boot, uint64_t fs_type) {
  static struct fc_session_header h;
  const int fd = open(o->file, O_RDWR | O_CLOEXEC);
  cr_assert(fd >= 0 && pread(fd, &h, sizeof h, 0) == (ssize_t)sizeof h);
  if (other_boot) h.boot_id[3] ^= 0x55;
  if (fs_type) h.fs_type = fs_type;
  h.check = fc_session_check(&h);
  cr_assert(pwrite(fd, &h, sizeof h, 0) == (ssize_t)sizeof h);
  close(fd);
}

#define NFS 0x6969

Test(state_files, a_session_of_another_machine_is_alive) {
  struct orphan o = make_orphan();
  rewrite(&o, true, NFS);
  let_all_look(o.world, true);
  cr_expect_eq(of_the_session(o.world), 3, "it was taken for dead");
  fct_attack_row("two machines on one base", 1, fct_victims_lost(o.victims), of_the_session(o.world),
                 "the other machine may hold the lock");
}

Test(state_files, a_session_of_another_boot_is_dead_and_the_users_things_stay) {
  struct orphan o = make_orphan();
  rewrite(&o, true, 0);
  let_all_look(o.world, true);
  fct_attack_row("another boot, local file system", 1, fct_victims_lost(o.victims), of_the_session(o.world),
                 "across boots only what lies on a disk is proved");
}

/* What no record speaks of was born in this boot, when the session was over. */
Test(state_files, what_was_made_since_the_boot_of_a_session_is_not_its) {
  struct orphan o = {.world = fct_world_new()};
  struct fct_job *job = fct_hold(o.world, FCT_RUN, FCT_LIST("DIRS=recursive"), "mkdir base/d; echo s > base/d/f");
  fct_kill_guardian(o.world);
  fct_kill_job(job);
  cr_assert(fct_wait_no_members(o.world));
  o.file = session_file(o.world);
  FCT_EXECUTE(o.world, .mode = FCT_PLAIN, .script = "echo mine > base/d/mine");
  rewrite(&o, true, 0);
  let_all_look(o.world, true);
  cr_expect(!fct_exists(o.world, "base/d/f"), "nothing was removed, so nothing was proven");
  cr_expect(fct_exists(o.world, "base/d/mine"), "what the user made behind a reboot is gone");
}

Test(state_files, a_clock_that_is_set_changes_nothing) {
  fct_need("faketime");
  static const char *const steps[] = {"-400d", "+400d"};
  for (size_t i = 0; i < 2; i++) {
    struct orphan o = make_orphan();
    const struct fct_result result = FCT_EXECUTE(
        o.world, .mode = FCT_PLAIN,
        .script = fct_format("timeout 25 faketime -f %s \"$FC_COMMAND\" sweep --base base > swept 2>&1", steps[i]));
    cr_expect_eq(result.status, 0, "%s: status %d", steps[i], result.status);
    fct_attack_row(fct_format("clock set by %s before an orphan is swept", steps[i]), 1, fct_victims_lost(o.victims),
                   of_the_session(o.world), NULL);
  }
}

/* ---- a process number that is somebody else's by now ---- */

static void say_exec(const struct fct_live *live, pid_t pid, int64_t when_ns) {
  struct fc_journal journal = {0};
  cr_assert_eq(fc_session_map(live->fd, &live->header, &journal), 0);
  const struct fc_record record = {.type = FC_REC_EXEC, .pid = (uint32_t)pid, .time_ns = when_ns};
  cr_assert_geq(fc_journal_append(&journal, &record), 0);
  fc_journal_unmap(&journal);
}

Test(state_files, a_process_with_the_number_of_a_member_that_is_gone_is_no_member) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_job *job = fct_hold(world, *mode, NULL, "echo s > base/s");
    struct fct_live *live = fct_live_open(world);
    const int64_t before = fc_journal_now();
    usleep(50000); /* /proc tells start times in hundredths of a second */
    const pid_t stranger = fork();
    cr_assert(stranger >= 0);
    if (stranger == 0) {
      pause();
      _exit(0);
    }
    say_exec(live, stranger, before);
    close(live->fd);
    close(live->dirfd);
    fct_release(world, job);
    const bool gone = fct_wait_gone(world, "base/s");
    kill(stranger, SIGKILL);
    waitpid(stranger, NULL, 0);
    cr_expect(gone, "%s: a stranger keeps the session alive", fct_mode_name(*mode));
    fct_attack_row(fct_format("a member's number used again, %s", fct_mode_name(*mode)), 1, 0, fct_count(world, "base"),
                   NULL);
  }
}

/* ---- the state directory goes while the session lives ---- */

static void state_goes(const char *attack, const char *script, const char *undo, bool stays) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    FCT_EXECUTE(world, .mode = FCT_PLAIN, .script = USERS);
    struct fct_job *job = fct_hold(world, *mode, FCT_LIST("PERIODIC=0"), MADE);
    const struct fct_victims *victims = fct_victims_of(fct_path(world, "base/old"));
    const struct fct_result done = FCT_EXECUTE(world, .mode = FCT_PLAIN, .script = script);
    if (done.status != 0) cr_skip("%s: %s", attack, done.err);
    fct_release(world, job);
    cr_expect(fct_wait_no_guardian(world));
    const unsigned long long leaks = of_the_session(world);
    if (undo) FCT_EXECUTE(world, .mode = FCT_PLAIN, .script = undo);
    const char *users = fct_read(world, "base/users");
    fct_attack_row(fct_format("%s, %s", attack, fct_mode_name(*mode)), 1,
                   fct_victims_lost(victims) + !(users && strcmp(users, "mine\n") == 0), leaks,
                   "nothing proves any more what they are");
    if (stays) cr_expect_eq(leaks, 3, "%s: without its file the session was believed", attack);
  }
}

Test(state_files, removed_while_the_session_lives) {
  state_goes("state directory removed", "rm -rf $FILECLEANUP_STATE_DIR/*", NULL, true);
}
Test(state_files, moved_away_while_the_session_lives) {
  state_goes("state directory moved away", "mv $FILECLEANUP_STATE_DIR $FILECLEANUP_STATE_DIR-away", NULL, false);
}
Test(state_files, session_file_replaced_by_another_while_the_session_lives) {
  state_goes("session file replaced by a copy while the session lives",
             "cd $FILECLEANUP_STATE_DIR/*/ && cp -a session-* ../copy && mv -f ../copy session-*", NULL, true);
}
Test(state_files, made_read_only_while_the_session_lives) {
  fct_need_mounts();
  state_goes("state directory made read-only",
             "mount --bind $FILECLEANUP_STATE_DIR $FILECLEANUP_STATE_DIR && mount -o remount,ro,bind "
             "$FILECLEANUP_STATE_DIR",
             "umount -l $FILECLEANUP_STATE_DIR", false);
}

/* ---- other users ---- */

/* In a base that everybody may write (sticky), another user makes what the reaper would make there, before it does. */
static bool make_quarantine(void *context, uint64_t number) {
  const char *const *paths = context;
  if (number % 2) return mkdir(paths[0], 0777) == 0;
  return symlink(paths[1], paths[0]) == 0;
}

Test(state_files, another_user_makes_the_quarantine_first) {
  fct_need_root();
  static const bool as_link[] = {false, true};
  for (size_t i = 0; i < 2; i++) {
    for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
      struct fct_world *world = fct_world_new();
      cr_assert(chmod(world->base, 01777) == 0);
      fct_write(world, "base/users", "mine\n");
      cr_assert(mkdir(fct_path(world, "trap"), 0777) == 0 && chmod(fct_path(world, "trap"), 0777) == 0);
      const struct fct_victims *victims = fct_victims_of(world->base);
      struct fct_job *job = fct_hold(world, *mode, FCT_LIST("PERIODIC=0"), "echo s > base/s; mkdir base/d");
      struct fct_live *live = fct_live_open(world);
      const char *paths[] = {fct_format("%s/" FC_QUARANTINE_PREFIX "%s", world->base, live->header.id),
                             fct_path(world, "trap")};
      const pid_t other = fork();
      cr_assert(other >= 0);
      if (other == 0) _exit(setgid(NOBODY) || setuid(NOBODY) || !make_quarantine(paths, !as_link[i]));
      int status;
      cr_assert(waitpid(other, &status, 0) == other && status == 0, "the other user could not: %#x", status);
      fct_release(world, job);
      cr_expect(fct_wait_no_guardian(world));
      cr_expect_eq(fct_count(world, "trap"), 0, "something was moved into another user's directory");
      cr_expect(fct_exists(world, "base/s"), "another user's directory was used");
      fct_attack_row(fct_format("quarantine made by another user as a %s, %s", as_link[i] ? "link" : "directory",
                                fct_mode_name(*mode)),
                     1, fct_victims_lost(victims),
                     (unsigned long long)fct_exists(world, "base/s") + fct_exists(world, "base/d"),
                     "until the next start without that directory");
      cr_assert_eq(FCT_EXECUTE(world, .mode = FCT_PLAIN, .script = "rm -rf base/.filecleanup-*").status, 0);
      fct_next_start(world, *mode);
      cr_expect(fct_wait_no_guardian(world));
      cr_expect(!fct_exists(world, "base/s") && !fct_exists(world, "base/d"), "the next start does not make up for it");
    }
  }
}

/* A true session of another user's on the same base, given a place in our state directory. */
Test(state_files, another_users_true_journal_in_a_state_directory_of_ours) {
  fct_need_root();
  fct_need_build_for(NOBODY);
  struct fct_world *world = fct_world_new();
  cr_assert(chmod(world->base, 01777) == 0 && chmod(world->dir, 01777) == 0);
  fct_write(world, "base/users", "mine\n");
  cr_assert(chown(world->state, NOBODY, NOBODY) == 0);
  struct fct_job *job =
      FCT_START(world, .mode = FCT_BARE, .uid = NOBODY, .script = "echo n > base/n; : > ready; $PROBES/await go");
  cr_assert(fct_wait_exists(world, "ready"));
  fct_kill_job(job);
  cr_assert(fct_wait_no_members(world));
  const struct fct_victims *victims = fct_victims_of(world->base);
  cr_assert_eq(FCT_EXECUTE(world, .mode = FCT_PLAIN,
                           .script = "chown 0:0 $FILECLEANUP_STATE_DIR $FILECLEANUP_STATE_DIR/*; ls "
                                     "$FILECLEANUP_STATE_DIR/*/session-* > /dev/null")
                   .status,
               0);
  let_all_look(world, true);
  fct_attack_row("another user's journal moved into ours", 1, fct_victims_lost(victims), 1,
                 "it is the other user's to end");
}

/* DIRS=recursive: with a directory of the session's goes what no hook has seen below it, and never anything else. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../harness/harness.h"
#include "../harness/harness_live.h"

TestSuite(recursive, .fini = fct_teardown, .timeout = 200);

#define RAW "$PROBES/rawfs "
#define RECURSIVE "FILECLEANUP_DIRS=recursive"

static void pause_ms(long ms) {
  struct timespec span = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
  nanosleep(&span, NULL);
}

static struct fct_result run(const struct fct_world *world, enum fct_mode mode, const char *const *env,
                             const char *script) {
  const struct fct_result result = FCT_EXECUTE(world, .mode = mode, .env = env, .script = script, .limit_s = 120);
  cr_assert_eq(result.status, 0, "%s: status %d %s", fct_mode_name(mode), result.status, result.err);
  cr_expect(fct_wait_no_guardian(world));
  return result;
}

/* ---- what goes ---- */

static void expect_nothing_left(const char *script) {
  fct_need_birth_times();
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    run(world, *mode, FCT_LIST(RECURSIVE, "FILECLEANUP_EXIT_BUDGET=60s"), script);
    fct_assert_base_empty(world, fct_mode_name(*mode));
  }
}

Test(recursive, takes_what_no_hook_saw_below_a_directory_of_ours) {
  expect_nothing_left(
      "mkdir base/d; " RAW
      "create base/d/f x , mkdir base/d/u , create base/d/u/g x , fifo base/d/u/p , symlink /etc/passwd "
      "base/d/l , mkdir base/d/u/v");
}
Test(recursive, takes_it_beside_what_was_seen) {
  expect_nothing_left("mkdir -p base/d/e; echo x > base/d/x; " RAW
                      "create base/d/f x , create base/d/e/f x , mkdir base/d/u");
}
Test(recursive, takes_ten_thousand_names) { expect_nothing_left("mkdir base/d; " RAW "many base/d 10000"); }
Test(recursive, takes_two_thousand_levels) { expect_nothing_left("mkdir base/d; " RAW "deep base/d 2000"); }

Test(recursive, takes_what_a_static_program_leaves) {
  fct_need_birth_times();
  fct_need("gcc");
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    fct_write(world, "s.c", "#include <stdio.h>\nint main(int c, char **v) { return c < 2 || !fopen(v[1], \"w\"); }\n");
    const struct fct_result built =
        FCT_EXECUTE(world, .mode = FCT_PLAIN, .argv = FCT_LIST("gcc", "-static", "-o", "s", "s.c"));
    if (built.status != 0) cr_skip("gcc -static does not work here: %s", built.err);
    run(world, *mode, FCT_LIST(RECURSIVE), "mkdir base/d; ./s base/d/f && test -e base/d/f && ./s base/beside");
    cr_expect_eq(fct_count(world, "base"), 1, "%s: %zu names are left", fct_mode_name(*mode), fct_count(world, "base"));
    cr_expect(fct_exists(world, "base/beside"), "what lies in the user's own base is gone");
  }
}

/* ---- what never goes ---- */

static void expect_survivors(const char *const *env, const char *setup, const char *script, const char *const *names) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    cr_assert_eq(FCT_EXECUTE(world, .mode = FCT_PLAIN, .script = setup).status, 0);
    pause_ms(20); /* on a coarse clock one tick is one time */
    run(world, *mode, env, script);
    for (size_t i = 0; names[i]; i++)
      cr_expect(fct_exists(world, names[i]), "%s: %s is gone", fct_mode_name(*mode), names[i]);
  }
}
#define EXPECT_SURVIVORS(setup, script, ...) expect_survivors(FCT_LIST(RECURSIVE), setup, script, FCT_LIST(__VA_ARGS__))

Test(recursive, spares_what_is_older_than_the_directory) {
  EXPECT_SURVIVORS("echo mine > base/mine; mkdir base/m; echo mine > base/m/mine",
                   "mkdir base/d; " RAW "rename base/mine base/d/mine , rename base/m base/d/m", "base/d/mine",
                   "base/d/m/mine");
}
Test(recursive, spares_hard_links_of_what_is_older) {
  EXPECT_SURVIVORS("echo mine > base/mine", "mkdir base/d; " RAW "link base/mine base/d/link", "base/mine",
                   "base/d/link");
}
Test(recursive, spares_what_was_seen_renamed_in) {
  EXPECT_SURVIVORS(":",
                   "mkdir base/d; " RAW "create out x , mkdir outdir , create outdir/f x; mv out base/d/out; mv outdir "
                   "base/d/outdir",
                   "base/d/out", "base/d/outdir/f");
}
Test(recursive, spares_what_was_seen_renamed_in_and_further) {
  EXPECT_SURVIVORS(":",
                   "mkdir base/d; " RAW "mkdir outdir , create outdir/f x; mv outdir base/d/a; mv base/d/a base/d/b; "
                   "mkdir base/d/e; mv base/d/b base/d/e/c",
                   "base/d/e/c/f");
}
Test(recursive, spares_what_is_to_be_kept) {
  expect_survivors(FCT_LIST(RECURSIVE, "FILECLEANUP_KEEP=d/keep:d/k/*"), ":",
                   "mkdir base/d; " RAW
                   "create base/d/keep x , create base/d/f x , mkdir base/d/k , create base/d/k/f x",
                   FCT_LIST("base/d/keep", "base/d/k/f"));
}
Test(recursive, spares_everything_when_data_of_the_users_has_moved) {
  EXPECT_SURVIVORS("echo mine > base/mine", "mkdir base/d; " RAW "create base/d/copy mine; rm base/mine",
                   "base/d/copy");
}
/* The only consistent state of the database beside it may be in there. */
Test(recursive, spares_the_companions_of_what_stays) {
  EXPECT_SURVIVORS(":", "mkdir base/d; echo data > db; mv db base/d/db; " RAW "create base/d/db-journal hot",
                   "base/d/db", "base/d/db-journal");
}
Test(recursive, spares_what_lies_in_a_directory_of_the_users) {
  EXPECT_SURVIVORS("mkdir base/mine", "mkdir base/mine/d; " RAW "create base/mine/f x", "base/mine/f");
}
Test(recursive, spares_devices) {
  fct_need_root();
  EXPECT_SURVIVORS(":", "mkdir base/d; " RAW "device base/d/null", "base/d/null");
}
Test(recursive, spares_what_another_user_made) {
  fct_need_root();
  EXPECT_SURVIVORS(":",
                   "mkdir base/d; " RAW "create base/d/theirs x , mkdir base/d/m , create base/d/m/f x; chown 65534 "
                   "base/d/theirs base/d/m",
                   "base/d/theirs", "base/d/m/f");
}

Test(recursive, spares_what_is_mounted_below) {
  fct_need_mounts();
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    cr_assert(mkdir(fct_path(world, "bound"), 0755) == 0);
    struct fct_job *job = fct_hold(world, *mode, FCT_LIST("DIRS=recursive"),
                                   "mkdir base/d; " RAW "mkdir base/d/tmpfs , mkdir base/d/bind");
    if (mount("none", fct_path(world, "base/d/tmpfs"), "tmpfs", 0, "") != 0)
      cr_skip("nothing can be mounted here: %s", strerror(errno));
    cr_assert(mount(fct_path(world, "bound"), fct_path(world, "base/d/bind"), NULL, MS_BIND, NULL) == 0);
    fct_write(world, "base/d/tmpfs/f", "mounted\n");
    fct_write(world, "bound/f", "mounted\n");
    fct_release(world, job);
    cr_expect(fct_wait_no_guardian(world));
    cr_expect(fct_exists(world, "base/d/tmpfs/f"), "%s: a file on a tmpfs below is gone", fct_mode_name(*mode));
    cr_expect(fct_exists(world, "bound/f"), "%s: a file of a bind mount is gone", fct_mode_name(*mode));
    cr_expect_eq(umount2(fct_path(world, "base/d/tmpfs"), MNT_DETACH), 0);
    cr_expect_eq(umount2(fct_path(world, "base/d/bind"), MNT_DETACH), 0);
  }
}

/* The other session's hooks have seen it, and it lives. */
Test(recursive, spares_what_a_live_neighbour_made) {
  fct_need_birth_times();
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_job *job = fct_hold(world, *mode, FCT_LIST("DIRS=recursive"), "mkdir base/d; " RAW "create base/d/u x");
    struct fct_job *other = FCT_START(
        world, .mode = *mode,
        .script = "echo o > base/d/theirs; mkdir base/d/td; echo o > base/d/td/f; : > other; $PROBES/await end; "
                  "cat base/d/theirs base/d/td/f");
    cr_assert(fct_wait_exists(world, "other"));
    fct_release(world, job);
    pause_ms(100);
    cr_expect(!fct_exists(world, "base/d/u"), "%s: what nobody saw stays", fct_mode_name(*mode));
    cr_expect(fct_exists(world, "base/d/theirs"), "%s: a live neighbour has lost its file", fct_mode_name(*mode));
    cr_expect(fct_exists(world, "base/d/td/f"), "%s: a live neighbour has lost its directory", fct_mode_name(*mode));
    fct_write(world, "end", "");
    cr_expect_str_eq(fct_finish(other).out, "o\no\n");
    cr_expect(fct_wait_no_guardian(world));
    fct_assert_base_empty(world, fct_mode_name(*mode));
  }
}

/* A session is killed with a directory of its own, another one works in that directory and ends as `ending` says, and
 * only then the first one's end is made up for. */
static struct fct_world *ended_between(const char *const *policy, const char *ending, int status) {
  struct fct_world *world = fct_world_new();
  const struct fct_result first = FCT_EXECUTE(world, .mode = FCT_BARE, .env = FCT_LIST(RECURSIVE),
                                              .script = "mkdir base/d; " RAW "create base/d/u x; kill -9 $$");
  cr_assert_eq(first.status, 128 + SIGKILL, "%d %s", first.status, first.err);
  const char *script = fct_format("echo o > base/d/theirs; mkdir base/d/td; echo o > base/d/td/f.log; %s", ending);
  const struct fct_result second = FCT_EXECUTE(world, .mode = FCT_BARE, .env = policy, .script = script);
  cr_assert_eq(second.status, status, "%s: %d %s", ending, second.status, second.err);
  return world;
}

static void expect_theirs(struct fct_world *world, const char *who) {
  const struct fct_result swept =
      FCT_EXECUTE(world, .script = "$FC_COMMAND sweep -q --base \"$BASE\"", .mode = FCT_PLAIN, .limit_s = 60);
  cr_expect_eq(swept.status, 0, "%d %s", swept.status, swept.err);
  cr_expect(!fct_exists(world, "base/d/u"), "%s: what nobody saw stays", who);
  cr_expect(fct_exists(world, "base/d/theirs"), "%s has lost its file", who);
  cr_expect(fct_exists(world, "base/d/td/f.log"), "%s has lost its directory", who);
}

#define NOT_AT_START "FILECLEANUP_ON_STARTUP=0"

Test(recursive, spares_what_another_session_has_kept) {
  fct_need_birth_times();
  expect_theirs(ended_between(FCT_LIST(NOT_AT_START, "FILECLEANUP_ON_EXIT=keep"), ":", 0), "one that keeps");
  expect_theirs(ended_between(FCT_LIST(NOT_AT_START, "FILECLEANUP_ON_EXIT=keep-on-failure"), "exit 3", 3),
                "one that has failed");
}
/* Whose end has not been made up for either: its own policy decides of it. */
Test(recursive, spares_what_another_killed_session_made) {
  fct_need_birth_times();
  struct fct_world *world =
      ended_between(FCT_LIST(NOT_AT_START, "FILECLEANUP_ON_EXIT=keep-on-failure"), "kill -9 $$", 128 + SIGKILL);
  expect_theirs(world, "one that was killed");
}
/* A file in use puts the first end off; until the next one somebody else makes something there. */
Test(recursive, spares_what_was_made_behind_the_first_try_of_the_end) {
  fct_need_birth_times();
  struct fct_world *world = fct_world_new();
  const struct fct_result first =
      FCT_EXECUTE(world, .mode = FCT_BARE, .env = FCT_LIST(RECURSIVE),
                  .script = "mkdir base/d; echo x > base/d/f; " RAW "create base/d/u x; kill -9 $$");
  cr_assert_eq(first.status, 128 + SIGKILL, "%d %s", first.status, first.err);
  struct fct_job *neighbour = FCT_START(world, .mode = FCT_BARE, .env = FCT_LIST("FILECLEANUP_ON_STARTUP=0"),
                                        .script = "echo o > base/other; : > other; $PROBES/await end");
  cr_assert(fct_wait_exists(world, "other"));
  const char *sweep = "$FC_COMMAND sweep -q --base \"$BASE\"";
  cr_expect_eq(FCT_EXECUTE(world, .script = fct_format("exec 9< base/d/f; %s", sweep), .limit_s = 60).status, 0);
  cr_assert(fct_exists(world, "base/d/f") && !fct_exists(world, "base/d/u"), "the end was not put off");
  pause_ms(20); /* on a coarse clock one tick is one time */
  cr_assert_eq(FCT_EXECUTE(world, .script = "echo mine > base/d/mine").status, 0);
  fct_write(world, "end", "");
  cr_expect_eq(fct_finish(neighbour).status, 0);
  cr_expect_eq(FCT_EXECUTE(world, .script = sweep, .limit_s = 60).status, 0);
  cr_expect(!fct_exists(world, "base/d/f"), "the end was not made up for");
  cr_expect(fct_exists(world, "base/d/mine"), "what was made behind the end is gone");
}
/* Two that are to be removed do not keep each other's directories for ever. */
Test(recursive, leaves_nothing_when_both_are_to_be_removed) {
  fct_need_birth_times();
  struct fct_world *world = ended_between(FCT_LIST(NOT_AT_START, RECURSIVE), "kill -9 $$", 128 + SIGKILL);
  for (int i = 0; i < 2; i++)
    cr_expect_eq(FCT_EXECUTE(world, .script = "$FC_COMMAND sweep -q --base \"$BASE\"", .limit_s = 60).status, 0);
  fct_assert_base_empty(world, "after two sweeps");
}

/* While the session lives nothing unseen goes, however old. */
Test(recursive, takes_nothing_unseen_before_the_end) {
  fct_need_birth_times();
  struct fct_world *world = fct_world_new();
  struct fct_job *job = fct_hold(world, FCT_BARE, FCT_LIST("PERIODIC=0", "TTL=1us", "DIRS=recursive"),
                                 "mkdir base/d; " RAW "create base/d/u x");
  struct fct_live *live = fct_live_open(world);
  pause_ms(5);
  fct_pass(live);
  cr_expect(fct_exists(world, "base/d/u"));
  fct_release(world, job);
  fct_assert_base_empty(world, "at the end");
}

/* How many names were moved away in the watched directory after it had been moved itself. */
static size_t moved_since_the_directory(int watch) {
  static char buffer[65536] __attribute__((aligned(__alignof__(struct inotify_event))));
  bool itself = false;
  size_t count = 0;
  for (ssize_t got; (got = read(watch, buffer, sizeof buffer)) > 0;) {
    const struct inotify_event *event;
    for (char *at = buffer; at < buffer + got; at += sizeof *event + event->len) {
      event = (const struct inotify_event *)(const void *)at;
      cr_assert(!(event->mask & IN_Q_OVERFLOW), "too many names have moved to be counted");
      itself = itself || (event->mask & IN_MOVE_SELF);
      count += itself && (event->mask & IN_MOVED_FROM);
    }
  }
  cr_assert(itself, "the directory has not moved");
  return count;
}

/* A directory that is moved out of the base while it is being emptied takes the rest with it, and none of these names
 * is taken away even for a moment, but for the one that was in the reaper's hand: that is put back. */
Test(recursive, spares_what_is_moved_out_meanwhile) {
  fct_need_birth_times();
  struct fct_world *world = fct_world_new();
  struct fct_job *job =
      fct_hold(world, FCT_RUN, FCT_LIST("DIRS=recursive"), "mkdir base/d; " RAW "mkdir base/d/u , many base/d/u 20000");
  const int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  fct_write(world, "go", "");
  while (fct_exists(world, "base/d/u/10") && fct_exists(world, "base/d/u/19000")) continue;
  cr_assert_geq(inotify_add_watch(watch, fct_path(world, "base/d/u"), IN_MOVED_FROM | IN_MOVE_SELF), 0, "too late: %s",
                strerror(errno));
  cr_assert(rename(fct_path(world, "base/d/u"), fct_path(world, "saved")) == 0, "too late: %s", strerror(errno));
  fct_finish(job);
  cr_expect(fct_wait_no_guardian(world));
  const size_t moved = moved_since_the_directory(watch), left = fct_count(world, "saved");
  close(watch);
  cr_assert_gt(left, 1000, "it was moved too late: %zu names", left);
  cr_expect_leq(moved, 1, "%zu names were taken away from the directory that was moved out", moved);
}

/* ---- without birth times ---- */

static void expect_as_empty_on(const char *what, const char *make) {
  fct_need_mounts();
  fct_need("mkfs.ext4");
  struct fct_world *world = fct_world_new();
  const struct fct_result made =
      FCT_EXECUTE(world, .mode = FCT_PLAIN,
                  .script = fct_format("truncate -s 16M image && %s image > /dev/null 2>&1 && mount -o "
                                       "loop image base",
                                       make));
  if (made.status != 0) cr_skip("no %s can be mounted here: %s", what, made.err);
  run(world, FCT_BARE, FCT_LIST(RECURSIVE), "mkdir base/d; echo s > base/d/seen; " RAW "create base/d/u x");
  const bool there = fct_exists(world, "base/d/u"), seen = fct_exists(world, "base/d/seen");
  cr_expect_eq(umount2(world->base, MNT_DETACH), 0, "%s", strerror(errno));
  cr_expect(there, "%s: removed without a birth time", what);
  cr_expect(!seen, "%s: what was seen stays", what);
}

Test(recursive, is_empty_on_ext4_with_small_inodes) {
  expect_as_empty_on("ext4 with small inodes", "mkfs.ext4 -I 128");
}
Test(recursive, is_empty_on_ext2) { expect_as_empty_on("ext2", "mkfs.ext4 -t ext2 -I 128"); }

/* ---- the other two, and the count ---- */

static void expect_unseen_stay(const char *dirs) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    run(world, *mode, FCT_LIST(fct_format("FILECLEANUP_DIRS=%s", dirs)),
        "mkdir base/d base/e; echo s > base/d/seen; " RAW "create base/d/u x");
    cr_expect(fct_exists(world, "base/d/u"), "%s, %s: what no hook saw is gone", dirs, fct_mode_name(*mode));
    cr_expect(!fct_exists(world, "base/d/seen"));
    cr_expect_eq(fct_exists(world, "base/e"), strcmp(dirs, "keep") == 0);
  }
}
Test(recursive, empty_leaves_what_no_hook_saw) { expect_unseen_stay("empty"); }
Test(recursive, keep_leaves_what_no_hook_saw) { expect_unseen_stay("keep"); }

/* The kernel's coarse second: what was there before is older by more than that. */
Test(recursive, names_that_no_hook_saw_are_counted_when_a_process_ran_without_hooks) {
  fct_need_birth_times();
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    fct_write(world, "base/before", "the user's\n");
    pause_ms(1100);
    run(world, *mode, FCT_LIST("FILECLEANUP_LOG=info", fct_format("FILECLEANUP_LOG_FILE=%s/messages", world->dir)),
        "mkdir base/d; echo s > base/seen; env -u LD_PRELOAD sh -c 'echo a > base/a; echo b > base/d/b; echo c > base/c'");
    const char *log = fct_read(world, "messages");
    cr_assert(log, "%s: there is no log", fct_mode_name(*mode));
    cr_expect(strstr(log, "3 names"), "%s: three names were made unseen:\n%s", fct_mode_name(*mode), log);
    cr_expect(strstr(log, "base/d/b") && !strstr(log, "base/before") && !strstr(log, "unseen: base/seen"),
              "%s: the wrong names:\n%s", fct_mode_name(*mode), log);
    cr_expect(fct_exists(world, "base/a") && fct_exists(world, "base/d/b") && fct_exists(world, "base/before"));
    cr_expect(!fct_exists(world, "base/seen"));
  }
}

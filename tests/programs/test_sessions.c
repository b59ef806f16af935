/* Several sessions on one base, and session files that are not what they seem. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../harness/harness.h"

TestSuite(sessions, .fini = fct_teardown, .timeout = 120);

static void pause_ms(long ms) {
  struct timespec span = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
  nanosleep(&span, NULL);
}

/* ---- two on one base ---- */

struct pair {
  struct fct_world *world;
  enum fct_mode a, b;
};

/* Each question is asked of each way to start the one and the other. */
static void with_each_pair(void (*ask)(const struct pair *)) {
  for (const enum fct_mode *a = fct_modes(); *a; a++) {
    for (const enum fct_mode *b = fct_modes(); *b; b++) ask(&(struct pair){.world = fct_world_new(), .a = *a, .b = *b});
  }
}

static const char *pair_name(const struct pair *pair) {
  return fct_format("%s beside %s", fct_mode_name(pair->a), fct_mode_name(pair->b));
}

/* A session that makes something, says `ready-NAME`, and ends when `end-NAME` appears. */
static struct fct_job *start_and_hold(const struct fct_world *world, enum fct_mode mode, const char *name,
                                      const char *script) {
  const char *text = fct_format("%s; : > ready-%s; $PROBES/await end-%s", script, name, name);
  struct fct_job *job = FCT_START(world, .mode = mode, .script = text);
  cr_assert(fct_wait_exists(world, fct_format("ready-%s", name)), "session %s did not start", name);
  return job;
}

static void end_session(const struct fct_world *world, struct fct_job *job, const char *name) {
  fct_write(world, fct_format("end-%s", name), "");
  struct fct_result result = fct_finish(job);
  cr_expect_eq(result.status, 0, "session %s: status %d %s", name, result.status, result.err);
  cr_expect_str_eq(result.err, "");
}

static void ask_about_a_used_name(const struct pair *pair) {
  struct fct_job *a = start_and_hold(pair->world, pair->a, "a", "echo a > base/f; echo a > base/g");
  struct fct_job *b = start_and_hold(pair->world, pair->b, "b", "echo b >> base/f");
  end_session(pair->world, a, "a");
  cr_expect(!fct_exists(pair->world, "base/g"), "%s: what only a had is not deleted at its end", pair_name(pair));
  const char *f = fct_read(pair->world, "base/f");
  cr_expect(f && strcmp(f, "a\nb\n") == 0, "%s: what b used was deleted under it", pair_name(pair));
  pause_ms(50);
  cr_expect(fct_exists(pair->world, "base/f"), "%s: what b used was deleted a moment later", pair_name(pair));
  end_session(pair->world, b, "b");
  cr_expect(!fct_exists(pair->world, "base/f"), "%s: what was handed to b does not die with it", pair_name(pair));
  fct_assert_base_empty(pair->world, pair_name(pair));
}

Test(sessions, a_name_that_another_session_used_dies_with_that_one) { with_each_pair(ask_about_a_used_name); }

static void ask_about_a_used_name_and_a_kill(const struct pair *pair) {
  struct fct_job *a = start_and_hold(pair->world, pair->a, "a", "echo a > base/f");
  struct fct_job *b = start_and_hold(pair->world, pair->b, "b", "echo b >> base/f");
  fct_kill_job(a);
  fct_next_start(pair->world, FCT_BARE); /* whoever looks first reaps a */
  pause_ms(50);
  cr_expect(fct_exists(pair->world, "base/f"), "%s: what b used was deleted under it", pair_name(pair));
  end_session(pair->world, b, "b");
  fct_assert_base_empty(pair->world, pair_name(pair));
}

Test(sessions, a_name_that_another_session_used_outlives_its_killed_maker) {
  with_each_pair(ask_about_a_used_name_and_a_kill);
}

static void ask_about_use_after_the_end(const struct pair *pair) {
  struct fct_job *a = start_and_hold(pair->world, pair->a, "a", "echo a > base/f");
  struct fct_job *b = start_and_hold(pair->world, pair->b, "b", "cat base/f >/dev/null");
  end_session(pair->world, a, "a");
  cr_expect(!fct_exists(pair->world, "base/f"), "%s: reading alone keeps a name", pair_name(pair));
  end_session(pair->world, b, "b");
  fct_assert_base_empty(pair->world, pair_name(pair));
}

Test(sessions, a_name_that_another_session_only_reads_is_not_its) { with_each_pair(ask_about_use_after_the_end); }

static void ask_about_the_living(const struct pair *pair) {
  struct fct_job *a = start_and_hold(pair->world, pair->a, "a", "echo a > base/a; mkdir base/d; echo a > base/d/a");
  for (int i = 0; i < 3; i++) {
    FCT_EXECUTE(pair->world, .mode = pair->b, .script = "echo b > base/b; mkdir base/e; echo b > base/e/b");
    cr_expect(!fct_exists(pair->world, "base/b") && !fct_exists(pair->world, "base/e"), "%s: b leaves its own",
              pair_name(pair));
    cr_expect(fct_exists(pair->world, "base/a") && fct_exists(pair->world, "base/d/a"), "%s: b reaped the living a",
              pair_name(pair));
  }
  end_session(pair->world, a, "a");
  fct_assert_base_empty(pair->world, pair_name(pair));
}

Test(sessions, sessions_never_reap_each_other_alive) { with_each_pair(ask_about_the_living); }

static void ask_about_names_made_by_both(const struct pair *pair) {
  struct fct_job *a = start_and_hold(pair->world, pair->a, "a", "mkdir base/d; echo a > base/d/a; echo a > base/a");
  struct fct_job *b = start_and_hold(pair->world, pair->b, "b", "echo b > base/d/b; echo b > base/b");
  end_session(pair->world, a, "a");
  cr_expect(!fct_exists(pair->world, "base/a"), "%s: a's file stays", pair_name(pair));
  cr_expect(fct_exists(pair->world, "base/b") && fct_exists(pair->world, "base/d/b"), "%s: b lost its files to a's end",
            pair_name(pair));
  end_session(pair->world, b, "b");
  fct_assert_base_empty(pair->world, pair_name(pair));
}

Test(sessions, a_directory_with_files_of_both_goes_with_the_second) { with_each_pair(ask_about_names_made_by_both); }

static void ask_about_a_name_made_twice(const struct pair *pair) {
  struct fct_job *a = start_and_hold(pair->world, pair->a, "a", "echo a > base/f; rm base/f");
  struct fct_job *b = start_and_hold(pair->world, pair->b, "b", "echo b > base/f");
  end_session(pair->world, a, "a");
  cr_expect(fct_exists(pair->world, "base/f"), "%s: a deleted what b made anew", pair_name(pair));
  end_session(pair->world, b, "b");
  fct_assert_base_empty(pair->world, pair_name(pair));
}

Test(sessions, a_name_that_the_other_made_anew_is_the_others) { with_each_pair(ask_about_a_name_made_twice); }

static void ask_about_the_dead_beside_the_living(const struct pair *pair) {
  struct fct_job *a = start_and_hold(pair->world, pair->a, "a", "echo a > base/a");
  struct fct_job *b = start_and_hold(pair->world, pair->b, "b", "echo b > base/b");
  fct_kill_guardian(pair->world);
  fct_kill_job(a);
  fct_next_start(pair->world, pair->b);
  cr_expect(!fct_exists(pair->world, "base/a"), "%s: the dead session's file stays", pair_name(pair));
  cr_expect(fct_exists(pair->world, "base/b"), "%s: the living session's file is gone", pair_name(pair));
  end_session(pair->world, b, "b");
  fct_assert_base_empty(pair->world, pair_name(pair));
}

Test(sessions, a_start_reaps_the_dead_and_spares_the_living) { with_each_pair(ask_about_the_dead_beside_the_living); }

Test(sessions, many_sessions_at_once_leave_nothing_and_lose_nothing) {
  struct fct_world *world = fct_world_new();
  struct fct_job *jobs[16];
  for (size_t i = 0; i < 16; i++) {
    jobs[i] =
        FCT_START(world, .mode = i % 2 ? FCT_RUN : FCT_BARE,
                  .script = "d=$(mktemp -d -p base); for i in 1 2 3 4 5 6 7 8 9 10; do echo $i > $d/$i; echo $i > "
                            "base/$$.$i; done; cat $d/* base/$$.* | sort -n | uniq -c | tr -d '\\n'");
  }
  for (size_t i = 0; i < 16; i++) {
    struct fct_result result = fct_finish(jobs[i]);
    cr_expect_eq(result.status, 0);
    cr_expect_str_eq(result.err, "");
    cr_expect(strstr(result.out, "2 10"), "a session lost its files: %s", result.out);
  }
  fct_assert_base_empty(world, "after all of them");
}

Test(sessions, one_base_within_another_is_two_sessions) {
  struct fct_world *world = fct_world_new();
  struct fct_result result = FCT_EXECUTE(
      world, .mode = FCT_RUN,
      .script = "echo outer > base/outer; mkdir base/in\n"
                "$FC_COMMAND run --base base/in -- sh -c 'echo inner > base/in/inner; echo both > base/both'\n"
                "echo $?; ls base base/in\n");
  cr_expect_str_eq(result.out, "0\nbase:\nboth\nin\nouter\n\nbase/in:\n", "%s", result.out);
  cr_expect_str_eq(result.err, "");
  fct_assert_base_empty(world, "after the outer one");
}

Test(sessions, a_run_inside_a_session_of_the_same_base_leaves_the_outer_one_alone) {
  struct fct_world *world = fct_world_new();
  struct fct_result result = FCT_EXECUTE(world, .mode = FCT_RUN,
                                         .script = "echo outer > base/outer\n"
                                                   "$FC_COMMAND run --base base -- sh -c 'echo inner > base/inner'\n"
                                                   "echo $?; cat base/outer\n");
  cr_expect_str_eq(result.out, "0\nouter\n");
  cr_expect_str_eq(result.err, "");
  fct_assert_base_empty(world, "after the outer one");
}

/* ---- session files that are not what they seem ---- */

/* The base's own directory in the state directory, made by a first session if it must be. */
static const char *state_of_base(const struct fct_world *world) {
  struct stat st;
  cr_assert(stat(world->base, &st) == 0);
  struct fct_result found = FCT_EXECUTE(
      world, .mode = FCT_RUN,
      .script = "echo x > base/x; for f in $FILECLEANUP_STATE_DIR/*/session-*; do dirname $f; done | sort -u");
  cr_assert_eq(found.status, 0);
  /* The harness shortens the world's name in what it captures. */
  const char *name = strrchr(found.out, '/');
  cr_assert(name, "no session file was seen: %s", found.out);
  const char *path = fct_format("%s/%.*s", world->state, (int)strcspn(name + 1, "\n"), name + 1);
  cr_assert(fct_wait_no_guardian(world)); /* it takes the directory with it, unless it is too late for that */
  if (mkdir(path, 0700)) cr_assert(access(path, W_OK) == 0);
  return path;
}

/* Whatever lies in the state directory, the program runs as ever and the base is cleaned as ever; a warning about it
 * stands on stderr or in the log. */
static void expect_ignored(const struct fct_world *world, const char *name, bool warned) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    const char *log = fct_format("FILECLEANUP_LOG_FILE=%s/log", world->dir);
    struct fct_result result = FCT_EXECUTE(world, .mode = *mode, .limit_s = 20, .env = FCT_LIST(log),
                                           .script = "echo x > base/x; cat base/x; exit 7");
    cr_expect_eq(result.status, 7, "%s: status %d %s", fct_mode_name(*mode), result.status, result.err);
    cr_expect_str_eq(result.out, "x\n");
    cr_expect(!fct_exists(world, "base/x"), "%s: it is not cleaned up any more", fct_mode_name(*mode));
    const char *logged = fct_read(world, "log");
    bool told = strstr(result.err, name) || (logged && strstr(logged, name));
    if (warned) cr_expect(told, "%s: no warning names %s: %s", fct_mode_name(*mode), name, result.err);
    unlink(fct_path(world, "log"));
  }
}

static struct fct_world *world_with_forgery(const char *script) {
  struct fct_world *world = fct_world_new();
  const char *full = fct_format("set -e; mine=$HOME/mine; echo mine > $mine; cd %s; %s", state_of_base(world), script);
  fct_write(world, "base/users", "mine\n");
  struct fct_result made = FCT_EXECUTE(world, .script = full);
  cr_assert_eq(made.status, 0, "%s", made.err);
  return world;
}

static void expect_forgery_ignored(const char *script) {
  struct fct_world *world = world_with_forgery(script);
  expect_ignored(world, "session-0123456789abcdef", true);
  cr_expect_str_eq(FCT_EXECUTE(world, .script = "cat $HOME/mine base/users").out, "mine\nmine\n");
}

Test(sessions, an_empty_session_file_is_ignored) {
  expect_forgery_ignored(": > session-0123456789abcdef; chmod 600 s*");
}

Test(sessions, a_session_file_of_garbage_is_ignored) {
  expect_forgery_ignored("head -c 200000 /dev/urandom > session-0123456789abcdef; chmod 600 session-*");
}

Test(sessions, a_session_file_of_zeros_is_ignored) {
  expect_forgery_ignored("truncate -s 1M session-0123456789abcdef; chmod 600 session-*");
}

Test(sessions, a_session_file_that_is_a_fifo_is_ignored) {
  expect_forgery_ignored("mkfifo -m 600 session-0123456789abcdef");
}

Test(sessions, a_session_file_that_is_a_link_is_ignored) {
  expect_forgery_ignored("ln -s $mine session-0123456789abcdef");
}

Test(sessions, a_session_file_that_is_a_dangling_link_is_ignored) {
  expect_forgery_ignored("ln -s $HOME/missing session-0123456789abcdef");
}

Test(sessions, a_session_file_that_is_a_directory_is_ignored) {
  expect_forgery_ignored("mkdir -m 700 session-0123456789abcdef; echo x > session-0123456789abcdef/x");
}

Test(sessions, another_file_in_the_state_directory_is_left_alone) {
  struct fct_world *world = world_with_forgery("echo keep > notes.txt");
  expect_ignored(world, "notes.txt", false);
  cr_expect_str_eq(FCT_EXECUTE(world, .script = "cat $FILECLEANUP_STATE_DIR/*/notes.txt").out, "keep\n");
}

/* A true orphan, all its processes and its guardian killed, whose file somebody has changed. */
struct orphan {
  struct fct_world *world;
  const char *file;
};

static struct orphan make_orphan(void) {
  struct orphan orphan = {.world = fct_world_new()};
  struct fct_job *job = start_and_hold(orphan.world, FCT_RUN, "a", "echo a > base/a; mkdir base/d; echo b > base/d/b");
  fct_kill_guardian(orphan.world);
  fct_kill_job(job);
  cr_assert(fct_wait_no_members(orphan.world));
  struct fct_result found = FCT_EXECUTE(orphan.world, .script = "cd $FILECLEANUP_STATE_DIR && echo */session-*");
  cr_assert(!strchr(found.out, '*') && !strchr(found.out, ' '), "not one session file: %s", found.out);
  orphan.file = fct_format("%s/%.*s", orphan.world->state, (int)strcspn(found.out, "\n"), found.out);
  return orphan;
}

static void expect_orphan_kept(const struct orphan *orphan, const char *when) {
  expect_ignored(orphan->world, strrchr(orphan->file, '/') + 1, true);
  cr_expect(fct_exists(orphan->world, "base/a") && fct_exists(orphan->world, "base/d/b"), "%s: it was believed", when);
}

/* The counter-proof: made good again, the same file is acted upon. So it was the change that kept the files. */
static void expect_orphan_reaped(const struct orphan *orphan) {
  fct_next_start(orphan->world, FCT_RUN);
  /* The guardian of a start before may have come upon it first, and is then still at work. */
  cr_assert(fct_wait_no_guardian(orphan->world));
  fct_assert_base_empty(orphan->world, "with the session file made good again");
}

Test(sessions, a_session_file_of_another_owner_is_ignored) {
  fct_need_root();
  struct orphan orphan = make_orphan();
  cr_assert(chown(orphan.file, 65534, 65534) == 0);
  expect_orphan_kept(&orphan, "of another owner");
  cr_assert(chown(orphan.file, 0, 0) == 0);
  expect_orphan_reaped(&orphan);
}

Test(sessions, a_session_file_that_others_may_write_is_ignored) {
  struct orphan orphan = make_orphan();
  cr_assert(chmod(orphan.file, 0666) == 0);
  expect_orphan_kept(&orphan, "writable for all");
  cr_assert(chmod(orphan.file, 0600) == 0);
  expect_orphan_reaped(&orphan);
}

Test(sessions, a_session_file_with_a_second_name_is_ignored) {
  struct orphan orphan = make_orphan();
  const char *second = fct_format("%s-second", orphan.world->state); /* on the same file system, wherever that is */
  cr_assert(link(orphan.file, second) == 0, "%s: %s", second, strerror(errno));
  expect_orphan_kept(&orphan, "with two names");
  cr_assert(unlink(second) == 0);
  expect_orphan_reaped(&orphan);
}

#define VERSION_OFFSET 8 /* behind the magic */

static void change_byte(const char *file, off_t offset, unsigned char change) {
  int fd = open(file, O_RDWR | O_CLOEXEC);
  unsigned char byte;
  cr_assert(fd >= 0 && pread(fd, &byte, 1, offset) == 1);
  byte ^= change;
  cr_assert(pwrite(fd, &byte, 1, offset) == 1 && close(fd) == 0);
}

Test(sessions, a_session_file_of_a_future_version_is_ignored) {
  struct orphan orphan = make_orphan();
  change_byte(orphan.file, VERSION_OFFSET, 0x40);
  expect_orphan_kept(&orphan, "of a future version");
  change_byte(orphan.file, VERSION_OFFSET, 0x40);
  expect_orphan_reaped(&orphan);
}

Test(sessions, a_session_file_with_a_changed_header_is_ignored) {
  struct orphan orphan = make_orphan();
  for (off_t offset = 0; offset < 232; offset += 8) {
    change_byte(orphan.file, offset, 0x01);
    fct_next_start(orphan.world, FCT_RUN);
    cr_expect(fct_exists(orphan.world, "base/a") && fct_exists(orphan.world, "base/d/b"), "byte %d: it was believed",
              (int)offset);
    change_byte(orphan.file, offset, 0x01);
  }
  expect_orphan_reaped(&orphan);
}

Test(sessions, a_session_file_with_another_policy_written_into_it_is_ignored) {
  struct orphan orphan = make_orphan();
  /* Any byte of the policy: its numbers end the first page. */
  change_byte(orphan.file, 4096 - 48, 0x01);
  expect_orphan_kept(&orphan, "with another policy");
  change_byte(orphan.file, 4096 - 48, 0x01);
  expect_orphan_reaped(&orphan);
}

Test(sessions, a_copy_of_a_session_file_is_no_session) {
  struct orphan orphan = make_orphan();
  /* The original stays, elsewhere, so that the copy cannot get its inode. */
  const char *script = fct_format("f='%s'; mv $f $HOME/original; cp -a --sparse=always $HOME/original $f", orphan.file);
  cr_assert_eq(FCT_EXECUTE(orphan.world, .script = script).status, 0);
  expect_orphan_kept(&orphan, "a copy");
}

Test(sessions, a_truncated_session_file_is_ignored) {
  struct orphan orphan = make_orphan();
  cr_assert(truncate(orphan.file, 4096) == 0);
  expect_orphan_kept(&orphan, "truncated");
}

Test(sessions, an_orphan_does_not_touch_what_the_user_put_in_its_place) {
  struct orphan orphan = make_orphan();
  cr_assert(unlink(fct_path(orphan.world, "base/a")) == 0);
  fct_write(orphan.world, "base/a", "the user's\n");
  fct_write(orphan.world, "base/d/users", "the user's\n");
  fct_next_start(orphan.world, FCT_RUN);
  cr_expect_str_eq(fct_read(orphan.world, "base/a"), "the user's\n");
  cr_expect_str_eq(fct_read(orphan.world, "base/d/users"), "the user's\n");
  cr_expect(!fct_exists(orphan.world, "base/d/b"), "nothing was reaped, so nothing was proven");
}

Test(sessions, an_orphan_of_a_base_that_was_moved_away_and_made_anew_touches_neither) {
  struct orphan orphan = make_orphan();
  struct fct_result moved = FCT_EXECUTE(
      orphan.world, .script = "mv base moved && mkdir -p base/d && echo new > base/a && echo new > base/d/b");
  cr_assert_eq(moved.status, 0);
  fct_next_start(orphan.world, FCT_RUN);
  fct_next_start(orphan.world, FCT_BARE);
  cr_expect_str_eq(fct_read(orphan.world, "base/a"), "new\n");
  cr_expect_str_eq(fct_read(orphan.world, "base/d/b"), "new\n");
  cr_expect(fct_exists(orphan.world, "moved/a"), "the moved directory is not the base any more");
}

/* Met with 20 kept sessions: the end of a program that had run for a moment opened each of them twice for each of its
 * files, and took 100 ms instead of 7. */
Test(sessions, an_end_looks_once_at_a_session_that_was_kept) {
  enum { FILES = 200, LOOKS = 20 };
  fct_need("strace");
  struct fct_world *world = fct_world_new();
  struct fct_result kept =
      FCT_EXECUTE(world, .mode = FCT_RUN, .options = FCT_LIST("--on-exit", "keep"), .script = "echo x > base/kept");
  cr_assert_eq(kept.status, 0, "%s", kept.err);
  struct fct_result id = FCT_EXECUTE(world, .script = "cd \"$FILECLEANUP_STATE_DIR\"/*/ && echo session-*");
  cr_assert(strncmp(id.out, "session-", 8) == 0 && !strchr(id.out, ' ') && !strchr(id.out, '*'), "%s", id.out);
  /* A state directory that has changed a moment ago is read anew for each name. */
  struct fct_result result = FCT_EXECUTE(
      world,
      .script = fct_format("strace -f -qq -o ../trace -e trace=openat $FC_COMMAND run --base base --wait "
                           "--no-guardian -- sh -ec 'i=0; while [ $i -lt %d ]; do i=$((i+1)); : > base/$i; done; "
                           "cd \"$FILECLEANUP_STATE_DIR\"/*/; mkdir x; rmdir x' && ls -A base && grep -c %.*s ../trace",
                           FILES, (int)strcspn(id.out, "\n"), id.out));
  cr_assert_eq(result.status, 0, "%s", result.err);
  cr_assert(strncmp(result.out, "kept\n", 5) == 0, "%s", result.out);
  cr_expect_lt(atoi(result.out + 5), LOOKS, "opened %s times for %d files", result.out + 5, FILES);
}

Test(sessions, a_state_directory_that_others_may_write_is_not_used) {
  struct fct_world *world = fct_world_new();
  cr_assert(chmod(world->state, 0777) == 0);
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_result result = FCT_EXECUTE(world, .mode = *mode, .script = "echo x > base/x; exit 5");
    cr_expect_eq(result.status, 5, "%s: status %d", fct_mode_name(*mode), result.status);
    cr_expect(fct_exists(world, "base/x"), "%s: deleted without a safe record", fct_mode_name(*mode));
    cr_expect(strncmp(result.err, "filecleanup:", 12) == 0, "%s: nothing is said: %s", fct_mode_name(*mode),
              result.err);
  }
}

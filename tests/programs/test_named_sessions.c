/* Sessions that several commands share, and their end. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../harness/harness.h"

TestSuite(named_sessions, .fini = fct_teardown, .timeout = 120);

static bool contains(const char *text, const char *part) { return strstr(text, part) != NULL; }

/* A command of the session `s`, in either mode. */
static struct fct_job *start_in(const struct fct_world *world, enum fct_mode mode, const char *name,
                                const char *script) {
  const char *variable = fct_format("FILECLEANUP_SESSION=name:%s", name);
  if (mode == FCT_BARE) return FCT_START(world, .mode = mode, .script = script, .env = FCT_LIST(variable));
  return FCT_START(world, .mode = mode, .script = script, .options = FCT_LIST("--session", name));
}

static struct fct_result in(const struct fct_world *world, enum fct_mode mode, const char *script) {
  return fct_finish(start_in(world, mode, "s", script));
}

static struct fct_result end(const struct fct_world *world, const char *arguments) {
  return FCT_EXECUTE(world, .script = fct_format("$FC_COMMAND end --base base %s", arguments));
}

static void expect_end(const struct fct_world *world, const char *arguments, int status, const char *said) {
  const struct fct_result result = end(world, arguments);
  cr_expect_eq(result.status, status, "end %s: status %d\n%s%s", arguments, result.status, result.out, result.err);
  cr_expect(contains(result.out, said) || contains(result.err, said), "end %s says\n%s%s", arguments, result.out,
            result.err);
}

/* How many sessions of this base there are. */
static int sessions(const struct fct_world *world) {
  const char *count = FCT_EXECUTE(world, .script = "ls $FILECLEANUP_STATE_DIR/*/session-* 2> /dev/null | wc -l").out;
  int n = -1;
  sscanf(count, "%d", &n);
  return n;
}

static struct fct_job *hold(const struct fct_world *world, enum fct_mode mode, const char *name, const char *script) {
  struct fct_job *job = start_in(world, mode, name, fct_format("%s; : > ready; $PROBES/await go", script));
  cr_assert(fct_wait_exists(world, "ready"), "it does not start");
  return job;
}

Test(named_sessions, three_commands_share_one_until_its_end) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    fct_write(world, "base/users", "mine\n");
    const struct fct_result made = in(world, *mode, "mktemp -p base");
    cr_assert_eq(made.status, 0, "%s", made.err);
    const char *file = fct_format("%.*s", (int)strcspn(made.out, "\n"), made.out);
    cr_expect(fct_exists(world, file), "%s: it is gone when its command has ended", fct_mode_name(*mode));
    cr_expect_eq(in(world, *mode, fct_format("echo hello > %s && mkdir base/d", file)).status, 0);
    const struct fct_result read = in(world, *mode, fct_format("cat %s; echo x > base/d/x", file));
    cr_expect_str_eq(read.out, "hello\n");
    cr_expect_str_eq(read.err, "");
    cr_expect_eq(sessions(world), 1);
    expect_end(world, "s", 0, "removed 2 files, 1 directory\n");
    cr_expect_str_eq(FCT_EXECUTE(world, .script = "ls -A base").out, "users\n");
    cr_expect_eq(sessions(world), 0, "its record is still there");
    expect_end(world, "s", 1, "filecleanup: no session s under base\n");
  }
}

Test(named_sessions, a_shell_function_around_mktemp_works_as_people_write_it) {
  struct fct_world *world = fct_world_new();
  const struct fct_result result =
      FCT_EXECUTE(world, .script = "fc() { $FC_COMMAND run --base base --session build-1 -- \"$@\"; }\n"
                                   "f=$(fc mktemp -p base) && echo data | fc tee $f > /dev/null && fc cat $f\n"
                                   "$FC_COMMAND end --base base build-1; echo $?; ls -A base\n");
  cr_expect_str_eq(result.out, "data\nfilecleanup: session build-1: removed 1 file, 0 directories\n0\n", "%s%s",
                   result.out, result.err);
}

Test(named_sessions, descendants_join_by_token_and_outlive_the_command) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_result result =
        in(world, *mode,
           "echo $FILECLEANUP_SESSION; (while [ ! -e go ]; do sleep 0.02; done; echo x > base/late; : > done) "
           "> /dev/null 2>&1 & echo y > base/y");
    cr_expect_neq(strncmp(result.out, "name:", 5), 0, "%s: no token", result.out);
    cr_expect_neq(strlen(result.out), 1, "%s: no token", fct_mode_name(*mode));
    expect_end(world, "s", 75, "is still used by ");
    cr_expect(fct_exists(world, "base/y"), "deleted under a living member");
    fct_write(world, "go", "");
    cr_assert(fct_wait_gone(world, "base/y"), "%s: the last one out does not clean", fct_mode_name(*mode));
    cr_assert(fct_wait_no_members(world));
    fct_assert_base_empty(world, fct_mode_name(*mode));
    cr_expect_eq(sessions(world), 0);
  }
}

Test(named_sessions, a_session_goes_on_beside_ordinary_ones_and_their_scans) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    in(world, *mode, "echo x > base/x; mkdir base/d; echo y > base/d/y");
    fct_next_start(world, FCT_RUN);
    fct_next_start(world, FCT_BARE);
    FCT_EXECUTE(world, .mode = *mode, .script = "echo z > base/z; echo z > base/d/z");
    FCT_EXECUTE(world, .mode = FCT_RUN, .options = FCT_LIST("--no-guardian"), .script = "echo z > base/z");
    cr_expect(fct_exists(world, "base/x") && fct_exists(world, "base/d/y"), "%s: it was taken for an orphan",
              fct_mode_name(*mode));
    cr_expect(!fct_exists(world, "base/z"));
    expect_end(world, "s", 0, "removed");
    fct_assert_base_empty(world, "after its end");
  }
}

Test(named_sessions, what_it_used_of_another_session_dies_with_it) {
  struct fct_world *world = fct_world_new();
  struct fct_job *other = FCT_START(world, .mode = FCT_RUN, .script = "echo a > base/f; : > ready; $PROBES/await go");
  cr_assert(fct_wait_exists(world, "ready"));
  in(world, FCT_RUN, "echo b >> base/f");
  fct_write(world, "go", "");
  cr_expect_eq(fct_finish(other).status, 0);
  const char *f = fct_read(world, "base/f");
  cr_expect(f && strcmp(f, "a\nb\n") == 0, "deleted although the session that goes on has written to it");
  expect_end(world, "s", 0, "removed 1 file");
  fct_assert_base_empty(world, "after both");
}

Test(named_sessions, a_base_that_another_session_made_stays_while_the_named_one_goes_on) {
  struct fct_world *world = fct_world_new();
  struct fct_job *other =
      FCT_START(world, .mode = FCT_RUN, .base = "new/base", .script = ": > ready; $PROBES/await go");
  cr_assert(fct_wait_exists(world, "ready"));
  FCT_EXECUTE(world, .mode = FCT_RUN, .base = "new/base", .options = FCT_LIST("--session", "s"), .script = "true");
  fct_write(world, "go", "");
  fct_finish(other);
  cr_assert(fct_wait_no_guardian(world));
  cr_expect(fct_exists(world, "new/base"), "the base went under a session that goes on");
  const struct fct_result ended = FCT_EXECUTE(world, .script = "$FC_COMMAND end --base new/base s");
  cr_expect_eq(ended.status, 0, "%s", ended.err);
  cr_expect(!fct_exists(world, "new"), "the base that was made for the first stays for ever");
}

Test(named_sessions, two_names_are_two_sessions_and_a_name_is_of_its_base) {
  struct fct_world *world = fct_world_new();
  fct_finish(start_in(world, FCT_RUN, "one", "echo 1 > base/1"));
  fct_finish(start_in(world, FCT_BARE, "two", "echo 2 > base/2"));
  FCT_EXECUTE(world, .mode = FCT_RUN, .base = "elsewhere", .options = FCT_LIST("--session", "one"),
              .script = "echo 3 > elsewhere/3");
  expect_end(world, "one", 0, "removed 1 file");
  cr_expect(!fct_exists(world, "base/1") && fct_exists(world, "base/2") && fct_exists(world, "elsewhere/3"));
  expect_end(world, "--base elsewhere one", 0, "removed 1 file");
  expect_end(world, "two", 0, "removed 1 file");
  cr_expect(!fct_exists(world, "elsewhere"), "a base that was made stays");
  fct_assert_base_empty(world, "after all");
}

Test(named_sessions, twenty_commands_at_once_make_exactly_one) {
  struct fct_world *world = fct_world_new();
  for (int round = 0; round < 5; round++) {
    struct fct_job *jobs[20];
    for (int i = 0; i < 20; i++)
      jobs[i] = start_in(world, i % 2 ? FCT_BARE : FCT_RUN, "s",
                         fct_format("echo x > base/%d; echo ${FILECLEANUP_SESSION%%%%:*}", i));
    const char *first = NULL;
    for (int i = 0; i < 20; i++) {
      const struct fct_result result = fct_finish(jobs[i]);
      cr_expect_eq(result.status, 0);
      cr_expect_str_eq(result.err, "");
      if (!first) first = result.out;
      cr_expect_str_eq(result.out, first, "another session");
    }
    cr_expect_eq(sessions(world), 1);
    expect_end(world, "s", 0, "removed 20 files");
    fct_assert_base_empty(world, "after its end");
  }
}

Test(named_sessions, commands_and_ends_at_once_lose_nothing_and_leave_nothing) {
  struct fct_world *world = fct_world_new();
  struct fct_job *jobs[12];
  for (int i = 0; i < 12; i++) {
    const char *script =
        i % 4 == 3 ? "for i in 1 2 3 4 5 6; do $FC_COMMAND end -q --base base s; done; exit 0"
                   : "for i in 1 2 3 4 5 6; do $FC_COMMAND run --base base --session s -- sh -c 'f=base/'$$'-'$i'; "
                     "echo x > $f && sleep 0.01 && cat $f' || exit; done";
    jobs[i] = FCT_START(world, .script = script);
  }
  for (int i = 0; i < 12; i++) {
    const struct fct_result result = fct_finish(jobs[i]);
    cr_expect_eq(result.status, 0, "a command lost its file while it lived: %s", result.err);
    if (i % 4 != 3) cr_expect_str_eq(result.out, "x\nx\nx\nx\nx\nx\n");
  }
  cr_assert(fct_wait_no_members(world));
  end(world, "s");
  fct_assert_base_empty(world, "after the last end");
  cr_expect_eq(sessions(world), 0);
}

Test(named_sessions, the_end_while_a_member_lives_says_who_and_the_last_one_cleans) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_job *job = hold(world, *mode, "s", "echo x > base/x");
    const struct fct_result busy = end(world, "s");
    cr_expect_eq(busy.status, 75);
    cr_expect(contains(busy.err, fct_format("%d (sh)", (int)fct_job_pid(job))) &&
                  contains(busy.err, "the last one out"),
              "%s", busy.err);
    cr_expect(fct_exists(world, "base/x"));
    /* Who comes now has nothing to do with the one that ends. */
    in(world, *mode, "echo y > base/y");
    cr_expect_eq(sessions(world), 2);
    fct_write(world, "go", "");
    cr_expect_eq(fct_finish(job).status, 0);
    cr_expect(!fct_exists(world, "base/x"), "%s: its last process has left it", fct_mode_name(*mode));
    cr_expect(fct_exists(world, "base/y"), "%s: the new one was ended with the old", fct_mode_name(*mode));
    expect_end(world, "s", 0, "removed 1 file");
    fct_assert_base_empty(world, fct_mode_name(*mode));
  }
}

Test(named_sessions, an_ended_one_whose_last_process_is_killed_goes_with_the_next_start) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = hold(world, FCT_RUN, "s", "echo x > base/x");
  expect_end(world, "s", 75, "still used");
  fct_kill_job(job);
  cr_expect(fct_exists(world, "base/x"));
  fct_next_start(world, FCT_BARE);
  fct_assert_base_empty(world, "after the next start");
}

Test(named_sessions, one_whose_process_was_killed_goes_on) {
  struct fct_world *world = fct_world_new();
  fct_kill_job(hold(world, FCT_RUN, "s", "echo x > base/x"));
  fct_next_start(world, FCT_RUN);
  cr_expect_str_eq(in(world, FCT_RUN, "cat base/x").out, "x\n");
  expect_end(world, "s", 0, "removed 1 file");
}

Test(named_sessions, a_dry_run_names_and_removes_nothing) {
  struct fct_world *world = fct_world_new();
  fct_write(world, "base/users", "");
  in(world, FCT_RUN, "echo x > base/x; mkdir base/d; echo y > base/y; rm base/y");
  const struct fct_result dry = end(world, "-n s");
  cr_expect_eq(dry.status, 0);
  cr_expect(contains(dry.out, "/base/x\n") && contains(dry.out, "/base/d/\n") && contains(dry.out, "2 names would"),
            "%s", dry.out);
  cr_expect(fct_exists(world, "base/x"));
  expect_end(world, "--dry-run -q s", 0, "");
  cr_expect_str_eq(in(world, FCT_RUN, "cat base/x").out, "x\n", "the dry run has ended it");
  const struct fct_result quiet = end(world, "-q s");
  cr_expect(quiet.status == 0 && !quiet.out[0] && !quiet.err[0], "%s%s", quiet.out, quiet.err);
  cr_expect_str_eq(FCT_EXECUTE(world, .script = "ls base").out, "users\n");
}

Test(named_sessions, verbose_says_what_was_spared) {
  struct fct_world *world = fct_world_new();
  FCT_EXECUTE(world, .mode = FCT_RUN, .options = FCT_LIST("--session", "s", "--keep", "*.log"),
              .script = "echo x > base/x; echo y > base/y.log");
  expect_end(world, "-v s", 0, "kept 1,");
  cr_expect(fct_exists(world, "base/y.log") && !fct_exists(world, "base/x"));
}

/* ---- life without processes ---- */

Test(named_sessions, an_unused_one_ends_by_its_ttl) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    const char *const ttl = "FILECLEANUP_TTL=1s";
    FCT_EXECUTE(world, .mode = *mode, .env = FCT_LIST(ttl, "FILECLEANUP_SESSION=name:s"), .script = "echo x > base/x");
    FCT_EXECUTE(world, .mode = *mode, .env = FCT_LIST("FILECLEANUP_SESSION=name:long"), .script = "echo y > base/y");
    FCT_EXECUTE(world, .script = "sleep 3");
    fct_next_start(world, *mode);
    cr_expect(!fct_exists(world, "base/x"), "%s: it never ends", fct_mode_name(*mode));
    cr_expect(fct_exists(world, "base/y"), "%s: one with a long life went too", fct_mode_name(*mode));
    expect_end(world, "s", 1, "no session s");
    expect_end(world, "long", 0, "removed 1 file");
  }
}

Test(named_sessions, one_that_is_held_does_not_end_by_its_ttl) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = FCT_START(world, .mode = FCT_RUN, .options = FCT_LIST("--session", "s", "--ttl", "4s"),
                                  .script = "echo x > base/x; : > ready; $PROBES/await go");
  cr_assert(fct_wait_exists(world, "ready"));
  FCT_EXECUTE(world, .script = "sleep 6");
  cr_expect_str_eq(in(world, FCT_RUN, "cat base/x").out, "x\n", "a second one was made");
  fct_write(world, "go", "");
  fct_finish(job);
  fct_next_start(world, FCT_RUN);
  cr_expect(fct_exists(world, "base/x"), "its life did not begin anew when it was left");
  expect_end(world, "s", 0, "removed 1 file");
}

/* ---- policies ---- */

Test(named_sessions, the_policy_of_the_first_command_counts_and_that_is_said) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    FCT_EXECUTE(world, .mode = *mode, .env = FCT_LIST("FILECLEANUP_SESSION=name:s", "FILECLEANUP_KEEP=*.log"),
                .script = "echo x > base/x.log");
    const struct fct_result second =
        FCT_EXECUTE(world, .mode = *mode,
                    .env = FCT_LIST("FILECLEANUP_SESSION=name:s", "FILECLEANUP_ON_EXIT=keep", "FILECLEANUP_KEEP=*.txt",
                                    "FILECLEANUP_TTL=24h"),
                    .script = "echo y > base/y.txt; $PROBES/tree base/t 1 1; echo z > base/z.log");
    cr_expect_str_eq(second.err,
                     "filecleanup: session s keeps the policy that it was made with; not followed: FILECLEANUP_ON_EXIT "
                     "FILECLEANUP_KEEP\n",
                     "%s", second.err);
    cr_expect_str_eq(in(world, *mode, "true").err, "", "said where nothing else was asked for");
    expect_end(world, "s", 0, "removed");
    cr_expect_str_eq(FCT_EXECUTE(world, .script = "ls base").out, "x.log\nz.log\n");
  }
}

/* The id of the only session of this base. */
static const char *only_id(const struct fct_world *world) {
  const char *id = FCT_EXECUTE(world, .script = "basename $FILECLEANUP_STATE_DIR/*/session-* | cut -d- -f2").out;
  return fct_format("%.*s", (int)strcspn(id, "\n"), id);
}

Test(named_sessions, what_a_policy_keeps_takes_the_id_to_delete) {
  static const char *const policies[] = {"keep", "report", "keep-on-failure"};
  for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
    struct fct_world *world = fct_world_new();
    fct_write(world, "base/users", "");
    FCT_EXECUTE(world, .mode = FCT_RUN, .options = FCT_LIST("--session", "s", "--on-exit", policies[i]),
                .script = "echo x > base/x; mkdir base/d");
    expect_end(world, "s", 0, "its policy keeps what it made");
    cr_expect(fct_exists(world, "base/x"), "%s: deleted", policies[i]);
    expect_end(world, "s", 1, "no session s"); /* ending twice by mistake must not delete */
    cr_expect(fct_exists(world, "base/x"), "%s: deleted by the second end", policies[i]);
    expect_end(world, only_id(world), 0, "removed 1 file, 1 directory");
    cr_expect_str_eq(FCT_EXECUTE(world, .script = "ls base").out, "users\n");
    cr_expect_eq(sessions(world), 0);
  }
}

Test(named_sessions, an_ordinary_session_that_was_kept_is_ended_by_its_id) {
  struct fct_world *world = fct_world_new();
  fct_write(world, "base/users", "");
  FCT_EXECUTE(world, .mode = FCT_RUN, .options = FCT_LIST("--on-exit", "keep-on-failure"),
              .script = "echo x > base/x; echo y > base/y; exit 1");
  cr_assert(fct_wait_no_guardian(world));
  cr_expect_eq(FCT_EXECUTE(world, .script = "rm base/y; echo mine > base/y").status, 0);
  const char *id = only_id(world);
  expect_end(world, fct_format("-n %s", id), 0, "1 name would be removed");
  expect_end(world, id, 0, "removed 1 file");
  cr_expect_str_eq(FCT_EXECUTE(world, .script = "ls base; cat base/y").out, "users\ny\nmine\n");
  expect_end(world, id, 1, "no session");
}

/* ---- what must not happen ---- */

static void change_byte(const char *file, off_t offset) {
  const int fd = open(file, O_RDWR | O_CLOEXEC);
  unsigned char byte;
  cr_assert(fd >= 0 && pread(fd, &byte, 1, offset) == 1);
  byte ^= 0x40;
  cr_assert(pwrite(fd, &byte, 1, offset) == 1 && close(fd) == 0);
}

static const char *only_file(const struct fct_world *world) {
  const char *name = FCT_EXECUTE(world, .script = "cd $FILECLEANUP_STATE_DIR && echo */session-*").out;
  return fct_format("%s/%.*s", world->state, (int)strcspn(name, "\n"), name);
}

Test(named_sessions, a_damaged_one_deletes_nothing_and_its_record_is_dropped) {
  struct fct_world *world = fct_world_new();
  in(world, FCT_RUN, "echo x > base/x; echo y > base/y");
  change_byte(only_file(world), 32768 + 64 + 20); /* in the second record */
  expect_end(world, "-n s", 1, "damaged");
  expect_end(world, "s", 1, "nothing of it was removed; its record is dropped");
  cr_expect(fct_exists(world, "base/x") && fct_exists(world, "base/y"));
  cr_expect_eq(sessions(world), 0);
  expect_end(world, "s", 1, "no session s");
}

Test(named_sessions, a_name_written_into_a_record_by_hand_is_not_believed) {
  struct fct_world *world = fct_world_new();
  in(world, FCT_RUN, "echo x > base/x");
  const char *file = only_file(world);
  change_byte(file, 152); /* the name, which the checksum covers: "s" becomes "3" */
  expect_end(world, "s", 1, "no session s");
  expect_end(world, "3", 1, "no session 3");
  change_byte(file, 152);
  expect_end(world, "s", 0, "removed 1 file");
}

Test(named_sessions, another_users_session_is_neither_joined_nor_ended) {
  fct_need_root();
  fct_need_build_for(65534);
  struct fct_world *world = fct_world_new();
  fct_world_give(world, 65534);
  /* nobody's session; root looks in its own state directory and must not reach into that of nobody */
  const struct fct_result made = FCT_EXECUTE(world, .mode = FCT_RUN, .uid = 65534,
                                             .options = FCT_LIST("--session", "s"), .script = "echo x > base/x");
  cr_assert_eq(made.status, 0, "%s", made.err);
  expect_end(world, "s", 1, "no session s");
  const char *script =
      "mkdir -m 700 ${FILECLEANUP_STATE_DIR%/*}/roots-state; export FILECLEANUP_STATE_DIR=${FILECLEANUP_STATE_DIR%/*}/roots-state\n"
      "$FC_COMMAND run --base base --session s -- sh -c 'echo y > base/y'\n"
      "$FC_COMMAND end --base base s";
  const struct fct_result roots = FCT_EXECUTE(world, .script = script);
  cr_expect(contains(roots.out, "removed 1 file"), "%s%s", roots.out, roots.err);
  cr_expect(fct_exists(world, "base/x") && !fct_exists(world, "base/y"));
  const struct fct_result ended = FCT_EXECUTE(world, .uid = 65534, .script = "$FC_COMMAND end --base base s");
  cr_expect_eq(ended.status, 0, "%s%s", ended.out, ended.err);
  fct_assert_base_empty(world, "after both");
}

struct end_case {
  const char *arguments;
  int status;
  const char *said;
};

Test(named_sessions, wrong_uses_of_end_have_their_statuses) {
  struct fct_world *world = fct_world_new();
  in(world, FCT_RUN, "echo x > base/x");
  static const struct end_case cases[] = {
      {"--base base", 2, "NAME"},
      {"--base base s t", 2, "NAME"},
      {"s", 2, "--base"},
      {"--nonsense s", 2, "--help"},
      {"--base base ''", 2, "NAME"},
      {"--base base a/b", 2, "NAME"},
      {"--base base .s", 2, "NAME"},
      {"--base / s", 77, "BASE_DIR"},
      {"--base $HOME s", 77, "BASE_DIR"},
      {"--base missing s", 1, "no session s under missing"},
      {"--base base t", 1, "no session t under base"},
      {"--base base 0123456789abcdef", 1, "no session"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const struct fct_result result = FCT_EXECUTE(world, .script = fct_format("$FC_COMMAND end %s", cases[i].arguments));
    cr_expect_eq(result.status, cases[i].status, "end %s: %d", cases[i].arguments, result.status);
    cr_expect(contains(result.err, cases[i].said), "end %s: %s", cases[i].arguments, result.err);
  }
  const struct fct_result wrong = FCT_EXECUTE(world, .script = "FILECLEANUP_TTL=0 $FC_COMMAND end --base base s");
  cr_expect(wrong.status == 65 && contains(wrong.err, "FILECLEANUP_TTL"), "%d %s", wrong.status, wrong.err);
  const struct fct_result help = FCT_EXECUTE(world, .script = "$FC_COMMAND end --help");
  cr_expect(help.status == 0 && contains(help.out, "Usage: filecleanup end"));
  cr_expect(!fct_exists(world, "missing"), "end has made a directory");
  cr_expect(fct_exists(world, "base/x"));
}

Test(named_sessions, end_reads_the_base_from_the_environment_and_works_inside_the_base) {
  struct fct_world *world = fct_world_new();
  in(world, FCT_RUN, "echo x > base/x");
  const struct fct_result result = FCT_EXECUTE(world, .script = "cd base && FILECLEANUP_BASE_DIR=. $FC_COMMAND end s");
  cr_expect_eq(result.status, 0, "%s", result.err);
  fct_assert_base_empty(world, "after its end");
}

Test(named_sessions, end_in_a_shell_with_the_preload_exported_is_not_in_its_own_way) {
  struct fct_world *world = fct_world_new();
  const struct fct_result result =
      FCT_EXECUTE(world, .script = "export FILECLEANUP_BASE_DIR=$BASE FILECLEANUP_SESSION=name:s\n"
                                   "export LD_PRELOAD=${FC_COMMAND%/*}/libfilecleanup_preload.so\n"
                                   "f=$(mktemp -p base); cat $f; $FC_COMMAND end s");
  cr_expect_str_eq(result.out, "filecleanup: session s: removed 1 file, 0 directories\n", "%s%s", result.out,
                   result.err);
  cr_expect_str_eq(result.err, "");
  fct_assert_base_empty(world, "after its end");
}

Test(named_sessions, one_inside_another_session_keeps_what_it_made_and_the_outer_one_goes) {
  struct fct_world *world = fct_world_new();
  const struct fct_result result = FCT_EXECUTE(
      world, .mode = FCT_RUN,
      .script =
          "echo outer > base/outer; $FC_COMMAND run --base other --session s -- sh -c 'echo i > other/i; echo o > "
          "base/by-inner'; ls base other");
  cr_expect_str_eq(result.out, "base:\nby-inner\nouter\n\nother:\ni\n", "%s%s", result.out, result.err);
  fct_assert_base_empty(world, "after the outer one");
  cr_expect(fct_exists(world, "other/i"), "the named one went with the outer one");
  expect_end(world, "--base other s", 0, "removed 1 file");
}

Test(named_sessions, wait_does_not_wait_for_its_end) {
  struct fct_world *world = fct_world_new();
  const struct fct_result result = FCT_EXECUTE(world, .mode = FCT_RUN, .options = FCT_LIST("--session", "s", "--wait"),
                                               .script = "echo x > base/x; exit 3");
  cr_expect_eq(result.status, 3);
  cr_expect(fct_exists(world, "base/x"));
  expect_end(world, "s", 0, "removed 1 file");
}

Test(named_sessions, a_wrong_name_runs_the_program_and_deletes_nothing) {
  static const char *const wrong[] = {"a b", "../x", "", ".hidden",
                                      "12345678901234567890123456789012345678901234567890123456789012345"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
      struct fct_world *world = fct_world_new();
      const struct fct_result result = fct_finish(start_in(world, *mode, wrong[i], "echo x > base/x; exit 4"));
      cr_expect_eq(result.status, 4, "%s: %d", wrong[i], result.status);
      cr_expect(strncmp(result.err, "filecleanup: FILECLEANUP_SESSION=", 33) == 0, "%s: %s", wrong[i], result.err);
      cr_expect(fct_exists(world, "base/x"));
    }
  }
}

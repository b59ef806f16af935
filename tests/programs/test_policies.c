/* What is done at the end of a session is what that session was told, whoever does it: its last process, its guardian,
 * or a session that starts later with other wishes. And what was told wrongly deletes nothing. */
#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

#include "../harness/harness.h"

TestSuite(policies, .fini = fct_teardown, .timeout = 120);

/* ---- on exit ---- */

enum death { STATUS_0, STATUS_1, PROGRAM_KILLED, ALL_KILLED };
enum fate { DELETED, KEPT };

#define MAKE_FILES "echo a > base/a; mkdir base/d; echo b > base/d/b; "

/* Without a session, "kept" would be said of everything. */
#define HAS_SESSION "ls $FILECLEANUP_STATE_DIR/*/session-* > /dev/null || exit 99; "

static struct fct_job *start_with_policy(const struct fct_world *world, enum fct_mode mode, const char *policy,
                                         const char *script) {
  const char *variable = fct_format("FILECLEANUP_ON_EXIT=%s", policy);
  if (mode == FCT_BARE) return FCT_START(world, .mode = mode, .script = script, .env = FCT_LIST(variable));
  return FCT_START(world, .mode = mode, .script = script, .options = FCT_LIST("--on-exit", policy));
}

static void live_and_die(const struct fct_world *world, enum fct_mode mode, const char *policy, enum death death) {
  struct fct_job *job;
  if (death == STATUS_0 || death == STATUS_1) {
    job = start_with_policy(world, mode, policy,
                            death == STATUS_0 ? HAS_SESSION MAKE_FILES "exit 0" : HAS_SESSION MAKE_FILES "exit 1");
    cr_expect_eq(fct_finish(job).status, death == STATUS_0 ? 0 : 1);
    return;
  }
  job = start_with_policy(world, mode, policy, HAS_SESSION MAKE_FILES ": > ready; $PROBES/await go");
  cr_assert(fct_wait_exists(world, "ready"));
  if (death == ALL_KILLED) fct_kill_guardian(world);
  cr_expect_eq(fct_kill_job(job).status, 128 + SIGKILL);
  cr_assert(fct_wait_no_guardian(world), "the guardian does not end");
}

static void expect_fate(const struct fct_world *world, enum fate fate, const char *when) {
  if (fate == DELETED) {
    fct_assert_base_empty(world, when);
    return;
  }
  const char *a = fct_read(world, "base/a"), *b = fct_read(world, "base/d/b");
  cr_expect(a && strcmp(a, "a\n") == 0, "%s: base/a is gone", when);
  cr_expect(b && strcmp(b, "b\n") == 0, "%s: base/d/b is gone", when);
}

/* Dead, then two starts by somebody who wants everything deleted. In bare mode nobody is there to delete after a kill,
 * so the first of them does. */
static void expect_policy(const char *policy, enum death death, enum fate fate) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    live_and_die(world, *mode, policy, death);
    bool by_itself = death == STATUS_0 || death == STATUS_1 || (death == PROGRAM_KILLED && *mode == FCT_RUN);
    expect_fate(world, by_itself ? fate : KEPT, "at its end");
    fct_next_start(world, FCT_RUN);
    expect_fate(world, fate, "after one start");
    fct_next_start(world, FCT_BARE);
    expect_fate(world, fate, "after two starts");
  }
}

Test(policies, delete_and_status_0) { expect_policy("delete", STATUS_0, DELETED); }
Test(policies, delete_and_status_1) { expect_policy("delete", STATUS_1, DELETED); }
Test(policies, delete_and_program_killed) { expect_policy("delete", PROGRAM_KILLED, DELETED); }
Test(policies, delete_and_all_killed) { expect_policy("delete", ALL_KILLED, DELETED); }
Test(policies, keep_and_status_0) { expect_policy("keep", STATUS_0, KEPT); }
Test(policies, keep_and_status_1) { expect_policy("keep", STATUS_1, KEPT); }
Test(policies, keep_and_program_killed) { expect_policy("keep", PROGRAM_KILLED, KEPT); }
Test(policies, keep_and_all_killed) { expect_policy("keep", ALL_KILLED, KEPT); }
Test(policies, keep_on_failure_and_status_0) { expect_policy("keep-on-failure", STATUS_0, DELETED); }
Test(policies, keep_on_failure_and_status_1) { expect_policy("keep-on-failure", STATUS_1, KEPT); }
Test(policies, keep_on_failure_and_program_killed) { expect_policy("keep-on-failure", PROGRAM_KILLED, KEPT); }
Test(policies, keep_on_failure_and_all_killed) { expect_policy("keep-on-failure", ALL_KILLED, KEPT); }
Test(policies, report_and_status_0) { expect_policy("report", STATUS_0, KEPT); }
Test(policies, report_and_status_1) { expect_policy("report", STATUS_1, KEPT); }
Test(policies, report_and_program_killed) { expect_policy("report", PROGRAM_KILLED, KEPT); }
Test(policies, report_and_all_killed) { expect_policy("report", ALL_KILLED, KEPT); }

/* The status is the leader's own, whatever its children ended with, and however it left. */
static void expect_on_failure(const char *const *argv, int status, enum fate fate) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_result result =
        FCT_EXECUTE(world, .mode = *mode, .argv = argv, .env = FCT_LIST("FILECLEANUP_ON_EXIT=keep-on-failure"));
    cr_expect_eq(result.status, status, "%s: %d", fct_mode_name(*mode), result.status);
    expect_fate(world, fate, fct_mode_name(*mode));
    fct_next_start(world, FCT_RUN);
    expect_fate(world, fate, "after one start");
  }
}

Test(policies, keep_on_failure_looks_at_the_leader_when_a_child_fails) {
  expect_on_failure(FCT_LIST("sh", "-c", HAS_SESSION MAKE_FILES "(exit 3); false; sh -c 'exit 4'; exit 0"), 0, DELETED);
}

Test(policies, keep_on_failure_looks_at_the_leader_when_a_child_succeeds) {
  expect_on_failure(FCT_LIST("sh", "-c", HAS_SESSION MAKE_FILES "true; sh -c 'exit 0'; exit 5"), 5, KEPT);
}

Test(policies, keep_on_failure_sees_the_status_of_a_leader_that_returns_from_main) {
  expect_on_failure(FCT_LIST("sh", "-c", HAS_SESSION MAKE_FILES "exec $PROBES/die base status=0"), 0, DELETED);
  expect_on_failure(FCT_LIST("sh", "-c", HAS_SESSION MAKE_FILES "exec $PROBES/die base status=3"), 3, KEPT);
}

Test(policies, keep_on_failure_sees_the_status_of_a_leader_that_calls_exit) {
  fct_need("bash");
  expect_on_failure(FCT_LIST("bash", "-c", HAS_SESSION MAKE_FILES "true"), 0, DELETED);
  expect_on_failure(FCT_LIST("bash", "-c", HAS_SESSION MAKE_FILES "false"), 1, KEPT);
}

Test(policies, keep_on_failure_sees_the_status_of_a_leader_that_became_another_program) {
  expect_on_failure(FCT_LIST("sh", "-c", HAS_SESSION MAKE_FILES "exec sh -c 'exit 6'"), 6, KEPT);
  expect_on_failure(FCT_LIST("sh", "-c", HAS_SESSION MAKE_FILES "exec sh -c 'exit 0'"), 0, DELETED);
}

Test(policies, keep_on_failure_sees_the_status_of_python) {
  fct_need("python3");
  const char *make = "import os, sys\nopen('base/a', 'w').write('a\\n'); os.mkdir('base/d')\n"
                     "open('base/d/b', 'w').write('b\\n'); sys.exit(int(sys.argv[1]))\n";
  expect_on_failure(FCT_LIST("python3", "-c", make, "0"), 0, DELETED);
  expect_on_failure(FCT_LIST("python3", "-c", make, "9"), 9, KEPT);
}

Test(policies, what_a_session_kept_is_an_ordinary_file_for_the_next) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    live_and_die(world, *mode, "keep", STATUS_0);
    struct fct_result result =
        FCT_EXECUTE(world, .mode = *mode, .script = "rm base/a; rm -r base/d; echo c > base/c; ls base");
    cr_expect_str_eq(result.out, "c\n");
    fct_assert_base_empty(world, "removed by hand");
  }
}

/* ---- values that cannot be accepted ---- */

static size_t count_lines(const char *text) {
  size_t lines = 0;
  for (; *text; text++) lines += *text == '\n';
  return lines;
}

static void expect_one_line(const struct fct_result *result, const char *names, const char *what) {
  cr_expect(strncmp(result->err, "filecleanup:", 12) == 0, "%s: stderr is \"%s\"", what, result->err);
  cr_expect(strstr(result->err, names), "%s: stderr does not name %s: %s", what, names, result->err);
  cr_expect_eq(count_lines(result->err), 1, "%s: not one line: %s", what, result->err);
}

static void expect_refused_value(const char *variable, const char *value) {
  const char *setting = fct_format("%s=%s", variable, value);
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_result result = FCT_EXECUTE(world, .mode = *mode, .env = FCT_LIST(setting),
                                           .argv = FCT_LIST(FC_BUILD_DIR "/probes/die", "base", "status=7"));
    expect_one_line(&result, variable, setting);
    cr_expect_str_eq(result.out, "made\n");
    cr_expect_eq(result.status, 7, "%s, %s: status %d", fct_mode_name(*mode), setting, result.status);
    cr_expect(fct_exists(world, "base/by-open"), "%s, %s: something was deleted", fct_mode_name(*mode), setting);
    cr_expect(fct_exists(world, "base/by-mkdir/below"), "%s, %s: deleted", fct_mode_name(*mode), setting);
  }
}

static void expect_accepted_value(const char *setting) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_result result = FCT_EXECUTE(world, .mode = *mode, .env = FCT_LIST(setting),
                                           .argv = FCT_LIST(FC_BUILD_DIR "/probes/die", "base", "status=7"));
    cr_expect_str_eq(result.err, "", "%s: %s", setting, result.err);
    cr_expect_eq(result.status, 7);
    fct_assert_base_empty(world, setting);
  }
}

Test(policies, a_wrong_on_exit_deletes_nothing) { expect_refused_value("FILECLEANUP_ON_EXIT", "sometimes"); }
Test(policies, a_ttl_of_zero_deletes_nothing) { expect_refused_value("FILECLEANUP_TTL", "0"); }
Test(policies, a_ttl_in_the_ambiguous_unit_M_deletes_nothing) { expect_refused_value("FILECLEANUP_TTL", "5M"); }
Test(policies, a_negative_ttl_deletes_nothing) { expect_refused_value("FILECLEANUP_TTL", "-1h"); }
Test(policies, a_ttl_beyond_all_numbers_deletes_nothing) {
  expect_refused_value("FILECLEANUP_TTL", "99999999999999999999999h");
}
Test(policies, a_wrong_interval_deletes_nothing) { expect_refused_value("FILECLEANUP_INTERVAL", "soon"); }
Test(policies, a_wrong_scope_deletes_nothing) { expect_refused_value("FILECLEANUP_SCOPE", "galaxy"); }
Test(policies, a_wrong_boolean_deletes_nothing) { expect_refused_value("FILECLEANUP_PERIODIC", "maybe"); }
Test(policies, a_wrong_size_deletes_nothing) { expect_refused_value("FILECLEANUP_MAX_BYTES", "10Q"); }
Test(policies, a_wrong_dirs_deletes_nothing) { expect_refused_value("FILECLEANUP_DIRS", "all of them"); }
Test(policies, a_value_with_a_newline_is_still_one_line) { expect_refused_value("FILECLEANUP_TTL", "1\nx"); }
Test(policies, right_values_are_accepted_in_silence) {
  expect_accepted_value("FILECLEANUP_TTL=2h 30min");
  expect_accepted_value("FILECLEANUP_TTL=infinity");
  expect_accepted_value("FILECLEANUP_PERIODIC=OFF");
  expect_accepted_value("FILECLEANUP_MAX_BYTES=10G");
}

/* ---- bases that are refused ---- */

static void expect_refused_base(const char *(*base_of)(const struct fct_world *), const char *const *env) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    const char *base = base_of(world);
    struct fct_result result = FCT_EXECUTE(world, .mode = *mode, .base = base, .env = env,
                                           .argv = FCT_LIST(FC_BUILD_DIR "/probes/die", "base", "status=7"));
    expect_one_line(&result, "BASE_DIR", base);
    cr_expect_str_eq(result.out, "made\n");
    cr_expect_eq(result.status, 7, "%s, %s: status %d", fct_mode_name(*mode), base, result.status);
    cr_expect(fct_exists(world, "base/by-open"), "%s, %s: something was deleted", fct_mode_name(*mode), base);
    cr_expect(fct_exists(world, "base/by-mkdir/below"), "%s, %s: deleted", fct_mode_name(*mode), base);
  }
}

static const char *slash(const struct fct_world *world) {
  (void)world;
  return "/";
}
static const char *slashes_and_dots(const struct fct_world *world) {
  (void)world;
  return "/usr/..//";
}
static const char *etc(const struct fct_world *world) {
  (void)world;
  return "/etc";
}
static const char *home(const struct fct_world *world) { return world->home; }
static const char *dot(const struct fct_world *world) {
  (void)world;
  return ".";
}
static const char *directory(const struct fct_world *world) { return world->dir; }
static const char *above(const struct fct_world *world) { return world->root; }
static const char *link_to_directory(const struct fct_world *world) {
  FCT_EXECUTE(world, .script = "ln -s . link");
  return fct_path(world, "link");
}
static const char *repository(const struct fct_world *world) {
  FCT_EXECUTE(world, .script = "mkdir base/.git");
  return world->base;
}
static const char *writable_for_all(const struct fct_world *world) {
  FCT_EXECUTE(world, .script = "chmod 0777 base");
  return world->base;
}
static const char *a_file(const struct fct_world *world) {
  fct_write(world, "file", "mine\n");
  return fct_path(world, "file");
}

Test(policies, the_root_directory_is_refused) { expect_refused_base(slash, NULL); }
Test(policies, the_root_directory_by_another_spelling_is_refused) { expect_refused_base(slashes_and_dots, NULL); }
Test(policies, a_system_directory_is_refused) { expect_refused_base(etc, NULL); }
Test(policies, the_home_directory_is_refused) { expect_refused_base(home, NULL); }
Test(policies, the_root_directory_is_refused_even_when_trusted) {
  expect_refused_base(slash, FCT_LIST("FILECLEANUP_TRUST_BASE=1"));
}
Test(policies, the_home_directory_is_refused_even_when_trusted) {
  expect_refused_base(home, FCT_LIST("FILECLEANUP_TRUST_BASE=1"));
}
Test(policies, the_working_directory_is_refused) { expect_refused_base(directory, NULL); }
Test(policies, the_working_directory_as_a_dot_is_refused) { expect_refused_base(dot, NULL); }
Test(policies, the_working_directory_by_a_link_is_refused) { expect_refused_base(link_to_directory, NULL); }
Test(policies, what_contains_the_working_directory_is_refused) { expect_refused_base(above, NULL); }
Test(policies, a_repository_is_refused) { expect_refused_base(repository, NULL); }
Test(policies, a_directory_that_everybody_may_change_is_refused) { expect_refused_base(writable_for_all, NULL); }
Test(policies, a_file_is_refused_as_base) { expect_refused_base(a_file, NULL); }

Test(policies, the_working_directory_is_accepted_when_trusted) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_result result =
        FCT_EXECUTE(world, .mode = *mode, .base = world->dir, .env = FCT_LIST("FILECLEANUP_TRUST_BASE=1"),
                    .script = "echo x > x; echo y > base/y; cat x");
    cr_expect_str_eq(result.out, "x\n");
    cr_expect_str_eq(result.err, "");
    cr_expect(!fct_exists(world, "x"), "%s: x is still there", fct_mode_name(*mode));
    cr_expect(fct_exists(world, "base"), "%s: base is gone", fct_mode_name(*mode));
  }
}

/* ---- keep by pattern ---- */

#define MAKE_FOR_KEEP "cd base; echo 1 > a.log; echo 2 > b.tmp; mkdir d e; echo 3 > d/x.log; echo 4 > d/y; echo 5 > e/z"
#define LIST_BASE "cd base && find . | sort | tr '\\n' ' '"

static void expect_kept(const char *const *globs, const char *variable, const char *expected) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    const char *const *options = *mode == FCT_RUN ? globs : NULL;
    const char *const *env = *mode == FCT_BARE ? FCT_LIST(variable) : NULL;
    struct fct_result result =
        FCT_EXECUTE(world, .mode = *mode, .script = MAKE_FOR_KEEP, .options = options, .env = env);
    cr_expect_eq(result.status, 0, "%s", result.err);
    fct_next_start(world, *mode);
    cr_expect_str_eq(FCT_EXECUTE(world, .script = LIST_BASE).out, expected, "%s", fct_mode_name(*mode));
  }
}

Test(policies, keep_spares_what_matches_at_the_top_only) {
  expect_kept(FCT_LIST("--keep", "*.log"), "FILECLEANUP_KEEP=*.log", ". ./a.log ");
}

Test(policies, keep_spares_what_matches_below) {
  expect_kept(FCT_LIST("--keep", "d/*.log"), "FILECLEANUP_KEEP=d/*.log", ". ./d ./d/x.log ");
}

Test(policies, keep_can_be_given_twice) {
  expect_kept(FCT_LIST("--keep", "*.tmp", "--keep", "e/z"), "FILECLEANUP_KEEP=*.tmp:e/z", ". ./b.tmp ./e ./e/z ");
}

Test(policies, keep_holds_for_the_next_start_after_all_were_killed) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = FCT_START(world, .mode = FCT_RUN, .options = FCT_LIST("--keep", "*.log"),
                                  .script = "(" MAKE_FOR_KEEP "); : > ready; $PROBES/await go");
  cr_assert(fct_wait_exists(world, "ready"));
  fct_kill_guardian(world);
  fct_kill_members(world);
  fct_finish(job);
  fct_next_start(world, FCT_RUN);
  cr_expect_str_eq(FCT_EXECUTE(world, .script = LIST_BASE).out, ". ./a.log ");
}

/* ---- off ---- */

Test(policies, disabled_means_that_nothing_happens) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_result result =
        FCT_EXECUTE(world, .mode = *mode, .env = FCT_LIST("FILECLEANUP_DISABLE=1", "FILECLEANUP_TTL=wrong"),
                    .script = "echo x > base/x; exit 3");
    cr_expect_eq(result.status, 3);
    cr_expect_str_eq(result.err, "");
    cr_expect(fct_exists(world, "base/x"), "%s: deleted", fct_mode_name(*mode));
    cr_expect_str_eq(FCT_EXECUTE(world, .script = "find $FILECLEANUP_STATE_DIR -type f").out, "");
    cr_expect_eq(fct_guardian(world), 0);
  }
}

Test(policies, disabled_does_not_make_a_missing_base) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    FCT_EXECUTE(world, .mode = *mode, .base = fct_path(world, "temp"), .env = FCT_LIST("FILECLEANUP_DISABLE=yes"),
                .script = "test -e temp && echo made > seen; true");
    cr_expect(!fct_exists(world, "seen") && !fct_exists(world, "temp"), "%s: it was made", fct_mode_name(*mode));
  }
}

Test(policies, disabled_by_zero_or_nothing_is_not_disabled) {
  expect_accepted_value("FILECLEANUP_DISABLE=0");
  expect_accepted_value("FILECLEANUP_DISABLE=");
}

/* ---- a base that was not there ---- */

static void expect_base_made_and_removed(const char *base, const char *script, const char *highest) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_result result = FCT_EXECUTE(world, .mode = *mode, .base = base, .script = script);
    cr_expect_eq(result.status, 0, "%s: the base was not made: %s", fct_mode_name(*mode), result.err);
    cr_expect_str_eq(result.err, "");
    cr_expect(!fct_exists(world, highest), "%s: %s is still there", fct_mode_name(*mode), highest);
    cr_expect(fct_exists(world, "base"), "%s: a directory of the user is gone", fct_mode_name(*mode));
  }
}

Test(policies, a_missing_base_is_made_and_goes_again) {
  expect_base_made_and_removed("./temp", "test -d temp && echo x > temp/x", "temp");
}

Test(policies, a_missing_base_goes_again_when_nothing_was_written) {
  expect_base_made_and_removed("temp", "test -d temp", "temp");
}

Test(policies, missing_parents_of_a_base_are_made_and_go_again) {
  expect_base_made_and_removed("./one/two/temp", "test -d one/two/temp && echo x > one/two/temp/x", "one");
}

Test(policies, missing_parents_below_a_directory_of_the_user_go_again_and_that_one_stays) {
  expect_base_made_and_removed("base/two/temp", "test -d base/two/temp && echo x > base/two/temp/x", "base/two");
}

Test(policies, a_missing_base_goes_again_after_a_kill) {
  struct fct_world *world = fct_world_new();
  struct fct_result result =
      FCT_EXECUTE(world, .mode = FCT_RUN, .base = "one/temp", .script = "echo x > one/temp/x || exit 9; kill -9 $$");
  cr_expect_eq(result.status, 128 + SIGKILL);
  cr_expect(fct_wait_gone(world, "one"), "one is still there");
}

Test(policies, a_base_that_was_made_stays_when_something_in_it_is_kept) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    FCT_EXECUTE(world, .mode = *mode, .base = "one/temp", .script = "echo x > one/temp/x; echo y > one/temp/y",
                .env = FCT_LIST("FILECLEANUP_KEEP=y"));
    cr_expect(!fct_exists(world, "one/temp/x"));
    cr_expect(fct_exists(world, "one/temp/y"), "%s: what was to be kept is gone", fct_mode_name(*mode));
  }
}

Test(policies, a_parent_that_was_made_stays_when_the_user_put_something_there) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    FCT_EXECUTE(world, .mode = *mode, .base = "one/temp", .script = "echo x > one/temp/x; echo mine > one/mine");
    cr_expect(fct_exists(world, "one/mine"), "%s: the user's file is gone", fct_mode_name(*mode));
    cr_expect(!fct_exists(world, "one/temp/x"));
  }
}

/* ---- the options of filecleanup run ---- */

Test(policies, run_without_a_base_gives_the_program_a_private_tmpdir) {
  struct fct_world *world = fct_world_new();
  struct fct_result result = FCT_EXECUTE(
      world, .script =
                 "mkdir tmp; export TMPDIR=$PWD/tmp\n"
                 "$FC_COMMAND run -- sh -c 'f=$(mktemp) && case $f in '$TMPDIR'/*/*) stat -c %a $(dirname $f);; esac'\n"
                 "ls -A tmp\n");
  cr_expect_str_eq(result.out, "700\n", "%s %s", result.out, result.err);
}

Test(policies, tmpdir_exports_the_base) {
  struct fct_world *world = fct_world_new();
  struct fct_result result = FCT_EXECUTE(world, .mode = FCT_RUN, .options = FCT_LIST("--tmpdir"),
                                         .script = "f=$(mktemp) && case $f in $BASE/*) echo inside;; esac");
  cr_expect_str_eq(result.out, "inside\n", "%s %s", result.out, result.err);
  fct_assert_base_empty(world, "on return");
}

Test(policies, a_program_that_does_not_exist_is_127) {
  struct fct_world *world = fct_world_new();
  struct fct_result result =
      FCT_EXECUTE(world, .script = "$FC_COMMAND run --base temp -- ./no-such-program; echo $?; ls");
  cr_expect_str_eq(result.out, "127\nbase\n", "%s", result.out);
  cr_expect(strncmp(result.err, "filecleanup", 11) == 0, "%s", result.err);
}

Test(policies, a_program_that_cannot_be_executed_is_126) {
  struct fct_world *world = fct_world_new();
  struct fct_result result = FCT_EXECUTE(world, .script = ": > plain; $FC_COMMAND run --base base -- ./plain; echo $?");
  cr_expect_str_eq(result.out, "126\n", "%s", result.out);
}

Test(policies, an_option_that_does_not_exist_is_125) {
  struct fct_world *world = fct_world_new();
  struct fct_result result = FCT_EXECUTE(world, .script = "$FC_COMMAND run --no-such-option -- echo ran; echo $?");
  cr_expect_str_eq(result.out, "125\n", "%s", result.out);
}

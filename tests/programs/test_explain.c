/* filecleanup explain: one session for each reason, and what is foretold comes true. */
#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#include "../harness/harness.h"

static void init(void) { fct_need("jq"); }
TestSuite(explain, .init = init, .fini = fct_teardown, .timeout = 120);

/* A session on a base that the user had filled, held while somebody asks. */
struct scene {
  struct fct_world *world;
  struct fct_job *job;
};

static struct fct_job *hold(const struct fct_world *world, const char *const *options, const char *name,
                            const char *script) {
  const char *text = fct_format("%s\n: > ready-%s; exec $PROBES/await end-%s", script, name, name);
  struct fct_job *job = FCT_START(world, .mode = FCT_RUN, .options = options, .script = text);
  cr_assert(fct_wait_exists(world, fct_format("ready-%s", name)), "the session did not start");
  return job;
}

static void let_end(const struct fct_world *world, struct fct_job *job, const char *name) {
  fct_write(world, fct_format("end-%s", name), "");
  struct fct_result result = fct_finish(job);
  cr_expect_eq(result.status, 0, "%s", result.err);
}

/* What a jq filter makes of the answer about path. */
static const char *ask(const struct fct_world *world, const char *path, const char *filter) {
  struct fct_result result =
      FCT_EXECUTE(world, .script = fct_format("$FC_COMMAND explain --json '%s' | jq -r '%s'", path, filter));
  cr_assert_eq(result.status, 0, "%s", result.err);
  cr_expect_str_eq(result.err, "");
  char *line = fct_format("%s", result.out);
  line[strcspn(line, "\n")] = '\0';
  return line;
}

struct expected {
  const char *setup;   /* what the user had */
  const char *script;  /* what the session does */
  const char *outside; /* what somebody else does then */
  const char *const *options;
  const char *path;   /* default: base/f */
  const char *reason; /* "reason rule fate" */
};

static void expect_reason(const struct expected *e) {
  struct fct_world *world = fct_world_new();
  const char *path = e->path ? e->path : "base/f";
  if (e->setup) cr_assert_eq(FCT_EXECUTE(world, .script = e->setup).status, 0);
  struct fct_job *job = hold(world, e->options, "a", e->script);
  if (e->outside) cr_assert_eq(FCT_EXECUTE(world, .script = e->outside).status, 0);
  const bool existed = fct_exists(world, path);
  const char *said = ask(world, path, ".paths[0] | .fate as $f | .records[0] | \"\\(.reason) \\(.rule) \\($f)\"");
  cr_expect_str_eq(said, e->reason, "%s: %s instead of %s", path, said, e->reason);
  const char *people = FCT_EXECUTE(world, .script = fct_format("$FC_COMMAND explain %s", path)).out;
  cr_expect(strstr(people, "because"), "nothing is said to people: %s", people);
  let_end(world, job, "a");
  const bool deletes = strstr(said, " delete") != NULL;
  cr_expect_eq(fct_exists(world, path), existed && !deletes, "it was foretold that %s is %s, and it did not come true",
               path, deletes ? "deleted" : "kept");
}
#define EXPECT_REASON(...) expect_reason(&(struct expected){__VA_ARGS__})

Test(explain, what_the_session_made_is_deleted) {
  EXPECT_REASON(.script = "echo x > base/f", .reason = "created null delete");
}

Test(explain, what_was_there_before_has_no_record) {
  EXPECT_REASON(.setup = "echo x > base/f", .script = "cat base/f", .reason = "no-record null keep");
}

Test(explain, what_took_the_place_of_the_users_is_n1) {
  EXPECT_REASON(.setup = "echo x > base/f", .script = "rm base/f; echo y > base/f", .reason = "replaces N1 keep");
}

Test(explain, what_was_renamed_over_the_users_is_n1) {
  EXPECT_REASON(.setup = "echo x > base/f", .script = "echo y > base/g; mv base/g base/f",
                .reason = "replaces N1 keep");
}

Test(explain, a_name_that_was_taken_from_the_user_is_n1) {
  EXPECT_REASON(.setup = "echo x > base/f", .script = "rm base/f", .outside = "echo z > base/f",
                .reason = "reserved N1 keep");
}

Test(explain, what_may_hold_the_users_data_is_n2) {
  EXPECT_REASON(.setup = "echo x > base/data", .script = "cp base/data base/f; rm base/data",
                .reason = "moved-data N2 keep");
}

Test(explain, what_may_hold_the_users_data_and_got_another_name_is_n2) {
  EXPECT_REASON(.setup = "echo x > base/data", .script = "cp base/data base/g; rm base/data; mv base/g base/f",
                .reason = "moved-data N2 keep");
}

Test(explain, what_lies_in_a_directory_of_the_users_is_n3) {
  EXPECT_REASON(.setup = "mkdir base/d; echo x > base/d/users", .script = "echo y > base/d/f", .path = "base/d/f",
                .reason = "users-ground N3 keep");
}

Test(explain, what_belongs_to_the_users_database_is_n4) {
  EXPECT_REASON(.setup = "echo x > base/f", .script = "echo y > base/f-wal", .path = "base/f-wal",
                .reason = "companion N4 keep");
}

Test(explain, a_link_to_the_users_is_n5) {
  EXPECT_REASON(.setup = "echo x > base/data", .script = "ln base/data base/f", .reason = "link N5 keep");
}

Test(explain, what_was_moved_in_from_another_file_system_is_n6) {
  struct fct_world *world = fct_world_new();
  if (!world->other[0]) cr_skip("no second file system at hand");
  EXPECT_REASON(.script = "echo x > $OTHER/f; touch -d '1 hour ago' $OTHER/f; mv $OTHER/f base/f",
                .reason = "moved-in N6 keep");
}

Test(explain, what_was_renamed_in_is_not_ours) {
  EXPECT_REASON(.setup = "echo x > f", .script = "mv f base/f", .reason = "renamed-in null keep");
}

Test(explain, what_was_the_users_under_another_name_is_his) {
  EXPECT_REASON(.setup = "echo x > base/g", .script = "mv base/g base/f", .reason = "users null keep");
}

Test(explain, what_somebody_else_put_there_is_not_ours) {
  EXPECT_REASON(.script = "echo x > base/f", .outside = "echo y > g; mv g base/f", .reason = "replaced null keep");
}

Test(explain, what_is_gone_is_gone) {
  EXPECT_REASON(.script = "echo x > base/f", .outside = "rm base/f", .reason = "gone null keep");
}

Test(explain, what_a_glob_keeps_is_kept) {
  EXPECT_REASON(.script = "echo x > base/f.log", .path = "base/f.log", .options = FCT_LIST("--keep", "no:*.log"),
                .reason = "kept-by-glob null keep");
}

Test(explain, the_glob_that_keeps_it_is_named) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = hold(world, FCT_LIST("--keep", "no:*.log:more"), "a", "echo x > base/f.log");
  cr_expect_str_eq(ask(world, "base/f.log", ".paths[0].records[0].detail"), "*.log");
  let_end(world, job, "a");
}

Test(explain, a_directory_is_kept_when_directories_are) {
  EXPECT_REASON(.script = "mkdir base/f", .options = FCT_LIST("--dirs", "keep"), .reason = "dirs-keep null keep");
}

Test(explain, a_directory_that_holds_our_own_goes_when_it_is_empty) {
  EXPECT_REASON(.script = "mkdir base/f; echo x > base/f/g", .reason = "not-empty null delete");
}

Test(explain, a_device_is_never_deleted) {
  fct_need_root();
  EXPECT_REASON(.script = "mknod base/f c 1 3", .reason = "device null keep");
}

Test(explain, a_base_that_was_there_stays) {
  EXPECT_REASON(.script = "echo x > base/f", .path = "base", .reason = "base null keep");
}

Test(explain, a_session_that_keeps_deletes_nothing) {
  EXPECT_REASON(.script = "echo x > base/f", .options = FCT_LIST("--on-exit", "keep"), .reason = "created null keep");
}

Test(explain, what_no_hook_saw_goes_with_a_directory_of_ours_when_recursive) {
  EXPECT_REASON(.script = "mkdir base/d", .outside = "mkdir base/d/e; echo x > base/d/e/f", .path = "base/d/e/f",
                .options = FCT_LIST("--dirs", "recursive"), .reason = "unseen null delete");
}

Test(explain, what_no_hook_saw_stays_otherwise) {
  EXPECT_REASON(.script = "mkdir base/d", .outside = "echo x > base/d/f", .path = "base/d/f",
                .reason = "no-record null keep");
}

Test(explain, a_file_tells_from_when_on_it_is_swept) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job =
      hold(world, FCT_LIST("--ttl", "1h", "--on-exit", "keep"), "a", "echo x > base/f; mkfifo base/p");
  cr_expect_str_eq(ask(world, "base/f", ".paths[0].records[0] | .fate, .expires_s - .created_s | tostring"), "keep");
  const char *left = ask(world, "base/f", "now as $n | .paths[0].records[0].expires_s - $n | . > 3500 and . < 3605");
  cr_expect_str_eq(left, "true");
  cr_expect_str_eq(ask(world, "base/p", ".paths[0].records[0].expires"), "null", "only files are swept");
  cr_expect(strstr(FCT_EXECUTE(world, .script = "$FC_COMMAND explain base/f | tr -s ' \\n' ' '").out, "older than 1h"));
  let_end(world, job, "a");
}

Test(explain, a_process_scope_says_when) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = hold(world, FCT_LIST("--scope", "process"), "a", "echo x > base/f");
  const char *when = ask(world, "base/f", ".paths[0].records[0].when");
  cr_expect(strstr(when, "the process that made it"), "%s", when);
  let_end(world, job, "a");
}

Test(explain, what_was_handed_over_names_no_maker) {
  struct fct_world *world = fct_world_new();
  struct fct_job *a = hold(world, NULL, "a", "echo x > base/f");
  struct fct_job *b = hold(world, NULL, "b", "echo y >> base/f");
  let_end(world, a, "a");
  cr_expect_str_eq(ask(world, "base/f", ".paths[0].records[0] | \"\\(.reason) \\(.creator)\""), "created null");
  let_end(world, b, "b");
}

Test(explain, a_checkpoint_forgets_no_reason) {
  fct_need("python3");
  struct fct_world *world = fct_world_new();
  cr_assert_eq(FCT_EXECUTE(world, .script = "echo u > base/u; echo v > base/v").status, 0);
  struct fct_job *job = hold(world, NULL, "a",
                             "echo x > base/g; rm base/u; echo y > base/u; ln base/v base/l; echo z > base/f\n"
                             "python3 -c 'import os\nfor i in range(17500): open(\"base/t\", \"x\").close(); "
                             "os.unlink(\"base/t\")'");
  struct fct_result settled = FCT_EXECUTE(
      world, .limit_s = 60,
      .script = "until $FC_COMMAND status --json | jq -e '.sessions[0].journal.cells < 65536' > answer; do :; done");
  cr_assert_eq(settled.status, 0);
  cr_expect_str_eq(ask(world, "base/u", ".paths[0].records[0].reason"), "replaces");
  cr_expect_str_eq(ask(world, "base/l", ".paths[0].records[0].reason"), "link");
  cr_expect_str_eq(ask(world, "base/g", ".paths[0].records[0].reason"), "moved-data");
  cr_expect_str_eq(ask(world, "base/f", ".paths[0].records[0].reason"), "created");
  cr_expect_str_eq(ask(world, "base/v", ".paths[0].records[0].reason"), "no-record");
  const char *members =
      "$FC_COMMAND status --json | jq -c '.sessions[0] | [.state, .leader.alive, .members[].program]'";
  cr_expect_str_eq(FCT_EXECUTE(world, .script = members).out, "[\"live\",true,\"await\"]\n");
  let_end(world, job, "a");
  cr_expect_not(fct_exists(world, "base/f"));
}

Test(explain, what_another_session_uses_goes_to_that_one) {
  struct fct_world *world = fct_world_new();
  struct fct_job *a = hold(world, NULL, "a", "echo x > base/f");
  struct fct_job *b = hold(world, NULL, "b", "echo y >> base/f");
  const char *said = ask(world, "base/f", "[.paths[0].records[].reason] | sort | join(\" \")");
  cr_expect_str_eq(said, "no-record used-by-session", "%s", said);
  let_end(world, a, "a");
  cr_expect(fct_exists(world, "base/f"), "the other one still uses it");
  let_end(world, b, "b");
  cr_expect_not(fct_exists(world, "base/f"));
}

/* Ordinary programs, on files of the user's and of their own; every name is asked about, and then the session ends. */
static const char gentle[] =
    "cd base; mkdir -p own/x/y mixed/d empty stage; for i in 1 2 3; do echo $i > own/x/y/$i; echo $i > tmp.$i; done\n"
    "gzip -k a; echo o > repo/src/m.o; echo w > app.db-wal; echo j > tmp.1-journal; tar cf own/all.tar a b\n"
    "echo s > stage/s; mv stage stage2; ln tmp.1 tmp.1b; ln a a.b; mkfifo pipe; ln -s tmp.2 l2; echo n > mixed/new\n"
    "echo z > mixed/d/z; echo keep > own/k.log; rm tmp.3; echo again > tmp.3; mv a a2; cd ..";
static const char rough[] =
    "cd base; mkdir own own/x own/x/y; for i in 1 2 3; do echo $i > own/x/y/$i; echo $i > tmp.$i; done\n"
    "(gzip -k a; sed -i s/b/B/ b); (echo c2 > c.new; mv c.new c)\n"
    "echo o > repo/src/m.o; (cp logs/app.log logs/app.log.1; : > logs/app.log); echo w > app.db-wal\n"
    "tar cf own/all.tar a b; (mkdir stage; echo s > stage/s; mv stage stage2); ln tmp.1 tmp.1b; ln a a.b\n"
    "mkfifo pipe; ln -s tmp.2 l2; echo n > mixed/new; mkdir mixed/d; echo z > mixed/d/z; mkdir empty\n"
    "echo keep > own/k.log; (rm tmp.3; echo again > tmp.3); mv out/old out/older; cd ..";

static void expect_all_comes_true(const char *work, const char *const *options) {
  struct fct_world *world = fct_world_new();
  const char *setup =
      "cd base; mkdir -p repo/src logs out/deep mixed; for f in a b c; do echo $f > $f; done\n"
      "echo int main; > repo/src/m.c; echo log > logs/app.log; echo old > out/old; echo m > mixed/mine\n"
      "echo db > app.db; ln -s a link";
  cr_assert_eq(FCT_EXECUTE(world, .script = setup).status, 0);
  struct fct_job *job = hold(world, options, "a", work);
  struct fct_result asked = FCT_EXECUTE(
      world, .script = "find $BASE -mindepth 1 -print0 | xargs -0 $FC_COMMAND explain --json > told\n"
                       "jq -r '.paths[] | select(.fate == \"keep\") | .path' told | sort > kept\n"
                       "jq -r '.paths[] | select(.fate == \"delete\" and .records[0].reason != \"not-empty\") | .path' "
                       "told | sort > deleted; wc -l < kept; wc -l < deleted");
  cr_assert_eq(asked.status, 0, "%s", asked.err);
  let_end(world, job, "a");
  cr_assert(fct_wait_no_guardian(world));
  struct fct_result compared =
      FCT_EXECUTE(world, .script = "find $BASE -mindepth 1 | sort > left\n"
                                   "comm -23 kept left | sed 's/^/gone: /'; comm -12 deleted left | sed 's/^/left: /'");
  cr_expect_str_eq(compared.out, "", "kept, deleted: %s%s", asked.out, compared.out);
}

Test(explain, all_that_is_foretold_comes_true_beside_the_users_files) {
  expect_all_comes_true(gentle, FCT_LIST("--keep", "*/*.log"));
}

Test(explain, all_that_is_foretold_comes_true_when_the_users_data_moved) {
  expect_all_comes_true(rough, FCT_LIST("--keep", "*/*.log"));
}

Test(explain, all_that_is_foretold_comes_true_with_all_tracked) {
  expect_all_comes_true(rough, FCT_LIST("--track", "all", "--dirs", "recursive"));
}

Test(explain, who_made_it_is_named) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = hold(world, NULL, "a", "cp /etc/passwd base/f");
  cr_expect_str_eq(ask(world, "base/f", ".paths[0].records[0] | .creator.program + \" \" + (.age_s < 60 | tostring)"),
                   "cp true");
  let_end(world, job, "a");
}

Test(explain, who_has_it_open_is_named) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = hold(world, NULL, "a", "exec 9> base/f");
  cr_expect_str_eq(ask(world, "base/f", "[.paths[0].users[].program] | join(\" \")"), "await");
  let_end(world, job, "a");
}

Test(explain, a_path_outside_every_base_says_so) {
  struct fct_world *world = fct_world_new();
  fct_write(world, "elsewhere", "");
  struct fct_result result = FCT_EXECUTE(world, .script = "$FC_COMMAND explain elsewhere");
  cr_expect_eq(result.status, 0);
  cr_expect(strstr(result.out, "does not lie in the base of any session"), "%s", result.out);
}

Test(explain, a_path_that_nobody_knows_is_an_error) {
  struct fct_world *world = fct_world_new();
  cr_expect_eq(FCT_EXECUTE(world, .script = "$FC_COMMAND explain base/nothing/at/all").status, 1);
}

Test(explain, a_link_is_explained_and_not_what_it_leads_to) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = hold(world, NULL, "a", "ln -s /etc/passwd base/f");
  cr_expect_str_eq(ask(world, "base/f", ".paths[0].records[0] | .reason + \" \" + .type"), "created link");
  let_end(world, job, "a");
}

Test(explain, a_name_reached_by_a_link_is_the_same_name) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = hold(world, NULL, "a", "echo x > base/f");
  cr_assert_eq(symlink("base", fct_path(world, "alias")), 0);
  cr_expect_str_eq(ask(world, "alias/f", ".paths[0].records[0].reason"), "created");
  let_end(world, job, "a");
}

Test(explain, a_name_that_is_not_utf_8_is_exact) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = hold(world, NULL, "a", "echo x > \"base/$(printf 'a\\377\\nb')\"");
  struct fct_result result = FCT_EXECUTE(
      world, .script = "$FC_COMMAND explain --json base/a* | jq -r '.paths[0] | .path_bytes, .records[0].reason' | "
                       "sed 's|.*/||'; $FC_COMMAND explain base/a* | head -n 1 | sed 's|.*/||'");
  cr_expect_str_eq(result.out, "a%FF%0Ab\ncreated\na\\xff\\nb\n", "%s", result.out);
  let_end(world, job, "a");
}

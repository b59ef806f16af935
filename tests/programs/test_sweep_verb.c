/* The verbs that change what becomes of names: sweep, keep, untrack. What they say is what then happens, whatever state
 * a session is in; and with -n nothing does.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../harness/harness.h"

static void init(void) { fct_need("jq"); }
TestSuite(sweep_verb, .init = init, .fini = fct_teardown, .timeout = 180);

#define NOBODY 65534

static struct fct_result run(const struct fct_world *world, const char *script) {
  return FCT_EXECUTE(world, .script = script, .limit_s = 120);
}

static void expect_answer(const struct fct_world *world, const char *script, const char *answer) {
  struct fct_result result = run(world, script);
  cr_expect_str_eq(result.out, answer, "%s: %s%s", script, result.out, result.err);
}

static struct fct_job *hold(const struct fct_world *world, const char *const *options, const char *script) {
  struct fct_job *job = FCT_START(world, .mode = FCT_RUN, .options = options,
                                  .script = fct_format("%s\n: > ready; exec $PROBES/await end", script));
  cr_assert(fct_wait_exists(world, "ready"), "the session did not start");
  struct fct_result settled =
      run(world, "until $FC_COMMAND status --json | jq -e 'any(.sessions[]; .state == \"live\" and "
                 ".leader.program == \"await\")' > answer; do :; done");
  cr_assert_eq(settled.status, 0, "%s", settled.err);
  return job;
}

static void let_end(const struct fct_world *world, struct fct_job *job) {
  fct_write(world, "end", "");
  cr_expect_eq(fct_finish(job).status, 0);
}

/* A session whose processes and guardian were killed. Returns its file. */
static const char *make_orphan(const struct fct_world *world, const char *const *options, const char *script) {
  struct fct_job *job = hold(world, options, script);
  fct_kill_guardian(world);
  (void)fct_kill_job(job);
  cr_assert(fct_wait_no_members(world));
  struct fct_result found = run(world, "cd $FILECLEANUP_STATE_DIR && echo */session-*");
  cr_assert(!strchr(found.out, '*'), "no session file: %s", found.out);
  return fct_format("%s/%.*s", world->state, (int)strcspn(found.out, "\n"), found.out);
}

static const char usual[] = "echo x > base/a; mkdir base/d; echo yy > base/d/b";

static void change_byte(const char *file, off_t offset) {
  int fd = open(file, O_RDWR | O_CLOEXEC);
  unsigned char byte;
  cr_assert(fd >= 0 && pread(fd, &byte, 1, offset) == 1);
  byte ^= 0x40;
  cr_assert(pwrite(fd, &byte, 1, offset) == 1 && close(fd) == 0);
}

#define VERSION_OFFSET 8
#define FIRST_CELL_OFFSET 32768

static const char *const swept[] = {"--ttl", "10min", "--age-by", "mtime", "--periodic", "0", NULL};
static const char expired[] = "echo x > base/new; echo old > base/old; touch -d '1 hour ago' base/old";

#define OUTCOMES                                                                                                       \
  "$FC_COMMAND sweep --json | jq -c '.sessions[] | [.state, .outcome, .removed_files, .removed_dirs, .errors]'"

/* ---- sweep, by the state of the session ---- */

Test(sweep_verb, an_idle_base_is_left_in_silence) {
  struct fct_world *world = fct_world_new();
  fct_write(world, "base/users", "x");
  expect_answer(world, "$FC_COMMAND sweep; echo $?; $FC_COMMAND sweep --base base; echo $?; $FC_COMMAND sweep -v",
                "0\n0\nno sessions\n");
  expect_answer(world, "$FC_COMMAND sweep --json --base base | jq -c '[.verb, .dry_run, .sessions]'",
                "[\"sweep\",false,[]]\n");
  cr_expect(fct_exists(world, "base/users"));
}

Test(sweep_verb, an_orphan_is_ended_by_its_policy) {
  struct fct_world *world = fct_world_new();
  fct_write(world, "base/users", "x");
  (void)make_orphan(world, FCT_LIST("--keep", "*.log"), fct_format("%s; echo z > base/z.log", usual));
  struct fct_result result =
      run(world, "$FC_COMMAND sweep; echo $?; $FC_COMMAND sweep; ls -A base; ls -A $FILECLEANUP_STATE_DIR");
  const char *rest = strchr(result.out, '\n');
  cr_expect(strncmp(result.out, "<root>/world/base  (session ", 28) == 0, "%s", result.out);
  cr_expect_str_eq(
      rest, "\n  removed 2 files, 1 directory, 5 B\n  stay: 1 kept by pattern, policy or rule\n0\nusers\nz.log\n", "%s",
      result.out);
}

Test(sweep_verb, an_orphan_is_told_to_programs) {
  struct fct_world *world = fct_world_new();
  (void)make_orphan(world, NULL, usual);
  expect_answer(world, OUTCOMES, "[\"orphan\",\"removed\",2,1,0]\n");
  fct_assert_base_empty(world, "after the sweep");
}

Test(sweep_verb, a_dry_run_foretells_what_a_cap_removes_and_counts_the_expired_once) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job =
      hold(world, FCT_LIST("--ttl", "10min", "--age-by", "mtime", "--periodic", "0", "--max-files", "2"),
           "for i in 1 2 3 4; do echo x > base/f$i; sleep 0.02; done; echo old > base/old; "
           "touch -d '1 hour ago' base/old");
  expect_answer(world, "$FC_COMMAND sweep -n --json | jq -c '.sessions[] | [.removed_files, .errors]'; ls base",
                "[3,0]\nf1\nf2\nf3\nf4\nold\n");
  expect_answer(world, "$FC_COMMAND sweep --json | jq -c '.sessions[] | [.removed_files, .errors]'; ls base",
                "[3,0]\nf3\nf4\n");
  let_end(world, job);
}

Test(sweep_verb, of_a_live_session_only_what_has_expired_goes) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = hold(world, swept, expired);
  expect_answer(world, OUTCOMES "; ls base", "[\"live\",\"swept\",1,0,0]\nnew\n");
  expect_answer(world, "$FC_COMMAND sweep; echo $?", "0\n");
  let_end(world, job);
  fct_assert_base_empty(world, "after the end");
}

Test(sweep_verb, what_is_in_use_stays_and_is_told) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = hold(world, swept, fct_format("%s; exec 3< base/old", expired));
  struct fct_result result = run(world, "$FC_COMMAND sweep; echo $?");
  cr_expect(strstr(result.out, "stay: 1 in use") && strstr(result.out, "\n0\n"), "%s", result.out);
  cr_expect(fct_exists(world, "base/old"));
  let_end(world, job);
}

Test(sweep_verb, a_session_that_only_reports_is_not_swept) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = hold(world, FCT_LIST("--ttl", "10min", "--age-by", "mtime", "--on-exit", "report"), expired);
  expect_answer(world, OUTCOMES "; ls base", "[\"live\",\"nothing\",0,0,0]\nnew\nold\n");
  let_end(world, job);
}

Test(sweep_verb, a_kept_session_is_left_alone) {
  struct fct_world *world = fct_world_new();
  cr_assert_eq(
      FCT_EXECUTE(world, .mode = FCT_RUN, .options = FCT_LIST("--on-exit", "keep", "--wait"), .script = usual).status,
      0);
  expect_answer(world, OUTCOMES "; $FC_COMMAND sweep; echo $?; $FC_COMMAND sweep -v | grep -c 'left alone'; ls base",
                "[\"kept\",\"skipped\",0,0,0]\n0\n1\na\nd\n");
}

Test(sweep_verb, an_orphan_that_is_told_to_keep_is_kept) {
  struct fct_world *world = fct_world_new();
  (void)make_orphan(world, FCT_LIST("--on-exit", "keep"), usual);
  expect_answer(world, OUTCOMES "; ls base; $FC_COMMAND status --json | jq -r '.sessions[].state'",
                "[\"orphan\",\"kept\",0,0,0]\na\nd\nkept\n");
}

Test(sweep_verb, of_a_damaged_journal_nothing_is_removed) {
  struct fct_world *world = fct_world_new();
  change_byte(make_orphan(world, NULL, usual), FIRST_CELL_OFFSET + 24);
  expect_answer(
      world, OUTCOMES "; $FC_COMMAND sweep; echo $?; $FC_COMMAND sweep -v | grep -c 'its journal is damaged'; ls base",
      "[\"damaged\",\"skipped\",0,0,0]\n0\n1\na\nd\n");
}

Test(sweep_verb, of_a_future_version_nothing_is_removed) {
  struct fct_world *world = fct_world_new();
  change_byte(make_orphan(world, NULL, usual), VERSION_OFFSET);
  expect_answer(world, OUTCOMES "; $FC_COMMAND sweep -v | grep -c 'later version'; ls base",
                "[\"future\",\"skipped\",0,0,0]\n1\na\nd\n");
}

Test(sweep_verb, of_a_file_that_others_may_write_nothing_is_removed) {
  struct fct_world *world = fct_world_new();
  cr_assert_eq(chmod(make_orphan(world, NULL, usual), 0666), 0);
  expect_answer(world, OUTCOMES "; ls base", "[\"foreign\",\"skipped\",0,0,0]\na\nd\n");
}

Test(sweep_verb, another_users_session_is_out_of_reach) {
  fct_need_root();
  fct_need_build_for(NOBODY);
  struct fct_world *world = fct_world_new();
  (void)make_orphan(world, NULL, usual);
  cr_assert_eq(chmod(world->base, 0777), 0);
  for (const char *const *verb = FCT_LIST("sweep", "sweep --base base", "keep base/a", "untrack base/a"); *verb;
       verb++) {
    struct fct_result result =
        FCT_EXECUTE(world, .uid = NOBODY, .script = fct_format("$FC_COMMAND %s; echo $?", *verb));
    cr_expect_str_eq(result.out, (*verb)[0] == 's' ? "0\n" : "1\n", "%s: %s", *verb, result.out);
    cr_expect(strstr(result.err, "not a directory of yours alone"), "%s: %s", *verb, result.err);
  }
  cr_expect(fct_exists(world, "base/d/b"));
  expect_answer(world, OUTCOMES, "[\"orphan\",\"removed\",2,1,0]\n");
}

Test(sweep_verb, a_base_that_may_not_be_looked_at_is_refused) {
  fct_need_root();
  fct_need_build_for(NOBODY);
  struct fct_world *world = fct_world_new();
  cr_assert_eq(run(world, "mkdir -m 700 closed; mkdir closed/base").status, 0);
  for (const char *const *verb = FCT_LIST("sweep", "keep", "untrack"); *verb; verb++) {
    struct fct_result result = FCT_EXECUTE(
        world, .uid = NOBODY,
        .script = fct_format("$FC_COMMAND %s --base closed/base %s", *verb, (*verb)[0] == 's' ? "" : "closed/base/f"));
    cr_expect_eq(result.status, 77, "%s: %d", *verb, result.status);
    cr_expect(strstr(result.err, "ermission denied"), "%s: %s", *verb, result.err);
  }
}

Test(sweep_verb, what_cannot_be_removed_is_status_1) {
  fct_need_root();
  fct_need_build_for(NOBODY);
  struct fct_world *world = fct_world_new();
  fct_world_give(world, NOBODY);
  struct fct_job *job =
      FCT_START(world, .mode = FCT_RUN, .uid = NOBODY, .script = "echo x > base/f; : > ready; exec $PROBES/await end");
  cr_assert(fct_wait_exists(world, "ready"));
  fct_kill_guardian(world);
  (void)fct_kill_job(job);
  cr_assert(fct_wait_no_members(world));
  cr_assert(chown(world->base, 0, 0) == 0 && chmod(world->base, 0755) == 0);
  struct fct_result result = FCT_EXECUTE(world, .uid = NOBODY, .script = "$FC_COMMAND sweep; echo $?");
  cr_expect(strstr(result.out, "failed") && strstr(result.out, "\n1\n"), "%s%s", result.out, result.err);
  cr_expect(fct_exists(world, "base/f"));
}

/* ---- -n ---- */

/* Neither names nor sizes nor any of the three times. The access times are made old, so that a read would set them. */
static void expect_nothing_changed(const struct fct_world *world, const char *when) {
  struct fct_result result =
      run(world, "names=$(find $BASE $FILECLEANUP_STATE_DIR); set -- $BASE/* $BASE/d/b\n"
                 "sums() { for f in $names; do [ -d $f ] || cksum $f; done; }\n"
                 "look() { stat -c '%n %i %s %h %a %u %.X %.Y %.Z' $names; }\n"
                 "sums > sums; touch -h -a -d '3 days ago' $names; look > before\n"
                 "for form in '' --json -v -q '--base base'; do $FC_COMMAND sweep -n $form\n"
                 "  for verb in keep untrack; do $FC_COMMAND $verb -n $form \"$@\"; done; done > answers 2>&1\n"
                 "look > after; diff before after; sums | diff sums -\n"
                 "[ \"$names\" = \"$(find $BASE $FILECLEANUP_STATE_DIR)\" ] || echo names differ");
  cr_expect_str_eq(result.out, "", "%s: %s", when, result.out);
}

Test(sweep_verb, saying_what_would_be_done_changes_nothing) {
  struct fct_world *idle = fct_world_new();
  fct_write(idle, "base/users", "x");
  expect_nothing_changed(idle, "an idle base");
  struct fct_world *orphan = fct_world_new();
  const char *file = make_orphan(orphan, NULL, usual);
  expect_nothing_changed(orphan, "an orphan");
  change_byte(file, FIRST_CELL_OFFSET + 24);
  expect_nothing_changed(orphan, "a damaged session");
  change_byte(file, FIRST_CELL_OFFSET + 24);
  change_byte(file, VERSION_OFFSET);
  expect_nothing_changed(orphan, "a future version");
  struct fct_world *kept = fct_world_new();
  cr_assert_eq(
      FCT_EXECUTE(kept, .mode = FCT_RUN, .options = FCT_LIST("--on-exit", "keep", "--wait"), .script = usual).status,
      0);
  expect_nothing_changed(kept, "a kept session");
}

Test(sweep_verb, saying_what_would_be_done_changes_nothing_in_a_live_session) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = hold(world, swept, fct_format("%s; mkdir base/d; echo x > base/d/b", expired));
  expect_nothing_changed(world, "a live session");
  let_end(world, job);
}

Test(sweep_verb, what_would_be_done_is_what_is_done) {
  struct fct_world *world = fct_world_new();
  fct_write(world, "base/users", "x");
  (void)make_orphan(
      world, FCT_LIST("--keep", "*.log"),
      "echo u2 > base/t; mv base/t base/users; echo x > base/a; echo x > base/k.log; mkdir -p base/d/e base/g; "
      "echo x > base/d/e/f; echo x > base/g/k.log; ln -s a base/l; mkfifo base/p");
  cr_assert_eq(run(world, "echo theirs > base/d/theirs; rm base/a; echo other > base/a").status, 0);
  struct fct_result result =
      run(world,
          "$FC_COMMAND sweep -n | grep '^would remove .*/' | sed 's/would remove/removed/' | sort > told\n"
          "$FC_COMMAND sweep -n --json | jq -c '.sessions[]|[.removed_files,.removed_dirs,.removed_bytes]'\n"
          "find base | sort > before; $FC_COMMAND sweep -v | grep '^removed .*/' | sort | diff told -; wc -l < told\n"
          "find base | sort | comm -23 before - | sed \"s|^|removed $PWD/|\" | diff told -");
  cr_expect_str_eq(result.out, "[4,2,5]\n6\n", "%s%s", result.out, result.err);
}

Test(sweep_verb, what_would_be_done_to_a_live_session_is_what_is_done) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job =
      hold(world, swept, fct_format("%s; echo x > base/old2; touch -d '2 hours ago' base/old2", expired));
  struct fct_result result =
      run(world, "$FC_COMMAND sweep -n | grep '^would remove .*/' | sed 's/would remove/removed/' | sort > told\n"
                 "$FC_COMMAND sweep -v | grep '^removed .*/' | sort | diff told -; wc -l < told; ls base");
  cr_expect_str_eq(result.out, "2\nnew\n", "%s%s", result.out, result.err);
  let_end(world, job);
}

/* ---- sweep, by who calls it ---- */

Test(sweep_verb, two_sweeps_at_once_do_it_once) {
  fct_need("python3");
  struct fct_world *world = fct_world_new();
  (void)make_orphan(world, NULL, "python3 -c 'for i in range(5000): open(\"base/%d\" % i, \"x\").close()'");
  struct fct_result result = run(
      world,
      "for i in 1 2 3; do { $FC_COMMAND sweep --json > out$i; echo $? > status$i; } & done; wait\n"
      "cat status1 status2 status3; jq -s '[.[].sessions[].removed_files] | add' out1 out2 out3; ls -A base | wc -l");
  cr_expect_str_eq(result.out, "0\n0\n0\n5000\n0\n", "%s%s", result.out, result.err);
}

Test(sweep_verb, two_sweeps_of_a_live_session_do_it_once) {
  fct_need("python3");
  struct fct_world *world = fct_world_new();
  struct fct_job *job = hold(
      world, swept,
      "python3 -c 'import os\nfor i in range(2000):\n open(\"base/%d\" % i, \"x\").close()\n os.utime(\"base/%d\" % i, (9, 9))'");
  struct fct_result result =
      run(world, "for i in 1 2; do { $FC_COMMAND sweep --json > out$i; echo $? > status$i; } & done; wait\n"
                 "cat status1 status2; jq -s '[.[].sessions[].removed_files] | add' out1 out2; ls -A base | wc -l");
  cr_expect_str_eq(result.out, "0\n0\n2000\n0\n", "%s%s", result.out, result.err);
  let_end(world, job);
}

Test(sweep_verb, it_needs_no_environment) {
  struct fct_world *world = fct_world_new();
  (void)make_orphan(world, NULL, usual);
  struct fct_result result =
      run(world, "cd /; env -i FILECLEANUP_STATE_DIR=$FILECLEANUP_STATE_DIR $FC_COMMAND sweep -q < /dev/null; "
                 "echo $?");
  cr_expect_str_eq(result.out, "0\n");
  cr_expect_str_eq(result.err, "", "%s", result.err);
  fct_assert_base_empty(world, "after the sweep");
}

/* The first file that is opened would be stdout. */
Test(sweep_verb, what_is_said_to_a_closed_descriptor_ends_up_in_no_file) {
  for (const char *const *verb =
           FCT_LIST("sweep -n", "sweep", "keep base/a", "untrack -n base/a", "list -v", "status", "explain base/a");
       *verb; verb++) {
    struct fct_world *world = fct_world_new();
    const char *file = make_orphan(world, NULL, usual);
    struct fct_result result =
        run(world, fct_format("cp %s before; $FC_COMMAND %s <&- >&- 2>&-; echo $?; cmp -s %s before && echo same", file,
                              *verb, file));
    const bool changes = strcmp(*verb, "sweep") == 0 || strcmp(*verb, "keep base/a") == 0;
    cr_expect_str_eq(result.out, changes ? "0\n" : "0\nsame\n", "%s: %s", *verb, result.out);
    expect_answer(world, "$FC_COMMAND sweep -q; echo $?; ls base", strstr(*verb, "keep") ? "0\na\n" : "0\n");
  }
}

Test(sweep_verb, without_home_it_finds_what_was_recorded_there) {
  fct_need_root();
  fct_need("unshare");
  struct fct_world *world = fct_world_new();
  /* The home that the user data base tells, for this test alone. */
  struct fct_result result = run(
      world,
      "unset FILECLEANUP_STATE_DIR; mkdir $HOME/me; awk -F: -v OFS=: -v home=$HOME/me '$3==0{$6=home}1' /etc/passwd > passwd\n"
      "cat > inner <<'END'\nmount --bind passwd /etc/passwd || exit 9\n"
      "HOME=$HOME/me $FC_COMMAND run --base base --no-guardian -- sh -c 'echo x > base/f; kill -9 $$'\n"
      "ls base; env -i $FC_COMMAND sweep -q; echo $?; ls base\nEND\n"
      "unshare -m sh inner");
  if (result.status == 9) cr_skip("no mount namespace: %s", result.err);
  cr_expect_str_eq(result.out, "f\n0\n", "%s%s", result.out, result.err);
}

Test(sweep_verb, a_member_of_the_session_may_sweep) {
  struct fct_world *world = fct_world_new();
  struct fct_result result =
      FCT_EXECUTE(world, .mode = FCT_RUN, .options = swept,
                  .script = fct_format(
                      "%s; $FC_COMMAND sweep --json | jq -c '.sessions[]|.outcome,.removed_files'; ls base", expired));
  cr_expect_str_eq(result.out, "\"swept\"\n1\nnew\n", "%s%s", result.out, result.err);
}

Test(sweep_verb, long_work_shows_a_bar_on_a_terminal_alone) {
  fct_need("python3");
  struct fct_world *world = fct_world_new();
  (void)make_orphan(world, NULL, "python3 -c 'for i in range(30000): open(\"base/%d\" % i, \"x\").close()'");
  struct fct_result result = run(
      world,
      "python3 -c 'import pty, sys; pty.spawn(sys.argv[1:])' $FC_COMMAND sweep > seen\n"
      "tr '\\r' '\\n' < seen > lines; grep -cE '^\\[[#.]{30}\\] +[0-9]+ of 30000 names' lines > count; [ $(cat count) -gt 0 ] && "
      "echo bar; grep -cE '.{80}' lines; tail -n 1 lines | grep -c '\\['; grep -o 'removed 30000 files.*' seen");
  cr_expect(strncmp(result.out, "bar\n0\n0\nremoved 30000 files, 0 directories, 0 B", 47) == 0, "%s%s", result.out,
            result.err);
  fct_assert_base_empty(world, "after the sweep");
}

/* ---- keep and untrack ---- */

/* A session in two steps: the first is done on return, the second when step() is called. */
static struct fct_job *begin(const struct fct_world *world, const char *const *options, const char *first,
                             const char *second) {
  struct fct_job *job = FCT_START(
      world, .mode = FCT_RUN, .options = options,
      .script = fct_format("%s\n: > ready; $PROBES/await go\n%s\n: > done; exec $PROBES/await end", first, second));
  cr_assert(fct_wait_exists(world, "ready"));
  return job;
}

static void step(const struct fct_world *world) {
  fct_write(world, "go", "");
  cr_assert_eq(run(world, "until [ -e done ]; do sleep 0.05; done").status, 0);
}

/* A sweeper of the session's own, a checkpoint, a sweep from outside, and the end: what was kept outlives them all. */
Test(sweep_verb, what_is_kept_outlives_everything) {
  fct_need("python3");
  struct fct_world *world = fct_world_new();
  struct fct_job *job =
      begin(world, FCT_LIST("--ttl", "10min", "--age-by", "mtime", "--interval", "1s"),
            "mkdir base/d base/e; echo 1 > base/d/kept; : > base/f; echo 3 > base/away; echo 4 > base/e/x",
            "echo 5 > base/d/later; rm base/f; echo 6 > base/f; echo 7 > base/g\n"
            "python3 -c 'import os\nfor i in range(17500): open(\"base/t\", \"x\").close(); os.unlink(\"base/t\")'\n"
            "touch -d '1 hour ago' base/away base/e/x");
  expect_answer(world, "$FC_COMMAND keep base/d base/f base/g; echo $?",
                "kept: <root>/world/base/d\nkept: <root>/world/base/f\nkept: <root>/world/base/g\n0\n");
  step(world);
  /* Not by the program: what changes files of the user's may have copied them (N2). */
  cr_assert_eq(run(world, "touch -d '1 hour ago' base/d/* base/f base/g").status, 0);
  cr_expect(fct_wait_gone(world, "base/away"));
  cr_assert_eq(
      run(world, "until $FC_COMMAND status --json | jq -e '.sessions[0].journal.cells < 65536' > answer; do :; done")
          .status,
      0);
  expect_answer(world, "$FC_COMMAND sweep; find base | sort",
                "base\nbase/d\nbase/d/kept\nbase/d/later\nbase/e\nbase/f\nbase/g\n");
  expect_answer(world, "$FC_COMMAND explain --json base/f base/d/kept | jq -r '.paths[].fate'", "keep\nkeep\n");
  let_end(world, job);
  expect_answer(world, "find base | sort; cat base/d/kept base/d/later base/f base/g",
                "base\nbase/d\nbase/d/kept\nbase/d/later\nbase/f\nbase/g\n1\n5\n6\n7\n");
}

Test(sweep_verb, what_is_kept_in_an_orphan_is_left_by_the_sweep) {
  struct fct_world *world = fct_world_new();
  (void)make_orphan(world, NULL, usual);
  expect_answer(world, "$FC_COMMAND keep -q base/d/b; echo $?; " OUTCOMES "; find base | sort",
                "0\n[\"orphan\",\"removed\",1,0,0]\nbase\nbase/d\nbase/d/b\n");
}

Test(sweep_verb, what_is_untracked_stays_and_what_is_made_there_later_goes) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = begin(
      world, NULL, "echo 1 > base/stays; echo 2 > base/moved; mkdir base/d; echo 3 > base/d/f; echo 4 > base/goes",
      "echo 5 > base/moved");
  expect_answer(
      world, "$FC_COMMAND untrack base/stays base/moved base/d && mv base/moved theirs",
      "untracked: <root>/world/base/stays\nuntracked: <root>/world/base/moved\nuntracked: <root>/world/base/d\n");
  step(world);
  let_end(world, job);
  expect_answer(world, "find base | sort; cat base/stays theirs", "base\nbase/d\nbase/d/f\nbase/stays\n1\n2\n");
}

Test(sweep_verb, what_is_untracked_outlives_a_sweep_and_a_checkpoint) {
  fct_need("python3");
  struct fct_world *world = fct_world_new();
  struct fct_job *job =
      begin(world, swept, expired,
            "python3 -c 'import os\nfor i in range(17500): open(\"base/t\", \"x\").close(); os.unlink(\"base/t\")'");
  expect_answer(world, "$FC_COMMAND untrack -q base/old; echo $?; $FC_COMMAND sweep; ls base", "0\nnew\nold\n");
  step(world);
  expect_answer(world, "$FC_COMMAND sweep; ls base", "new\nold\n");
  let_end(world, job);
  expect_answer(world, "ls base", "old\n");
}

Test(sweep_verb, names_of_every_kind_can_be_kept) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = hold(
      world, NULL,
      "touch \"base/$(printf 'a\\nb')\" \"base/$(printf '\\377')\" \"base/$(printf '\\377x')\"; ln -s nowhere base/l");
  struct fct_result result = run(
      world,
      "$FC_COMMAND keep \"base/$(printf '\\377')\"; $FC_COMMAND keep --json \"base/$(printf 'a\\nb')\" \"base/$(printf '\\377')\" base/l | "
      "jq -c '.verb, .dry_run, (.paths[] | [(.path | split(\"/\")[-1]), (.path_bytes // \"-\" | split(\"/\")[-1]), .done, .sessions, .error])'");
  cr_expect_str_eq(
      result.out,
      "kept: <root>/world/base/\\xff\n\"keep\"\nfalse\n[\"a\\nb\",\"-\",true,1,null]\n[\"\xef\xbf\xbd\",\"%FF\",true,1,null]\n[\"l\",\"-\",true,1,null]\n",
      "%s%s", result.out, result.err);
  let_end(world, job);
  expect_answer(world, "ls base | od -An -c | tr -s ' \\n' ' '", " a \\n b \\n l \\n 377 \\n ");
}

Test(sweep_verb, a_name_reached_by_a_link_is_the_same_name) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = hold(world, NULL, "mkdir base/d; echo x > base/d/f; ln -s base/d way");
  expect_answer(world, "$FC_COMMAND keep way/f; cd base/d; $FC_COMMAND untrack ./f ../d",
                "kept: <root>/world/base/d/f\nuntracked: <root>/world/base/d/f\nuntracked: <root>/world/base/d\n");
  let_end(world, job);
  cr_expect(fct_exists(world, "base/d/f"));
}

Test(sweep_verb, what_can_not_be_kept_is_told) {
  struct fct_world *world = fct_world_new();
  fct_write(world, "elsewhere", "x");
  struct fct_result result = run(
      world,
      "$FC_COMMAND keep elsewhere base/f; echo $?; $FC_COMMAND untrack --json base/f | jq -c '.paths[0]|.done,.sessions,.error'");
  cr_expect_str_eq(result.out, "1\nfalse\n0\n\"not beneath a base of yours\"\n", "%s", result.out);
  cr_expect(strstr(result.err, "world/elsewhere: not beneath a base of yours"), "%s", result.err);
  cr_expect_eq(run(world, "$FC_COMMAND keep").status, 2);
}

static void expect_no_session_to_tell(const struct fct_world *world, const char *when) {
  for (const char *const *verb = FCT_LIST("keep", "untrack"); *verb; verb++)
    expect_answer(
        world,
        fct_format(
            "$FC_COMMAND %s base/a 2> err; echo $?; grep -c 'world/base/a: ' err; $FC_COMMAND %s --json base/a 2> err | jq -c "
            "'.paths[0]|.done,.sessions'",
            *verb, *verb),
        "1\n1\nfalse\n0\n");
  cr_expect(fct_exists(world, "base/a"), "%s", when);
}

Test(sweep_verb, a_session_that_is_over_cannot_be_told) {
  struct fct_world *world = fct_world_new();
  cr_assert_eq(
      FCT_EXECUTE(world, .mode = FCT_RUN, .options = FCT_LIST("--on-exit", "keep", "--wait"), .script = usual).status,
      0);
  expect_no_session_to_tell(world, "kept");
  struct fct_world *damaged = fct_world_new();
  change_byte(make_orphan(damaged, NULL, usual), FIRST_CELL_OFFSET + 24);
  expect_no_session_to_tell(damaged, "damaged");
  struct fct_world *future = fct_world_new();
  change_byte(make_orphan(future, NULL, usual), VERSION_OFFSET);
  expect_no_session_to_tell(future, "future");
}

Test(sweep_verb, every_session_of_the_base_is_told) {
  struct fct_world *world = fct_world_new();
  struct fct_job *one = begin(world, NULL, "echo 1 > base/f", "");
  struct fct_job *two =
      FCT_START(world, .mode = FCT_RUN, .script = "echo 2 >> base/f; : > ready2; exec $PROBES/await end");
  cr_assert(fct_wait_exists(world, "ready2"));
  expect_answer(world, "$FC_COMMAND keep --json base/f | jq .paths[0].sessions", "2\n");
  step(world);
  let_end(world, one);
  cr_expect_eq(fct_finish(two).status, 0);
  expect_answer(world, "cat base/f", "1\n2\n");
}

/* Regression: the journal is read once at the end, and that the end has begun was said only later. What was told in
 * between was called kept, and removed. Here keep waits between looking and telling, and the sweep behind its reading.
 */
Test(sweep_verb, what_is_called_kept_while_a_sweep_begins_is_there) {
  fct_need("strace");
  struct fct_world *world = fct_world_new();
  (void)make_orphan(world, NULL, usual);
  struct fct_result result = run(
      world,
      "strace -o trace1 -e inject=readlink:delay_enter=1500000:when=1 $FC_COMMAND keep -q $BASE/a 2> err & keep=$!\n"
      "sleep 0.7; strace -o trace2 -P $BASE -e inject=openat:delay_enter=2500000:when=1 $FC_COMMAND sweep -q & sweep=$!\n"
      "if wait $keep; then told=kept; fi; wait $sweep; [ -e base/a ] && there=kept; [ \"$told\" = \"$there\" ] || echo "
      "\"called ${told-gone}, and ${there-gone}\"\n"
      "grep -c DELAYED trace1 trace2 | tr '\\n' ' '");
  if (!strstr(result.out, "trace1:1 trace2:1")) cr_skip("strace cannot delay calls here: %s%s", result.out, result.err);
  cr_expect_str_eq(result.out, "trace1:1 trace2:1 ", "%s%s", result.out, result.err);
}

/* Whoever tells a session something holds its lock for a moment: when the last process ends just then, somebody still
 * has to clean up. And what was called kept is there. */
Test(sweep_verb, keeping_while_the_session_ends_neither_lies_nor_leaks) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    unsigned kept = 0;
    for (int i = 0; i < 25; i++) {
      struct fct_world *world = fct_world_new();
      struct fct_job *job =
          FCT_START(world, .mode = *mode, .script = "echo x > base/f; echo y > base/g; : > ready; $PROBES/await end");
      cr_assert(fct_wait_exists(world, "ready"));
      struct fct_job *keeper = FCT_START(
          world,
          .script =
              "while $FC_COMMAND keep base/f > said 2> err; do echo > yes; : > end; done; ls base > after; cat said err");
      cr_expect_eq(fct_finish(job).status, 0);
      struct fct_result told = fct_finish(keeper);
      cr_expect(fct_wait_gone(world, "base/g"), "%s: %s", fct_mode_name(*mode), told.out);
      cr_expect_eq(fct_exists(world, "base/f"), fct_exists(world, "yes"), "%s: %s", fct_mode_name(*mode), told.out);
      kept += fct_exists(world, "yes");
    }
    cr_expect(kept > 0, "%s: never in time", fct_mode_name(*mode));
  }
}

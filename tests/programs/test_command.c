/* The verbs of the command that only look: right answers, right exit statuses, valid JSON, and nothing changed. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../harness/harness.h"

static void init(void) { fct_need("jq"); }
TestSuite(command, .init = init, .fini = fct_teardown, .timeout = 120);

#define NOBODY 65534

static struct fct_result run(const struct fct_world *world, const char *script) {
  return FCT_EXECUTE(world, .script = script);
}

/* The only line of a script's output. */
static const char *line_of(const struct fct_world *world, const char *script) {
  struct fct_result result = run(world, script);
  cr_expect_str_eq(result.err, "", "%s: %s", script, result.err);
  char *line = fct_format("%s", result.out);
  line[strcspn(line, "\n")] = '\0';
  return line;
}

static struct fct_job *hold(const struct fct_world *world, enum fct_mode mode, const char *script) {
  struct fct_job *job =
      FCT_START(world, .mode = mode, .script = fct_format("%s\n: > ready; exec $PROBES/await end", script));
  cr_assert(fct_wait_exists(world, "ready"), "the session did not start");
  /* What it becomes last is recorded a moment after that. */
  struct fct_result settled = run(world, "until $FC_COMMAND status --json | jq -e '.sessions[0].leader.program == "
                                         "\"await\"' > answer; do :; done");
  cr_assert_eq(settled.status, 0, "%s", settled.err);
  return job;
}

static void let_end(const struct fct_world *world, struct fct_job *job) {
  fct_write(world, "end", "");
  cr_expect_eq(fct_finish(job).status, 0);
}

/* A session whose processes and guardian were killed. Returns its file. */
static const char *make_orphan(const struct fct_world *world) {
  struct fct_job *job = hold(world, FCT_RUN, "echo x > base/a; mkdir base/d; echo y > base/d/b");
  fct_kill_guardian(world);
  (void)fct_kill_job(job);
  cr_assert(fct_wait_no_members(world));
  struct fct_result found = run(world, "cd $FILECLEANUP_STATE_DIR && echo */session-*");
  cr_assert(!strchr(found.out, '*'), "no session file: %s", found.out);
  return fct_format("%s/%.*s", world->state, (int)strcspn(found.out, "\n"), found.out);
}

static void change_byte(const char *file, off_t offset) {
  int fd = open(file, O_RDWR | O_CLOEXEC);
  unsigned char byte;
  cr_assert(fd >= 0 && pread(fd, &byte, 1, offset) == 1);
  byte ^= 0x40;
  cr_assert(pwrite(fd, &byte, 1, offset) == 1 && close(fd) == 0);
}

#define VERSION_OFFSET 8
#define FIRST_CELL_OFFSET 32768

static const char *state_of(const struct fct_world *world) {
  return line_of(world, "$FC_COMMAND status --json | jq -r '[.sessions[].state] | join(\" \")'");
}

/* ---- nothing changes ---- */

/* Every verb that only looks, in all its forms, leaves base and state directory as they were: names, contents' sizes,
 * and all three times. The access times are made old first, so that the kernel would set them. */
static void expect_nothing_changed(const struct fct_world *world, const char *when) {
  struct fct_result result =
      run(world, "names=$(find $BASE $FILECLEANUP_STATE_DIR); set -- $BASE $BASE/* $BASE/d/*\n"
                 "touch -h -a -d '3 days ago' $names\n"
                 "look() { stat -c '%n %i %s %h %a %u %.X %.Y %.Z' $names; }\n"
                 "look > before\n"
                 "for form in '' --json -v -q; do\n"
                 "  $FC_COMMAND status $form; $FC_COMMAND list $form; $FC_COMMAND explain $form \"$@\"\n"
                 "  $FC_COMMAND hooks $form; done > answers 2>&1\n"
                 "$FC_COMMAND list -0 > answers 2>&1; $FC_COMMAND status --base $BASE > answers 2>&1\n"
                 "look > after; diff before after\n"
                 "[ \"$names\" = \"$(find $BASE $FILECLEANUP_STATE_DIR)\" ] || echo names differ");
  cr_expect_str_eq(result.out, "", "%s: %s", when, result.out);
}

Test(command, looking_at_an_idle_base_changes_nothing) {
  struct fct_world *world = fct_world_new();
  fct_write(world, "base/users", "x");
  expect_nothing_changed(world, "an idle base");
}

Test(command, looking_at_a_live_session_changes_nothing) {
  struct fct_world *world = fct_world_new();
  cr_assert_eq(run(world, "mkdir base/d; echo u > base/d/users").status, 0);
  struct fct_job *job = hold(world, FCT_RUN, "echo x > base/f; echo y > base/d/g; mkdir base/e");
  expect_nothing_changed(world, "a live session");
  let_end(world, job);
}

Test(command, looking_at_an_orphan_changes_nothing) {
  struct fct_world *world = fct_world_new();
  (void)make_orphan(world);
  expect_nothing_changed(world, "an orphan");
  cr_expect(fct_exists(world, "base/a"));
}

Test(command, looking_at_a_damaged_session_changes_nothing) {
  struct fct_world *world = fct_world_new();
  change_byte(make_orphan(world), FIRST_CELL_OFFSET + 24);
  expect_nothing_changed(world, "a damaged session");
}

Test(command, check_leaves_nothing_behind) {
  struct fct_world *world = fct_world_new();
  struct fct_result result =
      run(world, "before=$(find $BASE $FILECLEANUP_STATE_DIR)\n"
                 "$FC_COMMAND check --base $BASE --probe-base >/dev/null || echo status $?\n"
                 "$FC_COMMAND check --base $BASE/new >/dev/null || echo status $?\n"
                 "$FC_COMMAND check --base $BASE --state-dir $HOME/deep/state >/dev/null || echo status $?\n"
                 "[ \"$before\" = \"$(find $BASE $FILECLEANUP_STATE_DIR)\" ] || echo names differ; ls -A $HOME");
  cr_expect_str_eq(result.out, "", "%s", result.out);
  cr_expect_str_eq(result.err, "");
}

/* ---- status ---- */

Test(command, an_idle_base_has_no_sessions) {
  struct fct_world *world = fct_world_new();
  struct fct_result result = run(world, "$FC_COMMAND status --base base");
  cr_expect_eq(result.status, 0);
  cr_expect_str_eq(result.out, "no sessions of yours in <root>/world/base\n", "%s", result.out);
  cr_expect_str_eq(state_of(world), "");
}

Test(command, a_live_session_is_told_with_its_processes) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_job *job = hold(world, *mode, "(exec sleep 60) & echo x > base/f; mkdir base/d; printf abc > base/d/g");
    const char *said =
        line_of(world, "$FC_COMMAND status --json --base base | jq -c '.sessions[0] | [.state, .leader.alive, "
                       "([.members[].program] | sort), .tracked, .journal.lost_destructive, (.guardian != null)]'");
    cr_expect_str_eq(said,
                     fct_format("[\"live\",true,[\"await\",\"sleep\"],{\"files\":2,\"dirs\":1,\"bytes\":5},0,%s]",
                                *mode == FCT_RUN ? "true" : "false"),
                     "%s: %s", fct_mode_name(*mode), said);
    const char *leader = line_of(world, "$FC_COMMAND status --json | jq '.sessions[0].leader.pid'");
    cr_expect_eq(atoi(leader), fct_job_pid(job), "%s", leader);
    fct_kill_job(job);
  }
}

Test(command, a_pid_that_is_another_process_by_now_is_no_member) {
  struct fct_world *world = fct_world_new();
  /* The number of the one that ended is given to a stranger. */
  fct_need_root();
  if (access("/proc/sys/kernel/ns_last_pid", W_OK)) cr_skip("the kernel does not let us choose a pid");
  struct fct_job *job = hold(world, FCT_RUN, "sh -c 'echo $$ > dead; echo x > base/f'; sleep 0.1");
  struct fct_result result =
      run(world, "dead=$(cat dead)\n"
                 "for i in 1 2 3 4 5 6 7 8 9 10; do echo $((dead - 1)) > /proc/sys/kernel/ns_last_pid; sleep 60 & \n"
                 "  [ $! = $dead ] && break; kill $!; done\n"
                 "[ $! = $dead ] || exit 3\n"
                 "$FC_COMMAND status --json | jq \"[.sessions[0].members[].pid] | index($dead)\"; kill $!");
  if (result.status == 3 || !result.out[0]) cr_skip("the pid could not be had again");
  cr_expect_str_eq(result.out, "null\n", "%s", result.out);
  let_end(world, job);
}

Test(command, an_orphan_is_an_orphan_until_it_is_reaped) {
  struct fct_world *world = fct_world_new();
  (void)make_orphan(world);
  cr_expect_str_eq(state_of(world), "orphan");
  cr_expect_str_eq(line_of(world, "$FC_COMMAND list --json | jq -c '[.names[].path | split(\"/\")[-1]]'"),
                   "[\"a\",\"d\",\"b\"]");
  (void)fct_next_start(world, FCT_RUN);
  cr_assert(fct_wait_no_guardian(world));
  cr_expect_str_eq(state_of(world), "");
}

Test(command, a_session_whose_base_was_replaced_holds_nothing) {
  struct fct_world *world = fct_world_new();
  (void)make_orphan(world);
  cr_assert_eq(run(world, "mv base old; mkdir base; echo x > base/a").status, 0);
  cr_expect_str_eq(line_of(world, "$FC_COMMAND status --base base --json | jq -c '.sessions[] | [.state, .tracked]'"),
                   "[\"orphan\",null]");
  cr_expect_str_eq(run(world, "$FC_COMMAND list -q --base base").out, "");
  cr_expect_str_eq(line_of(world, "$FC_COMMAND explain --json base/a | jq -r .paths[0].fate"), "keep");
}

Test(command, a_session_that_keeps_is_kept) {
  struct fct_world *world = fct_world_new();
  cr_assert_eq(FCT_EXECUTE(world, .mode = FCT_RUN, .options = FCT_LIST("--on-exit", "keep", "--wait"),
                           .script = "echo x > base/f")
                   .status,
               0);
  cr_expect_str_eq(state_of(world), "kept");
  cr_expect_str_eq(line_of(world, "$FC_COMMAND list --json | jq -c '.names[] | [.tracked, .fate, .when]'"),
                   "[true,\"keep\",\"never\"]");
}

Test(command, a_damaged_journal_is_told) {
  struct fct_world *world = fct_world_new();
  change_byte(make_orphan(world), FIRST_CELL_OFFSET + 24);
  cr_expect_str_eq(state_of(world), "damaged");
  struct fct_result result = run(world, "$FC_COMMAND list; echo $?; $FC_COMMAND explain base/a | grep -c damaged");
  cr_expect_str_eq(result.out, "no tracked names\n1\n1\n", "%s", result.out);
  cr_expect(strstr(result.err, "damaged"), "%s", result.err);
}

Test(command, a_future_version_is_told) {
  struct fct_world *world = fct_world_new();
  change_byte(make_orphan(world), VERSION_OFFSET);
  cr_expect_str_eq(state_of(world), "future");
  cr_expect_eq(run(world, "$FC_COMMAND list").status, 1);
}

Test(command, a_file_that_others_may_write_is_foreign) {
  struct fct_world *world = fct_world_new();
  cr_assert_eq(chmod(make_orphan(world), 0666), 0);
  cr_expect_str_eq(state_of(world), "foreign");
}

Test(command, another_users_session_is_not_told) {
  fct_need_root();
  fct_need_build_for(NOBODY);
  struct fct_world *world = fct_world_new();
  struct fct_job *job = hold(world, FCT_RUN, "echo x > base/f");
  struct fct_result result = FCT_EXECUTE(world, .uid = NOBODY, .script = "$FC_COMMAND status --base base; echo $?");
  cr_expect_str_eq(result.out, "no sessions of yours in <root>/world/base\n0\n", "%s", result.out);
  cr_expect(strstr(result.err, "not a directory of yours alone"), "%s", result.err);
  result = FCT_EXECUTE(world, .uid = NOBODY, .script = "$FC_COMMAND explain base/f; echo $?");
  cr_expect(strstr(result.out, "keep") && strstr(result.out, "\n0\n"), "%s", result.out);
  let_end(world, job);
}

Test(command, a_base_that_may_not_be_looked_at_is_refused) {
  fct_need_root();
  fct_need_build_for(NOBODY);
  struct fct_world *world = fct_world_new();
  struct fct_result made = run(world, "mkdir -m 700 closed; mkdir closed/base");
  cr_assert_eq(made.status, 0);
  for (const char *const *verb = FCT_LIST("status", "list", "check"); *verb; verb++) {
    struct fct_result result =
        FCT_EXECUTE(world, .uid = NOBODY, .script = fct_format("$FC_COMMAND %s --base closed/base -q", *verb));
    cr_expect_eq(result.status, 77, "%s: %d", *verb, result.status);
    cr_expect(strstr(result.err, "ermission denied"), "%s: %s", *verb, result.err);
  }
}

Test(command, names_in_a_base_that_was_closed_cannot_be_told) {
  fct_need_root();
  fct_need_build_for(NOBODY);
  struct fct_world *world = fct_world_new();
  fct_world_give(world, NOBODY);
  struct fct_job *job = FCT_START(world, .mode = FCT_RUN, .uid = NOBODY,
                                  .script = "mkdir base/d; echo x > base/d/f; : > ready; exec $PROBES/await end");
  cr_assert(fct_wait_exists(world, "ready"));
  cr_assert_eq(chmod(fct_path(world, "base/d"), 0), 0);
  struct fct_result listed = FCT_EXECUTE(world, .uid = NOBODY, .script = "$FC_COMMAND list -q");
  struct fct_result told = FCT_EXECUTE(world, .uid = NOBODY, .script = "$FC_COMMAND explain base/d/f");
  cr_assert_eq(chmod(fct_path(world, "base/d"), 0755), 0);
  cr_expect_eq(listed.status, 1);
  cr_expect_eq(told.status, 1);
  cr_expect(strstr(told.out, "ermission denied"), "%s", told.out);
  let_end(world, job);
}

/* ---- watch ---- */

Test(command, watching_ends_cleanly_when_interrupted) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = FCT_START(world, .script = "exec $FC_COMMAND status --watch --json > seen");
  cr_assert(fct_wait_exists(world, "seen"));
  for (int i = 0; i < 5000 && !(fct_read(world, "seen") && fct_read(world, "seen")[0]); i++) usleep(2000);
  cr_assert_eq(kill(fct_job_pid(job), SIGWINCH), 0); /* again at once, and not the end */
  for (int i = 0; i < 5000 && !strchr(strchr(fct_read(world, "seen"), '\n') + 1, '\n'); i++) usleep(2000);
  cr_assert_eq(kill(fct_job_pid(job), SIGINT), 0);
  cr_expect_eq(fct_finish(job).status, 0);
  cr_expect(atoi(line_of(world, "jq -c .verb seen | grep -c status")) >= 2);
}

/* ---- list ---- */

Test(command, names_of_every_kind_are_listed_exactly) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = hold(world, FCT_RUN,
                             "touch \"base/$(printf 'a\\nb')\" \"base/$(printf '\\377')\" base/plain \"base/$(printf "
                             "'e\\033[31m')\" \"base/$(printf '\\303\\251')\"");
  struct fct_result raw = run(world, "$FC_COMMAND list -0 | sort -z | od -An -c | tr -s ' \\n' ' '; (cd base; printf "
                                     "\"$PWD/%s\\\\0\" *) | sort -z | od -An -c | tr -s ' \\n' ' '");
  const size_t half = strlen(raw.out) / 2;
  cr_expect(half > 0 && strncmp(raw.out, raw.out + half, half) == 0, "%s", raw.out);
  const char *json = line_of(world, "$FC_COMMAND list --json | jq -c '[.names[] | .path_bytes // .path | "
                                    "split(\"/\")[-1]]'");
  cr_expect_str_eq(json, "[\"a\\nb\",\"e\\u001b[31m\",\"plain\",\"\xc3\xa9\",\"%FF\"]", "%s", json);
  struct fct_result people = run(world, "$FC_COMMAND list -q | sed 's|.*/||'");
  cr_expect_str_eq(people.out, "a\\nb\ne\\x1b[31m\nplain\n\xc3\xa9\n\\xff\n", "%s", people.out);
  let_end(world, job);
}

Test(command, one_session_can_be_picked) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = hold(world, FCT_RUN, "echo x > base/f");
  struct fct_result result =
      run(world, "id=$($FC_COMMAND status -q); $FC_COMMAND list -q --session ${id%?????} | wc -l;"
                 " $FC_COMMAND list -q --session zz | wc -l");
  cr_expect_str_eq(result.out, "1\n0\n", "%s", result.out);
  let_end(world, job);
}

Test(command, a_list_tells_why_a_name_is_not_tracked_when_asked) {
  struct fct_world *world = fct_world_new();
  fct_write(world, "base/u", "x");
  struct fct_job *job = hold(world, FCT_RUN, "echo x > base/u2; mv base/u2 base/u");
  cr_expect_str_eq(run(world, "$FC_COMMAND list").out, "no tracked names\n");
  cr_expect(strstr(run(world, "$FC_COMMAND list -v").out, "N1"));
  let_end(world, job);
}

/* ---- for programs and for people ---- */

Test(command, every_answer_is_one_valid_object_and_always_the_same) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = hold(world, FCT_RUN, "echo x > base/f; echo y > base/g");
  struct fct_result result =
      run(world, "for verb in status list 'explain base/f base/g' check hooks; do\n"
                 "$FC_COMMAND $verb --json > one; $FC_COMMAND $verb --json > two\n"
                 "jq -e '.schema == 1 and .version and .verb and .time' one > /dev/null || echo $verb: not valid\n"
                 "jq 'del(.. | .time?, .time_s?, .age_s?)' one > a; jq 'del(.. | .time?, .time_s?, .age_s?)' two > b\n"
                 "diff a b; done");
  cr_expect_str_eq(result.out, "", "%s", result.out);
  cr_expect_str_eq(result.err, "", "%s", result.err);
  let_end(world, job);
}

Test(command, what_people_read_fits_a_terminal_and_has_no_colour_in_a_pipe) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = hold(world, FCT_RUN, "echo x > base/f; for i in 1 2 3 4 5 6 7 8 9; do sleep 60 & done");
  struct fct_result result = run(
      world,
      "cd /; export TERM=xterm\n"
      "for verb in status 'list -v' 'explain base/f' check hooks; do\n"
      "  case $verb in explain*) verb=\"explain $BASE/f\";; esac\n"
      "  $FC_COMMAND $verb; $FC_COMMAND ${verb%% *} --help; done | sed \"s|$BASE|BASE|g\" > $HOME/out\n"
      "$FC_COMMAND --help >> $HOME/out; for verb in run sweep keep untrack end report; do\n"
      "$FC_COMMAND $verb --help >> $HOME/out; done; grep -E '.{81}' $HOME/out; grep -c \"$(printf '\\033')\" $HOME/out");
  cr_expect_str_eq(result.out, "0\n", "%s", result.out);
  fct_kill_job(job);
}

Test(command, colours_are_for_terminals_that_want_them) {
  fct_need("python3");
  struct fct_world *world = fct_world_new();
  const char *on_terminal = "python3 -c 'import pty, sys; pty.spawn(sys.argv[1:])' $FC_COMMAND hooks | "
                            "grep -c \"$(printf '\\033')\"";
  cr_expect(atoi(run(world, fct_format("TERM=xterm; export TERM; %s", on_terminal)).out) > 10);
  cr_expect_str_eq(run(world, fct_format("TERM=xterm NO_COLOR=1; export TERM NO_COLOR; %s", on_terminal)).out, "0\n");
  cr_expect_str_eq(run(world, fct_format("TERM=dumb; export TERM; %s", on_terminal)).out, "0\n");
}

/* ---- exit statuses ---- */

static void expect_status(const struct fct_world *world, const char *command, int status, const char *told) {
  struct fct_result result = run(world, fct_format("$FC_COMMAND %s", command));
  cr_expect_eq(result.status, status, "%s: %d instead of %d", command, result.status, status);
  cr_expect(strstr(result.err, told), "%s: %s", command, result.err);
}

Test(command, wrong_use_is_status_2) {
  struct fct_world *world = fct_world_new();
  expect_status(world, "", 2, "Usage");
  expect_status(world, "nonsense", 2, "no verb 'nonsense'");
  expect_status(world, "status operand", 2, "takes no operand");
  expect_status(world, "explain", 2, "needs PATH");
  expect_status(world, "list --nonsense", 2, "unrecognized option");
  expect_status(world, "list --json -0", 2, "give one of them");
}

Test(command, every_verb_has_help_on_stdout) {
  struct fct_world *world = fct_world_new();
  for (const char *const *verb =
           FCT_LIST("run", "status", "list", "explain", "sweep", "keep", "untrack", "end", "report", "check", "hooks");
       *verb; verb++) {
    struct fct_result result = run(world, fct_format("$FC_COMMAND %s --help", *verb));
    cr_expect(result.status == 0 && strncmp(result.out, "Usage: ", 7) == 0, "%s: %s", *verb, result.out);
    cr_expect_str_eq(result.err, "");
  }
}

Test(command, a_bad_value_is_status_65) {
  struct fct_world *world = fct_world_new();
  expect_status(world, "check --ttl 0", 65, "FILECLEANUP_TTL=\"0\"");
  expect_status(world, "check --on-exit explode", 65, "FILECLEANUP_ON_EXIT");
  cr_expect_eq(run(world, "FILECLEANUP_KEEP=/x $FC_COMMAND status").status, 65);
}

Test(command, a_refused_base_is_status_77) {
  struct fct_world *world = fct_world_new();
  expect_status(world, "check --base /", 77, "root directory");
  expect_status(world, "check --base /usr", 77, "system directory");
  expect_status(world, "check --base .", 77, "working directory");
  cr_expect_eq(run(world, "$FC_COMMAND check --base . --trust-base 1 -q").status, 0);
}

Test(command, an_answer_that_cannot_be_written_is_status_1) {
  struct fct_world *world = fct_world_new();
  if (access("/dev/full", W_OK)) cr_skip("no /dev/full");
  for (const char *const *verb = FCT_LIST("status", "hooks", "hooks --json", "check"); *verb; verb++)
    cr_expect_eq(run(world, fct_format("$FC_COMMAND %s > /dev/full", *verb)).status, 1, "%s", *verb);
}

/* ---- check ---- */

Test(command, check_tells_where_each_value_comes_from) {
  struct fct_world *world = fct_world_new();
  const char *said = line_of(
      world,
      "FILECLEANUP_TRACK=all FILECLEANUP_DIRS=keep $FC_COMMAND check --dirs empty --json | jq -c '[.settings | sort_by(.name)[] | "
      "select(.name | test(\"TRACK|DIRS|SCOPE\")) | .value, .origin]'");
  cr_expect_str_eq(said, "[\"empty\",\"option\",\"session\",\"default\",\"all\",\"environment\"]", "%s", said);
}

Test(command, check_sees_that_no_state_directory_can_be_used) {
  struct fct_world *world = fct_world_new();
  cr_assert_eq(chmod(world->state, 0777), 0);
  expect_status(world, "check", 1, "no usable state directory");
}

Test(command, check_agrees_with_what_a_session_does) {
  struct fct_world *world = fct_world_new();
  const char *usable = line_of(world, "$FC_COMMAND check --json | jq '[.state_dirs[].usable] | any'");
  struct fct_job *job = hold(world, FCT_RUN, "echo x > base/f");
  cr_expect_str_eq(usable, strcmp(state_of(world), "live") == 0 ? "true" : "false");
  let_end(world, job);
}

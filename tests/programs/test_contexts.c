/* Wherever people start programs: the same output, the same exit status, the same signals, and cleaned up on return. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../harness/harness.h"

TestSuite(contexts, .fini = fct_teardown, .timeout = 120);

static bool contains(const char *text, const char *part) { return strstr(text, part) != NULL; }

static void pause_ms(long ms) {
  const struct timespec span = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
  nanosleep(&span, NULL);
}

/* How a program is started, as it stands before the program in a script. */
#define AS_RUN "$FC_COMMAND run --base base --"
#define AS_WAIT "$FC_COMMAND run --base base --wait --"
#define AS_BARE "env LD_PRELOAD=${FC_COMMAND%/*}/libfilecleanup_preload.so FILECLEANUP_BASE_DIR=$BASE"

static const char *const starts[] = {AS_RUN, AS_WAIT, AS_BARE};
#define STARTS (sizeof starts / sizeof *starts)

#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"

/* Runs the script with each way to start in the place of %s, and without; all must be alike, and nothing be left. */
static void expect_alike_or_killed(const char *shell, const char *script, int status, bool killed) {
  struct fct_world *plain_world = fct_world_new();
  const struct fct_result plain = FCT_EXECUTE(plain_world, .shell = shell, .script = fct_format(script, ""));
  cr_assert_eq(plain.status, status, "plain: status %d %s%s", plain.status, plain.out, plain.err);
  cr_assert(fct_tree_diff(fct_tree_of(plain_world->base), fct_tree_of(fct_world_new()->base), NULL),
            "the plain run leaves nothing: this test proves nothing\n%s%s", plain.out, plain.err);
  for (size_t i = 0; i < STARTS; i++) {
    struct fct_world *world = fct_world_new();
    fct_write(world, "base/users", "mine\n");
    const struct fct_result result = FCT_EXECUTE(world, .shell = shell, .script = fct_format(script, starts[i]));
    cr_expect_eq(result.status, status, "%s: status %d %s", starts[i], result.status, result.err);
    cr_expect_str_eq(result.out, plain.out, "%s: %s instead of %s", starts[i], result.out, plain.out);
    cr_expect_str_eq(result.err, plain.err, "%s: %s instead of %s", starts[i], result.err, plain.err);
    /* After a kill it is the guardian who cleans up, in its own time, and in bare mode the next start. */
    if (killed) cr_assert(fct_wait_no_members(world) && fct_wait_no_guardian(world));
    if (killed && strcmp(starts[i], AS_BARE) == 0) fct_next_start(world, FCT_BARE);
    const char *left = FCT_EXECUTE(world, .script = "ls -A base").out;
    cr_expect_str_eq(left, "users\n", "%s: left on return: %s", starts[i], left);
  }
}

static void expect_alike(const char *shell, const char *script, int status) {
  expect_alike_or_killed(shell, script, status, false);
}

#define WORK "sh -c 'echo out; echo err >&2; echo x > base/x; mkdir base/d; (echo y > base/d/y); exit 3'"

Test(contexts, in_a_script) { expect_alike("/bin/sh", "%s " WORK, 3); }
Test(contexts, in_a_subshell) { expect_alike("/bin/sh", "(%s " WORK ")", 3); }
Test(contexts, in_a_command_substitution) {
  expect_alike("/bin/sh", "x=$(%s " WORK "); s=$?; echo \"got $x\"; exit $s", 3);
}
Test(contexts, under_nohup) { expect_alike("/bin/sh", "nohup %s " WORK " < /dev/null 2>&1", 3); }
Test(contexts, under_setsid) { expect_alike("/bin/sh", "setsid -w %s " WORK, 3); }
Test(contexts, under_env_and_nice) { expect_alike("/bin/sh", "nice -n 1 env -u NOTHING %s " WORK, 3); }
Test(contexts, in_the_background_of_a_script) { expect_alike("/bin/sh", "%s " WORK " & wait $!", 3); }

Test(contexts, under_script) {
  fct_need("script");
  expect_alike("/bin/sh",
               "script -qec \"%s sh -c 'tty | cut -c 1-8; echo x > base/x; exit 3'\" /dev/null | grep -v holds; exit 3",
               3);
}

Test(contexts, under_timeout_that_does_not_strike) { expect_alike("/bin/sh", "timeout -k 5 50 %s " WORK, 3); }

Test(contexts, under_timeout_that_strikes) {
  expect_alike_or_killed("/bin/sh", "timeout -k 50 3 %s sh -c 'echo x > base/x; echo out; exec sleep 100'", 124, true);
}

Test(contexts, under_timeout_whose_signal_the_program_handles) {
  expect_alike(
      "/bin/sh",
      "timeout -k 50 0.5 %s sh -c 'trap \"echo handled; exit 5\" TERM; echo x > base/x; while :; do sleep 0.05; done' 2> /dev/null",
      124);
}

Test(contexts, under_timeout_that_kills_the_guardian_cleans_up) {
  struct fct_world *world = fct_world_new();
  const struct fct_result result =
      FCT_EXECUTE(world, .script = "timeout -k 0.2 0.3 " AS_RUN " sh -c 'trap \"\" TERM; echo x > base/x; sleep 100'");
  cr_expect_eq(result.status, 128 + SIGKILL);
  cr_assert(fct_wait_no_guardian(world));
  fct_assert_base_empty(world, "after the guardian");
}

Test(contexts, in_a_pipeline) {
  expect_alike(
      "/bin/bash",
      "set -o pipefail; %1$s sh -c 'echo a > base/a; cat base/a; echo b' | %1$s sh -c 'cat > base/b; sort base/b; exit 3'",
      3);
}

Test(contexts, in_a_pipeline_whose_reader_has_gone) {
  expect_alike_or_killed("/bin/bash",
                         "%s bash -c 'echo x > base/x; exec yes' | head -n 1; echo ${PIPESTATUS[*]}; exit 3", 3, true);
}

Test(contexts, a_command_substitution_does_not_wait_for_the_guardian) {
  struct fct_world *world = fct_world_new();
  const struct fct_result result =
      FCT_EXECUTE(world, .limit_s = 30,
                  .script = "x=$(" AS_RUN " sh -c 'echo x > base/x; $PROBES/await go > /dev/null 2>&1 & echo hi')\n"
                            "echo got $x; ls base; : > go");
  cr_expect_str_eq(result.out, "got hi\nx\n", "%s", result.out);
  cr_assert(fct_wait_no_members(world) && fct_wait_no_guardian(world));
  fct_assert_base_empty(world, "after the one in the background");
}

/* ---- process 1, subreapers ---- */

static void need_namespaces(void) {
  fct_need_root();
  fct_need("unshare");
  struct fct_world *world = fct_world_new();
  const struct fct_result can = FCT_EXECUTE(world, .script = "unshare --pid --fork --mount-proc true");
  if (can.status != 0) cr_skip("no pid namespaces here: %s", can.err);
}

Test(contexts, as_process_1_of_a_pid_namespace) {
  need_namespaces();
  expect_alike("/bin/sh", "unshare --pid --fork %s sh -c 'echo x > base/x; (echo y > base/y); exit 3'", 3);
  expect_alike("/bin/sh", "unshare --pid --fork --mount-proc %s sh -c 'echo x > base/x; (echo y > base/y); exit 3'", 3);
}

Test(contexts, around_a_pid_namespace) {
  need_namespaces();
  expect_alike("/bin/sh", "%s unshare --pid --fork --mount-proc sh -c 'echo $$; echo x > base/x; exit 3'", 3);
}

Test(contexts, process_1_waits_for_what_the_program_left_running) {
  need_namespaces();
  struct fct_world *world = fct_world_new();
  const struct fct_result result = FCT_EXECUTE(
      world, .script = "unshare --pid --fork --mount-proc " AS_RUN
                       " sh -c '(sleep 0.3; echo late > base/late; cat base/late) & echo x > base/x; exit 3'");
  cr_expect_eq(result.status, 3);
  cr_expect_str_eq(result.out, "late\n", "%s", result.out);
  fct_assert_base_empty(world, "on return");
}

Test(contexts, process_1_hands_signals_on_and_ends_as_the_program_did) {
  need_namespaces();
  struct fct_world *world = fct_world_new();
  const struct fct_result result = FCT_EXECUTE(
      world, .script =
                 "unshare --pid --fork --kill-child " AS_RUN
                 " sh -c 'trap \"echo handled; exit 5\" TERM; echo x > base/x; : > ready; while :; do sleep 0.05; "
                 "done' & u=$!; until [ -e ready ]; do sleep 0.02; done\n"
                 "kill -TERM $(cat /proc/$u/task/$u/children); wait $u; echo $?");
  cr_expect_str_eq(result.out, "handled\n5\n", "%s%s", result.out, result.err);
  fct_assert_base_empty(world, "on return");
}

Test(contexts, a_child_subreaper_sees_no_stranger) {
  fct_need("python3");
  const char *program = "import os, sys\nopen('base/x', 'w').write('x')\n"
                        "pid = os.fork()\n"
                        "if pid == 0: os._exit(4)\n"
                        "print(os.waitstatus_to_exitcode(os.waitpid(-1, 0)[1]))\n"
                        "try: print('stranger', os.waitpid(-1, 0))\n"
                        "except ChildProcessError: print('none')\n";
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    const struct fct_result result =
        FCT_EXECUTE(world, .mode = *mode, .subreaper = true, .argv = FCT_LIST("python3", "-c", program));
    cr_expect_str_eq(result.out, "4\nnone\n", "%s: %s%s", fct_mode_name(*mode), result.out, result.err);
    fct_assert_base_empty(world, "on return");
  }
}

/* ---- signals with --wait ---- */

Test(contexts, wait_forwards_signals_and_ends_as_the_program_did) {
  static const struct {
    int number;
    const char *name;
  } signals[] = {{SIGTERM, "TERM"}, {SIGINT, "INT"},   {SIGHUP, "HUP"},
                 {SIGQUIT, "QUIT"}, {SIGUSR1, "USR1"}, {SIGUSR2, "USR2"}};
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
    struct fct_world *world = fct_world_new();
    struct fct_job *job =
        FCT_START(world, .mode = FCT_RUN, .options = FCT_LIST("--wait"),
                  .script = fct_format("n=0; trap 'n=$((n+1))' %s; echo x > base/x; : > ready; while [ $n = 0 ]; "
                                       "do sleep 0.02; done; sleep 0.1; echo $n; exit 5",
                                       signals[i].name));
    cr_assert(fct_wait_exists(world, "ready"));
    kill(fct_job_pid(job), signals[i].number);
    const struct fct_result result = fct_finish(job);
    cr_expect_str_eq(result.out, "1\n", "%s: %s times", signals[i].name, result.out);
    cr_expect_eq(result.status, 5);
    fct_assert_base_empty(world, "on return");
  }
}

Test(contexts, wait_dies_of_the_signal_that_the_program_died_of) {
  static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGKILL, SIGSEGV, SIGABRT, SIGPIPE};
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
    struct fct_world *world = fct_world_new();
    const struct fct_result result =
        FCT_EXECUTE(world, .mode = FCT_RUN, .options = FCT_LIST("--wait"),
                    .script = fct_format("ulimit -c 0; echo x > base/x; kill -%d $$", signals[i]));
    cr_expect_eq(result.status, 128 + signals[i], "%d: status %d", signals[i], result.status);
    fct_assert_base_empty(world, "on return");
  }
}

Test(contexts, wait_does_not_undo_an_ignored_signal) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = FCT_START(world, .script = "trap '' HUP; exec " AS_WAIT
                                                   " sh -c 'echo x > base/x; : > ready; $PROBES/await go; exit 6'");
  cr_assert(fct_wait_exists(world, "ready"));
  kill(-fct_job_pid(job), SIGHUP);
  pause_ms(50);
  fct_write(world, "go", "");
  cr_expect_eq(fct_finish(job).status, 6);
}

Test(contexts, wait_knows_the_status_when_child_signals_are_ignored) {
  fct_need("python3");
  struct fct_world *world = fct_world_new();
  const struct fct_result result = FCT_EXECUTE(
      world, .script = "python3 -c 'import os, signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN); "
                       "os.execvp(os.environ[\"FC_COMMAND\"], [\"filecleanup\", \"run\", \"--base\", \"base\", "
                       "\"--wait\", \"sh\", \"-c\", \"exit 6\"])'");
  cr_expect_eq(result.status, 6);
}

Test(contexts, wait_can_be_stopped_while_it_waits_for_the_background) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job =
      FCT_START(world, .mode = FCT_RUN, .options = FCT_LIST("--wait"),
                .script = "echo x > base/x; ($PROBES/await go > /dev/null 2>&1 &); echo $$ > ready; exit 5");
  cr_assert(fct_wait_exists(world, "ready"));
  pid_t program = 0;
  while (!fct_read(world, "ready") || sscanf(fct_read(world, "ready"), "%d", &program) != 1) pause_ms(2);
  while (kill(program, 0) == 0) pause_ms(2);
  kill(fct_job_pid(job), SIGTERM);
  cr_expect_eq(fct_finish(job).status, 5);
  cr_expect(fct_exists(world, "base/x"), "deleted under a living member");
  fct_write(world, "go", "");
  cr_assert(fct_wait_gone(world, "base/x"), "the guardian does not clean up");
}

/* ---- an interactive shell ---- */

struct terminal {
  struct fct_world *world;
  struct fct_job *job;
  int keys;
  size_t seen; /* bytes of the log that have been looked at */
};

/* bash with job control in a terminal; what it shows goes to the file `log`. */
static struct terminal open_terminal(void) {
  fct_need("script");
  fct_need("bash");
  struct terminal t = {.world = fct_world_new()};
  t.job = FCT_START(
      t.world,
      .script = "mkfifo keys; : > ready; PS1='@ ' script -qfc 'bash --norc --noprofile -i' log < keys > /dev/null");
  cr_assert(fct_wait_exists(t.world, "ready"));
  t.keys = open(fct_path(t.world, "keys"), O_WRONLY | O_CLOEXEC);
  cr_assert(t.keys >= 0, "%s", strerror(errno));
  return t;
}

static void type(const struct terminal *t, const char *text) {
  cr_assert_eq(write(t->keys, text, strlen(text)), (ssize_t)strlen(text));
}

/* Until the text appears behind what was seen before. */
static void expect_shown(struct terminal *t, const char *text) {
  for (int i = 0; i < 5000; i++) {
    const char *log = fct_read(t->world, "log");
    const char *at = log && strlen(log) > t->seen ? strstr(log + t->seen, text) : NULL;
    if (at) {
      t->seen = (size_t)(at - log) + strlen(text);
      return;
    }
    pause_ms(2);
  }
  cr_assert_fail("the terminal does not show \"%s\": %s", text, fct_read(t->world, "log"));
}

static void close_terminal(struct terminal *t) {
  type(t, "exit 0\n");
  close(t->keys);
  cr_expect_eq(fct_finish(t->job).status, 0);
}

/* The text that is typed is shown too, so what is waited for is put together by the shell: echo st-$? */
static void with_each_start(void (*ask)(struct terminal *, const char *start)) {
  for (size_t i = 0; i < STARTS; i++) {
    struct terminal t = open_terminal();
    ask(&t, starts[i]);
    close_terminal(&t);
    fct_assert_base_empty(t.world, starts[i]);
  }
}

static void interrupt(struct terminal *t, const char *start) {
  type(t,
       fct_format("%s sh -c 'n=0; trap \"n=\\$((n+1))\" INT; echo x > base/x; echo be$((1+1))gin; while [ $n = 0 ]; do "
                  "sleep 0.05; done; sleep 0.2; echo caught-$n; exit 4'\n",
                  start));
  expect_shown(t, "be2gin");
  type(t, "\003");
  expect_shown(t, "caught-1");
  type(t, "echo st-$?; ls base | wc -l\n");
  expect_shown(t, "st-4\r\n0\r\n");
}

Test(contexts, interrupt_reaches_the_program_once) { with_each_start(interrupt); }

static void die_of_interrupt(struct terminal *t, const char *start) {
  type(t, fct_format("%s sh -c 'echo x > base/x; echo be$((1+1))gin; exec sleep 100'\n", start));
  expect_shown(t, "be2gin");
  type(t, "\003");
  type(t, "echo st-$?\n");
  expect_shown(t, "st-130");
  /* Killed by a signal: in bare mode the next start cleans up, else the guardian in its own time. */
  if (strcmp(start, AS_BARE) == 0)
    fct_next_start(t->world, FCT_BARE);
  else
    cr_assert(fct_wait_no_guardian(t->world));
}

Test(contexts, interrupt_ends_a_program_that_does_not_handle_it) { with_each_start(die_of_interrupt); }

static void stop_and_go_on(struct terminal *t, const char *start) {
  /* No children: stopped between vfork and exec, one would hold its parent, and the terminal, with us or without. */
  type(t,
       fct_format("%s bash -c 'mkfifo f; exec 9<> f; echo x > base/x; echo be$((1+1))gin; until [ -e go ]; do read -t "
                  "0.05 -u 9; done; echo e$((1+1))nd; exit 4'\n",
                  start));
  expect_shown(t, "be2gin");
  type(t, "\032");
  expect_shown(t, "Stopped");
  type(t, "ls ba[s]e; jobs | grep -c Stop; true\n");
  expect_shown(t, "x\r\n1\r\n");
  fct_write(t->world, "go", "");
  type(t, "fg\n");
  expect_shown(t, "e2nd");
  type(t, "echo st-$?; ls base | wc -l\n");
  expect_shown(t, "st-4\r\n0\r\n");
}

Test(contexts, stopped_and_brought_back_to_the_foreground) { with_each_start(stop_and_go_on); }

static void background(struct terminal *t, const char *start) {
  type(t, fct_format("%s sh -c 'echo x > base/x; echo be$((1+1))gin; read line; echo got-$line; exit 4' &\n", start));
  expect_shown(t, "be2gin");
  /* It wants to read and is not in the foreground. */
  for (int i = 0; i < 100; i++) {
    type(t, "jobs | sed 's/^.*Stopped.*/is-stop''ped/'; echo asked-$?\n");
    expect_shown(t, "asked-0");
    if (contains(fct_read(t->world, "log"), "is-stopped")) break;
    pause_ms(50);
  }
  type(t, "fg\n");
  expect_shown(t, "sh -c");
  type(t, "li''ne\n");
  expect_shown(t, "got-li''ne");
  type(t, "echo st-$?; ls base | wc -l\n");
  expect_shown(t, "st-4\r\n0\r\n");
}

Test(contexts, in_the_background_stopped_by_reading_and_brought_back) { with_each_start(background); }

/* ---- one within the other ---- */

static struct fct_world *world_with_make(void) {
  fct_need("make");
  struct fct_world *world = fct_world_new();
  fct_write(
      world, "Makefile",
      "all: one two\n"
      "one two:\n"
      "\t@echo $@ > base/$@; $(FC_COMMAND) run --base $(INNER) -- sh -c 'echo $@ > $(INNER)/inner-$@; cat $(INNER)/inner-$@'\n"
      "\t@ls base/$@; ls -A $(INNER) 2> /dev/null | grep -c inner; true\n");
  return world;
}

static void expect_nested(const char *inner, const char *start) {
  struct fct_world *world = world_with_make();
  fct_write(world, "base/users", "");
  const struct fct_result result =
      FCT_EXECUTE(world, .script = fct_format("%s make -s -j2 INNER=%s > out; s=$?; sort out; exit $s", start, inner));
  cr_expect_eq(result.status, 0, "%s", result.err);
  cr_expect_str_eq(result.err, "");
  cr_expect(contains(result.out, "base/one\nbase/two\none\ntwo\n"), "%s within %s: %s", inner, start, result.out);
  cr_expect(fct_wait_no_guardian(world));
  cr_expect_str_eq(FCT_EXECUTE(world, .script = "ls -A base; ls -A other 2> /dev/null").out, "users\n");
}

Test(contexts, make_that_starts_sessions_with_another_base) {
  for (size_t i = 0; i < STARTS; i++) expect_nested("other", starts[i]);
}

Test(contexts, make_that_starts_sessions_with_the_same_base) {
  for (size_t i = 0; i < STARTS; i++) expect_nested("base", starts[i]);
}

Test(contexts, what_the_outer_session_made_survives_the_inner_one_of_the_same_base) {
  for (size_t i = 0; i < STARTS; i++) {
    struct fct_world *world = fct_world_new();
    const struct fct_result result = FCT_EXECUTE(
        world, .script = fct_format(
                   "%s sh -c 'mkdir base/d; echo o > base/outer; echo o > base/d/outer; %s sh -c \"echo i > "
                   "base/inner; echo i > base/d/inner; echo more >> base/outer\"; cat base/outer base/d/outer; "
                   "ls base base/d'",
                   starts[i], AS_RUN));
    cr_expect_str_eq(result.out, "o\nmore\no\nbase:\nd\nouter\n\nbase/d:\nouter\n", "%s: %s%s", starts[i], result.out,
                     result.err);
    fct_assert_base_empty(world, starts[i]);
  }
}

/* ---- values and bases that are not accepted (more of them in test_policies.c) ---- */

struct refusal {
  const char *variable;
  const char *value;
};

static void expect_refused(const struct fct_world *world, const struct fct_result *result, const char *what,
                           const char *variable) {
  cr_expect_eq(result->status, 7, "%s: status %d", what, result->status);
  cr_expect_str_eq(result->out, "made\n", "%s: %s", what, result->out);
  cr_expect(strncmp(result->err, "filecleanup: ", 13) == 0 && contains(result->err, variable) &&
                contains(result->err, "; nothing will be ") &&
                strchr(result->err, '\n') + 1 == result->err + strlen(result->err),
            "%s: not one clear line: %s", what, result->err);
  cr_expect(fct_exists(world, "base/by-open") && fct_exists(world, "base/by-mkdir/below"), "%s: something was deleted",
            what);
}

Test(contexts, a_value_that_cannot_be_accepted_is_one_line_and_deletes_nothing) {
  static const struct refusal refusals[] = {
      {"AGE_BY", "birth"},     {"ON_STARTUP", "often"},
      {"IN_USE", "keep"},      {"MAX_FILES", "0"},
      {"MAX_FILES", "-1"},     {"MAX_BYTES", "1.5G"},
      {"TRACK", "some"},       {"TRUST_BASE", "2"},
      {"GUARDIAN", "please"},  {"EXIT_BUDGET", "soon"},
      {"EXIT_BUDGET", "5M"},   {"LOG", "loud"},
      {"LOG_FILE", "logs/"},   {"STATS", "stats/"},
      {"KEEP", "/absolute"},   {"KEEP", "../up"},
      {"KEEP", "ok:back\\"},   {"INTERVAL", "0"},
      {"SCOPE", ""},           {"ON_EXIT", ""},
      {"SESSION", "name:a b"}, {"TTL", ""},
      {"DIRS", "Empty"},       {"PERIODIC", ""},
  };
  for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
    const char *variable = fct_format("FILECLEANUP_%s", refusals[i].variable);
    const char *setting = fct_format("%s=%s", variable, refusals[i].value);
    for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
      struct fct_world *world = fct_world_new();
      const struct fct_result result = FCT_EXECUTE(world, .mode = *mode, .env = FCT_LIST(setting),
                                                   .argv = FCT_LIST(FC_BUILD_DIR "/probes/die", "base", "status=7"));
      expect_refused(world, &result, setting, variable);
    }
  }
}

Test(contexts, a_base_that_cannot_be_accepted_is_one_line_and_deletes_nothing) {
  static const char *const bases[] = {
      "/usr", "/var", "/bin", "/lib",    "/dev",   "/proc", "/sys",       "/boot",         "/home",         "/root",
      "//",   "/./",  "..",   "base/..", "to-etc", "fifo",  "file/below", "dangling/link", "/proc/self/new"};
  for (size_t i = 0; i < sizeof bases / sizeof *bases; i++) {
    for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
      struct fct_world *world = fct_world_new();
      FCT_EXECUTE(world, .script = "ln -s /etc to-etc; mkfifo fifo; : > file; ln -s nowhere dangling");
      const struct fct_result result = FCT_EXECUTE(world, .mode = *mode, .base = bases[i],
                                                   .argv = FCT_LIST(FC_BUILD_DIR "/probes/die", "base", "status=7"));
      expect_refused(world, &result, bases[i], "FILECLEANUP_BASE_DIR");
    }
  }
}

Test(contexts, a_base_that_may_not_be_made_is_one_line_and_deletes_nothing) {
  fct_need_root();
  fct_need_build_for(65534);
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    fct_world_give(world, 65534);
    FCT_EXECUTE(world, .script = "mkdir -m 755 roots");
    const struct fct_result result = FCT_EXECUTE(world, .mode = *mode, .base = "roots/new", .uid = 65534,
                                                 .argv = FCT_LIST(FC_BUILD_DIR "/probes/die", "base", "status=7"));
    expect_refused(world, &result, "roots/new", "FILECLEANUP_BASE_DIR");
  }
}

/* What `filecleanup run` says about a program that it cannot cover, and what its options do. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../harness/harness.h"

TestSuite(launcher, .fini = fct_teardown, .timeout = 120);

static size_t count_lines(const char *text) {
  size_t lines = 0;
  for (; *text; text++) lines += *text == '\n';
  return lines;
}

static bool contains(const char *text, const char *part) { return strstr(text, part) != NULL; }

/* ---- programs that cannot be covered ---- */

/* Makes the file that it is told to, says so on both streams, ends with 7. */
#define PROGRAM_SOURCE                                                                                                 \
  "#include <fcntl.h>\n#include <stdio.h>\nint main(int c, char **v) {\n"                                              \
  "  int fd = open(v[c - 1], O_CREAT | O_EXCL | O_WRONLY, 0644);\n"                                                    \
  "  puts(fd >= 0 ? \"made\" : \"not made\"); fputs(\"its own line\\n\", stderr); return 7; }\n"

/* What the linker of Go puts into all that it makes. */
#define GO_NOTE                                                                                                        \
  ".section .note.go.buildid,\"a\",@note\n.long 4\n.long 4\n.long 4\n.asciz \"Go\"\n.byte 0\n.ascii \"abcd\"\n"        \
  ".section .note.GNU-stack,\"\",@progbits\n"

/* A world with ./program; NULL when this machine cannot compile it so. */
static struct fct_world *world_with(const char *compile) {
  struct fct_world *world = fct_world_new();
  fct_write(world, "program.c", PROGRAM_SOURCE);
  fct_write(world, "go.S", GO_NOTE);
  const struct fct_result made = FCT_EXECUTE(world, .script = compile);
  if (made.status != 0) cr_log_info("%s: %s", compile, made.err);
  return made.status == 0 && fct_exists(world, "program") ? world : NULL;
}

enum fate { STAYS, GOES };

/* The same in a plain run and under filecleanup, but for one line before; and nothing else is said. */
static void expect_warning(const struct fct_world *world, uid_t uid, const char *program, const char *words,
                           enum fate fate) {
  const struct fct_result plain =
      FCT_EXECUTE(world, .argv = FCT_LIST(fct_path(world, program), "base/plain"), .uid = uid);
  cr_assert_eq(plain.status, 7, "plain: %d %s", plain.status, plain.err);
  const struct fct_result run =
      FCT_EXECUTE(world, .mode = FCT_RUN, .argv = FCT_LIST(fct_path(world, program), "base/run"), .uid = uid);
  cr_expect_eq(run.status, 7, "%s: status %d", program, run.status);
  cr_expect_str_eq(run.out, plain.out);
  if (words) {
    const size_t first = strcspn(run.err, "\n") + 1;
    cr_expect(strncmp(run.err, "filecleanup-run: warning: ", 26) == 0 && contains(run.err, words) &&
                  contains(run.err, program),
              "%s: %s", program, run.err);
    cr_expect(first < strlen(run.err) + 1 && strcmp(run.err + first, plain.err) == 0, "%s: more than one line: %s",
              program, run.err);
  } else {
    cr_expect_str_eq(run.err, plain.err);
  }
  cr_assert(fct_wait_no_guardian(world));
  cr_expect(fct_exists(world, "base/plain"), "%s: what was there before is gone", program);
  cr_expect_eq(fct_exists(world, "base/run"), fate == STAYS, "%s: base/run %s", program,
               fate == STAYS ? "is gone" : "stays");
  unlink(fct_path(world, "base/run"));
  const struct fct_result quiet =
      FCT_EXECUTE(world, .mode = FCT_RUN, .argv = FCT_LIST(fct_path(world, program), "base/run"), .uid = uid,
                  .options = FCT_LIST("--log", "error"));
  cr_expect_str_eq(quiet.err, plain.err, "%s: not silent with --log=error: %s", program, quiet.err);
}

static void expect_warning_for(const char *compile, const char *words, enum fate fate) {
  fct_need("gcc");
  struct fct_world *world = world_with(compile);
  if (!world) cr_skip("cannot be compiled here: %s", compile);
  expect_warning(world, 0, "program", words, fate);
}

Test(launcher, an_ordinary_program_is_covered_without_a_word) {
  expect_warning_for("gcc program.c -o program", NULL, GOES);
}

Test(launcher, a_static_program_is_named_and_its_file_stays) {
  expect_warning_for("gcc -static program.c -o program", "statically linked", STAYS);
}

Test(launcher, a_static_position_independent_program_is_named) {
  expect_warning_for("gcc -static-pie program.c -o program", "statically linked", STAYS);
}

Test(launcher, a_go_program_is_named_although_it_is_dynamic) {
  expect_warning_for("gcc program.c go.S -o program", "Go program", GOES); /* it is C behind the note */
}

Test(launcher, a_static_go_program_is_called_a_go_program) {
  expect_warning_for("gcc -static program.c go.S -o program", "Go program", STAYS);
}

Test(launcher, a_program_of_another_word_size_is_named) {
  expect_warning_for("gcc -m32 program.c -o program", "word size", STAYS);
}

Test(launcher, a_program_of_another_c_library_is_named_and_runs) {
  fct_need("musl-gcc");
  expect_warning_for("musl-gcc program.c -o program", "another C library", STAYS);
}

Test(launcher, a_program_of_another_c_library_runs_also_as_a_child) {
  fct_need("musl-gcc");
  struct fct_world *world = world_with("musl-gcc program.c -o program");
  cr_assert(world);
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    const struct fct_result result =
        FCT_EXECUTE(world, .mode = *mode, .script = "./program base/f; echo $?; rm base/f");
    cr_expect_str_eq(result.out, "made\n7\n", "%s: %s", fct_mode_name(*mode), result.out);
    cr_expect_str_eq(result.err, "its own line\n", "%s: %s", fct_mode_name(*mode), result.err);
  }
}

Test(launcher, a_set_user_id_program_is_named_when_it_changes_the_user) {
  fct_need_root();
  fct_need_build_for(65534);
  struct fct_world *world = world_with("gcc program.c -o program && chmod 1777 base && cp program own");
  cr_assert(world);
  cr_assert(chown(fct_path(world, "program"), 65534, 65534) == 0 && chmod(fct_path(world, "program"), 04755) == 0);
  expect_warning(world, 0, "program", "changes its user", STAYS);
  cr_assert(chmod(fct_path(world, "own"), 04755) == 0); /* root's own, run by root */
  cr_assert(unlink(fct_path(world, "base/plain")) == 0);
  unlink(fct_path(world, "base/run"));
  expect_warning(world, 0, "own", NULL, GOES);
}

Test(launcher, a_program_with_file_capabilities_is_named_when_it_gains_them) {
  fct_need_root();
  fct_need("setcap");
  fct_need_build_for(65534);
  struct fct_world *world = world_with("gcc program.c -o program");
  cr_assert(world);
  fct_world_give(world, 65534);
  const struct fct_result set = FCT_EXECUTE(world, .script = "setcap cap_net_raw+ep program");
  if (set.status != 0) cr_skip("file capabilities cannot be set here: %s", set.err);
  expect_warning(world, 65534, "program", "capabilities", STAYS);
}

Test(launcher, the_interpreter_of_a_script_is_looked_at) {
  fct_need("gcc");
  struct fct_world *world = world_with("gcc -static program.c -o program && printf '#!%s/program\\n' $PWD > direct && "
                                       "printf '#!/usr/bin/env -S A=b program\\n' > by-env && chmod +x direct by-env");
  cr_assert(world);
  expect_warning(world, 0, "direct", "statically linked", STAYS);
  const struct fct_result run =
      FCT_EXECUTE(world, .script = "PATH=$PWD:$PATH $FC_COMMAND run --base base ./by-env base/e");
  cr_expect_eq(run.status, 7);
  cr_expect(contains(run.err, "statically linked"), "%s", run.err);
}

Test(launcher, a_program_found_in_the_path_is_looked_at) {
  fct_need("gcc");
  struct fct_world *world = world_with("gcc -static program.c -o program");
  cr_assert(world);
  const struct fct_result run =
      FCT_EXECUTE(world, .script = "PATH=$PWD:$PATH $FC_COMMAND run --base base program base/x; echo $?");
  cr_expect_str_eq(run.out, "made\n7\n");
  cr_expect(contains(run.err, "warning: program is statically linked"), "%s", run.err);
}

Test(launcher, what_a_static_program_starts_is_covered) {
  fct_need("busybox");
  struct fct_world *world = fct_world_new();
  const struct fct_result linked = FCT_EXECUTE(world, .script = "! ldd $(command -v busybox) 2>&1 | grep -q libc");
  if (linked.status != 0) cr_skip("busybox is dynamic here");
  const struct fct_result run =
      FCT_EXECUTE(world, .mode = FCT_RUN,
                  .argv = FCT_LIST("busybox", "sh", "-c", "/usr/bin/touch base/covered; echo x > base/not"));
  cr_expect(contains(run.err, "statically linked"), "%s", run.err);
  cr_assert(fct_wait_no_guardian(world));
  cr_expect(!fct_exists(world, "base/covered"), "what a dynamic child of it made stays");
  cr_expect(fct_exists(world, "base/not"), "what it made itself is gone");
}

Test(launcher, a_program_with_address_sanitizer_runs_and_is_covered) {
  expect_warning_for("gcc -fsanitize=address program.c -o program", NULL, GOES);
}

Test(launcher, the_users_own_asan_options_stay) {
  fct_need("gcc");
  struct fct_world *world =
      world_with("sed -i 's/return 7/puts(getenv(\"ASAN_OPTIONS\")); return 7/; 1i#include <stdlib.h>' "
                 "program.c && gcc -fsanitize=address program.c -o program");
  if (!world) cr_skip("no AddressSanitizer here");
  const struct fct_result run =
      FCT_EXECUTE(world, .mode = FCT_RUN, .argv = FCT_LIST(fct_path(world, "program"), "base/x"),
                  .env = FCT_LIST("ASAN_OPTIONS=exitcode=33"));
  cr_expect_str_eq(run.out, "made\nexitcode=33:verify_asan_link_order=0\n", "%s%s", run.out, run.err);
  const struct fct_result set =
      FCT_EXECUTE(world, .mode = FCT_RUN, .argv = FCT_LIST(fct_path(world, "program"), "base/y"),
                  .env = FCT_LIST("ASAN_OPTIONS=verify_asan_link_order=1"));
  cr_expect(set.status != 7 && contains(set.err, "ASan runtime does not come first"), "%d %s", set.status, set.err);
}

/* ---- a base that holds something ---- */

/* With a terminal as stderr. */
static const char *say_on_a_terminal(const struct fct_world *world, const char *options) {
  fct_need("script");
  const char *script = fct_format("script -qec '$FC_COMMAND run --base base %s -- echo ran' /dev/null", options);
  return FCT_EXECUTE(world, .script = script).out;
}

Test(launcher, a_base_that_holds_something_is_said_on_a_terminal) {
  struct fct_world *world = fct_world_new();
  cr_expect_str_eq(say_on_a_terminal(world, ""), "ran\r\n");
  fct_write(world, "base/one", "");
  const char *one = say_on_a_terminal(world, "");
  cr_expect(contains(one, "base already holds 1 entry; what is there stays\r\n") && count_lines(one) == 2, "%s", one);
  FCT_EXECUTE(world, .script = "seq 1 10500 | sed s,^,base/, | xargs touch");
  const char *many = say_on_a_terminal(world, "");
  cr_expect(contains(many, "already holds 10000+ entries") && count_lines(many) == 2, "%s", many);
  cr_expect_str_eq(say_on_a_terminal(world, "--log off"), "ran\r\n");
  const struct fct_result elsewhere = FCT_EXECUTE(world, .mode = FCT_RUN, .script = "echo ran");
  cr_expect_str_eq(elsewhere.err, "", "said where nobody reads it: %s", elsewhere.err);
}

Test(launcher, what_the_dead_left_is_not_counted) {
  struct fct_world *world = fct_world_new();
  const struct fct_result dead = FCT_EXECUTE(world, .mode = FCT_RUN, .options = FCT_LIST("--no-guardian"),
                                             .script = "echo x > base/x; kill -9 $$");
  cr_assert_eq(dead.status, 128 + SIGKILL);
  cr_assert(fct_exists(world, "base/x"));
  cr_expect_str_eq(say_on_a_terminal(world, ""), "ran\r\n");
}

/* ---- leaks ---- */

static struct fct_result run_with(const struct fct_world *world, const char *options, const char *script) {
  return FCT_EXECUTE(world, .script = fct_format("$FC_COMMAND run --base base %s -- sh -c '%s'", options, script));
}

static void expect_leak(const char *options, const char *script, int status, const char *said) {
  struct fct_world *world = fct_world_new();
  const struct fct_result result = run_with(world, options, script);
  cr_expect_eq(result.status, status, "%s: %s: status %d %s", options, script, result.status, result.err);
  if (said)
    cr_expect(contains(result.err, said) && count_lines(result.err) == 1, "%s: %s: %s", options, script, result.err);
  else
    cr_expect_str_eq(result.err, "");
}

Test(launcher, a_leak_is_a_tracked_name_that_still_existed_at_the_end) {
  expect_leak("--fail-on-leak", "echo x > base/x", 99, "left 1 name under");
  expect_leak("--fail-on-leak", "mkdir base/d; echo x > base/d/x", 99, "left 2 names under");
  expect_leak("--fail-on-leak=5", "echo x > base/x", 5, "left 1 name under");
  expect_leak("--fail-on-leak --no-guardian", "echo x > base/x", 99, "left 1 name under");
}

Test(launcher, what_the_program_removed_itself_is_no_leak) {
  expect_leak("--fail-on-leak", "echo x > base/x; rm base/x", 0, NULL);
  expect_leak("--fail-on-leak", "mkdir -p base/d/e; echo x > base/d/e/x; rm -r base/d", 0, NULL);
  expect_leak("--fail-on-leak", "echo x > base/x; mv base/x elsewhere", 0, NULL);
  expect_leak("--fail-on-leak", "true", 0, NULL);
}

Test(launcher, what_is_to_be_kept_is_no_leak_but_what_a_policy_keeps_is_one) {
  expect_leak("--fail-on-leak --keep x", "echo x > base/x", 0, NULL);
  expect_leak("--fail-on-leak --on-exit keep", "echo x > base/x", 99, "left 1 name under");
  expect_leak("--fail-on-leak --on-exit report", "mkdir base/d; echo x > base/d/x", 99, "left 2 names under");
  expect_leak("--fail-on-leak --on-exit keep", "echo x > base/x; rm base/x", 0, NULL);
}

Test(launcher, the_programs_own_failure_wins_over_a_leak) {
  expect_leak("--fail-on-leak", "echo x > base/x; exit 4", 4, "left 1 name under");
  struct fct_world *world = fct_world_new();
  const struct fct_result killed = run_with(world, "--fail-on-leak", "echo x > base/x; kill -9 $$");
  cr_expect_eq(killed.status, 128 + SIGKILL);
  cr_expect(contains(killed.err, "left 1 name under"), "%s", killed.err);
}

Test(launcher, a_leak_of_a_child_in_the_background_counts) {
  expect_leak("--fail-on-leak", "(sleep 0.3; echo x > base/late) & true", 99, "left 1 name under");
}

Test(launcher, a_leak_status_that_is_none_is_125) {
  struct fct_world *world = fct_world_new();
  static const char *const wrong[] = {"--fail-on-leak=0", "--fail-on-leak=256", "--fail-on-leak=x",
                                      "--fail-on-leak=", "--fail-on-leak --session s"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    const struct fct_result result = run_with(world, wrong[i], "echo ran");
    cr_expect_eq(result.status, 125, "%s: %d", wrong[i], result.status);
    cr_expect_str_eq(result.out, "", "%s: %s", wrong[i], result.out);
    cr_expect(strncmp(result.err, "filecleanup-run: ", 17) == 0, "%s: %s", wrong[i], result.err);
  }
}

/* ---- options, statuses ---- */

Test(launcher, help_has_a_meaning_for_every_option_in_80_columns) {
  struct fct_world *world = fct_world_new();
  const char *const help = FCT_EXECUTE(world, .script = "$FC_COMMAND run --help").out;
  static const char *const options[] = {"--base=DIR",        "--tmpdir",
                                        "--trust-base=BOOL", "--state-dir=DIR",
                                        "--on-exit=WHAT",    "--keep=GLOB",
                                        "--dirs=WHAT",       "--track=WHAT",
                                        "--in-use=WHAT",     "--on-startup=BOOL",
                                        "--scope=WHAT",      "--exit-budget=SPAN",
                                        "--periodic=BOOL",   "--ttl=SPAN",
                                        "--age-by=WHAT",     "--interval=SPAN",
                                        "--max-bytes=SIZE",  "--max-files=COUNT",
                                        "--session=NAME",    "--wait",
                                        "--no-guardian",     "--fail-on-leak[=CODE]",
                                        "--log=LEVEL",       "--log-file=FILE",
                                        "--stats=FILE",      "--help",
                                        "--version"};
  for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
    const char *at = strstr(help, fct_format("\n  %s ", options[i]));
    cr_expect(at, "%s is missing", options[i]);
    cr_expect(at && strcspn(at + 1, "\n") > 30, "%s has no meaning", options[i]);
  }
  for (const char *line = help; *line; line += strcspn(line, "\n") + 1)
    cr_expect(strcspn(line, "\n") <= 80, "wider than a terminal: %.*s", (int)strcspn(line, "\n"), line);
}

Test(launcher, what_follows_the_program_is_the_programs) {
  struct fct_world *world = fct_world_new();
  static const char *const forms[] = {"run --base base echo --base x --wait --help -- -n",
                                      "run --base base -- echo --base x --wait --help -- -n",
                                      "run --base=base --wait echo --base x --wait --help -- -n"};
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    const struct fct_result result = FCT_EXECUTE(world, .script = fct_format("$FC_COMMAND %s", forms[i]));
    cr_expect_str_eq(result.out, "--base x --wait --help -- -n\n", "%s: %s", forms[i], result.out);
    cr_expect_eq(result.status, 0);
  }
}

struct status_case {
  const char *command;
  int status;
};

Test(launcher, own_failures_are_125_126_and_127_as_with_env) {
  struct fct_world *world = fct_world_new();
  fct_write(world, "plain", "");
  fct_write(world, "broken", "#!/no/such/interpreter\n");
  chmod(fct_path(world, "broken"), 0755);
  static const struct status_case cases[] = {
      {"--base base", 125},
      {"--base base --", 125},
      {"--nonsense true", 125},
      {"--wait=yes true", 125},
      {"--base", 125},
      {"--session s true", 125},
      {"--base base ./plain", 126},
      {"--base base --wait ./plain", 126},
      {"--base base .", 126},
      {"--base base ./missing", 127},
      {"--base base --wait ./missing", 127},
      {"--base base -- ''", 127},
      {"--base base ./broken", 127},
      {"--base base no-such-program-anywhere", 127},
      {"no-such-program-anywhere", 127},
      {"--base base --session s ./missing", 127},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const struct fct_result result =
        FCT_EXECUTE(world, .script = fct_format("TMPDIR=$HOME $FC_COMMAND run %s", cases[i].command));
    cr_expect_eq(result.status, cases[i].status, "%s: %d %s", cases[i].command, result.status, result.err);
    cr_expect(strncmp(result.err, "filecleanup-run: ", 17) == 0, "%s: %s", cases[i].command, result.err);
  }
  cr_assert(fct_wait_no_guardian(world));
  const char *left = FCT_EXECUTE(world, .script = "ls -A base $HOME").out;
  cr_expect_str_eq(left, "<root>/home:\n\nbase:\n", "something is left behind: %s", left);
}

Test(launcher, without_a_base_tmpdir_is_private_and_goes_again) {
  struct fct_world *world = fct_world_new();
  const struct fct_result result =
      FCT_EXECUTE(world, .script = "mkdir t; TMPDIR=$PWD/t $FC_COMMAND run sh -c 'umask 0; stat -c %a $TMPDIR; "
                                   "dirname $TMPDIR; mktemp > /dev/null; test $TMPDIR = $FILECLEANUP_BASE_DIR && echo "
                                   "same'; ls -A t");
  cr_expect_str_eq(result.out, "700\n<root>/world/t\nsame\n", "%s", result.out);
  const struct fct_result nowhere =
      FCT_EXECUTE(world, .script = "TMPDIR=/no/such/place $FC_COMMAND run echo ran; echo $?");
  cr_expect_str_eq(nowhere.out, "125\n");
}

Test(launcher, dashes_and_options_of_every_kind_reach_the_session) {
  struct fct_world *world = fct_world_new();
  const struct fct_result result = FCT_EXECUTE(
      world, .mode = FCT_RUN,
      .options = FCT_LIST("--keep", "*.log", "--keep=d/*", "--ttl", "2h 30min", "--interval=1min", "--age-by", "mtime",
                          "--periodic", "no", "--on-startup=0", "--max-bytes", "1G", "--max-files=9", "--in-use",
                          "ignore", "--exit-budget=1s", "--log=debug", "--log-file=log", "--track=all", "--dirs",
                          "empty", "--scope", "session", "--stats", "stats"),
      .script = "cd base; mkdir d; touch a.log d/x gone; cd ..");
  cr_expect_eq(result.status, 0);
  cr_expect_str_eq(result.err, "");
  cr_expect_str_eq(FCT_EXECUTE(world, .script = "cd base && find . | sort | tr '\\n' ' '").out, ". ./a.log ./d ./d/x ");
  cr_expect(fct_read(world, "log") && contains(fct_read(world, "log"), "removed 1 files"), "%s",
            fct_read(world, "log"));
}

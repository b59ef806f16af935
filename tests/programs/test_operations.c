/* What runs a machine meets: log files that are moved away, syslog, units, and cleaners of the distribution. */
#include <criterion/criterion.h>
#include <string.h>

#include "../harness/harness.h"

TestSuite(operations, .fini = fct_teardown, .timeout = 180);

#define PACKAGING FC_SOURCE_DIR "/scripts/packaging"

static const char *line_count(const struct fct_world *world, const char *file) {
  struct fct_result result = FCT_EXECUTE(world, .script = fct_format("wc -l < %s", file));
  return fct_format("%.*s", (int)strcspn(result.out, "\n"), result.out);
}

/* A session that logs one line at its end, and goes on until it may end. */
static struct fct_job *start_logging(const struct fct_world *world, enum fct_mode mode) {
  const char *log = fct_format("FILECLEANUP_LOG_FILE=%s", fct_path(world, "log"));
  struct fct_job *job = FCT_START(world, .mode = mode, .script = "touch base/a; : > ready; exec $PROBES/await end",
                                  .env = FCT_LIST("FILECLEANUP_LOG=info", log));
  cr_assert(fct_wait_exists(world, "ready"));
  return job;
}

static void let_end(const struct fct_world *world, struct fct_job *job) {
  fct_write(world, "end", "");
  cr_expect_eq(fct_finish(job).status, 0);
  cr_expect(fct_wait_no_guardian(world));
}

Test(operations, log_file_that_is_moved_away_is_made_anew_by_who_runs_already) {
  for (const enum fct_mode *m = fct_modes(); *m; m++) {
    const struct fct_world *world = fct_world_new();
    fct_write(world, "log", "older\n");
    struct fct_job *job = start_logging(world, *m);
    struct fct_result moved = FCT_EXECUTE(world, .script = "mv log log.1");
    cr_assert_eq(moved.status, 0);
    let_end(world, job);
    cr_expect_str_eq(fct_read(world, "log.1"), "older\n", "%s", fct_mode_name(*m));
    cr_expect_str_eq(line_count(world, "log"), "1", "%s: %s", fct_mode_name(*m), fct_read(world, "log"));
  }
}

Test(operations, logrotate_with_the_example_loses_no_line) {
  fct_need("logrotate");
  const struct fct_world *world = fct_world_new();
  fct_write(world, "log", "older\n");
  struct fct_job *job = start_logging(world, FCT_RUN);
  struct fct_result rotated =
      FCT_EXECUTE(world, .script = "chmod 700 .; sed \"s,^/var/log[^ ]*,$PWD/log,\" " PACKAGING "/filecleanup.logrotate"
                                   " > conf; chmod 644 conf; PATH=$PATH:/usr/sbin logrotate -f -s status conf");
  cr_assert_eq(rotated.status, 0, "%s", rotated.err);
  cr_expect_str_eq(rotated.err, "");
  cr_expect_not(fct_exists(world, "log"));
  let_end(world, job);
  cr_expect_str_eq(fct_read(world, "log.1"), "older\n");
  cr_expect_str_eq(line_count(world, "log"), "1");
}

/* The default file is for people and stops growing; one that somebody has named is theirs to rotate. */
Test(operations, named_log_file_grows_beyond_the_limit_of_the_default_one) {
  const struct fct_world *world = fct_world_new();
  struct fct_result result =
      FCT_EXECUTE(world, .script = "head -c 1100000 /dev/zero > log; size=$(stat -c %s log)\n"
                                   "$FC_COMMAND run --base base --log info --log-file log -- touch base/a\n"
                                   "test $(stat -c %s log) -gt $size || echo the named file did not grow\n"
                                   "$FC_COMMAND run --base base --log info -- touch base/a\n"
                                   "messages=$(echo $FILECLEANUP_STATE_DIR/*/messages)\n"
                                   "head -c 1100000 /dev/zero > $messages; size=$(stat -c %s $messages)\n"
                                   "$FC_COMMAND run --base base --log info -- touch base/a\n"
                                   "test $(stat -c %s $messages) -eq $size || echo the default file grew");
  cr_expect_str_eq(result.err, "", "%s", result.err);
  cr_expect_str_eq(result.out, "", "%s", result.out);
}

/* A write beyond RLIMIT_FSIZE kills by SIGXFSZ; where the start of a session logs, no signal is blocked. */
Test(operations, log_file_larger_than_the_programs_limit_does_not_kill_the_program) {
  const struct fct_world *world = fct_world_new();
  /* The reaping of what the dead have left logs by their policy. */
  struct fct_result result =
      FCT_EXECUTE(world, .shell = "/bin/bash",
                  .script = "export FILECLEANUP_LOG=info FILECLEANUP_LOG_FILE=$PWD/log FILECLEANUP_BASE_DIR=$BASE\n"
                            "{ $FC_COMMAND run --no-guardian -- sh -c 'touch base/a; kill -9 $$'; } 2> killed\n"
                            "ls base; truncate -s 300M log; ulimit -f $((280 * 1024))\n"
                            "LD_PRELOAD=" FC_BUILD_DIR "/libfilecleanup_preload.so sh -c 'ls base; touch base/b'\n"
                            "echo $?; ls base; stat -c %s log");
  cr_expect_str_eq(result.err, "", "%s", result.err);
  cr_expect_str_eq(result.out, "a\n0\n314572800\n", "%s", result.out);
}

Test(operations, report_larger_than_the_programs_limit_does_not_kill_the_program) {
  const struct fct_world *world = fct_world_new();
  /* 200 names that stay, each some 700 bytes long, are more than 80 KiB. */
  struct fct_result result =
      FCT_EXECUTE(world, .shell = "/bin/bash",
                  .script = "export FILECLEANUP_BASE_DIR=$BASE FILECLEANUP_STATS=$PWD/stats l=$(printf '%0240d' 0)\n"
                            "{ FILECLEANUP_KEEP='*/*/*' $FC_COMMAND run --no-guardian -- bash -c 'mkdir -p base/$l/$l\n"
                            "for i in {1..250}; do : > base/$l/$l/$l$i; done; kill -9 $$'; } 2> killed\n"
                            "ulimit -f 80\n"
                            "LD_PRELOAD=" FC_BUILD_DIR "/libfilecleanup_preload.so sh -c 'echo lives'\n"
                            "echo $?; test $(stat -c %s stats) -le 81920 && cat $FILECLEANUP_STATE_DIR/*/messages |\n"
                            "  grep -o 'report cannot be written'\n");
  cr_expect_str_eq(result.err, "", "%s", result.err);
  cr_expect_str_eq(result.out, "lives\n0\nreport cannot be written\n", "%s", result.out);
}

Test(operations, syslog_gets_one_datagram_for_each_line) {
  fct_need_root();
  fct_need("python3");
  fct_need("unshare");
  const struct fct_world *world = fct_world_new();
  if (FCT_EXECUTE(world, .script = "unshare -m mount -t tmpfs none .").status != 0)
    cr_skip_test("a mount namespace of its own is not to be had here");
  fct_write(world, "listen.py",
            "import socket\n"
            "log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
            "log.bind('/dev/log'); log.settimeout(50)\n"
            "for _ in range(3): print(log.recv(4096).decode(), flush=True)\n");
  /* A /dev of its own: the machine's may have a listener, or none. */
  fct_write(world, "inside",
            "mkdir dev; mount -t tmpfs none dev; mkdir dev/shm\n"
            "for n in null zero urandom; do : > dev/$n; mount --bind /dev/$n dev/$n; done\n"
            "mount --rbind dev /dev\n"
            "python3 listen.py & until test -S /dev/log; do :; done\n"
            "export FILECLEANUP_LOG_FILE=syslog\n"
            "$FC_COMMAND run --base base --on-exit report -- touch base/a\n"
            "FILECLEANUP_BASE_DIR=$BASE FILECLEANUP_ON_EXIT=report LD_PRELOAD=" FC_BUILD_DIR
            "/libfilecleanup_preload.so touch base/b\n"
            "FILECLEANUP_LOG=info $FC_COMMAND run --base base -- touch base/c\n"
            "wait\n");
  struct fct_result result = FCT_EXECUTE(world, .script = "exec unshare -m sh -e inside");
  cr_expect_str_eq(result.err, "", "%s", result.err);
  cr_expect_str_eq(result.out,
                   "<12>filecleanup: would delete <root>/world/base/a\n"
                   "<12>filecleanup: would delete <root>/world/base/b\n"
                   "<14>filecleanup: <root>/world/base: removed 1 files, 0 directories, 0 unseen; kept 0, replaced 0, "
                   "restored 0, handed over 0, in use 0, failed 0\n",
                   "%s", result.out);
}

Test(operations, syslog_that_nobody_listens_to_changes_nothing) {
  fct_leaves_nothing(
      &(struct fct_case){.script = "touch base/a; echo done", .env = FCT_LIST("FILECLEANUP_LOG_FILE=syslog")});
}

Test(operations, units_are_valid_where_they_are_installed) {
  fct_need("cmake");
  fct_need("systemd-analyze");
  const struct fct_world *world = fct_world_new();
  struct fct_result result =
      FCT_EXECUTE(world, .script = "cmake --install " FC_BUILD_DIR " --prefix $PWD/tree > log 2>&1 || cat log\n"
                                   "mkdir -m 700 run; export XDG_RUNTIME_DIR=$PWD/run\n"
                                   "systemd-analyze verify --user --man=no tree/lib/systemd/user/*.timer "
                                   "tree/lib/systemd/user/*.service; echo $?\n"
                                   "sed -n 's/^ExecStart=//p' tree/lib/systemd/user/*.service");
  cr_expect_str_eq(result.err, "", "%s", result.err);
  cr_expect_str_eq(result.out, "0\n<root>/world/tree/bin/filecleanup sweep\n", "%s", result.out);
}

Test(operations, sweep_makes_only_system_calls_that_its_unit_allows) {
  fct_need("systemd-analyze");
  fct_need("strace");
  const struct fct_world *world = fct_world_new();
  struct fct_result result = FCT_EXECUTE(
      world,
      .script = /* An orphan, and a live session with something that has expired. */
      "$FC_COMMAND run --base base --no-guardian -- sh -c 'mkdir base/d; echo x > base/d/f; kill -9 $$' 2> /dev/null\n"
      "$FC_COMMAND run --base base --on-startup 0 --periodic 0 --ttl 1ms -- "
      "sh -c 'echo y > base/g; sleep 0.1; : > ready; exec $PROBES/await end' &\n"
      "until test -e ready; do sleep 0.02; done\n"
      "strace -f -qq -o trace $FC_COMMAND sweep > said; ls base; : > end; wait\n"
      /* A set holds calls and other sets. */
      "known() { systemd-analyze syscall-filter $1 | sed -n 's/^    //p' | while read -r w; do\n"
      "  case $w in @*) known $w ;; '#'*) ;; *) echo $w ;; esac; done; }\n"
      "known $(sed -n 's/^SystemCallFilter=//p' " PACKAGING "/filecleanup-sweep.service.in) | sort -u > allowed\n"
      "sed -nE 's/^[0-9]+ +([a-z0-9_]+)\\(.*/\\1/p' trace | sort -u > used\n"
      "test $(wc -l < used) -gt 15 || echo too few calls seen\n"
      "comm -23 used allowed\n");
  cr_expect_str_eq(result.out, "", "%s", result.out);
  cr_expect_str_eq(result.err, "", "%s", result.err);
}

Test(operations, distributions_cleaner_spares_records_and_nothing_else) {
  fct_need_root();
  fct_need("systemd-tmpfiles");
  const struct fct_world *world = fct_world_new();
  /* The rule, and what Debian says of /var/tmp, in a root of their own. */
  struct fct_result result = FCT_EXECUTE(
      world, .script = "mkdir -p r/usr/lib/tmpfiles.d r/var/tmp/filecleanup-1000/fe00-1 r/var/tmp/other r/etc\n"
                       "cp " PACKAGING "/filecleanup.tmpfiles r/usr/lib/tmpfiles.d/filecleanup.conf\n"
                       "echo 'q /var/tmp 1777 root root 1s' > r/usr/lib/tmpfiles.d/tmp.conf\n"
                       "touch r/var/tmp/filecleanup-1000/fe00-1/session-1 r/var/tmp/other/f; sleep 2\n"
                       "systemd-tmpfiles --clean --root=$PWD/r; cd r/var/tmp; find . -type f");
  cr_expect_str_eq(result.out, "./filecleanup-1000/fe00-1/session-1\n", "%s%s", result.out, result.err);
}

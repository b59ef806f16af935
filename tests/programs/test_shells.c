/* Shells at work below a base: what each of them does with descriptors, children and its own end in ways of its own.
 *
 * Every script changes into the base and has its TMPDIR there, so a shell's own files (the here-documents of bash) are
 * among what is judged. */
#include <criterion/criterion.h>

#include "../harness/harness.h"

TestSuite(shells, .fini = fct_teardown, .timeout = 120);

#define INSIDE "export TMPDIR=$BASE; cd \"$BASE\" || exit 99\n"

/* A here-document that no pipe can hold: bash and dash must do something about it. */
static const char large_here_document[] =
    "x=0123456789abcdef; x=$x$x$x$x; x=$x$x$x$x; x=$x$x$x$x; x=$x$x$x$x; x=$x$x$x$x; x=$x$x$x$x; x=$x$x\n"
    "cat > large <<END\n$x\n$x\nEND\nwc -c < large\n"
    "wc -c <<END\n$x$x\nEND\n"
    "{ cat > fed; cat fed; } <<END | wc -c\n$x\nEND\n"
    "mkdir unwritable; chmod a-w unwritable; (cd unwritable; wc -c <<END\n$x$x\nEND\n)\nchmod u+w unwritable\n";

/* ---- what every POSIX shell does ---- */

static const char redirections[] =
    "echo 1 > f; echo 2 >> f; cp f g; echo 3 1<> g; cat f g; : > empty; > emptier; ls\n"
    "exec 3> three 4>> four 5< f; echo to3 >&3; echo to4 >&4; cat <&5; exec 3>&- 4>&- 5<&-; cat three four\n"
    "{ echo out; echo err >&2; } > both 2>&1; cat both; { echo out; echo err >&2; } 2> only-err; cat only-err\n"
    "set -C; echo new > guarded; (echo again > guarded) 2> /dev/null; echo $?; echo forced >| guarded; set +C\n"
    "cat guarded; echo x > missing/f; echo $?; cat < missing; echo $?; mkfifo fifo; (echo through > fifo) & cat fifo\n"
    "wait; echo 9 > f 3> g 4> h; ls /proc/self/fd | wc -l; umask 077; : > private; ls -l private | cut -c1-10\n"
    "while read -r line; do echo \"<$line>\" >> copied; done < both; cat copied; f() { echo in f; } > from-f; f; f\n"
    "cat from-f; : > 'a b'; : > '*'; : > -n; ls ./* | wc -l\n";

static const char processes[] =
    "(echo 1 > sub; (echo 2 > subsub; exit 5); echo $?); echo $?; x=$(echo captured > c; cat c); echo \"$x\"\n"
    "echo a | tee p1 | { read -r y; echo \"$y\" > p2; cat p2; } | tr a b > p3; cat p3; false | true; echo $?\n"
    "for i in 1 2 3 4 5 6 7 8; do { echo $i > job$i; exit $i; } & jobs_of=\"$jobs_of $!\"; done\n"
    "for p in $jobs_of; do wait $p; echo $?; done; ls job*; cat job*; wait; echo $?\n"
    "sh -c 'echo inner > inner; exit 3'; echo $?; sh -c 'exec sh -c \"echo replaced > replaced\"'; cat replaced\n"
    "(exec cat inner); env -u LC_ALL sh -c 'echo e > by-env'; nohup sh -c 'echo n > by-nohup' > /dev/null 2>&1\n"
    "echo i > by-xargs.in; xargs -n1 touch < by-xargs.in; find . -name 'job*' -exec sh -c ': > \"$1.seen\"' - {} \\;\n"
    "no-such-program > tried; echo $?; ./inner > denied; echo $?; { (kill -9 $(sh -c 'echo $PPID')); echo $?; "
    "} 2> /dev/null\n"
    "{ sh -c ': > before; kill -TERM $$; : > after'; } 2> /dev/null; echo $?; ls before after\n"
    "yes | head -1 > first; cat first; (ulimit -n 12; sh -c 'echo few > few; cat few; ls /proc/self/fd | wc -l')\n";

static const char traps[] =
    "(trap 'echo bye > on-exit; ls on-exit' EXIT; : > in-sub; exit 7); echo $?\n"
    "(trap 'echo caught > on-usr1' USR1; kill -USR1 $(sh -c 'echo $PPID'); cat on-usr1)\n"
    "(trap '' TERM; sh -c 'kill -TERM $$; : > ignored'; ls ignored)\n"
    "d=$(mktemp -d) && : > \"$d/f\" && (trap 'rm -r \"$d\"' EXIT; echo z > \"$d/z\"; exit 0); "
    "ls -d \"$d\" 2> /dev/null | wc -l\n"
    "trap 'echo end > at-the-end; cat at-the-end; exit 21' EXIT; trap 'echo hup > on-hup; exit 22' HUP\n"
    "kill -HUP $$; echo not reached\n";

/* Nobody waits for a disowned job or the reader of a >(...): they may outlive the shell by a moment. */
static void leaves_nothing_in(const char *shell, const char *script) {
  fct_need(shell);
  FCT_LEAVES_NOTHING(.shell = fct_which(shell), .script = fct_format(INSIDE "%s", script), .lingers = true);
}

Test(shells, bash_redirections) { leaves_nothing_in("bash", redirections); }
Test(shells, dash_redirections) { leaves_nothing_in("dash", redirections); }
Test(shells, bash_processes) { leaves_nothing_in("bash", processes); }
Test(shells, dash_processes) { leaves_nothing_in("dash", processes); }
Test(shells, bash_traps) { leaves_nothing_in("bash", traps); }
Test(shells, dash_traps) { leaves_nothing_in("dash", traps); }
Test(shells, bash_large_here_documents) { leaves_nothing_in("bash", large_here_document); }
Test(shells, dash_large_here_documents) { leaves_nothing_in("dash", large_here_document); }

/* ---- what only bash does ---- */

Test(shells, bash_process_substitution_in_both_directions) {
  leaves_nothing_in("bash",
                    "comm <(echo a > a; sort a) <(echo b > b; sort b)\n"
                    "echo through > >(cat > written; : > closed); until [ -e closed ]; do :; done; cat written\n"
                    "tee >(tr a-z A-Z > upper) > lower <<< text; until [ -s upper ]; do :; done; cat upper\n"
                    "while read -r l; do echo \"$l\" >> lines; done < <(seq 3 | tee seq); cat lines\n"
                    "paste <(cat <(echo 1 > nested; cat nested)) <(echo 2 | tee second)\n");
}

Test(shells, bash_coprocess) {
  leaves_nothing_in("bash",
                    "coproc PEER { while read -r l; do echo \"$l\" >> heard; echo \"re: $l\"; done; : > left; }\n"
                    "pid=$PEER_PID; echo one >&\"${PEER[1]}\"; read -r answer <&\"${PEER[0]}\"; echo \"$answer\"\n"
                    "ls /proc/self/fd | wc -l; eval \"exec ${PEER[1]}>&-\"; wait $pid; echo $?; cat heard; ls\n");
}

Test(shells, bash_descriptors_of_its_own_choice) {
  leaves_nothing_in("bash",
                    "exec {one}> one {two}> two; echo $one $two; echo 1 >&$one; echo 2 >&$two; : {three}> three\n"
                    "sh -c 'cd /proc/self/fd; echo *'; exec {one}>&- {two}>&-; cat one two\n"
                    "{ echo in; ls /proc/self/fd | wc -l; } &> all; cat all; echo more &>> all; cat all\n"
                    "exec 255> high; echo h >&255; cat high; (ulimit -n 32; echo low > low; cat low)\n");
}

Test(shells, bash_that_opens_and_closes_all_descriptors) {
  leaves_nothing_in(
      "bash", "for fd in {3..9} {990..1010}; do eval \"exec $fd> open$fd\"; done\n"
              "sh -c 'echo child > child'; sh -c 'exec sh -c \"echo second > second; cd /proc/self/fd; echo *\"'\n"
              "for fd in {3..9} {990..1010}; do eval \"echo $fd >&$fd; exec $fd>&-\"; done; cat open* child second\n"
              "sh -c 'echo third > third; cd /proc/self/fd; echo *'; exec 0<&- 1>&- 2>&-; sh -c ': > none'; exit 3\n");
}

Test(shells, bash_jobs_under_job_control) {
  leaves_nothing_in(
      "bash", "exec 2> /dev/null; set -m; (echo 1 > one; sleep 0.1; echo 2 > two) & wait -n; echo $?; cat one two\n"
              "sh -c 'echo s > stopped; kill -STOP $$; echo c > continued' & wait -n\n"
              "until [ -e stopped ]; do :; done; until kill -CONT %1; do :; done\n"
              "until [ -s continued ]; do kill -CONT %1; done; cat stopped continued\n"
              "set +m; { : > disowned; } & disown; until [ -e disowned ]; do :; done; ls\n");
}

Test(shells, bash_traps_of_its_own) {
  leaves_nothing_in("bash",
                    "f() { trap 'echo ret >> on-return' RETURN; false; }; trap 'echo err >> on-err' ERR; f\n"
                    "set -E; (false; true); cat on-return on-err; trap 'echo d >> on-debug' DEBUG; :; trap - DEBUG\n"
                    "wc -l < on-debug; set -eo pipefail; trap 'echo exit $? > on-exit; cat on-exit' EXIT\n"
                    "false | true; echo not reached\n");
}

Test(shells, bash_exec_that_ends_the_script) {
  leaves_nothing_in("bash",
                    "trap 'echo never > never' EXIT; echo before > before; exec > out 2> err; echo o; echo e >&2\n"
                    "exec -a other-name sh -c 'echo $0 > name; mkdir d; exec sh -c \"echo last > d/last; exit 8\"'\n");
}

Test(shells, bash_history_and_startup_files) {
  fct_need("bash");
  /* Interactive without a terminal: it complains with its pid on stderr, and writes the history at its end. */
  FCT_LEAVES_NOTHING(.setup =
                         "printf 'PS1=\"$ \"; : > $BASE/by-rc\\n' > rc; printf 'echo typed > typed\\nexit 4\\n' > in",
                     .script = INSIDE
                     "HISTFILE=$BASE/history bash --rcfile ../rc -i < ../in 2> said; echo $?; cat history\n");
}

Test(shells, bash_killed_with_its_jobs_running) {
  fct_need("bash");
  FCT_LEAVES_NOTHING(.shell = fct_which("bash"), .killed = true, .lingers = true,
                     .script = INSIDE "mkdir d; echo 1 > d/1; { echo job > job; sleep 0.3; echo late > d/late; } &\n"
                                      "until [ -s job ]; do :; done; cat d/1; kill -KILL $$");
}

/* ---- busybox: one program under a hundred names ---- */

/* Debian builds busybox both ways; no preload can see the static one. */
static void need_dynamic_busybox(void) {
  fct_need("busybox");
  fct_need("ldd");
  struct fct_world *world = fct_world_new();
  if (FCT_EXECUTE(world, .script = "ldd \"$(command -v busybox)\" > /dev/null 2>&1").status) {
    cr_skip("busybox is linked statically");
  }
}

static void leaves_nothing_in_busybox(const char *script) {
  need_dynamic_busybox();
  FCT_LEAVES_NOTHING(.setup = "mkdir bin; busybox --install -s \"$PWD/bin\"; mkdir -p tree/a; echo 1 > tree/a/1\n"
                              "ln -s a/1 tree/link; ln tree/a/1 tree/hard",
                     .argv = FCT_LIST("busybox", "sh", "-c", fct_format("PATH=$PWD/bin\n" INSIDE "%s", script)));
}

Test(shells, busybox_redirections) { leaves_nothing_in_busybox(redirections); }
Test(shells, busybox_processes) { leaves_nothing_in_busybox(processes); }
Test(shells, busybox_traps) { leaves_nothing_in_busybox(traps); }
Test(shells, busybox_large_here_documents) { leaves_nothing_in_busybox(large_here_document); }

Test(shells, busybox_file_applets) {
  leaves_nothing_in_busybox(
      "cp -a ../tree copy; cp copy/hard one; mv one two; mv copy/a copy/b; ln two three; ls -R\n"
      "ln -s two four; ln -sf three four; readlink four; touch t; mkdir -p x/y/z\n"
      "f=$(mktemp) && d=$(mktemp -d) && mv two \"$f\" && : > \"$d/in\"; u=$(mktemp -u); "
      "ls \"$u\" 2> /dev/null | wc -l\n"
      "mknod node p; mkfifo fifo; truncate -s 9 nine; dd if=/dev/zero of=z bs=1 count=3 2> /dev/null\n"
      "rm three; rmdir x/y/z; rm -r x; find . -type f | wc -l\n"
      "cp -f ../tree/hard nine; cat nine; mv nine z; cat z; cp missing m; echo $?\n");
}

Test(shells, busybox_editing_applets) {
  leaves_nothing_in_busybox(
      "printf 'one\\ntwo\\n' > f; sed -i s/one/1/ f; cat f; sed -i.bak s/two/2/ f; cat f f.bak\n"
      "awk '{ print > \"awk.\" $1 }' f; ls; sort -o f f; cat f\n"
      "printf 'a\\nb\\n' > old; printf 'a\\nc\\n' > new; diff -u old new > d; patch old d; cat old\n"
      "cat f; tee t1 t2 < f; cat t2\n");
}

Test(shells, busybox_packing_applets) {
  leaves_nothing_in_busybox(
      "tar cf t.tar -C ../tree . && mkdir out && tar xf t.tar -C out && find out | sort\n"
      "tar czf t.tgz -C ../tree a; tar xzf t.tgz; gzip a/1; ls a; gunzip a/1.gz; bzip2 a/1; bunzip2 a/1.bz2\n"
      "cat a/1; (cd ../tree; find . | cpio -o -H newc 2> /dev/null) > c.cpio; mkdir cp\n"
      "(cd cp; cpio -id < ../c.cpio 2> /dev/null; find . | sort); ar t missing.a; echo $?\n");
}

/* Programs that somebody looks into while they run: under valgrind, gdb, strace and ltrace they do what they do there
 * alone, and what they made is gone. */
#include <criterion/criterion.h>

#include "../harness/harness.h"

TestSuite(debuggers, .fini = fct_teardown, .timeout = 200);

/* valgrind reports what we do as if it were the program's. It does not know openat2, which it tells on stderr, once. */
#define VALGRIND(program)                                                                                              \
  "valgrind -q --error-exitcode=77 " program                                                                           \
  " 2> log; status=$?; grep '^==' log >&2; [ $(grep -c unhandled log) -le 1 ] "                                        \
  "|| cat log; exit $status"

Test(debuggers, valgrind_finds_no_error) {
  fct_need("valgrind");
  FCT_LEAVES_NOTHING(.script = VALGRIND("$PROBES/names base/x"), .vary = FCT_LIST("log"));
}

/* valgrind lets nobody map a thing twice, so its record stays short; the shell takes what it made. */
Test(debuggers, valgrind_finds_no_error_in_threads) {
  fct_need("valgrind");
  FCT_LEAVES_NOTHING(.script = "mkdir base/t; " VALGRIND("--fair-sched=yes $PROBES/threads base/t return"),
                     .vary = FCT_LIST("log"));
}

#define GDB "gdb -nx -q -batch -return-child-result -ex 'set confirm off' -ex 'set startup-with-shell off' "

Test(debuggers, gdb_breaks_and_goes_on) {
  fct_need("gdb");
  FCT_LEAVES_NOTHING(
          .script = GDB
          "-ex 'handle SIGUSR1 nostop noprint pass' -ex 'break main' -ex run -ex 'shell ls base' "
          "-ex continue --args $PROBES/threads base return > log 2>&1; echo $?; grep -E "
          "'^Breakpoint 1, |^made|^child|^shell|^[0-9]+$|exited with' log | sed 's/0x[0-9a-f]*//; s/process [0-9]*//'",
          .vary = FCT_LIST("log"));
}

Test(debuggers, gdb_stops_at_a_function_of_libc_and_sends_a_signal) {
  fct_need("gdb");
  FCT_LEAVES_NOTHING(.script =
                         GDB "-ex 'break mkdtemp' -ex run -ex 'signal SIGTERM' --args $PROBES/names base/x > log 2>&1; "
                             "grep -o 'terminated with signal SIG[A-Z]*' log; ls base/x | wc -l; : > base/last",
                     .vary = FCT_LIST("log"));
}

Test(debuggers, strace_of_threads_and_children) {
  fct_need("strace");
  FCT_LEAVES_NOTHING(.script = "strace -f -o log $PROBES/threads base return; echo $?; exec strace -f -o log2 "
                               "$PROBES/names base/x",
                     .vary = FCT_LIST("log", "log2"));
}

/* A tracer that stands between and answers for the kernel. */
Test(debuggers, strace_that_lets_calls_fail) {
  fct_need("strace");
  FCT_LEAVES_NOTHING(.script = "strace -o log -e inject=rename,renameat2:error=EXDEV $PROBES/names base/x | grep -v "
                               "truncate",
                     .vary = FCT_LIST("log"));
}

Test(debuggers, ltrace_of_a_shell) {
  fct_need("ltrace");
  FCT_LEAVES_NOTHING(.script =
                         "ltrace -f -o log sh -c 'echo x > base/x; (echo y > base/y); cat base/x; exit 4'; echo $?",
                     .vary = FCT_LIST("log"));
}

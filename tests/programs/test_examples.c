/* Each example that is installed can be compiled as it says, and does to the directory what it says. */
#include <criterion/criterion.h>
#include <string.h>

#include "../harness/harness.h"

TestSuite(examples, .fini = fct_teardown, .timeout = 120);

static const char staged[] =
    "DESTDIR=$PWD/stage cmake --install " FC_BUILD_DIR " --prefix /opt/fc > log 2>&1 || cat log\n"
    "lib=$PWD/stage/opt/fc/lib; examples=$PWD/stage/opt/fc/share/doc/filecleanup/examples\n"
    "export PKG_CONFIG_PATH=$lib/pkgconfig:$(pkg-config --variable pc_path pkg-config) LD_LIBRARY_PATH=$lib\n"
    "w='-Wall -Wextra -Wpedantic -Werror -O1'\n"
    "example() { cc $w $examples/$1.c $(pkg-config --cflags --libs filecleanup $2) -o $1; }\n"
    "soon() { n=0; until eval \"$1\"; do n=$((n + 1)); test $n -lt 600 || { echo \"never: $1\"; break; }; sleep 0.05; done; }\n"
    "count() { ls base | wc -l; }\n";

static void expect_output(const char *script, const char *out) {
  fct_need("cmake");
  fct_need("pkg-config");
  const struct fct_world *world = fct_world_new();
  struct fct_result result = FCT_EXECUTE(world, .script = fct_format("%s%s", staged, script), .limit_s = 100);
  cr_expect_str_eq(result.err, "", "%s", result.err);
  cr_expect_str_eq(result.out, out, "%s", result.out);
}

Test(examples, life_cycle_cleans_up_earlier_runs_at_its_start_and_all_at_its_end) {
  expect_output("example life_cycle\n"
                "./life_cycle base > out & soon 'grep -qs serving out'\n"
                "ls base > first; kill -9 $!; { wait $!; } 2> killed; count\n"
                "./life_cycle base > again & soon 'grep -qs serving again'\n"
                "cat again; count; ls base | comm -12 - first\n"
                "kill -TERM $!; wait $!; echo $?; count\n"
                "FILECLEANUP_TTL=soon timeout 20 ./life_cycle base 2>&1 | grep -c FILECLEANUP_TTL\n",
                "3\nserving with 3 temporary files, 66 bytes\n3\n0\n0\n1\n");
}

Test(examples, request_directory_is_gone_when_the_request_is_done) {
  expect_output("example request_directory\n"
                "./request_directory base one three > out; echo $?; sed \"s,$PWD/,,; s/-......$//\" out; count\n"
                "test $(grep -oE '[^/]+$' out | sort -u | wc -l) = 2 || cat out\n",
                "0\none: 4 bytes in base/request\nthree: 6 bytes in base/request\n0\n");
}

Test(examples, scoped_file_arrives_as_a_whole_or_not_at_all) {
  expect_output("example scoped_file\n"
                "echo older > report; ./scoped_file base report 2>&1; echo $?; cat report; count\n"
                "./scoped_file base report text; echo $?; cat report; count\n",
                "no report was written\n1\nolder\n0\n0\nReport\ntext\n0\n");
}

Test(examples, selective_preservation_keeps_what_it_wants) {
  expect_output("example selective_preservation\n"
                "./selective_preservation base 1 2 3 10; echo $?; ls base; cat best-10; ls\n",
                "removed 2 of 4\n0\n2\n10\nbase\nbest-10\nlog\nselective_preservation\nstage\n");
}

Test(examples, poll_loop_is_told_by_a_descriptor) {
  expect_output(
      "example poll_loop\n"
      "{ echo a; soon 'test $(count) = 1'; echo b; soon 'test $(count) = 2'; echo\n"
      "  soon 'grep -qs removed out'; count > counted; echo c; soon 'test $(count) = 1'; } | tee in | ./poll_loop base > out\n"
      "echo $?; cat out counted in; count\n",
      "0\nremoved 2 files: done\n0\na\nb\n\nc\n0\n");
}

Test(examples, libuv_loop_goes_on_while_files_are_removed) {
  const struct fct_world *world = fct_world_new();
  struct fct_result found = FCT_EXECUTE(world, .script = "pkg-config --exists libuv");
  if (found.status != 0) cr_skip_test("pkg-config does not find libuv (libuv1-dev)");
  expect_output("example libuv_loop libuv && ./libuv_loop base 300; echo $?; count\n",
                "removed 300, the loop went on: yes\n0\n0\n");
}

Test(examples, cplusplus_classes_keep_evidence_of_a_failure) {
  fct_need("g++");
  expect_output("g++ $w -std=c++17 $examples/cplusplus.cpp $(pkg-config --cflags --libs filecleanup) -o cplusplus\n"
                "./cplusplus base; echo $?; count\n"
                "./cplusplus base fail 2>&1; echo $?; count; cat base/cpp-*\n",
                "done\n0\n0\nas you wish\n1\n1\nmade by C++\n");
}

Test(examples, all_of_them_are_tried_here) {
  expect_output("for e in $(cd $examples; ls *.c *.cpp); do\n"
                "  grep -q \"${e%.*} \" " FC_SOURCE_DIR "/tests/programs/test_examples.c || echo \"$e is not tried\"\n"
                "  cmp $e " FC_SOURCE_DIR "/examples/$e 2> log || test -e $examples/$e || echo $e\n"
                "  grep -q $e " FC_SOURCE_DIR
                "/scripts/packaging/man/libfilecleanup.3 || echo \"$e is not in the page\"\n"
                "done; ls $examples/*.c* | wc -l\n",
                "7\n");
}

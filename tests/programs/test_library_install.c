/* The installed library: found by pkg-config and by CMake, shared and static, from C and C++, with the names and
 * structures that were recorded. */
#include <criterion/criterion.h>
#include <string.h>

#include "../harness/harness.h"

TestSuite(library_install, .fini = fct_teardown, .timeout = 200);

#define LIBRARY FC_SOURCE_DIR "/tests/library"
#define RECORDED FC_SOURCE_DIR "/lib/manager/libfilecleanup.symbols"
#define PAGE FC_SOURCE_DIR "/scripts/packaging/man/libfilecleanup.3"

/* A tree in $PWD/tree, made for another place and moved. */
static const char staged[] =
    "DESTDIR=$PWD/stage cmake --install " FC_BUILD_DIR " --prefix /opt/fc > log 2>&1 || cat log\n"
    "mv stage/opt/fc tree; lib=$PWD/tree/lib\n"
    "export PKG_CONFIG_PATH=$lib/pkgconfig LD_LIBRARY_PATH=$lib\n"
    "program=" LIBRARY "/program.c\n"
    "run() { \"$@\" base; ls base; }\n"
    "code() { grep -v '^#' tree/include/filecleanup.h | cc -fpreprocessed -E -P -x c -; }\n"
    "members() { code | sed -nE '/^struct fcm_(options|result|stats) \\{/,/^\\}/s/^ *[a-z].*[ *]([a-z_]+)(\\[[0-9]+\\])?;/\\1/p'; }\n";

static void expect_output(const char *script, const char *out) {
  const struct fct_world *world = fct_world_new();
  struct fct_result result =
      FCT_EXECUTE(world, .script = fct_format("rmdir base\n%s%s", staged, script), .limit_s = 180);
  cr_expect_str_eq(result.err, "", "%s", result.err);
  cr_expect_str_eq(result.out, out, "%s", result.out);
}

static void need_compilers(void) {
  static const char *const programs[] = {"cmake", "pkg-config", "gcc", "g++", "clang", "clang++"};
  for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) fct_need(programs[i]);
}

#define FLAGS " -Wall -Wextra -pedantic -Werror '-DVERSION=\"" FC_VERSION "\"' "
#define EACH_COMPILER                                                                                                  \
  "for cc in 'gcc -std=gnu11' 'clang -std=gnu11' 'g++ -x c++ -std=c++17' 'clang++ -x c++ -std=c++17'; do\n"

Test(library_install, pkg_config_finds_the_shared_library_for_c_and_cpp) {
  need_compilers();
  expect_output(EACH_COMPILER
                "$cc" FLAGS "$program -o p $(pkg-config --cflags --libs filecleanup) && run ./p\ndone\n"
                "ldd ./p | grep -o 'libfilecleanup[^ ]*' | sort -u; pkg-config --modversion filecleanup\n",
                "ok\nok\nok\nok\nlibfilecleanup.so.0\n" FC_VERSION "\n");
}

Test(library_install, pkg_config_finds_the_static_library_for_c_and_cpp) {
  need_compilers();
  expect_output("rm $lib/libfilecleanup.so*\n" EACH_COMPILER "$cc" FLAGS
                "$program -o p $(pkg-config --static --cflags --libs filecleanup) && run ./p\ndone\n"
                "ldd ./p | grep -c libfilecleanup\n"
                "pkg-config --static --libs filecleanup | grep -o -e -pthread\n",
                "ok\nok\nok\nok\n0\n-pthread\n");
}

Test(library_install, find_package_has_both_targets_for_c_and_cpp) {
  need_compilers();
  expect_output(
      "mkdir project; cp $program project/a.c; cp $program project/b.cpp\n"
      "cat > project/CMakeLists.txt <<'E'\n"
      "cmake_minimum_required(VERSION 3.20)\n"
      "project(outside C CXX)\n"
      "set(CMAKE_CXX_STANDARD 17)\n"
      "find_package(filecleanup 0.1 REQUIRED)\n"
      "foreach(kind filecleanup static)\n"
      "  add_executable(c-${kind} a.c)\n"
      "  add_executable(cpp-${kind} b.cpp)\n"
      "  foreach(language c cpp)\n"
      "    target_compile_definitions(${language}-${kind} PRIVATE VERSION=\"" FC_VERSION "\")\n"
      "    target_link_libraries(${language}-${kind} PRIVATE filecleanup::${kind})\n"
      "  endforeach()\n"
      "endforeach()\n"
      "E\n"
      "{ cmake -S project -B made -DCMAKE_PREFIX_PATH=$PWD/tree && cmake --build made; } > log 2>&1 || cat log\n"
      "unset LD_LIBRARY_PATH\n"
      "for p in c-filecleanup c-static cpp-filecleanup cpp-static; do\n"
      "  run made/$p; ldd made/$p | grep -c libfilecleanup\n"
      "done\n",
      "ok\n1\nok\n0\nok\n1\nok\n0\n");
}

Test(library_install, header_is_clean_in_every_language_that_it_promises) {
  need_compilers();
  expect_output("echo '#include <filecleanup.h>' > a.c; cp a.c a.cpp\n"
                "w='-I tree/include -Wall -Wextra -Wshadow -Wconversion -pedantic -Werror -fsyntax-only'\n"
                "for s in c99 c11 gnu17; do gcc -std=$s $w a.c; clang -std=$s $w a.c; done\n"
                "for s in c++11 c++17 c++20; do g++ -std=$s $w a.cpp; clang++ -std=$s $w a.cpp; done\n",
                "");
}

/* What is not for the outside is local: two objects that define the same name are no conflict. */
Test(library_install, nothing_but_the_public_names_can_be_seen) {
  fct_need("nm");
  expect_output("nm -g --defined-only $lib/libfilecleanup.a | sed -nE 's/.* [A-TV-Z] //p' | sort > archive\n"
                "nm -D --defined-only $lib/libfilecleanup.so.0 | sed -nE 's/.* T ([a-z_]*)@.*/\\1/p' | sort > shared\n"
                "sed -n 's/@@.*//p' " RECORDED " | sort > recorded\n"
                "diff archive recorded; diff shared recorded; test $(wc -l < recorded) -gt 40 || echo too few\n"
                "code | tr '\\n' ' ' | grep -oE 'FCM_API [^;(]*\\(' |\n"
                "  grep -oE 'fcm_[a-z_]+\\(' | tr -d '(' | sort | diff - recorded\n",
                "");
}

Test(library_install, names_versions_and_structures_are_those_that_were_recorded) {
  fct_need("nm");
  fct_need("readelf");
  if (sizeof(long) != 8) cr_skip_test("the structures were recorded for 64-bit machines");
  expect_output("nm -D --defined-only $lib/libfilecleanup.so.0 | sed -nE 's/.* T //p' | sort > now\n"
                "cc -I tree/include " LIBRARY "/layout.c -o layout && ./layout >> now\n"
                "diff now " RECORDED "\n"
                /* Each member of the header's structures stands there. */
                "members | sed 's/.*/.& /' | sort -u > members\n"
                "grep -oE '\\.[a-z_]+ ' now | sort -u | diff members -\n"
                "readelf -d $lib/libfilecleanup.so.0 | sed -nE 's/.*(SONAME|NEEDED).*\\[(.*)\\]/\\1 \\2/p' | sort\n",
                "NEEDED libc.so.6\nSONAME libfilecleanup.so.0\n");
}

Test(library_install, manual_page_tells_of_each_function_and_of_no_other) {
  expect_output("sed -n 's/@@.*//p' " RECORDED " > all; echo fcm_options_init >> all; sort -o all all\n"
                "synopsis() { sed -n '/^\\.Sh SYNOPSIS/,/^\\.Sh DESCRIPTION/p' " PAGE "; }\n"
                "synopsis | sed -nE 's/^\\.F[no] (fcm_[a-z_]+).*/\\1/p' | sort | diff - all\n"
                "while read -r f; do sed -n '/^\\.Sh DESCRIPTION/,$p' " PAGE
                " | grep -q \"^\\.Fn $f\" || echo \"$f\"; done < all\n"
                /* And of each option, and of each error that the header names. */
                "members | grep -vxE 'size|reserved' |\n"
                "  while read -r m; do grep -qE \"Fa (.* )?$m\\\\b\" " PAGE " || echo \"$m\"; done\n"
                "grep -oE '\\bE[A-Z]{3,}\\b' tree/include/filecleanup.h | sort -u |\n"
                "  while read -r e; do grep -qE \"Er .*$e\" " PAGE " || echo \"$e\"; done\n",
                "");
}

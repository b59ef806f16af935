/* Compilers, linkers and build systems: many short processes that write intermediate files, rename over their own
 * results, and pass temporary files on to one another. Everything is built below the base, TMPDIR is there too. */
#include <criterion/criterion.h>

#include "../harness/harness.h"

TestSuite(compilers, .fini = fct_teardown, .timeout = 140);

/* A program of three objects; m is where each test works. */
#define SOURCES                                                                                                        \
  "mkdir src\n"                                                                                                        \
  "echo 'int twice(int x) { return 2 * x; }' > src/twice.c\n"                                                          \
  "echo 'int twice(int); int four(int x) { return twice(twice(x)); }' > src/four.c\n"                                  \
  "printf '#include <stdio.h>\\nint four(int);\\nint main(void) { printf(\"%%d\\\\n\", four(10)); return 7; }\\n'"     \
  " > src/main.c\n"

#define IN_BASE "set -e; mkdir base/m base/tmp; export TMPDIR=$BASE/tmp; cd base/m; set +e\n"

/* What a compiler does with several objects, in its usual ways; $CC is set before. */
#define COMPILE                                                                                                         \
  "S=../../src\n"                                                                                                       \
  "mkdir one && (cd one && $CC -save-temps ../$S/main.c ../$S/four.c ../$S/twice.c -o main && ls && ./main); echo $?\n" \
  "mkdir lto && (cd lto && for f in main four twice; do $CC -O2 -flto -c ../$S/$f.c -o $f.o || exit 9; done\n"          \
  "  $CC -O2 -flto main.o four.o twice.o -o main && ls && ./main); echo $?\n"                                           \
  "mkdir pipe && (cd pipe && $CC -pipe -MMD -g ../$S/main.c ../$S/four.c ../$S/twice.c -o main && ./main); echo $?\n"   \
  "mkdir lib && (cd lib && $CC -c ../$S/four.c ../$S/twice.c && ar rc libfour.a four.o && ranlib libfour.a &&\n"        \
  "  ar r libfour.a twice.o && ar t libfour.a && $CC ../$S/main.c -L. -lfour -o main && ./main); echo $?\n"             \
  "mkdir so && (cd so && $CC -shared -fPIC ../$S/four.c ../$S/twice.c -o libfour.so &&\n"                               \
  "  $CC ../$S/main.c -L. -lfour -Wl,-rpath,. -o main && ./main); echo $?\n"                                            \
  "echo 'int broken(' | $CC -x c -c - -o broken.o; echo $?; ls\n"

Test(compilers, gcc_with_objects_libraries_and_link_time_optimization_leaves_nothing) {
  fct_need("gcc");
  FCT_LEAVES_NOTHING(.setup = SOURCES, .script = IN_BASE "CC=gcc\n" COMPILE);
}

Test(compilers, gcc_with_parallel_link_time_optimization_leaves_nothing) {
  fct_need("gcc");
  FCT_LEAVES_NOTHING(.setup = SOURCES, .script = IN_BASE
                                       "gcc -flto=2 -flto-partition=1to1 -save-temps -O1 ../../src/*.c -o main\n"
                                       "./main; echo $?; ls | sed 's/\\.[0-9]*\\././'\n");
}

Test(compilers, clang_with_objects_libraries_and_link_time_optimization_leaves_nothing) {
  fct_need("clang");
  fct_need("ld.lld");
  FCT_LEAVES_NOTHING(.setup = SOURCES, .script = IN_BASE "CC='clang -fuse-ld=lld -Qunused-arguments'\n" COMPILE);
}

Test(compilers, gcc_with_coverage_leaves_nothing) {
  fct_need("gcov");
  FCT_LEAVES_NOTHING(.setup = SOURCES, .script =
                                           IN_BASE "gcc --coverage ../../src/*.c -o main && ./main; ./main; echo $?\n"
                                                   "gcov -r *.gcda > report; echo $?; ls\n");
}

Test(compilers, gcc_killed_in_the_middle_leaves_nothing) {
  fct_need("gcc");
  /* The compiler proper waits for its source while the driver, which would have removed the temporary file, is killed.
   */
  FCT_LEAVES_NOTHING(.script = "mkdir base/tmp; export TMPDIR=$BASE/tmp; mkfifo source\n"
                               "gcc -x c -c source -o base/object.o & pid=$!\n"
                               "until ls base/tmp/cc* >/dev/null 2>&1; do sleep 0.01; done\n"
                               "kill -9 $pid; { wait $pid; } 2> /dev/null; echo $?; echo 'int x;' > source\n",
                     .lingers = true);
}

Test(compilers, strip_objcopy_and_linker_leave_nothing) {
  fct_need("gcc");
  fct_need("objcopy");
  FCT_LEAVES_NOTHING(.setup = SOURCES,
                     .script = IN_BASE
                     "gcc -g -c ../../src/*.c && ld -r four.o twice.o -o both.o && gcc -g main.o both.o -o main\n"
                     "objcopy --only-keep-debug main main.debug && objcopy --add-gnu-debuglink=main.debug main\n"
                     "strip main && strip -o stripped.o four.o && objcopy -O binary twice.o twice.bin\n"
                     "./main; echo $?; as /dev/null -o empty.o; ld no-such.o -o no; echo $?; ls\n");
}

Test(compilers, parallel_make_leaves_nothing) {
  fct_need("make");
  fct_need("gcc");
  FCT_LEAVES_NOTHING(
          .setup = "mkdir tree; cd tree\n"
                   "for d in a b c; do mkdir $d; for i in 1 2 3 4; do\n"
                   "  echo \"int $d$i(void) { return $i; }\" > $d/$d$i.c; done\n"
                   "  printf 'lib.a: '$d'1.o '$d'2.o '$d'3.o '$d'4.o\\n\\tar rcs $@ $^\\n"
                   "%%.o: %%.c\\n\\tgcc -MMD -c $< -o $@.tmp\\n\\tmv $@.tmp $@\\n-include *.d\\n' > $d/Makefile\n"
                   "done\n"
                   "echo 'int a1(void); int b2(void); int c3(void); int main(void) { return a1() + b2() + c3(); }'"
                   " > main.c\n"
                   "printf 'main: main.c a.sub b.sub c.sub\\n\\tgcc main.c a/lib.a b/lib.a c/lib.a -o main\\n"
                   "%%.sub:\\n\\t$(MAKE) -C $*\\n\\ttouch $@\\nbroken:\\n\\techo half > $@; exit 3\\n"
                   ".DELETE_ON_ERROR:\\nclean:\\n\\trm -f */*.o\\n' > Makefile\n",
          .script = IN_BASE "cp -r ../../tree t && cd t && make -s -j4 --no-print-directory && ./main; echo $?\n"
                            "make -s -j4; touch a/a1.c; rm a.sub; make -s -j4 --no-print-directory main; ls . a\n"
                            "make -s broken; echo $?; make -s clean; find . | sort\n");
}

#define CMAKE_PROJECT                                                                                                  \
  SOURCES "printf 'cmake_minimum_required(VERSION 3.13)\\nproject(p C)\\nenable_testing()\\n"                          \
          "add_library(four STATIC four.c twice.c)\\nadd_executable(main main.c)\\n"                                   \
          "target_link_libraries(main PRIVATE four)\\nconfigure_file(in.txt out.txt)\\n"                               \
          "install(TARGETS main DESTINATION bin)\\nadd_test(NAME t COMMAND main)\\n' > src/CMakeLists.txt\n"           \
          "echo '@PROJECT_NAME@' > src/in.txt\n"

/* What cmake says holds times; its names and the program's output do not. */
#define CMAKE_BUILD                                                                                                    \
  IN_BASE "cmake -S ../../src -B . -G \"$GENERATOR\" > log 2>&1 || cat log\n"                                          \
          "cmake --build . -j4 >> log 2>&1; echo $?; ./main; echo $?; cat out.txt\n"                                   \
          "touch ../../src/four.c; cmake --build . >> log 2>&1; echo $?; ctest > log.ctest 2>&1; echo $?\n"            \
          "cmake --install . --prefix $PWD/to >> log 2>&1; echo $?; ls to/bin; cmake -E tar czf p.tgz to; ls\n"

Test(compilers, cmake_and_ninja_leave_nothing) {
  fct_need("cmake");
  fct_need("ninja");
  FCT_LEAVES_NOTHING(.setup = CMAKE_PROJECT, .script = "GENERATOR=Ninja\n" CMAKE_BUILD);
}

Test(compilers, cmake_and_make_leave_nothing) {
  fct_need("cmake");
  fct_need("make");
  FCT_LEAVES_NOTHING(.setup = CMAKE_PROJECT, .script = "GENERATOR='Unix Makefiles'\n" CMAKE_BUILD);
}

#define CCACHE_COMPILES                                                                                                \
  "export CCACHE_TEMPDIR=$BASE/cache-tmp CCACHE_NOHASHDIR=1\n"                                                         \
  "for i in 1 2; do for f in main four twice; do ccache gcc -c src/$f.c -o base/$f.o || exit 9; done; done\n"          \
  "gcc base/*.o -o base/main && base/main; echo $?; ccache -s | grep -c . > base/statistics; ls base\n"

Test(compilers, ccache_with_its_cache_in_the_base_leaves_nothing) {
  fct_need("ccache");
  fct_need("gcc");
  FCT_LEAVES_NOTHING(.setup = SOURCES, .script = "export CCACHE_DIR=$BASE/cache\n" CCACHE_COMPILES);
}

Test(compilers, a_build_in_a_tree_of_the_user_leaves_his_sources_whole) {
  fct_need("make");
  fct_need("gcc");
  FCT_USER_DATA_WHOLE(.setup = SOURCES "mv src base/src; cd base/src; mkdir obj; echo notes > obj/notes\n"
                                       "printf 'main: obj/main.o obj/four.o obj/twice.o\\n\\tgcc $^ -o $@\\n"
                                       "obj/%%.o: %%.c\\n\\tgcc -c $< -o $@\\n' > Makefile; make -s; cp main ../old\n",
                      .script = "cd base/src; ./main; echo 'int twice(int x) { return 3 * x; }' > twice.c\n"
                                "sleep 0.01; touch twice.c; make -s -B -j4; ./main; strip main; ./main; echo $?",
                      .vary = FCT_LIST("base/src/main"), .verify = "base/src/main; echo $?; base/old; echo $?");
}

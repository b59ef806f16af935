/* The table of functions is complete: held against the machine code of the C libraries that are installed here. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "harness.h"

TestSuite(hook_table, .timeout = 240, .fini = fct_teardown);

static struct fct_result check(struct fct_world *world, const char *script) {
  return FCT_EXECUTE(world, .script = script, .limit_s = 200,
                     .env = FCT_LIST("CHECK=" FC_SOURCE_DIR "/scripts/check-table",
                                     "SHIM=" FC_BUILD_DIR "/libfilecleanup_preload.so"));
}

Test(hook_table, every_function_that_names_removes_or_starts_has_a_decision) {
  fct_need("objdump");
  struct fct_world *world = fct_world_new();
  const struct fct_result result = check(world, "\"$CHECK\" \"$FC_COMMAND\" \"$SHIM\"");
  if (result.status == 77) cr_skip_test("%s", result.out);
  cr_expect_eq(result.status, 0, "%s%s", result.out, result.err);
  cr_expect_str_empty(result.err);
}

/* A libc of the future: a function that nobody has heard of makes a name, by a call of its own, by another function,
 * and by a table of functions. One opens to read, one starts nothing. */
static const char new_library[] =
    "#include <fcntl.h>\n"
    "static long call(long n, long a, long b, long c, long d) {\n"
    "  register long r10 __asm__(\"r10\") = d; long r;\n"
    "  __asm__ volatile(\"syscall\" : \"=a\"(r) : \"a\"(n), \"D\"(a), \"S\"(b), \"d\"(c), \"r\"(r10) :\n"
    "                   \"rcx\", \"r11\", \"memory\");\n"
    "  return r;\n"
    "}\n"
    "long new_open(const char *p) { return call(257, AT_FDCWD, (long)p, O_CREAT | O_WRONLY, 0600); }\n"
    "static __attribute__((noinline)) long flagged(const char *p, int f) { return call(2, (long)p, f, 0600, 0); }\n"
    "long new_flagged(const char *p) { return flagged(p, O_CREAT) + 1; }\n"
    "long new_reader(const char *p) { return flagged(p, O_RDONLY | O_CLOEXEC) + 1; }\n"
    "static __attribute__((noinline)) long away(const char *p) { return call(87, (long)p, 0, 0, 0) + 1; }\n"
    "long new_inner(const char *p) { return away(p) + 1; }\n"
    "static __attribute__((noinline)) long none(const char *p) { return p != 0; }\n"
    "static long (*const table[])(const char *) = {none, away, none};\n"
    "long new_table(const char *p, int i) { return table[i](p); }\n"
    "long new_none(const char *p) { return none(p) + call(39, 0, 0, 0, 0); }\n"
    "long new_child(void) { return call(56, 17, 0, 0, 0); }\n";

Test(hook_table, a_function_that_a_later_libc_brings_turns_it_red) {
#if !defined(__x86_64__)
  cr_skip_test("the new functions are written for x86-64");
#endif
  fct_need("objdump");
  fct_need("gcc");
  struct fct_world *world = fct_world_new();
  fct_write(world, "new.c", new_library);
  const struct fct_result result = check(
      world, "gcc -O2 -fno-ipa-cp -fPIC -shared -o new.so new.c && \"$CHECK\" \"$FC_COMMAND\" \"$SHIM\" ./new.so");
  cr_expect_eq(result.status, 1, "%s%s", result.out, result.err);
  static const char *const found[] = {"new_open: no decision (open)",     "new_flagged: no decision (open)",
                                      "new_inner: no decision (remove)",  "new_table: no decision (remove)",
                                      "new_child: no decision (process)", NULL};
  for (const char *const *line = found; *line; line++)
    cr_expect(strstr(result.out, *line), "%s not in %s", *line, result.out);
  cr_expect_null(strstr(result.out, "new_reader"), "%s", result.out);
  cr_expect_null(strstr(result.out, "new_none"), "%s", result.out);
}

/* The script is told a table in which some lines are missing: a hook, a skip, a member of a group. */
Test(hook_table, a_line_that_is_taken_out_turns_it_red) {
  fct_need("objdump");
  struct fct_world *world = fct_world_new();
  const struct fct_result result =
      check(world, "libc=$(ldd \"$FC_COMMAND\" | sed -n 's/.*=> *\\([^ ]*libc.so[^ ]*\\).*/\\1/p')\n"
                   "printf '#!/bin/sh\\n\"%s\" \"$@\" | grep -v -E \"\\\\\\\\b(mkdtemp|vfork|lckpwdf)\\\\\\\\b\"\\n' "
                   "\"$FC_COMMAND\" >less && chmod +x less && \"$CHECK\" ./less \"$SHIM\" \"$libc\"");
  if (result.status == 77) cr_skip_test("%s", result.out);
  cr_expect_eq(result.status, 1, "%s%s", result.out, result.err);
  static const char *const found[] = {"mkdtemp: no decision", "vfork: no decision", "lckpwdf: no decision",
                                      "do not agree: mkdtemp", NULL};
  for (const char *const *line = found; *line; line++)
    cr_expect(strstr(result.out, *line), "%s not in %s", *line, result.out);
  cr_expect_null(strstr(result.out, "mkstemp: no"), "%s", result.out);
}

/* What the child of posix_spawn opens, it opens in libc: its files are unseen, but what it empties is known before. */
Test(hook_table, a_copy_of_what_a_spawned_child_empties_stays) {
  fct_need("python3");
  FCT_USER_DATA_WHOLE(.setup = "echo data >base/log",
                      .script = "python3 -c \"import os, shutil\n"
                                "shutil.copy('base/log', 'base/log.1')\n"
                                "flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC\n"
                                "opens = [(os.POSIX_SPAWN_OPEN, 1, 'base/log', flags, 0o644),\n"
                                "         (os.POSIX_SPAWN_OPEN, 3, 'base/unseen', flags, 0o644)]\n"
                                "pid = os.posix_spawn('/bin/echo', ['echo', 'new'], os.environ, file_actions=opens)\n"
                                "assert os.waitpid(pid, 0)[1] == 0\"",
                      .survive = FCT_LIST("base/log.1", "base/unseen"));
}

/* Names that headers do not show, but old programs and libc's own headers of old use. */
Test(hook_table, other_names_of_the_same_functions_are_covered) {
  fct_need("python3");
#if !defined(__GLIBC__)
  cr_skip_test("they are glibc's");
#endif
  FCT_LEAVES_NOTHING(.argv = FCT_LIST("python3", "-c",
                                      "import ctypes, os\n"
                                      "c = ctypes.CDLL(None)\n"
                                      "for name in ('_IO_fopen', 'setmntent', '__setmntent', '_IO_popen'):\n"
                                      "  getattr(c, name).restype = ctypes.c_void_p\n"
                                      "def made(name): assert os.path.exists(name), name\n"
                                      "assert getattr(c, '__open')(b'base/a', os.O_CREAT | os.O_RDWR, 0o600) > 2\n"
                                      "assert getattr(c, '__open64')(b'base/b', os.O_CREAT | os.O_RDWR, 0o600) > 2\n"
                                      "assert c._IO_fopen(b'base/c', b'w')\n"
                                      "assert c.setmntent(b'base/d', b'w')\n"
                                      "assert getattr(c, '__setmntent')(b'base/e', b'a')\n"
                                      "p = c._IO_popen(b'echo >base/f', b'r')\n"
                                      "assert p and c.pclose(ctypes.c_void_p(p)) == 0\n"
                                      "pid = getattr(c, '__fork')()\n"
                                      "if pid == 0:\n"
                                      "  open('base/g', 'w').close()\n"
                                      "  os._exit(0)\n"
                                      "assert os.waitpid(pid, 0)[1] == 0\n"
                                      "for name in 'abcdefg': made('base/' + name)\n"));
}

/* The mode goes through libc with letters of its own: what stands there is the user's, and stays. */
Test(hook_table, a_table_of_mounts_of_the_user_stays) {
  fct_need("python3");
  FCT_USER_DATA_WHOLE(.setup = "echo old >base/fstab; echo old >base/mtab",
                      .script = "python3 -c \"import ctypes\n"
                                "c = ctypes.CDLL(None)\n"
                                "c.setmntent.restype = ctypes.c_void_p\n"
                                "assert c.setmntent(b'base/fstab', b'r+')\n"
                                "assert c.setmntent(b'base/mtab', b'w')\"");
}

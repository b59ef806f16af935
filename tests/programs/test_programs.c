/* Ordinary programs that leave temporary files behind: with filecleanup they print, say and return what they do without
 * it, and nothing of theirs stays. */
#include <criterion/criterion.h>

#include "../harness/harness.h"

TestSuite(programs, .fini = fct_teardown, .timeout = 120);

/* What each shell does with descriptors differs: bash moves them with fcntl, dash leaves by _exit, busybox is one
 * program under many names. */
#define SHELL_SCRIPT                                                                                                   \
  "echo one > base/redirected; echo two >> base/redirected; cat base/redirected\n"                                     \
  "(echo sub > base/subshell; cat base/subshell)\n"                                                                    \
  "printf 'c\\nb\\na\\n' | tee base/piped | sort | tee base/sorted | wc -l\n"                                          \
  "cat > base/here <<END\nhere $((1 + 2))\nEND\ncat base/here\n"                                                       \
  "x=$(echo captured | tee base/captured); echo \"$x\"\n"                                                              \
  "exec 5> base/descriptor; echo five >&5; exec 5>&-; cat base/descriptor\n"                                           \
  "mkdir -p base/deep/er; : > base/deep/er/file; (cd base/deep/er && echo x > relative && ls)\n"                       \
  "cat base/missing; ls -A base; (exit 3); echo $?\n"                                                                  \
  "{ echo background > base/background; } & wait; rm base/piped; mv base/sorted base/renamed\n"                        \
  "trap 'echo trapped > base/trapped; exit 9' TERM; kill -TERM $$; echo not reached\n"

Test(programs, dash_leaves_nothing_and_says_the_same) {
  fct_need("dash");
  FCT_LEAVES_NOTHING(.shell = fct_which("dash"), .script = SHELL_SCRIPT);
}

Test(programs, bash_leaves_nothing_and_says_the_same) {
  fct_need("bash");
  FCT_LEAVES_NOTHING(.shell = fct_which("bash"),
                     .script = "cat <<< 'here string' > base/here-string\n"
                               "diff <(echo a > base/a; cat base/a) <(echo b > base/b; cat base/b)\n"
                               "set -o noclobber; echo 1 > base/once; echo 2 > base/once; echo 3 >| base/once\n"
                               "cat base/once; set +o noclobber\n" SHELL_SCRIPT);
}

Test(programs, busybox_sh_leaves_nothing_and_says_the_same) {
  fct_need("busybox");
  /* Debian's busybox is linked statically: then no preload can see it, and the test would prove nothing. */
  struct fct_world *world = fct_world_new();
  struct fct_result kind = FCT_EXECUTE(world, .script = "ldd \"$(command -v busybox)\" >/dev/null 2>&1");
  if (kind.status) cr_skip("busybox is linked statically");
  FCT_LEAVES_NOTHING(.argv = FCT_LIST("busybox", "sh", "-c", SHELL_SCRIPT));
}

Test(programs, the_first_command_of_the_readme_leaves_nothing) {
  fct_need("python3");
  FCT_LEAVES_NOTHING(.argv = FCT_LIST("python3", "-c",
                                      "import tempfile, os\n"
                                      "tempfile.mkstemp(dir='base'); open('base/a', 'w').write('x')\n"
                                      "os.makedirs('base/d/e'); open('base/d/e/f', 'w')\n"));
}

Test(programs, python_tempfile_leaves_nothing) {
  fct_need("python3");
  FCT_LEAVES_NOTHING(.argv =
                         FCT_LIST("python3", "-c",
                                  "import tempfile, os, sys\n"
                                  "b = os.environ['BASE']\n"
                                  "kept = tempfile.NamedTemporaryFile(dir=b, delete=False)\n"
                                  "kept.write(b'x'); kept.close()\n"
                                  "with tempfile.TemporaryDirectory(dir=b) as d: open(d + '/in', 'w').close()\n"
                                  "with tempfile.TemporaryFile(dir=b) as f: f.write(b'y'); f.seek(0); print(f.read())\n"
                                  "d = tempfile.mkdtemp(dir=b); open(d + '/left', 'w').close()\n"
                                  "print(sorted(os.listdir(d)), file=sys.stderr)\n"
                                  "sys.exit(17)\n"));
}

Test(programs, python_os_exit_leaves_nothing) {
  fct_need("python3");
  FCT_LEAVES_NOTHING(.argv = FCT_LIST("python3", "-c", "import os\nopen('base/a', 'w').write('x')\nos._exit(23)\n"));
}

Test(programs, python_subprocess_that_closes_all_descriptors_leaves_nothing) {
  fct_need("python3");
  FCT_LEAVES_NOTHING(
          .argv = FCT_LIST(
              "python3", "-c",
              "import subprocess, os\n"
              "open('base/parent', 'w').close()\n"
              "r = subprocess.run(['sh', '-c', 'echo child > base/child; ls base; ls /proc/self/fd; exit 4'],\n"
              "                   close_fds=True, capture_output=True, text=True)\n"
              "print(r.returncode, r.stdout, r.stderr)\n"
              "r = subprocess.run(['touch', 'base/other'], close_fds=True, env={'PATH': os.environ['PATH']})\n"
              "os.system('echo system > base/system')\n"
              "print(os.popen('cat base/system; echo popen > base/popen').read())\n"
              "p = os.posix_spawnp('sh', ['sh', '-c', 'echo spawn > base/spawn; exit 6'], os.environ)\n"
              "print(os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]))\n"
              "os.unlink('base/other')\n")); /* its maker had no preload */
}

Test(programs, python_multiprocessing_by_fork_leaves_nothing) {
  fct_need("python3");
  FCT_LEAVES_NOTHING(.argv = FCT_LIST(
                         "python3", "-c",
                         "import multiprocessing as m\n"
                         "def work(i):\n"
                         "    open(f'base/{i}', 'w').write(str(i)); return i * i\n"
                         "if __name__ == '__main__':\n"
                         "    with m.get_context('fork').Pool(4) as pool: print(pool.map(work, range(20)))\n"));
}

Test(programs, python_multiprocessing_by_spawn_leaves_nothing) {
  fct_need("python3");
  FCT_LEAVES_NOTHING(.setup = "cat > spawn.py <<'END'\n"
                              "import multiprocessing as m\n"
                              "def work(i):\n"
                              "    open(f'base/{i}', 'w').write(str(i)); return i * i\n"
                              "if __name__ == '__main__':\n"
                              "    with m.get_context('spawn').Pool(2) as pool: print(pool.map(work, range(8)))\n"
                              "END\n",
                     .script = "exec python3 spawn.py", .lingers = true); /* its resource tracker leaves last */
}

Test(programs, gcc_with_its_temporary_directory_in_the_base_leaves_nothing) {
  fct_need("gcc");
  FCT_LEAVES_NOTHING(.setup = "echo 'int main(void) { return 42; }' > main.c",
                     .script = "export TMPDIR=$BASE\n"
                               "gcc -c main.c -o base/main.o && gcc base/main.o -o base/main && base/main; echo $?\n"
                               "gcc main.c -o program && ./program; echo $?\n"
                               "echo 'int broken(' > base/broken.c; gcc -c base/broken.c -o base/broken.o; echo $?\n",
                     .vary = FCT_LIST("program"));
}

Test(programs, gcc_that_keeps_its_intermediate_files_leaves_nothing) {
  fct_need("gcc");
  FCT_LEAVES_NOTHING(.setup = "echo 'int main(void) { return 42; }' > main.c",
                     .script = "cd base && gcc -save-temps ../main.c -o main && ls");
}

Test(programs, sort_that_spills_into_the_base_leaves_nothing) {
  fct_need("sort");
  FCT_LEAVES_NOTHING(.script = "seq 400000 -1 1 > base/numbers\n"
                               "sort -n -S 1M -T base base/numbers -o base/sorted && head -2 base/sorted\n"
                               "sort -n -S 1M -T base base/numbers | tail -1\n"
                               "sort --no-such-option base/numbers; echo $?\n");
}

Test(programs, sort_killed_while_it_spills_leaves_nothing) {
  fct_need("sort");
  fct_need("timeout");
  /* sort sleeps on its input with spilled runs in the base until it is killed. */
  FCT_LEAVES_NOTHING(.script = "mkdir base/runs; echo x > base/runs/keep\n"
                               "{ seq 300000; sleep 1; } | timeout -s KILL 0.5 sort -n -S 1M -T base/runs > sorted\n"
                               "echo $? > status; cat status\n");
}

Test(programs, tar_leaves_nothing) {
  fct_need("tar");
  FCT_LEAVES_NOTHING(.setup = "mkdir -p tree/a/b; echo 1 > tree/a/1; echo 2 > tree/a/b/2; ln -s a/1 tree/link\n"
                              "ln tree/a/1 tree/hard",
                     .script = "tar -cf base/t.tar -C tree . && tar -tf base/t.tar | sort\n"
                               "mkdir base/out && tar -xf base/t.tar -C base/out && (cd base/out && find . | sort)\n"
                               "tar -czf base/t.tgz -C tree a && tar -xzf base/t.tgz -C base --transform 's/^a/b/'\n"
                               "tar -xf base/missing.tar; echo $?\n");
}

Test(programs, make_leaves_nothing) {
  fct_need("make");
  fct_need("gcc");
  FCT_LEAVES_NOTHING(
          .setup = "echo 'int main(void) { return 0; }' > main.c\n"
                   "printf 'base/main: base/main.o\\n\\tgcc $< -o $@\\nbase/main.o: main.c\\n\\tgcc -c $< -o $@\\n'"
                   " > Makefile\n",
          .script = "export TMPDIR=$BASE; make -j2; make; touch -d '1 hour ago' base/main base/main.o; make; echo $?");
}

Test(programs, mktemp_and_dd_and_split_leave_nothing) {
  FCT_LEAVES_NOTHING(
          .script =
              "f=$(mktemp -p base) && d=$(mktemp -d -p base) && echo x > \"$d/y\" && test -f \"$f\" || exit 1\n"
              "dd if=/dev/zero of=base/zeros bs=1k count=10 2>/dev/null\n"
              "split -b 1000 base/zeros base/part. && ls base/part.*; truncate -s 5 base/truncated\n"
              "ln -s target base/link; ln base/zeros base/hard\n"
              "cp -r base/part.aa base/copy; mv base/copy base/moved; rm base/part.ab; ls -l base/zeros | wc -l\n");
}

Test(programs, names_with_odd_bytes_leave_nothing) {
  fct_need("python3");
  FCT_LEAVES_NOTHING(.argv = FCT_LIST("python3", "-c",
                                      "import os\n"
                                      "for n in (b'new\\nline', b'sp ace', b'\\xff\\xfe', b'-rf', b'*', b'a' * 255):\n"
                                      "    open(b'base/' + n, 'w').close()\n"
                                      "os.chdir('base')\n"
                                      "for i in range(15):\n"
                                      "    os.mkdir('x' * 200); os.chdir('x' * 200)\n"
                                      "open('bottom', 'w').close()\n"));
}

Test(programs, an_old_directory_of_the_user_keeps_nothing_of_theirs_but_keeps_itself) {
  FCT_LEAVES_NOTHING(.setup = "mkdir base/old; echo mine > base/mine",
                     .script = "echo t > base/old/temporary; cat base/mine; echo t > base/temporary");
}

Test(programs, what_is_moved_out_of_the_base_stays_outside) {
  FCT_LEAVES_NOTHING(.script = "echo result > base/tmp; mv base/tmp result; mkdir base/d; echo x > base/d/x\n"
                               "mv base/d kept; echo other > base/other\n");
}

Test(programs, an_unprivileged_user_is_cleaned_up_after_too) {
  fct_need_root();
  fct_need_build_for(65534);
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    fct_world_give(world, 65534);
    struct fct_result result =
        FCT_EXECUTE(world, .mode = *mode, .uid = 65534,
                    .script = "id -u; echo x > base/x; mkdir base/d; echo y > base/d/y; ls base");
    cr_expect_eq(result.status, 0);
    cr_expect_str_eq(result.out, "65534\nd\nx\n");
    cr_expect_str_eq(result.err, "");
    fct_assert_base_empty(world, fct_mode_name(*mode));
  }
}

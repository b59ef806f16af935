/* Programs of another C library, musl, under the shim that was built with it: creation and removal, every end of a
 * process, exec and fork, the user's data, the sweeping thread. Most of the probes are those of other tests, built once
 * more. Without a guardian: the command is the other libc's. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"

#define SHIM FC_BUILD_DIR "/musl/libfilecleanup_preload.so"

TestSuite(musl, .fini = fct_teardown, .timeout = 120);

/* A world in which the probes stand as programs of musl. */
static struct fct_world *world_with(const char *const *probes) {
  fct_need("musl-gcc");
  if (access(SHIM, R_OK) != 0) cr_skip_test("no shim for musl: musl-gcc was not there when the build was configured");
  struct fct_world *world = fct_world_new();
  for (; *probes; probes++) {
    const struct fct_result built =
        FCT_EXECUTE(world, .script = fct_format("musl-gcc -D_GNU_SOURCE -O1 -w -o %s %s/tests/probes/%s.c", *probes,
                                                FC_SOURCE_DIR, *probes));
    cr_assert_eq(built.status, 0, "%s", built.err);
  }
  return world;
}

/* Not the harness's own modes: they preload the other shim. */
static struct fct_job *start(const struct fct_world *world, const char *const *argv, const char *setting) {
  return FCT_START(world, .mode = FCT_PLAIN, .argv = argv,
                   .env = FCT_LIST("LD_PRELOAD=" SHIM, fct_format("FILECLEANUP_BASE_DIR=%s", world->base),
                                   setting ? setting : "FILECLEANUP_PERIODIC=0"));
}

static struct fct_result run(const struct fct_world *world, const char *const *argv, const char *setting) {
  return fct_finish(start(world, argv, setting));
}

static void next_start(const struct fct_world *world) {
  const struct fct_result result = run(world, FCT_LIST(fct_path(world, "execchain"), "base", "0"), NULL);
  cr_expect_eq(result.status, 0, "%s", result.err);
}

/* ---- ends ---- */

Test(musl, what_is_made_goes_with_the_process_however_it_ends) {
  static const struct {
    const char *how;
    int status;
  } ends[] = {{"return", 3}, {"exit", 4}, {"_exit", 5}, {"_Exit", 6}, {"quick_exit", 7}};
  struct fct_world *world = world_with(FCT_LIST("die"));
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
    const struct fct_result result = run(world, FCT_LIST(fct_path(world, "die"), "base", ends[i].how), NULL);
    cr_expect_eq(result.status, ends[i].status, "%s: %d", ends[i].how, result.status);
    cr_expect_str_eq(result.out, "made\n");
    cr_expect_str_empty(result.err);
    fct_assert_base_empty(world, ends[i].how);
  }
}

Test(musl, what_a_killed_process_made_goes_with_the_next_start) {
  struct fct_world *world = world_with(FCT_LIST("die", "execchain"));
  for (const char *const *how = FCT_LIST("abort", "11", "9", "15"); *how; how++) {
    const struct fct_result result = run(world, FCT_LIST(fct_path(world, "die"), "base", *how), NULL);
    cr_expect_eq(result.status, strcmp(*how, "abort") == 0 ? 128 + SIGABRT : 128 + atoi(*how));
    cr_expect(fct_exists(world, "base/by-open"), "%s", *how);
    next_start(world);
    fct_assert_base_empty(world, *how);
  }
}

/* Nothing of musl's tells a handler the status. */
Test(musl, keep_on_failure_is_told_the_status) {
  static const struct {
    const char *how;
    bool stays;
  } ends[] = {{"return", true},   {"exit", true},        {"_exit", true},     {"status=0", false},
              {"status=1", true}, {"status=256", false}, {"quick_exit", true}};
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
    struct fct_world *world = world_with(FCT_LIST("die"));
    run(world, FCT_LIST(fct_path(world, "die"), "base", ends[i].how), "FILECLEANUP_ON_EXIT=keep-on-failure");
    cr_expect_eq(fct_exists(world, "base/by-mkdir/below"), ends[i].stays, "%s", ends[i].how);
  }
}

/* ---- families ---- */

Test(musl, a_chain_of_images_keeps_what_the_first_made) {
  struct fct_world *world = world_with(FCT_LIST("execchain"));
  const struct fct_result result = run(world, FCT_LIST(fct_path(world, "execchain"), "base", "200"), NULL);
  cr_expect_str_eq(result.out, "arrived\n");
  cr_expect_str_empty(result.err);
  fct_assert_base_empty(world, "after a chain of 200 images");
}

Test(musl, a_child_that_outlives_its_parent_keeps_what_it_needs) {
  for (const char *const *how = FCT_LIST("closefds", "exec", "daemon"); *how; how++) {
    struct fct_world *world = world_with(FCT_LIST("linger"));
    const struct fct_result result = run(
        world, FCT_LIST(fct_path(world, "linger"), *how, world->base, fct_path(world, "go"), fct_path(world, "result")),
        NULL);
    cr_expect_eq(result.status, 0, "%s: %s", *how, result.err);
    fct_write(world, "go", "");
    cr_assert(fct_wait_exists(world, "result"), "%s", *how);
    cr_expect_str_eq(fct_read(world, "result"), "kept\n", "%s", *how);
    cr_expect(fct_wait_gone(world, "base/needed"), "%s", *how);
  }
}

Test(musl, a_tree_of_processes_that_is_killed_one_by_one_is_cleaned_up_at_its_end) {
  struct fct_world *world = world_with(FCT_LIST("tree", "execchain"));
  struct fct_job *job = start(world, FCT_LIST(fct_path(world, "tree"), "base", "ready"), NULL);
  cr_assert(fct_wait_exists(world, "ready"));
  int pids[3];
  cr_assert_eq(sscanf(fct_read(world, "ready"), "%d %d %d", &pids[0], &pids[1], &pids[2]), 3);
  const size_t made = strlen(fct_tree_diff(fct_tree_of(world->home), fct_tree_of(world->base), NULL));
  for (int i = 0; i < 2; i++) {
    kill(pids[i], SIGKILL);
    next_start(world);
    cr_expect_eq(strlen(fct_tree_diff(fct_tree_of(world->home), fct_tree_of(world->base), NULL)), made,
                 "something was removed although one of them lives");
  }
  fct_kill_job(job);
  fct_kill_members(world);
  next_start(world);
  fct_assert_base_empty(world, "after the last of them was killed");
}

/* ---- names ---- */

static const char operations[] =
    "#include <dlfcn.h>\n"
    "#include <fcntl.h>\n"
    "#include <mntent.h>\n"
    "#include <spawn.h>\n"
    "#include <stdio.h>\n"
    "#include <stdlib.h>\n"
    "#include <sys/socket.h>\n"
    "#include <sys/stat.h>\n"
    "#include <sys/syscall.h>\n"
    "#include <sys/un.h>\n"
    "#include <sys/wait.h>\n"
    "#include <unistd.h>\n"
    "#define DO(n, call) if (!(call)) { perror(#call); return n; }\n"
    "extern char **environ;\n"
    "int main(int argc, char **argv, char **envp) {\n"
    "  char t[4][32] = {\"base/a-XXXXXX\", \"base/b-XXXXXX\", \"base/c-XXXXXX.x\", \"base/d-XXXXXX\"};\n"
    "  struct sockaddr_un address = {AF_UNIX, \"base/socket\"};\n"
    "  if (argc > 2) {\n" /* N1 and a target that is the user's */
    "    DO(18, !unlink(\"base/users-3\") && fopen(\"base/users-3\", \"w\"));\n"
    "    DO(19, fopen(\"base/users-2\", \"a\") && fopen(\"base/new\", \"w\") && !rename(\"base/new\", \"base/users-1\"));\n"
    "    return 0;\n"
    "  }\n"
    "  if (argc > 1) { DO(1, close(open(argv[1], O_CREAT | O_EXCL | O_RDWR, 0600)) == 0); _exit(0); }\n"
    "  DO(2, envp == environ);\n"
    "  DO(3, mkstemp(t[0]) > 0 && mkostemp(t[1], O_CLOEXEC) > 0 && mkstemps(t[2], 2) > 0 && mkdtemp(t[3]));\n"
    "  DO(4, creat(\"base/creat\", 0600) > 0 && openat(AT_FDCWD, \"base/openat\", O_CREAT | O_WRONLY, 0600) > 0);\n"
    "  DO(5, fopen(\"base/fopen\", \"w+\") && freopen(\"base/freopen\", \"a\", stdin) && setmntent(\"base/mnt\", \"w\"));\n"
    "  DO(6, !mkfifo(\"base/fifo\", 0600) && !mknod(\"base/node\", S_IFREG | 0600, 0) && !symlink(\"x\", \"base/sym\"));\n"
    "  DO(7, !bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&address, sizeof address));\n"
    "  DO(8, !mkdir(\"base/dir\", 0700) && !chdir(\"base/dir\") && creat(\"relative\", 0600) > 0 && !chdir(\"../..\"));\n"
    "  DO(9, !rename(\"base/creat\", \"base/moved\") && !link(\"base/moved\", \"base/linked\"));\n"
    "  DO(10, !renameat(AT_FDCWD, \"base/openat\", AT_FDCWD, \"base/moved-too\"));\n"
    "  int (*renameat2)(int, const char *, int, const char *, unsigned) = dlsym(RTLD_DEFAULT, \"renameat2\");\n"
    "  DO(11, !renameat2 || !renameat2(AT_FDCWD, \"base/fopen\", AT_FDCWD, \"base/moved-again\", 1));\n"
    "  DO(12, syscall(SYS_openat, AT_FDCWD, \"base/raw\", O_CREAT | O_WRONLY, 0600) > 0);\n"
    "  int status; pid_t pid = fork();\n"
    "  if (pid == 0) { creat(\"base/forked\", 0600); execl(argv[0], argv[0], \"base/execed\", (char *)0); _exit(1); }\n"
    "  DO(13, waitpid(pid, &status, 0) == pid && status == 0);\n"
    "  char *spawned[] = {argv[0], \"base/spawned\", 0};\n"
    "  DO(14, !posix_spawn(&pid, argv[0], 0, 0, spawned, environ) && waitpid(pid, &status, 0) == pid && !status);\n"
    "  pid = vfork();\n"
    "  if (pid == 0) { execl(argv[0], argv[0], \"base/vforked\", (char *)0); _exit(1); }\n"
    "  DO(15, waitpid(pid, &status, 0) == pid && status == 0);\n"
    "  DO(16, !access(\"base/forked\", F_OK) && !access(\"base/execed\", F_OK) && !access(\"base/spawned\", F_OK));\n"
    "  DO(17, !access(\"base/vforked\", F_OK) && !access(\"base/moved\", F_OK));\n"
    "  return 0;\n"
    "}\n";

Test(musl, every_way_to_make_a_name_is_seen_and_what_the_user_had_stays) {
  struct fct_world *world = world_with(FCT_LIST("die"));
  fct_write(world, "operations.c", operations);
  const struct fct_result built =
      FCT_EXECUTE(world, .script = "musl-gcc -D_GNU_SOURCE -Wall -O1 -o operations operations.c");
  cr_assert_eq(built.status, 0, "%s", built.err);
  const char *const program = fct_path(world, "operations");
  FCT_EXECUTE(world, .script = "for i in 1 2 3; do echo mine >base/users-$i; done");
  struct fct_result result = run(world, FCT_LIST(program), NULL);
  cr_expect_eq(result.status, 0, "%s", result.err);
  cr_expect_str_empty(result.err);
  static const char *const users = "users-1\nusers-2\nusers-3\n";
  cr_expect_str_eq(FCT_EXECUTE(world, .script = "ls base").out, users);
  result = run(world, FCT_LIST(program, "with", "users"), NULL);
  cr_expect_eq(result.status, 0, "%s", result.err);
  cr_expect_str_eq(FCT_EXECUTE(world, .script = "ls base").out, users);
  result = FCT_EXECUTE(world, .argv = FCT_LIST(program));
  cr_expect_eq(result.status, 0, "%s", result.err);
  cr_expect(fct_exists(world, "base/spawned"), "the program leaves nothing even without the shim: this proves nothing");
}

/* As test_semantics asks of the other libc. */
Test(musl, every_call_returns_what_it_returns_without_the_shim) {
  struct fct_world *built = world_with(FCT_LIST("semantics"));
  for (const char *const *name = FCT_LIST("nameless", "descriptors", "renaming", "thousand", "slashes", "spelling",
                                          "directories", "modes", "flags", "cancelling", "interrupted", "leases");
       *name; name++) {
    struct fct_world *plain = fct_world_new();
    struct fct_world *world = fct_world_new();
    const char *const *argv = FCT_LIST(fct_path(built, "semantics"), *name);
    const struct fct_result expected = FCT_EXECUTE(plain, .argv = argv);
    const struct fct_result result = run(world, argv, NULL);
    cr_expect_str_not_empty(expected.out);
    cr_expect_str_eq(result.out, expected.out, "%s", *name);
    cr_expect_str_eq(result.err, expected.err, "%s", *name);
    cr_expect_eq(result.status, expected.status, "%s", *name);
    fct_assert_base_empty(world, *name);
  }
}

/* Of what the table hooks, musl's shim has all that musl exports. */
Test(musl, every_function_of_the_table_that_musl_has_is_hooked) {
  fct_need("nm");
  struct fct_world *world = world_with(FCT_LIST("die"));
  const struct fct_result result =
      FCT_EXECUTE(world, .script = "names() { nm -D --defined-only \"$1\" | sed -n 's/.* [TWi] //p' | sort; }\n"
                                   "names /lib/ld-musl-*.so.1 >musl; names " SHIM " >shim\n"
                                   "\"$FC_COMMAND\" hooks -q | sort | comm -12 - musl >both; comm -23 both shim\n"
                                   "grep -c . both >&2\n");
  cr_expect_str_empty(result.out, "not hooked: %s", result.out);
  cr_expect_gt(atoi(result.err), 70, "%s", result.err);
}

/* ---- the sweeping thread ---- */

Test(musl, the_sweeping_thread_is_not_noticed) {
  static const char *const quick = "FILECLEANUP_TTL=300ms";
  fct_need_root(); /* for setuid */
  for (const char *const *how = FCT_LIST("setuid", "fork", "fds", "mask"); *how; how++) {
    struct fct_world *world = world_with(FCT_LIST("sweep_host"));
    cr_assert(chmod(world->base, 01777) == 0);
    const struct fct_result result =
        FCT_EXECUTE(world, .argv = FCT_LIST(fct_path(world, "sweep_host"), *how, world->base),
                    .env = FCT_LIST("LD_PRELOAD=" SHIM, fct_format("FILECLEANUP_BASE_DIR=%s", world->base), quick,
                                    "FILECLEANUP_INTERVAL=1"));
    cr_expect_eq(result.status, 0, "%s: %s%s", *how, result.out, result.err);
  }
}

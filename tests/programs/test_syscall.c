/* The calls that come in by number: they are the functions of the same names to us, and the kernel's own to the host.
 * What rawcall prints (results and errno) is compared with the plain run by the harness, in each case. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../harness/harness.h"

TestSuite(syscall, .fini = fct_teardown, .timeout = 120);

#define RAW "$PROBES/rawcall "
/* Flags as numbers, which differ between machines. */
#define CREAT "=0101" /* O_CREAT | O_WRONLY */
#define EXCL "=0301"
#define TRUNC "=01001"
#define CREAT_TRUNC "=01101"

/* ---- what is created is tracked ---- */

static void leaves_nothing(const char *script) { FCT_LEAVES_NOTHING(.script = script); }

Test(syscall, what_the_at_calls_create_is_gone) {
  leaves_nothing(RAW "openat =cwd base/f " CREAT " =0644 , +write text , +close");
  leaves_nothing(RAW "openat =cwd base/f " EXCL " =0644");
  leaves_nothing(RAW "openat =cwd $BASE/f " CREAT_TRUNC " =0644");
  leaves_nothing(RAW "openat2 =cwd base/f how:0101:0644");
  leaves_nothing(RAW "openat2 =cwd base/f how:0301:0644");
  leaves_nothing(RAW "mkdirat =cwd base/d =0755 , openat =cwd base/d =0200000 , openat @ f " CREAT " =0644");
  leaves_nothing(RAW "mknodat =cwd base/p =010644 =0");
  leaves_nothing(RAW "symlinkat f =cwd base/l");
  leaves_nothing(RAW "openat =cwd base/f " CREAT " =0644 , linkat =cwd base/f =cwd base/g =0");
  leaves_nothing(RAW "openat =cwd base/f " CREAT " =0644 , renameat =cwd base/f =cwd base/g");
  leaves_nothing(RAW "openat =cwd base/f " CREAT " =0644 , renameat2 =cwd base/f =cwd base/g =1");
  leaves_nothing(RAW "+socket , bind @ un:base/s");
}

#ifdef SYS_open
Test(syscall, what_the_older_calls_create_is_gone) {
  leaves_nothing(RAW "open base/f " CREAT " =0644 , +write text , +close");
  leaves_nothing(RAW "open base/f " EXCL " =0644");
  leaves_nothing(RAW "creat base/f =0644");
  leaves_nothing(RAW "mkdir base/d =0755 , chdir base/d , creat f =0644");
  leaves_nothing(RAW "mknod base/p =010644 =0");
  leaves_nothing(RAW "symlink f base/l");
  leaves_nothing(RAW "creat base/f =0644 , link base/f base/g");
  leaves_nothing(RAW "creat base/f =0644 , rename base/f base/g");
  leaves_nothing(RAW "creat base/f =0644 , creat base/g =0644 , rename base/f base/g");
  leaves_nothing(RAW "creat base/f =0644 , unlink base/f , creat base/f =0644");
  leaves_nothing(RAW "mkdir base/d =0755 , rmdir base/d , mkdir base/d =0755");
}
#endif

Test(syscall, relative_names_follow_chdir_and_fchdir_by_number) {
  leaves_nothing(RAW "chdir base , openat =cwd f " CREAT
                     " =0644 , mkdirat =cwd d =0755 , openat =cwd d =0200000 , fchdir "
                     "@ , openat =cwd g " CREAT " =0644");
  leaves_nothing(RAW "unshare =0x200 , chdir base , openat =cwd f " CREAT " =0644"); /* CLONE_FS */
}

Test(syscall, a_creation_below_what_a_resolving_openat2_means) {
  /* BENEATH, IN_ROOT, NO_SYMLINKS; with IN_ROOT "/f" is not the root's f */
  leaves_nothing(RAW "openat =cwd base =0200000 , openat2 @ f how:0101:0644:0x08");
  leaves_nothing(RAW "openat =cwd base =0200000 , openat2 @ /f how:0101:0644:0x10");
  leaves_nothing(RAW "openat =cwd base =0200000 , openat2 @ /../../f how:0101:0644:0x10");
  leaves_nothing(RAW "openat2 =cwd base/f how:0101:0644:0x04 , openat2 =cwd base/g how:0301:0644:0x04");
}

Test(syscall, a_nameless_file_that_is_linked_is_gone) {
  leaves_nothing(RAW "openat =cwd base =020200001 =0644 , linkat =cwd /proc/self/fd/3 =cwd base/f =0x400");
}

Test(syscall, a_call_in_a_handler_and_in_a_vfork_child) {
  leaves_nothing(RAW "+signal , openat =cwd base/f " CREAT " =0644 , mkdirat =cwd base/d =0755");
  leaves_nothing(RAW "+child , openat =cwd base/f " CREAT " =0644 , mkdirat =cwd base/d =0755");
}

/* ---- what is removed, renamed or emptied may be the user's ---- */

#define USERS .setup = "echo old > base/f; echo other > base/g; mkdir base/d base/e; echo old > base/d/f"

Test(syscall, a_name_that_was_removed_by_number_is_the_users) {
  FCT_USER_DATA_WHOLE(USERS, .script = RAW "unlinkat =cwd base/f =0; echo new > base/f");
  FCT_USER_DATA_WHOLE(USERS, .script = RAW "unlinkat =cwd base/e =0x200; mkdir base/e; echo new > base/e/f",
                      .survive = FCT_LIST("base/e/f"));
#ifdef SYS_open
  FCT_USER_DATA_WHOLE(USERS, .script = RAW "unlink base/f; echo new > base/f");
  FCT_USER_DATA_WHOLE(USERS, .script = RAW "unlink base/f , creat base/f =0644 , +write new");
  FCT_USER_DATA_WHOLE(USERS, .script = RAW "rmdir base/e; mkdir base/e; echo new > base/e/f",
                      .survive = FCT_LIST("base/e/f"));
#endif
}

Test(syscall, what_is_renamed_over_a_file_of_the_user_is_the_users) {
  FCT_USER_DATA_WHOLE(USERS, .script = "echo new > base/t; " RAW "renameat =cwd base/t =cwd base/f");
  FCT_USER_DATA_WHOLE(USERS, .script = "echo new > base/t; " RAW "renameat2 =cwd base/t =cwd base/f =0");
  FCT_USER_DATA_WHOLE(USERS, .script = "echo new > base/t; " RAW "renameat2 =cwd base/t =cwd base/f =2; rm base/t");
  FCT_USER_DATA_WHOLE(USERS, .script = RAW "renameat2 =cwd base/f =cwd base/f.bak =0; echo new > base/f",
                      .survive = FCT_LIST("base/f.bak"));
#ifdef SYS_open
  FCT_USER_DATA_WHOLE(USERS, .script = "echo new > base/t; " RAW "rename base/t base/f");
  FCT_USER_DATA_WHOLE(USERS, .script = RAW "rename base/f base/f.bak; echo new > base/f",
                      .survive = FCT_LIST("base/f.bak"));
#endif
}

Test(syscall, a_link_to_a_file_of_the_user_stays) {
  FCT_USER_DATA_WHOLE(USERS, .script = RAW "linkat =cwd base/f =cwd base/h =0", .survive = FCT_LIST("base/h"));
}

/* N2: the copy may be the only one when what it was made from is emptied. */
#define COPY "cp base/f base/copy; "
Test(syscall, a_copy_of_what_is_truncated_by_number_stays) {
  FCT_USER_DATA_WHOLE(USERS, .script = COPY RAW "truncate base/f =0", .survive = FCT_LIST("base/copy"));
  FCT_USER_DATA_WHOLE(USERS, .script = COPY RAW "openat =cwd base/f =1 , ftruncate @ =0",
                      .survive = FCT_LIST("base/copy"));
  FCT_USER_DATA_WHOLE(USERS, .script = COPY RAW "openat =cwd base/f " TRUNC, .survive = FCT_LIST("base/copy"));
  FCT_USER_DATA_WHOLE(USERS, .script = COPY RAW "openat =cwd base/f " CREAT_TRUNC " =0644",
                      .survive = FCT_LIST("base/copy"));
  FCT_USER_DATA_WHOLE(USERS, .script = COPY RAW "openat2 =cwd base/f how:01001", .survive = FCT_LIST("base/copy"));
  FCT_USER_DATA_WHOLE(USERS, .script = COPY RAW "openat2 =cwd base/f how:01101:0644:0x04",
                      .survive = FCT_LIST("base/copy"));
  FCT_USER_DATA_WHOLE(USERS, .script = COPY RAW "openat =cwd base =0200000 , openat2 @ /f how:01001:0:0x10",
                      .survive = FCT_LIST("base/copy"));
#ifdef SYS_open
  FCT_USER_DATA_WHOLE(USERS, .script = COPY RAW "open base/f " TRUNC, .survive = FCT_LIST("base/copy"));
  FCT_USER_DATA_WHOLE(USERS, .script = COPY RAW "creat base/f =0644", .survive = FCT_LIST("base/copy"));
#endif
}

Test(syscall, a_larger_open_how_creates_nothing_of_ours) {
  FCT_USER_DATA_WHOLE(USERS, .script = RAW "openat2 =cwd base/f how:0101:0644:0:48 , +write new");
  FCT_USER_DATA_WHOLE(USERS, .script = COPY RAW "openat2 =cwd base/f how:01101:0644:0:48",
                      .survive = FCT_LIST("base/copy"));
}

Test(syscall, a_copy_of_what_is_truncated_by_its_handle_stays) {
  fct_need_root(); /* open_by_handle_at */
  FCT_USER_DATA_WHOLE(USERS,
                      .script = COPY RAW "openat =cwd base =0200000 , +handle base/f , open_by_handle_at =3 @ " TRUNC,
                      .survive = FCT_LIST("base/copy"));
}

/* ---- the host notices nothing ---- */

/* Each line is run plain and under both modes; results, errno and descriptors must be the same. */
static const char *const failures[] = {
    "openat =cwd =0 " CREAT " =0644 , openat =cwd =1 " CREAT " =0644 , openat =99 f " CREAT " =0644",
    "openat =cwd '' " CREAT " =0644 , openat =cwd base " CREAT " =0644 , openat =cwd base/none/f " CREAT " =0644",
    "openat =cwd base/user/f " CREAT " =0644 , openat =cwd base/loop " CREAT " =0644 , openat =cwd $LONG " CREAT
    " =0644",
    "openat =cwd base/user " EXCL " =0644 , openat =cwd base/dangling " CREAT " =0644 , +fds",
    "openat2 =cwd base/f =0 =24 , openat2 =cwd base/f =1 =24 , openat2 =cwd base/f how:0101:0644:0:8 , openat2 =cwd =0 "
    "how:0101:0644",
    "openat2 =cwd base/f how:0100000101:0644 , openat2 =cwd base/f how:0x100000041:0644 , openat2 =cwd base/f how:01:0644",
    "openat2 =cwd base/link how:0101:0644:0x04 , openat2 =cwd /etc/none how:0101:0644:0x08 , openat2 =cwd base/f "
    "how:0101:0644:0x100 , openat2 =cwd base/f how:0101:0644:0x20 , +fds",
    "openat2 =cwd base/f how:010000101:0644 , openat2 =cwd base/user how:0301:0644 , openat2 =cwd base/user "
    "how:0301:0644:0x04 , openat2 =cwd base/user/x how:0101:0644:0x04 , +fds",
    "mkdirat =cwd =0 =0755 , mkdirat =cwd base/user =0755 , mkdirat =cwd base/user/d =0755 , mkdirat =cwd base/none/d "
    "=0755 , mkdirat =cwd $LONG =0755",
    "mknodat =cwd =0 =010644 =0 , mknodat =cwd base/user =010644 =0 , symlinkat =0 =cwd base/l , symlinkat x =cwd base/user",
    "linkat =cwd =0 =cwd base/l =0 , linkat =cwd base/user =cwd =0 =0 , linkat =cwd base/none =cwd base/l =0 , linkat =cwd "
    "base/user =cwd base/loop =0",
    "renameat =cwd =0 =cwd base/l , renameat =cwd base/user =cwd =0 , renameat =cwd base/none =cwd base/l , renameat =cwd "
    "base/user =cwd base/dir , renameat =cwd base/dir =cwd base/dir/sub",
    "renameat2 =cwd base/user =cwd base/other =1 , renameat2 =cwd base/user =cwd base/none =2 , renameat2 =cwd base/user "
    "=cwd base/none =3 , renameat2 =cwd base/user =cwd base/none =0x100",
    "unlinkat =cwd =0 =0 , unlinkat =cwd base/none =0 , unlinkat =cwd base/dir =0 , unlinkat =cwd base/user =0x200 , "
    "unlinkat =cwd base/user =0x1 , unlinkat =cwd base/loop/x =0 , unlinkat =cwd $LONG =0",
    "truncate =0 =0 , truncate base/none =0 , truncate base/dir =0 , truncate base/user =-1 , ftruncate =99 =0 , ftruncate "
    "=0 =-1",
    "chdir =0 , chdir base/none , chdir base/user , fchdir =99 , chroot =0 , chroot base/none , setns =99 =0 , unshare "
    "=0x80000000",
    "+socket , bind @ =0 =110 , bind @ un:base/none/s , bind =99 un:base/s , bind @ un:base/user",
    "execve =0 =0 =0 , execve base/none argv:x =0 , execve base/user argv:x =0 , execveat =99 x argv:x =0 =0 , +fds",
    "open_by_handle_at =cwd =0 =0 , +handle base/user , open_by_handle_at =99 @ " TRUNC,
#ifdef SYS_open
    "open =0 " CREAT " =0644 , open base/user/f " CREAT " =0644 , open base/loop " CREAT " =0644 , open base " CREAT
    " =0644 , creat =0 =0644 , creat base/dir =0644 , creat base/none/f =0644 , creat $LONG =0644 , +fds",
    "mkdir =0 =0755 , mkdir base/user =0755 , mknod base/user =010644 =0 , symlink x base/user , symlink =0 base/l , link "
    "base/none base/l , link base/user base/other",
    "rename =0 base/x , rename base/none base/x , rename base/user base/dir , unlink =0 , unlink base/none , unlink base/dir "
    ", rmdir base/user , rmdir base/none , rmdir =0",
#endif
};

#define FAILURES (sizeof failures / sizeof *failures)

static void fails_in_the_same_way(size_t from, size_t to) {
  char script[8192];
  for (size_t i = from; i < to; i++) {
    snprintf(script, sizeof script, "LONG=base/$(printf '%%300s' '' | tr ' ' x); : > base/made; " RAW "%s",
             failures[i]);
    FCT_LEAVES_NOTHING(.setup = "echo user > base/user; echo other > base/other; mkdir base/dir; : > base/dir/in; "
                                "ln -s loop base/loop; ln -s user base/link; ln -s none/x base/dangling",
                       .script = script);
  }
}

/* In three parts, since a test has room for so many worlds. */
Test(syscall, what_fails_to_open_fails_in_the_same_way) { fails_in_the_same_way(0, 8); }
Test(syscall, what_fails_to_change_names_fails_in_the_same_way) { fails_in_the_same_way(8, 15); }
Test(syscall, what_else_fails_fails_in_the_same_way) { fails_in_the_same_way(15, FAILURES); }

Test(syscall, every_argument_arrives_and_none_is_written) {
  FCT_LEAVES_NOTHING(.script = ": > base/f; exec $PROBES/sixth");
}

/* ---- processes ---- */

Test(syscall, a_forked_child_is_a_process_of_its_own) {
#ifdef SYS_open
  leaves_nothing(RAW "creat base/f =0644 , fork , creat base/g =0644 , mkdir base/d =0755");
#endif
  leaves_nothing(RAW "openat =cwd base/f " CREAT " =0644 , clone =17 , openat =cwd base/g " CREAT " =0644");
  leaves_nothing(RAW "openat =cwd base/f " CREAT " =0644 , clone =17 , +child , openat =cwd base/g " CREAT " =0644");
}

Test(syscall, an_image_that_is_executed_by_number_is_a_member) {
  leaves_nothing(": > base/f; " RAW "execve /bin/ls argv:ls =0");
  leaves_nothing("cd base; : > f; ls > /dev/null; " RAW "execveat =cwd /bin/ls argv:ls =0 =0");
}

static void ends_with_its_status(const char *const *options, const char *const *env, const char *script) {
  FCT_LEAVES_NOTHING(.script = script, .options = options, .env = env);
}

Test(syscall, exit_group_says_how_it_ended_and_leaves_nothing) {
  leaves_nothing(RAW "openat =cwd base/f " CREAT " =0644 , exit_group =7");
  ends_with_its_status(FCT_LIST("--on-exit", "keep-on-failure"), FCT_LIST("FILECLEANUP_ON_EXIT=keep-on-failure"),
                       "exec " RAW "openat =cwd base/f " CREAT " =0644 , exit_group =0");
}

Test(syscall, an_end_by_exit_group_with_a_status_keeps_on_failure) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    const struct fct_result result = FCT_EXECUTE(
        world, .mode = *mode, .script = "exec " RAW "openat =cwd base/f " CREAT " =0644 , exit_group =3",
        .env = FCT_LIST("FILECLEANUP_ON_EXIT=keep-on-failure"), .options = FCT_LIST("--on-exit", "keep-on-failure"));
    cr_expect_eq(result.status, 3, "%s: %d %s", fct_mode_name(*mode), result.status, result.err);
    cr_expect(fct_exists(world, "base/f"), "%s: what a failure should keep is gone", fct_mode_name(*mode));
  }
}

/* ---- real programs ---- */

Test(syscall, patch_renames_by_number) {
  fct_need("patch");
  FCT_USER_DATA_WHOLE(.setup = "printf 'a\\nb\\n' > base/f; printf 'x\\ny\\n' > base/new.txt",
                      .script = "printf '%s\\n' '--- f' '+++ f' '@@ -1,2 +1,2 @@' ' a' '-b' '+c' | patch -b -d base f");
  FCT_LEAVES_NOTHING(
          .script =
              "printf 'a\\nb\\n' > base/f; printf '%s\\n' '--- f' '+++ f' '@@ -1,2 +1,2 @@' ' a' '-b' '+c' | patch -b -d "
              "base f");
}

Test(syscall, perl_makes_and_removes_names_by_number) {
  fct_need("perl");
#ifdef SYS_open
  FCT_LEAVES_NOTHING(.script = fct_format("exec perl -e '$f = \"base/f\"; $d = \"base/d\"; syscall(%d, $f, 0644); "
                                          "syscall(%d, $d, 0755); print -e $f, -d $d, qq(\\n)'",
                                          SYS_creat, SYS_mkdir));
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f",
                      .script = fct_format("perl -e '$f = \"base/f\"; syscall(%d, $f); open F, \">\", $f; print F 1'",
                                           SYS_unlink));
#endif
}

/* ---- shells that libc starts ---- */

/* The shell is killed at no time: what its parent made for it has to be there. Its arrival takes half a millisecond, in
 * which nobody holds the session's lock. */
static void killed_in(const char *how) {
  enum { KILLS = 60, FIRST_US = 200, STEP_US = 24 };
  struct fct_world *world = fct_world_new();
  for (int i = 0; i < KILLS; i++) {
    FCT_EXECUTE(world, .mode = FCT_RUN,
                .argv =
                    FCT_LIST(FC_BUILD_DIR "/probes/killed_in_system", how, fct_format("%s/needed-%d", world->base, i),
                             fct_path(world, "result"), fct_format("%d", FIRST_US + i * STEP_US)));
  }
  for (int i = 0; i < KILLS; i++)
    cr_expect(fct_wait_gone(world, fct_format("base/needed-%d", i)), "%s: killed after %d us: never cleaned up", how,
              FIRST_US + i * STEP_US);
  const char *result = fct_read(world, "result");
  cr_assert(result && strstr(result, "kept"), "%s: no shell lived to tell", how);
  cr_expect(!strstr(result, "lost"), "%s: a file was taken from under the shell:\n%s", how, result);
}

Test(syscall, a_parent_that_is_killed_in_system_takes_nothing_from_its_shell) { killed_in("system"); }
Test(syscall, a_parent_that_is_killed_in_wordexp_takes_nothing_from_its_shell) { killed_in("wordexp"); }
Test(syscall, a_parent_that_is_killed_in_posix_spawn_takes_nothing_from_its_shell) { killed_in("posix_spawn"); }

/* ---- shared memory and semaphores by name ---- */

/* They stand directly in /dev/shm, which other programs of this machine use: names of our own, looked at one by one. */
static bool there(const char *name) { return access(fct_format("/dev/shm/%s", name), F_OK) == 0; }

static void forget(const char *name) {
  (void)unlink(fct_format("/dev/shm/%s", name));
  (void)unlink(fct_format("/dev/shm/sem.%s", name));
}

static void need_shm(void) {
  if (access("/dev/shm", W_OK)) cr_skip("no /dev/shm to write to");
}

Test(syscall, shared_memory_and_semaphores_are_gone_from_dev_shm) {
  need_shm();
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    const char *a = fct_format("fct-%d-a", getpid()), *b = fct_format("fct-%d-b", getpid());
    const struct fct_result result =
        FCT_EXECUTE(world, .mode = *mode, .base = "/dev/shm",
                    .script = fct_format(
                        RAW "+shm_open /%s =0102 , +shm_open %s =0302 , +shm_open %s =0302 , +sem_open /%s =0100 , "
                            "+sem_open %s =0100 , +sem_open %s =0300 , +shm_open a/b =0102 , +sem_open / =0100; ls "
                            "/dev/shm | grep -c fct-%d-",
                        a, b, a, a, a, a, getpid()));
    cr_expect_str_eq(result.out, "+shm_open: 3 \n+shm_open: 4 \n+shm_open: -1 EEXIST\n+sem_open: 0 \n+sem_open: 0 \n"
                                 "+sem_open: -1 EEXIST\n+shm_open: -1 EINVAL\n+sem_open: -1 EINVAL\n3\n");
    cr_expect(!there(a) && !there(b) && !there(fct_format("sem.%s", a)), "%s: left in /dev/shm", fct_mode_name(*mode));
    forget(a);
    forget(b);
  }
}

Test(syscall, shared_memory_that_takes_a_name_of_the_users_stays) {
  need_shm();
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    const char *a = fct_format("fct-%d-u", getpid());
    const struct fct_result result = FCT_EXECUTE(
        world, .mode = *mode, .base = "/dev/shm",
        .script = fct_format("FILECLEANUP_DISABLE=1 " RAW "+shm_open %s =0102 , +sem_open %s =0100; " RAW
                             "+shm_open %s =0102 , +shm_unlink /%s , +shm_open %s =0102 , +sem_open %s =0100 , "
                             "+sem_unlink %s , +sem_open %s =0100",
                             a, a, a, a, a, a, a, a));
    cr_expect_eq(result.status, 0, "%s", result.err);
    cr_expect(there(a) && there(fct_format("sem.%s", a)), "%s: LOST\n%s", fct_mode_name(*mode), result.out);
    forget(a);
  }
}

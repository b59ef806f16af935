/* Special files and strange trees: what never blocks, what is never removed, what cannot be removed, and how deep and
 * how wide a tree may be. As root and as an ordinary user.
 *
 * FC_ATTACK_LONG=1: a directory of 1,000,000 entries instead of 100,000. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../harness/harness_attack.h"

TestSuite(special_files, .fini = fct_teardown, .timeout = 290);

#define NOBODY 65534

static const uid_t users[] = {0, NOBODY};

static const char *user_name(uid_t uid) { return uid ? "an ordinary user" : geteuid() ? "this user" : "root"; }

static void made_by(uid_t uid, enum fct_mode mode, const char *attack, const char *script, const char *const *env,
                    int limit_s) {
  struct fct_world *world = fct_world_new();
  fct_write(world, "base/users", "mine\n");
  if (uid) fct_world_give(world, uid);
  const struct fct_victims *victims = fct_victims_of(world->base);
  const struct fct_result result =
      FCT_EXECUTE(world, .mode = mode, .uid = uid, .script = script, .env = env, .limit_s = limit_s);
  cr_expect_eq(result.status, 0, "%s: status %d %s", attack, result.status, result.err);
  cr_expect_str_eq(result.err, "");
  cr_expect(fct_wait_no_guardian(world));
  fct_attack_row(fct_format("%s, %s, %s", attack, user_name(uid), fct_mode_name(mode)), 1, fct_victims_lost(victims),
                 fct_count(world, "base") - 1, NULL);
}

/* In each mode and as each user. */
static void made_by_the_program(const char *attack, const char *script, const char *const *env, int limit_s) {
  for (size_t i = 0; i < (geteuid() == 0 ? 2u : 1u); i++) {
    if (users[i]) fct_need_build_for(users[i]);
    for (const enum fct_mode *mode = fct_modes(); *mode; mode++) made_by(users[i], *mode, attack, script, env, limit_s);
  }
}

Test(special_files, fifos_and_sockets_never_block) {
  fct_need("python3");
  made_by_the_program("FIFOs without a peer, sockets live and dead",
                      "mkfifo base/p; mkdir base/d; mkfifo base/d/p -m 0; exec python3 -c 'import socket, os\n"
                      "for n in \"live\", \"dead\":\n"
                      "    s = socket.socket(socket.AF_UNIX); s.bind(\"base/\" + n); s.listen(1)\n"
                      "    globals()[n] = s\n"
                      "dead.close(); d = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); d.bind(\"base/d/s\")'",
                      FCT_LIST("FILECLEANUP_DIRS=recursive"), 30);
}

Test(special_files, directories_without_any_permission) {
  made_by_the_program("mode 000 directories and files",
                      "mkdir -p base/d/e/f; echo s > base/d/e/f/g; mkfifo base/d/e/p; chmod 0 base/d/e/f/g base/d/e/f; "
                      "chmod 0 base/d/e; chmod 0 base/d",
                      NULL, 30);
}

Test(special_files, names_of_every_kind) {
  made_by_the_program(
      "names of 255 bytes, not UTF-8, with newlines and escapes",
      "n=$(printf %0255d 0); echo s > base/$n; mkdir base/d$(printf %0254d 0); echo s > base/d$(printf %0254d 0)/$n\n"
      "echo s > \"base/$(printf '\\377\\376')\"; mkdir \"base/$(printf '\\200 \\n x')\"; echo s > \"base/$(printf "
      "'\\200 \\n x')/-rf *\"; echo s > 'base/ '; echo s > 'base/...'; echo s > 'base/%s%n'; echo s > 'base/\\'",
      NULL, 30);
}

Test(special_files, a_directory_of_many_entries) {
  const unsigned long long entries = fct_rounds_wanted(100000, 1000000);
  made_by(0, FCT_BARE, fct_format("one directory of %llu entries", entries),
          fct_format("mkdir base/d; cd base/d; seq %llu | xargs touch", entries),
          FCT_LIST("FILECLEANUP_EXIT_BUDGET=10min"), 280);
}

/* Deeper than any path can say: what the journal cannot hold leaks, and nothing else happens. */
Test(special_files, a_tree_of_ten_thousand_levels) {
  fct_need("python3");
  const uint64_t modes = fct_rounds_wanted(1, 2);
  for (const enum fct_mode *mode = fct_modes(); *mode && mode < fct_modes() + modes; mode++) {
    struct fct_world *world = fct_world_new();
    fct_write(world, "base/users", "mine\n");
    const struct fct_victims *victims = fct_victims_of(world->base);
    const struct fct_result result =
        FCT_EXECUTE(world, .mode = *mode, .limit_s = 120,
                    .argv = FCT_LIST("python3", "-c",
                                     "import os\nos.chdir('base')\nfor i in range(10000):\n    os.mkdir('d')\n    "
                                     "os.chdir('d')\nopen('f', 'w').close()"));
    cr_expect_eq(result.status, 0, "%s", result.err);
    cr_expect_str_eq(result.err, "");
    cr_expect(fct_wait_no_guardian(world));
    const struct fct_result left =
        FCT_EXECUTE(world, .mode = FCT_PLAIN, .limit_s = 120, .script = "find base -type d | wc -l");
    const unsigned long long levels = strtoull(left.out, NULL, 10) - 1;
    FCT_EXECUTE(world, .mode = FCT_PLAIN, .limit_s = 120, .script = "rm -rf base/d");
    fct_attack_row(fct_format("a tree of 10,000 levels, %s", fct_mode_name(*mode)), 1, fct_victims_lost(victims),
                   levels, "a path is never longer than PATH_MAX");
  }
}

/* ---- what may not, or cannot, be removed ---- */

Test(special_files, device_nodes_are_never_removed) {
  fct_need_root();
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    const struct fct_result result =
        FCT_EXECUTE(world, .mode = *mode, .env = FCT_LIST("FILECLEANUP_DIRS=recursive"),
                    .script = "mkdir base/d; mknod base/null c 1 3 && mknod base/d/loop b 7 200; echo s > base/s");
    if (result.status != 0) cr_skip("no device nodes here: %s", result.err);
    cr_expect(fct_wait_no_guardian(world));
    struct stat st;
    unsigned long long lost = 0;
    if (stat(fct_path(world, "base/null"), &st) || !S_ISCHR(st.st_mode)) lost++;
    if (stat(fct_path(world, "base/d/loop"), &st) || !S_ISBLK(st.st_mode)) lost++;
    cr_expect(!fct_exists(world, "base/s"));
    fct_attack_row(fct_format("device nodes, %s", fct_mode_name(*mode)), 1, lost, 3, "device nodes are never removed");
  }
}

Test(special_files, immutable_and_append_only) {
  fct_need_root();
  fct_need("chattr");
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    fct_write(world, "base/users", "mine\n");
    const struct fct_victims *victims = fct_victims_of(world->base);
    const struct fct_result result = FCT_EXECUTE(
        world, .mode = *mode,
        .script = "echo s > base/i; echo s > base/a; mkdir base/d base/e; echo s > base/d/f; echo s > base/e/f; echo s "
                  "> base/s; chattr +i base/i base/d && chattr +a base/a base/e");
    if (result.status != 0) cr_skip("no attributes here: %s", result.err);
    cr_expect(fct_wait_no_guardian(world));
    cr_expect(!fct_exists(world, "base/s"), "one that fails has stopped the rest");
    const unsigned long long leaks = fct_count(world, "base") - 1;
    FCT_EXECUTE(world, .mode = FCT_PLAIN, .script = "chattr -i base/i base/d; chattr -a base/a base/e");
    fct_attack_row(fct_format("immutable and append-only files and directories, %s", fct_mode_name(*mode)), 1,
                   fct_victims_lost(victims), leaks, "until the attribute is gone, then the next start takes them");
    fct_next_start(world, *mode);
    cr_expect(fct_wait_no_guardian(world));
    cr_expect_eq(fct_count(world, "base"), 1, "%s: the next start does not make up for it", fct_mode_name(*mode));
  }
}

Test(special_files, what_others_put_into_directories_of_ours) {
  fct_need_root();
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    cr_assert(chmod(world->dir, 0755) == 0);
    struct fct_job *job = fct_hold(world, *mode, FCT_LIST("DIRS=recursive"),
                                   "mkdir base/d base/d/e; chmod 1777 base/d base/d/e; echo s > base/d/f");
    const struct fct_result put = FCT_EXECUTE(
        world, .mode = FCT_PLAIN, .uid = NOBODY,
        .script = "echo theirs > base/d/theirs; mkdir base/d/dir; echo theirs > base/d/dir/f; ln -s /etc/passwd "
                  "base/d/e/l; mkfifo base/d/e/p");
    cr_assert_eq(put.status, 0, "%s", put.err);
    const struct fct_victims *victims = fct_victims_of(fct_path(world, "base/d/dir"));
    fct_release(world, job);
    cr_expect(fct_wait_no_guardian(world));
    unsigned long long lost = fct_victims_lost(victims);
    static const char *const names[] = {"base/d/theirs", "base/d/dir/f", "base/d/e/l", "base/d/e/p"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) lost += !fct_exists(world, names[i]);
    cr_expect(!fct_exists(world, "base/d/f"));
    fct_attack_row(fct_format("entries of another user's in directories of ours, %s", fct_mode_name(*mode)), 1, lost, 2,
                   "directories that hold what is another's");
  }
}

/* The base held the user's files before the program came. Whatever ordinary programs do to them (remove and write anew,
 * move aside, replace, pack, check out), afterwards the user has what a plain run would have left.
 *
 * Each of these lost data with a cleaner that deletes what the program created and nothing else; most of them more than
 * once while the rules of ownership were found. */
#include <criterion/criterion.h>

#include "../harness/harness.h"

TestSuite(user_data, .fini = fct_teardown, .timeout = 120);

/* ---- shells and coreutils ---- */

Test(user_data, remove_and_write_anew) {
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f", .script = "rm base/f; echo new > base/f");
}

Test(user_data, remove_and_write_anew_by_one_process) {
  fct_need("python3");
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f; mkdir base/d; echo old > base/d/g",
                      .script = "exec python3 -c \"\nimport os\n"
                                "for n in ('base/f', 'base/d/g'):\n"
                                "    os.unlink(n); open(n, 'w').write('new')\n\"");
}

Test(user_data, write_in_place) {
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f; echo old > base/g; mkdir base/d; echo old > base/d/h",
                      .script = "echo new > base/f; echo more >> base/g; (cd base/d && echo new > h)");
}

Test(user_data, an_empty_file_of_the_user_that_is_filled) {
  FCT_USER_DATA_WHOLE(.setup = ": > base/f; : > base/g", .script = "echo new > base/f; rm base/g; echo new > base/g");
}

Test(user_data, move_to_backup_and_write) {
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f", .script = "mv base/f base/f.bak; echo new > base/f",
                      .survive = FCT_LIST("base/f.bak"));
}

Test(user_data, move_to_backup_and_write_in_a_directory) {
  FCT_USER_DATA_WHOLE(.setup = "mkdir base/d; echo old > base/d/f", .script = "cd base/d && mv f f.bak && echo new > f",
                      .survive = FCT_LIST("base/d/f.bak"));
}

Test(user_data, move_to_backup_and_back) {
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f", .script = "mv base/f base/t; mv base/t base/f");
}

Test(user_data, link_to_backup_and_replace) {
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f",
                      .script = "ln base/f base/f.bak; echo new > base/f.new; mv base/f.new base/f",
                      .survive = FCT_LIST("base/f.bak"));
}

Test(user_data, copy_to_backup_and_write_in_place) {
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f", .script = "cp base/f base/f.bak; echo new > base/f",
                      .survive = FCT_LIST("base/f.bak"));
}

Test(user_data, swap_of_two_files) {
  FCT_USER_DATA_WHOLE(.setup = "echo a > base/a; echo b > base/b",
                      .script = "mv base/a base/t; mv base/b base/a; mv base/t base/b");
}

Test(user_data, install_over_an_old_file) {
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f; echo new > new",
                      .script = "install -m 755 new base/f; install -b -m 644 new base/f",
                      .survive = FCT_LIST("base/f~"));
}

Test(user_data, cp_remove_destination) {
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f; echo new > new", .script = "cp --remove-destination new base/f");
}

Test(user_data, cp_with_backup) {
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f; echo new > new", .script = "cp --backup=numbered new base/f",
                      .survive = FCT_LIST("base/f.~1~"));
}

Test(user_data, link_replaced_by_ln_sf) {
  FCT_USER_DATA_WHOLE(.setup = "echo 1 > base/v1; echo 2 > base/v2; ln -s v1 base/current",
                      .script = "ln -sfn v2 base/current; cat base/current");
}

Test(user_data, move_of_a_file_from_another_file_system) {
  struct fct_world *probe = fct_world_new();
  if (!probe->other[0]) cr_skip("there is no second file system at hand");
  FCT_USER_DATA_WHOLE(.setup = "echo data > $OTHER/f; echo old > $OTHER/old; touch -d '2001-01-01' $OTHER/old",
                      .script = "mv $OTHER/f base/f; mv $OTHER/old base/old; ls $OTHER",
                      .survive = FCT_LIST("base/f", "base/old"));
}

Test(user_data, move_of_a_directory_from_another_file_system) {
  struct fct_world *probe = fct_world_new();
  if (!probe->other[0]) cr_skip("there is no second file system at hand");
  FCT_USER_DATA_WHOLE(.setup = "mkdir -p $OTHER/d/e; echo 1 > $OTHER/d/f; echo 2 > $OTHER/d/e/g",
                      .script = "mv $OTHER/d base/d; ls $OTHER", .survive = FCT_LIST("base/d/f", "base/d/e/g"));
}

Test(user_data, move_from_another_file_system_over_an_old_file) {
  struct fct_world *probe = fct_world_new();
  if (!probe->other[0]) cr_skip("there is no second file system at hand");
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f; echo new > $OTHER/f", .script = "mv $OTHER/f base/f; ls $OTHER");
}

Test(user_data, move_into_the_base_on_the_same_file_system) {
  FCT_USER_DATA_WHOLE(.setup = "echo data > f; mkdir d; echo data > d/g", .script = "mv f base/f; mv d base/d",
                      .survive = FCT_LIST("base/f", "base/d/g"));
}

Test(user_data, copy_into_an_empty_directory_of_the_user_and_remove) {
  FCT_USER_DATA_WHOLE(.setup = "echo a > base/a; mkdir base/backup", .script = "cp base/a base/backup/a; rm base/a",
                      .survive = FCT_LIST("base/backup/a"));
}

Test(user_data, copy_into_a_new_directory_and_remove) {
  FCT_USER_DATA_WHOLE(.setup = "echo a > base/a", .script = "mkdir base/backup; cp base/a base/backup/a; rm base/a",
                      .survive = FCT_LIST("base/backup/a"));
}

Test(user_data, move_into_a_new_directory) {
  FCT_USER_DATA_WHOLE(.setup = "echo a > base/a; mkdir base/d; echo b > base/d/b",
                      .script = "mkdir base/new; mv base/a base/new/a; mv base/d base/new/d",
                      .survive = FCT_LIST("base/new/a", "base/new/d/b"));
}

Test(user_data, copy_of_a_tree_and_removal_of_the_old_one) {
  FCT_USER_DATA_WHOLE(.setup = "mkdir -p base/d/e; echo 1 > base/d/1; echo 2 > base/d/e/2",
                      .script = "cp -a base/d base/d.new && rm -rf base/d && mv base/d.new base/d");
}

Test(user_data, remove_and_make_a_directory_again) {
  FCT_USER_DATA_WHOLE(.setup = "mkdir base/d base/full; echo old > base/full/f",
                      .script =
                          "rmdir base/d; mkdir base/d; rm -rf base/full; mkdir base/full; echo new > base/full/f");
}

Test(user_data, move_a_directory_aside_and_make_it_again) {
  FCT_USER_DATA_WHOLE(.setup = "mkdir base/d; echo old > base/d/f",
                      .script = "mv base/d base/d.old; mkdir base/d; echo new > base/d/f",
                      .survive = FCT_LIST("base/d.old/f"));
}

Test(user_data, remove_through_a_linked_directory_and_write_through_the_real_one) {
  FCT_USER_DATA_WHOLE(.setup = "mkdir base/real; echo old > base/real/f; echo old > base/real/g; ln -s real base/link",
                      .script = "rm base/link/f; echo new > base/real/f; rm base/real/g; echo new > base/link/g");
}

Test(user_data, remove_through_dots_and_write_by_another_spelling) {
  FCT_USER_DATA_WHOLE(.setup = "mkdir base/d; echo old > base/f; echo old > base/d/g",
                      .script = "rm base/d/../f; echo new > base//f; (cd base/d && rm ../d/./g); echo new > $BASE/d/g");
}

Test(user_data, the_base_under_another_name) {
  FCT_USER_DATA_WHOLE(.setup = "ln -s base alias; echo old > base/f; echo old > base/g",
                      .script = "rm alias/f; echo new > base/f; cd alias && rm g && echo new > g");
}

Test(user_data, split_and_join_through_the_base) {
  FCT_USER_DATA_WHOLE(.setup = "seq 1000 > base/f",
                      .script = "cat base/f > base/f.tmp && rm base/f && mv base/f.tmp base/f");
}

/* ---- logs ---- */

Test(user_data, log_rotation_by_moving) {
  FCT_USER_DATA_WHOLE(.setup = "echo 0 > base/log; echo 1 > base/log.1",
                      .script = "mv base/log.1 base/log.2; mv base/log base/log.1; : > base/log; echo new >> base/log",
                      .survive = FCT_LIST("base/log.2"));
}

Test(user_data, log_rotation_by_copying_and_truncating) {
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/log", .script = "cp base/log base/log.1; : > base/log",
                      .survive = FCT_LIST("base/log.1"));
}

Test(user_data, log_rotation_by_truncate) {
  FCT_USER_DATA_WHOLE(.setup = "mkdir base/logs; echo old > base/logs/log",
                      .script = "cp base/logs/log base/logs/log.1; truncate -s 0 base/logs/log",
                      .survive = FCT_LIST("base/logs/log.1"));
}

Test(user_data, log_rotation_by_truncate_in_the_base_itself) {
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/log", .script = "cp base/log base/log.1; truncate -s 0 base/log",
                      .survive = FCT_LIST("base/log.1"));
}

Test(user_data, copy_to_backup_and_write_over_without_truncating) {
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f",
                      .script = "cp base/f base/f.bak; echo new | dd of=base/f conv=notrunc 2>/dev/null",
                      .survive = FCT_LIST("base/f.bak"));
}

Test(user_data, log_rotation_with_compression) {
  fct_need("gzip");
  FCT_USER_DATA_WHOLE(.setup = "echo 0 > base/log; echo 1 > base/log.1",
                      .script = "gzip -n base/log.1; mv base/log base/log.1; : > base/log",
                      .survive = FCT_LIST("base/log.1.gz"));
}

Test(user_data, logs_packed_and_removed) {
  fct_need("tar");
  FCT_USER_DATA_WHOLE(.setup = "mkdir base/logs; echo 1 > base/logs/1; echo 2 > base/logs/2",
                      .script = "cd base; tar czf logs.tgz logs && rm -rf logs", .survive = FCT_LIST("base/logs.tgz"),
                      .vary = FCT_LIST("base/logs.tgz"), .verify = "tar xzOf base/logs.tgz");
}

/* ---- packers ---- */

Test(user_data, tar_over_old_files) {
  fct_need("tar");
  FCT_USER_DATA_WHOLE(.setup = "mkdir -p t/d base/d; echo new > t/f; echo new > t/d/g; tar cf t.tar -C t .\n"
                               "echo old > base/f; echo old > base/d/g",
                      .script = "tar xf t.tar -C base");
}

Test(user_data, tar_that_unlinks_first) {
  fct_need("tar");
  FCT_USER_DATA_WHOLE(.setup = "mkdir -p t/d base/d; echo new > t/f; echo new > t/d/g; tar cf t.tar -C t f d\n"
                               "echo old > base/f; echo old > base/d/g",
                      .script = "tar xf t.tar -C base --unlink-first --recursive-unlink");
}

Test(user_data, unzip_over_old_files) {
  fct_need("zip");
  fct_need("unzip");
  FCT_USER_DATA_WHOLE(.setup = "echo new > f; zip -q t.zip f; echo old > base/f", .script = "unzip -qo t.zip -d base",
                      .vary = FCT_LIST("t.zip"));
}

Test(user_data, gzip) {
  fct_need("gzip");
  FCT_USER_DATA_WHOLE(.setup = "echo data > base/f; mkdir base/d; echo data > base/d/g",
                      .script = "gzip -n base/f; cd base/d && gzip -n g",
                      .survive = FCT_LIST("base/f.gz", "base/d/g.gz"));
}

Test(user_data, gunzip) {
  fct_need("gzip");
  FCT_USER_DATA_WHOLE(.setup = "echo data > base/f; gzip -n base/f", .script = "gunzip base/f.gz",
                      .survive = FCT_LIST("base/f"));
}

Test(user_data, gzip_over_an_old_archive) {
  fct_need("gzip");
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f; gzip -n base/f; echo new > base/f", .script = "gzip -nf base/f");
}

Test(user_data, xz_and_unxz) {
  fct_need("xz");
  FCT_USER_DATA_WHOLE(.setup = "echo data > base/f; echo data > base/g; xz base/g",
                      .script = "xz base/f; unxz base/g.xz", .survive = FCT_LIST("base/f.xz", "base/g"));
}

Test(user_data, gzip_by_a_pipe_and_remove) {
  fct_need("gzip");
  FCT_USER_DATA_WHOLE(.setup = "echo data > base/f", .script = "gzip -nc base/f > base/f.gz && rm base/f",
                      .survive = FCT_LIST("base/f.gz"));
}

Test(user_data, zip_that_moves_into_the_archive) {
  fct_need("zip");
  FCT_USER_DATA_WHOLE(.setup = "mkdir base/logs; echo 1 > base/logs/1; echo 2 > base/logs/2",
                      .script = "cd base && zip -qrm logs.zip logs", .survive = FCT_LIST("base/logs.zip"),
                      .vary = FCT_LIST("base/logs.zip"),
                      .verify = "python3 -c \"import zipfile; z = zipfile.ZipFile('base/logs.zip'); "
                                "print(sorted((n, z.read(n)) for n in z.namelist()))\"");
}

Test(user_data, zip_that_updates_an_old_archive) {
  fct_need("zip");
  FCT_USER_DATA_WHOLE(.setup = "cd base; echo 1 > a; zip -q z.zip a; echo 2 > b", .script = "cd base && zip -q z.zip b",
                      .vary = FCT_LIST("base/z.zip"),
                      .verify =
                          "python3 -c \"import zipfile; print(sorted(zipfile.ZipFile('base/z.zip').namelist()))\"");
}

/* ---- compilers ---- */

Test(user_data, gcc_over_an_old_program) {
  fct_need("gcc");
  FCT_USER_DATA_WHOLE(.setup = "echo 'int main(void) { return 1; }' > main.c; gcc main.c -o base/main\n"
                               "echo 'int main(void) { return 2; }' > main.c",
                      .script = "gcc main.c -o base/main", .vary = FCT_LIST("base/main"),
                      .verify = "base/main; echo $?");
}

Test(user_data, gcc_over_an_old_object) {
  fct_need("gcc");
  FCT_USER_DATA_WHOLE(.setup = "echo 'int f(void) { return 1; }' > f.c; gcc -c f.c -o base/f.o\n"
                               "echo 'int f(void) { return 2; }' > f.c",
                      .script = "gcc -c f.c -o base/f.o");
}

Test(user_data, ar_that_replaces_a_member) {
  fct_need("ar");
  FCT_USER_DATA_WHOLE(.setup = "echo 1 > a; echo 2 > b; ar rcD base/lib.a a b; echo 3 > a",
                      .script = "ar rD base/lib.a a");
}

/* ---- editors ---- */

Test(user_data, sed_in_place) {
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f; echo old > base/g", .script = "sed -i s/old/new/ base/f base/g");
}

Test(user_data, sed_in_place_with_backup) {
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f", .script = "sed -i.bak s/old/new/ base/f",
                      .survive = FCT_LIST("base/f.bak"));
}

Test(user_data, perl_in_place_with_backup) {
  fct_need("perl");
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f", .script = "perl -i.bak -pe s/old/new/ base/f",
                      .survive = FCT_LIST("base/f.bak"));
}

Test(user_data, perl_in_place) {
  fct_need("perl");
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f", .script = "perl -i -pe s/old/new/ base/f");
}

Test(user_data, vim_save) {
  fct_need("vim");
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f",
                      .script = "vim -es -u NONE -i NONE -c 's/old/new/' -c wq base/f </dev/null; echo $?");
}

Test(user_data, vim_save_with_backup) {
  fct_need("vim");
  FCT_USER_DATA_WHOLE(
          .setup = "echo old > base/f", .survive = FCT_LIST("base/f~"),
          .script =
              "vim -es -u NONE -i NONE -c 'set backup backupskip= backupcopy=no' -c 's/old/new/' -c wq base/f; echo $?");
}

Test(user_data, vim_save_with_backup_by_copy) {
  fct_need("vim");
  FCT_USER_DATA_WHOLE(
          .setup = "echo old > base/f", .survive = FCT_LIST("base/f~"),
          .script =
              "vim -es -u NONE -i NONE -c 'set backup backupskip= backupcopy=yes' -c 's/old/new/' -c wq base/f; echo $?");
}

Test(user_data, ed_save) {
  fct_need("ed");
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f", .script = "printf 's/old/new/\\nw\\nq\\n' | ed -s base/f");
}

Test(user_data, patch_over_an_old_file) {
  fct_need("patch");
  FCT_USER_DATA_WHOLE(
          .setup =
              "echo old > a; echo new > b; diff -u --label a --label b a b > p || :; echo old > base/f; echo old > base/g",
          .script = "patch -s base/f p; patch -s -b base/g p", .survive = FCT_LIST("base/g.orig"));
}

Test(user_data, save_by_moving_the_old_file_aside_and_removing_it_at_the_end) {
  fct_need("python3");
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f",
                      .script =
                          "exec python3 -c \"\nimport os\n"
                          "os.rename('base/f', 'base/f~'); open('base/f', 'w').write('new'); os.unlink('base/f~')\n\"");
}

Test(user_data, save_by_a_temporary_file_and_rename) {
  fct_need("python3");
  FCT_USER_DATA_WHOLE(.setup = "mkdir base/d; echo old > base/d/f",
                      .script =
                          "exec python3 -c \"\nimport os, tempfile\n"
                          "fd, n = tempfile.mkstemp(dir='base/d'); os.write(fd, b'new'); os.fsync(fd); os.close(fd)\n"
                          "os.replace(n, 'base/d/f')\n\"");
}

/* ---- git ---- */

/* The last line: git takes a file that is as young as its index, in seconds, for one that may have changed, and `git
 * add` then sets the time of the object that it has already. Whether that happens depends on when a second begins, and
 * must not depend on it. */
#define OLD_REPOSITORY                                                                                                 \
  "git init -q -b main base/repo; cd base/repo; mkdir d\n"                                                             \
  "for i in 1 2 3; do echo $i > f; echo $i > d/g; git add .; git commit -qm $i; done\n"                                \
  "touch -d 2020-01-01 f d/g; git update-index -q --refresh\n"

/* Everything that a user could ask the repository for. */
#define ASK_REPOSITORY                                                                                                 \
  "cd base/repo && git fsck --full --strict && git log --all --stat --format='%H %d %s' && git status --porcelain && " \
  "git for-each-ref && git stash list && cat f d/g"

/* Times and packed bytes differ from run to run; whether git can read it all is asked of git. */
#define GIT_VARIES                                                                                                     \
  FCT_LIST("base/repo/.git/index", "base/repo/.git/objects/pack/*", "base/repo/.git/ORIG_HEAD",                        \
           "base/repo/.git/info/*", "base/repo/.git/gc.log", "base/repo/.git/FETCH_HEAD")

#define GIT_WHOLE(...)                                                                                                 \
  fct_need("git");                                                                                                     \
  FCT_USER_DATA_WHOLE(.setup = OLD_REPOSITORY, .vary = GIT_VARIES, .verify = ASK_REPOSITORY, __VA_ARGS__)

Test(user_data, git_checkout_of_a_changed_file) {
  GIT_WHOLE(.script = "cd base/repo && echo changed > f && git checkout -q -- f d/g");
}

Test(user_data, git_checkout_of_an_older_commit) { GIT_WHOLE(.script = "cd base/repo && git checkout -q HEAD~2"); }

Test(user_data, git_commit_in_an_old_repository) {
  GIT_WHOLE(.script = "cd base/repo && echo 4 > f && echo 5 > new && git add . && git commit -qm 4",
            .survive = FCT_LIST("base/repo/new"));
}

Test(user_data, git_gc_in_an_old_repository) { GIT_WHOLE(.script = "cd base/repo && git gc -q --prune=now"); }

Test(user_data, git_repack_of_an_old_repository_twice) {
  GIT_WHOLE(.script =
                "cd base/repo && git repack -qad && echo 4 > f && git commit -qam 4 && git repack -qad && git prune");
}

Test(user_data, git_first_tag_when_the_tags_directory_is_empty) {
  GIT_WHOLE(.script = "cd base/repo && git tag v1 && git tag -am annotated v2",
            .survive = FCT_LIST("base/repo/.git/refs/tags/v1", "base/repo/.git/refs/tags/v2"));
}

Test(user_data, git_branch_made_and_deleted) {
  GIT_WHOLE(.script =
                "cd base/repo && git branch kept && git branch feature/one && git branch gone && git branch -qD gone",
            .survive = FCT_LIST("base/repo/.git/refs/heads/kept", "base/repo/.git/refs/heads/feature/one"));
}

Test(user_data, git_merge_rebase_and_stash) {
  GIT_WHOLE(.script =
                "cd base/repo && git checkout -qb side HEAD~1 && echo s > side && git add side && git commit -qm side "
                "&& git checkout -q main && git merge -q -m merged side && git checkout -q side && git rebase -q main "
                "&& echo dirty > f && git stash -q && echo $?",
            .survive = FCT_LIST("base/repo/side"));
}

Test(user_data, git_clone_and_fetch_between_old_repositories) {
  fct_need("git");
  FCT_USER_DATA_WHOLE(.setup = "git init -q -b main source; cd source; echo 1 > f; mkdir d; echo 1 > d/g\n"
                               "git add .; git commit -qm 1; cd ..; git clone -q source base/repo; cd source\n"
                               "echo 2 > f; git commit -qam 2; git tag release\n",
                      .script = "cd base/repo && git pull -q --ff-only && git fetch -q --tags",
                      .vary = FCT_LIST("base/repo/.git/index", "base/repo/.git/*HEAD", "base/repo/.git/config",
                                       "base/repo/.git/logs/*", "source/.git/index"),
                      .verify = ASK_REPOSITORY);
}

/* ---- SQLite ---- */

/* Runs statements, then dies by SIGKILL with the connection open. */
#define SQLITE_AND_DIE(statements)                                                                                     \
  "exec python3 -c \"\nimport sqlite3, os, signal\n"                                                                   \
  "open('base/own', 'w').close(); c = sqlite3.connect('base/db', isolation_level=None)\n" statements                   \
  "os.kill(os.getpid(), signal.SIGKILL)\n\""

#define ASK_SQLITE                                                                                                     \
  "python3 -c \"import sqlite3; c = sqlite3.connect('base/db')\n"                                                      \
  "print(c.execute('pragma integrity_check').fetchall(), c.execute('select count(*), sum(x) from t').fetchall())\""

#define SQLITE_VARIES FCT_LIST("base/db*")

Test(user_data, sqlite_killed_in_wal_mode_keeps_what_was_committed) {
  fct_need("python3");
  FCT_USER_DATA_WHOLE(.setup = "python3 -c \"import sqlite3; c = sqlite3.connect('base/db')\n"
                               "c.execute('pragma journal_mode=wal'); c.execute('create table t(x)')\n"
                               "c.execute('insert into t values (1)'); c.commit(); c.close()\"",
                      .script = SQLITE_AND_DIE("for i in range(100): c.execute('insert into t values (2)')\n"),
                      .survive = FCT_LIST("base/db-wal"), .gone = FCT_LIST("base/own"), .killed = true,
                      .vary = SQLITE_VARIES, .verify = ASK_SQLITE);
}

Test(user_data, sqlite_killed_in_rollback_mode_rolls_back) {
  fct_need("python3");
  /* A cache of ten pages spills into the database long before the commit that never comes: without its journal the
   * database is neither the old one nor the new one. */
  FCT_USER_DATA_WHOLE(.setup = "python3 -c \"import sqlite3; c = sqlite3.connect('base/db')\n"
                               "c.execute('create table t(x, y)')\n"
                               "c.executemany('insert into t values (1, ?)', [('a' * 500,)] * 2000); c.commit()\"",
                      .script = SQLITE_AND_DIE("c.execute('pragma cache_size=10'); c.execute('begin')\n"
                                               "c.execute('update t set x = 2, y = y || y')\n"),
                      .survive = FCT_LIST("base/db-journal"), .gone = FCT_LIST("base/own"), .killed = true,
                      .vary = SQLITE_VARIES, .verify = ASK_SQLITE);
}

Test(user_data, sqlite_killed_in_a_directory_of_the_user_rolls_back) {
  fct_need("python3");
  FCT_USER_DATA_WHOLE(
          .setup = "mkdir base/app; python3 -c \"import sqlite3; c = sqlite3.connect('base/app/db')\n"
                   "c.execute('create table t(x, y)')\n"
                   "c.executemany('insert into t values (1, ?)', [('a' * 500,)] * 2000); c.commit()\"",
          .script =
              "cd base/app; exec python3 -c \"\nimport sqlite3, os, signal\n"
              "open('../own', 'w').close(); c = sqlite3.connect('db', isolation_level=None)\n"
              "c.execute('pragma cache_size=10'); c.execute('begin'); c.execute('update t set x = 2, y = y || y')\n"
              "os.kill(os.getpid(), signal.SIGKILL)\n\"",
          .survive = FCT_LIST("base/app/db-journal"), .gone = FCT_LIST("base/own"), .killed = true,
          .vary = FCT_LIST("base/app/db*"),
          .verify =
              "python3 -c \"import sqlite3; c = sqlite3.connect('base/app/db')\n"
              "print(c.execute('pragma integrity_check').fetchall(), c.execute('select count(*), sum(x) from t').fetchall())\"");
}

Test(user_data, sqlite_vacuum_and_ordinary_end) {
  fct_need("python3");
  FCT_USER_DATA_WHOLE(.setup = "python3 -c \"import sqlite3; c = sqlite3.connect('base/db')\n"
                               "c.execute('create table t(x)'); c.execute('insert into t values (1)'); c.commit()\"",
                      .script =
                          "exec python3 -c \"\nimport sqlite3\nc = sqlite3.connect('base/db', isolation_level=None)\n"
                          "c.execute('insert into t values (2)'); c.execute('vacuum'); c.close()\n\"",
                      .vary = SQLITE_VARIES, .verify = ASK_SQLITE);
}

Test(user_data, sqlite_vacuum_into_a_new_file_that_takes_the_place) {
  fct_need("python3");
  FCT_USER_DATA_WHOLE(
          .setup = "python3 -c \"import sqlite3; c = sqlite3.connect('base/db')\n"
                   "c.execute('create table t(x)'); c.execute('insert into t values (1)'); c.commit()\"",
          .script = "python3 -c \"\nimport sqlite3\nc = sqlite3.connect('base/db', isolation_level=None)\n"
                    "c.execute('insert into t values (2)'); c.execute('vacuum into \\'base/db.new\\''); c.close()\n\"\n"
                    "mv base/db.new base/db",
          .vary = SQLITE_VARIES, .verify = ASK_SQLITE);
}

/* ---- others ---- */

Test(user_data, rsync_over_old_files) {
  fct_need("rsync");
  FCT_USER_DATA_WHOLE(
          .setup = "mkdir t; echo new > t/f; echo new > t/g; mkdir base/t; echo old > base/t/f; echo x > base/t/x",
          .script = "rsync -ac --delete --backup t/ base/t/", .survive = FCT_LIST("base/t/f~"));
}

Test(user_data, a_service_that_is_killed_in_the_middle_of_a_save) {
  fct_need("python3");
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f; echo old > base/g",
                      .script =
                          "exec python3 -c \"\nimport os, signal\n"
                          "open('base/f.tmp', 'w').write('new'); os.rename('base/f', 'base/f.bak')\n"
                          "os.rename('base/f.tmp', 'base/f'); os.unlink('base/g'); open('base/g', 'w').write('n')\n"
                          "open('base/own', 'w').close()\n"
                          "os.kill(os.getpid(), signal.SIGKILL)\n\"",
                      .survive = FCT_LIST("base/f.bak"), .gone = FCT_LIST("base/own"), .killed = true);
}

/* ---- the same programs on files of their own ---- */

Test(own_data, rewritten_moved_and_linked_files_leave_nothing, .fini = fct_teardown, .timeout = 120) {
  FCT_LEAVES_NOTHING(
          .script =
              "echo 1 > base/f; rm base/f; echo 2 > base/f; mv base/f base/f.bak; echo 3 > base/f\n"
              "ln base/f base/hard; echo 4 > base/n; mv base/n base/f; cp --remove-destination base/f.bak base/f\n"
              "install -b base/hard base/f; ln -s f base/link; ln -sfn hard base/link; ls base");
}

Test(own_data, packers_leave_nothing, .fini = fct_teardown, .timeout = 120) {
  fct_need("gzip");
  fct_need("xz");
  FCT_LEAVES_NOTHING(
          .script = "cd base; mkdir logs; echo 1 > logs/1; echo 2 > logs/2; tar czf l.tgz logs; tar xzf l.tgz\n"
                    "gzip logs/1; xz logs/2; gunzip logs/1.gz; unxz logs/2.xz; cat logs/1 logs/2; rm -rf logs; ls");
}

Test(own_data, zip_leaves_nothing, .fini = fct_teardown, .timeout = 120) {
  fct_need("zip");
  FCT_LEAVES_NOTHING(.script = "cd base; mkdir d; echo 1 > d/1; zip -qr a.zip d; zip -qrm b.zip d; unzip -q a.zip; ls");
}

Test(own_data, editors_leave_nothing, .fini = fct_teardown, .timeout = 120) {
  fct_need("vim");
  fct_need("perl");
  FCT_LEAVES_NOTHING(.script =
                         "cd base; echo old > f; sed -i s/old/a/ f; sed -i.sed s/a/b/ f; perl -i.perl -pe s/b/c/ f\n"
                         "vim -es -u NONE -i NONE -c 'set backup backupskip=' -c 's/c/d/' -c wq f; cat f; ls");
}

Test(own_data, patch_and_ed_and_ar_leave_nothing, .fini = fct_teardown, .timeout = 120) {
  fct_need("patch");
  fct_need("ed");
  fct_need("ar");
  FCT_LEAVES_NOTHING(
          .setup = "echo old > a; echo new > b; diff -u --label a --label b a b > p || :",
          .script = "echo old > base/f; patch -s -b base/f p; cat base/f; printf 's/new/d/\\nw\\nq\\n' | ed -s base/f\n"
                    "echo 1 > base/m; ar rcD base/l.a base/m; ar rD base/l.a base/f; ar t base/l.a; ls base");
}

Test(own_data, git_in_a_repository_of_the_session_leaves_nothing, .fini = fct_teardown, .timeout = 120) {
  fct_need("git");
  FCT_LEAVES_NOTHING(.script = OLD_REPOSITORY "git checkout -q HEAD~1; git branch b; git tag v1; git checkout -q main\n"
                                              "git gc -q; git stash list; git log --format=%s; git fsck");
}

Test(own_data, compilers_leave_nothing, .fini = fct_teardown, .timeout = 120) {
  fct_need("gcc");
  FCT_LEAVES_NOTHING(.script =
                         "cd base; echo 'int main(void) { return 1; }' > m.c; gcc -c m.c; gcc -c m.c; gcc m.o -o m\n"
                         "gcc m.o -o m; ./m; echo $?; ls");
}

Test(own_data, sqlite_leaves_nothing, .fini = fct_teardown, .timeout = 120) {
  fct_need("python3");
  FCT_LEAVES_NOTHING(.killed = true, .script = SQLITE_AND_DIE(
                                         "c.execute('create table t(x, y)'); c.execute('pragma journal_mode=wal')\n"
                                         "c.execute('insert into t values (1, 2)')\n"));
}

Test(own_data, sqlite_in_rollback_mode_leaves_nothing, .fini = fct_teardown, .timeout = 120) {
  fct_need("python3");
  FCT_LEAVES_NOTHING(.killed = true,
                     .script = SQLITE_AND_DIE(
                         "c.execute('create table t(x, y)'); c.execute('pragma cache_size=10')\n"
                         "c.execute('begin')\n"
                         "for i in range(2000): c.execute('insert into t values (1, ?)', ('a' * 500,))\n"));
}

Test(own_data, log_rotation_leaves_nothing, .fini = fct_teardown, .timeout = 120) {
  FCT_LEAVES_NOTHING(.script =
                         "cd base; echo 0 > log; mv log log.1; echo 1 > log; mv log.1 log.2; mv log log.1; : > log\n"
                         "cp log.1 log.copy; : > log.1; gzip -n log.2; ls");
}

/* ---- found by hostile reviews ---- */

Test(user_data, removed_through_a_link_from_outside_and_written_again) {
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f; ln -s base way", .script = "rm way/f; echo new > base/f");
}

Test(user_data, moved_aside_through_a_link_from_outside) {
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f; ln -s base way",
                      .script = "mv way/f way/f.bak; cp base/f.bak base/f", .survive = FCT_LIST("base/f.bak"));
}

Test(user_data, emptied_through_a_link_from_outside) {
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/log; ln -s base way", .script = "cp base/log base/log.1; : > way/log",
                      .survive = FCT_LIST("base/log.1"));
}

Test(user_data, copied_and_removed_through_a_link_from_outside) {
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f; ln -s base way", .script = "cp base/f base/copy; rm way/f",
                      .survive = FCT_LIST("base/copy"));
}

Test(user_data, copied_into_a_new_directory_removed_and_moved_back) {
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/a", .script = "cd base; mkdir w; cp a w/a; rm a; mv w/a b; rmdir w",
                      .survive = FCT_LIST("base/b"));
}

Test(user_data, packed_into_a_new_directory_removed_and_moved_back) {
  fct_need("tar");
  FCT_USER_DATA_WHOLE(.setup = "mkdir base/d; echo old > base/d/f",
                      .script = "cd base; mkdir st; tar cf st/d.tar --mtime=@0 d; rm -rf d; mv st/d.tar .; rmdir st",
                      .survive = FCT_LIST("base/d.tar"));
}

Test(user_data, linked_after_the_original_was_removed) {
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/a", .script = "cd base; mkdir w; cp a w/b; rm a; ln w/b c; rm -r w",
                      .survive = FCT_LIST("base/c"));
}

Test(user_data, directory_emptied_and_filled_with_other_names) {
  FCT_USER_DATA_WHOLE(.setup = "mkdir base/out; echo old > base/out/a",
                      .script = "rm base/out/*; echo new > base/out/b", .survive = FCT_LIST("base/out/b"));
}

Test(user_data, release_behind_a_link_of_the_users) {
  FCT_USER_DATA_WHOLE(.setup = "mkdir base/v1; echo old > base/v1/z; ln -s v1 base/current",
                      .script = "cd base; mkdir v2; echo new > v2/z; ln -sfn v2 current",
                      .survive = FCT_LIST("base/v2/z"));
}

Test(user_data, shell_that_made_the_log_once_and_rotates_it_later) {
  fct_need("bash");
  FCT_USER_DATA_WHOLE(.setup = "mkdir out; echo old > out/log",
                      .script = "bash -c 'cd base; : > log; mv ../out/log log; cp log log.1; : > log'",
                      .survive = FCT_LIST("base/log.1"));
}

Test(user_data, removed_through_a_descriptor_that_named_another_directory_before) {
  fct_need("python3");
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f; mkdir elsewhere", .survive = FCT_LIST("base/copy"),
                      .script = "python3 -S -c 'import os\n"
                                "os.dup2(os.open(\"elsewhere\", os.O_RDONLY), 50)\n"
                                "try: os.unlink(\"/proc/self/fd/50/nothing\")\n"
                                "except OSError: pass\n"
                                "os.dup2(os.open(\"base\", os.O_RDONLY), 50)\n"
                                "open(\"base/copy\", \"w\").write(open(\"base/f\").read())\n"
                                "os.unlink(\"/proc/self/fd/50/f\")'");
}

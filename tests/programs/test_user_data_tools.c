/* More ordinary programs on a base that held the user's files before: tools that are on every developer's machine. What
 * test_user_data.c says holds here too; the last test counts the idioms of both. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../harness/harness.h"

TestSuite(user_data, .fini = fct_teardown, .timeout = 120);

/* ---- coreutils and friends ---- */

Test(user_data, sort_into_its_own_input) {
  FCT_USER_DATA_WHOLE(.setup = "printf '2\\n1\\n' > base/f",
                      .script = "sort -o base/f base/f; sort -T base -o base/f base/f");
}

Test(user_data, split_and_csplit_beside_the_original_that_goes) {
  FCT_USER_DATA_WHOLE(.setup = "seq 100 > base/f; seq 10 > base/g",
                      .script = "cd base; split -l 50 f part. && rm f; csplit -s -f piece. g 5 && rm g",
                      .survive = FCT_LIST("base/part.aa", "base/part.ab", "base/piece.00", "base/piece.01"));
}

Test(user_data, dd_into_the_middle) {
  FCT_USER_DATA_WHOLE(
          .setup = "seq 1000 > base/disk",
          .script = "printf XYZ | dd of=base/disk bs=1 seek=100 conv=notrunc 2>/dev/null; truncate -s +10 base/disk");
}

Test(user_data, tee_over_and_onto_the_end) {
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f; echo old > base/g",
                      .script = "echo new | tee base/f; echo more | tee -a base/g");
}

Test(user_data, mv_with_backup) {
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f; echo new > base/g", .script = "mv -b base/g base/f",
                      .survive = FCT_LIST("base/f~"));
}

Test(user_data, ln_with_backup) {
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f; echo new > base/g",
                      .script = "ln -sb g base/f; ln -b base/g base/g2", .survive = FCT_LIST("base/f~"));
}

Test(user_data, shred_and_write_again) {
  FCT_USER_DATA_WHOLE(.setup = "echo secret > base/f", .script = "shred -n 1 -u base/f; echo new > base/f");
}

Test(user_data, truncated_and_grown) {
  FCT_USER_DATA_WHOLE(.setup = "seq 100 > base/f",
                      .script = "truncate -s 10 base/f; fallocate -l 20 base/f; truncate -s 15 base/f");
}

Test(user_data, find_that_renames_and_removes) {
  FCT_USER_DATA_WHOLE(
          .setup = "mkdir -p base/d/e; echo 1 > base/d/a.txt; echo 2 > base/d/e/b.txt; echo 3 > base/d/c.o",
          .script =
              "find base -name '*.txt' -exec sh -c 'mv \"$1\" \"${1%.txt}.md\"' - {} \\;; find base -name '*.o' -delete",
          .survive = FCT_LIST("base/d/a.md", "base/d/e/b.md"));
}

Test(user_data, rename_by_pattern) {
  fct_need("rename");
  FCT_USER_DATA_WHOLE(.setup = "echo 1 > base/a.htm; echo 2 > base/b.htm", .script = "rename s/htm$/html/ base/*.htm",
                      .survive = FCT_LIST("base/a.html", "base/b.html"));
}

Test(user_data, sponge_onto_its_own_input) {
  fct_need("sponge");
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f", .script = "sed s/old/new/ base/f | TMPDIR=$BASE sponge base/f");
}

Test(user_data, line_ends_by_dos2unix_and_unix2dos) {
  fct_need("dos2unix");
  FCT_USER_DATA_WHOLE(.setup = "printf 'a\\r\\n' > base/f; printf 'b\\n' > base/g; printf 'c\\r\\n' > base/h",
                      .script = "cd base; dos2unix -q f; unix2dos -q g; dos2unix -q -n h h.unix && rm h",
                      .survive = FCT_LIST("base/h.unix"));
}

Test(user_data, awk_in_place) {
  fct_need("gawk");
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f",
                      .script = "gawk -i inplace '{ sub(/old/, \"new\"); print }' base/f");
}

Test(user_data, ex_save) {
  fct_need("ex");
  FCT_USER_DATA_WHOLE(.setup = "echo old > base/f",
                      .script = "printf '%%s/old/new/\\nwq\\n' | ex -s -u NONE -i NONE base/f");
}

Test(user_data, json_by_jq_and_a_rename) {
  fct_need("jq");
  FCT_USER_DATA_WHOLE(.setup = "echo '{\"a\":1}' > base/f",
                      .script = "jq .a=2 base/f > base/f.tmp && mv base/f.tmp base/f");
}

Test(user_data, xml_formatted_onto_itself) {
  fct_need("xmllint");
  FCT_USER_DATA_WHOLE(.setup = "echo '<a><b/></a>' > base/f", .script = "xmllint --format base/f --output base/f");
}

Test(user_data, revisions_by_rcs) {
  fct_need("ci");
  FCT_USER_DATA_WHOLE(.setup = "cd base; echo 1 > f; ci -q -u -t-x f; co -q -l f; echo 2 > f",
                      .script = "cd base; ci -q -u -mtwo f", .vary = FCT_LIST("base/f,v"),
                      .verify = "cd base; co -q -p1.1 f; co -q -p1.2 f");
}

/* ---- packers ---- */

Test(user_data, tar_that_overwrites_and_updates) {
  fct_need("tar");
  FCT_USER_DATA_WHOLE(.setup = "mkdir t; echo new > t/f; tar cf t.tar -C t f; echo old > base/f; cd base; echo 1 > a\n"
                               "tar cf a.tar a; echo 2 > b; touch -d @5 a b",
                      .script = "tar xf t.tar -C base --overwrite; cd base; tar rf a.tar b; tar uf a.tar a b",
                      .vary = FCT_LIST("base/a.tar"), .verify = "tar tf base/a.tar");
}

Test(user_data, tar_that_removes_what_it_packs) {
  fct_need("tar");
  FCT_USER_DATA_WHOLE(.setup = "mkdir base/d; echo 1 > base/d/f", .script = "cd base; tar cf d.tar --remove-files d",
                      .survive = FCT_LIST("base/d.tar"), .vary = FCT_LIST("base/d.tar"),
                      .verify = "tar xOf base/d.tar");
}

Test(user_data, cpio_over_old_files) {
  fct_need("cpio");
  FCT_USER_DATA_WHOLE(.setup =
                          "mkdir t; echo new > t/f; echo old > base/f; (cd t && echo f | cpio -o --quiet > ../t.cpio)",
                      .script = "cd base; cpio -iu --quiet < ../t.cpio");
}

Test(user_data, bzip2_and_zstd_that_remove_their_input) {
  fct_need("bzip2");
  fct_need("zstd");
  FCT_USER_DATA_WHOLE(.setup = "echo data > base/f; echo data > base/g", .script = "bzip2 base/f; zstd -q --rm base/g",
                      .survive = FCT_LIST("base/f.bz2", "base/g.zst"));
}

Test(user_data, seven_zip_update_and_delete) {
  fct_need("7z");
  FCT_USER_DATA_WHOLE(.setup = "cd base; echo 1 > a; 7z a z.7z a > ../log; echo 2 > b; echo 3 > c",
                      .script = "cd base; 7z u z.7z b > ../log; 7z a -sdel z.7z c > ../log; rm ../log",
                      .vary = FCT_LIST("base/z.7z", "log"), .verify = "cd base; 7z x -so z.7z");
}

Test(user_data, zip_that_freshens_and_deletes_members) {
  fct_need("zip");
  FCT_USER_DATA_WHOLE(.setup = "cd base; echo 1 > a; echo 2 > b; zip -q z.zip a b; echo 3 > a",
                      .script = "cd base; zip -qf z.zip a; zip -qd z.zip b", .vary = FCT_LIST("base/z.zip"),
                      .verify = "cd base; unzip -p z.zip");
}

Test(user_data, an_archive_read_written_anew_and_renamed_by_python) {
  fct_need("python3");
  FCT_USER_DATA_WHOLE(
          .setup = "python3 -c \"import zipfile; zipfile.ZipFile('base/z.zip', 'w').writestr('a', 'old')\"",
          .script =
              "exec python3 -c \"\nimport zipfile, os\no = zipfile.ZipFile('base/z.zip'); n = zipfile.ZipFile('base/z.new', 'w')\n"
              "n.writestr('a', o.read('a') + b'new'); n.close(); os.replace('base/z.new', 'base/z.zip')\n\"",
          .vary = FCT_LIST("base/z.zip"),
          .verify = "python3 -c \"import zipfile; print(zipfile.ZipFile('base/z.zip').read('a'))\"");
}

/* ---- transfers and logs ---- */

#define TREE_TO_SEND                                                                                                   \
  "mkdir t base/t; echo new > t/f; echo new > t/g; echo old > base/t/f; echo old > base/t/g; echo x > base/t/x"

Test(user_data, rsync_in_place) {
  fct_need("rsync");
  FCT_USER_DATA_WHOLE(.setup = TREE_TO_SEND, .script = "rsync -rc --inplace t/ base/t/");
}

Test(user_data, rsync_with_delayed_updates) {
  fct_need("rsync");
  FCT_USER_DATA_WHOLE(.setup = TREE_TO_SEND, .script = "rsync -rc --delay-updates --delete-after t/ base/t/");
}

Test(user_data, rsync_with_a_directory_of_backups) {
  fct_need("rsync");
  FCT_USER_DATA_WHOLE(.setup = TREE_TO_SEND, .script = "rsync -rc --delete --backup --backup-dir=../saved t/ base/t/",
                      .survive = FCT_LIST("base/saved/f", "base/saved/x"));
}

Test(user_data, rsync_that_moves) {
  fct_need("rsync");
  FCT_USER_DATA_WHOLE(.setup = "mkdir base/from base/to; echo 1 > base/from/f",
                      .script = "rsync -r --remove-source-files base/from/ base/to/", .survive = FCT_LIST("base/to/f"));
}

Test(user_data, logrotate_with_copytruncate_and_compression) {
  fct_need("logrotate");
  FCT_USER_DATA_WHOLE(
          .setup =
              "chmod 755 base; mkdir base/logs; chmod 755 base/logs; echo old > base/logs/a; echo old > base/logs/b\n"
              "printf '%s {\\n rotate 2\\n copytruncate\\n}\\n%s {\\n rotate 2\\n compress\\n create\\n}\\n' "
              "$BASE/logs/a $BASE/logs/b > conf; chmod 600 conf",
          .script = "PATH=$PATH:/usr/sbin logrotate -f -s status conf",
          .survive = FCT_LIST("base/logs/a.1", "base/logs/b.1.gz"),
          .vary = FCT_LIST("status", "base/logs/b.1.gz", "conf"), .verify = "zcat base/logs/b.1.gz");
}

/* ---- programming languages and their stores ---- */

Test(user_data, make_that_builds_anew_and_deletes_what_failed) {
  fct_need("make");
  FCT_USER_DATA_WHOLE(
          .setup =
              "cd base; printf 'all: out bad\\nout: in\\n\\tcp in out\\nbad: in\\n\\techo half > bad; false\\n.DELETE_ON_ERROR:\\n' "
              "> Makefile; echo old > out; echo old > bad; touch -d @5 out bad; echo new > in",
          .script = "cd base; make -ks 2>/dev/null; echo $?");
}

Test(user_data, strip_and_objcopy_in_place) {
  fct_need("gcc");
  fct_need("strip");
  FCT_USER_DATA_WHOLE(.setup = "echo 'int main(void) { return 3; }' > m.c; gcc -g m.c -o base/m; cp base/m base/n",
                      .script = "TMPDIR=$BASE strip base/m; objcopy --strip-debug base/n",
                      .vary = FCT_LIST("base/m", "base/n"), .verify = "base/m; echo $?; base/n; echo $?");
}

Test(user_data, ranlib_and_ar_that_deletes_a_member) {
  fct_need("ar");
  FCT_USER_DATA_WHOLE(.setup = "echo 1 > a; echo 2 > b; ar rcD base/l.a a b",
                      .script = "ar dD base/l.a a; ranlib -D base/l.a");
}

Test(user_data, pictures_changed_in_place) {
  fct_need("mogrify");
  FCT_USER_DATA_WHOLE(
          .setup = "convert -size 4x4 xc:red base/p.ppm; convert -size 4x4 xc:red base/q.ppm",
          .script = "MAGICK_TEMPORARY_PATH=$BASE mogrify -negate base/p.ppm; convert base/q.ppm -negate base/q.ppm");
}

Test(user_data, a_dbm_of_python_reorganized) {
  fct_need("python3");
  FCT_USER_DATA_WHOLE(
          .setup = "python3 -c \"import dbm.dumb; d = dbm.dumb.open('base/db'); d['a'] = 'old'; d.close()\"",
          .script =
              "exec python3 -c \"\nimport dbm.dumb\nd = dbm.dumb.open('base/db'); d['a'] = 'new'; d['b'] = 'x'; d.close()\n\"",
          .vary = FCT_LIST("base/db.*"),
          .verify =
              "python3 -c \"import dbm.dumb; d = dbm.dumb.open('base/db', 'r'); print(sorted((k, d[k]) for k in d.keys()))\"");
}

Test(user_data, sqlite_backup_over_an_old_one) {
  fct_need("sqlite3");
  FCT_USER_DATA_WHOLE(
          .setup = "cd base; sqlite3 db 'create table t(x); insert into t values (1)'; sqlite3 old 'create table t(x)'",
          .script =
              "cd base; sqlite3 db 'insert into t values (2)' '.backup old'; sqlite3 db '.dump' > dump.tmp && rm dump.tmp",
          .vary = FCT_LIST("base/db*", "base/old*"), .verify = "sqlite3 base/old 'select sum(x) from t'");
}

Test(user_data, files_of_php_and_ruby) {
  fct_need("php");
  fct_need("ruby");
  FCT_USER_DATA_WHOLE(
          .setup = "echo old > base/f; echo old > base/g",
          .script = "php -n -r 'file_put_contents(\"base/f.tmp\", \"new\"); rename(\"base/f.tmp\", \"base/f\");'\n"
                    "ruby --disable-gems -e 'require \"fileutils\"; File.write(\"base/g.new\", \"n\"); "
                    "FileUtils.mv(\"base/g\", \"base/g.bak\"); FileUtils.mv(\"base/g.new\", \"base/g\")'",
          .survive = FCT_LIST("base/g.bak"));
}

Test(user_data, releases_switched_by_a_link_that_is_renamed) {
  FCT_USER_DATA_WHOLE(
          .setup = "mkdir base/r1; echo 1 > base/r1/v; ln -s r1 base/current",
          .script = "cd base; cp -r r1 r2; echo 2 > r2/v; ln -s r2 current.new; mv -T current.new current; rm -r r1",
          .survive = FCT_LIST("base/r2/v"));
}

Test(user_data, package_tools_that_keep_the_old_configuration) {
  FCT_USER_DATA_WHOLE(.setup = "mkdir base/etc; echo mine > base/etc/conf; echo theirs > new",
                      .script =
                          "cd base/etc; cp ../../new conf.dpkg-new; cp -a conf conf.dpkg-old; mv conf.dpkg-new conf",
                      .survive = FCT_LIST("base/etc/conf.dpkg-old"));
}

/* Found by the model test. */
Test(user_data, built_in_a_tree_that_replaced_another_and_published_from_there) {
  FCT_USER_DATA_WHOLE(
          .setup = "mkdir -p base/site base/site.new/w; echo old > base/site.new/a",
          .script = "cd base; mv -T site.new site; mkdir site/w/out; echo page > site/w/out/f; mv site/w/out published",
          .survive = FCT_LIST("base/published/f"));
}

/* ---- how many ---- */

static int count_in(const char *file) {
  char line[512];
  int count = 0;
  FILE *source = fopen(fct_format("%s/tests/programs/%s", FC_SOURCE_DIR, file), "r");
  cr_assert_not_null(source, "%s", file);
  while (fgets(line, sizeof line, source)) count += strncmp(line, "Test(user_data, ", 16) == 0;
  (void)fclose(source);
  return count;
}

Test(idioms, are_counted) {
  const int count = count_in("test_user_data.c") + count_in("test_user_data_tools.c");
  (void)fprintf(stderr, "user data: %d programs and idioms on a base that holds the user's files\n", count);
  cr_expect_geq(count, 60);
}

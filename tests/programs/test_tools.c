/* Tools that keep a store, an archive or an edited text: git, databases, packers, editors. Everything that they make
 * lies below the base, and so does the directory in which they work. */
#include <criterion/criterion.h>

#include "../harness/harness.h"

TestSuite(tools, .fini = fct_teardown, .timeout = 120);

#define IN_BASE "set -e; mkdir base/m base/tmp; export TMPDIR=$BASE/tmp; cd base/m; set +e\n"

/* ---- git ---- */

#define REPOSITORY                                                                                                     \
  "git init -q -b main repo; cd repo; git config gc.auto 0\n"                                                          \
  "for i in 1 2 3 4 5; do echo $i > f$i; git add f$i; git commit -q -m $i; done\n"

Test(tools, git_clone_commit_and_collect_leave_nothing) {
  fct_need("git");
  FCT_LEAVES_NOTHING(.lingers = true,
                     .script =
                         IN_BASE "(" REPOSITORY ")\n"
                                 "git clone -q repo clone; git clone -q --bare --no-hardlinks repo bare.git\n"
                                 "git clone -q \"file://$PWD/repo\" --depth 2 shallow; ls shallow\n"
                                 "cd clone; echo new > new; git add new; git commit -q -m new; git push -q "
                                 "origin main:other; git fetch -q; git gc -q --prune=now; git repack -a -d -q\n"
                                 "git -C ../repo branch; git log --format=%s; git fsck; git archive -o a.tgz HEAD\n"
                                 "git bundle create -q b HEAD main; git clone -q b from-bundle; ls from-bundle\n");
}

Test(tools, git_worktree_stash_and_rebase_leave_nothing) {
  fct_need("git");
  FCT_LEAVES_NOTHING(
          .lingers = true,
          .script = IN_BASE REPOSITORY
          "git worktree add -q ../tree HEAD~2; ls ../tree; echo x > ../tree/f1; git worktree list | wc -l\n"
          "git worktree remove ../tree; echo $?; git worktree remove --force ../tree; ls ..\n"
          "git worktree add -q -b kept ../kept; echo dirty > f1; echo u > untracked; git stash -q -u; git stash list\n"
          "git stash pop -q; git status -s; git checkout -q f1; git checkout -q -b topic HEAD~3\n"
          "echo topic > t; git add t; git commit -q -m topic; git rebase -q main; git log --format=%s\n"
          "echo a > f1; git commit -q -am a; git checkout -q main; echo b > f1; git commit -q -am b\n"
          "git rebase -q topic > conflict 2>&1; echo $?; cat f1 | wc -l; git rebase --abort; git status -s\n"
          "git merge -q topic > merge 2>&1; echo $?; git checkout -q --ours f1; git add f1; git commit -q -m merged\n"
          "git cherry-pick -x HEAD~1 > pick 2>&1; echo $?; git cherry-pick --abort; git reset -q --hard HEAD~1\n"
          "git notes add -m note; git tag -a -m tag v1; git pack-refs --all; git reflog | wc -l; git describe; ls\n");
}

Test(tools, git_killed_in_a_hook_leaves_nothing) {
  fct_need("git");
  /* Its lock file stays in the plain run. */
  FCT_LEAVES_NOTHING(.script = IN_BASE REPOSITORY
                     "printf '#!/bin/sh\\nkill -9 $PPID\\n' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit\n"
                     "echo more > f1; (git commit -q -am more; echo $?); ls .git/*.lock\n",
                     .lingers = true);
}

/* ---- databases ---- */

Test(tools, sqlite_command_leaves_nothing) {
  fct_need("sqlite3");
  FCT_LEAVES_NOTHING(
          .script = IN_BASE
          "export SQLITE_TMPDIR=$TMPDIR\n"
          "sqlite3 db 'create table t(x, y); pragma cache_size=10; begin;\n"
          "  with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)\n"
          "  insert into t select i, hex(randomblob(50)) from n; commit; create index i on t(y);\n"
          "  select count(*) from t; delete from t where x % 2; vacuum; pragma integrity_check'\n"
          "sqlite3 db 'pragma journal_mode=wal; insert into t values (1, 2); select count(*) from t' '.backup copy'\n"
          "sqlite3 db .dump | sqlite3 restored; sqlite3 restored 'select count(*) from t'\n"
          "sqlite3 db \"attach 'copy' as c; begin; insert into c.t values (1, 2); insert into t values (3, 4); commit\"\n"
          "sqlite3 db 'select * from missing'; echo $?; ls\n");
}

Test(tools, sqlite_command_killed_in_a_transaction_leaves_nothing) {
  fct_need("sqlite3");
  /* The one that says so may be the last to leave. */
  FCT_LEAVES_NOTHING(
          .lingers = true,
          .script = IN_BASE
          "mkfifo in; sqlite3 db < in & pid=$!; exec 5> in\n"
          "echo 'create table t(x); pragma cache_size=1; begin exclusive;\n"
          "  with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)\n"
          "  insert into t select hex(randomblob(50)) from n;' >&5; echo .shell touch written >&5\n"
          "until test -e written; do sleep 0.01; done; kill -9 $pid; { wait $pid; } 2> /dev/null; echo $?; ls\n");
}

/* ---- packers ---- */

#define TREE                                                                                                           \
  "mkdir -p tree/a/b tree/empty; seq 20000 > tree/a/numbers; echo 2 > tree/a/b/2; ln -s a/numbers tree/link\n"         \
  "ln tree/a/b/2 tree/hard; mkfifo tree/fifo; chmod 400 tree/a/b/2; touch -d 2001-01-01 tree/a/numbers tree/a\n"

Test(tools, tar_that_removes_its_files_leaves_nothing) {
  fct_need("tar");
  FCT_LEAVES_NOTHING(
          .setup = TREE,
          .script = IN_BASE
          "cp -a ../../tree tree; tar -cf t.tar tree; mkdir out; tar -xf t.tar -C out\n"
          "tar -cf r.tar --remove-files tree; ls; tar -xf r.tar; tar -df r.tar; echo $?\n"
          "tar -xf r.tar --unlink-first; tar -xf r.tar --keep-newer-files; tar -xf r.tar --backup\n"
          "tar -xf t.tar --recursive-unlink; tar -rf r.tar -C out tree/a; tar --delete -f r.tar tree/link\n"
          "tar -tf r.tar | sort | uniq -c; tar -c -M -L 64 -f v1 -f v2 -f v3 tree; ls v*\n"
          "tar -g snapshot -cf level0.tar tree; sleep 0.02; echo x > tree/x; tar -g snapshot -cf level1.tar tree\n"
          "tar -tf level1.tar; find . | sort\n");
}

Test(tools, zip_and_unzip_leave_nothing) {
  fct_need("zip");
  fct_need("unzip");
  FCT_LEAVES_NOTHING(
          .setup = TREE "rm tree/fifo",
          .script = IN_BASE
          "cp -a ../../tree .; zip -qry a.zip tree; zip -qr -b ../tmp a.zip tree/a; zip -qd a.zip tree/hard\n"
          "zip -q -s 64k -r split.zip tree -0; ls split*; unzip -q a.zip -d out; unzip -qo a.zip -d out\n"
          "unzip -q -B a.zip -d out < /dev/null; echo $?; zip -qf a.zip; zip -qrm moved.zip tree; zip -q - a.zip > s\n"
          "unzip -p a.zip tree/a/b/2; zip -q none.zip no-such-file; echo $?; find . | sort\n");
}

/* Each of them removes what it has packed and unpacked. */
Test(tools, packers_of_single_files_leave_nothing) {
  static const char *const packers[] = {"gzip", "bzip2", "xz", "zstd"};
  for (size_t i = 0; i < sizeof packers / sizeof *packers; i++) fct_need(packers[i]);
  FCT_LEAVES_NOTHING(
          .script = IN_BASE
          "seq 50000 > data; printf 'c\\nb\\na\\n' > small\n"
          "for p in gzip bzip2 xz 'zstd -q --rm'; do\n"
          "  d=${p%% *}; mkdir $d; cp data small $d; (cd $d; set -- $p; $p data small; echo $?; ls; cp * ..\n"
          "  $1 -t *; echo $?; $p -d *; echo $?; cmp data ../data; $1 -k data; $1 -kf data; $1 -9c small > s; ls\n"
          "  echo broken > bad.gz; $1 -dc bad.gz 2> /dev/null; echo $?; cat small | $1 | $1 -dc)\n"
          "done; zstd -q -T2 -19 data; zstd -q --train gzip/* -o dictionary 2> /dev/null; ls\n");
}

Test(tools, rsync_leaves_nothing) {
  fct_need("rsync");
  FCT_LEAVES_NOTHING(
          .setup = TREE,
          .script = IN_BASE
          "rsync -aH ../../tree/ to/; echo old > to/extra; rsync -a --delete ../../tree/ to/; ls to\n"
          "echo changed > to/a/numbers; rsync -a --inplace ../../tree/ to/; cmp to/a/numbers ../../tree/a/numbers\n"
          "echo changed > to/a/numbers; rsync -a --partial --partial-dir=.p --delay-updates ../../tree/ to/\n"
          "echo changed > to/a/numbers; rsync -a --backup --backup-dir=../old --temp-dir=$TMPDIR ../../tree/ to/\n"
          "ls old/a; rsync -a --link-dest=../to to/ linked/; rsync -a --remove-source-files linked/ moved/\n"
          "rsync -a no-such there 2> /dev/null; echo $?; find . | sort\n");
}

/* ---- editors ---- */

Test(tools, vim_and_ed_leave_nothing) {
  fct_need("vim");
  fct_need("ed");
  FCT_LEAVES_NOTHING(
          .script = IN_BASE
          "echo old > f; echo old > g\n"
          "vim -es -u NONE -i info -c 'set backup backupskip= undofile' -c 's/old/new/' -c wq f; echo $?; cat f\n"
          "vim -es -u NONE -i NONE -c 'set backupcopy=yes writebackup' -c 's/old/a/' -c 'w h' -c 'w! g' -c q! g; cat g\n"
          "vim -es -u NONE -i NONE -c 'r !echo shell' -c '%!sort -r' -c 'mksession s.vim' -c x f; cat f\n"
          "printf 'a\\nline\\n.\\nw e\\n!echo $((1+1))\\n,s/line/two/\\nw\\nq\\n' | ed -s; cat e\n"
          "printf 'r f\\nw f.copy\\nQ\\n' | ed -s e; ed -s no-such < /dev/null; echo $?; ls -A\n");
}

Test(tools, vim_killed_with_a_swap_file_leaves_nothing) {
  fct_need("vim");
  /* It kills itself when the swap file is on the disk; what it had changed is to be recovered from there. */
  FCT_LEAVES_NOTHING(.script = IN_BASE "echo old > f\n"
                                       "(vim -es -n -u NONE -i NONE -c 'set swapfile updatecount=1' -c 's/old/new/'"
                                       " -c preserve -c 'call system(\"kill -9 \" . getpid())' f; echo $?); ls -A\n",
                     .lingers = true);
}

Test(tools, patch_and_sed_leave_nothing) {
  fct_need("patch");
  fct_need("sed");
  FCT_LEAVES_NOTHING(
          .setup = "seq 20 > a; sed 's/^10$/ten/' a > b; diff -u --label f --label f a b > ten.diff || :\n"
                   "seq 3 | diff -u --label /dev/null --label made/here /dev/null - > new.diff || :\n"
                   "diff -u --label f --label f b a > back.diff || :; rm a b\n",
          .script = IN_BASE
          "D=../..; seq 20 > f; patch -p0 < $D/ten.diff; grep -c ten f; patch -b -p0 -R < $D/ten.diff; ls\n"
          "patch -b -V numbered -p0 < $D/ten.diff; patch -p0 -f < $D/ten.diff; echo $?; ls; patch -p0 < $D/new.diff\n"
          "patch -p0 -R < $D/new.diff; patch --dry-run -p0 < $D/back.diff; patch -o out -p0 f < $D/back.diff; ls\n"
          "seq 30 40 > f; patch -f -p0 < $D/ten.diff; echo $?; ls; patch -p0 -r - -f < $D/ten.diff; echo $?\n"
          "sed -i s/3/three/ f; sed -i.bak s/4/four/ f f.orig; mkdir bak; sed -i'bak/*~' 1d f; ln -s f l\n"
          "sed -i 's/no[/' f; echo $?; sed -i --follow-symlinks 2d l; sed -n 'w copy' f; cat f | wc -l; ls . bak\n");
}

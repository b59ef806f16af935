/* What shell scripts do to files: sort, copy, move, link, split, destroy, and many small writers at once. */
#include <criterion/criterion.h>

#include "../harness/harness.h"

TestSuite(files, .fini = fct_teardown, .timeout = 120);

#define IN_BASE "set -e; mkdir base/m base/tmp; export TMPDIR=$BASE/tmp; cd base/m; set +e\n"

Test(files, sort_that_spills_merges_and_sorts_in_place_leaves_nothing) {
  fct_need("sort");
  FCT_LEAVES_NOTHING(
          .script = IN_BASE
          "seq 300000 -1 1 > n; mkdir t1 t2; sort -S 1M -T t1 -T t2 n > a; cmp a a && wc -l < a\n"
          "sort -n -S 1M n -o n; head -1 n; sort -S 1M --parallel=2 --compress-program=gzip n | md5sum\n"
          "split -n l/40 n part.; sort -m -n --batch-size=3 -T t1 part.* | cmp - n; echo $?\n"
          "sort -m -n part.* -o part.aa; wc -l < part.aa; sort -T no-such -S 1M n > /dev/null 2> err; echo $?\n"
          "sort -S 1M n | head -1; sort -u -R n | wc -l; ls . t1 t2\n");
}

Test(files, sort_killed_with_all_its_runs_on_the_disk_leaves_nothing) {
  fct_need("sort");
  /* Its input does not end until it is dead; the descriptor 5 keeps the FIFO open. */
  FCT_LEAVES_NOTHING(.script = IN_BASE "mkfifo in; sort -S 1M < in & pid=$!; exec 5> in; seq 300000 >&5\n"
                                       "until ls ../tmp/sort* > /dev/null 2>&1; do sleep 0.01; done\n"
                                       "kill -9 $pid; { wait $pid; } 2> /dev/null; echo $?\n");
}

Test(files, mktemp_in_all_its_forms_leaves_nothing) {
  FCT_LEAVES_NOTHING(
          .script = IN_BASE
          "f=$(mktemp) && echo x > $f && d=$(mktemp -d) && mktemp -p \"$d\" > list && mktemp -t a.XXXX >> list\n"
          "mktemp -u >> list; mktemp --suffix=.c b.XXXXXX >> list; mktemp -d -p \"$d\" d.XXX >> list; wc -l < list\n"
          "test -s \"$f\" && ls \"$d\" | wc -l; ls ../tmp | wc -l; mktemp -p no-such 2> /dev/null; echo $?\n"
          "mktemp no-x; echo $?; trap 'rm -rf \"$d\"' EXIT; mv \"$f\" moved; cat moved\n");
}

#define TREE                                                                                                           \
  "mkdir -p tree/a/b tree/empty; echo 1 > tree/a/1; echo 2 > tree/a/b/2; ln -s a/1 tree/link; mkfifo tree/fifo\n"      \
  "ln tree/a/1 tree/hard; chmod 400 tree/a/b/2; truncate -s 1M tree/sparse; touch -d 2001-01-01 tree/a/1\n"

Test(files, cp_leaves_nothing) {
  FCT_LEAVES_NOTHING(
          .setup = TREE,
          .script = IN_BASE
          "T=../../tree; cp -r $T/a r; cp -a $T a; cp -a --reflink=auto $T/. reflink; cp -rlP a hard; cp -rs \"$PWD/a\" s\n"
          "cp --sparse=always $T/sparse .; cp --backup $T/a/1 sparse; cp --backup=numbered $T/a/1 sparse\n"
          "cp -u $T/a/1 sparse; cp -f $T/a/b/2 a/a/b/2; cp -n $T/a/1 a/a/b/2; cp --parents $T/a/1 s 2> /dev/null\n"
          "cp --attributes-only $T/a/1 only; cp -t empty.d $T/a/1; echo $?; cp a a; echo $?; cp -rT a r/again\n"
          "cp no-such x; echo $?; cp $T/link followed; cp -P $T/link kept; cp --remove-destination $T/a/1 followed\n"
          "find . -printf '%p %y %l\\n' | sort\n");
}

Test(files, mv_leaves_nothing) {
  FCT_LEAVES_NOTHING(
          .script = IN_BASE
          "mkdir d d/e dir; for i in 1 2 3 4 5 6; do echo $i > $i; done; mv 1 one; mv -b 2 one; mv -n 3 one; mv -t d 3 4\n"
          "mv d d2; mv d2 dir; mv -T dir/d2 back; mv back/3 .; mv --backup=numbered 3 one; mv 5 dir/; mv no-such x\n"
          "echo $?; mv back back/below; echo $?; mv 6 6; echo $?; mv ../m/6 ../m/seven; mv seven one; mv -f one dir/5; mv -u dir/5 new\n"
          "find . | sort\n");
}

Test(files, what_comes_from_another_file_system_and_goes_there_leaves_nothing_of_its_own) {
  struct fct_world *probe = fct_world_new();
  if (!probe->other[0]) cr_skip("there is no second file system at hand");
  /* Moved out, it is a result; moved out and in again, it came from outside and stays. */
  FCT_LEAVES_NOTHING(.script = IN_BASE
                     "echo 1 > f; mkdir d; echo 2 > d/g; mkfifo d/p; ln -s g d/l; mv f $OTHER/f; mv d $OTHER/d\n"
                     "find $OTHER | sort; cat $OTHER/f $OTHER/d/g; echo 3 > left; cp -a left $OTHER; cp $OTHER/f f\n"
                     "mv -f left $OTHER/f; cp -a $OTHER/d d; cat $OTHER/f d/g; find . | sort\n");
}

Test(files, what_is_moved_in_from_another_file_system_stays) {
  struct fct_world *probe = fct_world_new();
  if (!probe->other[0]) cr_skip("there is no second file system at hand");
  FCT_USER_DATA_WHOLE(.setup = "mkdir -p $OTHER/d/e; echo 1 > $OTHER/d/e/f; echo 2 > $OTHER/g; mkdir base/in\n"
                               "touch -d 2001-01-01 $OTHER/d/e/f $OTHER/g; ln -s g $OTHER/l",
                      .script = "mv $OTHER/d $OTHER/l base/in; mv $OTHER/g base/g; mv base/g base/h; ls $OTHER",
                      .survive = FCT_LIST("base/in/d/e/f", "base/in/l", "base/h"));
}

Test(files, install_and_links_leave_nothing) {
  FCT_LEAVES_NOTHING(
          .setup = "echo new > new; echo 'int main(void) { return 0; }' > m.c; gcc m.c -o program",
          .script = IN_BASE
          "N=../../new; install -D $N p/q/r; install -D -m 600 $N p/q/r; install -b $N p/q/r; install -d x/y/z\n"
          "install -C $N p/q/r; install -s ../../program p; p/program; echo $?; install -t x $N; install $N no/such\n"
          "echo $?; ln p/q/r hard; ln p/q/r hard; echo $?; ln -s hard soft; ln -sf p soft; ln -sfn x soft\n"
          "ln -b -s y soft; ln -r -s x/y/z relative; ln -P relative again; link hard linked; unlink hard\n"
          "readlink soft relative; find . -printf '%p %y %n %l\\n' | sort\n");
}

Test(files, split_csplit_truncate_tee_and_dd_leave_nothing) {
  FCT_LEAVES_NOTHING(
          .script = IN_BASE
          "seq 1000 > n; split -l 100 -d n l.; split -n 3 --additional-suffix=.p n; csplit -s n 100 500 '{1}'; ls\n"
          "csplit -s -k n 10 /no-such/; echo $?; csplit -s n /no-such/; echo $?; split -b 100 --filter='cat > $FILE.f' n\n"
          "truncate -s 10 n new; truncate -s -5 n; truncate -r n other; truncate -c -s 5 not-made; wc -c < n\n"
          "seq 3 | tee a b | tee -a d > c; seq 2 | tee -a d >> c; cat a d; echo x | tee no/such; echo $?; mkfifo p; seq 3 > p & cat p; wait\n"
          "dd if=/dev/zero of=z bs=1k count=4 2> /dev/null; dd if=a of=z conv=notrunc,fsync 2> /dev/null\n"
          "dd if=z of=z2 oflag=direct bs=4k count=1 2> /dev/null; dd of=e if=a conv=excl 2> /dev/null\n"
          "dd of=e if=a conv=excl 2> /dev/null; echo $?; fallocate -l 10k big; mknod pipe p; ls -l | wc -l; ls\n");
}

Test(files, shred_find_and_xargs_leave_nothing) {
  fct_need("find");
  FCT_LEAVES_NOTHING(
          .script = IN_BASE
          "for i in $(seq 50); do mkdir -p d/$((i % 5)); echo $i > d/$((i % 5))/$i; done; echo secret > s; shred -u s\n"
          "echo secret > t; shred -n 1 -z t; shred --remove=unlink t; echo secret > u; shred u; ls\n"
          "find d -name '*7' -delete; find d -name '*3' -exec rm {} +; find d -name '*1' -ok rm {} \\; < /dev/null 2>&1\n"
          "find d -type f -name '*2' -execdir mv {} {}.moved \\;; find d -fprint list; wc -l < list\n"
          "seq 40 | xargs -P4 -n1 sh -c 'echo $1 > x$1; mkdir y$1; echo $1 > y$1/f; rm -f x$(($1 - 20))' sh\n"
          "seq 10 | xargs -P4 -I{} touch z{}; ls x* y* z* | wc -l; find y* -depth -delete; rm -rf d/4; rmdir d/3\n"
          "rm -r d; echo $?; find . | sort\n");
}

Test(files, parallel_m4_and_awk_that_write_files_leave_nothing) {
  fct_need("m4");
  fct_need("awk");
  FCT_LEAVES_NOTHING(
          .script = IN_BASE
          "cat > text.m4 <<'END'\n"
          "define(`loop', `ifelse($1, 0, , `line $1 of N\nloop(decr($1))')')loop(200)divert(1)later\n"
          "divert(0)syscmd(`echo by shell > shell-'N)maketemp(`m4-XXXXXX')mkstemp(`m4-XXXXXX')\nEND\n"
          "for i in $(seq 12); do m4 -DN=$i text.m4 > out.$i & done; wait; cat out.* | grep -c line; ls shell-*\n"
          "m4 -F frozen -DX=1 < /dev/null; echo X | m4 -R frozen; ls m4-* | wc -l\n"
          "for i in $(seq 12); do awk -v n=$i 'BEGIN { for (k = 0; k < 50; k++) { f = \"awk-\" n \"-\" k; print k > f;"
          " close(f); print n >> f; close(f) } print \"x\" | (\"cat > pipe-\" n) }' & done; wait\n"
          "ls awk-* | wc -l; cat awk-* | md5sum; ls pipe-*\n");
}

Test(files, mogrify_and_montage_leave_nothing) {
  fct_need("mogrify");
  fct_need("montage");
  /* With so little memory its pixels lie in files, which a killed one leaves behind. */
  FCT_LEAVES_NOTHING(
          .script = IN_BASE
          "export MAGICK_TMPDIR=$TMPDIR MAGICK_MEMORY_LIMIT=1MB MAGICK_MAP_LIMIT=0 MAGICK_AREA_LIMIT=1KB\n"
          "montage -size 300x300 xc:red xc:green xc:blue gradient:black-white -geometry +2+2 sheet.png; ls\n"
          "cp sheet.png copy.png; mogrify -resize 50% -blur 0x1 copy.png; mogrify -format jpg sheet.png\n"
          "mogrify -path ../tmp -format gif -rotate 30 *.png; identify -format '%f %m %wx%h\\n' *.??g ../tmp/*.gif\n"
          "mogrify -format png no-such 2> /dev/null; echo $?; ls . ../tmp\n");
}

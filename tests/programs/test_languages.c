/* The libraries of Perl, Ruby and PHP: each has temporary files, forks and ends of its own. Python, Node and Java have
 * files of their own. */
#include <criterion/criterion.h>

#include "../harness/harness.h"

TestSuite(languages, .fini = fct_teardown, .timeout = 120);

/* The program stands beside the base, runs in it, and has its temporary directory there. */
static struct fct_case written(const char *interpreter, const char *program) {
  fct_need(interpreter);
  return (struct fct_case){.setup = fct_format("cat > program <<'END'\n%s\nEND\n", program),
                           .script = fct_format("export TMPDIR=$BASE; cd base && exec %s ../program", interpreter)};
}

static void leaves_nothing(const char *interpreter, const char *program) {
  const struct fct_case what = written(interpreter, program);
  fct_leaves_nothing(&what);
}

static void leaves_nothing_when_killed(const char *interpreter, const char *program) {
  struct fct_case what = written(interpreter, program);
  what.killed = true;
  fct_leaves_nothing(&what);
}

/* ---- Perl ---- */

Test(languages, perl_file_temp) {
  leaves_nothing(
      "perl",
      "use strict; use warnings; use File::Temp qw(tempfile tempdir :POSIX); use File::Spec; use Fcntl; use IO::File;\n"
      "$| = 1; my ($h, $name) = tempfile(UNLINK => 0); print $h 'kept'; close $h; print -s $name, qq(\\n);\n"
      "my ($g, $gone) = tempfile('XXXXXX', DIR => '.', SUFFIX => '.x', UNLINK => 1); print $g 'x'; close $g;\n"
      "my $kept = tempdir(); my $swept = tempdir(CLEANUP => 1);\n"
      "for my $d ($kept, $swept) { open my $f, '>', qq($d/in) or die; print $f 1; mkdir qq($d/sub) or die }\n"
      "{ my $o = File::Temp->new(UNLINK => 0); print $o 'object'; my $p = File::Temp->new; print $p 2; "
      "print -e qq($p), qq(\\n) }\n"
      "{ my $d = File::Temp->newdir(CLEANUP => 0); IO::File->new(qq($d/f), O_CREAT | O_EXCL | O_WRONLY)->print('z') }\n"
      "my $t = IO::File->new_tmpfile; print $t 'anonymous'; seek $t, 0, 0; print <$t>, qq(\\n);\n"
      "open my $anon, '+>', undef or die; print $anon 'a'; seek $anon, 0, 0; print <$anon>, qq(\\n);\n"
      "my $tmp = tmpnam(); sysopen my $s, File::Spec->rel2abs('sysopened'), O_RDWR | O_CREAT or die; syswrite $s, "
      "'abc';\n"
      "truncate $s, 1; print -s $s, qq(\\n); rename 'sysopened', 'renamed' or die; link 'renamed', 'linked' or die;\n"
      "symlink 'linked', 'link' or die; open my $a, '>>', 'link' or die; print $a 'z'; close $a; print -s 'linked', "
      "qq(\\n);\n"
      "unlink 'link' or die; rmdir 'none' or print qq($!\\n); opendir my $all, '.'; print scalar(() = readdir $all), "
      "qq(\\n);\n"
      "exit 6;\n");
}

Test(languages, perl_processes) {
  leaves_nothing(
      "perl",
      "use strict; use warnings; use POSIX (); use IPC::Open3; $| = 1;\n"
      "sub make { open my $f, '>', $_[0] or die qq($_[0]: $!); print $f $_[0]; close $f }\n"
      "sub child { my ($name, $end) = @_; my $pid = fork // die; if (!$pid) { make($name); $end->() }\n"
      "            waitpid $pid, 0; print qq($name $?\\n) }\n"
      "END { make('at-end') } child('exit', sub { exit 3 }); child('_exit', sub { POSIX::_exit(4) });\n"
      "child('kill', sub { kill KILL => $$; sleep 9 }); child('exec', sub { exec 'sh', '-c', 'echo e > by-exec; "
      "exit 5' });\n"
      "child('die', sub { open STDERR, '>', 'complaint'; die qq(died\\n) });\n"
      "child('daemon', sub { POSIX::setsid(); fork and POSIX::_exit(0); make('daemon-file'); POSIX::_exit(0) });\n"
      "1 until -s 'daemon-file'; print system('echo s > by-system; exit 7') >> 8, `tee by-ticks < by-system`, "
      "$? >> 8, qq(\\n);\n"
      "open my $to, '|-', 'cat > by-pipe' or die; print $to 'to'; close $to; print -s 'by-pipe', qq(\\n);\n"
      "open my $from, '-|', 'sh', '-c', 'echo from | tee by-from' or die; print <$from>; close $from;\n"
      "my $kid = open my $self, '-|' // die; if (!$kid) { make('by-forked-open'); print qq(hello\\n); "
      "exit 0 } print <$self>;\n"
      "my $pid = open3(my $in, my $out, undef, 'sh', '-c', 'cat > by-open3; ls /proc/self/fd | wc -l; exit 8');\n"
      "print $in 'x'; close $in; print <$out>; waitpid $pid, 0; print $? >> 8, qq(\\n);\n"
      "local $SIG{USR1} = sub { make('in-handler') }; kill USR1 => $$; print join(' ', sort glob '*'), qq(\\n); "
      "die qq(end\\n);\n");
}

Test(languages, perl_in_place_and_one_liners) {
  fct_need("perl");
  FCT_LEAVES_NOTHING(
          .script =
              "export TMPDIR=$BASE; cd base; printf 'a\\nb\\n' > f; cp f g; perl -i -pe 's/a/1/' f; cat f\n"
              "perl -i.bak -ne 'print unless /b/; open F, \">\", \"by-perl\"' f g; cat f f.bak g g.bak; "
              "perl -i'missing/*' -pe '' f\n"
              "mkdir old; perl -i'old/*' -pe 's/1/2/' f; cat old/f f; perl -MSDBM_File -MFcntl -e '\n"
              "tie my %h, \"SDBM_File\", \"dbm\", O_RDWR | O_CREAT, 0644 or die; $h{k} = 1; untie %h; "
              "print -e \"dbm.pag\"'\n"
              "perl -MFile::Copy -MFile::Path=make_path,remove_tree -e 'copy(\"f\", \"c\"); move(\"c\", \"d\"); "
              "make_path(\"x/y/z\");\n"
              "open F, \">\", \"x/y/f\"; remove_tree(\"x/y/z\"); open G, \">\", \"last\"; kill 15, $$'; echo $?; ls\n");
}

/* ---- Ruby ---- */

Test(languages, ruby_temporary_files) {
  leaves_nothing(
      "ruby",
      "require 'tempfile'; require 'tmpdir'; require 'fileutils'; require 'pstore'; require 'zlib'; require 'logger'\n"
      "kept = Tempfile.create('kept'); kept.write('1'); kept.close; p File.size(kept.path)\n"
      "Tempfile.create('in a block') { |f| f.puts 'x'; f.flush; p File.exist?(f.path) }\n"
      "t = Tempfile.new(['t', '.txt']); t.write('gone'); t.close; p t.length; u = Tempfile.new('u'); u.unlink; "
      "p u.path\n"
      "d = Dir.mktmpdir; File.write(d + '/f', 'in'); Dir.mktmpdir { |e| File.write(e + '/g', 'x'); "
      "p Dir.children(e) }\n"
      "FileUtils.mkdir_p('a/b/c'); FileUtils.touch(%w[a/1 a/b/2]); FileUtils.cp_r('a', 'copy'); FileUtils.mv('copy', "
      "'moved')\n"
      "FileUtils.ln_s('a', 'link'); FileUtils.ln('a/1', 'hard'); FileUtils.install('hard', 'installed', mode: 0700)\n"
      "FileUtils.rm_rf('moved/b'); IO.copy_stream($0, 'copied'); p File.size?('copied') == File.size($0)\n"
      "s = PStore.new('store'); 3.times { |i| s.transaction { s[i] = i } }; s.transaction(true) { p s.roots }\n"
      "Zlib::GzipWriter.open('z.gz') { |z| z.write('y' * 1000) }; Zlib::GzipReader.open('z.gz') { |z| p z.read.size }\n"
      "l = Logger.new('log', 2, 50); l.formatter = proc { |*a| a.last + 10.chr }; 20.times { "
      "|i| l.info('line ' + i.to_s) }; l.close\n"
      "File.open('w', 'w+', 0600) { |f| f.flock(File::LOCK_EX); f << 'w'; f.truncate(0) }; File.rename('w', 'v')\n"
      "begin; File.open('v', File::CREAT | File::EXCL); rescue => e; p e.class; end; p Dir['{a,h,i,l,m,s,v,z}*'].sort\n"
      "File.mkfifo('fifo'); require 'socket'; UNIXServer.new('socket'); p File.stat('socket').ftype; exit! 5\n");
}

Test(languages, ruby_processes_and_threads) {
  leaves_nothing(
      "ruby",
      "require 'open3'; require 'tempfile'; $stdout.sync = true; def make(n); File.write(n, n); end\n"
      "at_exit { make('at-exit') if Process.pid == $me }; $me = Process.pid; Tempfile.create('main')\n"
      "ends = { exit: -> { exit 3 }, exit!: -> { exit! 4 }, kill: -> { Process.kill(:KILL, $$); sleep }, abort: -> { "
      "abort },\n"
      "         exec: -> { exec 'echo e > by-exec; exit 5' } }\n"
      "ends.each { |n, e| pid = fork { make(n.to_s); e.call }; s = Process.wait2(pid)[1]; p [n, s.exitstatus, "
      "s.termsig] }\n"
      "p system('echo s > by-system; exit 7'), $?.exitstatus, `tee by-ticks < by-system`\n"
      "p Process.wait2(spawn('echo s; ls /proc/self/fd | wc -l', out: 'by-spawn', close_others: true))[1].exitstatus\n"
      "r, w = IO.pipe; system('echo passed >&9', 9 => w); p r.gets, IO.popen('tee by-popen', 'r+') { |f| f << 'x'; "
      "f.close_write; f.read }\n"
      "p Open3.capture3('tee by-open3; echo err >&2; exit 8', stdin_data: 'in').then { |o, e, s| [o, e, "
      "s.exitstatus] }\n"
      "4.times.map { |i| Thread.new { 30.times { |j| make('t' + i.to_s + '-' + j.to_s) } } }.each(&:join); "
      "p Dir['t?-*'].size\n"
      "Process.daemon(true, true) if fork.nil? && make('daemon'); Process.wait rescue make('daemonized')\n"
      "exit! 0 if $me != Process.pid; sleep 0.01 until File.exist?('daemonized'); trap(:USR1) { make('trapped') }\n"
      "Process.kill(:USR1, $$); sleep 0.01 until File.exist?('trapped'); p Dir['[a-ln-su-z]*'].sort; "
      "raise 'end' rescue exit 9\n");
}

/* ---- PHP ---- */

Test(languages, php_temporary_files) {
  leaves_nothing(
      "php",
      "<?php ini_set('session.save_path', getcwd()); ini_set('session.use_cookies', 0); session_id('abc'); "
      "session_start();\n"
      "$kept = tempnam(getenv('TMPDIR'), 'pre'); file_put_contents($kept, 'x', LOCK_EX);\n"
      "$t = tmpfile(); fwrite($t, 'gone'); echo file_exists(stream_get_meta_data($t)['uri']), PHP_EOL; "
      "echo sys_get_temp_dir() == getcwd();\n"
      "$spill = fopen('php://temp/maxmemory:10', 'w+'); fwrite($spill, str_repeat('y', 9999)); rewind($spill);\n"
      "echo strlen(stream_get_contents($spill)), PHP_EOL; file_put_contents('f', 'a'); file_put_contents('f', 'b', "
      "FILE_APPEND);\n"
      "foreach (['x', 'x+', 'c', 'c+', 'w', 'a', 'r'] as $m) { $h = @fopen(\"mode-$m\", $m); echo $m, (int)(bool)$h, "
      "' '; }\n"
      "mkdir('a/b', 0755, true); touch('a/b/c', 86400); copy('f', 'g'); rename('g', 'a/g'); link('f', 'hard'); "
      "symlink('f', 'soft');\n"
      "rename('hard', 'harder'); unlink('soft'); @rmdir('a') or print('not empty '); rename('a', 'moved'); "
      "print(@rmdir('none') ? 1 : 0);\n"
      "$z = gzopen('z.gz', 'w'); gzwrite($z, 'zzz'); gzclose($z); copy('compress.zlib://z.gz', 'unz'); "
      "echo file_get_contents('unz');\n"
      "echo filesize($kept), PHP_EOL;\n"
      "$_SESSION['k'] = 1; session_write_close(); echo implode(' ', array_map('basename', glob('sess_*'))), PHP_EOL;\n"
      "$p = new PharData('p.tar'); $p['in/f'] = 'phar'; $p->extractTo('out'); echo file_get_contents('out/in/f'), "
      "PHP_EOL;\n"
      "error_log(\"logged\\n\", 3, 'log'); $s = stream_socket_server('unix://socket'); $o = new SplFileObject('spl', "
      "'w');\n"
      "$o->fwrite('spl'); $v = new SplTempFileObject(0); $v->fwrite('t'); "
      "register_shutdown_function(fn() => touch('shutdown'));\n"
      "echo count(scandir('.')), PHP_EOL; exit(6);\n");
}

Test(languages, php_processes) {
  leaves_nothing_when_killed(
      "php",
      "<?php if (!function_exists('pcntl_fork')) { touch('no-pcntl'); exit('no pcntl'); } $me = getmypid();\n"
      "register_shutdown_function(function () use ($me) { touch(getmypid() == $me ? 'main-end' : 'child-end'); });\n"
      "$ends = ['exit' => fn() => exit(3), 'kill' => fn() => posix_kill(getmypid(), 9),\n"
      "         'exec' => fn() => pcntl_exec('/bin/sh', ['-c', 'echo e > by-exec; exit 4'])];\n"
      "foreach ($ends as $n => $end) { $pid = pcntl_fork(); if (!$pid) { touch($n); $end(); } pcntl_waitpid($pid, "
      "$s); echo \"$n $s\\n\"; }\n"
      "exec('echo x | tee by-exec2; exit 5', $out, $st); echo $out[0], $st, shell_exec('tee by-shell < by-exec2'); "
      "system('echo s | tee by-system');\n"
      "passthru('ls /proc/self/fd | wc -l'); $p = popen('cat > by-popen', 'w'); fwrite($p, 'to'); pclose($p); "
      "echo filesize('by-popen'), PHP_EOL;\n"
      "$p = proc_open(['sh', '-c', 'cat > by-open; echo out; exit 6'], [['pipe', 'r'], ['pipe', 'w'], ['file', "
      "'errors', 'a']], $io);\n"
      "fwrite($io[0], 'in'); fclose($io[0]); echo stream_get_contents($io[1]), proc_close($p), PHP_EOL;\n"
      "pcntl_async_signals(true); pcntl_signal(SIGUSR1, fn() => touch('in-handler')); posix_kill($me, SIGUSR1);\n"
      "echo implode(' ', glob('*')), PHP_EOL; posix_kill($me, SIGTERM); sleep(9);\n");
}

/* What Python's own library does with files and processes: it says the same, and nothing of its making stays. */
#include <criterion/criterion.h>

#include "../harness/harness.h"

TestSuite(python, .fini = fct_teardown, .timeout = 120);

#define WRITTEN "cat > program.py <<'END'\n%s\nEND\n"
#define STARTED "export TMPDIR=$BASE; cd base && exec python3 ../program.py "

/* A file and not -c: the children of spawn and forkserver read their main module again. */
static void leaves_nothing(const char *program, const char *arguments) {
  fct_need("python3");
  FCT_LEAVES_NOTHING(.setup = fct_format(WRITTEN, program), .script = fct_format(STARTED "%s", arguments));
}

/* The resource tracker and the fork server end after the program, when their pipes say so. */
static void leaves_nothing_in_the_end(const char *program, const char *arguments) {
  fct_need("python3");
  FCT_LEAVES_NOTHING(.setup = fct_format(WRITTEN, program), .script = fct_format(STARTED "%s", arguments),
                     .lingers = true);
}

Test(python, tempfile_in_all_its_forms) {
  leaves_nothing(
      "import os, tempfile\n"
      "fd, name = tempfile.mkstemp('.end', 'start'); os.write(fd, b'1'); os.close(fd)\n"
      "with tempfile.NamedTemporaryFile('w', delete=False) as f: f.write('kept')\n"
      "with tempfile.NamedTemporaryFile() as f: f.write(b'3'); f.flush(); print(os.path.exists(f.name))\n"
      "print(os.path.exists(f.name))\n"
      "with tempfile.TemporaryDirectory() as d: os.makedirs(d + '/x/y'); open(d + '/x/y/z', 'w').close()\n"
      "print(os.path.exists(d))\n"
      "d = tempfile.mkdtemp(); open(os.path.join(d, 'inside'), 'x').close(); os.rename(d, 'renamed')\n"
      "s = tempfile.SpooledTemporaryFile(max_size=10); s.write(b'x' * 9); print(s._rolled)\n"
      "s.write(b'x' * 100000); print(s._rolled, s.tell()); s.seek(0); print(len(s.read()))\n"
      "t = tempfile.TemporaryFile('w+'); t.write('anonymous'); t.seek(0); print(t.read())\n"
      "os.replace(name, 'replaced'); os.link('replaced', 'linked'); os.symlink('linked', 'symbolic')\n"
      "print(len(os.listdir('.')), tempfile.gettempdir() == os.environ['BASE'])\n"
      "abandoned = tempfile.TemporaryDirectory(prefix='abandoned'); open(abandoned.name + '/f', 'w').close()\n"
      "os._exit(3)\n",
      "");
}

Test(python, subprocess_with_every_handling_of_descriptors) {
  leaves_nothing(
      "import os, signal, subprocess as s, sys\n"
      "def say(r): print(r.returncode, r.stdout, r.stderr, flush=True)\n"
      "fds = 'cd /proc/self/fd; echo *'\n"
      "r, w = os.pipe(); os.set_inheritable(r, True)\n"
      "say(s.run(['sh', '-c', f'echo passed >&{w}; echo 1 > one; {fds}'], pass_fds=[w], capture_output=True, "
      "text=True))\n"
      "print(os.read(r, 99))\n"
      "say(s.run(f'echo two > two; {fds}; exit 5', shell=True, close_fds=False, stdout=s.PIPE, text=True))\n"
      "say(s.run(f'echo three > three; {fds}', shell=True, close_fds=True, stdout=s.PIPE, stderr=s.STDOUT, "
      "text=True))\n"
      "os.mkdir('d'); say(s.run(['sh', '-c', 'umask; : > four'], cwd='d', umask=0o77, start_new_session=True))\n"
      "say(s.run(['sh', '-c', ': > six'], preexec_fn=lambda: open('five', 'w').close()))\n"
      "say(s.run(['cat'], input='x' * 200000, stdout=open('seven', 'w'), text=True)); print(os.path.getsize('seven'))\n"
      "p = s.Popen(['sh', '-c', 'echo eight > eight; echo up; exec sleep 60'], stdout=s.PIPE)\n"
      "print(p.stdout.readline()); p.terminate(); print(p.wait())\n"
      "try: s.run(['sh', '-c', 'echo nine > nine; exec sleep 60'], timeout=1)\n"
      "except s.TimeoutExpired as e: print(len(e.cmd))\n"
      "try: s.run(['no-such-program'])\n"
      "except OSError as e: print(e)\n"
      "a = s.Popen(['tee', 'ten'], stdin=s.PIPE, stdout=s.PIPE); b = s.Popen(['wc', '-c'], stdin=a.stdout, "
      "stdout=s.PIPE)\n"
      "a.stdout.close(); a.stdin.write(b'y' * 70000); a.stdin.close(); print(b.communicate(), a.wait(), b.wait())\n"
      "say(s.run([sys.executable, '-c', 'import os; open(\"eleven\", \"w\").close(); os.kill(os.getpid(), 9)']))\n"
      "print(os.system('echo twelve > twelve; exit 7'), os.popen('tee thirteen < twelve').read(), "
      "sorted(os.listdir()))\n",
      "");
}

#define MULTIPROCESSING                                                                                                \
  "import multiprocessing as m, os, sys, tempfile\n"                                                                   \
  "from multiprocessing import shared_memory\n"                                                                        \
  "def work(i):\n"                                                                                                     \
  "    with tempfile.NamedTemporaryFile(delete=False) as f: f.write(b'x')\n"                                           \
  "    with open(f'worked{i}', 'w') as f: f.write(str(i))\n"                                                           \
  "    return i * i\n"                                                                                                 \
  "def put(queue, shared, pipe, name):\n"                                                                              \
  "    memory = shared_memory.SharedMemory(name=name); memory.buf[0] = 42; memory.close()\n"                           \
  "    os.mkdir('put'); open('put/in', 'w').close(); shared['k'] = os.listdir('put')\n"                                \
  "    pipe.send('through'); queue.put(list(range(1000)))\n"                                                           \
  "def die(how): open(f'died{how}', 'w').close(); os.kill(os.getpid(), 9) if how else os._exit(5)\n"                   \
  "if __name__ == '__main__':\n"                                                                                       \
  "    c = m.get_context(sys.argv[1]); memory = shared_memory.SharedMemory(create=True, size=64)\n"                    \
  "    with c.Pool(2) as pool: print(pool.map(work, range(6)), pool.apply_async(work, (9,)).get())\n"                  \
  "    with c.Manager() as manager:\n"                                                                                 \
  "        shared = manager.dict(); queue = c.Queue(); here, there = c.Pipe()\n"                                       \
  "        p = c.Process(target=put, args=(queue, shared, there, memory.name)); p.start()\n"                           \
  "        print(sum(queue.get()), here.recv()); p.join(); print(p.exitcode, dict(shared), memory.buf[0])\n"           \
  "    memory.close(); memory.unlink()\n"                                                                              \
  "    for how in 0, 1: p = c.Process(target=die, args=(how,)); p.start(); p.join(); print(p.exitcode)\n"              \
  "    print(sorted(n for n in os.listdir('.') if not n.startswith(('tmp', 'pymp'))))\n"

Test(python, multiprocessing_by_fork) { leaves_nothing_in_the_end(MULTIPROCESSING, "fork"); }
Test(python, multiprocessing_by_spawn) { leaves_nothing_in_the_end(MULTIPROCESSING, "spawn"); }
Test(python, multiprocessing_by_forkserver) { leaves_nothing_in_the_end(MULTIPROCESSING, "forkserver"); }

Test(python, children_that_outlive_a_killed_parent) {
  fct_need("python3");
  FCT_LEAVES_NOTHING(.killed = true, .lingers = true,
                     .setup = "cat > program.py <<'END'\nimport multiprocessing as m, os, time\n"
                              "def work(i):\n"
                              "    open(f'worked{i}', 'w').close(); time.sleep(0.2 if i else 0)\n"
                              "    if not i: os.kill(os.getppid(), 9)\n"
                              "    open(f'late{i}', 'w').close()\n"
                              "for i in 0, 1, 2: os.fork() or (work(i), os._exit(0))\n"
                              "time.sleep(60)\nEND\n",
                     .script = STARTED);
}

Test(python, process_pool_executor_and_threads) {
  leaves_nothing_in_the_end(
      "import concurrent.futures as f, os, tempfile, threading\n"
      "def work(i):\n"
      "    with tempfile.TemporaryDirectory() as d: open(d + '/x', 'w').close()\n"
      "    with open(f'process{i}', 'w') as o: o.write(str(i))\n"
      "    return i + 1\n"
      "def thread(i):\n"
      "    for j in range(60):\n"
      "        name = f'thread{i}-{j}'; open(name, 'w').close()\n"
      "        if j % 3 == 0: os.unlink(name)\n"
      "        if j % 3 == 1: os.rename(name, name + '-renamed')\n"
      "def broken(i): open(f'broken{i}', 'w').close(); os._exit(1)\n"
      "if __name__ == '__main__':\n"
      "    threads = [threading.Thread(target=thread, args=(i,)) for i in range(4)]\n"
      "    with f.ProcessPoolExecutor(2) as e: print(list(e.map(work, range(8))))\n"
      "    for t in threads: t.start()\n"
      "    with f.ThreadPoolExecutor(4) as e: print(list(e.map(work, range(8, 24))))\n"
      "    for t in threads: t.join()\n"
      "    try:\n"
      "        with f.ProcessPoolExecutor(1) as e: print(list(e.map(broken, range(2))))\n"
      "    except f.process.BrokenProcessPool as e: print(e)\n"
      "    names = os.listdir('.'); print(len([n for n in names if n.startswith('thread')]), 'process7' in names)\n",
      "");
}

Test(python, fork_from_a_thread_and_every_way_out) {
  leaves_nothing(
      "import atexit, os, sys, threading\n"
      "def fork(name, out):\n"
      "    pid = os.fork()\n"
      "    if not pid: open(name, 'w').close(); os.mkdir(name + '.d'); out()\n"
      "    print(name, os.waitpid(pid, 0)[1], os.path.exists(name), flush=True)\n"
      "atexit.register(lambda: open('at-exit', 'w').close())\n"
      "fork('_exit', lambda: os._exit(1)); fork('abort', os.abort); fork('kill', lambda: os.kill(os.getpid(), 9))\n"
      "fork('exec', lambda: os.execlp('sh', 'sh', '-c', 'echo e > by-exec; exit 4'))\n"
      "fork('execve', lambda: os.execve('/bin/sh', ['sh', '-c', 'kill -TERM $$'], dict(os.environ)))\n"
      "t = threading.Thread(target=fork, args=('thread', lambda: os._exit(2))); t.start(); t.join()\n"
      "if not os.fork():\n"
      "    os.setsid()\n"
      "    if os.fork(): os._exit(0)\n"
      "    open('grandchild', 'w').close(); os._exit(0)\n"
      "os.wait()\n"
      "while not os.path.exists('grandchild'): pass\n"
      "p = os.posix_spawn('/bin/sh', ['sh', '-c', 'cat > spawned; exit 6'], os.environ,\n"
      "                   file_actions=[(os.POSIX_SPAWN_OPEN, 0, '/proc/version', os.O_RDONLY, 0)])\n"
      "print(os.waitpid(p, 0)[1]); os.spawnlp(os.P_WAIT, 'touch', 'touch', 'touched')\n"
      "open('last', 'w').close(); sys.exit('said at the end')\n",
      "");
}

Test(python, asyncio_subprocesses_threads_and_sockets) {
  leaves_nothing(
      "import asyncio, os, tempfile\n"
      "def write(i):\n"
      "    with open(f'thread{i}', 'w') as f: f.write(str(i))\n"
      "    return i\n"
      "async def serve(reader, writer):\n"
      "    writer.write(b'echo ' + await reader.readline()); await writer.drain(); writer.close()\n"
      "async def main():\n"
      "    run = asyncio.create_subprocess_shell; P = asyncio.subprocess.PIPE\n"
      "    ps = await asyncio.gather(*(run(f'echo {i} | tee sub{i}; exit {i}', stdout=P) for i in range(5)))\n"
      "    print(await asyncio.gather(*(p.communicate() for p in ps)), [p.returncode for p in ps])\n"
      "    print(await asyncio.gather(*(asyncio.to_thread(write, i) for i in range(10))))\n"
      "    p = await asyncio.create_subprocess_exec('sh', '-c', ': > stopped; echo up; exec sleep 60', stdout=P,\n"
      "                                             cwd=tempfile.mkdtemp())\n"
      "    print(await p.stdout.readline()); p.kill(); print(await p.wait())\n"
      "    server = await asyncio.start_unix_server(serve, 'socket')\n"
      "    r, w = await asyncio.open_unix_connection('socket'); w.write(b'line\\n'); print(await r.readline())\n"
      "    w.close(); server.close(); print(os.path.exists('socket'))\n"
      "asyncio.run(main())\n",
      "");
}

/* ---- files that Python keeps for others ---- */

Test(python, sqlite_with_its_companions) {
  leaves_nothing("import os, sqlite3\n"
                 "for mode in 'delete', 'truncate', 'persist', 'wal':\n"
                 "    c = sqlite3.connect(mode + '.db', isolation_level=None); "
                 "print(c.execute(f'pragma journal_mode={mode}').fetchall())\n"
                 "    c.execute('pragma cache_size=5'); c.execute('create table t(x, y)'); c.execute('begin')\n"
                 "    c.executemany('insert into t values (?, ?)', [(i, 'a' * 300) for i in range(500)])\n"
                 "    c.execute('commit'); c.execute('create index i on t(y, x)'); "
                 "print(c.execute('select sum(x) from t').fetchall())\n"
                 "    c.execute('begin'); c.execute('update t set y = y || y'); print(sorted(os.listdir('.')))\n"
                 "    pid = os.fork()\n"
                 "    if not pid: os._exit(0)\n"
                 "    os.wait()\n"
                 "    if mode == 'truncate': c.rollback()\n"
                 "c.execute('vacuum into \"copied.db\"') if not c.in_transaction else print('in a transaction')\n"
                 "os._exit(0)\n",
                 "");
}

Test(python, archives_and_databases_and_logs) {
  leaves_nothing(
      "import dbm.dumb, gzip, logging.handlers, lzma, mmap, os, pathlib, shelve, shutil, tarfile, zipfile\n"
      "with shelve.open('shelf') as s: s['a'] = [1]; s['b'] = {}\n"
      "with shelve.open('shelf', writeback=True) as s: s['a'].append(2); del s['b']\n"
      "with shelve.open('shelf') as s: print(dict(s))\n"
      "with dbm.dumb.open('dumb', 'c') as d: d['k'] = 'v'\n"
      "with dbm.dumb.open('dumb', 'n') as d: d['k'] = 'w'; d.sync(); print(d['k'])\n"
      "with zipfile.ZipFile('z.zip', 'w') as z: z.writestr('in/side', 'text'); z.write('dumb.dat')\n"
      "with zipfile.ZipFile('z.zip', 'a') as z: z.writestr('more', 'x'); z.extractall('unzipped')\n"
      "with tarfile.open('t.tar.gz', 'w:gz') as t: t.add('unzipped')\n"
      "with tarfile.open('t.tar.gz') as t: t.extractall('untarred')\n"
      "shutil.copytree('unzipped', 'tree'); shutil.make_archive('made', 'zip', 'tree'); "
      "shutil.unpack_archive('made.zip', 'u')\n"
      "shutil.move('tree', 'u/moved'); shutil.copy2('z.zip', 'u'); shutil.rmtree('untarred')\n"
      "for m in gzip, lzma:\n"
      "    with m.open('packed', 'wb') as f: f.write(b'y' * 1000)\n"
      "    with m.open('packed') as f: print(len(f.read()))\n"
      "log = logging.getLogger('l'); h = logging.handlers.RotatingFileHandler('log', maxBytes=50, backupCount=3)\n"
      "log.addHandler(h)\n"
      "for i in range(30): log.warning('line %d', i)\n"
      "p = pathlib.Path('path'); p.write_text('1'); p.rename('path2').replace('path3'); p.touch(); p.unlink()\n"
      "p.symlink_to('nowhere'); pathlib.Path('a/b/c').mkdir(parents=True)\n"
      "with open('mapped', 'w+b') as f: f.truncate(9000); m = mmap.mmap(f.fileno(), 0); m[:2] = b'hi'; m.flush(); "
      "m.close()\n"
      "print(open('mapped', 'rb').read(2), sorted(str(p) for p in pathlib.Path('.').rglob('*')))\n",
      "");
}

Test(python, byte_code_and_modules_run_as_programs) {
  fct_need("python3");
  FCT_LEAVES_NOTHING(
          .setup = "printf 'X = 1\\n' > module.py",
          .script =
              "export TMPDIR=$BASE; unset PYTHONDONTWRITEBYTECODE; cd base; mkdir package; cp ../module.py package\n"
              ": > package/__init__.py; python3 -c 'import package.module as m; print(m.X)'; ls package/*\n"
              "python3 -m compileall -q -f package; python3 -O -m py_compile package/module.py; ls package/*\n"
              "python3 -m zipfile -c app.pyz package; python3 -m zipfile -l app.pyz | wc -l\n"
              "python3 -m venv --without-pip env && env/bin/python3 -c 'import sys; print(sys.prefix)'\n"
              "python3 -m timeit -n 1 -r 1 'open(\"timed\", \"w\").close()' > /dev/null; ls; python3 -m none\n");
}

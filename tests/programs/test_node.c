/* Node: its thread pool creates, its workers are threads of one process, and its children are other Nodes. */
#include <criterion/criterion.h>

#include "../harness/harness.h"

TestSuite(node, .fini = fct_teardown, .timeout = 120);

enum end { ENDS, IS_KILLED };

/* Some releases let io_uring create files, which no preload can see. */
static void leaves_nothing(enum end end, const char *program) {
  fct_need("node");
  FCT_LEAVES_NOTHING(.setup = fct_format("cat > program.js <<'END'\n%s\nEND\n", program),
                     .script = "export TMPDIR=$BASE UV_USE_IO_URING=0; cd base && exec node ../program.js",
                     .killed = end == IS_KILLED);
}

Test(node, synchronous_file_calls) {
  leaves_nothing(
      ENDS,
      "const fs = require('fs'), os = require('os'), path = require('path'), zlib = require('zlib');\n"
      "const d = fs.mkdtempSync(path.join(os.tmpdir(), 'made-')); fs.writeFileSync(path.join(d, 'f'), 'x');\n"
      "console.log(os.tmpdir() === process.env.BASE, fs.readdirSync(d));\n"
      "fs.mkdirSync('a/b/c', { recursive: true }); fs.appendFileSync('log', '1'); fs.appendFileSync('log', '2');\n"
      "for (const flag of ['wx', 'w', 'a', 'ax+', 'r+', 'w+', 'as']) {\n"
      "  try { fs.closeSync(fs.openSync('flags', flag)); console.log(flag); } catch (e) { console.log(flag, e.code); "
      "} }\n"
      "fs.copyFileSync('log', 'copy'); fs.copyFileSync('log', 'clone', fs.constants.COPYFILE_FICLONE); "
      "fs.linkSync('log', 'hard');\n"
      "try { fs.copyFileSync('log', 'copy', fs.constants.COPYFILE_EXCL); } catch (e) { console.log(e.code); }\n"
      "fs.symlinkSync('log', 'soft'); fs.renameSync('copy', 'a/moved'); fs.cpSync('a', 'tree', { recursive: true });\n"
      "fs.rmSync('a', { recursive: true }); fs.writeFileSync('z.gz', zlib.gzipSync('text')); fs.truncateSync('clone', "
      "1);\n"
      "fs.unlinkSync('soft'); try { fs.rmdirSync('tree'); } catch (e) { console.log(e.code); }\n"
      "const fd = fs.openSync('positioned', 'w', 0o600); fs.writeSync(fd, 'end', 5000); fs.fsyncSync(fd); "
      "fs.closeSync(fd);\n"
      "console.log(fs.statSync('positioned').size, fs.readFileSync('log', 'utf8'), fs.readdirSync('.').length);\n"
      "process.on('exit', () => fs.writeFileSync('at-exit', 'x')); process.exit(5);\n");
}

Test(node, promises_and_streams_and_sockets) {
  leaves_nothing(
      ENDS,
      "const fs = require('fs'), fsp = fs.promises, os = require('os'), path = require('path'), net = require('net');\n"
      "const { pipeline } = require('stream/promises'), zlib = require('zlib');\n"
      "(async () => {\n"
      "  const d = await fsp.mkdtemp(path.join(os.tmpdir(), 'made-')), n = [...Array(40).keys()];\n"
      "  await Promise.all(n.map(i => fsp.writeFile(`p${i}`, `${i}`)));\n"
      "  await Promise.all(n.filter(i => i % 4 === 0).map(i => fsp.rename(`p${i}`, path.join(d, `${i}`))));\n"
      "  await Promise.all(n.filter(i => i % 4 === 1).map(i => fsp.unlink(`p${i}`)));\n"
      "  console.log((await fsp.readdir(d)).length, (await fsp.readdir('.')).length);\n"
      "  await pipeline(fs.createReadStream(process.execPath, { end: 300000 }), zlib.createGzip(), "
      "fs.createWriteStream('z.gz'));\n"
      "  await pipeline(fs.createReadStream('z.gz'), zlib.createGunzip(), fs.createWriteStream('z'));\n"
      "  console.log((await fsp.stat('z')).size); const h = await fsp.open('handle', 'wx'); await h.write('x'); "
      "await h.close();\n"
      "  await fsp.cp(d, 'copied', { recursive: true }); await fsp.rm(d, { recursive: true });\n"
      "  const half = fs.createWriteStream('half'); await new Promise(r => half.write('y'.repeat(100000), r));\n"
      "  const server = net.createServer(c => c.end('hello')).listen('socket', () =>\n"
      "    net.connect('socket').on('data', data => { console.log(`${data}`); throw new Error('uncaught'); }));\n"
      "  process.on('uncaughtException', e => { fs.writeFileSync('caught', e.message); process.kill(process.pid, "
      "'SIGUSR2'); });\n"
      "  process.on('SIGUSR2', () => { fs.writeFileSync('signalled', ''); process.exit(server.listening ? 6 : 7); });\n"
      "})();\n");
}

Test(node, worker_threads) {
  leaves_nothing(
      ENDS, "const { Worker, isMainThread, workerData, parentPort } = require('worker_threads'), fs = require('fs');\n"
            "if (!isMainThread) {\n"
            "  for (let j = 0; j < 50; j++) {\n"
            "    fs.writeFileSync(`w${workerData}-${j}`, 'x'); if (j % 2) fs.unlinkSync(`w${workerData}-${j}`); }\n"
            "  parentPort.postMessage(workerData); if (workerData === 2) process.exit(3);\n"
            "} else {\n"
            "  let sum = 0, left = 3;\n"
            "  for (let i = 0; i < 3; i++) new Worker(__filename, { workerData: i }).on('message', "
            "m => sum += m).on('exit', () => {\n"
            "    if (--left === 0) console.log(sum, fs.readdirSync('.').length); });\n"
            "}\n");
}

Test(node, child_processes) {
  leaves_nothing(
      IS_KILLED,
      "const c = require('child_process'), fs = require('fs'), util = require('util'), exec = util.promisify(c.exec);\n"
      "if (process.argv[2] === 'child') {\n"
      "  fs.writeFileSync('forked', 'x'); process.on('message', m => { process.send(m + 1, () => process.exit(4)); "
      "});\n"
      "} else (async () => {\n"
      "  const fds = 'cd /proc/self/fd; echo *';\n"
      "  console.log(`${c.execSync(`echo s | tee by-exec-sync; ${fds}`)}`, await exec('echo e > by-exec; "
      "cat by-exec'));\n"
      "  const s = c.spawnSync('sh', ['-c', `cat > by-spawn-sync; echo err >&2; ${fds}; exit 9`], { input: 'in' });\n"
      "  console.log(s.status, `${s.stdout}${s.stderr}`, c.spawnSync('no-such-program').error.code);\n"
      "  console.log(c.spawnSync('sh', ['-c', ': > timed; exec sleep 60'], { timeout: 1000 }).signal);\n"
      "  const p = c.spawn('sh', ['-c', 'echo s > by-spawn; echo up; exec sleep 60'], { stdio: ['ignore', 'pipe', "
      "'inherit'] });\n"
      "  await new Promise(r => p.stdout.once('data', r)); p.kill('SIGKILL');\n"
      "  console.log(await new Promise(r => p.on('exit', (code, signal) => r(signal))));\n"
      "  const out = fs.openSync('out', 'w'), e = c.spawn('sh', ['-c', 'echo detached'], { detached: true, "
      "stdio: ['ignore', out, 2] });\n"
      "  await new Promise(r => e.on('exit', r)); console.log(fs.readFileSync('out', 'utf8'));\n"
      "  const f = c.fork(__filename, ['child']); f.send(41); console.log(await new Promise(r => f.on('message', "
      "r)));\n"
      "  console.log(await new Promise(r => f.on('exit', r)), fs.readdirSync('.')); process.kill(process.pid, "
      "'SIGTERM');\n"
      "  await new Promise(() => setTimeout(() => 0, 9000));\n"
      "})();\n");
}

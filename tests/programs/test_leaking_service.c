/* A service that forgets one temporary file for each request, under load: its footprint stays flat, and it does not
 * notice.
 *
 * FC_SWEEP_SECONDS: how long it is under load (default 12). */
#include <criterion/criterion.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../harness/harness.h"
#include "../harness/harness_live.h"

TestSuite(leaking_service, .fini = fct_teardown, .timeout = 280);

#define TTL_S 2
#define INTERVAL_S 1

/* Writes its port; each request leaves a file of 10 kB; the first files of all are held open, one for writing, one for
 * reading, one mapped, and looked at in the end. */
static const char server[] =
    "import http.server, mmap, os, signal, sys, tempfile, threading\n"
    "base = os.environ['BASE']\n"
    "out = open(base + '/held-out', 'w+b'); out.write(b'begin'); out.flush()\n"
    "with open(base + '/held-in', 'wb') as f: f.write(b'x' * 4096)\n"
    "inp = open(base + '/held-in', 'rb')\n"
    "with open(base + '/held-map', 'wb') as f: f.write(b'm' * 4096)\n"
    "with open(base + '/held-map', 'r+b') as f: mapped = mmap.mmap(f.fileno(), 4096)\n"
    "class Handler(http.server.BaseHTTPRequestHandler):\n"
    "  def do_GET(self):\n"
    "    fd, name = tempfile.mkstemp(dir=base)\n"
    "    with os.fdopen(fd, 'w+b') as f:\n"
    "      f.write(self.path.encode() * 100); f.flush(); f.seek(0)\n"
    "      text = f.read(len(self.path))\n"
    "    with open(name, 'rb') as f: again = f.read(len(self.path))\n"
    "    good = text == self.path.encode() == again\n"
    "    self.send_response(200 if good else 500); self.send_header('Content-Length', len(text)); self.end_headers()\n"
    "    self.wfile.write(text)\n"
    "  def log_message(self, *args): pass\n"
    "class Server(http.server.ThreadingHTTPServer):\n"
    "  daemon_threads = True\n"
    "  request_queue_size = 128\n"
    "s = Server(('127.0.0.1', 0), Handler)\n"
    "with open('port.tmp', 'w') as f: f.write(str(s.server_address[1]))\n"
    "os.rename('port.tmp', 'port')\n"
    "signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=s.shutdown).start())\n"
    "s.serve_forever()\n"
    "out.write(b'end'); out.flush()\n"
    "print([os.fstat(f.fileno()).st_nlink for f in (out, inp)], len(inp.read()), mapped[:3], sorted(n for n in "
    "os.listdir(base) if n.startswith('held')))\n";

static const char client[] = "import sys, time, urllib.request\n"
                             "port, seconds = open('port').read(), float(sys.argv[1])\n"
                             "end, good, bad = time.monotonic() + seconds, 0, 0\n"
                             "while time.monotonic() < end:\n"
                             "  path = '/request-%d' % (good + bad)\n"
                             "  try:\n"
                             "    with urllib.request.urlopen('http://127.0.0.1:' + port + path, timeout=30) as r:\n"
                             "      fine = r.status == 200 and r.read() == path.encode()\n"
                             "  except Exception as e:\n"
                             "    fine = False; print(e)\n"
                             "  good, bad = good + fine, bad + (not fine)\n"
                             "  time.sleep(0.005)\n"
                             "print(good, bad)\n";

static void pause_ms(long ms) {
  struct timespec span = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
  nanosleep(&span, NULL);
}

static void serve_under_load(const char *what, enum fct_mode mode, const char *age_by, const char *guardian,
                             unsigned threads_of_ours) {
  fct_need("python3");
  const char *asked = getenv("FC_SWEEP_SECONDS");
  const int seconds = asked && atoi(asked) > 0 ? atoi(asked) : 12;
  struct fct_world *world = fct_world_new();
  fct_write(world, "base/mine", "the user's\n");
  struct fct_job *service = FCT_START(
      world, .mode = mode, .argv = FCT_LIST("python3", "-c", server), .limit_s = 240,
      .env = FCT_LIST(fct_format("FILECLEANUP_TTL=%ds", TTL_S), fct_format("FILECLEANUP_INTERVAL=%ds", INTERVAL_S),
                      fct_format("FILECLEANUP_AGE_BY=%s", age_by), fct_format("FILECLEANUP_GUARDIAN=%s", guardian)));
  cr_assert(fct_wait_exists(world, "port"), "%s: the service does not start", what);
  struct fct_job *load = FCT_START(world, .mode = FCT_PLAIN, .limit_s = 240,
                                   .argv = FCT_LIST("python3", "-c", client, fct_format("%d", seconds)));
  size_t early = 0, late = 0;
  unsigned ours = 0;
  for (int ms = 0; ms < seconds * 1000; ms += 100) {
    pause_ms(100);
    const size_t now = fct_count(world, "base");
    size_t *const most = ms < seconds * 500 ? &early : &late;
    if (now > *most) *most = now;
    DIR *tasks = opendir(fct_format("/proc/%d/task", (int)fct_job_pid(service)));
    unsigned found = 0;
    for (struct dirent *entry; tasks && (entry = readdir(tasks));) {
      char name[32] = "";
      FILE *comm = fopen(fct_format("/proc/%d/task/%s/comm", (int)fct_job_pid(service), entry->d_name), "re");
      if (comm && fgets(name, sizeof name, comm)) found += strncmp(name, "fc-", 3) == 0;
      if (comm) fclose(comm);
    }
    if (tasks) closedir(tasks);
    if (found > ours) ours = found;
  }
  const struct fct_result loaded = fct_finish(load);
  long good = 0, bad = -1;
  cr_assert_eq(sscanf(loaded.out, "%ld %ld", &good, &bad), 2, "%s: %s%s", what, loaded.out, loaded.err);
  kill(fct_job_pid(service), SIGTERM);
  const struct fct_result served = fct_finish(service);
  fprintf(stderr, "leaking service, %s by %s: %ld requests; at most %zu names early, %zu late\n", what, age_by, good,
          early, late);
  cr_expect_eq(bad, 0, "%s: %ld requests failed: %s", what, bad, loaded.out);
  cr_expect_eq(served.status, 0, "%s: %s", what, served.err);
  cr_expect_str_eq(served.out, "[1, 1] 4096 b'mmm' ['held-in', 'held-map', 'held-out']\n", "%s: %s", what, served.out);
  cr_expect_eq(ours, threads_of_ours, "%s: %u threads of ours in the service", what, ours);
  cr_expect_gt(good, 100, "%s: hardly any load", what);
  /* All of it would be there without sweeping; what is there at once is some three seconds' worth. */
  cr_expect_lt(late, (size_t)good * 3 / 4, "%s: %zu of %ld files stand there at once", what, late, good);
  cr_expect_lt(late, early * 2 + 50, "%s: the footprint grows from %zu to %zu names", what, early, late);
  cr_expect(fct_wait_no_guardian(world));
  cr_expect_eq(fct_count(world, "base"), 1, "%s: %zu names are left", what, fct_count(world, "base"));
}

Test(leaking_service, is_swept_by_its_own_thread) { serve_under_load("LD_PRELOAD", FCT_BARE, "newest", "0", 1); }
Test(leaking_service, is_swept_by_its_own_thread_by_mtime) {
  serve_under_load("LD_PRELOAD", FCT_BARE, "mtime", "0", 1);
}
Test(leaking_service, is_swept_by_its_guardian) { serve_under_load("filecleanup run", FCT_RUN, "newest", "0", 0); }
Test(leaking_service, is_swept_by_a_guardian_in_bare_mode) {
  serve_under_load("LD_PRELOAD with a guardian", FCT_BARE, "mtime", "1", 0);
}

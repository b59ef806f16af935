/* kill_host: a program with one tracked thing of each kind, for a tracer that kills whoever cleans up after it.
 *
 * usage: kill_host BASE
 *
 * Creates own-file, own-link, own-directory/{a,below/b}, replaced, recreated, late, contested, guested/ours and
 * guested-late/ours in BASE, then sends itself SIGURG: the tracer stops it there and begins to count system calls, and
 * plays an outsider who changes some of these. SIGURG is ignored by default, so without a tracer nothing happens.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *base;

static const char *in_base(const char *name) {
  static char path[4096];
  snprintf(path, sizeof path, "%s/%s", base, name);
  return path;
}

static int make_file(const char *name) {
  const int fd = open(in_base(name), O_CREAT | O_EXCL | O_WRONLY, 0644);
  const int failed = fd < 0 || write(fd, "ours\n", 5) != 5;
  if (failed) fprintf(stderr, "kill_host: %s: %s\n", name, strerror(errno));
  if (fd >= 0) close(fd);
  return failed;
}

static int make_directory(const char *name) {
  const int failed = mkdir(in_base(name), 0755) != 0;
  if (failed) fprintf(stderr, "kill_host: %s: %s\n", name, strerror(errno));
  return failed;
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  base = argv[1];
  int failed = make_file("own-file") || symlink("own-file", in_base("own-link")) != 0;
  failed = failed || make_directory("own-directory") || make_file("own-directory/a");
  failed = failed || make_directory("own-directory/below") || make_file("own-directory/below/b");
  failed = failed || make_file("replaced") || make_file("recreated");
  failed = failed || make_file("late") || make_file("contested");
  failed = failed || make_directory("guested") || make_file("guested/ours");
  failed = failed || make_directory("guested-late") || make_file("guested-late/ours");
  kill(getpid(), SIGURG);
  return failed ? 3 : 0;
}

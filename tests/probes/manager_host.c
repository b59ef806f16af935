/* manager_host: a program that uses the library, for tests that look at it from outside.
 *
 * usage: manager_host crash BASE COUNT     tracks COUNT names of every kind, and is killed
 *        manager_host start BASE           makes a manager and ends it, as the next run would
 *        manager_host hold BASE            tracks f, g, old and d/inside, says ready, waits for `end`, ends
 *        manager_host both BASE OTHER      works in two bases with the library and without, and ends
 *        manager_host data BASE            moves the data of the file user, and of tree/user, to others with the
 * library's help manager_host exec BASE            tracks f, and becomes another program manager_host daemon BASE
 * daemon(3) with a manager: says `adopted`, waits for `end`, ends manager_host exchange BASE NUMBER ATTACKER as
 * `exchange_attacker session`, but removes by the library. The attacker is stopped until all is tracked: what the owner
 * tracks is his, even when somebody has just put a victim there.
 *
 * FILECLEANUP_STATE_DIR says where the journal stands.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "filecleanup.h"

enum { SESSION_FILES = 24, SESSION_DIRECTORIES = 8, KINDS = 6 }; /* as in exchange_attacker.c */

static const char *base;

static void die(const char *what) {
  fprintf(stderr, "manager_host: %s: %s\n", what, strerror(errno));
  _exit(3);
}

static void hear(void *context, enum fcm_log_level level, const char *line) {
  (void)context;
  (void)level;
  fprintf(stderr, "%s\n", line);
}

static fcm_manager *manager_of(const char *dir, bool quiet) {
  struct fcm_options options;
  fcm_options_init(&options);
  options.base_dir = dir;
  options.state_dir = getenv("FILECLEANUP_STATE_DIR");
  options.log = quiet ? NULL : hear;
  fcm_manager *m = fcm_create(&options);
  if (!m) die("fcm_create");
  return m;
}

static const char *in_base(const char *format, int number) {
  static char paths[8][PATH_MAX];
  static unsigned next;
  char *path = paths[next++ % 8];
  const int n = snprintf(path, PATH_MAX, "%s/", base);
  snprintf(path + n, (size_t)(PATH_MAX - n), format, number);
  return path;
}

static void create(const char *path, const char *text) {
  const int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
  if (fd < 0) die(path);
  if (write(fd, text, strlen(text)) != (ssize_t)strlen(text)) die(path);
  close(fd);
}

static void track(fcm_manager *m, const char *path) {
  if (fcm_track_file(m, path) < 0) die(path);
}

static bool stands(const char *path) {
  struct stat st;
  return lstat(path, &st) == 0;
}

static void wait_for_end(void) {
  while (!stands("end")) usleep(10000);
}

/* One of each kind: a file, one that comes later, one that never comes, a directory with a file, a tree with what is
 * not told, and a tree that was made by the library. */
static void crash(int count) {
  fcm_manager *m = manager_of(base, false);
  for (int i = 0; i < count / KINDS; i++) {
    char made[PATH_MAX];
    create(in_base("file%d", i), "x");
    track(m, in_base("file%d", i));
    track(m, in_base("later%d", i));
    create(in_base("later%d", i), "x");
    track(m, in_base("never%d", i));
    if (mkdir(in_base("dir%d", i), 0700) < 0) die("mkdir");
    track(m, in_base("dir%d", i));
    create(in_base("dir%d/f", i), "x");
    track(m, in_base("dir%d/f", i));
    if (mkdir(in_base("tree%d", i), 0700) < 0 || fcm_track_tree(m, in_base("tree%d", i)) < 0) die("tree");
    create(in_base("tree%d/untold", i), "x");
    if (fcm_make_directory(m, NULL, "made", made, sizeof made) < 0) die("fcm_make_directory");
    strcat(made, "/f");
    create(made, "x");
    /* And what stays: the user's, and what was taken back. */
    create(in_base("user%d", i), "x");
    create(in_base("back%d", i), "x");
    track(m, in_base("back%d", i));
    if (fcm_untrack_file(m, in_base("back%d", i)) < 0) die("fcm_untrack_file");
  }
  raise(SIGKILL);
}

static void hold(void) {
  fcm_manager *m = manager_of(base, false);
  const struct timespec old[2] = {{time(NULL) - 200000, 0}, {time(NULL) - 200000, 0}};
  create(in_base("f", 0), "x");
  create(in_base("g", 0), "x");
  create(in_base("old", 0), "x");
  if (utimensat(AT_FDCWD, in_base("old", 0), old, 0) < 0) die("utimensat");
  if (mkdir(in_base("d", 0), 0700) < 0) die("mkdir");
  create(in_base("d/inside", 0), "x");
  usleep(20000); /* what was born in the same tick of the clock as the word is not older than it */
  track(m, in_base("f", 0));
  track(m, in_base("g", 0));
  track(m, in_base("old", 0));
  if (fcm_track_tree(m, in_base("d", 0)) < 0) die("fcm_track_tree");
  create("ready", "");
  wait_for_end();
  if (fcm_destroy(m) < 0) die("fcm_destroy");
}

static void work(const char *dir) {
  fcm_manager *m = manager_of(dir, true);
  char path[PATH_MAX];
  bool removed;
  base = dir;
  for (int i = 0; i < 50; i++) {
    create(in_base("plain%d", i), "x"); /* under the shim it is the shim's; else nobody's, and goes below */
    create(in_base("tracked%d", i), "x");
    track(m, in_base("tracked%d", i));
    const int fd = fcm_make_file(m, NULL, "made", NULL, path, sizeof path);
    if (fd < 0) die("fcm_make_file");
    close(fd);
    if (i % 2 == 0 && (fcm_cleanup_file(m, in_base("tracked%d", i), &removed) < 0 || !removed)) die("fcm_cleanup_file");
    if (i % 5 == 0 && unlink(in_base("plain%d", i)) < 0) die("unlink");
    if (i % 5 == 1 && rename(in_base("plain%d", i), in_base("tracked%d", i)) < 0) die("rename");
  }
  struct fcm_result result;
  if (fcm_cleanup_old_files(m, FCM_HOURS(1), &result) < 0 || result.removed_count != 0) die("fcm_cleanup_old_files");
  if (fcm_destroy(m) < 0) die("fcm_destroy");
}

static void become(void) {
  fcm_manager *m = manager_of(base, false);
  create(in_base("f", 0), "x");
  track(m, in_base("f", 0));
  execl("/bin/true", "true", (char *)NULL);
  die("execl");
}

static void as_daemon(void) {
  fcm_manager *m = manager_of(base, false);
  create(in_base("f", 0), "x");
  track(m, in_base("f", 0));
  if (fcm_abandon(m) < 0) die("fcm_abandon");
  if (daemon(1, 0) < 0) die("daemon");
  if (fcm_adopt(m) < 0) die("fcm_adopt");
  create(in_base("g", 0), "x");
  track(m, in_base("g", 0));
  create("adopted", "");
  wait_for_end();
  if (fcm_destroy(m) < 0) die("fcm_destroy");
  create("destroyed", "");
}

/* The attacker swaps these names with victims while they are removed, one by one and by passes. */
static void exchange(const char *number, pid_t attacker) {
  static char names[SESSION_FILES + SESSION_DIRECTORIES][PATH_MAX];
  int created = 0;
  fcm_manager *m = manager_of(base, true);
  if (kill(attacker, SIGSTOP) < 0) die("kill");
  for (int i = 0; i < SESSION_FILES + SESSION_DIRECTORIES; i++) {
    char *name = names[i];
    const bool is_dir = i >= SESSION_FILES;
    snprintf(name, PATH_MAX, "%s/s%s-%s%d", base, number, is_dir ? "d" : "", i);
    if (is_dir && mkdir(name, 0700) < 0) die(name);
    if (is_dir) strcat(name, "/f");
    const int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
    if (fd < 0 || write(fd, "made by the session\n", 20) != 20) die(name);
    close(fd);
    created++;
    track(m, name);
  }
  if (kill(attacker, SIGCONT) < 0) die("kill");
  printf("%d\n", created);
  fflush(stdout);
  for (int i = 0; i < SESSION_FILES + SESSION_DIRECTORIES; i += 2) (void)fcm_cleanup_file(m, names[i], NULL);
  (void)fcm_cleanup_all_tracked(m, NULL);
  (void)fcm_destroy(m);
}

/* As gzip does it, and an editor, but that the library removes. */
static void move_data(void) {
  fcm_manager *m = manager_of(base, false);
  bool removed = false;
  create(in_base("user.gz", 0), "the user's, elsewhere");
  if (fcm_cleanup_file(m, in_base("user", 0), &removed) < 0 || !removed) die("fcm_cleanup_file");
  create(in_base("user", 0), "the user's, anew");
  create(in_base("tree.tar", 0), "the user's, packed");
  if (fcm_cleanup_directory(m, in_base("tree", 0), true, NULL) < 0) die("fcm_cleanup_directory");
  if (fcm_destroy(m) < 0) die("fcm_destroy");
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  const char *what = argv[1];
  base = argv[2];
  if (strcmp(what, "crash") == 0 && argc == 4)
    crash(atoi(argv[3]));
  else if (strcmp(what, "start") == 0) {
    if (fcm_destroy(manager_of(base, false)) < 0) die("fcm_destroy");
  } else if (strcmp(what, "hold") == 0)
    hold();
  else if (strcmp(what, "both") == 0 && argc == 4) {
    work(argv[2]);
    work(argv[3]);
  } else if (strcmp(what, "data") == 0)
    move_data();
  else if (strcmp(what, "exec") == 0)
    become();
  else if (strcmp(what, "daemon") == 0)
    as_daemon();
  else if (strcmp(what, "exchange") == 0 && argc == 5)
    exchange(argv[3], atoi(argv[4]));
  else
    return 2;
  return 0;
}

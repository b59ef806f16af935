/* exchange_attacker: somebody who swaps the user's files with tracked ones, as fast as he can, while they are deleted.
 *
 * usage: exchange_attacker victims BASE
 *          lays out the user's files, and prints how many there are
 *        exchange_attacker attack BASE COUNTERS [held]
 *          swaps until SIGTERM; the file COUNTERS holds struct counters. held: he holds the session's directories open,
 *          and so reaches into them also when they have been taken away.
 *        exchange_attacker session BASE NUMBER
 *          under the shim: creates files and directories, prints how many files, ends
 *        exchange_attacker count BASE
 *          looks everywhere below BASE and prints which victims are missing
 *
 * Responsible for: victims v0, v1, ... (files) and w0, w1, ... (directories with one file) that are told by their
 * contents and so can be found wherever they end up. The attacker must never: remove a victim, or enter a quarantine.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
  VICTIM_FILES = 24,
  VICTIM_DIRECTORIES = 8,
  VICTIMS = VICTIM_FILES + VICTIM_DIRECTORIES,
  SESSION_FILES = 24,
  SESSION_DIRECTORIES = 8,
  TARGETS_MAX = 256,
  SWAPS_MAX = 300,  /* of one name: it may live long */
  FAILURES_MAX = 4, /* then the list of names is stale */
  HOLD_ONE_IN = 8,  /* mostly it swaps at full speed: the window that it aims at is a microsecond wide */
  HOLD_MAX_NS = 20000,
  SHORT_NAME = 300,
  DEPTH_MAX = 6
};

#define SESSION_TEXT "made by the session\n"

/* Shared with the test, which reads while the attacker writes. */
struct counters {
  uint64_t exchanges; /* swaps that took place */
  uint64_t displaced; /* victims that were not where they had been put, because somebody had moved them meanwhile */
  uint64_t unlinked;  /* the session's files that the attacker itself removed from a victim's place */
};

static const char *base;
static int base_fd;
static volatile sig_atomic_t stop;

static void die(const char *what) {
  fprintf(stderr, "exchange_attacker: %s: %s\n", what, strerror(errno));
  _exit(3);
}

static void victim_name(int victim, char name[SHORT_NAME]) {
  if (victim < VICTIM_FILES)
    snprintf(name, SHORT_NAME, "v%d", victim);
  else
    snprintf(name, SHORT_NAME, "w%d", victim - VICTIM_FILES);
}

static void write_file(const char *name, const char *text) {
  const int fd = openat(base_fd, name, O_CREAT | O_EXCL | O_WRONLY, 0600);
  if (fd < 0) die(name);
  if (write(fd, text, strlen(text)) != (ssize_t)strlen(text)) die(name);
  close(fd);
}

static int lay_out_victims(void) {
  for (int victim = 0; victim < VICTIMS; victim++) {
    char name[SHORT_NAME];
    char inside[SHORT_NAME + 8];
    char text[32];
    victim_name(victim, name);
    snprintf(text, sizeof text, "victim %d\n", victim);
    if (victim < VICTIM_FILES) {
      write_file(name, text);
      continue;
    }
    if (mkdirat(base_fd, name, 0700) != 0) die(name);
    snprintf(inside, sizeof inside, "%s/inside", name);
    write_file(inside, text);
  }
  printf("%d\n", VICTIMS);
  return 0;
}

/* This part runs under the shim, so it uses the plain functions with absolute names. */
static int session(const char *number) {
  char name[PATH_MAX];
  int created = 0;
  for (int i = 0; i < SESSION_FILES + SESSION_DIRECTORIES; i++) {
    if (i < SESSION_FILES) {
      snprintf(name, sizeof name, "%s/s%s-%d", base, number, i);
    } else {
      snprintf(name, sizeof name, "%s/s%s-d%d", base, number, i);
      if (mkdir(name, 0700) != 0) die(name);
      strcat(name, "/f");
    }
    const int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
    if (fd < 0 && errno == ENOENT) continue; /* the directory has just been swapped away */
    if (fd < 0 && errno == EEXIST) continue; /* somebody's victim stands there for a moment */
    if (fd < 0) die(name);
    if (write(fd, SESSION_TEXT, strlen(SESSION_TEXT)) < 0) die(name);
    close(fd);
    created++;
  }
  printf("%d\n", created);
  return 0;
}

/* ---- finding victims by what they hold ---- */

struct found {
  bool there[VICTIMS];
  char path[VICTIMS][2 * SHORT_NAME]; /* relative to the base: the file, or the directory that holds "inside" */
  long session_files;
  bool quarantines; /* look into quarantines as well */
};

/* What the file holds: a victim's number, -1 for a file of the session, -2 for anything else. */
static int holder(int directory, const char *name) {
  char text[64] = "";
  const int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return -2;
  const ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  if (n < 0) return -2;
  text[n] = '\0';
  int victim;
  if (sscanf(text, "victim %d\n", &victim) == 1 && victim >= 0 && victim < VICTIMS) return victim;
  return strcmp(text, SESSION_TEXT) == 0 || n == 0 ? -1 : -2;
}

static void find_below(struct found *found, int directory, const char *prefix, int depth) {
  const int fd = openat(directory, *prefix ? prefix : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (fd < 0) return;
  DIR *const stream = fdopendir(fd);
  if (!stream) die("fdopendir");
  for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (!found->quarantines && strncmp(entry->d_name, ".filecleanup", 12) == 0) continue;
    char path[2 * SHORT_NAME];
    const int length = snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "/" : "", entry->d_name);
    if (length >= (int)sizeof path) continue;
    if (entry->d_type == DT_DIR && depth < DEPTH_MAX) find_below(found, base_fd, path, depth + 1);
    if (entry->d_type != DT_REG) continue;
    const int who = holder(base_fd, path);
    if (who == -1) found->session_files++;
    if (who < 0) continue;
    found->there[who] = true;
    strcpy(found->path[who], path);
    if (who >= VICTIM_FILES && *prefix) strcpy(found->path[who], prefix);
  }
  closedir(stream);
}

static int count(void) {
  static struct found found = {.quarantines = true};
  find_below(&found, base_fd, "", 0);
  int lost = 0;
  int moved = 0;
  for (int victim = 0; victim < VICTIMS; victim++) {
    char home[SHORT_NAME];
    victim_name(victim, home);
    if (!found.there[victim]) {
      lost++;
      fprintf(stderr, "lost: victim %d\n", victim);
    } else if (strcmp(found.path[victim], home) != 0) {
      moved++;
      fprintf(stderr, "victim %d stands at %s\n", victim, found.path[victim]);
    }
  }
  printf("victims %d lost %d elsewhere %d session_files %ld\n", VICTIMS, lost, moved, found.session_files);
  return 0;
}

/* ---- the attack ---- */

static void on_term(int number) {
  (void)number;
  stop = 1;
}

static uint32_t random_below(uint32_t limit) {
  static uint64_t state = 0x9E3779B97F4A7C15ULL;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t)((state >> 20) % limit);
}

/* Spins, since a sleep takes longer than a deletion. */
static void hold(void) {
  struct timespec from;
  struct timespec now;
  const long ns = (long)random_below(HOLD_MAX_NS);
  clock_gettime(CLOCK_MONOTONIC, &from);
  do clock_gettime(CLOCK_MONOTONIC, &now);
  while ((now.tv_sec - from.tv_sec) * 1000000000L + (now.tv_nsec - from.tv_nsec) < ns);
}

static bool at_home[VICTIMS];

/* Brings displaced victims home, so that the attack can go on with all of them. */
static void bring_home(struct counters *counters) {
  static struct found found;
  memset(&found, 0, sizeof found);
  find_below(&found, base_fd, "", 0);
  for (int victim = 0; victim < VICTIMS; victim++) {
    char home[SHORT_NAME];
    victim_name(victim, home);
    if (!found.there[victim]) {
      at_home[victim] = false; /* in a quarantine at this moment, or lost: the test finds out at the end */
      continue;
    }
    at_home[victim] = strcmp(found.path[victim], home) == 0;
    if (at_home[victim]) continue;
    /* What stands in its place came from the session by an exchange; names v* and w* are the attacker's alone. */
    if (victim < VICTIM_FILES) {
      if (holder(base_fd, home) == -1 && unlinkat(base_fd, home, 0) == 0) counters->unlinked++;
    } else {
      char inside[SHORT_NAME + 8];
      snprintf(inside, sizeof inside, "%s/f", home);
      if (holder(base_fd, inside) == -1 && unlinkat(base_fd, inside, 0) == 0) counters->unlinked++;
      (void)unlinkat(base_fd, home, AT_REMOVEDIR); /* fails when there is none, or when it holds anything else */
    }
    at_home[victim] = renameat2(base_fd, found.path[victim], base_fd, home, RENAME_NOREPLACE) == 0;
  }
}

struct target {
  char name[SHORT_NAME];
  int fd; /* of a directory, when it is held; else -1 */
};

static bool hold_directories;

static bool is_directory_name(const char *name) { return strchr(name, 'd') != NULL; }

/* The names of the newest session: what is left of older ones was spared, and is not touched any more. */
static int list_targets(struct target targets[TARGETS_MAX], int old) {
  static int newest;
  for (int i = 0; i < old; i++)
    if (targets[i].fd >= 0) close(targets[i].fd);
  const int fd = openat(base_fd, ".", O_RDONLY | O_DIRECTORY);
  if (fd < 0) return 0;
  DIR *const stream = fdopendir(fd);
  if (!stream) die("fdopendir");
  int n = 0;
  for (const struct dirent *entry; n < TARGETS_MAX && (entry = readdir(stream)) != NULL;) {
    int number;
    if (sscanf(entry->d_name, "s%d-", &number) != 1 || strchr(entry->d_name, '.') || number < newest) continue;
    if (number > newest) {
      newest = number;
      for (; n > 0; n--)
        if (targets[n - 1].fd >= 0) close(targets[n - 1].fd);
    }
    targets[n].fd = -1;
    if (hold_directories && is_directory_name(entry->d_name)) {
      targets[n].fd = openat(base_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    strcpy(targets[n++].name, entry->d_name);
  }
  closedir(stream);
  return n;
}

static bool exchange(const char *a, int directory, const char *b, struct counters *counters) {
  if (renameat2(base_fd, a, directory, b, RENAME_EXCHANGE) != 0) return false;
  __atomic_fetch_add(&counters->exchanges, 1, __ATOMIC_RELAXED);
  return true;
}

/* Swaps one name with one victim, back and forth, until somebody interferes: whatever happens to that name happens in
 * the middle of it. Returns how often both swaps took place. */
static int swap_until_it_is_gone(const struct target *target, struct counters *counters) {
  const bool directory = is_directory_name(target->name);
  const bool below = directory && (target->fd >= 0 || random_below(2));
  const int victim =
      directory && !below ? VICTIM_FILES + (int)random_below(VICTIM_DIRECTORIES) : (int)random_below(VICTIM_FILES);
  if (!at_home[victim]) return 0;
  char home[SHORT_NAME];
  char there[SHORT_NAME + 8];
  const int fd = target->fd >= 0 ? target->fd : base_fd;
  victim_name(victim, home);
  if (target->fd >= 0)
    strcpy(there, "f");
  else
    snprintf(there, sizeof there, "%s%s", target->name, below ? "/f" : "");
  for (int swaps = 0;; swaps++) {
    if (stop || swaps == SWAPS_MAX || !exchange(home, fd, there, counters)) return swaps;
    if (random_below(HOLD_ONE_IN) == 0) hold();
    if (exchange(home, fd, there, counters)) continue;
    at_home[victim] = false;
    counters->displaced++;
    fprintf(stderr, "victim %d met the reaper at %s/%s\n", victim, target->name, there);
    return swaps + 1;
  }
}

static int attack(const char *counters_file) {
  static struct target targets[TARGETS_MAX];
  int n = 0;
  const int fd = open(counters_file, O_CREAT | O_RDWR, 0600);
  if (fd < 0 || ftruncate(fd, sizeof(struct counters)) != 0) die(counters_file);
  struct counters *const counters = mmap(NULL, sizeof *counters, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (counters == MAP_FAILED) die("mmap");
  signal(SIGTERM, on_term);
  bring_home(counters);
  while (!stop) {
    n = list_targets(targets, n);
    for (int failures = 0; !stop && n > 0 && failures < FAILURES_MAX;) {
      const int swaps = swap_until_it_is_gone(&targets[random_below((uint32_t)n)], counters);
      if (swaps == SWAPS_MAX) break; /* nobody deletes here now */
      if (swaps == 0) failures++;
    }
    bool all_home = true;
    for (int victim = 0; victim < VICTIMS; victim++) all_home = all_home && at_home[victim];
    if (!all_home) bring_home(counters);
    if (n == 0) usleep(50);
  }
  bring_home(counters);
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: exchange_attacker victims|attack|session|count BASE [COUNTERS|NUMBER]\n");
    return 2;
  }
  base = argv[2];
  if (argc == 4 && strcmp(argv[1], "session") == 0) return session(argv[3]);
  base_fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (base_fd < 0) die(base);
  if (strcmp(argv[1], "victims") == 0) return lay_out_victims();
  if (strcmp(argv[1], "count") == 0) return count();
  hold_directories = argc == 5 && strcmp(argv[4], "held") == 0;
  if (argc >= 4 && strcmp(argv[1], "attack") == 0) return attack(argv[3]);
  return 2;
}

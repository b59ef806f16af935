/* Others at work on what a manager tracks: directories swapped with links while it removes, and what is told from
 * outside by `filecleanup keep` and `untrack`, also while the journal moves. */
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "manager_world.h"
#include "quarantine.h"
#include "session.h"

TestSuite(manager_attacks, .init = world_begin, .fini = world_end, .timeout = 120);

#define ROUNDS 3000
#define MOST_ROUNDS 100000
#define EXCHANGE 2u /* RENAME_EXCHANGE */

Test(manager_attacks, a_directory_moved_out_of_the_base_and_linked_back_is_not_reached_into) {
  fcm_manager *m = world_manager();
  char outside[200];
  char file[256];
  (void)snprintf(outside, sizeof outside, "%s/outside", world_root);
  (void)snprintf(file, sizeof file, "%s/f", outside);
  cr_assert_eq(mkdir(in_base("d"), 0700), 0);
  write_file(in_base("d/f"), "x");
  cr_assert_eq(fcm_track_file(m, in_base("d/f")), 0);
  cr_assert_eq(rename(in_base("d"), outside), 0);
  cr_assert_eq(symlink(outside, in_base("d")), 0);
  ASSERT_FAILS(fcm_cleanup_file(m, in_base("d/f"), NULL), ELOOP);
  struct fcm_result result;
  cr_assert_eq(fcm_cleanup_all_tracked(m, &result), 0);
  cr_assert_eq(result.spared, 1);
  ASSERT_FAILS(fcm_persist(m, in_base("d/f"), in_base("g")), ELOOP);
  cr_assert_eq(fcm_destroy(m), 0);
  cr_assert(holds(file, "x"), "the very file that was tracked, but not beneath the base any more");
}

static int stop;
static unsigned long swaps;

static void *swap(void *context) {
  const char *const *names = context;
  while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE))
    if (syscall(SYS_renameat2, AT_FDCWD, names[0], AT_FDCWD, names[1], EXCHANGE) == 0)
      (void)__atomic_fetch_add(&swaps, 1, __ATOMIC_RELAXED);
  return NULL;
}

/* The victim outside is another name of the tracked inode, so that its identity is right: only the way there is wrong.
 */
Test(manager_attacks, no_name_outside_is_removed_while_a_directory_is_swapped_with_a_link) {
  fcm_manager *m = world_manager();
  char outside[200];
  char victim[256];
  char names[2][PATH_MAX];
  unsigned removed_count = 0;
  (void)snprintf(outside, sizeof outside, "%s/outside", world_root);
  (void)snprintf(victim, sizeof victim, "%s/f", outside);
  cr_assert_eq(mkdir(outside, 0700), 0);
  cr_assert_eq(mkdir(in_base("p"), 0700), 0);
  cr_assert_eq(mkdir(in_base("p/d"), 0700), 0);
  cr_assert_eq(symlink(outside, in_base("p/link")), 0);
  (void)snprintf(names[0], PATH_MAX, "%s/p/d", world_base);
  (void)snprintf(names[1], PATH_MAX, "%s/p/link", world_base);
  const char *const pair[] = {names[0], names[1]};
  pthread_t thread;
  cr_assert_eq(pthread_create(&thread, NULL, swap, (void *)pair), 0);
  write_file(victim, "x");
  for (int i = 0; i < ROUNDS || (removed_count == 0 && i < MOST_ROUNDS); i++) { /* the path is right half of the time */
    bool removed = false;
    /* It stands there already when the last round did not find it. */
    const int rc = link(victim, in_base(i % 2 ? "p/d/f" : "p/link/f"));
    cr_assert(rc == 0 || errno == EEXIST, "round %d: %s", i, strerror(errno));
    if (fcm_track_file(m, in_base("p/d/f")) == 0) {
      if (i % 3 == 0)
        (void)fcm_cleanup_all_tracked(m, NULL);
      else
        (void)fcm_cleanup_file(m, in_base("p/d/f"), &removed);
    }
    removed_count += removed;
    cr_assert(stands(victim), "round %d, after %lu swaps", i, swaps);
  }
  __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
  cr_assert_eq(pthread_join(thread, NULL), 0);
  (void)fcm_destroy(m);
  cr_assert(stands(victim));
  cr_assert_gt(swaps, 0);
  cr_assert_gt(removed_count, 0, "nothing was removed, so nothing was proven");
}

/* The one session of this world, by its file. Returns an fd. */
static int open_session(struct fc_session_header *header) {
  char path[PATH_MAX];
  DIR *top = opendir(world_state);
  int fd = -1;
  for (struct dirent *e = readdir(top); e && fd < 0; e = readdir(top)) {
    if (e->d_name[0] == '.') continue;
    (void)snprintf(path, sizeof path, "%s/%s", world_state, e->d_name);
    const int dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = opendir(path);
    for (struct dirent *f = dir ? readdir(dir) : NULL; f && fd < 0; f = readdir(dir))
      if (strncmp(f->d_name, FC_SESSION_PREFIX, strlen(FC_SESSION_PREFIX)) == 0)
        (void)fc_session_open_file(dirfd, f->d_name, &fd, header);
    if (dir) (void)closedir(dir);
    (void)close(dirfd);
  }
  (void)closedir(top);
  cr_assert_geq(fd, 0, "no session");
  return fd;
}

/* As the command does. */
static void tell(enum fc_record_type type, const char *rel) {
  struct fc_session_header *header = malloc(sizeof *header);
  struct fc_journal journal = {0};
  const int fd = open_session(header);
  const struct fc_record record = {.type = type, .path = {NULL, 0, rel, strlen(rel)}};
  cr_assert_eq(fc_session_map(fd, header, &journal), 0);
  cr_assert_geq(fc_journal_append(&journal, &record), 0);
  fc_journal_unmap(&journal);
  (void)close(fd);
  free(header);
}

static void track_new(fcm_manager *m, const char *rel) {
  write_file(in_base(rel), "x");
  cr_assert_eq(fcm_track_file(m, in_base(rel)), 0);
}

static void told_and_moved(void) {
  const struct rlimit small = {1 << 19, 1 << 19};
  cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
  fcm_manager *m = world_manager();
  char name[32];
  track_new(m, "kept");
  track_new(m, "untracked");
  track_new(m, "again");
  cr_assert_eq(mkdir(in_base("tree"), 0700), 0);
  cr_assert_eq(fcm_track_tree(m, in_base("tree")), 0);
  write_file(in_base("tree/kept"), "x");
  write_file(in_base("tree/f"), "x");
  tell(FC_REC_KEEP, "kept");
  tell(FC_REC_KEEP, "tree/kept");
  tell(FC_REC_UNTRACK, "untracked");
  tell(FC_REC_UNTRACK, "again");
  cr_assert(!is_tracked(m, in_base("kept")) && !is_tracked(m, in_base("again")));
  cr_assert_eq(fcm_track_file(m, in_base("again")), 0, "what was taken away may be given again");
  cr_assert_eq(fcm_track_file(m, in_base("kept")), 0);
  ASSERT_FAILS(fcm_cleanup_file(m, in_base("kept"), NULL), EBUSY);
  for (int i = 0; i < 6000; i++) { /* the journal moves more than once */
    (void)snprintf(name, sizeof name, "churn%d", i);
    cr_assert_eq(fcm_track_file(m, in_base(name)), 0, "%s", strerror(errno));
    cr_assert_eq(fcm_untrack_file(m, in_base(name)), 0);
  }
  if (getenv("KILL")) (void)raise(SIGKILL);
  (void)fcm_cleanup_all_tracked(m, NULL);
  (void)fcm_destroy(m);
}

static void expect_what_was_told(void) {
  cr_expect(stands(in_base("kept")));
  cr_expect(stands(in_base("tree/kept")) && !stands(in_base("tree/f")));
  cr_expect(stands(in_base("untracked")));
  cr_expect(!stands(in_base("again")));
}

Test(manager_attacks, what_is_told_from_outside_goes_along_when_the_journal_moves) {
  told_and_moved();
  expect_what_was_told();
}

Test(manager_attacks, what_is_told_from_outside_holds_after_a_kill_behind_the_move) {
  const pid_t owner = fork();
  int status;
  if (owner == 0) {
    (void)setenv("KILL", "1", 1);
    told_and_moved();
    _exit(0);
  }
  cr_assert_eq(waitpid(owner, &status, 0), owner);
  cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  cr_assert_eq(fcm_destroy(world_manager()), 0);
  expect_what_was_told();
}

/* How many sessions stand in the world's state directory; *path (PATH_MAX bytes) is one of them that is not `other`. */
static unsigned session_files(char *path, const char *other) {
  char dir_path[PATH_MAX];
  unsigned count = 0;
  DIR *top = opendir(world_state);
  for (struct dirent *e = top ? readdir(top) : NULL; e; e = readdir(top)) {
    if (e->d_name[0] == '.') continue;
    (void)snprintf(dir_path, sizeof dir_path, "%s/%s", world_state, e->d_name);
    DIR *dir = opendir(dir_path);
    for (struct dirent *f = dir ? readdir(dir) : NULL; f; f = readdir(dir)) {
      if (strncmp(f->d_name, FC_SESSION_PREFIX, strlen(FC_SESSION_PREFIX)) != 0) continue;
      count++;
      char found[2 * PATH_MAX];
      (void)snprintf(found, sizeof found, "%s/%s", dir_path, f->d_name);
      if (!other || strcmp(found, other) != 0) (void)snprintf(path, PATH_MAX, "%.*s", PATH_MAX - 1, found);
    }
    if (dir) (void)closedir(dir);
  }
  if (top) (void)closedir(top);
  return count;
}

#define SET 600
#define MOVES_TRIED 40

static void churn_until_killed(void) {
  const struct rlimit small = {1 << 19, 1 << 19};
  (void)setrlimit(RLIMIT_FSIZE, &small);
  fcm_manager *m = world_manager();
  char name[32];
  track_new(m, "kept");
  for (int i = 0; i < SET; i++) {
    (void)snprintf(name, sizeof name, "set%d", i);
    if (fcm_track_file(m, in_base(name)) < 0) _exit(1);
  }
  for (int i = 0;; i++) {
    (void)snprintf(name, sizeof name, "churn%d", i);
    if (fcm_track_file(m, in_base(name)) < 0 || fcm_untrack_file(m, in_base(name)) < 0) _exit(2);
  }
}

/* As `filecleanup keep` does, into this very file. False when it is not LIVE. */
static bool keep_in(const char *path, const char *rel) {
  static struct fc_session_header header;
  struct fc_journal journal = {0};
  const struct fc_record record = {.type = FC_REC_KEEP, .path = {NULL, 0, rel, strlen(rel)}};
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  bool told = fd >= 0 && read(fd, &header, sizeof header) == (ssize_t)sizeof header &&
              header.words.state == FC_STATE_LIVE && fc_session_map(fd, &header, &journal) == 0;
  if (told) told = fc_journal_append(&journal, &record) >= 0;
  if (journal.first) fc_journal_unmap(&journal);
  if (fd >= 0) (void)close(fd);
  return told;
}

/* The owner is stopped where both sessions stand; somebody tells the old one, as the only one that he can know; then it
 * is killed. */
Test(manager_attacks, what_is_told_while_the_journal_moves_holds_after_a_kill_there) {
  char old[PATH_MAX] = "";
  char other[PATH_MAX];
  bool told = false;
  int status;
  const pid_t owner = fork();
  if (owner == 0) churn_until_killed();
  while (session_files(old, NULL) != 1) usleep(1000);
  for (int i = 0; i < MOVES_TRIED && !told; i++) {
    while (session_files(other, old) != 2 && stands(old))
      cr_assert_eq(waitpid(owner, &status, WNOHANG), 0, "the owner has ended: %x", status);
    cr_assert_eq(kill(owner, SIGSTOP), 0);
    cr_assert_eq(waitpid(owner, &status, WUNTRACED), owner);
    cr_assert(WIFSTOPPED(status), "the owner has ended: %d", status);
    if (session_files(other, old) == 2 && stands(old)) told = keep_in(old, "kept");
    if (told) break;
    if (!stands(old)) (void)snprintf(old, sizeof old, "%s", other); /* too late: it has moved */
    cr_assert_eq(kill(owner, SIGCONT), 0);
  }
  cr_assert_eq(kill(owner, SIGKILL), 0);
  cr_assert_eq(waitpid(owner, &status, 0), owner);
  if (!told) cr_skip_test("the move was never met in %d tries", MOVES_TRIED);
  cr_assert_eq(fcm_destroy(world_manager()), 0);
  cr_assert(stands(in_base("kept")), "the new session did not know it yet");
}

/* A manager that has nothing left retires its journal, unless something is in its quarantine. */
Test(manager_attacks, a_quarantine_that_cannot_be_looked_for_may_stand) {
  static struct fc_session_header header;
  fcm_manager *m = world_manager();
  (void)close(open_session(&header));
  cr_expect_not(fc_quarantine_stands(&header));
  struct rlimit before;
  cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
  const struct rlimit none = {0, before.rlim_max};
  cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
  const bool stands_without = fc_quarantine_stands(&header);
  cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
  cr_expect(stands_without, "no descriptor: nobody knows");
  cr_assert_eq(fcm_destroy(m), 0);
  cr_assert_eq(rmdir(world_base), 0);
  cr_expect_not(fc_quarantine_stands(&header));
}

/* On a disk, and begun before this boot. */
static void make_it_of_another_boot(void) {
  static struct fc_session_header header;
  const int fd = open_session(&header);
  header.boot_id[0] ^= 1;
  header.fs_type = 0xEF53;
  header.check = fc_session_check(&header);
  cr_assert_eq(pwrite(fd, &header, sizeof header, 0), (ssize_t)sizeof header);
  (void)close(fd);
}

Test(manager_attacks, what_appears_behind_a_reboot_was_not_expected) {
  const pid_t owner = fork();
  int status;
  if (owner == 0) {
    fcm_manager *m = world_manager();
    track_new(m, "tracked");
    if (fcm_track_file(m, in_base("expected")) < 0 || mkdir(in_base("tree"), 0700) < 0) _exit(1);
    if (fcm_track_tree(m, in_base("tree")) < 0) _exit(1);
    (void)raise(SIGKILL);
  }
  cr_assert_eq(waitpid(owner, &status, 0), owner);
  cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  make_it_of_another_boot();
  write_file(in_base("expected"), "the user's by now");
  write_file(in_base("tree/f"), "the user's by now");
  cr_assert_eq(fcm_destroy(world_manager()), 0);
  cr_expect(!stands(in_base("tracked")), "nothing was removed, so nothing was proven");
  cr_expect(stands(in_base("expected")) && stands(in_base("tree/f")));
}

Test(manager_attacks, two_managers_of_one_base_remove_only_their_own) {
  fcm_manager *a = world_manager();
  track_new(a, "a");
  fcm_manager *b = world_manager();
  track_new(b, "b");
  cr_assert(stands(in_base("a")), "a manager that lives is nothing to be cleaned up at a start");
  cr_assert_eq(fcm_destroy(a), 0);
  cr_assert(!stands(in_base("a")) && stands(in_base("b")));
  cr_assert_eq(fcm_destroy(b), 0);
  cr_assert(!stands(in_base("b")));
}

/* A pass that is killed between the capture and the removal: the next start finishes or gives back. */
Test(manager_attacks, a_kill_in_the_middle_of_removing_leaves_nothing_behind) {
  for (int i = 0; i < 10; i++) {
    const pid_t owner = fork();
    int status;
    if (owner == 0) {
      char name[32];
      fcm_manager *m = world_manager();
      for (int n = 0; n < 2000; n++) {
        (void)snprintf(name, sizeof name, "f%d", n);
        track_new(m, name);
      }
      write_file(in_base("go"), "");
      for (;;) (void)fcm_cleanup_all_tracked(m, NULL);
    }
    while (!stands(in_base("go"))) usleep(1000);
    usleep(500 + (useconds_t)i * 700);
    (void)kill(owner, SIGKILL);
    cr_assert_eq(waitpid(owner, &status, 0), owner);
    cr_assert_eq(fcm_destroy(world_manager()), 0);
    cr_assert_eq(unlink(in_base("go")), 0);
    cr_assert_eq(entries_in(world_base), 0, "round %d", i);
  }
}

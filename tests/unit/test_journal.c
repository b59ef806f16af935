/* journal: torn cells, paths that look like records, and damage. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "journal_world.h"

/* A sanitizer makes each replay some ten times slower, and each instruction of the writer dozens. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { FLIPS = 10000, STRIDE = 40 };
#else
enum { FLIPS = 100000, STRIDE = 1 };
#endif

static struct journal_world world;

static void begin(void) { journal_world_begin(&world); }
static void end(void) { journal_world_end(&world); }

TestSuite(journal, .init = begin, .fini = end, .timeout = 100);

/* A child that appends one record, stopped after `steps` instructions and killed. True when it got to its end before.
 */
static bool kill_after(unsigned steps, const struct fc_record *record) {
  const pid_t child = fork();
  cr_assert_geq(child, 0);
  if (child == 0) {
    (void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    (void)raise(SIGSTOP);
    (void)fc_journal_append(&world.session.journal, record);
    (void)raise(SIGSTOP);
    _exit(0);
  }
  int status;
  cr_assert_eq(waitpid(child, &status, 0), child);
  bool done = false;
  for (unsigned i = 0; i < steps && !done; i++) {
    cr_assert_eq(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
    cr_assert_eq(waitpid(child, &status, 0), child);
    done = !WIFSTOPPED(status) || WSTOPSIG(status) == SIGSTOP;
  }
  (void)kill(child, SIGKILL);
  while (waitpid(child, &status, 0) < 0) continue;
  return done;
}

Test(journal, a_writer_killed_at_any_instruction_hides_no_other_record) {
  char long_path[200];
  memset(long_path, 'p', sizeof long_path);
  const struct fc_identity identity = world_identity(7);
  const struct fc_record torn = {
      .type = FC_REC_CREATE, .pid = 77, .identity = &identity, .path = {NULL, 0, long_path, sizeof long_path}};
  unsigned written = 0;
  unsigned kills = 0;
  unsigned steps = 0;
  for (bool done = false; !done; steps += STRIDE * (1 + steps / 400)) {
    char name[32];
    done = kill_after(steps, &torn);
    kills++;
    (void)snprintf(name, sizeof name, "after-%u", written);
    cr_assert_geq(world_create(&world, 1, name, 1000 + written, false), 0);
    written++;
  }
  cr_log_info("killed at %u points over %u instructions", kills, steps);
  cr_assert_gt(kills, 200 / STRIDE);
  struct fc_registry registry;
  const int fd = journal_world_fd(&world);
  cr_assert_eq(journal_world_replay(&world, fd, &registry), 0, "torn cells are not damage");
  for (unsigned i = 0; i < written; i++) {
    char name[32];
    (void)snprintf(name, sizeof name, "after-%u", i);
    cr_assert(world_tracked(&registry, name), "%s is hidden", name);
  }
  fc_registry_free(&registry);
}

Test(journal, a_path_that_holds_a_well_formed_record_is_only_a_path) {
  cr_assert_geq(world_create(&world, 1, "bait", 5, false), 0);
  /* The very bytes of that record, in every alignment, with "/" and NUL taken out as a path would have them. */
  const char *cells = world.session.journal.first + FC_HEADER_BYTES;
  for (unsigned shift = 0; shift < FC_CELL_BYTES; shift++) {
    char path[3 * FC_CELL_BYTES + 1];
    memset(path, 'x', sizeof path);
    for (unsigned i = 0; i < 2 * FC_CELL_BYTES; i++) {
      const char c = cells[i];
      if (c && c != '/') path[shift + i] = c;
    }
    path[sizeof path - 1] = '\0';
    cr_assert_geq(world_create(&world, 2, path, 100 + shift, false), 0);
  }
  struct fc_registry registry;
  const int fd = journal_world_fd(&world);
  cr_assert_eq(journal_world_replay(&world, fd, &registry), 0);
  cr_expect_eq(registry.records, FC_CELL_BYTES + 1, "each record once, none inside a path");
  fc_registry_free(&registry);
}

/* What lies on the imagined disk: the name, its inode, and whether the session may delete it. */
static const struct {
  const char *path;
  unsigned ino;
  bool ours;
} disk[] = {
    {"ours", 1, true}, {"d", 2, true},     {"d/inner", 3, true},   {"reserved", 4, false}, {"archive", 5, false},
    {"late", 6, true}, {"over", 7, false}, {"moved-new", 8, true}, {"pending", 9, false},  {"d2/copied", 10, false},
};
#define ON_DISK (sizeof disk / sizeof *disk)

static void write_history(void) {
  world_create(&world, 1, "ours-before", 1, false);
  world_create(&world, 3, "archive", 5, false);
  world_create(&world, 2, "d2/copied", 10, false);
  world_unlink_user(&world, 2, "users-data", 1, false);
  world_create(&world, 1, "ours", 1, false);
  world_create(&world, 1, "d", 2, true);
  world_create(&world, 1, "d/inner", 3, false);
  world_unlink_user(&world, 1, "reserved", 0, false);
  world_create(&world, 1, "reserved", 4, false);
  world_create(&world, 1, "new", 7, false);
  world_rename_onto(&world, 4, "new", 7, "over", 0);
  world_unlink_user(&world, 1, "pending", 0, true);
  world_create(&world, 1, "pending", 9, false);
  world_create(&world, 1, "ours", 1, false);
  world_create(&world, 1, "d", 2, true);
  world_create(&world, 1, "d/inner", 3, false);
  world_create(&world, 1, "moved", 8, false);
  world_rename_new(&world, 1, "moved", 8, "moved-new");
  world_create(&world, 1, "late", 6, false);
}

static unsigned deletable(struct fc_registry *registry, bool *wrong) {
  unsigned count = 0;
  for (size_t i = 0; i < ON_DISK; i++) {
    struct fc_node *node = fc_registry_find(registry, disk[i].path, false);
    const struct fc_identity there = world_identity(disk[i].ino);
    if (!fc_ownership_tracked(registry, node) || !fc_identity_equal(&node->identity, &there)) continue;
    count++;
    if (!disk[i].ours) *wrong = true;
  }
  return count;
}

static uint64_t random_state = 88172645463325252ULL;
static uint64_t random_next(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  return random_state ^= random_state << 17;
}

/* What the reaper does before it deletes anything: the header's own checks, the words, then the replay. */
static unsigned decide(int dirfd, const char *name, bool *wrong) {
  static struct fc_session_header header;
  int fd;
  if (fc_session_open_file(dirfd, name, &fd, &header) != FC_VERDICT_VALID) return 0;
  unsigned count = 0;
  struct fc_registry registry;
  const bool live = header.words.state == FC_STATE_LIVE || header.words.state == FC_STATE_REAPING;
  if (live && header.words.lost_destructive == 0) {
    if (journal_world_replay(&world, fd, &registry) == 0) count = deletable(&registry, wrong);
    fc_registry_free(&registry);
  }
  (void)close(fd);
  return count;
}

Test(journal, bytes_flipped_at_random_delete_nothing_wrong) {
  write_history();
  const int fd = journal_world_fd(&world);
  char dir[PATH_MAX];
  (void)snprintf(dir, sizeof dir, "%s", world.session.header->path);
  char *slash = strrchr(dir, '/');
  *slash = '\0';
  const char *name = slash + 1;
  const int dirfd = open(dir, O_RDONLY | O_DIRECTORY);
  cr_assert_geq(dirfd, 0);

  bool wrong = false;
  unsigned ours = 0;
  for (size_t i = 0; i < ON_DISK; i++) ours += disk[i].ours;
  cr_assert_eq(decide(dirfd, name, &wrong), ours, "without damage everything of ours goes");
  cr_assert_not(wrong);

  const uint64_t used = FC_HEADER_BYTES + (uint64_t)world.session.journal.words->next * FC_CELL_BYTES;
  unsigned harmless = 0;
  for (unsigned flip = 0; flip < FLIPS; flip++) {
    unsigned char before[4];
    uint64_t at[4];
    const unsigned bytes = 1 + (unsigned)(random_next() % 4);
    for (unsigned i = 0; i < bytes; i++) {
      /* Mostly the cells; now and then the header and its words, and the untouched cells behind the end. */
      const uint64_t where = random_next() % 16;
      at[i] = where == 0   ? random_next() % FC_HEADER_BYTES
              : where == 1 ? 256 + random_next() % sizeof(struct fc_head_words)
              : where == 2 ? used + random_next() % 4096
                           : FC_HEADER_BYTES + random_next() % (used - FC_HEADER_BYTES);
      unsigned char byte;
      cr_assert_eq(pread(fd, &byte, 1, (off_t)at[i]), 1);
      before[i] = byte;
      byte = (unsigned char)(random_next() % 2 ? byte ^ (1u << (random_next() % 8)) : random_next());
      cr_assert_eq(pwrite(fd, &byte, 1, (off_t)at[i]), 1);
    }
    harmless += decide(dirfd, name, &wrong) == ours;
    cr_assert_not(wrong, "flip %u (%u bytes, the first at %llu)", flip, bytes, (unsigned long long)at[0]);
    for (unsigned i = bytes; i-- > 0;) cr_assert_eq(pwrite(fd, &before[i], 1, (off_t)at[i]), 1);
  }
  cr_log_info("%u flips: 0 wrong deletions, %u without any effect", FLIPS, harmless);
  cr_assert_eq(decide(dirfd, name, &wrong), ours, "and the file is as it was");
}

Test(journal, a_full_journal_counts_what_it_loses) {
  world.session.journal.limit = 8;
  for (unsigned i = 0; i < 10; i++) (void)world_create(&world, 1, "f", 10 + i, false);
  cr_expect_eq(world.session.journal.words->lost_creating, 6);
  cr_expect_eq(world.session.journal.words->lost_destructive, 0);
  world_unlink_user(&world, 1, "g", 1, false);
  cr_expect_eq(world.session.journal.words->lost_destructive, 1);
}

Test(journal, a_truncated_file_is_an_error_and_not_a_signal) {
  const int fd = journal_world_fd(&world);
  cr_assert_geq(world_create(&world, 1, "f", 1, false), 0);
  cr_assert_eq(ftruncate(fd, FC_HEADER_BYTES), 0);
  world.session.journal.claimed = 0; /* as a process that touches the page for the first time */
  cr_expect_lt(world_create(&world, 1, "g", 2, false), 0);
  struct fc_registry registry;
  cr_expect_eq(journal_world_replay(&world, fd, &registry), -EBADMSG);
  fc_registry_free(&registry);
}

Test(journal, records_cross_every_window) {
  /* 20,000 records of two cells: 2.5 MB, beyond the first and the second window. */
  for (unsigned i = 0; i < 20000; i++) {
    char name[32];
    (void)snprintf(name, sizeof name, "n%u", i);
    cr_assert_geq(world_create(&world, 1, name, i + 1, false), 0);
  }
  struct fc_registry registry;
  const int fd = journal_world_fd(&world);
  cr_assert_eq(journal_world_replay(&world, fd, &registry), 0);
  cr_expect_eq(registry.records, 20000);
  cr_expect(world_tracked(&registry, "n19999"));
  fc_registry_free(&registry);
}

/* checkpoint: what it must never lose, whatever happens between two of its stores. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "checkpoint.h"
#include "journal_world.h"
#include "reaper.h"
#include "turn.h"

#define RING 4096u

static struct journal_world world;
static struct fc_registry registry;

static char *file; /* all of it */

static void begin(void) {
  journal_world_begin_small(&world, RING);
  const int fd = journal_world_fd(&world);
  file = mmap(NULL, FC_HEADER_BYTES + RING * FC_CELL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  cr_assert_neq(file, MAP_FAILED);
  (void)close(fd);
}
static void end(void) {
  fc_registry_free(&registry);
  journal_world_end(&world);
}
TestSuite(checkpoint, .init = begin, .fini = end, .timeout = 100);

static int replay(void) {
  const int fd = journal_world_fd(&world);
  fc_registry_free(&registry);
  fc_checkpoint_finish(fd, world.session.header); /* as the end does */
  const int rc = journal_world_replay(&world, fd, &registry);
  (void)close(fd);
  return rc;
}

static struct fc_session_header *header(void) {
  return (struct fc_session_header *)(void *)world.session.journal.first;
}

static uint32_t *word_at(uint32_t index) { return (uint32_t *)(void *)(file + fc_journal_at(RING, index)); }

/* A user's name that the session removes first and then makes anew (N1). */
static void remove_users_name(void) { world_unlink_user(&world, WORLD_DEAD_PID, "users", 0, false); }
static void make_users_name(void) {
  cr_assert_geq(world_create(&world, WORLD_DEAD_PID, "users", 5, false), 0);
  cr_assert_geq(world_create(&world, WORLD_DEAD_PID, "ours", 6, false), 0);
}
static void expect_users_name_whole(const char *when) {
  cr_assert_eq(replay(), 0, "%s", when);
  cr_expect_not(world_tracked(&registry, "users"), "%s: the user's name would be deleted", when);
  cr_expect(world_tracked(&registry, "ours"), "%s", when);
}

Test(checkpoint, the_ring_may_be_written_over_and_over) {
  remove_users_name();
  for (unsigned i = 0; i < 100; i++) {
    world_churn(&world, RING / 6);
    cr_assert_eq(world_checkpoint(&world), 0, "round %u", i);
  }
  make_users_name();
  cr_expect_geq(world.session.journal.words->next, 16 * RING);
  cr_expect_eq(world.session.journal.words->lost_creating, 0);
  expect_users_name_whole("after many laps");
}

Test(checkpoint, the_numbers_of_cells_may_wrap) {
  journal_world_restart(&world, UINT32_MAX - 1500);
  remove_users_name();
  for (unsigned i = 0; i < 12; i++) {
    world_churn(&world, RING / 8);
    cr_assert_eq(world_checkpoint(&world), 0, "round %u", i);
  }
  cr_assert_lt(world.session.journal.words->next, 1u << 20);
  make_users_name();
  expect_users_name_whole("behind the wrap");
}

/* Whether punching works was tried on the last page, where records stood. */
Test(checkpoint, a_record_in_the_last_page_of_the_ring_is_not_punched_out) {
  journal_world_restart(&world, 3 * RING - 40);
  remove_users_name();
  world_churn(&world, RING / 4);
  cr_assert_eq(world_checkpoint(&world), 0);
  make_users_name();
  expect_users_name_whole("the last page was punched out");
}

/* What a step covered beyond an eighth of the ring was never punched out, and read as damage a lap later. */
Test(checkpoint, everything_that_a_long_step_covers_is_punched_out) {
  remove_users_name();
  for (unsigned i = 0; i < 6; i++) {
    world_churn(&world, RING * 3 / 8);
    cr_assert_eq(world_checkpoint(&world), 0);
    cr_assert_eq(world_checkpoint(&world), 0, "and the rest in another step");
    cr_assert_eq(replay(), 0, "lap %u: what was left behind reads as damage", i);
  }
  make_users_name();
  expect_users_name_whole("after long steps");
}

Test(checkpoint, an_anchor_that_cannot_be_read_proves_nothing) {
  static const unsigned rounds[] = {1, 2, 5};
  for (size_t i = 0; i < sizeof rounds / sizeof *rounds; i++) {
    journal_world_restart(&world, 0);
    remove_users_name();
    for (unsigned k = 0; k < rounds[i]; k++) {
      world_churn(&world, RING / 8);
      cr_assert_eq(world_checkpoint(&world), 0);
    }
    make_users_name();
    struct fc_anchor *const newest = &header()->anchors[(rounds[i] - 1) % 2];
    cr_assert_eq(fc_journal_anchor(world.session.header->key, header()->anchors), newest);
    newest->check ^= 1;
    cr_expect_eq(replay(), -EBADMSG, "the one before it tells what is not there any more (round %u)", rounds[i]);
    newest->check ^= 1;
    expect_users_name_whole("mended");
  }
}

Test(checkpoint, an_anchor_that_somebody_else_wrote_is_ignored) {
  remove_users_name();
  make_users_name();
  struct fc_anchor forged = {.sequence = 1000, .generation = 7, .head = 4, .checkpoint = 5};
  forged.check = fc_journal_anchor_check(world.session.header->key ^ 1, &forged);
  header()->anchors[0] = header()->anchors[1] = forged;
  expect_users_name_whole("a forged anchor");
}

Test(checkpoint, one_with_a_record_missing_proves_nothing) {
  remove_users_name();
  world_churn(&world, RING / 8);
  cr_assert_eq(world_checkpoint(&world), 0);
  make_users_name();
  unsigned holes = 0;
  const struct fc_anchor *anchor = fc_journal_anchor(world.session.header->key, header()->anchors);
  for (uint32_t cell = anchor->checkpoint; cell != world.session.journal.words->next; cell++) {
    const struct fc_start_cell *start = (const struct fc_start_cell *)(const void *)word_at(cell);
    if ((start->word & 0xffu) != FC_MARK_START || start->type < FC_REC_CK_BEGIN || start->type > FC_REC_CK_END)
      continue;
    const uint32_t before = start->word;
    *word_at(cell) = 0;
    cr_expect_eq(replay(), -EBADMSG, "type %u", start->type);
    *word_at(cell) = before;
    holes++;
  }
  cr_expect_gt(holes, 3);
  expect_users_name_whole("whole again");
}

/* A stopped writer (SIGSTOP, a suspended machine) is not a killed one: a removal that it records later must count. */
Test(checkpoint, a_writer_that_was_stopped_between_reserving_and_committing_is_heard) {
  unsigned given_up = 0;
  unsigned points = 0;
  for (unsigned behind = 0;; behind += 9, points++) {
    journal_world_restart(&world, points % 2 ? UINT32_MAX - 700 : 0);
    world.session.journal.claimed = 0;
    world_churn(&world, 8);
    const uint32_t first = world.session.journal.words->next;
    const pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
      (void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
      (void)raise(SIGSTOP);
      remove_users_name();
      _exit(0);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    bool done = false;
    unsigned since = 0;
    while (!done && since <= behind) {
      cr_assert_eq(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
      cr_assert_eq(waitpid(child, &status, 0), child);
      done = !WIFSTOPPED(status) || *word_at(first) != 0;
      if (world.session.journal.words->next != first) since++;
    }
    if (done) { /* committed: the window is behind us */
      if (WIFSTOPPED(status)) (void)kill(child, SIGKILL);
      (void)waitpid(child, &status, 0);
      break;
    }
    for (unsigned i = 0; i < 3 + points % 30; i++) { /* up to more than a lap */
      world_churn(&world, RING / 8);
      cr_assert_eq(world_checkpoint(&world), 0, "one that is stopped blocks no checkpoint");
    }
    given_up += world.session.journal.words->head - first < UINT32_MAX / 2;
    cr_assert_eq(ptrace(PTRACE_DETACH, child, NULL, NULL), 0);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", status);
    make_users_name();
    const int rc = replay();
    /* Nothing proven is safe too: a writer that slept for a lap may have spoilt what stands there now. */
    if (rc == 0) cr_expect_not(world_tracked(&registry, "users"), "stopped %u instructions behind", behind);
    cr_expect(rc == 0 || rc == -EBADMSG);
  }
  cr_log_info("stopped at %u points", points);
  cr_expect_gt(points, 5);
  cr_expect_eq(given_up, points, "some were not passed at all");
}

Test(checkpoint, a_killed_writer_blocks_none_whatever_comes_behind_it) {
  struct fc_head_words *words = world.session.journal.words;
  remove_users_name();
  for (unsigned i = 0; i < 200; i++) {
    words->next += 1 + i % 90; /* reserved, and killed */
    const struct fc_record join = {.type = FC_REC_JOIN, .pid = WORLD_DEAD_PID, .time_ns = 1};
    cr_assert_geq(fc_journal_append(&world.session.journal, &join), 0);
    if (i % 8 == 7 && words->next - words->head > RING / 8) cr_assert_eq(world_checkpoint(&world), 0, "at %u", i);
  }
  cr_expect_gt(words->next, RING);
  make_users_name();
  expect_users_name_whole("killed writers");
}

Test(checkpoint, a_removal_that_is_under_way_is_waited_for_as_long_as_there_is_room) {
  const struct fc_object object = {.mode = S_IFREG | 0600, .has_data = 1};
  const struct fc_record removal = {.type = FC_REC_UNLINK,
                                    .flags = FC_REC_INFO,
                                    .pid = (uint32_t)getpid(),
                                    .time_ns = fc_journal_now(),
                                    .info = &object,
                                    .path = {NULL, 0, "slow", 4}};
  world_churn(&world, RING / 8);
  const int64_t slow = fc_journal_append(&world.session.journal, &removal);
  world_churn(&world, RING / 16);
  cr_assert_eq(world_checkpoint(&world), 0);
  cr_expect_eq(world.session.journal.words->head, (uint32_t)slow);
  fc_journal_complete(&world.session.journal, slow, FC_RESULT_FAILED, NULL);
  cr_assert_geq(world_create(&world, WORLD_DEAD_PID, "slow", 9, false), 0);
  cr_assert_eq(replay(), 0);
  cr_expect(world_tracked(&registry, "slow"), "its result was heard");

  /* A signal handler has left the call by longjmp: it will never be completed. */
  struct fc_record left = removal;
  left.time_ns -= 3600 * INT64_C(1000000000);
  left.pid = 1;
  left.path = (struct fc_name){NULL, 0, "left", 4};
  const int64_t never = fc_journal_append(&world.session.journal, &left);
  world_churn(&world, RING / 3);
  for (unsigned i = 0; i < 4; i++) (void)world_checkpoint(&world);
  cr_expect_gt(world.session.journal.words->head, (uint32_t)never, "the ring was full, and would have been lost");
  fc_journal_complete(&world.session.journal, never, FC_RESULT_FAILED, NULL);
  cr_assert_geq(world_create(&world, WORLD_DEAD_PID, "left", 10, false), 0);
  cr_assert_eq(replay(), 0);
  cr_expect_not(world_tracked(&registry, "left"), "without a result it counts as done");
}

/* It read without the turn, while the guardian of the dead session was punching out what it had not read yet. */
Test(checkpoint, the_end_waits_for_the_one_who_makes_a_checkpoint) {
  const int maker = journal_world_fd(&world);
  const int reaper_fd = journal_world_fd(&world);
  static struct fc_reaper reaper;
  struct fc_reap_result result = {0};
  cr_assert(fc_turn_take(maker, 0));
  const int64_t soon = fc_journal_now() + 20000000;
  cr_expect_eq(fc_reaper_open(&reaper, -1, reaper_fd, world.session.header, false, soon, &result), -EINTR);
  fc_reaper_close(&reaper);
  fc_turn_give(maker);
  cr_expect_eq(fc_reaper_open(&reaper, -1, reaper_fd, world.session.header, false, soon, &result), 0);
  cr_expect_not(fc_turn_take(maker, 0), "and no checkpoint is made while the end reads");
  fc_reaper_close(&reaper);
  (void)close(maker);
  (void)close(reaper_fd);
}

static void *sleep_for_ever(void *argument) {
  (void)pause();
  return argument;
}

/* /proc shows it as a zombie. */
Test(checkpoint, a_process_whose_first_thread_has_ended_is_alive) {
#if defined(__SANITIZE_THREAD__)
  cr_skip_test("ThreadSanitizer does not let a forked child start threads");
#endif
  int pipe_fd[2];
  cr_assert_eq(pipe(pipe_fd), 0);
  const pid_t child = fork();
  if (child == 0) {
    pthread_t thread;
    (void)pthread_create(&thread, NULL, sleep_for_ever, NULL);
    (void)!write(pipe_fd[1], "+", 1);
    pthread_exit(NULL);
  }
  char byte;
  cr_assert_eq(read(pipe_fd[0], &byte, 1), 1);
  char path[64];
  char text[512] = "";
  (void)snprintf(path, sizeof path, "/proc/%d/stat", child);
  for (unsigned i = 0; i < 1000 && !strstr(text, ") Z "); i++) {
    FILE *stat = fopen(path, "re");
    cr_assert(stat && fgets(text, sizeof text, stat));
    (void)fclose(stat);
    (void)usleep(1000);
  }
  cr_assert(strstr(text, ") Z "), "%s", text);
  cr_expect_geq(fc_session_start_time((uint32_t)child), 0);
  (void)kill(child, SIGKILL);
  siginfo_t info;
  cr_assert_eq(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
  cr_expect_eq(fc_session_start_time((uint32_t)child), -1, "a zombie all the same");
  (void)waitpid(child, NULL, 0);
}

Test(checkpoint, a_small_limit_for_file_sizes_does_no_harm) {
  remove_users_name();
  world_churn(&world, RING / 8);
  struct rlimit limit;
  cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
  const struct rlimit none = {0, limit.rlim_max};
  cr_assert_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
  const int rc = world_checkpoint(&world); /* SIGXFSZ would end us */
  cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
  cr_assert_eq(rc, 0);
  make_users_name();
  expect_users_name_whole("under a limit");
}

/* ---- killed on the way ---- */

static char *saved;
static size_t saved_size;

static void save_file(void) {
  saved_size = FC_HEADER_BYTES + RING * FC_CELL_BYTES;
  saved = saved ? saved : malloc(saved_size);
  const int fd = journal_world_fd(&world);
  cr_assert_eq(pread(fd, saved, saved_size, 0), (ssize_t)saved_size);
  (void)close(fd);
}

static void restore_file(void) {
  const int fd = journal_world_fd(&world);
  cr_assert_eq(pwrite(fd, saved, saved_size, 0), (ssize_t)saved_size);
  (void)close(fd);
}

/* A child that makes a checkpoint, killed `steps` instructions after its `calls`-th stop at a system call. Returns the
 * number of stops, or of steps, that it has seen; *ended when it got to its end before. */
static unsigned checkpoint_killed(unsigned calls, unsigned steps, bool *ended) {
  const pid_t child = fork();
  cr_assert_geq(child, 0);
  if (child == 0) {
    (void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    (void)raise(SIGSTOP);
    (void)world_checkpoint(&world);
    _exit(0);
  }
  int status;
  cr_assert_eq(waitpid(child, &status, 0), child);
  unsigned seen = 0;
  *ended = false;
  for (; seen < calls && !*ended; seen++) {
    cr_assert_eq(ptrace(PTRACE_SYSCALL, child, NULL, NULL), 0);
    cr_assert_eq(waitpid(child, &status, 0), child);
    *ended = !WIFSTOPPED(status);
  }
  for (unsigned i = 0; i < steps && !*ended; i++) {
    cr_assert_eq(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
    cr_assert_eq(waitpid(child, &status, 0), child);
    *ended = !WIFSTOPPED(status);
  }
  if (!*ended) {
    (void)kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0) continue;
  }
  return seen;
}

static void write_history(void) {
  remove_users_name();
  world_create(&world, WORLD_DEAD_PID, "d/copy", 20, false);
  world_unlink_user(&world, WORLD_DEAD_PID, "d/data", 1, false);
  for (unsigned i = 0; i < 3; i++) {
    char name[32];
    world_churn(&world, RING / 8);
    (void)snprintf(name, sizeof name, "kept-%u", i);
    world_create(&world, WORLD_DEAD_PID, name, 30 + i, false);
    if (i < 2) cr_assert_eq(world_checkpoint(&world), 0);
  }
}

static void judge_recovery(const char *where, unsigned calls, unsigned steps) {
  for (unsigned again = 0; again < 2; again++) {
    cr_assert_eq(replay(), 0, "%s %u+%u: it does not read", where, calls, steps);
    cr_assert(world_tracked(&registry, "kept-0") && world_tracked(&registry, "kept-2"), "%s %u+%u", where, calls,
              steps);
    cr_assert_not(world_tracked(&registry, "d/copy"), "%s %u+%u: N2", where, calls, steps);
    const struct fc_node *node = fc_registry_find(&registry, "users", false);
    cr_assert(node && node->reserved, "%s %u+%u: N1", where, calls, steps);
    if (again) break;
    /* And the next one makes good what is left. */
    world_churn(&world, RING / 8);
    cr_assert_eq(world_checkpoint(&world), 0, "%s %u+%u: no checkpoint after it", where, calls, steps);
  }
}

Test(checkpoint, killed_at_any_system_call_it_loses_nothing, .timeout = 200) {
  write_history();
  save_file();
  bool ended = false;
  unsigned calls = 1;
  for (;; calls++) {
    restore_file();
    (void)checkpoint_killed(calls, 0, &ended);
    if (ended) break;
    judge_recovery("system call", calls, 0);
  }
  cr_log_info("killed at %u stops at system calls", calls);
  cr_expect_gt(calls, 40);
}

Test(checkpoint, killed_between_any_two_stores_it_loses_nothing, .timeout = 200) {
  write_history();
  save_file();
  /* The stop before which the head moves: there the records, the anchor and the word are written. */
  bool ended = false;
  unsigned calls = 1;
  for (; !ended; calls++) {
    restore_file();
    const uint32_t before = world.session.journal.words->head;
    (void)checkpoint_killed(calls, 0, &ended);
    if (world.session.journal.words->head != before) break;
  }
  cr_assert_not(ended);
  calls--;
  unsigned last = 0;         /* so many instructions later the head has not moved, */
  unsigned moved = 1u << 16; /* and here it has */
  while (moved - last > 1) {
    restore_file();
    const uint32_t before = world.session.journal.words->head;
    const unsigned middle = last + (moved - last) / 2;
    (void)checkpoint_killed(calls, middle, &ended);
    *(!ended && world.session.journal.words->head == before ? &last : &moved) = middle;
  }
  unsigned points = 0;
  bool unfinished = false; /* an anchor half written */
  for (unsigned at = last % 500; at <= last + 4;
       at += at + 150 < last ? (last - at < 650 ? last - 150 - at : 500) : 5, points++) {
    restore_file();
    (void)checkpoint_killed(calls, at, &ended);
    cr_assert_not(ended);
    unfinished |= header()->anchors[0].generation == 0 || header()->anchors[1].generation == 0;
    judge_recovery("instruction", calls, at);
  }
  cr_expect(unfinished, "the anchor was written between two looks");
  cr_log_info("killed at %u points between two system calls", points);
  cr_expect_gt(points, 30);
}

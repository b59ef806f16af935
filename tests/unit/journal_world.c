#include "history.h"
#include "journal_world.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "checkpoint.h"
#include "snapshot.h"

void journal_world_begin(struct journal_world *w) {
  static char *const no_environment[] = {NULL};
  static struct fc_config config;
  static struct fc_base base;
  char message[1280];
  memset(w, 0, sizeof *w);
  (void)snprintf(w->dir, sizeof w->dir, "/tmp/fc-unit-XXXXXX");
  cr_assert_not_null(mkdtemp(w->dir));
  fc_config_default(&config);
  (void)snprintf(config.base, sizeof config.base, "%s/base", w->dir);
  (void)snprintf(config.state_dir, sizeof config.state_dir, "%s/state", w->dir);
  cr_assert_eq(fc_base_open(&base, &config, no_environment, NULL, message, sizeof message), 0, "%s", message);
  cr_assert_eq(fc_session_create(&w->session, &config, &base, NULL, no_environment, message, sizeof message), 0, "%s",
               message);
  (void)close(base.fd);
}

void journal_world_begin_small(struct journal_world *w, uint32_t cells) {
  struct rlimit before;
  cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
  const struct rlimit small = {FC_HEADER_BYTES + cells * FC_CELL_BYTES, before.rlim_max};
  cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
  journal_world_begin(w);
  cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
  cr_assert_eq(w->session.header->capacity, cells);
}

void journal_world_restart(struct journal_world *w, uint32_t start) {
  struct fc_session_header *const h = (struct fc_session_header *)(void *)w->session.journal.first;
  const int fd = journal_world_fd(w);
  const int punch_and_keep_size = 3;
  cr_assert_eq(fallocate(fd, punch_and_keep_size, FC_HEADER_BYTES, (off_t)h->capacity * FC_CELL_BYTES), 0);
  (void)close(fd);
  h->words.next = h->words.head = start;
  h->words.lost_destructive = h->words.lost_creating = 0;
  memset(h->anchors, 0, sizeof h->anchors);
  w->session.journal.claimed = 0;
  if (start == 0) return;
  static struct fc_registry nothing;
  memset(&nothing, 0, sizeof nothing);
  nothing.leader_status = -1;
  char path[64];
  struct fc_anchor anchor = {.sequence = start, .generation = 1, .head = start};
  struct fc_journal journal = w->session.journal;
  cr_assert_eq(fc_snapshot_write(&nothing, &journal, 1, path, &anchor.checkpoint), 0);
  anchor.check = fc_journal_anchor_check(h->key, &anchor);
  h->anchors[0] = anchor;
  fc_registry_free(&nothing);
}

void journal_world_end(struct journal_world *w) {
  char command[128];
  (void)snprintf(command, sizeof command, "rm -rf %s", w->dir);
  cr_assert_eq(system(command), 0);
}

int journal_world_fd(const struct journal_world *w) {
  const int fd = fc_session_reopen(&w->session);
  cr_assert_geq(fd, 0);
  return fd;
}

int journal_world_replay(const struct journal_world *w, int fd, struct fc_registry *registry) {
  struct fc_replay replay;
  memset(registry, 0, sizeof *registry);
  registry->leader_pid = w->session.header->leader_pid;
  registry->leader_status = -1;
  int rc = fc_replay_begin(&replay, &registry->arena, fd, w->session.header->key, w->session.header->capacity, true);
  if (rc == 0) rc = fc_history_replay(registry, &replay);
  return rc;
}

struct fc_identity world_identity(unsigned ino) {
  return (struct fc_identity){ino, 8, 1, ino, 1, 0};
}

static struct fc_name name_of(const char *path) { return (struct fc_name){NULL, 0, path, strlen(path)}; }

int64_t world_create(struct journal_world *w, unsigned pid, const char *path, unsigned ino, bool is_dir) {
  const struct fc_identity identity = world_identity(ino);
  const struct fc_record record = {.type = FC_REC_CREATE,
                                   .flags = is_dir ? FC_REC_DIR : 0,
                                   .pid = pid,
                                   .time_ns = fc_journal_now(),
                                   .identity = &identity,
                                   .path = name_of(path)};
  return fc_journal_append(&w->session.journal, &record);
}

static struct fc_object object_of(unsigned ino, int has_data) {
  return (struct fc_object){
      .identity = world_identity(ino), .mode = has_data < 0 ? 0 : S_IFREG | 0600, .has_data = has_data > 0};
}

void world_unlink_user(struct journal_world *w, unsigned pid, const char *path, int has_data, bool pending) {
  const struct fc_object object = object_of(999999, has_data);
  const struct fc_record record = {.type = FC_REC_UNLINK,
                                   .flags = FC_REC_INFO,
                                   .pid = pid,
                                   .time_ns = fc_journal_now(),
                                   .info = &object,
                                   .path = name_of(path)};
  const int64_t index = fc_journal_append(&w->session.journal, &record);
  if (!pending) fc_journal_complete(&w->session.journal, index, FC_RESULT_DONE, NULL);
}

void world_unlink_own(struct journal_world *w, unsigned pid, const char *path, unsigned ino) {
  const struct fc_identity identity = world_identity(ino);
  const struct fc_record record = {.type = FC_REC_UNLINK,
                                   .pid = pid,
                                   .time_ns = fc_journal_now(),
                                   .extra = FC_EXTRA_SEEN | FC_EXTRA_HAS_DATA,
                                   .identity = &identity,
                                   .path = name_of(path)};
  fc_journal_complete(&w->session.journal, fc_journal_append(&w->session.journal, &record), FC_RESULT_DONE, NULL);
}

static int64_t rename_record(struct journal_world *w, unsigned pid, const char *from, unsigned ino, const char *to) {
  const struct fc_identity identity = world_identity(ino);
  const struct fc_record record = {.type = FC_REC_RENAME,
                                   .flags = FC_REC_TARGET,
                                   .pid = pid,
                                   .time_ns = fc_journal_now(),
                                   .extra = FC_EXTRA_SEEN | FC_EXTRA_HAS_DATA,
                                   .identity = &identity,
                                   .path = name_of(from),
                                   .path2 = name_of(to)};
  return fc_journal_append(&w->session.journal, &record);
}

void world_rename_new(struct journal_world *w, unsigned pid, const char *from, unsigned ino, const char *to) {
  fc_journal_complete(&w->session.journal, rename_record(w, pid, from, ino, to), FC_RESULT_DONE, NULL);
}

void world_rename_onto(struct journal_world *w, unsigned pid, const char *from, unsigned ino, const char *to,
                       unsigned target_ino) {
  const struct fc_object target = object_of(target_ino ? target_ino : 888888, 1);
  fc_journal_complete(&w->session.journal, rename_record(w, pid, from, ino, to), FC_RESULT_ONTO, &target);
}

int world_checkpoint(struct journal_world *w) {
  const int fd = journal_world_fd(w);
  struct fc_checkpoint_memory memory = {.then_next = w->session.journal.words->next, .then_ns = 1};
  const int rc = fc_checkpoint_make(fd, w->session.header, &memory, FC_INFINITY_NS);
  (void)close(fd);
  return rc;
}

void world_churn(struct journal_world *w, uint32_t cells) {
  const uint32_t begin = w->session.journal.words->next;
  while (w->session.journal.words->next - begin < cells) {
    cr_assert_geq(world_create(w, WORLD_DEAD_PID, "churn", 777, false), 0);
    world_unlink_own(w, WORLD_DEAD_PID, "churn", 777);
  }
}

bool world_tracked(struct fc_registry *registry, const char *path) {
  return fc_ownership_tracked(registry, fc_registry_find(registry, path, false));
}

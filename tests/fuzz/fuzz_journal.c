/* fuzz_journal: any bytes as a journal, replayed.
 *
 * What must hold, whatever they are:
 *   - the answer is one of those that replay.h and history.h allow;
 *   - the registry is a tree: parents, siblings and the table agree, the post-order meets every node once, no name is
 *     "", "." or "..", or holds a slash, so that no path leads out of the base;
 *   - a node's path leads back to the node;
 *   - what has been written into a checkpoint and read back is tracked, reserved and used as before: less would lose a
 *     name, more would delete one;
 *   - one bit turned over in what a check covers, and the journal is damaged;
 *   - a living journal that is read on after its end is the same as one that is read at once.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "cells.h"
#include "history.h"
#include "ownership.h"
#include "snapshot.h"

static struct fc_identity identities[CELLS_NAMES];
static char path[FC_REPLAY_PATH_MAX];
static char again[FC_REPLAY_PATH_MAX];

static int new_file(void) {
  const int fd = memfd_create("journal", 0);
  REQUIRE(fd >= 0 && ftruncate(fd, FC_HEADER_BYTES + 64 * CELLS_CAPACITY * FC_CELL_BYTES) == 0);
  return fd;
}

static void is_sound(struct fc_registry *r) {
  size_t nodes = 0;
  const size_t known = HASH_COUNT(r->nodes);
  for (struct fc_node *n = fc_registry_postorder(&r->root, NULL); n; n = fc_registry_postorder(&r->root, n)) {
    REQUIRE(nodes++ <= known);
    const struct fc_node *before = NULL;
    for (const struct fc_node *child = n->first_child; child; before = child, child = child->next)
      REQUIRE(child->parent == n && child->before == before);
    if (n == &r->root) continue;
    const char *leaf = fc_registry_leaf(n);
    const size_t len = strlen(leaf);
    REQUIRE(len == n->leaf_len && len > 0 && len <= 255 && !strchr(leaf, '/'));
    REQUIRE(strcmp(leaf, ".") != 0 && strcmp(leaf, "..") != 0);
    REQUIRE(fc_registry_child(r, n->parent, leaf, len, false) == n);
    const size_t length = fc_registry_path(n, path, sizeof path);
    if (length == 0) continue;
    REQUIRE(length == strlen(path) && path[0] != '/');
    memcpy(again, path, length + 1);
    REQUIRE(fc_path_normalize(again) == length && strcmp(again, path) == 0);
    REQUIRE(fc_registry_find(r, path, false) == n);
    if (fc_ownership_stands(r, n)) REQUIRE(fc_ownership_tracked(r, n));
    if (fc_ownership_tracked(r, n)) REQUIRE(n->tracked && !n->reserved);
  }
  REQUIRE(nodes == known + 1);
  REQUIRE(!fc_ownership_tracked(r, &r->root));
}

static int replay(int fd, uint64_t key, uint32_t capacity, bool ended, struct fc_registry *r,
                  struct fc_replay *reading) {
  memset(r, 0, sizeof *r);
  r->leader_status = -1;
  int rc = fc_replay_begin(reading, &r->arena, fd, key, capacity, ended);
  if (rc == 0) rc = fc_history_replay(r, reading);
  REQUIRE(rc == 0 || rc == -EBADMSG || rc == -EAGAIN);
  if (ended) REQUIRE(rc != -EAGAIN);
  REQUIRE(!r->failed);
  return rc;
}

static bool all_in(struct fc_registry *some, struct fc_registry *in, bool reserved_too) {
  for (struct fc_node *n = fc_registry_postorder(&some->root, NULL); n; n = fc_registry_postorder(&some->root, n)) {
    if (fc_registry_path(n, path, sizeof path) == 0) continue;
    struct fc_node *other = fc_registry_find(in, path, false);
    if (fc_ownership_tracked(some, n) && !(other && fc_ownership_tracked(in, other))) return false;
    if (reserved_too && ((n->reserved && !(other && other->reserved)) || (n->used && !(other && other->used)) ||
                         (n->kept && !(other && other->kept))))
      return false;
  }
  return true;
}

/* The registry, written as a checkpoint into an empty journal, and read back. */
static void survives_a_checkpoint(struct fc_registry *r, uint64_t key) {
  static int fd = -1;
  static char *map;
  const uint32_t capacity = 64 * CELLS_CAPACITY;
  const size_t bytes = FC_HEADER_BYTES + (size_t)capacity * FC_CELL_BYTES;
  if (fd < 0) {
    fd = new_file();
    map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    REQUIRE(map != MAP_FAILED);
  }
  struct fc_head_words *words = (struct fc_head_words *)(void *)(map + offsetof(struct fc_session_header, words));
  struct fc_anchor *anchors = (struct fc_anchor *)(void *)(map + offsetof(struct fc_session_header, anchors));
  memset(words, 0, sizeof *words);
  memset(anchors, 0, 2 * sizeof *anchors);
  struct fc_journal journal = {
      .words = words, .first = map, .first_bytes = bytes, .key = key, .capacity = capacity, .limit = capacity};
  const uint32_t most = fc_snapshot_cells(r);
  if (most > capacity) return;
  uint32_t first = 0;
  const int rc = fc_snapshot_write(r, &journal, 1, path, &first);
  REQUIRE(rc == 0 && words->next <= most);
  anchors[0] = (struct fc_anchor){.sequence = words->next, .generation = 1, .head = 0, .checkpoint = first};
  anchors[0].check = fc_journal_anchor_check(key, &anchors[0]);

  struct fc_registry back;
  struct fc_replay reading;
  REQUIRE(replay(fd, key, capacity, true, &back, &reading) == 0);
  is_sound(&back);
  REQUIRE(all_in(r, &back, true));
  REQUIRE(all_in(&back, r, false));
  fc_registry_free(&back);
  REQUIRE(ftruncate(fd, FC_HEADER_BYTES) == 0 && ftruncate(fd, (off_t)bytes) == 0);
}

/* Half of it first, then the rest. */
static void reads_on(int fd, const struct cells *c, struct fc_registry *whole) {
  struct fc_registry r;
  struct fc_replay reading;
  struct fc_head_words words = {.state = FC_STATE_LIVE, .head = c->head, .next = c->head + (c->next - c->head) / 2};
  REQUIRE(pwrite(fd, &words, sizeof words, offsetof(struct fc_session_header, words)) == (ssize_t)sizeof words);
  if (replay(fd, c->key, CELLS_CAPACITY, false, &r, &reading) == 0) {
    words.next = c->next;
    REQUIRE(pwrite(fd, &words, sizeof words, offsetof(struct fc_session_header, words)) == (ssize_t)sizeof words);
    if (fc_replay_resume(&reading, c->next) && fc_history_replay(&r, &reading) == 0) {
      is_sound(&r);
      REQUIRE(r.records == whole->records);
      REQUIRE(all_in(&r, whole, true) && all_in(whole, &r, true));
    }
  }
  fc_registry_free(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static int fd = -1;
  static struct cells cells;
  if (fd < 0) {
    fd = new_file();
    for (unsigned i = 1; i < CELLS_NAMES; i++) identities[i] = (struct fc_identity){100 + i, 8, 1, i, 1, 0};
  }
  REQUIRE(ftruncate(fd, FC_HEADER_BYTES) == 0 &&
          ftruncate(fd, (off_t)(FC_HEADER_BYTES + CELLS_CAPACITY * FC_CELL_BYTES)) == 0);
  cells_build(&cells, data, size, identities);
  cells_store(&cells, fd);
  struct fc_registry r;
  struct fc_replay reading;
  const int rc = replay(fd, cells.key, CELLS_CAPACITY, !cells.live, &r, &reading);
  is_sound(&r);
  if (rc == 0) {
    if (cells.live && reading.open_count == 0) reads_on(fd, &cells, &r);
    survives_a_checkpoint(&r, cells.key);
  }
  fc_registry_free(&r);
  if (rc == 0 && cells_flip(&cells)) {
    cells_store(&cells, fd);
    REQUIRE(replay(fd, cells.key, CELLS_CAPACITY, !cells.live, &r, &reading) == -EBADMSG);
    fc_registry_free(&r);
  }
  return 0;
}

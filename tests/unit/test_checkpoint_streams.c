/* checkpoint: random streams of records mean the same with checkpoints at random points as without, and damage to a
 * journal that has some deletes nothing wrong.
 *
 * FC_STREAMS=100000 is the long form; FC_STREAM_SEED another series. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint.h"
#include "journal_world.h"
#include "snapshot.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { STREAMS = 200, FLIPS = 10000 };
#else
enum { STREAMS = 1000, FLIPS = 100000 };
#endif
#define RING 4096u
#define RECORDS 1200
#define OUTSTANDING 8

static struct journal_world plain;     /* a large ring and no checkpoint */
static struct journal_world shortened; /* a small one */

static uint64_t random_state;
static unsigned pick(unsigned n) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return (unsigned)(random_state >> 11) % n;
}

static void begin(void) {
  journal_world_begin(&plain);
  journal_world_begin_small(&shortened, RING);
}
static void end(void) {
  journal_world_end(&plain);
  journal_world_end(&shortened);
}
TestSuite(checkpoint_streams, .init = begin, .fini = end, .timeout = 3000);

static const char *const names[] = {"a", "b",   "c",   "d", "d/a", "d/b",     "d/e",  "d/e/a",     "d/e/b",
                                    "f", "f/a", "f/b", "g", "g/a", "g/h/i/j", "a.gz", "d/long-%l", "%l/%l/%l"};
#define NAMES (sizeof names / sizeof *names)
static char paths[NAMES][800];

static void make_paths(void) {
  for (size_t i = 0; i < NAMES; i++) {
    char *out = paths[i];
    for (const char *p = names[i]; *p; p++) {
      if (p[0] == '%' && p[1] == 'l') {
        memset(out, 'L', 200);
        out += 200;
        p++;
      } else {
        *out++ = *p;
      }
    }
    *out = '\0';
  }
}

/* The identity that a record tells: mostly what the plain registry knows at the name. So it is written on the way. */
static unsigned known_ino[NAMES];

static struct fc_object object_with(unsigned ino, unsigned place) {
  struct fc_object object = {.mode = S_IFREG | 0600, .has_data = pick(2), .identity = world_identity(ino)};
  if (pick(8) == 0) object.mode = 0;
  if (pick(3)) {
    object.parent_ino = 5000 + place % 4;
    object.parent_major = 8;
    object.parent_minor = 1;
  }
  return object;
}

static struct {
  int64_t plain;
  int64_t shortened;
} outstanding[OUTSTANDING];

static unsigned completions; /* in this stream */

static void append(const struct fc_record *record, enum fc_result result, const struct fc_object *target) {
  const int64_t a = fc_journal_append(&plain.session.journal, record);
  const int64_t b = fc_journal_append(&shortened.session.journal, record);
  cr_assert(a >= 0 && b >= 0, "the ring is full: next %u, head %u", shortened.session.journal.words->next,
            shortened.session.journal.words->head);
  if (result == FC_RESULT_PENDING) {
    /* One that lives may complete it later; one that is dead never will. */
    if (record->pid >= WORLD_DEAD_PID) return;
    const unsigned i = pick(OUTSTANDING);
    if (outstanding[i].plain >= 0) {
      fc_journal_complete(&plain.session.journal, outstanding[i].plain, FC_RESULT_DONE, NULL);
      fc_journal_complete(&shortened.session.journal, outstanding[i].shortened, FC_RESULT_DONE, NULL);
    }
    outstanding[i].plain = a;
    outstanding[i].shortened = b;
    return;
  }
  fc_journal_complete(&plain.session.journal, a, result, target);
  fc_journal_complete(&shortened.session.journal, b, result, target);
}

static void complete_some(void) {
  const unsigned i = pick(OUTSTANDING);
  if (outstanding[i].plain < 0) return;
  const enum fc_result result = pick(3) ? FC_RESULT_DONE : FC_RESULT_FAILED;
  fc_journal_complete(&plain.session.journal, outstanding[i].plain, result, NULL);
  fc_journal_complete(&shortened.session.journal, outstanding[i].shortened, result, NULL);
  outstanding[i].plain = -1;
  completions++;
}

static enum fc_result some_result(bool rename) {
  switch (pick(8)) {
  case 0:
    return FC_RESULT_PENDING;
  case 1:
    return FC_RESULT_FAILED;
  case 2:
  case 3:
    return rename ? FC_RESULT_ONTO : FC_RESULT_DONE;
  default:
    return FC_RESULT_DONE;
  }
}

/* One record of any kind. The living: this process, its parent and init. */
static void random_record(unsigned number) {
  const uint32_t living[] = {(uint32_t)getpid(), (uint32_t)getppid(), 1};
  const uint32_t pid = pick(3) ? living[pick(3)] : WORLD_DEAD_PID + pick(4);
  const unsigned from = pick(NAMES);
  const unsigned to = pick(NAMES);
  const unsigned ino = pick(6) ? known_ino[from] : 100000 + number;
  const struct fc_identity fresh = world_identity(1 + number);
  const struct fc_identity there = world_identity(ino);
  struct fc_object info = object_with(ino, from);
  const struct fc_object since = {.identity = {.birth_s = number, .birth_ns = number}};
  struct fc_object target = object_with(pick(4) ? known_ino[to] : 200000 + number, to);
  struct fc_record r = {.pid = pid, .time_ns = fc_journal_now(), .path = {NULL, 0, paths[from], strlen(paths[from])}};
  const struct fc_name second = {NULL, 0, paths[to], strlen(paths[to])};
  enum fc_result result = FC_RESULT_PENDING;
  const struct fc_object *seen = NULL;
  switch (pick(20)) {
  default:
    r.type = pick(12) ? FC_REC_CREATE : pick(2) ? FC_REC_ADOPT : FC_REC_TRACK;
    r.flags = pick(4) ? 0 : FC_REC_DIR;
    r.identity = &fresh;
    known_ino[from] = 1 + number;
    r.pid = pid;
    if (r.type == FC_REC_TRACK && pick(2)) {
      r.flags |= FC_REC_TREE | FC_REC_INFO;
      r.info = &since;
    } else if (r.type == FC_REC_TRACK && pick(2)) {
      r.identity = &since.identity; /* nothing stands there yet */
    }
    cr_assert_geq(fc_journal_append(&plain.session.journal, &r), 0);
    cr_assert_geq(fc_journal_append(&shortened.session.journal, &r), 0);
    return;
  case 0:
  case 1:
  case 2:
  case 3:
    r.type = pick(5) ? FC_REC_UNLINK : FC_REC_RENAME_OUT;
    result = some_result(false);
    break;
  case 4:
  case 5:
  case 6:
    r.type = FC_REC_RENAME;
    r.path2 = second;
    r.flags = FC_REC_TARGET;
    result = some_result(true);
    seen = result == FC_RESULT_ONTO ? &target : NULL;
    if (result == FC_RESULT_DONE) known_ino[to] = known_ino[from];
    break;
  case 7:
    r.type = FC_REC_RENAME_IN;
    r.flags = FC_REC_TARGET;
    result = some_result(true);
    seen = result == FC_RESULT_ONTO ? &target : NULL;
    append(&r, result, seen);
    return;
  case 8:
    r.type = FC_REC_EXCHANGE;
    r.path2 = second;
    r.flags = FC_REC_TARGET;
    result = some_result(false);
    seen = &target;
    break;
  case 9:
    r.type = FC_REC_USED;
    if (pick(3) == 0) {
      r.flags = FC_REC_TRUNCATES | FC_REC_INFO;
      r.info = &info;
    }
    append(&r, FC_RESULT_DONE, NULL);
    return;
  case 10:
    r.type = FC_REC_INODE;
    r.identity = &fresh;
    r.path = (struct fc_name){0};
    append(&r, FC_RESULT_DONE, NULL);
    r.type = FC_REC_LINK;
    r.path = second;
    if (pick(2)) append(&r, FC_RESULT_DONE, NULL);
    return;
  case 11:
    r.type = FC_REC_LINK;
    r.identity = &there;
    r.path2 = r.path;
    r.path = second;
    append(&r, FC_RESULT_DONE, NULL);
    return;
  case 12:
    /* What is dead does these no more. */
    r.pid = living[pick(3)];
    r.path = (struct fc_name){0};
    r.type = pick(2) ? FC_REC_OUTSIDE : pick(2) ? FC_REC_EXEC : FC_REC_JOIN;
    if (r.type == FC_REC_JOIN) r.time_ns = living[pick(3)];
    if (r.type == FC_REC_EXEC) r.flags = pick(2) ? FC_REC_SPAWNED : 0;
    cr_assert_geq(fc_journal_append(&plain.session.journal, &r), 0);
    cr_assert_geq(fc_journal_append(&shortened.session.journal, &r), 0);
    return;
  case 13:
    r.type = FC_REC_END;
    r.pid = plain.session.leader_pid;
    r.extra = (uint16_t)pick(4);
    append(&r, FC_RESULT_DONE, NULL);
    return;
  }
  if (pick(3)) {
    r.flags |= FC_REC_INFO;
    r.info = &info;
  } else {
    r.identity = &there;
    r.extra = FC_EXTRA_SEEN | (pick(2) ? FC_EXTRA_HAS_DATA : 0);
  }
  append(&r, result, seen);
}

/* A first difference in what the rules would decide, or NULL. */
static const char *difference(struct fc_registry *a, struct fc_registry *b) {
  static char text[1000];
#define SAME(what, x, y)                                                                                               \
  if ((x) != (y)) {                                                                                                    \
    (void)snprintf(text, sizeof text, "%s of %.60s: %lld without, %lld with", what, path, (long long)(x),              \
                   (long long)(y));                                                                                    \
    return text;                                                                                                       \
  }
  for (size_t i = 0; i <= NAMES; i++) {
    const char *path = i < NAMES ? paths[i] : "";
    const struct fc_node *m = fc_registry_find(a, path, false);
    const struct fc_node *n = fc_registry_find(b, path, false);
    const struct fc_node nothing = {0};
    if (!m) m = &nothing;
    if (!n) n = &nothing;
    SAME("tracked", fc_ownership_tracked(a, m), fc_ownership_tracked(b, n));
    SAME("standing", fc_ownership_stands(a, m), fc_ownership_stands(b, n));
    SAME("reserved", m->reserved, n->reserved);
    SAME("used", m->used, n->used);
    SAME("seen", m->seen, n->seen);
    SAME("data moved below", m->data_moved != 0, n->data_moved != 0);
    SAME("data moved since use", m->used && a->data_moved > m->used_at + 1, n->used && b->data_moved > n->used_at + 1);
    if (!fc_ownership_tracked(a, m)) continue;
    SAME("identity", memcmp(&m->identity, &n->identity, sizeof m->identity), 0);
    SAME("kind", m->is_dir, n->is_dir);
    SAME("birth", m->born_ns, n->born_ns);
    SAME("asked", m->asked, n->asked);
    SAME("tree", m->tree, n->tree);
    SAME("expected", m->expected, n->expected);
    SAME("asked since", m->asked ? m->asked_ns : 0, n->asked ? n->asked_ns : 0);
    SAME("creator", m->pid, n->pid);
    SAME("data moved since creation", m->created >= a->data_moved, n->created >= b->data_moved);
    const struct fc_process *p = fc_registry_process(a, m->pid, false);
    const struct fc_process *q = fc_registry_process(b, n->pid, false);
    SAME("N6", p && p->outside, q && q->outside);
    for (unsigned place = 0; place < 4; place++) {
      const struct fc_identity parent = {5000 + place, 8, 1, 1, 1, 0};
      const char *slash = strrchr(path, '/');
      const char *leaf = slash ? slash + 1 : path;
      SAME("place", fc_ownership_holds_in(a, m, &parent, leaf), fc_ownership_holds_in(b, n, &parent, leaf));
    }
  }
  const char *path = "the session";
  unsigned alive_a;
  unsigned alive_b;
  unsigned arriving;
  SAME("status", a->leader_status, b->leader_status);
  SAME("data moved", a->data_moved != 0, b->data_moved != 0);
  SAME("unseen", fc_ownership_unseen(a, &alive_a, &arriving), fc_ownership_unseen(b, &alive_b, &arriving));
  SAME("unseen alive", alive_a, alive_b);
  return NULL;
}

static unsigned checkpoints;

static void stream(uint64_t seed, uint32_t start, unsigned records) {
  random_state = seed * 0x9E3779B97F4A7C15ULL + 1;
  for (unsigned i = 0; i < OUTSTANDING; i++) outstanding[i].plain = -1;
  for (unsigned i = 0; i < NAMES; i++) known_ino[i] = 900 + i;
  journal_world_restart(&plain, 0);
  journal_world_restart(&shortened, start);
  for (unsigned i = 0; i < records; i++) {
    random_record(i);
    if (pick(6) == 0) complete_some();
    const struct fc_head_words *words = shortened.session.journal.words;
    if (words->next - words->head > RING / 16 + pick(RING / 8)) {
      /* An open call blocks it; then all come to their end. */
      if (world_checkpoint(&shortened) == 0)
        checkpoints++;
      else
        for (unsigned k = 0; k < 40; k++) complete_some();
    }
  }
}

Test(checkpoint_streams, mean_the_same_with_checkpoints_at_random_points) {
  const char *asked = getenv("FC_STREAMS");
  const char *first = getenv("FC_STREAM_SEED");
  const unsigned streams = asked ? (unsigned)atoi(asked) : STREAMS;
  const uint64_t seed = first ? strtoull(first, NULL, 0) : 1;
  make_paths();
  const int fd_plain = journal_world_fd(&plain);
  const int fd_short = journal_world_fd(&shortened);
  unsigned long laps = 0;
  for (uint64_t s = seed; s < seed + streams; s++) {
    static struct fc_registry a;
    static struct fc_registry b;
    const uint32_t start = s % 3 == 0 ? UINT32_MAX - (uint32_t)(s % 3001) : s % 3 == 1 ? 0 : (uint32_t)(s * 7919);
    stream(s, start, RECORDS);
    laps += (shortened.session.journal.words->next - start) / RING;
    fc_checkpoint_finish(fd_short, shortened.session.header);
    cr_assert_eq(journal_world_replay(&plain, fd_plain, &a), 0, "seed %llu", (unsigned long long)s);
    cr_assert_eq(journal_world_replay(&shortened, fd_short, &b), 0, "seed %llu", (unsigned long long)s);
    const char *wrong = difference(&a, &b);
    cr_assert_null(wrong, "FC_STREAM_SEED=%llu FC_STREAMS=1: %s", (unsigned long long)s, wrong);
    fc_registry_free(&a);
    fc_registry_free(&b);
  }
  fprintf(stderr, "%u streams of %d records from seed %llu: %u checkpoints, %lu laps, the same decisions\n", streams,
          RECORDS, (unsigned long long)seed, checkpoints, laps);
  cr_expect_gt(checkpoints, 3 * streams);
  (void)close(fd_plain);
  (void)close(fd_short);
}

/* What may be deleted of the shortened journal after damage is a part of what may be without. */
Test(checkpoint_streams, bytes_flipped_at_random_delete_nothing_wrong) {
  make_paths();
  const int fd = journal_world_fd(&shortened);
  unsigned harmless = 0;
  unsigned flips = 0;
  for (uint64_t seed = 1; flips < FLIPS; seed++) {
    static struct fc_registry whole;
    stream(seed, seed % 2 ? 0 : UINT32_MAX - 2000, RECORDS);
    fc_checkpoint_finish(fd, shortened.session.header);
    const struct fc_session_header *const h = shortened.session.header;
    cr_assert_eq(journal_world_replay(&shortened, fd, &whole), 0);
    const uint32_t head = h->words.head;
    const uint32_t used = h->words.next - head;
    const struct fc_anchor *anchor = fc_journal_anchor(h->key, h->anchors);
    const uint32_t body = h->words.next - anchor->checkpoint;
    for (unsigned i = 0; i < 2000; i++, flips++) {
      uint64_t at[4];
      unsigned char before[4];
      const unsigned bytes = 1 + pick(4);
      for (unsigned k = 0; k < bytes; k++) {
        const unsigned where = pick(8);
        const uint32_t cell = where < 4 ? head + pick(used) : anchor->checkpoint + pick(body);
        at[k] = where == 0   ? 256 + pick(sizeof(struct fc_head_words))
                : where == 1 ? 384 + pick(FC_ANCHORS * sizeof(struct fc_anchor))
                : where == 2 ? FC_HEADER_BYTES + pick(RING * FC_CELL_BYTES)
                             : fc_journal_at(RING, cell) + pick(FC_CELL_BYTES);
        unsigned char byte;
        cr_assert_eq(pread(fd, &byte, 1, (off_t)at[k]), 1);
        before[k] = byte;
        byte = (unsigned char)(pick(2) ? byte ^ (1u << pick(8)) : pick(256));
        cr_assert_eq(pwrite(fd, &byte, 1, (off_t)at[k]), 1);
      }
      static struct fc_registry damaged;
      if (journal_world_replay(&shortened, fd, &damaged) == 0) {
        harmless++;
        for (size_t n = 0; n < NAMES; n++) {
          struct fc_node *now = fc_registry_find(&damaged, paths[n], false);
          if (!fc_ownership_stands(&damaged, now)) continue;
          struct fc_node *then = fc_registry_find(&whole, paths[n], false);
          /* An object that has been removed since may seem to be there again: its identity is on no disk. */
          const bool gone = !then || memcmp(&then->identity, &now->identity, sizeof now->identity) != 0 ||
                            (!then->reserved && !then->tracked);
          cr_assert(fc_ownership_stands(&whole, then) || gone,
                    "seed %llu flip %u (%u bytes, the first at %llu): %.60s would be deleted", (unsigned long long)seed,
                    i, bytes, (unsigned long long)at[0], paths[n]);
        }
      }
      fc_registry_free(&damaged);
      for (unsigned k = bytes; k-- > 0;) cr_assert_eq(pwrite(fd, &before[k], 1, (off_t)at[k]), 1);
    }
    fc_registry_free(&whole);
  }
  fprintf(stderr, "%u flips: 0 wrong deletions, %u without effect on the reading\n", flips, harmless);
  (void)close(fd);
}

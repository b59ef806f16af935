/* replay: reading a journal back, record by record.
 *
 * Responsible for: telling records, torn cells and damage apart. Recovery after any crash is this ordinary read path.
 * Must never: trust a length, a count or the header's `next` without a bound, or read through a mapping (a truncated
 * file must be an error, not SIGBUS).
 */
#ifndef FC_REPLAY_H
#define FC_REPLAY_H

#include "arena.h"
#include "journal.h"

#define FC_REPLAY_PATH_MAX 16384u
#define FC_REPLAY_OPEN_MAX 64u

/* Cells side by side whose start words are missing. */
struct fc_open_cells {
  uint32_t first;
  uint32_t count;
};

struct fc_replay {
  int fd; /* of the session file, not owned */
  uint64_t key;
  uint32_t capacity;
  uint32_t next;  /* the first cell that was free when the replay began */
  uint32_t index; /* the cell to look at now */
  uint32_t head;  /* where the records begin that no checkpoint covers */
  uint64_t head_sequence;
  uint32_t checkpoint; /* generation of the one to read first; 0 = none, or read by now */
  uint32_t restored;   /* records of it so far */
  char *buffer;        /* cells [buffer_first, buffer_first + buffer_count) */
  uint32_t buffer_first;
  uint32_t buffer_count;
  uint32_t torn;   /* cells stepped over */
  bool ended;      /* nobody writes any more */
  bool lost_track; /* more runs of open cells than fit */
  bool overtaken;
  int error;           /* the journal could not be read, which proves no damage; -errno */
  unsigned open_count; /* cells without a word, whose writers may still be at work (only while not ended) */
  struct fc_open_cells open[FC_REPLAY_OPEN_MAX];
  char *path; /* FC_REPLAY_PATH_MAX bytes each */
  char *path2;
};

/* One record, as the rules want it. Pointers live until the next call. */
struct fc_replayed {
  uint32_t index;    /* its cell */
  uint64_t sequence; /* of records, in the order in which they were reserved, over all laps */
  struct fc_start_cell start;
  enum fc_result result;
  bool has_info;
  bool has_target;
  struct fc_object info;
  struct fc_object target; /* all zero when nothing was seen */
  const char *path;        /* tidied, relative to the base; "" = none or outside */
  const char *path2;
};

enum fc_replay_step {
  FC_REPLAY_END = 0,
  FC_REPLAY_RECORD,
  FC_REPLAY_DAMAGED,  /* or it cannot be read now: error */
  FC_REPLAY_OVERTAKEN /* of a living session: a checkpoint has passed the reader, who must begin anew */
};

/* Starts with the last checkpoint, whose records are given first, then at the head. Buffers come from arena. ended:
 * nobody writes any more, so that whatever stands behind the header's `next` is damage. Returns 0; -EBADMSG when the
 * place to start at cannot be told, or -EAGAIN when it is just being moved; or -errno. */
int fc_replay_begin(struct fc_replay *replay, struct fc_arena *arena, int fd, uint64_t key, uint32_t capacity,
                    bool ended);

/* Goes on in a journal that is still written, up to `next`: from the first open cell that has been committed meanwhile,
 * or from where the reading ended. False when that cannot be told. */
bool fc_replay_resume(struct fc_replay *replay, uint32_t next);

/* The next record. Of an ended journal END is given only when nothing but untouched
 * cells follows `next`. */
enum fc_replay_step fc_replay_next(struct fc_replay *replay, struct fc_replayed *out);

#endif

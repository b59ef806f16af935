/* tracking: the set of names, as records of the journal and slots of the table.
 *
 * Responsible for: what a path means beneath the base, adding, finding and taking out, and reading a record back. Each
 * name has one record that counts: one that is taken back or followed by another is completed as FAILED where it
 * stands, which needs no room and cannot fail. Must never: look at the file system but at the one object that is to be
 * tracked.
 *
 * Paths called `rel` are tidied and relative to the base. What says "locked" is for a caller that holds `lock`.
 */
#ifndef FC_TRACKING_H
#define FC_TRACKING_H

#include "manager.h"

/* A name's record, read back. */
struct fc_tracked {
  uint32_t cell;
  bool tree;
  bool is_dir;
  bool expected;               /* nothing stood there */
  struct fc_identity identity; /* else of what did */
  int64_t asked_ns;            /* expected or tree: since when what appears there counts, CLOCK_REALTIME_COARSE */
  char path[PATH_MAX];
};

/* What is to be added. */
struct fc_tracking {
  const char *rel;
  const struct fc_identity *identity; /* NULL: nothing stands there yet */
  bool is_dir;
  bool tree;
  bool in_pass; /* the caller is removing: no room can be made now */
  int64_t asked_ns;
};

/* Writes what path means beneath the base to rel (PATH_MAX bytes). 0 or -errno: -ENAMETOOLONG, -EXDEV, -ENOENT (no
 * working directory). */
int fc_tracking_relative(const fcm_manager *manager, const char *path, char *rel);

/* Takes `lock`, waits until rel is not in hand (NULL: none in particular), and reads what others have recorded. */
void fc_tracking_lock(fcm_manager *manager, const char *rel);
void fc_tracking_unlock(fcm_manager *manager);

/* Adds, or binds anew; locked. 0; -ENOSPC, -ENOMEM. May give the lock up for a moment, to make room. */
int fc_tracking_add(fcm_manager *manager, const struct fc_tracking *what);

/* True when it is tracked; *out (may be NULL) gets its record. Locked. */
bool fc_tracking_find(fcm_manager *manager, const char *rel, struct fc_tracked *out);

/* Takes it out. False: it was not tracked. Locked. */
bool fc_tracking_drop(fcm_manager *manager, const char *rel);

/* The same for rel and all that lies below it; locked, O(n). */
void fc_tracking_drop_below(fcm_manager *manager, const char *rel);

/* Reads the record at cell, if it counts; locked. */
bool fc_tracking_read(fcm_manager *manager, uint32_t cell, struct fc_tracked *out);

/* All cells whose slots have none of the flags `without` and, unless it is 0, one of `with`, in the order of the
 * journal; locked. The caller's to free; NULL with *count 0, or no memory (false). */
bool fc_tracking_cells(fcm_manager *manager, uint32_t with, uint32_t without, uint32_t **cells, size_t *count);

/* Nothing is tracked, and nothing has been handed over by other sessions. */
bool fc_tracking_is_empty(fcm_manager *manager);

/* The table, empty before, from the journal, in a process that has taken the manager over. 0 or -errno. */
int fc_tracking_rebuild(fcm_manager *manager);

/* Appends a TRACK record. Its cell, or a negative number. */
int64_t fc_tracking_append(struct fc_journal *journal, const struct fc_tracking *what);

/* For a table beside the manager's own, and the number of cells of a record. */
uint32_t fc_tracking_hash(const fcm_manager *manager, const char *rel);
uint32_t fc_tracking_value(const struct fc_tracking *what, uint32_t cell);
uint32_t fc_tracking_path_len(fcm_manager *manager, uint32_t cell);
unsigned fc_tracking_cells_of(fcm_manager *manager, uint32_t cell);

/* The moment from which on what appears counts (fc_tracked.asked_ns). */
int64_t fc_tracking_now(void);

#endif

/* entry: the names of the set, as records of the journal and slots of the table.
 *
 * Responsible for: writing, finding, reading back and taking out. Each name has one record that counts: one that is
 * taken back or followed by another is completed as FAILED where it stands, which needs no room and cannot fail. Must
 * never: look at the file system, or make room.
 *
 * Paths called `rel` are tidied and relative to the base. All of it is for a caller that holds `lock`.
 */
#ifndef FC_ENTRY_H
#define FC_ENTRY_H

#include "owner.h"

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

/* True when it is tracked; *out (may be NULL) gets its record. Locked. */
bool fc_entry_find(fcm_manager *manager, const char *rel, struct fc_tracked *out);

/* Takes it out. False: it was not tracked. Locked. */
bool fc_entry_drop(fcm_manager *manager, const char *rel);

/* The same for rel and all that lies below it; locked, O(n). */
void fc_entry_drop_below(fcm_manager *manager, const char *rel);

/* Reads the record at cell, if it counts; locked. */
bool fc_entry_read(fcm_manager *manager, uint32_t cell, struct fc_tracked *out);

/* All cells whose slots have none of the flags `without` and, unless it is 0, one of `with`, in the order of the
 * journal; locked. The caller's to free; NULL with *count 0, or no memory (false). */
bool fc_entry_cells(fcm_manager *manager, uint32_t with, uint32_t without, uint32_t **cells, size_t *count);

/* It is already known just so: nothing need be written. */
bool fc_entry_is(fcm_manager *manager, const struct fc_tracking *what);

/* The record at cell is what->rel's from now on; an earlier one is taken back. The table has room for it. */
void fc_entry_set(fcm_manager *manager, const struct fc_tracking *what, uint32_t cell);

/* Appends a TRACK record. Its cell, or a negative number. */
int64_t fc_entry_append(struct fc_journal *journal, const struct fc_tracking *what);

/* For a table beside the manager's own, and the number of cells of a record. */
uint32_t fc_entry_hash(const fcm_manager *manager, const char *rel);
uint32_t fc_entry_value(const struct fc_tracking *what, uint32_t cell);
uint32_t fc_entry_path_len(fcm_manager *manager, uint32_t cell);
unsigned fc_entry_cells_of(fcm_manager *manager, uint32_t cell);

/* The moment from which on what appears counts (fc_tracked.asked_ns). */
int64_t fc_entry_now(void);

#endif

/* cells: from the bytes of an input to a journal that gets behind the keyed checks.
 *
 * Responsible for: three forms of one ring of cells: the bytes as they are; the same with words, counts and checks put
 * right; and a script, twelve bytes a record, whose names and identities come from small tables, so that they meet.
 * Must never: use the product's writer, which would write nothing that is wrong.
 */
#ifndef CELLS_H
#define CELLS_H

#include <stdbool.h>

#include "fuzz.h"
#include "session.h"

#define CELLS_CAPACITY 512u
#define CELLS_NAMES 40u

/* Names that records of a script speak of. Fewer than half of them exist anywhere. */
extern const char *const cells_names[CELLS_NAMES];

struct cells {
  char bytes[CELLS_CAPACITY * FC_CELL_BYTES];
  uint64_t key;
  uint32_t head;
  uint32_t next;
  struct fc_anchor anchors[FC_ANCHORS];
  bool live;
  uint32_t flip; /* the number of a bit that a target may turn over; 0 = none */
};

/* identities (CELLS_NAMES) are what records of a script may speak of, most often each at its own name. */
void cells_build(struct cells *cells, const uint8_t *data, size_t size, const struct fc_identity *identities);

/* Turns a bit over that a record's check covers. False when there is no record, or cells->flip is 0. */
bool cells_flip(struct cells *cells);

/* Some record of these cells, valid or not, claims that the session created this object. */
bool cells_claim(const struct cells *cells, const struct fc_identity *identity);

/* Some record of these cells is the owner's word, or may hold it as of a checkpoint, for this object or, when that came
 * later than the word, for this path. tree: and for all that is in it. */
bool cells_ask(const struct cells *cells, const struct fc_identity *identity, const char *path, bool tree);

/* Writes them into the session file fd, whose header's words begin where they ought to. */
void cells_store(const struct cells *cells, int fd);

#endif

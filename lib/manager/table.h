/* table: which names a manager tracks, eight bytes each.
 *
 * Responsible for: open addressing over cells of the journal: a slot says where the record of a name stands, and keeps
 * 32 bits of the name's hash, so that growing and taking out never read a record. Must never: know what a name or a
 * record is: who asks compares. Not thread-safe.
 */
#ifndef FC_TABLE_H
#define FC_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a value says beside its cell, for whoever goes through the table without reading records. */
#define FC_SLOT_EXPECTED (UINT32_C(1) << 31) /* nothing stood there: the record has no identity */
#define FC_SLOT_DIR (UINT32_C(1) << 30)      /* a directory */
#define FC_SLOT_TREE (UINT32_C(1) << 29)     /* with all that is in it */
#define FC_SLOT_CELL (FC_SLOT_TREE - 1)      /* the cell, plus one; 0 = an empty slot */

struct fc_slot {
  uint32_t value;
  uint32_t hash;
};

struct fc_table {
  struct fc_slot *slots;
  size_t room; /* a power of two, or 0 */
  size_t count;
};

static inline uint32_t fc_slot_cell(const struct fc_slot *slot) { return (slot->value & FC_SLOT_CELL) - 1; }

/* The next slot of a name with this hash, from *at on; the first call has *at = SIZE_MAX. NULL: there is none. */
struct fc_slot *fc_table_next(const struct fc_table *table, uint32_t hash, size_t *at);

/* Makes sure that one more fits. False: no memory. */
bool fc_table_reserve(struct fc_table *table);

/* Adds a value; room has been reserved. */
void fc_table_add(struct fc_table *table, uint32_t hash, uint32_t value);

/* Takes the slot at `at` out; others may move to its place. */
void fc_table_remove(struct fc_table *table, size_t at);

/* Bytes of memory. */
size_t fc_table_bytes(const struct fc_table *table);

void fc_table_free(struct fc_table *table);

#endif

#include "table.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST 64u

/* At most three quarters are taken: a search looks at two or three slots, side by side. */
static bool is_full(const struct fc_table *t) { return t->count + 1 > t->room / 4 * 3; }

struct fc_slot *fc_table_next(const struct fc_table *t, uint32_t hash, size_t *at) {
  if (t->room == 0) return NULL;
  const size_t mask = t->room - 1;
  for (*at = *at == SIZE_MAX ? hash & mask : (*at + 1) & mask; t->slots[*at].value != 0; *at = (*at + 1) & mask)
    if (t->slots[*at].hash == hash) return &t->slots[*at];
  return NULL;
}

void fc_table_add(struct fc_table *t, uint32_t hash, uint32_t value) {
  const size_t mask = t->room - 1;
  size_t at = hash & mask;
  while (t->slots[at].value != 0) at = (at + 1) & mask;
  t->slots[at] = (struct fc_slot){value, hash};
  t->count++;
}

bool fc_table_reserve(struct fc_table *t) {
  if (!is_full(t)) return true;
  struct fc_table larger = {.room = t->room ? 2 * t->room : ROOM_FIRST};
  larger.slots = calloc(larger.room, sizeof *larger.slots);
  if (!larger.slots) return false;
  for (size_t i = 0; i < t->room; i++)
    if (t->slots[i].value != 0) fc_table_add(&larger, t->slots[i].hash, t->slots[i].value);
  free(t->slots);
  *t = larger;
  return true;
}

void fc_table_remove(struct fc_table *t, size_t at) {
  const size_t mask = t->room - 1;
  size_t hole = at;
  for (size_t next = (at + 1) & mask; t->slots[next].value != 0; next = (next + 1) & mask) {
    const size_t home = t->slots[next].hash & mask;
    if (((next - home) & mask) < ((next - hole) & mask)) continue; /* it would stand before its home */
    t->slots[hole] = t->slots[next];
    hole = next;
  }
  t->slots[hole] = (struct fc_slot){0, 0};
  t->count--;
}

size_t fc_table_bytes(const struct fc_table *t) { return t->room * sizeof *t->slots; }

void fc_table_free(struct fc_table *t) {
  free(t->slots);
  memset(t, 0, sizeof *t);
}

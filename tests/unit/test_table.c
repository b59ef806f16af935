/* The manager's table of eight bytes a slot, against an array. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "table.h"

#define NAMES 3000u
#define STEPS 200000u

/* Few different hashes, and many with the same home: that is where taking out goes wrong. */
static uint32_t hash_of(uint32_t name) { return (name % 7) * 1024 + name / 500; }

static struct fc_slot *find(const struct fc_table *t, uint32_t name, size_t *at) {
  *at = SIZE_MAX;
  for (struct fc_slot *slot; (slot = fc_table_next(t, hash_of(name), at));)
    if (fc_slot_cell(slot) == name) return slot;
  return NULL;
}

Test(table, holds_exactly_what_was_put_in_and_not_taken_out) {
  struct fc_table table = {0};
  static bool in[NAMES];
  size_t at;
  size_t count = 0;
  unsigned seed = 1;
  cr_assert(!find(&table, 1, &at), "an empty table holds nothing");
  for (unsigned i = 0; i < STEPS; i++) {
    seed = seed * 1103515245u + 12345u;
    const uint32_t name = seed / 65536u % NAMES;
    cr_assert_eq(find(&table, name, &at) != NULL, in[name], "name %u at step %u", name, i);
    if (in[name]) {
      fc_table_remove(&table, at);
      count--;
    } else {
      cr_assert(fc_table_reserve(&table));
      fc_table_add(&table, hash_of(name), name + 1);
      count++;
    }
    in[name] = !in[name];
    cr_assert_eq(table.count, count);
  }
  for (uint32_t name = 0; name < NAMES; name++) cr_assert_eq(find(&table, name, &at) != NULL, in[name]);
  fc_table_free(&table);
}

Test(table, the_flags_of_a_value_do_not_touch_its_cell) {
  const struct fc_slot slot = {.value = (0x1000000u) | FC_SLOT_EXPECTED | FC_SLOT_DIR | FC_SLOT_TREE};
  cr_assert_eq(fc_slot_cell(&slot), 0xffffffu);
}

/* arena: memory for what thinks (registry, reaper), apart from the host's heap.
 *
 * Responsible for: bump allocation from anonymous mappings, freed all at once. The last process out may be inside _exit
 * in a signal handler, where the host's malloc must not be entered. Not thread-safe: one arena, one owner.
 */
#ifndef FC_ARENA_H
#define FC_ARENA_H

#include <stddef.h>

struct fc_arena {
  char *block; /* newest mapping; its first words link to the one before */
  size_t used;
  size_t size;
  size_t total; /* bytes mapped, for figures */
};

/* Zeroed memory, 16-byte aligned, or NULL when the kernel gives none. Lives until fc_arena_free. */
void *fc_arena_alloc(struct fc_arena *arena, size_t size);

/* A NUL-terminated copy of len bytes, or NULL. */
char *fc_arena_copy(struct fc_arena *arena, const char *text, size_t len);

void fc_arena_free(struct fc_arena *arena);

#endif

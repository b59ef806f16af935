#include "arena.h"

#include <string.h>

#include "sys.h"

#define FIRST_BLOCK (64u * 1024u)
#define LARGEST_BLOCK (4u * 1024u * 1024u)
#define ALIGN 16u

struct link {
  char *before;
  size_t size;
};

static size_t aligned(size_t n) { return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1); }

void *fc_arena_alloc(struct fc_arena *arena, size_t size) {
  if (size > SIZE_MAX / 2) return NULL;
  const size_t need = aligned(size);
  if (!arena->block || arena->size - arena->used < need) {
    size_t bytes = arena->size ? arena->size * 2 : FIRST_BLOCK;
    if (bytes > LARGEST_BLOCK) bytes = LARGEST_BLOCK;
    const size_t least = need + aligned(sizeof(struct link));
    if (bytes < least) bytes = (least + 4095u) & ~(size_t)4095u;
    char *block = fc_sys_mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fc_sys_is_error(block)) return NULL;
    const struct link link = {arena->block, bytes};
    memcpy(block, &link, sizeof link);
    arena->block = block;
    arena->size = bytes;
    arena->used = aligned(sizeof link);
    arena->total += bytes;
  }
  void *result = arena->block + arena->used;
  arena->used += need;
  return result;
}

char *fc_arena_copy(struct fc_arena *arena, const char *text, size_t len) {
  char *copy = fc_arena_alloc(arena, len + 1);
  if (copy) memcpy(copy, text, len);
  return copy;
}

void fc_arena_free(struct fc_arena *arena) {
  char *block = arena->block;
  while (block) {
    struct link link;
    memcpy(&link, block, sizeof link);
    (void)fc_sys_munmap(block, link.size);
    block = link.before;
  }
  memset(arena, 0, sizeof *arena);
}

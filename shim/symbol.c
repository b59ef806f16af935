#include "symbol.h"

#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "placement.h"

#ifndef ElfW /* of <link.h>: for tools that read this file without the system's headers */
#define ElfW(type) Elf64_##type
#endif

#ifdef __GLIBC__
#define LIBC "libc.so.6"
#else
#define LIBC "ld-musl-" /* with the name of the machine behind it */
extern ElfW(Dyn) _DYNAMIC[] __attribute__((visibility("hidden")));
#endif

#define OBJECTS_MAX 24
#define WORD_BITS (8 * sizeof(ElfW(Addr)))
#define VERSION_HIDDEN 0x8000u /* in DT_VERSYM: not the default version of its name */

/* In the order of the search, libc last. Written once, before there is a second thread. */
FC_START static struct {
  ElfW(Addr) base;
  const ElfW(Dyn) * dynamic;
} objects[OBJECTS_MAX];
FC_START static unsigned object_count; /* 0 = not prepared, or not understood */

struct tables {
  const uint32_t *hash;
  const ElfW(Sym) * symbols;
  const char *strings;
  const ElfW(Half) * versions;
};

/* The loader has added the base to the pointers of the dynamic section; some leave them as they stand in the file. */
static const void *table_at(ElfW(Addr) base, ElfW(Addr) pointer) {
  const ElfW(Addr) address = pointer < base ? base + pointer : pointer;
  return (const void *)address; /* NOLINT: an address of the loader's */
}

static bool read_tables(ElfW(Addr) base, const ElfW(Dyn) * dynamic, struct tables *out) {
  memset(out, 0, sizeof *out);
  for (const ElfW(Dyn) *d = dynamic; d->d_tag != DT_NULL; d++) {
    if (d->d_tag == DT_GNU_HASH) out->hash = table_at(base, d->d_un.d_ptr);
    if (d->d_tag == DT_SYMTAB) out->symbols = table_at(base, d->d_un.d_ptr);
    if (d->d_tag == DT_STRTAB) out->strings = table_at(base, d->d_un.d_ptr);
    if (d->d_tag == DT_VERSYM) out->versions = table_at(base, d->d_un.d_ptr);
  }
  return out->hash && out->symbols && out->strings;
}

struct walk {
  bool behind_us;
  bool complete;
  unsigned count;
};

static int note_object(struct dl_phdr_info *info, size_t size, void *context) {
  (void)size;
  struct walk *walk = context;
  const ElfW(Dyn) *dynamic = NULL;
  for (unsigned i = 0; i < info->dlpi_phnum; i++)
    if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
      dynamic = table_at(info->dlpi_addr, info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
  if (!walk->behind_us) {
    walk->behind_us = dynamic == _DYNAMIC;
    return 0;
  }
  struct tables tables;
  /* A base above its own section is one that was subtracted: then pointers cannot be told from offsets. */
  if (walk->count == OBJECTS_MAX || !dynamic || info->dlpi_addr > (ElfW(Addr))dynamic ||
      !read_tables(info->dlpi_addr, dynamic, &tables))
    return 1;
  objects[walk->count].base = info->dlpi_addr;
  objects[walk->count++].dynamic = dynamic;
  const char *slash = info->dlpi_name ? strrchr(info->dlpi_name, '/') : NULL;
  walk->complete = slash && strncmp(slash + 1, LIBC, sizeof LIBC - 1) == 0;
  return walk->complete;
}

bool fc_symbol_prepare(void) {
  struct walk walk = {false, false, 0};
  (void)dl_iterate_phdr(note_object, &walk);
  object_count = walk.complete ? walk.count : 0;
  return walk.complete;
}

static uint32_t hash_of(const char *name) {
  uint32_t h = 5381;
  for (const unsigned char *p = (const unsigned char *)name; *p; p++) h = h * 33 + *p;
  return h;
}

static bool is_definition(const struct tables *t, uint32_t index) {
  const ElfW(Sym) *symbol = &t->symbols[index];
  const unsigned bind = symbol->st_info >> 4;
  return symbol->st_shndx != SHN_UNDEF && symbol->st_value != 0 && (bind == STB_GLOBAL || bind == STB_WEAK) &&
         (!t->versions || (t->versions[index] & VERSION_HIDDEN) == 0);
}

/* The layout of DT_GNU_HASH: four words, the Bloom filter, the buckets, the chains, whose values end with a set bit. */
static const ElfW(Sym) * find_in(const struct tables *t, const char *name, uint32_t hash) {
  const uint32_t buckets = t->hash[0];
  const uint32_t first = t->hash[1];
  const uint32_t filter_words = t->hash[2];
  const uint32_t filter_shift = t->hash[3];
  const ElfW(Addr) *filter = (const void *)(t->hash + 4);
  const uint32_t *bucket = (const void *)(filter + filter_words);
  const uint32_t *chain = bucket + buckets;
  if (buckets == 0 || filter_words == 0) return NULL;
  const ElfW(Addr) word = filter[(hash / WORD_BITS) & (filter_words - 1)];
  if (!((word >> (hash % WORD_BITS)) & (word >> ((hash >> filter_shift) % WORD_BITS)) & 1)) return NULL;
  uint32_t index = bucket[hash % buckets];
  if (index < first) return NULL;
  for (;; index++) {
    const uint32_t value = chain[index - first];
    if ((value | 1) == (hash | 1) && strcmp(t->strings + t->symbols[index].st_name, name) == 0 &&
        is_definition(t, index))
      return &t->symbols[index];
    if (value & 1) return NULL;
  }
}

void *fc_symbol_find(const char *name) {
  const uint32_t hash = hash_of(name);
  for (unsigned i = 0; i < object_count; i++) {
    struct tables tables;
    if (!read_tables(objects[i].base, objects[i].dynamic, &tables)) return NULL;
    const ElfW(Sym) *symbol = find_in(&tables, name, hash);
    if (!symbol) continue;
    const unsigned type = symbol->st_info & 0xf;
    if (type != STT_FUNC && type != STT_NOTYPE) return NULL;
    const ElfW(Addr) address = objects[i].base + symbol->st_value;
    return (void *)address; /* NOLINT */
  }
  return NULL;
}

#include "symbol.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "placement.h"

#ifndef ElfW /* of <link.h>: for tools that read this file without the system's headers */
#define ElfW(type) Elf64_##type
#endif

/* With its first version, which every later glibc has too: the newest would keep the shim from loading on an older one.
 * Weak, since libc itself has it from 2.34 on only. */
#if defined(__GLIBC__)
#if defined(__x86_64__)
#define FIRST_VERSION "GLIBC_2.2.5"
#elif defined(__i386__)
#define FIRST_VERSION "GLIBC_2.0"
#else
#define FIRST_VERSION "GLIBC_2.17"
#endif
__asm__(".symver dlsym, dlsym@" FIRST_VERSION);
#endif
extern void *dlsym(void *restrict handle, const char *restrict name) __attribute__((weak));

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

static const ElfW(Dyn) * dynamic_of(const struct dl_phdr_info *info) {
  const ElfW(Dyn) *dynamic = NULL;
  for (unsigned i = 0; i < info->dlpi_phnum; i++)
    if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
      dynamic = table_at(info->dlpi_addr, info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
  return dynamic;
}

struct walk {
  bool behind_us;
  bool complete;
  unsigned count;
};

static int note_object(struct dl_phdr_info *info, size_t size, void *context) {
  (void)size;
  struct walk *walk = context;
  const ElfW(Dyn) *dynamic = dynamic_of(info);
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

/* False when the symbol is not there; *out stays NULL when it is, but cannot be used as it is. */
static bool look_up(const struct tables *t, ElfW(Addr) base, const char *name, uint32_t hash, void **out) {
  const ElfW(Sym) *symbol = find_in(t, name, hash);
  if (!symbol) return false;
  const unsigned type = symbol->st_info & 0xf;
  if (type == STT_FUNC || type == STT_NOTYPE) *out = (void *)(base + symbol->st_value); /* NOLINT */
  return true;
}

void *fc_symbol_find(const char *name) {
  const uint32_t hash = hash_of(name);
  void *found = NULL;
  for (unsigned i = 0; i < object_count; i++) {
    struct tables tables;
    if (!read_tables(objects[i].base, objects[i].dynamic, &tables)) return NULL;
    if (look_up(&tables, objects[i].base, name, hash, &found)) break;
  }
  return found;
}

struct search {
  const char *name;
  uint32_t hash;
  bool behind_us;
  void *found;
};

static int search_object(struct dl_phdr_info *info, size_t size, void *context) {
  (void)size;
  struct search *search = context;
  const ElfW(Dyn) *dynamic = dynamic_of(info);
  struct tables tables;
  if (!search->behind_us) {
    search->behind_us = dynamic == _DYNAMIC;
    return 0;
  }
  return dynamic && info->dlpi_addr <= (ElfW(Addr))dynamic && read_tables(info->dlpi_addr, dynamic, &tables) &&
         look_up(&tables, info->dlpi_addr, search->name, search->hash, &search->found);
}

void *fc_symbol_search(const char *name) {
  struct search search = {name, hash_of(name), false, NULL};
  (void)dl_iterate_phdr(search_object, &search);
  return search.found;
}

void *fc_symbol_ask(void *where, const char *name) {
  void *const found = dlsym ? dlsym(where, name) : NULL;
  return found ? found : fc_symbol_search(name);
}

static int own_object(struct dl_phdr_info *info, size_t size, void *context) {
  (void)size;
  const char **file = context;
  if (dynamic_of(info) != _DYNAMIC) return 0;
  *file = info->dlpi_name;
  return 1;
}

const char *fc_symbol_own_file(void) {
  const char *file = NULL;
  (void)dl_iterate_phdr(own_object, &file);
  return file;
}

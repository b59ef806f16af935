/* bytes: the mem and str functions that the shim and its part of the library use, in its own copy.
 *
 * Those of libc are whoever comes first's: a sanitizer's run-time (ThreadSanitizer takes the two copies that two
 * threads make, each under a lock of ours that it cannot see, for a race in the host, says so, and makes it end with
 * status 66), an allocator's, the host's own. Hidden, so that every call of ours is bound here when the shim is linked,
 * and costs the loader nothing. Responsible for: what the standard says of these, no more. Must never: read past the
 * end of anything, not even within an aligned word, since memory checkers look at us too.
 */
#include <stdint.h>
#include <string.h>

/* An access of eight bytes at any address, in any type's memory. */
struct word {
  uint64_t value;
} __attribute__((packed, may_alias));

#define WORD sizeof(struct word)

static uint64_t load(const unsigned char *from) { return ((const struct word *)(const void *)from)->value; }
static void store(unsigned char *to, uint64_t value) { ((struct word *)(void *)to)->value = value; }

void *memmove(void *to, const void *from, size_t size) {
  unsigned char *t = to;
  const unsigned char *f = from;
  if ((uintptr_t)t - (uintptr_t)f >= size) { /* forwards, unless the beginning would be written before it is read */
    for (; size >= WORD; t += WORD, f += WORD, size -= WORD) store(t, load(f));
    while (size--) *t++ = *f++;
  } else {
    for (; size >= WORD; size -= WORD) store(t + size - WORD, load(f + size - WORD));
    while (size--) t[size] = f[size];
  }
  return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t size) {
  unsigned char *t = to;
  const unsigned char *f = from;
  for (; size >= WORD; t += WORD, f += WORD, size -= WORD) store(t, load(f));
  while (size--) *t++ = *f++;
  return to;
}

void *memset(void *to, int byte, size_t size) {
  unsigned char *t = to;
  const uint64_t all = UINT64_C(0x0101010101010101) * (unsigned char)byte;
  for (; size >= WORD; t += WORD, size -= WORD) store(t, all);
  while (size--) *t++ = (unsigned char)byte;
  return to;
}

int memcmp(const void *a, const void *b, size_t size) {
  const unsigned char *p = a, *q = b;
  for (; size >= WORD && load(p) == load(q); size -= WORD) p += WORD, q += WORD;
  for (; size; p++, q++, size--)
    if (*p != *q) return *p - *q;
  return 0;
}

void *memchr(const void *memory, int byte, size_t size) {
  for (const unsigned char *p = memory; size; p++, size--)
    if (*p == (unsigned char)byte) return (void *)(uintptr_t)p;
  return NULL;
}

size_t strnlen(const char *s, size_t max) {
  size_t n = 0;
  while (n < max && s[n]) n++;
  return n;
}

size_t strlen(const char *s) { return strnlen(s, SIZE_MAX); }

int strncmp(const char *a, const char *b, size_t max) {
  for (; max; a++, b++, max--)
    if (*a != *b || !*a) return (unsigned char)*a - (unsigned char)*b;
  return 0;
}

int strcmp(const char *a, const char *b) { return strncmp(a, b, SIZE_MAX); }

char *strchr(const char *s, int c) {
  for (; *s != (char)c; s++)
    if (!*s) return NULL;
  return (char *)(uintptr_t)s;
}

char *strrchr(const char *s, int c) {
  const char *last = NULL;
  do
    if (*s == (char)c) last = s;
  while (*s++);
  return (char *)(uintptr_t)last;
}

/* How many characters at the beginning of s are, or are not, in the set. */
static size_t span(const char *s, const char *set, int in) {
  size_t n = 0;
  while (s[n] && (strchr(set, s[n]) != NULL) == in) n++;
  return n;
}

size_t strspn(const char *s, const char *accept) { return span(s, accept, 1); }
size_t strcspn(const char *s, const char *reject) { return span(s, reject, 0); }

char *strstr(const char *s, const char *part) {
  const size_t len = strlen(part);
  for (; strncmp(s, part, len) != 0; s++)
    if (!*s) return NULL;
  return (char *)(uintptr_t)s;
}

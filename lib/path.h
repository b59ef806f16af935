/* path: whether a name lies beneath the base, and which part of it is relative to the base.
 *
 * Responsible for: lexical classification, without a system call, an allocation or a buffer. Must never: ask the file
 * system, since it runs in hooks. A lexical answer can be wrong where symbolic links meet ".."; identity (identity.h)
 * and parent identity (journal.h) guard deletion against that, so an error here can only leak.
 */
#ifndef FC_PATH_H
#define FC_PATH_H

#include <stdbool.h>
#include <stddef.h>

/* A name in up to two pieces: "head" (a directory such as the working directory, without a trailing slash) and "tail".
 * When head_len is 0 the tail stands alone. Nothing is owned. */
struct fc_name {
  const char *head;
  size_t head_len;
  const char *tail;
  size_t tail_len;
};

/* Classifies name (absolute when its pieces are joined by '/') against base (absolute, normalized, no trailing slash).
 * Returns true when the name lies strictly beneath base, and stores in *relative the pieces below the base: raw, as
 * the caller wrote them, perhaps with "." or ".." or "//" inside; fc_path_normalize tidies them when the journal is
 * read. Async-signal-safe, thread-safe. */
bool fc_path_beneath(const char *base, size_t base_len, const struct fc_name *name, struct fc_name *relative);

/* Joins and tidies a relative name in place: removes empty and "." components and resolves ".." lexically. Returns the
 * new length, or 0 when nothing is left or the name climbs above its start. text is NUL-terminated. */
size_t fc_path_normalize(char *text);

/* 64 bits over the pieces. Equal names written in equal ways, from the same directory, have equal values. */
unsigned long long fc_path_hash(const struct fc_name *relative);

#endif

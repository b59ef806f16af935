/* The inside of a tree, for the parts of the harness that look at single entries. */
#ifndef FCT_HARNESS_TREE_H
#define FCT_HARNESS_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct fct_entry {
  const char *name; /* relative to the directory of the tree */
  mode_t mode;
  off_t size;            /* 0 for directories: theirs says nothing */
  uint64_t hash;         /* of the content, or of a link's target */
  struct timespec mtime; /* not part of fct_entry_same, as is ino */
  ino_t ino;
  const char *head; /* the first bytes, printable */
};

struct fct_tree {
  struct fct_entry *entries; /* sorted by name */
  size_t count;
  size_t room;
};

const struct fct_entry *fct_tree_find(const struct fct_tree *tree, const char *name);
bool fct_name_matches(const char *name, const char *const *globs);
const char *fct_entry_show(const struct fct_entry *entry);

/* Same type and, when contents are asked for, the same mode, size and bytes. */
bool fct_entry_same(const struct fct_entry *a, const struct fct_entry *b, bool contents);

#endif

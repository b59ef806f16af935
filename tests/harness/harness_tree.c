/* harness: what stands below a directory, and what has changed. See harness.h. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"
#include "harness_internal.h"
#include "harness_tree.h"

#define HEAD_SHOWN 40
#define NAME_SHOWN 100
#define FNV_OFFSET 14695981039346656037ULL
#define FNV_PRIME 1099511628211ULL

static void add(struct fct_tree *tree, const struct fct_entry *entry) {
  if (tree->count == tree->room) {
    size_t room = tree->room ? tree->room * 2 : 64;
    struct fct_entry *grown = fct_alloc(room * sizeof *grown);
    if (tree->count) memcpy(grown, tree->entries, tree->count * sizeof *grown);
    tree->entries = grown;
    tree->room = room;
  }
  tree->entries[tree->count++] = *entry;
}

/* The first bytes of a file, fit to be printed on one line. */
static const char *head_of(const char *data, size_t length) {
  struct fct_text head = {0};
  fct_text_add(&head, "", 0);
  for (size_t i = 0; i < length && i < HEAD_SHOWN; i++) {
    unsigned char byte = (unsigned char)data[i];
    if (byte == '\n') {
      fct_text_add(&head, "\\n", 2);
    } else if (byte >= ' ' && byte < 127) {
      fct_text_add(&head, data + i, 1);
    } else {
      fct_text_add(&head, ".", 1);
    }
  }
  if (length > HEAD_SHOWN) fct_text_add(&head, "...", 3);
  return head.text;
}

static void read_regular(int dir_fd, const char *name, struct fct_entry *entry) {
  int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  entry->head = "(unreadable)";
  if (fd < 0) return;
  char buffer[65536];
  uint64_t hash = FNV_OFFSET;
  bool first = true;
  for (ssize_t got; (got = read(fd, buffer, sizeof buffer)) > 0;) {
    if (first) entry->head = head_of(buffer, (size_t)got);
    first = false;
    for (ssize_t i = 0; i < got; i++) hash = (hash ^ (unsigned char)buffer[i]) * FNV_PRIME;
  }
  if (first) entry->head = "";
  entry->hash = hash;
  close(fd);
}

static void walk(struct fct_tree *tree, int dir_fd, const char *prefix) {
  DIR *dir = fdopendir(dir_fd);
  if (!dir) {
    close(dir_fd);
    return;
  }
  for (struct dirent *found; (found = readdir(dir));) {
    const char *name = found->d_name;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW)) continue; /* gone meanwhile */
    struct fct_entry entry = {.name = fct_format("%s%s", prefix, name),
                              .mode = st.st_mode,
                              .size = S_ISDIR(st.st_mode) ? 0 : st.st_size,
                              .mtime = st.st_mtim,
                              .ino = st.st_ino,
                              .head = ""};
    if (S_ISREG(st.st_mode)) read_regular(dir_fd, name, &entry);
    if (S_ISLNK(st.st_mode)) {
      char target[PATH_MAX];
      ssize_t length = readlinkat(dir_fd, name, target, sizeof target);
      entry.head = head_of(target, length > 0 ? (size_t)length : 0);
      for (ssize_t i = 0; i < length; i++) entry.hash = entry.hash * FNV_PRIME + (unsigned char)target[i];
    }
    add(tree, &entry);
    if (S_ISDIR(st.st_mode)) {
      int below = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
      if (below >= 0) walk(tree, below, fct_format("%s%s/", prefix, name));
    }
  }
  closedir(dir);
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const struct fct_entry *)a)->name, ((const struct fct_entry *)b)->name);
}

const struct fct_tree *fct_tree_of(const char *directory) {
  struct fct_tree *tree = fct_alloc(sizeof *tree);
  int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    cr_assert_eq(errno, ENOENT, "%s: %s", directory, strerror(errno));
    return tree; /* what does not exist holds nothing */
  }
  walk(tree, fd, "");
  if (tree->count) qsort(tree->entries, tree->count, sizeof *tree->entries, by_name);
  return tree;
}

const struct fct_entry *fct_tree_find(const struct fct_tree *tree, const char *name) {
  struct fct_entry key = {.name = name};
  return tree->count ? bsearch(&key, tree->entries, tree->count, sizeof key, by_name) : NULL;
}

bool fct_name_matches(const char *name, const char *const *globs) {
  for (size_t i = 0; globs && globs[i]; i++) {
    if (fnmatch(globs[i], name, 0) == 0) return true;
  }
  return false;
}

static const char *kind_of(mode_t mode) {
  return S_ISREG(mode)    ? "file"
         : S_ISDIR(mode)  ? "directory"
         : S_ISLNK(mode)  ? "link"
         : S_ISFIFO(mode) ? "fifo"
         : S_ISSOCK(mode) ? "socket"
                          : "node";
}

const char *fct_entry_show(const struct fct_entry *entry) {
  if (S_ISDIR(entry->mode)) return fct_format("directory %04o", entry->mode & 07777U);
  return fct_format("%s %04o, %lld bytes \"%s\"", kind_of(entry->mode), entry->mode & 07777U, (long long)entry->size,
                    entry->head);
}

bool fct_entry_same(const struct fct_entry *a, const struct fct_entry *b, bool contents) {
  if ((a->mode & S_IFMT) != (b->mode & S_IFMT)) return false;
  if (!contents) return true;
  return a->mode == b->mode && a->size == b->size && a->hash == b->hash;
}

/* Some tests make names of thousands of bytes; nobody wants to read them whole. */
static const char *short_name(const char *name) {
  size_t length = strlen(name);
  return length <= NAME_SHOWN ? name : fct_format("%.*s...(%zu bytes)", NAME_SHOWN, name, length);
}

const char *fct_tree_diff(const struct fct_tree *before, const struct fct_tree *after, const char *const *vary) {
  struct fct_text diff = {0};
  size_t i = 0, j = 0;
  while (i < before->count || j < after->count) {
    const struct fct_entry *old = i < before->count ? &before->entries[i] : NULL;
    const struct fct_entry *new = j < after->count ? &after->entries[j] : NULL;
    int order = !old ? 1 : !new ? -1 : strcmp(old->name, new->name);
    if (order < 0) fct_text_print(&diff, "  - %s (%s)\n", short_name(old->name), fct_entry_show(old));
    if (order > 0) fct_text_print(&diff, "  + %s (%s)\n", short_name(new->name), fct_entry_show(new));
    if (order == 0 && !fct_entry_same(old, new, !fct_name_matches(old->name, vary))) {
      fct_text_print(&diff, "  ~ %s (%s, was %s)\n", old->name, fct_entry_show(new), fct_entry_show(old));
    }
    if (order <= 0) i++;
    if (order >= 0) j++;
  }
  return diff.text;
}

void fct_assert_base_empty(const struct fct_world *world, const char *when) {
  static const struct fct_tree nothing;
  const char *left = fct_tree_diff(&nothing, fct_tree_of(world->base), NULL);
  cr_assert(!left, "%s, these are left in the base:\n%s", when, left);
}

/* world: a plain file tree in two arrays, the part of the model that stands for the kernel.
 *
 * Responsible for: which names exist, what object each names, what is in it, and the errno that a call must give. Must
 * never: know who owns what (rules.h does), or look at the real file system.
 *
 * Names are paths relative to the root of a list's run: "base/..." under the base, "out/..." outside of it. Everything
 * is a linear search, on purpose: this code is what the product is judged by, so a reader must see that it is right.
 */
#ifndef MODEL_WORLD_H
#define MODEL_WORLD_H

#include <stdbool.h>
#include <stddef.h>

enum { PATH_SIZE = 128, TEXT_SIZE = 256, NAMES_MAX = 200, OBJECTS_MAX = 300 };

enum kind { KIND_FILE, KIND_DIR, KIND_LINK };

/* An inode. Its number is never used again, so "the same object" is the product's "the same identity". */
struct object {
  enum kind kind;
  char text[TEXT_SIZE]; /* a file's content, a symbolic link's target */
};

struct name {
  char path[PATH_SIZE];
  int object;
};

struct world {
  struct object objects[OBJECTS_MAX];
  int object_count;
  struct name names[NAMES_MAX];
  int name_count;
};

void world_start(struct world *w); /* two empty directories: base and out */

int world_find(const struct world *w, const char *path);   /* index of the name, -1 when there is none */
int world_object(const struct world *w, const char *path); /* the object's number, -1 when there is none */
enum kind world_kind(const struct world *w, const char *path);
bool world_is_full_file(const struct world *w, const char *path); /* a regular file that holds something */
bool world_dir_empty(const struct world *w, const char *path);

/* The kernel's walk. 0: `out` is the path with every symbolic link but perhaps the last followed; its parent exists and
 * is a directory. Otherwise the errno. *odd is set when the walk went through a link that was not the last component.
 */
int world_resolve(const struct world *w, const char *path, bool follow_last, char out[PATH_SIZE], bool *odd);

int world_add(struct world *w, const char *path, enum kind kind, const char *text); /* a new object; its number */
int world_add_object(struct world *w, enum kind kind, const char *text);            /* without a name yet */
void world_add_name(struct world *w, const char *path, int object);
void world_remove(struct world *w, const char *path);
void world_move(struct world *w, const char *from, const char *to); /* with everything below; `to` must be free */
void world_swap(struct world *w, const char *a, const char *b);     /* with everything below */
void world_append(struct world *w, const char *path, const char *text);
void world_truncate(struct world *w, const char *path);

/* What the kernel would say to a rename, both paths resolved. *same: both are one inode, so nothing happens. */
int world_rename_errno(const struct world *w, const char *from, const char *to, bool noreplace, bool exchange,
                       bool *same);

/* Words about paths. */
bool path_below(const char *path, const char *dir); /* strictly */
void path_parent(const char *path, char out[PATH_SIZE]);
const char *path_leaf(const char *path);
void path_replace_prefix(char path[PATH_SIZE], const char *from, const char *to); /* path is `from` or below it */
void path_set(char path[PATH_SIZE], const char *text);

/* The model's own mistakes end the whole run: a judge that is confused must not go on judging. */
void model_confused(const char *why, const char *what) __attribute__((noreturn));

#endif

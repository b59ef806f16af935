/* world: see world.h. */
#include "world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void model_confused(const char *why, const char *what) {
  fprintf(stderr, "model: the model itself is wrong: %s (%s)\n", why, what);
  abort();
}

/* ---- paths ---- */

void path_set(char path[PATH_SIZE], const char *text) {
  if (strlen(text) >= PATH_SIZE) model_confused("path too long", text);
  memmove(path, text, strlen(text) + 1);
}

bool path_below(const char *path, const char *dir) {
  const size_t length = strlen(dir);
  return strncmp(path, dir, length) == 0 && path[length] == '/';
}

const char *path_leaf(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

void path_parent(const char *path, char out[PATH_SIZE]) {
  path_set(out, path);
  char *slash = strrchr(out, '/');
  if (slash)
    *slash = '\0';
  else
    out[0] = '\0';
}

void path_replace_prefix(char path[PATH_SIZE], const char *from, const char *to) {
  char whole[2 * PATH_SIZE];
  (void)snprintf(whole, sizeof whole, "%s%s", to, path + strlen(from)); /* path_set judges the length */
  path_set(path, whole);
}

/* ---- looking ---- */

int world_find(const struct world *w, const char *path) {
  for (int i = 0; i < w->name_count; i++)
    if (strcmp(w->names[i].path, path) == 0) return i;
  return -1;
}

int world_object(const struct world *w, const char *path) {
  const int i = world_find(w, path);
  return i < 0 ? -1 : w->names[i].object;
}

enum kind world_kind(const struct world *w, const char *path) {
  const int object = world_object(w, path);
  if (object < 0) model_confused("kind of a name that does not exist", path);
  return w->objects[object].kind;
}

bool world_is_full_file(const struct world *w, const char *path) {
  const int object = world_object(w, path);
  return object >= 0 && w->objects[object].kind == KIND_FILE && w->objects[object].text[0] != '\0';
}

bool world_dir_empty(const struct world *w, const char *path) {
  for (int i = 0; i < w->name_count; i++)
    if (path_below(w->names[i].path, path)) return false;
  return true;
}

int world_resolve(const struct world *w, const char *path, bool follow_last, char out[PATH_SIZE], bool *odd) {
  char done[PATH_SIZE] = "", rest[PATH_SIZE];
  int links_followed = 0;
  path_set(rest, path);
  for (;;) {
    char component[PATH_SIZE], candidate[2 * PATH_SIZE];
    path_set(component, rest);
    char *slash = strchr(component, '/');
    const bool last = slash == NULL;
    if (slash) {
      path_set(rest, rest + (slash - component) + 1);
      *slash = '\0';
    }
    (void)snprintf(candidate, sizeof candidate, "%s%s%s", done, done[0] ? "/" : "", component);
    const int object = world_object(w, candidate);
    if (object < 0) {
      path_set(out, candidate);
      return last ? 0 : ENOENT;
    }
    const enum kind kind = w->objects[object].kind;
    if (kind == KIND_LINK && (!last || follow_last)) {
      if (++links_followed > 40) return ELOOP;
      char longer[2 * PATH_SIZE];
      (void)snprintf(longer, sizeof longer, "%s%s%s", w->objects[object].text, last ? "" : "/", last ? "" : rest);
      path_set(rest, longer);
      if (!last) *odd = true;
      continue;
    }
    if (last) {
      path_set(out, candidate);
      return 0;
    }
    if (kind != KIND_DIR) return ENOTDIR;
    path_set(done, candidate);
  }
}

int world_rename_errno(const struct world *w, const char *from, const char *to, bool noreplace, bool exchange,
                       bool *same) {
  const int source = world_object(w, from), target = world_object(w, to);
  *same = false;
  if (source < 0) return ENOENT;
  if (noreplace && target >= 0) return EEXIST;
  if (exchange && target < 0) return ENOENT;
  if (path_below(to, from)) return EINVAL;
  if (path_below(from, to)) return exchange ? EINVAL : ENOTEMPTY;
  if (target < 0) return 0;
  if (source == target) {
    *same = true;
    return 0;
  }
  if (exchange) return 0;
  const bool source_is_dir = w->objects[source].kind == KIND_DIR, target_is_dir = w->objects[target].kind == KIND_DIR;
  if (source_is_dir && !target_is_dir) return ENOTDIR;
  if (!source_is_dir && target_is_dir) return EISDIR;
  if (target_is_dir && !world_dir_empty(w, to)) return ENOTEMPTY;
  return 0;
}

/* ---- changing ---- */

void world_start(struct world *w) {
  memset(w, 0, sizeof *w);
  (void)world_add(w, "base", KIND_DIR, "");
  (void)world_add(w, "out", KIND_DIR, "");
}

void world_add_name(struct world *w, const char *path, int object) {
  if (w->name_count == NAMES_MAX || world_find(w, path) >= 0) model_confused("cannot add a name", path);
  struct name *name = &w->names[w->name_count++];
  path_set(name->path, path);
  name->object = object;
}

int world_add_object(struct world *w, enum kind kind, const char *text) {
  if (w->object_count == OBJECTS_MAX || strlen(text) >= TEXT_SIZE) model_confused("cannot add an object", text);
  struct object *object = &w->objects[w->object_count];
  object->kind = kind;
  memcpy(object->text, text, strlen(text) + 1);
  return w->object_count++;
}

int world_add(struct world *w, const char *path, enum kind kind, const char *text) {
  const int object = world_add_object(w, kind, text);
  world_add_name(w, path, object);
  return object;
}

void world_remove(struct world *w, const char *path) {
  const int i = world_find(w, path);
  if (i < 0) model_confused("removing what is not there", path);
  w->names[i] = w->names[--w->name_count];
}

void world_move(struct world *w, const char *from, const char *to) {
  if (world_find(w, to) >= 0) model_confused("moving onto a name that exists", to);
  for (int i = 0; i < w->name_count; i++)
    if (strcmp(w->names[i].path, from) == 0 || path_below(w->names[i].path, from))
      path_replace_prefix(w->names[i].path, from, to);
}

void world_swap(struct world *w, const char *a, const char *b) {
  for (int i = 0; i < w->name_count; i++) {
    char *path = w->names[i].path;
    if (strcmp(path, a) == 0 || path_below(path, a))
      path_replace_prefix(path, a, b);
    else if (strcmp(path, b) == 0 || path_below(path, b))
      path_replace_prefix(path, b, a);
  }
}

void world_append(struct world *w, const char *path, const char *text) {
  const int object = world_object(w, path);
  if (object < 0 || strlen(w->objects[object].text) + strlen(text) >= TEXT_SIZE) model_confused("cannot append", path);
  strcat(w->objects[object].text, text);
}

void world_truncate(struct world *w, const char *path) {
  const int object = world_object(w, path);
  if (object < 0) model_confused("truncating what is not there", path);
  w->objects[object].text[0] = '\0';
}

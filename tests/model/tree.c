/* tree: see tree.h. */
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *fault_name(enum fault fault) {
  static const char *const names[] = {
      "none", "leak", "stranger in the directory", "wrong answer to a program", "stuck", "wrong deletion"};
  return names[fault];
}

void outcome_fail(struct outcome *outcome, enum fault fault, const char *format, ...) {
  if (outcome->fault >= fault) return;
  va_list list;
  va_start(list, format);
  outcome->fault = fault;
  (void)vsnprintf(outcome->what, sizeof outcome->what, format, list); /* a message: cut if long */
  va_end(list);
}

/* ---- names of mkstemp ---- */

void alias_add(struct aliases *aliases, const char *in_list, const char *on_disk) {
  if (aliases->count == ALIASES_MAX || strlen(in_list) >= sizeof aliases->names[0].in_list ||
      strlen(on_disk) >= sizeof aliases->names[0].on_disk)
    model_confused("cannot keep the name of a mkstemp", on_disk);
  struct alias *alias = &aliases->names[aliases->count++];
  strcpy(alias->in_list, in_list);
  strcpy(alias->on_disk, on_disk);
}

void alias_to_disk(const struct aliases *aliases, const char *path, char out[2 * PATH_SIZE]) {
  char copy[PATH_SIZE], *rest = NULL;
  path_set(copy, path);
  out[0] = '\0';
  for (char *part = strtok_r(copy, "/", &rest); part; part = strtok_r(NULL, "/", &rest)) {
    const char *name = part;
    for (int i = 0; i < aliases->count; i++)
      if (strcmp(aliases->names[i].in_list, part) == 0) name = aliases->names[i].on_disk;
    if (strlen(out) + strlen(name) + 2 > 2 * PATH_SIZE) model_confused("path too long on disk", path);
    if (out[0]) strcat(out, "/");
    strcat(out, name);
  }
}

static const char *alias_from_disk(const struct aliases *aliases, const char *name) {
  for (int i = 0; i < aliases->count; i++)
    if (strcmp(aliases->names[i].on_disk, name) == 0) return aliases->names[i].in_list;
  return name;
}

/* ---- reading ---- */

static void read_text(int dirfd, const char *name, char text[TEXT_SIZE]) {
  const int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  const ssize_t length = fd < 0 ? -1 : read(fd, text, TEXT_SIZE - 1);
  text[length < 0 ? 0 : length] = '\0';
  if (fd < 0)
    strcpy(text, "(unreadable)");
  else
    close(fd);
}

static bool read_below(int dirfd, const char *path, const struct aliases *aliases, struct world *real,
                       struct outcome *outcome) {
  DIR *dir = fdopendir(dirfd);
  bool fine = dir != NULL;
  for (const struct dirent *entry; fine && (entry = readdir(dir));) {
    char text[TEXT_SIZE] = "", below[2 * PATH_SIZE + sizeof entry->d_name];
    struct stat st;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    (void)snprintf(below, sizeof below, "%s/%s", path, alias_from_disk(aliases, entry->d_name));
    if (strlen(below) >= PATH_SIZE || real->name_count == NAMES_MAX ||
        fstatat(dirfd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
        (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))) {
      outcome_fail(outcome, FAULT_STRANGER, "no list makes this: %s", below);
      fine = false;
    } else if (S_ISDIR(st.st_mode)) {
      (void)world_add(real, below, KIND_DIR, "");
      const int sub = openat(dirfd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
      fine = sub >= 0 && read_below(sub, below, aliases, real, outcome);
    } else if (S_ISREG(st.st_mode)) {
      read_text(dirfd, entry->d_name, text);
      (void)world_add(real, below, KIND_FILE, text);
    } else {
      (void)!readlinkat(dirfd, entry->d_name, text, sizeof text - 1);
      (void)world_add(real, below, KIND_LINK, text);
    }
  }
  if (dir) (void)closedir(dir);
  return fine;
}

bool tree_read(const char *root, const struct aliases *aliases, struct world *real, struct outcome *outcome) {
  static const char *const tops[] = {"base", "out"};
  memset(real, 0, sizeof *real);
  for (size_t i = 0; i < sizeof tops / sizeof *tops; i++) {
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", root, tops[i]);
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) continue; /* missing: the comparison will say so */
    (void)world_add(real, tops[i], KIND_DIR, "");
    if (!read_below(fd, tops[i], aliases, real, outcome)) return false;
  }
  return true;
}

/* ---- comparing ---- */

static bool may_be_gone(const struct model *m, const char *path) {
  for (int i = 0; i < m->may_count; i++)
    if (strcmp(m->may[i], path) == 0) return true;
  return false;
}

static const struct name *must_be_gone(const struct model *m, const char *path) {
  for (int i = 0; i < m->gone_count; i++)
    if (strcmp(m->gone[i].path, path) == 0) return &m->gone[i];
  return NULL;
}

static void judge_what_must_stay(struct model *m, const struct world *real, struct outcome *outcome) {
  for (int i = m->world.name_count - 1; i >= 0; i--) {
    char path[PATH_SIZE];
    path_set(path, m->world.names[i].path);
    const struct object *must = &m->world.objects[m->world.names[i].object];
    const int there = world_object(real, path);
    if (there < 0 && m->leaked[m->world.names[i].object]) {
      world_remove(&m->world, path);
    } else if (there < 0 && may_be_gone(m, path)) {
      outcome->deletions++;
      world_remove(&m->world, path);
    } else if (there < 0) {
      outcome_fail(outcome, FAULT_WRONG, "%s must stay, and is missing (content: '%s')", path, must->text);
    } else if (real->objects[there].kind != must->kind || strcmp(real->objects[there].text, must->text) != 0) {
      outcome_fail(outcome, FAULT_WRONG, "%s must hold '%s', and holds '%s'", path, must->text,
                   real->objects[there].text);
    }
  }
}

static void judge_what_is_there(struct model *m, const struct world *real, bool leaks_are_faults,
                                struct outcome *outcome) {
  for (int i = 0; i < real->name_count; i++) {
    const char *path = real->names[i].path;
    const struct object *is = &real->objects[real->names[i].object];
    if (world_find(&m->world, path) >= 0) continue;
    const struct name *gone = must_be_gone(m, path);
    if (!gone) {
      outcome_fail(outcome, FAULT_STRANGER, "%s: nobody made this (content: '%s')", path, is->text);
    } else if (leaks_are_faults) {
      outcome_fail(outcome, FAULT_LEAK, "%s must be deleted, and is there (content: '%s')", path, is->text);
    } else {
      outcome->leaks++;
      m->leaked[gone->object] = true;
      world_add_name(&m->world, path, gone->object);
    }
  }
}

bool tree_has_leak(const struct model *m, const struct world *real) {
  for (int i = 0; i < m->gone_count; i++)
    if (world_find(real, m->gone[i].path) >= 0) return true;
  return false;
}

/* A pass that was killed had captured it, the pass of a neighbour has removed its directory, which looked empty, and so
 * it was given back to the base. Whether its session still knows it there is open. */
static void find_given_back(struct model *m, const struct world *real) {
  for (int i = 0; i < real->name_count; i++) {
    const char *path = real->names[i].path;
    const struct object *is = &real->objects[real->names[i].object];
    char parent[PATH_SIZE];
    path_parent(path, parent);
    if (strcmp(parent, "base") != 0 || world_find(&m->world, path) >= 0) continue;
    for (int n = 0; n < m->world.name_count; n++) {
      const struct name *name = &m->world.names[n];
      const struct object *was = &m->world.objects[name->object];
      path_parent(name->path, parent);
      if (strcmp(path_leaf(name->path), path_leaf(path)) != 0 || !may_be_gone(m, name->path) ||
          world_find(real, name->path) >= 0 || world_find(real, parent) >= 0 || was->kind != is->kind ||
          strcmp(was->text, is->text) != 0)
        continue;
      m->leaked[name->object] = true;
      world_move(&m->world, name->path, path);
      break;
    }
  }
}

void tree_judge(struct model *m, const struct world *real, bool leaks_are_faults, struct outcome *outcome) {
  for (int i = 0; i < m->gone_count; i++)
    if (world_find(real, m->gone[i].path) < 0) outcome->deletions++;
  outcome->undecided += m->may_count;
  if (m->pass_killed) find_given_back(m, real);
  m->pass_killed = false;
  judge_what_must_stay(m, real, outcome);
  judge_what_is_there(m, real, leaks_are_faults, outcome);
  m->gone_count = 0;
  m->may_count = 0;
}

bool tree_same(const struct world *a, const struct world *b, bool contents) {
  if (a->name_count != b->name_count) return false;
  for (int i = 0; i < a->name_count; i++) {
    const struct object *one = &a->objects[a->names[i].object];
    const int there = world_object(b, a->names[i].path);
    if (there < 0 || b->objects[there].kind != one->kind) return false;
    if (contents && strcmp(b->objects[there].text, one->text) != 0) return false;
  }
  return true;
}

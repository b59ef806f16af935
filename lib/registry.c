#include "registry.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* The key of a node: the parent's address, then the leaf and a NUL that does not count. */
static char *make_key(struct fc_registry *r, const struct fc_node *parent, const char *leaf, size_t len) {
  char *key = fc_arena_alloc(&r->arena, sizeof parent + len + 1);
  if (!key) {
    r->failed = true;
    return NULL;
  }
  memcpy(key, &parent, sizeof parent);
  memcpy(key + sizeof parent, leaf, len);
  return key;
}

const char *fc_registry_leaf(const struct fc_node *node) { return node->key ? node->key + sizeof node->parent : ""; }

static void link_child(struct fc_node *parent, struct fc_node *node) {
  node->parent = parent;
  node->before = NULL;
  node->next = parent->first_child;
  if (node->next) node->next->before = node;
  parent->first_child = node;
}

static void unlink_child(struct fc_node *node) {
  if (node->before)
    node->before->next = node->next;
  else if (node->parent)
    node->parent->first_child = node->next;
  if (node->next) node->next->before = node->before;
  node->parent = node->next = node->before = NULL;
}

static void hash_out(struct fc_registry *r, struct fc_node *node) {
  struct fc_registry *fc_uthash_registry = r;
  (void)fc_uthash_registry;
  HASH_DELETE(hh, r->nodes, node);
}

static void hash_in(struct fc_registry *r, struct fc_node *node, size_t len) {
  struct fc_registry *fc_uthash_registry = r;
  node->leaf_len = (uint16_t)len;
  HASH_ADD_KEYPTR(hh, r->nodes, node->key, sizeof node->parent + len, node);
}

struct fc_node *fc_registry_child(struct fc_registry *r, struct fc_node *parent, const char *leaf, size_t len,
                                  bool make) {
  char key[sizeof parent + NAME_MAX + 1];
  if (len > NAME_MAX) return NULL; /* no such name can exist */
  memcpy(key, &parent, sizeof parent);
  memcpy(key + sizeof parent, leaf, len);
  struct fc_node *node = NULL;
  HASH_FIND(hh, r->nodes, key, sizeof parent + len, node);
  if (node || !make || r->failed) return node;
  node = fc_arena_alloc(&r->arena, sizeof *node);
  if (!node) {
    r->failed = true;
    return NULL;
  }
  node->key = make_key(r, parent, leaf, len);
  if (!node->key) return NULL;
  link_child(parent, node);
  hash_in(r, node, len);
  return r->failed ? NULL : node;
}

struct fc_node *fc_registry_find(struct fc_registry *r, const char *path, bool make) {
  struct fc_node *node = &r->root;
  const char *p = path;
  while (*p && node) {
    const char *slash = strchr(p, '/');
    const size_t len = slash ? (size_t)(slash - p) : strlen(p);
    node = fc_registry_child(r, node, p, len, make);
    p += len + (slash ? 1 : 0);
  }
  return node;
}

void fc_registry_drop(struct fc_registry *r, struct fc_node *top) {
  struct fc_node *node = top;
  while (node->first_child) node = node->first_child;
  for (;;) {
    struct fc_node *const parent = node->parent;
    hash_out(r, node);
    unlink_child(node);
    if (node == top) return;
    node = parent;
    while (node->first_child) node = node->first_child;
  }
}

static bool is_inside(const struct fc_node *node, const struct fc_node *top) {
  for (; node; node = node->parent)
    if (node == top) return true;
  return false;
}

bool fc_registry_move(struct fc_registry *r, struct fc_node *node, struct fc_node *parent, const char *leaf,
                      size_t len) {
  if (is_inside(parent, node) || len > NAME_MAX) return false; /* the kernel refuses it; a journal may claim it */
  struct fc_node *there = fc_registry_child(r, parent, leaf, len, false);
  if (there == node) return true;
  if (there) {
    if (is_inside(node, there)) return false;
    fc_registry_drop(r, there);
  }
  char *key = make_key(r, parent, leaf, len);
  if (!key) return false;
  hash_out(r, node);
  unlink_child(node);
  node->key = key;
  link_child(parent, node);
  hash_in(r, node, len);
  return !r->failed;
}

size_t fc_registry_path(const struct fc_node *node, char *out, size_t size) {
  size_t len = 0;
  for (const struct fc_node *n = node; n->parent; n = n->parent) len += n->leaf_len + 1u;
  if (len == 0 || len > size) {
    if (size) out[0] = '\0';
    return 0;
  }
  size_t at = len - 1;
  out[at] = '\0';
  for (const struct fc_node *n = node; n->parent; n = n->parent) {
    at -= n->leaf_len;
    memcpy(out + at, fc_registry_leaf(n), n->leaf_len);
    if (at > 0) out[--at] = '/';
  }
  return len - 1;
}

struct fc_process *fc_registry_process(struct fc_registry *r, uint32_t pid, bool make) {
  struct fc_registry *fc_uthash_registry = r;
  struct fc_process *process = NULL;
  HASH_FIND(hh, r->processes, &pid, sizeof pid, process);
  if (process || !make) return process;
  process = fc_arena_alloc(&r->arena, sizeof *process);
  if (!process) {
    r->failed = true;
    return NULL;
  }
  process->pid = pid;
  HASH_ADD(hh, r->processes, pid, sizeof pid, process);
  return process;
}

struct fc_program *fc_registry_program(struct fc_registry *r, const char *name, size_t len, uint32_t number) {
  struct fc_registry *fc_uthash_registry = r;
  struct fc_program *program = NULL;
  HASH_FIND(hh, r->programs, name, len, program);
  if (program) return program;
  program = fc_arena_alloc(&r->arena, sizeof *program);
  if (program) program->name = fc_arena_copy(&r->arena, name, len);
  if (!program || !program->name) {
    r->failed = true;
    return NULL;
  }
  program->number = number ? number : HASH_COUNT(r->programs) + 1;
  HASH_ADD_KEYPTR(hh, r->programs, program->name, len, program);
  return program;
}

struct fc_place *fc_registry_place(struct fc_registry *r, uint64_t ino, uint32_t major, uint32_t minor,
                                   const char *leaf, bool make) {
  struct fc_registry *fc_uthash_registry = r;
  char key[16 + 256];
  const size_t leaf_len = strlen(leaf);
  if (leaf_len > 255) return NULL;
  memcpy(key, &ino, 8);
  memcpy(key + 8, &major, 4);
  memcpy(key + 12, &minor, 4);
  memcpy(key + 16, leaf, leaf_len);
  struct fc_place *place = NULL;
  HASH_FIND(hh, r->places, key, 16 + leaf_len, place);
  if (place || !make) return place;
  place = fc_arena_alloc(&r->arena, sizeof *place);
  if (place) place->key = fc_arena_copy(&r->arena, key, 16 + leaf_len);
  if (!place || !place->key) {
    r->failed = true;
    return NULL;
  }
  HASH_ADD_KEYPTR(hh, r->places, place->key, 16 + leaf_len, place);
  return place;
}

const struct fc_inode *fc_registry_inode(struct fc_registry *r, const struct fc_identity *identity) {
  struct fc_inode *inode = NULL;
  HASH_FIND(hh, r->inodes, identity, sizeof *identity, inode);
  return inode;
}

void fc_registry_add_inode(struct fc_registry *r, const struct fc_identity *identity, uint64_t record) {
  struct fc_registry *fc_uthash_registry = r;
  if (fc_registry_inode(r, identity)) return;
  struct fc_inode *inode = fc_arena_alloc(&r->arena, sizeof *inode);
  if (!inode) {
    r->failed = true;
    return;
  }
  inode->identity = *identity;
  inode->record = record;
  HASH_ADD(hh, r->inodes, identity, sizeof *identity, inode);
}

struct fc_node *fc_registry_postorder(struct fc_node *top, struct fc_node *node) {
  if (node == top) return NULL;
  struct fc_node *next = node ? (node->next ? node->next : NULL) : top;
  if (node && !next) return node->parent;
  while (next->first_child) next = next->first_child;
  return next;
}

void fc_registry_free(struct fc_registry *r) {
  fc_arena_free(&r->arena);
  memset(r, 0, sizeof *r);
}

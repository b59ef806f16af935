/* registry: the names that are tracked now, a view built by replaying the journal.
 *
 * Responsible for: the tree of names (uthash: one table keyed by parent and leaf), the processes, and the small sets
 * that the ownership rules need. Must never: decide whose a name is (ownership.h), or touch the file system. All memory
 * comes from its arena; when that fails the registry is `failed`, and proves nothing. Not thread-safe.
 */
#ifndef FC_REGISTRY_H
#define FC_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "identity.h"

#define HASH_NONFATAL_OOM 1
#define uthash_malloc(bytes) fc_arena_alloc(&fc_uthash_registry->arena, (bytes))
#define uthash_free(ptr, bytes) ((void)(ptr))
#define uthash_nonfatal_oom(element) (fc_uthash_registry->failed = true)
#include <uthash.h>

/* Why nothing of the session's stands at a name, as far as single records tell: for people who ask. No decision is ever
 * taken by it (the rules are in ownership.h). */
enum fc_why {
  FC_WHY_UNTOLD = 0, /* no record told of an object here */
  FC_WHY_REMOVED,    /* the session removed it itself, or renamed it away */
  FC_WHY_RESERVED,   /* N1: the session removed, renamed away or exchanged what the user had here */
  FC_WHY_REPLACES,   /* N1: made at, or renamed to, where something of the user's stood */
  FC_WHY_DATA_MOVED, /* N2: made before data of the user's moved, and then given another name */
  FC_WHY_LINK,       /* N5: a new name of what the session did not make */
  FC_WHY_USERS,      /* the session renamed something of the user's to here */
  FC_WHY_RENAMED_IN, /* it came from outside the base */
  FC_WHY_ASKED,      /* somebody asked from outside for it to be kept, or not to be tracked */
  FC_WHY_DIRECTORY,  /* a directory above it took the place of the user's, or was the user's */
};

/* A name. Renaming a directory moves one node; its children stay linked to it. */
struct fc_node {
  struct fc_node *parent;
  struct fc_node *first_child;
  struct fc_node *next; /* siblings */
  struct fc_node *before;
  char *key; /* parent pointer, then the leaf's bytes */
  UT_hash_handle hh;
  struct fc_identity identity; /* of the tracked object */
  int64_t born_ns;             /* when that was recorded, CLOCK_BOOTTIME */
  uint32_t pid;                /* who created it */
  uint64_t created;            /* record that created it: here and below numbers are sequences (replay.h) */
  uint64_t since;              /* record since which it has stood at this place */
  union {
    uint64_t used_at; /* the record that first told so, when it is used */
    int64_t asked_ns; /* when it is asked: what appears counts when it was born since, CLOCK_REALTIME_COARSE */
  };
  uint64_t data_moved; /* N2: last record that moved data out of this directory or one below it */
  uint16_t leaf_len;
  bool tracked;  /* an object of the session's stands here, by the records */
  bool asked;    /* because the owner asked for it (TRACK): that is the proof, and no rule of ownership.h is needed */
  bool adopted;  /* tracked, and made by no process of this session: another session has handed it over */
  bool tree;     /* asked: with all that is in it */
  bool expected; /* asked: nothing stood here when it was */
  bool reserved; /* N1: the name is the user's until the session ends */
  bool kept;     /* somebody asked for that: so is what is made or brought below it */
  bool is_dir;
  bool used;       /* opened by this session while it existed (USED) */
  bool seen;       /* a record has spoken of what stands here */
  uint8_t ground;  /* ground.c's memory of this directory */
  uint8_t subtree; /* and of everything below it, when it is a topmost one */
  uint8_t why;     /* enum fc_why; says something only while it is not tracked */
};

/* What programs have made, for the report. */
struct fc_program {
  UT_hash_handle hh;
  uint32_t number; /* from 1 on */
  uint64_t created;
  char *name;
};

struct fc_process {
  UT_hash_handle hh;
  struct fc_program *program; /* NULL = not known */
  uint32_t pid;
  uint64_t data_moved; /* N2: last record in which it moved the user's data */
  bool outside;        /* N6: it removed a name outside the base */
  bool joined;         /* it has been seen to arrive */
  bool exec_open;      /* EXEC without JOIN so far */
  bool mentioned;      /* snapshot.c's */
  int64_t exec_ns;     /* when the last EXEC was written, CLOCK_BOOTTIME */
  int64_t starts_ns;   /* when it last entered a call that starts a child and never came back from; 0 = none */
  bool child_arrived;  /* since then a child of it has joined */
};

/* A directory by inode, with or without a leaf: rules that must hold whatever links a name was reached by. */
struct fc_place {
  UT_hash_handle hh;
  uint64_t data_moved; /* leaf empty: as in fc_node */
  bool reserved;       /* leaf not empty */
  char *key;
};

struct fc_inode {
  UT_hash_handle hh;
  uint64_t record;
  struct fc_identity identity;
};

struct fc_capture {
  struct fc_capture *next;
  struct fc_identity identity;
  uint32_t slot; /* the record's index, which is also the slot's name */
  char path[];
};

struct fc_registry {
  struct fc_arena arena;
  struct fc_node root; /* the base */
  struct fc_node *nodes;
  struct fc_process *processes;
  struct fc_place *places;
  struct fc_program *programs;
  struct fc_inode *inodes; /* nameless objects that the session created */
  struct fc_capture *captures;
  uint64_t data_moved; /* N2: the last record of the whole session that moved data */
  uint32_t leader_pid;
  int32_t leader_status;  /* -1 = no record */
  uint64_t created_files; /* for the report, as are the next three */
  uint64_t created_dirs;
  uint64_t removed; /* of these, by the session itself */
  uint64_t renamed_out;
  uint32_t records;
  uint32_t unseen_gone;  /* processes that ran without the shim, and that a checkpoint has forgotten */
  bool heeds_taken_back; /* names that an owner asked for and has taken back since (TRACK) get a node all the same */
  bool no_captures;      /* CAPTURE records are not to be remembered: nobody looks for them */
  bool failed;           /* no memory */
};

/* The node of a tidied relative path; make: with its parents. NULL when absent, or no memory (then failed is set). */
struct fc_node *fc_registry_find(struct fc_registry *registry, const char *path, bool make);

/* The node of leaf below parent. */
struct fc_node *fc_registry_child(struct fc_registry *registry, struct fc_node *parent, const char *leaf, size_t len,
                                  bool make);

/* Moves node to the place of parent and leaf. What stood there is taken out of the tree with all below it. */
bool fc_registry_move(struct fc_registry *registry, struct fc_node *node, struct fc_node *parent, const char *leaf,
                      size_t len);

/* Takes node and all below it out of the tree. */
void fc_registry_drop(struct fc_registry *registry, struct fc_node *node);

const char *fc_registry_leaf(const struct fc_node *node); /* NUL-terminated */

/* Writes the node's path relative to the base. Returns its length, or 0 when it does not fit. */
size_t fc_registry_path(const struct fc_node *node, char *out, size_t size);

struct fc_process *fc_registry_process(struct fc_registry *registry, uint32_t pid, bool make);

/* The program of that name; a number of 0 takes the next one. NULL: no memory. */
struct fc_program *fc_registry_program(struct fc_registry *registry, const char *name, size_t len, uint32_t number);

/* leaf "" = the directory itself. */
struct fc_place *fc_registry_place(struct fc_registry *registry, uint64_t ino, uint32_t major, uint32_t minor,
                                   const char *leaf, bool make);

/* The nameless object, when a record told of it. */
const struct fc_inode *fc_registry_inode(struct fc_registry *registry, const struct fc_identity *identity);
void fc_registry_add_inode(struct fc_registry *registry, const struct fc_identity *identity, uint64_t record);

/* The node after `node` in post-order (children before parents); starts with NULL; NULL at the end (root is last). The
 * current node may be dropped from consideration but must stay linked. */
struct fc_node *fc_registry_postorder(struct fc_node *top, struct fc_node *node);

void fc_registry_free(struct fc_registry *registry);

#endif

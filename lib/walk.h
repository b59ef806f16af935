/* walk: everything below an open directory, of any depth, with one file descriptor at a time.
 *
 * Responsible for: going through a tree whose entries may be removed meanwhile, without recursion, beneath the top and
 * on its mount only (beneath.h). Must never: follow a link, or change anything. What a file system moves about in a
 * directory while it is read may be missed.
 */
#ifndef FC_WALK_H
#define FC_WALK_H

#include "arena.h"
#include "beneath.h"

#define FC_WALK_PATH_BYTES 16384u /* deeper than this is passed by */

struct fc_walk {
  int top_fd; /* not owned */
  int fd;     /* of the directory in hand; owned unless it is top_fd */
  char *path; /* prefix, and what lies below */
  size_t prefix_len;
  size_t len;
  struct fc_walk_level *levels;
  unsigned depth;
  unsigned room;
  size_t leaf_len; /* of the directory to enter; 0 = none */
  int64_t offset;  /* behind the entry in hand */
  struct fc_list list;
  struct fc_arena *arena;
};

struct fc_walked {
  int dirfd;        /* of the directory that holds it */
  const char *path; /* with the prefix; until the next call, as are all of these */
  const char *leaf;
  unsigned char type; /* DT_* as the directory says; DT_DIR with `after` */
  bool after;         /* a directory that was entered: all below has been seen */
};

/* Starts below top_fd, whose own path (tidied, "" = none) is prefix. False when there is no memory. */
bool fc_walk_begin(struct fc_walk *walk, struct fc_arena *arena, int top_fd, const char *prefix);

/* The next entry: 1, 0 at the end, or -errno. */
int fc_walk_next(struct fc_walk *walk, struct fc_walked *out);

/* The entry just given is a directory: go into it next. */
void fc_walk_enter(struct fc_walk *walk);

void fc_walk_end(struct fc_walk *walk);

#endif

/* ground: the ownership rules that need the file system: own ground (N3), companions (N4), moved in (N6), KEEP.
 *
 * Responsible for: saying, at the moment of deletion, whether a directory is ours to delete in and whether a name in it
 * is spared. Must never: change anything. The rules are listed in ownership.h.
 */
#ifndef FC_GROUND_H
#define FC_GROUND_H

#include "neighbour.h"
#include "registry.h"
#include "session.h"

struct fc_ground {
  struct fc_registry *registry;
  const struct fc_session_header *header;
  struct fc_neighbour *neighbours;
  int base_fd;
  uint32_t base_major; /* the base's device now; it may differ from the recorded one after a reboot */
  uint32_t base_minor;
  int64_t until_ns; /* CLOCK_REALTIME: what was born later, and no record speaks of, is not the session's */
};

enum fc_ground_kind {
  FC_GROUND_UNKNOWN = 0,
  FC_GROUND_OURS,   /* the base, or a tracked directory on own ground */
  FC_GROUND_SHARED, /* the user's directory, which holds nothing but tracked names */
  FC_GROUND_USER
};

/* Whose ground is the directory of node, open as fd? The answer is remembered in the node. */
enum fc_ground_kind fc_ground_of(struct fc_ground *ground, struct fc_node *node, int fd);

/* fc_identity_look for what stands on the file system of the base; path "" = dirfd itself. */
int fc_ground_look(const struct fc_ground *ground, int dirfd, const char *path, struct fc_identity *out,
                   struct statx *st);

/* True when identity (as recorded) names the object in st now. Devices are compared as of this boot. */
bool fc_ground_same(const struct fc_ground *ground, const struct fc_identity *recorded, const struct fc_identity *now);

/* N4: leaf is a companion of a name beside it that is not ours. */
bool fc_ground_is_companion(struct fc_ground *ground, struct fc_node *parent, int fd, const char *leaf);

/* N6: the creator removed names outside the base, and this is older than its birth. */
bool fc_ground_moved_in(struct fc_ground *ground, const struct fc_node *node, const struct statx *st);

/* N1 through links: what a symbolic link leads to that took the place of something of the user's is the user's too (a
 * release directory and its `current`). Marks the names; called once, before anything is deleted. False when it could
 * not look at all of them: no memory, no fd, or deadline_ns has passed. */
bool fc_ground_follow_links(struct fc_ground *ground, int64_t deadline_ns);

/* Something has appeared where the owner had asked for it before (TRACK), at the node or below it: born since, by the
 * session's user, while the session can have lived. A file system's clock that was set back before the owner asked is
 * not seen; one that is ahead of now proves nothing. */
bool fc_ground_appeared(const struct fc_ground *ground, const struct fc_node *node, const struct statx *st);

#endif

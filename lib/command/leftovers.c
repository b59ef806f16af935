#include "leftovers.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base.h"
#include "beneath.h"
#include "history.h"
#include "ownership.h"

static bool still_there(const struct fc_session_header *header, int base_fd, const struct fc_node *node, char *path) {
  char *slash = strrchr(path, '/');
  if (slash) *slash = '\0';
  const int fd = fc_beneath_open(base_fd, slash ? path : "");
  if (slash) *slash = '/';
  if (fd < 0) return false;
  struct fc_identity now;
  struct statx st;
  const int rc = fc_identity_look(fd, fc_registry_leaf(node), header->with_handle != 0, false, &now, &st);
  (void)close(fd);
  return rc == 0 && fc_identity_equal(&node->identity, &now);
}

static long look(struct fc_registry *registry, int fd, int base_fd, const struct fc_session_header *header,
                 fc_leftover each, void *context) {
  struct fc_replay replay;
  /* As of a session that is still written: what a killed checkpoint has left before the head is not damage. */
  int rc = fc_replay_begin(&replay, &registry->arena, fd, header->key, header->capacity, false);
  if (rc == 0) rc = fc_history_replay(registry, &replay);
  if (rc < 0) return rc;
  char *const path = fc_arena_alloc(&registry->arena, FC_REPLAY_PATH_MAX);
  if (!path) return -ENOMEM;
  long count = 0;
  for (struct fc_node *n = fc_registry_postorder(&registry->root, NULL); n;
       n = fc_registry_postorder(&registry->root, n)) {
    if (!n->parent || !fc_ownership_tracked(registry, n) || !fc_registry_path(n, path, FC_REPLAY_PATH_MAX)) continue;
    if (!still_there(header, base_fd, n, path)) continue;
    count++;
    if (each) each(context, path, n->is_dir);
  }
  return count;
}

long fc_leftovers_find(int fd, const struct fc_session_header *header, fc_leftover each, void *context) {
  const int base_fd = fc_base_reopen(header->base, &header->base_identity, header->fs_id, false);
  if (base_fd < 0) return 0; /* gone with all that was in it */
  struct fc_registry *const registry = calloc(1, sizeof *registry);
  long count = -ENOMEM;
  if (registry) {
    registry->leader_pid = header->leader_pid;
    registry->leader_status = -1;
    count = look(registry, fd, base_fd, header, each, context);
    fc_registry_free(registry);
    free(registry);
  }
  (void)close(base_fd);
  return count;
}

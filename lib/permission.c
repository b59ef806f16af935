#include "permission.h"

#include <stdio.h>
#include <sys/stat.h>

#include "beneath.h"
#include "ownership.h"

/* A directory whose mode has been changed for a while. */
struct fc_opened {
  struct fc_opened *next;
  struct fc_node *node;
  unsigned mode;
};

/* Sets the mode of the very directory that the session made at node, when it differs from want in the bits of mask.
 * Returns the mode that it had, or -1. */
static int set_mode(const struct fc_ground *g, char *path, const struct fc_node *node, unsigned mask, unsigned want) {
  char link[32];
  struct fc_identity now;
  struct statx st;
  path[0] = '\0';
  if (node->parent->parent && fc_registry_path(node->parent, path, FC_REPLAY_PATH_MAX) == 0) return -1;
  const int dir = fc_beneath_open(g->base_fd, path);
  const int fd =
      dir < 0 ? dir : fc_sys_openat(dir, fc_registry_leaf(node), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
  int before = -1;
  if (fd >= 0 && fc_ground_look(g, fd, "", &now, &st) == 0 && fc_ground_same(g, &node->identity, &now) &&
      (st.stx_mode & mask) != (want & mask)) {
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd); /* O_PATH needs no permission, but fchmod refuses it */
    if (FC_SYS3(SYS_fchmodat, AT_FDCWD, link, (st.stx_mode & 07777 & ~mask) | (want & mask)) == 0)
      before = st.stx_mode & 07777;
  }
  if (fd >= 0) (void)fc_sys_close(fd);
  if (dir >= 0) (void)fc_sys_close(dir);
  return before;
}

/* Parents first. */
struct fc_opened *fc_permission_open_up(struct fc_ground *g, char *path) {
  struct fc_opened *all = NULL;
  struct fc_node *const root = &g->registry->root;
  for (struct fc_node *n = root->first_child; n;) {
    if (n->is_dir && fc_ownership_stands(g->registry, n)) {
      const int before = set_mode(g, path, n, S_IRWXU, S_IRWXU);
      struct fc_opened *one = before < 0 ? NULL : fc_arena_alloc(&g->registry->arena, sizeof *one);
      if (one) {
        *one = (struct fc_opened){all, n, (unsigned)before};
        all = one;
      }
    }
    if (n->first_child) {
      n = n->first_child;
      continue;
    }
    while (n != root && !n->next) n = n->parent;
    n = n == root ? NULL : n->next;
  }
  return all;
}

void fc_permission_restore(const struct fc_ground *g, const struct fc_opened *opened, char *path) {
  for (; opened; opened = opened->next) (void)set_mode(g, path, opened->node, S_IRWXU, opened->mode);
}

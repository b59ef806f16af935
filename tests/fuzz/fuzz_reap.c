/* fuzz_reap: a whole session file with a valid header and any cells, ended over a base full of the user's files.
 *
 * What must hold, whatever the cells say:
 *   - nothing outside the base is touched;
 *   - of what stands in the base only that goes of which some record claims that the session created it (its inode, in
 *     a record of a creating kind; with DIRS=recursive also what such a directory holds) or that the owner has asked
 * for it, and the rest stands under its own name;
 *   - what a KEEP glob names stays, and so does everything when the policy keeps or the journal is damaged;
 *   - what lay in the quarantine without a claim is given back, and nothing else appears.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cells.h"
#include "ending.h"
#include "sandbox.h"

struct victim {
  const char *path;
  const char *in_scripts; /* NULL = its path */
  char kind;              /* f file, d directory, l link */
  bool outside;
  bool kept; /* by the glob u */
  struct fc_identity identity;
};

/* A directory before what it holds. */
static struct victim victims[] = {
    {.path = "x", .in_scripts = "../out/x", .kind = 'f', .outside = true},
    {.path = "y", .in_scripts = "l/x", .kind = 'f', .outside = true},
    {.path = "a", .kind = 'f'},
    {.path = "b", .kind = 'f'},
    {.path = "d", .kind = 'd'},
    {.path = "d/a", .kind = 'f'},
    {.path = "d/b", .kind = 'f'},
    {.path = "d/e", .kind = 'd'},
    {.path = "d/e/f", .kind = 'f'},
    {.path = "u", .kind = 'd', .kept = true},
    {.path = "u/x", .kind = 'f', .kept = true},
    {.path = "u/w", .kind = 'd', .kept = true},
    {.path = "u/w/y", .kind = 'f', .kept = true},
    {.path = "a-journal", .kind = 'f'},
    {.path = ".a.swp", .kind = 'f'},
    {.path = "l", .kind = 'l'}, /* -> ../out */
};
enum { VICTIMS = sizeof victims / sizeof *victims };
static struct fc_identity in_slot; /* a file of somebody's, left in the quarantine */

static int top_of(const struct sandbox *box, const struct victim *v) { return v->outside ? box->out_fd : box->base_fd; }

static void make_file(int dirfd, const char *path) {
  const int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  REQUIRE(fd >= 0 && write(fd, path, strlen(path)) == (ssize_t)strlen(path) && close(fd) == 0);
}

static bool stands(const struct sandbox *box, const struct victim *v) {
  struct fc_identity now;
  struct statx st;
  return fc_identity_take(top_of(box, v), v->path, false, &now, &st) == 0 && fc_identity_equal(&v->identity, &now);
}

static void restore(const struct sandbox *box) {
  for (int i = 0; i < VICTIMS; i++) {
    struct victim *v = &victims[i];
    struct statx st;
    if (stands(box, v)) continue;
    if (v->kind == 'f') make_file(top_of(box, v), v->path);
    if (v->kind == 'd') REQUIRE(mkdirat(box->base_fd, v->path, 0755) == 0);
    if (v->kind == 'l') REQUIRE(symlinkat("../out", box->base_fd, v->path) == 0);
    REQUIRE(fc_identity_take(top_of(box, v), v->path, false, &v->identity, &st) == 0);
  }
}

static void fill_slot(const struct sandbox *box) {
  char dir[64], slot[80];
  struct statx st;
  (void)snprintf(dir, sizeof dir, ".filecleanup-%.16s", box->header.id);
  (void)snprintf(slot, sizeof slot, "%s/1", dir);
  REQUIRE(mkdirat(box->base_fd, dir, 0700) == 0);
  make_file(box->base_fd, slot);
  REQUIRE(fc_identity_take(box->base_fd, slot, false, &in_slot, &st) == 0);
}

/* What a script may speak of under this name: a victim, what lies in the slot, something made up. */
static struct fc_identity identity_at(const char *name, unsigned number) {
  for (int i = 0; i < VICTIMS; i++)
    if (strcmp(name, victims[i].in_scripts ? victims[i].in_scripts : victims[i].path) == 0) return victims[i].identity;
  if (strcmp(name, "new") == 0 && in_slot.ino) return in_slot;
  return (struct fc_identity){number, 8, 1, number, 1, 0};
}

/* A record claims it or is the owner's word for it; or, with DIRS=recursive or as a tree, a directory above it. */
static bool may_go(const struct cells *cells, const struct victim *v, bool recursive) {
  if (cells_claim(cells, &v->identity) || cells_ask(cells, &v->identity, v->path, false)) return true;
  for (int i = 0; i < VICTIMS; i++) {
    const size_t length = strlen(victims[i].path);
    const bool above =
        victims[i].kind == 'd' && strncmp(v->path, victims[i].path, length) == 0 && v->path[length] == '/';
    if (!above) continue;
    if (recursive &&
        (cells_claim(cells, &victims[i].identity) || cells_ask(cells, &victims[i].identity, victims[i].path, false)))
      return true;
    if (cells_ask(cells, &victims[i].identity, victims[i].path, true)) return true;
  }
  return false;
}

static int is_known(const struct fc_identity *identity) {
  for (int i = 0; i < VICTIMS; i++)
    if (fc_identity_equal(&victims[i].identity, identity)) return i;
  return -1;
}

/* Everything below dirfd is a victim, or what lay in the slot, which is removed. Returns whether that was there. */
static bool look_below(int dirfd, const char *path) {
  bool found = false;
  const int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR *dir = fd < 0 ? NULL : fdopendir(fd);
  REQUIRE(dir != NULL);
  for (const struct dirent *entry; (entry = readdir(dir));) {
    struct fc_identity now;
    struct statx st;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    REQUIRE(fc_identity_take(fd, entry->d_name, false, &now, &st) == 0);
    if (fc_identity_equal(&in_slot, &now)) {
      found = true;
      REQUIRE(unlinkat(fd, entry->d_name, 0) == 0);
      continue;
    }
    const bool is_dir = (st.stx_mode & S_IFMT) == S_IFDIR;
    if (is_dir) found |= look_below(fd, entry->d_name);
    if (is_known(&now) >= 0) continue;
    REQUIRE(is_dir && strncmp(entry->d_name, ".filecleanup-", 13) == 0); /* nothing else may have appeared */
    REQUIRE(unlinkat(fd, entry->d_name, AT_REMOVEDIR) == 0);
  }
  (void)closedir(dir);
  return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct cells cells;
  static struct fc_session_header header;
  static struct fc_identity identities[CELLS_NAMES];
  struct sandbox *box = sandbox();
  const unsigned policy = fuzz_take(&data, &size);
  restore(box);
  const bool with_slot = policy & 64;
  memset(&in_slot, 0, sizeof in_slot);
  if (with_slot) fill_slot(box);
  for (unsigned i = 0; i < CELLS_NAMES; i++) identities[i] = identity_at(cells_names[i], i);

  header = box->header;
  header.policy.on_exit = policy & 1 ? (policy >> 1) % 4 : FC_ON_EXIT_DELETE;
  header.policy.dirs = (policy >> 3) % 3;
  header.policy.track = policy >> 5 & 1;
  if (policy & 128) memcpy(header.policy.keep, "u", 2);
  cells_build(&cells, data, size, identities);
  header.key = cells.key;
  const int fd = sandbox_file(box, &header);
  cells_store(&cells, fd);
  REQUIRE(fc_sys_lock(fd, FC_F_OFD_SETLK, F_WRLCK, FC_BYTE_MEMBERS, NULL) == 0);
  struct fc_reap_result result;
  const enum fc_end_outcome outcome =
      fc_ending_run(box->state_fd, box->name, fd, &header, FC_INFINITY_NS, NULL, &result);
  REQUIRE(close(fd) == 0);

  const bool deletes =
      header.policy.on_exit == FC_ON_EXIT_DELETE || header.policy.on_exit == FC_ON_EXIT_KEEP_ON_FAILURE;
  const bool nothing = !deletes || result.damaged || (outcome != FC_END_DONE && outcome != FC_END_DEFERRED);
  for (int i = 0; i < VICTIMS; i++) {
    const struct victim *v = &victims[i];
    if (stands(box, v)) continue;
    REQUIRE(!v->outside);
    REQUIRE(!nothing);
    REQUIRE(!(v->kept && header.policy.keep[0]));
    REQUIRE(may_go(&cells, v, header.policy.dirs == FC_DIRS_RECURSIVE));
  }
  if (nothing) REQUIRE(result.files == 0 && result.dirs == 0 && result.unseen == 0);
  (void)look_below(box->out_fd, ".");
  const bool given_back = look_below(box->base_fd, ".");
  REQUIRE(!with_slot || given_back || cells_claim(&cells, &in_slot));
  return 0;
}

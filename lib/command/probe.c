#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base.h"
#include "session.h"

#define PAGE 4096
#define MADV_WIPEONFORK_ 18
#define MADV_POPULATE_WRITE_ 23
#define F_SETLEASE_ 1024
#define F_SETSIG_ 10
#define FS_OVERLAY 0x794c7630u
#define CLOCK_TRIES 8
#define LOCK_PROBE "lock by mapping"

const char *fc_probe_result_name(enum fc_probe_result result) {
  static const char *const names[] = {"yes", "no", "unknown"};
  return names[result];
}

/* follows: by result. */
static struct fc_probe *add(struct fc_probes *probes, const char *name, enum fc_probe_result result, const char *yes,
                            const char *no, const char *unknown) {
  const char *const follows[] = {yes, no, unknown};
  if (probes->count == FC_PROBES_MAX) return &probes->list[FC_PROBES_MAX - 1];
  struct fc_probe *probe = &probes->list[probes->count++];
  *probe = (struct fc_probe){.name = name, .result = result, .follows = follows[result]};
  return probe;
}

static enum fc_probe_result answer(bool yes) { return yes ? FC_PROBE_YES : FC_PROBE_NO; }

static bool advice_is_known(int advice) {
  void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return false;
  const bool known = fc_sys_madvise(page, PAGE, advice) == 0;
  (void)munmap(page, PAGE);
  return known;
}

void fc_probe_kernel(struct fc_probes *probes) {
  const struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH};
  const int fd = fc_sys_openat2(AT_FDCWD, ".", &how);
  if (fd >= 0) (void)close(fd);
  (void)add(probes, "openat2", answer(fd >= 0), "names are resolved beneath the base in one step",
            "names are resolved step by step: slower, and as safe", "");
  (void)add(probes, "MADV_WIPEONFORK", answer(advice_is_known(MADV_WIPEONFORK_)), "children are told from parents",
            "the shim stays inert: nothing is tracked or deleted", "");
  (void)add(probes, "MADV_POPULATE_WRITE", answer(advice_is_known(MADV_POPULATE_WRITE_)),
            "a full disk under the journal is an error, not a crash",
            "the same by a slower way: a full disk under the journal is no crash", "");
  const int memory = memfd_create("filecleanup-check", MFD_CLOEXEC);
  const bool locks = memory >= 0 && fc_sys_lock(memory, FC_F_OFD_SETLK, F_RDLCK, 0, NULL) == 0;
  if (memory >= 0) (void)close(memory);
  (void)add(probes, "OFD locks", answer(locks), "who is alive is told by a lock, not by a pid",
            "nothing can be tracked: no session can be held", "");
}

/* ---- a file to try things with ---- */

struct scratch {
  int dirfd;     /* where names are tried, -1 = they are not; owned when it is a directory of ours */
  char name[48]; /* of that directory in parent */
  int parent;
  int path; /* O_PATH of the file: opens it again */
  int file;
  bool nameless; /* O_TMPFILE works */
};

static int reopen(int path_fd, int flags) {
  char link[40];
  (void)snprintf(link, sizeof link, "/proc/self/fd/%d", path_fd);
  return open(link, flags | O_CLOEXEC);
}

static void open_scratch(struct scratch *s, int dirfd, enum fc_probe_means means) {
  *s = (struct scratch){.dirfd = -1, .parent = dirfd, .path = -1, .file = -1};
  if (means == FC_PROBE_LOOK) return;
  s->file = openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  s->nameless = s->file >= 0;
  if (means == FC_PROBE_NAMES) {
    uint64_t random = 0;
    (void)fc_sys_getrandom(&random, sizeof random);
    (void)snprintf(s->name, sizeof s->name, ".filecleanup-check-%016llx", (unsigned long long)random);
    if (mkdirat(dirfd, s->name, 0700) == 0) s->dirfd = openat(dirfd, s->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->file < 0 && s->dirfd >= 0) s->file = openat(s->dirfd, "file", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  }
  if (s->file >= 0) s->path = reopen(s->file, O_PATH);
}

static void close_scratch(struct scratch *s) {
  if (s->file >= 0) (void)close(s->file);
  if (s->path >= 0) (void)close(s->path);
  if (s->dirfd < 0) return;
  (void)unlinkat(s->dirfd, "file", 0);
  (void)unlinkat(s->dirfd, "a", 0);
  (void)unlinkat(s->dirfd, "b", 0);
  (void)close(s->dirfd);
  (void)unlinkat(s->parent, s->name, AT_REMOVEDIR);
}

/* As a session does it: lock, map, close; the lock must be seen from another open file. */
static enum fc_probe_result lock_survives(const struct scratch *s) {
  if (s->path < 0) return FC_PROBE_UNKNOWN;
  const int fd = reopen(s->path, O_RDWR);
  if (fd < 0 || ftruncate(fd, PAGE) != 0) return FC_PROBE_UNKNOWN;
  const bool locked = fc_sys_lock(fd, FC_F_OFD_SETLK, F_RDLCK, FC_BYTE_MEMBERS, NULL) == 0;
  void *page = mmap(NULL, PAGE, PROT_NONE, MAP_SHARED, fd, 0);
  (void)close(fd);
  const int other = reopen(s->path, O_RDWR);
  const bool seen = locked && page != MAP_FAILED && other >= 0 && fc_session_probe(other, FC_BYTE_MEMBERS) == F_RDLCK;
  if (other >= 0) (void)close(other);
  if (page != MAP_FAILED) (void)munmap(page, PAGE);
  return answer(seen);
}

/* Two changes in a row, asked for in between, differ where the clock is fine. */
static enum fc_probe_result clock_is_fine(const struct scratch *s) {
  if (s->file < 0) return FC_PROBE_UNKNOWN;
  for (int i = 0; i < CLOCK_TRIES; i++) {
    struct statx a;
    struct statx b;
    if (fc_sys_statx(s->file, "", AT_EMPTY_PATH, FC_IDENTITY_MASK, &a) < 0 || fchmod(s->file, 0600) != 0 ||
        fc_sys_statx(s->file, "", AT_EMPTY_PATH, FC_IDENTITY_MASK, &b) < 0)
      return FC_PROBE_UNKNOWN;
    if (a.stx_ctime.tv_sec == b.stx_ctime.tv_sec && a.stx_ctime.tv_nsec == b.stx_ctime.tv_nsec) return FC_PROBE_NO;
  }
  return FC_PROBE_YES;
}

static enum fc_probe_result renames_without_replacing(const struct scratch *s) {
  if (s->dirfd < 0) return FC_PROBE_UNKNOWN;
  const int fd = openat(s->dirfd, "a", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return FC_PROBE_UNKNOWN;
  (void)close(fd);
  return answer(fc_sys_renameat2(s->dirfd, "a", s->dirfd, "b", 1 /* RENAME_NOREPLACE */) == 0);
}

/* Nobody else has this file, so nobody is made to wait. */
static enum fc_probe_result leases(struct scratch *s) {
  if (s->path < 0) return FC_PROBE_UNKNOWN;
  const int fd = reopen(s->path, O_RDONLY);
  if (fd < 0) return FC_PROBE_UNKNOWN;
  (void)close(s->file); /* a writer of our own would be one too */
  s->file = -1;
  (void)fcntl(fd, F_SETSIG_, SIGURG);
  const bool granted = fcntl(fd, F_SETLEASE_, F_WRLCK) == 0;
  if (granted) (void)fcntl(fd, F_SETLEASE_, F_UNLCK);
  (void)close(fd);
  return answer(granted);
}

static const char *fs_name(uint64_t type) {
  static const struct {
    uint64_t type;
    const char *name;
  } names[] = {{0xEF53, "ext2/3/4"},  {0x58465342, "xfs"},  {0x9123683E, "btrfs"}, {0x01021994, "tmpfs"},
               {0x858458f6, "ramfs"}, {0xF2F52010, "f2fs"}, {0x2FC12FC1, "zfs"},   {FS_OVERLAY, "overlayfs"},
               {0x6969, "nfs"},       {0xFF534D42, "cifs"}, {0xFE534D42, "smb2"},  {0x65735546, "fuse"},
               {0x01021997, "9p"},    {0x4d44, "vfat"},     {0x2011BAB0, "exfat"}, {0x5346544e, "ntfs"}};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (names[i].type == type) return names[i].name;
  return "unknown";
}

#define NOT_TRIED "not tried here"

static void probe_place(struct fc_probes *probes, int dirfd, bool holds_state) {
  struct fc_statfs fs = {0};
  const bool known = fc_sys_fstatfs(dirfd, &fs) == 0;
  const bool local = known && fc_base_is_local(fs.type);
  struct fc_probe *probe = add(
      probes, "local file system", known ? answer(local) : FC_PROBE_UNKNOWN,
      fc_base_is_volatile(fs.type) ? "nothing in it outlives a reboot" : "orphans of an earlier boot are reaped too",
      "orphans of an earlier boot stay: another machine may hold them", "orphans of an earlier boot stay");
  (void)snprintf(probe->detail, sizeof probe->detail, "%s", known ? fs_name(fs.type) : "");
  if (known && fs.type == FS_OVERLAY && holds_state) probe->follows = "the lock does not work here";
}

static void probe_identity(struct fc_probes *probes, int fd) {
  struct fc_identity identity;
  struct statx st;
  const bool known = fc_identity_take(fd, "", true, &identity, &st) == 0;
  const bool birth = known && (identity.birth_s || identity.birth_ns);
  struct fc_statfs fs;
  const bool handle =
      known && identity.handle && (birth || fc_sys_fstatfs(fd, &fs) < 0 || fc_base_wants_handle(fd, fs.type, birth));
  (void)add(probes, "birth time", known ? answer(birth) : FC_PROBE_UNKNOWN, "what has replaced a file is told from it",
            handle ? "the file handle tells files apart" : "nothing tells files apart: nothing is deleted here",
            "cannot be told");
  (void)add(probes, "file handle", known ? answer(handle) : FC_PROBE_UNKNOWN,
            "tells files apart where the clock is coarse",
            birth ? "only the birth time tells files apart" : "nothing is deleted here", "cannot be told");
}

void fc_probe_directory(struct fc_probes *probes, int dirfd, bool holds_state, enum fc_probe_means means) {
  struct scratch scratch;
  open_scratch(&scratch, dirfd, means);
  probe_place(probes, dirfd, holds_state);
  if (holds_state)
    (void)add(probes, LOCK_PROBE, lock_survives(&scratch), "sessions can be recorded here",
              "no session can be recorded here: the next place is taken", NOT_TRIED);
  if (!holds_state) {
    probe_identity(probes, scratch.file >= 0 ? scratch.file : dirfd);
    (void)add(probes, "fine clock", clock_is_fine(&scratch), "two files in one moment have two birth times",
              "file handles are asked for too, where inode numbers come back", NOT_TRIED);
    (void)add(probes, "RENAME_NOREPLACE", renames_without_replacing(&scratch),
              "a renamed file is known to have met nothing", "whatever is renamed stays", NOT_TRIED);
    (void)add(probes, "O_TMPFILE", means == FC_PROBE_LOOK ? FC_PROBE_UNKNOWN : answer(scratch.nameless),
              "programs may make nameless files", "programs make named files instead", NOT_TRIED);
    (void)add(probes, "leases", leases(&scratch), "files that others have open are spared",
              "whether others have a file open cannot be told: spared", NOT_TRIED);
  }
  close_scratch(&scratch);
}

bool fc_probe_is_usable(const struct fc_probes *probes) {
  for (size_t i = 0; i < probes->count; i++)
    if (strcmp(probes->list[i].name, LOCK_PROBE) == 0 && probes->list[i].result == FC_PROBE_NO) return false;
  return true;
}

/* hook_open: the entry points that open and may create.
 *
 * Proof of creation (never stat first): the caller's call with O_EXCL added. Success means created. On any error the
 * caller's exact call is made, so flags, errno and effects are its own; the name counts as one that was there before.
 * With the caller's own O_EXCL success is proof, but never together with O_PATH, which drops the other flags. O_TMPFILE
 * never gets O_EXCL: the file could not be linked any more. No buffer is held over the call: open is a cancellation
 * point.
 */
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <string.h>

#include "hook.h"
#include "sweeping.h"

static int real_entry(enum fc_open_entry entry, const struct fc_raw *raw, int dirfd, const char *path, int flags,
                      mode_t mode) {
  switch (entry) {
  case FC_OPEN:
    return FC_REAL(open)(path, flags, mode);
  case FC_OPEN64:
    return FC_REAL(open64)(path, flags, mode);
#ifdef __GLIBC__
  case FC_OPEN_BY_OTHER_NAME:
    return FC_REAL(__open)(path, flags, mode);
  case FC_OPEN64_BY_OTHER_NAME:
    return FC_REAL(__open64)(path, flags, mode);
#endif
  case FC_OPENAT:
    return FC_REAL(openat)(dirfd, path, flags, mode);
  case FC_OPENAT64:
    return FC_REAL(openat64)(dirfd, path, flags, mode);
  case FC_CREAT:
    return FC_REAL(creat)(path, mode);
  case FC_CREAT64:
    return FC_REAL(creat64)(path, mode);
  case FC_SHM_OPEN:
    return FC_REAL(shm_open)((const char *)raw->argument[0], flags, mode);
  default:
    return (int)fc_raw_call(&raw[(flags & O_EXCL) != 0]); /* with an O_EXCL of the host's own both are the same */
  }
}

/* The probe needs flags, which creat has none of. */
static enum fc_open_entry probing(enum fc_open_entry entry) {
  return entry == FC_CREAT ? FC_OPEN : entry == FC_CREAT64 ? FC_OPEN64 : entry;
}

/* A program that opens what it would have created for writing only, and not at the end, is about to overwrite it: dd
 * conv=notrunc, truncate(1), vim (which empties the file by ftruncate afterwards). */
static bool overwrites(int flags) { return (flags & O_ACCMODE) == O_WRONLY && !(flags & O_APPEND); }

/* In a filtered process nothing is asked: a creation is not tracked, and what may truncate counts as if it did. */
static void opening_filtered(int dirfd, const char *path, int flags) {
  if ((flags & O_EXCL) || (flags & O_PATH) || (flags & O_TMPFILE) == O_TMPFILE) return;
  const bool truncates = (flags & O_TRUNC) || ((flags & O_CREAT) && overwrites(flags));
  if (truncates || (flags & O_CREAT)) fc_record_used(dirfd, path, -1, truncates);
}

int fc_open(enum fc_open_entry entry, const struct fc_raw *raw, int dirfd, const char *path, int flags, mode_t mode) {
  const int special = O_CREAT | O_EXCL | O_PATH | O_DIRECTORY | (O_TMPFILE & ~O_DIRECTORY);
  const int creating = flags & special;
  if (fc_member.count == 0 || (!(flags & (O_CREAT | O_TRUNC)) && (flags & O_TMPFILE) != O_TMPFILE))
    return real_entry(entry, raw, dirfd, path, flags, mode);
  if (fc_is_filtered()) {
    opening_filtered(dirfd, path, flags);
    return real_entry(entry, raw, dirfd, path, flags, mode);
  }
  if ((flags & O_TMPFILE) == O_TMPFILE) {
    const int fd = real_entry(entry, raw, dirfd, path, flags, mode);
    if (fd >= 0 && !(flags & O_EXCL)) fc_record_nameless(fd);
    return fd;
  }
  const bool truncates = (flags & O_TRUNC) && !(flags & O_PATH);
  struct fc_target target;
  if (creating == O_CREAT && fc_target_open(&target, dirfd, path)) {
    const int saved = errno;
    const bool plain = target.slot < 0; /* no buffer is held: the answer stays good over the call */
    fc_target_close(&target);
    const int fd = real_entry(probing(entry), raw, dirfd, path, flags | O_EXCL, mode);
    if (fd >= 0) {
      if (plain)
        fc_record_created_target(&target, dirfd, path, fd, false);
      else
        fc_record_created(dirfd, path, fd, false);
      return fd;
    }
    /* Another error than EEXIST may have been that of a moment, or the probe's alone (no descriptor left, a filter). */
    const bool existed = errno == EEXIST;
    const bool late = !truncates && (!existed || overwrites(flags));
    if (!late) fc_record_used(dirfd, path, -1, truncates);
    errno = saved;
    const int opened = real_entry(entry, raw, dirfd, path, flags, mode);
    /* Nothing has been written yet, and the open file is cheaper to look at than its name. */
    if (late && opened >= 0) fc_record_used(dirfd, path, opened, overwrites(flags));
    return opened;
  }
  if (truncates && !(flags & O_EXCL)) fc_record_used(dirfd, path, -1, true);
  const int fd = real_entry(entry, raw, dirfd, path, flags, mode);
  if (fd >= 0 && creating == (O_CREAT | O_EXCL)) fc_record_created(dirfd, path, fd, false);
  return fd;
}

static mode_t mode_of(int flags, mode_t mode) {
  return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? mode : 0;
}

/* The mode is a plain argument here, under the name of the variadic function: on the machines served here both stand in
 * the same place, and va_list would take 88 bytes of what may be a small stack. What the host has not passed is not
 * used. */
#define OPENS(name, entry)                                                                                             \
  int hook_##name(const char *path, int flags, mode_t mode) __asm__(#name);                                            \
  FC_EXPORT int hook_##name(const char *path, int flags, mode_t mode) {                                                \
    return fc_open(entry, NULL, AT_FDCWD, path, flags, mode_of(flags, mode));                                          \
  }
#define OPENS_AT(name, entry)                                                                                          \
  int hook_##name(int dirfd, const char *path, int flags, mode_t mode) __asm__(#name);                                 \
  FC_EXPORT int hook_##name(int dirfd, const char *path, int flags, mode_t mode) {                                     \
    return fc_open(entry, NULL, dirfd, path, flags, mode_of(flags, mode));                                             \
  }
OPENS(open, FC_OPEN)
OPENS(open64, FC_OPEN64)
OPENS_AT(openat, FC_OPENAT)
OPENS_AT(openat64, FC_OPENAT64)
FC_EXPORT int creat(const char *path, mode_t mode) {
  return fc_open(FC_CREAT, NULL, AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
FC_EXPORT int creat64(const char *path, mode_t mode) {
  return fc_open(FC_CREAT64, NULL, AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

#define MODE_LETTERS 7 /* libc looks at no more */

/* An x that libc looks at is the caller's own proof. */
static bool is_exclusive(const char *mode) { return memchr(mode, 'x', strnlen(mode, MODE_LETTERS)) != NULL; }

static bool may_create(const char *path, const char *mode) {
  struct fc_target target;
  if (fc_member.count == 0 || !path || !mode || (mode[0] != 'w' && mode[0] != 'a')) return false;
  const bool inside = fc_target_open(&target, AT_FDCWD, path);
  fc_target_close(&target);
  return inside;
}

/* A name that looks as if it were outside may lead into a base. */
static void record_emptied(const char *path, const char *mode) {
  if (fc_member.count && path && mode && mode[0] == 'w' && !is_exclusive(mode))
    fc_record_used(AT_FDCWD, path, -1, true);
}

/* The same for the modes of streams. */
static bool is_filtered_stream(const char *path, const char *mode) {
  if (!fc_is_filtered()) return false;
  if (!path || !mode || (mode[0] != 'w' && mode[0] != 'a')) return true;
  if (!is_exclusive(mode)) fc_record_used(AT_FDCWD, path, -1, mode[0] == 'w');
  return true;
}

/* The name is made first, by open with O_EXCL, where the caller's call cannot be the question. */
static void make_first(const char *path, const char *mode) {
  FC_ASKING;
  if (fc_is_filtered()) return;
  const int saved = errno;
  const int fd = FC_REAL(open)(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | FC_O_LARGEFILE, 0666);
  if (fd >= 0) {
    fc_record_created(AT_FDCWD, path, fd, false);
    (void)fc_sys_close(fd);
  } else if (errno != ENOENT) {
    fc_record_used(AT_FDCWD, path, -1, mode[0] == 'w');
  }
  errno = saved;
}

static void record_opened(FILE *file, const char *path) {
  const int after = errno;
  if (file) fc_record_created(AT_FDCWD, path, fileno(file), false);
  errno = after;
}

/* The modes w and a create. As with open, the probe is the caller's call with one thing added: the letter x (O_EXCL).
 * An unknown first letter is EINVAL and creates nothing. */
static FILE *fc_fopen(FILE *(*real)(const char *, const char *), const char *path, const char *mode) {
  if (is_filtered_stream(path, mode)) return real(path, mode);
  if (!may_create(path, mode)) {
    record_emptied(path, mode);
    return real(path, mode);
  }
  const size_t len = strnlen(mode, MODE_LETTERS);
  /* A letter more would push others out of libc's sight, which looks for them behind the comma of ,ccs= too. */
  if (len + 1 >= MODE_LETTERS || memchr(mode, ',', len)) {
    const bool exclusive = is_exclusive(mode);
    if (!exclusive) make_first(path, mode);
    FILE *const file = real(path, mode);
    if (exclusive) record_opened(file, path);
    return file;
  }
  char exclusive[MODE_LETTERS + 1];
  exclusive[0] = mode[0];
  exclusive[1] = 'x';
  memcpy(exclusive + 2, mode + 1, len);
  const int saved = errno;
  FILE *const file = real(path, exclusive);
  if (file) {
    record_opened(file, path);
    const int after = errno;
    fc_sweeping_certain(); /* no signal handler may call fopen */
    errno = after;
    return file; /* cppcheck-suppress returnDanglingLifetime ; a stream does not keep the mode's address */
  }
  /* With an x of the caller's own the call will fail again. */
  if (errno != ENOENT && !is_exclusive(mode)) fc_record_used(AT_FDCWD, path, -1, mode[0] == 'w');
  errno = saved;
  return real(path, mode);
}

/* A failed freopen closes the stream, so it cannot be the question. */
static FILE *fc_freopen(FILE *(*real)(const char *, const char *, FILE *), const char *path, const char *mode,
                        FILE *stream) {
  if (is_filtered_stream(path, mode)) return real(path, mode, stream);
  const bool creates = may_create(path, mode);
  const bool exclusive = creates && is_exclusive(mode);
  if (!creates)
    record_emptied(path, mode);
  else if (!exclusive)
    make_first(path, mode);
  FILE *const file = real(path, mode, stream);
  if (exclusive) record_opened(file, path);
  return file;
}

FC_EXPORT FILE *fopen(const char *restrict path, const char *restrict mode) {
  return fc_fopen(FC_REAL(fopen), path, mode);
}
FC_EXPORT FILE *fopen64(const char *restrict path, const char *restrict mode) {
  return fc_fopen(FC_REAL(fopen64), path, mode);
}
/* The stream of setmntent is one of fopen's, with modes of its own behind those of the caller. */
FC_EXPORT FILE *setmntent(const char *path, const char *mode) { return fc_fopen(FC_REAL(setmntent), path, mode); }
FC_EXPORT FILE *freopen(const char *restrict path, const char *restrict mode, FILE *restrict stream) {
  return fc_freopen(FC_REAL(freopen), path, mode, stream);
}
FC_EXPORT FILE *freopen64(const char *restrict path, const char *restrict mode, FILE *restrict stream) {
  return fc_freopen(FC_REAL(freopen64), path, mode, stream);
}

#ifdef __GLIBC__
/* Names that libc's own headers and old programs use; not declared for others. */
FILE *_IO_fopen(const char *path, const char *mode);
FILE *__setmntent(const char *path, const char *mode);
OPENS(__open, FC_OPEN_BY_OTHER_NAME)
OPENS(__open64, FC_OPEN64_BY_OTHER_NAME)
FC_EXPORT FILE *_IO_fopen(const char *path, const char *mode) { return fc_fopen(FC_REAL(_IO_fopen), path, mode); }
FC_EXPORT FILE *__setmntent(const char *path, const char *mode) { return fc_fopen(FC_REAL(__setmntent), path, mode); }
#endif

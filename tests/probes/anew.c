/* What tells a file from the one that was made in its place: 200 files, one after the other, of the same name in the
 * given directory, removed in between. Prints how often (of 199) the inode number was that of the file before, and how
 * often the birth time, the generation, the handle, and everything that there is, were the same then too. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILES 200
#define HANDLE_BYTES 128

struct file {
  struct statx st;
  int generation;
  bool has_generation;
  bool has_handle;
  struct {
    unsigned bytes;
    int type;
    unsigned char data[HANDLE_BYTES];
  } handle;
};

static bool make(int dirfd, const char *name, struct file *file) {
  memset(file, 0, sizeof *file);
  const int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL, 0600);
  if (fd < 0) return false;
  const bool seen = syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &file->st) == 0;
  file->has_generation = ioctl(fd, FS_IOC_GETVERSION, &file->generation) == 0;
  int mount_id;
  file->handle.bytes = HANDLE_BYTES;
  file->has_handle = syscall(SYS_name_to_handle_at, fd, "", &file->handle, &mount_id, AT_EMPTY_PATH) == 0;
  (void)close(fd);
  return unlinkat(dirfd, name, 0) == 0 && seen;
}

static bool same_birth(const struct file *a, const struct file *b) {
  return a->st.stx_btime.tv_sec == b->st.stx_btime.tv_sec && a->st.stx_btime.tv_nsec == b->st.stx_btime.tv_nsec;
}

static void print_part(const char *name, bool has, int same) {
  if (has)
    printf(", %s %d", name, same);
  else
    printf(", no %s", name);
}

int main(int argc, char **argv) {
  const int dirfd = argc == 2 ? open(argv[1], O_RDONLY | O_DIRECTORY) : -1;
  static struct file files[FILES];
  if (dirfd < 0) return 2;
  for (int i = 0; i < FILES; i++)
    if (!make(dirfd, "anew", &files[i])) {
      perror("anew");
      return 1;
    }
  int inode = 0, birth = 0, generation = 0, handle = 0, all = 0;
  const bool has_birth = files[0].st.stx_mask & STATX_BTIME;
  for (int i = 1; i < FILES; i++) {
    const struct file *a = &files[i - 1], *b = &files[i];
    if (a->st.stx_ino != b->st.stx_ino) continue;
    const bool births = !has_birth || same_birth(a, b);
    const bool generations = !b->has_generation || a->generation == b->generation;
    const bool handles = !b->has_handle || memcmp(&a->handle, &b->handle, sizeof a->handle) == 0;
    inode++;
    birth += births;
    generation += generations;
    handle += handles;
    all += births && generations && handles;
  }
  printf("inode %d", inode);
  print_part("birth time", has_birth, birth);
  print_part("generation", files[0].has_generation, generation);
  print_part("handle", files[0].has_handle, handle);
  printf(", everything %d\n", all);
  return 0;
}

/* uring FILE...: creates each FILE by io_uring, which the kernel does without a system call of that name, and prints
 * what came of it; status 77 when this kernel has none. */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv) {
  struct io_uring_params params;
  memset(&params, 0, sizeof params);
  const int ring = (int)syscall(SYS_io_uring_setup, 1, &params);
  if (ring < 0) {
    fprintf(stderr, "uring: %s\n", strerror(errno));
    return 77;
  }
  const size_t sq_bytes = params.sq_off.array + params.sq_entries * sizeof(uint32_t);
  const size_t cq_bytes = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
  const int rw = PROT_READ | PROT_WRITE;
  char *sq = mmap(NULL, sq_bytes, rw, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
  char *cq = mmap(NULL, cq_bytes, rw, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_CQ_RING);
  struct io_uring_sqe *entry = mmap(NULL, params.sq_entries * sizeof *entry, rw, MAP_SHARED, ring, IORING_OFF_SQES);
  if (sq == MAP_FAILED || cq == MAP_FAILED || entry == MAP_FAILED) return 90;
  for (int i = 1; i < argc; i++) {
    memset(entry, 0, sizeof *entry);
    entry->opcode = IORING_OP_OPENAT;
    entry->fd = AT_FDCWD;
    entry->addr = (uint64_t)(uintptr_t)argv[i];
    entry->open_flags = O_CREAT | O_WRONLY;
    entry->len = 0644; /* the mode */
    uint32_t *const tail = (uint32_t *)(void *)(sq + params.sq_off.tail);
    const uint32_t mask = *(uint32_t *)(void *)(sq + params.sq_off.ring_mask);
    ((uint32_t *)(void *)(sq + params.sq_off.array))[*tail & mask] = 0;
    __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1) return 91;
    uint32_t *const head = (uint32_t *)(void *)(cq + params.cq_off.head);
    const struct io_uring_cqe *const done = (struct io_uring_cqe *)(void *)(cq + params.cq_off.cqes);
    const int fd = done[*head & *(uint32_t *)(void *)(cq + params.cq_off.ring_mask)].res;
    __atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
    printf("%s\n", fd < 0 ? strerror(-fd) : "made");
    if (fd >= 0 && (write(fd, "uring\n", 6) != 6 || close(fd))) return 92;
  }
  return 0;
}

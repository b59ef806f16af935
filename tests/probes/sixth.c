/* sixth: system calls that need all six arguments, and calls whose sixth was not passed, where its place on the stack
 * cannot be written to. Prints what came of them. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
#define STACK_BYTES 65536

/* On a stack that is read-only from the place of the sixth argument on, which the caller has not passed. */
static long on_a_guarded_stack(long number, long argument) {
  char *stack = mmap(NULL, 2 * STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (stack == MAP_FAILED || mprotect(stack + STACK_BYTES, STACK_BYTES, PROT_READ)) return -1;
  long result = number;
  __asm__ volatile("movq %%rsp, %%rbx\n\t"
                   "movq %[top], %%rsp\n\t"
                   "movq %%rax, %%rdi\n\t"
                   "call syscall@PLT\n\t"
                   "movq %%rbx, %%rsp"
                   : "+a"(result), "+S"(argument)
                   : [top] "r"(stack + STACK_BYTES)
                   : "rbx", "rcx", "rdx", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
  return result;
}
#endif

int main(void) {
  const long page = sysconf(_SC_PAGESIZE);
  char name[] = "sixth-XXXXXX";
  const int fd = memfd_create(name, 0);
  if (fd < 0 || ftruncate(fd, 2 * page) || pwrite(fd, "second page", 11, page) != 11) return 90;
#if defined(SYS_mmap) && defined(__LP64__)
  const char *map = (const char *)syscall(SYS_mmap, NULL, page, PROT_READ, MAP_SHARED, fd, page);
#else
  const char *map = (const char *)syscall(SYS_mmap2, NULL, page, PROT_READ, MAP_SHARED, fd, page / 4096);
#endif
  printf("mmap: %s\n", map == MAP_FAILED ? strerror(errno) : map);
  int out[2];
  int64_t from = page + 7;
  char text[5] = "";
  if (pipe(out)) return 91;
  const long moved = syscall(SYS_splice, fd, &from, out[1], NULL, 4, 0);
  printf("splice: %ld %ld %s\n", moved, (long)from - page, moved == 4 && read(out[0], text, 4) == 4 ? text : "");
  unsigned futex = 1;
  const long waited = syscall(SYS_futex, &futex, 9 /* WAIT_BITSET */, 2, NULL, NULL, 1u);
  printf("futex: %ld %s\n", waited, strerrorname_np(errno));
  const long nothing = syscall(SYS_futex, &futex, 9, 1, NULL, NULL, 0); /* no bit: EINVAL by the sixth argument */
  printf("futex: %ld %s\n", nothing, strerrorname_np(errno));
  errno = 0;
  const long unknown = syscall(100000);
  printf("unknown: %ld %s\n", unknown, strerrorname_np(errno));
  errno = 0;
  const long negative = syscall(-5);
  printf("negative: %ld %s\n", negative, strerrorname_np(errno));
#if defined(__x86_64__)
  printf("guarded: %d\n", on_a_guarded_stack(SYS_getpid, 0) == getpid());
  printf("guarded: %ld\n", on_a_guarded_stack(SYS_unlink, (long)"nothing-there"));
#endif
  return 0;
}

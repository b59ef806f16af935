/* filter_threads COUNT [apart]: threads make and remove names in `base`, and in the midst of that a seccomp filter is
 * installed for all of them, which kills for every call that this program does not make itself. apart: each has a
 * filter of its own, which lets all pass, so that the one for all is refused; then base/late is made. */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 8

static volatile int stop;
static int apart;
static int parted;

static void filter_alone(void) {
  struct sock_filter pass = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  const struct sock_fprog filter = {1, &pass};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter)) _exit(2);
  __atomic_fetch_add(&parted, 1, __ATOMIC_SEQ_CST);
}

static void *work(void *argument) {
  char name[64];
  if (apart) filter_alone();
  snprintf(name, sizeof name, "base/t%ld", (long)argument);
  while (!stop) {
    const int fd = open(name, O_CREAT | O_RDWR, 0600);
    if (fd >= 0) close(fd);
    unlink(name);
  }
  return NULL;
}

static const int passing[] = {
    SYS_openat,
    SYS_close,
    SYS_unlinkat,
    SYS_futex,
    SYS_exit,
    SYS_exit_group,
    SYS_madvise,
    SYS_munmap,
    SYS_mmap,
    SYS_mprotect,
    SYS_brk,
    SYS_rt_sigprocmask,
    SYS_clock_nanosleep,
    SYS_restart_syscall,
    SYS_set_robust_list,
#ifdef SYS_rseq
    SYS_rseq,
#endif
#ifdef SYS_open
    SYS_open,
    SYS_unlink,
#endif
};

static void pause_ms(long ms) { nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL); }

int main(int argc, char **argv) {
  const int count = argc > 1 ? atoi(argv[1]) : 1;
  apart = argc > 2;
  pthread_t threads[THREADS_MAX];
  struct sock_filter program[64];
  unsigned short n = 0;
  for (long i = 0; i < count && i < THREADS_MAX; i++)
    if (pthread_create(&threads[i], NULL, work, (void *)i)) return 2;
  pause_ms(5);
  program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (size_t i = 0; i < sizeof passing / sizeof *passing; i++) {
    program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)passing[i], 0, 1);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  }
  program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
  const struct sock_fprog filter = {n, program};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return 2;
  while (apart && __atomic_load_n(&parted, __ATOMIC_SEQ_CST) < count) pause_ms(1);
  const long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter);
  if (apart ? result <= 0 : result != 0) return 2;
  if (apart && open("base/late", O_CREAT | O_WRONLY, 0600) < 0) return 2;
  pause_ms(10);
  stop = 1;
  for (int i = 0; i < count && i < THREADS_MAX; i++) pthread_join(threads[i], NULL);
  _exit(0);
}

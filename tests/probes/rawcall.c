/* rawcall CALL [ARGUMENT]... [, CALL [ARGUMENT]...]...: makes system calls by syscall(2), in one process, and prints
 * for each what it returned and errno.
 *
 * CALL is a name (openat) or a number. An ARGUMENT is =NUMBER (any base), =cwd (AT_FDCWD), @ (what the call before
 * returned), how:FLAGS:MODE:RESOLVE[:SIZE] (a struct open_how), un:PATH (a socket address), argv:WORD (an argument
 * vector of one word), or else a string. A CALL that begins with + is libc's or this program's own: +socket, +write
 * TEXT (to @), +close (@), +handle PATH (@ = a file handle of it), +shm_open NAME FLAGS,
 * +shm_unlink NAME, +sem_open NAME FLAGS, +sem_unlink NAME, +fds (how many descriptors are open), +signal
 * (what follows runs in a handler), +child (what follows runs in a vfork child), +exec WORD... (execvp), +filter KIND
 * (a seccomp filter: `kill` lets only the calls of this program and of a program that starts pass, `everybody` is the
 * same for all threads, `pass` lets all pass, `deaf` answers EPERM to whatever asks for a name or an object; refused
 * are `wrong`, `empty`, `long`, and those that cannot be read: `nowhere`, `cut` in the middle, and the program of
 * `wild`). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <semaphore.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLS_MAX 64

struct number {
  const char *name;
  long number;
};
#define NUMBER(name)                                                                                                   \
  { #name, SYS_##name }
static const struct number numbers[] = {
    NUMBER(openat),    NUMBER(openat2),  NUMBER(open_by_handle_at),
    NUMBER(mkdirat),   NUMBER(mknodat),  NUMBER(bind),
    NUMBER(symlinkat), NUMBER(linkat),   NUMBER(renameat),
    NUMBER(renameat2), NUMBER(unlinkat), NUMBER(truncate),
    NUMBER(ftruncate), NUMBER(chdir),    NUMBER(fchdir),
    NUMBER(chroot),    NUMBER(unshare),  NUMBER(setns),
    NUMBER(clone),     NUMBER(execve),   NUMBER(execveat),
    NUMBER(exit),      NUMBER(write),    NUMBER(exit_group),
    NUMBER(getppid),
#ifdef SYS_open
    NUMBER(open),      NUMBER(creat),    NUMBER(mkdir),
    NUMBER(mknod),     NUMBER(symlink),  NUMBER(link),
    NUMBER(rename),    NUMBER(unlink),   NUMBER(rmdir),
    NUMBER(fork),
#endif
};

static long number_of(const char *name) {
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    if (strcmp(numbers[i].name, name) == 0) return numbers[i].number;
  char *end;
  const long n = strtol(name, &end, 0);
  if (*end || end == name) {
    printf("%s: not known here\n", name);
    exit(2);
  }
  return n;
}

static long last; /* @ */
static union {
  struct file_handle handle;
  char bytes[sizeof(struct file_handle) + MAX_HANDLE_SZ];
} handle;

static struct open_how hows[CALLS_MAX][2]; /* room behind for a larger one */
static struct sockaddr_un addresses[CALLS_MAX];
static char *vectors[CALLS_MAX][2];
static int used;

static long argument(char *text, int *extra) {
  *extra = 0;
  if (strcmp(text, "@") == 0) return last;
  if (strcmp(text, "=cwd") == 0) return AT_FDCWD;
  if (text[0] == '=') return (long)strtoul(text + 1, NULL, 0);
  if (strncmp(text, "how:", 4) == 0) {
    struct open_how *how = hows[used++];
    char *p = text + 4;
    how->flags = strtoull(p, &p, 0);
    how->mode = *p ? strtoull(p + 1, &p, 0) : 0;
    how->resolve = *p ? strtoull(p + 1, &p, 0) : 0;
    *extra = *p ? atoi(p + 1) : (int)sizeof *how;
    return (long)how;
  }
  if (strncmp(text, "un:", 3) == 0) {
    struct sockaddr_un *address = &addresses[used++];
    address->sun_family = AF_UNIX;
    snprintf(address->sun_path, sizeof address->sun_path, "%s", text + 3);
    *extra = sizeof *address;
    return (long)address;
  }
  if (strncmp(text, "argv:", 5) == 0) {
    vectors[used][0] = text + 5;
    return (long)vectors[used++];
  }
  return (long)text;
}

static int count_fds(void) {
  DIR *dir = opendir("/proc/self/fd");
  int count = 0;
  while (dir && readdir(dir)) count++;
  if (dir) closedir(dir);
  return count - 3; /* "." and "..", and the one that looks */
}

static void named(char **call, int count) {
  const char *name = count > 1 ? call[1] : NULL;
  const int flags = count > 2 ? (int)strtol(call[2] + 1, NULL, 0) : 0;
  long result = -1;
  errno = 0;
  if (strcmp(call[0], "+shm_open") == 0) last = result = shm_open(name, flags, 0600);
  if (strcmp(call[0], "+shm_unlink") == 0) result = shm_unlink(name);
  if (strcmp(call[0], "+sem_open") == 0) result = sem_open(name, flags, 0600, 1) == SEM_FAILED ? -1 : 0;
  if (strcmp(call[0], "+sem_unlink") == 0) result = sem_unlink(name);
  printf("%s: %ld %s\n", call[0], result, result < 0 ? strerrorname_np(errno) : "");
  fflush(stdout);
}

/* What this program calls itself, what the loader and a small program call when they start, and no more. */
static const int passing[] = {
    SYS_read,
    SYS_write,
    SYS_close,
    SYS_openat,
    SYS_openat2,
    SYS_unlinkat,
    SYS_renameat,
    SYS_renameat2,
    SYS_mkdirat,
    SYS_mknodat,
    SYS_linkat,
    SYS_symlinkat,
    SYS_truncate,
    SYS_ftruncate,
    SYS_chdir,
    SYS_brk,
    SYS_mmap,
    SYS_munmap,
    SYS_mprotect,
    SYS_exit,
    SYS_exit_group,
    SYS_clone,
    SYS_wait4,
    SYS_futex,
    SYS_execve,
    SYS_set_tid_address,
    SYS_set_robust_list,
    SYS_prlimit64,
    SYS_getrandom,
    SYS_clock_nanosleep,
    SYS_pread64,
    SYS_fstat,
#ifdef SYS_newfstatat
    SYS_newfstatat,
#endif
#ifdef SYS_rseq
    SYS_rseq,
#endif
#ifdef SYS_open
    SYS_open,
    SYS_creat,
    SYS_unlink,
    SYS_rename,
    SYS_mkdir,
    SYS_rmdir,
    SYS_link,
    SYS_symlink,
    SYS_fork,
    SYS_vfork,
    SYS_access,
    SYS_nanosleep,
#endif
#ifdef SYS_arch_prctl
    SYS_arch_prctl,
#endif
};

static const int asking[] = {SYS_statx, SYS_readlinkat, SYS_getcwd, SYS_openat, SYS_name_to_handle_at};

/* Behind it there is nothing. */
static char *end_of_memory(void) {
  char *const two = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(two + 4096, 4096);
  return two + 4096;
}

static long filter(const char *kind) {
  static struct sock_filter program[256];
  unsigned short n = 0;
  const int kills = strcmp(kind, "kill") == 0 || strcmp(kind, "everybody") == 0;
  program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (size_t i = 0; kills && i < sizeof passing / sizeof *passing; i++) {
    program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)passing[i], 0, 1);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  }
  for (size_t i = 0; strcmp(kind, "deaf") == 0 && i < sizeof asking / sizeof *asking; i++) {
    program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)asking[i], 0, 1);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
  }
  program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, kills ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ALLOW);
  if (strcmp(kind, "wrong") == 0) program[n - 1].code = 0xffff;
  struct sock_fprog all = {n, program};
  const struct sock_fprog *given = &all;
  char *const end = end_of_memory();
  if (strcmp(kind, "empty") == 0) all.len = 0;
  if (strcmp(kind, "long") == 0) all.len = 0xffff;
  if (strcmp(kind, "nowhere") == 0) given = (const void *)end;
  if (strcmp(kind, "wild") == 0) all.filter = (void *)end;
  if (strcmp(kind, "cut") == 0) all.filter = memcpy(end - sizeof *program, program, sizeof *program);
  if (strcmp(kind, "cut") == 0) all.len = 4096;
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (strcmp(kind, "everybody") == 0)
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, given);
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, given, 0, 0);
}

static void own(char **call, int count) {
  if (strcmp(call[0], "+socket") == 0) last = socket(AF_UNIX, SOCK_STREAM, 0);
  if (strcmp(call[0], "+write") == 0 && write((int)last, call[1], strlen(call[1])) < 0) perror("write");
  if (strcmp(call[0], "+close") == 0) close((int)last);
  if (strcmp(call[0], "+fds") == 0) printf("%d descriptors\n", count_fds());
  if (strncmp(call[0], "+shm_", 5) == 0 || strncmp(call[0], "+sem_", 5) == 0) named(call, count);
  if (strcmp(call[0], "+filter") == 0 && count > 1) {
    const long result = filter(call[1]);
    printf("+filter: %ld %s\n", result, result < 0 ? strerrorname_np(errno) : "");
  }
  if (strcmp(call[0], "+exec") == 0 && count > 1) {
    call[count] = NULL; /* in the place of the comma, or argv's own end */
    execvp(call[1], call + 1);
    perror(call[1]);
  }
  if (strcmp(call[0], "+handle") == 0 && count > 1) {
    int mount;
    handle.handle.handle_bytes = MAX_HANDLE_SZ;
    if (name_to_handle_at(AT_FDCWD, call[1], &handle.handle, &mount, 0)) perror("name_to_handle_at");
    last = (long)&handle;
  }
}

static void one(char **call, int count) {
  if (call[0][0] == '+') {
    own(call, count);
    return;
  }
  long a[8] = {0};
  int extra, n = 0;
  for (int i = 1; i < count && n < 6; i++) {
    a[n++] = argument(call[i], &extra);
    if (extra) a[n++] = extra;
  }
  errno = 0;
  const long result = syscall(number_of(call[0]), a[0], a[1], a[2], a[3], a[4], a[5]);
  if (strcmp(call[0], "fork") == 0 || strcmp(call[0], "clone") == 0) {
    if (result == 0) last = 0;
    if (result > 0) {
      int status;
      waitpid((pid_t)result, &status, 0);
      printf("%s: a child that ended with %d\n", call[0], status);
      fflush(stdout);
      exit(0); /* the rest was the child's */
    }
    return;
  }
  printf("%s: %ld %s\n", call[0], result, result < 0 ? strerrorname_np(errno) : "");
  fflush(stdout);
  last = result;
}

static char **rest;
static int rest_count;

static void all(void) {
  while (rest_count > 0) {
    int n = 0;
    while (n < rest_count && strcmp(rest[n], ",") != 0) n++;
    char **call = rest;
    const int skip = n < rest_count ? n + 1 : n;
    rest += skip;
    rest_count -= skip;
    if (n == 0) continue;
    if (strcmp(call[0], "+signal") == 0) {
      raise(SIGUSR1);
    } else if (strcmp(call[0], "+child") == 0) {
      fflush(stdout);
      const pid_t child = vfork();
      if (child == 0) {
        all();
        _exit(0);
      }
      int status;
      waitpid(child, &status, 0);
    } else {
      one(call, n);
    }
  }
}

static void on_signal(int number) {
  (void)number;
  all();
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGUSR1, on_signal);
  rest = argv + 1;
  rest_count = argc - 1;
  all();
  return 0;
}

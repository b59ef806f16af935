#include "guard.h"

#include <sched.h>
#include <sys/prctl.h>

#define WALL 0x40000000 /* __WALL: children that end without SIGCHLD too */

/* An exit signal of 0: neither SIGCHLD nor a plain wait() tells of such a child. */
static int clone_silently(void) { return (int)FC_SYS5(SYS_clone, 0, 0, 0, 0, 0); }

/* In the grandchild: everything but the pipe goes; an open stdout would make $(command) hang. A new program, since the
 * memory of this one holds mappings of the lock, which would keep the session alive. */
static void become_guardian(const struct fc_session *s, const char *command, int ready, void (*instead)(char **)) {
  static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGIO, SIGTSTP, SIGTTIN, SIGTTOU};
  uint64_t blocked = 0;
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) blocked |= UINT64_C(1) << (numbers[i] - 1);
  (void)fc_sys_sigmask(SIG_SETMASK, &blocked, NULL);
  (void)FC_SYS0(SYS_setsid);
  if (FC_SYS1(SYS_chdir, "/") < 0) return; /* a guardian that pins a directory of the host would be noticed */
  /* dup3 clears close-on-exec, which is wanted for the pipe alone. */
  const int saved = ready == FC_GUARD_READY_FD ? fc_sys_fcntl(ready, F_DUPFD, FC_GUARD_READY_FD + 1) : ready;
  if (FC_SYS3(SYS_dup3, saved, FC_GUARD_READY_FD, 0) != FC_GUARD_READY_FD) return;
  for (int fd = 0; fd < FC_GUARD_READY_FD; fd++) (void)fc_sys_close(fd);
  for (int fd = 0; fd < FC_GUARD_READY_FD; fd++)
    if (fc_sys_openat(AT_FDCWD, "/dev/null", O_RDWR, 0) != fd && fc_sys_openat(AT_FDCWD, "/", O_PATH, 0) != fd)
      return; /* a jail may have no devices; nobody reads or writes these */
#ifdef SYS_close_range
  if (FC_SYS3(SYS_close_range, FC_GUARD_READY_FD + 1, ~0u, 0) < 0)
#endif
  {
    uint64_t limit = fc_sys_soft_limit(FC_RLIMIT_NOFILE);
    if (limit > 65536) limit = 65536;
    for (int fd = FC_GUARD_READY_FD + 1; fd < (int)limit; fd++) (void)fc_sys_close(fd);
  }
  char name[] = FC_GUARDIAN_NAME;
  char *argv[] = {name, (char *)fc_session_base(s), (char *)fc_session_path(s), NULL};
  char *envp[] = {NULL};
  if (instead)
    instead(argv);
  else
    (void)FC_SYS3(SYS_execve, command, argv, envp);
}

int fc_guard_start(const struct fc_session *s, const char *command, void (*instead)(char **argv)) {
  int subreaper = 0;
  (void)FC_SYS2(SYS_prctl, PR_GET_CHILD_SUBREAPER, &subreaper);
  const bool adopts = subreaper || fc_sys_getpid() == 1;
  if (adopts && !instead) return -ECHILD;
  int ends[2];
  int rc = (int)FC_SYS2(SYS_pipe2, ends, O_CLOEXEC);
  if (rc < 0) return rc;
  const int child = clone_silently();
  if (child == 0) {
    (void)fc_sys_close(ends[0]);
    if (adopts || clone_silently() == 0) become_guardian(s, command, ends[1], adopts ? instead : NULL);
    (void)FC_SYS1(SYS_exit_group, 0);
  }
  (void)fc_sys_close(ends[1]);
  if (child > 0 && !adopts) {
    while (FC_SYS4(SYS_wait4, child, 0, WALL, 0) == -EINTR) continue;
  }
  long n = child;
  if (child > 0) {
    char answer;
    do n = fc_sys_read(ends[0], &answer, 1);
    while (n == -EINTR);
  }
  (void)fc_sys_close(ends[0]);
  return n == 1 ? 0 : n < 0 ? (int)n : -ECHILD;
}

#include "guardian.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "departure.h"
#include "orphan.h"
#include "reaper.h"

#define UNSEEN_POLL_MS 50 /* while a process lives that cannot hold the lock (exec without any fd to spare) */

struct place {
  char dir[PATH_MAX];
  char name[64];
  int dirfd;
  int fd;
};

static void set_title(const struct fc_session *session, char *title, size_t size) {
  (void)prctl(PR_SET_NAME, "fc-guardian", 0, 0, 0);
  if (!title || size == 0) return;
  memset(title, 0, size);
  (void)snprintf(title, size, "fc-guardian %s", session->header->base);
}

/* Everything but the pipe goes: an open stdout would make $(command) hang. */
static int close_everything(int keep) {
  const int pipe_fd = fcntl(keep, F_DUPFD, 3);
  if (pipe_fd < 0) return -errno;
  for (int fd = 0; fd < 3; fd++) (void)close(fd);
  for (int i = 0; i < 3; i++)
    if (open("/dev/null", O_RDWR) != i) return -ENXIO;
  if (pipe_fd > 3) (void)close_range(3, (unsigned)pipe_fd - 1, 0);
  (void)close_range((unsigned)pipe_fd + 1, ~0u, 0);
  (void)fcntl(pipe_fd, F_SETFD, FD_CLOEXEC);
  return pipe_fd;
}

static int open_place(const struct fc_session *session, struct place *at) {
  const char *slash = strrchr(session->header->path, '/');
  (void)snprintf(at->dir, sizeof at->dir, "%.*s", (int)(slash - session->header->path), session->header->path);
  (void)snprintf(at->name, sizeof at->name, "%s", slash + 1);
  at->dirfd = open(at->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (at->dirfd < 0) return -errno;
  at->fd = fc_session_reopen(session);
  if (at->fd < 0) return at->fd;
  return fc_sys_lock(at->fd, FC_F_OFD_SETLK, F_WRLCK, FC_BYTE_GUARDIAN, NULL);
}

static void sleep_and_reap(const struct fc_session *session, const struct place *at) {
  for (;;) {
    const int rc = fc_sys_lock(at->fd, FC_F_OFD_SETLKW, F_WRLCK, FC_BYTE_MEMBERS, NULL);
    if (rc == -EINTR) continue;
    if (rc < 0) return; /* the next start reaps */
    struct statx st;
    if (fc_sys_statx(at->fd, "", AT_EMPTY_PATH, STATX_NLINK, &st) < 0 || st.stx_nlink == 0) return; /* somebody has */
    struct fc_reap_result result;
    if (fc_reaper_run(at->dirfd, at->name, at->fd, session->header, FC_INFINITY_NS, &result) != FC_REAP_WAIT) return;
    (void)fc_sys_lock(at->fd, FC_F_OFD_SETLK, F_UNLCK, FC_BYTE_MEMBERS, NULL);
    (void)poll(NULL, 0, UNSEEN_POLL_MS);
  }
}

static void guardian_main(struct fc_session *session, int ready, char *title, size_t title_size) {
  sigset_t blocked;
  (void)sigemptyset(&blocked);
  static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGIO, SIGTSTP, SIGTTIN, SIGTTOU};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) (void)sigaddset(&blocked, numbers[i]);
  (void)sigprocmask(SIG_SETMASK, &blocked, NULL);
  (void)setsid();
  if (chdir("/") != 0) _exit(1); /* cannot happen; a guardian that pins a directory of the host would be noticed */
  set_title(session, title, title_size);
  /* The launcher's mapping came along with the fork; as long as it stands the session never ends. */
  fc_session_unlock(session);
  ready = close_everything(ready);
  struct place at;
  if (ready < 0 || open_place(session, &at) < 0) _exit(1);
  if (write(ready, "+", 1) != 1) _exit(1);
  (void)close(ready);
  if (session->header->policy.on_startup) (void)fc_orphan_scan(at.dirfd, at.dir, true, FC_INFINITY_NS, NULL, NULL);
  sleep_and_reap(session, &at);
  (void)rmdir(at.dir); /* only when no session of this base is left */
  _exit(0);
}

/* A child that wait() and SIGCHLD know nothing of. As PID 1 or child subreaper an orphaned guardian would come back to
 * us as a stranger among the host's children. */
static pid_t clone_silently(void) { return (pid_t)FC_SYS5(SYS_clone, 0, 0, 0, 0, 0); }

int fc_guardian_start(const struct fc_session *session, char *title, size_t title_size) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return -errno;
  int subreaper = 0;
  (void)prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0);
  const bool silent = subreaper || getpid() == 1;
  struct fc_session copy = *session;
  const pid_t child = silent ? clone_silently() : fork();
  if (child == 0) {
    (void)close(ends[0]);
    if (silent || fork() == 0) guardian_main(&copy, ends[1], title, title_size);
    _exit(0);
  }
  const int error = child < 0 ? (silent ? -child : errno) : 0;
  (void)close(ends[1]);
  if (child > 0 && !silent) {
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) continue;
  }
  char answer;
  ssize_t n = -1;
  if (child > 0) {
    do n = read(ends[0], &answer, 1);
    while (n < 0 && errno == EINTR);
  }
  (void)close(ends[0]);
  if (error) return -error;
  return n == 1 ? 0 : -ECHILD;
}

#include "parent.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "departure.h"
#include "launcher.h"
#include "leftovers.h"
#include "named.h"
#include "report_text.h"
#include "stats_file.h"

#define SLICE_MS 50 /* between two looks at whether the one who reaps still lives */

static volatile pid_t program;
static volatile sig_atomic_t stopped; /* a signal that came when the program had ended */

/* What the terminal sends, it sends to the whole group: the program has it already. */
static void forward(int number, siginfo_t *info, void *context) {
  (void)context;
  const int saved = errno;
  const pid_t pid = program;
  if (pid <= 0)
    stopped = number;
  else if (info->si_code <= 0)
    (void)kill(pid, number);
  errno = saved;
}

static void forward_signals(void) {
  static const int forwarded[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};
  struct sigaction action = {.sa_sigaction = forward, .sa_flags = SA_RESTART | SA_SIGINFO};
  (void)sigfillset(&action.sa_mask);
  for (size_t i = 0; i < sizeof forwarded / sizeof *forwarded; i++) {
    struct sigaction old;
    if (sigaction(forwarded[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
      (void)sigaction(forwarded[i], &action, NULL);
  }
}

/* Waits for the program. As PID 1 the orphans of the whole namespace are ours to bury. Its pid is given up only when no
 * signal will be sent there any more. */
static int wait_for(pid_t child) {
  const idtype_t whom = getpid() == 1 ? P_ALL : P_PID;
  int status = 0;
  for (;;) {
    siginfo_t info = {0};
    if (waitid(whom, (id_t)child, &info, WEXITED | WNOWAIT) != 0) {
      if (errno == EINTR) continue;
      return status;
    }
    const bool ended = info.si_pid == child;
    if (ended) program = 0;
    (void)waitpid(info.si_pid, &status, 0);
    if (ended) return status;
  }
}

/* The leader of the session is this process; how it ends is how the program ended. A signal leaves no record. */
static void record_end(struct fc_session *session, int status) {
  const struct fc_record end = {.type = FC_REC_END,
                                .pid = (uint32_t)getpid(),
                                .extra = (uint16_t)WEXITSTATUS(status),
                                .time_ns = fc_sys_boottime()};
  (void)fc_journal_append(&session->journal, &end); /* lost: it reads as failure, and failure keeps */
}

/* Complete is complete: no budget here. The exclusive lock is free only when nobody of the session lives. */
static void wait_for_cleanup(const struct fc_session *session) {
  while (__atomic_load_n(&session->journal.words->done, __ATOMIC_ACQUIRE) == 0 && !stopped) {
    const int fd = fc_session_reopen(session);
    if (fd < 0) break;
    if (fc_session_probe(fd, FC_BYTE_GUARDIAN) == F_UNLCK) {
      char dir[PATH_MAX];
      const char *name = fc_session_split(fc_session_path(session), dir, sizeof dir);
      const int dirfd = name ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
      if (dirfd >= 0) {
        (void)fc_departure_try(dirfd, name, fd, session->header, FC_INFINITY_NS);
        (void)close(dirfd);
      }
    }
    (void)close(fd);
    (void)fc_sys_futex(&session->journal.words->done, FC_FUTEX_WAIT, 0, SLICE_MS);
  }
}

/* Tracked names that were there when the last process had ended. What was deleted has been counted by the reaper, what
 * the policy keeps is still there. */
static long count_leaks(const struct fc_session *session) {
  const uint32_t deleted = __atomic_load_n(&session->journal.words->leaked, __ATOMIC_ACQUIRE);
  const int fd = deleted ? -1 : fc_session_reopen(session);
  if (fd < 0) return (long)deleted;
  const long left = fc_leftovers_find(fd, session->header, NULL, NULL);
  (void)close(fd);
  return left > 0 ? left : 0;
}

/* Whoever reaped has written it before it said so. */
static void tell_report(const struct fc_session *session, const struct fc_parent_wants *wants) {
  const struct fc_session_header *h = session->header;
  if (!wants->report) return;
  if (stopped)
    (void)fputs("filecleanup-run: no report: the session goes on\n", stderr);
  else
    fc_report_text_tell(h->policy.stats_file, h->id);
  if (wants->private_stats[0]) fc_stats_file_remove(wants->private_stats);
}

static int die_of(int number) {
  (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* the program has dumped its core; ours is of no use */
  (void)signal(number, SIG_DFL);
  sigset_t one;
  (void)sigemptyset(&one);
  (void)sigaddset(&one, number);
  (void)sigprocmask(SIG_UNBLOCK, &one, NULL);
  (void)raise(number);
  return 128 + number; /* PID 1 */
}

int fc_parent_run(struct fc_session *session, char **argv, fc_parent_become become,
                  const struct fc_parent_wants *wants) {
  sigset_t all;
  sigset_t before;
  (void)sigfillset(&all);
  (void)sigprocmask(SIG_SETMASK, &all, &before);
  struct sigaction child_ends;
  const struct sigaction ordinary = {.sa_handler = SIG_DFL};
  (void)sigaction(SIGCHLD, &ordinary, &child_ends); /* ignored, it would take the exit status with it */
  const pid_t child = fork();
  if (child < 0) {
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    (void)fprintf(stderr, "filecleanup-run: fork: %s\n", strerror(errno));
    fc_departure(session);
    if (wants->private_stats[0]) fc_stats_file_remove(wants->private_stats);
    return FC_EXIT_FAILURE;
  }
  if (child == 0) {
    (void)sigaction(SIGCHLD, &child_ends, NULL);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    _exit(become(session, argv));
  }
  program = child;
  forward_signals();
  (void)sigprocmask(SIG_SETMASK, &before, NULL);
  const int status = wait_for(child);
  if (WIFEXITED(status)) record_end(session, status);
  if (fc_departure_has_scope(session, (uint32_t)getpid())) fc_departure_scope(session, (uint32_t)getpid());
  const bool goes_on = fc_named_goes_on(session->header);
  if (goes_on) {
    fc_departure(session);
  } else {
    fc_session_unlock(session);
    wait_for_cleanup(session);
  }
  tell_report(session, wants);
  const long leaks = wants->leak_status && !stopped ? count_leaks(session) : 0;
  if (leaks > 0)
    (void)fprintf(stderr, "filecleanup-run: %s left %ld name%s under %s\n", argv[0], leaks, leaks == 1 ? "" : "s",
                  fc_session_base(session));
  if (WIFSIGNALED(status)) return die_of(WTERMSIG(status));
  return leaks > 0 && WEXITSTATUS(status) == 0 ? wants->leak_status : WEXITSTATUS(status);
}

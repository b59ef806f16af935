/* processes: see processes.h. */
#include "processes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "checkpoint.h"
#include "sweeper.h"

static const struct worker nobody = {0, -1, -1};
static struct worker outsider = {0, -1, -1}; /* of the last list */

static bool has_shim(const struct crew *crew) { return crew->engine == ENGINE_BARE || crew->engine == ENGINE_GUARDIAN; }

static int pidfd_open_(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

static void pidfd_kill(int pidfd) { (void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0); } /* gone: fine */

static void reap_zombies(void) {
  while (waitpid(-1, NULL, WNOHANG) > 0)
    ;
}

static bool fd_ready(int fd, int other, int timeout_ms) {
  struct pollfd fds[] = {{fd, POLLIN, 0}, {other, POLLIN, 0}};
  int ready;
  do ready = poll(fds, 2, timeout_ms);
  while (ready < 0 && errno == EINTR);
  return (fds[0].revents & POLLIN) != 0;
}

bool crew_open(struct crew *crew, const char *root, const char *build, enum engine engine,
               const struct policy *policy) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  memset(crew, 0, sizeof *crew);
  crew->build = build;
  crew->engine = engine;
  crew->policy = *policy;
  for (int i = 0; i < PROCESSES_MAX; i++) crew->workers[i] = nobody;
  for (int i = 0; i < SESSIONS_MAX; i++) crew->guardians[i] = nobody;
  (void)prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L);
  (void)snprintf(crew->root, sizeof crew->root, "%s", root);
  if ((size_t)snprintf(address.sun_path, sizeof address.sun_path, "%s/driver", root) >= sizeof address.sun_path)
    return false;
  crew->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  return crew->listener >= 0 && bind(crew->listener, (struct sockaddr *)&address, sizeof address) == 0 &&
         listen(crew->listener, PROCESSES_MAX) == 0;
}

static void worker_forget(struct worker *worker) {
  if (worker->pidfd >= 0) close(worker->pidfd);
  if (worker->socket >= 0) close(worker->socket);
  *worker = nobody;
}

void crew_close(struct crew *crew) {
  if (crew->workers[0].pidfd >= 0 && crew->workers[0].socket >= 0 && !fd_ready(crew->workers[0].pidfd, -1, 0)) {
    outsider = crew->workers[0];
    crew->workers[0] = nobody;
  }
  for (int i = 0; i < PROCESSES_MAX + SESSIONS_MAX; i++) {
    struct worker *worker = i < PROCESSES_MAX ? &crew->workers[i] : &crew->guardians[i - PROCESSES_MAX];
    if (worker->pidfd >= 0) {
      pidfd_kill(worker->pidfd);
      (void)fd_ready(worker->pidfd, -1, STUCK_MS);
    }
    worker_forget(worker);
  }
  close(crew->listener);
  reap_zombies();
}

/* ---- starting ---- */

static void set_environment(const struct crew *crew, int session) {
  char value[1024];
  for (char **at = environ; *at;) { /* unsetenv moves the rest down */
    char name[128];
    const size_t length = strcspn(*at, "=");
    if (strncmp(*at, "FILECLEANUP_", 12) == 0 && length < sizeof name) {
      memcpy(name, *at, length);
      name[length] = '\0';
      unsetenv(name);
    } else {
      at++;
    }
  }
  (void)snprintf(value, sizeof value, "%s/state", crew->root);
  setenv("FILECLEANUP_STATE_DIR", value, 1);
  setenv("FILECLEANUP_ON_EXIT", on_exit_name(crew->policy.on_exit), 1);
  setenv("FILECLEANUP_SCOPE", scope_name(crew->policy.scope), 1);
  setenv("FILECLEANUP_DIRS", dirs_name(crew->policy.dirs), 1);
  setenv("FILECLEANUP_TRACK", crew->policy.track_all ? "all" : "own", 1);
  setenv("FILECLEANUP_KEEP", crew->policy.keep, 1);
  if (crew->policy.named && session >= 0) {
    (void)snprintf(value, sizeof value, "name:%c", 'A' + session);
    setenv("FILECLEANUP_SESSION", value, 1);
  }
  if (crew->policy.sweeps) { /* everything is old, and nobody but the list sweeps */
    setenv("FILECLEANUP_TTL", "1us", 1);
    setenv("FILECLEANUP_PERIODIC", "0", 1);
  }
  if (crew->engine == ENGINE_GUARDIAN) return;
  (void)snprintf(value, sizeof value, "%s/base", crew->root);
  setenv("FILECLEANUP_BASE_DIR", value, 1);
  (void)snprintf(value, sizeof value, "%s/libfilecleanup_preload.so", crew->build);
  setenv("LD_PRELOAD", value, 1);
}

/* Runs a program in the run's root, its words on stderr in the file `log`. */
static pid_t start_program(const struct crew *crew, bool under_shim, int session, bool wait, char *const argv[]) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  char base[128], command[1024], log[128];
  char *whole[16] = {command, "run", "--base", base};
  int count = 4;
  (void)snprintf(base, sizeof base, "%s/base", crew->root);
  (void)snprintf(log, sizeof log, "%s/log", crew->root);
  (void)snprintf(command, sizeof command, "%s/filecleanup", crew->build);
  const int null = open("/dev/null", O_RDWR), words = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (chdir(crew->root) != 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(words, 2) < 0) _exit(119);
  close_range(3, ~0U, 0);
  setenv("MODEL_COMMAND", has_shim(crew) ? command : "", 1);
  if (under_shim && has_shim(crew)) set_environment(crew, session);
  if (!under_shim || crew->engine != ENGINE_GUARDIAN) {
    execv(argv[0], argv);
    _exit(118);
  }
  if (wait) whole[count++] = "--wait";
  whole[count++] = "--";
  for (int i = 0; argv[i]; i++) whole[count++] = argv[i];
  whole[count] = NULL;
  execv(command, whole);
  _exit(118);
}

bool crew_meet(struct crew *crew, int number, struct outcome *outcome) {
  char hello[64];
  int said = -1;
  long pid = 0;
  struct worker *worker = &crew->workers[number];
  if (!fd_ready(crew->listener, worker->pidfd, STUCK_MS)) {
    outcome_fail(outcome, FAULT_STUCK, "process %d did not come up", number);
    return false;
  }
  const int conversation = accept4(crew->listener, NULL, NULL, SOCK_CLOEXEC);
  const ssize_t length =
      conversation >= 0 && fd_ready(conversation, -1, STUCK_MS) ? recv(conversation, hello, sizeof hello - 1, 0) : -1;
  hello[length < 0 ? 0 : length] = '\0';
  if (sscanf(hello, "%d %ld", &said, &pid) != 2 || said != number || (worker->pid && worker->pid != (pid_t)pid)) {
    outcome_fail(outcome, FAULT_STUCK, "process %d said '%s'", number, hello);
    if (conversation >= 0) close(conversation);
    return false;
  }
  if (worker->socket >= 0) close(worker->socket);
  worker->socket = conversation;
  worker->pid = (pid_t)pid;
  if (worker->pidfd < 0) worker->pidfd = pidfd_open_(worker->pid);
  return worker->pidfd >= 0;
}

static pid_t parent_of(pid_t pid) {
  char path[64], stat[512];
  (void)snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  const ssize_t length = fd < 0 ? -1 : read(fd, stat, sizeof stat - 1);
  if (fd >= 0) close(fd);
  stat[length < 0 ? 0 : length] = '\0';
  const char *after_name = strrchr(stat, ')');
  char state = 0;
  long parent = 0;
  if (!after_name || sscanf(after_name + 1, " %c %ld", &state, &parent) != 2 || state == 'Z') return 0;
  return (pid_t)parent;
}

static bool is_known(const struct crew *crew, pid_t pid) {
  for (int i = 0; i < PROCESSES_MAX; i++)
    if (crew->workers[i].pid == pid) return true;
  for (int i = 0; i < SESSIONS_MAX; i++)
    if (crew->guardians[i].pid == pid) return true;
  return false;
}

/* The guardian is the child of ours that nobody introduced; its pid comes shortly after the leader's. */
static void find_guardian(struct crew *crew, int session, pid_t leader) {
  pid_t found = 0;
  for (pid_t pid = leader + 1; !found && pid < leader + 300; pid++)
    if (parent_of(pid) == getpid() && !is_known(crew, pid)) found = pid;
  DIR *proc = found ? NULL : opendir("/proc"); /* or the numbers have begun again */
  for (const struct dirent *entry; proc && !found && (entry = readdir(proc));) {
    const pid_t pid = (pid_t)atoi(entry->d_name);
    if (pid > 0 && parent_of(pid) == getpid() && !is_known(crew, pid)) found = pid;
  }
  if (proc) (void)closedir(proc);
  if (found) crew->guardians[session] = (struct worker){found, pidfd_open_(found), -1};
}

bool crew_meet_nested(struct crew *crew, int number, int session, struct outcome *outcome) {
  if (!crew_meet(crew, number, outcome)) return false;
  if (!has_shim(crew)) return true;
  find_guardian(crew, session, crew->workers[number].pid);
  if (!crew_has_guardian(crew, session))
    outcome_fail(outcome, FAULT_STUCK, "session %c has no guardian", 'A' + session);
  return crew_has_guardian(crew, session);
}

/* The one of the last list goes on, in the new root, which has the old one's name. */
static bool reuse_outsider(struct crew *crew) {
  int error = -1;
  char made[64];
  struct outcome unheard = {0};
  if (outsider.pidfd < 0) return false;
  crew->workers[0] = outsider;
  outsider = nobody;
  if (crew_tell(crew, 0, "root 0") && crew_hear(crew, 0, &error, made, &unheard) && error == 0) return true;
  pidfd_kill(crew->workers[0].pidfd);
  worker_forget(&crew->workers[0]);
  return false;
}

bool crew_start(struct crew *crew, int number, int session, struct outcome *outcome) {
  if (session < 0 && reuse_outsider(crew)) return true;
  char program[1024], text[16];
  char *argv[] = {program, crew->root, text, NULL};
  (void)snprintf(program, sizeof program, "%s/probes/model_worker", crew->build);
  (void)snprintf(text, sizeof text, "%d", number);
  struct worker *worker = &crew->workers[number];
  *worker = nobody;
  worker->pid = start_program(crew, session >= 0, session, false, argv);
  if (worker->pid < 0) {
    worker->pid = 0;
    outcome_fail(outcome, FAULT_STUCK, "fork: %s", strerror(errno));
    return false;
  }
  worker->pidfd = pidfd_open_(worker->pid);
  if (!crew_meet(crew, number, outcome)) return false;
  if (session >= 0 && crew->engine == ENGINE_GUARDIAN && !crew->policy.named) {
    find_guardian(crew, session, worker->pid);
    if (!crew_has_guardian(crew, session)) {
      outcome_fail(outcome, FAULT_STUCK, "session %c has no guardian", 'A' + session);
      return false;
    }
  }
  return true;
}

/* ---- talking ---- */

bool crew_tell(struct crew *crew, int number, const char *line) {
  return send(crew->workers[number].socket, line, strlen(line), MSG_NOSIGNAL) == (ssize_t)strlen(line);
}

bool crew_hear(struct crew *crew, int number, int *error, char made[64], struct outcome *outcome) {
  char answer[512];
  int result = 0;
  struct worker *worker = &crew->workers[number];
  const ssize_t length =
      fd_ready(worker->socket, worker->pidfd, STUCK_MS) ? recv(worker->socket, answer, sizeof answer - 1, 0) : -1;
  answer[length < 0 ? 0 : length] = '\0';
  if (sscanf(answer, "%d %d %63s", &result, error, made) != 3) {
    outcome_fail(outcome, FAULT_STUCK, "process %d did not answer ('%s')", number, answer);
    return false;
  }
  return true;
}

/* ---- dying ---- */

void crew_kill(struct crew *crew, int number) { pidfd_kill(crew->workers[number].pidfd); }

bool crew_see_death(struct crew *crew, int number, struct outcome *outcome) {
  struct worker *worker = &crew->workers[number];
  const bool dead = fd_ready(worker->pidfd, -1, STUCK_MS);
  if (!dead) {
    outcome_fail(outcome, FAULT_STUCK, "process %d does not end", number);
    pidfd_kill(worker->pidfd);
  }
  worker_forget(worker);
  reap_zombies();
  return dead;
}

bool crew_has_guardian(const struct crew *crew, int session) { return crew->guardians[session].pidfd >= 0; }

void crew_kill_guardian(struct crew *crew, int session) {
  struct worker *guardian = &crew->guardians[session];
  if (guardian->pidfd < 0) return;
  pidfd_kill(guardian->pidfd);
  (void)fd_ready(guardian->pidfd, -1, STUCK_MS);
  worker_forget(guardian);
  reap_zombies();
}

bool crew_see_guardian_end(struct crew *crew, int session, struct outcome *outcome) {
  struct worker *guardian = &crew->guardians[session];
  const bool dead = fd_ready(guardian->pidfd, -1, STUCK_MS);
  if (!dead) {
    outcome_fail(outcome, FAULT_STUCK, "the guardian of session %c does not end", 'A' + session);
    pidfd_kill(guardian->pidfd);
  }
  worker_forget(guardian);
  reap_zombies();
  return dead;
}

/* ---- from outside ---- */

typedef int deed_on_session(int dirfd, int fd, const struct fc_session_header *header);

static int sweep(int dirfd, int fd, const struct fc_session_header *header) {
  static struct fc_sweep_result result;
  const struct fc_sweep sweep = {.what = FC_SWEEP_EXPIRED};
  return fc_sweeper_pass(dirfd, fd, header, &sweep, NULL, FC_INFINITY_NS, &result);
}

static int make_checkpoint(int dirfd, int fd, const struct fc_session_header *header) {
  struct fc_checkpoint_memory memory = {0};
  (void)dirfd;
  const int rc = fc_checkpoint_make(fd, header, &memory, FC_INFINITY_NS);
  return rc == -EAGAIN || rc == -EBUSY ? 0 : rc; /* nothing to cover; a quarantine to be emptied first */
}

static int do_to_file(int dirfd, const char *name, deed_on_session *deed) {
  static struct fc_session_header header;
  int fd = -1;
  if (fc_session_open_file(dirfd, name, &fd, &header) != FC_VERDICT_VALID) return 0;
  int rc = 0;
  if (header.words.state == FC_STATE_LIVE && fc_session_probe(fd, FC_BYTE_MEMBERS) != F_UNLCK)
    rc = deed(dirfd, fd, &header);
  close(fd);
  return rc;
}

static int do_to_all(const struct crew *crew, deed_on_session *deed) {
  char path[128];
  int rc = 0;
  (void)snprintf(path, sizeof path, "%s/state", crew->root);
  DIR *bases = opendir(path);
  for (const struct dirent *base; bases && rc == 0 && (base = readdir(bases));) {
    const int fd = openat(dirfd(bases), base->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = base->d_name[0] == '.' || fd < 0 ? NULL : fdopendir(fd);
    for (const struct dirent *file; dir && rc == 0 && (file = readdir(dir));)
      if (strncmp(file->d_name, FC_SESSION_PREFIX, sizeof FC_SESSION_PREFIX - 1) == 0)
        rc = do_to_file(fd, file->d_name, deed);
    if (dir) (void)closedir(dir);
  }
  if (bases) (void)closedir(bases);
  return rc;
}

/* kill_us >= 0: the process is killed so late. */
static bool do_in_a_process(struct crew *crew, deed_on_session *deed, long kill_us, struct outcome *outcome) {
  if (!has_shim(crew)) return true;
  const pid_t pid = fork();
  if (pid == 0) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL); /* the lease of a pass is broken by whoever opens the file */
    _exit(do_to_all(crew, deed) == 0 ? 0 : 1);
  }
  const int pidfd = pid < 0 ? -1 : pidfd_open_(pid);
  if (pidfd >= 0 && kill_us >= 0) {
    const struct timespec while_it_runs = {0, kill_us * 1000};
    (void)nanosleep(&while_it_runs, NULL);
    pidfd_kill(pidfd);
  }
  const bool dead = pidfd >= 0 && fd_ready(pidfd, -1, STUCK_MS);
  int status = -1;
  if (dead) (void)waitpid(pid, &status, 0);
  if (pidfd >= 0) close(pidfd);
  if (!dead || (kill_us < 0 && status != 0))
    outcome_fail(outcome, FAULT_STUCK, "the pass or checkpoint ended with %d", status);
  return dead && (kill_us >= 0 || status == 0);
}

bool crew_sweep(struct crew *crew, long kill_us, struct outcome *outcome) {
  return do_in_a_process(crew, sweep, kill_us, outcome);
}

bool crew_checkpoint(struct crew *crew, long kill_us, struct outcome *outcome) {
  return do_in_a_process(crew, make_checkpoint, kill_us, outcome);
}

static bool run_command(struct crew *crew, const char *verb, char *operand, int expected, struct outcome *outcome) {
  char command[1024], base[128], state[128];
  char *argv[] = {command, (char *)verb, "--base", base, operand, NULL};
  if (!has_shim(crew)) return true;
  (void)snprintf(command, sizeof command, "%s/filecleanup", crew->build);
  (void)snprintf(base, sizeof base, "%s/base", crew->root);
  (void)snprintf(state, sizeof state, "%s/state", crew->root);
  setenv("FILECLEANUP_STATE_DIR", state, 1);
  const pid_t pid = start_program(crew, false, -1, false, argv);
  unsetenv("FILECLEANUP_STATE_DIR");
  const int pidfd = pid < 0 ? -1 : pidfd_open_(pid);
  int status = -1;
  if (pidfd >= 0 && fd_ready(pidfd, -1, STUCK_MS)) (void)waitpid(pid, &status, 0);
  if (pidfd >= 0) close(pidfd);
  const bool fine = status >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == expected;
  if (!fine) outcome_fail(outcome, FAULT_STUCK, "filecleanup %s %s ended with status %d", verb, operand, status);
  return fine;
}

bool crew_sweep_command(struct crew *crew, struct outcome *outcome) {
  return run_command(crew, "sweep", "--quiet", 0, outcome);
}

bool crew_command(struct crew *crew, const char *verb, const char *path, struct outcome *outcome) {
  char whole[512];
  (void)snprintf(whole, sizeof whole, "%s/%s", crew->root, path);
  return run_command(crew, verb, whole, 0, outcome);
}

bool crew_end(struct crew *crew, int session, bool held, struct outcome *outcome) {
  char name[] = {(char)('A' + session), '\0'};
  return run_command(crew, "end", name, held ? 75 : 0, outcome);
}

bool crew_next_start(struct crew *crew, struct outcome *outcome) {
  char *argv[] = {"/bin/true", NULL};
  if (!has_shim(crew)) return true;
  const pid_t pid = start_program(crew, true, -1, true, argv);
  const int pidfd = pid < 0 ? -1 : pidfd_open_(pid);
  const bool dead = pidfd >= 0 && fd_ready(pidfd, -1, STUCK_MS);
  int status = -1;
  if (dead)
    (void)waitpid(pid, &status, 0);
  else if (pidfd >= 0)
    pidfd_kill(pidfd);
  if (pidfd >= 0) close(pidfd);
  reap_zombies();
  if (status != 0) outcome_fail(outcome, FAULT_STUCK, "the next start ended with status %d", status);
  return status == 0;
}

/* harness: one run of a program in a world. See harness.h. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"
#include "harness_internal.h"

#define RUN_LIMIT_S 60
#define OUTPUT_MAX (4U << 20)
#define MAX_ARGS 64

struct fct_job {
  const struct fct_world *world;
  const struct fct_run *run;
  pid_t pid;
  int out_fd;
  int err_fd;
  struct fct_text out;
  struct fct_text err;
};

/* What was built for the system comes first: version managers put wrapper scripts in front of it, and a wrapper is not
 * the program that a test wants to see. */
static const char *search_path(void) {
  const char *inherited = getenv("PATH");
  return fct_format("/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin%s%s", inherited ? ":" : "",
                    inherited ? inherited : "");
}

const char *fct_which(const char *program) {
  if (strchr(program, '/')) return access(program, X_OK) == 0 ? program : NULL;
  char *path = fct_format("%s", search_path());
  for (char *directory = strtok(path, ":"); directory; directory = strtok(NULL, ":")) {
    char *candidate = fct_format("%s/%s", directory, program);
    if (access(candidate, X_OK) == 0) return candidate;
  }
  return NULL;
}

void fct_need(const char *program) {
  if (!fct_which(program)) cr_skip("%s is not installed", program);
}

void fct_need_root(void) {
  if (geteuid() != 0) cr_skip("needs root");
}

void fct_need_build_for(uid_t uid) {
  pid_t pid = fork();
  if (pid == 0) {
    if (setgroups(0, NULL) || setgid((gid_t)uid) || setuid(uid)) _exit(2);
    _exit(access(FC_BUILD_DIR "/filecleanup", X_OK) || access(FC_BUILD_DIR "/probes", X_OK));
  }
  int status = 0;
  cr_assert(pid > 0 && waitpid(pid, &status, 0) == pid, "fork: %s", strerror(errno));
  if (status) cr_skip("uid %d cannot reach the build directory", (int)uid);
}

const char *fct_mode_name(enum fct_mode mode) {
  return mode == FCT_PLAIN ? "plain" : mode == FCT_BARE ? "LD_PRELOAD" : "filecleanup run";
}

const enum fct_mode *fct_modes(void) {
  static const enum fct_mode both[] = {FCT_BARE, FCT_RUN, FCT_PLAIN};
  static const enum fct_mode bare[] = {FCT_BARE, FCT_PLAIN};
  static const enum fct_mode run[] = {FCT_RUN, FCT_PLAIN};
  const char *only = getenv("FC_TEST_MODES");
  if (only && strcmp(only, "bare") == 0) return bare;
  if (only && strcmp(only, "run") == 0) return run;
  return both;
}

char **fct_environment_of(const struct fct_world *world, const struct fct_run *run, const char *base) {
  static const char *const fixed[] = {"LC_ALL=C",
                                      "TERM=dumb",
                                      "GIT_CONFIG_NOSYSTEM=1",
                                      "GIT_AUTHOR_NAME=A U Thor",
                                      "GIT_AUTHOR_EMAIL=author@example.org",
                                      "GIT_AUTHOR_DATE=2020-01-01T00:00:00Z",
                                      "GIT_COMMITTER_NAME=C O Mitter",
                                      "GIT_COMMITTER_EMAIL=committer@example.org",
                                      "GIT_COMMITTER_DATE=2020-01-01T00:00:00Z",
                                      "PYTHONDONTWRITEBYTECODE=1",
                                      "PROBES=" FC_BUILD_DIR "/probes",
                                      "FC_COMMAND=" FC_BUILD_DIR "/filecleanup"};
  size_t extra = 0;
  while (run->env && run->env[extra]) extra++;
  char **env = fct_alloc((sizeof fixed / sizeof *fixed + extra + 16) * sizeof *env);
  size_t n = 0;
  for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) env[n++] = fct_format("%s", fixed[i]);
  env[n++] = fct_format("PATH=%s", search_path());
  env[n++] = fct_format("HOME=%s", world->home);
  env[n++] = fct_format("OTHER=%s", world->other);
  env[n++] = fct_format("BASE=%s", base);
  env[n++] = fct_format("FILECLEANUP_STATE_DIR=%s", world->state);
  if (getenv("ASAN_OPTIONS")) env[n++] = fct_format("ASAN_OPTIONS=%s", getenv("ASAN_OPTIONS"));
  if (run->mode == FCT_BARE) {
    env[n++] = fct_format("LD_PRELOAD=%s", FC_BUILD_DIR "/libfilecleanup_preload.so");
    env[n++] = fct_format("FILECLEANUP_BASE_DIR=%s", base);
  }
  for (size_t i = 0; i < extra; i++) env[n++] = fct_format("%s", run->env[i]);
  return env;
}

const char **fct_arguments_of(const struct fct_run *run, const char *base) {
  const char **argv = fct_alloc(MAX_ARGS * sizeof *argv);
  size_t n = 0;
  if (run->mode == FCT_RUN) {
    argv[n++] = FC_BUILD_DIR "/filecleanup";
    argv[n++] = "run";
    argv[n++] = "--base";
    argv[n++] = base;
    for (size_t i = 0; run->options && run->options[i] && n < MAX_ARGS - 8; i++) argv[n++] = run->options[i];
    argv[n++] = "--";
  }
  if (run->argv) {
    const char *program = fct_which(run->argv[0]);
    cr_assert(program, "%s: no such program", run->argv[0]);
    argv[n++] = program;
    for (size_t i = 1; run->argv[i] && n < MAX_ARGS - 1; i++) argv[n++] = run->argv[i];
  } else {
    argv[n++] = run->shell ? run->shell : "/bin/sh";
    argv[n++] = "-c";
    argv[n++] = run->script;
  }
  return argv;
}

static void close_all_but_standard(void) {
  if (syscall(SYS_close_range, 3U, ~0U, 0U) == 0) return;
  long max = sysconf(_SC_OPEN_MAX);
  for (int fd = 3; fd < (max > 0 ? max : 1024); fd++) close(fd);
}

/* In the child. Nothing of the test runner may reach the program: no descriptor (a daemon would keep the runner's
 * pipes), no handler, no mask, no terminal. */
static _Noreturn void become(const struct fct_job *job, int out, int err, const char **argv, char **env) {
  setsid();
  int null = open("/dev/null", O_RDONLY);
  dup2(null, 0);
  dup2(out, 1);
  dup2(err, 2);
  close_all_but_standard();
  for (int signo = 1; signo < NSIG; signo++) signal(signo, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  umask(022);
  if (job->run->subreaper) prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  if (chdir(job->world->dir)) _exit(125);
  uid_t uid = job->run->uid;
  if (uid && (setgroups(0, NULL) || setgid((gid_t)uid) || setuid(uid))) _exit(125);
  execve(argv[0], (char *const *)argv, env);
  dprintf(2, "harness: cannot run %s: %s\n", argv[0], strerror(errno));
  _exit(126);
}

struct fct_job *fct_start(const struct fct_world *world, const struct fct_run *run) {
  if (run->mode != FCT_PLAIN) {
    cr_assert(access(FC_BUILD_DIR "/libfilecleanup_preload.so", R_OK) == 0, "nothing is built in " FC_BUILD_DIR);
  }
  struct fct_job *job = fct_alloc(sizeof *job);
  struct fct_run *copy = fct_alloc(sizeof *copy);
  *copy = *run;
  job->world = world;
  job->run = copy;
  const char *base = run->base ? run->base : world->base;
  const char **argv = fct_arguments_of(run, base);
  char **env = fct_environment_of(world, run, base);
  int out[2], err[2];
  cr_assert(pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0, "pipe: %s", strerror(errno));
  fcntl(out[0], F_SETFL, O_NONBLOCK);
  fcntl(err[0], F_SETFL, O_NONBLOCK);
  job->pid = fork();
  cr_assert(job->pid >= 0, "fork: %s", strerror(errno));
  if (job->pid == 0) {
    /* Out of the way of 0, 1 and 2, should the runner have closed one of them. */
    become(job, fcntl(out[1], F_DUPFD, 10), fcntl(err[1], F_DUPFD, 10), argv, env);
  }
  close(out[1]);
  close(err[1]);
  job->out_fd = out[0];
  job->err_fd = err[0];
  return job;
}

pid_t fct_job_pid(const struct fct_job *job) { return job->pid; }

static void drain(int *fd, struct fct_text *text) {
  char buffer[65536];
  while (*fd >= 0) {
    ssize_t got = read(*fd, buffer, sizeof buffer);
    if (got > 0 && text->length < OUTPUT_MAX) fct_text_add(text, buffer, (size_t)got);
    if (got > 0) continue;
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    close(*fd);
    *fd = -1;
  }
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The world's own random names must not make two outputs differ. */
static const char *without_world(const char *text, const struct fct_world *world) {
  struct fct_text clean = {0};
  fct_text_add(&clean, "", 0);
  size_t root_length = strlen(world->root), other_length = strlen(world->other);
  while (*text) {
    if (strncmp(text, world->root, root_length) == 0) {
      fct_text_add(&clean, "<root>", 6);
      text += root_length;
    } else if (other_length && strncmp(text, world->other, other_length) == 0) {
      fct_text_add(&clean, "<other>", 7);
      text += other_length;
    } else {
      fct_text_add(&clean, text++, 1);
    }
  }
  return clean.text;
}

struct fct_result fct_finish(struct fct_job *job) {
  int limit_s = job->run->limit_s ? job->run->limit_s : RUN_LIMIT_S;
  int64_t deadline = now_ms() + (int64_t)limit_s * 1000;
  int pidfd = (int)syscall(SYS_pidfd_open, job->pid, 0);
  cr_assert(pidfd >= 0, "pidfd_open: %s", strerror(errno));
  fct_text_add(&job->out, "", 0);
  fct_text_add(&job->err, "", 0);
  int raw = 0;
  bool ended = false;
  while (!ended && now_ms() < deadline) {
    struct pollfd waits[] = {
        {.fd = pidfd, .events = POLLIN}, {.fd = job->out_fd, .events = POLLIN}, {.fd = job->err_fd, .events = POLLIN}};
    poll(waits, 3, (int)(deadline - now_ms()) + 1);
    ended = waitpid(job->pid, &raw, WNOHANG) == job->pid;
    drain(&job->out_fd, &job->out);
    drain(&job->err_fd, &job->err);
  }
  close(pidfd);
  if (!ended) {
    kill(-job->pid, SIGKILL);
    waitpid(job->pid, &raw, 0);
  }
  /* Not until end of file: what the program left running may keep the pipes, and that must not be waited for. */
  if (job->out_fd >= 0) close(job->out_fd);
  if (job->err_fd >= 0) close(job->err_fd);
  cr_assert(ended, "%s: still running after %d seconds\nstdout: %s\nstderr: %s", fct_mode_name(job->run->mode), limit_s,
            job->out.text, job->err.text);
  return (struct fct_result){.status = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw),
                             .out = without_world(job->out.text, job->world),
                             .err = without_world(job->err.text, job->world)};
}

struct fct_result fct_kill_job(struct fct_job *job) {
  kill(-job->pid, SIGKILL);
  struct fct_result result = fct_finish(job);
  fct_wait_group_dead(job->pid);
  return result;
}

struct fct_result fct_execute(const struct fct_world *world, const struct fct_run *run) {
  return fct_finish(fct_start(world, run));
}

struct fct_result fct_next_start(const struct fct_world *world, enum fct_mode mode) {
  struct fct_result result = FCT_EXECUTE(world, .mode = mode, .argv = FCT_LIST("true"));
  cr_assert_eq(result.status, 0, "the next start failed: %d %s", result.status, result.err);
  return result;
}

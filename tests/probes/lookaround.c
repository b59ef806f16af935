/* lookaround [again]: all that a process can see of itself without looking at its own memory, at its start, after it
 * has made and removed names in `base`, in an atexit handler and in a forked child; with `again` then once more as the
 * image that it executes. One line for each thing that is seen: "WHEN WHAT". Numbers that differ from run to run (of
 * processes, addresses, times) are not printed, but compared with each other. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *when;

static void line(const char *what, const char *text) { printf("%s %s %s\n", when, what, text); }
static void number(const char *what, long value) { printf("%s %s %ld\n", when, what, value); }

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void descriptors(void) {
  for (int fd = 0; fd < 4096; fd++) {
    const int flags = fcntl(fd, F_GETFD);
    if (flags < 0) continue;
    char text[64];
    struct stat st;
    fstat(fd, &st);
    snprintf(text, sizeof text, "%d: %d %o %#x", fd, flags, (unsigned)(st.st_mode & S_IFMT),
             (unsigned)fcntl(fd, F_GETFL));
    line("descriptor", text);
  }
}

static long entries(const char *path) {
  long count = 0;
  DIR *const dir = opendir(path);
  while (dir && readdir(dir)) count++;
  if (dir) closedir(dir);
  return count;
}

static void children(void) {
  FILE *const file = fopen("/proc/thread-self/children", "r");
  char text[256] = "";
  if (file && !fgets(text, sizeof text, file)) text[0] = '\0';
  if (file) fclose(file);
  number("children", (long)strlen(text));
  errno = 0;
  number("wait", waitpid(-1, NULL, WNOHANG));
  line("wait errno", strerrorname_np(errno) ? strerrorname_np(errno) : "none");
}

static void signals(void) {
  for (int i = 1; i < 65; i++) {
    struct sigaction action;
    if (sigaction(i, NULL, &action)) continue;
    char text[64];
    snprintf(text, sizeof text, "%d: %s %#x", i,
             action.sa_handler == SIG_DFL   ? "default"
             : action.sa_handler == SIG_IGN ? "ignored"
                                            : "handler",
             (unsigned)action.sa_flags);
    if (action.sa_handler != SIG_DFL) line("signal", text);
  }
  sigset_t mask;
  sigprocmask(SIG_BLOCK, NULL, &mask);
  for (int i = 1; i < 65; i++)
    if (sigismember(&mask, i)) number("blocked", i);
  stack_t stack;
  sigaltstack(NULL, &stack);
  number("alternate stack", stack.ss_flags);
  for (int i = 0; i < 3; i++) {
    struct itimerval timer;
    getitimer(i, &timer);
    number("timer", timer.it_value.tv_sec + timer.it_value.tv_usec);
  }
}

/* Ours are told apart by the test: what is not of the program, its libraries or the kernel. */
static void mappings(void) {
  FILE *const file = fopen("/proc/self/maps", "r");
  char text[PATH_MAX + 128];
  long writable_and_executable = 0;
  while (file && fgets(text, sizeof text, file)) {
    if (strstr(text, "rwxp")) writable_and_executable++;
    char *const name = strchr(text, '/');
    if (!name) continue;
    name[strcspn(name, "\n")] = '\0';
    if (strstr(name, "locale") == NULL && strstr(name, "gconv") == NULL) line("mapping", name);
  }
  if (file) fclose(file);
  number("writable and executable", writable_and_executable);
}

static void status(void) {
  static const char *const fields[] = {
      "Name:",       "Umask:",   "State:",           "TracerPid:",   "Uid:",    "Gid:",    "FDSize:",
      "Groups:",     "VmLck:",   "VmPin:",           "Threads:",     "SigPnd:", "ShdPnd:", "SigBlk:",
      "SigIgn:",     "SigCgt:",  "CapInh:",          "CapPrm:",      "CapEff:", "CapBnd:", "CapAmb:",
      "NoNewPrivs:", "Seccomp:", "Seccomp_filters:", "Cpus_allowed:"};
  FILE *const file = fopen("/proc/self/status", "r");
  char text[512];
  while (file && fgets(text, sizeof text, file)) {
    text[strcspn(text, "\n")] = '\0';
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
      if (strncmp(text, fields[i], strlen(fields[i])) == 0) line("status", text);
  }
  if (file) fclose(file);
}

static void limits(void) {
  for (int i = 0; i < RLIMIT_NLIMITS; i++) {
    struct rlimit limit;
    if (getrlimit((__rlimit_resource_t)i, &limit)) continue;
    char text[96];
    snprintf(text, sizeof text, "%d: %llx %llx", i, (unsigned long long)limit.rlim_cur,
             (unsigned long long)limit.rlim_max);
    line("limit", text);
  }
}

static void attributes(void) {
  char text[64] = "";
  prctl(PR_GET_NAME, text);
  line("name", text);
  number("dumpable", prctl(PR_GET_DUMPABLE));
  number("death signal", ({
           int signal_number = 0;
           prctl(PR_GET_PDEATHSIG, &signal_number);
           signal_number;
         }));
  number("subreaper", ({
           int is = 0;
           prctl(PR_GET_CHILD_SUBREAPER, &is);
           is;
         }));
  number("keeps capabilities", prctl(PR_GET_KEEPCAPS));
  number("secure bits", prctl(PR_GET_SECUREBITS));
  number("timer slack", prctl(PR_GET_TIMERSLACK));
  number("leads its group", getpgrp() == getpid());
  number("leads its session", getsid(0) == getpid());
  number("parent's group", getpgid(getppid()) == getpgrp());
  number("scheduler", sched_getscheduler(0));
  number("nice", getpriority(PRIO_PROCESS, 0));
  const mode_t mask = umask(0);
  umask(mask);
  number("umask", mask);
  char cwd[PATH_MAX];
  if (getcwd(cwd, sizeof cwd)) line("cwd", cwd);
  number("threads", entries("/proc/self/task"));
  struct rusage usage;
  getrusage(RUSAGE_CHILDREN, &usage);
  number("children's faults", usage.ru_minflt != 0);
}

extern char **environ;
static void environment(void) {
  size_t count = 0;
  while (environ[count]) count++;
  char **const sorted = calloc(count + 1, sizeof *sorted);
  memcpy(sorted, environ, count * sizeof *sorted);
  qsort(sorted, count, sizeof *sorted, by_text);
  for (size_t i = 0; i < count; i++) line("variable", sorted[i]);
  free(sorted);
}

static void look(const char *moment) {
  when = moment;
  descriptors();
  children();
  signals();
  mappings();
  status();
  limits();
  attributes();
  environment();
  fflush(stdout);
}

static void at_exit(void) { look("atexit"); }

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOFBF, 1 << 16);
  const char *const again = argc > 1 ? argv[1] : "";
  look(strcmp(again, "executed") == 0 ? "executed" : "start");
  const int fd = open("base/made", O_CREAT | O_WRONLY, 0600);
  mkdir("base/dir", 0700);
  rename("base/made", "base/dir/moved");
  unlink("base/dir/moved");
  close(fd);
  FILE *const file = fopen("base/stream", "w");
  if (file) fclose(file);
  if (system("exit 0") < 0) return 1;
  look("later");
  const pid_t child = fork();
  if (child == 0) {
    look("child");
    _exit(0);
  }
  waitpid(child, NULL, 0);
  if (strcmp(again, "again") == 0) {
    execl(argv[0], argv[0], "executed", NULL);
    return 1;
  }
  return atexit(at_exit);
}

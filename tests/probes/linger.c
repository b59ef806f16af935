/* linger HOW DIR GO RESULT [JAIL]: a process that outlives the one that started it and still needs a file.
 *
 * The first process makes DIR/needed, starts a child and ends. The child waits for its parent's death, changes itself
 * as told (closefds, exec, daemon, setuid, setuid-exec, chroot, chroot-exec, noenv-exec), waits until GO exists, and
 * writes into RESULT whether DIR/needed was still there: "kept" or "lost". All paths are absolute; with chroot those of
 * the child begin with JAIL, which is cut off. Whatever is executed is PROGRAM = the file named by $LINGER_EXEC, or
 * this one.
 *
 * linger wait DIR GO RESULT: only the waiting, which is what is executed. */
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NOBODY 65534
#define STEP_MS 2
#define LIMIT_MS 20000

static void sleep_step(void) { nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000L}, NULL); }

static int wait_and_tell(const char *dir, const char *go, const char *result) {
  for (int waited = 0; access(go, F_OK) && waited < LIMIT_MS; waited += STEP_MS) sleep_step();
  char needed[4096], temporary[4096];
  snprintf(needed, sizeof needed, "%s/needed", dir);
  snprintf(temporary, sizeof temporary, "%s.tmp", result);
  const char *word = access(needed, F_OK) ? "lost\n" : "kept\n";
  int fd = open(temporary, O_CREAT | O_WRONLY, 0644);
  if (fd < 0 || write(fd, word, 5) != 5 || close(fd)) return 93;
  return rename(temporary, result) ? 94 : 0;
}

static void close_everything(void) {
  for (int fd = 0; fd < 1024; fd++) close(fd);
}

static void become_nobody(void) {
  if (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY)) _exit(95);
}

static const char *below(const char *path, const char *jail) { return jail ? path + strlen(jail) : path; }

static int child(const char *how, char **argv, const char *jail, const char *program) {
  close_everything();
  if (strncmp(how, "setuid", 6) == 0) become_nobody();
  if (strncmp(how, "chroot", 6) == 0 && (chroot(jail) || chdir("/"))) return 96;
  const char *dir = below(argv[2], jail), *go = below(argv[3], jail), *result = below(argv[4], jail);
  const char *file = below(program, jail);
  if (strcmp(how, "noenv-exec") == 0) {
    char *const none[] = {NULL};
    execle(file, file, "wait", dir, go, result, (char *)NULL, none);
    return 97;
  }
  if (strstr(how, "exec")) {
    execl(file, file, "wait", dir, go, result, (char *)NULL);
    return 97;
  }
  return wait_and_tell(dir, go, result);
}

int main(int argc, char **argv) {
  if (argc < 5) return 2;
  const char *how = argv[1], *jail = argc > 5 ? argv[5] : NULL;
  if (strcmp(how, "wait") == 0) return wait_and_tell(argv[2], argv[3], argv[4]);
  const char *program = getenv("LINGER_EXEC") ? getenv("LINGER_EXEC") : argv[0];
  char needed[4096];
  snprintf(needed, sizeof needed, "%s/needed", argv[2]);
  int fd = open(needed, O_CREAT | O_EXCL | O_WRONLY, 0644);
  if (fd < 0 || close(fd)) return 90;
  pid_t parent = getpid();
  if (fork()) return 0;
  if (strcmp(how, "daemon") == 0) {
    setsid();
    parent = getpid();
    if (fork()) _exit(0);
    if (chdir("/")) return 98;
  }
  /* From here on, nobody of the session lives but this process. */
  while (getppid() == parent) sleep_step();
  return child(how, argv, jail, program);
}

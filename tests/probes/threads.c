/* threads DIR HOW: four threads that make and remove names in DIR at the same time, a signal handler that makes one, a
 * child, a shell; then it ends as told: return, _exit, exec. It prints only what does not depend on order. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 4
#define NAMES 40

static void make(const char *name) {
  const int fd = open(name, O_CREAT | O_WRONLY, 0644);
  if (fd < 0 || write(fd, "text\n", 5) != 5 || close(fd)) _exit(90);
}

static void on_signal(int signal) {
  (void)signal;
  make("in-handler");
}

static void *work(void *argument) {
  const char *const own = argument;
  for (int i = 0; i < NAMES; i++) {
    char name[64], other[64];
    snprintf(name, sizeof name, "%s-%d", own, i);
    snprintf(other, sizeof other, "%s-%d-renamed", own, i);
    make(name);
    if (i % 3 == 1 && unlink(name)) _exit(91);
    if (i % 3 == 2 && rename(name, other)) _exit(92);
    char *const memory = malloc(256);
    if (!memory) _exit(93);
    memset(memory, i, 256);
    free(memory);
  }
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 3 || chdir(argv[1])) return 2;
  signal(SIGUSR1, on_signal);
  raise(SIGUSR1);
  static char names[THREADS][8];
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++) {
    snprintf(names[i], sizeof names[i], "t%d", i);
    if (pthread_create(&threads[i], NULL, work, names[i])) return 94;
  }
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  char made[] = "mkstemp-XXXXXX";
  const int fd = mkstemp(made);
  FILE *file = fopen("fopen", "w");
  if (fd < 0 || close(fd) || !file || fputs("text\n", file) < 0 || fclose(file) || mkdir("mkdir", 0755)) return 95;
  printf("made\n");
  fflush(stdout);
  if (fork() == 0) {
    make("child");
    _exit(4);
  }
  int status = 0;
  wait(&status);
  printf("child %d\n", WEXITSTATUS(status));
  fflush(stdout);
  printf("shell %d\n", WEXITSTATUS(system("ls | wc -l; echo x > by-shell; exit 5")));
  fflush(stdout);
  if (strcmp(argv[2], "_exit") == 0) _exit(6);
  if (strcmp(argv[2], "exec") == 0) execlp("sh", "sh", "-c", "ls | wc -l; exit 7", (char *)NULL);
  return 3;
}

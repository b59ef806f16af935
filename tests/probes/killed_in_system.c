/* killed_in_system HOW FILE RESULT MICROSECONDS: makes FILE, starts a shell (system, popen, wordexp or
 * posix_spawn) that looks 50 ms
 * later whether FILE is still there, and appends "kept" or "lost" to RESULT; MICROSECONDS after the call began, a
 * thread kills this process. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <wordexp.h>

static pthread_barrier_t ready;

static void *killer(void *argument) {
  const long us = *(const long *)argument;
  pthread_barrier_wait(&ready);
  struct timespec from, now;
  clock_gettime(CLOCK_MONOTONIC, &from);
  do clock_gettime(CLOCK_MONOTONIC, &now);
  while ((now.tv_sec - from.tv_sec) * 1000000L + (now.tv_nsec - from.tv_nsec) / 1000 < us);
  kill(getpid(), SIGKILL);
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  long us = atol(argv[4]);
  const int fd = open(argv[2], O_CREAT | O_EXCL | O_WRONLY, 0600);
  if (fd < 0 || close(fd)) return 90;
  char command[8192];
  snprintf(command, sizeof command, "sleep 0.05; if test -e %s; then echo kept; else echo lost; fi >> %s", argv[2],
           argv[3]);
  pthread_t thread;
  pthread_barrier_init(&ready, NULL, 2);
  if (pthread_create(&thread, NULL, killer, &us)) return 91;
  pthread_barrier_wait(&ready);
  if (strcmp(argv[1], "popen") == 0) {
    FILE *stream = popen(command, "r");
    return stream ? pclose(stream) : 92;
  }
  if (strcmp(argv[1], "wordexp") == 0) {
    char words[8300];
    wordexp_t expanded;
    snprintf(words, sizeof words, "$(%s)", command);
    return wordexp(words, &expanded, 0);
  }
  if (strcmp(argv[1], "posix_spawn") == 0) {
    char *const arguments[] = {"sh", "-c", command, NULL};
    pid_t child;
    int status = 0;
    if (posix_spawn(&child, "/bin/sh", NULL, NULL, arguments, environ)) return 93;
    return waitpid(child, &status, 0) == child ? status : 94;
  }
  return system(command);
}

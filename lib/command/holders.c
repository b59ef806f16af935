#include "holders.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool maps_it(pid_t pid, const char *file) {
  char path[64];
  char line[PATH_MAX + 128];
  (void)snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
  FILE *maps = fopen(path, "re");
  bool found = false;
  while (maps && !found && fgets(line, sizeof line, maps)) found = strstr(line, file) != NULL;
  if (maps) (void)fclose(maps);
  return found;
}

/* On its way through an exec a process holds the file open; a static program until its end. */
static bool opened_it(pid_t pid, const char *file) {
  char path[64];
  (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
  DIR *fds = opendir(path);
  bool found = false;
  const struct dirent *entry;
  while (fds && !found && (entry = readdir(fds))) {
    char target[PATH_MAX];
    const ssize_t n = readlinkat(dirfd(fds), entry->d_name, target, sizeof target - 1);
    if (n <= 0) continue;
    target[n] = '\0';
    found = strstr(target, file) != NULL;
  }
  if (fds) (void)closedir(fds);
  return found;
}

static void name_of(pid_t pid, char *out, size_t size) {
  char path[64];
  (void)snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
  FILE *comm = fopen(path, "re");
  if (!comm || !fgets(out, (int)size, comm)) (void)snprintf(out, size, "?");
  if (comm) (void)fclose(comm);
  for (char *p = out; *p; p++) {
    if (*p == '\n') *p = '\0';
    if (*p && (*p < 0x20 || *p == 0x7f)) *p = '?'; /* it goes to a terminal */
  }
}

size_t fc_holders_find(const struct fc_session_header *header, struct fc_holder *holders, size_t max) {
  char file[64];
  (void)snprintf(file, sizeof file, "/" FC_SESSION_PREFIX "%s", header->id);
  DIR *proc = opendir("/proc");
  size_t count = 0;
  const struct dirent *entry;
  while (proc && count < max && (entry = readdir(proc))) {
    char *end;
    const long pid = strtol(entry->d_name, &end, 10);
    if (*end || pid <= 0 || pid == getpid()) continue;
    if (!maps_it((pid_t)pid, file) && !opened_it((pid_t)pid, file)) continue;
    holders[count].pid = (pid_t)pid;
    name_of((pid_t)pid, holders[count].program, sizeof holders[count].program);
    count++;
  }
  if (proc) (void)closedir(proc);
  return count;
}

#include "holders.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "beneath.h"

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
  char buffer[FC_LIST_BYTES];
  (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
  const int fds = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fds < 0) return false;
  struct fc_list list;
  struct fc_entry entry;
  bool found = false;
  fc_list_begin(&list, fds, buffer);
  while (!found && fc_list_next(&list, &entry) == 1) {
    char target[PATH_MAX];
    const ssize_t n = readlinkat(fds, entry.name, target, sizeof target - 1);
    if (n <= 0) continue;
    target[n] = '\0';
    found = strstr(target, file) != NULL;
  }
  (void)close(fds);
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
  char buffer[FC_LIST_BYTES];
  const int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (proc < 0) return 0;
  struct fc_list list;
  struct fc_entry entry;
  size_t count = 0;
  fc_list_begin(&list, proc, buffer);
  while (count < max && fc_list_next(&list, &entry) == 1) {
    char *end;
    const long pid = strtol(entry.name, &end, 10);
    if (*end || pid <= 0 || pid == getpid()) continue;
    if (!maps_it((pid_t)pid, file) && !opened_it((pid_t)pid, file)) continue;
    holders[count].pid = (pid_t)pid;
    name_of((pid_t)pid, holders[count].program, sizeof holders[count].program);
    count++;
  }
  (void)close(proc);
  return count;
}

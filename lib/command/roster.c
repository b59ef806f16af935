#include "roster.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "beneath.h"
#include "verb.h"

#define uthash_fatal(message) fc_verb_no_memory()
#include <uthash.h>

#define DESCENT_MAX 1024        /* generations below a member */
#define START_SLACK_NS 20000000 /* two ticks of the clock that start times are counted in */
#define NS_PER_S INT64_C(1000000000)

/* What a pid became at one record. */
struct program {
  struct program *before;
  uint64_t sequence;
  char name[];
};

struct fc_roster_entry {
  UT_hash_handle hh;
  uint32_t pid;
  int64_t seen_ns; /* it had started by then; -1 = no time is known */
  bool untimed;    /* its JOIN, which carries no time, is the last record so far: the next one's time is taken */
  struct fc_roster_entry *next_untimed;
  struct program *program;
  bool asked; /* once is enough: see the header */
  bool alive;
};

static struct fc_roster_entry *entry_of(const struct fc_roster *roster, uint32_t pid) {
  struct fc_roster_entry *entry = NULL;
  HASH_FIND(hh, roster->entries, &pid, sizeof pid, entry);
  return entry;
}

static struct fc_roster_entry *make_entry(struct fc_roster *roster, uint32_t pid) {
  struct fc_roster_entry *entry = entry_of(roster, pid);
  if (entry) return entry;
  entry = fc_verb_alloc(sizeof *entry);
  entry->pid = pid;
  entry->seen_ns = -1;
  HASH_ADD(hh, roster->entries, pid, sizeof entry->pid, entry);
  return entry;
}

void fc_roster_begin(struct fc_roster *roster, const struct fc_session_header *header, bool other_boot) {
  memset(roster, 0, sizeof *roster);
  roster->other_boot = other_boot;
  /* The leader made the session. */
  struct timespec now = {0, 0};
  (void)clock_gettime(CLOCK_REALTIME, &now);
  const int64_t age_ns = (now.tv_sec - header->created_s - 1) * NS_PER_S;
  struct fc_roster_entry *leader = make_entry(roster, header->leader_pid);
  leader->seen_ns = fc_sys_boottime() - age_ns;
}

static void note_program(struct fc_roster_entry *entry, const struct fc_replayed *record) {
  const size_t len = strnlen(record->path, FC_PROGRAM_BYTES - 1);
  struct program *program = fc_verb_alloc(sizeof *program + len + 1);
  memcpy(program->name, record->path, len);
  program->sequence = record->sequence;
  program->before = entry->program;
  entry->program = program;
}

/* Seen now, by a record that tells no time. */
static void note_untimed(struct fc_roster *roster, struct fc_roster_entry *entry) {
  if (roster->last_ns > entry->seen_ns) entry->seen_ns = roster->last_ns;
  if (entry->untimed) return;
  entry->untimed = true;
  entry->next_untimed = roster->untimed;
  roster->untimed = entry;
}

static void note_time(struct fc_roster *roster, int64_t now_ns) {
  roster->last_ns = now_ns;
  for (; roster->untimed; roster->untimed = roster->untimed->next_untimed) {
    roster->untimed->untimed = false;
    if (now_ns > roster->untimed->seen_ns) roster->untimed->seen_ns = now_ns;
  }
}

void fc_roster_note(struct fc_roster *roster, const struct fc_replayed *record) {
  const struct fc_start_cell *start = &record->start;
  struct fc_roster_entry *entry;
  switch (start->type) {
  case FC_REC_CAPTURE: /* a reaper's */
  case FC_REC_ADOPT:
  case FC_REC_KEEP: /* the command's */
  case FC_REC_UNTRACK:
  case FC_REC_PAD:
  case FC_REC_CK_BEGIN:
  case FC_REC_CK_PROGRAM:
  case FC_REC_CK_PLACE:
  case FC_REC_CK_INODE:
  case FC_REC_CK_WHOLE:
  case FC_REC_CK_END:
    return;
  case FC_REC_CK_PROCESS:
    note_untimed(roster, make_entry(roster, start->pid));
    return;
  case FC_REC_CK_NODE: /* its maker, as of then */
    entry = start->pid ? make_entry(roster, start->pid) : NULL;
    if (entry && start->time_ns > entry->seen_ns) entry->seen_ns = start->time_ns;
    return;
  case FC_REC_PROGRAM: /* what a fork child runs is known from its own record alone */
    entry = make_entry(roster, start->pid);
    note_program(entry, record);
    note_time(roster, start->time_ns);
    return;
  case FC_REC_JOIN: /* its time_ns is the parent's pid */
    entry = make_entry(roster, start->pid);
    note_program(entry, record);
    note_untimed(roster, entry);
    return;
  default:
    entry = make_entry(roster, start->pid);
    note_time(roster, start->time_ns);
    if (start->time_ns > entry->seen_ns) entry->seen_ns = start->time_ns;
  }
}

/* A child that a shell forked may make a file before it becomes a program: then it is known by what it became. */
static const char *program_at(const struct fc_roster_entry *entry, uint64_t sequence) {
  const struct program *program = entry ? entry->program : NULL;
  while (program && program->sequence > sequence && program->before) program = program->before;
  return program ? program->name : "";
}

/* The name of a process, which is no part of its memory: nothing is held on to. */
static void read_name(uint32_t pid, char *out, size_t size) {
  char path[40];
  (void)snprintf(path, sizeof path, "/proc/%u/comm", pid);
  out[0] = '\0';
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  const ssize_t n = read(fd, out, size - 1);
  (void)close(fd);
  out[n > 0 ? n : 0] = '\0';
  if (n > 0 && out[n - 1] == '\n') out[n - 1] = '\0';
}

/* The program's name by the records is whole; comm is cut, and a process may call itself anything. */
static void name_process(const struct fc_roster_entry *entry, struct fc_roster_process *out) {
  const char *recorded = program_at(entry, UINT64_MAX);
  if (recorded[0])
    (void)snprintf(out->program, sizeof out->program, "%s", recorded);
  else if (out->alive)
    read_name(out->pid, out->program, sizeof out->program);
}

void fc_roster_ask(const struct fc_roster *roster, uint32_t pid, struct fc_roster_process *out) {
  memset(out, 0, sizeof *out);
  out->pid = pid;
  struct fc_roster_entry *entry = entry_of(roster, pid);
  if (entry && !entry->asked && !roster->other_boot) {
    const int64_t started = fc_session_start_time(pid);
    /* Started after its last sign of life: the number is another process's by now. */
    entry->alive = started >= 0 && (entry->untimed || started <= entry->seen_ns + START_SLACK_NS);
    entry->asked = true;
  }
  out->alive = entry && entry->alive;
  name_process(entry, out);
}

void fc_roster_process_at(const struct fc_roster *roster, uint32_t pid, uint64_t sequence,
                          struct fc_roster_process *out) {
  const char *program = program_at(entry_of(roster, pid), sequence);
  fc_roster_ask(roster, pid, out);
  if (program[0]) (void)snprintf(out->program, sizeof out->program, "%s", program);
}

struct crowd {
  struct fc_roster_process *list;
  size_t count;
  size_t room;
};

static bool holds(const struct crowd *crowd, uint32_t pid) {
  for (size_t i = 0; i < crowd->count; i++)
    if (crowd->list[i].pid == pid) return true;
  return false;
}

static void add(struct crowd *crowd, const struct fc_roster_process *process) {
  if (crowd->count == crowd->room) {
    crowd->room = crowd->room * 2 + 8;
    struct fc_roster_process *grown = realloc(crowd->list, crowd->room * sizeof *grown);
    if (!grown) fc_verb_no_memory();
    crowd->list = grown;
  }
  crowd->list[crowd->count++] = *process;
}

/* Adds the children that one thread has. */
static void add_children_of(const struct fc_roster *roster, struct crowd *crowd, const char *path) {
  FILE *children = fopen(path, "re");
  unsigned child;
  while (children && fscanf(children, "%u", &child) == 1) {
    struct fc_roster_process process = {.pid = child, .alive = true};
    if (holds(crowd, child)) continue;
    name_process(entry_of(roster, child), &process);
    if (process.program[0]) add(crowd, &process); /* else it is gone again */
  }
  if (children) (void)fclose(children);
}

static void add_children(const struct fc_roster *roster, struct crowd *crowd, uint32_t pid) {
  char path[320];
  char buffer[FC_LIST_BYTES];
  struct fc_list threads;
  struct fc_entry thread;
  (void)snprintf(path, sizeof path, "/proc/%u/task", pid);
  const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return; /* it has ended meanwhile */
  fc_list_begin(&threads, fd, buffer);
  while (fc_list_next(&threads, &thread) == 1) {
    (void)snprintf(path, sizeof path, "/proc/%u/task/%s/children", pid, thread.name);
    add_children_of(roster, crowd, path);
  }
  (void)close(fd);
}

static int by_pid(const void *a, const void *b) {
  const struct fc_roster_process *x = a;
  const struct fc_roster_process *y = b;
  return (x->pid > y->pid) - (x->pid < y->pid);
}

size_t fc_roster_alive(const struct fc_roster *roster, struct fc_roster_process **list) {
  struct crowd crowd = {0};
  for (const struct fc_roster_entry *entry = roster->entries; entry; entry = entry->hh.next) {
    struct fc_roster_process process;
    fc_roster_ask(roster, entry->pid, &process);
    if (process.alive) add(&crowd, &process);
  }
  for (size_t i = 0; i < crowd.count && i < DESCENT_MAX; i++) add_children(roster, &crowd, crowd.list[i].pid);
  if (crowd.count) qsort(crowd.list, crowd.count, sizeof *crowd.list, by_pid);
  *list = crowd.list;
  return crowd.count;
}

void fc_roster_free(struct fc_roster *roster) {
  struct fc_roster_entry *entry;
  struct fc_roster_entry *next;
  HASH_ITER(hh, roster->entries, entry, next) {
    HASH_DEL(roster->entries, entry);
    for (struct program *program = entry->program; program;) {
      struct program *before = program->before;
      free(program);
      program = before;
    }
    free(entry);
  }
  memset(roster, 0, sizeof *roster);
}

/* ---- who has it open ---- */

struct object {
  uint64_t ino;
  uint32_t dev_major;
  uint32_t dev_minor;
};

/* Through the link itself, not by its text: a file may have been renamed, and be called alike. What is no file of a
 * directory tree (a pipe, a socket) is passed by, and no server of a network file system is asked. */
static bool leads_to(int dirfd, const char *link, const struct object *object) {
  char text[2];
  struct statx st;
  if (readlinkat(dirfd, link, text, sizeof text) < 1 || text[0] != '/') return false;
  return statx(dirfd, link, AT_STATX_DONT_SYNC, STATX_INO, &st) == 0 && st.stx_ino == object->ino &&
         st.stx_dev_major == object->dev_major && st.stx_dev_minor == object->dev_minor;
}

static bool process_uses(int proc, const char *pid, const struct object *object) {
  static const char *const links[] = {"cwd", "root", "exe"};
  const int dirfd = openat(proc, pid, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dirfd < 0) return false;
  bool uses = false;
  for (size_t i = 0; i < sizeof links / sizeof *links && !uses; i++) uses = leads_to(dirfd, links[i], object);
  const int fds = openat(dirfd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  (void)close(dirfd);
  if (fds < 0) return uses; /* not ours to ask */
  char buffer[FC_LIST_BYTES];
  struct fc_list list;
  struct fc_entry entry;
  fc_list_begin(&list, fds, buffer);
  while (!uses && fc_list_next(&list, &entry) == 1) uses = leads_to(fds, entry.name, object);
  (void)close(fds);
  return uses;
}

size_t fc_roster_users(uint64_t ino, uint32_t dev_major, uint32_t dev_minor, const char *name,
                       struct fc_roster_process **out) {
  const struct object object = {ino, dev_major, dev_minor};
  struct crowd crowd = {0};
  char buffer[FC_LIST_BYTES];
  struct fc_list list;
  struct fc_entry entry;
  *out = NULL;
  const int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (proc < 0) return 0;
  fc_list_begin(&list, proc, buffer);
  while (fc_list_next(&list, &entry) == 1) {
    if (!isdigit((unsigned char)entry.name[0])) continue;
    struct fc_roster_process process = {.pid = (uint32_t)strtoul(entry.name, NULL, 10), .alive = true};
    if (process.pid == (uint32_t)getpid()) continue;
    read_name(process.pid, process.program, sizeof process.program);
    if (name && strcmp(process.program, name) != 0) continue;
    if (process_uses(proc, entry.name, &object)) add(&crowd, &process);
  }
  (void)close(proc);
  if (crowd.count) qsort(crowd.list, crowd.count, sizeof *crowd.list, by_pid);
  *out = crowd.list;
  return crowd.count;
}

#include "filtered.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>

#include "seccomp.h"
#include "sweeping.h"
#include "target.h"

#define CELLS 8192u      /* 512 KiB of journal: some 4,000 removals */
#define PAGE_BYTES 4096u /* the smallest there is */
#define GRACE_MS 1000    /* for a thread that waits for a disk, or has left a hook by longjmp in a handler */
#define SESSION "FILECLEANUP_SESSION="
#define BASE "FILECLEANUP_BASE_DIR="

extern char **environ;

static char marker[] = SESSION FC_FILTERED_TOKEN;

/* The installing process. */
static uint32_t installer;
static char **told_at; /* where the marker stands in environ, and what stood there */
static char *told_before;

static bool has_name(const char *entry, const char *name) { return strncmp(entry, name, strlen(name)) == 0; }

/* The entry that the marker takes the place of: with neither of them an image is inert anyway. NULL: none, or it is
 * told already. */
static char *const *place_of(char *const *environment) {
  char *const *base = NULL;
  for (char *const *e = environment; e && *e; e++) {
    if (has_name(*e, SESSION)) return strcmp(*e, marker) == 0 ? NULL : e;
    if (!base && has_name(*e, BASE)) base = e;
  }
  return base;
}

size_t fc_filtered_room(char *const *environment) {
  if (!place_of(environment)) return 0;
  size_t count = 1;
  for (char *const *e = environment; *e; e++) count++;
  return count;
}

char *const *fc_filtered_tell(char *const *environment, char **copy) {
  char *const *const place = place_of(environment);
  if (!place) return environment;
  size_t n = 0;
  for (char *const *e = environment; *e; e++) copy[n++] = e == place ? marker : *e;
  copy[n] = NULL;
  return copy;
}

/* For what libc starts itself: system() and its kin use environ. */
static void tell_environ(void) {
  told_at = (char **)place_of(environ);
  if (!told_at) return;
  told_before = *told_at;
  __atomic_store_n(told_at, marker, __ATOMIC_RELEASE);
}

static void untell_environ(void) {
  if (told_at && *told_at == marker) __atomic_store_n(told_at, told_before, __ATOMIC_RELEASE);
  told_at = NULL;
}

static void set(uint32_t kind) {
  for (unsigned i = 0; i < fc_member.count; i++)
    __atomic_store_n(&fc_member.sessions[i].journal.still, kind != 0, __ATOMIC_RELAXED);
  __atomic_store_n(&fc_member.filtered, kind, __ATOMIC_SEQ_CST);
}

/* Asked of the kernel, which copies a signal set before it looks at what is to be done with it: nothing, here. */
static bool word_is_readable(const char *word) { return fc_sys_sigmask(-1, (const void *)word, NULL) != -EFAULT; }

/* size: some number of such words. */
static bool is_readable(const void *memory, size_t size) {
  const char *const from = memory;
  for (size_t at = 0; at < size; at += PAGE_BYTES)
    if (!word_is_readable(from + at)) return false;
  return word_is_readable(from + size - sizeof(uint64_t));
}

static bool would_end_us(unsigned long mode, const void *program) {
  if (mode == SECCOMP_MODE_STRICT) return true;
  if (mode != SECCOMP_MODE_FILTER || !is_readable(program, sizeof(struct sock_fprog))) return false; /* refused */
  struct sock_fprog p;
  memcpy(&p, program, sizeof p);
  if (p.len == 0 || p.len > BPF_MAXINSNS || !is_readable(p.filter, p.len * sizeof *p.filter)) return false;
  return !fc_seccomp_spares_us(p.filter, p.len);
}

static bool has_other_threads(void) {
  struct statx st;
  return fc_sys_statx(AT_FDCWD, "/proc/self/task", 0, STATX_NLINK, &st) < 0 ||
         st.stx_nlink != 3; /* ".", ".." and one */
}

/* When the filter is for other threads too, those that are in the midst of a call of ours come to its end. */
static void wait_for_others(void) {
  for (int ms = 0; ms < GRACE_MS && __atomic_load_n(&fc_asking.threads, __ATOMIC_SEQ_CST) > 0; ms++) {
    if (!has_other_threads()) return;
    fc_sys_pause(1);
  }
}

bool fc_filtered_begin(unsigned long mode, const void *program, bool everybody) {
  if (fc_member.count == 0 || fc_member.filtered == FC_FILTERED || !would_end_us(mode, program)) return false;
  const int saved = errno;
  installer = (uint32_t)fc_sys_getpid();
  if (!fc_member_wiped()->pid) fc_member_forked(); /* a fork that no hook has seen */
  const bool ours = fc_member_owns_memory();
  if (ours) {
    fc_sweeping_retire();
    fc_target_cwd_look();
    tell_environ();
  }
  for (unsigned i = 0; i < fc_member.count; i++) fc_journal_prepare(&fc_member.sessions[i].journal, CELLS);
  set(ours ? FC_FILTERED : FC_FILTERED_VFORK);
  if (everybody) wait_for_others();
  errno = saved;
  return true;
}

void fc_filtered_end(bool begun, bool installed) {
  if (!begun || installed) return;
  if (fc_member.filtered == FC_FILTERED) {
    untell_environ();
    fc_sweeping_return();
  }
  set(0);
}

/* No time of day is asked for: any process with this number is waited for. */
static int64_t record_exec(unsigned i, uint32_t pid, unsigned flags) {
  const struct fc_record exec = {.type = FC_REC_EXEC, .flags = flags, .pid = pid, .time_ns = INT64_MAX};
  return fc_journal_append(&fc_member.sessions[i].journal, &exec);
}

void fc_filtered_child(pid_t child) {
  for (unsigned i = 0; child > 0 && i < fc_member.count; i++)
    (void)record_exec(i, (uint32_t)child, FC_REC_SPAWNED); /* lost: as one that was started by a static program */
}

void fc_filtered_becoming(struct fc_filtered_exec *exec) {
  exec->kind = fc_member.filtered;
  const uint32_t pid = exec->kind == FC_FILTERED_VFORK ? installer : fc_member_pid();
  for (unsigned i = 0; i < fc_member.count; i++) exec->record[i] = pid ? record_exec(i, pid, 0) : -1;
  if (exec->kind == FC_FILTERED_VFORK) set(0);
}

void fc_filtered_stays(const struct fc_filtered_exec *exec) {
  if (exec->kind == FC_FILTERED_VFORK) set(exec->kind);
  for (unsigned i = 0; i < fc_member.count; i++)
    fc_journal_complete(&fc_member.sessions[i].journal, exec->record[i], FC_RESULT_FAILED, NULL);
}

bool fc_filtered_ending(void) {
  const uint32_t kind = fc_member.filtered;
  if (kind == FC_FILTERED_VFORK) set(0);
  return kind != 0;
}

/* member: this process as a member of sessions.
 *
 * Responsible for: the sessions that are joined, innermost first; whose process we are in (fork child, vfork child);
 * and leaving. Must never: allocate from the heap, or act in a vfork child for its parent.
 */
#ifndef FC_MEMBER_H
#define FC_MEMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "session.h"

#define FC_NEST_MAX 4 /* sessions inside sessions */

struct fc_member {
  unsigned count;    /* 0 = inert: every hook is a pass-through */
  uint32_t filtered; /* FC_FILTERED*: a seccomp filter forbids us every system call (filtered.h) */
  struct fc_session sessions[FC_NEST_MAX];
};

extern struct fc_member fc_member;

#define FC_FILTERED 1u
#define FC_FILTERED_VFORK 2u /* by a child that shares our memory, and for it alone */
static inline bool fc_is_filtered(void) { return __atomic_load_n(&fc_member.filtered, __ATOMIC_RELAXED) != 0; }

/* How many threads are in the midst of our own system calls. A filter for all threads waits for them (filtered.h). On a
 * line of its own, as it is written by every hook. */
extern struct fc_asking { int32_t threads; } __attribute__((aligned(64))) fc_asking;

/* First in every function that makes system calls of ours, and does not make the host's; it then asks fc_is_filtered()
 * before each group of them. */
#define FC_ASKING __attribute__((cleanup(fc_asked), unused)) const bool asking = fc_asks()
static inline bool fc_asks(void) {
  __atomic_fetch_add(&fc_asking.threads, 1, __ATOMIC_SEQ_CST);
  return true;
}
static inline void fc_asked(const bool *asking) {
  (void)asking;
  __atomic_fetch_sub(&fc_asking.threads, 1, __ATOMIC_RELEASE);
}

/* Words that are zero again in a fork child, but not in a vfork child, which shares our memory (MADV_WIPEONFORK). */
struct fc_wiped {
  uint32_t pid;                  /* of the process that owns this memory; 0 = not asked yet */
  uint32_t left;                 /* it has left its sessions */
  uint32_t sweeps;               /* bit i: it has started a thread that sweeps session i */
  uint32_t told;                 /* its program's name has been recorded */
  uint32_t outside[FC_NEST_MAX]; /* OUTSIDE has been written to session i, whose head was at this number less one */
};

/* Sets the wiped page up. False when the kernel does not offer it (before 4.14): then the shim stays inert. */
bool fc_member_prepare(void);

/* This process's id, without a system call in nearly every case; in a vfork child its parent's, whose memory it uses. 0
 * in a fork child of a filtered process: nobody can say. */
uint32_t fc_member_pid(void);

/* True when this process is known to be the one that this memory belongs to: false in a child that shares its parent's
 * memory (vfork, posix_spawn), and where that cannot be told, as in every filtered process. One system call. */
bool fc_member_owns_memory(void);

/* Called in the child of a fork. */
void fc_member_forked(void);

/* Remembers the program's name, for its fork children too; told: its sessions know it from JOIN. */
void fc_member_is(const char *program, bool told);

/* A process that makes something says once what it runs, unless it has been told. For people: list and the report. */
void fc_member_introduce(void);

/* The leader says how it ends: keep-on-failure deletes only on a record that says 0. No-op in any other process. */
void fc_member_record_end(int status);

struct fc_wiped *fc_member_wiped(void);

#endif

/* owner: what stands behind an fcm_manager, and who may use it. The public contract is include/filecleanup.h.
 *
 * A manager is one session (session.h) whose only member is this process. Its journal is the only truth; the table
 * (table.h) is a view of it. Nobody but the owner removes anything while it lives (no sweeper and no guardian serves
 * such a session); when it is gone, whoever reaps orphans ends it like any other session.
 *
 * Responsible for: its data, who may use it (fork), the order in which threads work on it, and what it tells. Must
 * never: touch the journal or a lock in a process that does not own it, end the program, or write to its standard
 * streams.
 *
 * Order of locks: passes, turn, lock. `passes` is held shared by whoever removes and exclusively by who moves the set
 * to a new journal (compact.c); `turn` by one who removes, for a few names at a time; `lock` for the table, the journal
 * and the name in hand, never during a system call that may wait for a disk. Callbacks run with none of them held.
 *
 * A removal and another thread's word about the same name (track, untrack, persist) come one after the other: the name
 * in hand is told under `lock`, and whoever means it, or what lies below it, waits.
 */
#ifndef FC_OWNER_H
#define FC_OWNER_H

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>

#include "filecleanup.h"
#include "reaper.h"
#include "session.h"
#include "table.h"

#define OWNER_PAGE 4096u /* of the owner's word, and of the session's lock */

/* What hangs on a manager without being of its core: the asynchronous forms. */
struct fc_manager_part {
  /* Before the manager ends or is abandoned, in its owner: finishes its work and ends its threads. Other threads may
   * still be in a call; they find it closed. */
  void (*stop)(void *part);
  /* The same process has taken the manager back. */
  void (*go_on)(void *part);
  /* Stopped, and nobody uses it any more: frees it. */
  void (*discard)(void *part);
  /* In a fork child, before it destroys or adopts the manager: its threads do not exist here, and its locks may be held
   * for ever. Frees its memory. */
  void (*forget)(void *part);
};

/* Lines for options.log, told when no lock is held. */
struct fc_manager_line {
  struct fc_manager_line *next;
  enum fcm_log_level level;
  char text[];
};

struct fc_periodic {
  pthread_mutex_t lock;
  pthread_cond_t wake;
  pthread_t thread;
  bool running; /* a thread exists, and has not been joined */
  bool stop;
  bool joining; /* somebody waits for it to end */
  bool restart; /* it ran in the process that gave the manager up */
};

struct fcm_manager {
  struct fcm_options options; /* its texts are ours */
  struct fc_config config;
  uint32_t *owner; /* the owner's pid; the kernel makes it 0 in a fork child (MADV_WIPEONFORK) */
  bool given_up;   /* by fcm_abandon */
  bool keeps;      /* nothing is ever removed (FILECLEANUP_DISABLE) */
  char *real;      /* the base */
  /* The first session's header, as it was made: what it says of the base and of files is true of each that follows. */
  struct fc_session_header *header;
  int base_fd;          /* O_PATH */
  int64_t made_real_ns; /* both clocks when it was made: what a step of one of them does not move */
  int64_t made_boot_ns;

  pthread_rwlock_t passes;
  pthread_mutex_t lock;
  pthread_cond_t turned; /* turns, and the name in hand */
  uint64_t turn_next;    /* tickets */
  uint64_t turn_serving;
  struct fc_session *session; /* under `passes` or `lock`: another one takes its place (compact.c) */
  struct fc_table table;
  uint64_t hash_key;
  uint32_t outside_seen; /* words->outside when the records of others were last read */
  uint32_t outside_from; /* the first cell that has not been looked through for them */
  struct fc_outside *outside;
  const char *in_hand; /* path beneath the base of what is being removed, NULL = nothing */
  bool in_hand_tree;
  struct fc_reaper reaper; /* of who has the turn */
  struct fc_reap_result reaped;

  pthread_mutex_t line_lock;
  struct fc_manager_line *lines;
  struct fc_manager_line **lines_end;

  struct fc_periodic periodic;
  pthread_mutex_t part_lock; /* making the part once, and closing it */
  bool part_closed;          /* none is made any more */
  const struct fc_manager_part *part_kind;
  void *part;
};

/* errno for a public function: sets it and returns -1. */
int fc_manager_fail(int error);

/* True when this process may use the manager; else errno is set (EINVAL, EPERM). It may be given up behind that: who
 * holds `passes` or `lock` asks fc_manager_owns once more before he changes anything. */
bool fc_manager_may(const fcm_manager *manager);
bool fc_manager_owns(const fcm_manager *manager);

/* Notes a line for options.log, or writes it to the log file. Told by fc_manager_tell, at the end of every public
 * function that removes. */
void fc_manager_log(fcm_manager *manager, enum fcm_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void fc_manager_tell(fcm_manager *manager);

/* From here on this process owns it: the lock stays with it in a fork, and the word becomes zero in the child. */
void fc_manager_own(fcm_manager *manager);

/* The session that stands for the manager from now on; its owner is this process. Nobody is removing. */
void fc_manager_take_session(fcm_manager *manager, struct fc_session *session);

/* The thread of periodic.c exists. */
bool fc_manager_is_periodic(struct fc_periodic *periodic);

#endif

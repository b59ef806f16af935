/* reaper: the one place that deletes.
 *
 * Responsible for: one session's names, replayed; the decision about each; capture, verification and deletion. It
 * serves the end of a session (ending.h) and passes over one that lives (sweeper.h). Must never: delete what the
 * journal does not prove, what another session uses, or anything that it has not verified *after* taking it away from
 * its name.
 *
 * One file:  statx, identity -> rules -> write lease where others may have it open -> CAPTURE record -> rename into a
 * private 0700 quarantine on the same file system -> statx, identity; is its directory still beneath the base ->
 * unlink. What fails the second look is put back (RENAME_NOREPLACE; beside it as NAME.filecleanup-restored.N when the
 * name is taken). Looking only before the unlink lost 1 victim in 58 under attack. A directory is captured when it is
 * empty. It is not captured whole and emptied by its fd: whoever holds an fd or a working directory in it still reaches
 * it, and lost a file to a check-then-unlink there in 4 of 112 meetings.
 *
 * In a session that lives the records go on while the reaper works: they are read on before and after each capture,
 * and a node that is not any more what it was when it was picked is left alone. What has the lease refused has never
 * moved.
 *
 * After a crash at any point: what was in the quarantine has a CAPTURE record; the end of the session verifies each
 * slot again, deletes it or puts it back. A slot without a record is given back, never deleted.
 */
#ifndef FC_REAPER_H
#define FC_REAPER_H

#include "ground.h"
#include "log.h"
#include "quarantine.h"

/* Told of each name that is looked at. path is beneath the base, until the call returns. why: NULL when it has been
 * removed (or would be in a dry run), "" when it is not there, else what spared it, a word of the report. */
struct fc_reap_watch {
  void (*each)(void *context, const char *path, const char *why);
  void *context;
};

struct fc_reap_result {
  unsigned long long files;    /* deleted names that were not directories */
  unsigned long long dirs;     /* deleted directories */
  unsigned long long bytes;    /* what the deleted regular files held */
  unsigned long long kept;     /* spared by KEEP, N4 or N6, or on the user's ground */
  unsigned long long replaced; /* another object had the name, or nothing proved its identity */
  unsigned long long restored; /* captured, found to be another object, put back */
  unsigned long long adopted;  /* handed to a live session */
  unsigned long long in_use;   /* left to the next try */
  unsigned long long unseen;   /* of files and dirs: below directories of ours, made by what no hook saw (recursive) */
  unsigned long long failed;   /* errors other than absence */
  unsigned long long leaked;   /* names that were there to be deleted at the end, whatever became of them */
  bool damaged;                /* the journal proves nothing */
};

struct fc_reaper {
  const struct fc_session_header *header;
  int dirfd;   /* the state directory; not owned */
  int fd;      /* the session file; not owned */
  int base_fd; /* owned; -1 = not opened */
  bool live;   /* members live, and go on writing records */
  bool owner;  /* it is the owner of a living session who asks */
  bool unseen; /* a process was seen to exec and never to arrive */
  bool blind;  /* records of a neighbour, or of a living session, could not be read: anything may be in use */
  bool late;   /* the deadline has passed */
  bool told;   /* that there are no leases here */
  bool denied; /* something failed for want of a permission */
  int64_t deadline_ns;
  struct fc_registry registry;
  struct fc_replay replay;
  struct fc_journal journal;
  struct fc_journal *captures; /* where CAPTURE records go */
  struct fc_neighbours neighbours;
  struct fc_ground ground;
  struct fc_quarantine quarantine;
  struct fc_log log;
  struct fc_reap_result *result;
  const struct fc_reap_watch *watch; /* set by the caller once it is open; NULL = nobody listens */
  /* A pass's own last word on what stands at a node, with what it is now; NULL = everything. */
  bool (*wants)(void *context, const struct fc_node *node, const struct statx *st);
  void *wants_context;
  bool (*spares)(void *context, const char *path); /* owner: somebody has told him to keep it; may be NULL */
  void *spares_context;
  void (*removing)(int dirfd, const char *leaf); /* owner: told before a name is taken away; may be NULL */
  const uint32_t *stop;                          /* != 0: end behind the object in hand; may be NULL */
  char *path;                                    /* FC_REAPER_PATH_BYTES: of the name in hand */
  char *path2;                                   /* the same size: of what is compared with it */
  char *list;                                    /* FC_LIST_BYTES */
  char *hand; /* owner: the directory that is open as hand_fd, as it was asked for last */
  int hand_fd;
  struct fc_identity hand_identity;
  struct fc_identity found; /* owner: what stood at the name that was asked for last */
  struct fc_identity moved; /* the directory that was last seen to have left its place while it was being emptied */
  uint32_t found_mode;
  int error; /* owner: why the last removal failed, -errno */
};

#define FC_REAPER_PATH_BYTES 16384

/* Maps and replays the session whose file is open as fd (O_RDWR) in the state directory dirfd. header has been checked
 * by fc_session_open_file or comes from a member; both fds and header must outlive the reaper. Not live: the caller
 * holds the exclusive member lock, and has the turn (turn.h) from here on, to be given back. deadline_ns is in
 * CLOCK_BOOTTIME (FC_INFINITY_NS = none). Returns 0; -EBADMSG when the journal is damaged or incomplete, so that it
 * proves nothing; or -errno. Allocates nothing from the heap, touches no errno; *reaper (zeroed here) is too large for
 * a host's stack. fc_reaper_close in every case. */
int fc_reaper_open(struct fc_reaper *reaper, int dirfd, int fd, const struct fc_session_header *header, bool live,
                   int64_t deadline_ns, struct fc_reap_result *result);

/* Opens the base and finds the neighbours. Returns 0; -ENOENT, -ESTALE, -ENOTDIR when the base is gone or is another
 * directory by now; -EBUSY when neighbours cannot be read or nothing can be proved after a reboot; or -errno. */
int fc_reaper_open_base(struct fc_reaper *reaper, bool across_boot);

/* The rules that need the disk before anything may be deleted. False: not possible now, delete nothing. */
bool fc_reaper_ready(struct fc_reaper *reaper);

/* What an earlier try left in the quarantine is verified again. The end deletes what is ours; in a session that lives
 * everything is given back, to be judged afresh. */
void fc_reaper_recover(struct fc_reaper *reaper);

/* The end: everything that is tracked. Directories of ours that were made unwritable or unreadable (0555, 0000) are
 * given u+rwx for it, and get their mode back when they stay. */
void fc_reaper_everything(struct fc_reaper *reaper);

/* Only these, in this order (a directory behind what it holds). */
void fc_reaper_pick(struct fc_reaper *reaper, struct fc_node *const *nodes, size_t count);

/* Reads on in the journals of the neighbours and, when it lives, of the session. False: blind. */
bool fc_reaper_look_around(struct fc_reaper *reaper);

/* The other way in, for the owner of a living session, who asks for each name himself (manager.h): his word is the
 * proof of what is his, so no record is read, no rule of ownership and no neighbour asked. All else is as ever: beneath
 * the base, identity, capture, second look. base_fd and journal stay his. 0 or -ENOMEM. */
int fc_reaper_open_owner(struct fc_reaper *reaper, const struct fc_session_header *header, int base_fd,
                         struct fc_journal *journal, struct fc_reap_result *result);

/* What stands at path (tidied, beneath the base). 0 or -errno. */
int fc_reaper_look(struct fc_reaper *reaper, const char *path, struct fc_identity *now, struct statx *st);

/* Removes what stands at path if it is the one of that identity (NULL: whatever it is); a directory when it is empty, a
 * tree with what is in it: on its mount, of the same user, not to be kept. Each name that goes is told to `watch`, as
 * it stood. Returns 0 when it has been removed; -ENOENT: nothing is there; -ESTALE: another object is, or was when it
 * had been taken away (then it is back); -EAGAIN: `wants` does not want it; -EBUSY: in use, or to be kept; -ENOTSUP:
 * nothing proves its identity; -ENOTEMPTY; or -errno. */
int fc_reaper_ask(struct fc_reaper *reaper, const char *path, const struct fc_identity *identity, bool tree);

/* Between two askings that may lie far apart: nothing is left open, and no quarantine stands. */
void fc_reaper_rest(struct fc_reaper *reaper);

void fc_reaper_close(struct fc_reaper *reaper);

#endif

/* journal: the session's append-only record of what was created, renamed and removed. The only truth.
 *
 * Responsible for: the layout of cells, appending from hooks, and completing a record with its result. Must never:
 * allocate, lock, use stdio, keep an fd, or touch errno: hooks call it in signal handlers, vfork children and processes
 * that are about to die. Reading is in replay.h.
 *
 * Layout. A session file is a header (session.h) of FC_HEADER_BYTES, then a ring of `capacity` cells of 64 bytes, a
 * power of two. Cells are numbered on and on, modulo 2^32; number n stands at n modulo capacity, in lap n / capacity. A
 * record is a start cell and the continuation cells behind it, never across the end of the ring. The first word of
 * *every* cell is ours: marker, count or index, lap. Path bytes only ever stand behind that word, so they can never be
 * read as a record, and what an earlier lap has left is known by its lap.
 *
 *   start cell    word | check | result | pid | type, flags, path_len, path2_len | time_ns | identity
 *   info cell     word | 0 | parent, size, mode, identity of the object that is removed or renamed   (FC_REC_INFO;
 * without it the start cell has the identity) target cell   word | 0 | identity, parent, size, mode of what a rename
 * met at its target       (FC_REC_TARGET) path cells    word | 0 | 56 bytes of path, path and path2 without a separator
 *
 * Writer: one atomic add on head->next reserves the cells; the bodies are written; `check`, keyed with the number from
 * the 0600 header, covers everything but `result` and the target cell; a compare-and-swap of the start cell's word
 * commits. A writer killed before that leaves a start word of 0: the reader steps over such cells, and nothing else is
 * hidden. A checkpoint that wants to pass such cells gives them up first, by the same compare-and-swap that commits: so
 * a writer that was only slow (stopped, suspended) knows that its record will not be read, and writes it anew when that
 * spares something. Destructive records are committed *before* the call with result 0 (pending) and completed after it;
 * the completing store carries a check of its own over the result and the target cell. A pending record counts as
 * "removed a user's name" (ownership.h). Creating records are appended *after* the call. So a race ends in a leak at
 * worst. Head: what lies before it has been made superfluous by a checkpoint (checkpoint.h), whose place an anchor in
 * the header tells; without one the head is cell 0. Hooks use half of the ring from the head on, the next eighth is for
 * CAPTURE records and checkpoints of a session that lives, and the last quarter, which checkpoints punch out, is for
 * the end alone. Reader: anything that is neither a valid record nor an untouched or torn cell means damage; a damaged
 * journal proves nothing, and nothing of its session is deleted.
 */
#ifndef FC_JOURNAL_H
#define FC_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "identity.h"
#include "path.h"

#define FC_CELL_BYTES 64u
#define FC_CELL_PAYLOAD 56u
#define FC_HEADER_BYTES 32768u
#define FC_JOURNAL_CELLS_MAX (1u << 24)
#define FC_JOURNAL_CELLS_MIN (1u << 9)
#define FC_JOURNAL_BYTES_MAX (FC_HEADER_BYTES + FC_JOURNAL_CELLS_MAX * FC_CELL_BYTES)
#define FC_STRIDE_MAX (1u << 16)     /* 4 MiB */
#define FC_FIRST_WINDOW_BYTES 65536u /* the least that is ever mapped, and the smallest file */
#define FC_RECORD_CELLS_MAX 255u

#define FC_MARK_START 0xA5u
#define FC_MARK_CONT 0x5Au
#define FC_MARK_GIVEN_UP 0x99u /* in place of a start word: a checkpoint did not wait for this writer */

enum fc_record_type {
  FC_REC_CREATE = 1, /* path now names an object that this session created */
  FC_REC_INODE,      /* a nameless object was created (O_TMPFILE) */
  FC_REC_LINK,       /* path is a new name of an existing object */
  FC_REC_UNLINK,     /* path is removed (file, link or directory) */
  FC_REC_RENAME,     /* path -> path2, both beneath the base */
  FC_REC_RENAME_OUT, /* path leaves the base */
  FC_REC_RENAME_IN,  /* something from outside becomes path */
  FC_REC_EXCHANGE,   /* path <-> path2 */
  FC_REC_USED,       /* path existed and was opened with O_CREAT or O_TRUNC */
  FC_REC_EXEC,       /* this pid is about to become another program, or has spawned one */
  FC_REC_JOIN,       /* this pid has arrived in the session */
  FC_REC_END,        /* the leader ends with a status */
  FC_REC_OUTSIDE,    /* this process removed a name outside the base (N6) */
  FC_REC_CAPTURE,    /* the reaper is about to move path to a quarantine slot */
  FC_REC_ADOPT,      /* the reaper of another session hands path over */
  FC_REC_KEEP,       /* from outside: path is the user's until the session ends */
  FC_REC_UNTRACK,    /* from outside: what stands at path, and below it, is not the session's any more */
  FC_REC_PROGRAM,    /* this pid, forked or the leader, runs the program whose name is path; for people */
  FC_REC_PAD,        /* nothing: the rest of a lap that a record did not fit into */
  FC_REC_CK_BEGIN,   /* a checkpoint: the registry as of its cover (snapshot.h) */
  FC_REC_CK_NODE,
  FC_REC_CK_PROGRAM,
  FC_REC_CK_PROCESS,
  FC_REC_CK_PLACE,
  FC_REC_CK_INODE,
  FC_REC_CK_WHOLE,
  FC_REC_CK_END,
  FC_REC_TRACK, /* the owner asks for path to be removed in time: what stands there, or what will */
  FC_REC_TYPES
};

enum fc_record_flags {
  FC_REC_INFO = 1 << 0,      /* an info cell follows */
  FC_REC_TARGET = 1 << 1,    /* a target cell follows */
  FC_REC_TRUNCATES = 1 << 3, /* USED: the open empties the file */
  FC_REC_DIR = 1 << 4,       /* CREATE, ADOPT, TRACK: the object is a directory */
  FC_REC_TREE = 1 << 5,      /* TRACK: with all that is in it */
  FC_REC_SPAWNED = 1 << 6,   /* EXEC: written by the parent, perhaps after the child's JOIN */
  FC_REC_STARTS = 1 << 7,    /* EXEC: this pid is inside a call that starts a child, whose pid is not known yet */
};

/* What the start cell says of an object whose identity it holds in place of an info cell. */
#define FC_EXTRA_SEEN 1u
#define FC_EXTRA_HAS_DATA 2u

/* TRACK. The start cell has the identity of what stands at path, and with TREE the birth in the info cell tells since
 * when what is in it counts. Without an object (inode 0) the birth in the start cell tells since when what appears
 * there does. It is the coarse clock's moment: that of file systems. The owner takes his word back by completing the
 * record as FAILED: nobody else removes anything while he lives, so nobody has to read of it. */

enum fc_result {
  FC_RESULT_PENDING = 0,
  FC_RESULT_FAILED, /* nothing changed */
  FC_RESULT_DONE,   /* removed; renamed onto a name that was free, proven by RENAME_NOREPLACE */
  FC_RESULT_ONTO,   /* renamed onto something, or onto what cannot be told: the target cell says what was seen */
};

/* One start cell, as it stands in the file. */
struct fc_start_cell {
  uint32_t word;   /* marker | cells << 8 | lap << 16; 0 = not committed. It never becomes 0 again */
  uint32_t check;  /* keyed checksum of everything below and of the continuation cells but the target cell */
  uint32_t result; /* enum fc_result in the low 8 bits, a keyed check in the upper 24; 0 = pending */
  uint32_t pid;
  uint8_t type;
  uint8_t flags;
  uint16_t path_len;
  uint16_t path2_len;
  uint16_t extra;  /* END: status; a removal or rename without info cell: FC_EXTRA_SEEN, FC_EXTRA_HAS_DATA */
  int64_t time_ns; /* CLOCK_BOOTTIME; JOIN: parent pid */
  struct fc_identity identity;
};
_Static_assert(sizeof(struct fc_start_cell) == FC_CELL_BYTES, "cell layout");
_Static_assert(offsetof(struct fc_start_cell, time_ns) == 24, "cell layout");
_Static_assert(offsetof(struct fc_start_cell, identity) == 32, "cell layout");

/* The object that a destructive call is aimed at, as it was just before the call. */
struct fc_object {
  struct fc_identity identity;
  uint64_t parent_ino; /* the directory that holds the name: names it whatever links lead there. 0 = not known */
  uint32_t parent_major;
  uint32_t parent_minor;
  uint32_t mode;     /* S_IFMT and permissions; 0 = not known */
  uint32_t has_data; /* 1 when it is a regular file with size > 0 */
};
_Static_assert(sizeof(struct fc_object) == FC_CELL_PAYLOAD, "cell layout");

struct fc_info_cell {
  uint32_t word; /* marker | index << 8 | lap << 16 */
  uint32_t zero;
  struct fc_object object;
};
_Static_assert(sizeof(struct fc_info_cell) == FC_CELL_BYTES, "cell layout");

/* The words of the header that change. Cache lines are kept apart: next is written by every hook. */
struct fc_head_words {
  uint32_t state;            /* session.h */
  uint32_t done;             /* futex: 0 working, FC_DONE_* when the reaper has finished or put it off */
  uint32_t lost_destructive; /* != 0: a destructive record could not be written; nothing can be proven any more */
  uint32_t lost_creating;    /* creations that could not be recorded (they leak) */
  uint32_t sweeper;          /* a sweeper exists */
  uint32_t owns_base;        /* how many directories, the base first, then its parents, were made for this session */
  uint32_t wake;             /* futex: something for the sweeper to look at */
  uint32_t unseen_names;     /* the end has counted so many names that no hook saw */
  uint32_t head;             /* the first cell that still counts; for the writers' limit, readers trust the anchors */
  uint32_t ended;            /* FC_ENDED_*: a named or kept session is to be ended when nobody of it lives */
  uint32_t used_s;           /* when a named session was last joined or left, CLOCK_BOOTTIME in seconds */
  uint32_t leaked;           /* tracked names that still existed at the end */
  uint32_t swept_files;      /* names that sweeps have removed while it lived, and what they held */
  uint32_t leader_swept;     /* SCOPE=leader: the leader has done it itself; what came later is the survivors' */
  uint64_t swept_bytes;
  uint32_t next;        /* the next free cell */
  uint32_t outside;     /* records that others than members have written */
  uint32_t abandoned_s; /* when the owner gave a manager's session up for a child, CLOCK_BOOTTIME in seconds; 0 = not */
  uint32_t pad1;
  int64_t reaped_ns; /* when the end was first tried, CLOCK_REALTIME; 0 = not yet */
  uint32_t pad2[10];
};
_Static_assert(sizeof(struct fc_head_words) == 128, "header layout");
_Static_assert(offsetof(struct fc_head_words, reaped_ns) == 80, "header layout");

/* Where reading begins. Two of them stand behind the words; the valid one with the greater generation counts, and the
 * other is the next to be written, so that a kill in between leaves the old one in force. */
struct fc_anchor {
  uint64_t sequence;   /* of the record at head, counted from the session's first cell */
  uint32_t generation; /* 0 = none */
  uint32_t head;
  uint32_t checkpoint; /* the cell of its CK_BEGIN */
  uint32_t zero;
  uint64_t check; /* keyed */
};
_Static_assert(sizeof(struct fc_anchor) == 32, "header layout");
#define FC_ANCHORS 2

uint64_t fc_journal_anchor_check(uint64_t key, const struct fc_anchor *anchor);

/* The anchor in force of the two, or NULL: then the journal begins at cell 0 with sequence 0. */
const struct fc_anchor *fc_journal_anchor(uint64_t key, const struct fc_anchor anchors[FC_ANCHORS]);

#define FC_WINDOWS 4

/* A process's view of one journal. Lives in static memory of the shim, or on the stack of a reaper. */
struct fc_journal {
  struct fc_head_words *words; /* inside the first window */
  char *first;                 /* the first window; the header begins here */
  size_t first_bytes;          /* how much of the file it shows: at least FC_FIRST_WINDOW_BYTES */
  char *windows[FC_WINDOWS];   /* larger mappings of the same file, made when needed, never moved or unmapped */
  uint64_t claimed;            /* pages [low 32 bits, high 32 bits), counted on over laps, that are surely present */
  uint64_t key;
  uint32_t capacity; /* cells of the ring */
  uint32_t limit;    /* so many from the head on may be used by this writer */
  uint32_t with_handle;
  bool outside;   /* the writer is no member: words->outside counts what it writes */
  uint32_t still; /* no system call is made for it: what is not mapped and present by now is lost */
};

/* What to append. Paths are beneath the base, raw. */
struct fc_record {
  enum fc_record_type type;
  unsigned flags;
  uint32_t pid;
  uint16_t extra;
  int64_t time_ns;
  const struct fc_identity *identity; /* NULL = none */
  const struct fc_object *info;       /* with FC_REC_INFO */
  struct fc_name path;
  struct fc_name path2;
};

/* Appends. Returns the record's cell index, or a negative number when there is no room, no page or no mapping; then the
 * session's lost_destructive or lost_creating has been counted. Async-signal-safe, thread-safe, leaves errno alone. */
int64_t fc_journal_append(struct fc_journal *journal, const struct fc_record *record);

/* For a time without system calls (still): maps room for so many cells and makes it present, as far as it can be had.
 */
void fc_journal_prepare(struct fc_journal *journal, uint32_t cells);

/* Completes the destructive record at index; target (may be NULL) says what stood at a rename's target. */
void fc_journal_complete(struct fc_journal *journal, int64_t index, enum fc_result result,
                         const struct fc_object *target);

/* The cells from index on as they are mapped, or NULL. For the owner of a session who has written them himself: a file
 * that somebody else truncates would be a SIGBUS. */
const char *fc_journal_look(struct fc_journal *journal, uint32_t index, uint32_t count);

/* The path of the record whose cells these are: copied to out, which has room for len bytes and a NUL; compared with
 * what begins it; and whether the byte at `at` is c. */
void fc_journal_copy_path(const char *cells, size_t len, char *out);
bool fc_journal_path_is(const char *cells, const char *path, size_t len);
bool fc_journal_path_has(const char *cells, size_t at, char c);

/* Takes a cell whose start word is still missing away from its writer, who will know. False when it has been committed
 * meanwhile, or cannot be reached. */
bool fc_journal_give_up(struct fc_journal *journal, uint32_t index);

/* A writer that passes a multiple of so many cells wakes the sweeper; a checkpoint is worth while after as many. */
static inline uint32_t fc_journal_stride(uint32_t capacity) {
  return capacity / 8 < FC_STRIDE_MAX ? capacity / 8 : FC_STRIDE_MAX;
}

/* Undoes every mapping of a reader or reaper; no thread may be using it. */
void fc_journal_unmap(struct fc_journal *journal);

/* Something for the sweeper to look at: whoever waits on words->wake is woken. Async-signal-safe. */
void fc_journal_wake(struct fc_head_words *words);

/* Where cell `index` stands in the file, and the lap that its word tells. */
uint64_t fc_journal_at(uint32_t capacity, uint32_t index);
uint32_t fc_journal_lap(uint32_t capacity, uint32_t index);

/* The keyed checks, shared with the reader. cells points to count consecutive cells. */
uint32_t fc_journal_check(uint64_t key, uint32_t index, const void *cells, unsigned count);
uint32_t fc_journal_result_word(uint64_t key, uint32_t index, uint32_t result, const struct fc_object *target);

/* CLOCK_BOOTTIME in nanoseconds for a record that a hook writes: by the vDSO, 300 ns cheaper than a system call, but by
 * whatever clock_gettime the host has, and a preload may fake it. What decides asks fc_sys_boottime. */
int64_t fc_journal_now(void);

/* The moment a budget from now ends; INT64_MAX (FC_INFINITY_NS) = never. */
int64_t fc_journal_deadline(int64_t budget_ns);

/* Makes the first window larger, by moving it, when the next record lies behind it. Only for a process that has just
 * mapped it: nobody else may know its address. Afterwards first is where the header begins. */
void fc_journal_reach(struct fc_journal *journal, uint32_t next);

/* Maps the window of the next record, when there is none yet: for the parent of a fork, or each child would do it. */
void fc_journal_ready(struct fc_journal *journal);

/* Replaces every mapping of the journal, in one step each since other threads may be inside a hook, by one of the same
 * file through fd. False when that could not be done everywhere. */
bool fc_journal_remap(struct fc_journal *journal, int fd);

#endif

/* session: one program run, its file, and the lock that says whether anybody of it is alive.
 *
 * Responsible for: the session file's header, making and publishing it, joining it, handing membership over an exec,
 * and the probes of its lock. Must never: delete a tracked name, or trust a file of the state directory before owner,
 * mode, link count, size, magic, version and checksum have been looked at.
 *
 * The lock. Every member holds a shared open-file-description lock on byte FC_BYTE_MEMBERS through a mapping: open,
 * F_OFD_SETLK, map, close. It lives until the process is gone for whatever reason; fork inherits it; closing every fd
 * does not lose it. Who joins maps the locked file once: this mapping is both the lock and the journal. Leaving puts a
 * mapping of the file opened anew in its place, in one step, so that other threads may go on recording; the maker of
 * the session, which has proven that a mapping holds the lock here, has a page of its own for it. Whoever gets the lock
 * exclusively knows that nobody of the session is alive, and must reap. pids and host names prove nothing. The file is
 * made under a name that nobody looks at, locked, and only then published, so it is never seen unlocked while its
 * session lives.
 *
 * After a crash at any point: an unpublished file is garbage without effect; a published one is an orphan whose header
 * holds everything that its reaping needs (the policy is the dead session's own).
 */
#ifndef FC_SESSION_H
#define FC_SESSION_H

#include <limits.h>
#include <stdbool.h>

#include "base.h"
#include "config.h"
#include "journal.h"

#define FC_SESSION_MAGIC "fcsess\r\n"
#define FC_SESSION_VERSION 2u
#define FC_SESSION_VERSION_MANAGER 3u /* of the library: its owner tracks by name (FC_REC_TRACK), and sweeps alone */
#define FC_SESSION_PREFIX "session-"
#define FC_ID_HEX 16
#define FC_NAME_BYTES 72
#define FC_TOKEN_BYTES 8192

#define FC_STATE_LIVE 0x4C495645u
#define FC_STATE_REAPING 0x52454150u
#define FC_STATE_CLOSED 0x434C4F53u /* ended in keep, report or damage: nobody reaps it */

#define FC_DONE_REAPED 1u
#define FC_DONE_DEFERRED 2u /* the rest is left to the guardian, the next start or a sweep */

enum fc_byte {
  FC_BYTE_MEMBERS = 0,
  FC_BYTE_GUARDIAN = 1,
  FC_BYTE_SWEEPER = 2, /* held by whoever sweeps this session from time to time */
  FC_BYTE_PASS = 3     /* held while somebody removes names of it */
};

/* The first FC_HEADER_BYTES of the file. Written once before publication, but for `words`. */
struct fc_session_header {
  char magic[8];
  uint32_t version;
  uint32_t header_bytes;
  uint32_t cell_bytes;
  uint32_t capacity; /* cells */
  uint64_t key;      /* of all checksums */
  uint32_t uid;
  uint32_t leader_pid;
  uint8_t boot_id[16]; /* all zero = not known: never dead by boot */
  int64_t created_s;   /* CLOCK_REALTIME */
  struct fc_identity base_identity;
  uint64_t file_ino; /* of this very file: a copy is not a session */
  uint64_t fs_type;
  uint64_t fs_id;
  uint32_t with_handle;
  uint32_t pid_space;       /* the pid namespace whose numbers leader_pid and all pids of records are; 0 = not known */
  char id[24];              /* FC_ID_HEX digits, NUL */
  char name[FC_NAME_BYTES]; /* of a named session (named.h), "" = none */
  uint64_t check;           /* keyed, over everything but itself, words and anchors */
  uint8_t pad[24];
  struct fc_head_words words; /* at 256 */
  struct fc_anchor anchors[FC_ANCHORS];
  /* base, alias and path once more, one behind the other with their NULs, so that a joiner touches one page; all
   * lengths are 0 when they do not fit. For joiners alone, who check it by itself: `check` does not cover it. */
  uint16_t base_len;
  uint16_t alias_len;
  uint16_t path_len;
  char text[4096 - 256 - 128 - FC_ANCHORS * 32 - 6 - offsetof(struct fc_policy, keep)];
  struct fc_policy policy; /* its numbers end the first page, its texts are the second */
  char base[PATH_MAX];     /* canonical */
  char alias[PATH_MAX];    /* as the user gave it, absolute; "" when it is the same */
  char path[PATH_MAX];     /* of this file */
  uint8_t pad2[FC_HEADER_BYTES - 5 * 4096];
};
_Static_assert(offsetof(struct fc_session_header, name) == 152, "header layout");
_Static_assert(offsetof(struct fc_session_header, check) == 224, "header layout");
_Static_assert(offsetof(struct fc_session_header, words) == 256, "header layout");
_Static_assert(offsetof(struct fc_session_header, policy.keep) == 4096, "header layout");
_Static_assert(offsetof(struct fc_session_header, base) == 8192, "header layout");
_Static_assert(sizeof(struct fc_session_header) == FC_HEADER_BYTES, "header layout");

/* The session of a manager (filecleanup.h): one process owns it and says itself what is temporary. While it lives
 * nobody else removes names of it. */
static inline bool fc_session_is_managed(const struct fc_session_header *header) {
  return header->version == FC_SESSION_VERSION_MANAGER;
}

/* A process's membership. Static memory in the shim. */
struct fc_session {
  const struct fc_session_header *header; /* in the journal's first window; NULL = not a member */
  struct fc_journal journal;
  void *lock_page;    /* the mapping that holds the lock, or the journal's when journal_locks; NULL after leaving */
  bool journal_locks; /* the journal's own mapping holds the lock, as in every process that has joined */
  bool found;         /* a named session that was there already, joined by its name */
  uint64_t file_ino;
  uint32_t file_major;
  uint32_t file_minor;
  uint32_t leader_pid;
  size_t base_len;   /* 0 = inert */
  size_t alias_len;  /* 0 = no alias */
  uint32_t alias_at; /* the header's base, alias and path, copied into text one behind the other */
  uint32_t path_at;
  char text[3 * PATH_MAX];
};

static inline const char *fc_session_base(const struct fc_session *session) { return session->text; }
static inline const char *fc_session_alias(const struct fc_session *session) {
  return session->text + session->alias_at;
}
static inline const char *fc_session_path(const struct fc_session *session) { return session->text + session->path_at; }

/* Joins the session `name` whose base is called `base`, if there is one in the state directory dirfd, and makes sure
 * that nobody makes one as long as dirfd is open (fc_named_find). 0, -ENOENT or -errno. */
typedef int (*fc_session_finder)(struct fc_session *session, int dirfd, const char *name, const char *base);

/* CLOCK_BOOTTIME in seconds; and the note that somebody uses a named session now. */
uint32_t fc_session_now_s(void);
void fc_session_touch(struct fc_head_words *words);

/* Makes, locks and publishes a session in the first state directory that passes the self-test, and becomes a member.
 * leader_pid is recorded. find (may be NULL): for a name. A configuration that names a session joins that one when it
 * is there. Returns 0; -errno with one line in message; or -ESTALE when the base has been replaced meanwhile and the
 * caller should open it again. */
int fc_session_create(struct fc_session *session, const struct fc_config *config, const struct fc_base *base,
                      fc_session_finder find, char *const *envp, char *message, size_t message_size);

/* Opens the base, with fc_base_open, and creates the session in it; again when another session's end removed the base
 * that it had made, just when we began. made_by_caller: how many directories the caller has made for it. Leaves no base
 * open, and none behind on failure. Returns 0, or -1 with one line in message. */
int fc_session_establish(struct fc_session *session, const struct fc_config *config, unsigned made_by_caller,
                         fc_session_finder find, char *const *envp, const char *tool_path, char *message,
                         size_t message_size);

/* Copies the directory part of a session file's path to dir and returns the name behind it, or NULL when it does not
 * fit. */
const char *fc_session_split(const char *path, char *dir, size_t size);

/* Maps the journal of the open session file fd for somebody who is no member, and who may write a little more than
 * members, as long as the session lives. 0 or -errno. */
int fc_session_map(int fd, const struct fc_session_header *header, struct fc_journal *journal);

/* The value for FILECLEANUP_SESSION that lets another process join: id, device and inode of the file, and its path with
 * ':' '%' and ',' escaped. Returns its length, or 0 when it does not fit. */
size_t fc_session_token(const struct fc_session *session, char *out, size_t size);

/* Joins the session whose file is open as fd in its state directory, and whose header was read from there: what the
 * token would do. FC_TOKEN_BYTES of scratch are the caller's. Returns as fc_session_join. */
int fc_session_join_file(struct fc_session *session, int fd, const struct fc_session_header *header, char *scratch,
                         const char *program);

/* Joins by token (the part of length len). Looks for an inherited locked fd first. On success JOIN is written with the
 * program's name. Returns 0 or -errno: -ESTALE refused, being reaped, or not the file that was meant. */
int fc_session_join(struct fc_session *session, const char *token, size_t len, const char *program);

/* Called right before an exec: leaves an inheritable locked fd where the new image looks for it and writes EXEC.
 * Returns the fd, or -1 when none could be had (then the record alone stands). *record is for fc_session_exec_failed.
 * For use in hooks and in vfork children. */
int fc_session_hand_over(struct fc_session *session, uint32_t pid, int64_t *record);
void fc_session_exec_failed(struct fc_session *session, int fd, int64_t record);

/* The fd alone, for a child whose pid will not be told (popen); the record alone, for one that has been spawned. */
int fc_session_locked_fd(const struct fc_session *session);
void fc_session_spawned(struct fc_session *session, uint32_t child);

/* Around a call inside which libc starts a child that no hook sees: should this process be killed there, nobody reaps
 * until the child has had the time to arrive. */
int64_t fc_session_starting(struct fc_session *session, uint32_t pid);
void fc_session_started(struct fc_session *session, int64_t record);

/* Gives up the membership lock of the process that has made the session; the journal stays mapped. */
void fc_session_unlock(struct fc_session *session);

/* Gives up the membership lock of this process, which is about to end; the journal stays mapped so that later hooks
 * keep recording. Returns the session file, opened anew and without a lock (owned), or -errno; where the journal holds
 * the lock and the file cannot be opened, the lock stays until the process is gone. */
int fc_session_leave(struct fc_session *session);

/* Opens the session file by its recorded path and makes sure it is the same file. Returns an fd (owned) or -errno. */
int fc_session_reopen(const struct fc_session *session);

/* What a file of the state directory is worth. */
enum fc_verdict {
  FC_VERDICT_VALID,
  FC_VERDICT_ABSENT,  /* gone meanwhile */
  FC_VERDICT_FOREIGN, /* not ours, not safe, or not readable: leave it alone */
  FC_VERDICT_FUTURE,  /* of a later version */
  FC_VERDICT_CORRUPT
};

/* Opens name in the directory dirfd and checks it from owner to checksum. On VALID *fd is open (O_RDWR | O_CLOEXEC,
 * owned by the caller) and *header is filled. */
enum fc_verdict fc_session_open_file(int dirfd, const char *name, int *fd, struct fc_session_header *header);

/* F_OFD_GETLK: is byte held by anybody else than this open file? Returns F_UNLCK, F_RDLCK or F_WRLCK. */
int fc_session_probe(int fd, enum fc_byte byte);

/* This boot's id; false when it cannot be read. */
bool fc_session_boot_id(uint8_t out[16]);

/* The checksum that header->check must equal. */
uint64_t fc_session_check(const struct fc_session_header *header);

/* This process's pid namespace, 0 when it cannot be told. */
uint32_t fc_session_pid_space(void);

/* When a process was started, CLOCK_BOOTTIME to a hundredth of a second (field 22 of /proc/PID/stat), or -1 when it is
 * gone or a zombie none of whose threads runs any more. */
int64_t fc_session_start_time(uint32_t pid);

#endif

/* filecleanup.h: temporary files of a C or C++ program, cleaned up whatever happens to it.
 *
 * A manager tracks files and directories beneath one base directory. What it tracks is removed when it gets old, when
 * the program asks, when the manager is destroyed, and, because the set is kept in a journal outside the process, also
 * after a crash or SIGKILL: by the next manager of that base (cleanup_on_startup), the next program that runs under
 * filecleanup-run there, or `filecleanup sweep`.
 *
 * What is never done. Nothing outside the base is touched, no symbolic link is followed, no mount is crossed. Each
 * object is bound to its identity (device, inode, birth time or file handle) when it is tracked, or first seen; what
 * another program has put in its place since is left alone. Right before a removal the object is taken to a private
 * directory and compared once more; one that is not the one that was meant is put back.
 *
 * Conventions. Functions that return int return 0, or -1 with errno. Paths are absolute, or relative to the working
 * directory of the moment, and must lie beneath the base when symbolic links are not followed. A failed removal is
 * logged and counted, and never stops a batch. Sizes are bytes, times are milliseconds.
 *
 * Threads. A manager and its scopes may be used by any number of threads at once, and a callback may call any function
 * but fcm_destroy and fcm_abandon. One scope or request belongs to one thread at a time. Nothing here is
 * async-signal-safe.
 *
 * Processes. A child made by fork() does not own its parent's managers: every call fails with EPERM there and
 * fcm_destroy only frees memory, until the child calls fcm_adopt. exec() leaves a manager behind like a crash. While a
 * manager lives nobody else removes what it tracks; `filecleanup keep` and `untrack` are heard.
 *
 * Errors that every function may set, beside its own:
 *   EINVAL        a NULL pointer, an empty path, a negative time, a struct of unknown size
 *   ENAMETOOLONG  a path longer than PATH_MAX, or a component longer than NAME_MAX
 *   EMFILE ENFILE no descriptor: one is needed for a directory of the path, and to remove
 *   EXDEV         the path does not lie beneath the base, is the base, leads out of it by ".." or another mount, or is
 *                 where filecleanup takes names to before it removes them (.filecleanup-*)
 *   ELOOP         a symbolic link stands where a directory of the path was expected
 *   EPERM         this process is a fork child that does not own the manager, or has given it up
 *   ENOMEM        no memory
 */
#ifndef FILECLEANUP_H
#define FILECLEANUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define FCM_API __attribute__((visibility("default")))
#define FCM_WARN_UNUSED __attribute__((warn_unused_result))
#else
#define FCM_API
#define FCM_WARN_UNUSED
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define FCM_SECONDS(n) ((int64_t)(n)*1000)
#define FCM_MINUTES(n) FCM_SECONDS((n)*60)
#define FCM_HOURS(n) FCM_MINUTES((n)*60)
#define FCM_FOREVER INT64_MAX   /* no limit: nothing gets too old */
#define FCM_DEFAULT INT64_C(-1) /* what the manager was made with */

/* ---- Options ---------------------------------------------------------------------------------------------------- */

enum fcm_log_level { FCM_LOG_ERROR = 1, FCM_LOG_WARN, FCM_LOG_INFO, FCM_LOG_DEBUG };

/* One line, without a newline, valid until the call returns. May be called on any thread that uses the manager, and on
 * its own; with no lock held. */
typedef void (*fcm_log_function)(void *context, enum fcm_log_level level, const char *line);

/* Made by fcm_options_init, then changed. The library copies what it keeps. */
struct fcm_options {
  size_t size;                   /* set by fcm_options_init: what this program was compiled with */
  const char *base_dir;          /* required; made with its parents when missing (0700) */
  const char *state_dir;         /* where the journal stands; NULL = the default of filecleanup(7) */
  int64_t ttl;                   /* 24 h: age from which cleanup_old_files and the periodic cleanup remove */
  int64_t interval;              /* 30 min: between two periodic cleanups */
  bool cleanup_on_startup;       /* true: first remove what dead sessions of this base and user have left */
  bool cleanup_after_processing; /* true: scopes, and fcm_destroy, remove; false: they leave all in place, on record */
  bool enable_periodic_cleanup;  /* true: fcm_create starts the periodic cleanup */
  bool spare_in_use;             /* false: true spares what is open, here or in another process, but for O_PATH */
  bool trust_base;               /* false: true allows a base that filecleanup(7) refuses */
  bool disabled;                 /* false: true turns every removal off (FILECLEANUP_DISABLE) */
  const char *keep;              /* NULL: globs that are never removed, relative to the base, ':' between them */
  unsigned async_queue;          /* 1024: requests that may wait; one more fails with EAGAIN */
  unsigned async_workers;        /* 1: threads that do the asynchronous work; started by the first request */
  bool callbacks_by_dispatch;    /* false: callbacks run on a worker; true: in fcm_async_dispatch */
  fcm_log_function log;          /* NULL: to the file "messages" beside the journal */
  void *log_context;
};

/* The defaults above. */
#define fcm_options_init(options) fcm_options_init_size((options), sizeof *(options))
FCM_API void fcm_options_init_size(struct fcm_options *options, size_t size);

/* Changes what the environment says otherwise: FILECLEANUP_BASE_DIR, STATE_DIR, TTL, INTERVAL, ON_STARTUP, ON_EXIT
 * (delete, else cleanup_after_processing is false), PERIODIC, IN_USE, TRUST_BASE, KEEP; in the syntax of
 * filecleanup(7). Texts then point into the environment. FILECLEANUP_DISABLE sets disabled, and nothing else counts.
 * EINVAL: a value cannot be accepted; one line in message (may be NULL), and nothing is changed. Not while another
 * thread changes the environment.
 */
FCM_API int fcm_options_from_environment(struct fcm_options *options, char *message, size_t message_size);

/* ---- Managers --------------------------------------------------------------------------------------------------- */

typedef struct fcm_manager fcm_manager;

/* Returns a manager, to be given to fcm_destroy, or NULL with errno:
 *   EINVAL                 options, or a value in them, not acceptable
 *   EPERM                  the base is refused (filecleanup(7)), or the state directory is not safe
 *   ENOENT ENOTDIR EACCES EROFS ENOSPC EMFILE ENFILE
 *                          the base or the journal cannot be made or opened
 *   EOPNOTSUPP             no state directory whose file system holds locks through mappings
 * What went wrong is also said as one line to options->log. */
FCM_API fcm_manager *fcm_create(const struct fcm_options *options) FCM_WARN_UNUSED;

/* Stops the periodic cleanup, finishes what is queued, calls the callbacks that nobody has dispatched, removes all that
 * is tracked (cleanup_after_processing), and ends the session. Frees the manager in every case, also in a fork child,
 * where it does nothing else. NULL is allowed. No other thread may use the manager, and scopes must have ended before;
 * handles of requests may be used and freed afterwards. -1 with EBUSY: something could not be removed; it stays on
 * record, and the next start tries again. */
FCM_API int fcm_destroy(fcm_manager *manager);

/* The base as it was opened: absolute, without symbolic links. Lives as long as the manager. */
FCM_API const char *fcm_base_dir(const fcm_manager *manager);

/* In a fork child: takes the manager over from the parent, with all that it tracks, once the parent is gone or has
 * called fcm_abandon. What the parent has queued is not done here: handles of it say ECANCELED. fcm_async_fd is to
 * be asked again. EBUSY: the parent still owns it. ESTALE: it has ended. */
FCM_API int fcm_adopt(fcm_manager *manager);

/* Gives the manager up without removing anything, for a child that adopts it (before daemon(3)). Waits for the pass
 * under way; from then on every call but fcm_destroy and fcm_adopt fails with EPERM. For 60 seconds nobody takes the
 * manager for dead. */
FCM_API int fcm_abandon(fcm_manager *manager);

/* ---- Tracking --------------------------------------------------------------------------------------------------- */

/* Tracks a file, or a directory (which is removed only when it is empty), that exists or will. One that exists is bound
 * to its identity now, and again when it is tracked again. One that does not is bound when it is first seen; after a
 * crash only if it was made after this call, by this user: as far as the file system's clock tells, which ticks every
 * few milliseconds. O(1): one look at the file and a record in memory.
 *   EACCES ENOENT ENOTDIR  a directory of the path
 *   ENOTSUP                nothing proves the identity of a file here; it is not tracked
 *   ENOSPC                 no room for the record: the disk of the journal is full, or some three million names of
 *                          up to 56 bytes beneath the base are tracked; it is not tracked */
FCM_API int fcm_track_file(fcm_manager *manager, const char *path);

/* As fcm_track_file, for a directory together with all that is in it when it is removed, whoever made that, but for
 * mounts, names that are kept, and what belongs to other users. After a crash only what was made in it since this call
 * goes, and the directory when that was all. ENOTDIR: something else stands there. */
FCM_API int fcm_track_tree(fcm_manager *manager, const char *path);

/* Not tracked any more, for instance after a move to a permanent place. What lies below a directory stays tracked.
 * O(1). ENOENT: it was not tracked. */
FCM_API int fcm_untrack_file(fcm_manager *manager, const char *path);

/* *tracked says whether it is. O(1). */
FCM_API int fcm_is_tracked(fcm_manager *manager, const char *path, bool *tracked);

/* ---- Removing ---------------------------------------------------------------------------------------------------- */

struct fcm_result {
  uint64_t removed_count; /* files and directories */
  uint64_t removed_size_bytes;
  double removed_size_mb; /* the same in units of 1024 * 1024 bytes */
  uint64_t errors;        /* removals that failed */
  uint64_t spared;        /* left alone: replaced by another object, kept, or in use */
  uint64_t tracked_files_remaining;
  uint64_t reserved[4]; /* zero */
};

/* Removes and untracks one file, link, FIFO, socket or empty directory, tracked or not. *removed (may be NULL) says
 * whether something was removed; that nothing is there is no error.
 *   ESTALE      another object stands there than the one that was tracked; it was left alone
 *   EBUSY       in use (spare_in_use), or to be kept
 *   ENOTSUP     nothing proves the identity of a file here
 *   ENOTEMPTY   a directory that is not empty
 *   EACCES EPERM EROFS EIO ...   as unlink(2) */
FCM_API int fcm_cleanup_file(fcm_manager *manager, const char *path, bool *removed);

/* Removes a directory, when recursive with all that is in it, and untracks what it contained. Fine when it is not
 * there. What cannot be removed (another mount, kept names, no permission) stays, and the rest goes: then -1 with
 * ENOTEMPTY or the first error. The base itself is refused with EXDEV. */
FCM_API int fcm_cleanup_directory(fcm_manager *manager, const char *path, bool recursive, bool *removed);

/* Looks at all that is tracked and removes what was last modified (mtime) longer than max_age ago (FCM_DEFAULT: the
 * TTL; 0: everything), then tracked directories that are old enough and empty, and trees in which everything is. The
 * clock is CLOCK_REALTIME, or what that was when the manager was made plus the time since, whichever is less: setting
 * it makes nothing older. What is gone is untracked. Returns 0 even if single removals have failed: result (may be
 * NULL) counts them. */
FCM_API int fcm_cleanup_old_files(fcm_manager *manager, int64_t max_age, struct fcm_result *result);

/* Removes all that is tracked; what was expected and has not come stays tracked. As fcm_cleanup_old_files. */
FCM_API int fcm_cleanup_all_tracked(fcm_manager *manager, struct fcm_result *result);

/* A thread calls fcm_cleanup_old_files(manager, FCM_DEFAULT) every interval, the first time after one. All signals are
 * blocked in it. Starting twice is fine. EAGAIN: no thread can be made. */
FCM_API int fcm_start_periodic_cleanup(fcm_manager *manager);

/* Waits for the pass that is under way. Stopping twice is fine. EDEADLK: called by the periodic thread itself. */
FCM_API int fcm_stop_periodic_cleanup(fcm_manager *manager);

struct fcm_stats {
  uint64_t tracked_files;    /* all that is tracked, directories too */
  uint64_t total_size_bytes; /* of those that are regular files and exist now */
  double total_size_mb;
  bool periodic_cleanup_running;
  int64_t default_ttl;
  int64_t cleanup_interval;
  uint64_t memory_bytes;  /* of the table, in this process */
  uint64_t journal_bytes; /* on disk */
  uint64_t reserved[4];   /* zero */
};

/* O(n): each tracked file is looked at for its size. */
FCM_API int fcm_get_stats(fcm_manager *manager, struct fcm_stats *stats);

/* ---- Making and keeping ------------------------------------------------------------------------------------------ */

/* Makes a file that nobody else has (O_EXCL, O_RDWR, O_CLOEXEC, 0600) and tracks it, in one step: a crash in between
 * leaves nothing. Its name is prefix, six random characters, suffix (each may be NULL), in the directory dir (NULL =
 * the base). path gets the name. Returns an open descriptor, the caller's, or -1 with errno of open(2), ERANGE (path is
 * too small) or of fcm_track_file. */
FCM_API int fcm_make_file(fcm_manager *manager, const char *dir, const char *prefix, const char *suffix, char *path,
                          size_t path_size);

/* The same for a directory (0700), tracked as a tree. Returns 0. */
FCM_API int fcm_make_directory(fcm_manager *manager, const char *dir, const char *prefix, char *path, size_t path_size);

/* Moves a tracked file out of the manager's hands to `to`, anywhere, and untracks it: by rename(2) where that is
 * possible, else by a copy beside `to`, fsync, and a rename. `to` is replaced in one step or not at all; owner of the
 * new file is the caller, mode and times are kept. ENOENT: path is not tracked, or a directory is missing. ESTALE:
 * another object stands at path. Else as rename(2), open(2), write(2). */
FCM_API int fcm_persist(fcm_manager *manager, const char *path, const char *to);

/* ---- Scopes ------------------------------------------------------------------------------------------------------ */

/* A file that lives as long as a block of code. */
typedef struct fcm_scope fcm_scope;

#define FCM_KEEP_ON_ERROR 1u /* cleanup_on_error = false: a scope that fails leaves its file in place */

enum fcm_outcome { FCM_SUCCEEDED = 0, FCM_FAILED, FCM_CANCELLED }; /* CANCELLED counts as an error */

/* Enters a scope for path, which is tracked from now on (a directory as a tree) and need not exist. NULL with errno of
 * fcm_track_file, or EINVAL for flags that are not known. The scope is the caller's, to be given to fcm_scope_exit,
 * fcm_scope_exit_async or fcm_scope_end before the manager is destroyed. */
FCM_API fcm_scope *fcm_scoped_file(fcm_manager *manager, const char *path, unsigned flags) FCM_WARN_UNUSED;

/* The same for a file, or directory, that is made now: fcm_make_file and fcm_make_directory. *fd (may be NULL: it is
 * closed) is the caller's. */
FCM_API fcm_scope *fcm_scoped_new_file(fcm_manager *manager, const char *dir, const char *prefix, const char *suffix,
                                       unsigned flags, int *fd) FCM_WARN_UNUSED;
FCM_API fcm_scope *fcm_scoped_new_directory(fcm_manager *manager, const char *dir, const char *prefix,
                                            unsigned flags) FCM_WARN_UNUSED;

/* Absolute; lives as long as the scope. */
FCM_API const char *fcm_scope_path(const fcm_scope *scope);

/* The file stays, and is not tracked any more. Twice is fine. */
FCM_API int fcm_scope_keep(fcm_scope *scope);

/* fcm_persist for the scope's file; after it the scope has nothing to remove. */
FCM_API int fcm_scope_persist(fcm_scope *scope, const char *to);

/* Says how the scope ends, for the end by FCM_SCOPED. FCM_SUCCEEDED unless said otherwise. */
FCM_API void fcm_scope_set_outcome(fcm_scope *scope, enum fcm_outcome outcome);

/* Leaves the scope and frees it in every case. Removes the file (a directory with all that is in it), unless it was
 * kept, or the scope failed and was made with FCM_KEEP_ON_ERROR; then it stays and is untracked. Without
 * cleanup_after_processing it stays, tracked, until it is old. NULL is allowed. errno as fcm_cleanup_file and
 * fcm_cleanup_directory; what could not be removed stays tracked. */
FCM_API int fcm_scope_exit(fcm_scope *scope, enum fcm_outcome outcome);

/* The same with the outcome that was set, errno untouched: for FCM_SCOPED. */
FCM_API void fcm_scope_end(fcm_scope **scope);

/* FCM_SCOPED fcm_scope *scope = fcm_scoped_file(...);  leaves it at the end of the block, however that is left but by
 * longjmp, exit or a signal: then the manager has it. */
#if defined(__GNUC__)
#define FCM_SCOPED __attribute__((cleanup(fcm_scope_end)))
#endif

/* ---- Asynchronous forms ------------------------------------------------------------------------------------------ */

/* A piece of work for the manager's workers. Requests wait in a queue of at most async_queue; when it is full the call
 * fails at once with EAGAIN, and the caller decides (fcm_async_flush waits). They are begun in order, by async_workers
 * threads, in which all signals are blocked. The caller does no I/O: the path is checked by the worker. */
typedef struct fcm_request fcm_request;

/* Called once for each request, also when it was cancelled (error ECANCELED). error is 0 or an errno; result lives
 * until the call returns; of a single removal it says 1 and, for a regular file, its size. On a worker thread, or in
 * fcm_async_dispatch (callbacks_by_dispatch). It may call any function but fcm_destroy and fcm_abandon; on a worker
 * those that wait for requests fail with EDEADLK, since it is the worker they wait for. */
typedef void (*fcm_callback)(void *context, int error, const struct fcm_result *result);

/* Each returns 0, or -1 with errno, and then callback is never called: EAGAIN (queue full, or no thread can be made),
 * ECANCELED (in a callback, while the manager is being destroyed), EINVAL, ENAMETOOLONG, EPERM, ENOMEM. callback may be
 * NULL. request (may be NULL) gets a handle, the caller's, to be given to fcm_request_free; it is there before the
 * callback is called. */
FCM_API int fcm_cleanup_file_async(fcm_manager *manager, const char *path, fcm_callback callback, void *context,
                                   fcm_request **request);
FCM_API int fcm_cleanup_directory_async(fcm_manager *manager, const char *path, bool recursive, fcm_callback callback,
                                        void *context, fcm_request **request);
FCM_API int fcm_cleanup_old_files_async(fcm_manager *manager, int64_t max_age, fcm_callback callback, void *context,
                                        fcm_request **request);
FCM_API int fcm_cleanup_all_tracked_async(fcm_manager *manager, fcm_callback callback, void *context,
                                          fcm_request **request);

/* fcm_scope_exit off the caller's thread; the scope is not the caller's any more, unless it fails. */
FCM_API int fcm_scope_exit_async(fcm_scope *scope, enum fcm_outcome outcome, fcm_callback callback, void *context,
                                 fcm_request **request);

/* Cancels a request that waits: nothing of it is done, and its callback gets ECANCELED, next of all, from a worker (or
 * in fcm_async_dispatch). EALREADY: it is cancelled, under way or done. A scope whose exit is cancelled ends as
 * FCM_CANCELLED: its file is removed unless FCM_KEEP_ON_ERROR. */
FCM_API int fcm_request_cancel(fcm_request *request);

/* Waits at most timeout (FCM_FOREVER = for ever) until it is done, and its callback has returned (callbacks by dispatch
 * are not waited for). Then *error (may be NULL) and *result (may be NULL) are what its callback gets. ETIMEDOUT.
 * EDEADLK: called by a callback on a worker. */
FCM_API int fcm_request_wait(fcm_request *request, int64_t timeout, int *error, struct fcm_result *result);

/* Forgets the handle; the work goes on. NULL is allowed. */
FCM_API void fcm_request_free(fcm_request *request);

/* An eventfd that becomes readable when a request has been completed, for poll, epoll, libuv, libevent. The manager's:
 * do not close it, and do not read it but by fcm_async_dispatch. -1 with EMFILE, ENFILE. */
FCM_API int fcm_async_fd(fcm_manager *manager);

/* Makes fcm_async_fd unreadable and calls the callbacks that are due (callbacks_by_dispatch; they wait for this without
 * a limit, so call it). Returns how many. */
FCM_API int fcm_async_dispatch(fcm_manager *manager);

/* Waits until every request that was made before has been completed. Callbacks by dispatch are not called here.
 * EDEADLK: called by a callback on a worker. */
FCM_API int fcm_async_flush(fcm_manager *manager);

/* ---- Version ----------------------------------------------------------------------------------------------------- */

/* "MAJOR.MINOR.PATCH" of the library that is linked. */
FCM_API const char *fcm_version(void);

#ifdef __cplusplus
}
#endif

#endif

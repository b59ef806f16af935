/* record: what the hooks write into the journals.
 *
 * Responsible for: the records of creations (after the call) and of removals (before it, completed after it), the
 * per-process hints that save system calls. Must never: touch errno, or be in the way of the host's call: what cannot
 * be recorded is counted, and the call is made all the same.
 */
#ifndef FC_RECORD_H
#define FC_RECORD_H

#include "target.h"

/* path has just been created by us. fd: the object itself, or -1 to look it up by name. */
void fc_record_created(int dirfd, const char *path, int fd, bool is_dir);

/* The same for a target that was opened before the call and held no buffer, so that it is still good. It is closed
 * here. */
void fc_record_created_target(struct fc_target *target, int dirfd, const char *path, int fd, bool is_dir);

/* An object without a name was created as fd by open(O_TMPFILE). */
void fc_record_nameless(int fd);

/* new_path has just become a link to the object that old_path names. */
void fc_record_linked(int old_dirfd, const char *old_path, int new_dirfd, const char *new_path);

/* path existed and is opened with O_CREAT; truncates: its data goes, or is about to be overwritten. Called before the
 * host's call, or after it with the open file as fd (else -1), as long as the host has written nothing. */
void fc_record_used(int dirfd, const char *path, int fd, bool truncates);

/* Data of the user's may be about to go, and nobody can say whose: the sessions prove nothing any more. */
void fc_record_lost(void);

/* Pending records of one destructive call, one for each session concerned. */
struct fc_pending {
  int64_t index[FC_NEST_MAX]; /* -1 = none */
  bool any;                   /* some name of the call lies beneath a base */
  bool onto;                  /* rename: the new name lies beneath a base */
  bool directory;             /* rename: what is renamed is one, or may be */
  bool denied;                /* a name could not be made out, unless the host's call fails as well */
};

/* path is about to be removed. */
void fc_record_removing(struct fc_pending *pending, int dirfd, const char *path);
/* Completes: succeeded or not. A name outside every base that was removed is noted once for N6. */
void fc_record_removed(struct fc_pending *pending, bool succeeded);

/* The same for rename and its kin. exchange: RENAME_EXCHANGE. */
void fc_record_renaming(struct fc_pending *pending, int old_dirfd, const char *old_path, int new_dirfd,
                        const char *new_path, bool exchange);
/* What stands at a rename's target. known_only: ask only for a name that this process made itself. True when something
 * was seen there. */
bool fc_record_target(int new_dirfd, const char *new_path, bool known_only, struct fc_object *out);
void fc_record_renamed(struct fc_pending *pending, enum fc_result result, const struct fc_object *target, int old_dirfd,
                       const char *old_path, int new_dirfd, const char *new_path);

#endif

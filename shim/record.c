#include "record.h"

#include <string.h>

#include "sweeping.h"

#define KNOWN_HINTS 4096 /* 32 KiB of address space; only the pages that are touched cost anything */
#define REPORTED_HINTS 512
#define HURRY_PART 64u /* of each stride: one of the records there will be a creation's */

/* Hashes of names that this process created (known) or has reported as used. A hit saves the question for the
 * directory's inode, or a second USED; whose the object is, its identity decides. Copied by fork, which is right. Two
 * places for each hash. */
static uint64_t known[KNOWN_HINTS];
static uint64_t reported[REPORTED_HINTS];

static uint64_t hash_of(unsigned session, const struct fc_target *target) {
  const struct fc_name relative = fc_target_relative(target, session);
  const uint64_t h = fc_path_hash(&relative) + session;
  return h ? h : 1;
}

static uint64_t *hint_place(uint64_t *table, size_t size, uint64_t hash, unsigned way) {
  return &table[(hash & (size - 1)) ^ way];
}

static bool hint_has(uint64_t *table, size_t size, uint64_t hash) {
  return __atomic_load_n(hint_place(table, size, hash, 0), __ATOMIC_RELAXED) == hash ||
         __atomic_load_n(hint_place(table, size, hash, 1), __ATOMIC_RELAXED) == hash;
}

static void hint_put(uint64_t *table, size_t size, uint64_t hash) {
  const bool taken = __atomic_load_n(hint_place(table, size, hash, 0), __ATOMIC_RELAXED) != 0;
  __atomic_store_n(hint_place(table, size, hash, taken ? 1 : 0), hash, __ATOMIC_RELAXED);
}

static void hint_drop(uint64_t *table, size_t size, uint64_t hash) {
  for (unsigned way = 0; way < 2; way++)
    if (__atomic_load_n(hint_place(table, size, hash, way), __ATOMIC_RELAXED) == hash)
      __atomic_store_n(hint_place(table, size, hash, way), 0, __ATOMIC_RELAXED);
}

/* No system call in a filtered process, and none where the clock is one: what is recorded there needs no time. */
static int64_t now(void) { return fc_is_filtered() ? 0 : fc_journal_now(); }

static bool any_with_handle(void) {
  for (unsigned i = 0; i < fc_member.count; i++)
    if (fc_member.sessions[i].journal.with_handle) return true;
  return false;
}

void fc_record_lost(void) {
  for (unsigned i = 0; i < fc_member.count; i++)
    __atomic_fetch_add(&fc_member.sessions[i].journal.words->lost_destructive, 1, __ATOMIC_RELAXED);
}

/* A name that cannot be made out may have been the user's. */
static void count_lost(const struct fc_target *target) {
  if (target->lost) fc_record_lost();
}

/* What needs much room stands apart from what goes on to append, or to ask more: the stack may be small. */
#define APART __attribute__((noinline))

static APART int identify_without_handle(int dirfd, const char *path, struct fc_identity *identity, uint32_t *kind) {
  struct statx st;
  const int rc = fc_identity_take_first(dirfd, path, identity, &st);
  if (rc == 0) *kind = st.stx_mode & S_IFMT;
  return rc;
}

/* The identity of fd, or of path when fd is -1; with the kind of the object. Returns 0 or -errno. */
static APART int identify(int dirfd, const char *path, int fd, bool with_handle, struct fc_identity *identity,
                          uint32_t *kind) {
  const int at = fd >= 0 ? fd : dirfd;
  const char *const name = fd >= 0 ? "" : path;
  const int rc = identify_without_handle(at, name, identity, kind);
  if (rc == 0 && with_handle) identity->handle = fc_identity_handle(at, name);
  return rc;
}

/* Returns the time of the record. */
static APART int64_t append_created(const struct fc_target *target, const struct fc_identity *identity, bool is_dir) {
  const unsigned i = (unsigned)fc_target_innermost(target);
  struct fc_journal *const journal = &fc_member.sessions[i].journal;
  const struct fc_record record = {.type = FC_REC_CREATE,
                                   .flags = is_dir ? FC_REC_DIR : 0,
                                   .pid = fc_member_pid(),
                                   .time_ns = now(),
                                   .identity = identity,
                                   .path = fc_target_relative(target, i)};
  const int64_t index = fc_journal_append(journal, &record);
  if (index >= 0) hint_put(known, KNOWN_HINTS, hash_of(i, target));
  const uint32_t stride = fc_journal_stride(journal->capacity);
  if (index >= stride && (index & (stride - 1)) < stride / HURRY_PART) fc_sweeping_hurry(i);
  return record.time_ns;
}

static inline __attribute__((always_inline)) void created(struct fc_target *target, int dirfd, const char *path, int fd,
                                                          bool is_dir) {
  const int i = fc_target_innermost(target);
  struct fc_identity identity;
  uint32_t kind;
  /* Looked up by name it may be another object by now, whose kind at least must fit. */
  const int rc = identify(dirfd, path, fd, fc_member.sessions[i].journal.with_handle != 0, &identity, &kind);
  if (rc < 0 || (kind == S_IFDIR) != is_dir) {
    fc_target_close(target);
    return;
  }
  if (!__atomic_load_n(&fc_member_wiped()->told, __ATOMIC_RELAXED)) fc_member_introduce();
  const int64_t time_ns = append_created(target, &identity, is_dir);
  fc_target_close(target);
  fc_sweeping_consider((unsigned)i, time_ns);
}

void fc_record_created_target(struct fc_target *target, int dirfd, const char *path, int fd, bool is_dir) {
  FC_ASKING;
  if (fc_is_filtered()) /* without its identity nothing is tracked */
    fc_target_close(target);
  else
    created(target, dirfd, path, fd, is_dir);
}

void fc_record_created(int dirfd, const char *path, int fd, bool is_dir) {
  struct fc_target target;
  FC_ASKING;
  if (fc_is_filtered()) return;
  if (fc_target_open(&target, dirfd, path)) created(&target, dirfd, path, fd, is_dir);
}

void fc_record_nameless(int fd) {
  FC_ASKING;
  if (fc_is_filtered()) return;
  for (unsigned i = 0; i < fc_member.count; i++) {
    struct fc_session *s = &fc_member.sessions[i];
    struct fc_identity identity;
    uint32_t kind;
    if (identify(-1, "", fd, s->journal.with_handle != 0, &identity, &kind) < 0) return;
    if (identity.dev_major != s->header->base_identity.dev_major ||
        identity.dev_minor != s->header->base_identity.dev_minor)
      continue; /* it can never be linked beneath that base */
    const struct fc_record record = {
        .type = FC_REC_INODE, .pid = fc_member_pid(), .time_ns = now(), .identity = &identity};
    (void)fc_journal_append(&s->journal, &record); /* lost: a later link of it leaks */
  }
}

static APART void append_linked(const struct fc_target *target, const struct fc_identity *identity, int old_dirfd,
                                const char *old_path) {
  const unsigned i = (unsigned)fc_target_innermost(target);
  struct fc_target old_target;
  struct fc_record record = {.type = FC_REC_LINK,
                             .pid = fc_member_pid(),
                             .time_ns = now(),
                             .identity = identity,
                             .path = fc_target_relative(target, i)};
  if (fc_target_open(&old_target, old_dirfd, old_path) && (old_target.inside & (1u << i)))
    record.path2 = fc_target_relative(&old_target, i);
  (void)fc_journal_append(&fc_member.sessions[i].journal, &record); /* lost: the link leaks */
  fc_target_close(&old_target);
}

void fc_record_linked(int old_dirfd, const char *old_path, int new_dirfd, const char *new_path) {
  struct fc_target target;
  FC_ASKING;
  if (fc_is_filtered()) return;
  if (!fc_target_open(&target, new_dirfd, new_path)) return;
  const int i = fc_target_innermost(&target);
  struct fc_identity identity;
  uint32_t kind;
  if (identify(new_dirfd, new_path, -1, fc_member.sessions[i].journal.with_handle != 0, &identity, &kind) == 0)
    append_linked(&target, &identity, old_dirfd, old_path);
  fc_target_close(&target);
}

/* The call will meet the same error, and change nothing. Not so EACCES, which may be that of a filter. */
static bool will_fail(int rc) { return rc == -ENOENT || rc == -ENOTDIR || rc == -ELOOP || rc == -ENAMETOOLONG; }

/* Where there is nothing, nothing is emptied. */
static APART bool may_be_there(int dirfd, const char *path) {
  struct statx st;
  return fc_is_filtered() || !will_fail(fc_sys_statx(dirfd, path, 0, STATX_TYPE, &st));
}

static APART void used(const struct fc_target *target, int dirfd, const char *path, int fd, bool truncates) {
  struct fc_object object;
  bool asked = false;
  for (unsigned i = 0; i < fc_member.count; i++) {
    if (!(target->inside & (1u << i))) continue;
    const uint64_t hash = hash_of(i, target);
    const bool is_known = hint_has(known, KNOWN_HINTS, hash);
    if (!truncates && hint_has(reported, REPORTED_HINTS, hash)) continue;
    struct fc_record record = {
        .type = FC_REC_USED, .pid = fc_member_pid(), .time_ns = now(), .path = fc_target_relative(target, i)};
    if (truncates) {
      if (!asked) {
        const int rc = fd >= 0 ? fc_target_object(fd, "", false, false, any_with_handle(), &object)
                               : fc_target_object(dirfd, target->file ? target->file : path, true, !is_known,
                                                  any_with_handle(), &object);
        if (will_fail(rc)) break;
      }
      asked = true;
      record.flags = FC_REC_TRUNCATES | FC_REC_INFO;
      record.info = &object;
    }
    if (fc_journal_append(&fc_member.sessions[i].journal, &record) >= 0) hint_put(reported, REPORTED_HINTS, hash);
  }
}

void fc_record_used(int dirfd, const char *path, int fd, bool truncates) {
  struct fc_target target;
  FC_ASKING;
  if (!(truncates ? fc_target_open_emptied(&target, dirfd, path) : fc_target_open(&target, dirfd, path))) {
    if (truncates && target.lost && may_be_there(dirfd, path)) fc_record_lost();
    return;
  }
  used(&target, dirfd, path, fd, truncates);
  fc_target_close(&target);
}

static void begin(struct fc_pending *pending) {
  for (unsigned i = 0; i < FC_NEST_MAX; i++) pending->index[i] = -1;
  pending->any = false;
  pending->onto = false;
  pending->directory = false;
  pending->denied = false;
}

/* What is known of the object that a destructive call is aimed at, asked at most twice for all sessions. */
struct question {
  struct fc_object object;
  int answer;       /* 1 = not asked yet, else fc_target_object's */
  bool with_parent; /* the answer holds the parent's inode */
};

/* Puts the answer into record: a name that this process made itself needs no parent, so its identity fits the start
 * cell; another gets an info cell. False when there is nothing at the name. */
static inline __attribute__((always_inline)) bool describe(struct question *q, struct fc_record *record, int dirfd,
                                                           const char *path, bool is_known) {
  if (q->answer > 0 || (!is_known && !q->with_parent && q->answer == 0)) {
    q->answer = fc_target_object(dirfd, path, false, !is_known, any_with_handle(), &q->object);
    q->with_parent = !is_known;
  }
  if (will_fail(q->answer)) return false;
  if (is_known && q->answer == 0) {
    record->identity = &q->object.identity;
    record->extra = FC_EXTRA_SEEN | (q->object.has_data ? FC_EXTRA_HAS_DATA : 0);
  } else {
    record->flags |= FC_REC_INFO;
    record->info = &q->object;
  }
  return true;
}

static APART void removing(struct fc_pending *pending, const struct fc_target *target, int dirfd, const char *path) {
  struct question question = {.answer = 1};
  for (unsigned i = 0; i < fc_member.count; i++) {
    if (!(target->inside & (1u << i))) continue;
    const uint64_t hash = hash_of(i, target);
    struct fc_record record = {
        .type = FC_REC_UNLINK, .pid = fc_member_pid(), .time_ns = now(), .path = fc_target_relative(target, i)};
    const bool is_known = hint_has(known, KNOWN_HINTS, hash);
    if (!describe(&question, &record, dirfd, path, is_known)) break; /* the call will fail, or the name is new to all */
    pending->index[i] = fc_journal_append(&fc_member.sessions[i].journal, &record);
    hint_drop(known, KNOWN_HINTS, hash);
    hint_drop(reported, REPORTED_HINTS, hash);
  }
}

void fc_record_removing(struct fc_pending *pending, int dirfd, const char *path) {
  struct fc_target target;
  FC_ASKING;
  begin(pending);
  if (!fc_target_open_real(&target, dirfd, path)) {
    count_lost(&target);
    pending->denied = target.denied;
    return;
  }
  pending->any = true;
  removing(pending, &target, dirfd, path);
  fc_target_close(&target);
}

/* N6, once for each process and checkpoint: one that is taken for dead (other pid namespaces) would be forgotten. */
static void note_outside(void) {
  struct fc_wiped *wiped = fc_member_wiped();
  for (unsigned i = 0; i < fc_member.count; i++) {
    uint32_t since = __atomic_load_n(&fc_member.sessions[i].journal.words->head, __ATOMIC_ACQUIRE) + 1;
    if (since == 0) since = 1;
    if (__atomic_load_n(&wiped->outside[i], __ATOMIC_RELAXED) == since) continue;
    const struct fc_record record = {.type = FC_REC_OUTSIDE, .pid = fc_member_pid(), .time_ns = now()};
    (void)fc_journal_append(&fc_member.sessions[i].journal, &record);
    __atomic_store_n(&wiped->outside[i], since, __ATOMIC_RELAXED);
  }
}

static void complete(struct fc_pending *pending, enum fc_result result, const struct fc_object *target) {
  for (unsigned i = 0; i < fc_member.count; i++)
    fc_journal_complete(&fc_member.sessions[i].journal, pending->index[i], result, target);
}

void fc_record_removed(struct fc_pending *pending, bool succeeded) {
  FC_ASKING;
  complete(pending, succeeded ? FC_RESULT_DONE : FC_RESULT_FAILED, NULL);
  if (succeeded && pending->denied) fc_record_lost();
  if (succeeded && !pending->any) note_outside();
}

static APART void renaming(struct fc_pending *pending, const struct fc_target *from, const struct fc_target *to,
                           int old_dirfd, const char *old_path, bool exchange) {
  struct question question = {.answer = 1};
  for (unsigned i = 0; i < fc_member.count; i++) {
    const bool out = from->inside & (1u << i);
    const bool in = to->inside & (1u << i);
    if (!out && !in) continue;
    struct fc_record record = {.type = FC_REC_RENAME,
                               .flags = in ? FC_REC_TARGET : 0,
                               .pid = fc_member_pid(),
                               .time_ns = now(),
                               .path = fc_target_relative(out ? from : to, i)};
    if (out && in) {
      if (exchange) record.type = FC_REC_EXCHANGE;
      record.path2 = fc_target_relative(to, i);
    } else {
      record.type = out ? FC_REC_RENAME_OUT : FC_REC_RENAME_IN;
    }
    const bool is_known = out && !exchange && hint_has(known, KNOWN_HINTS, hash_of(i, from));
    if (out && !describe(&question, &record, old_dirfd, old_path, is_known)) break; /* nothing to rename */
    pending->directory = exchange || (out && (question.object.mode & S_IFMT) == S_IFDIR);
    pending->index[i] = fc_journal_append(&fc_member.sessions[i].journal, &record);
  }
}

void fc_record_renaming(struct fc_pending *pending, int old_dirfd, const char *old_path, int new_dirfd,
                        const char *new_path, bool exchange) {
  struct fc_target from;
  struct fc_target to;
  FC_ASKING;
  begin(pending);
  const bool from_inside = fc_target_open_real(&from, old_dirfd, old_path);
  const bool to_inside = fc_target_open_real(&to, new_dirfd, new_path);
  if (from_inside || to_inside) {
    pending->any = true;
    pending->onto = to_inside;
    renaming(pending, &from, &to, old_dirfd, old_path, exchange);
  }
  pending->denied = from.denied || to.denied;
  count_lost(&from); /* also when only one of the two could not be made out */
  count_lost(&to);
  fc_target_close(&to);
  fc_target_close(&from);
}

bool fc_record_target(int new_dirfd, const char *new_path, bool known_only, struct fc_object *out) {
  struct fc_target target;
  bool ours = false;
  FC_ASKING;
  if (fc_target_open(&target, new_dirfd, new_path)) {
    const int i = fc_target_innermost(&target);
    ours = hint_has(known, KNOWN_HINTS, hash_of((unsigned)i, &target));
  }
  fc_target_close(&target);
  memset(out, 0, sizeof *out);
  if (known_only && !ours) return false;
  /* Unknown = all zero = the user's. A name that we made ourselves cannot be reserved by its parent's inode. */
  if (fc_target_object(new_dirfd, new_path, false, !ours, any_with_handle(), out) == 0) return true;
  memset(out, 0, sizeof *out);
  return false;
}

void fc_record_renamed(struct fc_pending *pending, enum fc_result result, const struct fc_object *target, int old_dirfd,
                       const char *old_path, int new_dirfd, const char *new_path) {
  FC_ASKING;
  complete(pending, result, target);
  if (result != FC_RESULT_FAILED && pending->denied) fc_record_lost();
  if (result == FC_RESULT_FAILED || !pending->any) return;
  struct fc_target from;
  struct fc_target to;
  const bool from_inside = fc_target_open(&from, old_dirfd, old_path);
  const bool to_inside = fc_target_open(&to, new_dirfd, new_path);
  for (unsigned i = 0; i < fc_member.count; i++) {
    const bool out = from_inside && (from.inside & (1u << i));
    const bool in = to_inside && (to.inside & (1u << i));
    const uint64_t from_hash = out ? hash_of(i, &from) : 0;
    const uint64_t to_hash = in ? hash_of(i, &to) : 0;
    const bool was_known = out && hint_has(known, KNOWN_HINTS, from_hash);
    if (out) hint_drop(known, KNOWN_HINTS, from_hash);
    if (in) {
      const bool target_known = result == FC_RESULT_DONE || hint_has(known, KNOWN_HINTS, to_hash);
      hint_drop(known, KNOWN_HINTS, to_hash);
      if (was_known && target_known) hint_put(known, KNOWN_HINTS, to_hash);
    }
  }
  fc_target_close(&to);
  fc_target_close(&from);
  if (pending->directory) fc_target_cwd_changed(); /* this process may stand in it */
}

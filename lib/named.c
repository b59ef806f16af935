#include "named.h"

#include <string.h>

#include "arena.h"
#include "beneath.h"
#include "message.h"

#define NS_PER_S 1000000000
#define LOCK_TRIES 2000
#define LOCK_PAUSE_MS 5

bool fc_named_goes_on(const struct fc_session_header *h) {
  return h->name[0] && __atomic_load_n(&h->words.ended, __ATOMIC_SEQ_CST) == 0;
}

static bool is_of_this_boot(const struct fc_session_header *h) {
  uint8_t boot_id[16];
  return !fc_session_boot_id(boot_id) || memcmp(boot_id, h->boot_id, sizeof boot_id) == 0;
}

/* A manager's owner has gone, and its child is on the way. */
static bool is_abandoned(const struct fc_session_header *h, const struct fc_head_words *words) {
  const uint32_t since = __atomic_load_n(&words->abandoned_s, __ATOMIC_SEQ_CST);
  return since != 0 && is_of_this_boot(h) && fc_session_now_s() - since < FC_ABANDONED_S;
}

bool fc_named_is_dormant(const struct fc_session_header *h, const struct fc_head_words *words) {
  if (fc_session_is_managed(h)) return is_abandoned(h, words);
  if (!h->name[0] || __atomic_load_n(&words->ended, __ATOMIC_SEQ_CST) != 0) return false;
  if (!is_of_this_boot(h)) return false;
  if (h->policy.ttl_ns == FC_INFINITY_NS) return true;
  const int64_t idle_s = (int64_t)fc_session_now_s() - __atomic_load_n(&words->used_s, __ATOMIC_RELAXED);
  return idle_s <= h->policy.ttl_ns / NS_PER_S;
}

int fc_named_lock(int dirfd) {
  for (int i = 0;; i++) {
    const int rc = fc_sys_flock(dirfd, FC_LOCK_EX | FC_LOCK_NB);
    if (rc != -EWOULDBLOCK && rc != -EINTR) return rc;
    if (i == LOCK_TRIES) return -EBUSY; /* whoever holds it is stopped; a program must start all the same */
    fc_sys_pause(LOCK_PAUSE_MS);
  }
}

/* The one to join: not over, and not about to be reaped by somebody who may not see us. */
static bool is_open(int fd, const struct fc_session_header *h, const char *name, const char *base) {
  return strcmp(h->name, name) == 0 && strcmp(h->base, base) == 0 && h->words.state == FC_STATE_LIVE &&
         h->words.ended == 0 && (fc_named_is_dormant(h, &h->words) || fc_session_probe(fd, FC_BYTE_MEMBERS) != F_UNLCK);
}

static int join_one(struct fc_session *s, int dirfd, const char *file, const char *name, const char *base,
                    struct fc_session_header *header, char *scratch) {
  int fd;
  if (fc_session_open_file(dirfd, file, &fd, header) != FC_VERDICT_VALID) return -ENOENT;
  int rc = -ENOENT;
  if (is_open(fd, header, name, base)) {
    rc = fc_session_join_file(s, fd, header, scratch, NULL);
    if (rc == -ESTALE || rc == -EAGAIN || rc == -EACCES) rc = -ENOENT; /* it has ended meanwhile */
  }
  (void)fc_sys_close(fd);
  return rc;
}

int fc_named_find(struct fc_session *s, int dirfd, const char *name, const char *base) {
  int rc = fc_named_lock(dirfd);
  if (rc < 0) return rc;
  struct fc_arena arena = {0};
  char *buffer = fc_arena_alloc(&arena, FC_LIST_BYTES);
  char *scratch = fc_arena_alloc(&arena, FC_TOKEN_BYTES);
  struct fc_session_header *header = fc_arena_alloc(&arena, sizeof *header);
  rc = buffer && scratch && header ? -ENOENT : -ENOMEM;
  if (rc == -ENOENT) {
    struct fc_list list;
    struct fc_entry entry;
    int more;
    fc_list_begin(&list, dirfd, buffer);
    while (rc == -ENOENT && (more = fc_list_next(&list, &entry)) != 0) {
      if (more < 0)
        rc = more;
      else if (strncmp(entry.name, FC_SESSION_PREFIX, sizeof FC_SESSION_PREFIX - 1) == 0)
        rc = join_one(s, dirfd, entry.name, name, base, header, scratch);
    }
  }
  fc_arena_free(&arena);
  s->found = rc == 0;
  return rc;
}

static bool is_set(char *const *envp, const char *variable) {
  const size_t len = strlen(variable);
  for (char *const *e = envp; e && *e; e++)
    if (strncmp(*e, variable, len) == 0 && (*e)[len] == '=') return true;
  return false;
}

bool fc_named_differs(const struct fc_session *s, const struct fc_config *config, char *const *envp, char *message,
                      size_t message_size) {
  const struct fc_policy *const have = &s->header->policy;
  const struct fc_policy *const want = &config->policy;
  const struct {
    char variable[sizeof "FILECLEANUP_MAX_FILES"]; /* an array, so that no table of pointers is relocated */
    bool differs;
  } list[] = {
      {"FILECLEANUP_ON_EXIT", have->on_exit != want->on_exit},
      {"FILECLEANUP_KEEP", strcmp(have->keep, want->keep) != 0},
      {"FILECLEANUP_DIRS", have->dirs != want->dirs},
      {"FILECLEANUP_TRACK", have->track != want->track},
      {"FILECLEANUP_SCOPE", have->scope != want->scope},
      {"FILECLEANUP_TTL", have->ttl_ns != want->ttl_ns},
      {"FILECLEANUP_IN_USE", have->in_use != want->in_use},
      {"FILECLEANUP_MAX_BYTES", have->max_bytes != want->max_bytes},
      {"FILECLEANUP_MAX_FILES", have->max_files != want->max_files},
  };
  bool any = false;
  struct fc_message line = fc_message_start(message, message_size);
  fc_message_text(&line, "filecleanup: session ");
  fc_message_text(&line, s->header->name);
  fc_message_text(&line, " keeps the policy that it was made with; not followed:");
  for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
    if (!list[i].differs || !is_set(envp, list[i].variable)) continue;
    fc_message_char(&line, ' ');
    fc_message_text(&line, list[i].variable);
    any = true;
  }
  return any;
}

#include "survey.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "beneath.h"
#include "guardian.h"
#include "human.h"
#include "json.h"
#include "named.h"
#include "orphan.h"
#include "history.h"
#include "ownership.h"
#include "state.h"

extern char **environ;

#define NS_PER_S INT64_C(1000000000)
#define REPLAY_TRIES 8

const char *fc_survey_state_name(enum fc_found_state state) {
  static const char *const names[] = {"live", "ending", "orphan", "kept", "damaged", "foreign", "future", "unknown"};
  return names[state];
}

/* ---- one session ---- */

/* Who made a link to what is not the session's, or renamed something in: the rules need not know. */
static void remember_maker(struct fc_registry *registry, const struct fc_replayed *record) {
  const bool link = record->start.type == FC_REC_LINK;
  const bool moved_in = record->start.type == FC_REC_RENAME_IN && record->result != FC_RESULT_FAILED;
  struct fc_node *node = (link || moved_in) && record->path[0] ? fc_registry_find(registry, record->path, false) : NULL;
  if (!node || node->tracked) return;
  node->pid = record->start.pid;
  node->created = node->since = record->sequence;
  node->born_ns = record->start.time_ns;
}

static void remember_adoption(struct fc_found *found, uint64_t sequence) {
  if (found->adopted_count == found->adopted_room) {
    found->adopted_room = found->adopted_room * 2 + 16;
    uint64_t *grown = realloc(found->adopted, found->adopted_room * sizeof *grown);
    if (!grown) fc_verb_no_memory();
    found->adopted = grown;
  }
  found->adopted[found->adopted_count++] = sequence;
}

static void forget_replay(struct fc_found *found) {
  fc_registry_free(&found->registry);
  fc_roster_free(&found->roster);
  found->adopted_count = 0;
}

/* The whole journal, once. */
static enum fc_replay_step replay_once(struct fc_found *found, bool ended) {
  const struct fc_session_header *h = found->header;
  struct fc_replay replay;
  struct fc_replayed record;
  fc_roster_begin(&found->roster, h, found->other_boot);
  found->registry.leader_pid = h->leader_pid;
  found->registry.leader_status = -1;
  if (fc_replay_begin(&replay, &found->registry.arena, found->fd, h->key, h->capacity, ended) < 0)
    return FC_REPLAY_DAMAGED;
  enum fc_replay_step step;
  while ((step = fc_replay_next(&replay, &record)) == FC_REPLAY_RECORD && !found->registry.failed) {
    fc_roster_note(&found->roster, &record);
    fc_history_apply(&found->registry, &record);
    remember_maker(&found->registry, &record);
    if (record.start.type == FC_REC_ADOPT) remember_adoption(found, record.sequence);
  }
  found->torn = replay.torn;
  return step;
}

static void replay(struct fc_found *found) {
  const struct fc_session_header *h = found->header;
  const bool ended = found->state != FC_FOUND_LIVE && found->state != FC_FOUND_ENDING;
  /* What a checkpoint that was killed has left before the head is punched out by a reaper, and not by us who only look:
   * so what lies behind the end is not judged by us once there has been a checkpoint. */
  const bool whole = ended && !fc_journal_anchor(h->key, h->anchors);
  enum fc_replay_step step = FC_REPLAY_OVERTAKEN;
  for (int i = 0; i < REPLAY_TRIES && step == FC_REPLAY_OVERTAKEN; i++) {
    if (i > 0) forget_replay(found);
    step = replay_once(found, whole);
  }
  if (step == FC_REPLAY_OVERTAKEN || found->registry.failed) {
    found->detail = step == FC_REPLAY_OVERTAKEN ? "its journal is written faster than it can be read"
                                                : "its journal is too large for the memory that there is";
    return;
  }
  if (step == FC_REPLAY_DAMAGED) {
    found->state = FC_FOUND_DAMAGED;
    found->detail = "its journal is damaged";
    return;
  }
  found->replayed = true;
  if (h->words.lost_destructive) {
    found->detail = "incomplete: a removal could not be recorded";
    if (ended) found->state = FC_FOUND_DAMAGED;
  } else if (h->words.state == FC_STATE_CLOSED && h->policy.on_exit == FC_ON_EXIT_DELETE) {
    found->state = FC_FOUND_DAMAGED; /* when it was reaped */
    found->detail = "closed as damaged or incomplete";
  }
}

static void judge(struct fc_found *found) {
  static const uint8_t none[16];
  const struct fc_session_header *h = found->header;
  uint8_t boot_id[16];
  const bool known_boot = fc_session_boot_id(boot_id);
  found->other_boot =
      known_boot && memcmp(h->boot_id, none, sizeof none) != 0 && memcmp(h->boot_id, boot_id, sizeof none) != 0;
  const int members = fc_session_probe(found->fd, FC_BYTE_MEMBERS);
  if (h->words.state == FC_STATE_CLOSED)
    found->state = FC_FOUND_KEPT;
  else if (members == F_WRLCK)
    found->state = FC_FOUND_ENDING;
  else if (members == F_RDLCK)
    found->state = FC_FOUND_LIVE;
  else if (fc_orphan_is_dead(found->fd, h, boot_id, known_boot))
    found->state = FC_FOUND_ORPHAN;
  else
    found->state = FC_FOUND_UNKNOWN;
  replay(found);
  if (!found->replayed || found->other_boot) return;
  /* A process that was seen to exec and could hold no lock: no reaper acts while it lives. */
  unsigned alive = 0;
  unsigned arriving = 0;
  found->unseen = fc_ownership_unseen(&found->registry, &alive, &arriving);
  if (found->state != FC_FOUND_ORPHAN) return;
  const bool dormant = fc_named_is_dormant(h, &h->words);
  if (dormant) found->detail = "no process is left, but its name keeps it until it is ended, or unused for its TTL";
  if (alive || arriving || dormant)
    found->state = FC_FOUND_LIVE;
  else if (fc_session_probe(found->fd, FC_BYTE_GUARDIAN) != F_UNLCK)
    found->state = FC_FOUND_ENDING; /* its guardian is about to take it */
}

/* ---- the state directories ---- */

struct looking {
  struct fc_survey *survey;
  const struct fc_verb_options *options;
  char leaf[64]; /* of the base's subdirectory, "" = all */
  char *buffer;  /* for the directory of one base */
  struct fc_session_header *header;
};

static bool is_wanted(const struct looking *l, const char *leaf, const struct fc_session_header *header) {
  if (!l->survey->has_base || strcmp(leaf, l->leaf) == 0) return true;
  /* A base that was replaced, or is gone, is known by its name alone. */
  return header && (strcmp(header->base, l->survey->base) == 0 || strcmp(header->base, l->options->config.base) == 0 ||
                    (header->alias[0] && strcmp(header->alias, l->options->config.base) == 0));
}

static void add_session(struct looking *l, int dirfd, const char *dir, const char *leaf, const char *name) {
  static const char *const why[] = {[FC_VERDICT_FOREIGN] = "not a private file of this user",
                                    [FC_VERDICT_FUTURE] = "written by a later version",
                                    [FC_VERDICT_CORRUPT] = "damaged, or not a session"};
  static const enum fc_found_state states[] = {[FC_VERDICT_FOREIGN] = FC_FOUND_FOREIGN,
                                               [FC_VERDICT_FUTURE] = FC_FOUND_FUTURE,
                                               [FC_VERDICT_CORRUPT] = FC_FOUND_DAMAGED};
  const char *id = name + sizeof FC_SESSION_PREFIX - 1;
  if (l->options->session && strncmp(id, l->options->session, strlen(l->options->session)) != 0) return;
  int fd;
  const enum fc_verdict verdict = fc_session_open_file(dirfd, name, &fd, l->header);
  const bool valid = verdict == FC_VERDICT_VALID;
  if (verdict == FC_VERDICT_ABSENT || !is_wanted(l, leaf, valid ? l->header : NULL)) {
    if (valid) (void)close(fd);
    return;
  }
  struct fc_found *found = fc_verb_alloc(sizeof *found);
  (void)snprintf(found->id, sizeof found->id, "%s", id);
  found->dir = fc_verb_copy(dir, strlen(dir));
  char *with_slash = fc_verb_join(dir, "/");
  found->file = fc_verb_join(with_slash, name);
  free(with_slash);
  found->fd = valid ? fd : -1;
  if (valid) {
    found->header = fc_verb_alloc(sizeof *found->header);
    *found->header = *l->header;
    judge(found);
  } else {
    found->state = states[verdict];
    found->detail = why[verdict];
  }
  found->next = l->survey->first;
  l->survey->first = found;
  l->survey->count++;
}

static void look_at_base(struct looking *l, int top, const char *place, const char *leaf) {
  const int dirfd = fc_state_open_directory(top, leaf);
  if (dirfd < 0) return; /* a file, a link, or not ours: no session of ours is in there */
  char *with_slash = fc_verb_join(place, "/");
  char *dir = fc_verb_join(with_slash, leaf);
  struct fc_list list;
  struct fc_entry entry;
  fc_list_begin(&list, dirfd, l->buffer);
  while (fc_list_next(&list, &entry) == 1)
    if (strncmp(entry.name, FC_SESSION_PREFIX, sizeof FC_SESSION_PREFIX - 1) == 0)
      add_session(l, dirfd, dir, leaf, entry.name);
  free(dir);
  free(with_slash);
  (void)close(dirfd);
}

static void look_at_place(struct looking *l, const char *place) {
  const int top = fc_state_open_directory(AT_FDCWD, place);
  if (top < 0) {
    if (top == -EPERM || top == -EACCES) {
      char *shown = fc_human_name(place);
      fc_verb_say("%s: not a directory of yours alone (mode 0700): what is in there is ignored", shown);
      free(shown);
    }
    return;
  }
  char *buffer = fc_verb_alloc(FC_LIST_BYTES);
  struct fc_list list;
  struct fc_entry entry;
  fc_list_begin(&list, top, buffer);
  while (fc_list_next(&list, &entry) == 1)
    if (entry.name[0] != '.') look_at_base(l, top, place, entry.name);
  free(buffer);
  (void)close(top);
}

static int compare(const struct fc_found *a, const struct fc_found *b) {
  if (!a->header != !b->header) return a->header ? -1 : 1;
  int order = a->header ? strcmp(a->header->base, b->header->base) : strcmp(a->dir, b->dir);
  if (order == 0 && a->header && a->header->created_s != b->header->created_s)
    order = a->header->created_s < b->header->created_s ? -1 : 1;
  return order ? order : strcmp(a->id, b->id);
}

static int compare_places(const void *a, const void *b) {
  return compare(*(struct fc_found *const *)a, *(struct fc_found *const *)b);
}

static void sort(struct fc_survey *survey) {
  struct fc_found **all = fc_verb_alloc((survey->count + 1) * sizeof *all);
  size_t n = 0;
  for (struct fc_found *f = survey->first; f; f = f->next) all[n++] = f;
  qsort(all, n, sizeof *all, compare_places);
  struct fc_found **at = &survey->first;
  for (size_t i = 0; i < n; i++) {
    *at = all[i];
    at = &all[i]->next;
  }
  *at = NULL;
  free(all);
}

/* The base's canonical name, and the subdirectory that its sessions have. */
static int look_for_base(struct looking *l) {
  struct fc_survey *survey = l->survey;
  const struct fc_config *config = &l->options->config;
  survey->has_base = config->has_base;
  if (!config->has_base) return FC_EXIT_DONE;
  (void)snprintf(survey->base, sizeof survey->base, "%s", config->base);
  struct fc_identity identity;
  struct statx st;
  const int fd = open(config->base, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return FC_EXIT_DONE; /* its sessions may still be there */
  if (fd < 0 || fc_identity_take(fd, "", false, &identity, &st) < 0) {
    char *shown = fc_human_name(config->base);
    fc_verb_say("%s: %s", shown, strerror(errno));
    free(shown);
    return FC_EXIT_REFUSED;
  }
  char link[32];
  char real[PATH_MAX];
  (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t n = readlink(link, real, sizeof real - 1);
  (void)close(fd);
  if (n > 0) {
    real[n] = '\0';
    memcpy(survey->base, real, (size_t)n + 1);
  }
  survey->base_exists = true;
  fc_state_leaf(&identity, l->leaf, sizeof l->leaf);
  return FC_EXIT_DONE;
}

/* cron and init give no HOME; sessions are recorded beneath it all the same. */
static void find_home(void) {
  const char *home = getenv("HOME");
  if (home && home[0]) return;
  /* cppcheck-suppress getpwuidCalled ; the command has one thread here */
  const struct passwd *user = getpwuid(geteuid());
  if (user && user->pw_dir && setenv("HOME", user->pw_dir, 1) != 0) fc_verb_no_memory();
}

int fc_survey_take(struct fc_survey *survey, const struct fc_verb_options *options) {
  memset(survey, 0, sizeof *survey);
  struct looking looking = {.survey = survey, .options = options};
  const int rc = look_for_base(&looking);
  if (rc != FC_EXIT_DONE) return rc;
  /* An fd for each session. */
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
  }
  find_home();
  looking.buffer = fc_verb_alloc(FC_LIST_BYTES);
  looking.header = fc_verb_alloc(sizeof *looking.header);
  char place[PATH_MAX];
  for (unsigned i = 0; fc_state_place(i, &options->config, environ, place, sizeof place); i++)
    if (place[0]) look_at_place(&looking, place);
  free(looking.buffer);
  free(looking.header);
  sort(survey);
  return FC_EXIT_DONE;
}

void fc_survey_free(struct fc_survey *survey) {
  for (struct fc_found *found = survey->first; found;) {
    struct fc_found *next = found->next;
    fc_registry_free(&found->registry);
    fc_roster_free(&found->roster);
    if (found->fd >= 0) (void)close(found->fd);
    free(found->adopted);
    free(found->header);
    free(found->dir);
    free(found->file);
    free(found);
    found = next;
  }
  memset(survey, 0, sizeof *survey);
}

/* ---- times and the guardian ---- */

int64_t fc_survey_wall_s(const struct fc_found *found, int64_t boottime_ns) {
  struct timespec now;
  if (found->other_boot || boottime_ns <= 0 || clock_gettime(CLOCK_REALTIME, &now) != 0) return FC_JSON_NEVER;
  const int64_t now_ns = (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
  return (now_ns - (fc_sys_boottime() - boottime_ns)) / NS_PER_S;
}

static int compare_sequences(const void *a, const void *b) {
  const uint64_t x = *(const uint64_t *)a;
  const uint64_t y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

bool fc_survey_is_adopted(const struct fc_found *found, uint64_t sequence) {
  return found->adopted_count &&
         bsearch(&sequence, found->adopted, found->adopted_count, sizeof sequence, compare_sequences);
}

bool fc_survey_has_sweeper(const struct fc_found *found) {
  return found->state == FC_FOUND_LIVE && fc_session_probe(found->fd, FC_BYTE_SWEEPER) != F_UNLCK;
}

uint32_t fc_survey_guardian(const struct fc_found *found) {
  struct statx st;
  if (found->fd < 0 || fc_session_probe(found->fd, FC_BYTE_GUARDIAN) == F_UNLCK ||
      fc_sys_statx(found->fd, "", AT_EMPTY_PATH, STATX_INO, &st) < 0)
    return 0;
  struct fc_roster_process *list;
  const size_t count = fc_roster_users(st.stx_ino, st.stx_dev_major, st.stx_dev_minor, FC_GUARDIAN_NAME, &list);
  const uint32_t pid = count ? list[0].pid : 0;
  free(list);
  return pid;
}

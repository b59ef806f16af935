#include "end.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "beneath.h"
#include "config.h"
#include "ending.h"
#include "holders.h"
#include "leftovers.h"
#include "message.h"
#include "named.h"
#include "state.h"

#define HOLDERS_SHOWN 8

enum { DONE = 0, NOT_DONE = 1, USAGE = 2, BAD_CONFIGURATION = 65, BUSY = 75, BASE_REFUSED = 77 };

extern char **environ;

struct request {
  const char *name;
  const char *base; /* as given */
  bool dry_run;
  bool verbose;
  bool quiet;
};

/* The session file in hand. */
struct found {
  int dirfd;
  int fd;
  char dir[PATH_MAX];
  char file[64];
  struct fc_session_header header;
  struct fc_journal journal; /* its first window, for the words */
};

static void usage(FILE *out) {
  (void)fputs("Usage: filecleanup end [OPTION]... NAME\n"
              "End the session NAME of a base (filecleanup-run --session NAME) and remove what\n"
              "it has created; while somebody still uses it, the last one out does. NAME can\n"
              "also be the id of a session that was kept by its policy: then what it kept is\n"
              "removed.\n\n"
              "  --base=DIR      the base [FILECLEANUP_BASE_DIR]\n"
              "  -n, --dry-run   only say what would be removed\n"
              "  -v, --verbose   say more\n"
              "  -q, --quiet     say nothing but errors\n"
              "  --help\n\n"
              "Exit status: 0 done, 1 not everything could be removed or there is no such\n"
              "session, 2 usage, 65 bad configuration, 75 still in use, 77 base refused.\n",
              out);
}

static const char *plural(unsigned long long count) { return count == 1 ? "" : "s"; }

/* How well the file fits what was asked for; 0 = not at all. A session that goes on is meant rather than one that ended
 * before and bears the same name. */
static int rank(const struct fc_session_header *h, const char *name) {
  if (strcmp(h->id, name) == 0) return 3;
  if (strcmp(h->name, name) != 0 || h->words.state == FC_STATE_CLOSED) return 0; /* kept: it takes the id to delete */
  return h->words.ended ? 1 : 2;
}

static void forget(struct found *found) {
  if (found->fd >= 0) (void)close(found->fd);
  found->fd = -1;
}

/* The best session of one state directory, which stays open and locked. */
static bool find_in(struct found *found, const char *name) {
  static struct fc_session_header header;
  static char buffer[FC_LIST_BYTES];
  struct fc_list list;
  struct fc_entry entry;
  int best = 0;
  fc_list_begin(&list, found->dirfd, buffer);
  while (fc_list_next(&list, &entry) == 1) {
    int fd;
    if (strncmp(entry.name, FC_SESSION_PREFIX, sizeof FC_SESSION_PREFIX - 1) != 0) continue;
    if (strlen(entry.name) >= sizeof found->file) continue;
    if (fc_session_open_file(found->dirfd, entry.name, &fd, &header) != FC_VERDICT_VALID) continue;
    const int fits = rank(&header, name);
    if (fits <= best) {
      (void)close(fd);
      continue;
    }
    best = fits;
    forget(found);
    found->fd = fd;
    found->header = header;
    memcpy(found->file, entry.name, strlen(entry.name) + 1);
  }
  return best > 0;
}

/* Looks in each place where the session can have been made. DONE, or an exit status. */
static int find(struct found *found, const struct fc_config *config, const struct fc_identity *base, const char *name) {
  char place[PATH_MAX];
  for (unsigned i = 0; fc_state_place(i, config, environ, place, sizeof place); i++) {
    if (!place[0]) continue;
    found->dirfd = fc_state_open(place, base, false, found->dir, sizeof found->dir);
    if (found->dirfd < 0) continue;
    if (fc_named_lock(found->dirfd) < 0) {
      (void)fprintf(stderr, "filecleanup: %s is locked by somebody else\n", found->dir);
      return BUSY;
    }
    if (find_in(found, name)) return DONE;
    (void)close(found->dirfd);
  }
  found->dirfd = -1;
  return NOT_DONE;
}

static void print_leftover(void *context, const char *path, bool is_dir) {
  const struct found *const found = context;
  (void)printf("%s/%s%s\n", found->header.base, path, is_dir ? "/" : "");
}

static int dry_run(struct found *found, const struct request *request) {
  const long count = fc_leftovers_find(found->fd, &found->header, request->quiet ? NULL : print_leftover, found);
  if (count == -EBADMSG || found->header.words.lost_destructive) {
    (void)fprintf(stderr, "filecleanup: session %s is damaged or incomplete: nothing of it would be removed\n",
                  request->name);
    return NOT_DONE;
  }
  if (count < 0) {
    (void)fprintf(stderr, "filecleanup: session %s: %s\n", request->name, strerror((int)-count));
    return NOT_DONE;
  }
  if (!request->quiet) (void)printf("%ld name%s would be removed\n", count, plural((unsigned long long)count));
  return DONE;
}

static int say_held(const struct found *found, const struct request *request) {
  struct fc_holder holders[HOLDERS_SHOWN];
  const size_t count = fc_holders_find(&found->header, holders, HOLDERS_SHOWN);
  if (request->quiet) return BUSY;
  (void)fprintf(stderr, "filecleanup: session %s is still used", request->name);
  for (size_t i = 0; i < count; i++)
    (void)fprintf(stderr, "%s%d (%s)", i ? ", " : " by ", (int)holders[i].pid, holders[i].program);
  (void)fprintf(stderr, "%s; the last one out cleans up\n", count == HOLDERS_SHOWN ? " and perhaps more" : "");
  return BUSY;
}

static int say_reaped(const struct found *found, const struct request *request, enum fc_end_outcome outcome,
                      const struct fc_reap_result *result) {
  const char *name = request->name;
  switch (outcome) {
  case FC_END_DONE:
  case FC_END_DEFERRED:
    if (!request->quiet)
      (void)printf("filecleanup: session %s: removed %llu file%s, %llu director%s\n", name, result->files,
                   plural(result->files), result->dirs, result->dirs == 1 ? "y" : "ies");
    if (request->verbose)
      (void)printf("filecleanup: session %s: kept %llu, replaced by others %llu, put back %llu, handed to other "
                   "sessions %llu, in use %llu, failed %llu\n",
                   name, result->kept, result->replaced, result->restored, result->adopted, result->in_use,
                   result->failed);
    if (outcome == FC_END_DONE) return DONE;
    (void)fprintf(stderr,
                  "filecleanup: session %s: %llu could not be removed, %llu are in use; the next start tries again\n",
                  name, result->failed, result->in_use);
    return result->failed ? NOT_DONE : BUSY;
  case FC_END_CLOSED:
    if (result->damaged) {
      (void)unlinkat(found->dirfd, found->file, 0);
      (void)fprintf(
          stderr,
          "filecleanup: session %s is damaged or incomplete: nothing of it was removed; its record is dropped\n", name);
      return NOT_DONE;
    }
    if (!request->quiet)
      (void)printf(
          "filecleanup: session %s has ended; its policy keeps what it made; 'filecleanup end %s' removes it\n", name,
          found->header.id);
    return DONE;
  case FC_END_WAIT:
  case FC_END_SOON:
    return say_held(found, request);
  case FC_END_DORMANT:
  case FC_END_FAILED:
    break;
  }
  (void)fprintf(stderr, "filecleanup: session %s cannot be ended now; the next start tries again\n", name);
  return NOT_DONE;
}

static int end_session(struct found *found, const struct request *request) {
  struct fc_head_words *const words = found->journal.words;
  const bool kept = found->header.words.state == FC_STATE_CLOSED;
  if (request->dry_run) {
    if (fc_session_probe(found->fd, FC_BYTE_MEMBERS) != F_UNLCK) return say_held(found, request);
    return dry_run(found, request);
  }
  /* First the word, then the question: whoever leaves asks in the other order, so one of the two reaps. */
  if (kept || found->header.name[0]) __atomic_store_n(&words->ended, kept ? FC_ENDED_KEPT : FC_ENDED, __ATOMIC_SEQ_CST);
  (void)fc_sys_flock(found->dirfd, FC_LOCK_UN); /* from now on it is not found by who would join */
  if (fc_sys_lock(found->fd, FC_F_OFD_SETLK, F_WRLCK, FC_BYTE_MEMBERS, NULL) < 0) return say_held(found, request);
  struct statx st;
  if (fc_sys_statx(found->fd, "", AT_EMPTY_PATH, STATX_NLINK, &st) < 0 || st.stx_nlink == 0)
    return DONE; /* its last process has reaped it just now */
  struct fc_reap_result result;
  const enum fc_end_outcome outcome =
      fc_ending_run(found->dirfd, found->file, found->fd, &found->header, FC_INFINITY_NS, NULL, &result);
  return say_reaped(found, request, outcome, &result);
}

static int parse(struct request *request, int argc, char **argv) {
  enum { BASE = 256, HELP };
  static const struct option options[] = {{"base", required_argument, NULL, BASE}, {"dry-run", no_argument, NULL, 'n'},
                                          {"verbose", no_argument, NULL, 'v'},     {"quiet", no_argument, NULL, 'q'},
                                          {"help", no_argument, NULL, HELP},       {NULL, 0, NULL, 0}};
  static char name[] = "filecleanup end"; /* what getopt puts before its messages */
  argv[0] = name;
  int c;
  while ((c = getopt_long(argc, argv, "nvqh", options, NULL)) != -1) {
    switch (c) {
    case BASE:
      if (setenv("FILECLEANUP_BASE_DIR", optarg, 1) != 0) return USAGE;
      break;
    case 'n':
      request->dry_run = true;
      break;
    case 'v':
      request->verbose = true;
      break;
    case 'q':
      request->quiet = true;
      break;
    case 'h':
    case HELP:
      usage(stdout);
      return -1;
    default:
      (void)fputs("Try 'filecleanup end --help' for more information.\n", stderr);
      return USAGE;
    }
  }
  request->base = getenv("FILECLEANUP_BASE_DIR");
  const char *missing = optind != argc - 1 ? "give the NAME of one session" : NULL;
  if (!missing && (!request->base || !request->base[0])) missing = "give the base (--base DIR)";
  if (missing) {
    (void)fprintf(stderr, "filecleanup end: %s\nTry 'filecleanup end --help' for more information.\n", missing);
    return USAGE;
  }
  request->name = argv[optind];
  if (!fc_config_is_session_name(request->name)) {
    (void)fputs("filecleanup end: NAME is 1 to 64 letters, digits, - _ or . (not first)\n", stderr);
    return USAGE;
  }
  return DONE;
}

static int no_session(const struct request *request) {
  (void)fprintf(stderr, "filecleanup: no session %s under %s\n", request->name, request->base);
  return NOT_DONE;
}

/* The base's identity names its state directory. DONE, or an exit status. */
static int look_at_base(const struct request *request, struct fc_config *config, struct fc_identity *identity) {
  char message[FC_MESSAGE_MAX];
  const int fd = open(config->base, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return no_session(request);
  char *real = realpath(config->base, NULL);
  struct statx st;
  /* One that was accepted when the session was made may contain the working directory now. */
  config->policy.trust_base = 1;
  int status = DONE;
  if (!real || fc_identity_take(fd, "", false, identity, &st) < 0) {
    status = no_session(request);
  } else if (fc_config_check_base(config, fd, real, environ, NULL, message, sizeof message) != 0) {
    (void)fprintf(stderr, "%s\n", message);
    status = BASE_REFUSED;
  }
  free(real);
  (void)close(fd);
  return status;
}

/* Under LD_PRELOAD of the shim this process is itself a member of what it shall end. By the raw system call: the hook
 * would hand the membership over. */
static void become_nobody(char **argv) {
  const char *preload = getenv("LD_PRELOAD");
  char self[PATH_MAX];
  const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n <= 0 || !preload || !strstr(preload, "libfilecleanup_preload") || unsetenv("LD_PRELOAD") != 0) return;
  self[n] = '\0';
  (void)FC_SYS3(SYS_execve, self, argv - 1, environ); /* failed: then it says that somebody uses the session */
}

int fc_end_main(int argc, char **argv) {
  static struct request request;
  static struct fc_config config;
  static struct found found = {.dirfd = -1, .fd = -1};
  struct fc_identity base;
  char message[FC_MESSAGE_MAX];
  become_nobody(argv);
  int status = parse(&request, argc, argv);
  if (status != DONE) return status < 0 ? DONE : status;
  (void)unsetenv("FILECLEANUP_SESSION"); /* what we are in ourselves does not matter here */
  (void)unsetenv("FILECLEANUP_DISABLE");
  if (fc_config_parse(&config, environ, message, sizeof message) != 0) {
    (void)fprintf(stderr, "%s\n", message);
    return BAD_CONFIGURATION;
  }
  status = look_at_base(&request, &config, &base);
  if (status == DONE) {
    status = find(&found, &config, &base, request.name);
    if (status == NOT_DONE) return no_session(&request);
  }
  if (status != DONE) return status;
  if (fc_session_map(found.fd, &found.header, &found.journal) < 0) return NOT_DONE;
  status = end_session(&found, &request);
  (void)fc_sys_munmap(found.journal.first, FC_FIRST_WINDOW_BYTES);
  (void)close(found.fd);
  (void)close(found.dirfd);
  (void)rmdir(found.dir); /* only when no session of this base is left */
  return status;
}

/* keep: `filecleanup keep PATH...` and `filecleanup untrack PATH...`, from outside, in sessions that are not over.
 *
 * Both write a record into the journal of every session whose base contains the path; whoever sweeps or reaps reads it
 * before and after each removal. keep: the name is the user's until the session ends, whatever is made there later.
 * untrack: what stands there now, and below it, is not the session's any more.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "departure.h"
#include "human.h"
#include "json.h"
#include "operand.h"
#include "survey.h"
#include "verb.h"

enum answer { TOLD, NO_SESSION, NOT_BENEATH, FAILED };

/* Nobody is left, and the last one out saw our lock and left it to us. */
static void end_for_the_last(const struct fc_found *found, const char *name) {
  if (found->state != FC_FOUND_LIVE || fc_session_probe(found->fd, FC_BYTE_MEMBERS) != F_UNLCK ||
      fc_session_probe(found->fd, FC_BYTE_GUARDIAN) != F_UNLCK)
    return;
  const int dirfd = open(found->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (dirfd < 0) return;
  (void)fc_departure_try(dirfd, name, found->fd, found->header, FC_INFINITY_NS);
  (void)close(dirfd);
}

/* Writes the record. A reaper reads the journal once, with the members' lock held exclusively, and says afterwards that
 * it has begun: so the lock is shared with it, or what is told here could come too late and be called done. False when
 * the session is ending, or has no room. */
static bool tell(const struct fc_found *found, enum fc_record_type type, const char *relative) {
  struct fc_journal journal = {0};
  struct statx st;
  if (fc_sys_lock(found->fd, FC_F_OFD_SETLK, F_RDLCK, FC_BYTE_MEMBERS, NULL) < 0) return false;
  bool fine = fc_sys_statx(found->fd, "", AT_EMPTY_PATH, STATX_NLINK, &st) == 0 && st.stx_nlink > 0 &&
              fc_session_map(found->fd, found->header, &journal) == 0;
  if (fine) {
    const struct fc_record record = {.type = type,
                                     .pid = (uint32_t)getpid(),
                                     .time_ns = fc_sys_boottime(),
                                     .path = {NULL, 0, relative, strlen(relative)}};
    fine = __atomic_load_n(&journal.words->state, __ATOMIC_ACQUIRE) == FC_STATE_LIVE &&
           fc_journal_append(&journal, &record) >= 0;
    fc_journal_unmap(&journal);
  }
  (void)fc_sys_lock(found->fd, FC_F_OFD_SETLK, F_UNLCK, FC_BYTE_MEMBERS, NULL);
  end_for_the_last(found, strrchr(found->file, '/') + 1);
  return fine;
}

static enum answer tell_all(const struct fc_survey *survey, enum fc_record_type type, const char *path, bool dry,
                            unsigned *sessions) {
  enum answer answer = NOT_BENEATH;
  unsigned failed = 0;
  *sessions = 0;
  for (const struct fc_found *found = survey->first; found; found = found->next) {
    if (!found->header) continue;
    const char *relative = fc_operand_beneath(path, found->header->base);
    if (!relative) relative = fc_operand_beneath(path, found->header->alias);
    if (!relative || !relative[0]) continue;
    if (answer == NOT_BENEATH) answer = NO_SESSION;
    if (found->state != FC_FOUND_LIVE && found->state != FC_FOUND_ORPHAN) continue;
    *(dry || tell(found, type, relative) ? sessions : &failed) += 1;
  }
  if (failed) return FAILED;
  return *sessions ? TOLD : answer;
}

static int run(const struct fc_verb_options *options, enum fc_record_type type, const char *verb) {
  static const char *const failures[] = {
      [NO_SESSION] = "no session of its base is under way: nothing will remove it",
      [NOT_BENEATH] = "not beneath a base of yours",
      [FAILED] = "its session is ending, or its journal is full: it could not be told",
  };
  struct fc_survey survey;
  int status = fc_survey_take(&survey, options);
  if (status != FC_EXIT_DONE) return status;
  json_t *root = options->json ? fc_json_begin(verb) : NULL;
  json_t *paths = options->json ? json_array() : NULL;
  for (char *const *given = options->operands; *given; given++) {
    int error = 0;
    unsigned sessions;
    char *path = fc_operand_canonical(*given, &error);
    const enum answer answer = tell_all(&survey, type, path, options->dry_run, &sessions);
    char *shown = fc_human_name(path);
    if (answer != TOLD) {
      status = FC_EXIT_SOME_FAILED;
      fc_verb_say("%s: %s", shown, failures[answer]);
    } else if (!options->json && !options->quiet) {
      (void)printf("%s%s: %s\n", options->dry_run ? "would be " : "", type == FC_REC_KEEP ? "kept" : "untracked",
                   shown);
    }
    if (options->json) {
      json_t *one = json_object();
      if (!one) fc_verb_no_memory();
      fc_json_name(one, "path", path);
      fc_json_set(one, "done", json_boolean(answer == TOLD));
      fc_json_number(one, "sessions", sessions);
      fc_json_text(one, "error", answer == TOLD ? NULL : failures[answer]);
      fc_json_add(paths, one);
    }
    free(shown);
    free(path);
  }
  if (root) {
    fc_json_set(root, "dry_run", json_boolean(options->dry_run));
    fc_json_set(root, "paths", paths);
    if (!fc_json_end(root, false)) status = FC_EXIT_SOME_FAILED;
  }
  fc_survey_free(&survey);
  return status;
}

static int run_keep(const struct fc_verb *verb, const struct fc_verb_options *options) {
  return run(options, FC_REC_KEEP, verb->name);
}
static int run_untrack(const struct fc_verb *verb, const struct fc_verb_options *options) {
  return run(options, FC_REC_UNTRACK, verb->name);
}

#define TAKES (FC_OPTION_BASE | FC_OPTION_JSON | FC_OPTION_VERBOSE | FC_OPTION_SESSION | FC_OPTION_DRY_RUN)

const struct fc_verb fc_verb_keep = {
    .name = "keep",
    .summary = "Keep names of a session that is under way",
    .operands = " PATH...",
    .help = "Tells every session whose base contains PATH that this name, and with a\n"
            "directory what is in it, is yours until the session ends: neither a sweep nor\n"
            "the end removes it, nor what is made there later. Status 1: a path could not be\n"
            "kept.\n",
    .options = TAKES,
    .run = run_keep,
};

const struct fc_verb fc_verb_untrack = {
    .name = "untrack",
    .summary = "Take names away from the session that made them",
    .operands = " PATH...",
    .help = "Tells every session whose base contains PATH that what stands there now, and\n"
            "with a directory what is in it, is not its own any more. What the session makes\n"
            "there later is tracked again. Status 1: a path could not be untracked.\n",
    .options = TAKES,
    .run = run_untrack,
};

/* account: the story of one name in one session, for people and programs.
 *
 * Responsible for: putting a judgement together with who made the name and when, and walking all names of a session in
 * order. Must never: judge (judgement.h).
 */
#ifndef FC_ACCOUNT_H
#define FC_ACCOUNT_H

#include <jansson.h>

#include "judgement.h"

struct fc_account {
  struct fc_found *found;
  struct fc_judgement judgement;
  char *path;   /* absolute, owned */
  char *detail; /* owned, or NULL: the judgement's own lives in the judge */
  bool has_creator;
  struct fc_roster_process creator;
  int64_t created_s; /* FC_JSON_NEVER = unknown */
  int64_t expires_s; /* from when on a sweep may remove it; FC_JSON_NEVER = it may not */
};

struct fc_accounts {
  struct fc_account *list;
  size_t count;
  size_t room;
};

/* Of one path beneath the base of judge's session, "" = the base. */
void fc_account_of_path(struct fc_judge *judge, const char *relative, struct fc_account *out);

/* Adds an account of every name that the session's records tell of and that exists, tracked or (when asked) not. */
void fc_accounts_collect(struct fc_accounts *accounts, struct fc_judge *judge, bool untracked_too);

/* By path, then by session. */
void fc_accounts_sort(struct fc_accounts *accounts);
void fc_accounts_free(struct fc_accounts *accounts);
void fc_account_free(struct fc_account *account);

/* The object that json.h describes under `list`. */
json_t *fc_account_json(const struct fc_account *account);

/* Why it is as it is, in one sentence (free); and "file", "dir" ... or NULL when it does not exist. */
char *fc_account_because(const struct fc_account *account);
const char *fc_account_type(const struct fc_account *account);

/* Why nothing of this session is deleted whatever the name, or NULL. */
const char *fc_account_session_keeps(const struct fc_found *found);

/* PROCESS of json.h; NULL = null. */
json_t *fc_account_process_json(const struct fc_roster_process *process);

#endif

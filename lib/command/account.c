#include "account.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "sweeper.h"

#define PATH_BYTES 16384

/* Whom a record names as the one who made what is told of here. */
static bool tells_creator(enum fc_reason reason) {
  switch (reason) {
  case FC_REASON_BASE:
  case FC_REASON_QUARANTINE:
  case FC_REASON_NO_RECORD:
  case FC_REASON_RESERVED:
  case FC_REASON_USERS:
    return false;
  default:
    return true;
  }
}

/* As the sweeper tells age, for what stands there now. Directories go when they are empty. */
static int64_t expiry(const struct fc_found *found, const struct fc_judgement *what) {
  const struct fc_policy *p = &found->header->policy;
  const bool sweepable = what->tracked && what->exists && found->state == FC_FOUND_LIVE && !found->other_boot;
  const uint16_t type = what->st.stx_mode & S_IFMT;
  if (!sweepable || !fc_sweeper_is_wanted(p) || p->ttl_ns == FC_INFINITY_NS || (type != S_IFREG && type != S_IFDIR) ||
      what->reason == FC_REASON_KEEP || what->reason == FC_REASON_DIRS_KEEP)
    return FC_JSON_NEVER;
  const int64_t born_s = fc_survey_wall_s(found, what->node->born_ns);
  int64_t young_s = what->st.stx_mtime.tv_sec;
  if (p->age_by == FC_AGE_BY_NEWEST) {
    const int64_t times[] = {what->st.stx_ctime.tv_sec, what->st.stx_atime.tv_sec, born_s};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
      if (times[i] > young_s) young_s = times[i];
  }
  return young_s + p->ttl_ns / 1000000000;
}

static void fill(struct fc_account *out, struct fc_judge *judge, const char *relative) {
  const struct fc_found *found = judge->found;
  const struct fc_node *node = out->judgement.node;
  out->found = judge->found;
  char *base = fc_verb_join(found->header->base, relative[0] ? "/" : "");
  out->path = fc_verb_join(base, relative);
  free(base);
  out->detail = out->judgement.detail ? fc_verb_copy(out->judgement.detail, strlen(out->judgement.detail)) : NULL;
  out->judgement.detail = out->detail;
  out->created_s = FC_JSON_NEVER;
  out->expires_s = expiry(found, &out->judgement);
  out->has_creator = node && node->pid && tells_creator(out->judgement.reason);
  if (!out->has_creator) return;
  fc_roster_process_at(&found->roster, node->pid, node->created, &out->creator);
  out->created_s = fc_survey_wall_s(found, node->born_ns);
  /* Its maker's session has ended, and its records with it. */
  out->has_creator = !fc_survey_is_adopted(found, node->created);
}

void fc_account_of_path(struct fc_judge *judge, const char *relative, struct fc_account *out) {
  memset(out, 0, sizeof *out);
  fc_judge_path(judge, relative, &out->judgement);
  fill(out, judge, relative);
}

void fc_accounts_collect(struct fc_accounts *accounts, struct fc_judge *judge, bool untracked_too) {
  struct fc_node *const root = &judge->found->registry.root;
  char *path = fc_verb_alloc(PATH_BYTES);
  for (struct fc_node *n = fc_registry_postorder(root, NULL); n; n = fc_registry_postorder(root, n)) {
    if (!n->parent || (!n->tracked && (!untracked_too || !n->why))) continue;
    if (fc_registry_path(n, path, PATH_BYTES) == 0) continue;
    struct fc_account account = {0};
    fc_judge_node(judge, n, path, &account.judgement);
    const bool failed = account.judgement.reason == FC_REASON_FAILED;
    if (!account.judgement.exists && !failed) continue;
    if (!account.judgement.tracked && !untracked_too && !failed) continue;
    fill(&account, judge, path);
    if (accounts->count == accounts->room) {
      accounts->room = accounts->room * 2 + 64;
      struct fc_account *grown = realloc(accounts->list, accounts->room * sizeof *grown);
      if (!grown) fc_verb_no_memory();
      accounts->list = grown;
    }
    accounts->list[accounts->count++] = account;
  }
  free(path);
}

static int compare(const void *a, const void *b) {
  const struct fc_account *x = a;
  const struct fc_account *y = b;
  const int order = strcmp(x->path, y->path);
  return order ? order : strcmp(x->found->id, y->found->id);
}

void fc_accounts_sort(struct fc_accounts *accounts) {
  if (accounts->count) qsort(accounts->list, accounts->count, sizeof *accounts->list, compare);
}

void fc_account_free(struct fc_account *account) {
  free(account->path);
  free(account->detail);
}

void fc_accounts_free(struct fc_accounts *accounts) {
  for (size_t i = 0; i < accounts->count; i++) fc_account_free(&accounts->list[i]);
  free(accounts->list);
  memset(accounts, 0, sizeof *accounts);
}

const char *fc_account_type(const struct fc_account *account) {
  if (!account->judgement.exists) return NULL;
  switch (account->judgement.st.stx_mode & S_IFMT) {
  case S_IFREG:
    return "file";
  case S_IFDIR:
    return "dir";
  case S_IFLNK:
    return "link";
  case S_IFIFO:
    return "fifo";
  case S_IFSOCK:
    return "socket";
  default:
    return "device";
  }
}

const char *fc_account_session_keeps(const struct fc_found *found) {
  const struct fc_session_header *h = found->header;
  switch (found->state) {
  case FC_FOUND_DAMAGED:
    return "its session is damaged or incomplete, and proves nothing";
  case FC_FOUND_FOREIGN:
  case FC_FOUND_FUTURE:
    return "its session cannot be read";
  case FC_FOUND_KEPT:
    return "its session has ended and keeps what it made";
  case FC_FOUND_UNKNOWN:
    return "its session may be alive on another machine";
  default:
    break;
  }
  if (h->words.lost_destructive) return "its session is incomplete: a removal could not be recorded";
  if (found->other_boot && fc_base_is_volatile(h->fs_type)) return "its file system has been started anew since";
  if (h->policy.on_exit == FC_ON_EXIT_KEEP) return "its session keeps what it makes (on exit: keep)";
  if (h->policy.on_exit == FC_ON_EXIT_REPORT) return "its session only reports what it makes (on exit: report)";
  if (h->policy.on_exit == FC_ON_EXIT_KEEP_ON_FAILURE && found->state != FC_FOUND_LIVE &&
      found->registry.leader_status != 0)
    return "its session failed, and keeps what it made (on exit: keep-on-failure)";
  return NULL;
}

char *fc_account_because(const struct fc_account *account) {
  const enum fc_reason reason = account->judgement.reason;
  const char *rule = fc_reason_rule(reason);
  const char *text = fc_reason_text(reason);
  const char *keeps = account->judgement.tracked ? fc_account_session_keeps(account->found) : NULL;
  char *out = NULL;
  const int n = asprintf(&out, "%s%s%s%s%s%s%s", rule ? rule : "", rule ? ": " : "", text, account->detail ? ": " : "",
                         account->detail ? account->detail : "", keeps ? "; but " : "", keeps ? keeps : "");
  if (n < 0) fc_verb_no_memory();
  return out;
}

json_t *fc_account_process_json(const struct fc_roster_process *process) {
  if (!process) return json_null();
  json_t *object = json_object();
  if (!object) fc_verb_no_memory();
  fc_json_number(object, "pid", process->pid);
  fc_json_name(object, "program", process->program[0] ? process->program : NULL);
  fc_json_set(object, "alive", json_boolean(process->alive));
  return object;
}

json_t *fc_account_json(const struct fc_account *a) {
  json_t *object = json_object();
  if (!object) fc_verb_no_memory();
  const struct fc_judgement *what = &a->judgement;
  const bool deletes = fc_judgement_deletes(a->found, what);
  fc_json_name(object, "path", a->path);
  fc_json_text(object, "session", a->found->id);
  fc_json_text(object, "type", fc_account_type(a));
  fc_json_set(object, "size", what->exists ? json_integer((json_int_t)what->st.stx_size) : NULL);
  fc_json_time(object, "created", a->created_s);
  const bool dated = a->created_s != FC_JSON_NEVER;
  fc_json_set(object, "age_s", dated ? json_integer((json_int_t)time(NULL) - a->created_s) : NULL);
  fc_json_set(object, "creator", fc_account_process_json(a->has_creator ? &a->creator : NULL));
  fc_json_set(object, "tracked", json_boolean(what->tracked));
  fc_json_text(object, "reason", fc_reason_name(what->reason));
  fc_json_text(object, "rule", fc_reason_rule(what->reason));
  fc_json_text(object, "fate", deletes ? "delete" : "keep");
  fc_json_text(object, "when", fc_judgement_when(a->found, what));
  fc_json_time(object, "expires", a->expires_s);
  const char *keeps = what->tracked && !a->detail ? fc_account_session_keeps(a->found) : NULL;
  fc_json_text(object, "detail", a->detail ? a->detail : keeps);
  return object;
}

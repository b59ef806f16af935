/* json: what the command says to programs (--json), by jansson.
 *
 * Responsible for: one object on stdout, its common members, and the forms of names and times. Must never: lose a byte
 * of a name, or print anything else on stdout.
 *
 * The schema, number 1. A later version adds members; it takes none away and changes no meaning without another number.
 * Members stand in a fixed order. What is not known is null, and never left out.
 *
 *   every verb   {"schema": 1, "version": "0.1.0", "verb": "status", "time": TIME, ...}
 *   TIME X       two members: "X": "2026-11-23T20:01:05Z" (UTC) and "X_s": seconds since 1970; both null when unknown
 *   NAME X       "X": the name as UTF-8, where U+FFFD stands for what is not; and only then also "X_bytes": the very
 *                bytes, all but A-Z a-z 0-9 / . _ - ~ as %XX
 *   PROCESS      {"pid", "program": NAME or null, "alive"}
 *
 *   status       "base": NAME, "sessions": [SESSION]
 *   SESSION      {"id": NAME, "name", "state": STATE, "detail": text, "file": NAME; of a file that is no valid session
 *                nothing more; "base": NAME, "since": TIME, "leader": PROCESS, "members": [PROCESS alive], "guardian":
 *                pid, "sweeper": bool, "unseen": how many processes without the shim, "policy": {"on_exit", "dirs",
 *                "track", "in_use", "scope", "keep": [{"glob": NAME}], "ttl_s", "interval_s", "exit_budget_s",
 *                "max_bytes", "max_files"} (null = infinity), "tracked": {"files", "dirs", "bytes"}, "journal":
 *                {"cells", "capacity", "torn", "lost_creating", "lost_destructive"}}
 *   STATE        "live" | "ending" | "orphan" | "kept" | "damaged" | "foreign" | "future" | "unknown"
 *
 *   list         "base": NAME, "names": [RECORD], sorted by path, then session; without -v only tracked ones
 *   RECORD       {"path": NAME, "session": id, "type": "file" | "dir" | "link" | "fifo" | "socket" | "device", "size",
 *                "created": TIME, "age_s", "creator": PROCESS, "tracked": bool, "reason": a word of judgement.c,
 *                "rule": "N1" to "N6", "fate": "delete" | "keep" (at the end), "when": text, "expires": TIME from
 *                which on a sweep may remove it, "detail": text}
 *
 *   explain      "paths": [{"path": NAME, "exists": bool, "error": text, "fate": "delete" | "keep", "bases": [{"base":
 *                NAME}], "records": [RECORD], one for each session of these bases, "users": [PROCESS]}]
 *
 *   sweep        "base": NAME, "dry_run": bool, "sessions": [{"id": NAME, "base": NAME, "state": STATE before,
 *                "outcome": OUTCOME, "removed_files", "removed_dirs", "removed_unseen": besides, made by what no hook
 *                saw, "removed_bytes", "kept": by pattern, rule or policy, "in_use", "replaced", "put_back",
 *                "handed_over", "errors"}]. With dry_run true the removed_* are what would be.
 *   OUTCOME      "removed": an orphan was ended | "swept": a live one, what had expired | "kept": its policy says so |
 *                "deferred": something is left for another try | "nothing": its policy deletes nothing | "busy":
 *                somebody else is at work on it | "skipped": its state leaves nothing to do | "failed"
 *
 *   keep, untrack "dry_run": bool, "paths": [{"path": NAME, "done": bool, "sessions": how many were told, "error":
 *                text}]
 *
 *   check        "ok": bool, "disabled": bool, "base": NAME, "base_exists": bool, "refused": text, "settings":
 *                [{"name", "option", "value": NAME, "origin": "default" | "environment" | "option"}], "state_dirs":
 *                [{"path": NAME, "what": text, "usable": bool, "chosen": bool}], "probes": [{"subject": "kernel" |
 *                "state" | "base", "path": NAME, "probe", "result": "yes" | "no" | "unknown", "detail": text,
 *                "follows": text}]
 *
 *   hooks        "hooks": [{"function", "decision": "hook" | "later" | "skip", "why"}]
 *
 *   report       the statistics of a session as they stand in its file (report_input.h), checked: no common members
 */
#ifndef FC_JSON_H
#define FC_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* A new object with the common members. Memory that cannot be had ends the command, here and below. */
json_t *fc_json_begin(const char *verb);

/* Prints the object, ends the line, and drops the object. compact: on one line. Returns false when stdout fails. */
bool fc_json_end(json_t *root, bool compact);

/* value NULL = null. The value's reference is taken. */
void fc_json_set(json_t *object, const char *key, json_t *value);
void fc_json_add(json_t *array, json_t *value);
void fc_json_text(json_t *object, const char *key, const char *text);
void fc_json_number(json_t *object, const char *key, int64_t number);

/* NAME; bytes NULL = null. */
void fc_json_name(json_t *object, const char *key, const char *bytes);

/* TIME; INT64_MIN = unknown. */
#define FC_JSON_NEVER INT64_MIN
void fc_json_time(json_t *object, const char *key, int64_t seconds);

/* Length of the UTF-8 character at text, or 0 when there is none. */
size_t fc_json_utf8(const char *text);

#endif

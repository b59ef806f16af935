#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "footprint.h"

#ifndef FC_VERSION
#define FC_VERSION "0"
#endif
#define OUT_BYTES 8192
#define PIECE_BYTES 256 /* the longest piece that is put at once */
#define NS_PER_S 1000000000

struct out {
  int fd;
  bool failed;
  size_t used;
  char *buffer; /* OUT_BYTES */
  uint64_t written;
};

static void flush(struct out *o) {
  /* Beyond RLIMIT_FSIZE a write kills the host with SIGXFSZ. */
  o->written += o->used;
  if (o->written > fc_sys_soft_limit(FC_RLIMIT_FSIZE)) o->failed = true;
  for (size_t done = 0; done < o->used && !o->failed;) {
    const long n = fc_sys_write(o->fd, o->buffer + done, o->used - done);
    if (n == -EINTR) continue;
    if (n <= 0)
      o->failed = true;
    else
      done += (size_t)n;
  }
  o->used = 0;
}

static void put(struct out *o, const char *text) {
  const size_t len = strlen(text);
  if (o->used + len > OUT_BYTES) flush(o);
  if (len > OUT_BYTES) return; /* none is */
  memcpy(o->buffer + o->used, text, len);
  o->used += len;
}

__attribute__((format(printf, 2, 3))) static void putf(struct out *o, const char *format, ...) {
  char piece[PIECE_BYTES];
  va_list args;
  va_start(args, format);
  (void)vsnprintf(piece, sizeof piece, format, args);
  va_end(args);
  put(o, piece);
}

/* Length of the well-formed UTF-8 character at p, or 0. */
static size_t character(const unsigned char *p) {
  if (p[0] < 0x80) return 1;
  const size_t len = p[0] >= 0xc2 && p[0] <= 0xdf   ? 2
                     : (p[0] & 0xf0) == 0xe0        ? 3
                     : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4
                                                    : 0;
  for (size_t i = 1; i < len; i++)
    if ((p[i] & 0xc0) != 0x80) return 0;
  if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
      (p[0] == 0xf4 && p[1] > 0x8f))
    return 0;
  return len;
}

/* Escaped. Returns true when all of it was UTF-8. */
static bool put_text(struct out *o, const char *text) {
  bool exact = true;
  put(o, "\"");
  for (const unsigned char *p = (const unsigned char *)text; *p;) {
    const size_t len = character(p);
    if (len == 0) {
      put(o, "\\ufffd");
      exact = false;
      p++;
    } else if (len == 1 && (*p == '"' || *p == '\\')) {
      putf(o, "\\%c", *p++);
    } else if (len == 1 && (*p < 0x20 || *p == 0x7f)) {
      putf(o, "\\u%04x", *p++);
    } else {
      char piece[5] = {0};
      memcpy(piece, p, len);
      put(o, piece);
      p += len;
    }
  }
  put(o, "\"");
  return exact;
}

static void put_name(struct out *o, const char *key, const char *name) {
  putf(o, "\"%s\":", key);
  if (put_text(o, name)) return;
  putf(o, ",\"%s_bytes\":\"", key);
  for (const unsigned char *p = (const unsigned char *)name; *p; p++) {
    const bool plain = (*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') ||
                       memchr("/._-~", *p, 5) != NULL;
    putf(o, plain ? "%c" : "%%%02X", *p);
  }
  put(o, "\"");
}

/* libc's gmtime takes a lock. Days to a date of the proleptic Gregorian calendar, years beginning in March. */
static void put_time(struct out *o, const char *key, int64_t seconds) {
  const int64_t days = seconds / 86400 + 719468; /* since 0000-03-01 */
  const int64_t of_day = seconds % 86400;
  const int64_t era = days / 146097;
  const int64_t day_of_era = days % 146097;
  const int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t from_march = (5 * day_of_year + 2) / 153;
  const int64_t month = from_march < 10 ? from_march + 3 : from_march - 9;
  putf(o, ",\"%s\":\"%04lld-%02lld-%02lldT%02lld:%02lld:%02lldZ\",\"%s_s\":%lld", key,
       (long long)(year_of_era + era * 400 + (month <= 2)), (long long)month,
       (long long)(day_of_year - (153 * from_march + 2) / 5 + 1), (long long)(of_day / 3600),
       (long long)(of_day / 60 % 60), (long long)(of_day % 60), key, (long long)seconds);
}

static void put_seconds(struct out *o, int64_t ns) {
  if (ns < 0) ns = 0;
  putf(o, "%lld.%03lld", (long long)(ns / NS_PER_S), (long long)(ns / 1000000 % 1000));
}

static void put_head(struct out *o, const struct fc_report *report, struct fc_reaper *r) {
  static const char *const on_exit[] = {"delete", "keep", "keep-on-failure", "report"};
  static const char *const scope[] = {"session", "leader", "process"};
  static const char *const dirs[] = {"empty", "keep", "recursive"};
  const struct fc_session_header *h = r->header;
  struct timespec now = {0, 0};
  (void)clock_gettime(CLOCK_REALTIME, &now);
  put(o, "{\"schema\":1,\"version\":\"" FC_VERSION "\",");
  put_name(o, "session", h->id);
  put(o, ",");
  put_name(o, "name", h->name);
  put(o, ",");
  put_name(o, "base", h->base);
  put_time(o, "started", h->created_s);
  put_time(o, "ended", now.tv_sec);
  put(o, ",\"seconds\":");
  put_seconds(o, (now.tv_sec - h->created_s) * (int64_t)NS_PER_S);
  putf(o,
       ",\"policy\":{\"on_exit\":\"%s\",\"scope\":\"%s\",\"dirs\":\"%s\"},\"outcome\":\"%s\",\"leader\":{\"pid\":%u,",
       on_exit[h->policy.on_exit], scope[h->policy.scope], dirs[h->policy.dirs], report->outcome, h->leader_pid);
  if (r->registry.leader_status < 0)
    put(o, "\"status\":null}");
  else
    putf(o, "\"status\":%d}", r->registry.leader_status);
}

static void put_counts(struct out *o, const struct fc_report *report, const struct fc_reaper *r) {
  const struct fc_registry *g = &r->registry;
  const struct fc_reap_result *d = r->result;
  const struct fc_head_words *w = r->journal.words;
  typedef unsigned long long number;
  putf(o, ",\"created\":{\"files\":%llu,\"dirs\":%llu},\"program\":{\"removed\":%llu,\"renamed_out\":%llu}",
       (number)g->created_files, (number)g->created_dirs, (number)g->removed, (number)g->renamed_out);
  putf(o, ",\"swept\":{\"files\":%u,\"bytes\":%llu}", w->swept_files, (number)w->swept_bytes);
  putf(o, ",\"deleted\":{\"files\":%llu,\"dirs\":%llu,\"unseen\":%llu,\"bytes\":%llu}", d->files, d->dirs, d->unseen,
       d->bytes);
  putf(o, ",\"stayed\":{\"kept\":%llu,\"in_use\":%llu,\"replaced\":%llu,\"handed_over\":%llu,\"failed\":%llu}", d->kept,
       d->in_use, d->replaced + d->restored, d->adopted, d->failed);
  put(o, ",\"names\":[");
  for (const struct fc_stayed *s = report->stayed; s; s = s->next) {
    put(o, s == report->stayed ? "{" : ",{");
    put_name(o, "path", s->path);
    putf(o, ",\"why\":\"%s\"}", s->why);
  }
  putf(o, "],\"leaked\":%u,\"unseen_members\":%u,\"unseen_names\":%u", w->leaked, report->unseen_members,
       w->unseen_names);
}

static void put_footprint(struct out *o, const struct fc_footprint *f) {
  if (!f || f->count == 0) {
    put(o, ",\"peak\":null,\"footprint\":[]");
    return;
  }
  putf(o, ",\"peak\":{\"files\":%llu,\"bytes\":%llu,\"at_s\":", (unsigned long long)f->peak.files,
       (unsigned long long)f->peak.bytes);
  put_seconds(o, f->peak.since_ns);
  put(o, "},\"footprint\":[");
  for (unsigned i = 0; i < f->count; i++) {
    put(o, i ? ",[" : "[");
    put_seconds(o, f->samples[i].since_ns);
    putf(o, ",%llu,%llu]", (unsigned long long)f->samples[i].files, (unsigned long long)f->samples[i].bytes);
  }
  put(o, "]");
}

/* Most first: few are asked for, so the largest that is smaller than the one before is looked for each time. */
static void put_programs(struct out *o, const struct fc_registry *r) {
  put(o, ",\"programs\":[");
  uint64_t above = UINT64_MAX;
  uint32_t above_number = 0;
  for (unsigned i = 0; i < FC_REPORT_PROGRAMS; i++) {
    const struct fc_program *best = NULL;
    for (const struct fc_program *p = r->programs; p; p = p->hh.next) {
      const bool below = p->created < above || (p->created == above && p->number > above_number);
      if (!below || p->created == 0) continue;
      if (!best || p->created > best->created || (p->created == best->created && p->number < best->number)) best = p;
    }
    if (!best) break;
    above = best->created;
    above_number = best->number;
    put(o, i ? ",{" : "{");
    put_name(o, "program", best->name);
    putf(o, ",\"created\":%llu}", (unsigned long long)best->created);
  }
  put(o, "]");
}

void fc_report_stays(struct fc_report *report, struct fc_reaper *r, const char *path, const char *why) {
  if (report->stayed_count == FC_REPORT_NAMES) return;
  const size_t len = strlen(path);
  struct fc_stayed *s = fc_arena_alloc(&r->registry.arena, sizeof *s + len + 1);
  if (!s) return;
  report->stayed_count++;
  memcpy(s->path, path, len + 1);
  s->why = why;
  *(report->last ? &report->last->next : &report->stayed) = s;
  report->last = s;
}

bool fc_report_write(const struct fc_report *report, struct fc_reaper *r) {
  const char *file = r->header->policy.stats_file;
  struct out o = {
      .fd = fc_sys_openat(AT_FDCWD, file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644)};
  o.buffer = o.fd < 0 ? NULL : fc_arena_alloc(&r->registry.arena, OUT_BYTES);
  if (o.buffer) {
    put_head(&o, report, r);
    put_counts(&o, report, r);
    put_footprint(&o, report->footprint);
    put_programs(&o, &r->registry);
    put(&o, "}\n");
    flush(&o);
  }
  const bool fine = o.buffer && !o.failed;
  if (!fine) fc_log_write(&r->log, FC_LOG_ERROR, "%s: the report cannot be written", file);
  if (o.fd >= 0) (void)fc_sys_close(o.fd);
  return fine;
}

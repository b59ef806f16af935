/* report_input: the statistics of a session that has ended, as FILECLEANUP_STATS has them, read and checked.
 *
 * Responsible for: the type, the range and the sense of every member, so that who shows them need not ask again. Must
 * never: trust the file, which anybody may have written, or leave out what a later version has added (root has it all).
 *
 * The schema is that of lib/report.h.
 */
#ifndef FC_REPORT_INPUT_H
#define FC_REPORT_INPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fc_report_why { FC_WHY_KEPT, FC_WHY_IN_USE, FC_WHY_REPLACED, FC_WHY_HANDED_OVER, FC_WHY_FAILED };
#define FC_REPORT_WHYS 5

struct fc_report_sample {
  double at_s; /* since the start */
  uint64_t files;
  uint64_t bytes;
};

struct fc_report_name {
  char *path; /* the very bytes */
  enum fc_report_why why;
};

struct fc_report_program {
  char *program;
  uint64_t created;
};

struct fc_report_input {
  json_t *root;
  const char *version;
  const char *session;
  const char *name;
  char *base;
  int64_t started_s; /* FC_JSON_NEVER = not known */
  int64_t ended_s;
  double seconds;
  const char *on_exit;
  const char *scope;
  const char *dirs;
  const char *outcome;
  uint64_t leader_pid;
  int leader_status; /* -1 = not known */
  uint64_t created_files;
  uint64_t created_dirs;
  uint64_t program_removed;
  uint64_t program_renamed_out;
  uint64_t swept_files;
  uint64_t swept_bytes;
  uint64_t deleted_files;
  uint64_t deleted_dirs;
  uint64_t deleted_unseen;
  uint64_t deleted_bytes;
  uint64_t stayed[FC_REPORT_WHYS];
  uint64_t leaked;
  uint64_t unseen_members;
  uint64_t unseen_names;
  bool has_peak;
  struct fc_report_sample peak;
  struct fc_report_sample *footprint;
  size_t samples;
  struct fc_report_name *names;
  size_t name_count;
  struct fc_report_program *programs;
  size_t program_count;
};

/* Reads the file; "-" = stdin. FC_EXIT_DONE; FC_EXIT_SOME_FAILED when it cannot be read; FC_EXIT_BAD_CONFIG when it is
 * no such statistics. Then one line without the file's name is in message. fc_report_input_free in every case. */
int fc_report_input_read(struct fc_report_input *input, const char *file, char *message, size_t message_size);
void fc_report_input_free(struct fc_report_input *input);

/* "kept", "in use" ..., for people. */
const char *fc_report_why_name(enum fc_report_why why);

/* How many names there were that stayed. */
uint64_t fc_report_stayed_total(const struct fc_report_input *input);

#endif

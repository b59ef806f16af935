/* config: what the user asked for, read once from the environment.
 *
 * Responsible for: parsing and validating every FILECLEANUP_* variable, and for the rules by which a base directory is
 * refused. Must never: allocate, write anywhere, or change the environment; it runs in the constructor of the shim,
 * inside programs that we do not own.
 */
#ifndef FC_CONFIG_H
#define FC_CONFIG_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FC_INFINITY_NS INT64_MAX
#define FC_INFINITY_COUNT UINT64_MAX

enum fc_on_exit { FC_ON_EXIT_DELETE = 0, FC_ON_EXIT_KEEP, FC_ON_EXIT_KEEP_ON_FAILURE, FC_ON_EXIT_REPORT };
enum fc_scope { FC_SCOPE_SESSION = 0, FC_SCOPE_LEADER, FC_SCOPE_PROCESS };
enum fc_dirs { FC_DIRS_EMPTY = 0, FC_DIRS_KEEP, FC_DIRS_RECURSIVE };
enum fc_in_use { FC_IN_USE_SKIP = 0, FC_IN_USE_IGNORE };
enum fc_age_by { FC_AGE_BY_NEWEST = 0, FC_AGE_BY_MTIME };
enum fc_track { FC_TRACK_OWN = 0, FC_TRACK_ALL };
enum fc_log_level { FC_LOG_OFF = 0, FC_LOG_ERROR, FC_LOG_WARN, FC_LOG_INFO, FC_LOG_DEBUG };

#define FC_KEEP_MAX 2048
#define FC_FILE_MAX 1024
#define FC_SESSION_NAME_PREFIX "name:"
#define FC_SESSION_NAME_MAX 64

/* 1 to 64 letters, digits, - _ or . (not first). */
bool fc_config_is_session_name(const char *name);

/* The whole effective policy of a session. It stands in the session file's header, where 32- and 64-bit processes read
 * it, so every field has a fixed width and the offsets are asserted in config.c. */
struct fc_policy {
  int64_t ttl_ns;         /* FC_INFINITY_NS = never swept while alive */
  int64_t interval_ns;    /* time between two sweeps */
  int64_t exit_budget_ns; /* the most that cleanup may delay an exit */
  uint64_t max_bytes;     /* FC_INFINITY_COUNT = no cap */
  uint64_t max_files;
  uint32_t on_exit;   /* enum fc_on_exit */
  uint32_t scope;     /* enum fc_scope */
  uint32_t dirs;      /* enum fc_dirs */
  uint32_t in_use;    /* enum fc_in_use */
  uint32_t age_by;    /* enum fc_age_by */
  uint32_t track;     /* enum fc_track */
  uint32_t log_level; /* enum fc_log_level */
  uint32_t periodic;  /* 0 or 1, as are the next three */
  uint32_t on_startup;
  uint32_t trust_base;
  uint32_t guardian;
  uint32_t reserved;
  char keep[FC_KEEP_MAX];       /* globs, ':'-separated, relative to the base, fnmatch FNM_PATHNAME; "" = none */
  char log_file[FC_FILE_MAX];   /* absolute path, "syslog", or "" = the journal */
  char stats_file[FC_FILE_MAX]; /* absolute path or "" */
};

struct fc_config {
  struct fc_policy policy;
  bool disabled;            /* FILECLEANUP_DISABLE is set to anything but "" or "0" */
  bool manager;             /* for a session of the library (filecleanup.h); no variable sets it */
  bool has_base;            /* FILECLEANUP_BASE_DIR is set and not empty */
  char base[PATH_MAX];      /* as given, made absolute lexically against the working directory */
  char state_dir[PATH_MAX]; /* as given, absolute; "" = choose by the rule of DESIGN 4.5 */
  const char *session; /* tokens, or FC_SESSION_NAME_PREFIX and a name: the value of FILECLEANUP_SESSION inside envp,
                          NULL when unset or empty */
};

/* The name of the session that is asked for by name, or NULL. */
const char *fc_config_session_name(const struct fc_config *config);

/* Fills *config with the defaults of the documentation. */
void fc_config_default(struct fc_config *config);

/* Reads FILECLEANUP_* from envp (NULL-terminated, not copied). Returns 0, or -1 when a value cannot be accepted; then
 * message holds one line without newline that names variable, value and what is accepted. Every variable is validated,
 * also those whose work other parts do. A relative base, state directory, log or stats file is made absolute against
 * the current directory (getcwd by the raw system call). Nothing is allocated. Not for use in a hook. */
int fc_config_parse(struct fc_config *config, char *const *envp, char *message, size_t message_size);

/* Parses one span of time as systemd.time(7) writes it ("24h", "2h 30min", "90" = seconds, "infinity"; the one-letter
 * "M" is refused). Returns 0 and stores nanoseconds, or -1. */
int fc_config_parse_span(const char *text, int64_t *out_ns);

/* Parses a size: digits with an optional K, M, G or T (powers of 1024), or "infinity". Returns 0 or -1. */
int fc_config_parse_size(const char *text, uint64_t *out);

/* Parses 1/0 yes/no true/false on/off, case-insensitive. Returns 0 or -1. */
int fc_config_parse_bool(const char *text, bool *out);

/* Says whether the base directory, open as base_fd (O_PATH is enough) with the canonical name real, may be used at
 * all. Returns 0, or -1 with one line in message. Refused: "/", the home directory (of the environment and of the
 * password-less rule: $HOME in envp), the system directories themselves, world-writable without the sticky bit; and,
 * unless policy->trust_base, a base that is or contains the working directory, a home directory, has a version-control
 * directory at its top, or contains the tool itself (compared by device and inode, walking ".." upwards).
 * tool_path is the path of the tool's own file, or NULL. */
int fc_config_check_base(const struct fc_config *config, int base_fd, const char *real, char *const *envp,
                         const char *tool_path, char *message, size_t message_size);

#endif

#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "sys.h"

#define LINE_BYTES 1024
#define MESSAGES_MAX (1024 * 1024) /* the default file stops growing here: it is for people, and nobody rotates it */
#define SYSLOG_USER (1 << 3)

void fc_log_open(struct fc_log *log, const struct fc_policy *policy, const char *session_path) {
  log->level = policy->log_level;
  log->target[0] = '\0';
  log->hear = NULL;
  log->bounded = false;
  if (policy->log_file[0]) {
    (void)snprintf(log->target, sizeof log->target, "%s", policy->log_file);
    return;
  }
  const char *slash = session_path ? strrchr(session_path, '/') : NULL;
  if (!slash) return;
  const size_t len = (size_t)(slash - session_path);
  if (len + sizeof "/messages" > sizeof log->target) return;
  log->bounded = true;
  memcpy(log->target, session_path, len);
  memcpy(log->target + len, "/messages", sizeof "/messages");
}

static void to_syslog(enum fc_log_level level, const char *line) {
  static const int severity[] = {3, 3, 4, 6, 7};
  const int fd = (int)FC_SYS3(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return;
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
  if (FC_SYS3(SYS_connect, fd, &address, sizeof address) == 0) {
    char message[LINE_BYTES + 32];
    const int n = snprintf(message, sizeof message, "<%d>filecleanup: %s", SYSLOG_USER | severity[level], line);
    if (n > 0) (void)fc_sys_write(fd, message, (size_t)n); /* nobody listens: there is nobody to tell it to either */
  }
  (void)fc_sys_close(fd);
}

/* May len bytes more be written? Beyond RLIMIT_FSIZE a write kills the host with SIGXFSZ. */
static bool has_room(const struct fc_log *log, int fd, size_t len) {
  struct statx st;
  if (fc_sys_statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &st) < 0) return false;
  if (log->bounded && st.stx_size >= MESSAGES_MAX) return false;
  const uint64_t limit = fc_sys_soft_limit(FC_RLIMIT_FSIZE);
  return limit >= len && st.stx_size <= limit - len;
}

void fc_log_write(const struct fc_log *log, enum fc_log_level level, const char *format, ...) {
  if (level > log->level || (!log->target[0] && !log->hear)) return;
  static const char *const names[] = {"", "error", "warning", "info", "debug"};
  char text[LINE_BYTES];
  va_list args;
  va_start(args, format);
  (void)vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (log->hear) {
    log->hear(log->context, level, text);
    return;
  }
  if (strcmp(log->target, "syslog") == 0) {
    to_syslog(level, text);
    return;
  }
  struct timespec now = {0, 0};
  (void)clock_gettime(CLOCK_REALTIME, &now);
  char line[LINE_BYTES + 64];
  const int n =
      snprintf(line, sizeof line, "%lld [%d] %s: %s\n", (long long)now.tv_sec, fc_sys_getpid(), names[level], text);
  /* By name for each line: a file that logrotate has moved away is not written to any more. */
  const int fd =
      fc_sys_openat(AT_FDCWD, log->target, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
  if (fd < 0 || n <= 0) return;
  const size_t len = (size_t)n < sizeof line ? (size_t)n : sizeof line - 1;
  if (has_room(log, fd, len)) (void)fc_sys_write(fd, line, len); /* a full disk loses a line, never the host */
  (void)fc_sys_close(fd);
}

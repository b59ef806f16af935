/* shim: the constructor and the destructor.
 *
 * The constructor joins the sessions that FILECLEANUP_SESSION names; when the base of the environment is not among
 * them, it starts a session of its own, of which this process is the leader. It writes to fd 2 only here, one line,
 * when a value or a base is refused; then the shim stays inert: the program runs, and nothing is ever deleted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "filtered.h"
#include "guard.h"
#include "member.h"
#include "message.h"
#include "named.h"
#include "orphan.h"
#include "placement.h"
#include "leaving.h"
#include "real.h"
#include "sweeping.h"
#include "symbol.h"

#define TOKEN_BYTES 8192
#define VARIABLE "FILECLEANUP_SESSION="

/* Weak, so that another C library starts a program that inherits the preload: it refuses one whose library wants a
 * symbol that it does not have (musl: status 127). There the shim stays inert. */
extern int on_exit(void (*function)(int, void *), void *argument) __attribute__((weak));
extern int __cxa_at_quick_exit(void (*function)(void *), void *dso) __attribute__((weak));
#ifndef __GLIBC__
extern int at_quick_exit(void (*function)(void)) __attribute__((weak));
#endif
extern const char *gnu_get_libc_version(void) __attribute__((weak));
#if defined(__GLIBC__)
#define HAS_OUR_LIBC (gnu_get_libc_version != NULL)
#else
#define HAS_OUR_LIBC (gnu_get_libc_version == NULL)
#endif

extern char *program_invocation_short_name;
extern char **environ;

/* Joins every session of the list, innermost first. */
static void join_all(const char *list) {
  const char *program = program_invocation_short_name;
  for (const char *p = list; *p && fc_member.count < FC_NEST_MAX;) {
    const char *end = strchr(p, ',');
    const size_t len = end ? (size_t)(end - p) : strlen(p);
    if (len > 0 && fc_session_join(&fc_member.sessions[fc_member.count], p, len, program) == 0) fc_member.count++;
    p += len + (end ? 1 : 0);
  }
}

static bool base_is_joined(const char *base) {
  for (unsigned i = 0; i < fc_member.count; i++) {
    const struct fc_session *s = &fc_member.sessions[i];
    if (strcmp(fc_session_base(s), base) == 0 || strcmp(fc_session_alias(s), base) == 0) return true;
  }
  return false;
}

/* Puts FILECLEANUP_SESSION into environ: the new token first, then what was there. setenv may be the host's own, so the
 * array is copied to memory of ours; libc hands the current environ to main. */
static void announce(const struct fc_session *session, const char *before) {
  size_t count = 0;
  for (char **e = environ; e && *e; e++) count++;
  const size_t text = sizeof VARIABLE + TOKEN_BYTES + (before ? strlen(before) + 1 : 0);
  const size_t bytes = (count + 2) * sizeof(char *) + text;
  char *memory = fc_sys_mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (fc_sys_is_error(memory)) return; /* children start sessions of their own: leaks at worst */
  char **const array = (char **)(void *)memory;
  char *const entry = memory + (count + 2) * sizeof(char *);
  memcpy(entry, VARIABLE, sizeof VARIABLE - 1);
  const size_t len = fc_session_token(session, entry + sizeof VARIABLE - 1, TOKEN_BYTES);
  if (len == 0) return;
  if (before && before[0]) {
    char *at = entry + sizeof VARIABLE - 1 + len;
    *at++ = ',';
    memcpy(at, before, strlen(before) + 1);
  }
  size_t n = 0;
  for (char **e = environ; e && *e; e++)
    if (strncmp(*e, VARIABLE, sizeof VARIABLE - 1) != 0) array[n++] = *e;
  array[n++] = entry;
  array[n] = NULL;
  environ = array;
}

static void say(const char *line) {
  (void)fc_sys_write(STDERR_FILENO, line, strlen(line));
  (void)fc_sys_write(STDERR_FILENO, "\n", 1);
}

static void warn(void *context, const char *line) {
  (void)context;
  say(line);
}

/* keep-on-failure needs the status, which only on_exit tells. A preloaded library's constructor runs before libc
 * registers the destructors, so this handler runs after them, and leaving is its business then. Forked children inherit
 * both. */
FC_START static bool leaves_by_on_exit;

static void on_exit_status(int status, void *context) {
  (void)context;
  const int saved = errno;
  fc_member_record_end(status);
  fc_leaving(true);
  errno = saved;
}

/* Its status is not told to handlers: for keep-on-failure a leader that ends so has failed. */
static void on_quick_exit(void *context) {
  (void)context;
  fc_leaving(true);
}

#ifndef __GLIBC__
static void on_quick_exit_alone(void) { on_quick_exit(NULL); }
#endif

/* FILECLEANUP_GUARDIAN=1: the command stands beside the shim in a build tree, else where both were installed. Without
 * it the thread and the last process out do the work. */
static void start_guardian(const struct fc_session *session) {
  static char path[2 * PATH_MAX];
  const char *const self = fc_symbol_own_file();
  const char *slash = self ? strrchr(self, '/') : NULL;
  const size_t len = slash ? (size_t)(slash - self) + 1 : 0;
  if (len == 0 || len >= PATH_MAX) return;
  memcpy(path, self, len);
  static const char places[][128] = {"filecleanup", FC_COMMAND_RELPATH};
  int rc = -ENOENT;
  for (size_t i = 0; rc == -ENOENT && i < sizeof places / sizeof *places; i++) {
    struct statx st;
    memcpy(path + len, places[i], strlen(places[i]) + 1);
    rc = fc_sys_statx(AT_FDCWD, path, 0, STATX_TYPE, &st);
    if (rc == 0 && (st.stx_mode & S_IFMT) != S_IFREG) rc = -ENOENT;
  }
  if (rc == 0) rc = fc_guard_start(session, path, NULL);
  if (rc == 0) return;
  say("filecleanup: FILECLEANUP_GUARDIAN: no guardian could be started; what is killed is cleaned up by the next start");
}

/* This process is a leader: it makes the session, and first removes what orphans of this base left. */
static bool lead(const struct fc_config *config) {
  char message[FC_MESSAGE_MAX];
  struct fc_session *session = &fc_member.sessions[0];
  /* A descendant that could not join (another user, no fd to spare) is not the one to tell. */
  const char *const outer = fc_config_session_name(config) ? NULL : config->session;
  if (fc_member.count == FC_NEST_MAX) fc_member.count--; /* deeper than we follow: the outermost is dropped */
  memmove(session + 1, session, fc_member.count * sizeof *session);
  if (fc_session_establish(session, config, 0, fc_named_find, environ, NULL, message, sizeof message) != 0) {
    memmove(session, session + 1, fc_member.count * sizeof *session);
    memset(session + fc_member.count, 0, sizeof *session);
    if (!outer) say(message);
    return false;
  }
  fc_member.count++;
  announce(session, outer);
  if (session->found && config->policy.log_level >= FC_LOG_WARN &&
      fc_named_differs(session, config, environ, message, sizeof message))
    say(message);
  char dir[PATH_MAX];
  if (!fc_session_split(fc_session_path(session), dir, sizeof dir)) return true;
  const int dirfd = fc_sys_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (dirfd < 0) return true;
  (void)fc_orphan_scan(dirfd, dir, session->header->id, config->policy.on_startup != 0,
                       fc_journal_deadline(config->policy.exit_budget_ns), outer ? NULL : warn, NULL);
  (void)fc_sys_close(dirfd);
  if (config->policy.guardian && !config->session) start_guardian(session);
  return true;
}

/* The start files of the compiler, which are left out, would define it; libc's at_quick_exit asks for it. We are never
 * unloaded. */
extern void *const __dso_handle;
__attribute__((weak, visibility("hidden"))) void *const __dso_handle = (void *)&__dso_handle;

static const char *variable(const char *name) {
  const size_t len = strlen(name);
  for (char **e = environ; e && *e; e++)
    if (strncmp(*e, name, len) == 0 && (*e)[len] == '=') return *e + len + 1;
  return NULL;
}

__attribute__((constructor)) static void start(void) {
  const int saved = errno;
  fc_real_prepare();
  const char *base = variable("FILECLEANUP_BASE_DIR");
  const char *session = variable("FILECLEANUP_SESSION");
  const char *disabled = variable("FILECLEANUP_DISABLE");
  const bool filtered = session && strcmp(session, FC_FILTERED_TOKEN) == 0; /* a system call may be the end */
  const bool off = filtered || (disabled && disabled[0] && strcmp(disabled, "0") != 0);
  if (!off && HAS_OUR_LIBC && ((base && base[0]) || (session && session[0])) && fc_member_prepare()) {
    if (session) join_all(session);
    bool leads = false;
    /* A relative base was the leader's, in the leader's directory. */
    const bool leaders = fc_member.count > 0 && base && base[0] != '/';
    if (base && base[0] && !leaders && !base_is_joined(base)) {
      static struct fc_config config;
      char message[FC_MESSAGE_MAX];
      if (fc_config_parse(&config, environ, message, sizeof message) != 0)
        say(message);
      else if (config.has_base && !config.disabled && !base_is_joined(config.base))
        leads = lead(&config);
    }
    if (fc_member.count) fc_member_is(program_invocation_short_name, !leads);
    fc_sweeping_prepare();
    /* at_quick_exit by its other name, which can be weak. */
    if (fc_member.count && __cxa_at_quick_exit)
      (void)__cxa_at_quick_exit(on_quick_exit, NULL); /* registered first, so it runs last */
#ifndef __GLIBC__
    if (fc_member.count && at_quick_exit) (void)at_quick_exit(on_quick_exit_alone);
#endif
    for (unsigned i = 0; i < fc_member.count; i++) {
      const struct fc_session *s = &fc_member.sessions[i];
      if (on_exit && s->leader_pid == fc_member_pid() && s->header->policy.on_exit == FC_ON_EXIT_KEEP_ON_FAILURE) {
        leaves_by_on_exit = on_exit(on_exit_status, NULL) == 0;
        break;
      }
    }
  }
  errno = saved;
}

__attribute__((destructor)) static void finish(void) {
  const int saved = errno;
  if (!leaves_by_on_exit) fc_leaving(false);
  errno = saved;
}

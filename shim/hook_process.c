/* hook_process: what ends a process or makes it another program.
 *
 * exec drops our mappings and with them the lock. Before it, an inheritable fd with the lock is left at a known number;
 * the new image's constructor finds it, maps it, and closes it. A failed exec takes it back. The journal has EXEC
 * without JOIN for images that never arrive (static, setuid): unseen members.
 */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <threads.h>
#include <unistd.h>

#include "filtered.h"
#include "hook.h"
#include "leaving.h"
#include "sweeping.h"

void fc_hand_over(struct fc_handed *handed) {
  FC_ASKING;
  for (unsigned i = 0; i < FC_NEST_MAX; i++) handed->record[i] = handed->fd[i] = -1;
  if (fc_is_filtered()) return;
  const uint32_t pid = (uint32_t)fc_sys_getpid(); /* in a vfork child the kernel's answer counts, not our word */
  for (unsigned i = 0; i < fc_member.count; i++)
    handed->fd[i] = fc_session_hand_over(&fc_member.sessions[i], pid, &handed->record[i]);
}

int fc_take_back(struct fc_handed *handed, int result) {
  FC_ASKING;
  for (unsigned i = 0; i < fc_member.count; i++)
    fc_session_exec_failed(&fc_member.sessions[i], handed->fd[i], handed->record[i]);
  return result;
}

/* A filtered process tells the new image by a copy of the environment, on the stack, as large as that is. */
int fc_exec_filtered(const struct fc_exec *exec) {
  char *copy[fc_filtered_room(exec->envp) + 1];
  char *const *const envp = fc_filtered_tell(exec->envp, copy);
  struct fc_filtered_exec filtered;
  fc_filtered_becoming(&filtered);
  const int result = exec->call(exec, envp);
  fc_filtered_stays(&filtered);
  return result;
}

/* glibc has it since 2.34, musl does not. */
static int real_execveat_or_raw(int dirfd, const char *path, char *const argv[], char *const envp[], int flags) {
  if (FC_REAL(execveat)) return FC_REAL(execveat)(dirfd, path, argv, envp, flags);
  errno = (int)-FC_SYS5(SYS_execveat, dirfd, path, argv, envp, flags);
  return -1;
}

static int call_execve(const struct fc_exec *e, char *const *envp) { return FC_REAL(execve)(e->path, e->argv, envp); }
static int call_execvpe(const struct fc_exec *e, char *const *envp) { return FC_REAL(execvpe)(e->path, e->argv, envp); }
static int call_execveat(const struct fc_exec *e, char *const *envp) {
  return real_execveat_or_raw(e->fd, e->path, e->argv, envp, e->flags);
}
static int call_fexecve(const struct fc_exec *e, char *const *envp) { return FC_REAL(fexecve)(e->fd, e->argv, envp); }

#define BECOMING(call, ...)                                                                                            \
  if (fc_member.count == 0) return call;                                                                               \
  if (fc_is_filtered()) return fc_exec_filtered(&(struct fc_exec){__VA_ARGS__});                                       \
  struct fc_handed handed;                                                                                             \
  fc_hand_over(&handed);                                                                                               \
  return fc_take_back(&handed, call)

FC_EXPORT int execve(const char *path, char *const argv[], char *const envp[]) {
  BECOMING(FC_REAL(execve)(path, argv, envp), .call = call_execve, .envp = envp, .argv = argv, .path = path);
}
FC_EXPORT int execv(const char *path, char *const argv[]) {
  BECOMING(FC_REAL(execv)(path, argv), .call = call_execve, .envp = environ, .argv = argv, .path = path);
}
FC_EXPORT int execvp(const char *file, char *const argv[]) {
  BECOMING(FC_REAL(execvp)(file, argv), .call = call_execvpe, .envp = environ, .argv = argv, .path = file);
}
FC_EXPORT int execvpe(const char *file, char *const argv[], char *const envp[]) {
  BECOMING(FC_REAL(execvpe)(file, argv, envp), .call = call_execvpe, .envp = envp, .argv = argv, .path = file);
}

/* execl and its kin: as in libc, the arguments are collected on the stack, as many as the caller gave. */
#define COLLECT(argv, first, arguments)                                                                                \
  va_start(arguments, first);                                                                                          \
  size_t count = 1;                                                                                                    \
  while (va_arg(arguments, char *)) count++;                                                                           \
  va_end(arguments);                                                                                                   \
  char *argv[count + 1];                                                                                               \
  va_start(arguments, first);                                                                                          \
  __builtin_memcpy(&argv[0], &first, sizeof first);                                                                    \
  for (size_t i = 1; i <= count; i++) argv[i] = va_arg(arguments, char *)

FC_EXPORT int execl(const char *path, const char *argument, ...) {
  va_list arguments;
  COLLECT(argv, argument, arguments);
  va_end(arguments);
  return execv(path, argv);
}
FC_EXPORT int execlp(const char *file, const char *argument, ...) {
  va_list arguments;
  COLLECT(argv, argument, arguments);
  va_end(arguments);
  return execvp(file, argv);
}
FC_EXPORT int execle(const char *path, const char *argument, ...) {
  va_list arguments;
  COLLECT(argv, argument, arguments);
  char *const *const envp = va_arg(arguments, char *const *);
  va_end(arguments);
  return execve(path, argv, envp);
}

FC_EXPORT int execveat(int dirfd, const char *path, char *const argv[], char *const envp[], int flags) {
  BECOMING(real_execveat_or_raw(dirfd, path, argv, envp, flags), .call = call_execveat, .envp = envp, .argv = argv,
           .path = path, .fd = dirfd, .flags = flags);
}
FC_EXPORT int fexecve(int fd, char *const argv[], char *const envp[]) {
  BECOMING(FC_REAL(fexecve)(fd, argv, envp), .call = call_fexecve, .envp = envp, .argv = argv, .fd = fd);
}

/* The child says so at once: a vfork child of it would otherwise not be told from it. A slot that another thread held
 * at the moment of the fork would never be given back. */
pid_t fc_forked(pid_t result) {
  if (result == 0 && fc_member.count) {
    fc_member_forked();
    fc_target_forked();
  }
  if (result > 0 && fc_is_filtered()) fc_filtered_child(result);
  return result;
}

/* What nearly every child would do before its exec is done here, once. */
static void fc_before_fork(void) {
  FC_ASKING;
  if (fc_is_filtered()) return;
  fc_real_bind_for_child();
  for (unsigned i = 0; i < fc_member.count; i++) fc_journal_ready(&fc_member.sessions[i].journal);
}

FC_EXPORT pid_t fork(void) {
  fc_before_fork();
  return fc_forked(FC_REAL(fork)());
}
/* glibc has it since 2.34, musl since 1.2.2; before, a program that asks for it finds this one. */
FC_EXPORT pid_t _Fork(void) {
  fc_before_fork();
  return fc_forked(FC_REAL(_Fork) ? FC_REAL(_Fork)() : FC_REAL(fork)());
}
#ifdef __GLIBC__
pid_t __fork(void); /* in no header */
FC_EXPORT pid_t __fork(void) {
  fc_before_fork();
  return fc_forked(FC_REAL(__fork)());
}
#endif
FC_EXPORT int forkpty(int *master, char *name, const struct termios *settings, const struct winsize *size) {
  return fc_forked(FC_REAL(forkpty)(master, name, settings, size));
}

static void take_locked(int fd[FC_NEST_MAX]) {
  FC_ASKING;
  for (unsigned i = 0; i < fc_member.count; i++)
    fd[i] = fc_is_filtered() ? -1 : fc_session_locked_fd(&fc_member.sessions[i]);
}

/* The shell's pid is not told, so an fd is there while it starts: when popen returns, the shell has it. */
static FILE *fc_popen(FILE *(*real)(const char *, const char *), const char *command, const char *mode) {
  if (fc_is_filtered()) return real(command, mode);
  int fd[FC_NEST_MAX];
  take_locked(fd);
  const int before = errno;
  FILE *stream = real(command, mode);
  const int saved = errno;
  bool held = false;
  for (unsigned i = 0; i < fc_member.count; i++) {
    if (fd[i] < 0) continue;
    held = true;
    (void)fc_sys_close(fd[i]);
  }
  errno = saved;
  if (!stream && held && (saved == EMFILE || saved == ENFILE)) { /* ours may have been the one too many */
    errno = before;
    stream = real(command, mode);
  }
  return stream;
}
FC_EXPORT FILE *popen(const char *command, const char *mode) { return fc_popen(FC_REAL(popen), command, mode); }
#ifdef __GLIBC__
FILE *_IO_popen(const char *command, const char *mode); /* in no header */
FC_EXPORT FILE *_IO_popen(const char *command, const char *mode) { return fc_popen(FC_REAL(_IO_popen), command, mode); }
#endif

/* system and wordexp return only when their shell has ended, so an fd as for popen would stand in the host all that
 * time, would go to the children of other threads, and would never be closed in a thread that is cancelled there. A
 * record says the same: 94 of 300 parents that were killed in the first moments of system() took a file from under
 * their shell, and none since. A cancelled thread leaves it open; that only delays. */
struct starting {
  int64_t record[FC_NEST_MAX];
};

static void fc_starting(struct starting *starting) {
  FC_ASKING;
  for (unsigned i = 0; i < FC_NEST_MAX; i++) starting->record[i] = -1;
  if (fc_is_filtered()) return;
  const uint32_t pid = (uint32_t)fc_sys_getpid();
  for (unsigned i = 0; i < fc_member.count; i++) starting->record[i] = fc_session_starting(&fc_member.sessions[i], pid);
}

static int fc_started(const struct starting *starting, int result) {
  FC_ASKING;
  for (unsigned i = 0; i < fc_member.count; i++) fc_session_started(&fc_member.sessions[i], starting->record[i]);
  return result;
}

FC_EXPORT int system(const char *command) {
  if (fc_member.count == 0 || !command || fc_is_filtered()) return FC_REAL(system)(command);
  struct starting starting;
  fc_starting(&starting);
  return fc_started(&starting, FC_REAL(system)(command));
}

FC_EXPORT int wordexp(const char *restrict words, wordexp_t *restrict expanded, int flags) {
  if (fc_member.count == 0 || (flags & WRDE_NOCMD) || fc_is_filtered()) return FC_REAL(wordexp)(words, expanded, flags);
  struct starting starting;
  fc_starting(&starting);
  return fc_started(&starting, FC_REAL(wordexp)(words, expanded, flags));
}

typedef int (*spawn_function)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                              char *const[], char *const[]);

static __attribute__((noinline)) int spawn_filtered(spawn_function real, pid_t *pid, const char *path,
                                                    const posix_spawn_file_actions_t *actions,
                                                    const posix_spawnattr_t *attributes, char *const argv[],
                                                    char *const envp[]) {
  char *copy[fc_filtered_room(envp) + 1];
  pid_t child = 0;
  const int result = real(&child, path, actions, attributes, argv, fc_filtered_tell(envp, copy));
  if (result != 0) return result;
  fc_filtered_child(child);
  if (pid) *pid = child;
  return 0;
}

static void spawned(uint32_t child) {
  FC_ASKING;
  for (unsigned i = 0; i < fc_member.count && !fc_is_filtered(); i++) fc_session_spawned(&fc_member.sessions[i], child);
}

/* No fd here: in the parent it would leak into children of other threads. The record protects the child until it joins.
 */
static int fc_spawn(spawn_function real, pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                    const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]) {
  if (fc_member.count == 0) return real(pid, path, actions, attributes, argv, envp);
  if (fc_is_filtered()) return spawn_filtered(real, pid, path, actions, attributes, argv, envp);
  pid_t child = 0;
  struct starting starting;
  fc_starting(&starting);
  const int result = real(&child, path, actions, attributes, argv, envp);
  if (result != 0) return fc_started(&starting, result);
  spawned((uint32_t)child);
  (void)fc_started(&starting, 0);
  if (pid) *pid = child;
  return 0;
}

FC_EXPORT int posix_spawn(pid_t *restrict pid, const char *restrict path, const posix_spawn_file_actions_t *actions,
                          const posix_spawnattr_t *restrict attributes, char *const argv[restrict],
                          char *const envp[restrict]) {
  return fc_spawn(FC_REAL(posix_spawn), pid, path, actions, attributes, argv, envp);
}
FC_EXPORT int posix_spawnp(pid_t *restrict pid, const char *restrict file, const posix_spawn_file_actions_t *actions,
                           const posix_spawnattr_t *restrict attributes, char *const argv[restrict],
                           char *const envp[restrict]) {
  return fc_spawn(FC_REAL(posix_spawnp), pid, file, actions, attributes, argv, envp);
}

/* The child empties what is named here, sooner or later; what is copied from it later than now is not seen to be. */
FC_EXPORT int posix_spawn_file_actions_addopen(posix_spawn_file_actions_t *restrict actions, int fd,
                                               const char *restrict path, int flags, mode_t mode) {
  if (fc_member.count && (flags & O_TRUNC) && !(flags & (O_EXCL | O_PATH))) {
    const int saved = errno;
    fc_record_used(AT_FDCWD, path, -1, true);
    errno = saved;
  }
  return FC_REAL(posix_spawn_file_actions_addopen)(actions, fd, path, flags, mode);
}

void fc_ending(int status) {
  if (fc_filtered_ending()) return;
  fc_member_record_end(status);
  fc_leaving(true);
}

FC_EXPORT void _exit(int status) {
  fc_ending(status);
  FC_REAL(_exit)(status);
  __builtin_unreachable();
}
FC_EXPORT void _Exit(int status) {
  fc_ending(status);
  FC_REAL(_Exit)(status);
  __builtin_unreachable();
}

/* A process ends when the last of its threads does, and libc counts ours. */
FC_EXPORT void pthread_exit(void *result) {
  fc_sweeping_thread_ends();
  FC_REAL(pthread_exit)(result);
  __builtin_unreachable();
}
FC_EXPORT void thrd_exit(int result) {
  fc_sweeping_thread_ends();
  FC_REAL(thrd_exit)(result);
  __builtin_unreachable();
}

#ifndef __GLIBC__
/* musl has no on_exit, and main's return does not go through a name: keep-on-failure is told the status here, before
 * the handlers of the program run. One that ends it in another way tells another status, and that is the last one. */
FC_EXPORT void exit(int status) {
  fc_member_record_end(status);
  FC_REAL(exit)(status);
  __builtin_unreachable();
}

static int (*main_of_host)(int, char **, char **);

/* musl hands main the environment that the kernel gave; ours has the session. */
static int main_and_tell(int argc, char **argv, char **envp) {
  (void)envp;
  const int status = main_of_host(argc, argv, environ);
  fc_member_record_end(status);
  return status;
}

FC_EXPORT int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void),
                                void (*fini)(void), void (*loader_fini)(void)) {
  main_of_host = main;
  return FC_REAL(__libc_start_main)(main_and_tell, argc, argv, init, fini, loader_fini);
}
#endif

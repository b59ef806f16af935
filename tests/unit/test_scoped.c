/* Scopes of the library: a file lives as long as a block, and as its outcome says. */
#include <criterion/criterion.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "library_world.h"

static struct library_world world;

static void setup(void) { library_world_begin(&world); }
static void teardown(void) { library_world_end(&world); }

TestSuite(scoped, .init = setup, .fini = teardown, .timeout = 60);

static bool is_tracked(const char *path) {
  bool tracked = false;
  ASSERT_DOES(fcm_is_tracked(world.manager, path, &tracked));
  return tracked;
}

static fcm_scope *enter(const char *path, unsigned flags) {
  fcm_scope *scope = fcm_scoped_file(world.manager, path, flags);
  cr_assert_not_null(scope, "%s: %s", path, strerror(errno));
  return scope;
}

/* The second test of the original. */
Test(scoped, file_exists_inside_and_is_gone_after) {
  const char *path = library_path(&world, "base/scoped.txt");
  {
    FCM_SCOPED fcm_scope *scope = enter(path, 0);
    library_write(fcm_scope_path(scope), "content");
    cr_expect(library_exists(path));
    cr_expect(is_tracked(path));
  }
  cr_expect_not(library_exists(path));
  cr_expect_not(is_tracked(path));
}

Test(scoped, outcome_and_flag_decide_what_stays) {
  static const struct {
    enum fcm_outcome outcome;
    unsigned flags;
    bool stays;
  } cases[] = {
      {FCM_SUCCEEDED, 0, false},
      {FCM_FAILED, 0, false},
      {FCM_CANCELLED, 0, false},
      {FCM_SUCCEEDED, FCM_KEEP_ON_ERROR, false},
      {FCM_FAILED, FCM_KEEP_ON_ERROR, true},
      {FCM_CANCELLED, FCM_KEEP_ON_ERROR, true},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    const char *path = library_path(&world, "base/file");
    fcm_scope *scope = enter(path, cases[i].flags);
    library_write(path, "content");
    ASSERT_DOES(fcm_scope_exit(scope, cases[i].outcome));
    cr_expect_eq(library_exists(path), cases[i].stays, "case %zu", i);
    cr_expect_not(is_tracked(path), "case %zu", i);
    if (cases[i].stays) cr_expect_eq(unlink(path), 0);
  }
}

static int fail_half_way(const char *path) {
  FCM_SCOPED fcm_scope *scope = enter(path, FCM_KEEP_ON_ERROR);
  library_write(path, "evidence");
  fcm_scope_set_outcome(scope, FCM_FAILED);
  errno = EXFULL;
  return -1;
}

Test(scoped, block_left_early_ends_with_the_outcome_that_was_set_and_errno_untouched) {
  const char *path = library_path(&world, "base/evidence");
  errno = 0;
  cr_expect_eq(fail_half_way(path), -1);
  cr_expect_eq(errno, EXFULL);
  cr_expect(library_exists(path));
  cr_expect_not(is_tracked(path));
}

Test(scoped, kept_file_stays_and_is_not_tracked) {
  const char *path = library_path(&world, "base/kept");
  fcm_scope *scope = enter(path, 0);
  library_write(path, "content");
  ASSERT_DOES(fcm_scope_keep(scope));
  cr_expect_not(is_tracked(path));
  ASSERT_DOES(fcm_scope_keep(scope));
  ASSERT_DOES(fcm_scope_exit(scope, FCM_SUCCEEDED));
  cr_expect(library_exists(path));
  ASSERT_DOES(fcm_cleanup_all_tracked(world.manager, NULL));
  cr_expect(library_exists(path));
}

Test(scoped, persisted_file_is_where_it_was_sent_and_nothing_is_removed) {
  const char *path = library_path(&world, "base/draft");
  const char *to = library_path(&world, "report");
  library_write(to, "older");
  fcm_scope *scope = enter(path, 0);
  library_write(path, "content");
  ASSERT_DOES(fcm_scope_persist(scope, to));
  library_write(path, "somebody else's");
  ASSERT_DOES(fcm_scope_exit(scope, FCM_FAILED));
  cr_expect(library_exists(path));
  FILE *file = fopen(to, "r");
  char text[16] = "";
  cr_assert_not_null(file);
  cr_expect_not_null(fgets(text, sizeof text, file));
  cr_expect_str_eq(text, "content");
  (void)fclose(file);
}

Test(scoped, file_that_never_came_is_no_error) {
  ASSERT_DOES(fcm_scope_exit(enter(library_path(&world, "base/never"), 0), FCM_SUCCEEDED));
  const char *path = library_path(&world, "base/gone");
  fcm_scope *scope = enter(path, 0);
  library_write(path, "content");
  cr_assert_eq(unlink(path), 0);
  ASSERT_DOES(fcm_scope_exit(scope, FCM_SUCCEEDED));
}

Test(scoped, directory_goes_with_all_that_is_in_it) {
  const char *before = library_path(&world, "base/before");
  const char *later = library_path(&world, "base/later");
  cr_assert_eq(mkdir(before, 0700), 0);
  fcm_scope *first = enter(before, 0);
  fcm_scope *second = enter(later, 0);
  cr_assert_eq(mkdir(later, 0700), 0);
  library_write(library_path(&world, "base/before/file"), "");
  cr_assert_eq(mkdir(library_path(&world, "base/later/sub"), 0700), 0);
  library_write(library_path(&world, "base/later/sub/file"), "");
  ASSERT_DOES(fcm_scope_exit(first, FCM_SUCCEEDED));
  ASSERT_DOES(fcm_scope_exit(second, FCM_SUCCEEDED));
  cr_expect_not(library_exists(before));
  cr_expect_not(library_exists(later));
}

Test(scoped, new_file_is_private_and_its_descriptor_the_callers) {
  int fd = -1;
  struct stat status;
  fcm_scope *scope = fcm_scoped_new_file(world.manager, NULL, "pre-", ".suf", 0, &fd);
  cr_assert_not_null(scope, "%s", strerror(errno));
  const char *path = fcm_scope_path(scope);
  cr_expect_eq(strncmp(path, fcm_base_dir(world.manager), strlen(fcm_base_dir(world.manager))), 0);
  cr_expect_not_null(strstr(path, "/pre-"));
  cr_expect_str_eq(path + strlen(path) - 4, ".suf");
  cr_assert_eq(fstat(fd, &status), 0);
  cr_expect_eq(status.st_mode, S_IFREG | 0600);
  cr_expect_eq(write(fd, "x", 1), 1);
  ASSERT_DOES(fcm_scope_exit(scope, FCM_SUCCEEDED));
  cr_expect_eq(fstat(fd, &status), 0, "the descriptor was closed");
  cr_expect_eq(status.st_nlink, 0);
  (void)close(fd);
  const int free_fd = dup(0);
  (void)close(free_fd);
  scope = fcm_scoped_new_file(world.manager, NULL, NULL, NULL, 0, NULL);
  cr_assert_not_null(scope);
  const int next_fd = dup(0);
  cr_expect_eq(next_fd, free_fd, "a descriptor that nobody wanted is open");
  (void)close(next_fd);
  ASSERT_DOES(fcm_scope_exit(scope, FCM_SUCCEEDED));
}

Test(scoped, new_directory_is_private_and_gone_with_what_came_into_it) {
  char path[PATH_MAX];
  {
    struct stat status;
    FCM_SCOPED fcm_scope *scope = fcm_scoped_new_directory(world.manager, NULL, "request-", 0);
    cr_assert_not_null(scope, "%s", strerror(errno));
    cr_assert_eq(stat(fcm_scope_path(scope), &status), 0);
    cr_expect_eq(status.st_mode, S_IFDIR | 0700);
    (void)snprintf(path, sizeof path, "%s/upload", fcm_scope_path(scope));
    library_write(path, "content");
  }
  cr_expect_not(library_exists(path));
  *strrchr(path, '/') = '\0';
  cr_expect_not(library_exists(path));
}

Test(scoped, what_another_has_put_in_its_place_is_left_alone) {
  const char *path = library_path(&world, "base/file");
  const char *other = library_path(&world, "base/other");
  library_write(path, "ours");
  library_write(other, "theirs");
  fcm_scope *scope = enter(path, 0);
  cr_assert_eq(rename(other, path), 0);
  EXPECT_FAILS(ESTALE, fcm_scope_exit(scope, FCM_SUCCEEDED));
  cr_expect(library_exists(path));
}

Test(scoped, relative_path_means_the_directory_of_its_entry) {
  cr_assert_eq(chdir(world.base), 0);
  fcm_scope *scope = enter("relative", 0);
  library_write("relative", "content");
  cr_assert_eq(chdir("/"), 0);
  ASSERT_DOES(fcm_scope_exit(scope, FCM_SUCCEEDED));
  cr_expect_not(library_exists(library_path(&world, "base/relative")));
}

static void expect_refused(int error, const fcm_scope *scope) {
  cr_expect_null(scope);
  cr_expect_eq(errno, error, "%s instead of %s", strerrorname_np(errno), strerrorname_np(error));
}

Test(scoped, bad_input_is_refused_with_its_errno) {
  static char longer[5001];
  memset(longer, 'x', sizeof longer - 1);
  longer[0] = '/';
  expect_refused(EINVAL, fcm_scoped_file(world.manager, NULL, 0));
  expect_refused(EINVAL, fcm_scoped_file(world.manager, "", 0));
  expect_refused(EINVAL, fcm_scoped_file(NULL, library_path(&world, "base/a"), 0));
  expect_refused(EINVAL, fcm_scoped_file(world.manager, library_path(&world, "base/a"), 8));
  expect_refused(EINVAL, fcm_scoped_new_file(world.manager, NULL, NULL, NULL, 8, NULL));
  expect_refused(EINVAL, fcm_scoped_new_directory(world.manager, NULL, NULL, 8));
  expect_refused(ENAMETOOLONG, fcm_scoped_file(world.manager, longer, 0));
  expect_refused(EXDEV, fcm_scoped_file(world.manager, library_path(&world, "outside"), 0));
  expect_refused(EXDEV, fcm_scoped_file(world.manager, library_path(&world, "base/../outside"), 0));
  expect_refused(EXDEV, fcm_scoped_new_file(world.manager, world.root, NULL, NULL, 0, NULL));
  EXPECT_FAILS(EINVAL, fcm_scope_keep(NULL));
  EXPECT_FAILS(EINVAL, fcm_scope_persist(NULL, "/tmp/x"));
  EXPECT_FAILS(EINVAL, fcm_scope_exit_async(NULL, FCM_SUCCEEDED, NULL, NULL, NULL));
  cr_expect_null(fcm_scope_path(NULL));
  ASSERT_DOES(fcm_scope_exit(NULL, FCM_SUCCEEDED));
  fcm_scope_set_outcome(NULL, FCM_FAILED);
  fcm_scope *none = NULL;
  fcm_scope_end(&none);
  fcm_scope_end(NULL);
}

#if !defined(__SANITIZE_ADDRESS__) /* the scope's memory is lost, as it must be */
static jmp_buf out;

static void leave_by_longjmp(const char *path) {
  FCM_SCOPED fcm_scope *scope = enter(path, 0);
  library_write(fcm_scope_path(scope), "content");
  longjmp(out, 1);
}

Test(scoped, block_left_by_longjmp_leaves_the_file_to_the_manager) {
  const char *path = library_path(&world, "base/jumped");
  if (setjmp(out) == 0) leave_by_longjmp(path);
  cr_expect(library_exists(path));
  cr_expect(is_tracked(path));
  ASSERT_DOES(fcm_cleanup_all_tracked(world.manager, NULL));
  cr_expect_not(library_exists(path));
}
#endif

Test(scoped, fork_child_neither_removes_nor_untracks) {
  const char *path = library_path(&world, "base/parents");
  fcm_scope *scope = enter(path, 0);
  library_write(path, "content");
  const pid_t child = fork();
  if (child == 0) {
    int failures = fcm_scope_keep(scope) != -1 || errno != EPERM;
    failures += fcm_scoped_file(world.manager, library_path(&world, "base/childs"), 0) != NULL || errno != EPERM;
    failures += fcm_scope_exit(scope, FCM_SUCCEEDED) != -1 || errno != EPERM;
    failures += fcm_destroy(world.manager) != 0;
    _exit(failures);
  }
  int status;
  cr_assert_eq(waitpid(child, &status, 0), child);
  cr_expect_eq(status, 0, "%d failures", WEXITSTATUS(status));
  cr_expect(library_exists(path));
  cr_expect(is_tracked(path));
  ASSERT_DOES(fcm_scope_exit(scope, FCM_SUCCEEDED));
  cr_expect_not(library_exists(path));
}

Test(scoped, killed_inside_the_next_start_removes_the_file) {
  ASSERT_DOES(fcm_destroy(world.manager));
  world.manager = NULL;
  const char *path = library_path(&world, "base/orphan");
  const pid_t child = fork();
  if (child == 0) {
    fcm_manager *own = fcm_create(&world.options);
    if (!own || !fcm_scoped_file(own, path, 0)) _exit(1);
    FILE *file = fopen(path, "w");
    if (!file || fclose(file) != 0) _exit(1);
    (void)raise(SIGKILL);
  }
  int status;
  cr_assert_eq(waitpid(child, &status, 0), child);
  cr_assert(WIFSIGNALED(status), "status %d", status);
  cr_assert(library_exists(path));
  library_world_create(&world);
  cr_expect_not(library_exists(path));
}

Test(scoped, without_cleanup_after_processing_the_file_waits_for_its_age) {
  ASSERT_DOES(fcm_destroy(world.manager));
  world.options.cleanup_after_processing = false;
  library_world_create(&world);
  const char *path = library_path(&world, "base/file");
  fcm_scope *scope = enter(path, 0);
  library_write(path, "content");
  ASSERT_DOES(fcm_scope_exit(scope, FCM_SUCCEEDED));
  cr_expect(library_exists(path));
  cr_expect(is_tracked(path));
  ASSERT_DOES(fcm_cleanup_old_files(world.manager, 0, NULL));
  cr_expect_not(library_exists(path));
}

/* test_config_check: which directories may never be a base, and which only when the user says so. */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config.h"
#include "message.h"

#define NOBODY_UID 65534

static struct fc_config config;
static char message[FC_MESSAGE_MAX];

/* Each test gets a scratch directory, stands outside of it, and is told that home is in its subdirectory "home". */
static char scratch[PATH_MAX];
static char home_entry[PATH_MAX + 16];

static char *below(const char *name) {
  static char paths[4][2 * PATH_MAX];
  static unsigned next;
  char *path = paths[next++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s", scratch, name);
  return path;
}

static void make_directory(const char *name) {
  cr_assert_eq(mkdir(below(name), 0755), 0, "%s: %s", name, strerror(errno));
}

static void make_file(const char *name) {
  int fd = open(below(name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  cr_assert_geq(fd, 0);
  close(fd);
}

static void set_up_scratch(void) {
  char name[] = "/tmp/fc-config-XXXXXX";
  cr_assert_not_null(mkdtemp(name));
  cr_assert_not_null(realpath(name, scratch));
  make_directory("base");
  make_directory("home");
  make_directory("elsewhere");
  snprintf(home_entry, sizeof home_entry, "HOME=%s/home", scratch);
  cr_assert_eq(chdir(below("elsewhere")), 0);
  fc_config_default(&config);
}

static void tear_down_scratch(void) {
  char command[PATH_MAX + 16];
  cr_assert_eq(chdir("/"), 0);
  snprintf(command, sizeof command, "rm -rf '%s'", scratch);
  cr_assert_eq(system(command), 0);
}

TestSuite(base, .init = set_up_scratch, .fini = tear_down_scratch);

static int check_as(const char *path, const char *home, const char *tool_path) {
  char real[PATH_MAX];
  const char *const envp[] = {home, NULL};
  int fd = open(path, O_PATH | O_CLOEXEC);
  cr_assert_geq(fd, 0, "%s: %s", path, strerror(errno));
  cr_assert_not_null(realpath(path, real));
  int rc = fc_config_check_base(&config, fd, real, (char *const *)envp, tool_path, message, sizeof message);
  close(fd);
  return rc;
}
static int check(const char *path) { return check_as(path, home_entry, NULL); }

/* Refused for this reason, whether or not the user trusts the base. */
static void expect_never(int rc, const char *reason) {
  cr_expect_eq(rc, -1);
  cr_expect(strstr(message, "filecleanup: FILECLEANUP_BASE_DIR=\"/") == message, "%s", message);
  cr_expect(strstr(message, reason) != NULL, "%s", message);
  cr_expect(strstr(message, "; nothing will be deleted") != NULL, "%s", message);
  cr_expect(strstr(message, "TRUST_BASE") == NULL, "trust would not help: %s", message);
}

static void expect_refused(int rc, const char *reason) {
  cr_expect_eq(rc, -1);
  cr_expect(strstr(message, "filecleanup: FILECLEANUP_BASE_DIR=\"/") == message, "%s", message);
  cr_expect(strstr(message, reason) != NULL, "%s", message);
  cr_expect(strstr(message, "FILECLEANUP_TRUST_BASE=1") != NULL, "%s", message);
}

Test(base, an_ordinary_directory_is_accepted) {
  cr_expect_eq(check(below("base")), 0, "%s", message);
  cr_expect_str_empty(message);
}

Test(base, a_directory_below_the_working_directory_is_accepted) {
  cr_assert_eq(chdir(scratch), 0);
  cr_expect_eq(check("./base"), 0, "%s", message);
}

Test(base, a_directory_below_home_is_accepted) {
  make_directory("home/cache");
  cr_expect_eq(check(below("home/cache")), 0, "%s", message);
}

Test(base, a_directory_whose_name_only_begins_like_home_is_accepted) {
  make_directory("hom");
  cr_expect_eq(check(below("hom")), 0, "%s", message);
}

Test(base, the_usual_shared_directories_are_accepted) {
  cr_assert_eq(chdir("/"), 0);
  cr_expect_eq(check_as("/tmp", "HOME=/nonexistent", NULL), 0, "%s", message);
  cr_expect_eq(check_as("/var/tmp", "HOME=/nonexistent", NULL), 0, "%s", message);
}

Test(base, the_root_is_never_accepted) {
  expect_never(check("/"), "root directory");
  config.policy.trust_base = 1;
  expect_never(check("/"), "root directory");
}

Test(base, system_directories_are_never_accepted_by_whatever_name) {
  static const char *const names[] = {"/etc",  "/usr", "/var",  "/bin",  "/sbin", "/lib",        "/lib64",  "/dev",
                                      "/proc", "/sys", "/boot", "/root", "/home", "/usr/../etc", "/usr/bin"};
  config.policy.trust_base = 1;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    struct stat usr_bin;
    struct stat bin;
    if (access(names[i], F_OK) != 0) continue;
    /* /usr/bin counts only where /bin is a link to it */
    if (strcmp(names[i], "/usr/bin") == 0 &&
        (stat("/usr/bin", &usr_bin) != 0 || stat("/bin", &bin) != 0 || usr_bin.st_ino != bin.st_ino))
      continue;
    expect_never(check(names[i]), "system directory");
  }
}

Test(base, a_link_to_a_system_directory_is_that_directory) {
  cr_assert_eq(symlink("/etc", below("link")), 0);
  config.policy.trust_base = 1;
  expect_never(check(below("link")), "system directory");
}

Test(base, a_directory_below_a_system_directory_is_no_system_directory) {
  cr_assert_eq(chdir("/"), 0);
  cr_expect_eq(check_as("/usr/share/doc", "HOME=/nonexistent", NULL), 0, "%s", message);
}

Test(base, the_home_directory_is_never_accepted) {
  config.policy.trust_base = 1;
  expect_never(check(below("home")), "home directory");
}

Test(base, the_home_directory_is_known_under_another_name) {
  char other[PATH_MAX + 8];
  cr_assert_eq(symlink(below("home"), below("link")), 0);
  config.policy.trust_base = 1;
  expect_never(check(below("link")), "home directory");
  snprintf(other, sizeof other, "HOME=%s", below("link"));
  expect_never(check_as(below("home"), other, NULL), "home directory");
}

Test(base, a_directory_that_everybody_may_write_needs_the_sticky_bit) {
  config.policy.trust_base = 1;
  cr_assert_eq(chmod(below("base"), 0777), 0);
  expect_never(check(below("base")), "sticky");
  cr_assert_eq(chmod(below("base"), 0702), 0);
  expect_never(check(below("base")), "sticky");
  cr_assert_eq(chmod(below("base"), 01777), 0);
  cr_expect_eq(check(below("base")), 0, "%s", message);
  cr_assert_eq(chmod(below("base"), 0775), 0);
  cr_expect_eq(check(below("base")), 0, "%s", message);
}

Test(base, what_is_no_directory_is_never_accepted) {
  make_file("file");
  config.policy.trust_base = 1;
  expect_never(check(below("file")), "not a directory");
}

Test(base, a_bad_descriptor_is_refused) {
  const char *const envp[] = {NULL};
  config.policy.trust_base = 1;
  cr_expect_eq(fc_config_check_base(&config, 1 << 20, "/x", (char *const *)envp, NULL, message, sizeof message), -1);
  cr_expect(strstr(message, "cannot be examined") != NULL, "%s", message);
}

/* The rules that trust lifts: each refused first, then accepted. */
static void expect_refused_unless_trusted(const char *path, const char *home, const char *tool, const char *reason) {
  expect_refused(check_as(path, home, tool), reason);
  config.policy.trust_base = 1;
  cr_expect_eq(check_as(path, home, tool), 0, "%s", message);
  config.policy.trust_base = 0;
}

Test(base, the_working_directory_is_refused_unless_trusted) {
  cr_assert_eq(chdir(below("base")), 0);
  expect_refused_unless_trusted(".", home_entry, NULL, "working directory");
}

Test(base, a_directory_above_the_working_directory_is_refused_unless_trusted) {
  make_directory("base/deep");
  make_directory("base/deep/deeper");
  cr_assert_eq(chdir(below("base/deep/deeper")), 0);
  expect_refused_unless_trusted(below("base"), home_entry, NULL, "working directory");
}

Test(base, a_link_to_a_directory_above_the_working_directory_is_refused_unless_trusted) {
  make_directory("base/deep");
  cr_assert_eq(symlink("base", below("link")), 0);
  cr_assert_eq(chdir(below("link/deep")), 0);
  expect_refused_unless_trusted(below("link"), home_entry, NULL, "working directory");
}

Test(base, a_working_directory_deeper_than_a_name_can_say_is_still_found_inside) {
  cr_assert_eq(chdir(below("base")), 0);
  for (int i = 0; i < 40; i++) {
    static const char name[] = "a-directory-with-a-name-long-enough-that-forty-of-them-exceed-the-longest-of-names-"
                               "which-is-4096-bytes-by-a-good-margin";
    cr_assert_eq(mkdir(name, 0755), 0);
    cr_assert_eq(chdir(name), 0);
  }
  expect_refused_unless_trusted(below("base"), home_entry, NULL, "working directory");
}

Test(base, a_working_directory_that_is_gone_is_found_by_its_parent) {
  make_directory("base/gone");
  cr_assert_eq(chdir(below("base/gone")), 0);
  cr_assert_eq(rmdir(below("base/gone")), 0);
  expect_refused_unless_trusted(below("base"), home_entry, NULL, "working directory");
}

/* In a child: root may search everything, so it must become somebody else, who then could not tidy up. */
Test(base, a_working_directory_that_cannot_be_searched_is_found_by_its_name) {
  int status = -1;
  make_directory("base/closed");
  cr_assert_eq(chmod(scratch, 0755), 0);
  cr_assert_eq(chdir(below("base/closed")), 0);
  cr_assert_eq(chmod(".", 0), 0);
  pid_t child = fork();
  if (child == 0) {
    if (geteuid() == 0 && setresuid(NOBODY_UID, NOBODY_UID, NOBODY_UID) != 0) _exit(2);
    bool unsearchable = access("..", F_OK) != 0;
    bool refused = check(below("base")) == -1 && strstr(message, "working directory") != NULL;
    _exit(unsearchable && refused ? 0 : 1);
  }
  cr_assert_eq(waitpid(child, &status, 0), child);
  cr_expect_eq(status, 0);
}

Test(base, a_directory_that_contains_home_is_refused_unless_trusted) {
  char inner[PATH_MAX + 16];
  make_directory("base/users");
  make_directory("base/users/me");
  snprintf(inner, sizeof inner, "HOME=%s", below("base/users/me"));
  expect_refused_unless_trusted(below("base"), inner, NULL, "home directory");
}

Test(base, a_directory_that_contains_home_by_a_link_is_refused_unless_trusted) {
  char linked[PATH_MAX + 16];
  make_directory("base/me");
  cr_assert_eq(symlink("base/me", below("link")), 0);
  snprintf(linked, sizeof linked, "HOME=%s", below("link"));
  expect_refused_unless_trusted(below("base"), linked, NULL, "home directory");
}

Test(base, a_directory_directly_below_the_homes_is_somebodys_home) {
  if (geteuid() != 0) cr_skip("needs the right to write in /home");
  char user[] = "/home/fc-config-XXXXXX";
  cr_assert_not_null(mkdtemp(user));
  expect_refused_unless_trusted(user, home_entry, NULL, "home directory");
  rmdir(user);
}

Test(base, a_missing_relative_or_absent_home_is_no_hindrance) {
  cr_expect_eq(check_as(below("base"), NULL, NULL), 0, "%s", message);
  cr_expect_eq(check_as(below("base"), "HOME=", NULL), 0, "%s", message);
  cr_expect_eq(check_as(below("base"), "HOME=base", NULL), 0, "%s", message);
  cr_expect_eq(check_as(below("base"), "HOME=/", NULL), 0, "%s", message);
  cr_expect_eq(check_as(below("base"), "HOME=/nonexistent", NULL), 0, "%s", message);
}

Test(base, a_directory_under_version_control_is_refused_unless_trusted) {
  static const char *const names[] = {".git", ".hg", ".svn", ".bzr", "_darcs", "CVS", ".jj"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char name[64];
    snprintf(name, sizeof name, "base/%s", names[i]);
    make_directory(name);
    expect_refused_unless_trusted(below("base"), home_entry, NULL, "version control");
    cr_assert_eq(rmdir(below(name)), 0);
  }
  cr_expect_eq(check(below("base")), 0, "%s", message);
}

Test(base, a_work_tree_whose_git_is_a_file_or_a_dangling_link_is_refused) {
  make_file("base/.git");
  expect_refused(check(below("base")), "version control");
  cr_assert_eq(unlink(below("base/.git")), 0);
  cr_assert_eq(symlink("/nonexistent", below("base/.git")), 0);
  expect_refused(check(below("base")), "version control");
}

Test(base, a_directory_below_a_work_tree_is_accepted) {
  make_directory("base/.git");
  make_directory("base/temp");
  cr_expect_eq(check(below("base/temp")), 0, "%s", message);
}

Test(base, a_directory_that_contains_the_tool_is_refused_unless_trusted) {
  make_directory("base/lib");
  make_file("base/lib/shim.so");
  expect_refused_unless_trusted(below("base"), home_entry, below("base/lib/shim.so"), "filecleanup itself");
  make_file("home/shim.so");
  cr_expect_eq(check_as(below("base"), home_entry, below("home/shim.so")), 0, "%s", message);
}

Test(base, the_tool_is_found_behind_links_and_so_are_the_links) {
  char absolute[PATH_MAX * 2];
  make_directory("base/lib");
  make_file("base/lib/shim.so");
  make_file("home/shim.so");
  snprintf(absolute, sizeof absolute, "%s", below("base/lib/shim.so"));
  cr_assert_eq(symlink(absolute, below("home/absolute.so")), 0);
  cr_assert_eq(symlink("../base/lib/shim.so", below("home/relative.so")), 0);
  cr_assert_eq(symlink("relative.so", below("home/twice.so")), 0);
  cr_assert_eq(symlink(below("home/shim.so"), below("base/outwards.so")), 0);
  expect_refused(check_as(below("base"), home_entry, below("home/absolute.so")), "filecleanup itself");
  expect_refused(check_as(below("base"), home_entry, below("home/relative.so")), "filecleanup itself");
  expect_refused(check_as(below("base"), home_entry, below("home/twice.so")), "filecleanup itself");
  expect_refused(check_as(below("base"), home_entry, below("base/outwards.so")), "filecleanup itself");
}

Test(base, a_tool_that_cannot_be_found_is_no_hindrance) {
  cr_assert_eq(symlink("loop", below("loop")), 0);
  cr_expect_eq(check_as(below("base"), home_entry, "/nonexistent/shim.so"), 0, "%s", message);
  cr_expect_eq(check_as(below("base"), home_entry, below("loop")), 0, "%s", message);
}

/* The manager of the public library: what each function promises, one behaviour per test, and its documented errors. */
#include <pthread.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "manager_world.h"

#define NOBODY 65534
#define FAR_FUTURE_S 13000000000L /* the year 2435, which ext4 can tell as well */

TestSuite(manager, .init = world_begin, .fini = world_end, .timeout = 60);

/* Permissions mean nothing to root. world_end takes it back. */
static bool become_nobody(void) {
  return geteuid() != 0 ||
         (library_place_give(world_root, world_state, NOBODY) && setegid(NOBODY) == 0 && seteuid(NOBODY) == 0);
}

/* ---- the two tests of the original ---- */

Test(manager, a_tracked_file_older_than_the_ttl_is_removed_and_counted) {
  struct fcm_options options = world_options();
  options.ttl = FCM_HOURS(1);
  fcm_manager *m = fcm_create(&options);
  struct fcm_result result;
  write_file(in_base("old"), "0123456789");
  write_file(in_base("young"), "x");
  write_file(in_base("untracked"), "x");
  cr_assert_eq(fcm_track_file(m, in_base("old")), 0);
  cr_assert_eq(fcm_track_file(m, in_base("young")), 0);
  set_age(in_base("old"), 7200);
  set_age(in_base("untracked"), 7200);
  cr_assert_eq(fcm_cleanup_old_files(m, FCM_DEFAULT, &result), 0);
  cr_assert_eq(result.removed_count, 1);
  cr_assert_eq(result.removed_size_bytes, 10);
  cr_assert_float_eq(result.removed_size_mb, 10.0 / 1048576, 1e-12);
  cr_assert_eq(result.errors, 0);
  cr_assert_eq(result.spared, 0);
  cr_assert_eq(result.tracked_files_remaining, 1);
  cr_assert(!stands(in_base("old")) && stands(in_base("young")) && stands(in_base("untracked")));
  cr_assert_eq(fcm_destroy(m), 0);
  cr_assert(!stands(in_base("young")) && stands(in_base("untracked")));
}

/* ---- making and ending ---- */

Test(manager, the_base_is_made_private_with_its_parents_and_stays) {
  struct fcm_options options = world_options();
  struct stat st;
  options.base_dir = in_base("a/b");
  fcm_manager *m = fcm_create(&options);
  cr_assert(m);
  cr_assert_eq(stat(in_base("a"), &st), 0);
  cr_assert_eq(st.st_mode & 07777, 0700);
  cr_assert_str_eq(fcm_base_dir(m), in_base("a/b"));
  cr_assert_eq(fcm_destroy(m), 0);
  cr_assert(stands(in_base("a/b")));
  cr_assert_eq(entries_in(world_state), 0, "a session that is over leaves nothing in its state directory");
}

Test(manager, options_that_cannot_be_are_refused) {
  struct fcm_options options = world_options();
  errno = 0;
  cr_assert(!fcm_create(NULL) && errno == EINVAL);
  options.base_dir = NULL;
  cr_assert(!fcm_create(&options) && errno == EINVAL);
  options = world_options();
  options.base_dir = "";
  cr_assert(!fcm_create(&options) && errno == EINVAL);
  options = world_options();
  options.size = sizeof options + 8;
  cr_assert(!fcm_create(&options) && errno == EINVAL);
  options = world_options();
  options.size = 4;
  cr_assert(!fcm_create(&options) && errno == EINVAL);
  options = world_options();
  options.ttl = 0;
  cr_assert(!fcm_create(&options) && errno == EINVAL);
  options = world_options();
  options.interval = -1;
  cr_assert(!fcm_create(&options) && errno == EINVAL);
  options = world_options();
  options.keep = "/absolute";
  cr_assert(!fcm_create(&options) && errno == EINVAL);
  cr_assert(strstr(world_log, "KEEP"), "the reason is said: %s", world_log);
  cr_assert_eq(entries_in(world_root), 0, "nothing is left of what was refused");
}

Test(manager, a_smaller_struct_of_an_older_program_gets_the_defaults) {
  struct fcm_options options;
  fcm_options_init_size(&options, offsetof(struct fcm_options, keep));
  cr_assert_eq(options.ttl, FCM_HOURS(24));
  options.base_dir = world_base;
  options.state_dir = world_state;
  fcm_manager *m = fcm_create(&options);
  struct fcm_stats stats;
  cr_assert(m, "%s", strerror(errno));
  cr_assert_eq(fcm_get_stats(m, &stats), 0);
  cr_assert(stats.periodic_cleanup_running);
  cr_assert_eq(stats.cleanup_interval, FCM_MINUTES(30));
  cr_assert_eq(fcm_destroy(m), 0);
}

Test(manager, a_base_that_is_refused_is_eperm_and_one_that_cannot_be_is_its_errno) {
  struct fcm_options options = world_options();
  options.base_dir = "/";
  cr_assert(!fcm_create(&options) && errno == EPERM, "%s", strerror(errno));
  options.base_dir = "/etc";
  cr_assert(!fcm_create(&options) && errno == EPERM, "%s", strerror(errno));
  write_file(fcm_version()[0] ? world_base : "", "a file");
  options.base_dir = world_base;
  cr_assert(!fcm_create(&options) && errno == ENOTDIR, "%s", strerror(errno));
  options.base_dir = in_base("below");
  cr_assert(!fcm_create(&options) && errno == ENOTDIR, "%s", strerror(errno));
  char deep[PATH_MAX + 10];
  memset(deep, 'x', sizeof deep - 1);
  deep[0] = '/';
  deep[sizeof deep - 1] = '\0';
  options.base_dir = deep;
  cr_assert(!fcm_create(&options));
  cr_assert(errno == EINVAL || errno == ENAMETOOLONG, "%s", strerror(errno));
}

Test(manager, a_state_directory_that_is_not_safe_is_refused) {
  struct fcm_options options = world_options();
  cr_assert_eq(mkdir(world_state, 0777), 0);
  cr_assert_eq(chmod(world_state, 0777), 0);
  cr_assert(!fcm_create(&options) && errno == EPERM, "%s", strerror(errno));
  cr_assert(!stands(world_base), "the base that was made for it is gone again");
}

Test(manager, no_descriptor_is_emfile) {
  const struct fcm_options options = world_options();
  fcm_manager *m = world_manager();
  cr_assert_eq(mkdir(in_base("d"), 0700), 0);
  write_file(in_base("d/f"), "x");
  write_file(in_base("top"), "x");
  cr_assert_eq(fcm_track_file(m, in_base("d/f")), 0);
  int last = -1;
  int first = -1;
  struct rlimit few = {64, 64};
  cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
  for (int fd; (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0; last = fd)
    if (first < 0) first = fd;
  errno = 0;
  cr_assert(!fcm_create(&options) && errno == EMFILE, "%s", strerror(errno));
  ASSERT_FAILS(fcm_track_file(m, in_base("d/other")), EMFILE);
  cr_assert_eq(fcm_track_file(m, in_base("top")), 0, "right beneath the base no descriptor is needed");
  ASSERT_FAILS(fcm_cleanup_file(m, in_base("d/f"), NULL), EMFILE);
  ASSERT_FAILS(fcm_cleanup_file(m, in_base("top"), NULL), EMFILE);
  struct fcm_result result;
  cr_assert_eq(fcm_cleanup_all_tracked(m, &result), 0);
  cr_assert_eq(result.errors, 2);
  cr_assert_eq(result.tracked_files_remaining, 2, "nothing is lost");
  for (int fd = first; fd <= last; fd++) (void)close(fd); /* no others were opened in between */
  cr_assert_eq(fcm_destroy(m), 0);
  cr_assert_eq(entries_in(world_base), 1);
  cr_assert(stands(in_base("d")));
}

Test(manager, null_is_einval_everywhere_and_fine_for_destroy) {
  fcm_manager *m = world_manager();
  bool flag;
  char path[PATH_MAX];
  cr_assert_eq(fcm_destroy(NULL), 0);
  ASSERT_FAILS(fcm_track_file(NULL, "x"), EINVAL);
  ASSERT_FAILS(fcm_track_file(m, NULL), EINVAL);
  ASSERT_FAILS(fcm_track_tree(m, NULL), EINVAL);
  ASSERT_FAILS(fcm_untrack_file(m, NULL), EINVAL);
  ASSERT_FAILS(fcm_is_tracked(m, NULL, &flag), EINVAL);
  ASSERT_FAILS(fcm_is_tracked(m, in_base("x"), NULL), EINVAL);
  ASSERT_FAILS(fcm_cleanup_file(m, NULL, NULL), EINVAL);
  ASSERT_FAILS(fcm_cleanup_directory(m, NULL, true, NULL), EINVAL);
  ASSERT_FAILS(fcm_cleanup_old_files(NULL, 0, NULL), EINVAL);
  ASSERT_FAILS(fcm_cleanup_old_files(m, -2, NULL), EINVAL);
  ASSERT_FAILS(fcm_cleanup_all_tracked(NULL, NULL), EINVAL);
  ASSERT_FAILS(fcm_get_stats(m, NULL), EINVAL);
  ASSERT_FAILS(fcm_start_periodic_cleanup(NULL), EINVAL);
  ASSERT_FAILS(fcm_stop_periodic_cleanup(NULL), EINVAL);
  ASSERT_FAILS(fcm_make_file(m, NULL, NULL, NULL, NULL, 0), EINVAL);
  ASSERT_FAILS(fcm_make_file(m, NULL, "a/b", NULL, path, sizeof path), EINVAL);
  ASSERT_FAILS(fcm_make_directory(m, NULL, NULL, NULL, 0), EINVAL);
  ASSERT_FAILS(fcm_persist(m, NULL, "x"), EINVAL);
  ASSERT_FAILS(fcm_persist(m, in_base("x"), NULL), EINVAL);
  ASSERT_FAILS(fcm_persist(m, in_base("x"), ""), EINVAL);
  ASSERT_FAILS(fcm_adopt(NULL), EINVAL);
  ASSERT_FAILS(fcm_abandon(NULL), EINVAL);
  ASSERT_FAILS(fcm_options_from_environment(NULL, NULL, 0), EINVAL);
  cr_assert(!fcm_base_dir(NULL));
  cr_assert_eq(fcm_destroy(m), 0);
}

Test(manager, what_is_not_processed_stays_when_the_policy_says_so) {
  struct fcm_options options = world_options();
  options.cleanup_after_processing = false;
  fcm_manager *m = fcm_create(&options);
  write_file(in_base("f"), "x");
  cr_assert_eq(fcm_track_file(m, in_base("f")), 0);
  cr_assert_eq(fcm_destroy(m), 0);
  m = world_manager();
  cr_assert(stands(in_base("f")), "and the next start keeps to it");
  cr_assert_eq(fcm_destroy(m), 0);
}

Test(manager, disabled_removes_nothing) {
  struct fcm_options options = world_options();
  bool removed = true;
  options.disabled = true;
  fcm_manager *m = fcm_create(&options);
  write_file(in_base("f"), "x");
  cr_assert_eq(fcm_track_file(m, in_base("f")), 0);
  cr_assert_eq(fcm_cleanup_file(m, in_base("f"), &removed), 0);
  cr_assert(!removed);
  cr_assert_eq(fcm_cleanup_all_tracked(m, NULL), 0);
  cr_assert_eq(fcm_destroy(m), 0);
  cr_assert(stands(in_base("f")));
}

Test(manager, the_environment_changes_what_it_names_and_nothing_else) {
  struct fcm_options options = world_options();
  char message[200];
  cr_assert_eq(setenv("FILECLEANUP_TTL", "90s", 1), 0);
  cr_assert_eq(setenv("FILECLEANUP_ON_EXIT", "keep", 1), 0);
  cr_assert_eq(setenv("FILECLEANUP_KEEP", "*.log", 1), 0);
  cr_assert_eq(setenv("FILECLEANUP_IN_USE", "skip", 1), 0);
  cr_assert_eq(fcm_options_from_environment(&options, message, sizeof message), 0, "%s", message);
  cr_assert_eq(options.ttl, FCM_SECONDS(90));
  cr_assert_eq(options.interval, FCM_MINUTES(30));
  cr_assert(!options.cleanup_after_processing && options.spare_in_use && !options.disabled);
  cr_assert_str_eq(options.keep, "*.log");
  cr_assert_str_eq(options.base_dir, world_base);
  cr_assert_eq(setenv("FILECLEANUP_INTERVAL", "5M", 1), 0);
  options.ttl = 1;
  ASSERT_FAILS(fcm_options_from_environment(&options, message, sizeof message), EINVAL);
  cr_assert(strstr(message, "INTERVAL"), "%s", message);
  cr_assert_eq(options.ttl, 1, "nothing is changed");
  cr_assert_eq(setenv("FILECLEANUP_DISABLE", "1", 1), 0);
  cr_assert_eq(fcm_options_from_environment(&options, NULL, 0), 0);
  cr_assert(options.disabled);
}

/* ---- tracking ---- */

Test(manager, tracking_is_by_name_and_can_be_taken_back) {
  fcm_manager *m = world_manager();
  write_file(in_base("f"), "x");
  cr_assert_eq(fcm_track_file(m, in_base("f")), 0);
  cr_assert_eq(fcm_track_file(m, in_base("f")), 0);
  cr_assert_eq(fcm_track_file(m, in_base("later")), 0);
  cr_assert_eq(tracked_files(m), 2);
  cr_assert(is_tracked(m, in_base("f")) && is_tracked(m, in_base("later")) && !is_tracked(m, in_base("other")));
  cr_assert(is_tracked(m, in_base("./x/..//f")), "written in another way");
  cr_assert_eq(fcm_untrack_file(m, in_base("f")), 0);
  cr_assert(!is_tracked(m, in_base("f")));
  ASSERT_FAILS(fcm_untrack_file(m, in_base("f")), ENOENT);
  cr_assert_eq(fcm_destroy(m), 0);
  cr_assert(stands(in_base("f")), "untracked: it stays");
}

Test(manager, paths_relative_to_the_working_directory_and_through_the_alias_of_the_base) {
  cr_assert_eq(mkdir(world_base, 0700), 0);
  char alias[200];
  (void)snprintf(alias, sizeof alias, "%s/alias", world_root);
  cr_assert_eq(symlink(world_base, alias), 0);
  struct fcm_options options = world_options();
  options.base_dir = alias;
  fcm_manager *m = fcm_create(&options);
  cr_assert(m, "%s", strerror(errno));
  cr_assert_str_eq(fcm_base_dir(m), world_base);
  cr_assert_eq(mkdir(in_base("d"), 0700), 0);
  cr_assert_eq(chdir(in_base("d")), 0);
  cr_assert_eq(fcm_track_file(m, "f"), 0);
  cr_assert(is_tracked(m, in_base("d/f")));
  cr_assert_eq(fcm_track_file(m, "../g"), 0);
  cr_assert(is_tracked(m, in_base("g")));
  char through[256];
  (void)snprintf(through, sizeof through, "%s/g", alias);
  cr_assert(is_tracked(m, through));
  cr_assert_eq(fcm_destroy(m), 0);
}

Test(manager, paths_that_cannot_be_are_refused_by_every_function) {
  fcm_manager *m = world_manager();
  char *const five_thousand = malloc(5001);
  char long_name[400];
  memset(five_thousand, 'x', 5000);
  five_thousand[0] = '/';
  five_thousand[5000] = '\0';
  memset(long_name, 'n', 300);
  long_name[300] = '\0';
  const struct {
    const char *path;
    int error;
  } bad[] = {{"", EINVAL},
             {five_thousand, ENAMETOOLONG},
             {in_base(long_name), ENAMETOOLONG},
             {"/etc/passwd", EXDEV},
             {world_base, EXDEV},
             {in_base("."), EXDEV},
             {in_base("../x"), EXDEV},
             {in_base("a/../../x"), EXDEV},
             {in_base(".filecleanup-0123456789abcdef/0000"), EXDEV},
             {"relative", EXDEV}};
  cr_assert_eq(chdir("/"), 0);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    bool flag;
    ASSERT_FAILS(fcm_track_file(m, bad[i].path), bad[i].error);
    ASSERT_FAILS(fcm_track_tree(m, bad[i].path), bad[i].error);
    ASSERT_FAILS(fcm_untrack_file(m, bad[i].path), bad[i].error);
    ASSERT_FAILS(fcm_is_tracked(m, bad[i].path, &flag), bad[i].error);
    ASSERT_FAILS(fcm_cleanup_file(m, bad[i].path, NULL), bad[i].error);
    ASSERT_FAILS(fcm_cleanup_directory(m, bad[i].path, true, NULL), bad[i].error);
    ASSERT_FAILS(fcm_persist(m, bad[i].path, "/dev/null/x"), bad[i].error);
  }
  cr_assert_eq(tracked_files(m), 0);
  cr_assert_eq(fcm_destroy(m), 0);
  free(five_thousand);
}

Test(manager, no_link_is_followed_on_the_way) {
  fcm_manager *m = world_manager();
  char outside[256];
  (void)snprintf(outside, sizeof outside, "%s/outside", world_root);
  cr_assert_eq(mkdir(outside, 0700), 0);
  cr_assert_eq(symlink(outside, in_base("link")), 0);
  (void)strcat(outside, "/f");
  write_file(outside, "the user's");
  ASSERT_FAILS(fcm_track_file(m, in_base("link/f")), ELOOP);
  ASSERT_FAILS(fcm_cleanup_file(m, in_base("link/f"), NULL), ELOOP);
  ASSERT_FAILS(fcm_cleanup_directory(m, in_base("link"), true, NULL), ENOTDIR);
  ASSERT_FAILS(fcm_make_file(m, in_base("link"), NULL, NULL, (char[PATH_MAX]){0}, PATH_MAX), ELOOP);
  ASSERT_FAILS(fcm_track_file(m, in_base("no/f")), ENOENT);
  write_file(in_base("file"), "x");
  ASSERT_FAILS(fcm_track_file(m, in_base("file/f")), ENOTDIR);
  ASSERT_FAILS(fcm_track_tree(m, in_base("file")), ENOTDIR);
  /* A link itself may go. */
  cr_assert_eq(fcm_track_file(m, in_base("link")), 0);
  cr_assert_eq(fcm_destroy(m), 0);
  cr_assert(!stands(in_base("link")) && holds(outside, "the user's"));
}

Test(manager, no_permission_is_eacces_and_nothing_is_lost) {
  if (!become_nobody()) cr_skip_test("cannot become another user");
  fcm_manager *m = world_manager();
  cr_assert_eq(mkdir(in_base("d"), 0700), 0);
  write_file(in_base("d/f"), "x");
  cr_assert_eq(fcm_track_file(m, in_base("d/f")), 0);
  cr_assert_eq(chmod(in_base("d"), 0), 0);
  ASSERT_FAILS(fcm_track_file(m, in_base("d/g")), EACCES);
  ASSERT_FAILS(fcm_cleanup_file(m, in_base("d/f"), NULL), EACCES);
  cr_assert_eq(chmod(in_base("d"), 0500), 0);
  ASSERT_FAILS(fcm_cleanup_file(m, in_base("d/f"), NULL), EACCES);
  struct fcm_result result;
  cr_assert_eq(fcm_cleanup_all_tracked(m, &result), 0);
  cr_assert_eq(result.errors, 1);
  cr_assert_eq(result.tracked_files_remaining, 1);
  cr_assert(strstr(world_log, "d/f"), "it is said: %s", world_log);
  cr_assert_eq(chmod(in_base("d"), 0700), 0);
  cr_assert_eq(fcm_destroy(m), 0);
  cr_assert(!stands(in_base("d/f")) && stands(in_base("d")));
}

/* ---- removing ---- */

Test(manager, cleanup_file_says_whether_it_removed_something) {
  fcm_manager *m = world_manager();
  bool removed;
  write_file(in_base("f"), "x");
  cr_assert_eq(mkdir(in_base("empty"), 0700), 0);
  cr_assert_eq(mkfifo(in_base("fifo"), 0600), 0);
  cr_assert_eq(fcm_track_file(m, in_base("f")), 0);
  cr_assert_eq(fcm_track_file(m, in_base("later")), 0);
  cr_assert_eq(fcm_cleanup_file(m, in_base("f"), &removed), 0);
  cr_assert(removed && !stands(in_base("f")) && !is_tracked(m, in_base("f")));
  cr_assert_eq(fcm_cleanup_file(m, in_base("f"), &removed), 0);
  cr_assert(!removed, "that nothing is there is no error");
  cr_assert_eq(fcm_cleanup_file(m, in_base("empty"), &removed), 0);
  cr_assert(removed, "tracked or not");
  cr_assert_eq(fcm_cleanup_file(m, in_base("fifo"), &removed), 0);
  cr_assert(removed);
  cr_assert_eq(fcm_cleanup_file(m, in_base("later"), &removed), 0);
  cr_assert(!removed && !is_tracked(m, in_base("later")));
  cr_assert_eq(mkdir(in_base("full"), 0700), 0);
  write_file(in_base("full/f"), "x");
  ASSERT_FAILS(fcm_cleanup_file(m, in_base("full"), &removed), ENOTEMPTY);
  cr_assert_eq(fcm_destroy(m), 0);
  cr_assert(stands(in_base("full/f")));
}

Test(manager, another_object_at_a_tracked_name_is_left_alone) {
  fcm_manager *m = world_manager();
  struct fcm_result result;
  write_file(in_base("f"), "ours");
  cr_assert_eq(fcm_track_file(m, in_base("f")), 0);
  write_file(in_base("new"), "another's");
  cr_assert_eq(rename(in_base("new"), in_base("f")), 0);
  ASSERT_FAILS(fcm_cleanup_file(m, in_base("f"), NULL), ESTALE);
  cr_assert_eq(fcm_cleanup_all_tracked(m, &result), 0);
  cr_assert_eq(result.spared, 1);
  cr_assert_eq(result.removed_count, 0);
  ASSERT_FAILS(fcm_persist(m, in_base("f"), in_base("out")), ESTALE);
  cr_assert_eq(fcm_destroy(m), 0, "what is not ours is nothing that is left to do");
  cr_assert(holds(in_base("f"), "another's"));
}

Test(manager, a_name_tracked_again_is_bound_anew) {
  fcm_manager *m = world_manager();
  write_file(in_base("f"), "first");
  cr_assert_eq(fcm_track_file(m, in_base("f")), 0);
  write_file(in_base("new"), "second");
  cr_assert_eq(rename(in_base("new"), in_base("f")), 0);
  cr_assert_eq(fcm_track_file(m, in_base("f")), 0);
  cr_assert_eq(tracked_files(m), 1);
  cr_assert_eq(fcm_destroy(m), 0);
  cr_assert(!stands(in_base("f")));
}

Test(manager, an_expected_name_is_bound_when_a_pass_sees_it_first) {
  fcm_manager *m = world_manager();
  cr_assert_eq(fcm_track_file(m, in_base("later")), 0);
  write_file(in_base("later"), "ours");
  cr_assert_eq(fcm_cleanup_old_files(m, FCM_HOURS(1), NULL), 0);
  cr_assert(stands(in_base("later")));
  write_file(in_base("new"), "another's");
  cr_assert_eq(rename(in_base("new"), in_base("later")), 0);
  ASSERT_FAILS(fcm_cleanup_file(m, in_base("later"), NULL), ESTALE);
  cr_assert_eq(fcm_destroy(m), 0);
  cr_assert(holds(in_base("later"), "another's"));
}

Test(manager, cleanup_directory_takes_all_that_is_in_it_and_untracks_it) {
  fcm_manager *m = world_manager();
  bool removed;
  cr_assert_eq(fcm_cleanup_directory(m, in_base("none"), true, &removed), 0);
  cr_assert(!removed, "safe when it does not exist");
  cr_assert_eq(mkdir(in_base("d"), 0700), 0);
  cr_assert_eq(mkdir(in_base("d/e"), 0700), 0);
  write_file(in_base("d/f"), "x");
  write_file(in_base("d/e/g"), "x");
  cr_assert_eq(symlink(world_root, in_base("d/e/link")), 0);
  cr_assert_eq(fcm_track_file(m, in_base("d/f")), 0);
  ASSERT_FAILS(fcm_cleanup_directory(m, in_base("d"), false, &removed), ENOTEMPTY);
  ASSERT_FAILS(fcm_cleanup_directory(m, in_base("d/f"), true, &removed), ENOTDIR);
  cr_assert_eq(fcm_cleanup_directory(m, in_base("d"), true, &removed), 0, "%s", strerror(errno));
  cr_assert(removed && !stands(in_base("d")) && stands(world_state));
  cr_assert_eq(tracked_files(m), 0);
  cr_assert_eq(fcm_destroy(m), 0);
}

Test(manager, kept_names_stay_and_keep_their_directory) {
  struct fcm_options options = world_options();
  options.keep = "*.log:d/precious";
  fcm_manager *m = fcm_create(&options);
  struct fcm_result result;
  cr_assert_eq(mkdir(in_base("d"), 0700), 0);
  write_file(in_base("a.log"), "x");
  write_file(in_base("d/precious"), "x");
  write_file(in_base("d/f"), "x");
  cr_assert_eq(fcm_track_file(m, in_base("a.log")), 0);
  ASSERT_FAILS(fcm_cleanup_file(m, in_base("a.log"), NULL), EBUSY);
  ASSERT_FAILS(fcm_cleanup_directory(m, in_base("d"), true, NULL), ENOTEMPTY);
  cr_assert(stands(in_base("d/precious")) && !stands(in_base("d/f")));
  cr_assert_eq(fcm_cleanup_all_tracked(m, &result), 0);
  cr_assert_eq(result.spared, 1);
  cr_assert_eq(fcm_destroy(m), 0);
  cr_assert(stands(in_base("a.log")));
}

Test(manager, what_is_open_is_spared_when_asked) {
  struct fcm_options options = world_options();
  options.spare_in_use = true;
  fcm_manager *m = fcm_create(&options);
  struct fcm_result result;
  write_file(in_base("f"), "x");
  cr_assert_eq(fcm_track_file(m, in_base("f")), 0);
  const int fd = open(in_base("f"), O_RDONLY | O_CLOEXEC);
  ASSERT_FAILS(fcm_cleanup_file(m, in_base("f"), NULL), EBUSY);
  cr_assert_eq(fcm_cleanup_all_tracked(m, &result), 0);
  cr_assert_eq(result.spared, 1);
  (void)close(fd);
  cr_assert_eq(fcm_destroy(m), 0);
  cr_assert(!stands(in_base("f")));
}

Test(manager, what_cannot_be_removed_is_told_by_destroy_and_removed_by_the_next_start) {
  struct fcm_options options = world_options();
  options.spare_in_use = true;
  fcm_manager *m = fcm_create(&options);
  write_file(in_base("f"), "x");
  write_file(in_base("g"), "x");
  cr_assert_eq(fcm_track_file(m, in_base("f")), 0);
  cr_assert_eq(fcm_track_file(m, in_base("g")), 0);
  const int fd = open(in_base("f"), O_RDONLY | O_CLOEXEC);
  ASSERT_FAILS(fcm_destroy(m), EBUSY);
  cr_assert(stands(in_base("f")) && !stands(in_base("g")), "spared at the end too, and it does not stop the others");
  (void)close(fd);
  cr_assert_eq(fcm_destroy(world_manager()), 0);
  cr_assert(!stands(in_base("f")));
  cr_assert_eq(entries_in(world_state), 0);
}

Test(manager, a_mount_that_has_come_over_a_tracked_tree_is_another_object) {
  fcm_manager *m = world_manager();
  cr_assert_eq(mkdir(in_base("d"), 0700), 0);
  write_file(in_base("d/f"), "x");
  cr_assert_eq(fcm_track_tree(m, in_base("d")), 0);
  if (mount("none", in_base("d"), "tmpfs", 0, "size=64k") != 0) {
    fcm_destroy(m);
    cr_skip_test("cannot mount: %s", strerror(errno));
  }
  write_file(in_base("d/theirs"), "x");
  ASSERT_FAILS(fcm_cleanup_file(m, in_base("d"), NULL), ESTALE);
  cr_assert_eq(fcm_destroy(m), 0);
  cr_assert(stands(in_base("d/theirs")));
  cr_assert_eq(umount(in_base("d")), 0);
  cr_assert(stands(in_base("d/f")));
}

Test(manager, a_mount_cannot_be_tracked_and_nothing_in_it) {
  fcm_manager *m = world_manager();
  cr_assert_eq(mkdir(in_base("d"), 0700), 0);
  if (mount("none", in_base("d"), "tmpfs", 0, "size=64k") != 0) {
    fcm_destroy(m);
    cr_skip_test("cannot mount: %s", strerror(errno));
  }
  write_file(in_base("d/f"), "x");
  ASSERT_FAILS(fcm_track_file(m, in_base("d")), EXDEV);
  ASSERT_FAILS(fcm_track_tree(m, in_base("d")), EXDEV);
  ASSERT_FAILS(fcm_track_file(m, in_base("d/f")), EXDEV);
  ASSERT_FAILS(fcm_cleanup_file(m, in_base("d/f"), NULL), EXDEV);
  cr_assert_eq(fcm_cleanup_directory(m, in_base("d"), true, NULL), -1);
  cr_assert(stands(in_base("d/f")));
  cr_assert_eq(fcm_destroy(m), 0);
  cr_assert_eq(umount(in_base("d")), 0);
}

Test(manager, a_tree_goes_with_what_others_made_in_it) {
  fcm_manager *m = world_manager();
  struct fcm_result result;
  cr_assert_eq(mkdir(in_base("tree"), 0700), 0);
  cr_assert_eq(mkdir(in_base("dir"), 0700), 0);
  write_file(in_base("tree/before"), "x");
  cr_assert_eq(fcm_track_tree(m, in_base("tree")), 0);
  cr_assert_eq(fcm_track_file(m, in_base("dir")), 0);
  write_file(in_base("tree/after"), "x");
  write_file(in_base("dir/f"), "x");
  cr_assert_eq(fcm_cleanup_all_tracked(m, &result), 0);
  cr_assert_eq(result.removed_count, 3);
  cr_assert_eq(result.tracked_files_remaining, 1);
  cr_assert(!stands(in_base("tree")) && stands(in_base("dir/f")), "a directory goes only when it is empty");
  cr_assert_eq(fcm_destroy(m), 0);
  cr_assert(stands(in_base("dir/f")));
}

Test(manager, a_tree_is_as_young_as_what_is_in_it) {
  fcm_manager *m = world_manager();
  struct fcm_result result;
  cr_assert_eq(mkdir(in_base("tree"), 0700), 0);
  write_file(in_base("tree/f"), "x");
  cr_assert_eq(fcm_track_tree(m, in_base("tree")), 0);
  set_age(in_base("tree"), 7200);
  cr_assert_eq(fcm_cleanup_old_files(m, FCM_HOURS(1), &result), 0);
  cr_assert_eq(result.removed_count, 0);
  cr_assert(stands(in_base("tree/f")));
  set_age(in_base("tree/f"), 7200);
  set_age(in_base("tree"), 7200);
  cr_assert_eq(fcm_cleanup_old_files(m, FCM_HOURS(1), &result), 0);
  cr_assert_eq(result.removed_count, 2);
  cr_assert_eq(fcm_destroy(m), 0);
}

Test(manager, a_time_that_nanoseconds_do_not_reach_is_not_old) {
  fcm_manager *m = world_manager();
  struct fcm_result result;
  write_file(in_base("f"), "x");
  cr_assert_eq(fcm_track_file(m, in_base("f")), 0);
  set_age(in_base("f"), -FAR_FUTURE_S);
  cr_assert_eq(fcm_cleanup_old_files(m, FCM_HOURS(1), &result), 0);
  cr_assert_eq(result.removed_count, 0);
  cr_assert(stands(in_base("f")));
  cr_assert_eq(fcm_destroy(m), 0);
}

Test(manager, directories_go_after_what_was_in_them_by_the_age_they_had_before) {
  fcm_manager *m = world_manager();
  struct fcm_result result;
  cr_assert_eq(mkdir(in_base("d"), 0700), 0);
  cr_assert_eq(mkdir(in_base("d/e"), 0700), 0);
  cr_assert_eq(fcm_track_file(m, in_base("d")), 0);
  cr_assert_eq(fcm_track_file(m, in_base("d/e")), 0);
  write_file(in_base("d/e/f"), "x");
  cr_assert_eq(fcm_track_file(m, in_base("d/e/f")), 0);
  set_age(in_base("d/e/f"), 7200);
  set_age(in_base("d/e"), 7200);
  set_age(in_base("d"), 7200);
  cr_assert_eq(fcm_cleanup_old_files(m, FCM_HOURS(1), &result), 0);
  cr_assert_eq(result.removed_count, 3);
  cr_assert_eq(result.tracked_files_remaining, 0);
  cr_assert_eq(fcm_destroy(m), 0);
}

Test(manager, one_that_fails_does_not_stop_the_batch) {
  fcm_manager *m = world_manager();
  struct fcm_result result;
  for (int i = 0; i < 20; i++) {
    char name[16];
    (void)snprintf(name, sizeof name, "f%d", i);
    write_file(in_base(name), "x");
    cr_assert_eq(fcm_track_file(m, in_base(name)), 0);
    if (i % 2) continue;
    cr_assert_eq(unlink(in_base(name)), 0);
    cr_assert_eq(mkdir(in_base(name), 0700), 0);
  }
  cr_assert_eq(fcm_cleanup_old_files(m, 0, &result), 0);
  cr_assert_eq(result.removed_count, 10);
  cr_assert_eq(result.spared, 10);
  cr_assert_eq(fcm_destroy(m), 0);
  cr_assert_eq(entries_in(world_base), 10);
}

/* ---- statistics and the periodic cleanup ---- */

Test(manager, statistics_count_what_exists) {
  fcm_manager *m = world_manager();
  struct fcm_stats stats;
  write_file(in_base("f"), "12345");
  cr_assert_eq(mkdir(in_base("d"), 0700), 0);
  cr_assert_eq(fcm_track_file(m, in_base("f")), 0);
  cr_assert_eq(fcm_track_file(m, in_base("d")), 0);
  cr_assert_eq(fcm_track_file(m, in_base("d/later")), 0);
  cr_assert_eq(fcm_get_stats(m, &stats), 0);
  cr_assert_eq(stats.tracked_files, 3);
  cr_assert_eq(stats.total_size_bytes, 5);
  cr_assert_float_eq(stats.total_size_mb, 5.0 / 1048576, 1e-12);
  cr_assert(!stats.periodic_cleanup_running);
  cr_assert_eq(stats.default_ttl, FCM_HOURS(24));
  cr_assert_gt(stats.journal_bytes, 0);
  cr_assert_gt(stats.memory_bytes, 0);
  cr_assert_eq(fcm_destroy(m), 0);
}

Test(manager, the_periodic_cleanup_removes_and_stops) {
  struct fcm_options options = world_options();
  struct fcm_stats stats;
  options.ttl = FCM_HOURS(1);
  options.interval = 20;
  fcm_manager *m = fcm_create(&options);
  write_file(in_base("f"), "x");
  set_age(in_base("f"), 7200);
  cr_assert_eq(fcm_track_file(m, in_base("f")), 0);
  cr_assert_eq(fcm_start_periodic_cleanup(m), 0);
  cr_assert_eq(fcm_start_periodic_cleanup(m), 0, "starting twice is fine");
  while (stands(in_base("f"))) usleep(5000);
  cr_assert_eq(fcm_get_stats(m, &stats), 0);
  cr_assert(stats.periodic_cleanup_running);
  cr_assert_eq(fcm_stop_periodic_cleanup(m), 0);
  cr_assert_eq(fcm_stop_periodic_cleanup(m), 0, "stopping twice is fine");
  cr_assert_eq(fcm_get_stats(m, &stats), 0);
  cr_assert(!stats.periodic_cleanup_running);
  cr_assert_eq(fcm_destroy(m), 0);
}

static fcm_manager *stopping;
static int stop_error;

static void stop_from_within(void *context, enum fcm_log_level level, const char *line) {
  (void)context;
  (void)level;
  (void)line;
  if (fcm_stop_periodic_cleanup(stopping) < 0 && errno == EDEADLK)
    __atomic_store_n(&stop_error, EDEADLK, __ATOMIC_RELEASE);
}

Test(manager, the_periodic_thread_cannot_stop_itself_and_callbacks_hold_no_lock) {
  if (!become_nobody()) cr_skip_test("cannot become another user");
  struct fcm_options options = world_options();
  options.interval = 10;
  options.ttl = 1;
  options.log = stop_from_within;
  stopping = fcm_create(&options);
  cr_assert_eq(mkdir(in_base("d"), 0700), 0);
  write_file(in_base("d/f"), "x");
  cr_assert_eq(fcm_track_file(stopping, in_base("d/f")), 0);
  set_age(in_base("d/f"), 7200);
  cr_assert_eq(chmod(in_base("d"), 0500), 0);
  cr_assert_eq(fcm_start_periodic_cleanup(stopping), 0);
  while (!__atomic_load_n(&stop_error, __ATOMIC_ACQUIRE)) usleep(5000);
  cr_assert_eq(chmod(in_base("d"), 0700), 0);
  cr_assert_eq(fcm_stop_periodic_cleanup(stopping), 0);
  cr_assert_eq(fcm_destroy(stopping), 0);
}

/* ---- making and persisting ---- */

Test(manager, make_file_is_private_and_tracked) {
  fcm_manager *m = world_manager();
  char path[PATH_MAX];
  char small[8];
  struct stat st;
  const int fd = fcm_make_file(m, NULL, "pre-", ".suf", path, sizeof path);
  cr_assert_geq(fd, 0, "%s", strerror(errno));
  cr_assert_eq(strncmp(path, in_base("pre-"), strlen(in_base("pre-"))), 0);
  cr_assert_str_eq(path + strlen(path) - 4, ".suf");
  cr_assert_eq(fstat(fd, &st), 0);
  cr_assert_eq(st.st_mode & 07777, 0600);
  cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
  cr_assert_eq(write(fd, "x", 1), 1);
  cr_assert(is_tracked(m, path));
  (void)close(fd);
  ASSERT_FAILS(fcm_make_file(m, NULL, "p", NULL, small, sizeof small), ERANGE);
  ASSERT_FAILS(fcm_make_file(m, in_base("no"), "p", NULL, path, sizeof path), ENOENT);
  ASSERT_FAILS(fcm_make_file(m, "/tmp", "p", NULL, path, sizeof path), EXDEV);
  cr_assert_eq(fcm_make_directory(m, NULL, "d", path, sizeof path), 0);
  cr_assert_eq(stat(path, &st), 0);
  cr_assert_eq(st.st_mode & 07777, 0700);
  (void)strcat(path, "/f");
  write_file(path, "x");
  cr_assert_eq(tracked_files(m), 2, "what could not be made is not tracked");
  cr_assert_eq(fcm_destroy(m), 0);
  cr_assert_eq(entries_in(world_base), 0, "a made directory goes as a tree");
}

Test(manager, persist_replaces_the_target_in_one_step) {
  fcm_manager *m = world_manager();
  char to[256];
  char path[PATH_MAX];
  (void)snprintf(to, sizeof to, "%s/result", world_root);
  write_file(to, "before");
  const int fd = fcm_make_file(m, NULL, NULL, NULL, path, sizeof path);
  cr_assert_eq(write(fd, "after", 5), 5);
  (void)close(fd);
  cr_assert_eq(fcm_persist(m, path, to), 0);
  cr_assert(holds(to, "after") && !stands(path) && !is_tracked(m, path));
  ASSERT_FAILS(fcm_persist(m, path, to), ENOENT);
  write_file(in_base("g"), "g");
  cr_assert_eq(fcm_track_file(m, in_base("g")), 0);
  ASSERT_FAILS(fcm_persist(m, in_base("g"), in_base("no/where")), ENOENT);
  cr_assert(is_tracked(m, in_base("g")), "it failed: nothing has changed");
  /* A target that is tracked itself is no temporary name any more. */
  cr_assert_eq(fcm_track_file(m, in_base("expected")), 0);
  cr_assert_eq(fcm_persist(m, in_base("g"), in_base("expected")), 0);
  cr_assert_eq(tracked_files(m), 0);
  cr_assert_eq(fcm_destroy(m), 0);
  cr_assert(holds(in_base("expected"), "g"));
}

Test(manager, persist_across_file_systems_copies_with_mode_and_times) {
  fcm_manager *m = world_manager();
  char dir[] = "/tmp/filecleanup-persist.XXXXXX";
  char to[64];
  struct stat here;
  struct stat there;
  cr_assert(mkdtemp(dir));
  (void)snprintf(to, sizeof to, "%s/result", dir);
  cr_assert_eq(stat(dir, &there), 0);
  cr_assert_eq(stat(world_base, &here), 0);
  write_file(in_base("f"), "data");
  cr_assert_eq(chmod(in_base("f"), 0640), 0);
  set_age(in_base("f"), 1000);
  cr_assert_eq(stat(in_base("f"), &here), 0);
  cr_assert_eq(fcm_track_file(m, in_base("f")), 0);
  cr_assert_eq(fcm_persist(m, in_base("f"), to), 0, "%s", strerror(errno));
  const bool other = here.st_dev != there.st_dev;
  cr_assert_eq(stat(to, &there), 0);
  cr_assert(holds(to, "data") && !stands(in_base("f")));
  cr_assert_eq(there.st_mode & 07777, 0640);
  cr_assert_eq(there.st_mtime, here.st_mtime);
  cr_assert_eq(entries_in(dir), 1, "no temporary name is left beside it");
  cr_assert_eq(unlink(to), 0);
  cr_assert_eq(rmdir(dir), 0);
  cr_assert_eq(fcm_destroy(m), 0);
  if (!other) cr_skip_test("/tmp and the base are one file system here: only a rename was seen");
}

/* ---- room ---- */

Test(manager, a_full_journal_is_moved_and_nothing_is_lost) {
  /* The journal gets so small that a thousand names fill it twice over. */
  const struct rlimit small = {1 << 19, 1 << 19};
  cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
  (void)signal(SIGXFSZ, SIG_IGN);
  fcm_manager *m = world_manager();
  char name[32];
  for (int i = 0; i < 200; i++) {
    (void)snprintf(name, sizeof name, "keep%d", i);
    write_file(in_base(name), "x");
    cr_assert_eq(fcm_track_file(m, in_base(name)), 0, "%s", strerror(errno));
  }
  cr_assert_eq(mkdir(in_base("tree"), 0700), 0);
  cr_assert_eq(fcm_track_tree(m, in_base("tree")), 0);
  write_file(in_base("tree/f"), "x");
  cr_assert_eq(fcm_track_file(m, in_base("expected")), 0);
  for (int i = 0; i < 20000; i++) {
    (void)snprintf(name, sizeof name, "churn%d", i);
    cr_assert_eq(fcm_track_file(m, in_base(name)), 0, "%d: %s", i, strerror(errno));
    cr_assert_eq(fcm_untrack_file(m, in_base(name)), 0);
  }
  cr_assert_eq(tracked_files(m), 202);
  cr_assert(is_tracked(m, in_base("keep199")) && is_tracked(m, in_base("tree")) && is_tracked(m, in_base("expected")));
  int error = 0;
  for (int i = 0; i < 5000 && error == 0; i++) {
    (void)snprintf(name, sizeof name, "more%d", i);
    if (fcm_track_file(m, in_base(name)) < 0) error = errno;
  }
  cr_assert_eq(error, ENOSPC, "there is a bound, and it is told");
  write_file(in_base("expected"), "x");
  cr_assert_eq(fcm_destroy(m), 0, "%s", strerror(errno));
  cr_assert_eq(entries_in(world_base), 0);
  cr_assert_eq(entries_in(world_state), 0);
}

Test(manager, a_full_disk_is_enospc_and_nothing_is_lost) {
  cr_assert_eq(mkdir(world_state, 0700), 0);
  if (mount("none", world_state, "tmpfs", 0, "size=256k,mode=0700") != 0)
    cr_skip_test("cannot mount: %s", strerror(errno));
  fcm_manager *m = world_manager();
  char name[32];
  int error = 0;
  uint64_t tracked = 0;
  for (int i = 0; i < 5000 && error == 0; i++) {
    (void)snprintf(name, sizeof name, "f%d", i);
    write_file(in_base(name), "x");
    if (fcm_track_file(m, in_base(name)) < 0)
      error = errno;
    else
      tracked++;
  }
  cr_assert_eq(error, ENOSPC, "%s", strerror(error));
  cr_assert_eq(tracked_files(m), tracked);
  cr_assert_eq(fcm_untrack_file(m, in_base("f0")), 0, "to take a word back needs no room");
  struct fcm_result result;
  cr_assert_eq(fcm_cleanup_all_tracked(m, &result), 0);
  cr_assert_eq(result.removed_count + result.errors, tracked - 1);
  cr_assert_eq(result.tracked_files_remaining, result.errors, "what had no room for its capture stays tracked");
  (void)fcm_destroy(m);
  cr_assert_eq(umount(world_state), 0);
  cr_assert(stands(in_base("f0")));
}

Test(manager, a_read_only_file_system_is_erofs_and_nothing_is_lost) {
  cr_assert_eq(mkdir(world_base, 0700), 0);
  if (mount("none", world_base, "tmpfs", 0, "size=1m,mode=0700") != 0)
    cr_skip_test("cannot mount: %s", strerror(errno));
  fcm_manager *m = world_manager();
  char path[PATH_MAX];
  write_file(in_base("f"), "x");
  cr_assert_eq(fcm_track_file(m, in_base("f")), 0);
  cr_assert_eq(mount("none", world_base, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0, "%s", strerror(errno));
  ASSERT_FAILS(fcm_cleanup_file(m, in_base("f"), NULL), EROFS);
  ASSERT_FAILS(fcm_make_file(m, NULL, NULL, NULL, path, sizeof path), EROFS);
  cr_assert(is_tracked(m, in_base("f")));
  cr_assert_eq(mount("none", world_base, NULL, MS_REMOUNT, NULL), 0);
  cr_assert_eq(fcm_destroy(m), 0);
  cr_assert_eq(entries_in(world_base), 0);
  cr_assert_eq(umount(world_base), 0);
}

/* ---- processes ---- */

static int exit_of(pid_t child) {
  int status;
  cr_assert_eq(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

Test(manager, a_fork_child_does_not_own_it) {
  fcm_manager *m = world_manager();
  write_file(in_base("f"), "x");
  cr_assert_eq(fcm_track_file(m, in_base("f")), 0);
  const pid_t child = fork();
  if (child == 0) {
    bool flag;
    char path[PATH_MAX];
    struct fcm_stats stats;
    const bool refused = fcm_track_file(m, in_base("g")) < 0 && errno == EPERM &&
                         fcm_untrack_file(m, in_base("f")) < 0 && errno == EPERM &&
                         fcm_is_tracked(m, in_base("f"), &flag) < 0 && errno == EPERM &&
                         fcm_cleanup_file(m, in_base("f"), NULL) < 0 && errno == EPERM &&
                         fcm_cleanup_all_tracked(m, NULL) < 0 && errno == EPERM && fcm_get_stats(m, &stats) < 0 &&
                         errno == EPERM && fcm_make_file(m, NULL, NULL, NULL, path, sizeof path) < 0 &&
                         errno == EPERM && fcm_persist(m, in_base("f"), in_base("g")) < 0 && errno == EPERM &&
                         fcm_abandon(m) < 0 && errno == EPERM && fcm_adopt(m) < 0 && errno == EBUSY;
    _exit(refused && fcm_destroy(m) == 0 ? 0 : 1);
  }
  cr_assert_eq(exit_of(child), 0);
  cr_assert(stands(in_base("f")) && is_tracked(m, in_base("f")));
  cr_assert_eq(fcm_destroy(m), 0);
  cr_assert(!stands(in_base("f")));
}

Test(manager, a_child_that_lives_on_does_not_keep_it_alive) {
  int gate[2];
  cr_assert_eq(pipe(gate), 0);
  const pid_t owner = fork();
  if (owner == 0) {
    fcm_manager *m = world_manager();
    write_file(in_base("f"), "x");
    if (fcm_track_file(m, in_base("f")) < 0) _exit(1);
    if (fork() == 0) {
      char byte;
      (void)close(gate[1]);
      (void)!read(gate[0], &byte, 1);
      _exit(0);
    }
    (void)raise(SIGKILL);
  }
  cr_assert_eq(exit_of(owner), 128 + SIGKILL);
  fcm_manager *m = world_manager();
  cr_assert(!stands(in_base("f")), "the next start reaps it although the child lives");
  (void)close(gate[1]);
  cr_assert_eq(fcm_destroy(m), 0);
}

/* ThreadSanitizer ends a fork child that starts a thread when its parent had any. */
#if defined(__SANITIZE_THREAD__)
#define CHILD_MAY_START_THREADS false
#else
#define CHILD_MAY_START_THREADS true
#endif

Test(manager, a_child_adopts_what_its_parent_has_abandoned) {
  int told[2];
  cr_assert_eq(pipe(told), 0);
  const pid_t parent = fork();
  if (parent == 0) {
    struct fcm_options options = world_options();
    options.enable_periodic_cleanup = CHILD_MAY_START_THREADS;
    fcm_manager *m = fcm_create(&options);
    write_file(in_base("f"), "x");
    if (fcm_track_file(m, in_base("f")) < 0 || fcm_track_file(m, in_base("later")) < 0) _exit(1);
    if (fcm_abandon(m) < 0 || fcm_track_file(m, in_base("g")) == 0 || errno != EPERM) _exit(2);
    if (fork() != 0) _exit(fcm_destroy(m) == 0 ? 0 : 3);
    char verdict = 'n';
    /* Another manager starts in between, and leaves the abandoned one alone. */
    fcm_manager *other = world_manager();
    if (stands(in_base("f")) && fcm_adopt(m) == 0 && fcm_adopt(m) == 0) {
      struct fcm_stats stats;
      write_file(in_base("later"), "x");
      if (fcm_get_stats(m, &stats) == 0 && stats.tracked_files == 2 &&
          stats.periodic_cleanup_running == CHILD_MAY_START_THREADS && fcm_destroy(m) == 0 && fcm_destroy(other) == 0 &&
          !stands(in_base("f")) && !stands(in_base("later")))
        verdict = 'y';
    }
    (void)!write(told[1], &verdict, 1);
    _exit(0);
  }
  char verdict = 0;
  (void)close(told[1]);
  cr_assert_eq(read(told[0], &verdict, 1), 1);
  cr_assert_eq(verdict, 'y');
  cr_assert_eq(exit_of(parent), 0);
}

Test(manager, what_was_reaped_meanwhile_cannot_be_adopted) {
  int told[2];
  int gate[2];
  cr_assert_eq(pipe(told), 0);
  cr_assert_eq(pipe(gate), 0);
  const pid_t parent = fork();
  if (parent == 0) {
    fcm_manager *m = world_manager();
    if (fork() != 0) _exit(0);
    char byte = 0;
    (void)!read(gate[0], &byte, 1);
    byte = fcm_adopt(m) < 0 && errno == ESTALE ? 'y' : 'n';
    if (byte == 'y' && fcm_destroy(m) < 0) byte = 'd';
    (void)!write(told[1], &byte, 1);
    _exit(0);
  }
  cr_assert_eq(exit_of(parent), 0);
  fcm_manager *next = world_manager();
  char verdict = 0;
  cr_assert_eq(write(gate[1], "x", 1), 1);
  cr_assert_eq(read(told[0], &verdict, 1), 1);
  cr_assert_eq(verdict, 'y');
  cr_assert_eq(fcm_destroy(next), 0);
}

Test(manager, after_a_crash_only_what_was_made_since_by_its_user_is_bound) {
  cr_assert_eq(mkdir(world_base, 0700), 0);
  write_file(in_base("old"), "the user's, and older");
  usleep(20000); /* a file system's clock ticks every few milliseconds */
  const pid_t owner = fork();
  if (owner == 0) {
    fcm_manager *m = world_manager();
    if (fcm_track_file(m, in_base("moved-in")) < 0 || fcm_track_file(m, in_base("came")) < 0) _exit(1);
    if (fcm_track_file(m, in_base("replaced")) < 0) _exit(1);
    (void)mkdir(in_base("tree"), 0700);
    write_file(in_base("tree/before"), "in doubt it stays");
    usleep(20000);
    if (fcm_track_tree(m, in_base("tree")) < 0) _exit(1);
    write_file(in_base("tree/after"), "x");
    write_file(in_base("came"), "x");
    write_file(in_base("back"), "x");
    if (fcm_track_file(m, in_base("back")) < 0 || fcm_untrack_file(m, in_base("back")) < 0) _exit(1);
    (void)raise(SIGKILL);
  }
  cr_assert_eq(exit_of(owner), 128 + SIGKILL);
  cr_assert_eq(rename(in_base("old"), in_base("moved-in")), 0);
  fcm_manager *next = world_manager();
  cr_assert(holds(in_base("moved-in"), "the user's, and older"));
  cr_assert(!stands(in_base("came")) && stands(in_base("back")));
  cr_assert(stands(in_base("tree/before")) && !stands(in_base("tree/after")));
  cr_assert_eq(fcm_destroy(next), 0);
}

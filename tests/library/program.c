/* A program outside the tree that uses the library, as C and as C++: `ok` when all did what it should. */
#include <filecleanup.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Names of the library's inside are the program's to use. */
int fc_journal_append(void);
int fc_journal_append(void) { return 42; }

static int work(fcm_manager *manager) {
  char path[4096];
  int fd = fcm_make_file(manager, NULL, "made-", NULL, path, sizeof path);
  if (fd < 0) return 1;
  close(fd);
#ifdef FCM_SCOPED
  FCM_SCOPED fcm_scope *scope = fcm_scoped_new_directory(manager, NULL, NULL, FCM_KEEP_ON_ERROR);
  if (!scope || access(fcm_scope_path(scope), F_OK) != 0) return 2;
#endif
  if (fcm_cleanup_file_async(manager, path, NULL, NULL, NULL) != 0 || fcm_async_flush(manager) != 0) return 3;
  return access(path, F_OK) == 0 ? 4 : 0;
}

int main(int argc, char **argv) {
  struct fcm_options options;
  int status;
  fcm_manager *manager;
  if (argc != 2) return 100;
  fcm_options_init(&options);
  options.base_dir = argv[1];
  manager = fcm_create(&options);
  if (!manager) {
    perror(argv[1]);
    return 101;
  }
  status = work(manager);
  if (fcm_destroy(manager) != 0) status = 102;
  if (strcmp(fcm_version(), VERSION) != 0 || fc_journal_append() != 42) status = 103;
  if (status == 0) puts("ok");
  return status;
}

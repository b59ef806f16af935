/* A file as long as a block: made, written, and either moved to its permanent place as a whole or gone.
 *
 *   cc scoped_file.c $(pkg-config --cflags --libs filecleanup) && ./a.out BASE REPORT TEXT
 *
 * Writes TEXT to REPORT. Without a TEXT it fails half-way: REPORT stays what it was, and nothing is left in BASE.
 */
#include <filecleanup.h>
#include <stdio.h>
#include <unistd.h>

static int write_report(fcm_manager *manager, const char *report, const char *text) {
  int fd;
  FCM_SCOPED fcm_scope *scope = fcm_scoped_new_file(manager, NULL, "report-", ".txt", 0, &fd);
  if (!scope) return -1;

  FILE *file = fdopen(fd, "w");
  if (!file) {
    close(fd);
    return -1;
  }
  fprintf(file, "Report\n");
  if (text) fprintf(file, "%s\n", text);
  if (fclose(file) != 0 || !text) return -1; /* what is half written is removed */

  return fcm_scope_persist(scope, report);
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  struct fcm_options options;
  fcm_options_init(&options);
  options.base_dir = argv[1];
  fcm_manager *manager = fcm_create(&options);
  if (!manager) {
    perror(argv[1]);
    return 1;
  }
  int status = write_report(manager, argv[2], argc > 3 ? argv[3] : NULL);
  if (status != 0) fprintf(stderr, "no report was written\n");
  return fcm_destroy(manager) == 0 && status == 0 ? 0 : 1;
}

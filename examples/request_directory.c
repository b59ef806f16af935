/* A directory for each request: what the request puts there is gone when the request is done, also when it failed.
 *
 *   cc request_directory.c $(pkg-config --cflags --libs filecleanup) && ./a.out BASE REQUEST...
 */
#include <filecleanup.h>
#include <stdio.h>

static int handle(fcm_manager *manager, const char *request) {
  char name[4096];
  FCM_SCOPED fcm_scope *scope = fcm_scoped_new_directory(manager, NULL, "request-", 0);
  if (!scope) return -1;

  /* Any code may fill the directory: it need not know of the manager. */
  snprintf(name, sizeof name, "%s/upload", fcm_scope_path(scope));
  FILE *upload = fopen(name, "w");
  if (!upload) return -1; /* the scope ends here too */
  fprintf(upload, "%s\n", request);
  long size = ftell(upload);
  if (fclose(upload) != 0) return -1;

  printf("%s: %ld bytes in %s\n", request, size, fcm_scope_path(scope));
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  struct fcm_options options;
  fcm_options_init(&options);
  options.base_dir = argv[1];
  fcm_manager *manager = fcm_create(&options);
  if (!manager) {
    perror(argv[1]);
    return 1;
  }
  for (int i = 2; i < argc; i++)
    if (handle(manager, argv[i]) != 0) perror(argv[i]);
  return fcm_destroy(manager) == 0 ? 0 : 1;
}

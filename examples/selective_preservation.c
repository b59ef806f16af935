/* Many results, of which those are kept that turn out to be wanted.
 *
 *   cc selective_preservation.c $(pkg-config --cflags --libs filecleanup) && ./a.out BASE NUMBER...
 *
 * Writes one file for each number; even ones stay in BASE, and those that end in 0 go to BASE/../best-NUMBER.
 */
#include <filecleanup.h>
#include <stdio.h>
#include <stdlib.h>

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

  for (int i = 2; i < argc; i++) {
    char path[4096], best[4096];
    int number = atoi(argv[i]);
    snprintf(path, sizeof path, "%s/%d", fcm_base_dir(manager), number);
    snprintf(best, sizeof best, "%s/../best-%d", fcm_base_dir(manager), number);

    /* Tracked before it exists: there is no moment at which a crash could leave it. */
    if (fcm_track_file(manager, path) != 0) {
      perror(path);
      continue;
    }
    FILE *file = fopen(path, "w");
    if (!file) continue;
    fprintf(file, "%d\n", number);
    fclose(file);

    if (number % 10 == 0) {
      if (fcm_persist(manager, path, best) != 0) perror(best); /* moved, and not tracked any more */
    } else if (number % 2 == 0) {
      if (fcm_untrack_file(manager, path) != 0) perror(path); /* stays where it is */
    }
  }

  struct fcm_result result;
  if (fcm_cleanup_all_tracked(manager, &result) == 0)
    printf("removed %llu of %d\n", (unsigned long long)result.removed_count, argc - 2);
  return fcm_destroy(manager) == 0 ? 0 : 1;
}

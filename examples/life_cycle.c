/* The life of a service: clean up what earlier runs have left, clean up by age while it runs, clean up all at the end.
 *
 *   cc life_cycle.c $(pkg-config --cflags --libs filecleanup) && ./a.out /var/tmp/myservice
 *
 * Stop it with SIGTERM or ^C. When it is killed instead, its next start removes what it has left.
 */
#include <filecleanup.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc != 2) return 2;

  /* Before the library starts a thread, so that no thread takes the signal. */
  sigset_t stop;
  int signal;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  sigprocmask(SIG_BLOCK, &stop, NULL);

  struct fcm_options options;
  char message[256] = "";
  fcm_options_init(&options);
  options.base_dir = argv[1];
  options.ttl = FCM_HOURS(1);
  options.interval = FCM_MINUTES(5);
  if (fcm_options_from_environment(&options, message, sizeof message) != 0) {
    fprintf(stderr, "%s\n", message);
    return 1;
  }

  /* Removes what dead runs have left (cleanup_on_startup), starts the periodic cleanup (enable_periodic_cleanup). */
  fcm_manager *manager = fcm_create(&options);
  if (!manager) {
    perror(argv[1]);
    return 1;
  }

  for (int i = 0; i < 3; i++) {
    char path[4096];
    int fd = fcm_make_file(manager, NULL, "work-", ".tmp", path, sizeof path);
    if (fd < 0) {
      perror("fcm_make_file");
      break;
    }
    dprintf(fd, "intermediate result %d\n", i);
    close(fd);
  }

  struct fcm_stats stats;
  if (fcm_get_stats(manager, &stats) == 0)
    printf("serving with %llu temporary files, %llu bytes\n", (unsigned long long)stats.tracked_files,
           (unsigned long long)stats.total_size_bytes);
  fflush(stdout);
  sigwait(&stop, &signal);

  if (fcm_destroy(manager) != 0) { /* stops the periodic cleanup, and removes all that is tracked */
    perror("not everything could be removed");
    return 1;
  }
  return 0;
}

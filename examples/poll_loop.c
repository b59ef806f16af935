/* A program around poll(2): the removal is done on another thread, and its end is one more readable descriptor.
 *
 *   cc poll_loop.c $(pkg-config --cflags --libs filecleanup) && ./a.out BASE
 *
 * Each line of the standard input becomes a file in BASE; an empty line has all of them removed. Ends at end of file.
 */
#include <errno.h>
#include <filecleanup.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void cleaned(void *context, int error, const struct fcm_result *result) {
  (void)context;
  printf("removed %llu files: %s\n", (unsigned long long)result->removed_count, error ? strerror(error) : "done");
  fflush(stdout);
}

static void make_file(fcm_manager *manager, const char *text, size_t length) {
  char path[4096];
  int fd = fcm_make_file(manager, NULL, "line-", NULL, path, sizeof path);
  if (fd < 0 || write(fd, text, length) < 0) perror("a line is lost");
  if (fd >= 0) close(fd);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  struct fcm_options options;
  fcm_options_init(&options);
  options.base_dir = argv[1];
  options.callbacks_by_dispatch = true; /* on this thread: cleaned() needs no lock */
  fcm_manager *manager = fcm_create(&options);
  if (!manager) {
    perror(argv[1]);
    return 1;
  }

  struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = fcm_async_fd(manager), .events = POLLIN}};
  char line[4096];
  ssize_t length = 1;
  while (length > 0 && (poll(fds, 2, -1) >= 0 || errno == EINTR)) {
    if (fds[1].revents) fcm_async_dispatch(manager);
    if (!fds[0].revents) continue;
    length = read(STDIN_FILENO, line, sizeof line); /* a terminal gives a line */
    if (length == 1 && line[0] == '\n') {
      if (fcm_cleanup_all_tracked_async(manager, cleaned, NULL, NULL) != 0) perror("busy"); /* the queue is full */
    } else if (length > 0) {
      make_file(manager, line, (size_t)length);
    }
  }
  return fcm_destroy(manager) == 0 ? 0 : 1; /* waits for what is queued, and calls what is due */
}

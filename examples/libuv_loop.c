/* The same in a loop of libuv: the manager's descriptor is a uv_poll_t.
 *
 *   cc libuv_loop.c $(pkg-config --cflags --libs filecleanup libuv) && ./a.out BASE NUMBER
 *
 * Makes NUMBER files, has each removed by the manager's worker while a timer of the loop goes on, and ends when all are
 * gone.
 */
#include <filecleanup.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

struct service {
  fcm_manager *manager;
  uv_poll_t poll;
  uv_timer_t timer;
  unsigned long left, removed, ticks;
};

static void removed(void *context, int error, const struct fcm_result *result) {
  struct service *service = context;
  if (error == 0) service->removed += (unsigned long)result->removed_count;
  if (--service->left > 0) return;
  uv_close((uv_handle_t *)&service->poll, NULL); /* with no handle left the loop ends */
  uv_close((uv_handle_t *)&service->timer, NULL);
}

static void readable(uv_poll_t *poll, int status, int events) {
  struct service *service = poll->data;
  (void)status, (void)events;
  fcm_async_dispatch(service->manager);
}

static void tick(uv_timer_t *timer) { ((struct service *)timer->data)->ticks++; }

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  struct service service = {.left = 0};
  struct fcm_options options;
  fcm_options_init(&options);
  options.base_dir = argv[1];
  options.callbacks_by_dispatch = true;
  service.manager = fcm_create(&options);
  if (!service.manager) {
    perror(argv[1]);
    return 1;
  }

  uv_loop_t *loop = uv_default_loop();
  service.poll.data = service.timer.data = &service;
  uv_poll_init(loop, &service.poll, fcm_async_fd(service.manager));
  uv_timer_init(loop, &service.timer);

  for (unsigned long i = 0; i < strtoul(argv[2], NULL, 10); i++) {
    char path[4096];
    int fd = fcm_make_file(service.manager, NULL, NULL, NULL, path, sizeof path);
    if (fd < 0) break;
    close(fd);
    if (fcm_cleanup_file_async(service.manager, path, removed, &service, NULL) == 0) service.left++;
  }

  if (service.left > 0) {
    uv_poll_start(&service.poll, UV_READABLE, readable);
    uv_timer_start(&service.timer, tick, 0, 1);
    uv_run(loop, UV_RUN_DEFAULT);
    uv_loop_close(loop);
  }
  printf("removed %lu, the loop went on: %s\n", service.removed, service.ticks > 0 ? "yes" : "no");
  return fcm_destroy(service.manager) == 0 ? 0 : 1;
}

/* The public structures as programs are compiled with them, for lib/manager/libfilecleanup.symbols. */
#include <filecleanup.h>
#include <stdio.h>

#define STRUCT(s) printf("struct %s %zu\n", #s, sizeof(struct s))
#define MEMBER(s, m) printf("%s.%s %zu %zu\n", #s, #m, offsetof(struct s, m), sizeof((struct s *)0)->m)

int main(void) {
  STRUCT(fcm_options);
  MEMBER(fcm_options, size);
  MEMBER(fcm_options, base_dir);
  MEMBER(fcm_options, state_dir);
  MEMBER(fcm_options, ttl);
  MEMBER(fcm_options, interval);
  MEMBER(fcm_options, cleanup_on_startup);
  MEMBER(fcm_options, cleanup_after_processing);
  MEMBER(fcm_options, enable_periodic_cleanup);
  MEMBER(fcm_options, spare_in_use);
  MEMBER(fcm_options, trust_base);
  MEMBER(fcm_options, disabled);
  MEMBER(fcm_options, keep);
  MEMBER(fcm_options, async_queue);
  MEMBER(fcm_options, async_workers);
  MEMBER(fcm_options, callbacks_by_dispatch);
  MEMBER(fcm_options, log);
  MEMBER(fcm_options, log_context);
  STRUCT(fcm_result);
  MEMBER(fcm_result, removed_count);
  MEMBER(fcm_result, removed_size_bytes);
  MEMBER(fcm_result, removed_size_mb);
  MEMBER(fcm_result, errors);
  MEMBER(fcm_result, spared);
  MEMBER(fcm_result, tracked_files_remaining);
  MEMBER(fcm_result, reserved);
  STRUCT(fcm_stats);
  MEMBER(fcm_stats, tracked_files);
  MEMBER(fcm_stats, total_size_bytes);
  MEMBER(fcm_stats, total_size_mb);
  MEMBER(fcm_stats, periodic_cleanup_running);
  MEMBER(fcm_stats, default_ttl);
  MEMBER(fcm_stats, cleanup_interval);
  MEMBER(fcm_stats, memory_bytes);
  MEMBER(fcm_stats, journal_bytes);
  MEMBER(fcm_stats, reserved);
  printf("FCM_LOG_ERROR %d\nFCM_LOG_DEBUG %d\n", FCM_LOG_ERROR, FCM_LOG_DEBUG);
  printf("FCM_SUCCEEDED %d\nFCM_FAILED %d\nFCM_CANCELLED %d\n", FCM_SUCCEEDED, FCM_FAILED, FCM_CANCELLED);
  printf("FCM_KEEP_ON_ERROR %u\n", FCM_KEEP_ON_ERROR);
  return 0;
}

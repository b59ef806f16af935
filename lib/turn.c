#include "turn.h"

#include "session.h"

#define PAUSE_MS 5

bool fc_turn_take(int fd, int64_t deadline_ns) {
  while (fc_sys_lock(fd, FC_F_OFD_SETLK, F_WRLCK, FC_BYTE_PASS, NULL) < 0) {
    if (deadline_ns != FC_INFINITY_NS && fc_sys_boottime() >= deadline_ns) return false;
    fc_sys_pause(PAUSE_MS);
  }
  return true;
}

void fc_turn_give(int fd) { (void)fc_sys_lock(fd, FC_F_OFD_SETLK, F_UNLCK, FC_BYTE_PASS, NULL); }

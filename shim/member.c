#include "member.h"

#include <string.h>

#include "departure.h"
#include "placement.h"

#define PAGE_BYTES 4096u
#define MADV_WIPEONFORK_ 18

FC_FIRST struct fc_member fc_member;
FC_START static struct fc_wiped *wiped;
FC_START struct fc_asking fc_asking;

bool fc_member_prepare(void) {
  void *page = fc_sys_mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (fc_sys_is_error(page)) return false;
  if (fc_sys_madvise(page, PAGE_BYTES, MADV_WIPEONFORK_) < 0) {
    (void)fc_sys_munmap(page, PAGE_BYTES);
    return false;
  }
  wiped = page;
  __atomic_store_n(&wiped->pid, (uint32_t)fc_sys_getpid(), __ATOMIC_RELAXED);
  return true;
}

struct fc_wiped *fc_member_wiped(void) {
  return wiped;
}

/* 0 in a child of a raw clone, or of a fork inside libc that no hook sees. Nothing is stored then: this may be a vfork
 * child of such a child, which shares its memory. */
uint32_t fc_member_pid(void) {
  const uint32_t pid = __atomic_load_n(&wiped->pid, __ATOMIC_RELAXED);
  return pid || fc_is_filtered() ? pid : (uint32_t)fc_sys_getpid();
}

void fc_member_forked(void) {
  if (fc_member.count == 0 || fc_is_filtered()) return;
  if (__atomic_load_n(&wiped->pid, __ATOMIC_RELAXED) == 0) /* the others have stayed behind */
    __atomic_store_n(&fc_asking.threads, 0, __ATOMIC_RELAXED);
  __atomic_store_n(&wiped->pid, (uint32_t)fc_sys_getpid(), __ATOMIC_RELAXED);
}

bool fc_member_owns_memory(void) {
  return !fc_is_filtered() && __atomic_load_n(&wiped->pid, __ATOMIC_RELAXED) == (uint32_t)fc_sys_getpid();
}

#define PROGRAM_BYTES 32
static char program[PROGRAM_BYTES];

void fc_member_is(const char *name, bool told) {
  for (size_t i = 0; i + 1 < sizeof program && name && name[i]; i++) program[i] = name[i];
  wiped->told = told;
}

void fc_member_introduce(void) {
  if (__atomic_exchange_n(&wiped->told, 1, __ATOMIC_RELAXED) || !program[0]) return;
  for (unsigned i = 0; i < fc_member.count; i++) {
    const struct fc_record record = {.type = FC_REC_PROGRAM,
                                     .pid = fc_member_pid(),
                                     .time_ns = fc_journal_now(),
                                     .path = {NULL, 0, program, strlen(program)}};
    (void)fc_journal_append(&fc_member.sessions[i].journal, &record); /* lost: nobody knows its name */
  }
}

void fc_member_record_end(int status) {
  FC_ASKING;
  if (fc_member.count == 0 || !fc_member_owns_memory()) return;
  for (unsigned i = 0; i < fc_member.count; i++) {
    struct fc_session *s = &fc_member.sessions[i];
    if (!s->lock_page || !fc_departure_is_leader(s, fc_member_pid())) continue;
    const struct fc_record end = {
        .type = FC_REC_END, .pid = fc_member_pid(), .extra = (uint16_t)(status & 0xff), .time_ns = fc_journal_now()};
    (void)fc_journal_append(&s->journal, &end); /* no record reads as failure, and failure keeps */
  }
}

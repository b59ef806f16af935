#include "seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>

#include "sys.h"

#define STATES 64    /* branches that wait to be followed */
#define STEPS 16384u /* for one number; programs have 4096 instructions at most, and jump forwards only */

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__i386__)
#define ARCH AUDIT_ARCH_I386
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

/* Of hooks, of an image that starts, of a process that ends and reaps, and of the thread that sweeps. */
static const short ours[] = {
    SYS_openat,        SYS_openat2,     SYS_close,     SYS_statx,          SYS_unlinkat,    SYS_renameat2,
    SYS_mkdirat,       SYS_linkat,      SYS_fchmod,    SYS_readlinkat,     SYS_getcwd,      SYS_getdents64,
    SYS_read,          SYS_write,       SYS_pread64,   SYS_pwrite64,       SYS_ftruncate,   SYS_lseek,
    SYS_fcntl,         SYS_mremap,      SYS_munmap,    SYS_madvise,        SYS_mprotect,    SYS_prlimit64,
    SYS_fstatfs,       SYS_getpid,      SYS_getppid,   SYS_gettid,         SYS_geteuid,     SYS_flock,
    SYS_clock_gettime, SYS_ppoll,       SYS_futex,     SYS_rt_sigprocmask, SYS_sigaltstack, SYS_name_to_handle_at,
    SYS_getrandom,     SYS_tgkill,      SYS_prctl,     SYS_unshare,        SYS_chdir,       SYS_set_robust_list,
    SYS_clone,         SYS_exit,
#ifdef SYS_mmap2
    SYS_mmap2,
#else
    SYS_mmap,
#endif
#if !defined(__LP64__)
    SYS__llseek,       SYS_ftruncate64, SYS_fstatfs64, SYS_fcntl64,        SYS_geteuid32,
#endif
#ifdef SYS_close_range
    SYS_close_range,
#endif
#ifdef SYS_clone3
    SYS_clone3,
#endif
#ifdef SYS_rseq
    SYS_rseq,
#endif
};

/* A place in the program, and what its accumulator holds there. */
struct state {
  uint16_t at;
  bool known;
  uint32_t value;
};

/* A refusal must not look like an answer to what was asked (EACCES: there is nothing that could be removed), or like a
 * success that has done nothing. */
static bool is_fine(uint32_t answer) {
  const uint32_t data = answer & SECCOMP_RET_DATA;
  switch (answer & SECCOMP_RET_ACTION_FULL) {
  case SECCOMP_RET_ALLOW:
  case SECCOMP_RET_TRACE:
    return true;
  case SECCOMP_RET_ERRNO:
    return data == EPERM || data == ENOSYS;
  default:
    return false;
  }
}

static void load(struct state *s, const struct sock_filter *i, uint32_t number) {
  s->known = true;
  if (BPF_MODE(i->code) == BPF_IMM)
    s->value = i->k;
  else if (BPF_MODE(i->code) == BPF_ABS && i->k == offsetof(struct seccomp_data, nr))
    s->value = number;
  else if (BPF_MODE(i->code) == BPF_ABS && i->k == offsetof(struct seccomp_data, arch))
    s->value = ARCH;
  else
    s->known = false; /* an argument: anything */
}

/* What a conditional jump does: both ways are open when that depends on what is not known. */
static void decide(const struct state *s, const struct sock_filter *i, bool *yes, bool *no) {
  bool met = false;
  *yes = *no = true;
  if (!s->known || BPF_SRC(i->code) != BPF_K) return;
  switch (BPF_OP(i->code)) {
  case BPF_JEQ:
    met = s->value == i->k;
    break;
  case BPF_JGT:
    met = s->value > i->k;
    break;
  case BPF_JGE:
    met = s->value >= i->k;
    break;
  case BPF_JSET:
    met = (s->value & i->k) != 0;
    break;
  default:
    return;
  }
  *yes = met;
  *no = !met;
}

static bool spares(const struct sock_filter *program, unsigned len, uint32_t number) {
  struct state open[STATES];
  unsigned waiting = 1;
  unsigned steps = 0;
  open[0] = (struct state){0, true, 0};
  while (waiting > 0) {
    struct state s = open[--waiting];
    for (;;) {
      if (s.at >= len || ++steps > STEPS) return false;
      const struct sock_filter *const i = &program[s.at++];
      const unsigned kind = BPF_CLASS(i->code);
      if (kind == BPF_RET) {
        const bool by_value = BPF_RVAL(i->code) == BPF_A;
        if ((by_value && !s.known) || !is_fine(by_value ? s.value : i->k)) return false;
        break;
      }
      if (kind == BPF_LD) {
        load(&s, i, number);
      } else if (kind == BPF_ALU) {
        s.known = s.known && i->code == (BPF_ALU | BPF_AND | BPF_K);
        s.value &= i->k;
      } else if (kind == BPF_MISC && BPF_MISCOP(i->code) == BPF_TXA) {
        s.known = false;
      } else if (kind == BPF_JMP && BPF_OP(i->code) == BPF_JA) {
        if (i->k > len) return false;
        s.at = (uint16_t)(s.at + i->k);
      } else if (kind == BPF_JMP) {
        bool yes;
        bool no;
        decide(&s, i, &yes, &no);
        if (yes && no) {
          if (waiting == STATES) return false;
          open[waiting++] = (struct state){(uint16_t)(s.at + i->jf), s.known, s.value};
        }
        s.at = (uint16_t)(s.at + (yes ? i->jt : i->jf));
      }
    }
  }
  return true;
}

bool fc_seccomp_spares_us(const struct sock_filter *program, unsigned len) {
  if (len > BPF_MAXINSNS) return false;
  for (unsigned i = 0; i < sizeof ours / sizeof *ours; i++)
    if (!spares(program, len, (uint32_t)ours[i])) return false;
  return true;
}

/* Which seccomp filters let our own system calls live. */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>

#include "seccomp.h"
#include "sys.h"

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IF(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no)
#define RETURN(answer) BPF_STMT(BPF_RET | BPF_K, answer)

#define SPARES(...)                                                                                                    \
  ({                                                                                                                   \
    const struct sock_filter program[] = {__VA_ARGS__};                                                                \
    fc_seccomp_spares_us(program, sizeof program / sizeof *program);                                                   \
  })

Test(seccomp, one_that_allows_refuses_or_traces_everything_spares_us) {
  cr_expect(SPARES(RETURN(SECCOMP_RET_ALLOW)));
  cr_expect(SPARES(RETURN(SECCOMP_RET_TRACE)));
  cr_expect(SPARES(RETURN(SECCOMP_RET_ERRNO | EPERM)));
}

Test(seccomp, one_that_kills_traps_asks_or_pretends_does_not) {
  cr_expect_not(SPARES(RETURN(SECCOMP_RET_KILL_PROCESS)));
  cr_expect_not(SPARES(RETURN(SECCOMP_RET_KILL_THREAD)));
  cr_expect_not(SPARES(RETURN(SECCOMP_RET_TRAP)));
  cr_expect_not(SPARES(RETURN(SECCOMP_RET_USER_NOTIF)));
  cr_expect_not(SPARES(RETURN(SECCOMP_RET_ERRNO)));
  cr_expect_not(SPARES(RETURN(SECCOMP_RET_LOG)));
}

/* An answer that the kernel too may give would be believed. */
Test(seccomp, one_whose_refusal_looks_like_an_answer_does_not) {
  static const unsigned answers[] = {EACCES, ENOENT, ENOTDIR, ELOOP, EBADF, EEXIST, EINVAL};
  for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
    cr_expect_not(SPARES(RETURN(SECCOMP_RET_ERRNO | answers[i])), "%u", answers[i]);
}

Test(seccomp, a_list_that_lacks_one_of_our_calls_does_not) {
  cr_expect_not(SPARES(LOAD(nr), IF(SYS_statx, 0, 1), RETURN(SECCOMP_RET_KILL_PROCESS), RETURN(SECCOMP_RET_ALLOW)));
  cr_expect(SPARES(LOAD(nr), IF(SYS_statx, 0, 1), RETURN(SECCOMP_RET_ERRNO | ENOSYS), RETURN(SECCOMP_RET_ALLOW)));
  cr_expect(SPARES(LOAD(nr), IF(SYS_reboot, 0, 1), RETURN(SECCOMP_RET_KILL_PROCESS), RETURN(SECCOMP_RET_ALLOW)));
}

Test(seccomp, what_depends_on_arguments_counts_with_all_its_answers) {
  cr_expect(SPARES(LOAD(nr), IF(SYS_clone, 0, 4), LOAD(args[0]), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x7e020000),
                   IF(0, 0, 2), RETURN(SECCOMP_RET_ALLOW), RETURN(SECCOMP_RET_ALLOW),
                   RETURN(SECCOMP_RET_ERRNO | EPERM)));
  cr_expect_not(SPARES(LOAD(nr), IF(SYS_openat, 0, 3), LOAD(args[2]), IF(0, 0, 2), RETURN(SECCOMP_RET_ALLOW),
                       RETURN(SECCOMP_RET_ALLOW), RETURN(SECCOMP_RET_KILL_PROCESS)));
  cr_expect_not(SPARES(LOAD(nr), IF(SYS_openat, 0, 3), LOAD(args[2]), IF(0, 0, 1), RETURN(SECCOMP_RET_KILL_PROCESS),
                       RETURN(SECCOMP_RET_ALLOW)));
  cr_expect_not(SPARES(LOAD(args[0]), BPF_STMT(BPF_RET | BPF_A, 0)));
}

Test(seccomp, another_architecture_is_not_ours) {
  cr_expect(
      SPARES(LOAD(arch), IF(AUDIT_ARCH_RISCV64, 0, 1), RETURN(SECCOMP_RET_KILL_PROCESS), RETURN(SECCOMP_RET_ALLOW)));
}

Test(seccomp, one_that_does_not_end_does_not) {
  cr_expect_not(SPARES(LOAD(nr)));
  cr_expect_not(SPARES(BPF_STMT(BPF_JMP | BPF_JA, 7), RETURN(SECCOMP_RET_ALLOW)));
  cr_expect_not(SPARES(BPF_STMT(BPF_JMP | BPF_JA, 0xffffffffu), RETURN(SECCOMP_RET_ALLOW)));
}

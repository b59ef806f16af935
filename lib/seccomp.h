/* seccomp: what a filter program would answer to the system calls that we make ourselves.
 *
 * Responsible for: telling a filter that lets all of ours pass (those of containers, or of a tracer) from one that
 * would end the host for them. Must never: call a filter harmless of which it is not certain. Used in hooks: no
 * allocation, no system call.
 */
#ifndef FC_SECCOMP_H
#define FC_SECCOMP_H

#include <linux/filter.h>
#include <stdbool.h>

/* True when every answer of the program to every call of ours, whatever its arguments, is to let it pass, to hand it to
 * a tracer, or to refuse it with EPERM or ENOSYS, which all of our calls know how to take. */
bool fc_seccomp_spares_us(const struct sock_filter *program, unsigned len);

#endif

/* sweeping: the thread that sweeps while the host runs, when no guardian does (bare mode).
 *
 * Responsible for: deciding whether this process should sweep a session, starting the thread from a hook, and stopping
 * it before the process leaves. Must never: start in a process that has made nothing, in a vfork child, or inside a
 * signal handler (pthread_create allocates); touch the host's file descriptors (the thread has a table of its own), its
 * working directory or its signals.
 *
 * A second thread can be noticed (unshare -U and nsenter -m fail, Python 3.12 warns at fork), so it is started no
 * earlier than it could be of use: with a TTL of up to ten minutes, or a cap, by the first name that is made; else by
 * the first that is made when the process is ten minutes old, or the journal 4 MiB long. A process that makes nothing
 * any more starts none.
 */
#ifndef FC_SWEEPING_H
#define FC_SWEEPING_H

#include <stdbool.h>
#include <stdint.h>

/* Called once the sessions are joined. */
void fc_sweeping_prepare(void);

/* Called when a name of session i has been recorded. now_ns: CLOCK_BOOTTIME. A comparison in nearly every call. May
 * start the thread, unless this may be a signal handler. */
void fc_sweeping_consider(unsigned i, int64_t now_ns);

/* The journal of session i has become long: the next name that is made finds out whether anybody keeps it short. */
void fc_sweeping_hurry(unsigned i);

/* Called by entry points that no signal handler may call (fopen, mkstemp ...): starts what `consider` put off. */
void fc_sweeping_certain(void);

/* Stops this process's threads behind the object in hand and waits, within the exit budget, until they are out of the
 * way. */
void fc_sweeping_stop(void);

/* The calling thread ends by itself. The main one: then no thread of ours may be left behind it, and none is started
 * any more in this process; what it makes from then on waits for its end, or for another process that sweeps. */
void fc_sweeping_thread_ends(void);

/* The host is about to install a seccomp filter: our threads end, and are gone when this returns. None is started until
 * fc_sweeping_return says that nothing came of it. */
void fc_sweeping_retire(void);
void fc_sweeping_return(void);

#endif

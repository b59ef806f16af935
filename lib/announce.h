/* announce: what the shim is told when it is in the same process as the library.
 *
 * The library removes by system calls of its own, which no hook sees. A shim there has to know all the same that data
 * of the user's goes, or a copy of it that the program has made would be deleted with the shim's session. Responsible
 * for: this one name, which the shim exports and the library calls when it is there. Must never: be called by the
 * reaper of a session that has ended, in whose process the shim belongs to another.
 */
#ifndef FC_ANNOUNCE_H
#define FC_ANNOUNCE_H

/* The name leaf in dirfd is about to be removed or replaced, as by unlinkat. NULL where there is no shim. Keeps errno.
 */
__attribute__((weak, visibility("default"))) void filecleanup_removing(int dirfd, const char *leaf);

#endif

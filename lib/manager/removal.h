/* removal: one file or directory, and what its removal comes to.
 *
 * Responsible for: what scopes and requests need beside the public functions: absolute paths, and a result for a single
 * removal. Must never: remove anything itself.
 */
#ifndef FC_REMOVAL_H
#define FC_REMOVAL_H

#include "filecleanup.h"

/* A copy of path, from free's heap, that means the same in any working directory. NULL with EINVAL, ENAMETOOLONG,
 * ENOMEM, or errno of getcwd. */
char *fc_removal_absolute(const char *path);

/* As fcm_cleanup_file and fcm_cleanup_directory; *result, zero before, says what was removed. */
int fc_removal_file(fcm_manager *manager, const char *path, struct fcm_result *result);
int fc_removal_directory(fcm_manager *manager, const char *path, bool recursive, struct fcm_result *result);

#endif

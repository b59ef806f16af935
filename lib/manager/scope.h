/* scope: a file that lives as long as a block of code.
 *
 * Responsible for: how a scope ends, and that it is freed then. Must never: remove anything but by the manager's public
 * functions, which verify what they remove.
 */
#ifndef FC_SCOPE_H
#define FC_SCOPE_H

#include "filecleanup.h"

fcm_manager *fc_scope_manager(const fcm_scope *scope);

/* fcm_scope_exit that also says what was removed. */
int fc_scope_leave(fcm_scope *scope, enum fcm_outcome outcome, struct fcm_result *result);

/* Frees the memory and nothing else: the scope is another process's. */
void fc_scope_forget(fcm_scope *scope);

#endif

/* policy: the values of a configuration as texts, as its variables take them.
 *
 * Responsible for: the words of every choice, and one text for each variable. Must never: parse (config.h).
 */
#ifndef FC_POLICY_H
#define FC_POLICY_H

#include "config.h"

const char *fc_policy_on_exit(const struct fc_policy *policy);
const char *fc_policy_scope(const struct fc_policy *policy);
const char *fc_policy_dirs(const struct fc_policy *policy);
const char *fc_policy_in_use(const struct fc_policy *policy);
const char *fc_policy_track(const struct fc_policy *policy);

/* The effective value of FILECLEANUP_... in config, "" when it is unset (the caller's to free); NULL: no such variable.
 */
char *fc_policy_value(const struct fc_config *config, const char *variable);

#endif

/* operand: a path that somebody typed.
 *
 * Responsible for: what it means beneath a base. Must never: follow its last component.
 */
#ifndef FC_OPERAND_H
#define FC_OPERAND_H

/* The absolute path (free): its directory is resolved, its last component is not; a link is what is asked about, not
 * what it leads to. What does not exist is tidied as it stands. *error: why it cannot be looked at, else untouched. */
char *fc_operand_canonical(const char *given, int *error);

/* The path relative to directory, "" when it is the directory, NULL when it lies elsewhere. */
const char *fc_operand_beneath(const char *path, const char *directory);

#endif

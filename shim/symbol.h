/* symbol: looks a name up in the objects that are loaded behind us, as dlsym(RTLD_NEXT) would.
 *
 * Responsible for: the same answer without the loader's lock and without its memory, so that a function can be bound
 * when it is first called, wherever that is: a signal handler, a vfork child, a child of a threaded program. Most
 * processes call a handful of the functions that are hooked, and binding all of them at start is what costs a short one
 * most. Must never: answer what dlsym would not have answered; what it does not understand it leaves to dlsym.
 */
#ifndef FC_SYMBOL_H
#define FC_SYMBOL_H

#include <stdbool.h>

/* Notes the objects behind us, down to libc, which are never unloaded. False when they are not as expected (another
 * libc, an object without a GNU hash table, very many of them): then everything is for dlsym. Takes the loader's lock.
 */
bool fc_symbol_prepare(void);

/* The address of the default version of a function, or NULL when it was not found or needs a resolver (IFUNC). */
void *fc_symbol_find(const char *name);

/* The same among all objects that are loaded behind us now, libc not the last. Takes the loader's lock. */
void *fc_symbol_search(const char *name);

/* dlsym(where), and what it does not find by fc_symbol_search: before 2.34 glibc kept dlsym in a library of its own,
 * which not every program loads, and shm_open and others in one that a program may load late, where RTLD_NEXT does not
 * look. Takes the loader's lock. */
void *fc_symbol_ask(void *where, const char *name);

/* The name under which the loader has loaded this library, or NULL. Takes the loader's lock. */
const char *fc_symbol_own_file(void);

#endif

/* placement: which page a variable of the shim stands in.
 *
 * Each page that a process touches is a fault, and most processes live for a millisecond. The loader writes one page of
 * ours in any case, the one that holds the addresses it has resolved. Behind those stand .data and the beginning of
 * .bss: what every process uses is placed there (FC_START, FC_FIRST), and nothing in .bss may be aligned to a page, or
 * all of it would begin with the next one. Responsible for: these two attributes. Must never: matter to what is done.
 */
#ifndef FC_PLACEMENT_H
#define FC_PLACEMENT_H

/* A small variable that every process uses. */
#define FC_START __attribute__((section(".data.start")))

/* The one large variable that .bss shall begin with (the linker sorts by alignment). */
#define FC_FIRST __attribute__((aligned(64)))

#endif

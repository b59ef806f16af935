/* empty_preload: a preload library with nothing in it.
 *
 * What the loader does for any preload (open, map, relocate) is not the shim's doing, so scripts/bench compares
 * start-up costs with this one. Linked the ordinary way: no special flags, or the comparison would flatter nobody.
 */
int fc_bench_empty_preload(void);
int fc_bench_empty_preload(void) { return 0; }

/*
 * hamming_popcnt.c: Hamming distances with the POPCNT instruction of x86-64.
 */
#include "hamming.h"

#if defined(__x86_64__)

#define LOOPS_NAME "popcnt"
#define LOOPS_TABLE hamming_popcnt
#define LOOPS_TARGET __attribute__((target("popcnt")))
#define LOOPS_COUNT(x) __builtin_popcountll(x)
#include "hamming_loops.h"

#endif

/*
 * core/hamming_popcnt.c: Hamming distances with the processor's own count of the
 * bits of a word: POPCNT of x86-64, which the oldest lack, CNT of aarch64,
 * which all have.
 */
#include "core/hamming_kernel.h"

#if defined(__x86_64__) || defined(__aarch64__)

#if defined(__x86_64__)
#define LOOPS_TARGET __attribute__((target("popcnt")))
#else
#define LOOPS_TARGET
#endif

#define LOOPS_NAME "popcnt"
#define LOOPS_TABLE hamming_popcnt
#define LOOPS_COUNT(x) __builtin_popcountll(x)
#include "core/hamming_loops.h"

#endif

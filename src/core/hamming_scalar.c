/*
 * core/hamming_scalar.c: Hamming distances in portable C.
 *
 * The reference the other kernels are tested against, and what runs on a
 * processor without any of their instruction sets.
 */
#include "core/hamming_kernel.h"

/*
 * Set bits of a word, counted in parallel in fields of 2, 4 and 8 bits: every
 * field holds the count of its own bits, which is at most its width and so
 * never overflows it.  The product sums the eight bytes into the highest one.
 */
static inline int
scalar_count_bits(uint64_t x)
{
	x -= (x >> 1) & UINT64_C(0x5555555555555555);
	x = (x & UINT64_C(0x3333333333333333)) + ((x >> 2) & UINT64_C(0x3333333333333333));
	x = (x + (x >> 4)) & UINT64_C(0x0F0F0F0F0F0F0F0F);
	return (x * UINT64_C(0x0101010101010101)) >> 56;
}

#define LOOPS_NAME "scalar"
#define LOOPS_TABLE hamming_scalar
#define LOOPS_TARGET
#define LOOPS_COUNT(x) scalar_count_bits(x)
#include "core/hamming_loops.h"

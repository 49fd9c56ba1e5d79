/*
 * numeric_vector.c: the vector loops for any processor, and the choice.
 */
#define LOOPS_NAME "portable"
#define LOOPS_STRUCT vector_portable
#define LOOPS_TARGET
#define LOOPS_WIDTH 4
#if defined(__SSE2__)
#include <emmintrin.h>
#define LOOPS_ROOT(x) ((Vector) _mm_sqrt_ps((__m128) (x)))
#else
#include <math.h>
#define LOOPS_ROOT(x) ((Vector) {sqrtf((x)[0]), sqrtf((x)[1]), sqrtf((x)[2]), sqrtf((x)[3])})
#endif
#include "numeric_loops.h"

int
vector_available(const VectorLoops *loops[], int most)
{
	int			count = 0;

	if (count < most)
		loops[count++] = &vector_portable;
#if defined(__x86_64__)
	/* the operating system's part (saving the registers) is checked too */
	if (count < most && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		loops[count++] = &vector_avx2;
#endif
	return count;
}

const VectorLoops *
vector_loops(void)
{
	static const VectorLoops *chosen;

	if (chosen == NULL)
	{
		const VectorLoops *loops[4];

		chosen = loops[vector_available(loops, 4) - 1];
	}
	return chosen;
}

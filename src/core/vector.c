/*
 * core/vector.c: the vector loops for any processor, and the choice.
 */
#define LOOPS_NAME "portable"
#define LOOPS_STRUCT vector_portable
#define LOOPS_TARGET
#define LOOPS_WIDTH 4
#if defined(__SSE2__)
#include <emmintrin.h>
#include <string.h>
#define LOOPS_ROOT(x) ((Vector) _mm_sqrt_ps((__m128) (x)))

static inline __m128i
widen(const void *bytes)
{
	int			four;

	memcpy(&four, bytes, sizeof(four));
	return _mm_unpacklo_epi16(_mm_unpacklo_epi8(_mm_cvtsi32_si128(four), _mm_setzero_si128()), _mm_setzero_si128());
}

#define LOOPS_WIDEN(bytes) widen(bytes)
#else
#include <math.h>
#define LOOPS_ROOT(x) ((Vector) {sqrtf((x)[0]), sqrtf((x)[1]), sqrtf((x)[2]), sqrtf((x)[3])})
#define LOOPS_WIDEN(bytes) {(bytes)[0], (bytes)[1], (bytes)[2], (bytes)[3]}
#endif
#include "core/vector_loops.h"

int
vector_available(const VectorLoops *loops[], int capacity)
{
	int			count = 0;

	if (count < capacity)
		loops[count++] = &vector_portable;
#if defined(__x86_64__)
	/* the operating system's part (saving the registers) is checked too */
	if (count < capacity && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
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

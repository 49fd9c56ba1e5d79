/*
 * core/vector_avx2.c: the vector loops with AVX2 and fused multiply-add.
 */
#if defined(__x86_64__)
#define LOOPS_NAME "avx2"
#define LOOPS_STRUCT vector_avx2
#define LOOPS_TARGET __attribute__((target("avx2,fma")))
#define LOOPS_WIDTH 8
#include <immintrin.h>
#define LOOPS_ROOT(x) ((Vector) _mm256_sqrt_ps((__m256) (x)))
#define LOOPS_WIDEN(bytes) _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *) (bytes)))
#include "core/vector_loops.h"
#else
typedef int numeric_vector_avx2_unused;
#endif

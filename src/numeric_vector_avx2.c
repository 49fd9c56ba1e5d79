/*
 * numeric_vector_avx2.c: the vector loops with AVX2 and fused multiply-add.
 */
#if defined(__x86_64__)
#define LOOPS_NAME "avx2"
#define LOOPS_STRUCT vector_avx2
#define LOOPS_WIDTH 8
#define LOOPS_TARGET __attribute__((target("avx2,fma")))
#include "numeric_loops.h"
#else
typedef int numeric_vector_avx2_unused;
#endif

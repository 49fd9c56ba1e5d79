/*
 * core/hamming.c: which Hamming distance kernels this processor runs best.
 *
 * Every kernel is compiled into the module, each function enabling its own
 * instructions, so one binary serves all processors; the choice is made once,
 * when the module is loaded.
 */
#include "core/hamming.h"

#define MAX_KERNELS 4

const HammingKernels *hamming_kernels = &hamming_scalar;

/*
 * For AVX2 and AVX-512 __builtin_cpu_supports asks the operating system too
 * (XGETBV): it must save the registers that the processor has.  VPOPCNTDQ came
 * to servers with BW and VL, but Xeon Phi has it without.
 */
int
hamming_available(const HammingKernels *kernels[], int max)
{
	const HammingKernels *found[MAX_KERNELS];
	int			count = 0;
	int			i;

	/* each faster than those before it */
	found[count++] = &hamming_scalar;
#if defined(__x86_64__)
	__builtin_cpu_init();
	if (__builtin_cpu_supports("popcnt"))
	{
		found[count++] = &hamming_popcnt;
		if (__builtin_cpu_supports("avx2"))
			found[count++] = &hamming_avx2;
		if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
			__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vpopcntdq"))
			found[count++] = &hamming_avx512;
	}
#elif defined(__aarch64__)
	found[count++] = &hamming_popcnt;
	found[count++] = &hamming_neon;
#endif

	for (i = 0; i < count && i < max; i++)
		kernels[i] = found[i];
	return i;
}

void
hamming_init(void)
{
	const HammingKernels *kernels[MAX_KERNELS];

	hamming_kernels = kernels[hamming_available(kernels, MAX_KERNELS) - 1];
}

/*
 * hamming.c: which Hamming distance kernels this processor runs best.
 *
 * Every kernel is compiled into the module, each function enabling its own
 * instructions, so one binary serves all processors; the choice is made once,
 * when the module is loaded.
 */
#include "hamming.h"

const HammingKernels *hamming_kernels = &hamming_scalar;

int
hamming_available(const HammingKernels *kernels[], int most)
{
	const HammingKernels *found[4];
	int			count = 0;
	int			i;

	/* slowest first */
	found[count++] = &hamming_scalar;
#if defined(__x86_64__)
	__builtin_cpu_init();
	if (__builtin_cpu_supports("popcnt"))
		found[count++] = &hamming_popcnt;
#endif

	for (i = 0; i < count && i < most; i++)
		kernels[i] = found[i];
	return i;
}

void
hamming_init(void)
{
	const HammingKernels *kernels[4];

	hamming_kernels = kernels[hamming_available(kernels, 4) - 1];
}

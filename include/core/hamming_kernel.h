/*
 * core/hamming_kernel.h: what the files that implement the kernels share.
 *
 * A loop over codes takes their number of words as an argument, and is inlined
 * into a switch that passes a constant for 64, 128 and 256 bits: each of these
 * lengths gets its own machine code, without an inner loop over the words,
 * from one source.
 */
#ifndef HAMMING_KERNEL_H
#define HAMMING_KERNEL_H

#include "core/hamming.h"

#define HAMMING_INLINE static inline __attribute__((always_inline))

#define HAMMING_SPECIALIZE(loop, words, ...) \
	switch (words) \
	{ \
		case 1: \
			return loop(1, __VA_ARGS__); \
		case 2: \
			return loop(2, __VA_ARGS__); \
		case 4: \
			return loop(4, __VA_ARGS__); \
		default: \
			return loop(words, __VA_ARGS__); \
	}

/* A hit is rare where speed counts: pages that hold many end the search. */
#define HAMMING_RARE(condition) __builtin_expect((condition) != 0, 0)

#endif							/* HAMMING_KERNEL_H */

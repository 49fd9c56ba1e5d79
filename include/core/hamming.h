/*
 * core/hamming.h: the contract of the Hamming distance kernels.
 *
 * Part of the numeric core: no PostgreSQL headers.  There is one file for each
 * instruction set, core/hamming_ISA.c; core/hamming.c chooses once, at load.
 *
 * Packed arrays hold each code in `words` consecutive uint64, the unused bits
 * of the last word zero.  A distance counts differing bits, so neither bit nor
 * byte order matters as long as both sides agree.  No array needs more than
 * the natural alignment of its element.
 */
#ifndef HAMMING_H
#define HAMMING_H

#include <stddef.h>
#include <stdint.h>

/* Longest code, so that any distance fits an uint16 (and a signed int16). */
#define HAMMING_MAX_BITS 16384
#define HAMMING_WORDS(bits) (((bits) + 63) / 64)

typedef struct HammingKernels
{
	const char *name;

	/* Number of differing bits of two byte strings. */
	int			(*distance) (const uint8_t *a, const uint8_t *b, size_t bytes);

	/* Number of set bits of a byte string. */
	int			(*weight) (const uint8_t *a, size_t bytes);

	/* distances[i] = d(query, codes[i]) for i < count. */
	void		(*distances) (const uint64_t *query, const uint64_t *codes,
							  int words, int count, uint16_t *distances);

	/*
	 * The codes with d(query, codes[i]) <= bound: their positions in ascending
	 * order and distances; returns how many.  Both output arrays hold
	 * count + HAMMING_SLACK elements, which vector stores may scribble on.
	 * A negative bound finds nothing.
	 */
	int			(*within) (const uint64_t *query, const uint64_t *codes,
						   int words, int count, int bound,
						   uint32_t *positions, uint16_t *distances);

	/*
	 * The position of the code nearest to the query, the first of equals, and
	 * its distance.  Without any code: -1, and a distance of UINT16_MAX.
	 */
	int			(*nearest) (const uint64_t *query, const uint64_t *codes,
							int words, int count, uint16_t *distance);
} HammingKernels;

#define HAMMING_SLACK 32

/* The kernels in use; the scalar ones until hamming_init() has run. */
extern const HammingKernels *hamming_kernels;

/* Choose the best kernels for this processor.  Idempotent. */
extern void hamming_init(void);

/* All kernels compiled in that this processor can run, the scalar one first. */
extern int	hamming_available(const HammingKernels *kernels[], int max);

/*
 * One table an instruction set.  The scalar one is the reference of the tests;
 * reach the others through hamming_available(), which asks the processor.
 */
extern const HammingKernels hamming_scalar;

#if defined(__x86_64__)
extern const HammingKernels hamming_popcnt;
extern const HammingKernels hamming_avx2;
extern const HammingKernels hamming_avx512;
#elif defined(__aarch64__)
extern const HammingKernels hamming_popcnt;
extern const HammingKernels hamming_neon;
#endif

/*
 * Ask for an array that the next call will read, while this call reads
 * another: the codes of the next page, before those of this one.  The kernels
 * don't prefetch by themselves, because inside one array the processor's own
 * prefetcher is as good, but it stops at the end of a 4 kB page.
 */
static inline void
hamming_prefetch(const void *start, size_t bytes)
{
	uintptr_t	end = (uintptr_t) start + bytes;
	uintptr_t	line;

	for (line = (uintptr_t) start & ~(uintptr_t) 63; line < end; line += 64)
		__builtin_prefetch((const void *) line, 0, 2);
}

#endif							/* HAMMING_H */

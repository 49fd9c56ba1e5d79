/*
 * core/hamming_loops.h: the kernels as plain loops over 64-bit words, for the
 * instruction sets that count the bits of one word at a time.
 *
 * core/hamming_scalar.c and core/hamming_popcnt.c include this once each, after defining
 *
 *		LOOPS_NAME		name of the table, e.g. "scalar"
 *		LOOPS_TABLE		the table to define, e.g. hamming_scalar
 *		LOOPS_TARGET	function attributes that enable the instructions
 *		LOOPS_COUNT(x)	number of set bits of an uint64
 */
#include <string.h>

#include "core/hamming_kernel.h"

/* The next 8 bytes, or the last few of a string padded with zeros. */
LOOPS_TARGET HAMMING_INLINE uint64_t
load_bytes(const uint8_t *bytes, size_t size)
{
	uint64_t	word = 0;

	memcpy(&word, bytes, size < 8 ? size : 8);
	return word;
}

LOOPS_TARGET static int
loops_distance(const uint8_t *a, const uint8_t *b, size_t bytes)
{
	int			distance = 0;
	uint64_t	x;
	uint64_t	y;

	for (; bytes >= 8; a += 8, b += 8, bytes -= 8)
	{
		memcpy(&x, a, 8);
		memcpy(&y, b, 8);
		distance += LOOPS_COUNT(x ^ y);
	}
	if (bytes > 0)
		distance += LOOPS_COUNT(load_bytes(a, bytes) ^ load_bytes(b, bytes));
	return distance;
}

LOOPS_TARGET static int
loops_weight(const uint8_t *a, size_t bytes)
{
	int			weight = 0;
	uint64_t	x;

	for (; bytes >= 8; a += 8, bytes -= 8)
	{
		memcpy(&x, a, 8);
		weight += LOOPS_COUNT(x);
	}
	if (bytes > 0)
		weight += LOOPS_COUNT(load_bytes(a, bytes));
	return weight;
}

LOOPS_TARGET HAMMING_INLINE int
code_distance(int words, const uint64_t *a, const uint64_t *b)
{
	int			distance = 0;
	int			w;

	for (w = 0; w < words; w++)
		distance += LOOPS_COUNT(a[w] ^ b[w]);
	return distance;
}

LOOPS_TARGET HAMMING_INLINE void
distances_loop(int words, const uint64_t *query, const uint64_t *codes,
			   int count, uint16_t *distances)
{
	int			i;

	for (i = 0; i < count; i++, codes += words)
		distances[i] = code_distance(words, query, codes);
}

LOOPS_TARGET static void
loops_distances(const uint64_t *query, const uint64_t *codes,
				int words, int count, uint16_t *distances)
{
	HAMMING_SPECIALIZE(distances_loop, words, query, codes, count, distances);
}

LOOPS_TARGET HAMMING_INLINE int
within_loop(int words, const uint64_t *query, const uint64_t *codes,
			int count, int bound, uint32_t *positions, uint16_t *distances)
{
	int			found = 0;
	int			i;

	for (i = 0; i < count; i++, codes += words)
	{
		int			distance = code_distance(words, query, codes);

		if (HAMMING_RARE(distance <= bound))
		{
			positions[found] = i;
			distances[found++] = distance;
		}
	}
	return found;
}

LOOPS_TARGET static int
loops_within(const uint64_t *query, const uint64_t *codes,
			 int words, int count, int bound,
			 uint32_t *positions, uint16_t *distances)
{
	HAMMING_SPECIALIZE(within_loop, words, query, codes, count, bound,
					   positions, distances);
}

LOOPS_TARGET HAMMING_INLINE int
nearest_loop(int words, const uint64_t *query, const uint64_t *codes,
			 int count, uint16_t *distance)
{
	int			position = -1;
	int			min = UINT16_MAX;
	int			i;

	for (i = 0; i < count; i++, codes += words)
	{
		int			d = code_distance(words, query, codes);

		if (d < min)
		{
			min = d;
			position = i;
		}
	}
	*distance = min;
	return position;
}

LOOPS_TARGET static int
loops_nearest(const uint64_t *query, const uint64_t *codes,
			  int words, int count, uint16_t *distance)
{
	HAMMING_SPECIALIZE(nearest_loop, words, query, codes, count, distance);
}

const HammingKernels LOOPS_TABLE = {
	.name = LOOPS_NAME,
	.distance = loops_distance,
	.weight = loops_weight,
	.distances = loops_distances,
	.within = loops_within,
	.nearest = loops_nearest,
};

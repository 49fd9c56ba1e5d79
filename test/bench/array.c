/*
 * array.c: the k nearest codes of one array by reading all of it, with each of
 * the module's kernels: what an exhaustive search takes at the least, without
 * pages, rows, visibility or a server.  A shared library for peers_array.py.
 *
 * The array is searched a block at a time for codes nearer than the worst of
 * the best k so far, which are kept in order; soon hardly any code is.
 */
#include <stddef.h>
#include <string.h>

#include "core/hamming.h"

#define BLOCK 1024
#define MAX_KERNELS 8

/* The names of the kernels that this processor can run, the narrowest first. */
int
array_kernels(const char **names)
{
	const HammingKernels *kernels[MAX_KERNELS];
	int			count = hamming_available(kernels, MAX_KERNELS);

	for (int i = 0; i < count; i++)
		names[i] = kernels[i]->name;
	return count;
}

/* Put a code among the best, which are in order; returns how many there are. */
static int
keep(int32_t *ids, int32_t *distances, int kept, int k, int32_t id, int32_t distance)
{
	int			place = kept < k ? kept : k - 1;

	while (place > 0 && distances[place - 1] > distance)
	{
		distances[place] = distances[place - 1];
		ids[place] = ids[place - 1];
		place--;
	}
	distances[place] = distance;
	ids[place] = id;
	return kept < k ? kept + 1 : k;
}

/* codes: [count × words]; ids, distances: [k]; returns how many were found. */
int
array_search(int kernel, const uint64_t *query, const uint64_t *codes, int words, int count,
			 int k, int32_t *ids, int32_t *distances)
{
	const HammingKernels *kernels[MAX_KERNELS];
	uint32_t	positions[BLOCK + HAMMING_SLACK];
	uint16_t	near[BLOCK + HAMMING_SLACK];
	int			kept = 0;

	if (kernel >= hamming_available(kernels, MAX_KERNELS))
		return -1;
	for (int start = 0; start < count; start += BLOCK)
	{
		int			part = count - start < BLOCK ? count - start : BLOCK;
		int			bound = kept < k ? 64 * words : distances[k - 1] - 1;
		int			found = kernels[kernel]->within(query, codes + (size_t) start * words, words, part,
													 bound, positions, near);

		for (int i = 0; i < found; i++)
			if (kept < k || near[i] < distances[k - 1])
				kept = keep(ids, distances, kept, k, start + (int32_t) positions[i], near[i]);
	}
	return kept;
}

/*
 * core/search_bound.c: what a directory tells of pages without reading them.
 *
 * Hamming distance obeys the triangle inequality.  With c the centre of a page
 * and x any code on it, which lies from min to max away from c,
 *     d(q, x) ≥ d(q, c) − d(x, c) ≥ d(q, c) − max,
 *     d(q, x) ≥ d(x, c) − d(q, c) ≥ min − d(q, c),
 * so the largest of d(q, c) − max, min − d(q, c) and 0 is a lower bound for the page.
 *
 * Distances fit an int16 (at most 16384), and so do their differences.  So
 * the loops below compute eight bounds in a handful of vector instructions on any
 * processor.  The bounds of 220 pages take as many instructions as reading and
 * searching one page.
 */
#include "core/search.h"

#include <string.h>

void
directory_take_spans(Directory *directory, const Span *span, size_t spans,
					 uint32_t *first, int16_t *min, int16_t *max, Span *extra)
{
	memset(first, 0, (directory->centres + 1) * sizeof(uint32_t));
	directory->extras = 0;
	for (size_t s = 0; s < spans; s++)
	{
		if (s > 0 && span[s].page == span[s - 1].page)
		{
			extra[directory->extras++] = span[s];
			continue;
		}
		min[span[s].page] = span[s].min;
		max[span[s].page] = span[s].max;
		first[span[s].centre + 1]++;
	}
	for (int c = 0; c < directory->centres; c++)
		first[c + 1] += first[c];
	directory->first = first;
	directory->min = min;
	directory->max = max;
	directory->extra = extra;
}

static void
bound_pages(const int16_t *restrict min, const int16_t *restrict max,
			int distance, uint32_t pages, int16_t *restrict bound)
{
	int16_t		d = (int16_t) distance;

	for (uint32_t p = 0; p < pages; p++)
	{
		int16_t		beyond = (int16_t) (d - max[p]);
		int16_t		before = (int16_t) (min[p] - d);
		int16_t		larger = beyond > before ? beyond : before;

		bound[p] = larger > 0 ? larger : 0;
	}
}

static inline int
bound_span(const Span *span, int distance)
{
	int			beyond = distance - span->max;
	int			before = span->min - distance;
	int			larger = beyond > before ? beyond : before;

	return larger > 0 ? larger : 0;
}

void
directory_bounds(const Directory *directory, const uint64_t *query,
				 uint16_t *distances, int16_t *bound)
{
	if (directory->centres == 0)
	{
		memset(bound, 0, directory->pages * sizeof(int16_t));
		return;
	}
	hamming_kernels->distances(query, directory->centre, directory->words,
							   directory->centres, distances);
	for (int c = 0; c < directory->centres; c++)
	{
		uint32_t	first = directory->first[c];

		bound_pages(directory->min + first, directory->max + first,
					distances[c], directory->first[c + 1] - first, bound + first);
	}
	/* A page is as near as the nearest of its spans. */
	for (int e = 0; e < directory->extras; e++)
	{
		const Span *span = &directory->extra[e];
		int			other = bound_span(span, distances[span->centre]);

		if (other < bound[span->page])
			bound[span->page] = (int16_t) other;
	}
}

void
directory_exclude(const Directory *directory, const uint64_t *query,
				  int radius, uint16_t *distances, int16_t *others, int16_t *bound)
{
	if (radius > HAMMING_MAX_BITS)
		radius = HAMMING_MAX_BITS;
	directory_bounds(directory, query, distances, others);
	for (uint32_t p = 0; p < directory->pages; p++)
		if (others[p] > radius)
			bound[p] = BOUND_NEVER;
}

void
directory_exclude_keys(const Directory *directory, const KeyCondition *conditions, int condition_count, int16_t *bound)
{
	for (int c = 0; c < condition_count && directory->least != NULL; c++)
	{
		const KeyCondition *condition = &conditions[c];
		const int64_t *least = directory->least + (size_t) condition->column * directory->pages;
		const int64_t *greatest = directory->greatest + (size_t) condition->column * directory->pages;

		for (uint32_t p = 0; p < directory->pages; p++)
			if (!key_range_fulfils(condition, least[p], greatest[p]))
				bound[p] = BOUND_NEVER;
	}
}

void
directory_exclude_unequal(const Directory *directory, const uint64_t *code,
						  int16_t *bound)
{
	uint16_t	distance;
	int			centre;
	uint32_t	first;
	uint32_t	end;

	if (directory->centres == 0)
		return;
	centre = hamming_kernels->nearest(code, directory->centre, directory->words,
									  directory->centres, &distance);
	first = directory->first[centre];
	end = directory->first[centre + 1];

	/* Strike out by complement, so that a further span can bring a page back. */
	for (uint32_t p = 0; p < directory->pages; p++)
		if (p < first || p >= end ||
			distance < directory->min[p] || distance > directory->max[p])
			bound[p] = ~bound[p];
	for (int e = 0; e < directory->extras; e++)
	{
		const Span *span = &directory->extra[e];

		if (span->centre == (uint32_t) centre && bound[span->page] < 0 &&
			distance >= span->min && distance <= span->max)
			bound[span->page] = ~bound[span->page];
	}
	for (uint32_t p = 0; p < directory->pages; p++)
		if (bound[p] < 0)
			bound[p] = BOUND_NEVER;
}

/*
 * index_visit.c: the pages in the order of their lower bounds, neighbours in
 * block order.
 *
 * A search usually stops after a few of very many pages, so sorting them all
 * would cost more than the search.  A chunk takes the pages of a few levels
 * (values of the bound) and is put in order by a counting sort; the number of
 * levels doubles from chunk to chunk, so that long codes with thousands of
 * levels need a few passes too.  What chunks are taken does not change the
 * order: it is always that of (bound, page).
 */
#include "index_core.h"

#include <string.h>

/* A chunk spans at most this many levels; beyond, the counts leave the cache. */
#define VISIT_MOST_LEVELS 1024

#define VISIT_GROUP 64

size_t
visit_scratch(uint32_t pages)
{
	return (2 * (size_t) pages + 1 + VISIT_MOST_LEVELS) * sizeof(uint32_t);
}

void
visit_begin(Visit *visit, const int16_t *bound, uint32_t pages, void *scratch)
{
	visit->bound = bound;
	visit->pages = pages;
	visit->start = scratch;
	visit->chunk = visit->start + VISIT_MOST_LEVELS;
	visit->list = visit->chunk + pages;
	visit_rewind(visit);
}

void
visit_rewind(Visit *visit)
{
	visit->level = 0;
	visit->step = 1;
	visit->count = 0;
	visit->position = 0;
}

/* The least bound that is no less than level; BOUND_NEVER when there is none. */
static int
least_from(const int16_t *restrict bound, uint32_t pages, int level)
{
	int16_t		from = (int16_t) level;
	int16_t		least = BOUND_NEVER;

	for (uint32_t p = 0; p < pages; p++)
	{
		int16_t		b = bound[p] < from ? BOUND_NEVER : bound[p];

		least = b < least ? b : least;
	}
	return least;
}

/*
 * List the pages with level <= bound < level + levels, in block order.  The
 * pages of a chunk stand together, as pages of a centre do: most groups of 64
 * have none, which a few vector instructions tell.
 */
static uint32_t
list_levels(const int16_t *bound, uint32_t pages, int level, int levels, uint32_t *list)
{
	uint32_t	count = 0;

	for (uint32_t group = 0; group < pages; group += VISIT_GROUP)
	{
		uint32_t	end = group + VISIT_GROUP;

		if (end <= pages)
		{
			int16_t		from = (int16_t) level;
			int16_t		last = (int16_t) (level + levels - 1);
			int16_t		any = 0;

			for (int i = 0; i < VISIT_GROUP; i++)
				any |= (int16_t) ((bound[group + i] >= from) & (bound[group + i] <= last));
			if (!any)
				continue;
		}
		else
			end = pages;
		for (uint32_t p = group; p < end; p++)
		{
			list[count] = p;
			count += (uint32_t) (bound[p] - level) < (uint32_t) levels;
		}
	}
	return count;
}

/* Take the pages of that many levels into the chunk, by a stable counting sort. */
static void
take_levels(Visit *visit, int level, int levels)
{
	uint32_t	count = list_levels(visit->bound, visit->pages, level, levels, visit->list);
	uint32_t	sum = 0;

	memset(visit->start, 0, levels * sizeof(uint32_t));
	for (uint32_t i = 0; i < count; i++)
		visit->start[visit->bound[visit->list[i]] - level]++;
	for (int l = 0; l < levels; l++)
	{
		uint32_t	size = visit->start[l];

		visit->start[l] = sum;
		sum += size;
	}
	for (uint32_t i = 0; i < count; i++)
		visit->chunk[visit->start[visit->bound[visit->list[i]] - level]++] = visit->list[i];
	visit->count = count;
	visit->position = 0;
	visit->level = level + levels;
}

void
visit_all(Visit *visit, int most)
{
	if (most >= BOUND_NEVER)
		most = BOUND_NEVER - 1;
	visit->count = list_levels(visit->bound, visit->pages, 0, most + 1, visit->chunk);
	visit->position = 0;
	visit->level = BOUND_NEVER;
}

bool
visit_peek(Visit *visit, int most, uint32_t *page, int *bound)
{
	while (visit->position >= visit->count)
	{
		int			level = visit->level;
		int			levels = visit->step;

		if (most >= BOUND_NEVER)
			most = BOUND_NEVER - 1;
		/* After an empty chunk, look where the next page is. */
		if (visit->count == 0 && level <= most)
			level = least_from(visit->bound, visit->pages, level);
		if (level > most)
			return false;
		if (levels > most - level + 1)
			levels = most - level + 1;
		if (visit->step < VISIT_MOST_LEVELS)
			visit->step *= 2;
		take_levels(visit, level, levels);
	}
	*page = visit->chunk[visit->position];
	*bound = visit->bound[*page];
	return *bound <= most;
}

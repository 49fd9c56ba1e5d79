/*
 * core/search_queue.c: the pages in the order of their lower bounds, those of equal
 * bounds in block order.
 *
 * A search usually stops after a few of very many pages, so sorting them all
 * would cost more than the search.  Pages are taken level by level (a level is
 * a value of the bound) instead.  The minimum bound still to come of every group
 * of 32 pages is kept; a level looks only into the groups that have it, which
 * are few, since pages of one centre stand together.
 */
#include "core/search.h"

#include <string.h>

#define VISIT_GROUP 32
#define VISIT_GROUPS(pages) (((size_t) (pages) + VISIT_GROUP - 1) / VISIT_GROUP)

void
visit_begin(Visit *visit, const int16_t *bound, uint32_t pages, const SearchMemory *memory)
{
	/* One page more, for stores that are taken back. */
	size_t		scratch = ((size_t) pages + 1) * sizeof(uint32_t) + VISIT_GROUPS(pages) * sizeof(int16_t);

	if (scratch > visit->capacity)
	{
		visit->chunk = memory->reallocate(memory->arena, visit->chunk, scratch);
		visit->capacity = scratch;
	}
	visit->bound = bound;
	visit->pages = pages;
	visit->group_min = (int16_t *) (visit->chunk + pages + 1);
	visit_rewind(visit);
}

/*
 * The minimum of those of count bounds that are above level; BOUND_NEVER when
 * there is none.  Less level + 1, modulo 2^16, the others are the largest numbers, so
 * the loop is one minimum, which compilers make vector instructions of.
 */
static inline int16_t
visit_min_above(const int16_t *restrict bound, int count, int16_t level)
{
	uint16_t	turn = (uint16_t) (level + 1 + INT16_MIN);
	int16_t		min = INT16_MAX;

	for (int i = 0; i < count; i++)
	{
		int16_t		b = (int16_t) (uint16_t) (bound[i] - turn);

		min = b < min ? b : min;
	}
	min = (int16_t) (uint16_t) (min + turn);
	return min > level ? min : BOUND_NEVER;
}

/* Of a group: whole ones with a constant count. */
static int16_t
visit_group_min(const Visit *visit, size_t group, int16_t level)
{
	const int16_t *bound = visit->bound + group * VISIT_GROUP;
	size_t		rest = visit->pages - group * VISIT_GROUP;

	return rest >= VISIT_GROUP ? visit_min_above(bound, VISIT_GROUP, level) :
		visit_min_above(bound, (int) rest, level);
}

void
visit_rewind(Visit *visit)
{
	visit->count = 0;
	visit->position = 0;
	for (size_t g = 0; g < VISIT_GROUPS(visit->pages); g++)
		visit->group_min[g] = visit_group_min(visit, g, -1);
}

/* Add the group's pages with from <= bound <= last to the chunk. */
static void
visit_take_group(Visit *visit, size_t group, int from, int last)
{
	uint32_t	page = (uint32_t) (group * VISIT_GROUP);
	uint32_t	end = visit->pages - page < VISIT_GROUP ? visit->pages : page + VISIT_GROUP;

	for (; page < end; page++)
	{
		visit->chunk[visit->count] = page;
		visit->count += visit->bound[page] >= from && visit->bound[page] <= last;
	}
	visit->group_min[group] = visit_group_min(visit, group, (int16_t) last);
}

void
visit_all(Visit *visit, int max_bound)
{
	if (max_bound >= BOUND_NEVER)
		max_bound = BOUND_NEVER - 1;
	visit->count = 0;
	visit->position = 0;
	for (size_t g = 0; g < VISIT_GROUPS(visit->pages); g++)
		if (visit->group_min[g] <= max_bound)
			visit_take_group(visit, g, 0, max_bound);
}

bool
visit_peek(Visit *visit, int max_bound, uint32_t *page, int *bound)
{
	if (visit->position >= visit->count)
	{
		size_t		groups = VISIT_GROUPS(visit->pages);
		int16_t		level = visit_min_above(visit->group_min, (int) groups, -1);

		if (level > max_bound || level == BOUND_NEVER)
			return false;
		visit->count = 0;
		visit->position = 0;
		for (size_t g = 0; g < groups; g++)
			if (visit->group_min[g] == level)
				visit_take_group(visit, g, level, level);
	}
	*page = visit->chunk[visit->position];
	*bound = visit->bound[*page];
	return *bound <= max_bound;
}

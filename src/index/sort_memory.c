/*
 * index/sort_memory.c: the sorter's rows in memory, put in order.
 *
 * There are few places and few centres, so rows are sorted by two counting sorts,
 * first by place, then by centre.  A comparison sort orders the rows that are
 * equal in both, by code and tid.
 */
#include "postgres.h"

#include "index/sort.h"

#include "miscadmin.h"

static int
sort_compare_codes(const uint64 *a, const uint64 *b, int words)
{
	for (int w = 0; w < words; w++)
		if (a[w] != b[w])
			return a[w] < b[w] ? -1 : 1;
	return 0;
}

/* Centre order; band runs after it, in the order of their values. */
int
sort_compare_rows(const SortRow *a, const SortRow *b, int words)
{
	int			result;

	if (a->run != b->run)
		return a->run < b->run ? -1 : 1;
	if (a->centre != b->centre)
		return a->centre < b->centre ? -1 : 1;
	if (a->place != b->place)
		return a->place < b->place ? -1 : 1;
	result = sort_compare_codes(SORT_ROW_CODE(a), SORT_ROW_CODE(b), words);
	if (result != 0)
		return result;
	return ItemPointerCompare(unconstify(ItemPointerData *, &a->tid),
							  unconstify(ItemPointerData *, &b->tid));
}

static int
sort_compare_keys(const void *a, const void *b, void *context)
{
	const SortKey *x = a;
	const SortKey *y = b;
	const XmhashSorter *sorter = context;

	if (x->head != y->head)
		return x->head < y->head ? -1 : 1;
	return sort_compare_rows(sort_row_at(sorter, x->position), sort_row_at(sorter, y->position), sorter->format.words);
}

typedef enum RowNumber
{
	BY_PLACE,
	BY_CENTRE,
	BY_RUN
} RowNumber;

/* A stable counting sort of order[] into target[] by a small number of the row. */
static void
sort_by_number(const XmhashSorter *sorter, RowNumber by, int values,
			   const uint32 *order, uint32 *target)
{
	uint32	   *start = palloc0(((Size) values + 1) * sizeof(uint32));

#define VALUE(position) \
	(by == BY_CENTRE ? sort_row_at(sorter, position)->centre : \
	 by == BY_PLACE ? sort_row_at(sorter, position)->place : sort_row_at(sorter, position)->run)
	for (uint32 i = 0; i < sorter->count; i++)
		start[VALUE(i) + 1]++;
	for (int v = 0; v < values; v++)
		start[v + 1] += start[v];
	for (uint32 i = 0; i < sorter->count; i++)
		target[start[VALUE(order[i])]++] = order[i];
#undef VALUE
	pfree(start);
}

/* Put in order the rows order[first … end - 1], equal in centre and place. */
static void
sort_group(XmhashSorter *sorter, uint32 *order, uint32 first, uint32 end,
		   SortKey **keys, uint32 *key_capacity)
{
	uint32		count = end - first;

	if (count > *key_capacity)
	{
		if (*keys)
			pfree(*keys);
		*key_capacity = Min(sorter->count, Max(count, 2 * *key_capacity));
		*keys = MemoryContextAllocHuge(sorter->context, *key_capacity * sizeof(SortKey));
	}
	for (uint32 i = 0; i < count; i++)
	{
		(*keys)[i].position = order[first + i];
		(*keys)[i].head = SORT_ROW_CODE(sort_row_at(sorter, order[first + i]))[0];
	}
	qsort_arg(*keys, count, sizeof(SortKey), sort_compare_keys, sorter);
	for (uint32 i = 0; i < count; i++)
		order[first + i] = (*keys)[i].position;
}

void
sort_rows(XmhashSorter *sorter)
{
	uint32	   *order = MemoryContextAllocHuge(sorter->context,
											   Max(sorter->count, 1) * sizeof(uint32));
	uint32	   *other = MemoryContextAllocHuge(sorter->context,
											   Max(sorter->count, 1) * sizeof(uint32));
	SortKey    *keys = NULL;
	uint32		key_capacity = 0;
	uint32		first = 0;

	for (uint32 i = 0; i < sorter->count; i++)
		other[i] = i;
	sort_by_number(sorter, BY_PLACE, sorter->format.bits + 1, other, order);
	sort_by_number(sorter, BY_CENTRE, sorter->bands > 0 ? Max(sorter->centres, 65536) : Max(sorter->centres, 1),
				   order, other);
	if (sorter->bands > 0)
	{
		uint32	   *swap = order;

		sort_by_number(sorter, BY_RUN, sorter->bands + 1, other, order);
		order = other;
		other = swap;
	}
	for (uint32 i = 1; i <= sorter->count; i++)
	{
		const SortRow *head = sort_row_at(sorter, other[first]);
		const SortRow *row = i < sorter->count ? sort_row_at(sorter, other[i]) : NULL;

		if (row && row->run == head->run && row->centre == head->centre && row->place == head->place)
			continue;
		CHECK_FOR_INTERRUPTS();
		if (i - first > 1)
			sort_group(sorter, other, first, i, &keys, &key_capacity);
		first = i;
	}
	if (keys)
		pfree(keys);
	pfree(order);
	sorter->order = other;
}

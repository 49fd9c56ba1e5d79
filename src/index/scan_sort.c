/*
 * index/scan_sort.c: the sort of what a search cannot keep in memory.
 *
 * Candidates of one page and one distance are one datum: a key of eight bytes,
 * distance and rank, and the rows behind it.  So a page of 581 codes is a few
 * dozen tuples.  The key is in the order of memcmp, which is bytea's, and as long
 * as what a sort compares first: no two are equal, so it compares nothing else.
 */
#include "postgres.h"

#include "index/scan.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/tuplesort.h"
#include "utils/typcache.h"

/* Bits of a rank: a bound, or 0 for pending pages, and a page. */
#define SORT_RANK_BITS 48

StaticAssertDecl(HAMMING_MAX_BITS + 1 < 1 << (SORT_RANK_BITS - 32), "a rank fits its bits");

/* As it is sorted: a bytea. */
typedef struct SortDatum
{
	char		header[VARHDRSZ];
	uint8		key[sizeof(uint64)];
	RowPointer	row[FLEXIBLE_ARRAY_MEMBER];
} SortDatum;

void
scan_end_sort(XmhashScan *state)
{
	if (state->sort)
		tuplesort_end(state->sort);
	state->sort = NULL;
}

static void
scan_begin_sort(void *context)
{
	XmhashScan *state = ((ScanWork *) context)->scan;
	MemoryContext old = MemoryContextSwitchTo(state->context);

	scan_end_sort(state);
	if (!state->sort_datum)
		state->sort_datum = palloc(offsetof(SortDatum, row) + XMHASH_MAX_PAGE_ROWS * sizeof(RowPointer));
	state->sort = tuplesort_begin_datum(BYTEAOID, lookup_type_cache(BYTEAOID, TYPECACHE_LT_OPR)->lt_opr,
										InvalidOid, false, work_mem, NULL, TUPLESORT_NONE);
	state->sort_done = false;
	MemoryContextSwitchTo(old);
}

static void
scan_put_to_sort(void *context, int distance, uint64_t rank, const Candidate *candidates, int count)
{
	XmhashScan *state = ((ScanWork *) context)->scan;
	SortDatum  *datum = state->sort_datum;
	uint64		key = pg_hton64((uint64) distance << SORT_RANK_BITS | rank);

	SET_VARSIZE(datum, offsetof(SortDatum, row) + count * sizeof(RowPointer));
	memcpy(datum->key, &key, sizeof(key));
	for (int i = 0; i < count; i++)
		datum->row[i] = candidates[i].row;
	tuplesort_putdatum(state->sort, PointerGetDatum(datum), false);
}

static int
scan_next_of_sort(void *context, Candidate *candidates)
{
	XmhashScan *state = ((ScanWork *) context)->scan;
	SortDatum  *datum;
	Datum		value;
	bool		isnull;
	uint64		key;
	int			count;

	if (!state->sort_done)
		tuplesort_performsort(state->sort);
	state->sort_done = true;
	if (!tuplesort_next_value(state->sort, &value, &isnull))
		return 0;
	datum = (SortDatum *) DatumGetPointer(value);
	memcpy(&key, datum->key, sizeof(key));
	count = (VARSIZE(datum) - offsetof(SortDatum, row)) / sizeof(RowPointer);
	for (int i = 0; i < count; i++)
	{
		candidates[i].distance = (uint16_t) (pg_ntoh64(key) >> SORT_RANK_BITS);
		candidates[i].row = datum->row[i];
	}
	tuplesort_free_value(value);
	return count;
}

const CandidateSort scan_candidate_sort = {NULL, scan_begin_sort, scan_put_to_sort, scan_next_of_sort};

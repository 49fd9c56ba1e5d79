/*
 * index/scan_sort.c: the sort of what a search cannot keep in memory.
 *
 * Candidates of one page and one distance are one bytea: a key of eight bytes,
 * distance and rank, and the rows behind it.  So a page of 581 codes is a few
 * dozen tuples.  The key is in the order of memcmp, which is bytea's, and as long
 * as what a sort compares first: no two are equal, so it compares nothing else.
 * It is a sort of tuples of that column, since PostgreSQL 18 does not count
 * against work_mem the memory of values that are sorted without a tuple.
 */
#include "postgres.h"

#include "index/scan.h"

#include "catalog/pg_type.h"
#include "executor/tuptable.h"
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
	{
		ExecClearTuple(state->sort_output);
		tuplesort_end(state->sort);
	}
	state->sort = NULL;
}

static void
scan_make_sort_slots(XmhashScan *state)
{
	TupleDesc	descriptor = CreateTemplateTupleDesc(1);

	TupleDescInitEntry(descriptor, 1, "candidates", BYTEAOID, -1, 0);
	TupleDescFinalize(descriptor);
	state->sort_datum = palloc(offsetof(SortDatum, row) + XMHASH_MAX_PAGE_ROWS * sizeof(RowPointer));
	state->sort_output = MakeSingleTupleTableSlot(descriptor, &TTSOpsMinimalTuple);
	state->sort_input = MakeSingleTupleTableSlot(descriptor, &TTSOpsVirtual);
}

static void
scan_begin_sort(void *context)
{
	XmhashScan *state = ((ScanWork *) context)->scan;
	MemoryContext old = MemoryContextSwitchTo(state->context);
	AttrNumber	column = 1;
	Oid			operator = lookup_type_cache(BYTEAOID, TYPECACHE_LT_OPR)->lt_opr;
	Oid			collation = InvalidOid;
	bool		nulls_first = false;

	scan_end_sort(state);
	if (!state->sort_input)
		scan_make_sort_slots(state);
	state->sort = tuplesort_begin_heap(state->sort_input->tts_tupleDescriptor, 1, &column, &operator, &collation,
									   &nulls_first, work_mem, NULL, TUPLESORT_NONE);
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
	ExecClearTuple(state->sort_input);
	state->sort_input->tts_values[0] = PointerGetDatum(datum);
	state->sort_input->tts_isnull[0] = false;
	ExecStoreVirtualTuple(state->sort_input);
	tuplesort_puttupleslot(state->sort, state->sort_input);
}

static int
scan_next_of_sort(void *context, Candidate *candidates)
{
	XmhashScan *state = ((ScanWork *) context)->scan;
	struct varlena *datum;
	bool		isnull;
	uint64		key;
	int			count;

	if (!state->sort_done)
		tuplesort_performsort(state->sort);
	state->sort_done = true;
	if (!tuplesort_gettupleslot(state->sort, true, false, state->sort_output, NULL))
		return 0;
	/* A tuple has a short header before short values. */
	datum = (struct varlena *) DatumGetPointer(slot_getattr(state->sort_output, 1, &isnull));
	memcpy(&key, VARDATA_ANY(datum), sizeof(key));
	count = (VARSIZE_ANY_EXHDR(datum) - sizeof(key)) / sizeof(RowPointer);
	for (int i = 0; i < count; i++)
	{
		candidates[i].distance = (uint16_t) (pg_ntoh64(key) >> SORT_RANK_BITS);
		memcpy(&candidates[i].row, VARDATA_ANY(datum) + sizeof(key) + i * sizeof(RowPointer), sizeof(RowPointer));
	}
	return count;
}

const CandidateSort scan_candidate_sort = {NULL, scan_begin_sort, scan_put_to_sort, scan_next_of_sort};

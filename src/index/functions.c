/*
 * index/functions.c: the SQL functions about indexes: numbers of one, a merge
 * now, a check, and the counters of this session's last scan.
 */
#include "postgres.h"

#include "index/scan.h"
#include "index/storage.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

/* Rows and NULLs of the pending list; a page recycled meanwhile counts nothing. */
static void
stats_count_pending(Relation index, const IndexSnapshot *snapshot, uint64 *rows, uint64 *nulls)
{
	for (uint32 i = 0; i < snapshot->pending_pages; i++)
	{
		Buffer		buffer = ReadBuffer(index, xmhash_pending_block(snapshot, i));
		Page		page = BufferGetPage(buffer);

		CHECK_FOR_INTERRUPTS();
		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		if (!xmhash_page_usable(index, snapshot, buffer, XMHASH_PAGE_PENDING, snapshot->pending_first + i, 0))
			continue;
		for (int j = 0; j < XmhashPageOpaque(page)->count; j++)
			(*((XmhashPendingSlotAt(page, snapshot->format.columns, j)->flags & XMHASH_SLOT_NULL) ? nulls : rows))++;
		UnlockReleaseBuffer(buffer);
	}
}

enum StatsColumn
{
	STATS_VERSION,
	STATS_BITS,
	STATS_ROWS,
	STATS_NULL_ROWS,
	STATS_PENDING_ROWS,
	STATS_SEGMENTS,
	STATS_CENTRES,
	STATS_DATA_PAGES,
	STATS_BAND_PAGES,
	STATS_NULL_PAGES,
	STATS_DIRECTORY_PAGES,
	STATS_CATALOGUE_PAGES,
	STATS_PENDING_PAGES,
	STATS_FREE_PAGES,
	STATS_BYTES,
	STATS_FILTER_COLUMNS,
	STATS_FILTER_BYTES,
	STATS_COLUMNS
};

static void
stats_of_segments(const IndexSnapshot *snapshot, int64 *value)
{
	for (int i = 0; i < snapshot->segments; i++)
	{
		const XmhashSegment *segment = &snapshot->segment[i];

		uint64		rows = segment->rows - (segment->removed - segment->removed_nulls);
		uint64		nulls = segment->nulls - segment->removed_nulls;

		value[STATS_ROWS] += rows;
		value[STATS_NULL_ROWS] += nulls;
		value[STATS_FILTER_BYTES] += (rows * (1 + segment->bands) + nulls) * snapshot->format.key_bytes +
			XmhashRangeBytes(segment, &snapshot->format);
		value[STATS_CENTRES] += segment->centres;
		value[STATS_DATA_PAGES] += segment->data_pages;
		value[STATS_BAND_PAGES] += (int64) segment->bands * segment->band_pages;
		value[STATS_NULL_PAGES] += segment->null_pages;
		value[STATS_DIRECTORY_PAGES] += segment->directory_pages;
	}
	for (int i = 0; i < snapshot->free_extents; i++)
		value[STATS_FREE_PAGES] += snapshot->free_extent[i].extent.count;
	value[STATS_SEGMENTS] = snapshot->segments;
	value[STATS_PENDING_PAGES] = snapshot->pending_pages;
	value[STATS_BITS] = snapshot->format.bits;
	value[STATS_FILTER_COLUMNS] = snapshot->format.columns;
}

static Datum
stats_row(FunctionCallInfo fcinfo, const int64 *value)
{
	TupleDesc	descriptor;
	Datum		datum[STATS_COLUMNS];
	bool		isnull[STATS_COLUMNS] = {false};

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE ||
		descriptor->natts != STATS_COLUMNS)
		elog(ERROR, "xmhash_index_stats is declared with another row type");
	for (int i = 0; i < STATS_COLUMNS; i++)
		datum[i] = i == STATS_VERSION || i == STATS_BITS || i == STATS_SEGMENTS ||
			i == STATS_FILTER_COLUMNS ?
			Int32GetDatum((int32) value[i]) : Int64GetDatum(value[i]);
	isnull[STATS_BITS] = value[STATS_BITS] == 0;
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), datum, isnull));
}

XMHASH_FUNCTION(xmhash_index_stats);

Datum
xmhash_index_stats(PG_FUNCTION_ARGS)
{
	XmhashOpenIndex open;
	Relation	index;
	IndexSnapshot *snapshot = xmhash_snapshot_create(CurrentMemoryContext);
	int64		value[STATS_COLUMNS] = {0};
	uint64		rows = 0;
	uint64		nulls = 0;
	Buffer		buffer;
	BlockNumber blocks;

	xmhash_open_index(&open, fcinfo, AccessShareLock, false);
	index = open.index;
	xmhash_snapshot_read(index, snapshot);
	stats_of_segments(snapshot, value);
	stats_count_pending(index, snapshot, &rows, &nulls);
	value[STATS_ROWS] += rows;
	value[STATS_NULL_ROWS] += nulls;
	value[STATS_PENDING_ROWS] = rows + nulls;
	value[STATS_FILTER_BYTES] += (rows + nulls) * snapshot->format.columns * sizeof(int64);

	buffer = xmhash_meta_buffer(index, BUFFER_LOCK_SHARE);
	value[STATS_VERSION] = XmhashPageMeta(BufferGetPage(buffer))->version;
	for (int set = 0; set < 2; set++)
		value[STATS_CATALOGUE_PAGES] += XmhashPageMeta(BufferGetPage(buffer))->catalogue_blocks[set];
	blocks = RelationGetNumberOfBlocks(index);
	value[STATS_FREE_PAGES] += XmhashPageMeta(BufferGetPage(buffer))->preallocated.count;
	/* Blocks given back to the end of the index are still in the file. */
	if (blocks > XmhashPageMeta(BufferGetPage(buffer))->end)
		value[STATS_FREE_PAGES] += blocks - XmhashPageMeta(BufferGetPage(buffer))->end;
	UnlockReleaseBuffer(buffer);
	value[STATS_BYTES] = (int64) blocks * BLCKSZ;
	xmhash_close_index(&open);
	return stats_row(fcinfo, value);
}

XMHASH_FUNCTION(xmhash_index_merge);

Datum
xmhash_index_merge(PG_FUNCTION_ARGS)
{
	XmhashOpenIndex open;
	uint64		rows = 0;

	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("recovery is in progress"),
				 errhint("An index cannot be merged during recovery.")));
	xmhash_open_index(&open, fcinfo, RowExclusiveLock, true);
	xmhash_lock_page(open.index, XMHASH_MERGE_LOCK);
	xmhash_flush_all(open.index, &rows);
	xmhash_merge_all(open.index);
	UnlockPage(open.index, XMHASH_MERGE_LOCK, ExclusiveLock);
	xmhash_close_index(&open);
	PG_RETURN_INT64(rows);
}

XMHASH_FUNCTION(xmhash_index_check);

Datum
xmhash_index_check(PG_FUNCTION_ARGS)
{
	XmhashOpenIndex open;

	xmhash_open_index(&open, fcinfo, AccessShareLock, true);
	xmhash_check(open.heap, open.index, PG_GETARG_BOOL(1));
	xmhash_close_index(&open);
	PG_RETURN_VOID();
}

XMHASH_FUNCTION(xmhash_last_scan);

Datum
xmhash_last_scan(PG_FUNCTION_ARGS)
{
	TupleDesc	descriptor;
	Datum		values[13];
	bool		nulls[13] = {false};
	int			i = 0;

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (xmhash_last.scans == 0)
		PG_RETURN_NULL();
	values[i++] = ObjectIdGetDatum(xmhash_last.index);
	values[i++] = CStringGetTextDatum(xmhash_last.strategy);
	values[i++] = Int64GetDatum(xmhash_last.scans);
	values[i++] = Int64GetDatum(xmhash_last.segments);
	values[i++] = Int64GetDatum(xmhash_last.pages);
	values[i++] = Int64GetDatum(xmhash_last.pages_read);
	values[i++] = Int64GetDatum(xmhash_last.pending_pages_read);
	values[i++] = Int64GetDatum(xmhash_last.codes);
	values[i++] = Int64GetDatum(xmhash_last.candidates);
	values[i++] = Int64GetDatum(xmhash_last.rows);
	values[i++] = Int64GetDatum(xmhash_last.batches);
	values[i++] = Int64GetDatum(xmhash_last.radius);
	Assert(i == descriptor->natts);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls)));
}

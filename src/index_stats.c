/*
 * index_stats.c: SQL functions about one index: its numbers, and a merge now.
 */
#include "postgres.h"

#include "index_storage.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"

/*
 * Open an index of ours, and its table, locked before it.  To be called by
 * owners only, where something is done to it.
 */
Relation
xmhash_open_index(Oid oid, LOCKMODE mode, bool owner, Relation *heap)
{
	Oid			table = get_rel_relkind(oid) == RELKIND_INDEX ? IndexGetRelation(oid, true) : InvalidOid;
	Relation	index;

	if (!OidIsValid(table))
	{
		char	   *name = get_rel_name(oid);

		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 name != NULL ? errmsg("\"%s\" is not an index", name) :
				 errmsg("there is no index with OID %u", oid)));
	}
	if (owner && !relation_ownercheck(oid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_INDEX, get_rel_name(oid));
	*heap = table_open(table, mode);
	index = index_open(oid, mode);
	if (index->rd_indam->ambuild != xmhash_build)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not an xmhash index", RelationGetRelationName(index))));
	if (RELATION_IS_OTHER_TEMP(index))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("index \"%s\" is a temporary index of another session", RelationGetRelationName(index))));
	if (!index->rd_index->indisready)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("index \"%s\" is not ready", RelationGetRelationName(index))));
	return index;
}

/* Rows and NULLs of the pending list; a page recycled meanwhile counts nothing. */
static void
count_pending(Relation index, const XmhashView *view, uint64 *rows, uint64 *nulls)
{
	for (uint32 i = 0; i < view->pending_pages; i++)
	{
		Buffer		buffer = ReadBuffer(index, xmhash_pending_block(view, i));
		Page		page = BufferGetPage(buffer);

		CHECK_FOR_INTERRUPTS();
		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		if (!xmhash_page_usable(index, view, buffer, XMHASH_PAGE_PENDING, view->pending_first + i, 0))
			continue;
		for (int j = 0; j < XmhashPageOpaque(page)->count; j++)
			(*((XmhashPendingSlotAt(page, j).flags & XMHASH_SLOT_NULL) ? nulls : rows))++;
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
	STATS_COLUMNS
};

static void
segment_stats(const XmhashView *view, int64 *value)
{
	for (int i = 0; i < view->segments; i++)
	{
		const XmhashSegment *segment = &view->segment[i];

		value[STATS_ROWS] += segment->rows - (segment->removed - segment->removed_nulls);
		value[STATS_NULL_ROWS] += segment->nulls - segment->removed_nulls;
		value[STATS_CENTRES] += segment->centres;
		value[STATS_DATA_PAGES] += segment->data_pages;
		value[STATS_BAND_PAGES] += (int64) segment->bands * segment->band_pages;
		value[STATS_NULL_PAGES] += segment->null_pages;
		value[STATS_DIRECTORY_PAGES] += segment->directory_pages;
	}
	for (int i = 0; i < view->free_extents; i++)
		value[STATS_FREE_PAGES] += view->free_extent[i].extent.count;
	value[STATS_SEGMENTS] = view->segments;
	value[STATS_PENDING_PAGES] = view->pending_pages;
	value[STATS_BITS] = view->bits;
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
		datum[i] = i == STATS_VERSION || i == STATS_BITS || i == STATS_SEGMENTS ?
			Int32GetDatum((int32) value[i]) : Int64GetDatum(value[i]);
	isnull[STATS_BITS] = value[STATS_BITS] == 0;
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), datum, isnull));
}

XMHASH_FUNCTION(xmhash_index_stats);

Datum
xmhash_index_stats(PG_FUNCTION_ARGS)
{
	Relation	heap;
	Relation	index = xmhash_open_index(PG_GETARG_OID(0), AccessShareLock, false, &heap);
	XmhashView *view = xmhash_view_create(CurrentMemoryContext);
	int64		value[STATS_COLUMNS] = {0};
	uint64		rows = 0;
	uint64		nulls = 0;
	Buffer		buffer;
	BlockNumber blocks;

	xmhash_view_read(index, view);
	segment_stats(view, value);
	count_pending(index, view, &rows, &nulls);
	value[STATS_ROWS] += rows;
	value[STATS_NULL_ROWS] += nulls;
	value[STATS_PENDING_ROWS] = rows + nulls;

	buffer = xmhash_meta_buffer(index, BUFFER_LOCK_SHARE);
	value[STATS_VERSION] = XmhashPageMeta(BufferGetPage(buffer))->version;
	for (int set = 0; set < 2; set++)
		value[STATS_CATALOGUE_PAGES] += XmhashPageMeta(BufferGetPage(buffer))->catalogue_blocks[set];
	blocks = RelationGetNumberOfBlocks(index);
	value[STATS_FREE_PAGES] += XmhashPageMeta(BufferGetPage(buffer))->stock.count;
	/* Blocks given back to the end of the index are still in the file. */
	if (blocks > XmhashPageMeta(BufferGetPage(buffer))->end)
		value[STATS_FREE_PAGES] += blocks - XmhashPageMeta(BufferGetPage(buffer))->end;
	UnlockReleaseBuffer(buffer);
	value[STATS_BYTES] = (int64) blocks * BLCKSZ;
	index_close(index, AccessShareLock);
	table_close(heap, AccessShareLock);
	return stats_row(fcinfo, value);
}

XMHASH_FUNCTION(xmhash_index_merge);

Datum
xmhash_index_merge(PG_FUNCTION_ARGS)
{
	Relation	heap;
	Relation	index;
	uint64		rows = 0;

	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("recovery is in progress"),
				 errhint("An index cannot be merged during recovery.")));
	index = xmhash_open_index(PG_GETARG_OID(0), RowExclusiveLock, true, &heap);
	LockPage(index, XMHASH_MERGE_LOCK, ExclusiveLock);
	xmhash_flush_all(index, &rows);
	xmhash_merge_all(index);
	UnlockPage(index, XMHASH_MERGE_LOCK, ExclusiveLock);
	index_close(index, RowExclusiveLock);
	table_close(heap, RowExclusiveLock);
	PG_RETURN_INT64(rows);
}

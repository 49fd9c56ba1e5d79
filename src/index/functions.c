/*
 * index/functions.c: SQL functions about one index: its numbers, and a merge now.
 */
#include "postgres.h"

#include "index/storage.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type_d.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "server/distribution.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

static void
no_index(Oid oid)
{
	char	   *name = get_rel_name(oid);

	ereport(ERROR,
			(errcode(name != NULL ? ERRCODE_WRONG_OBJECT_TYPE : ERRCODE_UNDEFINED_OBJECT),
			 name != NULL ? errmsg("\"%s\" is not an index", name) :
			 errmsg("there is no index with OID %u", oid)));
}

/*
 * Here is the shell of an index: sound, since empty, but none that a query uses.
 * Its namesakes have the shards' numbers in their names, so they are found by
 * their tables.
 */
static void
fail_distributed(const XmhashOpenIndex *open, FunctionCallInfo fcinfo, RowsWhere where)
{
	Oid			function = fcinfo->flinfo->fn_oid;
	bool		second = fcinfo->nargs > 1 && PG_GETARG_BOOL(1);
	char	   *command = psprintf("SELECT %s(%s(indexrelid%s)) FROM pg_index JOIN pg_class c ON c.oid = indexrelid "
								   "JOIN pg_am a ON a.oid = relam WHERE amname = 'xmhash' AND indrelid = '%%s'::regclass",
								   get_func_rettype(function) == VOIDOID ? "count" : "array_agg",
								   distributed_function(function), second ? ", true" : "");

	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("index \"%s\" is of table \"%s\", which is distributed by Citus",
					RelationGetRelationName(open->index), RelationGetRelationName(open->heap)),
			 errdetail("Its rows are in the indexes of its shards."),
			 errhint("Call the function for each shard: %s",
					 distributed_command(RelationGetRelid(open->heap), where, command))));
}

/*
 * Open an index of ours, the function's first argument, and its table, the table first, as everybody does who
 * locks both.  To be called by owners only, where something is done to it.
 *
 * Expressions and predicates of the index are its owner's code.  So from here
 * to xmhash_close_index() the table's owner is the current user, who can't get
 * at the caller's rights, as in REINDEX and VACUUM.  An error leaves that as it
 * is, which the abort of the transaction undoes.
 */
void
xmhash_open_index(XmhashOpenIndex *open, FunctionCallInfo fcinfo, LOCKMODE mode, bool owner)
{
	Oid			oid = PG_GETARG_OID(0);
	Oid			table = get_rel_relkind(oid) == RELKIND_INDEX ? IndexGetRelation(oid, true) : InvalidOid;
	Relation	index;
	RowsWhere	where;

	if (!OidIsValid(table))
		no_index(oid);
	/* Others are not to wait for a lock, or to make others wait. */
	if (owner && !relation_ownercheck(oid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_INDEX, get_rel_name(oid));
	open->mode = mode;
	open->heap = try_relation_open(table, mode);
	if (open->heap == NULL)
		no_index(oid);
	role_switch(&open->role, open->heap->rd_rel->relowner);
	RestrictSearchPath();
	open->index = index = try_relation_open(oid, mode);

	/* While we waited for the locks, both may have got another owner, or gone and their numbers been given anew. */
	if (index == NULL || index->rd_rel->relkind != RELKIND_INDEX || index->rd_index->indrelid != table)
		no_index(oid);
	if (owner && !has_privs_of_role(open->role.user, index->rd_rel->relowner))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_INDEX, RelationGetRelationName(index));
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
	where = table_rows_where(table);
	if (where != ROWS_HERE)
		fail_distributed(open, fcinfo, where);
}

void
xmhash_close_index(XmhashOpenIndex *open)
{
	role_restore(&open->role);
	index_close(open->index, open->mode);
	table_close(open->heap, open->mode);
}

/* Rows and NULLs of the pending list; a page recycled meanwhile counts nothing. */
static void
count_pending(Relation index, const IndexSnapshot *snapshot, uint64 *rows, uint64 *nulls)
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
segment_stats(const IndexSnapshot *snapshot, int64 *value)
{
	for (int i = 0; i < snapshot->segments; i++)
	{
		const XmhashSegment *segment = &snapshot->segment[i];

		value[STATS_ROWS] += segment->rows - (segment->removed - segment->removed_nulls);
		value[STATS_NULL_ROWS] += segment->nulls - segment->removed_nulls;
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
	value[STATS_BITS] = snapshot->bits;
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
	segment_stats(snapshot, value);
	count_pending(index, snapshot, &rows, &nulls);
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

/*
 * index/vacuum.c: removal of dead rows, and the upkeep that VACUUM pays for.
 *
 * The pending list is flushed first; what is inserted after that cannot be in
 * the list of dead rows, so a walk over the segments there are then finds all
 * of them.  The merge lock keeps the rows where they are; flushes go on beside
 * a VACUUM however slow it is made.
 *
 * Scans keep no pins on index pages, and none is needed: they return rows to
 * MVCC snapshots, to which a row that takes the place of a removed one is
 * invisible, or ask for a recheck.
 */
#include "postgres.h"

#include "index/storage.h"

#include "miscadmin.h"

typedef struct Sweep
{
	Relation	index;
	IndexSnapshot *snapshot;
	IndexBulkDeleteCallback callback;
	void	   *callback_state;
	BufferAccessStrategy strategy;
	uint64		removed;		/* in all */
	uint64		left;			/* in the segment at hand */
	uint64		left_nulls;
} Sweep;

/* Take the entries marked dead off the page. */
static void
vacuum_compact_page(Page page, const XmhashRowFormat *format, const bool *dead)
{
	int			words = xmhash_page_words(format, XmhashPageOpaque(page)->kind);
	int			count = XmhashPageOpaque(page)->count;
	int			columns = format->columns;
	int			kept = 0;
	int64	   *keys = palloc(Max(1, count * columns) * sizeof(int64));
	uint64	   *codes = XmhashPageCodes(page);

	xmhash_page_get_keys(page, format, keys);
	for (int i = 0; i < count; i++)
	{
		if (dead[i])
			continue;
		if (kept < i)
		{
			memcpy(codes + (Size) kept * words, codes + (Size) i * words, words * sizeof(uint64));
			memcpy(keys + kept * columns, keys + i * columns, columns * sizeof(int64));
			XmhashPageTid(page, kept) = XmhashPageTid(page, i);
		}
		kept++;
	}
	xmhash_page_put_keys(page, format, keys, kept);
	pfree(keys);
	xmhash_page_set_checksum(page);
}

/*
 * One data, band or null page.  Dead rows are looked for under a share lock: nobody
 * else changes the page, as VACUUM and merges exclude each other.
 */
static void
vacuum_page(Sweep *sweep, const XmhashSegment *segment, uint32 number)
{
	XmhashPageKind kind = number < segment->data_pages ? XMHASH_PAGE_DATA :
	number < XmhashFirstNull(segment) ? XMHASH_PAGE_BAND : XMHASH_PAGE_NULLS;
	Buffer		buffer = ReadBufferExtended(sweep->index, MAIN_FORKNUM,
											xmhash_segment_block(sweep->snapshot, segment, number),
											RBM_NORMAL, sweep->strategy);
	bool		dead[XMHASH_MAX_PAGE_ROWS];
	int			count,
				deaths = 0;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	if (!xmhash_page_usable(sweep->index, sweep->snapshot, buffer, kind, segment->id, number))
		elog(ERROR, "segment " UINT64_FORMAT " vanished under the merge lock", segment->id);
	count = XmhashPageOpaque(BufferGetPage(buffer))->count;
	for (int i = 0; i < count; i++)
	{
		dead[i] = sweep->callback(&XmhashPageTid(BufferGetPage(buffer), i), sweep->callback_state);
		deaths += dead[i];
	}
	if (deaths > 0)
	{
		GenericXLogState *state;

		/* A damaged page must not get a good checksum. */
		if (!xmhash_page_checksum_agrees(BufferGetPage(buffer)))
			xmhash_damaged(sweep->index, BufferGetBlockNumber(buffer), "The checksum of the page is wrong.");
		LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
		LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
		state = GenericXLogStart(sweep->index);
		vacuum_compact_page(GenericXLogRegisterBuffer(state, buffer, 0), &sweep->snapshot->format, dead);
		GenericXLogFinish(state);
	}
	UnlockReleaseBuffer(buffer);
	if (kind == XMHASH_PAGE_BAND)
		return;					/* counted where the row is the first time */
	sweep->removed += deaths;
	sweep->left += count - deaths;
	if (kind == XMHASH_PAGE_NULLS)
		sweep->left_nulls += count - deaths;
}

/* The count is committed after each segment: a cancelled VACUUM loses little. */
static void
vacuum_segment(Sweep *sweep, const XmhashSegment *segment)
{
	uint64		before = sweep->removed;
	XmhashRemoval removal = {.segment = segment->id};
	XmhashChange change = {.role = XMHASH_WRITER_MERGE, .removals = 1, .removal = &removal};

	sweep->left = sweep->left_nulls = 0;
	for (uint32 n = 0; n < XmhashFirstDirectory(segment); n++)
	{
		xmhash_delay_point();
		vacuum_page(sweep, segment, n);
	}
	removal.removed = segment->rows + segment->nulls - sweep->left;
	removal.removed_nulls = segment->nulls - sweep->left_nulls;
	if (sweep->removed != before || removal.removed != segment->removed)
		xmhash_commit(sweep->index, &change);
}

IndexBulkDeleteResult *
xmhash_bulk_delete(IndexVacuumInfo *info, IndexBulkDeleteResult *stats,
				   IndexBulkDeleteCallback callback, void *callback_state)
{
	Relation	index = info->index;
	Sweep		sweep = {.index = index, .callback = callback, .callback_state = callback_state,
	.strategy = info->strategy};

	if (stats == NULL)
		stats = palloc0(sizeof(IndexBulkDeleteResult));
	LockPage(index, XMHASH_MERGE_LOCK, ExclusiveLock);
	xmhash_flush_all(index, NULL);
	sweep.snapshot = xmhash_snapshot_create(CurrentMemoryContext);
	xmhash_snapshot_read(index, sweep.snapshot);
	stats->num_index_tuples = 0;
	for (int i = 0; i < sweep.snapshot->segments; i++)
	{
		vacuum_segment(&sweep, &sweep.snapshot->segment[i]);
		stats->num_index_tuples += sweep.left;
	}
	UnlockPage(index, XMHASH_MERGE_LOCK, ExclusiveLock);
	stats->estimated_count = false;
	stats->tuples_removed += sweep.removed;
	return stats;
}

/*
 * If the column has no length, the first code sets it for all, even if its
 * insertion was rolled back.  Once the index is empty, the next code may set it.
 * The caller holds the merge lock; a flush in between would have changed the
 * version of the catalogue.
 */
static void
vacuum_forget_length(Relation index, const IndexSnapshot *snapshot)
{
	int			declared = xmhash_declared_bits(index);
	Buffer		buffer;
	XmhashMeta *meta;

	if (snapshot->segments > 0 || snapshot->pending_pages > 0 || snapshot->format.bits == declared)
		return;
	buffer = xmhash_meta_buffer(index, BUFFER_LOCK_EXCLUSIVE);
	meta = XmhashPageMeta(BufferGetPage(buffer));
	if (meta->catalogue_version == snapshot->version && meta->pending_pages == 0)
	{
		GenericXLogState *state = GenericXLogStart(index);
		Page		page = GenericXLogRegisterBuffer(state, buffer, 0);

		XmhashPageMeta(page)->bits = declared;
		xmhash_meta_log(state, page);
	}
	UnlockReleaseBuffer(buffer);
}

/*
 * Called without a bulk deletion before it where there was nothing to delete: the
 * flush and the merges are done all the same.
 */
IndexBulkDeleteResult *
xmhash_vacuum_cleanup(IndexVacuumInfo *info, IndexBulkDeleteResult *stats)
{
	Relation	index = info->index;
	IndexSnapshot *snapshot;
	uint64		free = 0;

	if (info->analyze_only)
		return stats;
	if (stats == NULL)
		stats = palloc0(sizeof(IndexBulkDeleteResult));
	LockPage(index, XMHASH_MERGE_LOCK, ExclusiveLock);
	xmhash_flush_all(index, NULL);
	xmhash_merge_all(index);
	xmhash_forget_reservation(index, XMHASH_WRITER_MERGE);
	snapshot = xmhash_snapshot_create(CurrentMemoryContext);
	xmhash_snapshot_read(index, snapshot);
	vacuum_forget_length(index, snapshot);
	UnlockPage(index, XMHASH_MERGE_LOCK, ExclusiveLock);

	for (int i = 0; i < snapshot->free_extents; i++)
		free += snapshot->free_extent[i].extent.count;
	stats->num_pages = RelationGetNumberOfBlocks(index);
	stats->pages_free = free;
	stats->num_index_tuples = xmhash_snapshot_rows(snapshot);
	stats->estimated_count = snapshot->pending_pages > 0;
	return stats;
}

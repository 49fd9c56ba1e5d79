/*
 * index/merge.c: merge segments into larger ones.
 *
 * Pending list, flush, segments and merge make the index a log-structured merge
 * tree (O'Neil, Cheng, Gawlick and O'Neil, "The log-structured merge-tree",
 * Acta Informatica 33, 1996): what is written is written in order, and old
 * pages are replaced, not changed.
 *
 * Segments are merged in powers: the smallest ones are taken as long as the next
 * is not much larger than all of them together.  So a row moves only to a segment
 * that is larger by a fixed factor, it is written a number of times that is
 * logarithmic in the size of the index, and a scan meets few segments.
 *
 * Under the merge lock nobody else removes segments or rows of segments, so
 * what is read stays as it is without any other lock.
 */
#include "postgres.h"

#include "index/sort.h"
#include "index/storage.h"

#include "miscadmin.h"
#include "postmaster/autovacuum.h"
#include "utils/memutils.h"

/* A merge takes a segment in if it is at most this many times the others. */
#define MERGE_RATIO		4

/* An inserter merges this many segments of about the same size... */
#define SMALL_MERGE_SEGMENTS	4
/* ... up to this many times the pending list's limit in all. */
#define SMALL_MERGE_LISTS		16

typedef struct MergeCandidate
{
	const XmhashSegment *segment;
	uint64		pages;			/* that its live rows would fill, about */
} MergeCandidate;

static int
merge_compare_candidates(const void *a, const void *b)
{
	const MergeCandidate *x = a;
	const MergeCandidate *y = b;

	if (x->pages != y->pages)
		return x->pages < y->pages ? -1 : 1;
	return x->segment->id < y->segment->id ? -1 : 1;
}

/* The segments in ascending order of their size. */
static MergeCandidate *
merge_list_candidates(const IndexSnapshot *snapshot)
{
	MergeCandidate *candidate = palloc(sizeof(MergeCandidate) * (snapshot->segments + 1));

	for (int i = 0; i < snapshot->segments; i++)
	{
		const XmhashSegment *segment = &snapshot->segment[i];
		uint64		all = segment->rows + segment->nulls;
		double		live = all == 0 ? 0 : 1 - (double) segment->removed / all;

		candidate[i].segment = segment;
		candidate[i].pages = (segment->data_pages + segment->null_pages) * live + 1;
	}
	qsort(candidate, snapshot->segments, sizeof(MergeCandidate), merge_compare_candidates);
	return candidate;
}

/* Of the smallest segments, as many as belong together under the ratio. */
static int
merge_choose_by_ratio(const MergeCandidate *candidate, int candidates)
{
	uint64		sum = 0;
	int			chosen = 0;

	for (int i = 0; i < candidates; i++)
	{
		if (i > 0 && candidate[i].pages <= MERGE_RATIO * sum)
			chosen = i + 1;
		sum += candidate[i].pages;
	}
	return chosen;
}

/*
 * What an inserter merges: the smallest segments, where at least four of them
 * are within a factor of four.
 */
static int
merge_choose_small(const MergeCandidate *candidate, int candidates, uint64 limit)
{
	int			chosen = 0;

	for (int i = 0; i + SMALL_MERGE_SEGMENTS <= candidates; i++)
	{
		uint64		sum = 0;

		for (int j = 0; j < i + SMALL_MERGE_SEGMENTS; j++)
			sum += candidate[j].pages;
		if (candidate[i + SMALL_MERGE_SEGMENTS - 1].pages <= MERGE_RATIO * candidate[i].pages && sum <= limit)
			chosen = i + SMALL_MERGE_SEGMENTS;
	}
	return chosen;
}

/*
 * Blocks that were freed but may not be used again yet.  One long transaction,
 * a bulk load too, keeps all that its merges free: then better more segments
 * for a while than a file several times as large as its content.
 */
static bool
merge_space_is_short(const IndexSnapshot *snapshot)
{
	uint64		waiting = 0;
	uint64		live = 0;

	for (int i = 0; i < snapshot->free_extents; i++)
		if (!xmhash_removable(snapshot->free_extent[i].freed_xid))
			waiting += snapshot->free_extent[i].extent.count;
	for (int i = 0; i < snapshot->segments; i++)
		live += XmhashSegmentPages(&snapshot->segment[i]);
	return waiting > live && snapshot->segments < XMHASH_MAX_SEGMENTS / 2;
}

/* A page of a segment into `copy`; under the merge lock it must be there. */
static void
merge_copy_page(Relation index, const IndexSnapshot *snapshot, const XmhashSegment *segment, XmhashPageKind kind,
				uint32 number, BufferAccessStrategy strategy, char *copy)
{
	BlockNumber block = xmhash_segment_block(snapshot, segment, number);
	Buffer		buffer;

	/* It may sleep: nothing is pinned then. */
	xmhash_delay_point();
	buffer = ReadBufferExtended(index, MAIN_FORKNUM, block, RBM_NORMAL, strategy);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	if (!xmhash_page_usable(index, snapshot, buffer, kind, segment->id, number))
		elog(ERROR, "segment " UINT64_FORMAT " vanished under the merge lock", segment->id);
	memcpy(copy, BufferGetPage(buffer), BLCKSZ);
	UnlockReleaseBuffer(buffer);
	/* What is merged is written anew: damage must not get a good checksum. */
	if (!xmhash_page_checksum_agrees(copy))
		xmhash_damaged(index, block, "The checksum of the page is wrong.");
}

/* A sample over all chosen segments: equally distant codes. */
static uint64 *
merge_take_sample(Relation index, const IndexSnapshot *snapshot, const MergeCandidate *candidate, int chosen,
				  uint64 rows, uint32 wanted, uint32 *taken)
{
	PGAlignedBlock *copy = palloc(sizeof(PGAlignedBlock));
	uint64	   *sample = MemoryContextAllocHuge(CurrentMemoryContext,
												Max(1, (Size) wanted * snapshot->format.words * sizeof(uint64)));
	double		step = wanted == 0 ? 0 : Max(1.0, (double) rows / wanted);
	double		next = 0;
	uint64		seen = 0;

	*taken = 0;
	for (int i = 0; i < chosen; i++)
		for (uint32 n = 0; n < candidate[i].segment->data_pages && *taken < wanted; n++)
		{
			int			count;

			merge_copy_page(index, snapshot, candidate[i].segment, XMHASH_PAGE_DATA, n, NULL, copy->data);
			count = XmhashPageOpaque(copy->data)->count;
			for (; next < seen + count && *taken < wanted; next += step)
				memcpy(sample + (Size) (*taken)++ * snapshot->format.words,
					   XmhashPageCodes(copy->data) + (Size) (next - seen) * snapshot->format.words,
					   snapshot->format.words * sizeof(uint64));
			seen += count;
		}
	pfree(copy);
	return sample;
}

static void
merge_feed_sorter(Relation index, const IndexSnapshot *snapshot, const XmhashSegment *segment, XmhashSorter *sorter)
{
	PGAlignedBlock *copy = palloc(sizeof(PGAlignedBlock));
	ItemPointerData *tid = palloc(sizeof(ItemPointerData) * XMHASH_MAX_PAGE_ROWS);
	int			columns = snapshot->format.columns;
	int64	   *keys = palloc(Max(1, XMHASH_MAX_PAGE_ROWS * columns) * sizeof(int64));

	for (uint32 n = 0; n < XmhashFirstDirectory(segment); n++)
	{
		bool		data = n < segment->data_pages;
		int			count;

		if (n == segment->data_pages)
			n = XmhashFirstNull(segment);	/* band runs have the same rows again */
		if (n == XmhashFirstDirectory(segment))
			break;
		merge_copy_page(index, snapshot, segment, data ? XMHASH_PAGE_DATA : XMHASH_PAGE_NULLS, n, NULL, copy->data);
		count = XmhashPageOpaque(copy->data)->count;
		for (int i = 0; i < count; i++)
			tid[i] = XmhashPageTid(copy->data, i);
		xmhash_page_get_keys(copy->data, &snapshot->format, keys);
		if (data)
			xmhash_sorter_add(sorter, XmhashPageCodes(copy->data), keys, tid, count);
		else
			for (int i = 0; i < count; i++)
				xmhash_sorter_add_null(sorter, keys + i * columns, &tid[i]);
	}
	pfree(keys);
	pfree(tid);
	pfree(copy);
}

/* Kilobytes for maintenance, as GIN counts them. */
static int
merge_memory(void)
{
	return MyBackendType == B_AUTOVAC_WORKER && autovacuum_work_mem != -1 ?
		autovacuum_work_mem : maintenance_work_mem;
}

/* Merge the first `chosen` candidates into one segment; the sort takes `memory` kilobytes. */
static void
merge_segments(Relation index, const IndexSnapshot *snapshot, const MergeCandidate *candidate, int chosen, int memory)
{
	uint64		rows = 0;
	uint64	   *drop = palloc(sizeof(uint64) * chosen);
	uint64	   *sample;
	uint32		sampled;
	XmhashSorter *sorter;
	XmhashSegment segment;
	XmhashExtent *extent;
	XmhashChange change = {.role = XMHASH_WRITER_MERGE, .dropped = chosen, .drop = drop, .add = &segment};

	for (int i = 0; i < chosen; i++)
	{
		drop[i] = candidate[i].segment->id;
		rows += candidate[i].segment->rows;
	}
	sample = merge_take_sample(index, snapshot, candidate, chosen, rows, xmhash_sample_rows(&snapshot->format, rows), &sampled);
	sorter = xmhash_sorter_begin(&snapshot->format, sample, sampled, rows, (Size) memory * 1024);
	xmhash_sorter_set_bands(sorter, snapshot->bands);
	for (int i = 0; i < chosen; i++)
		merge_feed_sorter(index, snapshot, candidate[i].segment, sorter);
	xmhash_writer_finish(xmhash_sorter_write(sorter, index, XMHASH_WRITER_MERGE), &segment, &extent);
	xmhash_sorter_end(sorter);
	if (segment.rows + segment.nulls == 0)
		change.add = NULL;
	change.add_extent = extent;
	xmhash_commit(index, &change);
}

/*
 * An inserter's merge: unless it must wait, only if nobody merges or vacuums.
 * Any number of sessions insert, so it takes no more than a query's sort.
 */
void
xmhash_merge_small(Relation index, bool wait)
{
	IndexSnapshot *snapshot = xmhash_snapshot_create(CurrentMemoryContext);
	uint64		limit = (uint64) SMALL_MERGE_LISTS * xmhash_pending_limit_pages(index);

	if (wait)
		xmhash_lock_page(index, XMHASH_MERGE_LOCK);
	else if (!ConditionalLockPage(index, XMHASH_MERGE_LOCK, ExclusiveLock))
		return;
	for (;;)
	{
		MergeCandidate *candidate;
		int			chosen;

		xmhash_snapshot_read(index, snapshot);
		if (merge_space_is_short(snapshot))
			break;
		candidate = merge_list_candidates(snapshot);
		chosen = merge_choose_small(candidate, snapshot->segments, limit);
		/* Where no further segment would fit, the smallest ones, whatever they are. */
		if (chosen == 0 && snapshot->segments == XMHASH_MAX_SEGMENTS)
			chosen = SMALL_MERGE_SEGMENTS;
		if (chosen == 0)
			break;
		merge_segments(index, snapshot, candidate, chosen, work_mem);
	}
	UnlockPage(index, XMHASH_MERGE_LOCK, ExclusiveLock);
}

/* A segment of which more than half has been removed is worth writing anew. */
static int
merge_choose_sparse(MergeCandidate *candidate, int candidates)
{
	for (int i = 0; i < candidates; i++)
	{
		const XmhashSegment *segment = candidate[i].segment;

		if (segment->removed > (segment->rows + segment->nulls) / 2)
		{
			candidate[0] = candidate[i];
			return 1;
		}
	}
	return 0;
}

/*
 * Merge all that belongs together, whatever it costs: VACUUM and
 * xmhash_index_merge().  The caller holds the merge lock.
 */
void
xmhash_merge_all(Relation index)
{
	for (;;)
	{
		MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "xmhash merge", ALLOCSET_DEFAULT_SIZES);
		MemoryContext old = MemoryContextSwitchTo(context);
		IndexSnapshot *snapshot = xmhash_snapshot_create(context);
		MergeCandidate *candidate;
		int			chosen;

		xmhash_snapshot_read(index, snapshot);
		candidate = merge_list_candidates(snapshot);
		chosen = merge_choose_by_ratio(candidate, snapshot->segments);
		if (chosen == 0)
			chosen = merge_choose_sparse(candidate, snapshot->segments);
		if (chosen > 0)
			merge_segments(index, snapshot, candidate, chosen, merge_memory());
		MemoryContextSwitchTo(old);
		MemoryContextDelete(context);
		if (chosen == 0)
			return;
	}
}

/*
 * Flush the pending list, waiting for whoever is at it; where there are too
 * many segments to add one, a merge makes a place for it.  The caller holds the merge
 * lock.
 */
void
xmhash_flush_all(Relation index, uint64 *rows)
{
	if (xmhash_flush(index, true, rows))
		return;
	xmhash_merge_all(index);
	if (!xmhash_flush(index, true, rows))
		elog(ERROR, "merging index \"%s\" left no place for a segment", RelationGetRelationName(index));
}

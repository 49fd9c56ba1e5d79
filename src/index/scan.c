/*
 * index/scan.c: scans, from scan keys to rows.
 *
 * index/scan_keys.c turns the keys into a question, which the search of
 * core/search.c answers, reading pages by index/scan_pages.c.  Rows come in
 * three stages: those of codes, in the order asked for; then those of NULLs,
 * where no key excludes them; then the end.
 *
 * No pin is kept between rows.  With an MVCC snapshot that is right, because
 * VACUUM cannot have removed, nor another row taken the place of, a row that
 * the snapshot sees; for other snapshots the executor is told to look again.
 */
#include "postgres.h"

#include "index/search.h"

#include "access/relscan.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "index/scan.h"
#include "index/storage.h"

/* Band pages below this part of the data pages are read without looking at those. */
#define BANDS_SURELY_FEWER 64

/* Scratch above this size is not kept for the next scan. */
#define KEEP_SCRATCH_BYTES (16 * 1024 * 1024)

static ScanWork *spare_work = NULL;
static uint64 scans_begun = 0;

LastScan	xmhash_last = {0};

/* ---------- Work space ---------- */

static void *
scan_reallocate(void *arena, void *old, size_t bytes)
{
	return old ? repalloc_huge(old, bytes) : MemoryContextAllocHuge(arena, bytes);
}

static ScanWork *
scan_take_work(const XmhashRowFormat *format)
{
	ScanWork   *work = spare_work;
	int			bits = format->bits;
	/* Those of an index without filter columns, which are most: the space fits any index of such codes. */
	XmhashRowFormat bare = {.bits = format->bits, .words = format->words};
	int			capacity = xmhash_page_rows(&bare, XMHASH_PAGE_DATA);
	PageReader	reader = scan_page_reader;
	CandidateSort sort = scan_candidate_sort;
	MemoryContext context;

	if (work && work->bits == bits)
	{
		spare_work = NULL;
		return work;
	}
	context = AllocSetContextCreate(CurrentMemoryContext, "xmhash search", ALLOCSET_DEFAULT_SIZES);
	work = MemoryContextAllocZero(context, sizeof(ScanWork));
	work->context = context;
	work->bits = bits;
	reader.context = work;
	sort.context = work;
	work->search = search_create(bits, capacity, &reader, &sort, &(SearchMemory) {scan_reallocate, context});
	work->pending_codes = MemoryContextAlloc(context, BLCKSZ);
	work->pending_tids = MemoryContextAlloc(context, capacity * sizeof(ItemPointerData));
	for (int c = 0; c < XMHASH_MAX_COLUMNS; c++)
		work->pending_keys[c] = MemoryContextAlloc(context, capacity * sizeof(int64));
	work->positions = MemoryContextAlloc(context, (capacity + HAMMING_SLACK) * sizeof(uint32));
	work->hit_distances = MemoryContextAlloc(context, (capacity + HAMMING_SLACK) * sizeof(uint16));
	MemoryContextSetParent(context, CacheMemoryContext);
	return work;
}

static void
scan_give_back_work(ScanWork *work)
{
	Size		size = search_size(work->search) + work->pages * 2 * sizeof(int16);

	work->scan = NULL;
	if (size <= KEEP_SCRATCH_BYTES)
	{
		ScanWork   *old = spare_work;

		spare_work = work;
		work = old;
	}
	if (work)
		MemoryContextDelete(work->context);
}

/* A larger array.  If there is no memory for it, the old one is kept. */
static void *
scan_enlarge(MemoryContext context, void *old, Size bytes)
{
	void	   *new = MemoryContextAllocHuge(context, bytes);

	if (old)
		pfree(old);
	return new;
}

static void
scan_fit_work(ScanWork *work, const Layout *layout)
{
	if (layout->pages > work->pages || work->bound == NULL || work->others == NULL)
	{
		size_t		pages = layout->pages + layout->pages / 4;

		work->bound = scan_enlarge(work->context, work->bound, (pages + 1) * sizeof(int16));
		work->others = scan_enlarge(work->context, work->others, (pages + 1) * sizeof(int16));
		work->pages = pages;
	}
	if (layout->max_centres > work->centres || work->distances == NULL)
	{
		work->distances = scan_enlarge(work->context, work->distances,
									   (layout->max_centres + 1) * sizeof(uint16));
		work->centres = layout->max_centres;
	}
}

/* ---------- Beginning and ending ---------- */

/* Release what is held outside the scan's own memory. */
static void
scan_let_go(void *argument)
{
	XmhashScan *state = argument;

	if (state->layout)
		layout_release(state->layout);
	state->layout = NULL;
	if (state->work)
		scan_give_back_work(state->work);
	state->work = NULL;
}

IndexScanDesc
xmhash_begin_scan(Relation index, int keys, int orderbys)
{
	IndexScanDesc scan = RelationGetIndexScan(index, keys, orderbys);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "xmhash scan",
												  ALLOCSET_SMALL_SIZES);
	XmhashScan *state = MemoryContextAllocZero(context, sizeof(XmhashScan));

	state->index = index;
	state->serial = ++scans_begun;
	state->context = context;
	state->buffer = InvalidBuffer;
	state->prefetch_max = -1;
	state->question_context = AllocSetContextCreate(context, "xmhash question", ALLOCSET_SMALL_SIZES);
	state->callback.func = scan_let_go;
	state->callback.arg = state;
	MemoryContextRegisterResetCallback(context, &state->callback);
	if (orderbys > 0)
	{
		scan->xs_orderbyvals = palloc0(orderbys * sizeof(Datum));
		scan->xs_orderbynulls = palloc(orderbys * sizeof(bool));
	}
	scan->opaque = state;
	return scan;
}

/* Add what the search has counted to what xmhash_last_scan() tells. */
static void
scan_count(XmhashScan *state)
{
	const SearchCounters *counters;

	if (state->stage == STAGE_START || !state->work || state->work->scan != state)
		return;
	state->work->scan = NULL;
	if (xmhash_last.serial != state->serial)
		return;
	counters = search_counters(state->work->search);
	xmhash_last.pages_read += counters->pages;
	xmhash_last.pending_pages_read += counters->pending_pages;
	xmhash_last.codes += counters->codes;
	xmhash_last.candidates += counters->candidates;
	xmhash_last.batches += counters->batches;
	xmhash_last.radius = Max(xmhash_last.radius, (int64) counters->radius);
}

void
xmhash_rescan(IndexScanDesc scan, ScanKey keys, int nkeys, ScanKey orderbys, int norderbys)
{
	XmhashScan *state = scan->opaque;

	scan_count(state);
	scan_end_sort(state);
	if (keys && scan->numberOfKeys > 0)
		memmove(scan->keyData, keys, scan->numberOfKeys * sizeof(ScanKeyData));
	if (orderbys && scan->numberOfOrderBys > 0)
		memmove(scan->orderByData, orderbys, scan->numberOfOrderBys * sizeof(ScanKeyData));
	state->stage = STAGE_START;
	state->returned = false;
}

void
xmhash_end_scan(IndexScanDesc scan)
{
	XmhashScan *state = scan->opaque;

	scan_count(state);
	scan_end_sort(state);
	MemoryContextDelete(state->context);	/* calls scan_let_go() */
	scan->opaque = NULL;
}

/* ---------- The stages ---------- */

static void
scan_leave_out(int16 *bound, uint32 pages)
{
	for (uint32 i = 0; i < pages; i++)
		bound[i] = BOUND_NEVER;
}

/* Leave out the data pages that hold no code within the ball. */
static void
scan_exclude_ball(ScanWork *work, const LayoutSegment *segment, const Ball *ball, bool equal, int16 *bound)
{
	directory_exclude(segment->directory, ball->query, ball->radius, work->distances, work->others, bound);
	if (equal)
		directory_exclude_unequal(segment->directory, ball->query, bound);
}

/* Leave out those that hold no code within any of the balls. */
static void
scan_exclude_balls(ScanWork *work, const LayoutSegment *segment, const BallSet *set, bool equal, int16 *bound)
{
	Size		bytes = (segment->pages + 1) * sizeof(int16);
	int16	   *one = MemoryContextAllocHuge(CurrentMemoryContext, bytes);
	int16	   *any = MemoryContextAllocHuge(CurrentMemoryContext, bytes);

	scan_leave_out(any, segment->pages);
	for (int b = 0; b < set->count; b++)
	{
		CHECK_FOR_INTERRUPTS();
		memset(one, 0, bytes);
		scan_exclude_ball(work, segment, &set->ball[b], equal, one);
		for (uint32 i = 0; i < segment->pages; i++)
			any[i] = Min(any[i], one[i]);
	}
	for (uint32 i = 0; i < segment->pages; i++)
		bound[i] = Max(bound[i], any[i]);
	pfree(any);
	pfree(one);
}

/* Bounds of a segment's data pages for the driver, the filters' vetoes included. */
static void
scan_data_bounds(XmhashScan *state, const LayoutSegment *segment, int16 *bound)
{
	ScanWork   *work = state->work;
	const SearchQuestion *question = &state->question;

	directory_bounds(segment->directory, question->ball.query, work->distances, bound);
	if (state->driver_equal)
		directory_exclude_unequal(segment->directory, question->ball.query, bound);
	for (int f = 0; f < question->filter_count; f++)
		if (question->filters[f].count == 1)
			scan_exclude_ball(work, segment, question->filters[f].ball, state->filter_equal[f], bound);
		else
			scan_exclude_balls(work, segment, &question->filters[f], state->filter_equal[f], bound);
	directory_exclude_keys(segment->directory, question->conditions, question->condition_count, bound);
}

/*
 * A segment is searched by its data pages or by its band runs, whichever takes
 * fewer pages.  Where the band pages are fewer than a 64th of the data pages,
 * the bounds of these are not computed.  Among 140 radius searches (radius 0 to
 * 10 in 300,000 codes of 64 bits, in tight and loose clusters and uniform, 4 and
 * 8 bands) 38 were such, and each would have read at least 2.6 times as many
 * data pages.  The bounds of 220 pages take as many instructions as reading and
 * searching one.
 */
static void
scan_segment_bounds(XmhashScan *state, const LayoutSegment *segment, int16 *bound)
{
	int16	   *band_bound = bound + segment->pages;
	uint32		band_pages = segment->bands * segment->band_pages;
	int			radius = state->question.ball.radius;
	uint32		marked = PG_UINT32_MAX; /* not to be searched so */
	uint32		data = 0;

	scan_leave_out(band_bound, band_pages);
	if (band_pages > 0 && !state->driver_equal && radius < state->layout->format.bits &&
		band_probes(state->layout->format.bits, segment->bands, radius, segment->pages) < segment->pages)
		marked = band_mark(segment->band_first, segment->band_pages, state->question.ball.query,
						   state->layout->format.bits, segment->bands, radius, band_bound);
	if (marked < segment->pages / BANDS_SURELY_FEWER)
	{
		scan_leave_out(bound, segment->pages);
		state->by_bands = true;
		return;
	}
	scan_data_bounds(state, segment, bound);
	if (marked >= segment->pages)
	{
		scan_leave_out(band_bound, band_pages);
		return;
	}
	for (uint32 i = 0; i < segment->pages; i++)
		data += bound[i] <= radius;
	if (marked < data)
	{
		scan_leave_out(bound, segment->pages);
		state->by_bands = true;
	}
	else
		scan_leave_out(band_bound, band_pages);
}

/*
 * A rescan goes on with the layout of the first scan: with an MVCC snapshot,
 * rows that came later are invisible to it.
 */
static void
scan_acquire(IndexScanDesc scan, bool anew)
{
	XmhashScan *state = scan->opaque;

	if (state->layout && (anew || !scan->xs_snapshot || !IsMVCCSnapshot(scan->xs_snapshot)))
	{
		layout_release(state->layout);
		state->layout = NULL;
	}
	if (!state->layout)
	{
		state->layout = layout_acquire(state->index, &state->index_snapshot);
		/* Where a whole segment was removed, the meta page alone tells of it. */
		if (snapshots_expire())
		{
			Buffer		buffer = xmhash_meta_buffer(state->index, BUFFER_LOCK_SHARE);

			check_snapshot_expired(state->snapshot, state->index, buffer);
			UnlockReleaseBuffer(buffer);
		}
	}
	if (state->layout->format.bits == 0 || (state->work && state->work->bits == state->layout->format.bits))
		return;
	if (state->work)
		scan_give_back_work(state->work);
	state->work = NULL;
	state->work = scan_take_work(&state->layout->format);
}

static void
scan_note(IndexScanDesc scan)
{
	XmhashScan *state = scan->opaque;

	if (xmhash_last.serial != state->serial)
		memset(&xmhash_last, 0, sizeof(xmhash_last));
	xmhash_last.serial = state->serial;
	xmhash_last.index = RelationGetRelid(state->index);
	xmhash_last.scans++;
	xmhash_last.pages = state->layout->data_pages;
	xmhash_last.segments = state->layout->segments;
	xmhash_last.strategy = state->impossible ? "none" :
		state->question.ordered ? "ordered" :
		state->driver_equal ? "equal" :
		state->code_keys > 0 ? "radius" :
		state->question.condition_count > 0 ? "filter" : "all";
}

static void
scan_start(IndexScanDesc scan, bool anew)
{
	XmhashScan *state = scan->opaque;

	if (!anew)
	{
		pgstat_count_index_scan(state->index);
		count_index_search(scan);
	}
	state->snapshot = scan->xs_snapshot;
	scan_acquire(scan, anew);
	scan_take_keys(scan);
	scan_note(scan);
	state->null_page = 0;
	state->null_count = state->null_next = 0;
	state->prefetched = 0;
	if (state->impossible)
		state->stage = STAGE_END;
	else if (!state->wants_codes)
		state->stage = STAGE_NULLS;
	else
	{
		scan_fit_work(state->work, state->layout);
		state->by_bands = false;
		for (int s = 0; s < state->layout->segments; s++)
			scan_segment_bounds(state, &state->layout->segment[s],
								state->work->bound + state->layout->segment[s].base);
		if (state->by_bands)
			xmhash_last.strategy = "bands";
		state->work->scan = state;
		search_begin(state->work->search, &state->question, state->work->bound, state->layout->pages,
					 (Size) work_mem * 1024);
		state->stage = STAGE_CODES;
	}
}

/* The next row; false: no more.  state->stage tells whether it is a NULL's. */
static bool
scan_next_row(IndexScanDesc scan, Candidate *answer)
{
	XmhashScan *state = scan->opaque;

	if (state->stage == STAGE_START)
		scan_start(scan, false);
	for (;;)
	{
		SearchResult result = SEARCH_END;

		if (state->stage == STAGE_CODES)
			result = search_next(state->work->search, answer);
		else if (state->stage == STAGE_NULLS)
			result = scan_next_null(state, answer);
		else
			return false;
		if (result == SEARCH_FOUND)
		{
			state->returned = true;
			return true;
		}
		if (result == SEARCH_CHANGED)
		{
			if (state->returned)
				xmhash_recycled(state->index);
			CHECK_FOR_INTERRUPTS();
			scan_start(scan, true);
		}
		else if (state->stage == STAGE_CODES && state->wants_nulls)
			state->stage = STAGE_NULLS;
		else
			state->stage = STAGE_END;
	}
}

/*
 * Set the distances that the executor gets.  With more than one to order by
 * (<~> a, <~> b) only the first is known here: the executor is given 0 for the
 * others, which is no more than they are, and puts rows in order itself.
 */
static void
scan_set_distances(IndexScanDesc scan, int distance)
{
	XmhashScan *state = scan->opaque;

	for (int i = 0; i < scan->numberOfOrderBys; i++)
	{
		scan->xs_orderbyvals[i] = Int32GetDatum(i == 0 ? distance : 0);
		scan->xs_orderbynulls[i] = state->stage == STAGE_NULLS || (i == 0 && state->null_order);
	}
	scan->xs_recheckorderby = scan->numberOfOrderBys > 1;
}

/* Not all that the search finds need be an answer, or be there still: the executor looks again. */
static bool
scan_needs_recheck(IndexScanDesc scan)
{
	return ((XmhashScan *) scan->opaque)->recheck || !scan->xs_snapshot || !IsMVCCSnapshot(scan->xs_snapshot);
}

bool
xmhash_get_tuple(IndexScanDesc scan, ScanDirection direction)
{
	Candidate	answer;

	Assert(ScanDirectionIsForward(direction));
	/* See xmhash_cost_estimate(). */
	if (scan->xs_want_itup)
		elog(ERROR, "xmhash does not support index-only scans");
	if (!scan_next_row(scan, &answer))
		return false;
	memcpy(&scan->xs_heaptid, &answer.row, sizeof(ItemPointerData));
	scan->xs_recheck = scan_needs_recheck(scan);
	if (scan->numberOfOrderBys > 0)
		scan_set_distances(scan, answer.distance);
	xmhash_last.rows++;
	return true;
}

int64
xmhash_get_bitmap(IndexScanDesc scan, TIDBitmap *bitmap)
{
	ItemPointerData tids[256];
	int			count = 0;
	int64		total = 0;
	Candidate	answer;
	bool		more = true;

	while (more)
	{
		more = scan_next_row(scan, &answer);
		if (more)
			memcpy(&tids[count++], &answer.row, sizeof(ItemPointerData));
		/* A bitmap may hold rows twice, so the scan may start anew at any time. */
		((XmhashScan *) scan->opaque)->returned = false;
		if (count == lengthof(tids) || !more)
		{
			tbm_add_tuples(bitmap, tids, count, scan_needs_recheck(scan));
			total += count;
			count = 0;
		}
	}
	xmhash_last.rows += total;
	return total;
}

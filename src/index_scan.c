/*
 * index_scan.c: scans, from scan keys to rows.
 *
 * A scan turns its keys into balls (a code and a radius): the code ordered by,
 * codes within a radius, codes equal.  One of them drives the search of
 * index_search.c, which asks for pages by number; here they are found, locked
 * and checked.  Rows come in three stages: those of codes, in the order asked
 * for; then those of NULLs, where no key excludes them; then the end.
 *
 * No pin is kept between rows.  With an MVCC snapshot that is right, because
 * VACUUM cannot have removed, nor another row taken the place of, a row that
 * the snapshot sees; for other snapshots the executor is told to look again.
 */
#include "postgres.h"

#include "index_search.h"

#include "access/relscan.h"
#include "access/tableam.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/spccache.h"

#include "index_scan.h"

/* Scratch above this size is not kept for the next scan. */
#define KEEP_SCRATCH_BYTES (16 * 1024 * 1024)

/*
 * A page seen through ReadRecentBuffer() does not count as used, and would be
 * evicted for all its use: every so often it is read the ordinary way.
 */
#define ORDINARY_READ 16

typedef enum ScanStage
{
	STAGE_START,				/* nothing has been looked at */
	STAGE_CODES,
	STAGE_NULLS,
	STAGE_END
} ScanStage;

/*
 * Work space that outlives a scan, since the next one is likely to want the
 * same again: a search and arrays over all pages.
 */
typedef struct ScanWork
{
	MemoryContext context;
	int			bits;
	Search	   *search;
	struct XmhashScan *scan;		/* whose pages the search reads */
	size_t		pages;			/* room of the next two */
	int16	   *bound;
	int16	   *others;
	size_t		centres;
	uint16	   *distances;
	uint64	   *pending_codes;	/* a pending page without its NULLs */
	ItemPointerData *pending_tids;
	uint32	   *positions;		/* of a band page's hits, and their distances */
	uint16	   *hit_distances;
} ScanWork;

typedef struct XmhashScan
{
	Relation	index;
	MemoryContext context;
	MemoryContextCallback callback;
	Layout	   *layout;			/* NULL: not acquired, or given back */
	XmhashView	view;
	ScanWork   *work;
	ScanStage	stage;
	bool		returned;		/* a row, since the last rescan */
	uint64		serial;			/* tells scans apart */

	/* the question, from the scan keys */
	bool		impossible;		/* a key that nothing fulfils */
	bool		by_bands;		/* of some segment */
	bool		ordered;
	bool		null_order;		/* ordered by the distance to NULL */
	Ball		driver;
	Ball	   *filter;			/* [filters] */
	int			filters;
	bool	   *filter_equal;	/* [filters]: radius 0 by `=` */
	bool		driver_equal;
	uint64	   *words;			/* the keys' codes */

	/* reading */
	Buffer		buffer;			/* of the view that the search holds */
	int			announced;		/* pages ahead that were asked for */
	int			announce_most;	/* -1: not looked up */
	uint32		reads;

	/* NULLs */
	uint32		null_page;		/* next, of the layout's, then pending ones */
	int			null_count;
	int			null_next;
	ItemPointerData *null_tids;
} XmhashScan;

static ScanWork *spare_work = NULL;
static uint64 scans_begun = 0;

LastScan	xmhash_last = {0};

/* ---------- Work space ---------- */

static bool read_page(void *context, uint32_t page, const uint32_t *upcoming,
					  uint32_t upcoming_count, PageView *view);
static bool read_pending(void *context, uint32_t ordinal, PageView *view);
static void release_page(void *context);

static ScanWork *
work_take(int bits)
{
	ScanWork   *work = spare_work;
	int			words = HAMMING_WORDS(bits);
	int			most = XMHASH_DATA_CAPACITY(words);
	SearchMemory memory;
	PageReader	reader = {NULL, read_page, read_pending, release_page};
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
	memory = xmhash_search_memory(context);
	reader.context = work;
	work->search = search_create(bits, most, &reader, &memory);
	work->pending_codes = MemoryContextAlloc(context, BLCKSZ);
	work->pending_tids = MemoryContextAlloc(context, most * sizeof(ItemPointerData));
	work->positions = MemoryContextAlloc(context, (most + HAMMING_SLACK) * sizeof(uint32));
	work->hit_distances = MemoryContextAlloc(context, (most + HAMMING_SLACK) * sizeof(uint16));
	MemoryContextSetParent(context, CacheMemoryContext);
	return work;
}

static void
work_give_back(ScanWork *work)
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

static void *
enlarge(MemoryContext context, void *old, Size bytes)
{
	if (old)
		pfree(old);
	return MemoryContextAllocHuge(context, bytes);
}

static void
work_fit(ScanWork *work, const Layout *layout)
{
	if (layout->pages > work->pages || work->bound == NULL)
	{
		work->pages = layout->pages + layout->pages / 4;
		work->bound = enlarge(work->context, work->bound, (work->pages + 1) * sizeof(int16));
		work->others = enlarge(work->context, work->others, (work->pages + 1) * sizeof(int16));
	}
	if (layout->most_centres > work->centres || work->distances == NULL)
	{
		work->centres = layout->most_centres;
		work->distances = enlarge(work->context, work->distances, (work->centres + 1) * sizeof(uint16));
	}
}

/* ---------- Beginning and ending ---------- */

/* Give back what is held outside the scan's own memory. */
static void
let_go(void *argument)
{
	XmhashScan *state = argument;

	if (state->layout)
		layout_release(state->layout);
	state->layout = NULL;
	if (state->work)
		work_give_back(state->work);
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
	state->announce_most = -1;
	state->filter = MemoryContextAlloc(context, (keys + 1) * sizeof(Ball));
	state->filter_equal = MemoryContextAlloc(context, (keys + 1) * sizeof(bool));
	state->callback.func = let_go;
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
count_search(XmhashScan *state)
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

	count_search(state);
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

	count_search(state);
	MemoryContextDelete(state->context);	/* calls let_go() */
	scan->opaque = NULL;
}

/* ---------- The question ---------- */

/* Copy a key's code to the words that search kernels take. */
static uint64 *
key_words(uint64 **next, const uint8 *data, int bytes, int words)
{
	uint64	   *result = *next;

	memset(result, 0, words * sizeof(uint64));
	memcpy(result, data, bytes);
	*next += words;
	return result;
}

/*
 * A key as a ball; false: nothing fulfils it.  A distance between codes of
 * different lengths is an error, while such codes are simply not equal.
 */
static bool
key_ball(XmhashScan *state, ScanKey key, uint64 **next, Ball *ball)
{
	int			bits = state->layout->bits;

	if (key->sk_flags & SK_ISNULL)
		return false;
	if (key->sk_strategy == XMHASH_STRATEGY_WITHIN)
	{
		Ballcode   *code = DatumGetBallcodeP(key->sk_argument);

		if (code->bits != bits)
			xmhash_wrong_length(state->index, code->bits, bits);
		ball->query = key_words(next, code->data, (code->bits + 7) / 8, state->layout->words);
		ball->radius = code->radius;
		if ((Pointer) code != DatumGetPointer(key->sk_argument))
			pfree(code);
		return ball->radius >= 0;
	}
	else
	{
		BitcodeView code = DatumGetBitcodeView(key->sk_argument);

		if (code.bits != bits && key->sk_strategy == XMHASH_STRATEGY_EQUAL)
			return false;
		if (code.bits != bits)
			xmhash_wrong_length(state->index, code.bits, bits);
		ball->query = key_words(next, code.data, code.bytes, state->layout->words);
		ball->radius = key->sk_strategy == XMHASH_STRATEGY_EQUAL ? 0 : bits;
		bitcode_view_release(&code, key->sk_argument);
		return true;
	}
}

static bool
same_query(const XmhashScan *state, const Ball *a, const Ball *b)
{
	return memcmp(a->query, b->query, state->layout->words * sizeof(uint64)) == 0;
}

/*
 * Choose what drives the search: the code ordered by, else the smallest ball.
 * A ball about the driver's own code only narrows it; the rest are filters.
 */
static void
choose_driver(XmhashScan *state, Ball *balls, bool *equal, int count)
{
	int			first = 0;

	state->filters = 0;
	state->driver_equal = false;
	if (!state->ordered)
	{
		for (int i = 1; i < count; i++)
			if (balls[i].radius < balls[first].radius ||
				(balls[i].radius == balls[first].radius && equal[i]))
				first = i;
		state->driver = balls[first];
		state->driver_equal = equal[first];
	}
	for (int i = 0; i < count; i++)
	{
		if (same_query(state, &balls[i], &state->driver))
		{
			state->driver.radius = Min(state->driver.radius, balls[i].radius);
			state->driver_equal |= equal[i];
			continue;
		}
		state->filter_equal[state->filters] = equal[i];
		state->filter[state->filters++] = balls[i];
	}
}

static void
take_keys(IndexScanDesc scan)
{
	XmhashScan *state = scan->opaque;
	int			words = state->layout->words;
	int			count = 0;
	uint64	   *next;
	Ball	   *balls = palloc((scan->numberOfKeys + 1) * sizeof(Ball));
	bool	   *equal = palloc((scan->numberOfKeys + 1) * sizeof(bool));

	if (state->words)
		pfree(state->words);
	state->words = next = MemoryContextAlloc(state->context,
											 (scan->numberOfKeys + 2) * Max(words, 1) * sizeof(uint64));
	state->impossible = false;
	state->null_order = scan->numberOfOrderBys > 0 && (scan->orderByData[0].sk_flags & SK_ISNULL);
	state->ordered = false;
	/* Without any code in the index there is no length to compare with. */
	if (state->layout->bits == 0)
	{
		state->impossible = scan->numberOfKeys > 0;
		pfree(balls);
		pfree(equal);
		return;
	}
	for (int k = 0; k < scan->numberOfKeys; k++)
	{
		if (!key_ball(state, &scan->keyData[k], &next, &balls[count]))
			state->impossible = true;
		else
			equal[count++] = scan->keyData[k].sk_strategy == XMHASH_STRATEGY_EQUAL;
	}
	if (scan->numberOfOrderBys > 0 && !state->null_order && !state->impossible)
		state->ordered = key_ball(state, &scan->orderByData[0], &next, &state->driver);
	if (!state->impossible)
	{
		if (count == 0 && !state->ordered)
		{
			/* Every code is within `bits` of any. */
			balls[0].query = key_words(&next, (const uint8 *) "", 0, words);
			balls[0].radius = state->layout->bits;
			equal[0] = false;
			count = 1;
		}
		choose_driver(state, balls, equal, count);
	}
	pfree(balls);
	pfree(equal);
}

/* ---------- Reading pages ---------- */

static Buffer
page_buffer(XmhashScan *state, BlockNumber block, Buffer *recent)
{
#if PG_VERSION_NUM >= 160000
#define INDEX_LOCATOR(index) (index)->rd_locator
#else
#define INDEX_LOCATOR(index) (index)->rd_node
#endif
#if PG_VERSION_NUM >= 140000
	if (BufferIsValid(*recent) && ++state->reads % ORDINARY_READ != 0 &&
		ReadRecentBuffer(INDEX_LOCATOR(state->index), MAIN_FORKNUM, block, *recent))
		return *recent;
#endif
	*recent = ReadBuffer(state->index, block);
	return *recent;
}

/*
 * Help the next reads.  What is in shared buffers is brought into the cache
 * while this page is searched.  Where pages have to be read from disk, as this
 * one had, several are asked for ahead.
 */
static void
announce(XmhashScan *state, const uint32_t *upcoming, uint32_t count, bool missed)
{
	Layout	   *layout = state->layout;

	if (count > 0 && layout->recent[upcoming[0]] > 0)
		hamming_prefetch(PageGetContents(BufferGetPage(layout->recent[upcoming[0]])),
						 XMHASH_DATA_CAPACITY(layout->words) * layout->words * sizeof(uint64));
	if (state->announced > 0)
		state->announced--;
	if (!missed)
		return;
	if (state->announce_most < 0)
		state->announce_most = get_tablespace_io_concurrency(state->index->rd_rel->reltablespace);
	if (state->announced * 2 > state->announce_most)
		return;
	for (; state->announced < state->announce_most && state->announced < count; state->announced++)
		PrefetchBuffer(state->index, MAIN_FORKNUM, layout->block[upcoming[state->announced]]);
}

/*
 * Leave of a band page the codes that the search is to find there: within the
 * radius, and not already found in an earlier band.
 */
static void
only_owned(XmhashScan *state, const LayoutSegment *segment, uint32 number, PageView *view)
{
	ScanWork   *work = state->work;
	int			bits = state->layout->bits;
	int			words = state->layout->words;
	const Ball *ball = &state->driver;
	int			band = (number - segment->pages) / segment->band_pages;
	int			hits = hamming_kernels->within(ball->query, view->codes, words, view->count, ball->radius,
											   work->positions, work->hit_distances);
	int			kept = 0;

	for (int i = 0; i < hits; i++)
	{
		const uint64 *code = view->codes + (Size) work->positions[i] * words;

		if (!band_owns(ball->query, code, bits, segment->bands, ball->radius, band))
			continue;
		memcpy(work->pending_codes + (Size) kept * words, code, words * sizeof(uint64));
		memcpy(&work->pending_tids[kept++],
			   view->row_base + (int64) work->positions[i] * view->row_stride, sizeof(ItemPointerData));
	}
	view->count = kept;
	view->codes = work->pending_codes;
	view->row_base = (const char *) work->pending_tids;
	view->row_stride = sizeof(ItemPointerData);
}

static bool
read_page(void *context, uint32_t page, const uint32_t *upcoming, uint32_t upcoming_count,
		  PageView *view)
{
	XmhashScan *state = ((ScanWork *) context)->scan;
	Layout	   *layout = state->layout;
	const LayoutSegment *segment = &layout->segment[layout->segment_of[page]];
	int64		misses = pgBufferUsage.shared_blks_read;
	uint32		number = page - segment->base;
	bool		in_band = number >= segment->pages;
	Buffer		buffer;
	Page		content;

	CHECK_FOR_INTERRUPTS();
	buffer = page_buffer(state, layout->block[page], &layout->recent[page]);
	announce(state, upcoming, upcoming_count, pgBufferUsage.shared_blks_read != misses);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	if (!xmhash_page_usable(state->index, &state->view, buffer,
							in_band ? XMHASH_PAGE_BAND : XMHASH_PAGE_DATA, segment->id, number))
		return false;
	content = BufferGetPage(buffer);
	view->count = XmhashPageOpaque(content)->count;
	view->codes = XmhashPageCodes(content);
	view->row_base = (const char *) &XmhashPageTid(content, 0);
	view->row_stride = -(int) sizeof(ItemPointerData);
	if (in_band)
		only_owned(state, segment, number, view);
	state->buffer = buffer;
	return true;
}

static void
release_page(void *context)
{
	XmhashScan *state = ((ScanWork *) context)->scan;

	UnlockReleaseBuffer(state->buffer);
	state->buffer = InvalidBuffer;
}

/* Pin, lock and check a page of the pending list; false: recycled. */
static bool
lock_pending(XmhashScan *state, uint32 i)
{
	Buffer		buffer;

	CHECK_FOR_INTERRUPTS();
	buffer = ReadBuffer(state->index, xmhash_pending_block(&state->view, i));
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	if (!xmhash_page_usable(state->index, &state->view, buffer, XMHASH_PAGE_PENDING,
							state->view.pending_first + i, 0))
		return false;
	state->buffer = buffer;
	return true;
}

/* Leave the NULLs out of a pending page's columns, by a copy if it has any. */
static void
without_nulls(ScanWork *work, Page page, PageView *view)
{
	int			words = HAMMING_WORDS(work->bits);
	uint16		flags = 0;
	int			kept = 0;

	for (int i = 0; i < view->count; i++)
		flags |= XmhashPendingSlotAt(page, i).flags;
	if (!(flags & XMHASH_SLOT_NULL))
		return;
	for (int i = 0; i < view->count; i++)
	{
		if (XmhashPendingSlotAt(page, i).flags & XMHASH_SLOT_NULL)
			continue;
		memcpy(work->pending_codes + (Size) kept * words,
			   view->codes + (Size) i * words, words * sizeof(uint64));
		work->pending_tids[kept++] = XmhashPendingSlotAt(page, i).tid;
	}
	view->count = kept;
	view->codes = work->pending_codes;
	view->row_base = (const char *) work->pending_tids;
	view->row_stride = sizeof(ItemPointerData);
}

static bool
read_pending(void *context, uint32_t ordinal, PageView *view)
{
	ScanWork   *work = context;
	XmhashScan *state = work->scan;
	Page		page;

	if (ordinal >= state->view.pending_pages)
	{
		view->count = -1;
		return true;
	}
	if (!lock_pending(state, ordinal))
		return false;
	page = BufferGetPage(state->buffer);
	/* A page of zero bits has nothing but NULLs, and no room for codes. */
	view->count = XmhashPageOpaque(page)->number == 0 ? 0 : XmhashPageOpaque(page)->count;
	view->codes = XmhashPageCodes(page);
	view->row_base = (const char *) &XmhashPendingSlotAt(page, 0);
	view->row_stride = -(int) sizeof(XmhashPendingSlot);
	without_nulls(work, page, view);
	return true;
}

/* ---------- NULLs ---------- */

/* Copy the tids of the next page that may hold NULLs; false: recycled. */
static bool
read_nulls(XmhashScan *state)
{
	Layout	   *layout = state->layout;
	uint32		i = state->null_page++;
	Page		page;
	int			count;

	if (!state->null_tids)
		state->null_tids = MemoryContextAlloc(state->context,
											  XMHASH_NULLS_CAPACITY * sizeof(ItemPointerData));
	state->null_count = state->null_next = 0;
	if (i < layout->null_pages)
	{
		const LayoutSegment *segment = &layout->segment[layout->null_segment[i]];
		uint32		first = i;

		CHECK_FOR_INTERRUPTS();
		/* Its number in the segment: NULLs' are together. */
		while (first > 0 && layout->null_segment[first - 1] == layout->null_segment[i])
			first--;
		state->buffer = ReadBuffer(state->index, layout->null_block[i]);
		LockBuffer(state->buffer, BUFFER_LOCK_SHARE);
		if (!xmhash_page_usable(state->index, &state->view, state->buffer, XMHASH_PAGE_NULLS,
								segment->id, segment->first_null + (i - first)))
			return false;
		page = BufferGetPage(state->buffer);
		count = XmhashPageOpaque(page)->count;
		for (int n = 0; n < count; n++)
			state->null_tids[state->null_count++] = XmhashPageTid(page, n);
	}
	else
	{
		if (!lock_pending(state, i - layout->null_pages))
			return false;
		page = BufferGetPage(state->buffer);
		count = XmhashPageOpaque(page)->count;
		for (int n = 0; n < count; n++)
			if (XmhashPendingSlotAt(page, n).flags & XMHASH_SLOT_NULL)
				state->null_tids[state->null_count++] = XmhashPendingSlotAt(page, n).tid;
	}
	UnlockReleaseBuffer(state->buffer);
	state->buffer = InvalidBuffer;
	return true;
}

static SearchResult
next_null(XmhashScan *state, Candidate *answer)
{
	while (state->null_next >= state->null_count)
	{
		if (state->null_page >= state->layout->null_pages + state->view.pending_pages)
			return SEARCH_END;
		if (!read_nulls(state))
			return SEARCH_CHANGED;
	}
	memcpy(&answer->row, &state->null_tids[state->null_next++], sizeof(RowPointer));
	return SEARCH_FOUND;
}

/* ---------- The stages ---------- */

static void
leave_out(int16 *bound, uint32 pages)
{
	for (uint32 i = 0; i < pages; i++)
		bound[i] = BOUND_NEVER;
}

/* Bounds of a segment's data pages for the driver, the filters' vetoes included. */
static void
find_data_bounds(XmhashScan *state, const LayoutSegment *segment, int16 *bound)
{
	ScanWork   *work = state->work;

	directory_bounds(segment->directory, state->driver.query, work->distances, bound);
	if (state->driver_equal)
		directory_exclude_unequal(segment->directory, state->driver.query, bound);
	for (int f = 0; f < state->filters; f++)
	{
		directory_exclude(segment->directory, state->filter[f].query, state->filter[f].radius,
						  work->distances, work->others, bound);
		if (state->filter_equal[f])
			directory_exclude_unequal(segment->directory, state->filter[f].query, bound);
	}
}

/*
 * A segment is searched by its data pages or by its band runs, whichever takes
 * fewer pages.  A handful of band pages is not compared with anything: it is
 * read sooner than the bounds of all data pages are computed.
 */
static void
find_segment_bounds(XmhashScan *state, const LayoutSegment *segment, int16 *bound)
{
	int16	   *band_bound = bound + segment->pages;
	uint32		band_pages = segment->bands * segment->band_pages;
	int			radius = state->driver.radius;
	uint32		marked = PG_UINT32_MAX; /* not to be searched so */
	uint32		data = 0;

	leave_out(band_bound, band_pages);
	if (band_pages > 0 && !state->driver_equal && radius < state->layout->bits &&
		band_probes(state->layout->bits, segment->bands, radius, segment->pages) < segment->pages)
		marked = band_mark(segment->band_first, segment->band_pages, state->driver.query,
						   state->layout->bits, segment->bands, radius, band_bound);
	if (marked < segment->pages / 64)
	{
		leave_out(bound, segment->pages);
		state->by_bands = true;
		return;
	}
	find_data_bounds(state, segment, bound);
	if (marked >= segment->pages)
	{
		leave_out(band_bound, band_pages);
		return;
	}
	for (uint32 i = 0; i < segment->pages; i++)
		data += bound[i] <= radius;
	if (marked < data)
	{
		leave_out(bound, segment->pages);
		state->by_bands = true;
	}
	else
		leave_out(band_bound, band_pages);
}

static void
find_bounds(XmhashScan *state)
{
	state->by_bands = false;
	for (int s = 0; s < state->layout->segments; s++)
	{
		const LayoutSegment *segment = &state->layout->segment[s];

		find_segment_bounds(state, segment, state->work->bound + segment->base);
	}
}

/*
 * Rescans go on with the index as they found it first: with an MVCC snapshot
 * whatever came later is invisible to them.
 */
static void
acquire(IndexScanDesc scan, bool anew)
{
	XmhashScan *state = scan->opaque;

	if (state->layout && (anew || !scan->xs_snapshot || !IsMVCCSnapshot(scan->xs_snapshot)))
	{
		layout_release(state->layout);
		state->layout = NULL;
	}
	if (!state->layout)
		state->layout = layout_acquire(state->index, &state->view);
	if (state->layout->bits == 0 || (state->work && state->work->bits == state->layout->bits))
		return;
	if (state->work)
		work_give_back(state->work);
	state->work = NULL;
	state->work = work_take(state->layout->bits);
}

static void
note_scan(IndexScanDesc scan)
{
	XmhashScan *state = scan->opaque;

	if (xmhash_last.serial != state->serial)
		memset(&xmhash_last, 0, sizeof(xmhash_last));
	xmhash_last.serial = state->serial;
	xmhash_last.index = RelationGetRelid(state->index);
	xmhash_last.scans++;
	xmhash_last.pages = state->layout->data_pages;
	xmhash_last.segments = state->layout->segments;
	xmhash_last.strategy = state->impossible ? "nothing" :
		state->ordered ? "ordered" :
		state->driver_equal ? "equal" :
		scan->numberOfKeys > 0 ? "radius" : "everything";
}

static void
start(IndexScanDesc scan, bool anew)
{
	XmhashScan *state = scan->opaque;

	if (!anew)
	{
		pgstat_count_index_scan(state->index);
#if PG_VERSION_NUM >= 180000
		if (scan->instrument)
			scan->instrument->nsearches++;
#endif
	}
	acquire(scan, anew);
	take_keys(scan);
	note_scan(scan);
	state->null_page = 0;
	state->null_count = state->null_next = 0;
	state->announced = 0;
	if (state->impossible)
		state->stage = STAGE_END;
	else if (state->layout->bits == 0)
		state->stage = STAGE_NULLS;
	else
	{
		work_fit(state->work, state->layout);
		find_bounds(state);
		if (state->by_bands)
			xmhash_last.strategy = "bands";
		state->work->scan = state;
		search_begin(state->work->search, state->ordered, &state->driver,
					 state->filter, state->filters, state->work->bound, state->layout->pages,
					 (Size) work_mem * 1024);
		state->stage = STAGE_CODES;
	}
}

/* The next row; false: no more.  state->stage tells whether it is a NULL's. */
static bool
next_row(IndexScanDesc scan, Candidate *answer)
{
	XmhashScan *state = scan->opaque;

	if (state->stage == STAGE_START)
		start(scan, false);
	for (;;)
	{
		SearchResult result = SEARCH_END;

		if (state->stage == STAGE_CODES)
			result = search_next(state->work->search, answer);
		else if (state->stage == STAGE_NULLS)
			result = next_null(state, answer);
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
			start(scan, true);
		}
		else if (state->stage == STAGE_CODES && scan->numberOfKeys == 0)
			state->stage = STAGE_NULLS;
		else
			state->stage = STAGE_END;
	}
}

/*
 * What the executor is told of the distances.  With more than one to order by
 * (<~> a, <~> b) only the first is known here: the executor is given 0 for the
 * others, which is no more than they are, and puts rows in order itself.
 */
static void
tell_distances(IndexScanDesc scan, int distance)
{
	XmhashScan *state = scan->opaque;

	for (int i = 0; i < scan->numberOfOrderBys; i++)
	{
		scan->xs_orderbyvals[i] = Int32GetDatum(i == 0 ? distance : 0);
		scan->xs_orderbynulls[i] = state->stage == STAGE_NULLS || (i == 0 && state->null_order);
	}
	scan->xs_recheckorderby = scan->numberOfOrderBys > 1;
}

bool
xmhash_get_tuple(IndexScanDesc scan, ScanDirection direction)
{
	Candidate	answer;

	Assert(ScanDirectionIsForward(direction));
	/* See xmhash_cost_estimate(). */
	if (scan->xs_want_itup)
		elog(ERROR, "xmhash does not support index-only scans");
	if (!next_row(scan, &answer))
		return false;
	memcpy(&scan->xs_heaptid, &answer.row, sizeof(ItemPointerData));
	scan->xs_recheck = !scan->xs_snapshot || !IsMVCCSnapshot(scan->xs_snapshot);
	if (scan->numberOfOrderBys > 0)
		tell_distances(scan, answer.distance);
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
	bool		recheck = !scan->xs_snapshot || !IsMVCCSnapshot(scan->xs_snapshot);
	bool		more = true;

	while (more)
	{
		more = next_row(scan, &answer);
		if (more)
			memcpy(&tids[count++], &answer.row, sizeof(ItemPointerData));
		/* What has gone into a bitmap does no harm if the scan starts anew. */
		((XmhashScan *) scan->opaque)->returned = false;
		if (count == lengthof(tids) || !more)
		{
			tbm_add_tuples(bitmap, tids, count, recheck);
			total += count;
			count = 0;
		}
	}
	xmhash_last.rows += total;
	return total;
}

/*
 * index/scan_pages.c: the pages that a scan reads: found, locked, and their sizes
 * checked.  (Their checksums are not computed here: index/page.c says why.)
 */
#include "postgres.h"

#include "index/scan.h"

#include "executor/instrument.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"
#include "utils/spccache.h"

/*
 * A page seen through ReadRecentBuffer() does not count as used, and would be
 * evicted for all its use: every so often it is read the ordinary way.
 */
#define ORDINARY_READ 16

/* So many pages may be in the processor's caches. */
#define CACHED_PAGES 4096

/*
 * Help the next reads.  What is in shared buffers is brought into the cache while
 * this page is searched: from memory by the search, part by part, from the third-level
 * cache at once, which is a twentieth faster there.  Where pages have to be read from
 * disk, as this one had, several are asked for ahead.
 */
static void
scan_prefetch(XmhashScan *state, const uint32_t *upcoming, uint32_t count, bool missed, PageColumns *columns)
{
	Layout	   *layout = state->layout;

	if (count > 0 && layout->recent[upcoming[0]] > 0)
	{
		Page		next = BufferGetPage(layout->recent[upcoming[0]]);
		Size		bytes = SizeOfPageHeaderData +
			xmhash_page_rows(&layout->format, XMHASH_PAGE_DATA) * xmhash_row_lower(&layout->format, XMHASH_PAGE_DATA);

		if (layout->pages > CACHED_PAGES)
		{
			columns->next = next;
			columns->next_bytes = bytes;
		}
		else
			hamming_prefetch(next, bytes);
		hamming_prefetch(next + BLCKSZ - sizeof(XmhashOpaque), sizeof(XmhashOpaque));
	}
	if (state->prefetched > 0)
		state->prefetched--;
	if (!missed)
		return;
	if (state->prefetch_max < 0)
		state->prefetch_max = get_tablespace_io_concurrency(state->index->rd_rel->reltablespace);
	if (state->prefetched * 2 > state->prefetch_max)
		return;
	for (; state->prefetched < state->prefetch_max && state->prefetched < count; state->prefetched++)
		PrefetchBuffer(state->index, MAIN_FORKNUM, layout->block[upcoming[state->prefetched]]);
}

/* A key of row i of columns that are copied. */
static void
scan_put_key(ScanWork *work, const KeyCondition *condition, int i, int64 key)
{
	if (condition->wide)
		((int64 *) work->pending_keys[condition->column])[i] = key;
	else
		((int32 *) work->pending_keys[condition->column])[i] = key;
}

/* The rows that were copied are the columns now. */
static void
scan_give_copies(const ScanWork *work, const SearchQuestion *question, int count, PageColumns *columns)
{
	for (int c = 0; c < question->condition_count; c++)
		columns->keys[question->conditions[c].column] = work->pending_keys[question->conditions[c].column];
	columns->count = count;
	columns->codes = work->pending_codes;
	columns->row_base = (const char *) work->pending_tids;
	columns->row_stride = sizeof(ItemPointerData);
}

/*
 * Leave of a band page the codes that the search is to find there: within the
 * radius, and not already found in an earlier band.
 */
static void
scan_keep_owned(XmhashScan *state, const LayoutSegment *segment, uint32 number, PageColumns *columns)
{
	ScanWork   *work = state->work;
	int			bits = state->layout->format.bits;
	int			words = state->layout->format.words;
	const Ball *ball = &state->question.ball;
	int			band = (number - segment->pages) / segment->band_pages;
	int			hits = hamming_kernels->within(ball->query, columns->codes, words, columns->count, ball->radius,
											   work->positions, work->hit_distances);
	int			kept = 0;

	for (int i = 0; i < hits; i++)
	{
		const uint64 *code = columns->codes + (Size) work->positions[i] * words;

		if (!band_owns(ball->query, code, bits, segment->bands, ball->radius, band))
			continue;
		memcpy(work->pending_codes + (Size) kept * words, code, words * sizeof(uint64));
		for (int c = 0; c < state->question.condition_count; c++)
		{
			const KeyCondition *condition = &state->question.conditions[c];

			scan_put_key(work, condition, kept,
						 key_at(columns->keys[condition->column], condition->wide, work->positions[i]));
		}
		memcpy(&work->pending_tids[kept++],
			   columns->row_base + (int64) work->positions[i] * columns->row_stride, sizeof(ItemPointerData));
	}
	scan_give_copies(work, &state->question, kept, columns);
}

static bool
scan_read_page(void *context, uint32_t page, const uint32_t *upcoming, uint32_t upcoming_count,
			   PageColumns *columns)
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
	buffer = layout->recent[page];
	if (!BufferIsValid(buffer) || ++state->reads % ORDINARY_READ == 0 ||
		!ReadRecentBuffer(relation_locator(state->index), MAIN_FORKNUM, layout->block[page], buffer))
		buffer = layout->recent[page] = ReadBuffer(state->index, layout->block[page]);
	scan_prefetch(state, upcoming, upcoming_count, pgBufferUsage.shared_blks_read != misses, columns);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	if (!xmhash_page_usable(state->index, &state->index_snapshot, buffer,
							in_band ? XMHASH_PAGE_BAND : XMHASH_PAGE_DATA, segment->id, number))
		return false;
	check_snapshot_expired(state->snapshot, state->index, buffer);
	content = BufferGetPage(buffer);
	columns->count = XmhashPageOpaque(content)->count;
	columns->codes = XmhashPageCodes(content);
	columns->row_base = (const char *) &XmhashPageTid(content, 0);
	columns->row_stride = -(int) sizeof(ItemPointerData);
	for (int c = 0; c < state->question.condition_count; c++)
	{
		int			column = state->question.conditions[c].column;

		columns->keys[column] = xmhash_page_keys(content, &layout->format, column);
	}
	if (in_band)
		scan_keep_owned(state, segment, number, columns);
	state->buffer = buffer;
	return true;
}

static void
scan_release_page(void *context)
{
	XmhashScan *state = ((ScanWork *) context)->scan;

	UnlockReleaseBuffer(state->buffer);
	state->buffer = InvalidBuffer;
}

/* Pin, lock and check a page of the pending list; false: recycled. */
static bool
scan_lock_pending(XmhashScan *state, uint32 i)
{
	Buffer		buffer;

	CHECK_FOR_INTERRUPTS();
	buffer = ReadBuffer(state->index, xmhash_pending_block(&state->index_snapshot, i));
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	if (!xmhash_page_usable(state->index, &state->index_snapshot, buffer, XMHASH_PAGE_PENDING,
							state->index_snapshot.pending_first + i, 0))
		return false;
	check_snapshot_expired(state->snapshot, state->index, buffer);
	state->buffer = buffer;
	return true;
}

/*
 * Leave the NULLs out of a pending page's columns, by a copy if it has any; and
 * put the keys that stand in its slots into columns, where there are conditions.
 */
static void
scan_copy_pending(XmhashScan *state, Page page, PageColumns *columns)
{
	ScanWork   *work = state->work;
	const SearchQuestion *question = &state->question;
	int			words = state->layout->format.words;
	int			slots = state->layout->format.columns;
	uint16		flags = 0;
	int			kept = 0;

	for (int i = 0; i < columns->count; i++)
		flags |= XmhashPendingSlotAt(page, slots, i)->flags;
	if (!(flags & XMHASH_SLOT_NULL) && question->condition_count == 0)
		return;
	for (int i = 0; i < columns->count; i++)
	{
		const XmhashPendingSlot *slot = XmhashPendingSlotAt(page, slots, i);

		if (slot->flags & XMHASH_SLOT_NULL)
			continue;
		memcpy(work->pending_codes + (Size) kept * words,
			   columns->codes + (Size) i * words, words * sizeof(uint64));
		for (int c = 0; c < question->condition_count; c++)
			scan_put_key(work, &question->conditions[c], kept, slot->key[question->conditions[c].column]);
		work->pending_tids[kept++] = slot->tid;
	}
	scan_give_copies(work, question, kept, columns);
}

static bool
scan_read_pending(void *context, uint32_t ordinal, PageColumns *columns)
{
	ScanWork   *work = context;
	XmhashScan *state = work->scan;
	Page		page;

	if (ordinal >= state->index_snapshot.pending_pages)
	{
		columns->count = -1;
		return true;
	}
	if (!scan_lock_pending(state, ordinal))
		return false;
	page = BufferGetPage(state->buffer);
	/* A page of zero bits has nothing but NULLs, and no place for codes. */
	columns->count = XmhashPageOpaque(page)->number == 0 ? 0 : XmhashPageOpaque(page)->count;
	columns->codes = XmhashPageCodes(page);
	columns->row_base = (const char *) XmhashPendingSlotAt(page, state->layout->format.columns, 0);
	columns->row_stride = -(int) XMHASH_SLOT_SIZE(state->layout->format.columns);
	scan_copy_pending(state, page, columns);
	return true;
}

const PageReader scan_page_reader = {NULL, scan_read_page, scan_read_pending, scan_release_page};

/* ---------- NULLs ---------- */

/* Does a row of NULLs fulfil the conditions?  Its keys are in slot, or on the page in row i. */
static bool
scan_null_passes(const XmhashScan *state, Page page, const XmhashPendingSlot *slot, int i)
{
	for (int c = 0; c < state->question.condition_count; c++)
	{
		const KeyCondition *condition = &state->question.conditions[c];
		int64		key = slot != NULL ? slot->key[condition->column] :
			key_at(xmhash_page_keys(page, &state->layout->format, condition->column), condition->wide, i);

		if (!key_fulfils(condition, key))
			return false;
	}
	return true;
}

/* Copy the tids of the next page that may hold NULLs; false: recycled. */
static bool
scan_read_nulls(XmhashScan *state)
{
	Layout	   *layout = state->layout;
	uint32		i = state->null_page++;
	Page		page;
	int			count;

	if (!state->null_tids)
		state->null_tids = MemoryContextAlloc(state->context,
											  XMHASH_MAX_PAGE_ROWS * sizeof(ItemPointerData));
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
		if (!xmhash_page_usable(state->index, &state->index_snapshot, state->buffer, XMHASH_PAGE_NULLS,
								segment->id, segment->first_null + (i - first)))
			return false;
		check_snapshot_expired(state->snapshot, state->index, state->buffer);
		page = BufferGetPage(state->buffer);
		count = XmhashPageOpaque(page)->count;
		for (int n = 0; n < count; n++)
			if (scan_null_passes(state, page, NULL, n))
				state->null_tids[state->null_count++] = XmhashPageTid(page, n);
	}
	else
	{
		if (!scan_lock_pending(state, i - layout->null_pages))
			return false;
		page = BufferGetPage(state->buffer);
		count = XmhashPageOpaque(page)->count;
		for (int n = 0; n < count; n++)
		{
			const XmhashPendingSlot *slot = XmhashPendingSlotAt(page, layout->format.columns, n);

			if ((slot->flags & XMHASH_SLOT_NULL) && scan_null_passes(state, page, slot, n))
				state->null_tids[state->null_count++] = slot->tid;
		}
	}
	UnlockReleaseBuffer(state->buffer);
	state->buffer = InvalidBuffer;
	return true;
}

SearchResult
scan_next_null(XmhashScan *state, Candidate *answer)
{
	while (state->null_next >= state->null_count)
	{
		if (state->null_page >= state->layout->null_pages + state->index_snapshot.pending_pages)
			return SEARCH_END;
		if (!scan_read_nulls(state))
			return SEARCH_CHANGED;
	}
	memcpy(&answer->row, &state->null_tids[state->null_next++], sizeof(RowPointer));
	return SEARCH_FOUND;
}

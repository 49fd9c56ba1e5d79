/*
 * index/flush.c: write the pending list as a segment.
 *
 * A flush, under the flush lock, seals the last page, so that the list up to
 * it no longer changes; insertions go on behind it.  It writes the list's rows
 * as a segment without centres, and replaces the pages by that segment in one
 * step.  A scan has either the one or the other in its snapshot, and
 * the pages keep their content until no snapshot can need it.
 *
 * The rows are not sorted: a small segment is read as a whole anyway, and a
 * merge sorts it into a larger one before long.
 */
#include "postgres.h"

#include "index/storage.h"

#include "miscadmin.h"

/*
 * Seal the last pending page, under its exclusive lock: whoever appends to it
 * later finds the seal.  All other pages are full, or sealed already:
 * by an earlier flush that did not finish, or by the insertion of the first code.
 */
static void
flush_seal(Relation index, const IndexSnapshot *snapshot)
{
	uint32		last = snapshot->pending_pages - 1;
	Buffer		buffer = ReadBuffer(index, xmhash_pending_block(snapshot, last));

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	if (!xmhash_page_usable(index, snapshot, buffer, XMHASH_PAGE_PENDING, snapshot->pending_first + last, 0))
		elog(ERROR, "pending page %u vanished under the flush lock", last);
	if ((XmhashPageOpaque(BufferGetPage(buffer))->flags & XMHASH_PENDING_SEALED) == 0)
	{
		GenericXLogState *state = GenericXLogStart(index);

		XmhashPageOpaque(GenericXLogRegisterBuffer(state, buffer, 0))->flags |= XMHASH_PENDING_SEALED;
		GenericXLogFinish(state);
	}
	UnlockReleaseBuffer(buffer);
}

typedef enum Pass
{
	COUNT,						/* rows and NULLs, for the writer's reservation */
	ROWS,
	NULLS
} Pass;

/* One pass over a page.  Pages no longer change, so no copy of them is kept. */
static void
flush_page(Page page, int columns, Pass pass, XmhashWriter *writer, uint64 *rows, uint64 *nulls)
{
	XmhashOpaque *opaque = XmhashPageOpaque(page);
	int			words = HAMMING_WORDS(opaque->number);

	for (int i = 0; i < opaque->count; i++)
	{
		XmhashPendingSlot *slot = XmhashPendingSlotAt(page, columns, i);
		bool		null = (slot->flags & XMHASH_SLOT_NULL) != 0;

		if (pass == COUNT)
			(*(null ? nulls : rows))++;
		else if (pass == ROWS && !null)
			xmhash_writer_add(writer, 0, 0, XmhashPageCodes(page) + (Size) i * words, slot->key, &slot->tid);
		else if (pass == NULLS && null)
			xmhash_writer_add_null(writer, slot->key, &slot->tid);
	}
}

/*
 * The writer extends the file and locks pages of its own, so the pages are
 * handed to it from a copy: no lock is held meanwhile.
 */
static void
flush_list(Relation index, const IndexSnapshot *snapshot, Pass pass, XmhashWriter *writer,
		   uint64 *rows, uint64 *nulls)
{
	PGAlignedBlock *copy = palloc(sizeof(PGAlignedBlock));

	for (uint32 i = 0; i < snapshot->pending_pages; i++)
	{
		Buffer		buffer = ReadBuffer(index, xmhash_pending_block(snapshot, i));

		CHECK_FOR_INTERRUPTS();
		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		if (!xmhash_page_usable(index, snapshot, buffer, XMHASH_PAGE_PENDING, snapshot->pending_first + i, 0))
			elog(ERROR, "pending page %u vanished under the flush lock", i);
		memcpy(copy->data, BufferGetPage(buffer), BLCKSZ);
		UnlockReleaseBuffer(buffer);
		if (pass == COUNT && !xmhash_page_checksum_agrees(copy->data))
			xmhash_damaged(index, xmhash_pending_block(snapshot, i), "The checksum of the pending page is wrong.");
		flush_page(copy->data, snapshot->format.columns, pass, writer, rows, nulls);
	}
	pfree(copy);
}

static void
flush_snapshot(Relation index, const IndexSnapshot *snapshot, uint64 *rows)
{
	uint64		codes = 0;
	uint64		nulls = 0;
	XmhashWriter *writer;
	XmhashSegment segment;
	XmhashExtent *extent;
	XmhashChange change = {.role = XMHASH_WRITER_FLUSH};

	flush_seal(index, snapshot);
	flush_list(index, snapshot, COUNT, NULL, &codes, &nulls);
	writer = xmhash_writer_begin(index, XMHASH_WRITER_FLUSH, &snapshot->format, NULL, 0, 0, codes, nulls);
	if (codes > 0)
		flush_list(index, snapshot, ROWS, writer, NULL, NULL);
	if (nulls > 0)
		flush_list(index, snapshot, NULLS, writer, NULL, NULL);
	xmhash_writer_finish(writer, &segment, &extent);
	change.add = &segment;
	change.add_extent = extent;
	change.pending_pages = snapshot->pending_pages;
	xmhash_commit(index, &change);
	*rows = codes + nulls;
}

/*
 * Write the pending list as a segment.  False: another backend is at it and we were not
 * to wait, or there are too many segments and a merge must come first.
 */
bool
xmhash_flush(Relation index, bool wait, uint64 *rows)
{
	IndexSnapshot *snapshot;
	uint64		flushed = 0;
	bool		possible;

	if (wait)
		xmhash_lock_page(index, XMHASH_FLUSH_LOCK);
	else if (!ConditionalLockPage(index, XMHASH_FLUSH_LOCK, ExclusiveLock))
		return false;

	snapshot = xmhash_snapshot_create(CurrentMemoryContext);
	xmhash_snapshot_read(index, snapshot);
	possible = snapshot->segments < XMHASH_MAX_SEGMENTS;
	if (snapshot->pending_pages == 0)
		xmhash_forget_reservation(index, XMHASH_WRITER_FLUSH);
	else if (possible)
		flush_snapshot(index, snapshot, &flushed);
	UnlockPage(index, XMHASH_FLUSH_LOCK, ExclusiveLock);
	if (rows != NULL)
		*rows = flushed;
	return possible;
}

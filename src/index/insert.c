/*
 * index/insert.c: insertion: append to the last page of the pending list.
 *
 * A row changes one page.  Each backend remembers the last page it appended to,
 * and tries that first, without reading the meta page: the page's number and
 * nonce show whether it is still the same, its seal whether it was flushed.  If
 * the page cannot take the row, the backend locks the meta page exclusively and
 * adds a page.  One record links the new page and holds its first entry.
 */
#include "postgres.h"

#include "index/storage.h"

#include "access/rmgr.h"
#include "access/xloginsert.h"
#include "bitcode/bitcode.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* The page last appended to; lives in rd_amcache. */
typedef struct Tail
{
	uint64		nonce;
	uint64		number;			/* in the endless pending list; 0: none */
	BlockNumber block;
} Tail;

typedef struct Entry
{
	XmhashRowFormat format;		/* bits 0: NULL */
	uint64	   *code;			/* NULL: NULL */
	int64		key[XMHASH_MAX_COLUMNS];
	ItemPointer tid;
} Entry;

typedef enum AppendResult
{
	APPENDED,
	FULL,						/* or sealed, or unable to hold codes */
	STALE						/* not that page any more */
} AppendResult;

static AppendResult
insert_page_takes(Page page, const Tail *tail, const Entry *entry)
{
	PageHeader	header = (PageHeader) page;
	XmhashOpaque *opaque = XmhashPageOpaque(page);
	XmhashRowFormat format = entry->format;
	int			capacity;

	if (header->pd_special != BLCKSZ - sizeof(XmhashOpaque) || opaque->kind != XMHASH_PAGE_PENDING ||
		opaque->owner != tail->number || opaque->nonce != XmhashPageNonce(tail->nonce) ||
		opaque->number > HAMMING_MAX_BITS)
		return STALE;
	xmhash_format_set_bits(&format, opaque->number);
	capacity = xmhash_page_rows(&format, XMHASH_PAGE_PENDING);
	if (opaque->count > capacity ||
		header->pd_lower != XmhashPageHeaderSize + opaque->count * xmhash_row_lower(&format, XMHASH_PAGE_PENDING) ||
		header->pd_upper != header->pd_special - opaque->count * xmhash_row_upper(&format, XMHASH_PAGE_PENDING))
		return STALE;
	if ((opaque->flags & XMHASH_PENDING_SEALED) || opaque->count == capacity ||
		(entry->code != NULL && entry->format.bits != opaque->number))
		return FULL;
	return APPENDED;
}

/*
 * Log an appended entry.  GenericXLog would find out what has changed by
 * comparing the whole page byte by byte, which took 60 % of the time of a bulk
 * insertion; here it is known.  So its record is made by hand, in what is a
 * private format of core's: for each changed range its offset and length as two
 * uint16, and its bytes (generic_xlog.c says so since 9.6).  Replay is core's.
 * Hence only where GENERIC_XLOG_FORMAT_KNOWN says that replay has been tested.
 * The hole is zero already, as replay leaves it: entries are only ever appended
 * to a page that began zeroed.
 */
typedef struct Delta
{
	int			bytes;
	char		data[4 * 2 * sizeof(uint16) + HAMMING_MAX_BITS / 8 + XMHASH_SLOT_SIZE(XMHASH_MAX_COLUMNS) + 64];
} Delta;

static void
insert_note_range(Delta *delta, Page page, const void *start, int bytes)
{
	uint16		range[2] = {(const char *) start - (const char *) page, bytes};

	Assert(delta->bytes + sizeof(range) + bytes <= sizeof(delta->data));
	memcpy(delta->data + delta->bytes, range, sizeof(range));
	memcpy(delta->data + delta->bytes + sizeof(range), start, bytes);
	delta->bytes += sizeof(range) + bytes;
}

static void
insert_append_logged(Relation index, Buffer buffer, const Entry *entry)
{
	Page		page = BufferGetPage(buffer);
	PageHeader	header = (PageHeader) page;
	XmhashOpaque *opaque = XmhashPageOpaque(page);
	XmhashRowFormat format = entry->format;
	int			i = opaque->count;
	XLogRecPtr	lsn;
	Delta		delta;

	xmhash_format_set_bits(&format, opaque->number);
	START_CRIT_SECTION();
	xmhash_pending_page_add(page, &format, entry->code, entry->key, entry->tid);
	MarkBufferDirty(buffer);
	if (RelationNeedsWAL(index))
	{
		delta.bytes = 0;
		insert_note_range(&delta, page, &header->pd_lower,
						  offsetof(PageHeaderData, pd_special) - offsetof(PageHeaderData, pd_lower));
		if (format.words > 0)
			insert_note_range(&delta, page, XmhashPageCodes(page) + (Size) i * format.words,
							  format.words * sizeof(uint64));
		insert_note_range(&delta, page, XmhashPendingSlotAt(page, format.columns, i), XMHASH_SLOT_SIZE(format.columns));
		insert_note_range(&delta, page, &opaque->checksum, sizeof(opaque->checksum) + sizeof(opaque->count));

		XLogBeginInsert();
		XLogRegisterBuffer(0, buffer, REGBUF_STANDARD);
		XLogRegisterBufData(0, delta.data, delta.bytes);
		lsn = XLogInsert(RM_GENERIC_ID, 0);
		PageSetLSN(page, lsn);
	}
	END_CRIT_SECTION();
}

/* The same by the documented calls. */
static void
insert_append_generic(Relation index, Buffer buffer, const Entry *entry)
{
	GenericXLogState *state = GenericXLogStart(index);
	Page		page = GenericXLogRegisterBuffer(state, buffer, 0);
	XmhashRowFormat format = entry->format;

	xmhash_format_set_bits(&format, XmhashPageOpaque(page)->number);
	xmhash_pending_page_add(page, &format, entry->code, entry->key, entry->tid);
	GenericXLogFinish(state);
}

static AppendResult
insert_append_to_tail(Relation index, const Tail *tail, const Entry *entry)
{
	Buffer		buffer;
	AppendResult result;

	if (tail->number == 0)
		return FULL;
	buffer = ReadBuffer(index, tail->block);
	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	result = insert_page_takes(BufferGetPage(buffer), tail, entry);
	if (result == APPENDED && GENERIC_XLOG_FORMAT_KNOWN)
		insert_append_logged(index, buffer, entry);
	else if (result == APPENDED)
		insert_append_generic(index, buffer, entry);
	UnlockReleaseBuffer(buffer);
	return result;
}

static void
insert_read_tail(const XmhashMeta *meta, Tail *tail)
{
	const XmhashExtent *last;

	tail->nonce = meta->nonce;
	tail->number = 0;
	if (meta->pending_pages == 0)
		return;
	last = &meta->pending[meta->pending_extents - 1];
	tail->number = meta->pending_first + meta->pending_pages - 1;
	tail->block = last->start + last->count - 1;
}

/*
 * Give the pending list one more page, from the preallocated blocks or from the end of the
 * index.  False: that would be one extent more than the meta page can name.
 */
static bool
insert_grow_list(XmhashMeta *meta, BlockNumber *block)
{
	XmhashExtent *last = meta->pending_extents > 0 ? &meta->pending[meta->pending_extents - 1] : NULL;
	bool		is_preallocated = meta->preallocated.count > 0;

	*block = is_preallocated ? meta->preallocated.start : meta->end;
	if (last != NULL && last->start + last->count == *block)
		last->count++;
	else if (meta->pending_extents < XMHASH_PENDING_EXTENTS)
	{
		meta->pending[meta->pending_extents].start = *block;
		meta->pending[meta->pending_extents++].count = 1;
	}
	else
		return false;
	if (is_preallocated)
	{
		meta->preallocated.start++;
		meta->preallocated.count--;
	}
	else
		meta->end++;
	meta->pending_pages++;
	return true;
}

/*
 * A page from before the first code cannot hold codes.  If it is not full when
 * the next page is linked, the same record seals it: a flush takes unsealed pages
 * other than the last for full, so no NULL may be added to it any more.
 */
static Buffer
insert_seal_tail(Relation index, GenericXLogState *state, const Tail *tail)
{
	Buffer		buffer = ReadBuffer(index, tail->block);
	Page		page;

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	page = GenericXLogRegisterBuffer(state, buffer, 0);
	XmhashPageOpaque(page)->flags |= XMHASH_PENDING_SEALED;
	return buffer;
}

/*
 * Under the meta page's exclusive lock: if the tail is not the one tried, say
 * so in `tail` and return true.  Else append a new page with the entry: *pages
 * is the length of the list, 0 when it could not take another extent.
 */
static bool
insert_append_page(Relation index, Tail *tail, AppendResult tried, const Entry *entry, uint32 *pages)
{
	Buffer		meta_buffer = xmhash_meta_buffer(index, BUFFER_LOCK_EXCLUSIVE);
	XmhashMeta *meta = XmhashPageMeta(BufferGetPage(meta_buffer));
	GenericXLogState *state;
	Page		meta_page,
				page;
	Buffer		buffer;
	Buffer		sealed = InvalidBuffer;
	BlockNumber block;
	XmhashRowFormat format = entry->format;
	Tail		now;

	insert_read_tail(meta, &now);
	if (now.number != tail->number || now.nonce != tail->nonce)
	{
		*tail = now;
		UnlockReleaseBuffer(meta_buffer);
		return true;
	}
	if (tried == STALE)
		xmhash_damaged(index, tail->block, "It is not page " UINT64_FORMAT " of the pending list.", tail->number);
	if (entry->code != NULL && meta->bits != 0 && meta->bits != entry->format.bits)
		xmhash_wrong_length(index, entry->format.bits, meta->bits);

	state = GenericXLogStart(index);
	meta_page = GenericXLogRegisterBuffer(state, meta_buffer, 0);
	meta = XmhashPageMeta(meta_page);
	if (!insert_grow_list(meta, &block))
	{
		GenericXLogAbort(state);
		UnlockReleaseBuffer(meta_buffer);
		*pages = 0;
		return false;
	}
	if (entry->code != NULL && meta->bits == 0)
	{
		meta->bits = entry->format.bits;
		if (tail->number != 0)
			sealed = insert_seal_tail(index, state, tail);
	}
	xmhash_page_set_checksum(meta_page);
	insert_read_tail(meta, tail);
	*pages = meta->pending_pages;

	xmhash_extend(index, block + 1);
	buffer = xmhash_new_buffer(index, block);
	page = GenericXLogRegisterBuffer(state, buffer, GENERIC_XLOG_FULL_IMAGE);
	xmhash_page_init(page, XMHASH_PAGE_PENDING, tail->number, meta->nonce, meta->bits);
	xmhash_format_set_bits(&format, meta->bits);
	xmhash_pending_page_add(page, &format, entry->code, entry->key, entry->tid);
	GenericXLogFinish(state);
	UnlockReleaseBuffer(buffer);
	if (BufferIsValid(sealed))
		UnlockReleaseBuffer(sealed);
	UnlockReleaseBuffer(meta_buffer);
	return false;
}

/*
 * The list is over its limit: flush it, unless somebody else does.  Or it cannot
 * grow: then wait for them.  Nothing may stay in the caller's memory, which may be
 * that of a whole COPY.
 */
static void
insert_flush(Relation index, bool wait)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "xmhash flush", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	if (xmhash_flush(index, wait, NULL))
		xmhash_merge_small(index, false);
	else
	{
		/* With too many segments to add one, a merge makes a place for it. */
		xmhash_merge_small(index, wait);
		xmhash_flush(index, wait, NULL);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* An invalidation may throw away rd_amcache: so fetch it, and put it back. */
static void
insert_recall_tail(Relation index, Tail *tail)
{
	if (index->rd_amcache != NULL)
		*tail = *(Tail *) index->rd_amcache;
	else
		memset(tail, 0, sizeof(Tail));
}

static void
insert_remember_tail(Relation index, const Tail *tail)
{
	if (index->rd_amcache == NULL)
		index->rd_amcache = MemoryContextAlloc(index->rd_indexcxt, sizeof(Tail));
	*(Tail *) index->rd_amcache = *tail;
}

static void
insert_entry(Relation index, const Entry *entry)
{
	Tail		tail;
	uint32		pages = 0;

	insert_recall_tail(index, &tail);
	for (;;)
	{
		AppendResult result = insert_append_to_tail(index, &tail, entry);

		if (result == APPENDED)
			return;
		if (!insert_append_page(index, &tail, result, entry, &pages))
		{
			if (pages > 0)
				break;
			insert_flush(index, true);
		}
		insert_remember_tail(index, &tail);
		CHECK_FOR_INTERRUPTS();
	}
	insert_remember_tail(index, &tail);
	if (pages > xmhash_pending_limit_pages(index))
		insert_flush(index, false);
}

bool
xmhash_insert(Relation index, Datum *values, bool *isnull, ItemPointer tid, Relation heap,
			  IndexUniqueCheck check_unique, bool index_unchanged, IndexInfo *info)
{
	uint64		words[HAMMING_WORDS(HAMMING_MAX_BITS)];
	Entry		entry = {.tid = tid};

	xmhash_row_format(index, 0, &entry.format);
	xmhash_row_keys(index, values, isnull, entry.key);

	if (!isnull[0])
	{
		Bitcode    *code = DatumGetBitcodeP(values[0]);

		bitcode_check_length(BITCODE_BITS(code), NULL);
		xmhash_format_set_bits(&entry.format, BITCODE_BITS(code));
		entry.code = words;
		bitcode_to_words(code, words);
		if ((Pointer) code != DatumGetPointer(values[0]))
			pfree(code);
	}
	insert_entry(index, &entry);
	return false;
}

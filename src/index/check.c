/*
 * index/check.c: xmhash_index_check(): verify all that the index relies on.
 *
 * It reads as a scan does, one snapshot of the index under an MVCC snapshot that keeps
 * its pages as they are, but for rows that VACUUM removes; so nobody waits for
 * it, however long it takes.  It checks, in this order, that the meta page and the
 * catalogue can be read, that every block belongs to one thing only, that every
 * page is what it should be with the right checksum, that every code lies within
 * the distances of the directory, and that counts add up.  On request it checks
 * that no row is there twice, and that each row that the MVCC snapshot sees is
 * there with its code.
 */
#include "postgres.h"

#include "index/check.h"
#include "index/storage.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "bitcode/bitcode.h"
#include "common/hashfn.h"
#include "core/search.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

typedef struct Check
{
	Relation	index;
	IndexSnapshot *snapshot;
	BufferAccessStrategy strategy;
	PGAlignedBlock *copy;		/* of the page at hand */
	BlockNumber block;			/* its block */
	XmhashDirectory *directory; /* of the segment at hand, or NULL */
	uint32		span;			/* first one not before the page at hand */
	uint64		rows;			/* found in the segment at hand */
	uint64		nulls;
	uint64		digest;			/* of its rows, in any order */
	int64		keys[XMHASH_MAX_COLUMNS];	/* of the row at hand */
	Tuplesortstate *entries;	/* row keys of the index, or NULL */
} Check;

/* What a block was found to be used for. */
typedef struct Use
{
	XmhashExtent extent;
	const char *what;
} Use;

typedef struct UseList
{
	Use		   *use;
	int			count;
	int			capacity;
} UseList;

static void
check_note_use(UseList *list, BlockNumber start, uint32 count, const char *what)
{
	if (count == 0)
		return;
	if (list->count == list->capacity)
	{
		list->capacity = Max(64, 2 * list->capacity);
		list->use = list->use == NULL ? palloc(list->capacity * sizeof(Use)) :
			repalloc(list->use, list->capacity * sizeof(Use));
	}
	list->use[list->count].extent.start = start;
	list->use[list->count].extent.count = count;
	list->use[list->count++].what = what;
}

static int
check_compare_uses(const void *a, const void *b)
{
	BlockNumber x = ((const Use *) a)->extent.start;
	BlockNumber y = ((const Use *) b)->extent.start;

	return x < y ? -1 : x > y;
}

/* No block may be in use twice.  One that is in no use is merely wasted. */
static void
check_uses(Relation index, UseList *list, BlockNumber end)
{
	qsort(list->use, list->count, sizeof(Use), check_compare_uses);
	for (int i = 0; i < list->count; i++)
	{
		const Use  *use = &list->use[i];

		if (use->extent.start >= end || use->extent.count > end - use->extent.start)
			xmhash_damaged(index, use->extent.start, "Its use, %s, leaves the %u blocks of the index.",
						   use->what, end);
		if (i > 0 && use->extent.start < use[-1].extent.start + use[-1].extent.count)
			xmhash_damaged(index, use->extent.start, "It is in use twice: %s and %s.", use[-1].what, use->what);
	}
}

/*
 * Read the snapshot, and a meta page that belongs to it.  Pending list,
 * preallocated blocks and the end of the index change while rows are inserted, so
 * they are all taken from this one copy.
 */
static XmhashMeta *
check_read_snapshot(Relation index, IndexSnapshot *snapshot)
{
	XmhashMeta *meta = palloc(sizeof(XmhashMeta));

	for (;;)
	{
		Buffer		buffer;

		CHECK_FOR_INTERRUPTS();
		xmhash_snapshot_read(index, snapshot);
		buffer = xmhash_meta_buffer(index, BUFFER_LOCK_SHARE);
		memcpy(meta, XmhashPageMeta(BufferGetPage(buffer)), sizeof(XmhashMeta));
		UnlockReleaseBuffer(buffer);
		if (meta->nonce == snapshot->nonce && meta->catalogue_version == snapshot->version)
			return meta;
	}
}

/*
 * Reservations are not looked at: their blocks are in no list, or, until the
 * next change of the catalogue, in that of free extents.
 */
static void
check_blocks(Check *check)
{
	XmhashMeta *meta = check_read_snapshot(check->index, check->snapshot);
	const IndexSnapshot *snapshot = check->snapshot;
	UseList		list = {0};

	check_note_use(&list, XMHASH_META_BLOCK, 1, "meta page");
	for (int i = 0; i < snapshot->extents; i++)
		check_note_use(&list, snapshot->extent[i].start, snapshot->extent[i].count, "segment");
	for (int i = 0; i < snapshot->free_extents; i++)
		check_note_use(&list, snapshot->free_extent[i].extent.start, snapshot->free_extent[i].extent.count, "free extent");
	for (int i = 0; i < meta->pending_extents; i++)
		check_note_use(&list, meta->pending[i].start, meta->pending[i].count, "pending list");
	check_note_use(&list, meta->preallocated.start, meta->preallocated.count, "preallocated for the pending list");
	for (int set = 0; set < 2; set++)
		for (int i = 0; i < meta->catalogue_blocks[set]; i++)
			check_note_use(&list, meta->catalogue[set][i], 1, "catalogue");
	check_uses(check->index, &list, meta->end);
	pfree(meta);
}

/* Copy a page and check its form and checksum. */
static Page
check_load_page(Check *check, BlockNumber block, XmhashPageKind kind, uint64 owner, uint32 number)
{
	Buffer		buffer;

	CHECK_FOR_INTERRUPTS();
	if (block >= RelationGetNumberOfBlocks(check->index))
		xmhash_damaged(check->index, block, "The file ends before it.");
	buffer = ReadBufferExtended(check->index, MAIN_FORKNUM, block, RBM_NORMAL, check->strategy);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	check->block = block;
	if (!xmhash_page_usable(check->index, check->snapshot, buffer, kind, owner, number))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("index \"%s\" was changed while it was checked", RelationGetRelationName(check->index)),
				 errhint("Retry the check.")));
	memcpy(check->copy->data, BufferGetPage(buffer), BLCKSZ);
	UnlockReleaseBuffer(buffer);
	if (!xmhash_page_checksum_agrees(check->copy->data))
		xmhash_damaged(check->index, block, "The checksum of the page is wrong.");
	return check->copy->data;
}

static void
check_tid(Check *check, ItemPointer tid)
{
	if (!ItemPointerIsValid(tid))
		xmhash_damaged(check->index, check->block, "An entry points to the invalid row (%u,%u).",
					   ItemPointerGetBlockNumberNoCheck(tid), ItemPointerGetOffsetNumberNoCheck(tid));
}

/* Searches rely on the bits beyond the code's length being zero. */
static void
check_padding(Check *check, const uint64 *code, int bits)
{
	int			bytes = (bits + 7) / 8;
	const uint8 *byte = (const uint8 *) code;
	bool		zero = bits % 8 == 0 || (byte[bytes - 1] & (0xFF >> bits % 8)) == 0;

	for (int i = bytes; i < HAMMING_WORDS(bits) * (int) sizeof(uint64); i++)
		zero &= byte[i] == 0;
	if (!zero)
		xmhash_damaged(check->index, check->block, "A code has bits beyond its length %d.", bits);
}

/*
 * Each code is filed under its nearest centre, the first of equals, and lies
 * within that centre's span of the page: a scan for equality looks only there.
 */
static void
check_spans(Check *check, uint32 number, const uint64 *code, uint32 first, uint32 end)
{
	const XmhashDirectory *directory = check->directory;
	uint16		distance;
	int			nearest = hamming_kernels->nearest(code, directory->centre, directory->words,
												   directory->centres, &distance);

	for (uint32 i = first; i < end; i++)
	{
		const Span *span = &directory->span[i];

		if (span->centre == nearest && distance >= span->min && distance <= span->max)
			return;
	}
	xmhash_damaged(check->index, check->block,
				   "A code on data page %u is at distance %d from its nearest centre %d, which the directory does not have there.",
				   number, distance, nearest);
}

/* A number for a row, its code and its keys; sums of them are equal if the rows are. */
static uint64
check_row_digest(const CheckRow *entry)
{
	uint64		row = check_row_number(entry->tid);

	if (entry->columns > 0)
		row = hash_bytes_extended((const unsigned char *) entry->keys, entry->columns * sizeof(int64), row);
	return hash_bytes_extended((const unsigned char *) entry->code, entry->words * sizeof(uint64), row);
}

static void
check_add_entry(Check *check, const CheckRow *entry)
{
	check_tid(check, entry->tid);
	if (check->entries != NULL)
		check_add_key(check->entries, entry);
}

/* Row i of a page of data, NULLs or a band; its keys in check->keys. */
static CheckRow
check_page_row(Check *check, Page page, int i)
{
	const XmhashRowFormat *format = &check->snapshot->format;
	int			words = xmhash_page_words(format, XmhashPageOpaque(page)->kind);
	CheckRow	row = {&XmhashPageTid(page, i), XmhashPageCodes(page) + (Size) i * words, words,
	check->keys, format->columns};

	for (int c = 0; c < format->columns; c++)
		check->keys[c] = key_at(xmhash_page_keys(page, format, c), XmhashKeyIsWide(format, c), i);
	if (words == 0)
		row.code = NULL;
	return row;
}

/* A scan does not read the page for keys outside of its range. */
static void
check_ranges(Check *check, uint32 number)
{
	const XmhashDirectory *directory = check->directory;

	for (int c = 0; c < directory->columns; c++)
	{
		const XmhashKeyRange *range = &directory->range[(Size) number * directory->columns + c];

		if (check->keys[c] < range->least || check->keys[c] > range->greatest)
			xmhash_damaged(check->index, check->block,
						   "Data page %u has key " INT64_FORMAT " in filter column %d, the directory says " INT64_FORMAT " to " INT64_FORMAT ".",
						   number, check->keys[c], c + 1, range->least, range->greatest);
	}
}

static void
check_data_page(Check *check, const XmhashSegment *segment, uint32 number)
{
	Page		page = check_load_page(check, xmhash_segment_block(check->snapshot, segment, number),
									   XMHASH_PAGE_DATA, segment->id, number);
	uint32		first = check->span;
	uint32		end;

	while (check->directory != NULL && first < check->directory->spans &&
		   check->directory->span[first].page < number)
		first++;
	end = first;
	while (check->directory != NULL && end < check->directory->spans &&
		   check->directory->span[end].page == number)
		end++;
	check->span = end;
	for (int i = 0; i < XmhashPageOpaque(page)->count; i++)
	{
		CheckRow	row = check_page_row(check, page, i);

		check_padding(check, row.code, check->snapshot->format.bits);
		if (check->directory != NULL)
		{
			check_spans(check, number, row.code, first, end);
			check_ranges(check, number);
		}
		check_add_entry(check, &row);
		check->digest += check_row_digest(&row);
	}
	check->rows += XmhashPageOpaque(page)->count;
}

/*
 * A page of a band's run: its values lie between its first and the next page's.
 * Rows and digest go to the run's own sums.
 */
static void
check_band_page(Check *check, const XmhashSegment *segment, uint32 band, uint32 i,
				uint64 *rows, uint64 *digest)
{
	const uint16 *first = check->directory->band_first + band * segment->band_pages;
	uint32		number = segment->data_pages + band * segment->band_pages + i;
	Page		page = check_load_page(check, xmhash_segment_block(check->snapshot, segment, number),
									   XMHASH_PAGE_BAND, segment->id, number);
	int			count = XmhashPageOpaque(page)->count;

	for (int n = 0; n < count; n++)
	{
		CheckRow	row = check_page_row(check, page, n);
		int			value = band_value(row.code, check->snapshot->format.bits, segment->bands, band);

		if (value < first[i] || (i + 1 < segment->band_pages && value > first[i + 1]))
			xmhash_damaged(check->index, check->block,
						   "A code's value in band %u is %d, the directory says %u to %d.", band, value,
						   first[i], i + 1 < segment->band_pages ? first[i + 1] : PG_UINT16_MAX);
		check_tid(check, row.tid);
		*digest += check_row_digest(&row);
	}
	*rows += count;
}

/*
 * Each run has the rows of the data pages; else *band is the first that has
 * not.  Only a VACUUM that was cancelled may have left more in it, of dead
 * rows; then its digest says nothing.
 */
static bool
check_bands_agree(Check *check, const XmhashSegment *segment, uint32 *band)
{
	for (*band = 0; *band < segment->bands; (*band)++)
	{
		uint64		rows = 0;
		uint64		digest = 0;

		for (uint32 i = 0; i < segment->band_pages; i++)
			check_band_page(check, segment, *band, i, &rows, &digest);
		if (rows < check->rows || (rows == check->rows && digest != check->digest))
			return false;
	}
	return true;
}

/* Rows and digest of the data pages as they are now. */
static void
check_sum_data_pages(Check *check, const XmhashSegment *segment)
{
	check->rows = check->digest = 0;
	for (uint32 n = 0; n < segment->data_pages; n++)
	{
		Page		page = check_load_page(check, xmhash_segment_block(check->snapshot, segment, n),
										   XMHASH_PAGE_DATA, segment->id, n);
		int			count = XmhashPageOpaque(page)->count;

		for (int i = 0; i < count; i++)
		{
			CheckRow	row = check_page_row(check, page, i);

			check->digest += check_row_digest(&row);
		}
		check->rows += count;
	}
}

/*
 * A VACUUM may have been here between the data pages and a band's.  So what
 * looks wrong is compared once more, under the lock that keeps VACUUM away.
 */
static void
check_bands(Check *check, const XmhashSegment *segment)
{
	uint64		rows = check->rows;
	uint32		band;
	bool		agree;

	if (check_bands_agree(check, segment, &band))
		return;
	xmhash_lock_page(check->index, XMHASH_MERGE_LOCK);
	check_sum_data_pages(check, segment);
	agree = check_bands_agree(check, segment, &band);
	UnlockPage(check->index, XMHASH_MERGE_LOCK, ExclusiveLock);
	if (!agree)
		xmhash_damaged(check->index,
					   xmhash_segment_block(check->snapshot, segment, segment->data_pages + band * segment->band_pages),
					   "The run of band %u that begins here has other rows than the data pages.", band);
	check->rows = rows;
}

static void
check_null_page(Check *check, const XmhashSegment *segment, uint32 number)
{
	Page		page = check_load_page(check, xmhash_segment_block(check->snapshot, segment, number),
									   XMHASH_PAGE_NULLS, segment->id, number);

	for (int i = 0; i < XmhashPageOpaque(page)->count; i++)
	{
		CheckRow	row = check_page_row(check, page, i);

		check_add_entry(check, &row);
	}
	check->nulls += XmhashPageOpaque(page)->count;
}

/*
 * A VACUUM that was cancelled may have removed more rows than it could tell
 * the catalogue, never fewer.
 */
static void
check_segment_pages(Check *check, const XmhashSegment *segment)
{
	uint64		live = segment->rows + segment->nulls - segment->removed;

	check->rows = check->nulls = check->digest = 0;
	check->span = 0;
	check->directory = NULL;
	if (segment->centres > 0)
		check->directory = xmhash_directory_read(check->index, check->snapshot, segment);
	for (uint32 n = 0; n < segment->data_pages; n++)
		check_data_page(check, segment, n);
	check_bands(check, segment);
	for (uint32 n = 0; n < segment->null_pages; n++)
		check_null_page(check, segment, XmhashFirstNull(segment) + n);
	if (check->rows + check->nulls > live)
		xmhash_damaged(check->index, xmhash_segment_block(check->snapshot, segment, 0),
					   "Segment " UINT64_FORMAT " has " UINT64_FORMAT " rows, the catalogue says " UINT64_FORMAT ".",
					   segment->id, check->rows + check->nulls, live);
}

/* A pending page has 8 bytes for each key; of a column of 4 a key fits those. */
static void
check_pending_keys(Check *check, const XmhashPendingSlot *slot, int entry)
{
	const XmhashRowFormat *format = &check->snapshot->format;

	for (int c = 0; c < format->columns; c++)
		if (!XmhashKeyIsWide(format, c) && (slot->key[c] < KEY_MIN(false) || slot->key[c] > KEY_NULL(false)))
			xmhash_damaged(check->index, check->block,
						   "Entry %d of the pending page has key " INT64_FORMAT " in filter column %d, whose keys have 4 bytes.",
						   entry, slot->key[c], c + 1);
}

static void
check_pending_page(Check *check, uint32 i)
{
	Page		page = check_load_page(check, xmhash_pending_block(check->snapshot, i), XMHASH_PAGE_PENDING,
									   check->snapshot->pending_first + i, 0);
	int			bits = XmhashPageOpaque(page)->number;
	int			words = HAMMING_WORDS(bits);
	XmhashRowFormat format = check->snapshot->format;

	xmhash_format_set_bits(&format, bits);
	if (i + 1 < check->snapshot->pending_pages &&
		XmhashPageOpaque(page)->count < xmhash_page_rows(&format, XMHASH_PAGE_PENDING) &&
		(XmhashPageOpaque(page)->flags & XMHASH_PENDING_SEALED) == 0)
		xmhash_damaged(check->index, check->block, "The pending page has successors, but is neither full nor sealed.");
	for (int j = 0; j < XmhashPageOpaque(page)->count; j++)
	{
		XmhashPendingSlot *slot = XmhashPendingSlotAt(page, format.columns, j);
		const uint64 *code = XmhashPageCodes(page) + (Size) j * words;
		bool		null = (slot->flags & XMHASH_SLOT_NULL) != 0;

		if (slot->flags > XMHASH_SLOT_NULL || (bits == 0 && !null))
			xmhash_damaged(check->index, check->block, "Entry %d of the pending page has flags %u and %d bits.",
						   j, slot->flags, bits);
		check_padding(check, code, bits);
		check_pending_keys(check, slot, j);
		check_add_entry(check, &(CheckRow) {&slot->tid, null ? NULL : code, words, slot->key, format.columns});
	}
}

static void
check_structure(Check *check)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "xmhash check", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	/* The pending list first: src/README.md says why no row is met twice. */
	for (uint32 i = 0; i < check->snapshot->pending_pages; i++)
		check_pending_page(check, i);
	for (int i = 0; i < check->snapshot->segments; i++)
	{
		check_segment_pages(check, &check->snapshot->segment[i]);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

void
xmhash_check(Relation heap, Relation index, bool heapallindexed)
{
	Snapshot	snapshot = RegisterSnapshot(GetTransactionSnapshot());
	Check		check = {.index = index, .copy = palloc(sizeof(PGAlignedBlock)),
	.strategy = GetAccessStrategy(BAS_BULKREAD)};

	if (heapallindexed)
	{
		/* An index may be newer than what an old snapshot wants to see. */
		if (IsolationUsesXactSnapshot() && index->rd_index->indcheckxmin &&
			!TransactionIdPrecedes(HeapTupleHeaderGetXmin(index->rd_indextuple->t_data), snapshot->xmin))
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("index \"%s\" cannot be checked against the transaction's snapshot",
							RelationGetRelationName(index))));
		check.entries = check_begin_keys();
	}
	check.snapshot = xmhash_snapshot_create(CurrentMemoryContext);
	check_blocks(&check);
	check_structure(&check);
	if (heapallindexed)
	{
		check_heap(heap, index, snapshot, check.entries);
		tuplesort_end(check.entries);
	}
	UnregisterSnapshot(snapshot);
}

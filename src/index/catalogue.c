/*
 * index/catalogue.c: reading the catalogue, and replacing it by a new one in
 * one atomic step.
 *
 * The catalogue lies on pages of its own, in two sets that take turns.  A
 * change is made under the exclusive lock of the meta page: read the current
 * catalogue, make the new one, write it into the set not in use, and switch in
 * the record that changes the meta page.  A crash before that record leaves
 * the old state, after it the new one.
 *
 * The list of free extents is not kept up but computed at every change: it is
 * what nothing else uses.  So blocks cannot get lost: what a crash or a cancel
 * left behind turns up there.  Known free extents keep their stamps, everything
 * newly free gets the present one.
 */
#include "postgres.h"

#include "access/xact.h"
#include "index/storage.h"

#include "miscadmin.h"
#include "utils/memutils.h"

/* Bytes of a catalogue; compare before use: counts may come from disk. */
static uint64
catalogue_size(uint64 segments, uint64 extents, uint64 free_extents)
{
	return sizeof(XmhashCatalogueHead) + segments * sizeof(XmhashSegment) +
		extents * sizeof(XmhashExtent) + free_extents * sizeof(XmhashFreeExtent);
}

static void
check_segment(Relation index, BlockNumber block, const IndexSnapshot *snapshot, const XmhashSegment *segment)
{
	uint64		pages = 0;

	if ((uint64) segment->first_extent + segment->extents > snapshot->extents || segment->id == 0)
		xmhash_damaged(index, block, "The catalogue entry of a segment is out of range.");
	for (int i = 0; i < segment->extents; i++)
	{
		const XmhashExtent *extent = &snapshot->extent[segment->first_extent + i];

		pages += extent->count;
		if (extent->start == XMHASH_META_BLOCK || (uint64) extent->start + extent->count > snapshot->end)
			xmhash_damaged(index, block, "Segment " UINT64_FORMAT " leaves the %u blocks of the index.",
						   segment->id, snapshot->end);
	}
	if (segment->bands > XMHASH_MAX_BANDS ||
		pages != (uint64) segment->data_pages + (uint64) segment->bands * segment->band_pages +
		segment->null_pages + segment->directory_pages)
		xmhash_damaged(index, block, "Segment " UINT64_FORMAT " has %u pages, its extents " UINT64_FORMAT ".",
					   segment->id, XmhashSegmentPages(segment), pages);
	if ((segment->data_pages > 0 && snapshot->words == 0) ||
		segment->rows > (uint64) segment->data_pages * XMHASH_DATA_CAPACITY(snapshot->words) ||
		segment->nulls > (uint64) segment->null_pages * XMHASH_NULLS_CAPACITY ||
		segment->removed > segment->rows + segment->nulls ||
		segment->removed_nulls > Min(segment->removed, segment->nulls) ||
		segment->centres > segment->spans || (segment->bands > 0 && segment->centres == 0) ||
		(segment->bands > 0 && segment->rows > (uint64) segment->band_pages * XMHASH_DATA_CAPACITY(snapshot->words)) ||
		XmhashDirectoryBytes(segment, snapshot->words) > (uint64) segment->directory_pages * XMHASH_BLOB_CAPACITY)
		xmhash_damaged(index, block, "Segment " UINT64_FORMAT " has counts that its pages cannot hold.", segment->id);
}

/* Take a catalogue's stream apart into the view. */
static void
decode_catalogue(Relation index, BlockNumber block, IndexSnapshot *snapshot, const char *data, uint32 bytes)
{
	XmhashCatalogueHead head = {0};

	if (bytes > 0)
		memcpy(&head, data, sizeof(head));
	if (head.segments > XMHASH_MAX_SEGMENTS ||
		(bytes > 0 && bytes != catalogue_size(head.segments, head.extents, head.free_extents)))
		xmhash_damaged(index, block, "The catalogue has %u bytes for %u segments, %u extents, %u free extents.",
					   bytes, head.segments, head.extents, head.free_extents);
	if (snapshot->segment != NULL)
		pfree(snapshot->segment);
	snapshot->segment = NULL;
	/* One allocation for the three arrays; their elements need 8 bytes each. */
	snapshot->segment = MemoryContextAlloc(snapshot->context, bytes + 1);
	if (bytes > 0)
		memcpy(snapshot->segment, data + sizeof(head), bytes - sizeof(head));
	snapshot->segments = head.segments;
	snapshot->extent = (XmhashExtent *) (snapshot->segment + head.segments);
	snapshot->extents = head.extents;
	snapshot->free_extent = (XmhashFreeExtent *) (snapshot->extent + head.extents);
	snapshot->free_extents = head.free_extents;
	for (int i = 0; i < snapshot->segments; i++)
		check_segment(index, block, snapshot, &snapshot->segment[i]);
}

/* One page of the catalogue into `to`; false: it is of another version. */
static bool
read_catalogue_page(Relation index, const XmhashMeta *meta, int number, char *to, int bytes)
{
	BlockNumber block = meta->catalogue[meta->catalogue_set][number];
	Buffer		buffer = ReadBuffer(index, block);
	Page		page = BufferGetPage(buffer);
	PageHeader	header = (PageHeader) page;
	XmhashOpaque *opaque = XmhashPageOpaque(page);
	bool		ours,
				sound;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	ours = header->pd_special == BLCKSZ - sizeof(XmhashOpaque) &&
		opaque->kind == XMHASH_PAGE_CATALOGUE && opaque->owner == meta->catalogue_version &&
		opaque->nonce == XmhashPageNonce(meta->nonce) && opaque->number == number;
	sound = ours && header->pd_upper == header->pd_special && opaque->count == bytes &&
		header->pd_lower == XmhashPageHeaderSize + bytes && xmhash_page_checksum_agrees(page);
	if (sound)
		memcpy(to, PageGetContents(page), bytes);
	UnlockReleaseBuffer(buffer);
	if (ours && !sound)
		xmhash_damaged(index, block, "The catalogue page has a wrong size or checksum.");
	return ours;
}

/*
 * Read the catalogue that the copy of the meta page names into the view; false
 * if it has been replaced meanwhile.  Only the view's catalogue part changes.
 */
bool
xmhash_catalogue_read(Relation index, const XmhashMeta *meta, IndexSnapshot *snapshot)
{
	uint32		bytes = meta->catalogue_version == 0 ? 0 : meta->catalogue_bytes;
	/* Doubles and pointers of a stream need alignment: palloc's is enough. */
	char	   *data = palloc(bytes + 1);

	for (int i = 0; (uint32) i * XMHASH_BLOB_CAPACITY < bytes; i++)
	{
		uint32		done = i * XMHASH_BLOB_CAPACITY;

		if (!read_catalogue_page(index, meta, i, data + done, Min(bytes - done, XMHASH_BLOB_CAPACITY)))
		{
			pfree(data);
			return false;
		}
	}
	snapshot->bits = meta->bits;
	snapshot->words = HAMMING_WORDS(meta->bits);
	snapshot->bands = meta->bands;
	snapshot->end = meta->end;
	decode_catalogue(index, meta->catalogue[meta->catalogue_set][0], snapshot, data, bytes);
	snapshot->nonce = meta->nonce;
	snapshot->version = meta->catalogue_version;
	pfree(data);
	return true;
}

/* The pages skip … skip + pages - 1 of a list of extents, as a list of its own. */
XmhashExtent *
xmhash_extents_cut(const XmhashExtent *extent, int extents, uint32 skip, uint32 pages, int *count)
{
	XmhashExtent *cut = palloc(sizeof(XmhashExtent) * (extents + 1));

	*count = 0;
	for (int i = 0; i < extents && pages > 0; i++)
	{
		uint32		lost = Min(skip, extent[i].count);
		uint32		taken = Min(pages, extent[i].count - lost);

		skip -= lost;
		pages -= taken;
		if (taken == 0)
			continue;
		cut[*count].start = extent[i].start + lost;
		cut[(*count)++].count = taken;
	}
	return cut;
}

/* A growing list of extents with stamps. */
typedef struct ExtentList
{
	XmhashFreeExtent *item;
	int			count;
	int			capacity;
} ExtentList;

static void
add_extent(ExtentList *list, BlockNumber start, uint32 count, uint64 stamp)
{
	if (count == 0)
		return;
	if (list->count == list->capacity)
	{
		list->capacity = Max(64, list->capacity * 2);
		list->item = list->item == NULL ? palloc(list->capacity * sizeof(XmhashFreeExtent)) :
			repalloc(list->item, list->capacity * sizeof(XmhashFreeExtent));
	}
	list->item[list->count].extent.start = start;
	list->item[list->count].extent.count = count;
	list->item[list->count++].stamp = stamp;
}

static void
add_extents(ExtentList *list, const XmhashExtent *extent, int extents, uint64 stamp)
{
	for (int i = 0; i < extents; i++)
		add_extent(list, extent[i].start, extent[i].count, stamp);
}

static int
compare_extents(const void *a, const void *b)
{
	BlockNumber x = ((const XmhashFreeExtent *) a)->extent.start;
	BlockNumber y = ((const XmhashFreeExtent *) b)->extent.start;

	return x < y ? -1 : x > y;
}

static void
sort_extents(ExtentList *list)
{
	if (list->count > 1)
		qsort(list->item, list->count, sizeof(XmhashFreeExtent), compare_extents);
}

/* Add a gap [start, end) of free blocks, with the stamps of what is known of it. */
static void
add_gap(ExtentList *free, BlockNumber start, BlockNumber end, const ExtentList *known, int *next,
		uint64 stamp)
{
	while (start < end)
	{
		const XmhashFreeExtent *item;
		BlockNumber known_end;

		while (*next < known->count &&
			   known->item[*next].extent.start + known->item[*next].extent.count <= start)
			(*next)++;
		item = *next < known->count ? &known->item[*next] : NULL;
		if (item == NULL || item->extent.start >= end)
		{
			add_extent(free, start, end - start, stamp);
			return;
		}
		if (item->extent.start > start)
		{
			add_extent(free, start, item->extent.start - start, stamp);
			start = item->extent.start;
		}
		known_end = Min(end, item->extent.start + item->extent.count);
		add_extent(free, start, known_end - start, item->stamp);
		start = known_end;
	}
}

/* Join neighbours that may be used again at once, or were freed together. */
static void
join_extents(ExtentList *list)
{
	int			kept = 0;

	for (int i = 0; i < list->count; i++)
	{
		XmhashFreeExtent *item = &list->item[i];
		XmhashFreeExtent *last = kept > 0 ? &list->item[kept - 1] : NULL;

		if (xmhash_removable(item->stamp))
			item->stamp = 0;
		if (last != NULL && last->stamp == item->stamp &&
			last->extent.start + last->extent.count == item->extent.start)
			last->extent.count += item->extent.count;
		else
			list->item[kept++] = *item;
	}
	list->count = kept;
}

/* All of [1, end) that `used` leaves, with the stamps of `known`. */
static void
find_free(Relation index, BlockNumber end, ExtentList *used, ExtentList *known, uint64 stamp,
		  ExtentList *free)
{
	BlockNumber block = XMHASH_META_BLOCK + 1;
	int			next = 0;

	sort_extents(used);
	sort_extents(known);
	for (int i = 0; i < used->count; i++)
	{
		XmhashExtent *extent = &used->item[i].extent;

		if (extent->start < block || extent->start + extent->count > end)
			xmhash_damaged(index, extent->start, "The block is in use twice, or beyond the index's end.");
		add_gap(free, block, extent->start, known, &next, stamp);
		block = extent->start + extent->count;
	}
	add_gap(free, block, end, known, &next, stamp);
	join_extents(free);
}

/* The new catalogue under way. */
typedef struct Draft
{
	XmhashSegment segment[XMHASH_MAX_SEGMENTS + 1];
	int			segments;
	XmhashExtent *extent;
	int			extents;
	ExtentList	free;
} Draft;

static void
draft_segment(Draft *draft, const XmhashSegment *segment, const XmhashExtent *extent)
{
	XmhashSegment *copy = &draft->segment[draft->segments++];

	*copy = *segment;
	copy->first_extent = draft->extents;
	memcpy(draft->extent + draft->extents, extent, segment->extents * sizeof(XmhashExtent));
	draft->extents += segment->extents;
}

static bool
is_dropped(const XmhashChange *change, uint64 id)
{
	for (int i = 0; i < change->dropped; i++)
		if (change->drop[i] == id)
			return true;
	return false;
}

/* Segments of the new catalogue; extents of those dropped go to `known`. */
static void
draft_segments(Relation index, Draft *draft, const IndexSnapshot *snapshot, const XmhashChange *change,
			   ExtentList *known, uint64 stamp)
{
	draft->extent = palloc(sizeof(XmhashExtent) *
						   (snapshot->extents + (change->add ? change->add->extents : 0) + 1));
	for (int i = 0; i < snapshot->segments; i++)
	{
		XmhashSegment segment = snapshot->segment[i];
		const XmhashExtent *extent = snapshot->extent + segment.first_extent;

		for (int j = 0; j < change->removals; j++)
			if (change->removal[j].segment == segment.id)
			{
				segment.removed = change->removal[j].removed;
				segment.removed_nulls = change->removal[j].removed_nulls;
			}
		if (is_dropped(change, segment.id) || segment.removed >= segment.rows + segment.nulls)
			add_extents(known, extent, segment.extents, stamp);
		else
			draft_segment(draft, &segment, extent);
	}
	if (change->add == NULL)
		return;
	if (draft->segments >= XMHASH_MAX_SEGMENTS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("index \"%s\" cannot have more than %d segments",
						RelationGetRelationName(index), XMHASH_MAX_SEGMENTS),
				 errhint("VACUUM the table, or call xmhash_index_merge().")));
	draft_segment(draft, change->add, change->add_extent);
}

/*
 * Is the list too long to be stored?  Then its crumbs are left out; they turn
 * up again at a later change.
 */
static void
shorten_free(Draft *draft)
{
	for (uint32 min = 2;
		 catalogue_size(draft->segments, draft->extents, draft->free.count) >
		 XMHASH_CATALOGUE_PAGES * XMHASH_BLOB_CAPACITY; min *= 2)
	{
		int			kept = 0;

		for (int i = 0; i < draft->free.count; i++)
			if (draft->free.item[i].extent.count >= min)
				draft->free.item[kept++] = draft->free.item[i];
		draft->free.count = kept;
	}
}

/* Take up to `pages` blocks that may be used at once off the free list. */
static bool
take_free(ExtentList *free, uint32 pages, XmhashExtent *taken)
{
	for (int i = 0; i < free->count; i++)
	{
		XmhashExtent *extent = &free->item[i].extent;

		if (extent->count == 0 || free->item[i].stamp != 0)
			continue;
		taken->start = extent->start;
		taken->count = Min(pages, extent->count);
		extent->start += taken->count;
		extent->count -= taken->count;
		if (extent->count == 0)
		{
			memmove(&free->item[i], &free->item[i + 1], (free->count - i - 1) * sizeof(XmhashFreeExtent));
			free->count--;
		}
		return true;
	}
	return false;
}

/* All blocks in use under the changed meta page and the new catalogue. */
static void
list_used(const XmhashMeta *meta, const Draft *draft, ExtentList *used)
{
	add_extents(used, draft->extent, draft->extents, 0);
	add_extents(used, meta->pending, meta->pending_extents, 0);
	add_extents(used, &meta->stock, 1, 0);
	for (int set = 0; set < 2; set++)
		for (int i = 0; i < meta->catalogue_blocks[set]; i++)
			add_extent(used, meta->catalogue[set][i], 1, 0);
	for (int i = 0; i < XMHASH_RESERVATIONS; i++)
		if (meta->reserved[i].segment != 0)
			add_extents(used, meta->reserved[i].extent, meta->reserved[i].extents, 0);
}

/*
 * Make the change on a copy of the meta page, but for the catalogue itself.
 * Reserved blocks that were not used have never been seen by anybody: stamp 0.
 */
static void
change_meta(XmhashMeta *meta, const XmhashChange *change, ExtentList *known, uint64 stamp)
{
	if (change->role != XMHASH_WRITER_BUILD)
	{
		XmhashReservation *reservation = &meta->reserved[change->role];

		if (change->add != NULL)
		{
			int			left;
			uint32		pages = XmhashSegmentPages(change->add);
			XmhashExtent *rest = xmhash_extents_cut(reservation->extent, reservation->extents, pages,
													PG_UINT32_MAX - pages, &left);

			add_extents(known, rest, left, 0);
		}
		memset(reservation, 0, sizeof(XmhashReservation));
	}
	if (change->pending_pages > 0)
	{
		int			dropped,
					left;
		XmhashExtent *gone = xmhash_extents_cut(meta->pending, meta->pending_extents, 0,
												change->pending_pages, &dropped);
		XmhashExtent *rest = xmhash_extents_cut(meta->pending, meta->pending_extents,
												change->pending_pages, meta->pending_pages, &left);

		add_extents(known, gone, dropped, stamp);
		memcpy(meta->pending, rest, left * sizeof(XmhashExtent));
		meta->pending_extents = left;
		meta->pending_pages -= change->pending_pages;
		meta->pending_first += change->pending_pages;
	}
}

/* Known extents must not overlap: a reserved one may be free in the old list. */
static void
add_old_free(ExtentList *known, const IndexSnapshot *snapshot)
{
	int			fresh = known->count;

	for (int i = 0; i < snapshot->free_extents; i++)
	{
		BlockNumber start = snapshot->free_extent[i].extent.start;
		BlockNumber end = start + snapshot->free_extent[i].extent.count;

		/*
		 * Cut out what is known afresh; those pieces come in ascending order.
		 * A copy of each, since the list may move when it grows.
		 */
		for (int j = 0; j < fresh; j++)
		{
			XmhashExtent other = known->item[j].extent;

			if (other.start + other.count <= start || other.start >= end)
				continue;
			if (other.start > start)
				add_extent(known, start, other.start - start, snapshot->free_extent[i].stamp);
			start = Min(end, other.start + other.count);
		}
		add_extent(known, start, end - start, snapshot->free_extent[i].stamp);
	}
}

/* Blocks for the set not in use, if it has too few for so many bytes. */
static void
allot_catalogue(XmhashMeta *meta, int set, Draft *draft)
{
	for (;;)
	{
		uint64		bytes = catalogue_size(draft->segments, draft->extents, draft->free.count);
		XmhashExtent taken;

		if (bytes <= (uint64) meta->catalogue_blocks[set] * XMHASH_BLOB_CAPACITY)
			return;
		if (!take_free(&draft->free, 1, &taken))
			taken.start = meta->end++;
		meta->catalogue[set][meta->catalogue_blocks[set]++] = taken.start;
	}
}

static char *
encode_catalogue(const Draft *draft, uint32 *bytes)
{
	XmhashCatalogueHead head = {draft->segments, draft->extents, draft->free.count, 0};
	char	   *data;
	char	   *to;

	*bytes = catalogue_size(draft->segments, draft->extents, draft->free.count);
	data = to = palloc(*bytes);
	memcpy(to, &head, sizeof(head));
	to += sizeof(head);
	memcpy(to, draft->segment, draft->segments * sizeof(XmhashSegment));
	to += draft->segments * sizeof(XmhashSegment);
	memcpy(to, draft->extent, draft->extents * sizeof(XmhashExtent));
	to += draft->extents * sizeof(XmhashExtent);
	if (draft->free.count > 0)
		memcpy(to, draft->free.item, draft->free.count * sizeof(XmhashFreeExtent));
	return data;
}

/*
 * Write the stream and switch: up to three pages a record, the meta page with
 * the last of them.
 */
static void
write_catalogue(Relation index, Buffer meta_buffer, const XmhashMeta *meta, const char *data)
{
	int			pages = (meta->catalogue_bytes + XMHASH_BLOB_CAPACITY - 1) / XMHASH_BLOB_CAPACITY;
	int			number = 0;
	bool		last;

	do
	{
		GenericXLogState *state = GenericXLogStart(index);
		Buffer		buffer[MAX_GENERIC_XLOG_PAGES - 1];
		int			buffers = 0;

		while (number < pages && buffers < MAX_GENERIC_XLOG_PAGES - 1)
		{
			uint32		done = number * XMHASH_BLOB_CAPACITY;
			Page		page;

			xmhash_extend(index, meta->catalogue[meta->catalogue_set][number] + 1);
			buffer[buffers] = xmhash_new_buffer(index, meta->catalogue[meta->catalogue_set][number]);
			page = GenericXLogRegisterBuffer(state, buffer[buffers++], GENERIC_XLOG_FULL_IMAGE);
			xmhash_page_init(page, XMHASH_PAGE_CATALOGUE, meta->catalogue_version, meta->nonce, number++);
			xmhash_blob_page_fill(page, data + done, Min(meta->catalogue_bytes - done, XMHASH_BLOB_CAPACITY));
		}
		last = number == pages;
		if (last)
		{
			Page		page = GenericXLogRegisterBuffer(state, meta_buffer, 0);

			memcpy(XmhashPageMeta(page), meta, sizeof(XmhashMeta));
			xmhash_page_set_checksum(page);
		}
		GenericXLogFinish(state);
		while (buffers > 0)
			UnlockReleaseBuffer(buffer[--buffers]);
	} while (!last);
}

/*
 * The stamp is read under the meta page's lock: whoever may still look at the
 * freed blocks has a snapshot taken before, so its xmin does not exceed it.
 * Nor does it exceed our own number, if we have one: it was running then, or
 * not even assigned.  With that stamp, blocks freed by a bulk load are free as
 * soon as it has committed, without another transaction in between.
 */
void
xmhash_commit(Relation index, const XmhashChange *change)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "xmhash catalogue", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	IndexSnapshot *snapshot = xmhash_snapshot_create(context);
	XmhashMeta *meta = palloc(sizeof(XmhashMeta));
	Draft	   *draft = palloc0(sizeof(Draft));
	ExtentList	used = {0};
	ExtentList	known = {0};
	Buffer		buffer = xmhash_meta_buffer(index, BUFFER_LOCK_EXCLUSIVE);
	FullTransactionId own = GetTopFullTransactionIdIfAny();
	FullTransactionId freed = FullTransactionIdIsValid(own) ? own : ReadNextFullTransactionId();
	uint64		stamp = U64FromFullTransactionId(freed);
	int			set;
	char	   *data;

	memcpy(meta, XmhashPageMeta(BufferGetPage(buffer)), sizeof(XmhashMeta));
	if (!xmhash_catalogue_read(index, meta, snapshot))
		xmhash_damaged(index, meta->catalogue[meta->catalogue_set][0],
					   "It does not hold catalogue version " UINT64_FORMAT ".", meta->catalogue_version);

	change_meta(meta, change, &known, stamp);
	draft_segments(index, draft, snapshot, change, &known, stamp);
	sort_extents(&known);
	add_old_free(&known, snapshot);
	list_used(meta, draft, &used);
	find_free(index, meta->end, &used, &known, stamp, &draft->free);

	/* Free blocks at the end were never handed out, as far as anybody knows. */
	if (draft->free.count > 0)
	{
		XmhashFreeExtent *item = &draft->free.item[draft->free.count - 1];

		if (item->stamp == 0 && item->extent.start + item->extent.count == meta->end)
		{
			meta->end = item->extent.start;
			draft->free.count--;
		}
	}
	if (meta->stock.count == 0)
		take_free(&draft->free, XMHASH_STOCK_PAGES, &meta->stock);
	shorten_free(draft);
	set = 1 - meta->catalogue_set;
	allot_catalogue(meta, set, draft);
	data = encode_catalogue(draft, &meta->catalogue_bytes);
	meta->catalogue_set = set;
	meta->catalogue_version++;
	write_catalogue(index, buffer, meta, data);
	UnlockReleaseBuffer(buffer);

	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* A reservation left by a writer that failed is given back on this occasion. */
void
xmhash_forget_reservation(Relation index, XmhashWriterRole role)
{
	Buffer		buffer = xmhash_meta_buffer(index, BUFFER_LOCK_SHARE);
	bool		left = XmhashPageMeta(BufferGetPage(buffer))->reserved[role].segment != 0;
	XmhashChange change = {.role = role};

	UnlockReleaseBuffer(buffer);
	if (left)
		xmhash_commit(index, &change);
}

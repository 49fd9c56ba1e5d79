/*
 * index/snapshot.c: a reader's consistent copy of what the index consists of.
 *
 * The head of the meta page is copied under a share lock.  The catalogue that
 * it names is read after that: should one of its pages carry another version,
 * a change has come between, and the reader starts over.  A page that is not
 * what the copy says has been recycled since, or is damaged: a fresh copy tells.
 */
#include "postgres.h"

#include "index/storage.h"

#include "miscadmin.h"
#include "utils/memutils.h"

IndexSnapshot *
xmhash_snapshot_create(MemoryContext context)
{
	IndexSnapshot *snapshot = MemoryContextAllocZero(context, sizeof(IndexSnapshot));

	snapshot->context = context;
	return snapshot;
}

/* Every block that the meta page names lies inside of what it has handed out. */
static void
snapshot_check_meta(Relation index, const XmhashMeta *meta)
{
	uint64		pages = 0;

	for (int i = 0; i < meta->pending_extents; i++)
	{
		const XmhashExtent *extent = &meta->pending[i];

		pages += extent->count;
		if (extent->start == XMHASH_META_BLOCK || (uint64) extent->start + extent->count > meta->end)
			xmhash_damaged(index, XMHASH_META_BLOCK, "The pending list leaves the %u blocks of the index.", meta->end);
	}
	if (pages != meta->pending_pages)
		xmhash_damaged(index, XMHASH_META_BLOCK, "The pending list has %u pages, its extents " UINT64_FORMAT ".",
					   meta->pending_pages, pages);
	for (int set = 0; set < 2; set++)
		for (int i = 0; i < meta->catalogue_blocks[set]; i++)
			if (meta->catalogue[set][i] == XMHASH_META_BLOCK || meta->catalogue[set][i] >= meta->end)
				xmhash_damaged(index, XMHASH_META_BLOCK, "The catalogue leaves the %u blocks of the index.", meta->end);
}

static void
snapshot_check_segment(Relation index, BlockNumber block, const IndexSnapshot *snapshot, const XmhashSegment *segment)
{
	uint64		data_rows = xmhash_page_rows(&snapshot->format, XMHASH_PAGE_DATA);
	uint64		null_rows = xmhash_page_rows(&snapshot->format, XMHASH_PAGE_NULLS);
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
	if ((segment->data_pages > 0 && snapshot->format.words == 0) ||
		segment->rows > segment->data_pages * data_rows ||
		segment->nulls > segment->null_pages * null_rows ||
		segment->removed > segment->rows + segment->nulls ||
		segment->removed_nulls > Min(segment->removed, segment->nulls) ||
		segment->centres > segment->spans || (segment->bands > 0 && segment->centres == 0) ||
		(segment->bands > 0 && segment->rows > segment->band_pages * data_rows) ||
		XmhashDirectoryBytes(segment, snapshot->format.words) > (uint64) segment->directory_pages * XMHASH_BLOB_CAPACITY)
		xmhash_damaged(index, block, "Segment " UINT64_FORMAT " has counts that its pages cannot hold.", segment->id);
}

/* Take a catalogue's stream apart into the snapshot. */
static void
snapshot_decode_catalogue(Relation index, BlockNumber block, IndexSnapshot *snapshot, const char *data, uint32 bytes)
{
	XmhashCatalogueHead head = {0};

	if (bytes > 0)
		memcpy(&head, data, sizeof(head));
	if (head.segments > XMHASH_MAX_SEGMENTS ||
		(bytes > 0 && bytes != xmhash_catalogue_size(head.segments, head.extents, head.free_extents)))
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
		snapshot_check_segment(index, block, snapshot, &snapshot->segment[i]);
}

/* One page of the catalogue into `to`; false: it is of another version. */
static bool
snapshot_read_catalogue_page(Relation index, const XmhashMeta *meta, int number, char *to, int bytes)
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
 * Read the catalogue that the copy of the meta page names into the snapshot; false
 * if it has been replaced meanwhile.  Only the snapshot's catalogue part changes.
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

		if (!snapshot_read_catalogue_page(index, meta, i, data + done, Min(bytes - done, XMHASH_BLOB_CAPACITY)))
		{
			pfree(data);
			return false;
		}
	}
	xmhash_format_set_bits(&snapshot->format, meta->bits);
	snapshot->bands = meta->bands;
	snapshot->end = meta->end;
	snapshot_decode_catalogue(index, meta->catalogue[meta->catalogue_set][0], snapshot, data, bytes);
	snapshot->nonce = meta->nonce;
	snapshot->version = meta->catalogue_version;
	pfree(data);
	return true;
}

bool
xmhash_snapshot_read(Relation index, IndexSnapshot *snapshot)
{
	uint64		tried = 0;

	for (;;)
	{
		Buffer		buffer = xmhash_meta_buffer(index, BUFFER_LOCK_SHARE);
		union
		{
			XmhashMeta	meta;	/* for its alignment; only the head is read */
			char		head[XMHASH_META_HEAD];
		}			copy;
		XmhashMeta *meta = &copy.meta;

		memcpy(copy.head, XmhashPageMeta(BufferGetPage(buffer)), XMHASH_META_HEAD);
		UnlockReleaseBuffer(buffer);
		snapshot_check_meta(index, meta);

		xmhash_format_set_bits(&snapshot->format, meta->bits);
		snapshot->bands = meta->bands;
		snapshot->end = meta->end;
		snapshot->pending_first = meta->pending_first;
		snapshot->pending_pages = meta->pending_pages;
		snapshot->pending_extents = meta->pending_extents;
		memcpy(snapshot->pending, meta->pending, meta->pending_extents * sizeof(XmhashExtent));
		if (snapshot->nonce == meta->nonce && snapshot->version == meta->catalogue_version)
			return true;

		snapshot->nonce = 0;		/* should what follows fail */
		if (xmhash_catalogue_read(index, meta, snapshot))
			return false;
		/* Overtaken by a writer: then the meta page says something new. */
		if (tried == meta->catalogue_version)
			xmhash_damaged(index, meta->catalogue[meta->catalogue_set][0],
						   "It does not hold catalogue version " UINT64_FORMAT ".", tried);
		tried = meta->catalogue_version;
		CHECK_FOR_INTERRUPTS();
	}
}

double
xmhash_snapshot_rows(const IndexSnapshot *snapshot)
{
	double		rows = 0;

	for (int i = 0; i < snapshot->segments; i++)
		rows += snapshot->segment[i].rows + snapshot->segment[i].nulls - snapshot->segment[i].removed;
	return rows;
}

static BlockNumber
snapshot_extents_block(const XmhashExtent *extent, int extents, uint32 number)
{
	for (int i = 0; i < extents; i++)
	{
		if (number < extent[i].count)
			return extent[i].start + number;
		number -= extent[i].count;
	}
	elog(ERROR, "page %u lies beyond the extents", number);
	return InvalidBlockNumber;
}

BlockNumber
xmhash_segment_block(const IndexSnapshot *snapshot, const XmhashSegment *segment, uint32 number)
{
	return snapshot_extents_block(snapshot->extent + segment->first_extent, segment->extents, number);
}

BlockNumber
xmhash_pending_block(const IndexSnapshot *snapshot, uint32 i)
{
	return snapshot_extents_block(snapshot->pending, snapshot->pending_extents, i);
}

/* Does the snapshot, a fresh one, still have a page with that kind and owner? */
static bool
snapshot_has_owner(const IndexSnapshot *snapshot, XmhashPageKind kind, uint64 owner)
{
	if (kind == XMHASH_PAGE_PENDING)
		return owner >= snapshot->pending_first && owner - snapshot->pending_first < snapshot->pending_pages;
	for (int i = 0; i < snapshot->segments; i++)
		if (snapshot->segment[i].id == owner)
			return true;
	return false;
}

/*
 * A page is not what the snapshot says.  If the index as it is now still has that
 * page, it is damaged; else it has been recycled.
 */
bool
xmhash_page_unusable(Relation index, const IndexSnapshot *snapshot, Buffer buffer,
					 XmhashPageKind kind, uint64 owner, uint32 number)
{
	BlockNumber block = BufferGetBlockNumber(buffer);
	PageHeaderData header = *(PageHeader) BufferGetPage(buffer);
	XmhashOpaque opaque;
	MemoryContext context;
	IndexSnapshot *now;
	bool		damaged;

	memcpy(&opaque, BufferGetPage(buffer) + BLCKSZ - sizeof(opaque), sizeof(opaque));
	UnlockReleaseBuffer(buffer);

	context = AllocSetContextCreate(CurrentMemoryContext, "xmhash page check", ALLOCSET_DEFAULT_SIZES);
	now = xmhash_snapshot_create(context);
	xmhash_snapshot_read(index, now);
	damaged = now->nonce == snapshot->nonce && snapshot_has_owner(now, kind, owner);
	MemoryContextDelete(context);
	if (damaged)
		xmhash_damaged(index, block,
					   "Found kind %u, owner " UINT64_FORMAT ", number %u, %u entries, bounds %u, %u, %u; expected kind %u, owner " UINT64_FORMAT ", number %u.",
					   opaque.kind, opaque.owner, opaque.number, opaque.count,
					   header.pd_lower, header.pd_upper, header.pd_special,
					   kind, owner, number);
	return false;
}

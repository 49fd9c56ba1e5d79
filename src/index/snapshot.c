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
static bool
snapshot_meta_sound(Relation index, const XmhashMeta *meta, bool tolerant)
{
	uint64		pages = 0;

	for (int i = 0; i < meta->pending_extents; i++)
	{
		const XmhashExtent *extent = &meta->pending[i];

		pages += extent->count;
		if (extent->start == XMHASH_META_BLOCK || (uint64) extent->start + extent->count > meta->end)
			return xmhash_refuse(index, tolerant, XMHASH_META_BLOCK,
								 "The pending list leaves the %u blocks of the index.", meta->end);
	}
	if (pages != meta->pending_pages)
		return xmhash_refuse(index, tolerant, XMHASH_META_BLOCK,
							 "The pending list has %u pages, its extents " UINT64_FORMAT ".",
							 meta->pending_pages, pages);
	for (int set = 0; set < 2; set++)
		for (int i = 0; i < meta->catalogue_blocks[set]; i++)
			if (meta->catalogue[set][i] == XMHASH_META_BLOCK || meta->catalogue[set][i] >= meta->end)
				return xmhash_refuse(index, tolerant, XMHASH_META_BLOCK,
									 "The catalogue leaves the %u blocks of the index.", meta->end);
	return true;
}

static bool
snapshot_segment_sound(Relation index, BlockNumber block, const IndexSnapshot *snapshot, const XmhashSegment *segment,
					   bool tolerant)
{
	uint64		data_rows = xmhash_page_rows(&snapshot->format, XMHASH_PAGE_DATA);
	uint64		null_rows = xmhash_page_rows(&snapshot->format, XMHASH_PAGE_NULLS);
	uint64		pages = 0;

	if ((uint64) segment->first_extent + segment->extents > snapshot->extents || segment->id == 0)
		return xmhash_refuse(index, tolerant, block, "The catalogue entry of a segment is out of range.");
	for (int i = 0; i < segment->extents; i++)
	{
		const XmhashExtent *extent = &snapshot->extent[segment->first_extent + i];

		pages += extent->count;
		if (extent->start == XMHASH_META_BLOCK || (uint64) extent->start + extent->count > snapshot->end)
			return xmhash_refuse(index, tolerant, block, "Segment " UINT64_FORMAT " leaves the %u blocks of the index.",
								 segment->id, snapshot->end);
	}
	if (segment->bands > XMHASH_MAX_BANDS || pages > snapshot->end ||
		pages != (uint64) segment->data_pages + (uint64) segment->bands * segment->band_pages +
		segment->null_pages + segment->directory_pages)
		return xmhash_refuse(index, tolerant, block, "Segment " UINT64_FORMAT " has %u pages, its extents " UINT64_FORMAT ".",
							 segment->id, XmhashSegmentPages(segment), pages);
	if ((segment->data_pages > 0 && snapshot->format.words == 0) ||
		segment->rows > segment->data_pages * data_rows ||
		segment->nulls > segment->null_pages * null_rows ||
		segment->removed > segment->rows + segment->nulls ||
		segment->removed_nulls > Min(segment->removed, segment->nulls) ||
		segment->centres > segment->spans || (segment->bands > 0 && segment->centres == 0) ||
		(segment->bands > 0 && segment->rows > segment->band_pages * data_rows) ||
		XmhashDirectoryBytes(segment, &snapshot->format) > (uint64) segment->directory_pages * XMHASH_BLOB_CAPACITY)
		return xmhash_refuse(index, tolerant, block, "Segment " UINT64_FORMAT " has counts that its pages cannot hold.",
							 segment->id);
	if (!reach_sound(&segment->reach, segment->data_pages))
		return xmhash_refuse(index, tolerant, block, "Segment " UINT64_FORMAT " has statistics that do not fit its %u pages.",
							 segment->id, segment->data_pages);
	return true;
}

/* Take a catalogue's stream apart into the snapshot. */
static bool
snapshot_decode_catalogue(Relation index, BlockNumber block, IndexSnapshot *snapshot, const char *data, uint32 bytes,
						  bool tolerant)
{
	XmhashCatalogueHead head = {0};

	if (bytes > 0)
		memcpy(&head, data, sizeof(head));
	if (head.segments > XMHASH_MAX_SEGMENTS ||
		(bytes > 0 && bytes != xmhash_catalogue_size(head.segments, head.extents, head.free_extents)))
		return xmhash_refuse(index, tolerant, block,
							 "The catalogue has %u bytes for %u segments, %u extents, %u free extents.",
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
		if (!snapshot_segment_sound(index, block, snapshot, &snapshot->segment[i], tolerant))
			return false;
	return true;
}

typedef enum CatalogueRead
{
	CATALOGUE_READ,
	CATALOGUE_REPLACED,			/* of another version */
	CATALOGUE_DAMAGED			/* where that is tolerated */
} CatalogueRead;

/* One page of the catalogue into `to`. */
static CatalogueRead
snapshot_read_catalogue_page(Relation index, const XmhashMeta *meta, int number, char *to, int bytes, bool tolerant)
{
	BlockNumber block = meta->catalogue[meta->catalogue_set][number];
	Buffer		buffer = tolerant ? xmhash_read_buffer_if_sound(index, block) : ReadBuffer(index, block);
	Page		page;
	PageHeader	header;
	XmhashOpaque *opaque;
	bool		ours,
				sound;

	if (!BufferIsValid(buffer))
		return CATALOGUE_DAMAGED;
	page = BufferGetPage(buffer);
	header = (PageHeader) page;
	opaque = XmhashPageOpaque(page);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	ours = header->pd_special == BLCKSZ - sizeof(XmhashOpaque) &&
		opaque->kind == XMHASH_PAGE_CATALOGUE && opaque->owner == meta->catalogue_version &&
		opaque->nonce == XmhashPageNonce(meta->nonce) && opaque->number == number;
	sound = ours && header->pd_upper == header->pd_special && opaque->count == bytes &&
		header->pd_lower == XmhashPageHeaderSize + bytes && xmhash_page_checksum_agrees(page);
	if (sound)
		memcpy(to, PageGetContents(page), bytes);
	UnlockReleaseBuffer(buffer);
	if (!ours)
		return CATALOGUE_REPLACED;
	if (!sound)
		xmhash_refuse(index, tolerant, block, "The catalogue page has a wrong size or checksum.");
	return sound ? CATALOGUE_READ : CATALOGUE_DAMAGED;
}

/* Read the catalogue that the copy of the meta page names; only the snapshot's catalogue part changes. */
static CatalogueRead
snapshot_read_catalogue(Relation index, const XmhashMeta *meta, IndexSnapshot *snapshot, bool tolerant)
{
	uint32		bytes = meta->catalogue_version == 0 ? 0 : meta->catalogue_bytes;
	/* Doubles and pointers of a stream need alignment: palloc's is enough. */
	char	   *data = palloc(bytes + 1);
	CatalogueRead result = CATALOGUE_READ;

	for (int i = 0; (uint32) i * XMHASH_BLOB_CAPACITY < bytes && result == CATALOGUE_READ; i++)
	{
		uint32		done = i * XMHASH_BLOB_CAPACITY;

		result = snapshot_read_catalogue_page(index, meta, i, data + done, Min(bytes - done, XMHASH_BLOB_CAPACITY),
											  tolerant);
	}
	if (result == CATALOGUE_READ)
	{
		xmhash_row_format(index, meta->bits, &snapshot->format);
		snapshot->bands = meta->bands;
		snapshot->end = meta->end;
		if (snapshot_decode_catalogue(index, meta->catalogue[meta->catalogue_set][0], snapshot, data, bytes, tolerant))
		{
			snapshot->nonce = meta->nonce;
			snapshot->version = meta->catalogue_version;
		}
		else
			result = CATALOGUE_DAMAGED;
	}
	pfree(data);
	return result;
}

/* False: the catalogue has been replaced meanwhile. */
bool
xmhash_catalogue_read(Relation index, const XmhashMeta *meta, IndexSnapshot *snapshot)
{
	return snapshot_read_catalogue(index, meta, snapshot, false) == CATALOGUE_READ;
}

/* What readers take from the meta page: its head, and from that all but the catalogue. */
typedef union MetaHead
{
	XmhashMeta	meta;			/* for its alignment; only the head is read */
	char		bytes[XMHASH_META_HEAD];
} MetaHead;

static bool
snapshot_read_head(Relation index, MetaHead *head, IndexSnapshot *snapshot, bool tolerant)
{
	const XmhashMeta *meta = &head->meta;
	Buffer		buffer = tolerant ? xmhash_meta_buffer_if_sound(index) : xmhash_meta_buffer(index, BUFFER_LOCK_SHARE);

	if (!BufferIsValid(buffer))
		return false;
	memcpy(head->bytes, XmhashPageMeta(BufferGetPage(buffer)), XMHASH_META_HEAD);
	UnlockReleaseBuffer(buffer);
	if (!snapshot_meta_sound(index, meta, tolerant))
		return false;
	xmhash_row_format(index, meta->bits, &snapshot->format);
	snapshot->bands = meta->bands;
	snapshot->end = meta->end;
	snapshot->pending_first = meta->pending_first;
	snapshot->pending_pages = meta->pending_pages;
	snapshot->pending_extents = meta->pending_extents;
	memcpy(snapshot->pending, meta->pending, meta->pending_extents * sizeof(XmhashExtent));
	return true;
}

bool
xmhash_snapshot_read(Relation index, IndexSnapshot *snapshot)
{
	uint64		tried = 0;

	for (;;)
	{
		MetaHead	head;
		const XmhashMeta *meta = &head.meta;

		snapshot_read_head(index, &head, snapshot, false);
		if (snapshot->nonce == meta->nonce && snapshot->version == meta->catalogue_version)
			return true;

		snapshot->nonce = 0;		/* should what follows fail */
		if (snapshot_read_catalogue(index, meta, snapshot, false) == CATALOGUE_READ)
			return false;
		/* Overtaken by a writer: then the meta page says something new. */
		if (tried == meta->catalogue_version)
			xmhash_damaged(index, meta->catalogue[meta->catalogue_set][0],
						   "It does not hold catalogue version " UINT64_FORMAT ".", tried);
		tried = meta->catalogue_version;
		CHECK_FOR_INTERRUPTS();
	}
}

/* Do the pages of the catalogue lie in the file?  They may not, if it was cut off. */
static bool
snapshot_catalogue_exists(const XmhashMeta *meta, BlockNumber blocks)
{
	for (int i = 0; i < meta->catalogue_blocks[meta->catalogue_set]; i++)
		if (meta->catalogue[meta->catalogue_set][i] >= blocks)
			return false;
	return true;
}

bool
xmhash_snapshot_estimate(Relation index, BlockNumber blocks, IndexSnapshot *snapshot)
{
	uint64		tried = 0;

	for (;;)
	{
		MetaHead	head;
		const XmhashMeta *meta = &head.meta;
		CatalogueRead result;

		if (blocks <= XMHASH_META_BLOCK || !snapshot_read_head(index, &head, snapshot, true))
			return false;
		if (snapshot->nonce == meta->nonce && snapshot->version == meta->catalogue_version)
			return true;

		snapshot->nonce = 0;
		/* The file may have grown since its blocks were counted. */
		if (!snapshot_catalogue_exists(meta, blocks) &&
			!snapshot_catalogue_exists(meta, RelationGetNumberOfBlocks(index)))
			return false;
		result = snapshot_read_catalogue(index, meta, snapshot, true);
		if (result == CATALOGUE_READ)
			return true;
		if (result == CATALOGUE_DAMAGED || tried == meta->catalogue_version)
			return false;
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

/*
 * index/snapshot.c: what readers need: a consistent copy of what the index
 * consists of, and the directories of its segments.
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
check_meta_blocks(Relation index, const XmhashMeta *meta)
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
		check_meta_blocks(index, meta);

		snapshot->bits = meta->bits;
		snapshot->words = HAMMING_WORDS(meta->bits);
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
extents_block(const XmhashExtent *extent, int extents, uint32 number)
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
	return extents_block(snapshot->extent + segment->first_extent, segment->extents, number);
}

BlockNumber
xmhash_pending_block(const IndexSnapshot *snapshot, uint32 i)
{
	return extents_block(snapshot->pending, snapshot->pending_extents, i);
}

/* Refuse a directory that would lead a search out of its arrays or astray. */
static void
check_directory(Relation index, BlockNumber block, const IndexSnapshot *snapshot, const XmhashSegment *segment,
				const XmhashDirectory *directory)
{
	uint32		page = 0;
	uint32		centre = 0;

	for (uint32 i = 0; i < directory->spans; i++)
	{
		const XmhashSpan *span = &directory->span[i];

		if (span->page >= segment->data_pages || span->page < page || span->page > page + 1 ||
			(i == 0 && span->page != 0) || span->centre >= directory->centres || span->centre < centre ||
			span->min > span->max || span->max > snapshot->bits)
			xmhash_damaged(index, block,
						   "Span %u of the directory is out of order: page %u of %u, centre %u of %u, distances %u to %u.",
						   i, span->page, segment->data_pages, span->centre, directory->centres,
						   span->min, span->max);
		page = span->page;
		centre = span->centre;
	}
	for (uint32 i = 0; i < directory->band_firsts; i++)
		if (i % segment->band_pages > 0 && directory->band_first[i] < directory->band_first[i - 1])
			xmhash_damaged(index, block, "The values of band %u are out of order.", i / segment->band_pages);
	if (page + 1 != segment->data_pages)
		xmhash_damaged(index, block, "The directory covers %u of %u pages.", page + 1, segment->data_pages);
}

/* One piece of a directory's stream; false: recycled. */
static bool
read_directory_page(Relation index, const IndexSnapshot *snapshot, const XmhashSegment *segment, uint32 number,
					char *to, int bytes)
{
	BlockNumber block = xmhash_segment_block(snapshot, segment, number);
	Buffer		buffer = ReadBuffer(index, block);
	Page		page = BufferGetPage(buffer);

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	if (!xmhash_page_usable(index, snapshot, buffer, XMHASH_PAGE_DIRECTORY, segment->id, number))
		return false;
	if (XmhashPageOpaque(page)->count != bytes || !xmhash_page_checksum_agrees(page))
		xmhash_damaged(index, block, "The directory page has a wrong size or checksum.");
	memcpy(to, PageGetContents(page), bytes);
	UnlockReleaseBuffer(buffer);
	return true;
}

XmhashDirectory *
xmhash_directory_read(Relation index, const IndexSnapshot *snapshot, const XmhashSegment *segment)
{
	Size		centre_bytes = (Size) segment->centres * snapshot->words * sizeof(uint64);
	Size		bytes = XmhashDirectoryBytes(segment, snapshot->words);
	uint32		first = XmhashFirstDirectory(segment);
	XmhashDirectory *directory = palloc(sizeof(XmhashDirectory));
	char	   *data = MemoryContextAllocHuge(CurrentMemoryContext, bytes + 1);

	for (Size done = 0; done < bytes; done += XMHASH_BLOB_CAPACITY)
	{
		CHECK_FOR_INTERRUPTS();
		if (!read_directory_page(index, snapshot, segment, first + done / XMHASH_BLOB_CAPACITY, data + done,
								 Min(bytes - done, XMHASH_BLOB_CAPACITY)))
			return NULL;
	}
	directory->words = snapshot->words;
	directory->centres = segment->centres;
	directory->spans = segment->spans;
	directory->centre = (uint64 *) data;
	directory->span = (XmhashSpan *) (data + centre_bytes);
	directory->band_firsts = segment->bands * segment->band_pages;
	directory->band_first = (uint16 *) (directory->span + segment->spans);
	if (segment->centres > 0)
		check_directory(index, xmhash_segment_block(snapshot, segment, first), snapshot, segment, directory);
	return directory;
}

/*
 * index/directory.c: read the directory of a segment, check it, and put it in the
 * form that the search takes.
 */
#include "postgres.h"

#include "index/search.h"
#include "index/storage.h"

#include "miscadmin.h"
#include "utils/memutils.h"

/* Raise an error for a directory with which a search would leave its arrays or miss rows. */
static void
directory_check(Relation index, BlockNumber block, const IndexSnapshot *snapshot, const XmhashSegment *segment,
				const XmhashDirectory *directory)
{
	uint32		page = 0;
	uint32		centre = 0;

	for (uint32 i = 0; i < directory->spans; i++)
	{
		const Span *span = &directory->span[i];

		if (span->page >= segment->data_pages || span->page < page || span->page > page + 1 ||
			(i == 0 && span->page != 0) || span->centre >= directory->centres || span->centre < centre ||
			span->min < 0 || span->min > span->max || span->max > snapshot->format.bits)
			xmhash_damaged(index, block,
						   "Span %u of the directory is out of order: page %u of %u, centre %u of %u, distances %d to %d.",
						   i, span->page, segment->data_pages, span->centre, directory->centres,
						   span->min, span->max);
		page = span->page;
		centre = span->centre;
	}
	for (uint64 i = 0; i < (uint64) segment->data_pages * directory->columns; i++)
		if (directory->range[i].least > directory->range[i].greatest)
			xmhash_damaged(index, block, "The keys of filter column %u of page %u range from " INT64_FORMAT " to " INT64_FORMAT ".",
						   (uint32) (i % directory->columns) + 1, (uint32) (i / directory->columns),
						   directory->range[i].least, directory->range[i].greatest);
	for (uint32 i = 0; i < directory->band_firsts; i++)
		if (i % segment->band_pages > 0 && directory->band_first[i] < directory->band_first[i - 1])
			xmhash_damaged(index, block, "The values of band %u are out of order.", i / segment->band_pages);
	if (page + 1 != segment->data_pages)
		xmhash_damaged(index, block, "The directory covers %u of %u pages.", page + 1, segment->data_pages);
}

/* One piece of a directory's stream; false: recycled. */
static bool
directory_read_page(Relation index, const IndexSnapshot *snapshot, const XmhashSegment *segment, uint32 number,
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
	Size		centre_bytes = (Size) segment->centres * snapshot->format.words * sizeof(uint64);
	Size		bytes = XmhashDirectoryBytes(segment, &snapshot->format);
	uint32		first = XmhashFirstDirectory(segment);
	XmhashDirectory *directory = palloc(sizeof(XmhashDirectory));
	char	   *data = MemoryContextAllocHuge(CurrentMemoryContext, bytes + 1);

	for (Size done = 0; done < bytes; done += XMHASH_BLOB_CAPACITY)
	{
		CHECK_FOR_INTERRUPTS();
		if (!directory_read_page(index, snapshot, segment, first + done / XMHASH_BLOB_CAPACITY, data + done,
								 Min(bytes - done, XMHASH_BLOB_CAPACITY)))
			return NULL;
	}
	directory->words = snapshot->format.words;
	directory->centres = segment->centres;
	directory->spans = segment->spans;
	directory->centre = (uint64 *) data;
	directory->columns = snapshot->format.columns;
	directory->range = (XmhashKeyRange *) (data + centre_bytes);
	directory->span = (Span *) (data + centre_bytes + XmhashRangeBytes(segment, &snapshot->format));
	directory->band_firsts = segment->bands * segment->band_pages;
	directory->band_first = (uint16 *) (directory->span + segment->spans);
	if (segment->centres > 0)
		directory_check(index, xmhash_segment_block(snapshot, segment, first), snapshot, segment, directory);
	return directory;
}

/*
 * Put the spans into the arrays that the search takes: the first span of each
 * page, and the others; and the ranges of keys, column by column.
 * directory->pages is set already.
 */
void
xmhash_directory_split(const XmhashDirectory *spans, MemoryContext context, Directory *directory)
{
	uint32		pages = directory->pages;
	int64	   *least;
	int64	   *greatest;

	directory_take_spans(directory, spans->span, spans->spans,
						 MemoryContextAlloc(context, (spans->centres + 1) * sizeof(uint32)),
						 MemoryContextAlloc(context, pages * sizeof(int16)),
						 MemoryContextAlloc(context, pages * sizeof(int16)),
						 MemoryContextAlloc(context, (spans->spans - pages + 1) * sizeof(Span)));
	if (spans->columns == 0)
		return;
	least = MemoryContextAllocHuge(context, (Size) pages * spans->columns * sizeof(int64));
	greatest = MemoryContextAllocHuge(context, (Size) pages * spans->columns * sizeof(int64));
	for (int c = 0; c < spans->columns; c++)
		for (uint32 p = 0; p < pages; p++)
		{
			const XmhashKeyRange *range = &spans->range[(Size) p * spans->columns + c];

			least[(Size) c * pages + p] = range->least;
			greatest[(Size) c * pages + p] = range->greatest;
		}
	directory->least = least;
	directory->greatest = greatest;
}

/*
 * index/writer.c: write a segment: data pages, band runs, null pages, directory
 * pages.
 *
 * Rows come in centre order.  A page is closed when it is full, or at a change
 * of centre when it is nearly full: few spans a page keep its bound tight, and
 * the waste stays small.  Pages are put together in local memory, and go to
 * their buffers up to four at once, as one WAL record of whole images.
 */
#include "postgres.h"

#include "index/search.h"
#include "index/storage.h"

#include "miscadmin.h"
#include "utils/memutils.h"

/* The file grows by so many blocks at a time. */
#define EXTEND_BLOCKS 32

struct XmhashWriter
{
	Relation	index;
	XmhashWriterRole role;
	XmhashRowFormat format;
	uint64		nonce;
	const uint64 *centre;		/* [centres × words] */
	XmhashSegment segment;		/* pages, rows and nulls so far */

	XmhashReservation reservation;
	int			extent;			/* in use, and how many of its blocks are */
	uint32		extent_used;
	uint32		pages;			/* numbers given to pages so far */
	uint32		written;
	BlockNumber exists;			/* blocks the file is known to have */

	XmhashPageKind kind;		/* of the page being filled */
	int			band;			/* of a band page */
	int			count;			/* its entries; -1: no page begun */
	int			filled;			/* complete pages not yet written */
	PGAlignedBlock image[MAX_GENERIC_XLOG_PAGES];
	int64	   *key;			/* [rows of a page × columns]: of the page being filled */

	ReachProbes *probes;		/* NULL: nothing is learned */
	Span	   *span;
	uint32		spans_capacity;
	XmhashKeyRange *range;		/* [data_pages × columns] */
	Size		range_capacity;
	uint16	   *band_first;
	uint32		band_firsts;
	uint32		band_capacity;
};

/* The maximum number of pages for the rows, pages that are closed early included. */
static uint32
writer_max_pages(const XmhashRowFormat *format, uint32 centres, int bands, uint64 rows, uint64 nulls)
{
	int			words = format->words;
	int			capacity = xmhash_page_rows(format, XMHASH_PAGE_DATA);
	int			null_capacity = xmhash_page_rows(format, XMHASH_PAGE_NULLS);
	int			fill = centres == 0 ? capacity : Max(1, PAGE_NEARLY_FULL(capacity));
	uint64		data = words == 0 ? 0 : (rows + fill - 1) / fill;
	uint64		null = (nulls + null_capacity - 1) / null_capacity;
	uint64		band = words == 0 ? 0 : bands * ((rows + capacity - 1) / capacity);
	uint64		bytes = (uint64) centres * words * sizeof(uint64) + (data + centres) * sizeof(Span) +
	data * format->columns * sizeof(XmhashKeyRange) +
	band * sizeof(uint16);
	uint64		directory = centres == 0 ? 0 : (bytes + XMHASH_BLOB_CAPACITY - 1) / XMHASH_BLOB_CAPACITY;

	if (data + band + null + directory > MaxBlockNumber)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a segment cannot have more than %u pages", MaxBlockNumber)));
	return data + band + null + directory;
}

XmhashWriter *
xmhash_writer_begin(Relation index, XmhashWriterRole role, const XmhashRowFormat *format,
					const uint64 *centre, uint32 centres, int bands, uint64 rows, uint64 nulls)
{
	XmhashWriter *writer = palloc0(sizeof(XmhashWriter));
	Buffer		meta = xmhash_meta_buffer(index, BUFFER_LOCK_SHARE);

	writer->nonce = XmhashPageMeta(BufferGetPage(meta))->nonce;
	UnlockReleaseBuffer(meta);
	writer->index = index;
	writer->role = role;
	writer->format = *format;
	writer->centre = centre;
	writer->segment.centres = centres;
	writer->segment.bands = bands;
	writer->count = -1;
	writer->kind = XMHASH_PAGE_DATA;
	writer->exists = RelationGetNumberOfBlocks(index);
	writer->spans_capacity = 256;
	writer->span = palloc(writer->spans_capacity * sizeof(Span));
	writer->key = palloc(Max(1, XMHASH_MAX_PAGE_ROWS * format->columns) * sizeof(int64));
	if (role == XMHASH_WRITER_BUILD)
		writer->segment.id = 1;
	else
		writer->segment.id = xmhash_reserve(index, role, writer_max_pages(format, centres, bands, rows, nulls),
											&writer->reservation);
	return writer;
}

/*
 * Extend the file by a few dozen blocks at a time, within the current extent.  A flush
 * of 344 pages took 46.6 million instructions when the file was extended by one
 * block at a time, 45.0 by 8, 44.8 by 32, and no fewer by 128.
 */
static void
writer_make_exist(XmhashWriter *writer, BlockNumber block, BlockNumber limit)
{
	if (block < writer->exists)
		return;
	writer->exists = Max(block + 1, Min(block + EXTEND_BLOCKS, limit));
	xmhash_extend(writer->index, writer->exists);
}

static BlockNumber
writer_next_block(XmhashWriter *writer)
{
	XmhashReservation *reservation = &writer->reservation;
	XmhashExtent *extent;
	BlockNumber block;

	if (writer->role == XMHASH_WRITER_BUILD)
	{
		block = XMHASH_META_BLOCK + 1 + writer->written++;
		writer_make_exist(writer, block, 0);
		return block;
	}
	if (writer->extent_used == reservation->extent[writer->extent].count)
	{
		writer->extent++;
		writer->extent_used = 0;
	}
	if (writer->extent >= reservation->extents)
		elog(ERROR, "segment " UINT64_FORMAT " outgrows its reservation", writer->segment.id);
	extent = &reservation->extent[writer->extent];
	block = extent->start + writer->extent_used++;
	writer_make_exist(writer, block, extent->start + extent->count);
	writer->written++;
	return block;
}

/*
 * Write the complete pages.  A build logs its pages at its end instead: until
 * then nothing points to them.
 */
static void
writer_write_pages(XmhashWriter *writer)
{
	Buffer		buffer[MAX_GENERIC_XLOG_PAGES];
	GenericXLogState *state = NULL;

	CHECK_FOR_INTERRUPTS();
	if (writer->filled == 0)
		return;
	if (writer->role != XMHASH_WRITER_BUILD)
		state = GenericXLogStart(writer->index);
	for (int i = 0; i < writer->filled; i++)
	{
		Page		page;

		buffer[i] = xmhash_new_buffer(writer->index, writer_next_block(writer));
		page = state == NULL ? BufferGetPage(buffer[i]) :
			GenericXLogRegisterBuffer(state, buffer[i], GENERIC_XLOG_FULL_IMAGE);
		memcpy(page, writer->image[i].data, BLCKSZ);
		if (state == NULL)
			MarkBufferDirty(buffer[i]);
	}
	if (state != NULL)
		GenericXLogFinish(state);
	for (int i = 0; i < writer->filled; i++)
		UnlockReleaseBuffer(buffer[i]);
	writer->filled = 0;
}

static Page
writer_page(XmhashWriter *writer)
{
	return writer->image[writer->filled].data;
}

static void
writer_begin_page(XmhashWriter *writer)
{
	xmhash_page_init(writer_page(writer), writer->kind, writer->segment.id, writer->nonce, writer->pages++);
	writer->count = 0;
	if (writer->kind == XMHASH_PAGE_DATA)
		writer->segment.data_pages++;
	else if (writer->kind == XMHASH_PAGE_NULLS)
		writer->segment.null_pages++;
}

static void
writer_count_filled(XmhashWriter *writer)
{
	if (++writer->filled == MAX_GENERIC_XLOG_PAGES)
		writer_write_pages(writer);
}

static void
writer_close_page(XmhashWriter *writer)
{
	if (writer->count < 0)
		return;
	xmhash_page_put_keys(writer_page(writer), &writer->format, writer->key, writer->count);
	xmhash_page_set_checksum(writer_page(writer));
	writer_count_filled(writer);
	writer->count = -1;
}

/* Add to the directory: the page holds a code of that centre at that distance. */
static void
writer_extend_span(XmhashWriter *writer, uint32 centre, int distance)
{
	XmhashSegment *segment = &writer->segment;
	Span	   *span = segment->spans == 0 ? NULL : &writer->span[segment->spans - 1];

	if (span != NULL && span->page == writer->pages - 1 && span->centre == centre)
	{
		span->min = Min(span->min, distance);
		span->max = Max(span->max, distance);
		return;
	}
	if (segment->spans == writer->spans_capacity)
	{
		writer->spans_capacity *= 2;
		writer->span = repalloc_huge(writer->span, writer->spans_capacity * sizeof(Span));
	}
	span = &writer->span[segment->spans++];
	span->page = writer->pages - 1;
	span->centre = centre;
	span->min = span->max = distance;
}

/* Widen the ranges of the data page being filled by a row's keys, the page's first row or not. */
static void
writer_extend_ranges(XmhashWriter *writer, const int64 *keys)
{
	int			columns = writer->format.columns;
	Size		first = (Size) (writer->segment.data_pages - 1) * columns;

	if (first + columns > writer->range_capacity)
	{
		writer->range_capacity = Max(1024, 2 * (first + columns));
		writer->range = writer->range == NULL ?
			MemoryContextAllocHuge(CurrentMemoryContext, writer->range_capacity * sizeof(XmhashKeyRange)) :
			repalloc_huge(writer->range, writer->range_capacity * sizeof(XmhashKeyRange));
	}
	for (int c = 0; c < columns; c++)
	{
		XmhashKeyRange *range = &writer->range[first + c];

		range->least = writer->count == 0 ? keys[c] : Min(range->least, keys[c]);
		range->greatest = writer->count == 0 ? keys[c] : Max(range->greatest, keys[c]);
	}
}

static void
writer_take_keys(XmhashWriter *writer, const int64 *keys)
{
	memcpy(writer->key + writer->count * writer->format.columns, keys, writer->format.columns * sizeof(int64));
}

void
xmhash_writer_add(XmhashWriter *writer, uint32 centre, int distance, const uint64 *code, const int64 *keys,
				  ItemPointer tid)
{
	int			capacity = xmhash_page_rows(&writer->format, XMHASH_PAGE_DATA);
	int			words = writer->format.words;
	XmhashSegment *segment = &writer->segment;

	Assert(writer->kind == XMHASH_PAGE_DATA);
	if (writer->count == capacity ||
		(writer->count >= PAGE_NEARLY_FULL(capacity) && segment->centres > 0 &&
		 writer->span[segment->spans - 1].centre != centre))
		writer_close_page(writer);
	if (writer->count < 0)
		writer_begin_page(writer);
	memcpy(XmhashPageCodes(writer_page(writer)) + (Size) writer->count * words, code, words * sizeof(uint64));
	XmhashPageTid(writer_page(writer), writer->count) = *tid;
	writer_take_keys(writer, keys);
	if (segment->centres > 0 && writer->format.columns > 0)
		writer_extend_ranges(writer, keys);
	writer->count++;
	if (writer->probes != NULL && segment->rows % REACH_STRIDE == 0)
		reach_count(writer->probes, code);
	segment->rows++;
	if (segment->centres > 0)
		writer_extend_span(writer, centre, distance);
}

/*
 * Pages of a band run are filled to the last row, so that all runs have as many
 * pages.  Where equal values go over to the next page, it begins with the same.
 */
void
xmhash_writer_add_to_band(XmhashWriter *writer, int band, int value, const uint64 *code, const int64 *keys,
						  ItemPointer tid)
{
	int			words = writer->format.words;
	Page		page;

	if (writer->kind == XMHASH_PAGE_DATA || writer->band != band ||
		writer->count == xmhash_page_rows(&writer->format, XMHASH_PAGE_BAND))
		writer_close_page(writer);
	writer->kind = XMHASH_PAGE_BAND;
	writer->band = band;
	if (writer->count < 0)
	{
		writer_begin_page(writer);
		if (writer->band_firsts == writer->band_capacity)
		{
			writer->band_capacity = Max(1024, 2 * writer->band_capacity);
			writer->band_first = writer->band_first == NULL ? palloc(writer->band_capacity * sizeof(uint16)) :
				repalloc_huge(writer->band_first, writer->band_capacity * sizeof(uint16));
		}
		writer->band_first[writer->band_firsts++] = value;
	}
	page = writer_page(writer);
	memcpy(XmhashPageCodes(page) + (Size) writer->count * words, code, words * sizeof(uint64));
	writer_take_keys(writer, keys);
	XmhashPageTid(page, writer->count++) = *tid;
}

void
xmhash_writer_add_null(XmhashWriter *writer, const int64 *keys, ItemPointer tid)
{
	if (writer->kind != XMHASH_PAGE_NULLS || writer->count == xmhash_page_rows(&writer->format, XMHASH_PAGE_NULLS))
		writer_close_page(writer);
	writer->kind = XMHASH_PAGE_NULLS;
	if (writer->count < 0)
		writer_begin_page(writer);
	XmhashPageTid(writer_page(writer), writer->count) = *tid;
	writer_take_keys(writer, keys);
	writer->count++;
	writer->segment.nulls++;
}

void
xmhash_writer_set_probes(XmhashWriter *writer, ReachProbes *probes)
{
	writer->probes = probes;
}

/* What the directory excludes, by what was counted meanwhile. */
static void
writer_learn_reach(XmhashWriter *writer)
{
	XmhashSegment *segment = &writer->segment;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "xmhash statistics", ALLOCSET_DEFAULT_SIZES);
	Size		pages = segment->data_pages + (Size) segment->bands * segment->band_pages;
	XmhashDirectory spans = {.words = writer->format.words, .centres = segment->centres, .spans = segment->spans,
	.centre = (uint64 *) writer->centre, .span = writer->span};
	Directory	directory = {.words = writer->format.words, .pages = segment->data_pages,
	.centres = segment->centres, .centre = writer->centre};

	xmhash_directory_split(&spans, context, &directory);
	reach_learn(writer->probes, &directory, segment->bands, segment->band_pages, writer->band_first,
				MemoryContextAllocHuge(context, segment->centres * sizeof(uint16)),
				MemoryContextAllocHuge(context, pages * sizeof(int16)), &segment->reach);
	MemoryContextDelete(context);
}

/* Cut the directory's stream, centres and spans, into pages. */
static void
writer_write_directory(XmhashWriter *writer)
{
	XmhashSegment *segment = &writer->segment;
	Size		centre_bytes = (Size) segment->centres * writer->format.words * sizeof(uint64);
	Size		range_bytes;
	Size		span_bytes = (Size) segment->spans * sizeof(Span);
	Size		band_bytes = (Size) writer->band_firsts * sizeof(uint16);
	Size		bytes;
	char	   *data;

	if (segment->spans == 0)
		segment->centres = segment->bands = 0;
	if (segment->centres == 0)
		return;
	if (segment->bands > 0)
		segment->band_pages = writer->band_firsts / segment->bands;
	Assert(segment->bands * segment->band_pages == writer->band_firsts);
	if (writer->probes != NULL)
		writer_learn_reach(writer);
	range_bytes = XmhashRangeBytes(segment, &writer->format);
	bytes = XmhashDirectoryBytes(segment, &writer->format);
	data = MemoryContextAllocHuge(CurrentMemoryContext, bytes);
	memcpy(data, writer->centre, centre_bytes);
	if (range_bytes > 0)
		memcpy(data + centre_bytes, writer->range, range_bytes);
	memcpy(data + centre_bytes + range_bytes, writer->span, span_bytes);
	memcpy(data + bytes - band_bytes, writer->band_first, band_bytes);
	for (Size done = 0; done < bytes; done += XMHASH_BLOB_CAPACITY)
	{
		xmhash_page_init(writer_page(writer), XMHASH_PAGE_DIRECTORY, segment->id, writer->nonce, writer->pages++);
		xmhash_blob_page_fill(writer_page(writer), data + done, Min(bytes - done, XMHASH_BLOB_CAPACITY));
		segment->directory_pages++;
		writer_count_filled(writer);
	}
	pfree(data);
}

/*
 * Write what is left, and return the segment and its extents.  It becomes part of
 * the index by xmhash_commit().
 */
void
xmhash_writer_finish(XmhashWriter *writer, XmhashSegment *segment, XmhashExtent **extent)
{
	int			extents;

	writer_close_page(writer);
	writer_write_directory(writer);
	writer_write_pages(writer);
	Assert(writer->written == writer->pages);
	*segment = writer->segment;
	if (writer->role == XMHASH_WRITER_BUILD)
	{
		extents = writer->pages > 0;
		*extent = palloc(sizeof(XmhashExtent));
		(*extent)->start = XMHASH_META_BLOCK + 1;
		(*extent)->count = writer->pages;
	}
	else
		*extent = xmhash_extents_cut(writer->reservation.extent, writer->reservation.extents, 0,
									 writer->pages, &extents);
	segment->extents = extents;
	pfree(writer->span);
	pfree(writer);
}

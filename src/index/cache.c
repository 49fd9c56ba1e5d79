/*
 * index/cache.c: what a backend keeps of an index between scans.
 *
 * A scan needs the directories of all segments.  Segments never change, so their
 * directories are decoded once and kept, keyed by (index, nonce, segment id).  The
 * nonce is part of the key because a rebuild in place, as by TRUNCATE in the
 * transaction that made the table, begins again with the first id.  All segments
 * of one version of the catalogue together are a Layout: while the meta page has
 * that version, a scan starts without reading anything else.
 *
 * A cursor may be open over an older version, so layouts and segments are
 * counted by reference.  A scan that ends by an error gives its reference back
 * when its memory goes.  Nothing here depends on invalidation messages; they
 * only tell which indexes may be gone, so that their memory can be freed.
 */
#include "postgres.h"

#include "index/search.h"

#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"

typedef struct CachedSegment
{
	MemoryContext context;
	int			references;
	uint64		id;
	Directory	directory;
	uint16	   *band_first;		/* [bands × band_pages] */
} CachedSegment;

typedef struct CacheEntry
{
	Oid			index;			/* hash key */
	bool		suspect;		/* perhaps dropped, and not used since */
	Layout	   *layout;
	IndexSnapshot *snapshot;
} CacheEntry;

static HTAB *cache = NULL;
static MemoryContext cache_context = NULL;

/* ---------- Decoding ---------- */

/* NULL: the segment has been recycled. */
static CachedSegment *
cache_decode_segment(Relation index, const IndexSnapshot *snapshot, const XmhashSegment *segment)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "xmhash directory",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	XmhashDirectory *spans = NULL;
	CachedSegment *cached = NULL;

	if (segment->centres > 0)
		spans = xmhash_directory_read(index, snapshot, segment);
	if (spans || segment->centres == 0)
	{
		/* An error on the way frees it with scratch. */
		MemoryContext context = AllocSetContextCreate(scratch, "xmhash segment", ALLOCSET_SMALL_SIZES);

		cached = MemoryContextAllocZero(context, sizeof(CachedSegment));
		cached->context = context;
		cached->id = segment->id;
		cached->directory.words = snapshot->format.words;
		cached->directory.pages = segment->data_pages;
		cached->directory.centres = segment->centres;
		if (spans)
		{
			Size		size = (Size) spans->centres * snapshot->format.words * sizeof(uint64);

			cached->directory.centre = memcpy(MemoryContextAllocHuge(context, size), spans->centre, size);
			xmhash_directory_split(spans, context, &cached->directory);
			size = spans->band_firsts * sizeof(uint16);
			cached->band_first = memcpy(MemoryContextAllocHuge(context, size + 1), spans->band_first, size);
		}
		MemoryContextSetParent(context, cache_context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	return cached;
}

/* ---------- Layouts ---------- */

void
layout_release(Layout *layout)
{
	if (--layout->references > 0)
		return;
	for (int s = 0; s < layout->segments; s++)
		if (layout->cached[s] && --layout->cached[s]->references == 0)
			MemoryContextDelete(layout->cached[s]->context);
	MemoryContextDelete(layout->context);
}

static void
layout_place_pages(Layout *layout, const IndexSnapshot *snapshot)
{
	uint32		page = 0;
	uint32		null_page = 0;

	layout->block = MemoryContextAllocHuge(layout->context, (layout->pages + 1) * sizeof(BlockNumber));
	layout->segment_of = MemoryContextAllocHuge(layout->context, (layout->pages + 1) * sizeof(uint32));
	layout->recent = MemoryContextAllocExtended(layout->context, (layout->pages + 1) * sizeof(Buffer),
												MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	layout->null_block = MemoryContextAllocHuge(layout->context, (layout->null_pages + 1) * sizeof(BlockNumber));
	layout->null_segment = MemoryContextAllocHuge(layout->context, (layout->null_pages + 1) * sizeof(uint32));
	for (int s = 0; s < layout->segments; s++)
	{
		const XmhashSegment *segment = &snapshot->segment[s];
		uint32		number = 0;

		/* Page n of a segment is the n-th block of its extents. */
		for (uint32 e = 0; e < segment->extents; e++)
		{
			const XmhashExtent *extent = &snapshot->extent[segment->first_extent + e];

			for (uint32 i = 0; i < extent->count; i++, number++)
			{
				if (number < XmhashFirstNull(segment))
				{
					layout->block[page] = extent->start + i;
					layout->segment_of[page++] = s;
				}
				else if (number < XmhashFirstDirectory(segment))
				{
					layout->null_block[null_page] = extent->start + i;
					layout->null_segment[null_page++] = s;
				}
			}
		}
	}
	if (page != layout->pages || null_page != layout->null_pages)
		elog(ERROR, "extents of an xmhash index hold %u and %u pages, not %u and %u",
			 page, null_page, layout->pages, layout->null_pages);
}

/* NULL: a segment was recycled while its directory was read. */
static Layout *
layout_make(Relation index, const IndexSnapshot *snapshot, Layout *old)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "xmhash layout",
												  ALLOCSET_DEFAULT_SIZES);
	Layout	   *layout = MemoryContextAllocZero(context, sizeof(Layout));

	layout->context = context;
	layout->nonce = snapshot->nonce;
	layout->version = snapshot->version;
	layout->format = snapshot->format;
	layout->segments = snapshot->segments;
	layout->segment = MemoryContextAllocZero(context, (snapshot->segments + 1) * sizeof(LayoutSegment));
	layout->cached = MemoryContextAllocZero(context, (snapshot->segments + 1) * sizeof(CachedSegment *));
	for (int s = 0; s < snapshot->segments; s++)
	{
		const XmhashSegment *segment = &snapshot->segment[s];

		layout->segment[s].id = segment->id;
		layout->segment[s].base = layout->pages;
		layout->segment[s].pages = segment->data_pages;
		layout->segment[s].first_null = XmhashFirstNull(segment);
		layout->segment[s].null_pages = segment->null_pages;
		layout->segment[s].bands = segment->bands;
		layout->segment[s].band_pages = segment->band_pages;
		layout->pages += XmhashFirstNull(segment);
		layout->data_pages += segment->data_pages;
		layout->null_pages += segment->null_pages;
		layout->max_centres = Max(layout->max_centres, (int) segment->centres);
	}
	layout_place_pages(layout, snapshot);
	MemoryContextSetParent(context, cache_context);
	layout->references = 1;

	PG_TRY();
	{
		for (int s = 0; s < snapshot->segments; s++)
		{
			CachedSegment *cached = NULL;

			if (old && old->nonce == snapshot->nonce)
				for (int o = 0; o < old->segments; o++)
					if (old->segment[o].id == snapshot->segment[s].id)
						cached = old->cached[o];
			if (!cached)
				cached = cache_decode_segment(index, snapshot, &snapshot->segment[s]);
			if (!cached)
				break;
			cached->references++;
			layout->cached[s] = cached;
			layout->segment[s].directory = &cached->directory;
			layout->segment[s].band_first = cached->band_first;
		}
	}
	PG_CATCH();
	{
		layout_release(layout);
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (snapshot->segments > 0 && layout->cached[snapshot->segments - 1] == NULL)
	{
		layout_release(layout);
		return NULL;
	}
	return layout;
}

/* ---------- The cache ---------- */

static void
cache_suspect_index(Datum argument, Oid relation)
{
	HASH_SEQ_STATUS status;
	CacheEntry *entry;

	if (OidIsValid(relation))
	{
		entry = hash_search(cache, &relation, HASH_FIND, NULL);
		if (entry)
			entry->suspect = true;
		return;
	}
	hash_seq_init(&status, cache);
	while ((entry = hash_seq_search(&status)) != NULL)
		entry->suspect = true;
}

static void
cache_forget_suspects(void)
{
	HASH_SEQ_STATUS status;
	CacheEntry *entry;

	hash_seq_init(&status, cache);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (!entry->suspect)
			continue;
		if (entry->layout)
			layout_release(entry->layout);
		MemoryContextDelete(entry->snapshot->context);
		hash_search(cache, &entry->index, HASH_REMOVE, NULL);
	}
}

static CacheEntry *
cache_find_entry(Oid index)
{
	CacheEntry *entry;

	if (!cache)
	{
		HASHCTL		control = {.keysize = sizeof(Oid), .entrysize = sizeof(CacheEntry)};

		if (!cache_context)
			cache_context = AllocSetContextCreate(CacheMemoryContext, "xmhash index cache",
												  ALLOCSET_DEFAULT_SIZES);
		control.hcxt = cache_context;
		cache = hash_create("xmhash indexes", 16, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
		CacheRegisterRelcacheCallback(cache_suspect_index, (Datum) 0);
	}
	entry = hash_search(cache, &index, HASH_FIND, NULL);
	if (!entry)
	{
		/* Memory first: an entry without a snapshot must not stay behind. */
		MemoryContext context;
		IndexSnapshot *snapshot;

		cache_forget_suspects();
		context = AllocSetContextCreate(cache_context, "xmhash snapshot", ALLOCSET_SMALL_SIZES);
		snapshot = xmhash_snapshot_create(context);
		entry = hash_search(cache, &index, HASH_ENTER, NULL);
		entry->layout = NULL;
		entry->snapshot = snapshot;
	}
	entry->suspect = false;
	return entry;
}

/*
 * Planning reads the catalogue alone: whoever does not use the index in the end
 * has not read its directories, nor fails because one is damaged.
 */
const IndexSnapshot *
cache_estimate(Relation index, BlockNumber blocks)
{
	CacheEntry *entry = cache_find_entry(RelationGetRelid(index));

	return xmhash_snapshot_estimate(index, blocks, entry->snapshot) ? entry->snapshot : NULL;
}

Layout *
layout_acquire(Relation index, IndexSnapshot *snapshot)
{
	CacheEntry *entry = cache_find_entry(RelationGetRelid(index));

	for (;;)
	{
		Layout	   *layout;

		xmhash_snapshot_read(index, entry->snapshot);
		layout = entry->layout;
		if (layout && layout->nonce == entry->snapshot->nonce &&
			layout->version == entry->snapshot->version && layout->format.bits == entry->snapshot->format.bits)
			break;
		layout = layout_make(index, entry->snapshot, entry->layout);
		if (!layout)
			continue;
		if (entry->layout)
			layout_release(entry->layout);
		entry->layout = layout;
		break;
	}
	*snapshot = *entry->snapshot;
	/* These belong to the cache, which may read the snapshot again any time. */
	snapshot->context = NULL;
	snapshot->segments = snapshot->extents = snapshot->free_extents = 0;
	snapshot->segment = NULL;
	snapshot->extent = NULL;
	snapshot->free_extent = NULL;
	entry->layout->references++;
	return entry->layout;
}

/*
 * index/catalogue.c: replacing the catalogue by a new one in one atomic step.
 *
 * The catalogue lies on pages of its own, in two sets that take turns.  A
 * change is made under the exclusive lock of the meta page: read the current
 * catalogue, make the new one, write it into the set not in use, and switch in
 * the record that changes the meta page.  A crash before that record leaves
 * the old state, after it the new one.
 */
#include "postgres.h"

#include "access/xact.h"
#include "index/storage.h"

#include "miscadmin.h"
#include "utils/memutils.h"

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
catalogue_draft_segment(Draft *draft, const XmhashSegment *segment, const XmhashExtent *extent)
{
	XmhashSegment *copy = &draft->segment[draft->segments++];

	*copy = *segment;
	copy->first_extent = draft->extents;
	memcpy(draft->extent + draft->extents, extent, segment->extents * sizeof(XmhashExtent));
	draft->extents += segment->extents;
}

static bool
catalogue_drops(const XmhashChange *change, uint64 id)
{
	for (int i = 0; i < change->dropped; i++)
		if (change->drop[i] == id)
			return true;
	return false;
}

/* Segments of the new catalogue; extents of those dropped go to `known`. */
static void
catalogue_draft_segments(Relation index, Draft *draft, const IndexSnapshot *snapshot, const XmhashChange *change,
						 ExtentList *known, uint64 freed_xid)
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
		if (catalogue_drops(change, segment.id) || segment.removed >= segment.rows + segment.nulls)
			extent_list_add_all(known, extent, segment.extents, freed_xid);
		else
			catalogue_draft_segment(draft, &segment, extent);
	}
	if (change->add == NULL)
		return;
	if (draft->segments >= XMHASH_MAX_SEGMENTS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("index \"%s\" cannot have more than %d segments",
						RelationGetRelationName(index), XMHASH_MAX_SEGMENTS),
				 errhint("VACUUM the table, or call xmhash_index_merge().")));
	catalogue_draft_segment(draft, change->add, change->add_extent);
}

/*
 * Is the list too long to be stored?  Then its smallest extents are left out; they
 * turn up again at a later change.
 */
static void
catalogue_shorten_free(Draft *draft)
{
	for (uint32 min_blocks = 2;
		 xmhash_catalogue_size(draft->segments, draft->extents, draft->free.count) >
		 XMHASH_CATALOGUE_PAGES * XMHASH_BLOB_CAPACITY; min_blocks *= 2)
	{
		int			kept = 0;

		for (int i = 0; i < draft->free.count; i++)
			if (draft->free.item[i].extent.count >= min_blocks)
				draft->free.item[kept++] = draft->free.item[i];
		draft->free.count = kept;
	}
}

/* All blocks in use under the changed meta page and the new catalogue. */
static void
catalogue_list_used(const XmhashMeta *meta, const Draft *draft, ExtentList *used)
{
	extent_list_add_all(used, draft->extent, draft->extents, 0);
	extent_list_add_all(used, meta->pending, meta->pending_extents, 0);
	extent_list_add_all(used, &meta->preallocated, 1, 0);
	for (int set = 0; set < 2; set++)
		for (int i = 0; i < meta->catalogue_blocks[set]; i++)
			extent_list_add(used, meta->catalogue[set][i], 1, 0);
	for (int i = 0; i < XMHASH_RESERVATIONS; i++)
		if (meta->reserved[i].segment != 0)
			extent_list_add_all(used, meta->reserved[i].extent, meta->reserved[i].extents, 0);
}

/*
 * Make the change on a copy of the meta page; the catalogue itself comes later.
 * Reserved blocks that were not used have never been seen by anybody: their freed_xid is 0.
 */
static void
catalogue_change_meta(XmhashMeta *meta, const XmhashChange *change, ExtentList *known, uint64 freed_xid)
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

			extent_list_add_all(known, rest, left, 0);
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

		extent_list_add_all(known, gone, dropped, freed_xid);
		memcpy(meta->pending, rest, left * sizeof(XmhashExtent));
		meta->pending_extents = left;
		meta->pending_pages -= change->pending_pages;
		meta->pending_first += change->pending_pages;
	}
}

/* Blocks for the set not in use, if it has too few for so many bytes. */
static void
catalogue_allot_blocks(XmhashMeta *meta, int set, Draft *draft)
{
	for (;;)
	{
		uint64		bytes = xmhash_catalogue_size(draft->segments, draft->extents, draft->free.count);
		XmhashExtent taken;

		if (bytes <= (uint64) meta->catalogue_blocks[set] * XMHASH_BLOB_CAPACITY)
			return;
		if (!alloc_take_free(&draft->free, 1, &taken))
			taken.start = meta->end++;
		meta->catalogue[set][meta->catalogue_blocks[set]++] = taken.start;
	}
}

static char *
catalogue_encode(const Draft *draft, uint32 *bytes)
{
	XmhashCatalogueHead head = {draft->segments, draft->extents, draft->free.count, 0};
	char	   *data;
	char	   *to;

	*bytes = xmhash_catalogue_size(draft->segments, draft->extents, draft->free.count);
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
catalogue_write(Relation index, Buffer meta_buffer, const XmhashMeta *meta, const char *data)
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
 * freed_xid is read under the meta page's lock: whoever may still look at the
 * freed blocks has a snapshot taken before, so its xmin does not exceed it.
 * Nor does it exceed our own number, if we have one: it was running then, or
 * not even assigned.  With that number, blocks freed by a bulk load are free as
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
	uint64		freed_xid = U64FromFullTransactionId(freed);
	int			set;
	char	   *data;

	memcpy(meta, XmhashPageMeta(BufferGetPage(buffer)), sizeof(XmhashMeta));
	if (!xmhash_catalogue_read(index, meta, snapshot))
		xmhash_damaged(index, meta->catalogue[meta->catalogue_set][0],
					   "It does not hold catalogue version " UINT64_FORMAT ".", meta->catalogue_version);

	catalogue_change_meta(meta, change, &known, freed_xid);
	catalogue_draft_segments(index, draft, snapshot, change, &known, freed_xid);
	extent_list_sort(&known);
	alloc_add_known_free(&known, snapshot);
	catalogue_list_used(meta, draft, &used);
	alloc_find_free(index, meta->end, &used, &known, freed_xid, &draft->free);

	/* The index ends where its last free extent begins, if nobody can look at that. */
	if (draft->free.count > 0)
	{
		XmhashFreeExtent *item = &draft->free.item[draft->free.count - 1];

		if (item->freed_xid == 0 && item->extent.start + item->extent.count == meta->end)
		{
			meta->end = item->extent.start;
			draft->free.count--;
		}
	}
	if (meta->preallocated.count == 0)
		alloc_take_free(&draft->free, XMHASH_PREALLOCATED_PAGES, &meta->preallocated);
	catalogue_shorten_free(draft);
	set = 1 - meta->catalogue_set;
	catalogue_allot_blocks(meta, set, draft);
	data = catalogue_encode(draft, &meta->catalogue_bytes);
	meta->catalogue_set = set;
	meta->catalogue_version++;
	catalogue_write(index, buffer, meta, data);
	UnlockReleaseBuffer(buffer);

	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* Give back the reservation that a writer of this role left when it failed. */
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

/*
 * index/meta.c: the meta page, and the handing out of blocks.
 *
 * The meta page says everything that changes: which catalogue is in use, the
 * pending list, how far the file is in use, who has reserved what.  A change of
 * it is one WAL record, so a reader who copies it under a share lock has one
 * state of the whole index.
 */
#include "postgres.h"

#include "index/storage.h"

#include "access/xloginsert.h"
#include "miscadmin.h"
#include "utils/snapmgr.h"

static void
check_version(Relation index, const XmhashMeta *meta)
{
	if (meta->version != XMHASH_FORMAT_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("index \"%s\" has format version %u, this release of xmhash reads version %d",
						RelationGetRelationName(index), meta->version, XMHASH_FORMAT_VERSION),
				 errhint("Rebuild it with REINDEX.")));
}

/* The checksum, which scans compute, leaves reservations out: so look at each. */
static void
check_reservations(Relation index, const XmhashMeta *meta)
{
	for (int role = 0; role < XMHASH_RESERVATIONS; role++)
	{
		const XmhashReservation *reservation = &meta->reserved[role];

		if (reservation->segment == 0)
			continue;
		if (reservation->extents > XMHASH_RESERVED_EXTENTS)
			xmhash_damaged(index, XMHASH_META_BLOCK, "A reservation has %u extents, at most %d are possible.",
						   reservation->extents, XMHASH_RESERVED_EXTENTS);
		for (int i = 0; i < reservation->extents; i++)
			if (reservation->extent[i].start == XMHASH_META_BLOCK ||
				(uint64) reservation->extent[i].start + reservation->extent[i].count > meta->end)
				xmhash_damaged(index, XMHASH_META_BLOCK, "A reservation leaves the %u blocks of the index.",
							   meta->end);
	}
}

/* Refuse a meta page whose numbers could lead astray. */
static void
check_meta(Relation index, Page page)
{
	XmhashMeta *meta = XmhashPageMeta(page);
	PageHeader	header = (PageHeader) page;

	if (PageIsNew(page) || header->pd_special != BLCKSZ - sizeof(XmhashOpaque) ||
		header->pd_lower != XmhashPageHeaderSize + sizeof(XmhashMeta) ||
		header->pd_upper != header->pd_special || XmhashPageOpaque(page)->kind != XMHASH_PAGE_META ||
		meta->magic != XMHASH_MAGIC)
		xmhash_damaged(index, XMHASH_META_BLOCK, "It is not the first page of an xmhash index.");
	check_version(index, meta);
	if (!xmhash_page_checksum_agrees(page))
		xmhash_damaged(index, XMHASH_META_BLOCK, "The checksum of the meta page is wrong.");
	if (meta->bits > HAMMING_MAX_BITS || meta->bands > XMHASH_MAX_BANDS || meta->catalogue_set > 1 ||
		meta->catalogue_blocks[0] > XMHASH_CATALOGUE_PAGES ||
		meta->catalogue_blocks[1] > XMHASH_CATALOGUE_PAGES ||
		meta->pending_extents > XMHASH_PENDING_EXTENTS ||
		meta->catalogue_bytes > meta->catalogue_blocks[meta->catalogue_set] * XMHASH_BLOB_CAPACITY)
		xmhash_damaged(index, XMHASH_META_BLOCK, "A number on the meta page is out of range.");
	check_reservations(index, meta);
}

/* The meta page, pinned, locked and checked. */
Buffer
xmhash_meta_buffer(Relation index, int mode)
{
	Buffer		buffer = ReadBuffer(index, XMHASH_META_BLOCK);

	LockBuffer(buffer, mode);
	check_meta(index, BufferGetPage(buffer));
	return buffer;
}

/* Log a changed image of the meta page, last of those registered in `state`. */
void
xmhash_meta_log(GenericXLogState *state, Page page)
{
	xmhash_page_set_checksum(page);
	GenericXLogFinish(state);
}

int
xmhash_declared_bits(Relation index)
{
	int32		typmod = TupleDescAttr(RelationGetDescr(index), 0)->atttypmod;

	return typmod > 0 && typmod <= HAMMING_MAX_BITS ? typmod : 0;
}

void
xmhash_wrong_length(Relation index, int bits, int expected)
{
	ereport(ERROR,
			(errcode(ERRCODE_STRING_DATA_LENGTH_MISMATCH),
			 errmsg("code of %d bits does not fit index \"%s\", whose codes have %d bits",
					bits, RelationGetRelationName(index), expected),
			 errhint("Declare the column as bitcode(%d), so that it holds codes of one length only.", expected)));
}

static void
init_meta_page(Relation index, Page page)
{
	XmhashMeta *meta;
	uint64		nonce;

	if (!pg_strong_random(&nonce, sizeof(nonce)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	xmhash_page_init(page, XMHASH_PAGE_META, 0, nonce, 0);
	meta = XmhashPageMeta(page);
	memset(meta, 0, sizeof(XmhashMeta));
	meta->magic = XMHASH_MAGIC;
	meta->version = XMHASH_FORMAT_VERSION;
	meta->nonce = nonce;
	meta->bits = xmhash_declared_bits(index);
	meta->bands = xmhash_bands_option(index);
	meta->next_segment = 1;
	meta->pending_first = 1;
	meta->end = XMHASH_META_BLOCK + 1;
	((PageHeader) page)->pd_lower = XmhashPageHeaderSize + sizeof(XmhashMeta);
	xmhash_page_set_checksum(page);
}

/* The meta page of an empty index, logged whole: later records are changes. */
static void
create_meta_page(Relation index, ForkNumber fork)
{
	Buffer		buffer = ReadBufferExtended(index, fork, P_NEW, RBM_NORMAL, NULL);
	PGAlignedBlock image;

	Assert(BufferGetBlockNumber(buffer) == XMHASH_META_BLOCK);
	init_meta_page(index, image.data);
	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	START_CRIT_SECTION();
	memcpy(BufferGetPage(buffer), image.data, BLCKSZ);
	MarkBufferDirty(buffer);
	if (RelationNeedsWAL(index) || fork == INIT_FORKNUM)
		log_newpage_buffer(buffer, true);
	END_CRIT_SECTION();
	UnlockReleaseBuffer(buffer);
}

void
xmhash_build_start(Relation index)
{
	if (RelationGetNumberOfBlocks(index) != 0)
		elog(ERROR, "index \"%s\" already contains data", RelationGetRelationName(index));
	/*
	 * A rebuild in place (TRUNCATE in the creating transaction, ON COMMIT
	 * DELETE ROWS) comes without an invalidation of what insertions remember.
	 */
	if (index->rd_amcache != NULL)
		pfree(index->rd_amcache);
	index->rd_amcache = NULL;
	create_meta_page(index, MAIN_FORKNUM);
}

void
xmhash_build_empty(Relation index)
{
	create_meta_page(index, INIT_FORKNUM);
}

/*
 * The pages of the segment are not logged while they are written, since the
 * file goes away with the transaction if it fails; they are logged here, at
 * once, like those of core's index builds.
 */
void
xmhash_build_finish(Relation index, XmhashWriter *writer, int bits)
{
	XmhashSegment segment;
	XmhashChange change = {.role = XMHASH_WRITER_BUILD};
	XmhashExtent *extent;
	GenericXLogState *state;
	Buffer		buffer;
	Page		page;
	XmhashMeta *meta;

	if (writer != NULL)
	{
		xmhash_writer_finish(writer, &segment, &extent);
		change.add = &segment;
		change.add_extent = extent;
	}
	buffer = xmhash_meta_buffer(index, BUFFER_LOCK_EXCLUSIVE);
	state = GenericXLogStart(index);
	page = GenericXLogRegisterBuffer(state, buffer, 0);
	meta = XmhashPageMeta(page);
	if (writer != NULL)
		meta->next_segment = segment.id + 1;
	if (bits != 0)
		meta->bits = bits;
	meta->end = RelationGetNumberOfBlocks(index);
	xmhash_meta_log(state, page);
	UnlockReleaseBuffer(buffer);

	if (writer != NULL)
		xmhash_commit(index, &change);
	if (RelationNeedsWAL(index))
		log_newpage_range(index, MAIN_FORKNUM, 0, RelationGetNumberOfBlocks(index), true);
}

/* Can no snapshot any more need what was freed at that stamp? */
bool
xmhash_removable(uint64 stamp)
{
	if (stamp == 0)
		return true;
	return GlobalVisCheckRemovableFullXid(NULL, FullTransactionIdFromU64(stamp));
}

/* Is this free extent in the reservation of another writer? */
static bool
reserved_overlap(const XmhashReservation *reservation, const XmhashExtent *extent)
{
	for (int i = 0; reservation->segment != 0 && i < reservation->extents; i++)
		if (extent->start < reservation->extent[i].start + reservation->extent[i].count &&
			reservation->extent[i].start < extent->start + extent->count)
			return true;
	return false;
}

static int
compare_larger(const void *a, const void *b)
{
	const XmhashExtent *x = a;
	const XmhashExtent *y = b;

	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return x->start < y->start ? -1 : 1;
}

static int
compare_start(const void *a, const void *b)
{
	const XmhashExtent *x = a;
	const XmhashExtent *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/*
 * Choose `pages` blocks: the smallest free extent that has them all, else the
 * largest ones (a segment in crumbs would be slow to read), the rest from the end.
 */
static void
choose_extents(XmhashMeta *meta, XmhashExtent *usable, int usables, uint32 pages,
			   XmhashReservation *reservation)
{
	uint32		min = Min(16, pages / 8);
	int			first = 0;

	qsort(usable, usables, sizeof(XmhashExtent), compare_larger);
	while (first + 1 < usables && usable[first + 1].count >= pages)
		first++;
	for (int i = first; i < usables && pages > 0 && usable[i].count >= Min(min, pages) &&
		 reservation->extents < XMHASH_RESERVED_EXTENTS - 1; i++)
	{
		XmhashExtent *extent = &reservation->extent[reservation->extents++];

		extent->start = usable[i].start;
		extent->count = Min(usable[i].count, pages);
		pages -= extent->count;
	}
	qsort(reservation->extent, reservation->extents, sizeof(XmhashExtent), compare_start);
	if (pages > 0)
	{
		XmhashExtent *extent = &reservation->extent[reservation->extents++];

		if (pages >= MaxBlockNumber - meta->end)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("the index cannot have more than %u blocks", MaxBlockNumber)));
		extent->start = meta->end;
		extent->count = pages;
		meta->end += pages;
	}
}

/*
 * Reserve blocks and an id for a segment.  The caller holds the role's lock,
 * so whatever reservation it finds is a dead one and is forgotten: its blocks
 * are in no list then, and the next change of the catalogue frees them.
 */
uint64
xmhash_reserve(Relation index, XmhashWriterRole role, uint32 pages, XmhashReservation *reservation)
{
	IndexSnapshot *snapshot = xmhash_snapshot_create(CurrentMemoryContext);
	Buffer		buffer = xmhash_meta_buffer(index, BUFFER_LOCK_EXCLUSIVE);
	XmhashMeta *meta = XmhashPageMeta(BufferGetPage(buffer));
	GenericXLogState *state;
	Page		page;
	XmhashExtent *usable;
	int			usables = 0;

	if (!xmhash_catalogue_read(index, meta, snapshot))
		xmhash_damaged(index, meta->catalogue[meta->catalogue_set][0],
					   "It does not hold catalogue version " UINT64_FORMAT ".", meta->catalogue_version);
	usable = palloc(sizeof(XmhashExtent) * (snapshot->free_extents + 1));
	for (int i = 0; i < snapshot->free_extents; i++)
		if (xmhash_removable(snapshot->free_extent[i].stamp) &&
			!reserved_overlap(&meta->reserved[1 - role], &snapshot->free_extent[i].extent))
			usable[usables++] = snapshot->free_extent[i].extent;

	state = GenericXLogStart(index);
	page = GenericXLogRegisterBuffer(state, buffer, 0);
	meta = XmhashPageMeta(page);
	memset(reservation, 0, sizeof(XmhashReservation));
	choose_extents(meta, usable, usables, pages, reservation);
	reservation->segment = meta->next_segment++;
	meta->reserved[role] = *reservation;
	xmhash_meta_log(state, page);
	UnlockReleaseBuffer(buffer);
	return reservation->segment;
}

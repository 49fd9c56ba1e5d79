/*
 * index/meta.c: the meta page.
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

/* The checksum, which scans compute, leaves reservations out: so look at each. */
static bool
meta_reservations_sound(Relation index, const XmhashMeta *meta, bool tolerant)
{
	for (int role = 0; role < XMHASH_RESERVATIONS; role++)
	{
		const XmhashReservation *reservation = &meta->reserved[role];

		if (reservation->segment == 0)
			continue;
		if (reservation->extents > XMHASH_RESERVED_EXTENTS)
			return xmhash_refuse(index, tolerant, XMHASH_META_BLOCK,
								 "A reservation has %u extents, at most %d are possible.",
								 reservation->extents, XMHASH_RESERVED_EXTENTS);
		for (int i = 0; i < reservation->extents; i++)
			if (reservation->extent[i].start == XMHASH_META_BLOCK ||
				(uint64) reservation->extent[i].start + reservation->extent[i].count > meta->end)
				return xmhash_refuse(index, tolerant, XMHASH_META_BLOCK,
									 "A reservation leaves the %u blocks of the index.", meta->end);
	}
	return true;
}

/* Refuse a meta page whose numbers could lead astray. */
static bool
meta_sound(Relation index, Page page, bool tolerant)
{
	XmhashMeta *meta = XmhashPageMeta(page);
	PageHeader	header = (PageHeader) page;
	XmhashRowFormat format;

	if (PageIsNew(page) || header->pd_special != BLCKSZ - sizeof(XmhashOpaque) ||
		header->pd_lower != XmhashPageHeaderSize + sizeof(XmhashMeta) ||
		header->pd_upper != header->pd_special || XmhashPageOpaque(page)->kind != XMHASH_PAGE_META ||
		meta->magic != XMHASH_MAGIC)
		return xmhash_refuse(index, tolerant, XMHASH_META_BLOCK, "It is not the first page of an xmhash index.");
	if (meta->version != XMHASH_FORMAT_VERSION && tolerant)
		return false;
	if (meta->version != XMHASH_FORMAT_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("index \"%s\" has format version %u, this release of xmhash reads version %d",
						RelationGetRelationName(index), meta->version, XMHASH_FORMAT_VERSION),
				 errhint("Rebuild it with REINDEX.")));
	if (!xmhash_page_checksum_agrees(page))
		return xmhash_refuse(index, tolerant, XMHASH_META_BLOCK, "The checksum of the meta page is wrong.");
	if (meta->bits > HAMMING_MAX_BITS || meta->bands > XMHASH_MAX_BANDS || meta->catalogue_set > 1 ||
		meta->catalogue_blocks[0] > XMHASH_CATALOGUE_PAGES ||
		meta->catalogue_blocks[1] > XMHASH_CATALOGUE_PAGES ||
		meta->pending_extents > XMHASH_PENDING_EXTENTS ||
		meta->catalogue_bytes > meta->catalogue_blocks[meta->catalogue_set] * XMHASH_BLOB_CAPACITY)
		return xmhash_refuse(index, tolerant, XMHASH_META_BLOCK, "A number on the meta page is out of range.");
	xmhash_row_format(index, meta->bits, &format);
	if (meta->filter_columns != format.columns || meta->filter_wide != format.wide)
		return xmhash_refuse(index, tolerant, XMHASH_META_BLOCK,
							 "The meta page has %u filter columns, of 8 bytes by mask %u; the index has %d, by mask %u.",
							 meta->filter_columns, meta->filter_wide, format.columns, format.wide);
	return meta_reservations_sound(index, meta, tolerant);
}

/* The meta page, pinned, locked and checked. */
Buffer
xmhash_meta_buffer(Relation index, int mode)
{
	Buffer		buffer = ReadBuffer(index, XMHASH_META_BLOCK);

	LockBuffer(buffer, mode);
	meta_sound(index, BufferGetPage(buffer), false);
	return buffer;
}

/* The same for whoever only estimates; invalid: it is damaged. */
Buffer
xmhash_meta_buffer_if_sound(Relation index)
{
	Buffer		buffer = xmhash_read_buffer_if_sound(index, XMHASH_META_BLOCK);

	if (!BufferIsValid(buffer))
		return InvalidBuffer;
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	if (meta_sound(index, BufferGetPage(buffer), true))
		return buffer;
	UnlockReleaseBuffer(buffer);
	return InvalidBuffer;
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

static void
meta_init_page(Relation index, Page page)
{
	XmhashMeta *meta;
	XmhashRowFormat format;
	uint64		nonce;

	xmhash_check_columns(index);
	xmhash_row_format(index, xmhash_declared_bits(index), &format);
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
	meta->bits = format.bits;
	meta->filter_columns = format.columns;
	meta->filter_wide = format.wide;
	meta->bands = xmhash_bands_option(index);
	meta->next_segment = 1;
	meta->pending_first = 1;
	meta->end = XMHASH_META_BLOCK + 1;
	((PageHeader) page)->pd_lower = XmhashPageHeaderSize + sizeof(XmhashMeta);
	xmhash_page_set_checksum(page);
}

/* The meta page of an empty index, logged whole: later records are changes. */
static void
meta_create_page(Relation index, ForkNumber fork)
{
	Buffer		buffer = ReadBufferExtended(index, fork, P_NEW, RBM_NORMAL, NULL);
	PGAlignedBlock image;

	Assert(BufferGetBlockNumber(buffer) == XMHASH_META_BLOCK);
	meta_init_page(index, image.data);
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
	meta_create_page(index, MAIN_FORKNUM);
}

void
xmhash_build_empty(Relation index)
{
	meta_create_page(index, INIT_FORKNUM);
}

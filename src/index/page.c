/*
 * index/page.c: pages of the index, one by one: their form, their checksum,
 * and how new ones come to be.
 *
 * The checksum (CRC-32C) of a page of a segment or catalogue covers all that
 * it holds.  That of a pending page is carried on from entry to entry, so that
 * an insertion costs the sum of one entry, not of a page.  Scans do not compute
 * checksums of data pages (it would cost several times the search of a page);
 * they check that sizes and counts agree.  xmhash_index_check()
 * verifies them, and so do VACUUM, flushes and merges, and everybody who reads a
 * meta, catalogue or directory page.
 */
#include "postgres.h"

#include "index/storage.h"

#include "port/pg_crc32c.h"
#include "utils/memutils.h"

void
xmhash_page_init(Page page, XmhashPageKind kind, uint64 owner, uint64 nonce, uint32 number)
{
	XmhashOpaque *opaque;

	PageInit(page, BLCKSZ, sizeof(XmhashOpaque));
	opaque = XmhashPageOpaque(page);
	opaque->owner = owner;
	opaque->nonce = XmhashPageNonce(nonce);
	opaque->number = number;
	opaque->kind = kind;
}

/* State the number of entries, so that WAL covers their bytes and no others. */
void
xmhash_page_set_count(Page page, const XmhashRowFormat *format, int count)
{
	PageHeader	header = (PageHeader) page;
	XmhashOpaque *opaque = XmhashPageOpaque(page);

	opaque->count = count;
	header->pd_lower = XmhashPageHeaderSize + count * xmhash_row_lower(format, opaque->kind);
	header->pd_upper = header->pd_special - count * xmhash_row_upper(format, opaque->kind);
	Assert(header->pd_lower <= header->pd_upper);
}

/* What every checksum begins with: the page's identity. */
static pg_crc32c
page_identity_checksum(const XmhashOpaque *opaque)
{
	pg_crc32c	sum;

	INIT_CRC32C(sum);
	COMP_CRC32C(sum, &opaque->owner, sizeof(opaque->owner));
	COMP_CRC32C(sum, &opaque->nonce, sizeof(opaque->nonce));
	COMP_CRC32C(sum, &opaque->number, sizeof(opaque->number));
	COMP_CRC32C(sum, &opaque->kind, sizeof(opaque->kind));
	return sum;
}

static pg_crc32c
page_entry_checksum(pg_crc32c sum, Page page, int columns, int i)
{
	int			words = HAMMING_WORDS(XmhashPageOpaque(page)->number);

	COMP_CRC32C(sum, XmhashPageCodes(page) + (Size) i * words, words * sizeof(uint64));
	COMP_CRC32C(sum, XmhashPendingSlotAt(page, columns, i), XMHASH_SLOT_SIZE(columns));
	return sum;
}

static uint32
page_checksum(Page page)
{
	PageHeader	header = (PageHeader) page;
	XmhashOpaque *opaque = XmhashPageOpaque(page);
	pg_crc32c	sum = page_identity_checksum(opaque);
	Size		lower = header->pd_lower - XmhashPageHeaderSize;

	if (opaque->kind == XMHASH_PAGE_PENDING)
	{
		Size		slot = (header->pd_special - header->pd_upper) / Max(opaque->count, 1);
		int			columns = opaque->count == 0 ? 0 : (slot - XMHASH_SLOT_SIZE(0)) / sizeof(int64);

		for (int i = 0; i < opaque->count; i++)
			sum = page_entry_checksum(sum, page, columns, i);
		return sum;
	}
	COMP_CRC32C(sum, &opaque->count, sizeof(opaque->count));
	if (opaque->kind == XMHASH_PAGE_META)
		lower = XMHASH_META_HEAD;
	COMP_CRC32C(sum, PageGetContents(page), lower);
	COMP_CRC32C(sum, (char *) page + header->pd_upper, header->pd_special - header->pd_upper);
	FIN_CRC32C(sum);
	return sum;
}

void
xmhash_page_set_checksum(Page page)
{
	XmhashPageOpaque(page)->checksum = page_checksum(page);
}

/* Only for pages whose sizes have been checked already. */
bool
xmhash_page_checksum_agrees(Page page)
{
	return XmhashPageOpaque(page)->checksum == page_checksum(page);
}

/* Append an entry, code NULL for a NULL, to a pending page that is not full. */
void
xmhash_pending_page_add(Page page, const XmhashRowFormat *format, const uint64 *code, const int64 *keys,
						ItemPointer tid)
{
	XmhashOpaque *opaque = XmhashPageOpaque(page);
	int			words = format->words;
	int			i = opaque->count;
	uint64	   *to = XmhashPageCodes(page) + (Size) i * words;
	XmhashPendingSlot *slot = XmhashPendingSlotAt(page, format->columns, i);

	if (code != NULL)
		memcpy(to, code, words * sizeof(uint64));
	else
		memset(to, 0, words * sizeof(uint64));
	slot->tid = *tid;
	slot->flags = code == NULL ? XMHASH_SLOT_NULL : 0;
	memcpy(slot->key, keys, format->columns * sizeof(int64));
	Assert(format->bits == opaque->number);
	if (i == 0)
		opaque->checksum = page_identity_checksum(opaque);
	xmhash_page_set_count(page, format, i + 1);
	opaque->checksum = page_entry_checksum(opaque->checksum, page, format->columns, i);
}

/* The keys of a page of data, NULLs or a band, row by row: keys[count × columns]. */
void
xmhash_page_get_keys(Page page, const XmhashRowFormat *format, int64 *keys)
{
	int			count = XmhashPageOpaque(page)->count;

	for (int c = 0; c < format->columns; c++)
	{
		const char *from = xmhash_page_keys(page, format, c);

		for (int i = 0; i < count; i++)
			keys[i * format->columns + c] = key_at(from, XmhashKeyIsWide(format, c), i);
	}
}

/* State the number of entries, and put their keys behind the codes. */
void
xmhash_page_put_keys(Page page, const XmhashRowFormat *format, const int64 *keys, int count)
{
	xmhash_page_set_count(page, format, count);
	for (int c = 0; c < format->columns; c++)
	{
		char	   *to = xmhash_page_keys(page, format, c);

		for (int i = 0; i < count; i++)
			if (XmhashKeyIsWide(format, c))
				((int64 *) to)[i] = keys[i * format->columns + c];
			else
				((int32 *) to)[i] = keys[i * format->columns + c];
	}
}

/* Put a piece of a stream of bytes on a catalogue or directory page. */
void
xmhash_blob_page_fill(Page page, const char *data, int bytes)
{
	Assert(bytes <= XMHASH_BLOB_CAPACITY);
	memcpy(PageGetContents(page), data, bytes);
	((PageHeader) page)->pd_lower = XmhashPageHeaderSize + bytes;
	XmhashPageOpaque(page)->count = bytes;
	xmhash_page_set_checksum(page);
}

/*
 * Make sure that the file has at least `end` blocks.  Blocks are handed out by
 * the meta page, and exist from when they are first needed: a crash between
 * the two, or somebody else's blocks below ours, need no care.
 */
void
xmhash_extend(Relation index, BlockNumber end)
{
	bool		lock = !RELATION_IS_LOCAL(index);

	if (RelationGetNumberOfBlocks(index) >= end)
		return;
	if (lock)
		LockRelationForExtension(index, ExclusiveLock);
	for (BlockNumber n = RelationGetNumberOfBlocks(index); n < end; n++)
		ReleaseBuffer(ReadBufferExtended(index, MAIN_FORKNUM, P_NEW, RBM_NORMAL, NULL));
	if (lock)
		UnlockRelationForExtension(index, ExclusiveLock);
}

/*
 * A page for an estimate: ReadBuffer() would raise an error for one that core
 * finds damaged.  A valid buffer has been looked at.
 */
Buffer
xmhash_read_buffer_if_sound(Relation index, BlockNumber block)
{
	Buffer		buffer = PrefetchBuffer(index, MAIN_FORKNUM, block).recent_buffer;
	PGIOAlignedBlock copy;

	if (BufferIsValid(buffer) && ReadRecentBuffer(relation_locator(index), MAIN_FORKNUM, block, buffer))
		return buffer;
	smgrread(RelationGetSmgr(index), MAIN_FORKNUM, block, copy.data);
	return page_verifies((Page) copy.data, block) ? ReadBuffer(index, block) : InvalidBuffer;
}

/* A block of ours to be written as a whole: pinned, locked, whatever it held. */
Buffer
xmhash_new_buffer(Relation index, BlockNumber block)
{
	return ReadBufferExtended(index, MAIN_FORKNUM, block, RBM_ZERO_AND_LOCK, NULL);
}

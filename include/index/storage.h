/*
 * index/storage.h: the contract between the files that change an index or read
 * its pages: page, meta page, catalogue, free blocks, flush, merge, locks.
 */
#ifndef INDEX_STORAGE_H
#define INDEX_STORAGE_H

#include "index/index.h"

#include "access/generic_xlog.h"
#include "commands/vacuum.h"
#include "server/role.h"
#include "storage/lmgr.h"

/* The part of the meta page that readers need, and its checksum covers. */
#define XMHASH_META_HEAD	offsetof(XmhashMeta, reserved)

/* The nonce that pages carry. */
#define XmhashPageNonce(nonce)	((uint32) (nonce))

#define XmhashPageHeaderSize	MAXALIGN(SizeOfPageHeaderData)

/* index/page.c */
extern void xmhash_page_init(Page page, XmhashPageKind kind, uint64 owner, uint64 nonce, uint32 number);
extern void xmhash_page_set_count(Page page, const XmhashRowFormat *format, int count);
extern void xmhash_page_set_checksum(Page page);
extern bool xmhash_page_checksum_agrees(Page page);
extern void xmhash_pending_page_add(Page page, const XmhashRowFormat *format, const uint64 *code,
									const int64 *keys, ItemPointer tid);
extern void xmhash_page_get_keys(Page page, const XmhashRowFormat *format, int64 *keys);
extern void xmhash_page_put_keys(Page page, const XmhashRowFormat *format, const int64 *keys, int count);
extern void xmhash_blob_page_fill(Page page, const char *data, int bytes);
extern void xmhash_extend(Relation index, BlockNumber end);
extern Buffer xmhash_read_buffer_if_sound(Relation index, BlockNumber block);
extern Buffer xmhash_new_buffer(Relation index, BlockNumber block);

/* index/meta.c */
extern Buffer xmhash_meta_buffer(Relation index, int mode);
extern Buffer xmhash_meta_buffer_if_sound(Relation index);
extern void xmhash_meta_log(GenericXLogState *state, Page page);

/* index/snapshot.c */
extern bool xmhash_catalogue_read(Relation index, const XmhashMeta *meta, IndexSnapshot *snapshot);

/* Bytes of a catalogue; compare before use: counts may come from disk. */
static inline uint64
xmhash_catalogue_size(uint64 segments, uint64 extents, uint64 free_extents)
{
	return sizeof(XmhashCatalogueHead) + segments * sizeof(XmhashSegment) +
		extents * sizeof(XmhashExtent) + free_extents * sizeof(XmhashFreeExtent);
}

/* index/alloc.c */
/* A growing list of extents, each with the freed_xid it had. */
typedef struct ExtentList
{
	XmhashFreeExtent *item;
	int			count;
	int			capacity;
} ExtentList;

extern bool xmhash_removable(uint64 freed_xid);
extern XmhashExtent *xmhash_extents_cut(const XmhashExtent *extent, int extents, uint32 skip,
										uint32 pages, int *count);
extern void extent_list_add(ExtentList *list, BlockNumber start, uint32 count, uint64 freed_xid);
extern void extent_list_add_all(ExtentList *list, const XmhashExtent *extent, int extents, uint64 freed_xid);
extern void extent_list_sort(ExtentList *list);
extern void alloc_add_known_free(ExtentList *known, const IndexSnapshot *snapshot);
extern void alloc_find_free(Relation index, BlockNumber end, ExtentList *used, ExtentList *known, uint64 freed_xid,
							ExtentList *free);
extern bool alloc_take_free(ExtentList *free, uint32 pages, XmhashExtent *taken);
extern uint64 xmhash_reserve(Relation index, XmhashWriterRole role, uint32 pages,
							 XmhashReservation *reservation);

/* index/catalogue.c: one atomic change of what the index consists of. */
typedef struct XmhashRemoval
{
	uint64		segment;
	uint64		removed;		/* by now, replacing what the catalogue says */
	uint64		removed_nulls;
} XmhashRemoval;

typedef struct XmhashChange
{
	XmhashWriterRole role;		/* whose reservation ends */
	int			dropped;		/* segments to drop */
	const uint64 *drop;
	const XmhashSegment *add;	/* NULL: none */
	const XmhashExtent *add_extent; /* [add->extents] */
	uint32		pending_pages;	/* to drop from the head of the pending list */
	int			removals;
	const XmhashRemoval *removal;
} XmhashChange;

extern void xmhash_forget_reservation(Relation index, XmhashWriterRole role);
extern void xmhash_commit(Relation index, const XmhashChange *change);

/* index/writer.c */
extern void xmhash_writer_finish(XmhashWriter *writer, XmhashSegment *segment, XmhashExtent **extent);

/* index/lock.c */
extern void xmhash_lock_page(Relation index, BlockNumber lock);

/* index/flush.c, index/merge.c */
extern bool xmhash_flush(Relation index, bool wait, uint64 *rows);
extern void xmhash_flush_all(Relation index, uint64 *rows);
extern void xmhash_merge_small(Relation index, bool wait);
extern void xmhash_merge_all(Relation index);

/* index/options.c */
extern int	xmhash_pending_limit_pages(Relation index);

/* index/check.c: what xmhash_index_check() does, with heapallindexed or without. */
extern void xmhash_check(Relation heap, Relation index, bool heapallindexed);

/* index/open.c: an index and its table, opened for a function about one index. */
typedef struct XmhashOpenIndex
{
	Relation	heap;
	Relation	index;
	LOCKMODE	mode;
	RoleSwitch	role;			/* the caller's, whose place the table's owner takes */
} XmhashOpenIndex;

extern void xmhash_open_index(XmhashOpenIndex *open, FunctionCallInfo fcinfo, LOCKMODE mode, bool owner);
extern void xmhash_close_index(XmhashOpenIndex *open);

#endif							/* INDEX_STORAGE_H */

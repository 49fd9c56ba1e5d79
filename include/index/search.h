/*
 * index/search.h: the contract between the backend's cache of an index and those
 * who search it or plan to: index/cache.c with scans and costs.
 */
#ifndef INDEX_SEARCH_H
#define INDEX_SEARCH_H

#include "index/index.h"

#include "bitcode/ball.h"
#include "core/search.h"

StaticAssertDecl(XMHASH_PAGE_CAPACITY == BLCKSZ - PAGE_OVERHEAD && sizeof(RowPointer) == sizeof(ItemPointerData),
				 "core/page_layout.c has other pages than the index");

/* ---------- Directories in memory (index/directory.c, index/cache.c) ---------- */

extern void xmhash_directory_split(const XmhashDirectory *spans, MemoryContext context, Directory *directory);

/* A segment as a scan sees it. */
typedef struct LayoutSegment
{
	uint64		id;
	uint32		base;			/* its first page in the layout's numbers */
	uint32		pages;			/* data pages; those of its band runs follow */
	uint32		first_null;		/* number of the first in the segment */
	uint32		null_pages;
	uint32		bands;
	uint32		band_pages;		/* of each band */
	const uint16 *band_first;	/* [bands × band_pages] */
	const Directory *directory;
} LayoutSegment;

/*
 * All that a backend keeps of one version of an index's segments.  Never
 * changed once made, but for the hints in recent[]; a scan holds a reference.
 */
typedef struct Layout
{
	MemoryContext context;
	int			references;
	uint64		nonce;
	uint64		version;
	XmhashRowFormat format;
	int			segments;
	LayoutSegment *segment;
	uint32		pages;			/* data and band pages of all segments */
	uint32		data_pages;
	int			max_centres;	/* of any segment */
	BlockNumber *block;			/* [pages] */
	uint32	   *segment_of;		/* [pages] */
	Buffer	   *recent;			/* [pages]: the buffer each was last seen in */
	uint32		null_pages;
	BlockNumber *null_block;	/* [null_pages] */
	uint32	   *null_segment;	/* [null_pages] */
	struct CachedSegment **cached;	/* [segments] */
} Layout;

/*
 * The layout that the index has now, and in snapshot what the index holds beside:
 * the pending list.  Release by layout_release().
 */
extern Layout *layout_acquire(Relation index, IndexSnapshot *snapshot);
extern void layout_release(Layout *layout);

/*
 * What the catalogue says of an index whose file has so many blocks, valid until
 * anything else is asked about the index.  NULL: it is damaged.
 */
extern const IndexSnapshot *cache_estimate(Relation index, BlockNumber blocks);

/* The radius of a ball in a query, if planning can know it; -1 (index/support.c). */
extern int	support_ball_radius(PlannerInfo *root, Node *ball);

/* index/array_clauses.c: add to an ordered path the arrays that filter columns are compared with. */
extern void xmhash_add_array_clauses(PlannerInfo *root, IndexPath *path);

#endif							/* INDEX_SEARCH_H */

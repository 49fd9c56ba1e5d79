/*
 * index/index.h: the contract of the whole room: what is on disk, how it is
 * read, how a segment is written, and the access method's callbacks.
 *
 * Who changes an index beyond that includes index/storage.h, who searches one
 * index/search.h.  src/README.md has the list of the files, draws the pages and
 * proves the rules.
 */
#ifndef XMHASH_INDEX_H
#define XMHASH_INDEX_H

#include "xmhash.h"

#include "access/amapi.h"
#include "access/genam.h"
#include "access/transam.h"
#include "nodes/execnodes.h"
#include "nodes/pathnodes.h"
#include "storage/block.h"
#include "storage/bufmgr.h"
#include "storage/itemptr.h"
#include "utils/rel.h"

#include "core/hamming.h"
#include "core/reach.h"
#include "core/search.h"

/*
 * ---------------------------------------------------------------------------
 * Pages
 *
 * Every page has the standard header and ends in an XmhashOpaque.  Codes are
 * packed in words of 64 bits, unused bits zero, as the kernels want them.
 * GenericXLog zeroes everything from pd_lower to pd_upper, so arrays of codes
 * grow up to pd_lower and arrays of tids grow down to pd_upper: the tid of
 * entry i lies at special - (i + 1) * slot size.
 * ---------------------------------------------------------------------------
 */
#define XMHASH_MAGIC			0x584D4831	/* "XMH1" */
#define XMHASH_FORMAT_VERSION	2
#define XMHASH_META_BLOCK		0

typedef enum XmhashPageKind
{
	XMHASH_PAGE_META = 1,
	XMHASH_PAGE_CATALOGUE,		/* owner: catalogue version */
	XMHASH_PAGE_PENDING,		/* owner: number in the endless pending list */
	XMHASH_PAGE_DATA,			/* owner of these and band pages: segment id */
	XMHASH_PAGE_NULLS,
	XMHASH_PAGE_DIRECTORY,
	XMHASH_PAGE_BAND
} XmhashPageKind;

#define XMHASH_PENDING_SEALED	0x01	/* flags: nothing may be added any more */

typedef struct XmhashOpaque
{
	uint64		owner;			/* by kind, see XmhashPageKind */
	uint32		nonce;			/* low half of the meta page's */
	uint32		number;			/* page number in the segment or catalogue; on
								 * a pending page the bits of its codes, 0 as
								 * long as it holds but NULLs */
	uint32		checksum;		/* CRC-32C of the content, see index/page.c */
	uint16		count;			/* entries; on blob pages bytes */
	uint8		kind;
	uint8		flags;
} XmhashOpaque;

StaticAssertDecl(sizeof(XmhashOpaque) == 24, "XmhashOpaque has a fixed size on disk");

/* Where it must be: what the header says of a damaged page leads nowhere. */
#define XmhashPageOpaque(page)	((XmhashOpaque *) ((char *) (page) + BLCKSZ - sizeof(XmhashOpaque)))

/* Bytes of a page between the header and the opaque part. */
#define XMHASH_PAGE_CAPACITY \
	(BLCKSZ - MAXALIGN(SizeOfPageHeaderData) - sizeof(XmhashOpaque))

/* Codes of a data or pending page: [count × words]. */
#define XmhashPageCodes(page)	((uint64 *) PageGetContents(page))

/* Tid of entry i of a data or null page. */
#define XmhashPageTid(page, i) \
	(((ItemPointerData *) XmhashPageOpaque(page))[-1 - (int) (i)])

/*
 * A pending page's entries may be NULL, so its tids come with flags; and since
 * such a page grows, with the keys of the filter columns.
 */
typedef struct XmhashPendingSlot
{
	ItemPointerData tid;
	uint16		flags;
	int64		key[FLEXIBLE_ARRAY_MEMBER]; /* [columns] */
} XmhashPendingSlot;

#define XMHASH_SLOT_NULL		0x0001	/* its code counts for nothing (zeros) */

#define XMHASH_SLOT_SIZE(columns) (offsetof(XmhashPendingSlot, key) + (columns) * sizeof(int64))

#define XmhashPendingSlotAt(page, columns, i) \
	((XmhashPendingSlot *) ((char *) XmhashPageOpaque(page) - ((int) (i) + 1) * XMHASH_SLOT_SIZE(columns)))

/* Filter columns of an index, behind the code's. */
#define XMHASH_MAX_COLUMNS	MAX_KEY_COLUMNS

/*
 * The form of an index's rows; pages of NULLs, and pending ones from before the
 * first code, have no codes.  On other pages than pending ones each filter
 * column's keys stand in an array of their own behind the codes, int64 ones before
 * int32 ones, so that each is aligned.
 */
typedef struct XmhashRowFormat
{
	int			bits;			/* of a code; 0: there is none yet */
	int			words;
	int			columns;		/* filter columns */
	uint8		wide;			/* bit c: column c has keys of int64, not int32 */
	uint8		key_bytes;		/* of all keys of a row */
	uint8		key_offset[XMHASH_MAX_COLUMNS]; /* bytes a row of the arrays before column c's */
} XmhashRowFormat;

#define XmhashKeyIsWide(format, column)	(((format)->wide >> (column)) & 1)

static inline void
xmhash_format_set_bits(XmhashRowFormat *format, int bits)
{
	format->bits = bits;
	format->words = HAMMING_WORDS(bits);
}

/* Words of a row's code on such a page. */
static inline int
xmhash_page_words(const XmhashRowFormat *format, XmhashPageKind kind)
{
	return kind == XMHASH_PAGE_NULLS ? 0 : format->words;
}

/* Bytes of a row below pd_lower, and above pd_upper. */
static inline Size
xmhash_row_lower(const XmhashRowFormat *format, XmhashPageKind kind)
{
	Size		codes = xmhash_page_words(format, kind) * sizeof(uint64);

	return kind == XMHASH_PAGE_PENDING ? codes : codes + format->key_bytes;
}

static inline Size
xmhash_row_upper(const XmhashRowFormat *format, XmhashPageKind kind)
{
	return kind == XMHASH_PAGE_PENDING ? XMHASH_SLOT_SIZE(format->columns) : sizeof(ItemPointerData);
}

/* How many rows a page of data, NULLs, a band or pending rows can hold. */
static inline int
xmhash_page_rows(const XmhashRowFormat *format, XmhashPageKind kind)
{
	return XMHASH_PAGE_CAPACITY / (xmhash_row_lower(format, kind) + xmhash_row_upper(format, kind));
}

/* The keys of a column on a page of data, NULLs or a band: [count] of int64 or int32. */
static inline char *
xmhash_page_keys(Page page, const XmhashRowFormat *format, int column)
{
	XmhashOpaque *opaque = XmhashPageOpaque(page);

	return PageGetContents(page) + (Size) opaque->count *
		(xmhash_page_words(format, opaque->kind) * sizeof(uint64) + format->key_offset[column]);
}

/* No page has more rows. */
#define XMHASH_MAX_PAGE_ROWS	((int) (XMHASH_PAGE_CAPACITY / sizeof(ItemPointerData)))

/* Catalogue and directory pages carry a stream of bytes cut into pieces. */
#define XMHASH_BLOB_CAPACITY	((int) XMHASH_PAGE_CAPACITY)

/*
 * ---------------------------------------------------------------------------
 * Extents, segments, directories
 * ---------------------------------------------------------------------------
 */
typedef struct XmhashExtent
{
	BlockNumber start;
	uint32		count;
} XmhashExtent;

/* A free extent may be used again once nobody can look at its old content. */
typedef struct XmhashFreeExtent
{
	XmhashExtent extent;
	uint64		freed_xid;		/* no later transaction looks at the old content; 0: nobody does */
} XmhashFreeExtent;

/*
 * A segment is a component of a log-structured merge tree: flushes write small
 * ones, merges larger ones in their place (index/merge.c).  Its pages are
 * numbered 0, 1, …: data pages, the pages of each band run, null pages,
 * directory pages; page n is the n-th block of its extents.  It does not change
 * but for rows that VACUUM removes: pages then hold fewer entries, possibly none.
 */
typedef struct XmhashSegment
{
	uint64		id;				/* never used twice under one nonce */
	uint64		rows;			/* with a code, as written */
	uint64		nulls;			/* as written */
	uint64		removed;		/* of both, by VACUUM since; */
	uint64		removed_nulls;	/* of these, NULLs */
	uint32		data_pages;
	uint32		null_pages;
	uint32		directory_pages;
	uint32		centres;		/* 0: no directory, every page must be read */
	uint32		spans;
	uint32		first_extent;	/* in the catalogue's array */
	uint32		extents;
	uint32		bands;			/* band runs, 0: none */
	uint32		band_pages;		/* of each of them */
	uint32		unused;
	Reach		reach;			/* of a segment with centres: what searches read, for the planner */
} XmhashSegment;

/* Number of the first null page, of the first directory page, of all pages. */
#define XmhashFirstNull(s)		((s)->data_pages + (s)->bands * (s)->band_pages)
#define XmhashFirstDirectory(s) (XmhashFirstNull(s) + (s)->null_pages)
#define XmhashSegmentPages(s)	(XmhashFirstDirectory(s) + (s)->directory_pages)
#define XMHASH_MAX_SEGMENTS	256

/*
 * The directory of a segment, a stream of bytes over its directory pages:
 * uint64 centre[centres × words], XmhashKeyRange range[data_pages × columns] if
 * there are filter columns, Span span[spans], and for band runs uint16 band_first[bands × band_pages], the minimum band value on each page.  A span is what
 * one data page holds of one centre; a page has one or more, in order.  No code
 * of the span is nearer to q than the largest of d(q,c) - max, min - d(q,c) and 0; a
 * page's bound is the minimum of its spans'.
 */
StaticAssertDecl(sizeof(Span) == 12, "spans on directory pages have 12 bytes");

/* The least and the greatest key of a filter column on a data page. */
typedef struct XmhashKeyRange
{
	int64		least;
	int64		greatest;
} XmhashKeyRange;

typedef struct XmhashDirectory
{
	int			words;
	int			columns;
	uint32		centres;
	uint32		spans;
	uint64	   *centre;			/* [centres × words] */
	XmhashKeyRange *range;		/* [data_pages × columns] */
	Span	   *span;			/* [spans] */
	uint32		band_firsts;	/* bands × band_pages */
	uint16	   *band_first;		/* [bands × band_pages], ascending in a band */
} XmhashDirectory;

#define XmhashRangeBytes(s, format) \
	((s)->centres == 0 ? 0 : (Size) (s)->data_pages * (format)->columns * sizeof(XmhashKeyRange))
#define XmhashDirectoryBytes(s, format) \
	((Size) (s)->centres * (format)->words * sizeof(uint64) + XmhashRangeBytes(s, format) + \
	 (Size) (s)->spans * sizeof(Span) + \
	 (Size) (s)->bands * (s)->band_pages * sizeof(uint16))

/* Band runs of an index: multi-index hashing, core/search_mih.c. */
#define XMHASH_MAX_BANDS 32

/*
 * ---------------------------------------------------------------------------
 * Meta page and catalogue
 *
 * The catalogue (segments, extents, free extents) is a stream of bytes on
 * pages of its own, in two sets that take turns: a new version is written into
 * the set not in use, the switch is the meta page's.  A reader who finds
 * another version than the meta page said starts over.
 * ---------------------------------------------------------------------------
 */
#define XMHASH_CATALOGUE_PAGES	64	/* of a set, at most */
#define XMHASH_PENDING_EXTENTS	64
#define XMHASH_RESERVED_EXTENTS	192
#define XMHASH_PREALLOCATED_PAGES		64

/* Blocks taken by a writer at work; void once its lock is free again. */
typedef struct XmhashReservation
{
	uint64		segment;		/* id it will have; 0: none */
	uint32		extents;
	uint32		unused;
	XmhashExtent extent[XMHASH_RESERVED_EXTENTS];
} XmhashReservation;

typedef enum XmhashWriterRole
{
	XMHASH_WRITER_FLUSH,		/* under the flush lock */
	XMHASH_WRITER_MERGE,		/* under the merge lock */
	XMHASH_WRITER_BUILD			/* nobody else can see the relation */
} XmhashWriterRole;
#define XMHASH_RESERVATIONS 2

typedef struct XmhashMeta
{
	uint32		magic;
	uint32		version;
	uint64		nonce;			/* drawn at every build */
	uint32		bits;			/* 0: no code seen yet */
	uint32		bands;			/* band runs that segments get, WITH (bands = …) */
	uint64		next_segment;
	BlockNumber end;			/* first block never handed out */
	uint32		catalogue_set;	/* 0 or 1: in use */
	uint64		catalogue_version;	/* 0: none yet, no segments */
	uint32		catalogue_bytes;
	uint32		catalogue_blocks[2];	/* allotted to each set */
	uint32		pending_extents;
	uint64		pending_first;	/* number of the list's first page */
	uint32		pending_pages;
	XmhashExtent preallocated;	/* free blocks kept for pending pages */
	XmhashExtent pending[XMHASH_PENDING_EXTENTS];
	BlockNumber catalogue[2][XMHASH_CATALOGUE_PAGES];
	uint16		filter_columns;	/* behind the code's */
	uint16		filter_wide;	/* bit c: column c has keys of 8 bytes, not 4 */
	XmhashReservation reserved[XMHASH_RESERVATIONS];
} XmhashMeta;

#define XmhashPageMeta(page)	((XmhashMeta *) PageGetContents(page))

StaticAssertDecl(sizeof(XmhashMeta) <= XMHASH_PAGE_CAPACITY, "XmhashMeta fits its page");

/* The stream of a catalogue: this, then segments, extents, free extents. */
typedef struct XmhashCatalogueHead
{
	uint32		segments;
	uint32		extents;
	uint32		free_extents;
	uint32		unused;
} XmhashCatalogueHead;

/*
 * ---------------------------------------------------------------------------
 * Reading
 * ---------------------------------------------------------------------------
 */

/* One consistent copy of what the index consists of, in one memory context. */
typedef struct IndexSnapshot
{
	MemoryContext context;
	uint64		nonce;
	XmhashRowFormat format;
	int			bands;
	BlockNumber end;

	uint64		version;		/* of the catalogue; segments valid for it */
	int			segments;
	XmhashSegment *segment;		/* [segments], in the order of their ids */
	int			extents;
	XmhashExtent *extent;
	int			free_extents;
	XmhashFreeExtent *free_extent;

	uint64		pending_first;
	uint32		pending_pages;
	int			pending_extents;
	XmhashExtent pending[XMHASH_PENDING_EXTENTS];
} IndexSnapshot;

/*
 * Read the snapshot; again with the same one: refresh it, and true if its segments
 * are still the same (then nothing but the pending list was read).
 */
extern IndexSnapshot *xmhash_snapshot_create(MemoryContext context);
extern bool xmhash_snapshot_read(Relation index, IndexSnapshot *snapshot);

/*
 * Read or refresh it for an estimate, of a file of so many blocks; false: it is
 * damaged, or of a format that this release does not read.
 */
extern bool xmhash_snapshot_estimate(Relation index, BlockNumber blocks, IndexSnapshot *snapshot);

/* Live rows of the segments, NULLs included: for estimates. */
extern double xmhash_snapshot_rows(const IndexSnapshot *snapshot);

/* Block of page `number` of a segment, of page i of the pending list. */
extern BlockNumber xmhash_segment_block(const IndexSnapshot *snapshot, const XmhashSegment *segment,
										uint32 number);
extern BlockNumber xmhash_pending_block(const IndexSnapshot *snapshot, uint32 i);

/*
 * Is this page, pinned and locked at least for share, what the snapshot says?  True: the
 * page is sound and may be used: count is in range and agrees with pd_lower
 * and pd_upper.  False: it has been recycled since the snapshot was taken (only
 * possible on a standby): restart, or raise xmhash_recycled() if rows have
 * been returned already.  A damaged page raises XX002.  The buffer is unlocked
 * and released before anything is raised or false returned.
 */
static inline bool xmhash_page_usable(Relation index, const IndexSnapshot *snapshot, Buffer buffer,
									  XmhashPageKind kind, uint64 owner, uint32 number);

/* The slow path of the above: decides between damage and recycling. */
extern bool xmhash_page_unusable(Relation index, const IndexSnapshot *snapshot, Buffer buffer,
								 XmhashPageKind kind, uint64 owner, uint32 number);
pg_noreturn extern void xmhash_recycled(Relation index);

/* XX002 naming index and block; detail is a complete sentence. */
pg_noreturn extern void xmhash_damaged(Relation index, BlockNumber block, const char *detail,...)
			pg_attribute_printf(3, 4);

/* The same, or false where damage is tolerated because nothing but an estimate depends on it. */
#define xmhash_refuse(index, tolerant, block, ...) \
	((tolerant) ? false : (xmhash_damaged(index, block, __VA_ARGS__), false))

/*
 * Decode a segment's directory into the current memory context; NULL: recycled.
 */
extern XmhashDirectory *xmhash_directory_read(Relation index, const IndexSnapshot *snapshot,
											  const XmhashSegment *segment);

/*
 * ---------------------------------------------------------------------------
 * Writing a segment
 *
 * The rows in centre order, then the NULLs, then finish.  Without centres
 * (centres = 0) rows come in any order with centre = distance = 0.  keys are
 * those of the row's filter columns.
 * ---------------------------------------------------------------------------
 */
typedef struct XmhashWriter XmhashWriter;

/* Rows and nulls are upper bounds: they size the reservation. */
extern XmhashWriter *xmhash_writer_begin(Relation index, XmhashWriterRole role, const XmhashRowFormat *format,
										 const uint64 *centre, uint32 centres, int bands,
										 uint64 rows, uint64 nulls);
extern void xmhash_writer_add(XmhashWriter *writer, uint32 centre, int distance,
							  const uint64 *code, const int64 *keys, ItemPointer tid);
/* After all of those, all of them again for band 0, 1, …, in the order of values. */
extern void xmhash_writer_add_to_band(XmhashWriter *writer, int band, int value,
									  const uint64 *code, const int64 *keys, ItemPointer tid);
extern void xmhash_writer_add_null(XmhashWriter *writer, const int64 *keys, ItemPointer tid);

/* Codes that stand for queries: what searches by them would read is learned. */
extern void xmhash_writer_set_probes(XmhashWriter *writer, ReachProbes *probes);

/* Build only: the meta page, with a new nonce, in an empty main fork. */
extern void xmhash_build_start(Relation index);

/*
 * ---------------------------------------------------------------------------
 * Callbacks of the access method
 * ---------------------------------------------------------------------------
 */

/* They read an index, or build it: index/build.c, index/scan.c, index/cost.c. */
extern IndexBuildResult *xmhash_build(Relation heap, Relation index, IndexInfo *info);
extern char *xmhash_build_phase_name(int64 phase);
extern IndexScanDesc xmhash_begin_scan(Relation index, int keys, int orderbys);
extern void xmhash_rescan(IndexScanDesc scan, ScanKey keys, int nkeys, ScanKey orderbys, int norderbys);
extern bool xmhash_get_tuple(IndexScanDesc scan, ScanDirection direction);
extern int64 xmhash_get_bitmap(IndexScanDesc scan, TIDBitmap *bitmap);
extern void xmhash_end_scan(IndexScanDesc scan);
extern void xmhash_cost_estimate(PlannerInfo *root, IndexPath *path, double loop_count,
								 Cost *startup_cost, Cost *total_cost, Selectivity *selectivity,
								 double *correlation, double *pages);

/* The others: index/meta.c, index/insert.c, index/vacuum.c, index/options.c, index/validate.c. */
extern void xmhash_build_empty(Relation index);
extern bool xmhash_insert(Relation index, Datum *values, bool *isnull, ItemPointer tid, Relation heap,
						  IndexUniqueCheck check_unique, bool index_unchanged, IndexInfo *info);
extern IndexBulkDeleteResult *xmhash_bulk_delete(IndexVacuumInfo *info, IndexBulkDeleteResult *stats,
												 IndexBulkDeleteCallback callback, void *callback_state);
extern IndexBulkDeleteResult *xmhash_vacuum_cleanup(IndexVacuumInfo *info, IndexBulkDeleteResult *stats);
extern bytea *xmhash_options(Datum reloptions, bool validate);
extern bool xmhash_validate(Oid opclass);

/*
 * Strategies of bitcode_hamming_ops.  hamming_within has no operator of its
 * own that could stand for its radius: the planner support function rewrites
 * it into XMHASH_WITHIN (code, xmhash-internal radius condition).
 */
#define XMHASH_STRATEGY_DISTANCE	1	/* ORDER BY code <~> q */
#define XMHASH_STRATEGY_EQUAL		2	/* code = q */
#define XMHASH_STRATEGY_WITHIN		3	/* within a radius */
#define XMHASH_STRATEGY_MUTUAL		4	/* of balls: each holds the other's center */

/* Strategies of the operator classes of filter columns. */
#define XMHASH_STRATEGY_KEY_LESS			5
#define XMHASH_STRATEGY_KEY_LESS_EQUAL		6
#define XMHASH_STRATEGY_KEY_EQUAL			7
#define XMHASH_STRATEGY_KEY_GREATER_EQUAL	8
#define XMHASH_STRATEGY_KEY_GREATER			9
#define XMHASH_STRATEGIES					9

/* Their support function: hash(type) → integer.  Without it the type's order gives the key. */
#define XMHASH_HASH_PROC					1
#define XMHASH_PROCS						1

/*
 * ---------------------------------------------------------------------------
 * Filter columns (index/filter.c)
 * ---------------------------------------------------------------------------
 */

/* The form of the index's rows, as its columns have it. */
extern void xmhash_row_format(Relation index, int bits, XmhashRowFormat *format);

/* Refuse an index whose columns are not a code and up to four filter columns. */
extern void xmhash_check_columns(Relation index);

/* The keys of a row's filter columns; values and isnull are those of all columns. */
extern void xmhash_row_keys(Relation index, const Datum *values, const bool *isnull, int64 *keys);

/* May values of these types be compared by their keys? */
extern bool filter_types_compare(Oid a, Oid b);

/* Does the type have a key that keeps its order; its number, of which the key is made. */
extern bool filter_type_is_ordered(Oid type, bool *wide);
extern int64 filter_order_number(Oid type, Datum value);
extern int64 filter_hash_key(Relation index, int column, Datum value);

/* Raise 22026 naming the index and both lengths. */
pg_noreturn extern void xmhash_wrong_length(Relation index, int bits, int expected);

/* Code length that the index column's type modifier fixes, 0: none. */
extern int	xmhash_declared_bits(Relation index);

/* WITH (bands = …) of the index. */
extern int	xmhash_bands_option(Relation index);

/* Heavyweight page locks, in this order; the numbers are only lock tags. */
#define XMHASH_MERGE_LOCK	0	/* VACUUM and merge */
#define XMHASH_FLUSH_LOCK	1

static inline bool
xmhash_page_usable(Relation index, const IndexSnapshot *snapshot, Buffer buffer,
				   XmhashPageKind kind, uint64 owner, uint32 number)
{
	Page		page = BufferGetPage(buffer);
	PageHeader	header = (PageHeader) page;

	if (likely(header->pd_special == BLCKSZ - sizeof(XmhashOpaque)))
	{
		XmhashOpaque *opaque = XmhashPageOpaque(page);
		XmhashRowFormat format = snapshot->format;

		if (kind == XMHASH_PAGE_PENDING)
			xmhash_format_set_bits(&format, opaque->number);
		if (likely(opaque->kind == kind && opaque->owner == owner &&
				   opaque->nonce == (uint32) snapshot->nonce &&
				   (kind == XMHASH_PAGE_PENDING ?
					(opaque->number == 0 || opaque->number == (uint32) snapshot->format.bits) :
					opaque->number == number)))
		{
			Size		lower = xmhash_row_lower(&format, kind);
			Size		upper = xmhash_row_upper(&format, kind);

			if (kind == XMHASH_PAGE_DIRECTORY)
				return likely(header->pd_lower == MAXALIGN(SizeOfPageHeaderData) + opaque->count &&
							  opaque->count <= XMHASH_BLOB_CAPACITY &&
							  header->pd_upper == header->pd_special) ? true :
					xmhash_page_unusable(index, snapshot, buffer, kind, owner, number);
			if (likely(opaque->count * (lower + upper) <= XMHASH_PAGE_CAPACITY &&
					   header->pd_lower == MAXALIGN(SizeOfPageHeaderData) + opaque->count * lower &&
					   header->pd_upper == header->pd_special - opaque->count * upper))
				return true;
		}
	}
	return xmhash_page_unusable(index, snapshot, buffer, kind, owner, number);
}

#endif							/* XMHASH_INDEX_H */

/*
 * index/options.c: the options of an index.
 */
#include "postgres.h"

#include "index/storage.h"

#include "access/reloptions.h"
#include "utils/guc.h"

typedef struct XmhashOptions
{
	int32		vl_len_;		/* varlena header */
	int			pending_list_limit; /* kB; 0: the setting */
	int			bands;
} XmhashOptions;

static relopt_kind option_kind;

void
index_init(void)
{
	option_kind = add_reloption_kind();
	add_int_reloption(option_kind, "pending_list_limit",
					  "Size in kilobytes beyond which the pending list is flushed; 0 for xmhash.pending_list_limit.",
					  0, 0, MAX_KILOBYTES, ShareUpdateExclusiveLock);
	/* Multi-index hashing (Norouzi, Punjani and Fleet, CVPR 2012): core/search_mih.c. */
	add_int_reloption(option_kind, "bands",
					  "Additional copies of the codes, each sorted by one band of their bits, for search within a small radius; takes effect when the index is built.",
					  0, 0, XMHASH_MAX_BANDS, ShareUpdateExclusiveLock);
}

/* Pages that the pending list may have before it is flushed. */
int
xmhash_pending_limit_pages(Relation index)
{
	XmhashOptions *options = (XmhashOptions *) index->rd_options;
	int64		limit = options != NULL && options->pending_list_limit > 0 ?
	options->pending_list_limit : xmhash_pending_list_limit;

	return Max(1, limit * 1024 / BLCKSZ);
}

int
xmhash_bands_option(Relation index)
{
	XmhashOptions *options = (XmhashOptions *) index->rd_options;

	return options != NULL ? options->bands : 0;
}

bytea *
xmhash_options(Datum reloptions, bool validate)
{
	static const relopt_parse_elt table[] = {
		{"pending_list_limit", RELOPT_TYPE_INT, offsetof(XmhashOptions, pending_list_limit)},
		{"bands", RELOPT_TYPE_INT, offsetof(XmhashOptions, bands)}
	};

	return (bytea *) build_reloptions(reloptions, validate, option_kind, sizeof(XmhashOptions),
									  table, lengthof(table));
}

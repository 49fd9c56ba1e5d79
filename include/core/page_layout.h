/*
 * core/page_layout.h: the pages on which an index would have codes, for those
 * who want to know what searches would read before there is one.
 */
#ifndef PAGE_LAYOUT_H
#define PAGE_LAYOUT_H

#include "core/search.h"

typedef struct PageLayout
{
	Directory	directory;
	uint16_t   *distances;		/* [centres], scratch */
	int16_t    *bound;			/* [pages], scratch */
} PageLayout;

/* Lay codes [rows × words] out on pages that have room for page_bytes of rows. */
extern void page_layout_create(PageLayout *layout, const CoreEnv *env, int bits, int rows,
							   const uint64_t *codes, int page_bytes);

/* Pages that a search for nearest codes, the last of them at that distance, reads at least. */
extern uint32_t page_layout_reads(PageLayout *layout, const uint64_t *query, int distance);

#endif							/* PAGE_LAYOUT_H */

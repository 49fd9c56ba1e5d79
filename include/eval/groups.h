/*
 * eval/groups.h: groups of near-duplicates, between the files that find them.
 */
#ifndef GROUPS_H
#define GROUPS_H

#include "xmhash.h"

#include "core/search.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/buffile.h"
#include "utils/tuplestore.h"

/* All distinct codes in some order, cut into pages. */
typedef struct Order
{
	int			bands;			/* 0: in the order of centres, which is that of the numbers */
	int			band;
	BufFile    *codes;
	BufFile    *numbers;		/* NULL: a code's number is its place */
	uint32		pages;
	uint32		capacity;
	uint32	   *start;			/* [capacity + 1]: place of a page's first code */
	uint16	   *value;			/* [capacity]: of the band, of that code */
	int16	   *min;			/* [capacity]: distance to the page's centre */
	int16	   *max;			/* [capacity] */
	Directory	directory;		/* of the order of centres */
} Order;

typedef struct Groups
{
	/* What is asked for. */
	Oid			relation;
	const char *id_column;
	const char *code_column;
	Oid			id_type;		/* of the column */
	FmgrInfo	id_output;		/* makes text of it, where text is asked for */
	bool		id_as_text;
	Oid			kept_type;		/* of identifiers as they are kept and given */
	Oid			code_type;
	int			radius;
	MemoryContext context;		/* of all this */
	instr_time	reported;		/* when progress was, last */

	/* Rows as they are read: (ordinal, id, code); and a sample of the codes. */
	Tuplestorestate *rows;
	TupleDesc	row_descriptor;
	int64		row_count;
	int			bits;			/* 0: no code yet */
	int			words;
	uint64	   *sample;			/* [sample_capacity × words] */
	int			sample_capacity;
	uint64		random;

	/* Members: (number of the code, ordinal, id), in the order of the numbers. */
	Tuplestorestate *members;
	TupleDesc	member_descriptor;

	/* The distinct codes, numbered in the order of centres. */
	int			page_codes;		/* at most, on a page */
	int			centres;
	uint64	   *centre;			/* [centres × words] */
	uint32	   *first;			/* [centres + 1]: pages by centre */
	int			next_centre;	/* the first whose pages have not begun */
	uint32		codes;

	/*
	 * Union-find over the distinct codes: twice the number of the code's parent;
	 * plus 1, of a root, if its set has more than one row.
	 */
	uint32	   *set;			/* [code_capacity] */
	uint32		code_capacity;
	uint32		sets;
} Groups;

/* Numbers of codes are kept doubled. */
#define GROUPS_MAX_CODES ((uint32) PG_INT32_MAX)

/* A share of work_mem, in kilobytes; more than 256 MB would save nothing. */
static inline int
groups_memory(int share)
{
	return Min(Max(64, work_mem / share), 256 * 1024);
}

/* eval/groups_pairs.c: is a line of progress wanted, one a second? */
extern bool groups_report_due(Groups *groups);

/* An order takes shape code by code, the least key of a page first. */
extern void *groups_enlarge(void *array, Size count, Size size);
extern Order *groups_begin_order(int bands, int band);
extern void groups_begin_page(Order *order, uint32 place, uint16 key);
extern void groups_end_order(Order *order);

/* Join all codes within the radius of each other. */
extern void groups_find_pairs(Groups *groups, const Order *numbered);

/* The representative of a code's set. */
extern uint32 groups_find(const Groups *groups, uint32 code);

#endif							/* GROUPS_H */

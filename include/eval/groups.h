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

	/* Union-find over the distinct codes: some blocks of entries, and a file with the others. */
	uint32	   *set;			/* [set_capacity] */
	uint32	   *set_block;		/* [blocks in set]: which one it is */
	bool	   *set_changed;	/* [blocks in set]: since it was read or written */
	uint32		set_capacity;
	BufFile    *set_file;		/* NULL: all are in memory */
	uint32		sets;			/* left */
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
extern Order *groups_begin_order(int bands, int band);
extern void groups_begin_page(Order *order, uint32 place, uint16 key);
extern void groups_end_order(Order *order);

/* Join all codes within the radius of each other. */
extern void groups_find_pairs(Groups *groups, const Order *numbered);

/* eval/groups_sets.c: an array grows, to any size. */
extern void *groups_enlarge(void *array, Size count, Size size);

/* Another distinct code, a set of its own; another row of the last one; no more of them. */
extern void groups_add_set(Groups *groups);
extern void groups_add_row(Groups *groups);
extern void groups_end_sets(Groups *groups);

/* The code that represents a code's set. */
extern uint32 groups_find(Groups *groups, uint32 code);

/* Does the set that a code represents have more than one row? */
extern bool groups_has_rows(Groups *groups, uint32 root);

/* Join a set, by the code that represents it, with a code's; returns who represents both. */
extern uint32 groups_join(Groups *groups, uint32 set, uint32 code);
extern void groups_free_sets(Groups *groups);

#endif							/* GROUPS_H */

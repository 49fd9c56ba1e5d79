/*
 * server/row_place.h: where a row lies, as a query gives it.
 */
#ifndef ROW_PLACE_H
#define ROW_PLACE_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "storage/itemptr.h"

/* From columns "column" (tableoid) and the next one (ctid); the relation is for an error. */
extern void row_place(HeapTuple tuple, TupleDesc descriptor, int column, const char *relation,
					  Oid *table, ItemPointer place);

#endif							/* ROW_PLACE_H */

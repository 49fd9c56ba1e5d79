/*
 * server/row_place.c: where a row lies, as a query gives it.
 */
#include "postgres.h"

#include "server/row_place.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"

/*
 * A query names its relation, and by the time that it is understood a view may
 * have that name, whose columns tableoid and ctid are whatever its owner likes:
 * of any type, or NULL.
 */
void
row_place(HeapTuple tuple, TupleDesc descriptor, int column, const char *relation,
		  Oid *table, ItemPointer place)
{
	bool		isnull[2] = {true, true};
	Datum		value[2] = {0};

	if (SPI_gettypeid(descriptor, column) == OIDOID && SPI_gettypeid(descriptor, column + 1) == TIDOID)
	{
		value[0] = SPI_getbinval(tuple, descriptor, column, &isnull[0]);
		value[1] = SPI_getbinval(tuple, descriptor, column + 1, &isnull[1]);
	}
	if (isnull[0] || isnull[1])
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("relation %s was replaced while it was read", relation),
				 errdetail("What has its name now does not say where its rows lie."),
				 errhint("Try again.")));
	*table = DatumGetObjectId(value[0]);
	ItemPointerCopy((ItemPointer) DatumGetPointer(value[1]), place);
}

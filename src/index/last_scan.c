/*
 * index/last_scan.c: xmhash_last_scan(), the counters of this session's last
 * index scan.
 */
#include "postgres.h"

#include "index/scan.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"

XMHASH_FUNCTION(xmhash_last_scan);

Datum
xmhash_last_scan(PG_FUNCTION_ARGS)
{
	TupleDesc	descriptor;
	Datum		values[13];
	bool		nulls[13] = {false};
	int			i = 0;

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (xmhash_last.scans == 0)
		PG_RETURN_NULL();
	values[i++] = ObjectIdGetDatum(xmhash_last.index);
	values[i++] = CStringGetTextDatum(xmhash_last.strategy);
	values[i++] = Int64GetDatum(xmhash_last.scans);
	values[i++] = Int64GetDatum(xmhash_last.segments);
	values[i++] = Int64GetDatum(xmhash_last.pages);
	values[i++] = Int64GetDatum(xmhash_last.pages_read);
	values[i++] = Int64GetDatum(xmhash_last.pending_pages_read);
	values[i++] = Int64GetDatum(xmhash_last.codes);
	values[i++] = Int64GetDatum(xmhash_last.candidates);
	values[i++] = Int64GetDatum(xmhash_last.rows);
	values[i++] = Int64GetDatum(xmhash_last.batches);
	values[i++] = Int64GetDatum(xmhash_last.radius);
	Assert(i == descriptor->natts);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls)));
}

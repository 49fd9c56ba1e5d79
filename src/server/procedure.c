/*
 * server/procedure.c: procedures that commit on their way.
 */
#include "server/procedure.h"

#include "access/xact.h"
#include "nodes/parsenodes.h"

bool
procedure_is_atomic(FunctionCallInfo fcinfo)
{
	return fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
		((CallContext *) fcinfo->context)->atomic || IsSubTransaction();
}

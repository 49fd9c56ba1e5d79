/*
 * server/procedure.h: procedures that commit on their way.
 */
#ifndef PROCEDURE_H
#define PROCEDURE_H

#include "postgres.h"

#include "fmgr.h"

/* Must this call not commit?  In a subtransaction it cannot, whatever it is told. */
extern bool procedure_is_atomic(FunctionCallInfo fcinfo);

#endif							/* PROCEDURE_H */

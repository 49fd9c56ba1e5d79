/*
 * index/validate.c: is an operator class one that the access method can use?
 */
#include "postgres.h"

#include "index/index.h"

#include "access/amvalidate.h"
#include "access/htup_details.h"
#include "catalog/pg_am.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

static void
validate_complain(const char *opclass, const char *what)
{
	ereport(INFO,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("operator class \"%s\" of access method xmhash %s", opclass, what)));
}

/* Distance orders and gives integers, the others filter and give booleans. */
static bool
validate_operator(const char *opclass, Oid type, const FormData_pg_amop *operator)
{
	bool		orders = operator->amopstrategy == XMHASH_STRATEGY_DISTANCE;

	if (operator->amopstrategy < 1 || operator->amopstrategy > XMHASH_STRATEGIES)
		validate_complain(opclass, "has an operator with an unknown strategy number");
	else if (operator->amoppurpose != (orders ? AMOP_ORDER : AMOP_SEARCH))
		validate_complain(opclass, "uses an operator for the wrong purpose");
	else if (operator->amoplefttype != type)
		validate_complain(opclass, "has an operator on another type");
	else if (get_op_rettype(operator->amopopr) != (orders ? INT4OID : BOOLOID))
		validate_complain(opclass, "has an operator with the wrong result type");
	else
		return true;
	return false;
}

bool
xmhash_validate(Oid opclass)
{
	HeapTuple	tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(opclass));
	Form_pg_opclass form;
	CatCList   *operators,
			   *functions;
	const char *name;
	bool		valid = true;
	bool		searched = false;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator class %u", opclass);
	form = (Form_pg_opclass) GETSTRUCT(tuple);
	name = NameStr(form->opcname);
	operators = SearchSysCacheList1(AMOPSTRATEGY, ObjectIdGetDatum(form->opcfamily));
	functions = SearchSysCacheList1(AMPROCNUM, ObjectIdGetDatum(form->opcfamily));
	for (int i = 0; i < operators->n_members; i++)
	{
		Form_pg_amop operator = (Form_pg_amop) GETSTRUCT(&operators->members[i]->tuple);

		valid &= validate_operator(name, form->opcintype, operator);
		searched |= operator->amopstrategy == XMHASH_STRATEGY_DISTANCE ||
			operator->amopstrategy == XMHASH_STRATEGY_MUTUAL;
	}
	if (!searched)
	{
		validate_complain(name, "has no operator of distance, nor of balls");
		valid = false;
	}
	if (functions->n_members > 0)
	{
		validate_complain(name, "has support functions, but none is used");
		valid = false;
	}
	ReleaseCatCacheList(functions);
	ReleaseCatCacheList(operators);
	ReleaseSysCache(tuple);
	return valid;
}

/*
 * index/validate.c: is an operator class one that the access method can use?
 *
 * There are two kinds: those of codes, which have a distance, or of balls, and those of
 * filter columns, which have an equality.  Of the latter, types that a number
 * stands for have all comparisons, also with other such types, and no function;
 * the others have a hash function.
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

/* An operator class at hand. */
typedef struct Validation
{
	const char *name;
	Oid			type;
	bool		searched;		/* has a distance, or an operator of balls: it is of codes */
	bool		equality;		/* has one of its own type */
	bool		ordered;		/* has an operator that is no equality */
	bool		hash;			/* has a function of its own type */
	bool		valid;
} Validation;

static void
validate_complain(Validation *check, const char *what)
{
	ereport(INFO,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("operator class \"%s\" of access method xmhash %s", check->name, what)));
	check->valid = false;
}

/* Of two types the numbers must mean the same; where there are none, both sides are hashed by one function. */
static bool
validate_sides(const Validation *check, const FormData_pg_amop *operator)
{
	if (operator->amopstrategy < XMHASH_STRATEGY_KEY_LESS)
		return operator->amoplefttype == check->type;
	return filter_types_compare(operator->amoplefttype, operator->amoprighttype);
}

/* Distance orders and gives integers, the others filter and give booleans. */
static void
validate_operator(Validation *check, const FormData_pg_amop *operator)
{
	bool		orders = operator->amopstrategy == XMHASH_STRATEGY_DISTANCE;

	if (operator->amopstrategy < 1 || operator->amopstrategy > XMHASH_STRATEGIES)
		validate_complain(check, "has an operator with an unknown strategy number");
	else if (operator->amoppurpose != (orders ? AMOP_ORDER : AMOP_SEARCH))
		validate_complain(check, "uses an operator for the wrong purpose");
	else if (!validate_sides(check, operator))
		validate_complain(check, "has an operator on another type");
	else if (get_op_rettype(operator->amopopr) != (orders ? INT4OID : BOOLOID))
		validate_complain(check, "has an operator with the wrong result type");
	check->searched |= orders || operator->amopstrategy == XMHASH_STRATEGY_MUTUAL;
	if (operator->amopstrategy >= XMHASH_STRATEGY_KEY_LESS)
	{
		if (operator->amopstrategy != XMHASH_STRATEGY_KEY_EQUAL)
			check->ordered = true;
		else if (operator->amoplefttype == check->type && operator->amoprighttype == check->type)
			check->equality = true;
	}
}

/* hash(type) → integer; core's hash of bytea is declared with internal. */
static void
validate_function(Validation *check, const FormData_pg_amproc *function)
{
	if (function->amprocnum != XMHASH_HASH_PROC)
		validate_complain(check, "has a support function with an unknown number");
	else if (function->amproclefttype != function->amprocrighttype)
		validate_complain(check, "has a support function of two types");
	else if (!check_amproc_signature(function->amproc, INT4OID, false, 1, 1, function->amproclefttype) &&
			 !check_amproc_signature(function->amproc, INT4OID, true, 1, 1, INTERNALOID))
		validate_complain(check, "has a support function with the wrong signature");
	check->hash |= function->amproclefttype == check->type;
}

static void
validate_kind(Validation *check)
{
	bool		wide;

	if (check->searched)
	{
		if (check->equality || check->ordered || check->hash)
			validate_complain(check, "has an operator on codes beside what filter columns need");
	}
	else if (!check->equality)
		validate_complain(check, "has no operator of distance, nor of balls, nor an equality");
	else if (!check->hash && !filter_type_is_ordered(check->type, &wide))
		validate_complain(check, "has no hash function");
	else if (check->hash && check->ordered)
		validate_complain(check, "has a hash function beside an order");
}

bool
xmhash_validate(Oid opclass)
{
	HeapTuple	tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(opclass));
	Form_pg_opclass form;
	CatCList   *operators,
			   *functions;
	Validation	check = {.valid = true};

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator class %u", opclass);
	form = (Form_pg_opclass) GETSTRUCT(tuple);
	check.name = NameStr(form->opcname);
	check.type = form->opcintype;
	operators = SearchSysCacheList1(AMOPSTRATEGY, ObjectIdGetDatum(form->opcfamily));
	functions = SearchSysCacheList1(AMPROCNUM, ObjectIdGetDatum(form->opcfamily));
	for (int i = 0; i < operators->n_members; i++)
		validate_operator(&check, (Form_pg_amop) GETSTRUCT(&operators->members[i]->tuple));
	for (int i = 0; i < functions->n_members; i++)
		validate_function(&check, (Form_pg_amproc) GETSTRUCT(&functions->members[i]->tuple));
	validate_kind(&check);
	ReleaseCatCacheList(functions);
	ReleaseCatCacheList(operators);
	ReleaseSysCache(tuple);
	return check.valid;
}

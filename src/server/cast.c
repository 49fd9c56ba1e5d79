/*
 * server/cast.c: features of other types than real[], by the cast to it.
 *
 * A SELECT runs no cast, so whoever reads somebody's table does not expect to
 * run one of his.  That of his own type is his code, though: it runs only if
 * its owner has the rights of the current user anyway, as every superuser has.
 * The cast is looked up once, and what was looked at is what runs; in the text
 * of a query it might be another one by the time the query is understood.
 */
#include "postgres.h"

#include "server/cast.h"

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "server/lookup.h"
#include "server/role.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

struct FeatureCast
{
	EState	   *executor;
	ExprContext *context;
	ExprState  *expression;
};

/* Is this a function that must not run as the current user?  Then it is *found. */
static bool
cast_is_untrusted(Oid function, void *found)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
	ReleaseSysCache(tuple);
	*(Oid *) found = function;
	return !role_is_trusted(owner);
}

static bool
cast_find_untrusted(Node *node, void *found)
{
	if (node == NULL)
		return false;
	return check_functions_in_node(node, cast_is_untrusted, found) ||
		expression_tree_walker(node, cast_find_untrusted, found);
}

FeatureCast *
feature_cast_create(Oid type, const char *column, const char *relation_name)
{
	CaseTestExpr *value = makeNode(CaseTestExpr);
	FeatureCast *cast = palloc(sizeof(FeatureCast));
	Node	   *expression;
	Oid			function;

	value->typeId = type;
	value->typeMod = -1;
	value->collation = get_typcollation(type);
	expression = coerce_to_target_type(NULL, (Node *) value, type, FLOAT4ARRAYOID, -1,
									   COERCION_EXPLICIT, COERCE_EXPLICIT_CAST, -1);
	if (expression == NULL)
		lookup_fail_cast(column, relation_name, type);
	if (cast_find_untrusted(expression, &function))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("column \"%s\" of relation %s is of type %s, whose cast to real[] is the function %s of another role",
						column, relation_name, format_type_be(type), format_procedure(function)),
				 errdetail("It would run with the rights of role \"%s\".", GetUserNameFromId(GetUserId(), false)),
				 errhint("Use a view that casts the column, or do it as the function's owner.")));
	cast->executor = CreateExecutorState();
	cast->context = CreateExprContext(cast->executor);
	cast->expression = ExecPrepareExpr((Expr *) expression, cast->executor);
	return cast;
}

Datum
feature_cast_value(FeatureCast *cast, Datum value, bool *isnull)
{
	ResetExprContext(cast->context);
	cast->context->caseValue_datum = value;
	cast->context->caseValue_isNull = *isnull;
	return ExecEvalExprSwitchContext(cast->expression, cast->context, isnull);
}

void
feature_cast_free(FeatureCast *cast)
{
	FreeExecutorState(cast->executor);
	pfree(cast);
}

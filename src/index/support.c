/*
 * index/support.c: what the planner asks about hamming_within().
 *
 * As an index condition it becomes code <@ hamming_ball(query, radius), which
 * is the same thing: nothing need be checked again.
 *
 * Its selectivity is looked up in the column's statistics: the most common
 * values, and the bounds of the histogram, which are a sample of the others.
 * How the bounds are ordered does not matter here; their distances are what is
 * counted.
 */
#include "postgres.h"

#include "bitcode/ball.h"
#include "index/search.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"
#include "utils/syscache.h"

XMHASH_FUNCTION(hamming_within_support);
XMHASH_FUNCTION(bitcode_in_ball_support);
XMHASH_FUNCTION(hamming_ball_selectivity);
XMHASH_FUNCTION(hamming_ball_join_selectivity);

/* Without statistics: a radius is asked for in order to find a few. */
#define DEFAULT_WITHIN_SELECTIVITY 0.001

/* Where the query is another column: so many of its values stand for all. */
#define QUERIES_TRIED 16

/* ---------- The index condition ---------- */

/* The type hamming_ball, which lives where hamming_within does. */
static Oid
support_ball_type(Oid function)
{
	return GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("hamming_ball"),
						   ObjectIdGetDatum(get_func_namespace(function)));
}

/* hamming_ball(code, integer), likewise. */
static Oid
support_ball_maker(Oid function, Oid code_type)
{
	Oid			types[2] = {code_type, INT4OID};
	oidvector  *vector = buildoidvector(types, 2);

	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum("hamming_ball"),
						   PointerGetDatum(vector), ObjectIdGetDatum(get_func_namespace(function)));
}

/* The ball as a constant where it is one, so that it is made once. */
static Expr *
support_ball_expression(Node *query, Node *radius, Oid maker, Oid type)
{
	if (IsA(query, Const) && IsA(radius, Const))
	{
		Const	   *code = (Const *) query;
		Const	   *distance = (Const *) radius;

		int			bits = code->constisnull ? 0 : bitcode_datum_bits(code->constvalue);

		if (distance->constisnull || bits < 1 || bits > BITCODE_MAX_BITS)
			return (Expr *) makeNullConst(type, -1, InvalidOid);
		return (Expr *) makeConst(type, -1, InvalidOid, -1,
								  ball_make(code->constvalue, DatumGetInt32(distance->constvalue)),
								  false, false);
	}
	return (Expr *) makeFuncExpr(maker, type, list_make2(query, radius),
								 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
}

static List *
support_index_condition(SupportRequestIndexCondition *request)
{
	FuncExpr   *call = (FuncExpr *) request->node;
	Oid			code_type = request->index->opcintype[request->indexcol];
	Oid			type;
	Oid			maker;
	Oid			operator;
	Node	   *query;
	Node	   *radius;

	/* The distance is symmetric: either code may be the index's. */
	if (!IsA(call, FuncExpr) || list_length(call->args) != 3 || request->indexarg > 1)
		return NIL;
	query = list_nth(call->args, 1 - request->indexarg);
	radius = lthird(call->args);
	if (!is_pseudo_constant_for_index(request->root, query, request->index) ||
		!is_pseudo_constant_for_index(request->root, radius, request->index))
		return NIL;

	type = support_ball_type(request->funcid);
	maker = support_ball_maker(request->funcid, code_type);
	if (!OidIsValid(type) || !OidIsValid(maker))
		return NIL;
	operator = get_opfamily_member(request->opfamily, code_type, type, XMHASH_STRATEGY_WITHIN);
	if (!OidIsValid(operator))
		return NIL;
	request->lossy = false;
	return list_make1(make_opclause(operator, BOOLOID, false,
									list_nth(call->args, request->indexarg),
									support_ball_expression(query, radius, maker, type),
									InvalidOid, InvalidOid));
}

/* ---------- Selectivity ---------- */

/* Values of a column that statistics know, with the share that each stands for. */
typedef struct KnownValues
{
	int			count;
	Datum	   *value;
	double	   *share;
	double		resolution;		/* of shares: what is rarer is not seen */
	double		null_share;
} KnownValues;

static void
support_add_known(KnownValues *known, const Datum *values, const float4 *shares, double share, int count)
{
	known->value = known->value ? repalloc(known->value, (known->count + count) * sizeof(Datum)) :
		palloc(Max(count, 1) * sizeof(Datum));
	known->share = known->share ? repalloc(known->share, (known->count + count) * sizeof(double)) :
		palloc(Max(count, 1) * sizeof(double));
	for (int i = 0; i < count; i++)
	{
		known->value[known->count] = PointerGetDatum(PG_DETOAST_DATUM_COPY(values[i]));
		known->share[known->count++] = shares ? shares[i] : share;
	}
}

static bool
support_known_values(VariableStatData *variable, KnownValues *known)
{
	AttStatsSlot slot;
	double		common = 0;

	memset(known, 0, sizeof(KnownValues));
	/* acl_ok: whoever may not read the column is to learn nothing from plans. */
	if (!HeapTupleIsValid(variable->statsTuple) || !variable->acl_ok)
		return false;
	known->null_share = ((Form_pg_statistic) GETSTRUCT(variable->statsTuple))->stanullfrac;
	if (get_attstatsslot(&slot, variable->statsTuple, STATISTIC_KIND_MCV, InvalidOid,
						 ATTSTATSSLOT_VALUES | ATTSTATSSLOT_NUMBERS))
	{
		support_add_known(known, slot.values, slot.numbers, 0, Min(slot.nvalues, slot.nnumbers));
		for (int i = 0; i < known->count; i++)
			common += known->share[i];
		free_attstatsslot(&slot);
	}
	if (get_attstatsslot(&slot, variable->statsTuple, STATISTIC_KIND_HISTOGRAM, InvalidOid,
						 ATTSTATSSLOT_VALUES))
	{
		double		rest = Max(0, 1 - known->null_share - common);

		known->resolution = rest / Max(slot.nvalues, 1);
		support_add_known(known, slot.values, NULL, known->resolution, slot.nvalues);
		free_attstatsslot(&slot);
	}
	return known->count > 0;
}

/* The share of known values within the radius; those of another length are not. */
static double
support_share_within(const KnownValues *known, Datum query, int32 radius)
{
	BitcodeRef q = DatumGetBitcodeRef(query);
	double		share = 0;

	for (int i = 0; i < known->count; i++)
	{
		BitcodeRef v = DatumGetBitcodeRef(known->value[i]);

		if (v.bits == q.bits && hamming_kernels->distance(v.data, q.data, q.bytes) <= radius)
			share += known->share[i];
	}
	return share;
}

/*
 * The share of a column's rows within the radius of the query, which is a
 * constant, or NULL for one that is not known yet: then the column's own
 * values stand for it.
 */
static double
support_within_selectivity(VariableStatData *variable, Node *query, Node *radius)
{
	KnownValues known;
	double		share = 0;
	int			within;

	if (radius == NULL || !IsA(radius, Const) || !support_known_values(variable, &known))
		return DEFAULT_WITHIN_SELECTIVITY;
	if (((Const *) radius)->constisnull)
		return 0;
	within = DatumGetInt32(((Const *) radius)->constvalue);
	if (within < 0)
		return 0;
	if (query && IsA(query, Const))
	{
		if (((Const *) query)->constisnull)
			return 0;
		share = support_share_within(&known, ((Const *) query)->constvalue, within);
	}
	else
	{
		int			step = Max(1, known.count / QUERIES_TRIED);
		int			tried = 0;

		for (int i = 0; i < known.count; i += step, tried++)
			/* A value is within any radius of itself, which says nothing. */
			share += support_share_within(&known, known.value[i], within) - known.share[i];
		share /= tried;
	}
	/* None among the sample: fewer than it can show. */
	share = Max(share, Min(known.resolution * 0.1, DEFAULT_WITHIN_SELECTIVITY));
	CLAMP_PROBABILITY(share);
	return share;
}

/* Selectivity of a clause about `code`, one side of which is a column. */
static double
support_clause_selectivity(PlannerInfo *root, Node *code, Node *query, Node *radius, int relation)
{
	VariableStatData variable;
	double		result;

	examine_variable(root, code, relation, &variable);
	result = support_within_selectivity(&variable, query ? estimate_expression_value(root, query) : NULL,
										radius ? estimate_expression_value(root, radius) : NULL);
	ReleaseVariableStats(variable);
	return result;
}

static bool
support_has_column(PlannerInfo *root, Node *node, int relation)
{
	if (relation == 0)
		return contain_vars_of_level(node, 0);
	return bms_is_member(relation, pull_varnos(root, node));
}

static bool
support_function_selectivity(SupportRequestSelectivity *request)
{
	Node	   *first;
	Node	   *second;

	if (list_length(request->args) != 3)
		return false;
	first = linitial(request->args);
	second = lsecond(request->args);
	if (support_has_column(request->root, first, request->varRelid))
		request->selectivity = support_clause_selectivity(request->root, first, second,
														  lthird(request->args), request->varRelid);
	else
		request->selectivity = support_clause_selectivity(request->root, second, first,
														  lthird(request->args), request->varRelid);
	return true;
}

/* ---------- Support functions ---------- */

Datum
hamming_within_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);
	Node	   *result = NULL;

	if (IsA(request, SupportRequestSimplify))
	{
		SupportRequestSimplify *simplify = (SupportRequestSimplify *) request;

		bitcode_check_within(simplify->root, linitial(simplify->fcall->args),
							 lsecond(simplify->fcall->args));
	}
	else if (IsA(request, SupportRequestIndexCondition))
		result = (Node *) support_index_condition((SupportRequestIndexCondition *) request);
	else if (IsA(request, SupportRequestSelectivity))
	{
		if (support_function_selectivity((SupportRequestSelectivity *) request))
			result = request;
	}
	PG_RETURN_POINTER(result);
}

/* The two sides of code <@ ball or ball @> code, by what stands first. */
static void
support_take_membership(Oid function, List *args, Node **code, Node **ball)
{
	bool		contains = exprType(linitial(args)) == support_ball_type(function);

	*code = contains ? lsecond(args) : linitial(args);
	*ball = contains ? linitial(args) : lsecond(args);
}

Datum
bitcode_in_ball_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);

	if (IsA(request, SupportRequestSimplify))
	{
		SupportRequestSimplify *simplify = (SupportRequestSimplify *) request;
		Node	   *code;
		Node	   *ball;

		support_take_membership(simplify->fcall->funcid, simplify->fcall->args, &code, &ball);
		if (IsA(ball, Const) && !((Const *) ball)->constisnull)
			bitcode_check_declared(simplify->root, code,
								   bitcode_datum_bits(((Const *) ball)->constvalue), exprType(code));
	}
	PG_RETURN_POINTER(NULL);
}

/* ---------- Selectivity of <@ and @> ---------- */

/*
 * The index's conditions alone: their balls are of our type, since the operator
 * is of the operator class.
 */
int
support_ball_radius(PlannerInfo *root, Node *ball)
{
	Node	   *radius = NULL;

	ball = estimate_expression_value(root, ball);
	if (IsA(ball, Const) && !((Const *) ball)->constisnull)
	{
		BitcodeRef value = DatumGetBitcodeRef(((Const *) ball)->constvalue);

		return Max(ball_radius(&value), 0);
	}
	if (IsA(ball, FuncExpr) && list_length(((FuncExpr *) ball)->args) == 2)
		radius = lsecond(((FuncExpr *) ball)->args);
	if (radius && IsA(radius, Const) && ((Const *) radius)->consttype == INT4OID && !((Const *) radius)->constisnull)
		return Max(DatumGetInt32(((Const *) radius)->constvalue), 0);
	return -1;
}

/*
 * Take code <@ ball apart: query and radius, where the ball shows them.  Anyone
 * may name an estimator in an operator of his own, on whatever types, and use a
 * function of his own that gives a ball: nothing is believed that was not seen
 * to be of our types.
 */
static double
support_ball_selectivity(PlannerInfo *root, Oid estimator, List *args, int relation)
{
	Oid			bitcode = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("bitcode"),
										  ObjectIdGetDatum(get_func_namespace(estimator)));
	Node	   *code;
	Node	   *ball;
	Node	   *query = NULL;
	Node	   *radius = NULL;

	if (list_length(args) != 2)
		return DEFAULT_WITHIN_SELECTIVITY;
	support_take_membership(estimator, args, &code, &ball);
	if (exprType(code) != bitcode || exprType(ball) != support_ball_type(estimator))
		return DEFAULT_WITHIN_SELECTIVITY;
	ball = estimate_expression_value(root, ball);
	if (IsA(ball, FuncExpr) &&
		(((FuncExpr *) ball)->funcid == support_ball_maker(estimator, bitcode) ||
		 ((FuncExpr *) ball)->funcid == support_ball_maker(estimator, BITOID)))
	{
		query = linitial(((FuncExpr *) ball)->args);
		radius = lsecond(((FuncExpr *) ball)->args);
	}
	else if (IsA(ball, Const) && !((Const *) ball)->constisnull)
	{
		BitcodeRef value = DatumGetBitcodeRef(((Const *) ball)->constvalue);

		query = (Node *) makeConst(InvalidOid, -1, InvalidOid, -1, ((Const *) ball)->constvalue, false, false);
		radius = (Node *) makeConst(INT4OID, -1, InvalidOid, sizeof(int32),
									Int32GetDatum(ball_radius(&value)), false, true);
	}
	else if (IsA(ball, Const))
		return 0;
	return support_clause_selectivity(root, code, query, radius, relation);
}

Datum
hamming_ball_selectivity(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(support_ball_selectivity((PlannerInfo *) PG_GETARG_POINTER(0), fcinfo->flinfo->fn_oid,
											  (List *) PG_GETARG_POINTER(2), PG_GETARG_INT32(3)));
}

Datum
hamming_ball_join_selectivity(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(support_ball_selectivity((PlannerInfo *) PG_GETARG_POINTER(0), fcinfo->flinfo->fn_oid,
											  (List *) PG_GETARG_POINTER(2), 0));
}

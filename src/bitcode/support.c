/*
 * bitcode/support.c: what planning can tell of codes.
 *
 * Operators of a code and a bit string become those of two codes, which have
 * operator classes: the bit string is relabelled, as the bytes are the same.
 * No length is checked, since the functions behind these operators take bit
 * strings of any length: none that is no code is equal to one, or at any
 * distance from it.
 *
 * Codes of different lengths are not within any radius of each other, so a
 * constant of a wrong length would silently find nothing.  Where the length
 * of the column it is compared with is declared, that is a mistake, and the
 * planner says so.
 */
#include "postgres.h"

#include "bitcode/bitcode.h"

#include "access/htup_details.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

XMHASH_FUNCTION(bitcode_bit_support);

/*
 * The length that an expression is declared to have, or -1.  A relabelling in
 * between keeps the bits; bit varying's modifier is only an upper limit, and
 * those of other types may mean anything.
 */
int
bitcode_declared_bits(Node *node, Oid bitcode)
{
	Oid			type = exprType(node);
	int32		typmod = exprTypmod(node);

	if ((type == BITOID || type == bitcode) && typmod >= 0)
		return typmod;
	if (IsA(node, RelabelType))
		return bitcode_declared_bits((Node *) ((RelabelType *) node)->arg, bitcode);
	return -1;
}

/*
 * Is it what the query itself says?  Once the planner looks at relations, it
 * also simplifies the predicates of indexes, constraints, and conditions handed
 * down to children.  A condition on a UNION is handed down to each of its
 * parts, whose lengths may differ, and whose rows another condition may
 * exclude: no mistake of whoever asks.
 */
static bool
support_is_asked_for(PlannerInfo *root)
{
	if (root->simple_rel_array != NULL)
		return false;
	for (PlannerInfo *outer = root->parent_root; outer; outer = outer->parent_root)
		if (outer->append_rel_list != NIL || outer->parse->setOperations != NULL)
			return false;
	return true;
}

static const char *
support_column_name(PlannerInfo *root, Node *column)
{
	while (IsA(column, RelabelType))
		column = (Node *) ((RelabelType *) column)->arg;
	if (IsA(column, Var) && ((Var *) column)->varlevelsup == 0 && ((Var *) column)->varattno > 0)
		return get_rte_attribute_name(planner_rt_fetch(((Var *) column)->varno, root),
									  ((Var *) column)->varattno);
	return NULL;
}

void
bitcode_check_declared(PlannerInfo *root, Node *column, int bits, Oid bitcode)
{
	int			declared = bitcode_declared_bits(column, bitcode);
	const char *name;

	/* Without a query it is an index's or a constraint's own expression. */
	if (declared < 0 || declared == bits || IsA(column, Const) ||
		root == NULL || !support_is_asked_for(root))
		return;
	name = support_column_name(root, column);
	ereport(ERROR,
			(errcode(ERRCODE_STRING_DATA_LENGTH_MISMATCH),
			 errmsg("different bitcode lengths %d and %d", declared, bits),
			 name ?
			 errdetail("Column \"%s\" has codes of %d bits, so none is within a radius of a code of %d bits.",
					   name, declared, bits) :
			 errdetail("No code of %d bits is within a radius of a code of %d bits.", declared, bits)));
}

void
bitcode_check_within(PlannerInfo *root, Node *a, Node *b)
{
	Oid			bitcode = exprType(a);

	if (IsA(a, Const) && !((Const *) a)->constisnull)
		bitcode_check_declared(root, b, bitcode_datum_bits(((Const *) a)->constvalue), bitcode);
	if (IsA(b, Const) && !((Const *) b)->constisnull)
		bitcode_check_declared(root, a, bitcode_datum_bits(((Const *) b)->constvalue), bitcode);
}

/* The operators that functions of a code and a bit string stand behind. */
static const struct
{
	const char *function;
	const char *operator;
}			bit_operators[] = {
	{"bitcode_eq", "="},
	{"bitcode_ne", "<>"},
	{"bitcode_lt", "<"},
	{"bitcode_le", "<="},
	{"bitcode_gt", ">"},
	{"bitcode_ge", ">="},
	{"bitcode_hamming_distance", "<~>"}
};

/* hamming_within() on two codes, which lies in the same schema. */
static Oid
support_within_function(Oid schema, Oid bitcode)
{
	Oid			types[3] = {bitcode, bitcode, INT4OID};

	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum("hamming_within"),
						   PointerGetDatum(buildoidvector(types, 3)), ObjectIdGetDatum(schema));
}

static Oid
support_code_operator(const char *function, Oid schema, Oid bitcode)
{
	for (int i = 0; i < lengthof(bit_operators); i++)
		if (strcmp(function, bit_operators[i].function) == 0)
			return GetSysCacheOid4(OPERNAMENSP, Anum_pg_operator_oid,
								   CStringGetDatum(bit_operators[i].operator),
								   ObjectIdGetDatum(bitcode), ObjectIdGetDatum(bitcode),
								   ObjectIdGetDatum(schema));
	return InvalidOid;
}

/* The call with its bit string taken for a code; NULL: stay with what it is. */
static Node *
support_call_on_codes(PlannerInfo *root, FuncExpr *call)
{
	Oid		   *declared;
	int			count;
	Oid			bitcode;
	Oid			schema = get_func_namespace(call->funcid);
	char	   *name = get_func_name(call->funcid);
	Node	   *a = linitial(call->args);
	Node	   *b = lsecond(call->args);
	Oid			target;

	(void) get_func_signature(call->funcid, &declared, &count);
	if (name == NULL || count < 2 || count != list_length(call->args))
		return NULL;
	bitcode = declared[0] == BITOID ? declared[1] : declared[0];
	if (declared[0] == BITOID)
		a = applyRelabelType(a, bitcode, -1, InvalidOid, COERCE_IMPLICIT_CAST, -1, false);
	if (declared[1] == BITOID)
		b = applyRelabelType(b, bitcode, -1, InvalidOid, COERCE_IMPLICIT_CAST, -1, false);
	if (count == 3)
	{
		target = support_within_function(schema, bitcode);
		if (!OidIsValid(target))
			return NULL;
		bitcode_check_within(root, a, b);
		return (Node *) makeFuncExpr(target, BOOLOID, list_make3(a, b, lthird(call->args)),
									 InvalidOid, InvalidOid, call->funcformat);
	}
	target = support_code_operator(name, schema, bitcode);
	if (!OidIsValid(target))
		return NULL;
	return (Node *) make_opclause(target, call->funcresulttype, false, (Expr *) a, (Expr *) b,
								  InvalidOid, InvalidOid);
}

Datum
bitcode_bit_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);
	Node	   *result = NULL;

	if (IsA(request, SupportRequestSimplify))
		result = support_call_on_codes(((SupportRequestSimplify *) request)->root,
									   ((SupportRequestSimplify *) request)->fcall);
	PG_RETURN_POINTER(result);
}

/*
 * code_support.c: what planning can tell of the lengths of codes.
 *
 * Codes of different lengths are not within any radius of each other, so a
 * constant of a wrong length would silently find nothing.  Where the length
 * of the column it is compared with is declared, that is a mistake, and the
 * planner says so.
 */
#include "postgres.h"

#include "code.h"

#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"

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
 * Is it a column that the query names?  A condition on a UNION is handed down
 * to each of its parts, whose lengths may differ, and whose rows another
 * condition may exclude: no mistake of whoever asks.
 */
static bool
is_column_asked_for(PlannerInfo *root, Node *column)
{
	Relids		relations = pull_varnos(root, column);
	ListCell   *cell;

	for (PlannerInfo *outer = root->parent_root; outer; outer = outer->parent_root)
		if (outer->append_rel_list != NIL || outer->parse->setOperations != NULL)
			return false;
	foreach(cell, root->append_rel_list)
		if (bms_is_member(((AppendRelInfo *) lfirst(cell))->child_relid, relations))
			return false;
	return true;
}

static const char *
column_name(PlannerInfo *root, Node *column)
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
		root == NULL || !is_column_asked_for(root, column))
		return;
	name = column_name(root, column);
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

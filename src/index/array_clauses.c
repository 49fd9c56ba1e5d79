/*
 * index/array_clauses.c: filter = ANY (…) beside ORDER BY, for planners that
 * leave it out.
 *
 * Up to PostgreSQL 16 the planner takes it that a scan with an array for a later
 * column than the first gives rows in no order, which is so for a btree: it makes
 * no path that has both, but one with the order alone.  To this the cost
 * estimate, which sees every path before it is compared with others, adds the
 * clauses that fit.
 */
#include "postgres.h"

#include "index/search.h"

#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "utils/lsyscache.h"

static bool
array_clause_is_of_path(const IndexPath *path, const RestrictInfo *restriction)
{
	ListCell   *cell;

	foreach(cell, path->indexclauses)
		if (lfirst_node(IndexClause, cell)->rinfo == restriction)
			return true;
	return false;
}

/* The filter column whose array comparison the restriction is, as the planner matches it; -1: none. */
static int
array_clause_column(PlannerInfo *root, IndexOptInfo *info, RestrictInfo *restriction)
{
	ScalarArrayOpExpr *clause = (ScalarArrayOpExpr *) restriction->clause;

	if (!IsA(clause, ScalarArrayOpExpr) || !clause->useOr || restriction->pseudoconstant ||
		!restriction_is_securely_promotable(restriction, info->rel) ||
		!is_pseudo_constant_for_index(root, lsecond(clause->args), info))
		return -1;
	for (int column = 1; column < info->nkeycolumns; column++)
		if (match_index_to_operand(linitial(clause->args), column, info) &&
			(!OidIsValid(info->indexcollations[column]) || info->indexcollations[column] == clause->inputcollid) &&
			op_in_opfamily(clause->opno, info->opfamily[column]))
			return column;
	return -1;
}

void
xmhash_add_array_clauses(PlannerInfo *root, IndexPath *path)
{
	List	   *clauses = list_copy(path->indexclauses); /* the planner's may be that of other paths too */
	ListCell   *cell;

	if (path->indexorderbys == NIL)
		return;
	foreach(cell, path->indexinfo->indrestrictinfo)
	{
		RestrictInfo *restriction = lfirst_node(RestrictInfo, cell);
		int			column = array_clause_column(root, path->indexinfo, restriction);
		IndexClause *clause;

		if (column < 0 || array_clause_is_of_path(path, restriction))
			continue;
		clause = makeNode(IndexClause);
		clause->rinfo = restriction;
		clause->indexquals = list_make1(restriction);
		clause->indexcol = column;
		clauses = lappend(clauses, clause);
	}
	path->indexclauses = clauses;
}

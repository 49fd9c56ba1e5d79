/*
 * index/cost.c: what a scan costs, from what the index knows of itself.
 *
 * A search compares the query with all centres, reads the pages that cannot be
 * excluded and the pending list, and tests the codes on them, a few dozen in
 * the time of one operator call.  How many pages that is depends on the data:
 * 3·√pages is what exact 10-nearest-neighbour searches among learned codes of
 * one and ten million rows were measured to read (131 of 1730, 436 of 17301).
 * It goes up to all pages, for which reading in order is charged.
 */
#include "postgres.h"

#include "index/search.h"

#include <math.h>

#include "access/genam.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "utils/selfuncs.h"
#include "utils/spccache.h"

/* Codes compared by a kernel in the time of one operator call. */
#define CODES_PER_OPERATOR 64.0

/*
 * A page's bound takes as long as comparing so many codes of 64 bits: 11
 * instructions to 2.5 by AVX2, counted on an index of 519 pages and 69 centres.
 */
#define CODES_PER_BOUND 4.0

/*
 * Rows within a radius lie on so many times the pages that they would fill,
 * beyond those that a search for the nearest reads.  On 520 pages of codes in
 * tight clusters of 1,500 searches read 72 pages for 82 rows (69 estimated), but
 * 179 for 1,500 (74) and 420 for 8,115 (96), and of loose clusters most pages.
 * The estimate is too low beyond a cluster; it does not matter, because all
 * pages of an index are fewer than its table's, which are the alternative.
 */
#define RADIUS_SPREAD 2.0

/* The shape of the index, as the planner may know it. */
typedef struct IndexShape
{
	double		pages;			/* of codes */
	double		pending_pages;
	double		centres;
	double		codes_per_page;
} IndexShape;

static void
cost_index_shape(IndexOptInfo *info, IndexShape *shape)
{
	const IndexSnapshot *snapshot = NULL;

	memset(shape, 0, sizeof(IndexShape));
	if (!info->hypothetical)
	{
		Relation	index = index_open(info->indexoid, NoLock);

		snapshot = cache_estimate(index, info->pages);
		index_close(index, NoLock);
	}
	if (snapshot)
	{
		shape->pending_pages = snapshot->pending_pages;
		for (int s = 0; s < snapshot->segments; s++)
		{
			shape->pages += snapshot->segment[s].data_pages;
			shape->centres += snapshot->segment[s].centres;
		}
	}
	else
	{
		/* Not built, or damaged: queries that will not use it must not fail. */
		shape->pages = Max(info->pages, 1);
		shape->centres = centres_wanted(shape->pages, 64);
	}
	shape->codes_per_page = info->tuples / Max(shape->pages + shape->pending_pages, 1);
}

/*
 * Cost of reading so many of the index's pages, once for each of the loops
 * that will come; pages seen once are in the cache for the next.
 */
static double
cost_of_pages(PlannerInfo *root, IndexOptInfo *info, double visited, double all, double loops)
{
	double		seq_page;
	double		read = visited;

	if (all <= 0)
		return 0;
	get_tablespace_page_costs(info->reltablespace, NULL, &seq_page);
	if (loops > 1)
		read = index_pages_fetched(visited * loops, (BlockNumber) all, all, root) / loops;
	/*
	 * Every search reads much the same pages in runs of neighbours, in block
	 * order among equal bounds: the price of a sequential page, not of a seek.
	 */
	return read * seq_page;
}

void
xmhash_cost_estimate(PlannerInfo *root, IndexPath *path, double loop_count,
					 Cost *startup_cost, Cost *total_cost, Selectivity *selectivity,
					 double *correlation, double *pages)
{
	IndexOptInfo *info = path->indexinfo;
	List	   *quals = get_quals_from_indexclauses(path->indexclauses);
	bool		ordered = path->indexorderbys != NIL;
	double		first_pages;
	double		visited;
	double		rows;
	double		operand_cost;
	double		random_page;
	IndexShape	shape;
	QualCost	order_cost;

	/*
	 * A query that needs no column at all, count(*) by a partial index, would
	 * get an index-only scan, of any access method.  Ours keeps no pin between
	 * rows, so VACUUM may take a dead row away and mark its page all visible
	 * while the scan still has the tid in hand: rows must be looked at.
	 */
	if (path->path.pathtype == T_IndexOnlyScan)
		path->path.pathtype = T_IndexScan;

	cost_index_shape(info, &shape);
	*selectivity = clauselist_selectivity(root, add_predicate_to_index_quals(info, quals),
										  info->rel->relid, JOIN_INNER, NULL);
	*correlation = 0;
	rows = clamp_row_est(*selectivity * info->rel->tuples);

	/* What it takes to find the first answers, and all of them. */
	first_pages = Min(shape.pages, 3 * sqrt(shape.pages));
	if (quals != NIL)
		visited = Min(shape.pages, first_pages + rows / Max(shape.codes_per_page, 1) * RADIUS_SPREAD);
	else
		visited = shape.pages;
	if (!ordered)
		first_pages = Min(visited, 1);

	operand_cost = index_other_operands_eval_cost(root, quals);
	cost_qual_eval(&order_cost, path->indexorderbys, root);
	operand_cost += order_cost.startup + order_cost.per_tuple;

#define SEARCH_COST(n) \
	(cost_of_pages(root, info, (n) + shape.pending_pages, shape.pages + shape.pending_pages, loop_count) + \
	 ((n) + shape.pending_pages) * shape.codes_per_page / CODES_PER_OPERATOR * cpu_operator_cost)
	/* The meta page, once: what keeps tiny tables to the sequential scan. */
	get_tablespace_page_costs(info->reltablespace, &random_page, NULL);
	*startup_cost = operand_cost + random_page / Max(loop_count, 1) +
		(shape.centres + shape.pages * CODES_PER_BOUND) / CODES_PER_OPERATOR * cpu_operator_cost +
		SEARCH_COST(first_pages);
	*total_cost = *startup_cost + SEARCH_COST(visited) - SEARCH_COST(first_pages) +
		rows * cpu_index_tuple_cost;
#undef SEARCH_COST
	*pages = visited + shape.pending_pages;
}

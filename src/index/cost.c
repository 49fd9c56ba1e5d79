/*
 * index/cost.c: what a scan costs, from what the index knows of itself.
 *
 * A search compares the query with all centres, reads the pages that cannot be
 * excluded and the pending list, and tests the codes on them, a few dozen in
 * the time of one operator call.  How many pages that is depends on the codes; the
 * catalogue tells, since it was learned when the segments were written
 * (core/search_reach.c).
 *
 * The planner draws a line from the cost of the first row to that of all, and
 * takes from it what a LIMIT's rows cost.  An ordered scan is far from a line: the
 * first page costs most of what ten rows do, and rows beyond what work_mem holds
 * cost visits of pages again.  So where the query tells how many rows it wants,
 * the line is drawn through the cost of these.
 */
#include "postgres.h"

#include "index/search.h"

#include <math.h>

#include "access/genam.h"
#include "access/stratnum.h"
#include "miscadmin.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"
#include "utils/spccache.h"

/* Words compared by a kernel in the time of one operator call. */
#define WORDS_PER_OPERATOR 64.0

/*
 * A page's bound takes as long as comparing so many codes of 64 bits: 11
 * instructions to 2.5 by AVX2, counted on an index of 519 pages and 69 centres.
 */
#define CODES_PER_BOUND 4.0

/* Of an index of which nothing is known: 3·√pages, and rows within a radius on twice the pages that they fill. */
#define UNKNOWN_NEAREST 3.0
#define UNKNOWN_SPREAD 2.0

/*
 * Operator calls in the time of fetching a row of the table out of order, found
 * in the cache.  Core charges the pages that are read, and nothing where the next row
 * is on one seen before; but 100,000 rows of a million, in the order of distances, took
 * 2.5 µs each, where a sequential scan took .13.
 */
#define OPERATORS_PER_FETCH 40.0

/*
 * The same of visiting a page of the table in a later pass again: 200,000 rows of a
 * million took 1 µs each in seven passes, .5 by a bitmap.
 */
#define OPERATORS_PER_PAGE_AGAIN 160.0

/* And of a row in the order of the table: .1 µs, by bitmap as well, where a sequential scan with its condition took .07. */
#define OPERATORS_PER_ROW 2.0

/* Row pointers of a page and distance that are sorted together, a dozen bytes beside them. */
#define SORTED_ROW_BYTES 8.0

/* The shape of the index, as the planner may know it. */
typedef struct IndexShape
{
	const IndexSnapshot *snapshot;	/* NULL: not built, or damaged */
	int			bits;
	double		pages;			/* of codes */
	double		pending_pages;
	double		centres;
	double		rows;			/* live, pending ones left out */
	double		codes_per_page;
	double		loops;
} IndexShape;

/* What the query asks of it. */
typedef struct Question
{
	bool		ordered;
	bool		equal;
	bool		limited;		/* to a radius */
	int			radius;			/* -1: not known yet */
	double		rows;			/* that fulfil the index's conditions */
	double		wanted;			/* of these, until the query has enough */
	double		passing;		/* share that passes conditions other than on the code */
} Question;

static void
cost_index_shape(IndexOptInfo *info, IndexShape *shape)
{
	if (!info->hypothetical)
	{
		Relation	index = index_open(info->indexoid, NoLock);

		shape->snapshot = cache_estimate(index, info->pages);
		index_close(index, NoLock);
	}
	if (shape->snapshot)
	{
		const IndexSnapshot *snapshot = shape->snapshot;

		shape->bits = snapshot->format.bits;
		shape->pending_pages = snapshot->pending_pages;
		for (int s = 0; s < snapshot->segments; s++)
		{
			shape->pages += snapshot->segment[s].data_pages;
			shape->centres += snapshot->segment[s].centres;
		}
		shape->rows = xmhash_snapshot_rows(snapshot);
	}
	else
	{
		/* Not built, or damaged: queries that will not use it must not fail. */
		shape->pages = Max(info->pages, 1);
		shape->centres = centres_wanted(shape->pages, 64);
		shape->rows = info->tuples;
	}
	shape->codes_per_page = info->tuples / Max(shape->pages + shape->pending_pages, 1);
}

/* ---------- Pages ---------- */

/* Pages that the search for the so many nearest rows reads, once. */
static double
cost_nearest_pages(const IndexShape *shape, double rows)
{
	double		pages = 0;

	if (!shape->snapshot)
		return Min(shape->pages, UNKNOWN_NEAREST * sqrt(shape->pages * Max(rows / 10, 1)));
	if (rows >= shape->rows)
		return shape->pages;
	for (int s = 0; s < shape->snapshot->segments; s++)
	{
		const XmhashSegment *segment = &shape->snapshot->segment[s];

		/* A segment has its share of the nearest; rows that were removed are not found. */
		pages += segment->centres == 0 ? segment->data_pages :
			reach_nearest(&segment->reach, rows / shape->rows * segment->rows);
	}
	return pages;
}

/* Pages, of data or bands, that the search within the radius reads. */
static double
cost_radius_pages(const IndexShape *shape, const Question *question)
{
	double		fill = question->rows / Max(question->passing, 1e-9) / Max(shape->codes_per_page, 1);
	double		pages = 0;

	if (!shape->snapshot || question->radius < 0)
		return Min(shape->pages, cost_nearest_pages(shape, 1) + fill * UNKNOWN_SPREAD);
	for (int s = 0; s < shape->snapshot->segments; s++)
	{
		const XmhashSegment *segment = &shape->snapshot->segment[s];

		if (segment->centres == 0)
			pages += segment->data_pages;
		else if (question->equal)
			pages += Min(segment->data_pages, 1 + fill / shape->snapshot->segments);
		else
			pages += reach_within(&segment->reach, shape->bits, question->radius);
	}
	return pages;
}

/* ---------- Costs ---------- */

/*
 * Reading so many of the index's pages, once for each of the loops that will
 * come, and comparing what is on them; pages seen once are in the cache for the
 * next.  Every search reads much the same pages in runs of neighbours, in block
 * order among equal bounds: the price of a sequential page, not of a seek.
 */
static double
cost_visit(PlannerInfo *root, IndexOptInfo *info, const IndexShape *shape, double pages)
{
	double		all = shape->pages + shape->pending_pages;
	double		visited = pages + shape->pending_pages;
	double		read = visited;
	double		seq_page;

	if (all <= 0)
		return 0;
	get_tablespace_page_costs(info->reltablespace, NULL, &seq_page);
	if (shape->loops > 1)
		read = index_pages_fetched(visited * shape->loops, (BlockNumber) all, all, root) / shape->loops;
	return read * seq_page +
		visited * shape->codes_per_page * HAMMING_WORDS(Max(shape->bits, 1)) / WORDS_PER_OPERATOR * cpu_operator_cost;
}

/* Visits of pages again find them in the cache, if it is as large as the index. */
static double
cost_visit_again(PlannerInfo *root, IndexOptInfo *info, const IndexShape *shape, double pages)
{
	double		seq_page;
	double		cost = cost_visit(root, info, shape, pages);

	get_tablespace_page_costs(info->reltablespace, NULL, &seq_page);
	if (shape->loops <= 1 && shape->pages + shape->pending_pages < effective_cache_size)
		cost -= (pages + shape->pending_pages) * seq_page;
	return cost;
}

/* The sort of so many rows: all of a page at one distance are one tuple, and go to files beyond work_mem. */
static double
cost_rest(IndexOptInfo *info, double rows)
{
	double		bytes = rows * SORTED_ROW_BYTES;
	double		seq_page;

	get_tablespace_page_costs(info->reltablespace, NULL, &seq_page);
	return rows * cpu_operator_cost + (bytes > work_mem * 1024.0 ? 2 * bytes / BLCKSZ * seq_page : 0);
}

/*
 * The search for the nearest rows, as core/search.c goes about it: in batches
 * that are visits of the pages, and when more has been read than one visit can
 * read, all the rest in a last one.
 */
static double
cost_ordered(PlannerInfo *root, IndexOptInfo *info, const IndexShape *shape, const Question *question, double rows)
{
	double		reach = question->limited ? cost_radius_pages(shape, question) : shape->pages;
	double		kept = 0;
	double		read = 0;
	double		cost = 0;

	for (int batch = 0;; batch++)
	{
		double		pages;

		kept += search_batch_rows(batch, (Size) work_mem * 1024);
		pages = Min(reach, cost_nearest_pages(shape, Min(kept, rows) / question->passing));
		cost += batch == 0 ? cost_visit(root, info, shape, pages) : cost_visit_again(root, info, shape, pages);
		read += pages + shape->pending_pages;
		if (kept >= rows)
			return cost;
		if (read > reach + shape->pending_pages)
			return cost + cost_visit_again(root, info, shape, reach) + cost_rest(info, question->rows - kept);
	}
}

static double
cost_search(PlannerInfo *root, IndexOptInfo *info, const IndexShape *shape, const Question *question, double rows)
{
	double		pages;
	double		share = rows / question->rows;

	if (question->ordered)
		return cost_ordered(root, info, shape, question, rows) + rows * OPERATORS_PER_FETCH * cpu_operator_cost;
	/* In block order: the first pages with rows, or all. */
	pages = question->limited ? cost_radius_pages(shape, question) : shape->pages;
	return cost_visit(root, info, shape, Max(Min(pages, 1), pages * share)) + rows * OPERATORS_PER_ROW * cpu_operator_cost;
}

/* A page of the table among so many read in their order: the price of a bitmap scan's, between a seek and the next page. */
static double
cost_table_page(IndexOptInfo *info, double fetched)
{
	double		pages = Max(info->rel->pages, 1);
	double		seek;
	double		seq_page;

	get_tablespace_page_costs(info->rel->reltablespace, &seek, &seq_page);
	return seek - Max(seek - seq_page, 0) * sqrt(Min(fetched / pages, 1));
}

/*
 * What core leaves out of the price of the first rows.  It takes the pages of the table that
 * all rows are on, each once, and of their price a share as large as that of the
 * rows; but few rows are on nearly as many pages.
 */
static double
cost_scattered_rows(PlannerInfo *root, IndexOptInfo *info, double rows, double all)
{
	double		pages = Max(info->rel->pages, 1);
	double		fetched = Min(index_pages_fetched(rows, info->rel->pages, info->pages, root), pages);
	double		charged = Min(index_pages_fetched(all, info->rel->pages, info->pages, root), pages) * rows / all;
	double		seek;

	get_tablespace_page_costs(info->rel->reltablespace, &seek, NULL);
	return Max(fetched * cost_table_page(info, fetched) - charged * seek, 0);
}

/*
 * What core is told of the order of the rows.  With an order by distance they lie
 * anywhere in the table.  Without one they come in passes over the table in the order of
 * its blocks (core/search.c), few if work_mem holds them: so a page costs what it does
 * in a bitmap scan, and a little each time that it is seen again.
 * Core takes the square of the correlation for the way from the price of rows
 * anywhere to that of rows side by side: we say where between them ours is.
 */
static double
cost_correlation(PlannerInfo *root, IndexOptInfo *info, const Question *question, Selectivity selectivity, double loops)
{
	double		rows = question->rows;
	double		pass = Min(rows, search_batch_rows(INT_MAX, (Size) work_mem * 1024));
	double		pass_pages;
	double		fetched;
	double		anywhere;
	double		together;
	double		ours;
	double		seek;
	double		seq_page;

	if (question->ordered)
		return 0;
	get_tablespace_page_costs(info->rel->reltablespace, &seek, &seq_page);
	fetched = index_pages_fetched(rows * loops, info->rel->pages, info->pages, root) / loops;
	pass_pages = index_pages_fetched(pass * loops, info->rel->pages, info->pages, root) / loops;
	ours = fetched * cost_table_page(info, pass_pages) +
		Max(rows / pass * pass_pages - fetched, 0) * OPERATORS_PER_PAGE_AGAIN * cpu_operator_cost;
	anywhere = fetched * seek;
	together = ceil(selectivity * info->rel->pages);
	if (loops > 1)
		together = index_pages_fetched(together * loops, info->rel->pages, info->pages, root) / loops * seek;
	else
		together = seek + (together - 1) * seq_page;
	if (ours >= anywhere || together >= anywhere)
		return 0;
	return sqrt(Min((anywhere - ours) / (anywhere - together), 1));
}

/* ---------- The question ---------- */

/* Radius of a condition on the code: 0 of equality, -1 if it is not known yet. */
static int
cost_clause_radius(PlannerInfo *root, IndexOptInfo *info, RestrictInfo *clause, bool *equal)
{
	OpExpr	   *expression = (OpExpr *) clause->clause;

	*equal = false;
	if (!IsA(expression, OpExpr) || list_length(expression->args) != 2)
		return -1;
	*equal = get_op_opfamily_strategy(expression->opno, info->opfamily[0]) == XMHASH_STRATEGY_EQUAL;
	return *equal ? 0 : support_ball_radius(root, lsecond(expression->args));
}

/* How much of the rows the query wants: what its LIMIT says, where nothing but this scan decides. */
static double
cost_wanted_share(PlannerInfo *root, IndexPath *path)
{
	RelOptInfo *rel = path->indexinfo->rel;
	Relids		top = rel->top_parent_relids ? rel->top_parent_relids : rel->relids;
	double		rows;

	if (path->path.param_info != NULL || !bms_equal(top, root->all_baserels))
		return 1;
	rows = Max(find_base_rel(root, bms_singleton_member(top))->rows, 1);
	if (root->limit_tuples > 0)
		return Min(root->limit_tuples / rows, 1);
	if (root->tuple_fraction >= 1)
		return Min(root->tuple_fraction / rows, 1);
	return root->tuple_fraction > 0 ? root->tuple_fraction : 1;
}

static void
cost_question(PlannerInfo *root, IndexPath *path, List *quals, Selectivity selectivity, Question *question)
{
	IndexOptInfo *info = path->indexinfo;
	List	   *others = NIL;
	ListCell   *cell;

	question->ordered = path->indexorderbys != NIL;
	question->radius = -1;
	foreach(cell, path->indexclauses)
	{
		IndexClause *clause = lfirst_node(IndexClause, cell);
		ListCell   *inner;

		foreach(inner, clause->indexquals)
		{
			RestrictInfo *qual = lfirst_node(RestrictInfo, inner);
			bool		equal;
			int			radius;

			if (clause->indexcol > 0)
			{
				others = lappend(others, qual);
				continue;
			}
			/* IS NOT NULL leaves all codes. */
			if (IsA(qual->clause, NullTest))
				continue;
			radius = cost_clause_radius(root, info, qual, &equal);
			question->limited = true;
			question->equal |= equal;
			if (radius >= 0 && (question->radius < 0 || radius < question->radius))
				question->radius = radius;
		}
	}
	question->passing = others == NIL ? 1 : clauselist_selectivity(root, others, info->rel->relid, JOIN_INNER, NULL);
	question->passing = Max(question->passing, 1e-9);
	question->rows = clamp_row_est(selectivity * info->rel->tuples);
	question->wanted = Max(1, question->rows * cost_wanted_share(root, path));
}

void
xmhash_cost_estimate(PlannerInfo *root, IndexPath *path, double loop_count,
					 Cost *startup_cost, Cost *total_cost, Selectivity *selectivity,
					 double *correlation, double *pages)
{
	IndexOptInfo *info = path->indexinfo;
	List	   *quals;
	IndexShape	shape = {.loops = Max(loop_count, 1)};
	Question	question = {0};
	double		begin;
	double		first;
	double		all;
	double		random_page;
	QualCost	order_cost;

	/*
	 * A query that needs no column at all, count(*) by a partial index, would
	 * get an index-only scan, of any access method.  Ours keeps no pin between
	 * rows, so VACUUM may take a dead row away and mark its page all visible
	 * while the scan still has the tid in hand: rows must be looked at.
	 */
	if (path->path.pathtype == T_IndexOnlyScan)
		path->path.pathtype = T_IndexScan;

	if (PLANNER_LEAVES_OUT_ARRAYS)
		xmhash_add_array_clauses(root, path);
	quals = get_quals_from_indexclauses(path->indexclauses);
	*selectivity = clauselist_selectivity(root, add_predicate_to_index_quals(info, quals),
										  info->rel->relid, JOIN_INNER, NULL);
	cost_question(root, path, quals, *selectivity, &question);
	*correlation = cost_correlation(root, info, &question, *selectivity, shape.loops);
	/* Last: what it points to may go when a stable function of the query's plans queries of its own. */
	cost_index_shape(info, &shape);

	/* Operands; the meta page, once, which keeps tiny tables to the sequential scan; distances of centres, bounds. */
	cost_qual_eval(&order_cost, path->indexorderbys, root);
	get_tablespace_page_costs(info->reltablespace, &random_page, NULL);
	begin = index_other_operands_eval_cost(root, quals) + order_cost.startup + order_cost.per_tuple +
		random_page / shape.loops +
		(shape.centres * HAMMING_WORDS(Max(shape.bits, 1)) + shape.pages * CODES_PER_BOUND) /
		WORDS_PER_OPERATOR * cpu_operator_cost;

	/* The first row, and all. */
	first = cost_search(root, info, &shape, &question, 1);
	all = cost_search(root, info, &shape, &question, question.rows) + question.rows * cpu_index_tuple_cost;
	if (question.wanted < question.rows)
	{
		/* The line through all and the rows wanted; or, where they cost less than their share, through these and the first. */
		double		share = question.wanted / question.rows;
		double		wanted = cost_search(root, info, &shape, &question, question.wanted) +
		question.wanted * cpu_index_tuple_cost;

		if (shape.loops <= 1)
			wanted += cost_scattered_rows(root, info, question.wanted, question.rows);
		if (wanted - share * all >= first * (1 - share))
			first = (wanted - share * all) / (1 - share);
		else
			all = first + Max(wanted - first, 0) / share;
	}
	*startup_cost = begin + first;
	*total_cost = begin + Max(all, first);
	*pages = shape.pages + shape.pending_pages;
}

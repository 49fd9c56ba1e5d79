/*
 * core/metrics.h: how good rankings by Hamming distance are.
 *
 * Numeric core: no PostgreSQL headers.  What the metrics mean is written at
 * the head of core/metrics.c.
 */
#ifndef METRICS_H
#define METRICS_H

#include "core/hamming.h"
#include "core/env.h"

/*
 * The label sets of queries and database alike: set s has the classes
 * class_number[start[s]] … class_number[start[s + 1] − 1], none of them twice.
 */
typedef struct EvalSets
{
	int			classes;
	int			sets;
	const int64_t *start;		/* [sets + 1] */
	const int32_t *class_number;
} EvalSets;

/* The rows to be ranked, in storage order. */
typedef struct EvalDatabase
{
	int			bits;
	int			rows;
	const uint64_t *codes;		/* [rows × HAMMING_WORDS(bits)] */
	const int32_t *set;			/* [rows], the label set of each */
} EvalDatabase;

/* What one query's ranking scores; see core/metrics.c. */
typedef struct EvalScores
{
	int64_t		relevant;		/* rows that share a class with the query */
	double		average_precision;	/* expected over the orders of ties */
	double		average_precision_by_position;	/* ties in storage order */
	double		precision;		/* among the first k, expected */
	double		recall;
	double		ndcg;
} EvalScores;

/* Means over queries. */
typedef struct EvalSummary
{
	int64_t		queries;
	int64_t		queries_without_relevant;
	double		map;
	double		map_ties_by_position;
	double		precision;
	double		recall;
	double		ndcg;
} EvalSummary;

/* Precision and recall by radius and by rank, by evaluator_curve(). */
typedef struct EvalCurve
{
	int64_t		queries;
	double		map;			/* tie-aware, as in EvalSummary */
	int			radii;			/* bits + 1: radius 0 … bits */
	int			ranks;			/* k, or all rows: ranks 1 … ranks */
	int64_t    *radius_queries; /* [radii], those that find a row at all */
	double	   *radius_precision;	/* [radii], mean over those */
	double	   *radius_recall;	/* [radii], mean over all queries */
	double	   *rank_precision; /* [ranks], element i is rank i + 1 */
	double	   *rank_recall;	/* [ranks] */
} EvalCurve;

typedef struct Evaluator Evaluator;

/*
 * Prepare to rank this database; k > 0 judges the first k ranks only, 0 all.
 * The arrays are used in place.
 */
extern Evaluator *evaluator_create(const CoreEnv *env,
								   const EvalDatabase *database,
								   const EvalSets *sets, int64_t k);

/* Rank the database for one query, by its code [words] and label set. */
extern void evaluator_rank(Evaluator *evaluator, const uint64_t *code, int32_t set);

/* Scores of the ranking just made. */
extern void evaluator_scores(Evaluator *evaluator, EvalScores *scores);

/*
 * Some of them, at less cost: average precision, and the relevant rows and
 * discounted gain expected among its first k, at most those that are judged;
 * returns the distance of the last of these.
 */
extern double evaluator_average_precision(const Evaluator *evaluator);
extern int	evaluator_expected_counts(const Evaluator *evaluator, int k, double *found, double *gain);

/* Rank all queries [queries × words] and average their scores. */
extern void evaluator_summarize(Evaluator *evaluator, int queries,
								const uint64_t *codes, const int32_t *query_sets,
								EvalSummary *summary);

/* The same for the curves. */
extern void evaluator_curve(Evaluator *evaluator, int queries,
							const uint64_t *codes, const int32_t *query_sets,
							EvalCurve *curve);

/*
 * Average precision of a ranking that comes row by row; k = 0 judges it whole.
 */
typedef struct RunningPrecision
{
	int64_t		k;
	int64_t		rank;
	int64_t		relevant;
	double		sum;			/* of the precision at each relevant row's rank */
	double		error;			/* what rounding took from the sum */
} RunningPrecision;

extern void running_precision_add(RunningPrecision *running, bool relevant);
extern double running_precision_average(const RunningPrecision *running);

#endif							/* METRICS_H */

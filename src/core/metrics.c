/*
 * core/metrics.c: metrics of rankings by Hamming distance.
 *
 * A query ranks all rows by distance.  A row is relevant when it shares a class
 * with the query, and its gain is 2^(shared classes) − 1.  With R relevant
 * rows and the ranking judged to rank k:
 *
 *   average precision  1/min(R, k) · Σ over relevant ranks i ≤ k of (relevant
 *                      rows among the first i) / i
 *   precision, recall  relevant rows among the first k, over k and over R
 *   NDCG               Σ gain(i) / log2(1 + i) over i ≤ k, over the same sum
 *                      for the ranking by falling gain
 *
 * All are 0 for a query without relevant rows.  A ranking shorter than k is
 * judged whole, as if k were its length.
 *
 * Codes tie in masses: 20,000 rows have at most 65 distances at 64 bits.  The
 * metrics are therefore expectations over all orders of the rows within each
 * distance (McSherry and Najork, "Computing information retrieval performance
 * measures efficiently in the presence of tied scores", ECIR 2008), which need
 * only, per distance, the number of rows n, of relevant rows r, and the sum of
 * gains: one pass of counting and no sort.  For a group of ties after N rows
 * with P relevant ones, each row is equally likely at each of its ranks.  So
 * rank N + i holds a relevant row with probability r/n, and given that, each of
 * the i − 1 group ranks before holds one of the others with (r − 1)/(n − 1):
 *
 *   Σ_{i=1..m} r/n · (P + 1 + (i − 1)·(r − 1)/(n − 1)) / (N + i)
 *     = r/n · [ (P + 1)·h + (r − 1)/(n − 1)·(m − (N + 1)·h) ],
 *   h = Σ_{i=1..m} 1/(N + i),
 *
 * m being n, or what is left of the group before rank k.  h and the sums of
 * discounts are differences of prefix sums.  (N + 1)·h is about m, so an error
 * of h counts N-fold, and h must be good to its last bit: the prefix sums have
 * twice the precision of a double.  What is left is an error of about 1e-16.
 */
#include "core/metrics.h"

#include "core/exact_sum.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define BLOCK_ROWS 4096

/* Prefix sums, each an ExactSum; [length + 1], element 0 is 0. */
typedef struct PrefixSums
{
	double	   *high;
	double	   *low;
} PrefixSums;

/* What is needed to know of the rows at one distance. */
typedef struct DistanceCount
{
	double		gain;			/* sum */
	uint32_t	rows;
	uint32_t	relevant;
} DistanceCount;

/* Rows and relevant rows ranked so far, while ties are taken in storage order. */
typedef struct RankPosition
{
	uint32_t	rank;
	uint32_t	relevant;
} RankPosition;

struct Evaluator
{
	CoreEnv env;
	EvalDatabase database;
	EvalSets	sets;
	int			words;
	int			k;				/* ranks judged: at most the rows */
	PrefixSums	reciprocal;		/* Σ 1/i */
	PrefixSums	discount;		/* Σ 1/log2(1 + i) */

	/* The other way round: class c is in sets posting[posting_start[c]] … */
	int64_t    *posting_start;	/* [classes + 1] */
	int32_t    *posting;
	int32_t    *set_rows;		/* [sets], database rows of each */

	/* Of the current query. */
	int32_t    *shared;			/* [sets], classes shared; all 0 between queries */
	double	   *gain;			/* [sets], scaled by 2^−max_shared; likewise */
	int32_t    *touched;		/* sets that share a class */
	int			touched_count;
	int			max_shared;
	int64_t    *shared_rows;	/* [largest set + 1], rows by classes shared */
	int64_t		relevant;
	uint16_t   *distance;		/* [rows] */
	DistanceCount *count;		/* [bits + 1] */
	RankPosition *position;	/* [bits + 1] */
};

static void *
metrics_allocate(const CoreEnv *env, size_t count, size_t size)
{
	/* One more, so that nothing asks for no bytes at all. */
	return env->allocate(env->arena, (count + 1) * size);
}

static double
metrics_reciprocal(int rank)
{
	return 1.0 / rank;
}

static double
metrics_discount(int rank)
{
	return 1.0 / log2(1.0 + rank);
}

static void
metrics_prefix_sums(const CoreEnv *env, PrefixSums *sums, int length,
					double (*term) (int rank))
{
	int			rank;

	sums->high = metrics_allocate(env, length + 1, sizeof(double));
	sums->low = metrics_allocate(env, length + 1, sizeof(double));
	for (rank = 1; rank <= length; rank++)
	{
		sums->high[rank] = sums->high[rank - 1];
		sums->low[rank] = sums->low[rank - 1];
		exact_sum_add_to(&sums->high[rank], &sums->low[rank], term(rank));
		if (rank % BLOCK_ROWS == 0)
			env->interrupt();
	}
}

/* Sum of the terms of ranks after `from` up to `to`. */
static double
metrics_sum_between(const PrefixSums *sums, int from, int to)
{
	return (sums->high[to] - sums->high[from]) + (sums->low[to] - sums->low[from]);
}

/* List for each class the sets it is in, of those that the database has. */
static void
evaluator_postings(Evaluator *evaluator)
{
	const EvalSets *sets = &evaluator->sets;
	int64_t    *end;
	int64_t		i;
	int			s;
	int			c;

	evaluator->posting_start = metrics_allocate(&evaluator->env, sets->classes + 1, sizeof(int64_t));
	evaluator->posting = metrics_allocate(&evaluator->env, sets->start[sets->sets], sizeof(int32_t));
	end = metrics_allocate(&evaluator->env, sets->classes + 1, sizeof(int64_t));
	for (s = 0; s < sets->sets; s++)
	{
		for (i = sets->start[s]; evaluator->set_rows[s] > 0 && i < sets->start[s + 1]; i++)
			evaluator->posting_start[sets->class_number[i] + 1]++;
	}
	for (c = 0; c < sets->classes; c++)
	{
		evaluator->posting_start[c + 1] += evaluator->posting_start[c];
		end[c] = evaluator->posting_start[c];
	}
	for (s = 0; s < sets->sets; s++)
	{
		for (i = sets->start[s]; evaluator->set_rows[s] > 0 && i < sets->start[s + 1]; i++)
			evaluator->posting[end[sets->class_number[i]]++] = s;
	}
}

Evaluator *
evaluator_create(const CoreEnv *env, const EvalDatabase *database,
				 const EvalSets *sets, int64_t k)
{
	Evaluator  *evaluator = metrics_allocate(env, 1, sizeof(Evaluator));
	int64_t		largest = 0;
	int			i;

	evaluator->env = *env;
	evaluator->database = *database;
	evaluator->sets = *sets;
	evaluator->words = HAMMING_WORDS(database->bits);
	evaluator->k = k > 0 && k < database->rows ? (int) k : database->rows;
	metrics_prefix_sums(env, &evaluator->reciprocal, evaluator->k, metrics_reciprocal);
	metrics_prefix_sums(env, &evaluator->discount, evaluator->k, metrics_discount);

	evaluator->set_rows = metrics_allocate(env, sets->sets, sizeof(int32_t));
	for (i = 0; i < database->rows; i++)
		evaluator->set_rows[database->set[i]]++;
	evaluator_postings(evaluator);

	for (i = 0; i < sets->sets; i++)
	{
		if (sets->start[i + 1] - sets->start[i] > largest)
			largest = sets->start[i + 1] - sets->start[i];
	}
	evaluator->shared_rows = metrics_allocate(env, largest + 1, sizeof(int64_t));
	evaluator->shared = metrics_allocate(env, sets->sets, sizeof(int32_t));
	evaluator->gain = metrics_allocate(env, sets->sets, sizeof(double));
	evaluator->touched = metrics_allocate(env, sets->sets, sizeof(int32_t));
	evaluator->distance = metrics_allocate(env, (size_t) database->rows + HAMMING_SLACK, sizeof(uint16_t));
	evaluator->count = metrics_allocate(env, database->bits + 1, sizeof(DistanceCount));
	evaluator->position = metrics_allocate(env, database->bits + 1, sizeof(RankPosition));
	return evaluator;
}

/*
 * Gain of a row that shares that many classes, scaled by 2^−max_shared: NDCG
 * is a ratio, and 2^1024 would overflow.  A power of two rounds nothing.  Nor
 * does it become 0 beside far greater ones: a gain also says "relevant".
 */
static double
evaluator_gain(const Evaluator *evaluator, int shared)
{
	double		gain = ldexp(1.0, shared - evaluator->max_shared) - ldexp(1.0, -evaluator->max_shared);

	return fmax(gain, DBL_MIN);
}

/* Forget the last query's gains, at the cost of what it touched. */
static void
evaluator_reset(Evaluator *evaluator)
{
	int			i;

	for (i = 0; i < evaluator->touched_count; i++)
	{
		evaluator->shared[evaluator->touched[i]] = 0;
		evaluator->gain[evaluator->touched[i]] = 0;
	}
	memset(evaluator->shared_rows, 0, (evaluator->max_shared + 1) * sizeof(int64_t));
	evaluator->touched_count = 0;
	evaluator->max_shared = 0;
	evaluator->relevant = 0;
}

/*
 * The gain of every label set for a query with this one.  Rows are then judged
 * by their set's number alone, whatever the number of classes.
 */
static void
evaluator_find_gains(Evaluator *evaluator, int32_t query_set)
{
	const EvalSets *sets = &evaluator->sets;
	int64_t		i;
	int64_t		p;
	int			t;

	evaluator_reset(evaluator);
	for (i = sets->start[query_set]; i < sets->start[query_set + 1]; i++)
	{
		int32_t		class_number = sets->class_number[i];

		for (p = evaluator->posting_start[class_number];
			 p < evaluator->posting_start[class_number + 1]; p++)
		{
			int32_t		set = evaluator->posting[p];

			if (evaluator->shared[set]++ == 0)
				evaluator->touched[evaluator->touched_count++] = set;
			if (evaluator->shared[set] > evaluator->max_shared)
				evaluator->max_shared = evaluator->shared[set];
		}
	}
	for (t = 0; t < evaluator->touched_count; t++)
	{
		int32_t		set = evaluator->touched[t];

		evaluator->gain[set] = evaluator_gain(evaluator, evaluator->shared[set]);
		evaluator->shared_rows[evaluator->shared[set]] += evaluator->set_rows[set];
		evaluator->relevant += evaluator->set_rows[set];
	}
}

/* Count the rows, relevant rows and gains of each distance. */
void
evaluator_rank(Evaluator *evaluator, const uint64_t *code, int32_t set)
{
	const EvalDatabase *database = &evaluator->database;
	DistanceCount *count = evaluator->count;
	const double *gains = evaluator->gain;
	int			start;

	evaluator_find_gains(evaluator, set);
	memset(count, 0, (database->bits + 1) * sizeof(DistanceCount));
	for (start = 0; start < database->rows; start += BLOCK_ROWS)
	{
		int			end = database->rows - start < BLOCK_ROWS ? database->rows : start + BLOCK_ROWS;
		int			row;

		evaluator->env.interrupt();
		hamming_kernels->distances(code, database->codes + (size_t) start * evaluator->words,
								   evaluator->words, end - start, evaluator->distance + start);
		for (row = start; row < end; row++)
		{
			DistanceCount *at = &count[evaluator->distance[row]];
			double		gain = gains[database->set[row]];

			at->rows++;
			at->relevant += gain != 0;
			at->gain += gain;
		}
	}
}

/* How many relevant rows the judged ranks can hold: min(R, k). */
static double
evaluator_max_relevant(const Evaluator *evaluator)
{
	return evaluator->relevant < evaluator->k ? evaluator->relevant : evaluator->k;
}

double
evaluator_average_precision(const Evaluator *evaluator)
{
	double		sum = 0;
	int			before = 0;
	double		relevant_before = 0;
	int			d;

	for (d = 0; d <= evaluator->database.bits && before < evaluator->k; d++)
	{
		double		n = evaluator->count[d].rows;
		double		r = evaluator->count[d].relevant;

		if (r > 0)
		{
			int			last = n < evaluator->k - before ? before + (int) n : evaluator->k;
			double		h = metrics_sum_between(&evaluator->reciprocal, before, last);
			double		others = n > 1 ? (r - 1) / (n - 1) : 0;

			sum += r / n * ((relevant_before + 1) * h +
							others * ((last - before) - (before + 1.0) * h));
		}
		before += (int) n;
		relevant_before += r;
	}
	return evaluator->relevant == 0 ? 0 : sum / evaluator_max_relevant(evaluator);
}

int
evaluator_expected_counts(const Evaluator *evaluator, int k, double *found, double *gain)
{
	int			before = 0;
	int			d;

	*found = 0;
	*gain = 0;
	for (d = 0; d <= evaluator->database.bits && before < k; d++)
	{
		const DistanceCount *count = &evaluator->count[d];

		if (count->relevant > 0)
		{
			double		n = count->rows;
			int			last = n < k - before ? before + (int) n : k;

			/* Whole groups stay whole numbers, whatever r/n rounds to. */
			*found += last - before == n ? count->relevant :
				count->relevant * ((last - before) / n);
			*gain += count->gain / n * metrics_sum_between(&evaluator->discount, before, last);
		}
		before += (int) count->rows;
	}
	return d - 1;
}

/* Discounted gain of the best ranking: rows by falling gain. */
static double
evaluator_ideal_gain(const Evaluator *evaluator)
{
	double		gain = 0;
	int			before = 0;
	int			shared;

	for (shared = evaluator->max_shared; shared > 0 && before < evaluator->k; shared--)
	{
		int64_t		rows = evaluator->shared_rows[shared];
		int			last = rows < evaluator->k - before ? before + (int) rows : evaluator->k;

		gain += evaluator_gain(evaluator, shared) * metrics_sum_between(&evaluator->discount, before, last);
		before = last;
	}
	return gain;
}

/* Average precision with ties in storage order, times min(R, k). */
static double
evaluator_precision_by_position(Evaluator *evaluator)
{
	const EvalDatabase *database = &evaluator->database;
	RankPosition *position = evaluator->position;
	uint32_t	rank = 0;
	uint32_t	relevant = 0;
	double		sum = 0;
	int			start;
	int			d;

	/* Where each distance's rows begin in the ranking: a counting sort's offsets. */
	for (d = 0; d <= database->bits; d++)
	{
		position[d].rank = rank;
		position[d].relevant = relevant;
		rank += evaluator->count[d].rows;
		relevant += evaluator->count[d].relevant;
	}
	for (start = 0; start < database->rows; start += BLOCK_ROWS)
	{
		int			end = database->rows - start < BLOCK_ROWS ? database->rows : start + BLOCK_ROWS;
		double		block_sum = 0;
		int			row;

		evaluator->env.interrupt();
		for (row = start; row < end; row++)
		{
			RankPosition *at = &position[evaluator->distance[row]];

			at->rank++;
			if (evaluator->gain[database->set[row]] != 0)
			{
				at->relevant++;
				if (at->rank <= (uint32_t) evaluator->k)
					block_sum += (double) at->relevant / at->rank;
			}
		}
		/* Summed by blocks, a million terms lose no more digits than a few hundred. */
		sum += block_sum;
	}
	return sum;
}

void
evaluator_scores(Evaluator *evaluator, EvalScores *scores)
{
	double		found;
	double		gain;

	memset(scores, 0, sizeof(EvalScores));
	scores->relevant = evaluator->relevant;
	if (evaluator->relevant == 0)
		return;
	scores->average_precision = evaluator_average_precision(evaluator);
	scores->average_precision_by_position = evaluator_precision_by_position(evaluator) / evaluator_max_relevant(evaluator);
	evaluator_expected_counts(evaluator, evaluator->k, &found, &gain);
	scores->precision = found / evaluator->k;
	scores->recall = found / evaluator->relevant;
	scores->ndcg = gain / evaluator_ideal_gain(evaluator);
}

void
evaluator_summarize(Evaluator *evaluator, int queries, const uint64_t *codes,
					const int32_t *query_sets, EvalSummary *summary)
{
	EvalScores	scores;
	ExactSum	map = {0};
	ExactSum	map_ties_by_position = {0};
	ExactSum	precision = {0};
	ExactSum	recall = {0};
	ExactSum	ndcg = {0};
	int			q;

	memset(summary, 0, sizeof(EvalSummary));
	for (q = 0; q < queries; q++)
	{
		evaluator_rank(evaluator, codes + (size_t) q * evaluator->words, query_sets[q]);
		evaluator_scores(evaluator, &scores);
		summary->queries_without_relevant += scores.relevant == 0;
		exact_sum_add(&map, scores.average_precision);
		exact_sum_add(&map_ties_by_position, scores.average_precision_by_position);
		exact_sum_add(&precision, scores.precision);
		exact_sum_add(&recall, scores.recall);
		exact_sum_add(&ndcg, scores.ndcg);
	}
	summary->queries = queries;
	if (queries == 0)
		return;
	summary->map = exact_sum_value(&map) / queries;
	summary->map_ties_by_position = exact_sum_value(&map_ties_by_position) / queries;
	summary->precision = exact_sum_value(&precision) / queries;
	summary->recall = exact_sum_value(&recall) / queries;
	summary->ndcg = exact_sum_value(&ndcg) / queries;
}

/*
 * Add the ranking just made to the curves.  By rank, the expected number of
 * relevant rows rises in each group by r/n with every rank: only where that
 * slope changes is noted here, and curve_finish() sums up.
 */
static void
curve_add(Evaluator *evaluator, EvalCurve *curve)
{
	double		relevant = evaluator->relevant;
	double		rows = 0;
	double		found = 0;
	double		slope_before = 0;
	int			d;

	for (d = 0; d <= evaluator->database.bits; d++)
	{
		const DistanceCount *count = &evaluator->count[d];
		int			first = (int) rows;

		rows += count->rows;
		found += count->relevant;
		if (rows > 0)
		{
			curve->radius_queries[d]++;
			curve->radius_precision[d] += found / rows;
		}
		if (relevant > 0)
			curve->radius_recall[d] += found / relevant;
		if (count->rows > 0 && first < curve->ranks)
		{
			double		slope = (double) count->relevant / count->rows;

			curve->rank_precision[first] += slope - slope_before;
			if (relevant > 0)
				curve->rank_recall[first] += (slope - slope_before) / relevant;
			slope_before = slope;
		}
	}
	curve->map += evaluator_average_precision(evaluator);
	curve->queries++;
}

/* A share that rounding may have pushed past its bounds. */
static double
curve_share(double value)
{
	return value < 0 ? 0 : value > 1 ? 1 : value;
}

static void
curve_finish(EvalCurve *curve)
{
	double		queries = curve->queries;
	double		slope = 0;
	double		recall_slope = 0;
	ExactSum	found = {0};
	ExactSum	recall = {0};
	int			d;
	int			i;

	if (queries > 0)
		curve->map /= queries;
	for (d = 0; d < curve->radii && queries > 0; d++)
	{
		if (curve->radius_queries[d] > 0)
			curve->radius_precision[d] /= curve->radius_queries[d];
		curve->radius_recall[d] /= queries;
	}
	for (i = 0; i < curve->ranks && queries > 0; i++)
	{
		slope += curve->rank_precision[i];
		recall_slope += curve->rank_recall[i];
		exact_sum_add(&found, slope);
		exact_sum_add(&recall, recall_slope);
		curve->rank_precision[i] = curve_share(exact_sum_value(&found) / (i + 1) / queries);
		curve->rank_recall[i] = curve_share(exact_sum_value(&recall) / queries);
	}
}

void
evaluator_curve(Evaluator *evaluator, int queries, const uint64_t *codes,
				const int32_t *query_sets, EvalCurve *curve)
{
	const CoreEnv *env = &evaluator->env;
	int			q;

	curve->queries = 0;
	curve->map = 0;
	curve->radii = evaluator->database.bits + 1;
	curve->ranks = evaluator->k;
	curve->radius_queries = metrics_allocate(env, curve->radii, sizeof(int64_t));
	curve->radius_precision = metrics_allocate(env, curve->radii, sizeof(double));
	curve->radius_recall = metrics_allocate(env, curve->radii, sizeof(double));
	curve->rank_precision = metrics_allocate(env, curve->ranks, sizeof(double));
	curve->rank_recall = metrics_allocate(env, curve->ranks, sizeof(double));
	for (q = 0; q < queries; q++)
	{
		evaluator_rank(evaluator, codes + (size_t) q * evaluator->words, query_sets[q]);
		curve_add(evaluator, curve);
	}
	curve_finish(curve);
}

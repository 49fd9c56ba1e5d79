/*
 * test_metrics.c: core/metrics.c against cases worked by hand, against every
 * order of the ties, and against brute force in NumPy (reference_metrics.py).
 *
 * usage: test_metrics [SEED [openclipart.csv]]
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/metrics.h"

#define TOLERANCE 1e-12

static int	passed = 0;
static int	failed = 0;
static double worst = 0;

/* ------------------------------------------------------------- environment */

typedef struct Block
{
	struct Block *next;
	char		padding[56];
} Block;

static Block *blocks = NULL;

static void *
test_allocate(void *arena, size_t bytes)
{
	Block	   *block = aligned_alloc(64, sizeof(Block) + (bytes + 63) / 64 * 64);

	(void) arena;
	if (block == NULL)
		abort();
	memset(block, 0, sizeof(Block) + (bytes + 63) / 64 * 64);
	block->next = blocks;
	blocks = block;
	return block + 1;
}

static int	interrupts = 0;

static void
test_interrupt(void)
{
	interrupts++;
}

static const CoreEnv env = {test_allocate, NULL, test_interrupt};

static void
free_all(void)
{
	while (blocks != NULL)
	{
		Block	   *next = blocks->next;

		free(blocks);
		blocks = next;
	}
}

/* ------------------------------------------------------------------ checks */

static void
check(const char *what, double value, double expected)
{
	double		error = fabs(value - expected);

	if (error > worst)
		worst = error;
	if (error <= TOLERANCE)		/* false for NaN */
	{
		passed++;
		return;
	}
	failed++;
	if (failed <= 20)
		printf("FAILED %s: %.17g, expected %.17g\n", what, value, expected);
}

/* ---------------------------------------------------------------- problems */

typedef struct Problem
{
	char		name[64];
	int			bits;
	int			words;
	int			classes;
	int			k;
	int			queries;
	int			rows;
	uint64_t   *codes;			/* queries first, then rows */
	int32_t    *set;			/* likewise */
	EvalSets	sets;
	int64_t    *start;
	int32_t    *class_number;
} Problem;

/* Room for items of at most that many labels in all. */
static void
problem_allocate(Problem *problem, int labels)
{
	int			items = problem->queries + problem->rows;

	problem->words = HAMMING_WORDS(problem->bits);
	problem->codes = test_allocate(NULL, sizeof(uint64_t) * items * problem->words);
	problem->set = test_allocate(NULL, sizeof(int32_t) * items);
	problem->start = test_allocate(NULL, sizeof(int64_t) * (items + 1));
	problem->class_number = test_allocate(NULL, sizeof(int32_t) * (labels + 1));
	problem->sets.classes = problem->classes;
	problem->sets.start = problem->start;
	problem->sets.class_number = problem->class_number;
}

/* Give an item its classes, as a set already there if one is equal. */
static void
problem_label(Problem *problem, int item, const int32_t *classes, int count)
{
	int			sets = problem->sets.sets;
	int			s;

	for (s = 0; s < sets; s++)
	{
		if (problem->start[s + 1] - problem->start[s] == count &&
			memcmp(problem->class_number + problem->start[s], classes, count * sizeof(int32_t)) == 0)
			break;
	}
	if (s == sets)
	{
		if (count > 0)
			memcpy(problem->class_number + problem->start[s], classes, count * sizeof(int32_t));
		problem->start[s + 1] = problem->start[s] + count;
		problem->sets.sets++;
	}
	problem->set[item] = s;
}

static void
problem_set_bit(Problem *problem, int item, int bit)
{
	problem->codes[(size_t) item * problem->words + bit / 64] |= (uint64_t) 1 << (bit % 64);
}

static Evaluator *
problem_evaluator(const Problem *problem)
{
	EvalDatabase database;

	database.bits = problem->bits;
	database.rows = problem->rows;
	database.codes = problem->codes + (size_t) problem->queries * problem->words;
	database.set = problem->set + problem->queries;
	return evaluator_create(&env, &database, &problem->sets, problem->k);
}

static void
problem_scores(const Problem *problem, Evaluator *evaluator, int query, EvalScores *scores)
{
	evaluator_rank(evaluator, problem->codes + (size_t) query * problem->words, problem->set[query]);
	evaluator_scores(evaluator, scores);
}

/*
 * One query with code 0, and rows at given distances with given classes: a row
 * is written "distance:classes", the classes as letters.
 */
static void
make_small(Problem *problem, int bits, int k, const char *query_classes,
		   const char *const *rows, int row_count)
{
	int			item;

	memset(problem, 0, sizeof(Problem));
	problem->bits = bits;
	problem->classes = 4;
	problem->k = k;
	problem->queries = 1;
	problem->rows = row_count;
	problem_allocate(problem, (row_count + 1) * 4);
	for (item = 0; item <= row_count; item++)
	{
		const char *classes = item == 0 ? query_classes : strchr(rows[item - 1], ':') + 1;
		int32_t		numbers[4];
		int			count = 0;
		int			bit;

		for (; *classes; classes++)
			numbers[count++] = *classes - 'a';
		problem_label(problem, item, numbers, count);
		for (bit = 0; item > 0 && bit < atoi(rows[item - 1]); bit++)
			problem_set_bit(problem, item, bit);
	}
}

static void
check_scores(const char *name, const EvalScores *scores, const EvalScores *expected)
{
	char		what[128];

	snprintf(what, sizeof(what), "%s: relevant", name);
	check(what, scores->relevant, expected->relevant);
	snprintf(what, sizeof(what), "%s: average precision", name);
	check(what, scores->average_precision, expected->average_precision);
	snprintf(what, sizeof(what), "%s: average precision in storage order", name);
	check(what, scores->average_precision_by_position, expected->average_precision_by_position);
	snprintf(what, sizeof(what), "%s: precision", name);
	check(what, scores->precision, expected->precision);
	snprintf(what, sizeof(what), "%s: recall", name);
	check(what, scores->recall, expected->recall);
	snprintf(what, sizeof(what), "%s: NDCG", name);
	check(what, scores->ndcg, expected->ndcg);
}

/* ----------------------------------------------------------- by hand */

#define HAND(name, bits, k, query, rows, ...) \
	do { \
		EvalScores	expected_ = __VA_ARGS__; \
		make_small(&problem, bits, k, query, rows, sizeof(rows) / sizeof(rows[0])); \
		problem_scores(&problem, problem_evaluator(&problem), 0, &scores); \
		check_scores(name, &scores, &expected_); \
	} while (0)

static void
test_by_hand(void)
{
	static const char *const none[] = {"0:b", "1:", "2:c"};
	static const char *const all[] = {"1:a", "0:a", "1:ab"};
	static const char *const second[] = {"0:b", "1:a", "2:b"};
	static const char *const tied[] = {"1:b", "1:a"};
	static const char *const tied_three[] = {"4:a", "4:b", "4:a"};
	static const char *const graded[] = {"1:a", "2:ab", "3:c"};
	Problem		problem;
	EvalScores	scores;

	HAND("no relevant row", 8, 0, "a", none, {0, 0, 0, 0, 0, 0});
	HAND("query without classes", 8, 0, "", all, {0, 0, 0, 0, 0, 0});
	HAND("all rows relevant", 8, 0, "a", all, {3, 1, 1, 1, 1, 1});
	HAND("all rows relevant, k = 2", 8, 2, "a", all, {3, 1, 1, 1, 2. / 3, 1});
	HAND("the second of three", 8, 0, "a", second, {1, .5, .5, 1. / 3, 1, 1 / log2(3)});
	HAND("the second of three, k = 1", 8, 1, "a", second, {1, 0, 0, 0, 0, 0});
	HAND("k beyond the ranking", 8, 10, "a", second, {1, .5, .5, 1. / 3, 1, 1 / log2(3)});
	/* Half the orders have the relevant row first (1), half second (1/2). */
	HAND("two tied rows", 8, 0, "a", tied, {1, .75, .5, .5, 1, (1 + 1 / log2(3)) / 2});
	HAND("two tied rows, k = 1", 8, 1, "a", tied, {1, .5, 0, .5, .5, .5});
	/* Orders of the irrelevant row: first (1/2 + 2/3) / 2, second (1 + 2/3) / 2, last 1. */
	HAND("three tied rows", 8, 0, "a", tied_three,
		 {2, (7. / 12 + 5. / 6 + 1) / 3, 5. / 6, 2. / 3, 1,
		 2. / 3 * (1 + 1 / log2(3) + .5) / (1 + 1 / log2(3))});
	/* Gains 1, 3, 0 in rank order; the best order is 3, 1, 0. */
	HAND("graded gains", 8, 0, "ab", graded,
		 {2, 1, 1, 2. / 3, 1, (1 + 3 / log2(3)) / (3 + 1 / log2(3))});
	printf("metrics: cases worked by hand\n");
}

static void
test_running(void)
{
	static const bool ranking[] = {false, true, true, false, true};
	RunningPrecision running;
	int			k;

	for (k = 0; k <= 8; k++)
	{
		static const double expected[] = {
			(1. / 2 + 2. / 3 + 3. / 5) / 3,
			0, (1. / 2) / 2, (1. / 2 + 2. / 3) / 3, (1. / 2 + 2. / 3) / 3,
			(1. / 2 + 2. / 3 + 3. / 5) / 3, (1. / 2 + 2. / 3 + 3. / 5) / 3,
			(1. / 2 + 2. / 3 + 3. / 5) / 3, (1. / 2 + 2. / 3 + 3. / 5) / 3
		};
		int			i;

		memset(&running, 0, sizeof(running));
		running.k = k;
		for (i = 0; i < 5; i++)
			running_precision_add(&running, ranking[i]);
		check("running average precision", running_precision_average(&running), expected[k]);
	}
	memset(&running, 0, sizeof(running));
	check("running average precision of nothing", running_precision_average(&running), 0);
	printf("metrics: average precision row by row\n");
}

/* --------------------------------------------- every order of the ties */

typedef struct Enumeration
{
	int			rows;
	int			k;
	int			distance[8];
	int			gain[8];
	int			order[8];
	int64_t		orders;
	EvalScores	sum;
} Enumeration;

/* Scores of one strict order, straight from the definitions. */
static void
add_order(Enumeration *enumeration)
{
	int			k = enumeration->k > 0 && enumeration->k < enumeration->rows ? enumeration->k : enumeration->rows;
	int			relevant = 0;
	int			found = 0;
	double		precisions = 0;
	double		gain = 0;
	double		ideal = 0;
	int			rank = 0;
	int			i;
	int			value;

	for (i = 0; i < enumeration->rows; i++)
		relevant += enumeration->gain[i] > 0;
	for (i = 0; i < k; i++)
	{
		int			row_gain = enumeration->gain[enumeration->order[i]];

		if (row_gain > 0)
			precisions += (double) ++found / (i + 1);
		gain += row_gain / log2(2 + i);
	}
	for (value = 15; value > 0; value--)
	{
		for (i = 0; i < enumeration->rows; i++)
		{
			if (enumeration->gain[i] == value && rank < k)
				ideal += value / log2(2 + rank++);
		}
	}
	enumeration->orders++;
	if (relevant == 0)
		return;
	enumeration->sum.average_precision += precisions / (relevant < k ? relevant : k);
	enumeration->sum.precision += (double) found / k;
	enumeration->sum.recall += (double) found / relevant;
	enumeration->sum.ndcg += gain / ideal;
}

/* All orders in which distances do not fall. */
static void
enumerate_orders(Enumeration *enumeration, int placed, unsigned used)
{
	int			nearest = 1 << 20;
	int			i;

	if (placed == enumeration->rows)
	{
		add_order(enumeration);
		return;
	}
	for (i = 0; i < enumeration->rows; i++)
	{
		if (!(used & (1u << i)) && enumeration->distance[i] < nearest)
			nearest = enumeration->distance[i];
	}
	for (i = 0; i < enumeration->rows; i++)
	{
		if (!(used & (1u << i)) && enumeration->distance[i] == nearest)
		{
			enumeration->order[placed] = i;
			enumerate_orders(enumeration, placed + 1, used | (1u << i));
		}
	}
}

static void
test_enumeration(unsigned seed)
{
	int64_t		orders = 0;
	int			trial;

	srandom(seed);
	for (trial = 0; trial < 400; trial++)
	{
		Enumeration enumeration;
		Problem		problem;
		EvalScores	scores;
		const char *rows[8];
		char		text[8][16];
		int			i;

		memset(&enumeration, 0, sizeof(enumeration));
		enumeration.rows = 1 + random() % 7;
		enumeration.k = random() % 9;
		for (i = 0; i < enumeration.rows; i++)
		{
			unsigned	classes = random() % 3 == 0 ? 0 : random() % 16;
			int			length;

			enumeration.distance[i] = random() % (1 + trial % 4);
			/* The query has classes a, b and c. */
			enumeration.gain[i] = (1 << __builtin_popcount(classes & 7)) - 1;
			length = snprintf(text[i], sizeof(text[i]), "%d:", enumeration.distance[i]);
			snprintf(text[i] + length, sizeof(text[i]) - length, "%s%s%s%s", classes & 1 ? "a" : "",
					 classes & 2 ? "b" : "", classes & 4 ? "c" : "", classes & 8 ? "d" : "");
			rows[i] = text[i];
		}
		enumerate_orders(&enumeration, 0, 0);
		make_small(&problem, 5, enumeration.k, "abc", rows, enumeration.rows);
		problem_scores(&problem, problem_evaluator(&problem), 0, &scores);
		check("mean over all orders: average precision", scores.average_precision,
			  enumeration.sum.average_precision / enumeration.orders);
		check("mean over all orders: precision", scores.precision,
			  enumeration.sum.precision / enumeration.orders);
		check("mean over all orders: recall", scores.recall,
			  enumeration.sum.recall / enumeration.orders);
		check("mean over all orders: NDCG", scores.ndcg, enumeration.sum.ndcg / enumeration.orders);
		orders += enumeration.orders;
	}
	printf("metrics: 400 small rankings, %lld orders of their ties\n", (long long) orders);
}

/* ------------------------------------------------------ very large rankings */

/*
 * Far down a long ranking the closed form subtracts nearly equal numbers.  Two
 * relevant rows tied after N others have the same average precision in both
 * orders, which takes no subtraction.
 */
static void
test_far_ties(void)
{
	static const int far[] = {1000, 100000, 3000000};
	int			i;

	for (i = 0; i < 3; i++)
	{
		int			n = far[i];
		Problem		problem;
		EvalScores	scores;
		int32_t		class_number = 0;
		int			row;

		memset(&problem, 0, sizeof(problem));
		problem.bits = 3;
		problem.classes = 1;
		problem.queries = 1;
		problem.rows = n + 2;
		problem_allocate(&problem, 2);
		problem_label(&problem, 0, &class_number, 1);
		problem_label(&problem, 1, NULL, 0);
		for (row = 1; row <= n; row++)
			problem.set[row] = 1;
		for (row = n + 1; row <= n + 2; row++)
			problem_set_bit(&problem, row, 0);
		problem_scores(&problem, problem_evaluator(&problem), 0, &scores);
		check("ties far down", scores.average_precision,
			  (1.0 / (n + 1.0) + 2.0 / (n + 2.0)) / 2);
		check("ties far down, NDCG, relative", scores.ndcg * log2(n),
			  (1 / log2(n + 2.0) + 1 / log2(n + 3.0)) / (1 + 1 / log2(3)) * log2(n));
		free_all();
	}
	printf("metrics: ties after up to 3,000,000 rows\n");
}

/* A thousand shared classes: 2^1100 is no double, the ratio is. */
static void
test_many_shared(void)
{
	Problem		problem;
	EvalScores	scores;
	int32_t    *classes = test_allocate(NULL, 1100 * sizeof(int32_t));
	int			i;

	for (i = 0; i < 1100; i++)
		classes[i] = i;
	memset(&problem, 0, sizeof(problem));
	problem.bits = 3;
	problem.classes = 1100;
	problem.queries = 1;
	problem.rows = 2;
	problem_allocate(&problem, 3301);
	problem_label(&problem, 0, classes, 1100);
	problem_label(&problem, 1, classes, 1099);
	problem_label(&problem, 2, classes, 1100);
	problem_set_bit(&problem, 2, 1);
	problem_scores(&problem, problem_evaluator(&problem), 0, &scores);
	check("1,100 shared classes", scores.ndcg, (.5 + 1 / log2(3)) / (1 + .5 / log2(3)));

	/* A gain too small for a double beside the greatest is still a hit. */
	problem_label(&problem, 1, classes, 1);
	problem_scores(&problem, problem_evaluator(&problem), 0, &scores);
	check("1 shared class beside 1,100", scores.average_precision, 1);
	check("1 shared class beside 1,100, storage order", scores.average_precision_by_position, 1);
	free_all();
	printf("metrics: 1,100 shared classes\n");
}

/* ----------------------------------------------------------------- NumPy */

/* Whatever does not parse ends the program: the reference is ours too. */
static void
read_values(FILE *file, const char *format, int count, void *a, void *b, void *c)
{
	if (fscanf(file, format, a, b, c) != count)
	{
		printf("FAILED to read the reference\nmetrics: %d passed, %d failed\n", passed, failed + 1);
		exit(1);
	}
}

static void
read_item(FILE *file, Problem *problem, int item)
{
	static char code[HAMMING_MAX_BITS + 1];
	int32_t		classes[256];
	int			count;
	int			i;

	read_values(file, "%16384s %d", 2, code, &count, NULL);
	for (i = 0; i < problem->bits; i++)
	{
		if (code[i] == '1')
			problem_set_bit(problem, item, i);
	}
	for (i = 0; i < count; i++)
		read_values(file, "%d", 1, &classes[i], NULL, NULL);
	problem_label(problem, item, classes, count);
}

static void
compare_curve(FILE *file, const Problem *problem, Evaluator *evaluator, double map)
{
	EvalCurve	curve;
	char		what[128];
	double		found;
	double		precision;
	double		recall;
	int			i;

	evaluator_curve(evaluator, problem->queries, problem->codes, problem->set, &curve);
	check("the curve's mAP", curve.map, map);
	for (i = 0; i <= problem->bits; i++)
	{
		read_values(file, "%lf %lf %lf", 3, &found, &precision, &recall);
		snprintf(what, sizeof(what), "%s: radius %d", problem->name, i);
		check(what, curve.radius_queries[i], found);
		check(what, curve.radius_precision[i], precision);
		check(what, curve.radius_recall[i], recall);
	}
	for (i = 0; i < curve.ranks; i++)
	{
		read_values(file, "%lf %lf", 2, &precision, &recall, NULL);
		snprintf(what, sizeof(what), "%s: rank %d", problem->name, i + 1);
		check(what, curve.rank_precision[i], precision);
		check(what, curve.rank_recall[i], recall);
	}
}

static void
compare_problem(FILE *file, Problem *problem)
{
	EvalSummary summary;
	EvalSummary expected;
	Evaluator  *evaluator;
	int			q;

	read_values(file, "%d %d %d", 3, &problem->bits, &problem->classes, &problem->k);
	read_values(file, "%d %d", 2, &problem->queries, &problem->rows, NULL);
	problem_allocate(problem, (problem->queries + problem->rows) * problem->classes);
	for (q = 0; q < problem->queries + problem->rows; q++)
		read_item(file, problem, q);
	evaluator = problem_evaluator(problem);
	memset(&expected, 0, sizeof(expected));
	for (q = 0; q < problem->queries; q++)
	{
		EvalScores	scores;
		EvalScores	reference;
		double		relevant;

		read_values(file, "%lf %lf %lf", 3, &relevant, &reference.average_precision,
					&reference.average_precision_by_position);
		read_values(file, "%lf %lf %lf", 3, &reference.precision, &reference.recall, &reference.ndcg);
		reference.relevant = relevant;
		problem_scores(problem, evaluator, q, &scores);
		check_scores(problem->name, &scores, &reference);
		expected.queries_without_relevant += relevant == 0;
		expected.map += reference.average_precision / problem->queries;
		expected.map_ties_by_position += reference.average_precision_by_position / problem->queries;
		expected.ndcg += reference.ndcg / problem->queries;
	}
	evaluator_summarize(evaluator, problem->queries, problem->codes, problem->set, &summary);
	check("summary: queries without relevant rows", summary.queries_without_relevant,
		  expected.queries_without_relevant);
	check("summary: mAP", summary.map, expected.map);
	check("summary: mAP in storage order", summary.map_ties_by_position, expected.map_ties_by_position);
	check("summary: NDCG", summary.ndcg, expected.ndcg);
	compare_curve(file, problem, evaluator, summary.map);
}

static void
test_numpy(const char *seed, const char *pairs)
{
	char		command[3 * 4096];
	Problem		problem;
	FILE	   *file;
	int			problems = 0;

	if (system("/usr/bin/python3 -c 'import numpy' 2>/dev/null") != 0)
	{
		printf("metrics: skipped the comparison with NumPy, which is not installed\n");
		return;
	}
	if (access(pairs, R_OK) != 0)
	{
		printf("metrics: skipped real features: no file %s\n", pairs);
		pairs = "";
	}
	snprintf(command, sizeof(command), "/usr/bin/python3 '%.*sreference_metrics.py' '%s' %s%s%s",
			 (int) (strrchr(__FILE__, '/') - __FILE__ + 1), __FILE__, seed,
			 *pairs ? "'" : "", pairs, *pairs ? "'" : "");
	file = popen(command, "r");
	if (file == NULL)
		abort();
	memset(&problem, 0, sizeof(problem));
	while (fscanf(file, " problem %63s", problem.name) == 1)
	{
		compare_problem(file, &problem);
		free_all();
		memset(&problem, 0, sizeof(problem));
		problems++;
	}
	check("the reference's exit", pclose(file), 0);
	check("a reference that says nothing", problems > 0, 1);
	printf("metrics: %d problems against NumPy\n", problems);
}

int
main(int argc, char **argv)
{
	const char *seed = argc > 1 ? argv[1] : "20200725";
	char		pairs[4096];

	hamming_init();
	snprintf(pairs, sizeof(pairs), "%.*s../data/openclipart.csv",
			 (int) (strrchr(__FILE__, '/') - __FILE__ + 1), __FILE__);
	printf("metrics: seed %s, tolerance %g\n", seed, TOLERANCE);
	test_by_hand();
	test_running();
	test_enumeration(atoi(seed));
	free_all();
	test_far_ties();
	test_many_shared();
	test_numpy(seed, argc > 2 ? argv[2] : pairs);
	check("interrupts were asked for", interrupts > 0, 1);
	printf("metrics: largest difference %.3g\n", worst);
	printf("metrics: %d passed, %d failed\n", passed, failed);
	return failed > 0;
}

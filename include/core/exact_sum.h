/*
 * core/exact_sum.h: sums that keep what rounding would take, so that they have
 * twice the precision of a double.  Numeric core.
 */
#ifndef EXACT_SUM_H
#define EXACT_SUM_H

typedef struct ExactSum
{
	double		high;
	double		low;
} ExactSum;

/* Add a term to a sum kept as high + low (Knuth's exact sum of two doubles). */
static inline void
exact_sum_add_to(double *high, double *low, double term)
{
	double		sum = *high + term;
	double		part = sum - *high;

	*low += (*high - (sum - part)) + (term - part);
	*high = sum;
}

static inline void
exact_sum_add(ExactSum *sum, double term)
{
	exact_sum_add_to(&sum->high, &sum->low, term);
}

static inline double
exact_sum_value(const ExactSum *sum)
{
	return sum->high + sum->low;
}

#endif							/* EXACT_SUM_H */

/*
 * core/running_precision.c: average precision of a ranking that comes row by
 * row, as core/metrics.c defines it.
 */
#include "core/metrics.h"

#include "core/exact_sum.h"

void
running_precision_add(RunningPrecision *running, bool relevant)
{
	running->rank++;
	if (!relevant)
		return;
	running->relevant++;
	if (running->k == 0 || running->rank <= running->k)
		exact_sum_add_to(&running->sum, &running->error,
						 (double) running->relevant / (double) running->rank);
}

double
running_precision_average(const RunningPrecision *running)
{
	int64_t		judged = running->relevant;

	if (running->k > 0 && running->k < judged)
		judged = running->k;
	return judged == 0 ? 0 : (running->sum + running->error) / judged;
}

/*
 * search_test.h: what the unit tests of the search share: checks, random
 * numbers, keys in order.
 */
#ifndef SEARCH_TEST_H
#define SEARCH_TEST_H

#include "core/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define UNUSED __attribute__((unused))

static long passed;
static long failed;
static uint64_t random_state;

#define CHECK(condition, ...) \
	do { \
		if (condition) \
			passed++; \
		else if (failed++ < 20) \
		{ \
			printf("%s:%d: ", __FILE__, __LINE__); \
			printf(__VA_ARGS__); \
			printf("\n"); \
		} \
	} while (0)

/* The seed that is given, or a new one; said in either case. */
static inline void
take_seed(int argc, char **argv)
{
	random_state = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t) time(NULL);
	printf("seed %llu\n", (unsigned long long) random_state);
}

static inline uint64_t
random64(void)
{
	return random_next(&random_state);
}

static inline int
random_below(int n)
{
	return (int) (random64() % (uint64_t) n);
}

/* For qsort(): ascending keys of filter columns. */
static UNUSED int
compare_keys(const void *a, const void *b)
{
	int64_t		x = *(const int64_t *) a;
	int64_t		y = *(const int64_t *) b;

	return x < y ? -1 : x > y;
}

#endif							/* SEARCH_TEST_H */

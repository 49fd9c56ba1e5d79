/*
 * core/sparse.c: a sparse batch turned from rows to columns, by counting.
 */
#include "core/trainer.h"

#include <string.h>

void
column_index_reserve(ColumnIndex *index, ArenaPlan *plan, int inputs)
{
	index->column = arena_reserve(plan, inputs, sizeof(int32_t));
	index->start = arena_reserve(plan, (size_t) inputs + 1, sizeof(int32_t));
	index->position = arena_reserve(plan, inputs, sizeof(int32_t));
}

/*
 * How many non-zeros a batch has is known only when it comes.  The arena frees
 * nothing, so room at least doubles: all the outgrown takes less than the last.
 */
static void
column_index_grow(const CoreEnv *env, ColumnIndex *index, int entries)
{
	if (entries <= index->capacity)
		return;
	index->capacity = entries < index->capacity * 2 ? index->capacity * 2 : entries + 1024;
	index->row = env->allocate(env->arena, index->capacity * sizeof(int32_t));
	index->value = env->allocate(env->arena, index->capacity * sizeof(float));
}

/* The columns that occur, ascending, with where their entries will start. */
static void
column_index_find_columns(ColumnIndex *index, const Features *features)
{
	int32_t		entries = features->row_start[features->rows];
	int32_t		start = 0;
	int			i;

	for (i = features->row_start[0]; i < entries; i++)
		index->position[features->column[i]]++;
	index->columns = 0;
	for (i = 0; i < features->columns; i++)
	{
		int			count = index->position[i];

		if (count == 0)
			continue;
		index->column[index->columns] = i;
		index->start[index->columns++] = start;
		index->position[i] = start;
		start += count;
	}
	index->start[index->columns] = start;
}

void
column_index_build(const CoreEnv *env, ColumnIndex *index, const Features *features)
{
	int			i;
	int			j;

	column_index_grow(env, index, features->row_start[features->rows] - features->row_start[0]);
	column_index_find_columns(index, features);
	for (i = 0; i < features->rows; i++)
		for (j = features->row_start[i]; j < features->row_start[i + 1]; j++)
		{
			int			at = index->position[features->column[j]]++;

			index->row[at] = i;
			index->value[at] = features->value[j];
		}
	for (i = 0; i < index->columns; i++)
		index->position[index->column[i]] = 0;
}

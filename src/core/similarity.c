/*
 * core/similarity.c: the joint-modal similarity S of a batch, which JDSH
 * learns: core/method_jdsh.c has the formulas.
 */
#include "core/method_jdsh.h"

#include <math.h>
#include <string.h>

#define MIN_LENGTH 1e-12f

void
similarity_reserve(Similarity *similarity, ArenaPlan *plan, const BatchSource *source, int batch_size)
{
	size_t		pairs = (size_t) batch_size * batch_size;
	size_t		dense = 0;
	size_t		sparse = 0;

	if (source->image_sparse)
		sparse = source->image_columns;
	else
		dense = source->image_columns;
	if (source->text_sparse)
		sparse = sparse > (size_t) source->text_columns ? sparse : (size_t) source->text_columns;
	else
		dense = dense > (size_t) source->text_columns ? dense : (size_t) source->text_columns;

	similarity->image = arena_reserve(plan, pairs, sizeof(float));
	similarity->text = arena_reserve(plan, pairs, sizeof(float));
	similarity->joint = arena_reserve(plan, pairs, sizeof(float));
	similarity->high = arena_reserve(plan, pairs, sizeof(float));
	similarity->unit_features = arena_reserve(plan, batch_size * dense, sizeof(float));
	similarity->scatter = arena_reserve(plan, sparse, sizeof(float));
}

/* to [rows × columns] = the rows of from at unit length; from may be to. */
static void
similarity_unit_rows(const CoreEnv *env, const float *from, int rows, int columns, float *to)
{
	int			i;
	int			k;

	for (i = 0; i < rows; i++)
	{
		const float *source = from + (size_t) i * columns;
		float	   *target = to + (size_t) i * columns;
		float		length = sqrtf(vector_loops()->dot(source, source, columns));
		float		factor = length < MIN_LENGTH ? 0 : 1 / length;

		for (k = 0; k < columns; k++)
			target[k] = factor * source[k];
		if (i % 64 == 63)
			env->interrupt();
	}
}

/* Σ value·dense[column] over a sparse row. */
static float
similarity_sparse_dot(const Features *features, int row, const float *dense)
{
	float		sum = 0;
	int			j;

	for (j = features->row_start[row]; j < features->row_start[row + 1]; j++)
		sum += features->value[j] * dense[features->column[j]];
	return sum;
}

/* Row i of the lower half of cosines [m × m] of sparse rows, by scattering row i; mirrored. */
static void
similarity_sparse_row(const Features *features, int i, float *scatter, float *cosines)
{
	int			rows = features->rows;
	int			start = features->row_start[i];
	int			count = features->row_start[i + 1] - start;
	const float *value = features->value + start;
	float		length = sqrtf(vector_loops()->dot(value, value, count));
	float		factor = length < MIN_LENGTH ? 0 : 1 / length;
	int			j;

	for (j = 0; j < count; j++)
		scatter[features->column[start + j]] = factor * value[j];
	for (j = 0; j < i; j++)
	{
		/* the diagonal above holds 1/length of the earlier row until the end */
		float		cosine = similarity_sparse_dot(features, j, scatter) * cosines[(size_t) j * rows + j];

		cosines[(size_t) i * rows + j] = cosine;
		cosines[(size_t) j * rows + i] = cosine;
	}
	cosines[(size_t) i * rows + i] = factor;
	for (j = 0; j < count; j++)
		scatter[features->column[start + j]] = 0;
}

/* cosines [m × m] between the rows of one modality. */
static void
similarity_cosines(Similarity *similarity, const CoreEnv *env, const Features *features,
				   float *cosines)
{
	int			rows = features->rows;
	int			i;

	if (features->dense != NULL)
	{
		similarity_unit_rows(env, features->dense, rows, features->columns, similarity->unit_features);
		blas_product(env, false, true, rows, rows, features->columns,
					 1, similarity->unit_features, features->columns,
					 similarity->unit_features, features->columns, 0, cosines, rows);
		return;
	}
	for (i = 0; i < rows; i++)
	{
		similarity_sparse_row(features, i, similarity->scatter, cosines);
		env->interrupt();
	}
	for (i = 0; i < rows; i++)
	{
		float	   *diagonal = cosines + (size_t) i * rows + i;

		*diagonal = *diagonal > 0 ? 1 : 0;	/* a zero row has cosine 0, even with itself */
	}
}

/* s = 2c − 1 in place. */
static void
similarity_stretch(const CoreEnv *env, float *cosines, size_t count)
{
	size_t		i;

	for (i = 0; i < count; i++)
	{
		cosines[i] = 2 * cosines[i] - 1;
		if (i % INTERRUPT_CHECK_FLOATS == INTERRUPT_CHECK_FLOATS - 1)
			env->interrupt();
	}
}

/* S [m × m] = α·S_I + β·S_T */
static void
similarity_join(Similarity *similarity, const CoreEnv *env, const JdshOptions *options, size_t m)
{
	float		alpha = options->alpha;
	float		beta = options->beta;
	size_t		i;

	for (i = 0; i < m * m; i++)
	{
		similarity->joint[i] = alpha * similarity->image[i] + beta * similarity->text[i];
		if (i % INTERRUPT_CHECK_FLOATS == INTERRUPT_CHECK_FLOATS - 1)
			env->interrupt();
	}
}

/* S [m × m] += λ·(S_high + S_highᵀ)/2 */
static void
similarity_join_high(Similarity *similarity, const CoreEnv *env, const JdshOptions *options, size_t m)
{
	float		half = options->lambda / 2;
	size_t		i;
	size_t		j;

	for (i = 0; i < m; i++)
	{
		for (j = 0; j < m; j++)
			similarity->joint[i * m + j] += half * (similarity->high[i * m + j] + similarity->high[j * m + i]);
		if (i % 16 == 15)
			env->interrupt();
	}
}

/* S [m × m] of a batch, before DSDW. */
void
similarity_compute(Similarity *similarity, const CoreEnv *env,
				   const JdshOptions *options, const Features *image, const Features *text)
{
	int			rows = image->rows;
	size_t		pairs = (size_t) rows * rows;

	similarity_cosines(similarity, env, image, similarity->image);
	similarity_cosines(similarity, env, text, similarity->text);
	similarity_stretch(env, similarity->image, pairs);
	similarity_stretch(env, similarity->text, pairs);
	similarity_join(similarity, env, options, rows);
	similarity_unit_rows(env, similarity->image, rows, rows, similarity->image);
	similarity_unit_rows(env, similarity->text, rows, rows, similarity->text);
	blas_product(env, false, true, rows, rows, rows, 1, similarity->image, rows,
				 similarity->text, rows, 0, similarity->high, rows);
	similarity_join_high(similarity, env, options, rows);
}

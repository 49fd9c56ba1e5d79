/*
 * core/lapack.c: Cholesky, leading eigenvectors, the nearest rotation.
 *
 * LAPACK can't be interrupted, so it is only called for blocks and problems of
 * a bounded size; what is larger is put together from them and from products,
 * which are cut into slices.
 *
 * LAPACK stores columns one after the other.  A symmetric matrix is the same
 * either way, with its lower half called the upper one; eigenvectors in
 * columns are ours in rows; and Mᵀ = V·S·Uᵀ is what it sees of M = U·S·Vᵀ.
 */
#include "core/lapack.h"

#include "core/blas.h"

#include <math.h>
#include <string.h>

/* Columns that Cholesky takes at a time. */
#define BLOCK 128

/* Subspace iteration: columns beyond those wanted, and rounds. */
#define SUBSPACE_EXTRA 32
#define SUBSPACE_ROUNDS 12

/* Numbers after which a loop of ours looks for interrupts. */
#define PATIENCE ((size_t) 1 << 22)

/* The C interface's constants, as in core/blas.c. */
#define ORDER_ROW_MAJOR 101
#define NO_TRANSPOSE 111
#define TRANSPOSE 112
#define LOWER 122
#define NON_UNIT 131
#define LEFT 141
#define RIGHT 142

/* Fortran's integers are int in the builds that core/blas.c accepts; the lengths of its strings come last. */
static void (*dpotrf) (const char *half, const int *n, double *a, const int *stride, int *info, size_t);
static void (*dsyevd) (const char *job, const char *half, const int *n, double *a, const int *stride,
					   double *values, double *work, const int *work_size, int *iwork, const int *iwork_size,
					   int *info, size_t, size_t);
static void (*dgesdd) (const char *job, const int *m, const int *n, double *a, const int *a_stride, double *s,
					   double *u, const int *u_stride, double *vt, const int *vt_stride, double *work,
					   const int *work_size, int *iwork, int *info, size_t);
static void (*dtrsm) (int order, int side, int half, int transpose, int diagonal, int m, int n, double alpha,
					  const double *a, int a_stride, double *b, int b_stride);

bool
lapack_load(const char **name)
{
	static const char *const names[] = {"dpotrf_", "dsyevd_", "dgesdd_", "cblas_dtrsm"};
	void	  **const functions[] = {(void **) &dpotrf, (void **) &dsyevd, (void **) &dgesdd, (void **) &dtrsm};
	int			i;

	for (i = 0; i < 4; i++)
	{
		*functions[i] = blas_function(names[i]);
		if (*functions[i] == NULL)
		{
			*name = names[i];
			return false;
		}
	}
	return true;
}

static bool
failed(LapackFault *fault, const char *function, int info)
{
	fault->function = function;
	fault->info = info;
	return false;
}

/* LAPACK may go on for ever with a NaN. */
static bool
is_finite(const double *numbers, size_t count)
{
	size_t		bad = 0;
	size_t		i;

	for (i = 0; i < count; i++)
		bad += !(numbers[i] - numbers[i] == 0);
	return bad == 0;
}

/*
 * Block column j of L: what the columns before it contribute is taken off,
 * its diagonal block is factored, and the rows below are solved for.
 */
bool
cholesky_factor(const CoreEnv *env, double *a, int n, LapackFault *fault)
{
	int			j;
	int			i;

	for (j = 0; j < n; j += BLOCK)
	{
		int			columns = n - j < BLOCK ? n - j : BLOCK;
		int			below = j + columns;
		double	   *diagonal = a + (size_t) j * n + j;
		int			info;

		blas_product_double(env, false, true, n - j, columns, j, -1, a + (size_t) j * n, n,
							a + (size_t) j * n, n, 1, diagonal, n);
		for (i = 0; i < columns; i++)
			if (!is_finite(diagonal + (size_t) i * n, i + 1))
				return failed(fault, "dpotrf", 0);
		dpotrf("U", &columns, diagonal, &n, &info, 1);
		if (info != 0)
			return failed(fault, "dpotrf", info > 0 ? j + info : info);
		for (i = below; i < n; i += 16 * BLOCK)
		{
			int			rows = n - i < 16 * BLOCK ? n - i : 16 * BLOCK;

			dtrsm(ORDER_ROW_MAJOR, RIGHT, LOWER, TRANSPOSE, NON_UNIT, rows, columns, 1, diagonal, n,
				  a + (size_t) i * n + j, n);
			env->interrupt();
		}
	}
	return true;
}

/* L·Y = B downwards, then Lᵀ·X = Y upwards, by block rows. */
void
cholesky_solve(const CoreEnv *env, const double *l, int n, double *b, int columns)
{
	int			j;

	for (j = 0; j < n; j += BLOCK)
	{
		int			rows = n - j < BLOCK ? n - j : BLOCK;

		blas_product_double(env, false, false, rows, columns, j, -1, l + (size_t) j * n, n,
							b, columns, 1, b + (size_t) j * columns, columns);
		dtrsm(ORDER_ROW_MAJOR, LEFT, LOWER, NO_TRANSPOSE, NON_UNIT, rows, columns, 1,
			  l + (size_t) j * n + j, n, b + (size_t) j * columns, columns);
		env->interrupt();
	}
	for (j = (n - 1) / BLOCK * BLOCK; j >= 0; j -= BLOCK)
	{
		int			rows = n - j < BLOCK ? n - j : BLOCK;
		int			below = j + rows;

		blas_product_double(env, true, false, rows, columns, n - below, -1, l + (size_t) below * n + j, n,
							b + (size_t) below * columns, columns, 1, b + (size_t) j * columns, columns);
		dtrsm(ORDER_ROW_MAJOR, LEFT, LOWER, TRANSPOSE, NON_UNIT, rows, columns, 1,
			  l + (size_t) j * n + j, n, b + (size_t) j * columns, columns);
		env->interrupt();
	}
}

/* As dsyevd's documentation has it, for eigenvectors. */
static int
eigen_work_size(int n)
{
	return 1 + 6 * n + 2 * n * n;
}

size_t
eigen_work(int n)
{
	/* A, the values, LAPACK's work, its integers (5n + 3, two to a double at least) */
	return (size_t) n * n + n + eigen_work_size(n) + (5 * n + 3);
}

/* Order is LAPACK's reversed; of two signs the one that makes the greatest component positive. */
static void
arrange_vectors(double *vectors, double *values, int n)
{
	int			i;
	int			j;

	for (i = 0; i < n / 2; i++)
	{
		double	   *first = vectors + (size_t) i * n;
		double	   *second = vectors + (size_t) (n - 1 - i) * n;
		double		value = values[i];

		values[i] = values[n - 1 - i];
		values[n - 1 - i] = value;
		for (j = 0; j < n; j++)
		{
			double		number = first[j];

			first[j] = second[j];
			second[j] = number;
		}
	}
	for (i = 0; i < n; i++)
	{
		double	   *vector = vectors + (size_t) i * n;
		int			greatest = 0;

		for (j = 1; j < n; j++)
			if (fabs(vector[j]) > fabs(vector[greatest]))
				greatest = j;
		if (vector[greatest] < 0)
			for (j = 0; j < n; j++)
				vector[j] = -vector[j];
	}
}

bool
eigen_symmetric(const CoreEnv *env, double *work, int n, LapackFault *fault)
{
	double	   *values = work + (size_t) n * n;
	double	   *rest = values + n;
	int			work_size = eigen_work_size(n);
	int			iwork_size = 5 * n + 3;
	int			info;

	if (!is_finite(work, (size_t) n * n))
		return failed(fault, "dsyevd", 0);
	dsyevd("V", "U", &n, work, &n, values, rest, &work_size, (int *) (rest + work_size), &iwork_size, &info, 1, 1);
	if (info != 0)
		return failed(fault, "dsyevd", info);
	arrange_vectors(work, values, n);
	env->interrupt();
	return true;
}

/*
 * YᵀY = L·Lᵀ makes Y·L⁻ᵀ orthonormal, at a fraction of an eigenproblem's cost.
 * False if columns depend on each other, or nearly so: Y is as it was.
 */
static bool
orthonormalise_by_cholesky(const CoreEnv *env, double *y, int n, int columns, double *square)
{
	LapackFault fault;
	double		least = INFINITY;
	double		greatest = 0;
	int			i;

	blas_product_double(env, true, false, columns, columns, n, 1, y, columns, y, columns, 0, square, columns);
	if (!cholesky_factor(env, square, columns, &fault))
		return false;
	for (i = 0; i < columns; i++)
	{
		double		pivot = square[(size_t) i * columns + i];

		least = fmin(least, pivot);
		greatest = fmax(greatest, pivot);
	}
	if (!(least > 1e-4 * greatest))
		return false;
	for (i = 0; i < n; i += 16 * BLOCK)
	{
		int			rows = n - i < 16 * BLOCK ? n - i : 16 * BLOCK;

		dtrsm(ORDER_ROW_MAJOR, RIGHT, LOWER, TRANSPOSE, NON_UNIT, rows, columns, 1, square, columns,
			  y + (size_t) i * columns, columns);
		env->interrupt();
	}
	return true;
}

/*
 * Otherwise YᵀY = U·w·Uᵀ makes Y·U·w^(-1/2) orthonormal; a direction is nought
 * when its w is lost in rounding.  Twice, since both have the square of Y's
 * condition.
 */
bool
orthonormalise(const CoreEnv *env, double *y, int n, int columns,
			   double *work, double *square, LapackFault *fault)
{
	const double *values = square + (size_t) columns * columns;
	int			round;
	int			i;
	int			j;

	for (round = 0; round < 2; round++)
	{
		if (orthonormalise_by_cholesky(env, y, n, columns, square))
			continue;
		blas_product_double(env, true, false, columns, columns, n, 1, y, columns, y, columns, 0, square, columns);
		if (!eigen_symmetric(env, square, columns, fault))
			return false;
		for (i = 0; i < columns; i++)
		{
			bool		lost = !(values[i] > 1e-14 * values[0]) || values[i] < 1e-200;
			double		factor = lost ? 0 : 1 / sqrt(values[i]);

			for (j = 0; j < columns; j++)
				square[(size_t) i * columns + j] *= factor;
		}
		memcpy(work, y, (size_t) n * columns * sizeof(double));
		blas_product_double(env, false, true, n, columns, columns, 1, work, columns, square, columns, 0, y, columns);
	}
	return true;
}

static int
subspace_columns(int n, int count)
{
	return count + SUBSPACE_EXTRA < n ? count + SUBSPACE_EXTRA : n;
}

size_t
leading_work(int n, int count)
{
	size_t		columns = subspace_columns(n, count);

	if (n <= EIGEN_MAX)
		return eigen_work(n);
	return 2 * n * columns + eigen_work(columns);
}

/* Subspace iteration, and the eigenproblem within what it ends in. */
static bool
iterate_subspace(const CoreEnv *env, const double *a, int n, int count, RandomKey key,
				 double *vectors, double *work, LapackFault *fault)
{
	int			columns = subspace_columns(n, count);
	double	   *q = work;		/* [n × columns] */
	double	   *y = q + (size_t) n * columns;
	double	   *square = y + (size_t) n * columns;
	int			round;

	random_normal(env, key, q, (size_t) n * columns);
	for (round = 0; round < SUBSPACE_ROUNDS; round++)
	{
		blas_product_double(env, false, false, n, columns, n, 1, a, n, q, columns, 0, y, columns);
		if (!orthonormalise(env, y, n, columns, q, square, fault))
			return false;
		memcpy(q, y, (size_t) n * columns * sizeof(double));
	}
	blas_product_double(env, false, false, n, columns, n, 1, a, n, q, columns, 0, y, columns);
	blas_product_double(env, true, false, columns, columns, n, 1, q, columns, y, columns, 0, square, columns);
	if (!eigen_symmetric(env, square, columns, fault))
		return false;
	blas_product_double(env, false, true, count, n, columns, 1, square, columns, q, columns, 0, vectors, n);
	return true;
}

bool
leading_eigenvectors(const CoreEnv *env, const double *a, int n, int count, RandomKey key,
					 double *vectors, double *work, LapackFault *fault)
{
	if (n > EIGEN_MAX)
		return iterate_subspace(env, a, n, count, key, vectors, work, fault);
	memcpy(work, a, (size_t) n * n * sizeof(double));
	if (!eigen_symmetric(env, work, n, fault))
		return false;
	memcpy(vectors, work, (size_t) count * n * sizeof(double));
	return true;
}

/* What any of dgesdd's releases asks for at least, and room for its blocks. */
static int
polar_work_size(int d, int k)
{
	return 4 * d * d + 71 * d + k;
}

size_t
polar_work(int d, int k)
{
	/* M, V, U, the singular values, LAPACK's work, its integers (8d) */
	size_t		svd = 2 * (size_t) d * k + (size_t) d * d + d + polar_work_size(d, k) + 8 * (size_t) d;
	size_t		eigen = eigen_work(d) + 2 * (size_t) d * d;

	return svd < eigen ? eigen : svd;
}

/*
 * M·Mᵀ = U·w·Uᵀ, and R = U·w^(-1/2)·Uᵀ·M: a third of the time that the singular
 * values take, as long as the square of M's condition can be borne.  1: done;
 * 0: not so; −1: a fault.
 */
static int
polar_by_eigenvalues(const CoreEnv *env, const double *m, int d, int k, double *r,
					 double *work, LapackFault *fault)
{
	double	   *scaled = work + eigen_work(d);	/* [d × d] */
	double	   *root = scaled + (size_t) d * d; /* [d × d] */
	const double *values = work + (size_t) d * d;
	int			i;
	int			j;

	blas_product_double(env, false, true, d, d, k, 1, m, k, m, k, 0, work, d);
	if (!eigen_symmetric(env, work, d, fault))
		return -1;
	if (!(values[d - 1] > 1e-4 * values[0]))
		return 0;
	for (i = 0; i < d; i++)
		for (j = 0; j < d; j++)
			scaled[(size_t) i * d + j] = work[(size_t) i * d + j] / sqrt(values[i]);
	blas_product_double(env, true, false, d, d, d, 1, work, d, scaled, d, 0, root, d);
	blas_product_double(env, false, false, d, k, d, 1, root, d, m, k, 0, r, k);
	return 1;
}

static bool
polar_by_singular_values(const CoreEnv *env, const double *m, int d, int k, double *r,
						 double *work, LapackFault *fault)
{
	double	   *copy = work;
	double	   *v = copy + (size_t) d * k;	/* [d × k] rows */
	double	   *u = v + (size_t) d * k;	/* [d × d] */
	double	   *s = u + (size_t) d * d;
	double	   *rest = s + d;
	int			work_size = polar_work_size(d, k);
	int			info;

	memcpy(copy, m, (size_t) d * k * sizeof(double));
	dgesdd("S", &k, &d, copy, &k, s, v, &k, u, &d, rest, &work_size, (int *) (rest + work_size), &info, 1);
	if (info != 0)
		return failed(fault, "dgesdd", info);
	blas_product_double(env, false, false, d, k, d, 1, u, d, v, k, 0, r, k);
	return true;
}

bool
polar_factor(const CoreEnv *env, const double *m, int d, int k, double *r,
			 double *work, LapackFault *fault)
{
	int			done;

	if (!is_finite(m, (size_t) d * k))
		return failed(fault, "dgesdd", 0);
	done = polar_by_eigenvalues(env, m, d, k, r, work, fault);
	if (done < 0)
		return false;
	return done > 0 || polar_by_singular_values(env, m, d, k, r, work, fault);
}

/* Box and Muller: each pair of uniform numbers makes a pair of normal ones. */
void
random_normal(const CoreEnv *env, RandomKey key, double *to, size_t count)
{
	size_t		i;

	for (i = 0; i < count; i += 2)
	{
		double		radius = sqrt(-2 * log(1 - (double) random_uniform(key, i)));
		double		angle = 6.283185307179586 * random_uniform(key, i + 1);

		to[i] = radius * cos(angle);
		if (i + 1 < count)
			to[i + 1] = radius * sin(angle);
		if (i % PATIENCE == PATIENCE - 2)
			env->interrupt();
	}
}

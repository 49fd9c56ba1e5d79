/*
 * test_lapack.c: products of doubles, Cholesky, eigenvectors and the nearest
 * rotation, each against what defines it, up to sizes beyond one block; what
 * can't be solved is reported; the same bits every time, and looks for interrupts.
 *
 * usage: test_lapack [SEED]
 */
#include "core_test.h"

#include "core/lapack.h"

static double *
draw_doubles(int rows, int columns)
{
	double	   *matrix = ALLOCATE(double, (size_t) rows * columns);
	size_t		i;

	for (i = 0; i < (size_t) rows * columns; i++)
		matrix[i] = draw_normal();
	return matrix;
}

/* op(A) [m × k] · op(B) [k × n], by definition. */
static double *
multiply(bool ta, bool tb, int m, int n, int k, const double *a, const double *b)
{
	double	   *c = ALLOCATE(double, (size_t) m * n);
	int			i;
	int			j;
	int			l;

	for (i = 0; i < m; i++)
		for (l = 0; l < k; l++)
			for (j = 0; j < n; j++)
				c[(size_t) i * n + j] += a[ta ? (size_t) l * m + i : (size_t) i * k + l] *
					b[tb ? (size_t) j * k + l : (size_t) l * n + j];
	return c;
}

/* The largest difference, relative to the largest number of b. */
static double
distance(const double *a, const double *b, size_t count)
{
	double		error = 0;
	double		scale = 1e-300;
	size_t		i;

	for (i = 0; i < count; i++)
	{
		if (!(fabs(a[i] - b[i]) <= error))
			error = fabs(a[i] - b[i]);
		scale = fmax(scale, fabs(b[i]));
	}
	return error / scale;
}

static void
check_products(void)
{
	double		worst = 0;
	int			trial;

	for (trial = 0; trial < 60; trial++)
	{
		int			m = 1 + draw_below(trial % 10 == 0 ? 300 : 40);
		int			n = 1 + draw_below(40);
		int			k = 1 + draw_below(trial % 10 == 0 ? 300 : 40);
		bool		ta = draw() < 0.5;
		bool		tb = draw() < 0.5;
		double	   *a = draw_doubles(m, k);
		double	   *b = draw_doubles(k, n);
		double	   *c = draw_doubles(m, n);
		double	   *expected = multiply(ta, tb, m, n, k, a, b);
		int			i;

		for (i = 0; i < m * n; i++)
			expected[i] = -0.5 * expected[i] + 2 * c[i];
		blas_set_threads(1 + trial % 2);
		blas_product_double(&env, ta, tb, m, n, k, -0.5, a, ta ? m : k, b, tb ? k : n, 2, c, n);
		worst = fmax(worst, distance(c, expected, (size_t) m * n));
		free_all();
	}
	blas_set_threads(1);
	check(worst < 1e-14, "60 products of doubles: error %.1e, tolerance 1e-14", worst);
}

/* The lower half of XᵀX, by one thread and by two, below and beyond one block of its diagonal. */
static void
check_square(int rows, int n, int threads)
{
	float	   *x = ALLOCATE(float, (size_t) rows * n);
	float	   *c = ALLOCATE(float, (size_t) n * n);
	float	   *again = ALLOCATE(float, (size_t) n * n);
	double		error = 0;
	size_t		i;
	int			j;
	int			k;

	for (i = 0; i < (size_t) rows * n; i++)
		x[i] = (float) draw_normal();
	blas_set_threads(threads);
	blas_square(&env, rows, n, x, 0, c);
	blas_square(&env, rows, n, x, 1, c);
	blas_square(&env, rows, n, x, 0, again);
	blas_square(&env, rows, n, x, 1, again);
	blas_set_threads(1);
	for (j = 0; j < n; j++)
		for (k = 0; k <= j; k++)
		{
			double		sum = 0;

			for (i = 0; i < (size_t) rows; i++)
				sum += (double) x[i * n + j] * x[i * n + k];
			error = fmax(error, fabs(c[(size_t) j * n + k] - 2 * sum) / rows);
		}
	check(error < 1e-5 && memcmp(c, again, (size_t) n * n * sizeof(float)) == 0,
		  "the square of %d × %d, %d threads: error %.1e, tolerance 1e-05, twice the same", rows, n, threads, error);
	free_all();
}

/* A = G·Gᵀ/n + ridge·1, as kernels give it. */
static double *
draw_definite(int n, int rank, double ridge)
{
	double	   *g = draw_doubles(n, rank);
	double	   *a = multiply(false, true, n, n, rank, g, g);
	int			i;

	for (i = 0; i < n * n; i++)
		a[i] /= n;
	for (i = 0; i < n; i++)
		a[(size_t) i * n + i] += ridge;
	return a;
}

static void
check_cholesky(int n, int rank, double ridge, int columns)
{
	double	   *a = draw_definite(n, rank, ridge);
	double	   *l = ALLOCATE(double, (size_t) n * n);
	double	   *again = ALLOCATE(double, (size_t) n * n);
	double	   *b = draw_doubles(n, columns);
	double	   *x = ALLOCATE(double, (size_t) n * columns);
	double	   *product;
	LapackFault fault = {0};
	bool		factored;
	int			i;
	int			j;

	memcpy(l, a, (size_t) n * n * sizeof(double));
	memcpy(again, a, (size_t) n * n * sizeof(double));
	factored = cholesky_factor(&env, l, n, &fault) && cholesky_factor(&env, again, n, &fault);
	check(factored && memcmp(l, again, (size_t) n * n * sizeof(double)) == 0,
		  "Cholesky of %d × %d, rank %d + %g: twice the same", n, n, rank, ridge);
	memcpy(x, b, (size_t) n * columns * sizeof(double));
	cholesky_solve(&env, l, n, x, columns);
	for (i = 0; i < n; i++)
		for (j = i + 1; j < n; j++)
			l[(size_t) i * n + j] = 0;
	product = multiply(false, true, n, n, n, l, l);
	check(distance(product, a, (size_t) n * n) < 1e-13, "and L·Lᵀ = A: error %.1e, tolerance 1e-13",
		  distance(product, a, (size_t) n * n));
	product = multiply(false, false, n, columns, n, a, x);
	check(distance(product, b, (size_t) n * columns) < 1e-9, "and A·X = B: residual %.1e, tolerance 1e-09",
		  distance(product, b, (size_t) n * columns));
	free_all();
}

static void
check_refusals(void)
{
	LapackFault fault = {0};
	bool		refused;
	double	   *a = draw_definite(300, 300, 1e-3);
	double	   *work = ALLOCATE(double, eigen_work(40) + polar_work(4, 9));
	double	   *m = draw_doubles(4, 9);

	a[(size_t) 200 * 300 + 200] = -1;
	refused = !cholesky_factor(&env, a, 300, &fault);
	check(refused && strcmp(fault.function, "dpotrf") == 0 && fault.info == 201,
		  "a matrix that is not definite: %s says %d", fault.function, fault.info);
	a = draw_definite(300, 300, 1e-3);
	a[(size_t) 299 * 300 + 5] = NAN;
	refused = !cholesky_factor(&env, a, 300, &fault);
	check(refused && fault.info == 0, "a NaN: %s is not called", fault.function);
	work[7] = INFINITY;
	check(!eigen_symmetric(&env, work, 40, &fault) && strcmp(fault.function, "dsyevd") == 0, "eigenvalues of infinity");
	m[3] = NAN;
	check(!polar_factor(&env, m, 4, 9, draw_doubles(4, 9), work, &fault) && strcmp(fault.function, "dgesdd") == 0,
		  "the rotation nearest to a NaN");
	free_all();
}

/* Rows of vectors [count × n] are orthonormal eigenvectors of A, in falling order. */
static void
check_eigenvectors(const char *what, const double *a, int n, const double *vectors, int count, double tolerance)
{
	double	   *av = multiply(false, false, count, n, n, vectors, a);
	double	   *gram = multiply(false, true, count, count, n, vectors, vectors);
	double	   *inner = multiply(false, true, count, count, n, av, vectors);
	double	   *residual = multiply(false, false, count, n, count, inner, vectors);
	double		off = 0;
	bool		falling = true;
	bool		signs = true;
	int			i;
	int			j;

	for (i = 0; i < count; i++)
	{
		double		greatest = 0;

		for (j = 0; j < count; j++)
		{
			off = fmax(off, fabs(gram[i * count + j] - (i == j)));
			off = fmax(off, i == j ? 0 : fabs(inner[i * count + j]) / inner[0]);
		}
		falling &= i == 0 || inner[i * count + i] <= inner[(i - 1) * count + i - 1] * (1 + tolerance);
		for (j = 0; j < n; j++)
			if (fabs(vectors[(size_t) i * n + j]) > fabs(greatest))
				greatest = vectors[(size_t) i * n + j];
		signs &= greatest > 0 || n > EIGEN_MAX;
	}
	check(off < tolerance && falling && signs, "%s: %d of %d eigenvectors: orthonormal, diagonal, in order: %.1e, tolerance %.0e",
		  what, count, n, off, tolerance);
	check(distance(residual, av, (size_t) count * n) < 10 * tolerance, "and eigenvectors: %.1e, tolerance %.0e",
		  distance(residual, av, (size_t) count * n), 10 * tolerance);
}

/* A spectrum that falls by `ratio` from one to the next. */
static double *
draw_spectrum(int n, double ratio)
{
	double	   *q = draw_doubles(n, n);
	double	   *work = ALLOCATE(double, leading_work(n, n));
	double	   *scaled = ALLOCATE(double, (size_t) n * n);
	double	   *square = ALLOCATE(double, eigen_work(n < EIGEN_MAX ? n : 60));
	LapackFault fault = {0};
	int			columns = n < EIGEN_MAX ? n : 60;
	int			i;
	int			j;

	q = draw_doubles(n, columns);
	work = ALLOCATE(double, (size_t) n * columns);
	if (!orthonormalise(&env, q, n, columns, work, square, &fault))
		check(false, "orthonormalise");
	for (i = 0; i < n; i++)
		for (j = 0; j < columns; j++)
			scaled[(size_t) i * columns + j] = q[(size_t) i * columns + j] * pow(ratio, j);
	return multiply(false, true, n, n, columns, scaled, q);
}

static void
check_leading(int n, int count, double ratio)
{
	double	   *a = draw_spectrum(n, ratio);
	double	   *vectors = ALLOCATE(double, (size_t) count * n);
	double	   *again = ALLOCATE(double, (size_t) count * n);
	double	   *work = ALLOCATE(double, leading_work(n, count));
	RandomKey	key = random_key(test_seed, 1, 2, RANDOM_VALIDATION);
	LapackFault fault = {0};
	bool		found;

	found = leading_eigenvectors(&env, a, n, count, key, vectors, work, &fault) &&
		leading_eigenvectors(&env, a, n, count, key, again, work, &fault);
	check(found && memcmp(vectors, again, (size_t) count * n * sizeof(double)) == 0, "twice the same");
	check_eigenvectors(n > EIGEN_MAX ? "subspace" : "LAPACK", a, n, vectors, count, 1e-9);
	free_all();
}

/* Dependent columns become nought, the others orthonormal. */
static void
check_orthonormal(int n, int columns, int rank)
{
	double	   *left = draw_doubles(n, rank);
	double	   *right = draw_doubles(rank, columns);
	double	   *y = multiply(false, false, n, columns, rank, left, right);
	double	   *work = ALLOCATE(double, (size_t) n * columns);
	double	   *square = ALLOCATE(double, eigen_work(columns));
	LapackFault fault = {0};
	double	   *gram;
	double		off = 0;
	int			ones = 0;
	int			i;
	int			j;

	if (!orthonormalise(&env, y, n, columns, work, square, &fault))
		check(false, "orthonormalise: %s %d", fault.function, fault.info);
	gram = multiply(true, false, columns, columns, n, y, y);
	for (i = 0; i < columns; i++)
	{
		double		length = gram[i * columns + i];

		ones += length > 0.5;
		off = fmax(off, fmin(fabs(length), fabs(length - 1)));
		for (j = 0; j < columns; j++)
			off = fmax(off, i == j ? 0 : fabs(gram[i * columns + j]));
	}
	check(ones == rank && off < 1e-12, "%d × %d of rank %d: %d columns are orthonormal, the others nought: %.1e, tolerance 1e-12",
		  n, columns, rank, ones, off);
	free_all();
}

/* R has orthonormal rows, and R·Mᵀ is symmetric and nowhere negative: it is the polar factor. */
static void
check_polar(int d, int k, int rank)
{
	double	   *left = draw_doubles(d, rank);
	double	   *right = draw_doubles(rank, k);
	double	   *m = multiply(false, false, d, k, rank, left, right);
	double	   *r = ALLOCATE(double, (size_t) d * k);
	double	   *work = ALLOCATE(double, polar_work(d, k));
	double	   *eigen = ALLOCATE(double, eigen_work(d));
	LapackFault fault = {0};
	double	   *gram;
	double	   *stretch;
	double		off = 0;
	double		scale = 1e-300;
	int			i;
	int			j;

	if (!polar_factor(&env, m, d, k, r, work, &fault))
		check(false, "polar factor: %s %d", fault.function, fault.info);
	gram = multiply(false, true, d, d, k, r, r);
	stretch = multiply(false, true, d, d, k, m, r);
	for (i = 0; i < d * d; i++)
		scale = fmax(scale, fabs(stretch[i]));
	for (i = 0; i < d; i++)
		for (j = 0; j < d; j++)
		{
			off = fmax(off, fabs(gram[i * d + j] - (i == j)));
			off = fmax(off, fabs(stretch[i * d + j] - stretch[j * d + i]) / scale);
			eigen[i * d + j] = stretch[i * d + j] / scale;
		}
	if (!eigen_symmetric(&env, eigen, d, &fault))
		check(false, "eigenvalues: %s %d", fault.function, fault.info);
	check(off < 1e-12 && eigen[d * d + d - 1] > -1e-12, "the rotation nearest to %d × %d of rank %d: %.1e, tolerance 1e-12",
		  d, k, rank, fmax(off, -eigen[d * d + d - 1]));
	free_all();
}

int
main(int argc, char **argv)
{
	const char *missing;
	LapackFault fault = {0};
	double	   *large;
	long		before;

	start("lapack", argc, argv);
	if (!check(lapack_load(&missing), "the library has LAPACK"))
		return finish("lapack");
	check_products();
	check_square(1, 1, 1);
	check_square(100, 512, 1);
	check_square(70, 1300, 1);
	check_square(70, 1300, 2);
	check_cholesky(1, 1, 0, 1);
	check_cholesky(128, 128, 1e-6, 3);
	check_cholesky(129, 60, 1e-6, 20);
	check_cholesky(700, 300, 3e-6, 40);
	check_refusals();
	check_leading(1, 1, 0.9);
	check_leading(160, 128, 0.95);
	check_leading(700, 32, 0.8);
	check_orthonormal(300, 40, 40);
	check_orthonormal(300, 40, 7);
	check_orthonormal(20, 40, 20);
	check_polar(1, 1, 1);
	check_polar(32, 64, 32);
	check_polar(32, 32, 32);
	check_polar(8, 4096, 8);
	check_polar(16, 64, 3);
	check_polar(16, 64, 15);
	check_polar(5, 9, 1);

	large = draw_definite(1500, 10, 1);
	before = interrupts;
	check(cholesky_factor(&env, large, 1500, &fault) && interrupts - before >= 1500 / 128,
		  "looks for interrupts at every block");
	return finish("lapack");
}

/*
 * core/blas_square.c: the lower half of XᵀX.
 *
 * It is put together from products of what lies left of the diagonal's blocks,
 * and from these, of which the library computes no more than the half: at its
 * full speed from some hundred columns on.
 */
#include "core/blas.h"
#include "core/threads.h"

/* Columns of a block of the diagonal. */
#define BLOCK 512

/* The C interface's constants, as in core/blas.c. */
#define ORDER_ROW_MAJOR 101
#define TRANSPOSE 112
#define LOWER 122

static void (*ssyrk) (int order, int half, int transpose, int n, int k, float alpha,
					  const float *a, int a_stride, float beta, float *c, int c_stride);

/* The diagonal's blocks, dealt out to the threads. */
typedef struct Square
{
	int			rows;
	int			n;
	const float *x;
	float		beta;
	float	   *c;
	int			threads;
} Square;

static void
square_compute_part(void *argument, int part)
{
	const Square *square = argument;
	int			n = square->n;
	int			i;

	for (i = part * BLOCK; i < n; i += square->threads * BLOCK)
		ssyrk(ORDER_ROW_MAJOR, LOWER, TRANSPOSE, n - i < BLOCK ? n - i : BLOCK, square->rows,
			  1, square->x + i, n, square->beta, square->c + (size_t) i * n + i, n);
}

void
blas_square(const CoreEnv *env, int rows, int n, const float *x, float beta, float *c)
{
	Square		square = {rows, n, x, beta, c, 1};
	int			blocks = (n + BLOCK - 1) / BLOCK;
	int			i;

	if (ssyrk == NULL)
		*(void **) &ssyrk = blas_function("cblas_ssyrk");
	for (i = 0; i < n; i += BLOCK)
	{
		int			high = n - i < BLOCK ? n - i : BLOCK;

		/* Without the function the diagonal's blocks are products as well. */
		blas_product(env, true, false, high, ssyrk == NULL ? i + high : i, rows, 1, x + i, n, x, n,
					 beta, c + (size_t) i * n, n);
	}
	if (ssyrk == NULL)
		return;
	if ((double) rows * n * BLOCK >= BLAS_THREADED_OPERATIONS)
		square.threads = blas_threads() < blocks ? blas_threads() : blocks;
	threads_run(square.threads, square_compute_part, &square);
	env->interrupt();
}

/*
 * model/blas_settings.c: OpenBLAS in the server: which library, how many threads.
 *
 * Any role can ask for threads, so what it gets is bounded by a superuser's
 * setting.  Which library the server loads, a superuser says.
 */
#include "model/model.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "access/xact.h"
#include "core/blas.h"
#include "core/processors.h"
#include "core/threads.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

/* Threads that the settings ask for and allow. */
static int
blas_threads_allowed(void)
{
	int			processors = processors_usable();
	int			wanted = xmhash_threads > 0 ? xmhash_threads : Min(processors, max_parallel_maintenance_workers + 1);

	return Min(wanted, xmhash_max_threads > 0 ? xmhash_max_threads : processors);
}

static void
blas_fail_to_load(BlasStatus status, const char *message)
{
	if (status == BLAS_NO_MEMORY)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("Failed while loading OpenBLAS: %s.", message)));
	if (xmhash_blas_library[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FILE),
				 errmsg("could not load the OpenBLAS library"),
				 errdetail_internal("%s", message),
				 errhint("Install it (Debian: libopenblas0-pthread, Fedora: openblas-threads, Alpine and Homebrew: openblas), "
						 "or let a superuser name it in the setting xmhash.blas_library.")));
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_FILE),
			 errmsg("could not load the OpenBLAS library \"%s\"", xmhash_blas_library),
			 errdetail_internal("%s", message),
			 errhint("It is the value of the setting xmhash.blas_library.")));
}

/*
 * Use so many threads, if the settings allow them and the system gives them;
 * said once a statement where it does not.
 */
void
model_set_threads(int wanted)
{
	static TimestampTz said = 0;
	int			asked = Min(Min(wanted, blas_threads_allowed()), blas_max_threads());
	int			got = blas_set_threads(asked);
	int			error = errno;

	if (got >= asked || said == GetCurrentStatementStartTimestamp())
		return;
	said = GetCurrentStatementStartTimestamp();
	ereport(WARNING,
			(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
			 errmsg("could not start %d threads for matrix products, going on with %d", asked, got),
			 errdetail_internal("%s.", strerror(error)),
			 errhint("The server's user, its service or its container may have a limit on processes; "
					 "a smaller xmhash.threads asks for fewer.")));
}

/* Load BLAS when first needed, and give it as many threads as allowed now. */
void
model_start_blas(void)
{
	char		message[512];
	BlasStatus	status = blas_load(xmhash_blas_library, message, sizeof(message));

	if (status != BLAS_LOADED)
		blas_fail_to_load(status, message);
	model_set_threads(INT_MAX);
}

/* The loaded library has products, but not what a training method needs beside. */
void
model_fail_blas(const char *missing, const char *method)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_FILE),
			 errmsg("the OpenBLAS library has no function %s, which method \"%s\" needs", missing, method),
			 errdetail("It is %s.", blas_version()),
			 errhint("It was built without LAPACK. The builds of Debian, Fedora, Alpine and Homebrew have it; "
					 "the setting xmhash.blas_library names another one, for new sessions.")));
}

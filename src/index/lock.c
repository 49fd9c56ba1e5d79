/*
 * index/lock.c: the heavyweight locks of the index, which are page locks by
 * name only: XMHASH_MERGE_LOCK and XMHASH_FLUSH_LOCK.  What is changed under
 * the meta page's content lock, the list of free blocks (index/alloc.c) and the
 * catalogue, needs none of them.  src/README.md lists all locks in their order.
 */
#include "postgres.h"

#include "index/storage.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"

/*
 * Wait for a lock without standing in its queue: who waits there for longer
 * than deadlock_timeout cancels the autovacuum that holds it.  The order of
 * the locks excludes deadlocks, so nobody has to look for one.
 */
void
xmhash_lock_page(Relation index, BlockNumber lock)
{
	long		wait = 1;

	while (!ConditionalLockPage(index, lock, ExclusiveLock))
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, wait, PG_WAIT_LOCK | LOCKTAG_PAGE);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		wait = Min(2 * wait, 100);
	}
}

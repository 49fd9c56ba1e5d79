/*
 * model/lock.c: one training of a model at a time.
 *
 * While a training runs, its session holds two locks: ShareUpdateExclusiveLock
 * on the table, as VACUUM does, so that it stays; and a lock of the object
 * "pg_class, table, 1", of which no other use is made, so that a second
 * training is told at once, and the view xmhash_models can tell a running
 * training from an interrupted one.  Both are locks of the default method: an
 * abort of the transaction releases a session's ones too, so an error or
 * cancel needs no clean-up.
 */
#include "model/model.h"

#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/memutils.h"

static void
lock_training_tag(Oid model, LOCKTAG *tag)
{
	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId, RelationRelationId, model, 1);
}

/* Who holds the lock of a training, when it is no process. */
#define HOLDER_NONE (-1)
#define HOLDER_PREPARED 0		/* a prepared transaction */

/* The process that holds it: another than this one. */
static int
lock_find_holder(Oid model)
{
	LOCKTAG		tag;
	LockData   *locks = GetLockStatusData();
	int			pid = HOLDER_NONE;
	int			i;

	lock_training_tag(model, &tag);
	for (i = 0; i < locks->nelements && pid == HOLDER_NONE; i++)
	{
		const LockInstanceData *lock = &locks->locks[i];

		if (lock->holdMask != 0 && lock->pid != MyProcPid &&
			memcmp(&lock->locktag, &tag, sizeof(LOCKTAG)) == 0)
			pid = lock->pid;
	}
	pfree(locks->locks);
	pfree(locks);
	return pid;
}

/* The models whose trainings run in other sessions. */
static List *
lock_find_trainings(void)
{
	LockData   *locks = GetLockStatusData();
	List	   *models = NIL;
	int			i;

	for (i = 0; i < locks->nelements; i++)
	{
		const LockInstanceData *lock = &locks->locks[i];
		LOCKTAG		tag;

		lock_training_tag(lock->locktag.locktag_field3, &tag);
		if (lock->holdMask != 0 && lock->pid != MyProcPid &&
			memcmp(&lock->locktag, &tag, sizeof(LOCKTAG)) == 0)
			models = lappend_oid(models, lock->locktag.locktag_field3);
	}
	pfree(locks->locks);
	pfree(locks);
	return models;
}

typedef struct Trainings
{
	List	   *models;
} Trainings;

/*
 * Is there a training of it?  All locks of the server are looked through for
 * that: once for all the rows that a FROM clause asks for (only there is a
 * result's shape said, and does what is remembered go with the statement).
 * Locks are not replicated: a standby believes what the row says.
 */
bool
model_in_training(FunctionCallInfo fcinfo, Oid model)
{
	Trainings  *trainings = fcinfo->flinfo->fn_extra;

	if (RecoveryInProgress())
		return true;
	if (fcinfo->resultinfo == NULL)
		return lock_find_holder(model) != HOLDER_NONE;
	if (trainings == NULL)
	{
		MemoryContext old_context = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);

		trainings = palloc(sizeof(Trainings));
		trainings->models = lock_find_trainings();
		fcinfo->flinfo->fn_extra = trainings;
		MemoryContextSwitchTo(old_context);
	}
	return list_member_oid(trainings->models, model);
}

/*
 * Lock a model for a training: for the transaction, or for the session when
 * the work commits on its way.  It waits for whoever changes the table, but
 * not for another training, which may take hours.
 */
void
model_lock(Oid model, bool session)
{
	LOCKTAG		tag;
	int			pid;

	lock_training_tag(model, &tag);
	if (LockAcquire(&tag, ExclusiveLock, session, true) == LOCKACQUIRE_NOT_AVAIL)
	{
		pid = lock_find_holder(model);
		if (pid == HOLDER_PREPARED)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("model \"%s\" is in use by a prepared transaction", model_name(model)),
					 errhint("COMMIT PREPARED or ROLLBACK PREPARED ends it; the view pg_prepared_xacts lists them.")));
		if (pid == HOLDER_NONE)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("model \"%s\" was in use by another session a moment ago", model_name(model)),
					 errhint("Try again.")));
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("model \"%s\" is in use by the process with PID %d", model_name(model), pid),
				 errhint("A training of it is running there; pg_terminate_backend(%d) would end it.", pid)));
	}
	LockRelationOid(model, ShareUpdateExclusiveLock);
	if (session)
	{
		LockRelId	id = {model, MyDatabaseId};

		LockRelationIdForSession(&id, ShareUpdateExclusiveLock);
	}
}

/* Let go of a session's locks; those of a transaction go with it. */
void
model_unlock(Oid model)
{
	LOCKTAG		tag;
	LockRelId	id = {model, MyDatabaseId};

	lock_training_tag(model, &tag);
	LockRelease(&tag, ExclusiveLock, true);
	UnlockRelationIdForSession(&id, ShareUpdateExclusiveLock);
}

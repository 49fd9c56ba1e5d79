/*
 * model/cache.c: decoded models of this backend, found by their table.
 *
 * A trained model does not change, so what is decoded stays right; what can
 * change is whether the table is there, who may use it and, in a table that
 * is filled anew, the rows.  All of it is guarded by one counter, the
 * generation: it moves when a cached table's entry in the relation cache is
 * invalidated (by whatever changes the table or its rights, by the end of a
 * training and, through the table's trigger, by changes of its rows; every
 * backend hears of that no later than at its next statement) and when roles
 * change.  While it stands still, and the user is
 * the same, a call needs no look-up at all.  After it has moved, a look at the
 * rows' fingerprint tells whether the weights have to be read again.
 */
#include "model/model.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "server/core_env.h"
#include "utils/acl.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/syscache.h"

/* Models kept, beside xmhash.model_cache: the one just used is kept whatever its size. */
#define MAX_MODELS 32

static uint64 generation_now = 1;	/* changes when any cached model may be out of date */

static CachedModel *models;		/* the list of all of them */
static Oid	looked_up = InvalidOid;	/* the table last asked, listed or not yet */
static bool look_at_end = false;	/* something was found that others do not see */
static uint64 clock_now = 0;
static int	capacity_kept = -1;		/* xmhash.model_cache when it was last kept to */

static void
cache_relation_changed(Datum argument, Oid relation)
{
	CachedModel *model;

	if (relation == InvalidOid || relation == looked_up)
		generation_now++;
	for (model = models; model != NULL; model = model->next)
	{
		if (model->model == relation)
			generation_now++;
	}
}

static void
cache_roles_changed(Datum argument, int cache, uint32 hash)
{
	generation_now++;
}

static void
cache_transaction_ended(XactEvent event, void *argument)
{
	if (look_at_end && event != XACT_EVENT_PRE_COMMIT && event != XACT_EVENT_PARALLEL_PRE_COMMIT)
	{
		look_at_end = false;
		generation_now++;
	}
}

static void
cache_subtransaction_ended(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *argument)
{
	if (look_at_end && event == SUBXACT_EVENT_ABORT_SUB)
		generation_now++;
}

void
model_cache_init(void)
{
	CacheRegisterRelcacheCallback(cache_relation_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, cache_roles_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, cache_roles_changed, (Datum) 0);
	RegisterXactCallback(cache_transaction_ended, NULL);
	RegisterSubXactCallback(cache_subtransaction_ended, NULL);
}

static void
cache_forget(CachedModel *model)
{
	CachedModel **link = &models;

	while (*link != model)
		link = &(*link)->next;
	*link = model->next;
	MemoryContextDelete(model->context);

	/* Callers may still hold the pointer, with the old generation. */
	generation_now++;
}

static Size
cache_bytes(int *count)
{
	CachedModel *model;
	Size		bytes = 0;

	*count = 0;
	for (model = models; model != NULL; model = model->next)
	{
		bytes += MemoryContextMemAllocated(model->context, true);
		(*count)++;
	}
	return bytes;
}

/* Drop the models unused longest until the rest fits. */
static void
cache_ensure_capacity(const CachedModel *keep)
{
	for (;;)
	{
		CachedModel *oldest = NULL;
		CachedModel *model;
		int			count;

		if (cache_bytes(&count) <= (Size) xmhash_model_cache * 1024 && count <= MAX_MODELS)
			return;
		for (model = models; model != NULL; model = model->next)
		{
			if (model != keep && (oldest == NULL || model->used < oldest->used))
				oldest = model;
		}
		if (oldest == NULL)
			return;
		cache_forget(oldest);
	}
}

/* Decode a model into a context of its own. */
static CachedModel *
cache_load(const ModelTable *table, Oid oid, uint64 fingerprint)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "xmhash model",
												  ALLOCSET_SMALL_SIZES);
	CachedModel *model = MemoryContextAllocZero(context, sizeof(CachedModel));
	CoreEnv env;
	ModelRow	row;

	model_find(table, &row);
	env = core_env(context);
	model->context = context;
	model->model = oid;
	model->fingerprint = fingerprint;
	model->bits = row.bits;
	model_load(table, &row, &env, model->network);
	model->scratch = env.allocate(context, sizeof(float) * (model_most_units(&row) + 1));
	model->outputs = env.allocate(context, row.bits * sizeof(float));
	model->column = env.allocate(context, sizeof(int32_t) *
								 Max(row.dimensions[0], row.dimensions[1]));
	model->value = env.allocate(context, sizeof(float) *
								Max(row.dimensions[0], row.dimensions[1]));

	/* Complete: from here on it belongs to the backend, not to this call. */
	MemoryContextSetParent(context, CacheMemoryContext);
	model->next = models;
	models = model;
	return model;
}

static CachedModel *
cache_find(Oid oid)
{
	CachedModel *model;

	for (model = models; model != NULL; model = model->next)
	{
		if (model->model == oid)
			return model;
	}
	return NULL;
}

/*
 * Ask the table, as every user must at first and after any change: whether it
 * may be used, and whether what is cached of it is still right.
 */
static CachedModel *
cache_look_up(Oid function, Oid oid)
{
	ModelTable	table;
	CachedModel *model;
	uint64		fingerprint;
	uint64		generation;
	bool		uncommitted;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "xmhash model look-up",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);

	/* What changes while we look is noticed at the next call. */
	looked_up = oid;
	generation = generation_now;
	model_open(function, oid, &table);
	fingerprint = model_fingerprint(&table, &uncommitted);
	look_at_end |= uncommitted || IsInParallelMode();
	model = cache_find(oid);
	if (model != NULL && model->fingerprint != fingerprint)
	{
		cache_forget(model);
		generation = generation_now;
		model = NULL;
	}
	if (model == NULL)
		model = cache_load(&table, oid, fingerprint);
	if (generation_now == generation)
	{
		cache_ensure_capacity(model);
		capacity_kept = xmhash_model_cache;
		generation = generation_now;
	}
	model->generation = table.announces ? generation : 0;
	model_close(&table);
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
	return model;
}

/* May the current user use a model that is cached, and known to be right? */
static bool
cache_may_use(Oid model)
{
	bool		missing = false;

	return pg_class_aclcheck_ext(model, GetUserId(), ACL_SELECT, &missing) == ACLCHECK_OK && !missing &&
		check_enable_rls(model, InvalidOid, true) != RLS_ENABLED;
}

/*
 * A model for the current user; not to be kept beyond the call.  A call site
 * need not even look at the list when nothing can have changed.
 */
CachedModel *
model_cache_find(FunctionCallInfo fcinfo, ModelCall *call, Oid oid)
{
	CachedModel *model;

	if (call->oid == oid && call->generation == generation_now && call->user == GetUserId())
		return call->model;
	call->generation = 0;		/* in case of an error */
	model = cache_find(oid);
	if (model == NULL || model->generation != generation_now ||
		capacity_kept != xmhash_model_cache || !cache_may_use(oid))
		model = cache_look_up(fcinfo->flinfo->fn_oid, oid);
	model->used = ++clock_now;
	call->model = model;
	call->generation = model->generation;
	call->oid = oid;
	call->user = GetUserId();
	return model;
}

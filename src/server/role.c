/*
 * server/role.c: acting as the owner of a table.
 */
#include "postgres.h"

#include "server/role.h"

#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/guc.h"

/*
 * Within a security-restricted operation nobody gets back at the caller's
 * rights: by SET ROLE, a deferred trigger, a temporary table.  Settings that are
 * changed from here on are those before again in the end.
 */
void
role_switch(RoleSwitch *role, Oid owner)
{
	GetUserIdAndSecContext(&role->user, &role->security);
	role->guc_level = NewGUCNestLevel();
	SetUserIdAndSecContext(owner, role->security | SECURITY_RESTRICTED_OPERATION);
}

void
role_restore(const RoleSwitch *role)
{
	AtEOXact_GUC(false, role->guc_level);
	SetUserIdAndSecContext(role->user, role->security);
}

/* A superuser has the privileges of every role. */
bool
role_is_trusted(Oid owner)
{
	return has_privs_of_role(owner, GetUserId());
}

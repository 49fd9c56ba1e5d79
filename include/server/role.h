/*
 * server/role.h: acting as the owner of a table, where code of the owner's may run.
 *
 * Index expressions, triggers, casts and the like run as the current user.  So
 * whoever works on somebody else's table on behalf of a caller with more
 * rights takes the owner's place meanwhile, as REINDEX and VACUUM do.
 */
#ifndef ROLE_H
#define ROLE_H

typedef struct RoleSwitch
{
	Oid			user;			/* who was the current user */
	int			security;
	int			guc_level;
} RoleSwitch;

/*
 * An error leaves the user switched, which the abort of the transaction or
 * subtransaction undoes.
 */
extern void role_switch(RoleSwitch *role, Oid owner);
extern void role_restore(const RoleSwitch *role);

/* Has that role the current user's rights anyway, so that its code may run as him? */
extern bool role_is_trusted(Oid owner);

#endif							/* ROLE_H */

/*
 * server/lookup.h: types of the extension, and columns of users' relations, by name.
 */
#ifndef LOOKUP_H
#define LOOKUP_H

#include "postgres.h"

#include "pg_compat.h"

/* A type of the extension that the function belongs to, wherever that lies. */
extern Oid	lookup_type(Oid function, const char *name);

/* A relation's name with its schema, quoted as that asks for; NULL if it, or its schema, is gone. */
extern char *lookup_relation_name(Oid relation);

/* The type of a user's column; the relation's name is for errors, quoted as it is to be. */
extern Oid	lookup_column_type(Oid relation, const char *relation_name, const char *column);

/* A column of features that is not real[] and has no cast to it. */
pg_noreturn extern void lookup_fail_cast(const char *column, const char *relation_name, Oid type);

#endif							/* LOOKUP_H */

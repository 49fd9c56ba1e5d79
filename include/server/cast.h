/*
 * server/cast.h: features of other types than real[], by the cast to it.
 */
#ifndef SERVER_CAST_H
#define SERVER_CAST_H

#include "postgres.h"

typedef struct FeatureCast FeatureCast;

/* The cast of a column's type, or an error if there is none that may run as the current user. */
extern FeatureCast *feature_cast_create(Oid type, const char *column, const char *relation_name);

/* The result is there until the next call. */
extern Datum feature_cast_value(FeatureCast *cast, Datum value, bool *isnull);
extern void feature_cast_free(FeatureCast *cast);

#endif							/* SERVER_CAST_H */

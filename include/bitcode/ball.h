/*
 * bitcode/ball.h: the type hamming_ball: a code and a radius in one value, for
 * the operator that stands for hamming_within in an index condition.
 */
#ifndef BALL_H
#define BALL_H

#include "bitcode/bitcode.h"

typedef struct Ballcode
{
	int32		vl_len_;		/* varlena header */
	int32		radius;
	int32		bits;
	uint8		data[FLEXIBLE_ARRAY_MEMBER];
} Ballcode;

#define DatumGetBallcodeP(X) ((Ballcode *) PG_DETOAST_DATUM(X))
#define BALLCODE_BYTES(b) (((b)->bits + BITS_PER_BYTE - 1) / BITS_PER_BYTE)

extern Ballcode *ballcode_make(Datum code, int32 radius);

#endif							/* BALL_H */

/*
 * bitcode/ball.h: the type hamming_ball: a code and a radius in one value, for
 * the operators that stand for "within a radius" in an index.
 *
 * The radius lies behind the bytes of the code.  So whatever takes a code takes
 * a ball for its center, and an index on balls is an index on their centers.
 */
#ifndef BALL_H
#define BALL_H

#include "bitcode/bitcode.h"

static inline int32
ball_radius(const BitcodeRef *ball)
{
	int32		radius;

	memcpy(&radius, ball->data + ball->bytes, sizeof(radius));
	return radius;
}

extern Datum ball_make(Datum code, int32 radius);

#endif							/* BALL_H */

/*
 * eval/chart.h: line charts as SVG.
 */
#ifndef EVAL_CHART_H
#define EVAL_CHART_H

#include "xmhash.h"

/* A line: points from left to right; NaN in y leaves a gap. */
typedef struct PlotSeries
{
	const char *name;
	int			style;			/* colour and dashes, from 0 */
	bool		thin;
	int			points;
	double	   *x;
	double	   *y;
} PlotSeries;

typedef struct PlotPanel
{
	const char *y_title;
	bool		share;			/* y is a share: the axis goes from 0 to 1 */
	int			series_count;
	PlotSeries *series;
} PlotPanel;

/* Panels one above the other, over one x axis. */
#define PLOT_MAX_PANELS 2
typedef struct Plot
{
	const char *title;
	const char *description;	/* for whoever does not see the picture */
	const char *x_title;
	bool		x_share;		/* x goes from 0 to 1 */
	bool		x_whole;		/* x counts: ticks at whole numbers only */
	int			panel_count;
	PlotPanel	panels[PLOT_MAX_PANELS];
} Plot;

/* The picture, palloc'd. */
extern char *plot_svg(const Plot *plot);

#endif							/* EVAL_CHART_H */

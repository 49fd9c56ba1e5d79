/*
 * eval/chart.c: line charts as SVG.
 *
 * One self-contained picture: no fonts, scripts or style sheets from outside.
 * Its colours are classes with a second set for a dark page, which
 * browsers choose by prefers-color-scheme, and it brings its own background, so
 * that it is legible wherever it is put.  Class names carry a prefix because a
 * picture pasted into a page shares that page's style sheet.  Lines differ in
 * dashes as well as in colour, for print and for colour-blind readers; the
 * colours are those of Okabe and Ito, lightened on dark.
 */
#include "xmhash.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "eval/chart.h"

#include <math.h>

#define WIDTH 720.0
#define LEFT 66.0				/* of the panels: room for ticks and title */
#define TOP 44.0
#define BOTTOM 52.0
#define RIGHT 20.0
#define PANEL_HEIGHT 300.0		/* of one, or of the first of two */
#define SECOND_HEIGHT 150.0
#define PANEL_GAP 26.0
#define LEGEND_LINE 20.0
#define LEGEND_SAMPLE 30.0
#define LETTER 6.6				/* estimated width at 12 px, on the safe side */
#define COLOURS 8

static const char *const style_sheet =
"<style>\n"
".xmhash-plot text{font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;font-size:12px;fill:#24292f}\n"
".xmhash-plot .xmhash-title{font-size:15px;font-weight:600}\n"
".xmhash-back{fill:#ffffff}.xmhash-grid{stroke:#d8dee4;stroke-width:1}.xmhash-axis{stroke:#57606a;stroke-width:1;fill:none}\n"
".xmhash-line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:butt}.xmhash-thin{stroke-width:1.2}\n"
".xmhash-c0{stroke:#0072b2}.xmhash-c1{stroke:#d55e00}.xmhash-c2{stroke:#00805d}.xmhash-c3{stroke:#b0508a}"
".xmhash-c4{stroke:#a86f00}.xmhash-c5{stroke:#57606a}.xmhash-c6{stroke:#7a5cc7}.xmhash-c7{stroke:#2f8fcb}\n"
"@media (prefers-color-scheme:dark){\n"
".xmhash-plot text{fill:#e6edf3}.xmhash-back{fill:#0d1117}.xmhash-grid{stroke:#30363d}.xmhash-axis{stroke:#9da7b3}\n"
".xmhash-c0{stroke:#56b4e9}.xmhash-c1{stroke:#ff8c42}.xmhash-c2{stroke:#2fcf9f}.xmhash-c3{stroke:#e79ac6}"
".xmhash-c4{stroke:#f0c14b}.xmhash-c5{stroke:#c0c8d0}.xmhash-c6{stroke:#b9a3f5}.xmhash-c7{stroke:#8fd0ff}\n"
"}\n"
"</style>\n";

static const char *const dashes[] = {"", "8 4", "2 3", "9 3 2 3"};

/* A number line: values from low to high over positions from start to end. */
typedef struct Axis
{
	double		low;
	double		high;
	double		step;			/* between ticks */
	double		start;
	double		end;
} Axis;

static double
chart_place(const Axis *axis, double value)
{
	return axis->start + (value - axis->low) / (axis->high - axis->low) * (axis->end - axis->start);
}

/* A step of 1, 2 or 5 times a power of ten that cuts a range into about `parts`. */
static double
chart_round_step(double range, int parts)
{
	double		rough = range / parts;
	double		power = pow(10, floor(log10(rough)));
	double		digit = rough / power;

	return power * (digit < 1.5 ? 1 : digit < 3.5 ? 2 : digit < 7.5 ? 5 : 10);
}

/* Text as XML: markup escaped, characters that XML forbids replaced. */
static void
chart_append_text(StringInfo svg, const char *text)
{
	for (; *text; text++)
	{
		if (*text == '&')
			appendStringInfoString(svg, "&amp;");
		else if (*text == '<')
			appendStringInfoString(svg, "&lt;");
		else if (*text == '>')
			appendStringInfoString(svg, "&gt;");
		else if (*text == '"')
			appendStringInfoString(svg, "&quot;");
		else if ((unsigned char) *text < ' ')
			appendStringInfoChar(svg, ' ');
		else
			appendStringInfoChar(svg, *text);
	}
}

static void
chart_append_label(StringInfo svg, double x, double y, const char *anchor, const char *attributes,
				   const char *text)
{
	appendStringInfo(svg, "<text x=\"%.2f\" y=\"%.2f\" text-anchor=\"%s\"%s>", x, y, anchor, attributes);
	chart_append_text(svg, text);
	appendStringInfoString(svg, "</text>\n");
}

/* A tick's value with as many decimals as the step needs. */
static char *
chart_tick_text(const Axis *axis, double value)
{
	int			decimals = (int) -floor(log10(axis->step) + 1e-9);
	double		largest = Max(fabs(axis->low), fabs(axis->high));

	/* No "-0". */
	if (fabs(value) < axis->step / 1000)
		value = 0;
	if (decimals > 6 || largest >= 1e7)
		return psprintf("%.3g", value);
	return psprintf("%.*f", Max(decimals, 0), value);
}

/* Least and greatest value of a panel; false if it has no finite value. */
static bool
chart_find_range(const PlotPanel *panel, bool of_x, double *low, double *high)
{
	bool		any = false;
	int			s;
	int			i;

	for (s = 0; s < panel->series_count; s++)
	{
		for (i = 0; i < panel->series[s].points; i++)
		{
			double		value = of_x ? panel->series[s].x[i] : panel->series[s].y[i];

			if (!isfinite(value))
				continue;
			*low = any ? Min(*low, value) : value;
			*high = any ? Max(*high, value) : value;
			any = true;
		}
	}
	return any;
}

/* The axis of y, widened to whole steps. */
static void
chart_make_y_axis(Axis *axis, const PlotPanel *panel, double top, double height)
{
	axis->start = top + height;
	axis->end = top;
	axis->low = 0;
	axis->high = 1;
	axis->step = height < PANEL_HEIGHT ? 0.25 : 0.2;
	if (panel->share || !chart_find_range(panel, false, &axis->low, &axis->high))
		return;
	/* A flat line lies in the middle. */
	if (axis->high - axis->low <= 1e-9 * Max(fabs(axis->high), 1e-9))
	{
		double		margin = fabs(axis->high) > 0 ? fabs(axis->high) / 10 : 1;

		axis->low -= margin;
		axis->high += margin;
	}
	axis->step = chart_round_step(axis->high - axis->low, height < PANEL_HEIGHT ? 3 : 6);
	/* A hair beyond a step, as rounding leaves it, needs no further one. */
	axis->low = floor(axis->low / axis->step + 1e-3) * axis->step;
	axis->high = ceil(axis->high / axis->step - 1e-3) * axis->step;
}

static void
chart_make_x_axis(Axis *axis, const Plot *plot, double right)
{
	bool		any = false;
	int			p;

	axis->start = LEFT;
	axis->end = right;
	axis->low = 0;
	axis->high = 1;
	axis->step = 0.2;
	if (plot->x_share)
		return;
	for (p = 0; p < plot->panel_count; p++)
	{
		double		low;
		double		high;

		if (!chart_find_range(&plot->panels[p], true, &low, &high))
			continue;
		axis->low = any ? Min(axis->low, low) : low;
		axis->high = any ? Max(axis->high, high) : high;
		any = true;
	}
	if (axis->high <= axis->low)
		axis->high = axis->low + 1;
	axis->step = chart_round_step(axis->high - axis->low, 8);
	if (plot->x_whole)
		axis->step = Max(axis->step, 1);
}

/* Grid line and value of one tick of y. */
static void
chart_append_y_ticks(StringInfo svg, const Axis *x, const Axis *y)
{
	int			count = (int) floor((y->high - y->low) / y->step + 1e-6);
	int			i;

	for (i = 0; i <= count; i++)
	{
		double		value = y->low + i * y->step;
		double		at = chart_place(y, value);

		appendStringInfo(svg, "<line class=\"xmhash-grid\" x1=\"%.2f\" y1=\"%.2f\" x2=\"%.2f\" y2=\"%.2f\"/>\n",
						 x->start, at, x->end, at);
		chart_append_label(svg, x->start - 8, at + 4, "end", "", chart_tick_text(y, value));
	}
}

static void
chart_append_x_ticks(StringInfo svg, const Axis *x, const Axis *y, bool with_values)
{
	double		first = ceil(x->low / x->step - 1e-6) * x->step;
	int			count = (int) floor((x->high - first) / x->step + 1e-6);
	int			i;

	for (i = 0; i <= count; i++)
	{
		double		value = first + i * x->step;
		double		at = chart_place(x, value);

		appendStringInfo(svg, "<line class=\"xmhash-grid\" x1=\"%.2f\" y1=\"%.2f\" x2=\"%.2f\" y2=\"%.2f\"/>\n",
						 at, y->end, at, y->start);
		if (with_values)
			chart_append_label(svg, at, y->start + 18, "middle", "", chart_tick_text(x, value));
	}
}

static void
chart_append_stroke(StringInfo svg, const PlotSeries *series)
{
	const char *dash = dashes[series->style % lengthof(dashes)];

	appendStringInfo(svg, " class=\"xmhash-line%s xmhash-c%d\"", series->thin ? " xmhash-thin" : "",
					 series->style % COLOURS);
	if (*dash)
		appendStringInfo(svg, " stroke-dasharray=\"%s\"", dash);
}

/* A lone point between gaps has no line: it is drawn as a dot. */
static bool
chart_is_lone(const PlotSeries *series, int i)
{
	return (i == 0 || !isfinite(series->y[i - 1])) &&
		(i == series->points - 1 || !isfinite(series->y[i + 1]));
}

/*
 * The line, without the points that lie within half a pixel of the one drawn
 * last: a ranking of a million rows becomes a few hundred points.
 */
static void
chart_append_series(StringInfo svg, const PlotSeries *series, const Axis *x_axis, const Axis *y_axis)
{
	bool		drawing = false;
	double		last_x = 0;
	double		last_y = 0;
	int			i;

	appendStringInfoString(svg, "<path");
	chart_append_stroke(svg, series);
	appendStringInfoString(svg, " d=\"");
	for (i = 0; i < series->points; i++)
	{
		double		x = chart_place(x_axis, series->x[i]);
		double		y = chart_place(y_axis, series->y[i]);
		bool		ends = i == series->points - 1 || !isfinite(series->y[i + 1]);

		if (!isfinite(series->y[i]))
		{
			drawing = false;
			continue;
		}
		if (drawing && !ends && fabs(x - last_x) < 0.5 && fabs(y - last_y) < 0.5)
			continue;
		appendStringInfo(svg, "%s%.2f %.2f", drawing ? "L" : "M", x, y);
		drawing = true;
		last_x = x;
		last_y = y;
	}
	appendStringInfoString(svg, "\"/>\n");
	for (i = 0; i < series->points; i++)
	{
		if (isfinite(series->y[i]) && chart_is_lone(series, i))
			appendStringInfo(svg, "<circle class=\"xmhash-line xmhash-c%d\" cx=\"%.2f\" cy=\"%.2f\" r=\"3\"/>\n",
							 series->style % COLOURS, chart_place(x_axis, series->x[i]),
							 chart_place(y_axis, series->y[i]));
	}
}

static void
chart_append_panel(StringInfo svg, const Plot *plot, int p, const Axis *x, double top, double height)
{
	const PlotPanel *panel = &plot->panels[p];
	bool		lowest = p == plot->panel_count - 1;
	Axis		y;
	int			s;

	chart_make_y_axis(&y, panel, top, height);
	chart_append_x_ticks(svg, x, &y, lowest);
	chart_append_y_ticks(svg, x, &y);
	appendStringInfo(svg, "<path class=\"xmhash-axis\" d=\"M%.2f %.2fV%.2fH%.2f\"/>\n",
					 x->start, y.end, y.start, x->end);
	chart_append_label(svg, 16, top + height / 2, "middle",
					   psprintf(" transform=\"rotate(-90 16 %.2f)\"", top + height / 2), panel->y_title);
	if (lowest)
		chart_append_label(svg, (x->start + x->end) / 2, y.start + 40, "middle", "", plot->x_title);
	/* The first series is the most important one: it lies on top. */
	for (s = panel->series_count - 1; s >= 0; s--)
		chart_append_series(svg, &panel->series[s], x, &y);
}

/* Lines with names, at the right of the first panel, which has all series. */
static void
chart_append_legend(StringInfo svg, const PlotPanel *panel, double left)
{
	int			s;

	for (s = 0; s < panel->series_count; s++)
	{
		const PlotSeries *series = &panel->series[s];
		double		y = TOP + 10 + s * LEGEND_LINE;

		appendStringInfoString(svg, "<path");
		chart_append_stroke(svg, series);
		appendStringInfo(svg, " d=\"M%.2f %.2fh%.0f\"/>\n", left, y, LEGEND_SAMPLE - 6);
		chart_append_label(svg, left + LEGEND_SAMPLE, y + 4, "start", "", series->name);
	}
}

/* Width that the legend takes; 0 when one line needs no name. */
static double
chart_legend_width(const PlotPanel *panel)
{
	int			letters = 0;
	int			s;

	if (panel->series_count < 2)
		return 0;
	for (s = 0; s < panel->series_count; s++)
		letters = Max(letters, pg_mbstrlen(panel->series[s].name));
	return LEGEND_SAMPLE + letters * LETTER + 16;
}

char *
plot_svg(const Plot *plot)
{
	StringInfoData svg;
	double		legend = chart_legend_width(&plot->panels[0]);
	/* The picture grows by its legend; the panels keep their width. */
	double		width = WIDTH + legend;
	double		right = WIDTH - RIGHT;
	double		panels = PANEL_HEIGHT + (plot->panel_count > 1 ? PANEL_GAP + SECOND_HEIGHT : 0);
	double		height = TOP + Max(panels + BOTTOM, plot->panels[0].series_count * LEGEND_LINE + 10);
	Axis		x;

	initStringInfo(&svg);
	appendStringInfo(&svg, "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"xmhash-plot\" role=\"img\" "
					 "width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\">\n<title>",
					 width, height, width, height);
	chart_append_text(&svg, plot->title);
	appendStringInfoString(&svg, "</title>\n<desc>");
	chart_append_text(&svg, plot->description);
	appendStringInfo(&svg, "</desc>\n%s<rect class=\"xmhash-back\" width=\"%.0f\" height=\"%.0f\"/>\n",
					 style_sheet, width, height);
	chart_append_label(&svg, LEFT, 24, "start", " class=\"xmhash-title\"", plot->title);
	chart_make_x_axis(&x, plot, right);
	chart_append_panel(&svg, plot, 0, &x, TOP, PANEL_HEIGHT);
	if (plot->panel_count > 1)
		chart_append_panel(&svg, plot, 1, &x, TOP + PANEL_HEIGHT + PANEL_GAP, SECOND_HEIGHT);
	if (legend > 0)
		chart_append_legend(&svg, &plot->panels[0], WIDTH);
	appendStringInfoString(&svg, "</svg>\n");
	return svg.data;
}

/** A line chart as SVG text: no script, no font, no file beside it. */

export interface Series {
  readonly name: string;
  readonly color: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  readonly faint?: boolean;
  readonly dashed?: boolean;
  readonly dots?: boolean;
}

export interface ChartOptions {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly width: number;
  readonly height: number;
}

const MARGIN = { top: 34, right: 16, bottom: 44, left: 58 };

export function lineChart(series: readonly Series[], { title, xLabel, yLabel, width, height }: ChartOptions): string {
  const points = series.flatMap((s) => s.points);
  if (points.length === 0) return '';
  const [xLow, xHigh] = extent(points.map(([x]) => x));
  const [yLow, yHigh] = padded(extent(points.map(([, y]) => y)));
  const right = width - MARGIN.right;
  const bottom = height - MARGIN.bottom;
  const x = (value: number): number => MARGIN.left + ((value - xLow) / (xHigh - xLow || 1)) * (right - MARGIN.left);
  const y = (value: number): number => bottom - ((value - yLow) / (yHigh - yLow || 1)) * (bottom - MARGIN.top);
  const yTicks = ticks(yLow, yHigh, 6);
  const xTicks = ticks(xLow, xHigh, 8);
  const grid = yTicks.map(
    (t) =>
      `<line x1="${MARGIN.left}" x2="${right}" y1="${n(y(t))}" y2="${n(y(t))}" class="grid"/><text x="${MARGIN.left - 8}" y="${n(y(t) + 4)}" text-anchor="end">${label(t)}</text>`,
  );
  const feet = xTicks.map((t) => `<text x="${n(x(t))}" y="${bottom + 18}" text-anchor="middle">${label(t)}</text>`);
  const lines = series.map((s) => {
    // An island that came back may go on from an earlier step: that is another stretch, and no line back.
    const begins = (i: number): boolean => i === 0 || s.points[i]![0] < s.points[i - 1]![0];
    const path = s.points.map(([px, py], i) => `${begins(i) ? 'M' : 'L'}${n(x(px))} ${n(y(py))}`).join('');
    const style = `stroke="${s.color}" stroke-width="${s.faint ? 1 : 2.25}"${s.faint ? ' opacity="0.45"' : ''}${s.dashed ? ' stroke-dasharray="6 4"' : ''}`;
    const dots =
      s.dots === true
        ? s.points
            .map(
              ([px, py]) =>
                `<circle cx="${n(x(px))}" cy="${n(y(py))}" r="3" fill="${s.color}"><title>${escapeHtml(s.name)}: ${label(py)} at ${label(px)}</title></circle>`,
            )
            .join('')
        : '';
    return `<path d="${path}" fill="none" ${style} stroke-linejoin="round"/>${dots}`;
  });
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(title)}">
<text x="${MARGIN.left}" y="18" class="title">${escapeHtml(title)}</text>
${grid.join('')}${feet.join('')}
<text x="${(MARGIN.left + right) / 2}" y="${height - 6}" text-anchor="middle" class="axis">${escapeHtml(xLabel)}</text>
<text transform="translate(14 ${(MARGIN.top + bottom) / 2}) rotate(-90)" text-anchor="middle" class="axis">${escapeHtml(yLabel)}</text>
${lines.join('\n')}
</svg>
<div class="legend">${series.map((s) => `<span><i style="background:${s.color}${s.faint ? ';opacity:.45' : ''}"></i>${escapeHtml(s.name)}</span>`).join('')}</div>`;
}

export const escapeHtml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

const n = (value: number): string => value.toFixed(1);

function extent(values: readonly number[]): readonly [number, number] {
  return values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)] as const, [
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
  ] as const);
}

const padded = ([low, high]: readonly [number, number]): readonly [number, number] => {
  const room = (high - low || 1) * 0.05;
  return [low - room, high + room];
};

/** Round numbers in [low, high], about `count` of them. */
function ticks(low: number, high: number, count: number): readonly number[] {
  const raw = (high - low || 1) / count;
  const magnitude = 10 ** Math.floor(Math.log10(raw));
  const step = ([1, 2, 5, 10].find((m) => m * magnitude >= raw) ?? 10) * magnitude;
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => (first + i) * step);
}

const label = (value: number): string => String(Number(value.toPrecision(4)));

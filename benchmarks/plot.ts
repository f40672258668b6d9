/** One line of a plot. */
export interface Line {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface PlotOptions {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly lines: readonly Line[];
}

const WIDTH = 640;
const HEIGHT = 360;
const LEFT = 70;
const RIGHT = 150;
const TOP = 40;
const BOTTOM = 50;
/** Told apart also by who does not see colours: dark, middle, light. */
const COLOURS = ['#1b4f72', '#ca6f1e', '#7dae5e', '#a569bd'] as const;

/** An SVG with both axes from 0 and linear: growth that is no worse than linear is no steeper than a straight line. */
export function plot({ title, xLabel, yLabel, lines }: PlotOptions): string {
  const points = lines.flatMap(({ points: all }) => all);
  const xMax = Math.max(...points.map(([x]) => x));
  const yMax = niceCeiling(Math.max(...points.map(([, y]) => y)));
  const atX = (x: number): number => round(LEFT + (x / xMax) * (WIDTH - LEFT - RIGHT));
  const atY = (y: number): number => round(HEIGHT - BOTTOM - (y / yMax) * (HEIGHT - TOP - BOTTOM));
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>`,
    text(LEFT, 22, title, 'font-size="15"'),
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, xLabel, 'text-anchor="middle"'),
    text(14, TOP - 8, yLabel, ''),
  ];
  for (let tick = 0; tick <= 4; tick++) {
    const y = (yMax * tick) / 4;
    parts.push(
      `<line x1="${LEFT}" y1="${atY(y)}" x2="${WIDTH - RIGHT}" y2="${atY(y)}" stroke="#ddd"/>`,
      text(LEFT - 6, atY(y) + 4, String(Number(y.toPrecision(3))), 'text-anchor="end"'),
    );
  }
  for (const x of new Set(points.map(([value]) => value))) {
    parts.push(
      `<line x1="${atX(x)}" y1="${HEIGHT - BOTTOM}" x2="${atX(x)}" y2="${HEIGHT - BOTTOM + 4}" stroke="#666"/>`,
      text(atX(x), HEIGHT - BOTTOM + 18, x.toLocaleString('en'), 'text-anchor="middle"'),
    );
  }
  for (const [position, { name, points: own }] of lines.entries()) {
    const colour = COLOURS[position % COLOURS.length] as string;
    const path = own.map(([x, y]) => `${atX(x)},${atY(y)}`).join(' ');
    parts.push(`<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    for (const [x, y] of own) parts.push(`<circle cx="${atX(x)}" cy="${atY(y)}" r="3" fill="${colour}"/>`);
    parts.push(text(WIDTH - RIGHT + 12, TOP + 16 + position * 18, name, `fill="${colour}"`));
  }
  return `${parts.join('\n')}\n</svg>\n`;
}

function text(x: number, y: number, content: string, attributes: string): string {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${round(x)}" y="${round(y)}" ${attributes}>${escaped}</text>`;
}

/** The next of 1, 2, 4, 5, 8, 10 times a power of ten. */
function niceCeiling(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 2, 4, 5, 8, 10].find((step) => step * power >= value) ?? 10);
}

function round(value: number): number {
  return Number(value.toFixed(1));
}

export interface Line {
  readonly name: string;
  readonly values: number[];
}

const WIDTH = 720;
const ROW = 64;
const LEFT = 190;
const RIGHT = 60;

/** One small chart a line, all over the same days, each from zero to its own maximum. */
export function flatPlot(title: string, days: number, lines: readonly Line[]): string {
  const height = 40 + lines.length * ROW + 24;
  const rows = lines.map(({ name, values }, index) => {
    const bottom = 40 + (index + 1) * ROW - 12;
    const top = Math.max(1, ...values);
    const points = values.map((value, at) => {
      const x = LEFT + ((at + 1) / values.length) * (WIDTH - LEFT - RIGHT);
      return `${x.toFixed(1)},${(bottom - (value / top) * (ROW - 20)).toFixed(1)}`;
    });
    return [
      `<text x="${LEFT - 12}" y="${bottom - 14}" text-anchor="end">${name}</text>`,
      `<line x1="${LEFT}" y1="${bottom}" x2="${WIDTH - RIGHT}" y2="${bottom}" stroke="#ccc"/>`,
      `<polyline points="${points.join(' ')}" fill="none" stroke="#2563eb" stroke-width="1.5"/>`,
      `<text x="${WIDTH - RIGHT + 8}" y="${bottom - 14}">${values.at(-1) ?? 0}</text>`,
    ].join('\n');
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12" fill="#222">
<rect width="100%" height="100%" fill="#fff"/>
<text x="${LEFT}" y="22" font-size="14">${title}</text>
${rows.join('\n')}
<text x="${LEFT}" y="${height - 8}">day 0</text>
<text x="${WIDTH - RIGHT}" y="${height - 8}" text-anchor="end">day ${days}</text>
</svg>
`;
}

/** A number, or a percentage of `total`. */
export function countOf(value: unknown, total: number, rounded: 'up' | 'down'): number {
  if (typeof value !== 'string' || !value.endsWith('%')) return Number(value);
  const share = (Number(value.slice(0, -1)) * total) / 100;
  return rounded === 'up' ? Math.ceil(share) : Math.floor(share);
}

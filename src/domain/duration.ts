const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

const PART = /(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/y;

/**
 * Milliseconds of a Go-style duration (`90s`, `1h30m`, `1.5h`, `0`), rounded to whole ones; null where it is not one.
 * Negative durations are not accepted: no field of ours has a meaning for them.
 */
export function parseDuration(text: string): number | null {
  if (text === '0') return 0;
  let sumMs = 0;
  PART.lastIndex = 0;
  do {
    const part = PART.exec(text);
    if (part === null) return null;
    sumMs += Number(part[1]) * (UNIT_MS[part[2] ?? ''] ?? 0);
  } while (PART.lastIndex < text.length);
  return Math.round(sumMs);
}

/** The shortest Go-style spelling: `1h30m`, `45s`, `1m0.5s` as `1m500ms`; `0s` for nothing. */
export function formatDuration(durationMs: number): string {
  let restMs = Math.max(0, Math.round(durationMs));
  let text = '';
  for (const unit of ['h', 'm', 's', 'ms']) {
    const unitMs = UNIT_MS[unit] ?? 1;
    const count = Math.floor(restMs / unitMs);
    if (count > 0) text += `${count}${unit}`;
    restMs -= count * unitMs;
  }
  return text || '0s';
}

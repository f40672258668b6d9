/** A text that is not a Kubernetes quantity. */
export class QuantityError extends Error {
  override readonly name = 'QuantityError';
}

const SYNTAX = /^([+-]?)(\d+)?(?:\.(\d*))?(?:(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE])|[eE]([+-]?\d{1,3}))?$/;

/** Far more than any amount needs. The time to read a number grows faster than its digits, and seconds are an outage. */
const MAX_CHARACTERS = 1000;

const BINARY: Readonly<Record<string, bigint>> = {
  Ki: 1n << 10n,
  Mi: 1n << 20n,
  Gi: 1n << 30n,
  Ti: 1n << 40n,
  Pi: 1n << 50n,
  Ei: 1n << 60n,
};
/** Powers of ten. */
const DECIMAL: Readonly<Record<string, number>> = { n: -9, u: -6, m: -3, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };

/** CPU in thousandths of a core, rounded up as `Quantity.MilliValue` does: `"100m"` is 100, `"1.5"` is 1500. */
export function cpuToMilli(quantity: string | number): number {
  return scaled(quantity, 3);
}

/** Whole units, rounded up as `Quantity.Value` does: bytes for memory, a count for pods and devices. */
export function quantityToInteger(quantity: string | number): number {
  return scaled(quantity, 0);
}

/** The quantity times 10^`shift`, rounded away from zero, within the safe integers. Exact: no floating point on the way. */
function scaled(quantity: string | number, shift: number): number {
  const text = typeof quantity === 'number' ? String(quantity) : quantity;
  if (text.length > MAX_CHARACTERS) throw new QuantityError(`a quantity of ${text.length} characters is too long`);
  const match = SYNTAX.exec(text);
  const [, sign, whole = '', fraction = '', suffix, exponent] = match ?? [];
  if (match === null || whole + fraction === '') {
    throw new QuantityError(`"${text.slice(0, 60)}" is not a quantity: expected a number like 100m, 1.5, 512Mi or 2e3`);
  }
  const factor = suffix === undefined ? 1n : (BINARY[suffix] ?? 1n);
  const power = (suffix === undefined ? Number(exponent ?? 0) : (DECIMAL[suffix] ?? 0)) + shift - fraction.length;
  let value = BigInt(whole + fraction) * factor;
  if (power >= 0) value *= 10n ** BigInt(power);
  else {
    const divisor = 10n ** BigInt(-power);
    value = (value + divisor - 1n) / divisor;
  }
  const limit = BigInt(Number.MAX_SAFE_INTEGER);
  const size = Number(value > limit ? limit : value);
  return sign === '-' && size > 0 ? -size : size;
}

const UNITS = ['Ei', 'Pi', 'Ti', 'Gi', 'Mi', 'Ki'] as const;

/**
 * Bytes for people: in the largest binary unit of which there is one, exact where that is whole (`512Mi`), else rounded to one
 * decimal (`1.3Gi`, which {@link quantityToInteger} may read as another amount).
 */
export function formatBytes(bytes: number): string {
  if (bytes < 1024) return String(bytes);
  for (const unit of UNITS) {
    const count = bytes / Number(BINARY[unit]);
    // What the next smaller unit would round to 1024.0 belongs here: a byte less than 1Mi is 1.0Mi.
    if (Math.round(count * 1024 * 10) < 10_240) continue;
    return `${Number.isInteger(count) ? count : count.toFixed(1)}${unit}`;
  }
  return String(bytes);
}

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cpuToMilli, formatBytes, quantityToInteger, QuantityError } from './quantity.ts';

describe('quantities', () => {
  const cpu: Record<string, number> = {
    '100m': 100,
    '1': 1000,
    '1.5': 1500,
    '0.1': 100,
    '.5': 500,
    '2.': 2000,
    '1u': 1,
    '1n': 1,
    '1500001u': 1501,
    '2e3': 2_000_000,
    '-1': -1000,
    '0': 0,
    '+3': 3000,
  };
  for (const [text, milli] of Object.entries(cpu)) {
    it(`reads ${text} CPUs as ${milli} thousandths`, () => expect(cpuToMilli(text)).toBe(milli));
  }

  /** Checked against `Quantity.AsDec` of apimachinery 0.37.2, rounded away from zero. */
  const likeKubernetes: Record<string, readonly [value: number, milli: number]> = {
    '0.00001': [1, 1],
    '.1n': [1, 1],
    '1.0001k': [1001, 1_000_100],
    '100.035k': [100_035, 100_035_000],
    '1.01Ei': [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
    '100000m': [100, 100_000],
    '0.5Ki': [512, 512_000],
    '1.3Mi': [1_363_149, 1_363_148_800],
    '-1.5': [-2, -1500],
    '-100m': [-1, -100],
    '+80': [80, 80_000],
    '12e-3': [1, 12],
    '1E-9': [1, 1],
    '8Pi': [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  };
  for (const [text, want] of Object.entries(likeKubernetes)) {
    it(`reads ${text} as Kubernetes does`, () => expect([quantityToInteger(text), cpuToMilli(text)]).toEqual(want));
  }

  const amounts: Record<string, number> = {
    '512Mi': 512 * 2 ** 20,
    '1.5Gi': 1.5 * 2 ** 30,
    '1Ki': 1024,
    '1k': 1000,
    '12E2': 1200,
    '1E': 1e18 > Number.MAX_SAFE_INTEGER ? Number.MAX_SAFE_INTEGER : 1e18,
    '100m': 1,
    '1001m': 2,
    '0.1Ki': 103,
    '8Ei': Number.MAX_SAFE_INTEGER,
    '110': 110,
  };
  for (const [text, value] of Object.entries(amounts)) {
    it(`reads ${text} as ${value}`, () => expect(quantityToInteger(text)).toBe(value));
  }

  it('takes numbers, as JSON may hold them', () => {
    expect(cpuToMilli(0.1)).toBe(100);
    expect(quantityToInteger(110)).toBe(110);
  });

  for (const text of ['', 'm', '1.5.2', '1mi', '1 Gi', 'Gi', '1e', '--1', '0x10', 'NaN', '1e9999', '.', 'Infinity']) {
    it(`refuses "${text}"`, () => {
      expect(() => quantityToInteger(text)).toThrow(QuantityError);
    });
  }

  it('is exact where floating point is not', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10 ** 9 }), fc.integer({ min: 0, max: 999 }), (whole, milli) => {
        expect(cpuToMilli(`${whole}.${String(milli).padStart(3, '0')}`)).toBe(whole * 1000 + milli);
      }),
    );
  });

  it('refuses a number that would take seconds to read', () => {
    expect(quantityToInteger('9'.repeat(1000))).toBe(Number.MAX_SAFE_INTEGER);
    expect(() => quantityToInteger('9'.repeat(1001))).toThrow(/1001 characters is too long/);
  });

  const written: Record<string, number> = {
    '0': 0,
    '1023': 1023,
    '1Ki': 1024,
    '512Mi': 512 * 2 ** 20,
    '1.5Gi': 1.5 * 2 ** 30,
    '2.0Gi': 2 ** 31 + 1,
    '1.0Mi': 2 ** 20 - 1,
    '1000Mi': 1000 * 2 ** 20,
    '8.0Pi': Number.MAX_SAFE_INTEGER,
  };
  for (const [text, bytes] of Object.entries(written)) {
    it(`writes ${bytes} bytes as ${text}`, () => expect(formatBytes(bytes)).toBe(text));
  }

  it('reads back the bytes it wrote without a decimal', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1000 }), fc.integer({ min: 0, max: 4 }), (count, unit) => {
        const bytes = count * 1024 ** unit;
        expect(quantityToInteger(formatBytes(bytes))).toBe(bytes);
      }),
    );
  });
});

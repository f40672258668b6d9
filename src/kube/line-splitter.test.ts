import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LineSplitter } from './line-splitter.ts';

function split(chunks: readonly Buffer[], maxLineBytes = 1000): string[] {
  const splitter = new LineSplitter(maxLineBytes);
  const lines = chunks.flatMap((chunk) => [...splitter.push(chunk)].map(String));
  const rest = splitter.rest();
  return rest.length > 0 ? [...lines, String(rest)] : lines;
}

describe('LineSplitter', () => {
  it('gives the same lines wherever the chunks are cut', () => {
    const text = fc.array(fc.string({ unit: 'grapheme' }).map((line) => line.replaceAll('\n', '')));
    fc.assert(
      fc.property(text, fc.array(fc.nat(40)), (lines, cuts) => {
        const whole = Buffer.from(lines.map((line) => `${line}\n`).join(''));
        const chunks: Buffer[] = [];
        let at = 0;
        for (const cut of cuts) chunks.push(whole.subarray(at, (at += cut)));
        chunks.push(whole.subarray(at));
        expect(split(chunks, 1e6)).toEqual(lines.filter((line) => line !== ''));
      }),
    );
  });

  it('keeps a last line without an end', () => {
    expect(split([Buffer.from('a\nb')])).toEqual(['a', 'b']);
  });

  it.each([
    ['in one chunk', [Buffer.alloc(11, 'x')]],
    ['in many', [Buffer.alloc(6, 'x'), Buffer.alloc(6, 'x')]],
    ['that ends', [Buffer.from(`${'x'.repeat(11)}\n`)]],
  ])('refuses a line that is too long, %s', (_, chunks) => {
    expect(() => split(chunks, 10)).toThrow(RangeError);
  });
});

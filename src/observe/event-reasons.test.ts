import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { EVENT_REASONS } from './event-reasons.ts';
import { withTables } from './generate-reference.ts';

describe('event reasons', () => {
  it('are all written by somebody: the reference promises them', () => {
    const writers = ['narrator.ts', '../agent/pods/obstacle-watch.ts'];
    const text = writers.map((file) => readFileSync(join(import.meta.dirname, file), 'utf8')).join('');
    const unwritten = Object.keys(EVENT_REASONS).filter((reason) => !text.includes(`'${reason}'`));
    expect(unwritten).toEqual([]);
  });

  it('are what Kubernetes takes: CamelCase, at most 128 characters, with a named action', () => {
    for (const [reason, { action }] of Object.entries(EVENT_REASONS)) {
      expect(reason).toMatch(/^[A-Z][A-Za-z]{0,127}$/);
      expect(action).toMatch(/^[A-Z][A-Za-z]{0,127}$/);
    }
  });
});

describe('REFERENCE.md', () => {
  it('is what the tables say', async () => {
    const text = readFileSync(join(import.meta.dirname, '../../REFERENCE.md'), 'utf8');
    expect(await withTables(text)).toBe(text);
  });

  it('is refused without its marks', async () => {
    await expect(withTables('# Reference\n')).rejects.toThrow('lacks the mark');
  });
});

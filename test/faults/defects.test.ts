import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { DEFECTS, SHOWN_BY } from './defects.ts';
import { namesOfKeptPlans } from './kept-plans.ts';

const SOURCES = join(import.meta.dirname, '../../src');

it.each(Object.entries(DEFECTS))('%s: what it changes is there, once', (_, defect) => {
  for (const { file, from } of 'file' in defect ? [defect] : defect) {
    expect(readFileSync(join(SOURCES, file), 'utf8').split(from), file).toHaveLength(2);
  }
});

it('names the plan of a defect that exists', () => {
  expect(Object.keys(SHOWN_BY).filter((name) => !(name in DEFECTS))).toEqual([]);
  const kept = Object.values(SHOWN_BY).filter((plan) => typeof plan === 'string');
  expect(kept.filter((plan) => !namesOfKeptPlans().includes(plan))).toEqual([]);
});

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { DEFECTS } from './defects.ts';

const SOURCES = join(import.meta.dirname, '../../src');

it.each(Object.entries(DEFECTS))('%s: what it changes is there, once', (_, defect) => {
  for (const { file, from } of 'file' in defect ? [defect] : defect) {
    expect(readFileSync(join(SOURCES, file), 'utf8').split(from), file).toHaveLength(2);
  }
});

import { describe, expect, it } from 'vitest';
import { fuzzConnections } from './connections.ts';
import { fuzzBlock, SUBJECTS, subjectsNamed } from './fuzz.ts';
import { shrink } from './shrink.ts';
import type { FuzzSubject } from './subject.ts';

/** Change it to look elsewhere; `npm run test:fuzz` looks at many more. */
const OPTIONS = { seed: 20_261_201, deadlineMs: null };

describe('input from outside', () => {
  it('is answered, or refused in words', async () => {
    const { answers, failures } = await fuzzBlock(0, OPTIONS);
    expect(failures).toEqual([]);
    // Neither all refused nor all accepted: then it would show nothing.
    const seen = [...answers.keys()];
    for (const { name } of SUBJECTS) expect(seen.filter((answer) => answer.startsWith(name)).length).toBeGreaterThan(1);
    expect(seen).toContain('admission: admit-pod 200 OpenTicket gated');
    expect(seen).toContain('config: config taken');
    for (const fate of ['taken', 'left out'])
      expect(seen.filter((answer) => answer.startsWith('objects: policy ') && answer.endsWith(fate))).not.toEqual([]);
  });

  it('is the same for the same seed', async () => {
    const options = { ...OPTIONS, cases: 60 };
    expect((await fuzzBlock(7, options)).answers).toEqual((await fuzzBlock(7, options)).answers);
    expect((await fuzzBlock(7, options)).answers).not.toEqual((await fuzzBlock(8, options)).answers);
  });
});

it('is that of one subject where it is asked for', async () => {
  const { answers } = await fuzzBlock(0, { ...OPTIONS, subjects: subjectsNamed('records'), cases: 20 });
  expect([...answers.keys()].filter((answer) => !answer.startsWith('records: '))).toEqual([]);
  expect(subjectsNamed('all')).toBe(SUBJECTS);
});

describe('connections', () => {
  it('are answered, refused or closed, whatever comes over them', async () => {
    const limits = { crowd: 50, maxBodyBytes: 200_000, requestMs: 300 };
    const { answers, failures } = await fuzzConnections({ seed: OPTIONS.seed, rounds: 150, ...limits });
    expect(failures).toEqual([]);
    for (const seen of [
      'whole: 200',
      'half-closed: 200',
      'slow: 400',
      'large: 413',
      'stuck: 408',
      'crowd: 200 and 503',
    ])
      expect([...answers.keys()]).toContain(seen);
  });
});

describe('a failure', () => {
  const broken: FuzzSubject = {
    name: 'broken',
    share: 1,
    maker: () => ({
      next: () => ({
        input: JSON.stringify({ a: [1, { bad: 'null' }, 3], b: 'x'.repeat(100) }),
        recipe: ['a bad member'],
        ask(input) {
          if (input.toString().includes('bad')) throw new Error('cannot bear it');
          return { answer: 'fine', violations: [] };
        },
      }),
    }),
  };

  it('is reported with its input and a smaller one', async () => {
    const { answers, failures } = await fuzzBlock(3, { ...OPTIONS, cases: 1, subjects: [broken] });
    expect(answers).toEqual(new Map([['broken: thrown', 1]]));
    expect(failures).toMatchObject([
      {
        block: 3,
        subject: 'broken',
        recipe: ['a bad member'],
        shrunk: 'bad',
        violations: [expect.stringContaining('cannot bear it') as string],
      },
    ]);
  });

  it('that does not come again keeps its input', async () => {
    const input = 'never bad twice';
    expect(await shrink({ input, recipe: [], ask: () => ({ answer: 'fine', violations: [] }) })).toBe(input);
  });
});

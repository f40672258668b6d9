import { describe, expect, it } from 'vitest';
import { handleExtender } from '../../src/http/extender-handler.ts';
import { violations, type Exchange } from './contract.ts';
import { readFixtures, type Fixture } from './fixtures.ts';
import { makeCallbacks } from './make-callbacks.ts';
import { mutate, seededRandom, type Known } from './mutate.ts';

const MUTANTS = 10_000;
/** Change it to look elsewhere; a failure names the mutant, so that the same seed finds it again. */
const SEED = 20_261_123;

const fixtures = readFixtures();
/** The engine as it answers where nothing is protected, and where everything is. */
const MODES = [
  { mode: 'no policy', ...makeCallbacks({ withPolicy: false }) },
  { mode: 'a policy', ...makeCallbacks({ withPolicy: true }) },
];
const [{ callbacks }] = MODES as [(typeof MODES)[number]];

function exchange(verb: Fixture['verb'], requestBody: string | Buffer, asked = callbacks): Exchange {
  return { verb, requestBody, ...handleExtender(asked, verb, requestBody) };
}

/** What the recorded bodies name: nodes, and pods by UID. */
function knownNames(): Known {
  const names = (pattern: RegExp): string[] => {
    return [...new Set(fixtures.flatMap(({ text }) => [...text.matchAll(pattern)].map((match) => match[1] as string)))];
  };
  return { uids: names(/"U?uid":"([^"]+)"/gi), nodes: names(/"(n\d)"/g) };
}

describe.each(MODES)('recorded bodies, with $mode', ({ callbacks, isOn }) => {
  it.each(fixtures)('$file is answered as kube-scheduler expects', ({ verb, text }) => {
    const answered = exchange(verb, text, callbacks);
    expect(answered.status).toBe(200);
    expect(violations(answered, isOn)).toEqual([]);
  });
});

describe('recorded bodies', () => {
  it('reads as many bodies as there are', () => {
    expect(fixtures.length).toBeGreaterThanOrEqual(7);
    expect(new Set(fixtures.map(({ verb }) => verb))).toEqual(new Set(['filter', 'prioritize', 'preempt']));
  });

  it('is a Buffer or a string, all the same', () => {
    for (const { verb, text } of fixtures)
      expect(exchange(verb, Buffer.from(text)).body).toBe(exchange(verb, text).body);
  });
});

describe.each(MODES)('mutated bodies, with $mode', ({ callbacks, isOn }) => {
  it(`gets a valid answer, or a clear 400, for each of ${MUTANTS}`, () => {
    const random = seededRandom(SEED);
    const known = knownNames();
    const statuses = new Map<number, number>();
    for (let i = 0; i < MUTANTS; i++) {
      const fixture = fixtures[i % fixtures.length] as Fixture;
      const { body, recipe } = mutate(fixture.text, random, known);
      const answered = exchange(fixture.verb, body, callbacks);
      statuses.set(answered.status, (statuses.get(answered.status) ?? 0) + 1);
      const found = violations(answered, isOn);
      if (found.length > 0) {
        expect.fail(
          `mutant ${i} of ${fixture.file} (${recipe.join(', ')}): ${found.join('; ')}\n${body.toString().slice(0, 2000)}`,
        );
      }
    }
    // Neither all refused nor all accepted: then the mutations would show nothing.
    expect(statuses.get(200) ?? 0).toBeGreaterThan(MUTANTS / 10);
    expect(statuses.get(400) ?? 0).toBeGreaterThan(MUTANTS / 10);
  });

  it('says nothing of the body in an error', () => {
    const secret = 'hunter2';
    const bodies = [
      `{"Pod": "${secret}"}`,
      `{"Pod": {"metadata": {"name": "${secret}", "uid": 5}}}`,
      `{"Pod": {"metadata": {"name": "a", "uid": "b", "labels": {"${secret}": 1}}}}`,
      `{"Pod": {"metadata": {"name": "a", "uid": "b"}, "spec": {"overhead": {"cpu": "${secret}"}}}}`,
      `{"Pod": ${secret}}`,
      secret,
    ];
    for (const body of bodies) {
      const answered = exchange('preempt', body);
      expect(violations(answered, isOn)).toEqual([]);
      expect(answered.status).toBe(400);
      expect(answered.body).not.toContain(secret);
    }
  });
});

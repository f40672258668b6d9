import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from 'vitest';
import { handleExtender } from '../../src/http/extender-handler.ts';
import { readExtenderArgs } from '../../src/http/wire/extender-args.ts';
import { readPreemptionArgs } from '../../src/http/wire/preemption-args.ts';
import { AppError } from '../../src/observe/error-codes.ts';
import type { Answer } from '../../src/http/answer.ts';
import { violations, type Exchange } from './contract.ts';
import { readFixtures, restoredPodBodies, type Fixture } from './fixtures.ts';
import { makeCallbacks } from './make-callbacks.ts';
import { mutate, seededRandom, type Known } from './mutate.ts';

/** Change it to look elsewhere; a failure names the mutant, so that the same seed finds it again. */
const SEED = 20_261_123;

const fixtures = readFixtures();
const bodies = [...fixtures, ...restoredPodBodies()];
/** The engine as it answers in each state it can be in, and the answers to `preempt` that show that it was. */
const MODES = [
  { mode: 'no policy', ...makeCallbacks({ withPolicy: false }), mutants: 10_000, want: ['NothingProtected'] },
  {
    mode: 'a policy',
    ...makeCallbacks({ withPolicy: true }),
    mutants: 10_000,
    want: ['Saving', 'StillSaving', 'AllReserved'],
  },
  {
    mode: 'victims that leave',
    ...makeCallbacks({ withPolicy: true, victimsLeave: true }),
    mutants: 4_000,
    want: ['Saving', 'Displacing', 'NoneToSave'],
  },
];
const [{ callbacks }] = MODES as [(typeof MODES)[number]];

function exchange(verb: Fixture['verb'], requestBody: string | Buffer, asked = callbacks): Exchange & Answer {
  return { verb, requestBody, ...handleExtender(asked, verb, requestBody) };
}

/** What the readers make of a body: a request, or that it is none. */
function outcomeOf(verb: Fixture['verb'], body: string | Buffer): unknown {
  try {
    if (verb === 'preempt') return readPreemptionArgs(body).request;
    const { request, nodeCount, nodes } = readExtenderArgs(body);
    return { pod: request.pod, nodeNames: request.nodeNames, nodeCount, nodes };
  } catch (error) {
    return error instanceof AppError ? error.code : error;
  }
}

/** What the recorded bodies name: nodes, and pods by UID. */
function knownNames(): Known {
  const names = (pattern: RegExp): string[] => {
    return [...new Set(fixtures.flatMap(({ text }) => [...text.matchAll(pattern)].map((match) => match[1] as string)))];
  };
  return { uids: names(/"U?uid":"([^"]+)"/gi), nodes: names(/"(n\d)"/g) };
}

describe.each(MODES)('recorded bodies, with $mode', ({ callbacks, cluster }) => {
  it.each(bodies)('$file is answered as kube-scheduler expects', ({ verb, text }) => {
    const answered = exchange(verb, text, callbacks);
    expect(answered.status).toBe(200);
    expect(violations(answered, cluster)).toEqual([]);
  });
});

describe('recorded bodies', () => {
  it('reads as many bodies as there are', () => {
    expect(fixtures.length).toBeGreaterThanOrEqual(7);
    expect(new Set(fixtures.map(({ verb }) => verb))).toEqual(new Set(['filter', 'prioritize', 'preempt']));
  });

  // Bytes are what comes off a connection, and what is usual in them is read without parsing it; text never is.
  it('is read from bytes as from text, however it was changed', () => {
    const random = seededRandom(SEED);
    const known = knownNames();
    let read = 0;
    for (let i = 0; i < 10_000; i++) {
      const { verb, text: recorded } = bodies[i % bodies.length] as Fixture;
      const bytes = Buffer.from(mutate(recorded, random, known).body as string);
      const text = bytes.toString();
      const fromText = outcomeOf(verb, text);
      if (typeof fromText === 'object') read++;
      if (!isDeepStrictEqual(outcomeOf(verb, bytes), fromText)) expect.fail(`read in two ways: ${text.slice(0, 2000)}`);
    }
    expect(read).toBeGreaterThan(1000);
  });

  it('is a Buffer or a string, all the same', () => {
    for (const { verb, text } of fixtures)
      expect(exchange(verb, Buffer.from(text)).body).toBe(exchange(verb, text).body);
  });
});

describe.each(MODES)('mutated bodies, with $mode', ({ callbacks, cluster, mutants, want }) => {
  it(`gets a valid answer, or a clear 400, for each of ${mutants}`, () => {
    const random = seededRandom(SEED);
    const known = knownNames();
    const statuses = new Map<number, number>();
    const reasons = new Set<unknown>();
    let refused = 0;
    let preferred = 0;
    for (let i = 0; i < mutants; i++) {
      const fixture = bodies[i % bodies.length] as Fixture;
      const { body, recipe } = mutate(fixture.text, random, known);
      const answered = exchange(fixture.verb, Buffer.from(body as string), callbacks);
      statuses.set(answered.status, (statuses.get(answered.status) ?? 0) + 1);
      reasons.add(answered.fields['reason']);
      refused += Number(answered.fields['refused'] ?? 0);
      preferred += Number(answered.fields['preferred'] ?? 0);
      const found = violations(answered, cluster);
      if (found.length > 0) {
        expect.fail(
          `mutant ${i} of ${fixture.file} (${recipe.join(', ')}): ${found.join('; ')}\n${body.toString().slice(0, 2000)}`,
        );
      }
    }
    // Neither all refused nor all accepted: then the mutations would show nothing.
    expect(statuses.get(200) ?? 0).toBeGreaterThan(mutants / 10);
    expect(statuses.get(400) ?? 0).toBeGreaterThan(mutants / 10);
    // And the engine was in the state that this is about.
    for (const reason of want) expect(reasons).toContain(reason);
    expect(refused).toBeGreaterThan(100);
    expect(preferred).toBeGreaterThan(100);
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
      expect(violations(answered, cluster)).toEqual([]);
      expect(answered.status).toBe(400);
      expect(answered.body).not.toContain(secret);
    }
  });
});

import { EXTENDER_VERBS, handleExtender } from '../../src/http/extender-handler.ts';
import { violations } from '../wire/contract.ts';
import { readFixtures, restoredPodBodies } from '../wire/fixtures.ts';
import { makeCallbacks } from '../wire/make-callbacks.ts';
import { mutate, type Known } from '../wire/mutate.ts';
import { one, type FuzzCase, type FuzzSubject } from './subject.ts';

export const recordedBodies = [...readFixtures(), ...restoredPodBodies()];

/** What the recorded bodies name: nodes, and pods by UID. */
export const knownNames: Known = {
  uids: namesIn(/"U?uid":"([^"]+)"/gi),
  nodes: namesIn(/"(n\d)"/g),
};

const CIRCUMSTANCES = [{ withPolicy: false }, { withPolicy: true }, { withPolicy: true, victimsLeave: true }] as const;

/** Recorded bodies, changed, to the verb they were sent to or to another one. */
export const verbs: FuzzSubject = {
  name: 'verbs',
  share: 12,
  maker(random) {
    const { callbacks, cluster } = makeCallbacks(one(CIRCUMSTANCES, random));
    const next = (): FuzzCase => {
      const fixture = one(recordedBodies, random);
      const verb = random() < 0.05 ? one(EXTENDER_VERBS, random) : fixture.verb;
      const { body, recipe } = mutate(fixture.text, random, knownNames);
      return {
        input: body,
        recipe: [verb, fixture.file, ...recipe],
        ask(input) {
          const answer = handleExtender(callbacks, verb, input);
          const { reason, code = 'answered' } = answer.fields as Readonly<Record<string, string>>;
          return {
            answer: `${verb} ${answer.status} ${reason ?? code}`,
            violations: violations({ verb, requestBody: input, ...answer }, cluster),
          };
        },
      };
    };
    return { next };
  },
};

function namesIn(pattern: RegExp): readonly string[] {
  return [...new Set(readFixtures().flatMap(({ text }) => [...text.matchAll(pattern)].map((match) => match[1] ?? '')))];
}

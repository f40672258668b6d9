import { describe, expect, it } from 'vitest';
import { isFinal } from '../../src/domain/ticket.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import type { KubeResponse } from '../../src/kube/transport.ts';
import { REPRIEVE_USER } from '../../src/sim/embedded-cluster.ts';
import { Random } from '../../src/sim/random.ts';
import { Story } from '../../src/sim/story.ts';

function refusal(status: number, reason: string): KubeResponse {
  return {
    status,
    headers: {},
    body: { kind: 'Status', status: 'Failure', reason, message: 'injected', code: status },
  };
}

/** One request in five of Reprieve's fails: before or after it took effect, or with an answer that asks for another try. */
function unreliable(story: Story, random: Random): () => number {
  let injected = 0;
  story.cluster.api.hooks.intercept = async ({ user, isWatch }) => {
    if (user !== REPRIEVE_USER || isWatch || random.next() > 0.2) return null;
    injected++;
    return random.pick([
      'reset',
      'reset-after',
      refusal(500, 'InternalError'),
      refusal(429, 'TooManyRequests'),
    ] as const);
  };
  return () => injected;
}

/** Every seven seconds all watches break; every other time their history is gone as well, so that they must list again. */
function forgetful(story: Story): () => number {
  const { api, clock } = story.cluster;
  let broken = 0;
  const strike = (): void => {
    if (++broken % 2 === 0) api.compact();
    api.closeWatches();
    clock.setTimer(7_000, strike);
  };
  strike();
  return () => broken;
}

const WORLDS = {
  'an unreliable API server': (story: Story, seed: number) => unreliable(story, new Random(seed)),
  'watches that break': (story: Story) => forgetful(story),
};

describe.each(Object.entries(WORLDS))('the story over %s', (_, disturb) => {
  for (const seed of [1, 2, 3, 4, 5, 6]) {
    it(`seed ${seed}: still loses nothing, and leaves nothing behind`, async () => {
      const story = new Story({ seed, withReprieve: true });
      await story.start();
      const disturbances = disturb(story, seed);
      await story.play();
      const { nodes, ledger, reprieve, api } = story.cluster;
      expect(disturbances()).toBeGreaterThan(20);
      expect(nodes.frozen()).toEqual([]);
      expect(ledger.lost.discarded).toBe(0);
      expect(ledger.count('coldStarted')).toBe(0);
      expect(ledger.count('restored')).toBe(ledger.count('saved') - ledger.count('thawed'));
      const open = [...(reprieve?.index.tickets() ?? [])].filter(({ phase }) => !isFinal(phase));
      expect(open.map(({ name, phase }) => [name, phase])).toEqual([]);
      const serving = api.list(RESOURCES.pods).filter(({ metadata }) => /^(checkout|search|live)-/.test(metadata.name));
      expect(serving).toEqual([]);
      // Records that are seen late are not taken for contradictory.
      expect(api.list(RESOURCES.events).filter((event) => event['reason'] === 'RecordsConflict')).toEqual([]);
      await story.cluster.stop();
    });
  }
});

import { describe, expect, it } from 'vitest';
import { isFinal } from '../../src/domain/ticket.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { REPRIEVE_USER } from '../../src/sim/embedded-cluster.ts';
import { Random } from '../../src/sim/random.ts';
import { Story } from '../../src/sim/story.ts';

const SECOND = 1000;
/** From shortly before the first peak until the last one is over. */
const FROM_MS = 140 * SECOND;
const UNTIL_MS = 700 * SECOND;

/** Every few seconds a node is cordoned or not ready for a while, the process dies, or all watches break; and one request in ten fails. */
function disturb(story: Story, random: Random): () => number {
  const { api, clock, client, nodes } = story.cluster;
  let strikes = 0;
  let isDown = false;
  const strike = (): void => {
    if (story.elapsedMs > UNTIL_MS) return;
    strikes++;
    const node = `node-${random.integer(1, 6)}`;
    const cordon = (unschedulable: boolean): void =>
      void client.patch(RESOURCES.nodes, null, node, { spec: { unschedulable } }, { type: 'merge' });
    switch (random.integer(1, 4)) {
      case 1:
        cordon(true);
        clock.setTimer(15 * SECOND, () => cordon(false));
        break;
      case 2:
        void nodes.setReady(node, false);
        clock.setTimer(12 * SECOND, () => void nodes.setReady(node, true));
        break;
      case 3:
        if (isDown) break;
        isDown = true;
        void story.cluster.crashReprieve();
        clock.setTimer(3 * SECOND, () => {
          isDown = false;
          void story.cluster.restartReprieve();
        });
        break;
      default:
        api.closeWatches();
    }
    clock.setTimer(random.integer(2, 12) * SECOND, strike);
  };
  clock.setTimer(FROM_MS, strike);
  api.hooks.intercept = async ({ user, isWatch }) => {
    if (user !== REPRIEVE_USER || isWatch || story.elapsedMs > UNTIL_MS || random.next() > 0.1) return null;
    return random.pick(['reset', 'reset-after'] as const);
  };
  return () => strikes;
}

describe('the story when everything fails now and then', () => {
  for (const seed of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]) {
    it(`seed ${seed}: freezes nobody for ever, gates nobody for ever, and forgets nobody`, async () => {
      const story = new Story({ seed, withReprieve: true });
      await story.start();
      const strikes = disturb(story, new Random(seed));
      await story.play(1000 * SECOND);
      const { api, nodes, reprieve, ledger } = story.cluster;
      expect(strikes()).toBeGreaterThan(40);
      expect(ledger.count('restored')).toBeGreaterThan(0);
      expect(nodes.frozen()).toEqual([]);
      const pods = api.list(RESOURCES.pods);
      const waiting = pods.filter(({ spec }) => !(spec as { nodeName?: string }).nodeName);
      expect(waiting.map(({ metadata }) => metadata.name)).toEqual([]);
      // A replacement that came past the webhook while nobody answered leaves its ticket unclaimed, until `maxWait`.
      const open = [...(reprieve?.index.tickets() ?? [])].filter(
        ({ phase, claim, owner }) => !isFinal(phase) && !(phase === 'Waiting' && claim === null && owner !== null),
      );
      expect(open.map(({ name, phase }) => [name, phase])).toEqual([]);
      expect(api.list(RESOURCES.events).filter((event) => event['reason'] === 'RecordsConflict')).toEqual([]);
      await story.cluster.stop();
    });
  }
});

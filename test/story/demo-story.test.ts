import { afterEach, describe, expect, it } from 'vitest';
import { isFinal } from '../../src/domain/ticket.ts';
import { handleExtender } from '../../src/http/extender-handler.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { InProcessExtender } from '../../src/sim/scheduler/extender-transport.ts';
import { Story, type StoryFigures, type StoryOptions } from '../../src/sim/story.ts';

const running: Story[] = [];
afterEach(async () => {
  for (const story of running.splice(0)) await story.cluster.stop();
});

async function played(options: Partial<StoryOptions> & { readonly seed: number }): Promise<Story> {
  const story = new Story({ withReprieve: true, ...options });
  running.push(story);
  await story.start();
  await story.play();
  return story;
}

/** What must be true of the cluster itself when a story has ended, whatever happened in it. */
function settled(story: Story): void {
  const { api, nodes, reprieve } = story.cluster;
  expect(nodes.frozen()).toEqual([]);
  const gated = api
    .list(RESOURCES.pods)
    .filter((pod) => (pod['spec'] as { schedulingGates?: unknown[] }).schedulingGates?.length);
  expect(gated.map(({ metadata }) => metadata.name)).toEqual([]);
  for (const ticket of reprieve?.index.tickets() ?? [])
    expect([ticket.name, isFinal(ticket.phase)]).toEqual([ticket.name, true]);
  const failed = api.list(RESOURCES.jobs).filter((job) => (job['status'] as { failed?: number }).failed);
  expect(failed.map(({ metadata }) => metadata.name)).toEqual([]);
}

describe('the story of the demo', () => {
  for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
    it(`seed ${seed}: everybody displaced comes back with all of its work`, async () => {
      const story = await played({ seed });
      const native = await played({ seed, withReprieve: false });
      settled(story);
      const [ours, theirs] = [story.figures(), native.figures()];
      expect(ours.preemptions).toBeGreaterThanOrEqual(9);
      expect(ours.saved).toBeGreaterThan(0);
      expect(ours.restored).toBe(ours.saved);
      expect([ours.coldStarted, ours.abandoned]).toEqual([0, 0]);
      expect(story.cluster.ledger.lost.discarded).toBe(0);
      expect(ours.lostNodeSeconds).toBeLessThan(theirs.lostNodeSeconds / 5);
      expect(ours.waitSeconds.p95).toBeLessThan(theirs.waitSeconds.p95);
      // Nobody was evicted by kube-scheduler itself: each victim was protected, and its own preemption deferred.
      expect(story.cluster.scheduler.statistics().evictions).toEqual([]);
    });
  }

  it('is the same for the same seed, and another for another', async () => {
    const figures = async (seed: number): Promise<StoryFigures> => (await played({ seed })).figures();
    expect(await figures(11)).toEqual(await figures(11));
    expect(await figures(11)).not.toEqual(await figures(12));
  });

  it('is the same with the extender behind an outside call, as over HTTP', async () => {
    const outside: StoryOptions['extender'] = async (reprieve, clock) =>
      new InProcessExtender((verb, body) =>
        clock.outside(
          new Promise((resolve) => {
            setImmediate(() => resolve(handleExtender(reprieve.engine, verb, body)));
          }),
        ),
      );
    expect((await played({ seed: 3, extender: outside })).figures()).toEqual((await played({ seed: 3 })).figures());
  });

  it('loses what could not be saved, and no more, when every third dump fails', async () => {
    let dumps = 0;
    const story = await played({ seed: 2, faults: { dumpFails: () => (++dumps % 3 === 0 ? 'disk full' : null) } });
    settled(story);
    const { preemptions, saved, restored } = story.figures();
    expect(preemptions).toBeGreaterThanOrEqual(9);
    expect(restored).toBe(saved);
    expect(story.cluster.ledger.lost.discarded).toBeGreaterThan(0);
  });

  it('waits for a hanging dump until the deadline, and not for ever', async () => {
    const story = await played({ seed: 2, faults: { dumpHangs: () => true } });
    expect(story.cluster.nodes.frozen()).toEqual([]);
    const { preemptions, saved, waitSeconds } = story.figures();
    expect(preemptions).toBeGreaterThanOrEqual(9);
    expect(saved).toBe(0);
    expect(waitSeconds.p95).toBeLessThan(100);
  });

  it('starts cold what cannot be restored, and says so', async () => {
    const story = await played({ seed: 2, faults: { restoreFails: () => 'criu said no' } });
    settled(story);
    const { saved, restored, coldStarted } = story.figures();
    expect(restored).toBe(0);
    expect(coldStarted).toBe(saved);
  });
});

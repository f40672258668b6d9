import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHECKPOINTABLE_CONDITION } from '../../src/domain/labels.ts';
import { condition } from '../cluster/story/history.ts';
import { conditionIn, eventsAbout, victimUidOf, wasEvicted, wasMarked } from '../cluster/story/seen.ts';
import { policy } from '../cluster/story/workloads.ts';
import { NodeBed } from './bed/bed.ts';
import { clear, displace, restoredFrom, victimOf, type Victim } from './bed/displace.ts';
import { hog, hogPast, type Program } from './bed/hog.ts';
import { LANGUAGE_IMAGES } from './bed/images.ts';

/** The runtimes that people use: each is displaced, and goes on on the other node with all that it holds. */
const PROGRAMS: readonly { readonly program: Program; readonly mebibytes: number }[] = [
  { program: 'python', mebibytes: 300 },
  { program: 'java', mebibytes: 200 },
  { program: 'node', mebibytes: 100 },
];
const STARTING_MS = 90_000;

interface Before {
  readonly victim: Victim;
  readonly count: number;
  /** Of its process 1. */
  readonly threads: number;
}

let bed: NodeBed;

beforeAll(async () => {
  bed = await NodeBed.start({ agents: {}, images: [LANGUAGE_IMAGES] });
  await bed.cluster.applyObjects(policy('batch', 'batch'));
});
afterAll(async () => {
  await bed?.[Symbol.asyncDispose]();
});

describe('a displaced program goes on, on the other node', () => {
  const before = new Map<Program, Before>();

  beforeAll(async () => {
    // All of them on one node, and one preemptor that needs the room of all: they are saved and brought back together.
    const pods = PROGRAMS.map(({ program, mebibytes }) =>
      hog(program, { program, mebibytes, cpu: '600m', prefers: 'node1' }),
    );
    await bed.cluster.applyObjects(...pods);
    for (const { program } of PROGRAMS) {
      const victim = await victimOf(bed, program);
      const { count } = await hogPast(victim.ip, 5, STARTING_MS);
      before.set(program, { victim, count, threads: await threadsOf(program) });
    }
    await displace(bed, (before.get('python') as Before).victim);
  }, 300_000);
  afterAll(() => clear(bed));

  it.each(PROGRAMS)('$program with $mebibytes MiB', async ({ program }) => {
    const { victim, count, threads } = before.get(program) as Before;
    const again = await restoredFrom(bed, victim);
    expect(again.node).not.toBe(victim.node);
    expect(await hogPast(again.ip, count)).toMatchObject({ data: 'ok' });
    expect(bed.pod(again.name).restarts).toBe(0);
    expect(threads).toBeGreaterThan(1);
    expect(await threadsOf(program)).toBe(threads);
    // The file that it has open is the one that others see.
    const written = Number(await bed.cluster.kubectl('exec', again.name, '--', 'cat', '/count'));
    expect(written).toBeGreaterThan(count);
  });
});

describe('a program that cannot be saved', () => {
  afterAll(() => clear(bed));

  it('is found beforehand, says why, and is evicted as without Reprieve', async () => {
    // Node.js makes its rings wherever it may.
    const shape = { seccomp: 'Unconfined', cpu: '1500m' } as const;
    await bed.cluster.applyObjects(hog('ring', { program: 'node', mebibytes: 16, ...shape }));
    const victim = await victimOf(bed, 'ring');
    await hogPast(victim.ip, 5, STARTING_MS);
    const { object: said } = await bed.history.until(
      'Pod',
      'the obstacle',
      (pod) => pod.metadata.uid === victim.uid && condition(pod, CHECKPOINTABLE_CONDITION) === 'False',
    );
    const obstacle = conditionIn(said, CHECKPOINTABLE_CONDITION);
    expect(obstacle?.reason).toBe('IoUringInUse');
    expect(obstacle?.message).toContain('seccompProfile: RuntimeDefault');

    await displace(bed, victim);
    expect(wasEvicted(bed, victim.uid)).toBe(true);
    expect(wasMarked(bed, victim.uid)).toBe(true);
    for (const kind of ['Reprieve', 'PodCheckpoint']) {
      expect(bed.history.of(kind).filter(({ object }) => victimUidOf(object) === victim.uid)).toEqual([]);
    }
    expect(await eventsAbout(bed, 'ring')).toContain('NotCheckpointable');
  });
});

/** Of its process 1. */
async function threadsOf(pod: string): Promise<number> {
  const status = await bed.cluster.kubectl('exec', pod, '--', 'cat', '/proc/1/status');
  return Number(/^Threads:\s+(\d+)$/m.exec(status)?.[1]);
}

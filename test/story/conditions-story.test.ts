import { afterEach, describe, expect, it } from 'vitest';
import { CONDITIONS, type ConditionKind } from '../../src/domain/condition-reasons.ts';
import type { ConditionEntry } from '../../src/domain/conditions/condition-entry.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { Story, type StoryOptions } from '../../src/sim/story.ts';

const running: Story[] = [];
afterEach(async () => {
  for (const story of running.splice(0)) await story.cluster.stop();
});

const KINDS = {
  ReprievePolicy: RESOURCES.reprievePolicies,
  Reprieve: RESOURCES.reprieves,
  PodCheckpoint: RESOURCES.podCheckpoints,
  Pod: RESOURCES.pods,
} as const satisfies Record<ConditionKind, unknown>;

interface Shown {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
}

/** Every condition that the objects of a story carry, looked at each second of it. */
async function shown(options: Partial<StoryOptions>): Promise<ReadonlySet<string>> {
  const story = new Story({ seed: 2, withReprieve: true, ...options });
  running.push(story);
  await story.start();
  const seen = new Set<string>();
  for (let atMs = 1000; atMs <= story.scenario.endMs; atMs += 1000) {
    await story.play(atMs);
    for (const [kind, type] of Object.entries(KINDS)) {
      for (const object of story.cluster.api.list(type)) {
        const { conditions = [] } = (object['status'] ?? {}) as { conditions?: readonly Shown[] };
        for (const { type: name, status, reason = '' } of conditions) seen.add(`${kind} ${name} ${status} ${reason}`);
      }
    }
  }
  return seen;
}

const TABLE: ReadonlySet<string> = new Set(
  Object.entries(CONDITIONS).flatMap(([kind, types]) =>
    Object.entries<ConditionEntry>(types).flatMap(([type, { reasons }]) =>
      Object.entries(reasons).map(([reason, { status }]) => `${kind} ${type} ${status} ${reason}`),
    ),
  ),
);
const OURS = Object.entries(CONDITIONS).flatMap(([kind, types]) =>
  Object.keys(types).map((type) => `${kind} ${type} `),
);

let count = 0;
const thirdFails = (): string | null => (++count % 3 === 0 ? 'disk full' : null);

describe('conditions of a story', () => {
  it.each([
    [
      'in which all goes well',
      {},
      [
        'Reprieve Restored True Restored',
        'PodCheckpoint Frozen False PodKilled',
        'Pod reprieve.dev/Restored Unknown Queued',
        'Pod reprieve.dev/Restored True Restored',
      ],
    ],
    ['whose dumps fail', { faults: { dumpFails: thirdFails } }, ['PodCheckpoint Failed True DumpFailed']],
    ['whose dumps hang', { faults: { dumpHangs: () => true } }, ['Reprieve Restored False NotSaved']],
    ['whose restores fail', { faults: { restoreFails: () => 'no' } }, ['Reprieve Restored False RestoreFailed']],
  ] as const)('are those of the table: one %s', async (_, options, some) => {
    const seen = await shown(options);
    const ours = [...seen].filter((condition) => OURS.some((prefix) => condition.startsWith(prefix)));
    expect(ours.filter((condition) => !TABLE.has(condition))).toEqual([]);
    expect(ours).toEqual(expect.arrayContaining([...some]));
  });
});

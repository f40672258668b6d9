import { beforeEach, describe, expect, it } from 'vitest';
import { RESTORED_CONDITION, TICKET_ANNOTATION } from '../../domain/labels.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { createLog } from '../../observe/log.ts';
import { VirtualClock } from '../../sim/virtual-clock.ts';
import type { NodeApi, PodPatch } from '../node-api.ts';
import { SavedPodLayout } from '../state/layout.ts';
import { makeManifest } from '../state/make-manifest.ts';
import type { Answer, RestoreRequest } from './request.ts';
import { RestoreDesk } from './restore-desk.ts';
import type { RestoreHands, Staging } from './restore-hands.ts';
import type { TicketWord } from './ticket-word.ts';
import type { Outcome } from './results.ts';

const POD: KubeObject = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web-0', namespace: 'shop', uid: 'u2', annotations: { [TICKET_ANNOTATION]: 't' } },
  spec: { initContainers: [{ name: 'side', restartPolicy: 'Always' }], containers: [{ name: 'a' }, { name: 'b' }] },
};
const [SAVED] = makeManifest().containers;
const MANIFEST = makeManifest({ containers: ['a', 'b', 'side'].map((name) => ({ ...SAVED, name }) as never) });
const STAGED: Staging = {
  refusal: null,
  state: {
    checkpoint: 'c',
    madeOn: 'node1',
    layout: SavedPodLayout.of('/state', 'shop_c_11111111-1111-1111-1111-111111111111'),
    manifest: MANIFEST,
  },
};

let clock: VirtualClock;
let outcomes: Map<string, Outcome>;
let staging: Promise<Staging>;
let word: TicketWord;
/** What was done and said, in order. */
let history: string[];
beforeEach(() => {
  clock = new VirtualClock();
  outcomes = new Map();
  staging = Promise.resolve(STAGED);
  word = 'ours';
  history = [];
});

function makeDesk(): RestoreDesk {
  const hands: RestoreHands = {
    stage: () => staging,
    refusal: () => Promise.resolve(null),
    word: () => Promise.resolve(word),
    running: () => Promise.resolve(null),
    apply: () => Promise.resolve({ imagePath: '/i', workPath: '/w' }),
    letGo: (podUid) => Promise.resolve(void history.push(`let go ${podUid}`)),
    endRestored: () => Promise.resolve(),
    clean: () => Promise.resolve(),
    drop: () => Promise.resolve(),
    forget: () => Promise.resolve(),
    outcome: (_, container) => Promise.resolve(outcomes.get(container) ?? null),
    failure: () => Promise.resolve(''),
  };
  const patchPod = (_: KubeObject, { conditions = [] }: PodPatch): Promise<null> => {
    for (const { type, status } of conditions) if (type === RESTORED_CONDITION) history.push(`restored ${status}`);
    return Promise.resolve(null);
  };
  return new RestoreDesk({
    hands,
    pod: () => POD,
    api: { patchPod } as unknown as NodeApi,
    clock,
    log: createLog('silent'),
    onError: (error) => history.push(String(error)),
  });
}

function answer(desk: RestoreDesk, container: string): Promise<Answer> {
  const request: RestoreRequest = {
    kind: 'container',
    podUid: 'u2',
    sandboxId: 's',
    container,
    id: `id-${container}`,
    bundle: '/bundle',
    attempt: 0,
    process: null,
  };
  return desk.answer(request, new AbortController().signal, () => Promise.resolve());
}

async function comesUp(desk: RestoreDesk, container: string, outcome: Outcome): Promise<void> {
  outcomes.set(container, outcome);
  await desk.resultSeen('u2');
}

describe('a pod of several containers', () => {
  it('is held until the last of those that run side by side, and no sidecar before them', async () => {
    const desk = makeDesk();
    desk.start([POD]);
    const held: unknown[] = [];
    for (const container of ['side', 'a', 'b']) {
      const answered = await answer(desk, container);
      held.push(answered.kind === 'restore' && answered.held);
      expect(history).toEqual([]);
      await comesUp(desk, container, 'restored');
    }
    expect(held).toEqual([false, true, false]);
    expect(history).toEqual(['let go u2', 'restored True']);
    await clock.advance(60_000);
    expect(history).toHaveLength(2);
  });

  it('is let go as well where another of it starts cold', async () => {
    const desk = makeDesk();
    desk.start([POD]);
    await comesUp(desk, 'side', 'restored');
    await comesUp(desk, 'a', 'restored');
    await comesUp(desk, 'b', 'passed');
    expect(history).toEqual(['let go u2', 'restored False']);
  });

  it('waits half a minute for a container that does not come', async () => {
    const desk = makeDesk();
    desk.start([POD]);
    await comesUp(desk, 'a', 'restored');
    await clock.advance(29_999);
    expect(history).toEqual([]);
    await clock.advance(1);
    expect(history).toEqual(['let go u2']);
  });

  it('is let go by the next agent, which has nothing else to do for it', async () => {
    const desk = makeDesk();
    desk.start([]);
    await comesUp(desk, 'a', 'restored');
    expect(history).toEqual(['let go u2']);
  });

  it('is let go by the next agent also where the state is gone meanwhile', async () => {
    staging = Promise.resolve({ refusal: { reason: 'CheckpointMissing', message: 'gone' } });
    const desk = makeDesk();
    desk.start([POD]);
    await comesUp(desk, 'a', 'restored');
    await clock.settle();
    expect(history).toContain('let go u2');
  });
});

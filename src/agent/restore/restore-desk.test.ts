import { describe, expect, it } from 'vitest';
import { ON_FAILURE_ANNOTATION, RESTORED_CONDITION, TICKET_ANNOTATION } from '../../domain/labels.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { VirtualClock } from '../../sim/virtual-clock.ts';
import type { NodeApi, PodPatch } from '../node-api.ts';
import type { Answer, RestoreRequest } from './request.ts';
import { RestoreDesk } from './restore-desk.ts';
import type { RestoreHands, RestoreRefusal, StagedState } from './restore-hands.ts';
import type { Outcome } from './results.ts';
import type { TicketWord } from './ticket-word.ts';

const UID = 'u1';
const OTHER_CLASS: RestoreRefusal = { reason: 'Incompatible', message: 'made on class b' };

const POD: KubeObject = {
  metadata: { name: 'a', namespace: 'default', uid: UID, annotations: { [TICKET_ANNOTATION]: 't' } },
  spec: { containers: [{ name: 'main' }, { name: 'side' }] },
  status: { phase: 'Pending' },
};

function request(parts: Partial<RestoreRequest> = {}): RestoreRequest {
  return {
    kind: 'container',
    podUid: UID,
    sandboxId: 's',
    container: 'main',
    id: 'i1',
    bundle: '/bundle',
    attempt: 0,
    process: null,
    ...parts,
  };
}

/** A desk with hands that only note what they are told to do. */
function desk(given: {
  readonly refusal?: RestoreRefusal;
  readonly containerRefusal?: RestoreRefusal;
  readonly containers?: readonly string[];
  readonly applyFails?: string;
  readonly pod?: KubeObject;
  /** What goes wrong each time the state is looked for, before it is found. */
  readonly stagingFails?: string[];
  /** A container that has a process, which no result tells of. */
  readonly running?: () => string | null;
}) {
  const done: string[] = [];
  const outcomes = new Map<string, Outcome>();
  const written: PodPatch[] = [];
  let letGo = 0;
  const errors: string[] = [];
  const clock = new VirtualClock();
  const ticket: { word: TicketWord } = { word: 'ours' };
  const { containers = ['main'] } = given;
  const manifest = { containers: containers.map((name) => ({ name })) };
  const state = { checkpoint: 'c', madeOn: 'n2', manifest } as unknown as StagedState;
  const hands: RestoreHands = {
    stage: async () => {
      const failure = given.stagingFails?.shift();
      if (failure !== undefined) throw new Error(failure);
      return given.refusal ? { refusal: given.refusal } : { refusal: null, state };
    },
    word: () => Promise.resolve(ticket.word),
    refusal: () => Promise.resolve(given.containerRefusal ?? null),
    running: () => Promise.resolve(given.running?.() ?? null),
    apply: ({ container }, _, withShared) => {
      done.push(`apply ${container}${withShared ? ' with shared' : ''}`);
      if (given.applyFails !== undefined) return Promise.reject(new Error(given.applyFails));
      return Promise.resolve({ imagePath: '/images', workPath: '/work' });
    },
    clean: ({ container }, withShared) => {
      done.push(`clean ${container}${withShared ? ' with shared' : ''}`);
      return Promise.resolve();
    },
    endRestored: () => {
      for (const [name, outcome] of outcomes) {
        if (outcome !== 'restored') continue;
        done.push(`end ${name}`);
        outcomes.set(name, 'cold');
      }
      return Promise.resolve();
    },
    letGo: () => {
      letGo++;
      return Promise.resolve();
    },
    drop: () => {
      done.push('drop');
      return Promise.resolve();
    },
    forget: () => {
      done.push('forget');
      return Promise.resolve();
    },
    outcome: (_, container) => Promise.resolve(outcomes.get(container) ?? null),
    failure: () => Promise.resolve('criu: no such file'),
  };
  const restoreDesk = new RestoreDesk({
    hands,
    pod: (uid) => (uid === UID ? (given.pod ?? POD) : undefined),
    api: {
      patchPod: (_: KubeObject, patch: PodPatch) => {
        written.push(patch);
        return Promise.resolve(POD);
      },
    } as unknown as NodeApi,
    clock,
    log: { debug() {}, info() {}, warn() {}, error() {} },
    onError: (error) => errors.push((error as Error).message),
  });
  return {
    restoreDesk,
    ticket,
    clock,
    errors,
    done,
    outcomes,
    letGo: () => letGo,
    said: () => written.flatMap(({ conditions = [] }) => conditions),
  };
}

const never = new AbortController().signal;
const own = (): Promise<void> => Promise.resolve();
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('RestoreDesk', () => {
  it('looks for the state again when a disk or the API server failed', async () => {
    const { restoreDesk, clock, errors } = desk({ stagingFails: ['EIO', '401 Unauthorized', 'malformed'] });
    restoreDesk.start([POD]);
    const answer = restoreDesk.answer(request(), never, own);
    await clock.advance(60_000);
    expect(await answer).toMatchObject({ kind: 'restore' });
    expect(errors).toEqual(['EIO', '401 Unauthorized', 'malformed']);
  });

  it('gives up on a state that it can never read, and says why', async () => {
    const { restoreDesk, clock, errors, said } = desk({ stagingFails: Array.from({ length: 9 }, () => 'EIO') });
    restoreDesk.start([POD]);
    await clock.advance(300_000);
    expect(errors).toHaveLength(6);
    expect(said()).toMatchObject([{ status: 'Unknown', reason: 'NotRestoredHere', message: 'StagingFailed: EIO' }]);
  });

  it('restores what was staged, and says so when it has come up', async () => {
    const { restoreDesk, done, outcomes, said } = desk({});
    restoreDesk.start([POD]);
    expect(await restoreDesk.answer(request({ kind: 'sandbox', container: null }), never, own)).toEqual({
      kind: 'pass',
    });
    expect(await restoreDesk.answer(request(), never, own)).toMatchObject({
      kind: 'restore',
      imagePath: '/images',
      workPath: '/work',
    });
    expect(done).toEqual(['apply main with shared']);
    expect(said()).toEqual([]);
    outcomes.set('main', 'restored');
    await restoreDesk.resultSeen(UID);
    await restoreDesk.resultSeen(UID); // told twice
    expect(done).toEqual(['apply main with shared', 'drop']);
    expect(said()).toEqual([
      { type: RESTORED_CONDITION, status: 'True', reason: 'Restored', message: 'continues checkpoint c from n2' },
    ]);
  });

  const failed = (message: string) => ({
    type: RESTORED_CONDITION,
    status: 'Unknown',
    reason: 'NotRestoredHere',
    message,
  });

  it.each(['sandbox', 'container'] as const)(
    'keeps a %s waiting whose state cannot be had, until its ticket ended',
    async (kind) => {
      const { restoreDesk, ticket, clock, said } = desk({ refusal: OTHER_CLASS });
      restoreDesk.start([POD]);
      const answers: Answer[] = [];
      const asked = request({ kind, container: kind === 'sandbox' ? null : 'main' });
      void restoreDesk.answer(asked, never, own).then((answer) => answers.push(answer));
      await clock.advance(10_000);
      expect([answers, said()]).toEqual([[], [failed('Incompatible: made on class b')]]);
      ticket.word = 'cold';
      await clock.advance(1_000);
      expect(answers).toEqual([{ kind: 'pass' }]);
      expect(said().at(-1)).toEqual({ type: RESTORED_CONDITION, status: 'False', ...OTHER_CLASS });
    },
  );

  it.each([
    ['may not have the state', { containerRefusal: OTHER_CLASS }, OTHER_CLASS],
    [
      'cannot be given its files',
      { applyFails: 'tar failed' },
      { reason: 'RestoreFailed', message: 'tar failed' } as const,
    ],
  ])('starts a container cold that %s, with nothing in its way, once its ticket ended', async (_, given, wanted) => {
    const { restoreDesk, ticket, clock, done, outcomes, said } = desk(given);
    restoreDesk.start([POD]);
    const answer = restoreDesk.answer(request(), never, own);
    await clock.advance(5_000);
    expect(said()).toEqual([failed(`${wanted.reason}: ${wanted.message}`)]);
    ticket.word = 'cold';
    await clock.advance(1_000);
    expect(await answer).toEqual({ kind: 'pass' });
    expect(done.at(-1)).toBe('clean main with shared');
    outcomes.set('main', 'cold');
    await restoreDesk.resultSeen(UID);
    expect(said().at(-1)).toEqual({ type: RESTORED_CONDITION, status: 'False', ...wanted });
  });

  it('tries once on a node, then says what the runtime said', async () => {
    const { restoreDesk, clock, done, said } = desk({});
    restoreDesk.start([POD]);
    expect(await restoreDesk.answer(request(), never, own)).toMatchObject({ kind: 'restore' });
    void restoreDesk.answer(request({ attempt: 1 }), never, own);
    await clock.advance(1_000);
    expect(done).toEqual(['apply main with shared']);
    expect(said()).toEqual([failed('RestoreFailed: criu: no such file')]);
  });

  it('refuses a pod that is deleted because another node tries', async () => {
    const { restoreDesk, clock } = desk({ containerRefusal: OTHER_CLASS });
    restoreDesk.start([POD]);
    const answer = restoreDesk.answer(request(), never, own);
    await clock.advance(1_000);
    restoreDesk.podChanged(POD, { ...POD, metadata: { ...POD.metadata, deletionTimestamp: 'now' } });
    expect(await answer).toEqual({ kind: 'refuse', message: 'the pod is being deleted' });
  });

  it('restores nothing for a pod that its ticket no longer claims', async () => {
    const { restoreDesk, ticket, done } = desk({});
    restoreDesk.start([POD]);
    ticket.word = 'cold';
    expect(await restoreDesk.answer(request(), never, own)).toEqual({ kind: 'pass' });
    expect(done).toEqual(['clean main with shared']);
  });

  describe('while Reprieve decides nothing', () => {
    const HELD = {
      ...POD,
      metadata: { ...POD.metadata, annotations: { [TICKET_ANNOTATION]: 't', [ON_FAILURE_ANNOTATION]: 'Hold' } },
    };
    const sandbox = request({ kind: 'sandbox', container: null });
    const refused = { kind: 'refuse', message: 'Incompatible: made on class b' };

    it('starts a container cold after a minute, and a sandbox after ten', async () => {
      const container = desk({ containerRefusal: OTHER_CLASS });
      container.restoreDesk.start([POD]);
      const answer = container.restoreDesk.answer(request(), never, own);
      await container.clock.advance(60_000);
      expect(await answer).toEqual({ kind: 'pass' });

      const { restoreDesk, clock } = desk({ refusal: OTHER_CLASS });
      restoreDesk.start([POD]);
      const kinds: string[] = [];
      for (let minute = 0; minute < 10; minute++) {
        void restoreDesk.answer(sandbox, never, own).then(({ kind }) => kinds.push(kind));
        await clock.advance(60_000);
      }
      expect(kinds).toEqual([...Array.from({ length: 9 }, () => 'refuse'), 'pass']);
    });

    it('never starts one cold that must be held, and marks it so that its Job need not count it', async () => {
      for (const given of [{ refusal: OTHER_CLASS }, { containerRefusal: OTHER_CLASS }]) {
        const { restoreDesk, clock, said } = desk({ ...given, pod: HELD });
        restoreDesk.start([HELD]);
        const answers: Answer[] = [];
        for (let minute = 0; minute < 20; minute++) {
          const asked = 'refusal' in given ? sandbox : request({ id: `i${minute}` });
          void restoreDesk.answer(asked, never, own).then((answer) => answers.push(answer));
          await clock.advance(60_000);
        }
        expect(answers).toEqual(Array.from({ length: 20 }, () => refused));
        expect(said()).toMatchObject([{ status: 'Unknown' }, { type: 'DisruptionTarget', status: 'True' }]);
      }
    });

    it('starts none cold that its ticket gave up', async () => {
      const { restoreDesk, ticket, clock } = desk({ containerRefusal: OTHER_CLASS });
      restoreDesk.start([POD]);
      const answer = restoreDesk.answer(request(), never, own);
      await clock.advance(1_000);
      ticket.word = 'leaves';
      await clock.advance(60_000);
      expect(await answer).toEqual(refused);
    });
  });

  it('puts in place once what containers share, and speaks when all have come up', async () => {
    const { restoreDesk, done, outcomes, letGo, said } = desk({ containers: ['main', 'side'] });
    restoreDesk.start([POD]);
    // The first is left stopped: it shall not run without the other.
    expect(await restoreDesk.answer(request(), never, own)).toMatchObject({ kind: 'restore', held: true });
    outcomes.set('main', 'restored');
    await restoreDesk.resultSeen(UID);
    expect([letGo(), said()]).toEqual([0, []]);
    const last = await restoreDesk.answer(request({ container: 'side', id: 'i2' }), never, own);
    expect(last).toMatchObject({ kind: 'restore', held: false });
    expect(done).toEqual(['apply main with shared', 'apply side']);
    outcomes.set('side', 'passed');
    await restoreDesk.resultSeen(UID);
    expect(letGo()).toBe(1);
    expect(said()).toMatchObject([
      { status: 'False', message: expect.stringMatching(/^side started cold: /) as string },
    ]);
  });

  it('runs init containers anew', async () => {
    const { restoreDesk, done } = desk({});
    restoreDesk.start([POD]);
    expect(await restoreDesk.answer(request({ container: 'init' }), never, own)).toEqual({ kind: 'pass' });
    expect(done).toEqual([]);
  });

  it('says what a process before it could not say any more', async () => {
    const { restoreDesk, outcomes, said } = desk({});
    outcomes.set('main', 'restored');
    restoreDesk.start([POD]);
    await settle();
    expect(said()).toMatchObject([{ status: 'True', reason: 'Restored' }]);
  });

  it.each([
    ['without a ticket', { metadata: { ...POD.metadata, annotations: {} } }],
    [
      'of which it was said how it went',
      { status: { phase: 'Running', conditions: [{ type: RESTORED_CONDITION, status: 'False' }] } },
    ],
  ])('leaves a pod alone %s', async (_, parts) => {
    const { restoreDesk, done, said } = desk({});
    restoreDesk.start([{ ...POD, ...parts }]);
    expect(await restoreDesk.answer(request(), never, own)).toEqual({ kind: 'pass' });
    expect([done, said()]).toEqual([[], []]);
  });

  it('removes what was brought for a pod that is gone', async () => {
    const { restoreDesk, done } = desk({});
    restoreDesk.start([POD]);
    restoreDesk.podChanged(POD, null);
    await settle();
    expect(done).toEqual(['forget']);
  });
});

describe('a pod of two containers', () => {
  it('begins anew as a whole where the second cannot be restored', async () => {
    const { restoreDesk, ticket, outcomes, done, said } = desk({ containers: ['main', 'side'] });
    restoreDesk.start([POD]);
    await settle();
    expect(await restoreDesk.answer(request(), never, own)).toMatchObject({ kind: 'restore', held: true });
    outcomes.set('main', 'restored');
    await restoreDesk.resultSeen(UID);
    ticket.word = 'cold';
    expect(await restoreDesk.answer(request({ container: 'side', attempt: 1 }), never, own)).toEqual({ kind: 'pass' });
    expect(done).toEqual(['apply main with shared', 'end main', 'clean side with shared']);
    outcomes.set('side', 'cold');
    await restoreDesk.resultSeen(UID);
    expect(said().at(-1)).toMatchObject({ status: 'False', reason: 'RestoreFailed', message: 'criu: no such file' });
  });

  it('leaves the volumes alone where a container runs that was not saved, and begins anew', async () => {
    const { restoreDesk, clock, ticket, done, said } = desk({ running: () => 'debugger' });
    restoreDesk.start([POD]);
    const answer = restoreDesk.answer(request(), never, own);
    await clock.advance(5_000);
    expect(said().at(-1)?.message).toBe('RestoreFailed: container debugger runs already, and may use the volumes');
    ticket.word = 'cold';
    await clock.advance(1_000);
    expect(await answer).toEqual({ kind: 'pass' });
    expect(done).toEqual(['clean main']);
  });

  it('changes nothing where the wrapper has given up', async () => {
    const { restoreDesk, done } = desk({});
    restoreDesk.start([POD]);
    await settle();
    const givenUp = (): Promise<void> => Promise.reject(new Error('given up'));
    await expect(restoreDesk.answer(request(), never, givenUp)).rejects.toThrow('given up');
    expect(done).toEqual([]);
  });

  it('restores none once one has started cold, and leaves that one its files', async () => {
    const { restoreDesk, ticket, outcomes, done } = desk({ containers: ['main', 'side'] });
    restoreDesk.start([POD]);
    await settle();
    outcomes.set('main', 'passed');
    ticket.word = 'cold';
    expect(await restoreDesk.answer(request({ container: 'side' }), never, own)).toEqual({ kind: 'pass' });
    expect(done).toEqual(['clean side']);
  });
});

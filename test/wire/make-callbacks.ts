import { SOLE_LEADER } from '../../src/ports/leadership.ts';
import type { NodeName, PodUid } from '../../src/domain/ids.ts';
import { occupiesNode, type Pod } from '../../src/domain/pod.ts';
import { DEFAULT_COST_MODEL } from '../../src/domain/victim-cost.ts';
import type { ExtenderCallbacks, PreemptVerdict } from '../../src/engine/preemption/callbacks.ts';
import { Engine } from '../../src/engine/engine.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../../src/engine/core/steps.ts';
import { readPreemptionArgs } from '../../src/http/wire/preemption-args.ts';
import { ClusterIndex } from '../../src/index/cluster-index.ts';
import type { IndexedKind, IndexedKinds, IndexEvent } from '../../src/index/types.ts';
import type { ClusterWriter } from '../../src/ports/cluster-writer.ts';
import { VirtualClock } from '../../src/sim/virtual-clock.ts';
import { makeCheckpoint, makeNode, makePod, makePolicy, makeTicket } from '../support/builders.ts';
import type { KnownCluster } from './contract.ts';
import { readFixtures, RESTORED_TICKET } from './fixtures.ts';

/** What the wire tests run against, and what they need to know of it to judge its answers. */
export interface CallbacksUnderTest {
  readonly callbacks: ExtenderCallbacks;
  readonly cluster: KnownCluster;
  /** What the engine reads, for tests that change it. */
  readonly index: ClusterIndex;
}

export interface Circumstances {
  /** Whether a policy protects every victim. */
  readonly withPolicy: boolean;
  /** Whether the victims of a decision are terminating as soon as it was made, as if saving took no time; n2 cannot save any. */
  readonly victimsLeave?: boolean;
}

/** After so many questions a new engine answers: one that has decided about every node would only say `{}`. */
const QUESTIONS_EACH = 20;

/** The engine over an index that holds the nodes, victims and preemptors of the recorded bodies. */
export function makeCallbacks({ withPolicy, victimsLeave = false }: Circumstances): CallbacksUnderTest {
  const recorded = new RecordedCluster(withPolicy, victimsLeave ? ['n2'] : []);
  const { index } = recorded;
  let engine = engineOver(index);
  let questions = 0;
  const next = (): Engine => {
    if (++questions % QUESTIONS_EACH === 0) {
      engine = engineOver(index);
      recorded.stay();
    }
    return engine;
  };
  const preempt: ExtenderCallbacks['preempt'] = (request) => {
    const verdict = next().preempt(request);
    if (victimsLeave) recorded.leave(verdict, request.candidates);
    return verdict;
  };
  return {
    index,
    callbacks: {
      filter: (request) => next().filter(request),
      prioritize: (request) => next().prioritize(request),
      preempt,
      admitPod: (request) => next().admitPod(request),
      guard: (request) => next().guard(request),
    },
    cluster: {
      isOn: (node, podUid) =>
        index.node(node as NodeName)?.pods.some((pod) => pod.uid === podUid && occupiesNode(pod)) ?? false,
      priorityOf: (podUid) => index.pod(podUid as PodUid)?.priority ?? Number.NaN,
    },
  };
}

/** Never started: it answers from memory, and whoever reaches its writer has found a defect. */
function engineOver(index: ClusterIndex): Engine {
  return new Engine({
    view: index,
    writer: new Proxy({} as ClusterWriter, {
      get: (_, method) => () => {
        throw new Error(`a callback wrote: ${String(method)}`);
      },
    }),
    clock: new VirtualClock(),
    settings: DEFAULT_ENGINE_SETTINGS,
    costs: DEFAULT_COST_MODEL,
    onUnsynced: 'Hold',
    isSynced: () => true,
    podsWatchedSinceMs: () => 0,
    leadership: SOLE_LEADER,
    knowsTickets: () => false,
    readTickets: () => Promise.resolve([]),
    instanceId: 'wire',
    refusalOf: () => null,
    probePod: () => Promise.resolve(null),
    onListenerError: (error) => {
      throw error;
    },
  });
}

/**
 * The recorded preemptors pending, the recorded victims on their nodes, and a checkpoint that only n2 can restore.
 * Priorities are not in the order of the bodies, so that an answer in descending order was sorted by the engine.
 */
class RecordedCluster {
  readonly index = new ClusterIndex();
  readonly #victims: Pod[] = [];
  #version = 0;

  constructor(withPolicy: boolean, withoutAgent: readonly string[]) {
    if (withPolicy) this.#put('policy', makePolicy());
    for (const { verb, text } of readFixtures()) {
      if (verb !== 'preempt') continue;
      const { preemptor, candidates } = readPreemptionArgs(text).request;
      this.#put('pod', preemptor);
      for (const { node, victims } of candidates) {
        const canCheckpoint = !withoutAgent.includes(node);
        this.#put('node', makeNode({ name: node, canCheckpoint, compatibility: `kernel of ${node}` }));
        victims.forEach((uid, position) => {
          const victim = makePod({ name: uid, uid, nodeName: node, priority: 10 * (position % 2) });
          this.#victims.push(victim);
          this.#put('pod', victim);
        });
      }
    }
    const checkpoint = 'of-the-restored-pod';
    this.#put('ticket', makeTicket({ name: RESTORED_TICKET, checkpoint, phase: 'Admitted' }));
    const location = { node: 'n2' as NodeName, reference: 'files' };
    this.#put('checkpoint', makeCheckpoint({ name: checkpoint, ready: true, compatibility: 'kernel of n2', location }));
  }

  /** The victims of the decision terminate: all that were offered on its node, since nobody is added to them. */
  leave(
    { reason, node }: PreemptVerdict,
    candidates: readonly { readonly node: NodeName; readonly victims: readonly PodUid[] }[],
  ): void {
    if (reason !== 'Saving') return;
    const offered = new Set(
      candidates.filter((candidate) => candidate.node === node).flatMap(({ victims }) => victims),
    );
    for (const victim of this.#victims) if (offered.has(victim.uid)) this.#put('pod', { ...victim, deletionMs: 1 });
  }

  /** Nobody terminates any more, for the next engine. */
  stay(): void {
    for (const victim of this.#victims) this.#put('pod', victim);
  }

  #put<K extends IndexedKind>(kind: K, value: IndexedKinds[K]): void {
    const resourceVersion = String(1_000_000 + this.#version++);
    this.index.apply({ type: 'upsert', kind, value: { ...value, resourceVersion } } as IndexEvent);
  }
}

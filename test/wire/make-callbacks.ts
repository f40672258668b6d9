import type { NodeName } from '../../src/domain/ids.ts';
import { occupiesNode } from '../../src/domain/pod.ts';
import { DEFAULT_COST_MODEL } from '../../src/domain/victim-cost.ts';
import type { ExtenderCallbacks } from '../../src/engine/callbacks.ts';
import { Engine } from '../../src/engine/engine.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../../src/engine/steps.ts';
import { readPreemptionArgs } from '../../src/http/wire/preemption-args.ts';
import { ClusterIndex } from '../../src/index/cluster-index.ts';
import type { ClusterWriter } from '../../src/ports/cluster-writer.ts';
import { VirtualClock } from '../../src/sim/virtual-clock.ts';
import { makeNode, makePod, makePolicy } from '../support/builders.ts';
import { readFixtures } from './fixtures.ts';

/** What the wire tests run against, and what they need to know of it to judge its answers. */
export interface CallbacksUnderTest {
  readonly callbacks: ExtenderCallbacks;
  /** Whether the index behind the callbacks sees that pod on that node. */
  readonly isOn: (node: string, podUid: string) => boolean;
}

/** After so many questions a new engine answers: one that has decided about every node would only say `{}`. */
const QUESTIONS_EACH = 20;

/** The engine over an index that holds the nodes and victims of the recorded bodies. */
export function makeCallbacks({ withPolicy }: { readonly withPolicy: boolean }): CallbacksUnderTest {
  const index = recordedCluster(withPolicy);
  let engine = engineOver(index);
  let questions = 0;
  const next = (): Engine => {
    if (++questions % QUESTIONS_EACH === 0) engine = engineOver(index);
    return engine;
  };
  return {
    callbacks: {
      filter: (request) => next().filter(request),
      prioritize: (request) => next().prioritize(request),
      preempt: (request) => next().preempt(request),
      admitPod: (request) => next().admitPod(request),
    },
    isOn: (node, podUid) =>
      index.node(node as NodeName)?.pods.some((pod) => pod.uid === podUid && occupiesNode(pod)) ?? false,
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
    isLeader: () => true,
    readTickets: () => Promise.resolve([]),
    instanceId: 'wire',
    onListenerError: (error) => {
      throw error;
    },
  });
}

function recordedCluster(withPolicy: boolean): ClusterIndex {
  const index = new ClusterIndex();
  if (withPolicy) index.apply({ type: 'upsert', kind: 'policy', value: makePolicy() });
  for (const { verb, text } of readFixtures()) {
    if (verb !== 'preempt') continue;
    for (const { node, victims } of readPreemptionArgs(text).candidates) {
      index.apply({ type: 'upsert', kind: 'node', value: makeNode({ name: node }) });
      for (const uid of victims) {
        index.apply({ type: 'upsert', kind: 'pod', value: makePod({ name: uid, uid, nodeName: node, priority: 10 }) });
      }
    }
  }
  return index;
}

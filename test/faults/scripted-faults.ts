import { AGENT_LEASE_LABEL } from '../../src/domain/labels.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import type { Pod } from '../../src/domain/pod.ts';
import type { WatchEvent } from '../../src/kube/transport.ts';
import { sleep } from '../../src/ports/clock.ts';
import { isGated } from './evidence.ts';
import type { Fault } from './fault-table.ts';
import { podOf } from './parsed.ts';
import type { PlannedFault } from './plan.ts';
import type { StreamMishap } from './process.ts';
import { isBound, isServing, overAfter, pickPod, stopReplica } from './strikes.ts';
import type { World } from './world.ts';

/** Longer than a new leader allows for what its watches have not brought yet (`WATCH_LAG_MS`). */
const LATE_MS = 15_000;

function latePods(seconds: number): (event: WatchEvent) => StreamMishap | null {
  return ({ object }) => (object.kind === RESOURCES.pods.kind ? { kind: 'late', ms: seconds * 1000 } : null);
}

/** Faults that only kept plans name: chance would need thousands of plans to meet what each of them brings about. */
export const SCRIPTED_FAULTS = {
  'a follower that learns late of a replacement takes over': {
    what: 'and of all that happens to pods after it was created; the leader is stopped as soon as it has a ticket',
    strike: (world, { lengthMs }) => {
      const late = ({ type, object }: WatchEvent): StreamMishap | null =>
        type === 'ADDED' && isGated(object) ? { kind: 'late', ms: LATE_MS } : null;
      world.follower()?.replica.process.garble(late, overAfter(world, lengthMs));
      world.next('claimed', () => stopReplica(world, world.leader()?.index, lengthMs));
    },
  },
  'pods reach the follower late': {
    what: 'by as many seconds as `calls` says; tickets and checkpoints come in time',
    strike: (world, { lengthMs, calls }) =>
      world.follower()?.replica.process.garble(latePods(calls), overAfter(world, lengthMs)),
  },
  'pods reach the leader late': {
    what: 'by as many seconds as `calls` says; tickets and checkpoints come in time',
    strike: (world, { lengthMs, calls }) =>
      world.leader()?.replica.process.garble(latePods(calls), overAfter(world, lengthMs)),
  },
  'renewals of agents reach the leader late': {
    what: 'by a minute, while the API server answers as ever',
    strike: (world, { lengthMs }) => {
      const late = ({ object }: WatchEvent): StreamMishap | null =>
        object.metadata?.labels?.[AGENT_LEASE_LABEL] === undefined ? null : { kind: 'late', ms: 60_000 };
      world.leader()?.replica.process.garble(late, overAfter(world, lengthMs));
    },
  },
  'a running pod asks its node for more': {
    what: 'and its node has too little, so kube-scheduler asks for the room of the less important pods there, again and again (KEP-5836)',
    strike: (world, fault) => void grow(world, fault),
  },
} as const satisfies Record<string, Fault>;

async function grow(world: World, fault: PlannedFault): Promise<void> {
  const growing = pickPod(world, fault, ({ metadata, spec }) => isServing(metadata.name) && isBound(spec));
  if (growing === null) return;
  const { name, namespace = 'default' } = growing.metadata;
  const resize = async (status: 'True' | 'False'): Promise<void> => {
    const condition = { type: 'PodResizePending', status, ...(status === 'True' && { reason: 'Deferred' }) };
    const options = { type: 'strategic', subresource: 'status' } as const;
    const patch = { status: { conditions: [condition] } };
    await world.tryTo(() => world.admin.patch(RESOURCES.pods, namespace, name, patch, options));
  };
  await resize('True');
  const { nodeName, priority } = podOf(growing);
  const lesser = (): readonly Pod[] =>
    world.api
      .list(RESOURCES.pods)
      .map(podOf)
      .filter((pod) => pod.nodeName === nodeName && pod.priority < priority);
  const first = new Set(lesser().map(({ uid }) => uid));
  for (const isOver = overAfter(world, fault.lengthMs); !isOver();) {
    await sleep(world.clock, 2_000);
    const left = lesser().filter(({ uid }) => first.has(uid));
    if (left.length === 0) break;
    const victims = { Pods: left.map(({ uid }) => ({ UID: uid })), NumPDBViolations: 0 };
    const question = { Pod: growing, NodeNameToMetaVictims: { [nodeName ?? '']: victims } };
    await world.tryTo(() => world.askToPreempt(JSON.stringify(question)));
  }
  await resize('False');
}

import { AGENT_LEASE_LABEL } from '../../src/domain/labels.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import type { WatchEvent } from '../../src/kube/transport.ts';
import { isGated } from './evidence.ts';
import type { Fault } from './fault-table.ts';
import type { StreamMishap } from './process.ts';
import { overAfter, stopReplica } from './strikes.ts';

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
} as const satisfies Record<string, Fault>;

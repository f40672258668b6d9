import type { Ticket } from '../../domain/ticket.ts';
import type { ClusterView } from '../../index/types.ts';
import { Steps } from '../core/steps.ts';
import { blockersOf, type Blocker } from './blockers.ts';
import { isGated } from './claims.ts';
import { queuedOf, type Queued } from './queue.ts';
import { byTurn } from './restore-queue.ts';

/** How many nodes stand in the way of a ticket, by the first reason each has. */
export interface NodeObstacles {
  /** Another compatibility class, not the node that holds the state where only that one may, or its restore failed there. */
  incompatible: number;
  /** Not ready, cordoned, tainted, or not selected by the pod. */
  unsuitable: number;
  /** Restores as many pods as it may. */
  saturated: number;
  full: number;
  /** Has room, and a host port, a volume or other pods keep the pod off. */
  conflicting: number;
  /** Has room, which an earlier ticket is given or the head of the queue is kept. */
  promised: number;
}

/** What an open ticket waits for, in words. */
export function waitsFor(view: ClusterView, { namespace, phase, claim, heldFor }: Ticket): string {
  switch (phase) {
    case 'Saving':
      return 'its pod to be saved';
    case 'Displacing':
      return 'its pod to be gone';
    case 'Waiting': {
      if (claim === null) return 'a pod that continues it';
      if (heldFor !== null) return 'a person to remove the annotation reprieve.dev/hold';
      const pod = view.podOf({ namespace, uid: claim.uid });
      return pod === undefined || isGated(pod) ? 'room' : 'kube-scheduler to find room';
    }
    case 'Admitted':
      return 'kube-scheduler to place its pod';
    case 'Restoring':
      return 'the node to restore its pod';
    case 'Held':
      return 'a person to decide: annotation reprieve.dev/decide on the ticket';
    case 'Restored':
    case 'ColdStarted':
    case 'Abandoned':
      return 'nothing';
    default:
      return phase satisfies never;
  }
}

/**
 * Why the first of the queue are not admitted: ticket UID -> its obstacles. Looks at every node for each of them, so `limit`
 * bounds how long a dump of a large cluster keeps callbacks waiting.
 */
export function obstaclesInQueue(
  view: ClusterView,
  maxRestores: number,
  limit: number,
): ReadonlyMap<string, NodeObstacles> {
  const steps = new Steps();
  const waiting: Queued[] = [];
  for (const ticket of view.tickets()) {
    const entry = queuedOf(view, ticket, steps);
    if (entry !== null && isGated(entry.pod) && ticket.phase === 'Waiting') waiting.push(entry);
  }
  const first = waiting.sort(byTurn).slice(0, limit);
  return new Map(first.map((entry) => [entry.ticket.uid, obstaclesOf(view, maxRestores, entry)]));
}

function obstaclesOf(view: ClusterView, maxRestores: number, entry: Queued): NodeObstacles {
  const obstacles: NodeObstacles = {
    incompatible: 0,
    unsuitable: 0,
    saturated: 0,
    full: 0,
    conflicting: 0,
    promised: 0,
  };
  for (const { reason, nodes } of blockersOf(view, maxRestores, entry)) obstacles[kindOf(reason)] += nodes;
  return obstacles;
}

function kindOf(blocker: Blocker): keyof NodeObstacles {
  switch (blocker) {
    case 'OtherClass':
    case 'DoesNotHoldIt':
    case 'FailedThere':
      return 'incompatible';
    case 'AgentSilent':
    case 'NotReady':
    case 'Cordoned':
    case 'Tainted':
    case 'NotSelected':
      return 'unsuitable';
    case 'Saturated':
      return 'saturated';
    case 'InsufficientCpu':
    case 'InsufficientMemory':
    case 'InsufficientStorage':
    case 'InsufficientPods':
    case 'InsufficientExtended':
      return 'full';
    case 'Promised':
      return 'promised';
    default:
      return 'conflicting';
  }
}

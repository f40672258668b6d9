import { fits, subtractResources } from '../domain/resources.ts';
import type { Ticket } from '../domain/ticket.ts';
import type { ClusterView, NodeSnapshot } from '../index/types.ts';
import { isGated } from './claims.ts';
import { byTurn, queuedOf, type Queued } from './queue.ts';
import { restoresUnderWay, suits } from './room.ts';
import { restoreObstacle } from './saved-state.ts';
import { Steps } from './steps.ts';

/** How many nodes stand in the way of a ticket, by the first reason each has. */
export interface NodeObstacles {
  /** Another compatibility class, not the node that holds the state where only that one may, or its restore failed there. */
  incompatible: number;
  /** Not ready, cordoned, tainted, or not selected by the pod. */
  unsuitable: number;
  /** Restores as many pods as it may. */
  saturated: number;
  full: number;
  /** Has room, which an earlier ticket is given or the head of the queue is kept. */
  promised: number;
}

/** What an open ticket waits for, in words. */
export function waitsFor(view: ClusterView, { phase, claim }: Ticket): string {
  switch (phase) {
    case 'Saving':
      return 'its pod to be saved';
    case 'Displacing':
      return 'its pod to be gone';
    case 'Waiting': {
      if (claim === null) return 'a pod that continues it';
      const pod = view.pod(claim.uid);
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

export function obstaclesOf(view: ClusterView, maxRestores: number, entry: Queued): NodeObstacles {
  const obstacles: NodeObstacles = { incompatible: 0, unsuitable: 0, saturated: 0, full: 0, promised: 0 };
  for (const on of view.nodes()) obstacles[obstacleOn(view, on, { maxRestores, entry })]++;
  return obstacles;
}

function obstacleOn(
  view: ClusterView,
  on: NodeSnapshot,
  { maxRestores, entry }: { readonly maxRestores: number; readonly entry: Queued },
): keyof NodeObstacles {
  const { ticket, checkpoint, pod } = entry;
  const obstacle = checkpoint === undefined ? null : restoreObstacle(on.node, { ticket, checkpoint });
  if (obstacle !== null) return obstacle === 'AgentSilent' ? 'unsuitable' : 'incompatible';
  if (!suits(on.node, entry)) return 'unsuitable';
  if (restoresUnderWay(view, on) >= maxRestores) return 'saturated';
  let { free } = on;
  for (const { requests } of on.nominated) free = subtractResources(free, requests);
  return fits(pod.requests, free) ? 'promised' : 'full';
}

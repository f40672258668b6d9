import { fits } from '../../domain/resources.ts';
import { isTerminal } from '../../domain/pod.ts';
import { nodeOf } from '../../kube/project/node.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { ClusterInformers } from '../controllers/cluster-informers.ts';
import type { SchedulerCache } from './cache.ts';
import type { Nominator } from './nominator.ts';
import { nodeNameOf, podInfoOf, type PodInfo } from './pod-info.ts';
import type { SchedulingQueue } from './queue.ts';

/** What the handlers keep up to date. */
export interface SchedulerState {
  readonly schedulerName: string;
  readonly cache: SchedulerCache;
  readonly queue: SchedulingQueue;
  readonly nominator: Nominator;
  /** All pods that have not ended, by UID, as the informer has them. */
  readonly pods: Map<string, PodInfo>;
}

/** `eventhandlers.go`: brings the changes of the cluster into cache, queue and nominator. A pod that has ended is gone. */
export function followCluster(informers: ClusterInformers, state: SchedulerState): void {
  const { cache, queue } = state;
  informers.nodes.onChange((before, after) => {
    if (after === null) {
      if (before !== null) cache.removeNode(nodeNameOf(before));
      return;
    }
    cache.setNode(after);
    if (before === null || hasSchedulingChange(before, after)) queue.notify({ type: 'node-changed' });
  });
  informers.pods.onChange((before, after) => {
    const uid = (after ?? before)?.metadata.uid ?? '';
    const known = state.pods.get(uid) ?? null;
    const projected = after === null ? null : podInfoOf(after);
    const current = projected === null || isTerminal(projected.pod) ? null : projected;
    if (current === null) state.pods.delete(uid);
    else state.pods.set(uid, current);
    if (known === null && current !== null) onAdd(state, current);
    else if (known !== null && current !== null) onUpdate(state, known, current);
    else if (known !== null) onDelete(state, known);
  });
}

const ANYONE = Number.POSITIVE_INFINITY;

function onAdd(state: SchedulerState, info: PodInfo): void {
  const { cache, queue, nominator } = state;
  if (info.pod.nodeName !== null) {
    cache.set(info);
    queue.notify({ type: 'other' });
  } else if (info.pod.schedulerName === state.schedulerName) {
    nominator.set(info, null);
    queue.add(info);
    queue.notify({ type: 'other' });
  }
}

function onUpdate(state: SchedulerState, before: PodInfo, after: PodInfo): void {
  const { cache, queue, nominator } = state;
  const { uid } = after.pod;
  if (before.pod.nodeName !== null) {
    cache.set(after);
    // In-place resize to less makes room as a removal does.
    const shrinks = !fits(before.pod.requests, after.pod.requests);
    queue.notify(shrinks ? { type: 'assigned-pod-removed', maxPriority: ANYONE } : { type: 'other' });
    return;
  }
  if (after.pod.nodeName !== null) {
    cache.set(after);
    queue.delete(uid);
    nominator.delete(uid);
    queue.notify({ type: 'other' });
    return;
  }
  if (after.pod.schedulerName !== state.schedulerName) return;
  if (cache.isAssumed(uid)) {
    if (after.pod.deletionMs !== null && before.pod.deletionMs === null) forgetAssumed(state, uid);
    return;
  }
  nominator.update(before, after);
  queue.update(before, after);
  queue.notify({ type: 'other' });
  const nominated = before.pod.nominatedNodeName;
  // To pods behind it a nominated pod is as good as assigned: leaving the node is a removal.
  if (nominated !== null && nominated !== after.pod.nominatedNodeName) {
    queue.notify({ type: 'assigned-pod-removed', maxPriority: before.pod.priority });
  }
}

function onDelete(state: SchedulerState, before: PodInfo): void {
  const { cache, queue, nominator } = state;
  const { uid } = before.pod;
  nominator.delete(uid);
  if (before.pod.nodeName !== null) {
    cache.remove(uid);
    queue.notify({ type: 'assigned-pod-removed', maxPriority: ANYONE });
    return;
  }
  queue.delete(uid);
  if (cache.isAssumed(uid)) forgetAssumed(state, uid);
  else if (before.pod.nominatedNodeName !== null) {
    queue.notify({ type: 'assigned-pod-removed', maxPriority: before.pod.priority });
  } else queue.notify({ type: 'other' });
}

function forgetAssumed({ cache, queue }: SchedulerState, uid: string): void {
  if (cache.forget(uid)) queue.notify({ type: 'assigned-pod-removed', maxPriority: ANYONE });
}

/** Heartbeats do not count (`NodeSchedulingPropertiesChange`). */
function hasSchedulingChange(before: KubeObject, after: KubeObject): boolean {
  const [old, now] = [nodeOf(before), nodeOf(after)];
  const properties = ({ allocatable, labels, taints, unschedulable, ready }: typeof old): string =>
    JSON.stringify([allocatable, labels, taints, unschedulable, ready]);
  return properties(old) !== properties(now);
}

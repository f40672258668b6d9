import { RESOURCES } from '../../src/kube/resources.ts';
import type { ScenarioAction } from '../../src/sim/scenario.ts';

export function create(
  atMs: number,
  type: Extract<ScenarioAction, { kind: 'create' }>['type'],
  object: object,
): ScenarioAction {
  return { atMs, kind: 'create', type, object };
}

/** Pods of class `batch` are the victims of pods of class `serving`. */
export const PRIORITY_CLASSES: readonly ScenarioAction[] = [
  create(0, RESOURCES.priorityClasses, { metadata: { name: 'batch' }, value: 10 }),
  create(0, RESOURCES.priorityClasses, { metadata: { name: 'serving' }, value: 1000 }),
];

/** A policy by which every pod of class `batch` is saved; with more of its `preemption`, and of the rest of its spec. */
export function savesBatch(preemption: object = {}, rest: object = {}): ScenarioAction {
  return create(0, RESOURCES.reprievePolicies, {
    metadata: { name: 'all' },
    spec: { match: { priorityClassNames: ['batch'] }, preemption: { decision: 'Always', ...preemption }, ...rest },
  });
}

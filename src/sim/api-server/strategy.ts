import { API_GROUP, RESOURCES, type ResourceType } from '../../kube/resources.ts';
import type { Draft, StoredObject } from './api-object.ts';
import { semanticallySame } from './json.ts';
import type { FieldError } from './status-error.ts';
import { eventErrors } from './event-validation.ts';
import { defaultPod, initialPodStatus } from './pod-defaults.ts';
import { podCreateErrors, podStatusErrors, podUpdateErrors } from './pod-validation.ts';
import { defaultWorkload } from './workload-defaults.ts';

/** What is peculiar to the writes of one kind, in the terms of `pkg/registry/<group>/<kind>/strategy.go`. */
export interface Strategy {
  /** Status has its own subresource: writes to the object leave it alone, and the other way round. */
  readonly hasStatus: boolean;
  /** What moves `metadata.generation`. */
  readonly generation: 'none' | 'fixed' | 'spec' | 'spec+annotations' | 'all-but-metadata';
  /** PUT of an object that is not there creates it. */
  readonly createsOnUpdate: boolean;
  /** PUT without a resourceVersion is let through. */
  readonly updatesUnconditionally: boolean;
  /** Deleted with a grace period: only pods are. */
  readonly deletesGracefully: boolean;
  /** The answer to a DELETE is the object and not a `Status`. */
  readonly returnsDeleted: boolean;
  /** Fills in defaults, on create and on every update. */
  applyDefaults(draft: Draft): void;
  /** The status of a new object. */
  initStatus(draft: Draft, nowMs: number): void;
  /** Puts back from `old` what a write to `/status` may not change. */
  keepForStatus(draft: Draft, old: StoredObject): Draft;
  createErrors(draft: Draft): readonly FieldError[];
  updateErrors(draft: Draft, old: StoredObject): readonly FieldError[];
  statusErrors(draft: Draft, old: StoredObject): readonly FieldError[];
}

const BUILT_IN: Strategy = {
  hasStatus: false,
  generation: 'none',
  createsOnUpdate: false,
  updatesUnconditionally: true,
  deletesGracefully: false,
  returnsDeleted: false,
  applyDefaults() {},
  initStatus() {},
  keepForStatus(draft, old) {
    draft['spec'] = old['spec'];
    return draft;
  },
  createErrors: () => [],
  updateErrors: () => [],
  statusErrors: () => [],
};

const WORKLOAD: Strategy = {
  ...BUILT_IN,
  hasStatus: true,
  generation: 'spec',
  applyDefaults: defaultWorkload,
  initStatus(draft) {
    draft['status'] = {};
  },
};

/** Custom resources: nothing but the status may be written through `/status`, not even labels. */
const CUSTOM: Strategy = {
  ...BUILT_IN,
  hasStatus: true,
  generation: 'all-but-metadata',
  updatesUnconditionally: false,
  initStatus(draft) {
    delete draft['status'];
  },
  keepForStatus(draft, old) {
    const kept: Draft = { ...old, metadata: { ...old.metadata } };
    if (draft['status'] === undefined) delete kept['status'];
    else kept['status'] = draft['status'];
    return kept;
  },
};

const STRATEGIES = new Map<ResourceType, Strategy>([
  [
    RESOURCES.pods,
    {
      ...BUILT_IN,
      hasStatus: true,
      generation: 'spec',
      deletesGracefully: true,
      returnsDeleted: true,
      applyDefaults: defaultPod,
      initStatus: initialPodStatus,
      keepForStatus(draft, old) {
        draft['spec'] = old['spec'];
        // Labels, annotations and finalizers do go through; owner references do not, because old kubelets corrupted them.
        if (old.metadata.ownerReferences === undefined) delete draft.metadata.ownerReferences;
        else draft.metadata.ownerReferences = old.metadata.ownerReferences;
        delete draft.metadata.deletionTimestamp;
        return draft;
      },
      createErrors: podCreateErrors,
      updateErrors: podUpdateErrors,
      statusErrors: podStatusErrors,
    },
  ],
  [RESOURCES.nodes, { ...BUILT_IN, hasStatus: true }],
  [
    RESOURCES.namespaces,
    {
      ...BUILT_IN,
      hasStatus: true,
      returnsDeleted: true,
      applyDefaults(draft) {
        // The real server writes it on create and on update; namespace selectors rely on it.
        draft.metadata.labels = { ...draft.metadata.labels, 'kubernetes.io/metadata.name': draft.metadata.name };
      },
      initStatus(draft) {
        draft['status'] = { phase: 'Active' };
      },
    },
  ],
  [RESOURCES.events, { ...BUILT_IN, createsOnUpdate: true, createErrors: eventErrors, updateErrors: eventErrors }],
  [RESOURCES.podDisruptionBudgets, { ...WORKLOAD, updatesUnconditionally: false, applyDefaults() {} }],
  [RESOURCES.priorityClasses, { ...BUILT_IN, generation: 'fixed', applyDefaults: defaultPriorityClass }],
  [RESOURCES.runtimeClasses, { ...BUILT_IN, createsOnUpdate: true, updatesUnconditionally: false }],
  [RESOURCES.leases, { ...BUILT_IN, createsOnUpdate: true, updatesUnconditionally: false }],
  [RESOURCES.jobs, WORKLOAD],
  [
    RESOURCES.deployments,
    {
      ...WORKLOAD,
      generation: 'spec+annotations',
      keepForStatus(draft, old) {
        draft['spec'] = old['spec'];
        if (old.metadata.labels === undefined) delete draft.metadata.labels;
        else draft.metadata.labels = old.metadata.labels;
        return draft;
      },
    },
  ],
  [RESOURCES.replicaSets, WORKLOAD],
  [RESOURCES.replicationControllers, WORKLOAD],
  [RESOURCES.statefulSets, WORKLOAD],
  [RESOURCES.mutatingWebhooks, { ...BUILT_IN, generation: 'fixed', updatesUnconditionally: false }],
  [RESOURCES.validatingWebhooks, { ...BUILT_IN, generation: 'fixed', updatesUnconditionally: false }],
  [
    RESOURCES.customResourceDefinitions,
    { ...BUILT_IN, hasStatus: true, generation: 'spec', updatesUnconditionally: false },
  ],
]);

export function strategyOf(type: ResourceType): Strategy {
  return STRATEGIES.get(type) ?? (isCustom(type) ? CUSTOM : BUILT_IN);
}

/** A kind that a CRD defines: strategic merge patch is not for these. */
export function isCustom(type: ResourceType): boolean {
  return type.group === API_GROUP;
}

/** Whether a write moves the generation. */
export function changesGeneration({ generation }: Strategy, draft: Draft, old: StoredObject): boolean {
  if (generation === 'none' || generation === 'fixed') return false;
  if (generation === 'all-but-metadata') {
    return !semanticallySame({ ...draft, metadata: null }, { ...old, metadata: null });
  }
  if (!semanticallySame(draft['spec'], old['spec'])) return true;
  return generation === 'spec+annotations' && !semanticallySame(draft.metadata.annotations, old.metadata.annotations);
}

function defaultPriorityClass(draft: Draft): void {
  draft['preemptionPolicy'] ??= 'PreemptLowerPriority';
}

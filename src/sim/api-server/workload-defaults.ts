import type { Draft } from './api-object.ts';
import { isRecord, recordAt, type JsonRecord } from './json.ts';

/** Defaults of Jobs, ReplicaSets, ReplicationControllers, Deployments and StatefulSets that their controllers read. */
export function defaultWorkload(draft: Draft): void {
  if (!isRecord(draft['spec'])) return;
  const spec: JsonRecord = { ...SPEC_DEFAULTS[draft.kind], ...draft['spec'] };
  if (draft.kind === 'Job') defaultJob(draft, spec);
  draft['spec'] = spec;
}

const SPEC_DEFAULTS: Readonly<Record<string, Readonly<JsonRecord>>> = {
  Job: { backoffLimit: 6, suspend: false, completionMode: 'NonIndexed' },
  ReplicaSet: { replicas: 1 },
  ReplicationController: { replicas: 1 },
  Deployment: {
    replicas: 1,
    revisionHistoryLimit: 10,
    progressDeadlineSeconds: 600,
    strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '25%', maxSurge: '25%' } },
  },
  StatefulSet: {
    replicas: 1,
    revisionHistoryLimit: 10,
    podManagementPolicy: 'OrderedReady',
    updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 0 } },
  },
};

function defaultJob(draft: Draft, spec: JsonRecord): void {
  // Neither given: one pod. Only parallelism given: a work queue, which has no number of completions.
  if (spec['completions'] === undefined && spec['parallelism'] === undefined) spec['completions'] = 1;
  spec['parallelism'] ??= 1;
  spec['podReplacementPolicy'] ??= spec['podFailurePolicy'] === undefined ? 'TerminatingOrFailed' : 'Failed';
  if (spec['manualSelector'] === true || spec['selector'] !== undefined) return;
  // The real server generates the selector and the labels from the UID of the job.
  const generated = {
    'batch.kubernetes.io/controller-uid': draft.metadata.uid,
    'batch.kubernetes.io/job-name': draft.metadata.name,
    'controller-uid': draft.metadata.uid,
    'job-name': draft.metadata.name,
  };
  const template = recordAt(spec, 'template');
  const metadata = recordAt(template, 'metadata');
  const labels = { ...recordAt(metadata, 'labels'), ...generated };
  spec['template'] = { ...template, metadata: { ...metadata, labels } };
  spec['selector'] = { matchLabels: { 'batch.kubernetes.io/controller-uid': draft.metadata.uid } };
  if (Object.keys(draft.metadata.labels ?? {}).length === 0) draft.metadata.labels = labels as Record<string, string>;
}

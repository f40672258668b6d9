import { messageOf } from '../../domain/message-of.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { Draft } from './api-object.ts';
import { copyJson, isRecord, recordAt, textAt, type JsonRecord } from './json.ts';
import { applyJsonPatch } from './json-patch.ts';
import type { ObjectStore } from './object-store.ts';
import { forbidden, internalError, StatusError } from './status-error.ts';

/** `admission.k8s.io/v1` AdmissionReview, request and response. */
export interface AdmissionReview {
  readonly apiVersion: 'admission.k8s.io/v1';
  readonly kind: 'AdmissionReview';
  readonly request?: AdmissionRequest;
  readonly response?: AdmissionResponse;
}

interface AdmissionRequest {
  readonly uid: string;
  readonly kind: { readonly group: string; readonly version: string; readonly kind: string };
  readonly resource: { readonly group: string; readonly version: string; readonly resource: string };
  readonly requestKind: { readonly group: string; readonly version: string; readonly kind: string };
  readonly requestResource: { readonly group: string; readonly version: string; readonly resource: string };
  readonly name?: string;
  readonly namespace: string;
  readonly operation: 'CREATE';
  readonly userInfo: { readonly username: string; readonly groups: readonly string[] };
  readonly object: KubeObject;
  readonly oldObject: null;
  readonly dryRun: boolean;
  readonly options: { readonly kind: 'CreateOptions'; readonly apiVersion: 'meta.k8s.io/v1' };
}

interface AdmissionResponse {
  readonly uid: string;
  readonly allowed: boolean;
  readonly status?: { readonly code?: number; readonly message?: string; readonly reason?: string };
  readonly patchType?: 'JSONPatch';
  /** Base64 of a JSON patch. */
  readonly patch?: string;
  readonly warnings?: readonly string[];
}

/** The Priority admission plugin: resolves the class, or the default class, into a number and a policy. */
export function admitPriority(draft: Draft, store: ObjectStore): void {
  const spec = { ...recordAt(draft, 'spec') };
  const classes = store.collection(RESOURCES.priorityClasses);
  const name = textAt(spec, 'priorityClassName');
  const priorityClass =
    name === '' ? classes.list(null).find((candidate) => candidate['globalDefault'] === true) : classes.get(null, name);
  if (name !== '' && priorityClass === undefined) {
    throw forbidden(RESOURCES.pods, draft.metadata.name, `no PriorityClass with name ${name} was found`);
  }
  const value = Number(priorityClass?.['value'] ?? 0);
  if (spec['priority'] !== undefined && spec['priority'] !== value) {
    const why =
      `the integer value of priority (${JSON.stringify(spec['priority'])}) must not be provided in pod spec; ` +
      `priority admission controller computed ${value} from the given PriorityClass name`;
    throw forbidden(RESOURCES.pods, draft.metadata.name, why);
  }
  if (priorityClass !== undefined) spec['priorityClassName'] = priorityClass.metadata.name;
  spec['priority'] = value;
  const policy = priorityClass?.['preemptionPolicy'] ?? 'PreemptLowerPriority';
  if (spec['preemptionPolicy'] !== undefined && spec['preemptionPolicy'] !== policy) {
    const why =
      `the string value of PreemptionPolicy (${JSON.stringify(spec['preemptionPolicy'])}) must not be provided in pod spec; ` +
      `priority admission controller computed ${JSON.stringify(policy)} from the given PriorityClass name`;
    throw forbidden(RESOURCES.pods, draft.metadata.name, why);
  }
  spec['preemptionPolicy'] = policy;
  draft['spec'] = spec;
}

/** The DefaultTolerationSeconds admission plugin: five minutes on a node that does not answer. */
export function admitTolerations(draft: Draft): void {
  const spec = recordAt(draft, 'spec');
  const tolerations = Array.isArray(spec['tolerations']) ? (spec['tolerations'] as readonly unknown[]) : [];
  const added = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'].filter(
    (key) => !tolerations.some((toleration) => toleratesNoExecute(toleration, key)),
  );
  if (added.length === 0) return;
  const seconds = added.map((key) => ({ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 }));
  draft['spec'] = { ...spec, tolerations: [...tolerations, ...seconds] };
}

function toleratesNoExecute(toleration: unknown, key: string): boolean {
  if (!isRecord(toleration)) return false;
  const [ownKey, effect] = [textAt(toleration, 'key'), textAt(toleration, 'effect')];
  return (ownKey === key || ownKey === '') && (effect === 'NoExecute' || effect === '');
}

/**
 * Sends a new pod through the mutating webhook. A webhook that fails or answers nonsense is passed over
 * (`failurePolicy: Ignore`); one that refuses, or whose patch does not apply, fails the request, as on the real server.
 */
export async function callWebhook(
  admitPod: (review: AdmissionReview) => Promise<AdmissionReview>,
  draft: Draft,
  context: { readonly uid: string; readonly namespace: string; readonly user: string; readonly dryRun: boolean },
): Promise<Draft> {
  const pod = { group: '', version: 'v1' };
  const request: AdmissionRequest = {
    uid: context.uid,
    kind: { ...pod, kind: 'Pod' },
    resource: { ...pod, resource: 'pods' },
    requestKind: { ...pod, kind: 'Pod' },
    requestResource: { ...pod, resource: 'pods' },
    ...(draft.metadata.name !== '' && { name: draft.metadata.name }),
    namespace: context.namespace,
    operation: 'CREATE',
    userInfo: { username: context.user, groups: ['system:authenticated'] },
    object: copyJson(draft),
    oldObject: null,
    dryRun: context.dryRun,
    options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' },
  };
  let response: AdmissionResponse | undefined;
  try {
    response = (await admitPod({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request })).response;
  } catch {
    return draft;
  }
  if (response === undefined || response.uid !== context.uid) return draft;
  if (!response.allowed) throw denied(response);
  if (response.patch === undefined || response.patch === '') return draft;
  try {
    const patch: unknown = JSON.parse(Buffer.from(response.patch, 'base64').toString('utf8'));
    return copyJson(applyJsonPatch(draft, patch)) as Draft;
  } catch (error) {
    throw internalError(messageOf(error));
  }
}

function denied({ status }: AdmissionResponse): StatusError {
  const why =
    status?.message === undefined ? 'denied the request without explanation' : `denied the request: ${status.message}`;
  const fields: JsonRecord = { ...status };
  return new StatusError({
    code: Number(fields['code'] ?? 400),
    reason: status?.reason ?? '',
    message: `admission webhook "pods.reprieve.dev" ${why}`,
  });
}

import type { PodOwner } from './pod.ts';

/** What Reprieve has to know of one kind of controller. */
interface OwnerKind {
  /** API group: a Job of another group is another kind. */
  readonly group: string;
  readonly identity: IdentityRule;
  /** The controller makes the successor on the same node, in the same moment: saving the pod frees nothing. */
  readonly returnsToItsNode: boolean;
  /** It counts a pod that is deleted before it ended as a failure. */
  readonly countsEvictions: boolean;
}

/** Which new pod of the same controller continues the work of a displaced one. */
type IdentityRule =
  /** Any: the controller tells its pods apart by nothing. */
  | 'Interchangeable'
  /** The pod with the same completion index; pods of a Job without indexes are interchangeable. */
  | 'CompletionIndex'
  /** The pod with the same name. */
  | 'Name'
  /** The pod with the same values of the labels that the policy names; the pod with the same name where it names none. */
  | 'LabelsOrName';

/** Kind of the controller -> what is known of it. A kind with rules of its own is one row here. */
const OWNER_KINDS: Readonly<Record<string, OwnerKind>> = {
  ReplicaSet: { group: 'apps', identity: 'Interchangeable', returnsToItsNode: false, countsEvictions: false },
  ReplicationController: { group: '', identity: 'Interchangeable', returnsToItsNode: false, countsEvictions: false },
  Job: { group: 'batch', identity: 'CompletionIndex', returnsToItsNode: false, countsEvictions: true },
  StatefulSet: { group: 'apps', identity: 'Name', returnsToItsNode: false, countsEvictions: false },
  DaemonSet: { group: 'apps', identity: 'Name', returnsToItsNode: true, countsEvictions: false },
  /** The kubelet itself, which runs static pods. */
  Node: { group: '', identity: 'Name', returnsToItsNode: true, countsEvictions: false },
};
/** Others may give each pod a part of its own (a rank, a role), which only its name or its labels tell. */
const OTHERS: OwnerKind = { group: '', identity: 'LabelsOrName', returnsToItsNode: false, countsEvictions: false };

/** What tells the work of one pod from that of its siblings. */
export interface Identifiable {
  /** Null while it is not chosen: the API server makes it of `generateName`. */
  readonly name: string | null;
  readonly completionIndex: number | null;
  /** Values of the identity labels; null where the policy names none, or the pod lacks one of them. */
  readonly identityLabels: Readonly<Record<string, string>> | null;
}

/** Pods of this controller are never saved: they come back on the same node at once. */
export function returnsToItsNode(owner: PodOwner): boolean {
  return ownerKindOf(owner).returnsToItsNode;
}

/** It counts a pod that is deleted before it ended as a failure, and may fail by it. */
export function countsEvictions(owner: PodOwner): boolean {
  return ownerKindOf(owner).countsEvictions;
}

/** The successor of a pod has its name: that of a bare pod (null), which Reprieve creates again, and of a StatefulSet. */
export function keepsName(owner: PodOwner | null, pod: Pick<Identifiable, 'identityLabels'>): boolean {
  if (owner === null) return true;
  const { identity } = ownerKindOf(owner);
  return identity === 'Name' || (identity === 'LabelsOrName' && pod.identityLabels === null);
}

/** Equal for pods of one controller of which each may continue the work of the other; null: it tells its pods apart by nothing. */
export function identityOf(owner: PodOwner | null, pod: Identifiable): string | number | null {
  const identity = owner === null ? 'Name' : ownerKindOf(owner).identity;
  switch (identity) {
    case 'Interchangeable':
      return null;
    case 'CompletionIndex':
      return pod.completionIndex;
    case 'Name':
      return pod.name;
    case 'LabelsOrName':
      return pod.identityLabels === null ? pod.name : labelIdentity(pod.identityLabels);
    default:
      return identity satisfies never;
  }
}

/** Not the name of any pod. */
function labelIdentity(labels: Readonly<Record<string, string>>): string {
  return JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The labels of a pod by which its work is known; null where it lacks one of `keys`, or there are none. */
export function identityLabelsOf(
  labels: Readonly<Record<string, string>>,
  keys: readonly string[],
): Readonly<Record<string, string>> | null {
  if (keys.length === 0 || !keys.every((key) => Object.hasOwn(labels, key))) return null;
  return Object.fromEntries(keys.map((key) => [key, labels[key] as string]));
}

/** {@link identityOf} of a pod, by the labels with `keys`. */
export function identityOfPod(
  pod: Omit<Identifiable, 'identityLabels'> & {
    readonly owner: PodOwner | null;
    readonly labels: Readonly<Record<string, string>>;
  },
  keys: readonly string[],
): string | number | null {
  const { owner, name, completionIndex, labels } = pod;
  return identityOf(owner, { name, completionIndex, identityLabels: identityLabelsOf(labels, keys) });
}

/**
 * Whether the successor of a pod could be told among the pods of its controller. It cannot where a controller of a kind that is
 * not known here lets the API server choose the names, and the pod lacks the labels that its policy names.
 */
export function hasKnownSuccessor(
  owner: PodOwner | null,
  {
    hasGeneratedName,
    labels,
  }: { readonly hasGeneratedName: boolean; readonly labels: Readonly<Record<string, string>> },
  identityLabels: readonly string[],
): boolean {
  if (owner === null || !hasGeneratedName || ownerKindOf(owner).identity !== 'LabelsOrName') return true;
  return identityLabelsOf(labels, identityLabels) !== null;
}

function ownerKindOf({ apiVersion, kind }: PodOwner): OwnerKind {
  const known = Object.hasOwn(OWNER_KINDS, kind) ? OWNER_KINDS[kind] : undefined;
  return known !== undefined && groupOf(apiVersion) === known.group ? known : OTHERS;
}

/** `apps` of `apps/v1`; empty for the core group. */
export function groupOf(apiVersion: string): string {
  const slash = apiVersion.indexOf('/');
  return slash < 0 ? '' : apiVersion.slice(0, slash);
}

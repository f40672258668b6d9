import type { Pod } from './pod.ts';
import { selects, type LabelSelector } from './selector.ts';

/** What a pod demands of a node because of other pods, ports and volumes, beside resources, taints and labels. */
export interface PodConstraints {
  readonly hostPorts: readonly HostPort[];
  /** Required during scheduling, as are `antiAffinity`. */
  readonly affinity: readonly PodTerm[];
  readonly antiAffinity: readonly PodTerm[];
  /** Constraints whose `whenUnsatisfiable` is `DoNotSchedule`. */
  readonly spread: readonly SpreadConstraint[];
  /** Names of the PersistentVolumeClaims of its volumes. */
  readonly volumeClaims: readonly string[];
  /** It has ResourceClaims (dynamic resource allocation), of which the index knows nothing. */
  readonly hasResourceClaims: boolean;
}

export interface HostPort {
  readonly protocol: string;
  /** `0.0.0.0` is every address of the node. */
  readonly ip: string;
  readonly port: number;
}

/** A term of pod affinity or anti-affinity: pods that it selects, and the topology in which they count. */
export interface PodTerm {
  /** Null selects no pod. */
  readonly selector: LabelSelector | null;
  readonly namespaces: readonly string[];
  /** Namespaces beside those; null: none, without requirements: all. */
  readonly namespaceSelector: LabelSelector | null;
  readonly topologyKey: string;
}

export interface SpreadConstraint {
  readonly maxSkew: number;
  readonly topologyKey: string;
  readonly selector: LabelSelector;
  readonly minDomains: number;
  /** `nodeAffinityPolicy` and `nodeTaintsPolicy`: only nodes that the pod may take count. */
  readonly honorsAffinity: boolean;
  readonly honorsTaints: boolean;
}

/** Kubernetes compares ports on one node like this (`HostPortInfo.CheckConflict`). */
export function portsConflict(a: readonly HostPort[], b: readonly HostPort[]): boolean {
  return a.some((one) =>
    b.some(
      (other) =>
        one.port === other.port &&
        one.protocol === other.protocol &&
        (one.ip === other.ip || one.ip === ANY_IP || other.ip === ANY_IP),
    ),
  );
}

const ANY_IP = '0.0.0.0';

/** `labelsOf` gives the labels of a namespace. */
export function selectsPodOf(
  term: PodTerm,
  { namespace, labels }: Pick<Pod, 'namespace' | 'labels'>,
  labelsOf: (namespace: string) => Readonly<Record<string, string>>,
): boolean {
  if (term.selector === null || !selects(term.selector, labels)) return false;
  if (term.namespaces.includes(namespace)) return true;
  return term.namespaceSelector !== null && selects(term.namespaceSelector, labelsOf(namespace));
}

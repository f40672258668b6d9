import type { V1Node, V1NodeSelectorTerm } from '@kubernetes/client-node';
import type { Node } from '../../domain/node.ts';
import type { Pod } from '../../domain/pod.ts';
import { remainder, type Resources } from '../../domain/resources.ts';
import { nodeOf } from '../../kube/project/node.ts';
import { podOf } from '../../kube/project/pod.ts';
import type { Wire } from '../../kube/project/wire.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { WirePod } from '../controllers/objects.ts';

/** One alternative of a node affinity. */
export type NodeTerm = Wire<V1NodeSelectorTerm>;

/** A pod as the scheduler holds it: the object for the wire, the value for decisions. Never changed, only replaced. */
export interface PodInfo {
  readonly raw: KubeObject;
  readonly pod: Pod;
  /** `spec.nodeSelector`. */
  readonly nodeSelector: Readonly<Record<string, string | null | undefined>>;
  /** Alternatives of the required node affinity; null without one. */
  readonly requiredTerms: readonly NodeTerm[] | null;
  readonly preferredTerms: readonly { readonly weight: number; readonly term: NodeTerm }[];
}

/** A node with the pods that count on it, assumed ones included. Never changed, only replaced, so that a snapshot is a copy of the map. */
export interface NodeInfo {
  readonly raw: KubeObject;
  readonly node: Node;
  readonly pods: readonly PodInfo[];
  readonly free: Resources;
}

/** All nodes at the start of a cycle, by name, in the order of their names. */
export type NodeSnapshot = ReadonlyMap<string, NodeInfo>;

export function podInfoOf(object: KubeObject): PodInfo {
  const { spec } = object as WirePod;
  const affinity = spec?.affinity?.nodeAffinity;
  const preferred = affinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
  return {
    raw: forWire(object),
    pod: podOf(object),
    nodeSelector: spec?.nodeSelector ?? {},
    requiredTerms: affinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? null,
    preferredTerms: preferred.map(({ weight, preference }) => ({ weight: weight ?? 0, term: preference ?? {} })),
  };
}

export function nodeInfoOf(object: KubeObject, pods: readonly PodInfo[]): NodeInfo {
  const node = nodeOf(object);
  return { raw: forWire(object), node, pods, free: freeOf(node, pods) };
}

/** The same node with other pods. */
export function withPods(info: NodeInfo, pods: readonly PodInfo[]): NodeInfo {
  return { ...info, pods, free: freeOf(info.node, pods) };
}

/** `metadata.name` of a wire node, which a required term may match as a field. */
export function nodeNameOf(object: KubeObject): string {
  return (object as Wire<V1Node> & KubeObject).metadata.name;
}

function freeOf(node: Node, pods: readonly PodInfo[]): Resources {
  return remainder(
    node.allocatable,
    pods.map(({ pod }) => pod),
  );
}

/** As the Go structs serialise: an object out of an informer has neither kind nor apiVersion, and managedFields are stripped. */
function forWire(object: KubeObject): KubeObject {
  const { apiVersion: _apiVersion, kind: _kind, ...rest } = object;
  const { managedFields: _managedFields, ...metadata } = object.metadata as KubeObject['metadata'] & {
    managedFields?: unknown;
  };
  return { ...rest, metadata };
}

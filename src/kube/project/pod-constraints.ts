import type { V1Container, V1PodAffinityTerm, V1PodSpec, V1TopologySpreadConstraint } from '@kubernetes/client-node';
import type { HostPort, PodConstraints, PodTerm, SpreadConstraint } from '../../domain/pod-constraints.ts';
import { selectorOf, type LabelRequirement, type LabelSelector } from '../../domain/selector.ts';
import type { Wire } from './wire.ts';

type Spec = Wire<V1PodSpec>;
type Labels = Readonly<Record<string, string>>;

interface PodNames {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels;
}

/** What a pod demands beside resources, taints and labels of nodes; null for the many that demand nothing. */
export function constraintsOf(spec: Spec | null | undefined, pod: PodNames): PodConstraints | null {
  if (!spec) return null;
  const { podAffinity, podAntiAffinity } = spec.affinity ?? {};
  const hostPorts = hostPortsOf(spec);
  const volumeClaims = volumeClaimsOf(spec, pod.name);
  const affinity = termsOf(podAffinity?.requiredDuringSchedulingIgnoredDuringExecution, pod.namespace);
  const antiAffinity = termsOf(podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution, pod.namespace);
  const spread = spreadOf(spec.topologySpreadConstraints, pod.labels);
  const hasResourceClaims = (spec.resourceClaims?.length ?? 0) > 0;
  const parts = hostPorts.length + volumeClaims.length + affinity.length + antiAffinity.length + spread.length;
  if (parts === 0 && !hasResourceClaims) return null;
  return { hostPorts, affinity, antiAffinity, spread, volumeClaims, hasResourceClaims };
}

const NONE: readonly never[] = Object.freeze([]);

function hostPortsOf({ containers, initContainers }: Spec): readonly HostPort[] {
  let found: HostPort[] | null = null;
  const look = ({ ports }: Wire<V1Container>): void => {
    for (const { hostPort, protocol, hostIP } of ports ?? [])
      if (hostPort) (found ??= []).push({ port: hostPort, protocol: protocol || 'TCP', ip: hostIP || '0.0.0.0' });
  };
  for (const container of containers ?? []) look(container);
  for (const init of initContainers ?? []) if (init.restartPolicy === 'Always') look(init);
  return found ?? NONE;
}

/** The claim of a generic ephemeral volume has the names of pod and volume (`ephemeral.VolumeClaimName`). */
function volumeClaimsOf({ volumes }: Spec, podName: string): readonly string[] {
  let names: string[] | null = null;
  for (const { name, persistentVolumeClaim, ephemeral } of volumes ?? []) {
    if (persistentVolumeClaim) (names ??= []).push(persistentVolumeClaim.claimName ?? '');
    else if (ephemeral) (names ??= []).push(`${podName}-${name ?? ''}`);
  }
  return names ?? NONE;
}

function termsOf(terms: readonly Wire<V1PodAffinityTerm>[] | null | undefined, namespace: string): readonly PodTerm[] {
  if (!terms || terms.length === 0) return NONE;
  // The API server merges `matchLabelKeys` of pod affinity into the selector.
  return terms.map(({ labelSelector, namespaces, namespaceSelector, topologyKey }) => ({
    selector: labelSelector ? selectorOf(labelSelector) : null,
    namespaces: namespaces?.length ? namespaces : namespaceSelector ? NONE : [namespace],
    namespaceSelector: namespaceSelector ? selectorOf(namespaceSelector) : null,
    topologyKey: topologyKey ?? '',
  }));
}

function spreadOf(
  constraints: readonly Wire<V1TopologySpreadConstraint>[] | null | undefined,
  labels: Labels,
): readonly SpreadConstraint[] {
  if (!constraints || constraints.length === 0) return NONE;
  return constraints
    .filter(({ whenUnsatisfiable }) => whenUnsatisfiable !== 'ScheduleAnyway')
    .map(
      ({ maxSkew, topologyKey, labelSelector, matchLabelKeys, minDomains, nodeAffinityPolicy, nodeTaintsPolicy }) => ({
        maxSkew: maxSkew ?? 1,
        topologyKey: topologyKey ?? '',
        selector: labelSelector
          ? { requirements: [...selectorOf(labelSelector).requirements, ...sameLabels(matchLabelKeys, labels)] }
          : SELECTS_NOTHING,
        minDomains: minDomains ?? 1,
        honorsAffinity: nodeAffinityPolicy !== 'Ignore',
        honorsTaints: nodeTaintsPolicy === 'Honor',
      }),
    );
}

const SELECTS_NOTHING: LabelSelector = { requirements: [{ key: '', operator: 'Exists', values: [] }] };

function sameLabels(keys: readonly string[] | null | undefined, labels: Labels): readonly LabelRequirement[] {
  return (keys ?? []).flatMap((key): LabelRequirement[] => {
    const value = labels[key];
    return value === undefined ? [] : [{ key, operator: 'In', values: [value] }];
  });
}

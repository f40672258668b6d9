import type { PodUid } from '../../domain/ids.ts';
import type { Node } from '../../domain/node.ts';
import { standsOn, type Pod } from '../../domain/pod.ts';
import { selectsPodOf, type PodTerm, type SpreadConstraint } from '../../domain/pod-constraints.ts';
import { selects } from '../../domain/selector.ts';
import { whyUntolerated } from '../../domain/toleration.ts';
import { changeCount } from '../../index/counts.ts';
import type { PodQuestion } from '../../index/pod-matches.ts';
import type { ClusterView } from '../../index/types.ts';

/** A pod that will hold room on a node before the one that is asked about. */
export interface ComingPod {
  readonly pod: Pod;
  readonly node: Node;
}

/** The pods of the cluster as they will be when the pod that is asked about is placed. */
export interface PodsThen {
  readonly view: ClusterView;
  readonly leaving: ReadonlySet<PodUid>;
  readonly coming: readonly ComingPod[];
}

/** Value of a topology label -> pods in that domain. */
type Domains = ReadonlyMap<string, number>;

/** Whether a node may take the pod for the sake of one rule. */
type Rule = (node: Node) => boolean;

/** Every term selects a pod in the domain of the node; the first pod that selects itself may be alone (`satisfyPodAffinity`). */
export function affinityRule(then: PodsThen, pod: Pod, terms: readonly PodTerm[]): Rule {
  const labelsOf = (name: string) => then.view.namespaceLabels(name);
  const asks = (other: Pod): boolean => terms.every((term) => selectsPodOf(term, other, labelsOf));
  const question = { key: `affinity ${JSON.stringify(terms)}`, asks };
  const domains = terms.map(({ topologyKey }) => domainsOf(then, topologyKey, question));
  const isFirst = asks(pod) && domains.every(({ size }) => size === 0);
  return ({ labels }) =>
    terms.every(({ topologyKey }, at) => {
      const value = labels[topologyKey];
      return value !== undefined && (isFirst || domains[at]?.has(value) === true);
    });
}

export function antiAffinityRule(then: PodsThen, terms: readonly PodTerm[]): Rule {
  const labelsOf = (name: string) => then.view.namespaceLabels(name);
  const domains = terms.map((term) =>
    domainsOf(then, term.topologyKey, {
      key: `anti-affinity ${JSON.stringify(term)}`,
      asks: (other) => selectsPodOf(term, other, labelsOf),
    }),
  );
  return ({ labels }) =>
    !terms.some(({ topologyKey }, at) => {
      const value = labels[topologyKey];
      return value !== undefined && domains[at]?.has(value) === true;
    });
}

/** Pods with an anti-affinity of their own keep the pod out of their domains. Null where none of them selects it. */
export function repelledRule(then: PodsThen, pod: Pod): Rule | null {
  const { view, leaving, coming } = then;
  const labelsOf = (name: string) => view.namespaceLabels(name);
  const repelled = new Map<string, Set<string>>(); // topology key -> values of its domains
  const repel = (node: Node | undefined, topologyKey: string): void => {
    const value = node?.labels[topologyKey];
    if (value === undefined) return;
    const values = repelled.get(topologyKey);
    if (values === undefined) repelled.set(topologyKey, new Set([value]));
    else values.add(value);
  };
  for (const [constraints, byNode] of view.repelling()) {
    for (const term of constraints.antiAffinity) {
      if (!selectsPodOf(term, pod, labelsOf)) continue;
      for (const [name, count] of byNode) {
        let staying = count;
        for (const uid of leaving) {
          const leaver = view.pod(uid);
          if (standsOn(leaver, name) && leaver.constraints === constraints) staying--;
        }
        if (staying > 0) repel(view.bareNode(name), term.topologyKey);
      }
    }
  }
  for (const { pod: other, node } of coming) {
    for (const term of other.constraints?.antiAffinity ?? [])
      if (selectsPodOf(term, pod, labelsOf)) repel(node, term.topologyKey);
  }
  if (repelled.size === 0) return null;
  return ({ labels }) => {
    for (const [topologyKey, values] of repelled) {
      const value = labels[topologyKey];
      if (value !== undefined && values.has(value)) return false;
    }
    return true;
  };
}

/**
 * As kube-scheduler's PodTopologySpread counts: pods of the same namespace that are not terminating, on nodes that have all
 * topology labels and that the pod may take, as far as the constraint says so.
 */
export function spreadRule(
  then: PodsThen,
  pod: Pod,
  constraints: readonly SpreadConstraint[],
  mayTake: (node: Node) => boolean,
): Rule {
  const { view } = then;
  const limits = constraints.map((constraint) => {
    const { selector, topologyKey, maxSkew, minDomains, honorsAffinity, honorsTaints } = constraint;
    const asks = (other: Pod): boolean =>
      other.namespace === pod.namespace && other.deletionMs === null && selects(selector, other.labels);
    const question = { key: `spread ${pod.namespace} ${JSON.stringify(selector)}`, asks };
    const found = domainsOf(then, topologyKey, question, isCounted);
    const counts = new Map<string, number>(); // also of domains without such pods
    let lowest = Number.POSITIVE_INFINITY;
    for (const node of view.bareNodes()) {
      if (!isCounted(node)) continue;
      const value = node.labels[topologyKey] as string;
      const count = found.get(value) ?? 0;
      counts.set(value, count);
      lowest = Math.min(lowest, count);
    }
    if (counts.size < minDomains) lowest = 0;
    return { topologyKey, counts, most: maxSkew + lowest - (asks(pod) ? 1 : 0) };

    function isCounted(node: Node): boolean {
      if (constraints.some((other) => node.labels[other.topologyKey] === undefined)) return false;
      if (honorsAffinity && !mayTake(node)) return false;
      return !honorsTaints || whyUntolerated(node, pod.tolerations) === null;
    }
  });
  return ({ labels }) =>
    limits.every(({ topologyKey, counts, most }) => {
      const value = labels[topologyKey];
      return value !== undefined && (counts.get(value) ?? 0) <= most;
    });
}

/** Pods by the value that the topology label of their node has. */
function domainsOf(
  { view, leaving, coming }: PodsThen,
  topologyKey: string,
  question: PodQuestion,
  isCounted: (node: Node) => boolean = () => true,
): Domains {
  const domains = new Map<string, number>();
  const count = (node: Node | undefined, by: number): void => {
    const value = node?.labels[topologyKey];
    if (node === undefined || value === undefined || !isCounted(node)) return;
    changeCount(domains, value, by);
  };
  for (const [name, pods] of view.countPods(question)) count(view.bareNode(name), pods);
  for (const { pod, node } of coming) if (question.asks(pod)) count(node, 1);
  for (const uid of leaving) {
    const pod = view.pod(uid);
    if (pod !== undefined && pod.nodeName !== null && standsOn(pod, pod.nodeName) && question.asks(pod))
      count(view.bareNode(pod.nodeName), -1);
  }
  return domains;
}

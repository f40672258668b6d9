import type { KubeObject } from '../../kube/transport.ts';
import { selectorOf, selects } from '../../domain/selector.ts';
import { nodeNameOf, type NodeTerm, type PodInfo } from './pod-info.ts';

/** `spec.nodeSelector` and the required node affinity: all labels, and one of the terms. */
export function matchesRequired({ nodeSelector, requiredTerms }: PodInfo, node: KubeObject): boolean {
  const labels = node.metadata.labels ?? {};
  for (const key in nodeSelector) if (labels[key] !== nodeSelector[key]) return false;
  return requiredTerms === null || requiredTerms.some((term) => matchesTerm(term, node));
}

/** Weights of the preferred terms that match, added up. */
export function preferenceFor({ preferredTerms }: PodInfo, node: KubeObject): number {
  let sum = 0;
  for (const { weight, term } of preferredTerms) if (matchesTerm(term, node)) sum += weight;
  return sum;
}

/** All expressions and all fields; an empty term matches nothing. */
function matchesTerm({ matchExpressions, matchFields }: NodeTerm, node: KubeObject): boolean {
  const [expressions, fields] = [matchExpressions ?? [], matchFields ?? []];
  if (expressions.length + fields.length === 0) return false;
  const labels = node.metadata.labels ?? {};
  // metadata.name is the only field there is.
  return (
    selects(selectorOf({ matchExpressions: expressions }), labels) &&
    selects(selectorOf({ matchExpressions: fields }), { 'metadata.name': nodeNameOf(node) })
  );
}

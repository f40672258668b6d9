import type { Node } from './node.ts';
import { selects, type LabelRequirement, type LabelSelector } from './selector.ts';

/** Nodes that an object insists on: all of `requirements`, and one of `terms` where there are any. */
export interface NodeSelector extends LabelSelector {
  /** Alternatives; null where `requirements` say everything. */
  readonly terms: readonly NodeTerm[] | null;
}

/** One `nodeSelectorTerm`: both parts have to hold. A term without any requirement selects no node, as in Kubernetes. */
export interface NodeTerm {
  readonly labels: readonly LabelRequirement[];
  /** `matchFields`, of which Kubernetes knows `metadata.name` alone. */
  readonly fields: readonly LabelRequirement[];
}

export function selectsNode(selector: NodeSelector, node: Node): boolean {
  return (
    selects(selector, node.labels) &&
    (selector.terms === null || selector.terms.some((term) => selectsTerm(term, node)))
  );
}

export function selectsTerm({ labels, fields }: NodeTerm, node: Node): boolean {
  if (labels.length === 0 && fields.length === 0) return false;
  return (
    selects({ requirements: labels }, node.labels) && selects({ requirements: fields }, { 'metadata.name': node.name })
  );
}

import { objectKey, type NodeName } from '../../domain/ids.ts';
import { isSameNode, type Node } from '../../domain/node.ts';
import { isSameAmount, type Resources } from '../../domain/resources.ts';
import { isFinal } from '../../domain/ticket.ts';
import { unclaimedOn } from '../../index/node-capacity.ts';
import type { ClusterView, NodeSnapshot } from '../../index/types.ts';

/** A node as the queue sees it. */
export interface Place {
  readonly node: Node;
  /** What no pod has, and no pod is nominated for. */
  readonly free: Resources;
  /** Restores under way. */
  readonly restores: number;
  /** Their namespaces, one each. */
  readonly restoring: readonly string[];
}

export function placeOf(view: ClusterView, name: NodeName): Place | null {
  const on = view.node(name);
  if (on === undefined) return null;
  const restoring = restoringIn(view, on);
  return { node: on.node, free: unclaimedOn(on), restores: restoring.length, restoring };
}

export function isSamePlace(a: Place, b: Place): boolean {
  return (
    a.restores === b.restores &&
    a.restoring.every((namespace, at) => namespace === b.restoring[at]) &&
    isSameAmount(a.free, b.free) &&
    isSameNode(a.node, b.node)
  );
}

/** Pods on this node that continue an open ticket and have not reported yet. */
export function restoresUnderWay(view: ClusterView, on: NodeSnapshot): number {
  return restoringIn(view, on).length;
}

const NONE: readonly string[] = [];

function restoringIn(view: ClusterView, { continuing }: NodeSnapshot): readonly string[] {
  if (continuing.length === 0) return NONE;
  return continuing.flatMap(({ namespace, ticket: name }) => {
    // One that never reports does not take a place for ever: its ticket ends some time.
    const ticket = view.ticket(objectKey(namespace, name));
    return ticket !== undefined && !isFinal(ticket.phase) ? [namespace] : [];
  });
}

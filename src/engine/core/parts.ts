import type { Checkpoint } from '../../domain/checkpoint.ts';
import type { DisruptionBudget } from '../../domain/disruption-budget.ts';
import { objectKey, ownerKey } from '../../domain/ids.ts';
import type { Node } from '../../domain/node.ts';
import type { Pod } from '../../domain/pod.ts';
import type { Service } from '../../domain/service.ts';
import type { Ticket } from '../../domain/ticket.ts';
import type { IndexedKind, Namespace } from '../../index/types.ts';
import { isUnreviewed } from '../../index/owned-pods.ts';
import { claimGroupOf } from '../return/claims.ts';

/** The ways in which something can be read: one object by its name, all objects that have something in common, or all of a kind. */
export type PartKind =
  | 'pod' // by UID
  | 'podNamed' // by namespace/name
  | 'gatedOf' // by claim group
  | 'unreviewedOf' // by UID of the controller
  | 'podsOf' // the same: all that do not end
  | 'podsOfTicket'
  | 'node' // with what stands on it
  | 'bareNode'
  | 'listed' // by extended resource
  | 'repelling' // pods with anti-affinity or volumes
  | 'namespace'
  | 'budgets' // by namespace
  | 'services' // by namespace
  | 'ticket'
  | 'victim' // tickets by the UID of the displaced pod
  | 'owner' // tickets by the UID of the controller
  | 'barePod' // tickets by namespace/name of a displaced pod without a controller
  | 'claimant' // tickets by the UID of the claiming pod
  | 'checkpoint'
  | 'checkpointsOfPod'
  | 'checkpointsOn' // by node
  | 'displacement' // by its id
  | 'all' // by kind
  | 'policies'
  | 'replicas' // of the webhook
  | 'overruled';

/** One thing that can be read and can change; equal for the reader and for the change. */
export type Part = readonly [kind: PartKind, key: string];

/** Of what exists once. */
export const ONLY = '';
/** Claims, volumes and their classes: few steps read them. */
const VOLUMES: Part = ['all', 'volume'];
export const POLICIES: Part = ['policies', ONLY];
export const REPLICAS: Part = ['replicas', ONLY];

/** The parts that a version of an object belongs to: a step that read one of them runs again when the version comes or goes. */
export function partsOf(kind: IndexedKind, value: object): readonly Part[] {
  switch (kind) {
    case 'pod': {
      const pod = value as Pod;
      const parts: Part[] = [
        ['all', kind],
        ['pod', pod.uid],
        ['podNamed', objectKey(pod.namespace, pod.name)],
      ];
      if (pod.owner !== null) parts.push(['podsOf', ownerKey(pod.namespace, pod.owner)]);
      if (pod.gates.length > 0) parts.push(['gatedOf', claimGroupOf(pod)]);
      if (pod.ticket !== null) parts.push(['podsOfTicket', objectKey(pod.namespace, pod.ticket)]);
      if (pod.nodeName !== null) parts.push(['node', pod.nodeName]);
      else if (pod.nominatedNodeName !== null) parts.push(['node', pod.nominatedNodeName]);
      if (pod.nodeName !== null && pod.constraints !== null) parts.push(['repelling', ONLY]);
      return parts;
    }
    case 'node': {
      const { name, allocatable } = value as Node;
      const parts: Part[] = [
        ['all', kind],
        ['node', name],
        ['bareNode', name],
      ];
      for (const resource in allocatable.extended) parts.push(['listed', resource]);
      return parts;
    }
    case 'namespace':
      return [['namespace', (value as Namespace).name]];
    case 'budget':
      return [['budgets', (value as DisruptionBudget).namespace]];
    case 'service':
      return [['services', (value as Service).namespace]];
    case 'volumeClaim':
    case 'volume':
    case 'storageClass':
    case 'csiNode':
      return [VOLUMES];
    case 'policy':
      return []; // noticed by another array, see ClusterView.policies
    case 'checkpoint': {
      const { namespace, name, podUid, nodeName } = value as Checkpoint;
      return [
        ['all', kind],
        ['checkpoint', objectKey(namespace, name)],
        ['checkpointsOfPod', podUid],
        ['checkpointsOn', nodeName],
      ];
    }
    case 'ticket': {
      const { namespace, name, pod, owner, claim } = value as Ticket;
      const parts: Part[] = [
        ['all', kind],
        ['ticket', objectKey(namespace, name)],
        ['victim', pod.uid],
      ];
      parts.push(owner === null ? ['barePod', objectKey(namespace, pod.name)] : ['owner', ownerKey(namespace, owner)]);
      if (claim !== null) parts.push(['claimant', claim.uid]);
      return parts;
    }
    default:
      return kind satisfies never;
  }
}

/** What a change of a pod is part of beside that: whom the webhook did not review, which heartbeats do not change. */
export function partsOfReplacement(before: Pod | undefined, after: Pod | undefined): readonly Part[] {
  const [was, is] = [before, after].map((pod) => (pod !== undefined && isUnreviewed(pod) ? pod : null));
  if (was?.owner.uid === is?.owner.uid && was?.creationMs === is?.creationMs) return [];
  return [was, is].flatMap((pod): Part[] =>
    pod == null ? [] : [['unreviewedOf', ownerKey(pod.namespace, pod.owner)]],
  );
}

/** What a change of the displacement with this id is part of. */
export function partsOfDisplacement(id: string): readonly Part[] {
  return [
    ['all', 'displacement'],
    ['displacement', id],
    ['overruled', ONLY],
  ];
}

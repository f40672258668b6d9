import type { IndexedKind, IndexedKinds } from '../../index/types.ts';
import { RESOURCES, type ResourceType } from '../resources.ts';
import type { KubeObject } from '../transport.ts';
import { checkpointOf } from './checkpoint.ts';
import { disruptionBudgetOf } from './disruption-budget.ts';
import { namespaceOf } from './namespace.ts';
import { nodeOf } from './node.ts';
import { podOf } from './pod.ts';
import { policyOf } from './policy.ts';
import { serviceOf } from './service.ts';
import { ticketOf } from './ticket.ts';
import { csiNodeOf, storageClassOf, volumeClaimOf, volumeOf } from './volume.ts';

/** For each kind of the index: where its objects are, and how one becomes a value. */
export const INDEXED_RESOURCES: {
  readonly [K in IndexedKind]: {
    readonly type: ResourceType;
    readonly project: (object: KubeObject) => IndexedKinds[K];
  };
} = {
  pod: { type: RESOURCES.pods, project: podOf },
  node: { type: RESOURCES.nodes, project: nodeOf },
  namespace: { type: RESOURCES.namespaces, project: namespaceOf },
  budget: { type: RESOURCES.podDisruptionBudgets, project: disruptionBudgetOf },
  service: { type: RESOURCES.services, project: serviceOf },
  volumeClaim: { type: RESOURCES.volumeClaims, project: volumeClaimOf },
  volume: { type: RESOURCES.volumes, project: volumeOf },
  storageClass: { type: RESOURCES.storageClasses, project: storageClassOf },
  csiNode: { type: RESOURCES.csiNodes, project: csiNodeOf },
  policy: { type: RESOURCES.reprievePolicies, project: policyOf },
  checkpoint: { type: RESOURCES.podCheckpoints, project: checkpointOf },
  ticket: { type: RESOURCES.reprieves, project: ticketOf },
};

import type { DecisionRecord, DisplacementRecord } from '../../src/kube/crd/displacement.ts';
import type { PodCheckpointSpec } from '../../src/kube/crd/pod-checkpoint.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { RESOURCES, type ResourceType } from '../../src/kube/resources.ts';
import type { KubeObject } from '../../src/kube/transport.ts';

const OLD_ACTIONS = { Save: 'checkpoint', Reuse: 'reuse', Evict: 'evict' } as const;

/** Of a ticket, as a version before recorded it: CRDs up to revision 4. */
function oldRecord({ id, cause, pods, decidedAt, deadline }: DisplacementRecord): DecisionRecord {
  if (cause.preemption === undefined) throw new Error('the version before knew preemptions only');
  const victims = pods.map(({ node: _node, plan, ...victim }) => ({ ...victim, action: OLD_ACTIONS[plan] }));
  return { id, ...cause.preemption, victims, decidedAt, deadline };
}

/** Of a PodCheckpoint, as a version before requested it: CRDs up to revision 5. */
function oldRequest({ node, hold, thawAt }: PodCheckpointSpec): object {
  const old = { nodeName: node, keepFrozen: hold === 'UntilDeleted', deadline: thawAt };
  return { ...old, node: null, hold: null, thawAt: null, owner: null };
}

/**
 * Reads the tickets and PodCheckpoints of namespace `default`; what it answers writes them in the form that a version before would
 * have given them. In between the older CRDs may be installed, under which nothing of the present form can be read.
 */
export async function olderForms(client: KubeClient): Promise<() => Promise<void>> {
  const tickets = await client.list(RESOURCES.reprieves);
  const checkpoints = await client.list(RESOURCES.podCheckpoints);
  const rewrite = (type: ResourceType, { metadata }: KubeObject, spec: object): Promise<KubeObject> =>
    client.patch(type, 'default', metadata.name, { spec }, { type: 'merge' });
  return async () => {
    for (const ticket of tickets) {
      const { displacement } = ticket['spec'] as { displacement: DisplacementRecord };
      await rewrite(RESOURCES.reprieves, ticket, { displacement: null, decision: oldRecord(displacement) });
    }
    for (const checkpoint of checkpoints)
      await rewrite(RESOURCES.podCheckpoints, checkpoint, oldRequest(checkpoint['spec'] as PodCheckpointSpec));
  };
}

import { expect } from 'vitest';
import { RESOURCES } from '../../../src/kube/resources.ts';
import type { KubeObject } from '../../../src/kube/transport.ts';
import type { Rule } from '../api-conformance.ts';
import { accepted, type Item } from '../item.ts';

const { pods } = RESOURCES;

export function conditionRules(rule: Rule): void {
  rule('conditions are merged by type', async (item) => {
    const { metadata } = await item.createPod();
    const { name } = metadata;
    await setConditions(item, name, [{ type: 'PodScheduled', status: 'True' }]);
    // Not a DisruptionTarget: the disruption controller takes back one whose transition time is long past.
    const target = { type: 'reprieve.dev/Frozen', status: 'True', reason: 'Checkpointing', message: 'why' };
    const both = await setConditions(item, name, [target]);
    expect(typesOf(both)).toEqual(['PodScheduled', 'reprieve.dev/Frozen']);
    const changed = await setConditions(item, name, [{ type: 'reprieve.dev/Frozen', status: 'False' }]);
    // Fields of an entry that the patch does not name are kept.
    expect(conditionOf(changed, 'reprieve.dev/Frozen')).toMatchObject({
      status: 'False',
      reason: 'Checkpointing',
    });
    expect(conditionOf(changed, 'PodScheduled')).toMatchObject({ status: 'True' });
  });

  rule('a condition is removed by its type', async (item) => {
    const { metadata } = await item.createPod();
    const { name } = metadata;
    await setConditions(item, name, [
      { type: 'reprieve.dev/Frozen', status: 'True' },
      { type: 'PodScheduled', status: 'True' },
    ]);
    const thawed = await setConditions(item, name, [{ $patch: 'delete', type: 'reprieve.dev/Frozen' }]);
    expect(typesOf(thawed)).toEqual(['PodScheduled']);
  });

  rule('a change of a condition is a change of the version', async (item) => {
    const pod = await item.createPod();
    const { name, uid, resourceVersion } = pod.metadata;
    const frozen = await setConditions(item, name, [{ type: 'reprieve.dev/Frozen', status: 'True' }]);
    expect(frozen.metadata.resourceVersion).not.toBe(resourceVersion);
    const response = await item.remove(pods, name, { preconditions: { uid, resourceVersion } });
    expect(response.status).toBe(409);
  });
}

async function setConditions(item: Item, name: string, conditions: readonly object[]): Promise<KubeObject> {
  return accepted(await item.patch(pods, name, 'strategic', { status: { conditions } }, 'status'));
}

function conditionsOf(pod: KubeObject): readonly { readonly type: string }[] {
  return (pod['status'] as { conditions: { type: string }[] }).conditions;
}

function conditionOf(pod: KubeObject, type: string): unknown {
  return conditionsOf(pod).find((condition) => condition.type === type);
}

function typesOf(pod: KubeObject): string[] {
  return conditionsOf(pod)
    .map(({ type }) => type)
    .sort();
}

import { expect } from 'vitest';
import { RESOURCES } from '../../../src/kube/resources.ts';
import type { KubeObject } from '../../../src/kube/transport.ts';
import type { Rule } from '../api-conformance.ts';
import { accepted, uniqueName, versionOf, type Item } from '../item.ts';

const { deployments, nodes, pods } = RESOURCES;

export function statusRules(rule: Rule): void {
  rule('a write to a pod leaves its status alone', async (item) => {
    const pod = await item.createPod();
    const { name } = pod.metadata;
    const patch = { metadata: { labels: { a: '1' } }, status: { phase: 'Running' } };
    const patched = accepted(await item.patch(pods, name, 'strategic', patch));
    expect(patched.metadata.labels).toEqual({ a: '1' });
    expect(patched['status']).toEqual(pod['status']);
  });

  rule('a new pod has no status but its own', async (item) => {
    const { namespace } = item;
    const sent = {
      metadata: { name: 'a', namespace },
      spec: minimalSpec,
      status: { phase: 'Running', podIP: '10.0.0.1' },
    };
    const pod = await item.create(pods, sent);
    expect(pod['status']).toMatchObject({ phase: 'Pending' });
    expect(pod['status']).not.toHaveProperty('podIP');
  });

  rule('a write to the status of a pod leaves its spec alone', async (item) => {
    const pod = await item.createPod();
    const patch = { spec: { activeDeadlineSeconds: 5 }, status: { phase: 'Running' } };
    const patched = accepted(await item.patch(pods, pod.metadata.name, 'merge', patch, 'status'));
    expect(patched['spec']).toEqual(pod['spec']);
    expect(patched['status']).toMatchObject({ phase: 'Running' });
    expect(patched.metadata.generation).toBe(pod.metadata.generation);
    expect(versionOf(patched)).toBeGreaterThan(versionOf(pod));
  });

  rule('labels and annotations of a pod do go through its status, owners do not', async (item) => {
    const { metadata } = await item.createPod();
    const ownerReferences = [{ apiVersion: 'v1', kind: 'Pod', name: 'x', uid: 'y' }];
    const patch = { metadata: { labels: { a: '1' }, annotations: { b: '2' }, ownerReferences } };
    const patched = accepted(await item.patch(pods, metadata.name, 'merge', patch, 'status'));
    expect(patched.metadata).toMatchObject({ labels: { a: '1' }, annotations: { b: '2' } });
    expect(patched.metadata).not.toHaveProperty('ownerReferences');
  });

  rule('a node is created with its status, which then has its own path', async (item) => {
    const name = uniqueName('node');
    const status = { allocatable: { cpu: '4' }, capacity: { cpu: '4' } };
    const created = await item.client.create(nodes, null, { metadata: { name }, status });
    item.cleanUp(() => item.client.delete(nodes, null, name));
    expect(created['status']).toMatchObject({ allocatable: { cpu: '4' } });

    const patch = {
      metadata: { annotations: { a: '1' } },
      spec: { unschedulable: true },
      status: { capacity: { cpu: '8' } },
    };
    const main = await item.client.patch(nodes, null, name, patch, { type: 'strategic' });
    expect(main).toMatchObject({
      metadata: { annotations: { a: '1' } },
      spec: { unschedulable: true },
      status: { capacity: { cpu: '4' } },
    });
    const again = {
      metadata: { labels: { b: '2' } },
      spec: { unschedulable: false },
      status: { capacity: { cpu: '8' } },
    };
    const sub = await item.client.patch(nodes, null, name, again, { type: 'strategic', subresource: 'status' });
    expect(sub).toMatchObject({
      metadata: { labels: { b: '2' } },
      spec: { unschedulable: true },
      status: { capacity: { cpu: '8' } },
    });
  });

  rule('labels of a deployment do not go through its status', async (item) => {
    const created = await createDeployment(item);
    expect(created['status']).not.toHaveProperty('replicas');
    const patch = { metadata: { labels: { a: '2' } }, spec: { paused: false }, status: { collisionCount: 3 } };
    const patched = accepted(await item.patch(deployments, 'a', 'merge', patch, 'status'));
    expect(patched.metadata.labels).toEqual({ a: '1' });
    expect(patched['spec']).toMatchObject({ paused: true });
    expect(patched['status']).toMatchObject({ collisionCount: 3 });
  });

  rule('PUT of a status replaces it', async (item) => {
    const pod = await item.createPod();
    const conditions = [{ type: 'reprieve.dev/A', status: 'True' }];
    await item.patch(pods, pod.metadata.name, 'strategic', { status: { conditions, message: 'x' } }, 'status');
    const current = await item.get(pods, pod.metadata.name);
    const replaced = accepted(await item.put(pods, { ...current, status: { phase: 'Running' } }, 'status'));
    expect(replaced['status']).toMatchObject({ phase: 'Running' });
    expect(replaced['status']).not.toHaveProperty('conditions');
    expect(replaced['status']).not.toHaveProperty('message');
  });
}

const minimalSpec = { schedulerName: 'nobody', containers: [{ name: 'main', image: 'example.invalid/main:1' }] };

/** Paused and without replicas: a controller has nothing to do with it. */
function createDeployment(item: Item): Promise<KubeObject> {
  const labels = { a: '1' };
  const template = { metadata: { labels }, spec: { containers: [{ name: 'main', image: 'example.invalid/main:1' }] } };
  const spec = { replicas: 0, paused: true, selector: { matchLabels: labels }, template };
  return item.create(deployments, { metadata: { name: 'a', labels }, spec, status: { replicas: 7 } });
}

import { expect } from 'vitest';
import { RESOURCES } from '../../../src/kube/resources.ts';
import type { Rule } from '../api-conformance.ts';
import { accepted, expectRefusal, podSpec, uniqueName } from '../item.ts';

const { pods, priorityClasses } = RESOURCES;
const GATES = [{ name: 'reprieve.dev/restore' }];

export function podRules(rule: Rule): void {
  rule('a pod gets its defaults', async (item) => {
    const pod = await item.createPod({ schedulerName: 'nobody' });
    expect(pod).toMatchObject({
      metadata: { generation: 1 },
      spec: {
        restartPolicy: 'Always',
        terminationGracePeriodSeconds: 30,
        priority: 0,
        preemptionPolicy: 'PreemptLowerPriority',
        containers: [
          { imagePullPolicy: 'IfNotPresent', terminationMessagePath: '/dev/termination-log', resources: {} },
        ],
        tolerations: [
          { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 },
          { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 },
        ],
      },
      status: { phase: 'Pending', qosClass: 'BestEffort' },
    });
    expect(pod['status']).not.toHaveProperty('conditions');
  });

  rule('limits are requests where there are none', async (item) => {
    const resources = { limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '500m' } };
    const pod = await item.createPod({ containers: [{ name: 'main', image: 'example.invalid/main', resources }] });
    expect(pod).toMatchObject({
      spec: { containers: [{ imagePullPolicy: 'Always', resources: { requests: { cpu: '500m', memory: '1Gi' } } }] },
      status: { qosClass: 'Burstable' },
    });
  });

  rule('a priority class becomes a number and a policy', async (item) => {
    const name = uniqueName('class');
    const preemptionPolicy = 'Never';
    await item.client.create(priorityClasses, null, { metadata: { name }, value: 1234, preemptionPolicy });
    item.cleanUp(() => item.client.delete(priorityClasses, null, name));
    // The admission plugin reads classes from a cache.
    const pod = await eventually(() => item.createPod({ priorityClassName: name }));
    expect(pod['spec']).toMatchObject({ priorityClassName: name, priority: 1234, preemptionPolicy });
    const system = await item.createPod({ priorityClassName: 'system-node-critical' });
    expect(system['spec']).toMatchObject({ priority: 2_000_001_000 });
  });

  rule('an unknown priority class and a number of its own are Forbidden', async (item) => {
    const post = (spec: object) => item.post(pods, { metadata: { name: 'a' }, spec: podSpec(spec) });
    expectRefusal(
      await post({ priorityClassName: 'none' }),
      403,
      'Forbidden',
      /no PriorityClass with name none was found/,
    );
    expectRefusal(await post({ priority: 7 }), 403, 'Forbidden', /must not be provided in pod spec/);
  });

  rule('a pod without containers is invalid', async (item) => {
    const post = (spec: object) => item.post(pods, { metadata: { name: 'a' }, spec: podSpec(spec) });
    expectRefusal(
      await post({ containers: [] }),
      422,
      'Invalid',
      /^Pod "a" is invalid: spec.containers: Required value/,
    );
    const twice = { name: 'x', image: 'example.invalid/x:1' };
    expectRefusal(
      await post({ containers: [twice, twice] }),
      422,
      'Invalid',
      /containers\[1\].name: Duplicate value: "x"/,
    );
  });

  rule('a gated pod says that it is', async (item) => {
    const pod = await item.createPod({ schedulingGates: GATES });
    const condition = { type: 'PodScheduled', status: 'False', reason: 'SchedulingGated' };
    expect(pod['status']).toMatchObject({ phase: 'Pending', conditions: [condition] });
  });

  rule('gates and a node exclude each other', async (item) => {
    const spec = podSpec({ schedulingGates: GATES, nodeName: 'n1' });
    const response = await item.post(pods, { metadata: { name: 'a' }, spec });
    expectRefusal(
      response,
      422,
      'Invalid',
      /spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared/,
    );
  });

  rule('a binding assigns the pod, says so, and ends its nomination', async (item) => {
    const pod = await item.createPod();
    const { name } = pod.metadata;
    await item.patch(pods, name, 'strategic', { status: { nominatedNodeName: 'n1' } }, 'status');
    const response = await item.bind(name, 'n1', { annotations: { a: '1' } });
    expect(response.status).toBe(201);
    expect(response.body).toMatchObject({ kind: 'Status', status: 'Success' });
    const bound = await item.get(pods, name);
    expect(bound).toMatchObject({
      metadata: { annotations: { a: '1' } },
      spec: { nodeName: 'n1' },
      status: { conditions: [{ type: 'PodScheduled', status: 'True' }] },
    });
    expect(bound['status']).not.toHaveProperty('nominatedNodeName');
  });

  rule('a pod is bound only once', async (item) => {
    const { metadata } = await item.createPod();
    accepted(await item.bind(metadata.name, 'n1'));
    const response = await item.bind(metadata.name, 'n2');
    expectRefusal(response, 409, 'Conflict', /is already assigned to node "n1"/);
  });

  rule('a pod that is gated or going is not bound', async (item) => {
    const gated = await item.createPod({ schedulingGates: GATES });
    const refusal = await item.bind(gated.metadata.name, 'n1');
    expectRefusal(refusal, 409, 'Conflict', /has non-empty .spec.schedulingGates/);
    const going = await item.createPod({}, { finalizers: ['reprieve.dev/a'] });
    const { name } = going.metadata;
    item.cleanUp(() => item.patch(pods, name, 'merge', { metadata: { finalizers: null } }));
    await item.remove(pods, name);
    expectRefusal(await item.bind(name, 'n1'), 409, 'Conflict', /is being deleted, cannot be assigned to a host/);
  });

  rule('UID and version of a binding are preconditions', async (item) => {
    const { metadata } = await item.createPod();
    const { name, uid, resourceVersion } = metadata;
    const other = 'a5fbb5a4-22c3-4b5f-8dba-15d1a5f02b2b';
    expectRefusal(await item.bind(name, 'n1', { uid: other }), 409, 'Conflict', /UID in precondition/);
    await item.patch(pods, name, 'merge', { metadata: { labels: { a: '1' } } });
    expectRefusal(await item.bind(name, 'n1', { resourceVersion }), 409, 'Conflict', /ResourceVersion in precondition/);
    accepted(await item.bind(name, 'n1', { uid }));
  });

  rule('a nomination is a patch of the status', async (item) => {
    const { metadata } = await item.createPod();
    const nominate = (node: string | null) =>
      item.patch(pods, metadata.name, 'merge', { status: { nominatedNodeName: node } }, 'status');
    expect(accepted(await nominate('n1'))['status']).toMatchObject({ nominatedNodeName: 'n1' });
    expect(accepted(await nominate(null))['status']).not.toHaveProperty('nominatedNodeName');
    expectRefusal(await nominate('No Node'), 422, 'Invalid', /status.nominatedNodeName: Invalid value/);
    await item.bind(metadata.name, 'n1');
    const response = await nominate('n2');
    expectRefusal(
      response,
      422,
      'Invalid',
      /nominatedNodeName: Forbidden: may not be set on pods that are already bound/,
    );
  });
}

async function eventually<T>(attempt: () => Promise<T>): Promise<T> {
  for (let i = 0; i < 100; i++) {
    try {
      return await attempt();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  return attempt();
}

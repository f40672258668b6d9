import { expect } from 'vitest';
import { RESOURCES } from '../../../src/kube/resources.ts';
import type { Rule } from '../api-conformance.ts';
import { expectRefusal } from '../item.ts';

const { events } = RESOURCES;

export function eventRules(rule: Rule): void {
  rule('an Event about a pod is created in its namespace and found by it', async (item) => {
    const about = (name: string) => ({
      metadata: { generateName: `${name}.` },
      involvedObject: { apiVersion: 'v1', kind: 'Pod', namespace: item.namespace, name, uid: `uid-of-${name}` },
      reason: 'Checkpointing',
      message: 'saving the pod before it is preempted',
      type: 'Normal',
      source: { component: 'reprieve' },
      count: 1,
    });
    await item.create(events, about('a'));
    await item.create(events, about('b'));
    for (const fieldSelector of [
      'involvedObject.name=b',
      'involvedObject.uid=uid-of-b',
      'involvedObject.kind=Pod,involvedObject.name!=a,reason=Checkpointing,type=Normal,source=reprieve',
    ]) {
      const found = await item.client.list(events, { namespace: item.namespace, fieldSelector });
      expect(found.map((event) => event['involvedObject'])).toEqual([about('b').involvedObject]);
    }
  });

  rule('an Event about an object elsewhere is refused', async (item) => {
    const event = (namespace: string | undefined) => ({
      metadata: { name: 'a' },
      involvedObject: { apiVersion: 'v1', kind: 'Pod', name: 'a', ...(namespace && { namespace }) },
      reason: 'X',
      message: 'x',
      type: 'Normal',
    });
    for (const namespace of ['default', undefined]) {
      expectRefusal(await item.post(events, event(namespace)), 422, 'Invalid', /does not match event.namespace/);
    }
  });

  rule('an Event with an eventTime needs a reporter and an action', async (item) => {
    const involvedObject = { apiVersion: 'v1', kind: 'Pod', namespace: item.namespace, name: 'a' };
    const event = { metadata: { name: 'a' }, involvedObject, eventTime: '2026-01-01T00:00:00.000000Z', type: 'Normal' };
    expectRefusal(await item.post(events, event), 422, 'Invalid', /reportingComponent: Required value/);
    const whole = { ...event, reportingComponent: 'reprieve.dev/controller', reportingInstance: 'pod-1' };
    expectRefusal(await item.post(events, whole), 422, 'Invalid', /action: Required value/);
    const response = await item.post(events, { ...whole, action: 'Checkpoint', reason: 'Checkpointing', message: 'x' });
    expect(response.status).toBe(201);
  });
}

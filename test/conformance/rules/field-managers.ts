import { expect } from 'vitest';
import { RESOURCES } from '../../../src/kube/resources.ts';
import type { KubeObject, ManagedFields } from '../../../src/kube/transport.ts';
import type { Rule } from '../api-conformance.ts';
import { accepted, podSpec, type Item } from '../item.ts';

const { pods } = RESOURCES;

export function fieldManagerRules(rule: Rule): void {
  rule('a create is recorded with its defaults, and without what admission adds', async (item) => {
    const pod = await createdBy(item, 'first', { labels: { a: '1' } });
    const [entry, ...others] = managersOf(pod);
    expect(others).toEqual([]);
    expect(entry).toMatchObject({ manager: 'first', operation: 'Update', apiVersion: 'v1', fieldsType: 'FieldsV1' });
    expect(entry).not.toHaveProperty('subresource');
    expect(entry?.fieldsV1).toMatchObject({
      'f:metadata': { 'f:labels': { '.': {}, 'f:a': {} } },
      'f:spec': {
        'f:containers': { 'k:{"name":"main"}': { '.': {}, 'f:name': {}, 'f:image': {}, 'f:imagePullPolicy': {} } },
        'f:restartPolicy': {},
      },
    });
    for (const added of ['f:tolerations', 'f:priority']) expect(entry?.fieldsV1).not.toHaveProperty(['f:spec', added]);
  });

  rule('a field belongs to who changed it last', async (item) => {
    const { name } = (await createdBy(item, 'first', { labels: { a: '1', b: '1', c: '1' } })).metadata;
    await patchedBy(item, 'second', name, { metadata: { labels: { b: '2', c: null, d: '1' } } });
    const status = { metadata: { annotations: { e: '1' } } };
    const pod = await patchedBy(item, 'third', name, status, 'status');
    expect(Object.fromEntries(managersOf(pod).map((entry) => [whoIn(entry), metadataIn(entry)]))).toEqual({
      'first ': { 'f:generateName': {}, 'f:labels': { '.': {}, 'f:a': {} } },
      'second ': { 'f:labels': { 'f:b': {}, 'f:d': {} } },
      'third status': { 'f:annotations': { '.': {}, 'f:e': {} } },
    });
  });

  rule('an update may give fields to others, a create may not', async (item) => {
    const entry: ManagedFields = {
      manager: 'other',
      operation: 'Apply',
      apiVersion: 'v1',
      time: '2026-01-01T00:00:00Z',
      fieldsType: 'FieldsV1',
      fieldsV1: { 'f:metadata': { 'f:labels': { 'f:a': {} } } },
    };
    const pod = await createdBy(item, 'first', { labels: { a: '1' }, managedFields: [entry] });
    expect(managersOf(pod).map(whoIn)).toEqual(['first ']);
    const changed = await patchedBy(item, 'first', pod.metadata.name, { metadata: { managedFields: [entry] } });
    expect(managersOf(changed)).toEqual([entry]);
  });
}

async function createdBy(item: Item, fieldManager: string, metadata: object): Promise<KubeObject> {
  const body = { metadata: { generateName: 'pod-', ...metadata }, spec: podSpec() };
  return accepted(await item.send({ method: 'POST', path: item.path(pods), query: { fieldManager }, body }));
}

async function patchedBy(
  item: Item,
  fieldManager: string,
  name: string,
  body: object,
  subresource?: string,
): Promise<KubeObject> {
  const path = item.path(pods, name, subresource);
  return accepted(await item.send({ method: 'PATCH', path, query: { fieldManager }, patchType: 'merge', body }));
}

function managersOf({ metadata }: KubeObject): readonly ManagedFields[] {
  return metadata.managedFields ?? [];
}

function whoIn({ manager, subresource = '' }: ManagedFields): string {
  return `${manager} ${subresource}`;
}

function metadataIn({ fieldsV1 }: ManagedFields): unknown {
  return (fieldsV1 as Readonly<Record<string, unknown>>)['f:metadata'];
}

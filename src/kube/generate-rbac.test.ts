import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { accessRights, DEPLOYED_NAMES, viewRights, type AccessRight } from './access.ts';
import { CUSTOM_RESOURCES } from './crd/generate.ts';
import { ADMISSION_POLICIES } from './admission-policies.ts';
import { admissionPoliciesYaml, rbacYaml, usersRbacYaml } from './generate-rbac.ts';

const rights = accessRights(DEPLOYED_NAMES);

test('deploy/rbac.yaml is generated from the table', async () => {
  const file = join(import.meta.dirname, '../../deploy/rbac.yaml');
  expect(readFileSync(file, 'utf8')).toBe(await rbacYaml());
});

test('deploy/rbac-users.yaml lets whoever may view a namespace read our kinds, and write none', async () => {
  const file = join(import.meta.dirname, '../../deploy/rbac-users.yaml');
  expect(readFileSync(file, 'utf8')).toBe(await usersRbacYaml());
  const kinds = CUSTOM_RESOURCES.map(({ resource }) => resource.plural);
  expect(
    viewRights()
      .map(({ resource }) => resource)
      .toSorted(),
  ).toEqual(kinds.toSorted());
  expect([...new Set(viewRights().flatMap(({ verbs }) => verbs))]).toEqual(['get', 'list', 'watch']);
});

test('names no right twice', () => {
  const named = rights.flatMap(({ group, resource, verbs }) => verbs.map((verb) => `${verb} ${resource}.${group}`));
  expect(named.filter((right, index) => named.indexOf(right) !== index)).toEqual([]);
});

test('restricts no verb to names that has none: RBAC would refuse it always', () => {
  expect(rights.filter(({ verbs, resourceNames }) => resourceNames && verbs.includes('create'))).toEqual([]);
});

test('writes no Lease where there is no election', () => {
  const verbs = (of: readonly AccessRight[]): readonly string[] =>
    of.filter(({ resource }) => resource === 'leases').flatMap((right) => right.verbs);
  expect(verbs(rights)).toContain('update');
  expect(verbs(accessRights({ ...DEPLOYED_NAMES, lease: null }))).toEqual(['list', 'watch']);
});

test('a right of each scope, with and without names, becomes one rule of its role', async () => {
  const right = (scope: AccessRight['scope'], resourceNames?: readonly string[]): AccessRight => ({
    group: '',
    resource: 'secrets',
    verbs: ['get', 'update'],
    scope,
    why: 'for a test',
    ...(resourceNames && { resourceNames }),
  });
  const text = await rbacYaml([right('cluster'), right('own namespace', ['one', 'two'])]);
  const roles = parseAllDocuments(text)
    .map((document) => document.toJS() as { kind: string; metadata: object; rules?: object[] })
    .filter(({ rules }) => rules !== undefined);
  const rule = { apiGroups: [''], resources: ['secrets'], verbs: ['get', 'update'] };
  expect(roles).toMatchObject([
    { kind: 'ClusterRole', metadata: { name: 'reprieve' }, rules: [rule] },
    {
      kind: 'Role',
      metadata: { name: 'reprieve', namespace: 'reprieve-system' },
      rules: [{ ...rule, resourceNames: ['one', 'two'] }],
    },
  ]);
});

test('deploy/admission-policies.yaml is generated from the table, and binds each policy so that it denies', async () => {
  const file = readFileSync(join(import.meta.dirname, '../../deploy/admission-policies.yaml'), 'utf8');
  expect(file).toBe(await admissionPoliciesYaml());
  const documents = parseAllDocuments(file).map((document) => document.toJS() as Record<string, unknown>);
  const bound = documents.filter(({ kind }) => kind === 'ValidatingAdmissionPolicyBinding').map(({ spec }) => spec);
  const wanted = ADMISSION_POLICIES.map(({ name }) => ({ policyName: name, validationActions: ['Deny'] }));
  expect(bound).toEqual(wanted);
});

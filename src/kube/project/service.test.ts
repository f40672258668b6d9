import { expect, it } from 'vitest';
import { serviceOf } from './service.ts';

const selector = { app: 'web' };
const given = (spec: object) => serviceOf({ metadata: { name: 'web', namespace: 'default' }, spec });

it('a Service sends traffic to the pods that it selects', () => {
  expect(given({ clusterIP: '10.0.0.1', selector })).toMatchObject({ name: 'web', selector });
});

it.each([
  ['has no address', { clusterIP: 'None', selector }],
  ['names a host', { type: 'ExternalName', selector }],
  ['selects nobody', { clusterIP: '10.0.0.1' }],
])('one that %s sends none', (_what, spec) => expect(given(spec).selector).toBeNull());

import { generateKeyPairSync } from 'node:crypto';
import { expect, it } from 'vitest';
import { readRequest } from '../../kube/certificates/x509.ts';
import { certificateRequest } from './certificate-request.ts';

const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });

it.each(['n1', 'n'.repeat(63), `${'n'.repeat(63)}.${'m'.repeat(63)}`, `${'a.'.repeat(126)}b`])(
  'is read as it was meant, for %s',
  async (name) => {
    expect(await readRequest(certificateRequest(name, pair))).toMatchObject({ commonName: name });
  },
);

it('is refused where another key signed it', async () => {
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const mixed = { publicKey: pair.publicKey, privateKey: other.privateKey };
  expect(await readRequest(certificateRequest('n1', mixed))).toBeNull();
});

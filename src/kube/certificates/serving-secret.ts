import { ifFound, isAlreadyExists, isConflict, isNotFound } from '../api-error.ts';
import type { KubeClient } from '../client.ts';
import { RESOURCES } from '../resources.ts';
import type { KubeObject } from '../transport.ts';
import { renewed, type RenewalOptions } from './renew.ts';
import { judged, type Judgement, type ServingFiles } from './serving-files.ts';

/** How often somebody else may be faster before a pass gives up; the next one is a minute away. */
const ATTEMPTS = 5;

/** Keys of the Secret; the first two are those of its type, `kubernetes.io/tls`. */
const NAMES: Readonly<Record<keyof ServingFiles, string>> = {
  chain: 'tls.crt',
  key: 'tls.key',
  bundle: 'ca.crt',
  authorityKey: 'ca.key',
};

export interface SecretOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly name: string;
  /** Something new was written, for this cause. */
  readonly onIssued: (judgement: Judgement) => void;
}

/**
 * The files in the Secret, after it was created or brought up to date where that was needed. All replicas may do this at
 * once: each write holds only for the version that was judged, and who comes second takes what the first one wrote.
 */
export async function servingSecret(
  { client, namespace, name, onIssued }: SecretOptions,
  renewal: RenewalOptions,
): Promise<ServingFiles> {
  for (let attempt = 1; ; attempt++) {
    const stored = await ifFound(client.get(RESOURCES.secrets, namespace, name));
    const files = stored === null ? null : filesIn(stored);
    const judgement: Judgement =
      files === null ? { verdict: 'unusable', why: 'there is no Secret yet' } : judged(files, renewal);
    if (files !== null && judgement.verdict === 'good') return files;
    const next = await renewed(files, judgement.verdict, renewal);
    try {
      if (stored === null) {
        const secret = { metadata: { name, namespace }, type: 'kubernetes.io/tls', data: dataOf(next) };
        await client.create(RESOURCES.secrets, namespace, secret);
      } else {
        const patch = { metadata: { resourceVersion: stored.metadata.resourceVersion }, data: dataOf(next) };
        await client.patch(RESOURCES.secrets, namespace, name, patch, { type: 'merge' });
      }
      onIssued(judgement);
      return next;
    } catch (error) {
      const isOvertaken = isAlreadyExists(error) || isConflict(error) || (isNotFound(error) && stored !== null);
      if (!isOvertaken || attempt === ATTEMPTS) throw error;
    }
  }
}

function filesIn({ data }: KubeObject): ServingFiles {
  const of = (field: keyof ServingFiles): string => {
    const encoded = (data as Readonly<Record<string, string>> | undefined)?.[NAMES[field]] ?? '';
    return Buffer.from(encoded, 'base64').toString();
  };
  return { chain: of('chain'), key: of('key'), bundle: of('bundle'), authorityKey: of('authorityKey') };
}

function dataOf(files: ServingFiles): Record<string, string> {
  const fields = Object.keys(NAMES) as (keyof ServingFiles)[];
  return Object.fromEntries(fields.map((field) => [NAMES[field], Buffer.from(files[field]).toString('base64')]));
}

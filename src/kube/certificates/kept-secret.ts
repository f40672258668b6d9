import { ifFound, isAlreadyExists, isConflict, isNotFound } from '../api-error.ts';
import type { KubeClient } from '../client.ts';
import { RESOURCES } from '../resources.ts';
import type { KubeObject } from '../transport.ts';
import type { Judgement } from './serving-files.ts';

/** How often somebody else may be faster before a pass gives up; the next one is a minute away. */
const ATTEMPTS = 5;

export interface SecretPlace {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly name: string;
  /** Something new was written, for this cause. */
  readonly onIssued: (judgement: Judgement) => void;
}

/** What a Secret holds: PEM texts by the names of fields. */
type Files<Field extends string> = Readonly<Record<Field, string>>;

export interface KeptSecret<Field extends string> extends SecretPlace {
  readonly type: 'kubernetes.io/tls' | 'Opaque';
  /** Field -> its key in the Secret. */
  readonly keys: Readonly<Record<Field, string>>;
  readonly judge: (files: Files<Field>) => Judgement;
  /** What takes the place of files that are less than good; null: there were none. */
  readonly renew: (files: Files<Field> | null, verdict: Judgement['verdict']) => Promise<Files<Field>>;
}

/**
 * The files in the Secret, after it was created or brought up to date where that was needed. All replicas may do this at
 * once: each write holds only for the version that was judged, and who comes second takes what the first one wrote.
 */
export async function keptSecret<Field extends string>(secret: KeptSecret<Field>): Promise<Files<Field>> {
  const { client, namespace, name, type, keys, onIssued } = secret;
  for (let attempt = 1; ; attempt++) {
    const stored = await ifFound(client.get(RESOURCES.secrets, namespace, name));
    const files = stored === null ? null : filesIn(stored, keys);
    const judgement: Judgement =
      files === null ? { verdict: 'unusable', why: 'there is no Secret yet' } : secret.judge(files);
    if (files !== null && judgement.verdict === 'good') return files;
    const next = await secret.renew(files, judgement.verdict);
    try {
      if (stored === null) {
        const created = { metadata: { name, namespace }, type, data: dataOf(next, keys) };
        await client.create(RESOURCES.secrets, namespace, created);
      } else {
        const patch = { metadata: { resourceVersion: stored.metadata.resourceVersion }, data: dataOf(next, keys) };
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

function filesIn<Field extends string>({ data }: KubeObject, keys: KeptSecret<Field>['keys']): Files<Field> {
  const encoded = (data ?? {}) as Readonly<Record<string, string>>;
  const fields = Object.keys(keys) as Field[];
  const texts = fields.map((field) => [field, Buffer.from(encoded[keys[field]] ?? '', 'base64').toString()]);
  return Object.fromEntries(texts) as Files<Field>;
}

function dataOf<Field extends string>(files: Files<Field>, keys: KeptSecret<Field>['keys']): Record<string, string> {
  const fields = Object.keys(keys) as Field[];
  return Object.fromEntries(fields.map((field) => [keys[field], Buffer.from(files[field]).toString('base64')]));
}

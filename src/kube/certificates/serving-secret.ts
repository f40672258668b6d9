import { keptSecret, type SecretPlace } from './kept-secret.ts';
import { renewed, type RenewalOptions } from './renew.ts';
import { judged, type ServingFiles } from './serving-files.ts';

/** The first two are those of the type of the Secret. */
const KEYS: Readonly<Record<keyof ServingFiles, string>> = {
  chain: 'tls.crt',
  key: 'tls.key',
  bundle: 'ca.crt',
  authorityKey: 'ca.key',
};

/** The serving files in the Secret, brought up to date. */
export function servingSecret(place: SecretPlace, renewal: RenewalOptions): Promise<ServingFiles> {
  return keptSecret<keyof ServingFiles>({
    ...place,
    type: 'kubernetes.io/tls',
    keys: KEYS,
    judge: (files) => judged(files, renewal),
    renew: (files, verdict) => renewed(files, verdict, renewal),
  });
}

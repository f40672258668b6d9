import { readFile } from 'node:fs/promises';
import { DEFAULT_NAMESPACE } from '../domain/labels.ts';

/** Where a pod finds the namespace of its service account. */
const NAMESPACE_FILE = '/var/run/secrets/kubernetes.io/serviceaccount/namespace';

export interface NamespaceSources {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly file: string;
}

/**
 * The namespace that holds what belongs to Reprieve itself: `kubernetes.namespace` of the configuration, else
 * $POD_NAMESPACE, else that of this pod's service account, else `reprieve-system`.
 */
export async function ownNamespace(
  configured: string | null,
  { environment, file }: NamespaceSources = { environment: process.env, file: NAMESPACE_FILE },
): Promise<string> {
  const given = configured ?? environment['POD_NAMESPACE'];
  if (given) return given;
  const mounted = await readFile(file, 'utf8').catch(() => ''); // outside a pod there is none
  return mounted.trim() || DEFAULT_NAMESPACE;
}

import { readFile } from 'node:fs/promises';

const SERVICE_ACCOUNT_NAMESPACE = '/var/run/secrets/kubernetes.io/serviceaccount/namespace';
/** Where deploy/ puts everything. */
const DEFAULT_NAMESPACE = 'reprieve-system';

/** The namespace of Reprieve itself, with its Lease: as configured, else that of this pod, else the one of deploy/. */
export async function ownNamespace(configured: string | null): Promise<string> {
  if (configured !== null) return configured;
  const fromPod = process.env['POD_NAMESPACE'];
  if (fromPod) return fromPod;
  const ofAccount = await readFile(SERVICE_ACCOUNT_NAMESPACE, 'utf8').catch(() => '');
  return ofAccount.trim() || DEFAULT_NAMESPACE;
}

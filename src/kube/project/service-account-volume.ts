import type { V1PodSpec, V1Volume } from '@kubernetes/client-node';
import type { Wire } from './wire.ts';

/**
 * Names of the volumes that the ServiceAccount admission generated for this pod, with a random suffix: they differ
 * between two pods of one template. A volume that only has such a name (a hostPath, say) is not one of them.
 */
export function serviceAccountVolumesOf(spec: Wire<V1PodSpec>): ReadonlySet<string> {
  const names = new Set<string>();
  for (const volume of spec.volumes ?? []) if (isGenerated(volume)) names.add(volume.name ?? '');
  return names;
}

function isGenerated(volume: Wire<V1Volume>): boolean {
  if (!volume.name?.startsWith('kube-api-access-')) return false;
  return volume.projected?.sources?.some((source) => source.serviceAccountToken) ?? false;
}

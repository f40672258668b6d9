import type { V1Pod } from '@kubernetes/client-node';
import { quantityToInteger } from '../../domain/quantity.ts';
import type { KubeObject } from '../transport.ts';
import { wireOf } from './wire.ts';

/** Memory that the containers of a pod may use together, in bytes; 0 where one of them has no limit, and the pod has none. */
export function memoryLimitOf(object: KubeObject): number {
  const { spec } = wireOf<V1Pod>(object);
  const ofPod = spec?.resources?.limits?.['memory'];
  if (ofPod) return quantityToInteger(ofPod);
  const sidecars = (spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  let sum = 0;
  for (const { resources } of [...(spec?.containers ?? []), ...sidecars]) {
    const limit = resources?.limits?.['memory'];
    if (!limit) return 0;
    sum += quantityToInteger(limit);
  }
  return sum;
}

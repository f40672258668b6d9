import type { V1Service } from '@kubernetes/client-node';
import type { Service } from '../../domain/service.ts';
import type { KubeObject } from '../transport.ts';
import { metadataOf } from './metadata.ts';
import { wireOf } from './wire.ts';

/** The domain value of a v1 Service. */
export function serviceOf(object: KubeObject): Service {
  const { spec } = wireOf<V1Service>(object);
  const { namespace, name, uid, resourceVersion } = metadataOf(object);
  const { selector, clusterIP, type } = spec ?? {};
  const sends = clusterIP !== 'None' && type !== 'ExternalName' && Object.keys(selector ?? {}).length > 0;
  return { namespace, name, uid, resourceVersion, selector: sends ? selectorOf(selector) : null };
}

function selectorOf(selector: object | null | undefined): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(selector ?? {}).map(([key, value]) => [key, String(value)]));
}

import type { Namespace } from '../../index/types.ts';
import type { KubeObject } from '../transport.ts';
import { metadataOf } from './metadata.ts';

/** The domain value of a v1 Namespace. */
export function namespaceOf(object: KubeObject): Namespace {
  const { name, uid, resourceVersion, labels } = metadataOf(object);
  return { name, uid, resourceVersion, labels };
}

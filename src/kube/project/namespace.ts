import { PAUSE_ANNOTATION } from '../../domain/labels.ts';
import type { Namespace } from '../../index/types.ts';
import type { KubeObject } from '../transport.ts';
import { metadataOf } from './metadata.ts';
import { wishIn } from './wish.ts';

/** The domain value of a v1 Namespace. */
export function namespaceOf(object: KubeObject): Namespace {
  const { name, uid, resourceVersion, labels } = metadataOf(object);
  return { name, uid, resourceVersion, labels, pauseFor: wishIn(object.metadata.annotations?.[PAUSE_ANNOTATION]) };
}

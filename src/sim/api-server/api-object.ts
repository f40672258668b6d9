import type { KubeObject, ObjectMeta } from '../../kube/transport.ts';

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** An object on its way into the store: its own top level and metadata may be changed, everything below is shared. */
export interface Draft {
  apiVersion: string;
  kind: string;
  metadata: Writable<ObjectMeta>;
  [field: string]: unknown;
}

/** An object in the store: deeply frozen, so that readers may share it. */
export interface StoredObject extends KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta & { readonly uid: string; readonly resourceVersion: string };
}

/** A draft over `object` that leaves the object itself alone. */
export function draftOf(object: KubeObject): Draft {
  return { ...object, metadata: { ...object.metadata } } as Draft;
}

/** RFC 3339 with whole seconds, as `metav1.Time` writes it. */
export function timestampOf(epochMs: number): string {
  return `${new Date(Math.floor(epochMs / 1000) * 1000).toISOString().slice(0, 19)}Z`;
}

/** Names that must not be mixed up are branded strings: the compiler refuses a node name where a pod UID belongs. */
export type PodUid = string & { readonly __brand: 'PodUid' };
export type NodeName = string & { readonly __brand: 'NodeName' };
/** `namespace/name`, the key of a namespaced record. */
export type ObjectKey = string & { readonly __brand: 'ObjectKey' };

/** `namespace/UID` of a controller: it has no pods but those of its namespace, whatever their owner references say. */
export type OwnerKey = string & { readonly __brand: 'OwnerKey' };
/** A pod as a record of that namespace names it: no record speaks for pods of another namespace. */
export interface PodKey {
  readonly namespace: string;
  readonly uid: PodUid;
}

export function ownerKey(namespace: string, { uid }: { readonly uid: string }): OwnerKey {
  return `${namespace}/${uid}` as OwnerKey;
}

export function objectKey(namespace: string, name: string): ObjectKey {
  return `${namespace}/${name}` as ObjectKey;
}

/** Names that must not be mixed up are branded strings: the compiler refuses a node name where a pod UID belongs. */
export type PodUid = string & { readonly __brand: 'PodUid' };
export type NodeName = string & { readonly __brand: 'NodeName' };
/** `namespace/name`, the key of a namespaced record. */
export type ObjectKey = string & { readonly __brand: 'ObjectKey' };

export function objectKey(namespace: string, name: string): ObjectKey {
  return `${namespace}/${name}` as ObjectKey;
}

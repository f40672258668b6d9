import type { KubeObject } from '../../src/kube/transport.ts';
import { ownerOf } from './identity.ts';

/** Creations of pods that the API server refused, of one controller, or of a bare pod by its name. */
export interface Refused {
  readonly what: string;
  /** Those with our RuntimeClass alone are. */
  readonly isByClass: boolean;
  readonly firstMs: number;
  lastMs: number;
}

/** Who can create no pod, and since when: until a pod of the same controller or name is created. */
export class RefusedCreations {
  readonly #refused = new Map<string, Refused>(); // uid of the owner, or namespace and name
  readonly #aside = new Set<string>(); // the same

  refused(pod: KubeObject, { isByClass, atMs }: { readonly isByClass: boolean; readonly atMs: number }): void {
    if (isByClass) this.#aside.add(keyOf(pod));
    const known = this.#refused.get(keyOf(pod));
    if (known !== undefined) known.lastMs = atMs;
    else
      this.#refused.set(keyOf(pod), {
        what: ownerOf(pod)?.name ?? pod.metadata.name,
        isByClass,
        firstMs: atMs,
        lastMs: atMs,
      });
  }

  /** The webhook may let its pods pass without the gate: with it they were refused. */
  isAside(ownerUid: string): boolean {
    return this.#aside.has(ownerUid);
  }

  created(pod: KubeObject): void {
    this.#refused.delete(keyOf(pod));
  }

  all(): Iterable<Refused> {
    return this.#refused.values();
  }

  ofBarePod(namespace: string, name: string): Refused | undefined {
    return this.#refused.get(`${namespace}/${name}`);
  }

  clear(): void {
    this.#refused.clear();
    this.#aside.clear();
  }
}

function keyOf(pod: KubeObject): string {
  return ownerOf(pod)?.uid ?? `${pod.metadata.namespace ?? ''}/${pod.metadata.name}`;
}

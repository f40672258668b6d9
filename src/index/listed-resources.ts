import type { Node } from '../domain/node.ts';
import { changeCount } from './counts.ts';

/** Extended resources that nodes list as allocatable, also as 0: what no node lists is not counted by kube-scheduler. */
export class ListedResources {
  readonly #nodes = new Map<string, number>(); // resource -> nodes that list it

  #ignored: readonly string[] = []; // names, and groups that end in `/`

  /** Resources that kube-scheduler is told not to count: their names, or `example.com/*` for a group. */
  ignore(patterns: readonly string[]): void {
    this.#ignored = patterns.map((pattern) => (pattern.endsWith('/*') ? pattern.slice(0, -1) : pattern));
  }

  has(resource: string): boolean {
    if (!this.#nodes.has(resource)) return false;
    return !this.#ignored.some((name) => (name.endsWith('/') ? resource.startsWith(name) : resource === name));
  }

  change(before: Node | undefined, after: Node | undefined): void {
    const was = before?.allocatable.extended ?? null;
    const is = after?.allocatable.extended ?? null;
    if (was === is) return;
    for (const name in is) changeCount(this.#nodes, name, 1);
    for (const name in was) changeCount(this.#nodes, name, -1);
  }
}

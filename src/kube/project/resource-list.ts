import { cpuToMilli, quantityToInteger } from '../../domain/quantity.ts';
import { NO_RESOURCES, type Resources } from '../../domain/resources.ts';

/** A `ResourceList`: name to quantity. Numbers are tolerated, as kube-apiserver tolerates them. */
export type WireResourceList = { readonly [name: string]: string | number | null | undefined };

/** Canonical integers of a `ResourceList`. What is missing is 0; what cannot be read throws. */
export function resourcesOf(list: WireResourceList | null | undefined): Resources {
  if (!list) return NO_RESOURCES;
  let cpuMilli = 0;
  let memoryBytes = 0;
  let ephemeralBytes = 0;
  let pods = 0;
  let extended: Record<string, number> | null = null;
  for (const name in list) {
    const quantity = list[name];
    if (quantity === null || quantity === undefined) continue;
    const text = String(quantity);
    switch (name) {
      case 'cpu':
        cpuMilli = cpuToMilli(text);
        break;
      case 'memory':
        memoryBytes = quantityToInteger(text);
        break;
      case 'ephemeral-storage':
        ephemeralBytes = quantityToInteger(text);
        break;
      case 'pods':
        pods = quantityToInteger(text);
        break;
      default:
        (extended ??= {})[name] = quantityToInteger(text);
    }
  }
  return { cpuMilli, memoryBytes, ephemeralBytes, pods, extended };
}

/** The inverse of {@link resourcesOf}, in canonical quantities; zeros are left out. */
export function resourceListOf(resources: Resources): Record<string, string> {
  const list: Record<string, string> = {};
  if (resources.cpuMilli !== 0) list['cpu'] = cpuQuantityOf(resources.cpuMilli);
  if (resources.memoryBytes !== 0) list['memory'] = String(resources.memoryBytes);
  if (resources.ephemeralBytes !== 0) list['ephemeral-storage'] = String(resources.ephemeralBytes);
  if (resources.pods !== 0) list['pods'] = String(resources.pods);
  for (const name in resources.extended) list[name] = String(resources.extended[name]);
  return list;
}

function cpuQuantityOf(cpuMilli: number): string {
  return cpuMilli % 1000 === 0 ? String(cpuMilli / 1000) : `${cpuMilli}m`;
}

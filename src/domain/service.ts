import type { Pod } from './pod.ts';

/** A Service: to which pods it sends traffic. */
export interface Service {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  /** Null: it has no selector, or no address of its own (`clusterIP: None`), so that clients choose among its pods by themselves. */
  readonly selector: Readonly<Record<string, string>> | null;
}

/** The first of these Services that sends traffic to the pod now; a frozen pod would go on getting it until its readiness probe fails. */
export function serviceOf(pod: Pod, services: readonly Service[]): Service | undefined {
  if (!pod.ready) return undefined;
  return services.find(({ selector }) => {
    return selector !== null && Object.entries(selector).every(([key, value]) => pod.labels[key] === value);
  });
}

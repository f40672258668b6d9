import { networkInterfaces } from 'node:os';

/**
 * The address of everything in the cluster's network namespace. It belongs to no interface of the machine, so a program
 * started outside the namespace fails to bind it instead of being reachable from elsewhere.
 */
export const clusterAddress = '10.77.0.1';

export function insideClusterNetwork(): boolean {
  return Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === clusterAddress));
}

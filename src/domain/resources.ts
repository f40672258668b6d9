/**
 * An amount of each resource, in canonical integer units: a pod's requests, a node's allocatable, what is free.
 * One flat shape for every use, so that the hot path adds and compares numbers and nothing else.
 */
export interface Resources {
  readonly cpuMilli: number;
  readonly memoryBytes: number;
  readonly ephemeralBytes: number;
  /** Pods count as a resource: each pod requests 1, a node allows `status.allocatable.pods`. */
  readonly pods: number;
  /** Extended resources (`nvidia.com/gpu`), huge pages; null when there are none, which is the usual case. */
  readonly extended: Readonly<Record<string, number>> | null;
}

export const NO_RESOURCES: Resources = { cpuMilli: 0, memoryBytes: 0, ephemeralBytes: 0, pods: 0, extended: null };

export function addResources(a: Resources, b: Resources): Resources {
  return {
    cpuMilli: a.cpuMilli + b.cpuMilli,
    memoryBytes: a.memoryBytes + b.memoryBytes,
    ephemeralBytes: a.ephemeralBytes + b.ephemeralBytes,
    pods: a.pods + b.pods,
    extended: combineExtended(a.extended, b.extended, 1),
  };
}

export function subtractResources(a: Resources, b: Resources): Resources {
  return {
    cpuMilli: a.cpuMilli - b.cpuMilli,
    memoryBytes: a.memoryBytes - b.memoryBytes,
    ephemeralBytes: a.ephemeralBytes - b.ephemeralBytes,
    pods: a.pods - b.pods,
    extended: combineExtended(a.extended, b.extended, -1),
  };
}

/** What the requests leave of `total`; negative where they exceed it. One result, however many there are. */
export function remainder(total: Resources, requests: readonly { readonly requests: Resources }[]): Resources {
  if (requests.length === 0) return total;
  let { cpuMilli, memoryBytes, ephemeralBytes, pods, extended } = total;
  for (const { requests: amount } of requests) {
    cpuMilli -= amount.cpuMilli;
    memoryBytes -= amount.memoryBytes;
    ephemeralBytes -= amount.ephemeralBytes;
    pods -= amount.pods;
    if (amount.extended !== null) extended = combineExtended(extended, amount.extended, -1);
  }
  return { cpuMilli, memoryBytes, ephemeralBytes, pods, extended };
}

/** What is free once these are gone as well. */
export function withReturned(free: Resources, gone: readonly { readonly requests: Resources }[]): Resources {
  let left = free;
  for (const { requests } of gone) left = addResources(left, requests);
  return left;
}

/** True when `request` fits into `free`. A resource that is not requested is not looked at, even where it is overdrawn. */
export function fits(request: Resources, free: Resources): boolean {
  if (request.cpuMilli > 0 && request.cpuMilli > free.cpuMilli) return false;
  if (request.memoryBytes > 0 && request.memoryBytes > free.memoryBytes) return false;
  if (request.ephemeralBytes > 0 && request.ephemeralBytes > free.ephemeralBytes) return false;
  if (request.pods > 0 && request.pods > free.pods) return false;
  for (const name in request.extended) {
    const amount = request.extended[name] ?? 0;
    if (amount > 0 && amount > (free.extended?.[name] ?? 0)) return false;
  }
  return true;
}

/**
 * The first resource of which `request` asks for more than is `free`, by its name in a ResourceList; null where it fits. An
 * extended resource that `listed` does not name is not looked at.
 */
export function shortResource(request: Resources, free: Resources, listed: Resources): string | null {
  if (request.cpuMilli > Math.max(0, free.cpuMilli)) return 'cpu';
  if (request.memoryBytes > Math.max(0, free.memoryBytes)) return 'memory';
  if (request.ephemeralBytes > Math.max(0, free.ephemeralBytes)) return 'ephemeral-storage';
  if (request.pods > Math.max(0, free.pods)) return 'pods';
  for (const name in request.extended) {
    if (listed.extended?.[name] === undefined) continue;
    if ((request.extended[name] ?? 0) > Math.max(0, free.extended?.[name] ?? 0)) return name;
  }
  return null;
}

export function isSameAmount(a: Resources, b: Resources): boolean {
  return (
    a === b ||
    (a.cpuMilli === b.cpuMilli &&
      a.memoryBytes === b.memoryBytes &&
      a.ephemeralBytes === b.ephemeralBytes &&
      a.pods === b.pods &&
      isSameRecord(a.extended ?? NOTHING, b.extended ?? NOTHING))
  );
}

export function isSameRecord(
  a: Readonly<Record<string, string | number>>,
  b: Readonly<Record<string, string | number>>,
): boolean {
  if (a === b) return true;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}

const NOTHING = {};

/**
 * The largest share of `total` that `amount` takes, over all resources but the pod count; 0 to 1 (more where overcommitted).
 * The weight of a pod in node-seconds: half of a node's GPUs is half of the node, however little memory it uses.
 */
export function dominantShare(amount: Resources, total: Resources): number {
  let share = Math.max(
    shareOf(amount.cpuMilli, total.cpuMilli),
    shareOf(amount.memoryBytes, total.memoryBytes),
    shareOf(amount.ephemeralBytes, total.ephemeralBytes),
  );
  for (const name in amount.extended) {
    share = Math.max(share, shareOf(amount.extended[name] ?? 0, total.extended?.[name] ?? 0));
  }
  return share;
}

function shareOf(amount: number, total: number): number {
  return amount <= 0 || total <= 0 ? 0 : amount / total;
}

function combineExtended(
  a: Readonly<Record<string, number>> | null,
  b: Readonly<Record<string, number>> | null,
  sign: 1 | -1,
): Readonly<Record<string, number>> | null {
  if (b === null) return a;
  const sum: Record<string, number> = { ...a };
  for (const name in b) sum[name] = (sum[name] ?? 0) + sign * (b[name] ?? 0);
  return sum;
}

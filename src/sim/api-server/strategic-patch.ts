import { isRecord, sameJson, type JsonRecord } from './json.ts';
import { badRequest, unclassified } from './status-error.ts';

/**
 * The key by which the entries of a list are told apart, by the name of the list. Kubernetes keeps these as struct tags
 * (`patchMergeKey` in k8s.io/api); no name of this table is used with another key in the kinds we serve. `null` is a
 * set of plain values. A list that is not here is replaced as a whole (`tolerations`, `args`, `matchExpressions`, ...).
 */
const MERGE_KEYS: Readonly<Record<string, string | null>> = {
  addresses: 'type',
  conditions: 'type',
  containers: 'name',
  env: 'name',
  ephemeralContainers: 'name',
  finalizers: null,
  hostAliases: 'ip',
  hostIPs: 'ip',
  imagePullSecrets: 'name',
  initContainers: 'name',
  ownerReferences: 'uid',
  podCIDRs: null,
  podIPs: 'ip',
  ports: 'containerPort',
  resourceClaims: 'name',
  schedulingGates: 'name',
  topologySpreadConstraints: 'topologyKey',
  volumeDevices: 'devicePath',
  volumeMounts: 'mountPath',
  volumes: 'name',
  webhooks: 'name',
};

const DIRECTIVE = '$patch';
const DELETE_FROM = '$deleteFromPrimitiveList/';
const ORDER_PREFIX = '$setElementOrder/';
const RETAIN_KEYS = '$retainKeys';

/** Strategic merge patch of a built-in kind. Unchanged parts are shared with `target`, which is left alone. */
export function applyStrategicPatch(target: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) throw badRequest('error decoding patch: a strategic merge patch is an object');
  return mergeRecord(isRecord(target) ? target : {}, patch);
}

function mergeRecord(target: Readonly<JsonRecord>, patch: Readonly<JsonRecord>): JsonRecord {
  if (patch[DIRECTIVE] === 'delete') return {};
  if (patch[DIRECTIVE] === 'replace') return plain(patch);
  if (patch[DIRECTIVE] !== undefined && patch[DIRECTIVE] !== 'merge') {
    throw unclassified(`Unknown patch directive: ${JSON.stringify(patch[DIRECTIVE])}`);
  }
  let result: JsonRecord = { ...target };
  const retained = patch[RETAIN_KEYS];
  if (Array.isArray(retained)) {
    result = Object.fromEntries(Object.entries(result).filter(([key]) => retained.includes(key)));
  }
  for (const [key, value] of Object.entries(patch)) {
    if (key === DIRECTIVE || key === RETAIN_KEYS || key.startsWith(ORDER_PREFIX)) continue;
    if (key.startsWith(DELETE_FROM)) {
      const name = key.slice(DELETE_FROM.length);
      const gone = value as readonly unknown[];
      result[name] = listOf(result[name]).filter((item) => !gone.includes(item));
    } else if (value === null) delete result[key];
    else if (Array.isArray(value)) result[key] = mergeList(listOf(result[key]), value, key);
    else if (isRecord(value)) result[key] = mergeRecord(isRecord(result[key]) ? result[key] : {}, value);
    else result[key] = value;
  }
  for (const [key, order] of Object.entries(patch)) {
    const name = key.startsWith(ORDER_PREFIX) ? key.slice(ORDER_PREFIX.length) : null;
    if (name !== null && Array.isArray(order)) result[name] = ordered(listOf(result[name]), order, name);
  }
  return result;
}

function mergeList(target: readonly unknown[], patch: readonly unknown[], name: string): readonly unknown[] {
  const mergeKey = MERGE_KEYS[name];
  if (mergeKey === undefined) return patch.map((item) => (isRecord(item) ? plain(item) : item));
  if (mergeKey === null) return [...target, ...patch.filter((item) => !target.includes(item))];
  if (patch.some((item) => isRecord(item) && item[DIRECTIVE] === 'replace')) {
    return patch.filter((item) => isRecord(item) && item[DIRECTIVE] === undefined);
  }
  let result = [...target];
  for (const item of patch) {
    if (!isRecord(item) || item[mergeKey] === undefined) {
      throw unclassified(`map: ${JSON.stringify(item)} does not contain declared merge key: ${mergeKey}`);
    }
    const isSame = (other: unknown): boolean => isRecord(other) && sameJson(other[mergeKey], item[mergeKey]);
    if (item[DIRECTIVE] === 'delete') {
      result = result.filter((other) => !isSame(other));
      continue;
    }
    const at = result.findIndex(isSame);
    if (at < 0) result.push(mergeRecord({}, item));
    else result[at] = mergeRecord(result[at] as JsonRecord, item);
  }
  return result;
}

/** Entries that the patch named come in its order; those that only the server has keep their place before or behind. */
function ordered(list: readonly unknown[], order: readonly unknown[], name: string): readonly unknown[] {
  const mergeKey = MERGE_KEYS[name];
  if (mergeKey === undefined) return list;
  const keyOf = (item: unknown): unknown => (mergeKey !== null && isRecord(item) ? item[mergeKey] : item);
  const rankOf = (item: unknown): number => order.findIndex((entry) => sameJson(keyOf(entry), keyOf(item)));
  const sorted = list.filter((item) => rankOf(item) >= 0).toSorted((a, b) => rankOf(a) - rankOf(b));
  let next = 0;
  return list.map((item) => (rankOf(item) >= 0 ? sorted[next++] : item));
}

function plain(patch: Readonly<JsonRecord>): JsonRecord {
  return Object.fromEntries(Object.entries(patch).filter(([key]) => key !== DIRECTIVE));
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

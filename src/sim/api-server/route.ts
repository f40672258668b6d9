import { RESOURCES, type ResourceType } from '../../kube/resources.ts';

/** What a path names. A `name` of null is the collection, in one namespace or (null) in all of them. */
export interface Route {
  readonly type: ResourceType;
  readonly namespace: string | null;
  readonly name: string | null;
  readonly subresource: string | null;
}

const TYPES = new Map<string, ResourceType>(); // group/version/plural -> type
for (const type of Object.values(RESOURCES)) TYPES.set(`${type.group}/${type.version}/${type.plural}`, type);

/** Returns null for a path that this server does not serve. */
export function routeOf(path: string): Route | null {
  const parts = path.split('/').slice(1).map(decodeURIComponent);
  const prefix = parts.shift();
  if (prefix !== 'api' && prefix !== 'apis') return null;
  const group = prefix === 'api' ? '' : (parts.shift() ?? '');
  const version = parts.shift() ?? '';

  let namespace: string | null = null;
  // `/namespaces/x` and `/namespaces/x/status` are the namespace itself; anything longer is something in it.
  if (parts[0] === 'namespaces' && parts.length > 2 && TYPES.has(`${group}/${version}/${parts[2] ?? ''}`)) {
    namespace = parts[1] ?? '';
    parts.splice(0, 2);
  }
  const [plural, name, subresource, ...rest] = parts;
  const type = TYPES.get(`${group}/${version}/${plural ?? ''}`);
  if (type === undefined || rest.length > 0) return null;
  if (type.namespaced ? name !== undefined && namespace === null : namespace !== null) return null;
  return { type, namespace, name: name ?? null, subresource: subresource ?? null };
}

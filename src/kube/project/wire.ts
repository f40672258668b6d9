/**
 * How a model of `@kubernetes/client-node` looks as parsed JSON, for type-only use: dates travel as RFC 3339 strings.
 * Every field may be missing: objects of old or odd servers, of webhooks and of tests are read with the same functions.
 */
export type Wire<T> = T extends Date
  ? string
  : T extends readonly (infer E)[]
    ? readonly Wire<E>[]
    : T extends object
      ? { readonly [K in keyof T]?: Wire<T[K]> | null | undefined }
      : T;

/** The object as the given model; nothing is checked. */
export function wireOf<T>(object: object): Wire<T> {
  return object as Wire<T>;
}

/** Adds `by` to the count of `key`, which has no entry while it is 0; answers the new count. */
export function changeCount<Key>(counts: Map<Key, number>, key: Key, by: number): number {
  const count = (counts.get(key) ?? 0) + by;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
  return count;
}

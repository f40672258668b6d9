/** Milliseconds since the epoch of an RFC 3339 timestamp; null where there is none, or none that can be read. */
export function millisOf(timestamp: string | null | undefined): number | null {
  if (!timestamp) return null;
  const ms = Date.parse(timestamp);
  return Number.isNaN(ms) ? null : ms;
}

/** RFC 3339 with milliseconds, as our own records hold it. */
export function timestampOf(ms: number): string {
  return new Date(ms).toISOString();
}

/** RFC 3339 in whole seconds: `metav1.Time`, as Kubernetes' own objects hold it. */
export function secondsTimestampOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** `metav1.MicroTime`: the server refuses fewer than six digits. */
export function microTimestampOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, -1)}000Z`;
}

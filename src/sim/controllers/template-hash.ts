/** Tells templates apart; part of the names of ReplicaSets and of the revisions of a StatefulSet. */
export function templateHash(template: unknown): string {
  return hashOf(JSON.stringify(template ?? null));
}

/** No vowels and nothing that looks like another character, as `rand.SafeEncodeString`. */
const SAFE = 'bcdfghjklmnpqrstvwxz2456789';

function hashOf(text: string): string {
  let hash = 0x811c9dc5; // FNV-1a, as the real one
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193) >>> 0;
  return String(hash)
    .split('')
    .map((digit) => SAFE[digit.charCodeAt(0) % SAFE.length])
    .join('');
}

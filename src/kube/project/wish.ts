/** More than this is cut: it is repeated in records, conditions and Events. */
export const LONGEST_WISH = 200;

/**
 * What a person wrote into an annotation that asks for something; null where nobody asks. It is said again on one line, so what is
 * no printable character becomes a space.
 */
export function wishIn(value: string | undefined): string | null {
  if (value === undefined) return null;
  const line = value.replace(/[^\P{C}]+|\s+/gu, ' ').trim();
  return line === '' ? 'no reason given' : Array.from(line).slice(0, LONGEST_WISH).join('');
}

/**
 * What runc hands to CRIU. Connections of a restored pod lead to an address that it no longer has: they are closed instead of
 * failing the dump; those that nobody has accepted yet, often a probe's, are left out. Files without a name are saved whatever
 * their size (CRIU's own limit is 1 MiB; this is the largest that it takes), files under another name than their own as well, and
 * so are locks.
 */
const OPTIONS = ['tcp-close', 'skip-in-flight', 'ghost-limit 4095M', 'link-remap', 'file-locks'];
const MARK = ' # reprieve';

/** The options that are not set. */
export function missingCriuOptions(text: string): readonly string[] {
  const set = new Set(text.split('\n').map((line) => nameOf(line.split('#', 1)[0] as string)));
  return OPTIONS.filter((option) => !set.has(nameOf(option)));
}

/** With what is missing at the top, where taking it back leaves the rest as it was, whether its last line ends or not. */
export function withCriuOptions(text: string): string {
  return missingCriuOptions(text)
    .map((option) => `${option}${MARK}\n`)
    .concat(text)
    .join('');
}

/** Without the lines that {@link withCriuOptions} added. */
export function withoutCriuOptions(text: string): string {
  const ours = new Set(OPTIONS.map((option) => `${option}${MARK}`));
  return text
    .split('\n')
    .filter((line) => !ours.has(line))
    .join('\n');
}

/** Without its value. */
function nameOf(option: string): string {
  return option.trim().split(/[\s=]/, 1)[0] as string;
}

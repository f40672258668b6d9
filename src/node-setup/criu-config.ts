/**
 * What runc hands to CRIU. Connections of a restored pod lead to an address that it no longer has: they are closed
 * instead of failing the dump.
 */
const OPTION = 'tcp-close';

export function hasTcpClose(text: string): boolean {
  return text.split('\n').some((line) => (line.split('#', 1)[0] as string).trim() === OPTION);
}

/** At the top, where taking it back leaves the rest as it was, whether its last line ends or not. */
export function withTcpClose(text: string): string {
  return hasTcpClose(text) ? text : `${OPTION}\n${text}`;
}

/** Without the line that {@link withTcpClose} added: the first of its kind. */
export function withoutTcpClose(text: string): string {
  const at = `\n${text}`.indexOf(`\n${OPTION}\n`);
  return at === -1 ? text : text.slice(0, at) + text.slice(at + OPTION.length + 1);
}

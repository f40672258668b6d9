/**
 * What runc hands to CRIU. Connections of a restored pod lead to an address that it no longer has: they are closed
 * instead of failing the dump.
 */
const OPTION = 'tcp-close';

export function hasTcpClose(text: string): boolean {
  return text.split('\n').some((line) => (line.split('#', 1)[0] as string).trim() === OPTION);
}

export function withTcpClose(text: string): string {
  if (hasTcpClose(text)) return text;
  return `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${OPTION}\n`;
}

/** Without the line that {@link withTcpClose} added: the last of its kind. */
export function withoutTcpClose(text: string): string {
  const at = `\n${text}`.lastIndexOf(`\n${OPTION}\n`);
  return at === -1 ? text : text.slice(0, at) + text.slice(at + OPTION.length + 1);
}

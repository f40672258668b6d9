/**
 * Bodies as Go's encoder writes them: no spaces, members in the order of the struct, keys of maps sorted. What is long in
 * them, node names and victims, is then the last member, and can be read without making a value of every byte:
 *
 *     {"Pod":{...},"Nodes":null,"NodeNames":["n1","n2"]}
 *     └─── head ──┘            └─ marker ──┘└── tail ─┘└ end
 *
 * The marker cannot stand inside a text (its quotes would be escaped there), and where a valid tail runs to the end of the
 * body the marker stands at the top: so the head with a brace behind it is JSON exactly where the whole body is. Everything
 * that does not look like this, valid or not, is left to the general way ({@link splitBody} and the readers answer null).
 */
export interface SplitBody {
  /** All members before the marker, as an object of their own. */
  readonly head: string;
  /** Where the tail begins. */
  readonly start: number;
}

export function splitBody(raw: Buffer, marker: Buffer): SplitBody | null {
  const end = raw.indexOf(marker);
  return end < 0 ? null : { head: `${raw.toString('utf8', 0, end)}}`, start: end + marker.length };
}

/** The elements of a list of names, quoted and with commas between, as they came: a view of the body, plain ASCII. */
export interface NameList {
  readonly bytes: Buffer;
  readonly count: number;
}

const QUOTE = 0x22;
const COMMA = 0x2c;

/** Reads `"a","b"]}` up to the end of the body; null where it is anything else, or a name is empty or not plain ASCII. */
export function readNames(raw: Buffer, start: number): NameList | null {
  const end = endOf(raw) - 2;
  if (end < start || raw[end] !== 0x5d || raw[end + 1] !== 0x7d) return null;
  let count = 0;
  let at = start;
  while (at < end) {
    if (count > 0 && raw[at++] !== COMMA) return null;
    const close = closingQuote(raw, at);
    if (close < 0 || close >= end) return null;
    count++;
    at = close + 1;
  }
  return { bytes: raw.subarray(start, end), count };
}

export function namesIn({ bytes, count }: NameList): readonly string[] {
  return count === 0 ? [] : bytes.toString('latin1', 1, bytes.length - 1).split('","');
}

/** The victims of one node, by UID. */
interface NodeVictims {
  readonly node: string;
  readonly uids: readonly string[];
  readonly numPdbViolations: number;
}

/** All that stands in the map, and as it came, without the braces around it: a view of the body, plain ASCII. */
export interface VictimMap {
  readonly nodes: readonly NodeVictims[];
  readonly bytes: Buffer;
}

const PODS = Buffer.from(':{"Pods":[');
const UID = Buffer.from('{"UID":"');
const VIOLATIONS = Buffer.from('],"NumPDBViolations":');
const CLOSING_BRACE = 0x7d;

/**
 * Reads `"n1":{"Pods":[{"UID":"a"}],"NumPDBViolations":0}}}` up to the end of the body; null where it is anything else, or the
 * nodes are not in order, each once. UIDs are slices of one text: whoever keeps one keeps all of them in memory.
 */
export function readVictims(raw: Buffer, start: number): VictimMap | null {
  const end = endOf(raw) - 2;
  if (end < start || raw[end] !== CLOSING_BRACE || raw[end + 1] !== CLOSING_BRACE) return null;
  const text = raw.toString('latin1', start, end);
  const nodes: NodeVictims[] = [];
  let last = '';
  let at = start;
  while (at < end) {
    if (nodes.length > 0 && raw[at++] !== COMMA) return null;
    let close = closingQuote(raw, at);
    if (close < 0) return null;
    const node = raw.toString('latin1', at + 1, close);
    if (node <= last) return null;
    last = node;
    at = close + 1;
    if (!startsWith(raw, at, PODS)) return null;
    at += PODS.length;
    const uids: string[] = [];
    while (raw[at] !== 0x5d) {
      if (uids.length > 0 && raw[at++] !== COMMA) return null;
      if (!startsWith(raw, at, UID)) return null;
      at += UID.length - 1;
      close = closingQuote(raw, at);
      if (close < 0 || raw[close + 1] !== CLOSING_BRACE) return null;
      uids.push(text.slice(at + 1 - start, close - start));
      at = close + 2;
    }
    if (!startsWith(raw, at, VIOLATIONS)) return null;
    at += VIOLATIONS.length;
    close = at;
    while (isDigit(raw[close])) close++;
    const digits = close - at;
    if (digits === 0 || digits > MAX_DIGITS || (digits > 1 && raw[at] === 0x30) || raw[close] !== CLOSING_BRACE)
      return null;
    nodes.push({ node, uids, numPdbViolations: Number(raw.toString('latin1', at, close)) });
    at = close + 1;
  }
  return at === end ? { nodes, bytes: raw.subarray(start, end) } : null;
}

/** Whatever has no more is a safe integer. */
const MAX_DIGITS = 15;

/** Go's `Encoder` ends a body with a newline, `Marshal` does not. */
function endOf(raw: Buffer): number {
  return raw[raw.length - 1] === 0x0a ? raw.length - 1 : raw.length;
}

/** Where the text that opens at `at` ends; -1 where none opens there, it is empty, or not plain ASCII without escapes. */
function closingQuote(raw: Buffer, at: number): number {
  if (raw[at] !== QUOTE) return -1;
  for (let close = at + 1; close < raw.length; close++) {
    const byte = raw[close] as number;
    if (byte === QUOTE) return close === at + 1 ? -1 : close;
    if (byte < 0x20 || byte > 0x7e || byte === 0x5c) return -1;
  }
  return -1;
}

function startsWith(raw: Buffer, at: number, expected: Buffer): boolean {
  for (let i = 0; i < expected.length; i++) if (raw[at + i] !== expected[i]) return false;
  return true;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

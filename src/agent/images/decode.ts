import { MESSAGES } from './messages.ts';

/** A state holds something that is not allowed, in words for whoever owns the pod. */
export class ImageRefused extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ImageRefused';
  }
}

type Value = number | string | Buffer | Message;

/** A message of CRIU. Each field is a list: it may be there any number of times. */
export class Message {
  readonly #fields: ReadonlyMap<string, readonly Value[]>;

  constructor(fields: ReadonlyMap<string, readonly Value[]>) {
    this.#fields = fields;
  }

  has(field: string): boolean {
    return this.#fields.has(field);
  }

  /** The last one, as protobuf has it; 0 where there is none. Exact up to 2^53. */
  number(field: string): number {
    return (this.#fields.get(field)?.at(-1) as number | undefined) ?? 0;
  }

  numbers(field: string): readonly number[] {
    return (this.#fields.get(field) ?? []) as readonly number[];
  }

  text(field: string): string {
    return (this.#fields.get(field)?.at(-1) as string | undefined) ?? '';
  }

  texts(field: string): readonly string[] {
    return (this.#fields.get(field) ?? []) as readonly string[];
  }

  bytes(field: string): Buffer {
    return (this.#fields.get(field)?.at(-1) as Buffer | undefined) ?? Buffer.alloc(0);
  }

  messages(field: string): readonly Message[] {
    return (this.#fields.get(field) ?? []) as readonly Message[];
  }

  /** Undefined where there is none. Two of one are merged by protobuf: refused. */
  message(field: string): Message | undefined {
    const all = this.messages(field);
    if (all.length > 1) throw new ImageRefused(`${field} is there ${all.length} times`);
    return all[0];
  }
}

interface FieldShape {
  readonly name: string;
  readonly type: string;
}

/** Name of a message -> number of a field -> the field. */
const SHAPES: ReadonlyMap<string, ReadonlyMap<number, FieldShape>> = new Map(
  [...MESSAGES.matchAll(/^(\w+):((?:.*\n)(?: {2}.*\n)*)/gm)].map(([, message = '', fields = '']) => [
    message,
    new Map(
      [...fields.matchAll(/(\w+) (\w+)=(\d+)/g)].map(([, type = '', name = '', at]) => [Number(at), { type, name }]),
    ),
  ]),
);

/** The magic of all images and that of the kind; the inventory has one of four bytes. */
const MAGIC_BYTES = 8;
const INVENTORY_MAGIC_BYTES = 4;
const LENGTH_BYTES = 4;
/** More than any message has whose contents are looked at: one of the memory of a process takes 60 bytes for each mapping. */
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;
const MAX_DEPTH = 32;

/**
 * The messages of an image: its magic, then each behind its length in 32 bits. `firstOnly`: data follow the first. Throws
 * {@link ImageRefused} for what is cut off, and for a field that is not in {@link MESSAGES}.
 */
export function decodeImage(image: Buffer, message: string, firstOnly = false): readonly Message[] {
  const start = message === 'inventory_entry' ? INVENTORY_MAGIC_BYTES : MAGIC_BYTES;
  if (image.length < start) throw new ImageRefused('it is cut off');
  const found: Message[] = [];
  for (let at = start; at < image.length;) {
    if (at + LENGTH_BYTES > image.length) throw new ImageRefused('it is cut off');
    const length = image.readUInt32LE(at);
    const end = at + LENGTH_BYTES + length;
    if (length > MAX_MESSAGE_BYTES || end > image.length) throw new ImageRefused('it is cut off');
    found.push(decode(image.subarray(at + LENGTH_BYTES, end), message, 0));
    if (firstOnly) break;
    at = end;
  }
  return found;
}

function decode(bytes: Buffer, message: string, depth: number): Message {
  const shape = SHAPES.get(message);
  if (shape === undefined || depth > MAX_DEPTH) throw new ImageRefused(`${message} is too deep`);
  const fields = new Map<string, Value[]>();
  for (let at = 0; at < bytes.length;) {
    const key = varint(bytes, at);
    const field = shape.get(Number(key.value >> 3n));
    if (field === undefined) throw new ImageRefused(`${message} has the unknown field ${key.value >> 3n}`);
    const { value, end } = valueOf(bytes, key.end, Number(key.value & 7n), field, message, depth);
    const before = fields.get(field.name);
    if (before === undefined) fields.set(field.name, [value]);
    else before.push(value);
    at = end;
  }
  return new Message(fields);
}

const SIGNED = new Set(['int32', 'int64']);
const ZIGZAG = new Set(['sint32', 'sint64']);
const NUMBERS = new Set(['uint32', 'uint64', 'bool', ...SIGNED, ...ZIGZAG]);

function valueOf(
  bytes: Buffer,
  at: number,
  wire: number,
  { name, type }: FieldShape,
  message: string,
  depth: number,
): { readonly value: Value; readonly end: number } {
  const wrong = (): ImageRefused => new ImageRefused(`field ${name} of ${message} is malformed`);
  if (wire === 0) {
    const { value, end } = varint(bytes, at);
    if (!NUMBERS.has(type)) throw wrong();
    if (SIGNED.has(type)) return { value: Number(BigInt.asIntN(64, value)), end };
    if (ZIGZAG.has(type)) return { value: Number((value >> 1n) ^ -(value & 1n)), end };
    // CRIU reads no more than the bits of the type.
    return { value: Number(type === 'uint32' ? BigInt.asUintN(32, value) : value), end };
  }
  if (wire === 1 && type === 'opaque' && at + 8 <= bytes.length) return { value: 0, end: at + 8 };
  if (wire !== 2 || NUMBERS.has(type)) throw wrong();
  const { value: length, end: start } = varint(bytes, at);
  const end = start + Number(length);
  if (end > bytes.length) throw wrong();
  const content = bytes.subarray(start, end);
  if (type === 'bytes' || type === 'opaque') return { value: content, end };
  if (type !== 'string') return { value: decode(content, type, depth + 1), end };
  const text = content.toString('utf8');
  // CRIU would read it to the first NUL, and we beyond.
  if (text.includes('\0') || text.includes('\ufffd')) throw wrong();
  return { value: text, end };
}

function varint(bytes: Buffer, start: number): { readonly value: bigint; readonly end: number } {
  let value = 0n;
  for (let at = start, shift = 0n; at < bytes.length && shift < 70n; at++, shift += 7n) {
    const byte = bytes[at] as number;
    value |= BigInt(byte & 127) << shift;
    if (byte < 128) return { value: BigInt.asUintN(64, value), end: at + 1 };
  }
  throw new ImageRefused('it is cut off');
}

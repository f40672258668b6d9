/**
 * The images of CRIU: eight bytes of magic, then protobuf messages, each behind its length in 32 bits. What is changed here keeps
 * its length: a varint may have more bytes than it needs.
 */
const MAGIC_BYTES = 8;
const LENGTH_BYTES = 4;

/** One field of a message: a number, or the bytes from `start` to `end`. */
export interface Field {
  readonly number: number;
  readonly start: number;
  readonly end: number;
  /** Of a number; 0 for anything else. */
  readonly value: number;
}

/** What only the magic is left of holds nothing. */
export function emptied(image: Buffer): Buffer {
  return image.subarray(0, MAGIC_BYTES);
}

/** The fields of each message of an image. */
export function* messagesIn(image: Buffer): Generator<readonly Field[]> {
  for (let at = MAGIC_BYTES; at + LENGTH_BYTES <= image.length;) {
    const start = at + LENGTH_BYTES;
    const end = start + image.readUInt32LE(at);
    yield fieldsIn(image, start, end);
    at = end;
  }
}

/** The fields of a message within another. */
function fieldsIn(image: Buffer, start: number, end: number): readonly Field[] {
  const fields: Field[] = [];
  for (let at = start; at < end;) {
    const key = varintAt(image, at);
    const number = key.value >>> 3;
    const field = fieldAt(image, key.end, key.value & 7);
    fields.push({ number, ...field });
    at = field.end;
  }
  return fields;
}

/** The message in the first field of this number; undefined where there is none. */
export function messageOf(image: Buffer, fields: readonly Field[], number: number): readonly Field[] | undefined {
  const field = fields.find((one) => one.number === number);
  return field && fieldsIn(image, field.start, field.end);
}

/** The number in the first field of this number; 0 where there is none, as protobuf has it. */
export function numberOf(fields: readonly Field[], number: number): number {
  return fields.find((one) => one.number === number)?.value ?? 0;
}

export function textOf(image: Buffer, fields: readonly Field[], number: number): string {
  const field = fields.find((one) => one.number === number);
  return field === undefined ? '' : image.toString('utf8', field.start, field.end);
}

/** Writes another number in the same bytes. Throws a RangeError where it needs more. */
export function setNumber(image: Buffer, { start, end }: Field, value: number): void {
  if (value >= 2 ** (7 * (end - start))) throw new RangeError(`${value} does not fit into ${end - start} bytes`);
  for (let at = start, rest = value; at < end; at++, rest = Math.floor(rest / 128)) {
    image.writeUInt8((rest % 128) + (at < end - 1 ? 128 : 0), at);
  }
}

/** Writes another text in the same bytes, filled up with NUL. Throws a RangeError where it needs more. */
export function setText(image: Buffer, { start, end }: Field, text: string): void {
  if (Buffer.byteLength(text) > end - start) throw new RangeError(`${text} does not fit into ${end - start} bytes`);
  image.fill(0, start, end);
  image.write(text, start);
}

function fieldAt(image: Buffer, at: number, wire: number): Omit<Field, 'number'> {
  if (wire === 0) return { start: at, ...varintAt(image, at) };
  if (wire === 1) return { start: at, end: at + 8, value: 0 };
  if (wire === 5) return { start: at, end: at + 4, value: 0 };
  if (wire !== 2) throw new Error(`an image has a field of the unknown kind ${wire}`);
  const { value: length, end: start } = varintAt(image, at);
  return { start, end: start + length, value: 0 };
}

function varintAt(image: Buffer, at: number): { readonly value: number; readonly end: number } {
  let value = 0;
  for (let end = at, factor = 1; ; end++, factor *= 128) {
    const byte = image.readUInt8(end);
    value += (byte % 128) * factor;
    if (byte < 128) return { value, end: end + 1 };
  }
}

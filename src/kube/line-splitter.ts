const NEWLINE = 0x0a;

/**
 * Cuts a stream of buffers into lines. Bytes are only looked at once, and copied only where a line spans several buffers;
 * a character that is cut in two by a chunk is whole again in its line.
 */
export class LineSplitter {
  readonly #maxLineBytes: number;
  #parts: Buffer[] = []; // of the line that has not ended yet
  #partBytes = 0;

  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes;
  }

  /** The lines that end in this chunk, without the newline. Empty lines are left out. Throws on a line that is too long. */
  *push(chunk: Buffer): Iterable<Buffer> {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const line = this.#completed(chunk.subarray(start, end));
      start = end + 1;
      if (line.length > 0) yield line;
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
  }

  /** What is left after the last newline. */
  rest(): Buffer {
    return this.#completed(Buffer.alloc(0));
  }

  #completed(last: Buffer): Buffer {
    if (this.#parts.length === 0) {
      this.#check(last.length);
      return last;
    }
    this.#keep(last);
    const line = Buffer.concat(this.#parts, this.#partBytes);
    this.#parts = [];
    this.#partBytes = 0;
    return line;
  }

  #keep(part: Buffer): void {
    this.#check(this.#partBytes + part.length);
    this.#parts.push(part);
    this.#partBytes += part.length;
  }

  #check(bytes: number): void {
    if (bytes > this.#maxLineBytes) throw new RangeError(`a line has more than ${this.#maxLineBytes} bytes`);
  }
}

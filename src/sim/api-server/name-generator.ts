/** The alphabet of `k8s.io/apimachinery/pkg/util/rand`: no vowels, so that no words come out. */
const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';
const SUFFIX_LENGTH = 5;
const NAME_LIMIT = 63;

/** UIDs and name suffixes that repeat from run to run. */
export class NameGenerator {
  #state: number;
  #uids = 0;
  readonly #seed: number;

  constructor(seed: number) {
    this.#seed = seed >>> 0;
    this.#state = this.#seed ^ 0x9e3779b9;
  }

  /** An RFC 4122 version 4 shape: seed, noise, and a counter that makes it unique. */
  uid(): string {
    const hex = (value: number, digits: number): string =>
      (value >>> 0).toString(16).padStart(digits, '0').slice(-digits);
    const noise = this.#next();
    const variant = (8 + (noise & 3)).toString(16);
    return `${hex(this.#seed, 8)}-${hex(noise, 4)}-4${hex(noise >>> 16, 3)}-${variant}${hex(noise >>> 8, 3)}-${hex(++this.#uids, 12)}`;
  }

  nameFrom(prefix: string): string {
    let suffix = '';
    for (let i = 0; i < SUFFIX_LENGTH; i++) suffix += ALPHABET[this.#next() % ALPHABET.length];
    return prefix.slice(0, NAME_LIMIT - SUFFIX_LENGTH) + suffix;
  }

  /** mulberry32: small, and good enough for names. */
  #next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }
}

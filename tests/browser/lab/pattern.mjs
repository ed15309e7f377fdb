/** Bytes that look random and follow from a seed: xorshift32, each word little endian. tests/lab/src/pattern.rs is the same. */
export class Pattern {
  constructor (seed) {
    // Zero would stay zero.
    this.state = (seed >>> 0) || 1
  }

  /** Fill `bytes`, whose length is a multiple of four. */
  fill (bytes) {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
    let x = this.state
    for (let index = 0; index < words.length; index++) {
      x ^= x << 13
      x ^= x >>> 17
      x ^= x << 5
      words[index] = x
    }
    this.state = x >>> 0
  }
}

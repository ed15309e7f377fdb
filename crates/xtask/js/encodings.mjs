// The two ways a browser's download is compressed, each at its best.
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

export const gzip = bytes => gzipSync(bytes, { level: 9 })

export const brotli = bytes => brotliCompressSync(bytes, {
  params: {
    [constants.BROTLI_PARAM_QUALITY]: 11,
    [constants.BROTLI_PARAM_LGWIN]: 24,
    [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
  },
})

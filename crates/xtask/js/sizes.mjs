// Prints the bytes of a file as it is, gzipped (-9) and brotlied (-q 11), as one JSON object.
import { readFileSync } from 'node:fs'
import { brotli, gzip } from './encodings.mjs'

const bytes = readFileSync(process.argv[2])
console.log(JSON.stringify({ raw: bytes.length, gzip: gzip(bytes).length, brotli: brotli(bytes).length }))

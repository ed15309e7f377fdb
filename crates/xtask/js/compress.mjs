// Writes FILE.br (brotli -q 11) beside every text and WebAssembly file of a folder, for servers that can send it.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotli } from './encodings.mjs'

const [folder] = process.argv.slice(2)
for (const name of readdirSync(folder, { recursive: true })) {
  if (/\.(css|html|js|json|svg|wasm)$/.test(name)) {
    const bytes = readFileSync(join(folder, name))
    // Below this a header costs as much as is saved.
    if (bytes.length >= 1024) writeFileSync(join(folder, `${name}.br`), brotli(bytes))
  }
}

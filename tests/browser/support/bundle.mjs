// A js-libp2p page as one file, the way a site would ship it.
import { build } from 'esbuild'

/** The module at this path with all it imports, minified, as bytes. */
export async function bundle (entry) {
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    write: false,
    logLevel: 'warning'
  })
  return Buffer.from(outputFiles[0].contents)
}

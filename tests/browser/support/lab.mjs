// Pages of the lab: one object with the same methods, made by crates/webrtc or by js-libp2p; see lab/js.mjs for what they do.
import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundle } from './bundle.mjs'
import { end, firstLine, targetFolder } from './processes.mjs'

const HERE = path.dirname(fileURLToPath(import.meta.url))
const LAB = path.join(HERE, '../lab')
/** Where the pages pretend to come from. No server is asked: the test answers, also inside a network namespace. */
const ORIGIN = 'http://localhost'
/** A page that shares its process with no other site may look at the clock to 5 µs; others to 100. */
const ISOLATED = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' }

export const RUST = 'rust'
export const JS = 'js'

/**
 * A browser for such pages collects garbage when they ask for it. It takes a page that comes from nowhere for one from the
 * internet, and would ask a person before that may talk to this machine. The second is also in FLAGS: the last one counts.
 */
export const LAB_FLAGS = ['--js-flags=--expose-gc', '--disable-features=WebRtcHideLocalIpsWithMdns,LocalNetworkAccessChecks']

export class Lab {
  /** A page of its own in a fresh profile, started. */
  static async open (chromium, kind, options = {}) {
    const lab = await Lab.load(chromium, kind)
    lab.id = await lab.call('start', options)
    return lab
  }

  /** A page of its own in a fresh profile, where nothing runs yet. */
  static async load (chromium, kind) {
    const lab = new Lab()
    lab.kind = kind
    lab.context = await chromium.browser.newContext()
    lab.page = await lab.context.newPage()
    lab.errors = []
    lab.page.on('pageerror', error => lab.errors.push(`${error}`))
    if (process.env.LAB_LOG) lab.page.on('console', message => console.log(`      ${kind}: ${message.text()}`))
    await lab.page.addInitScript({ path: path.join(LAB, 'meter.mjs') })
    await lab.page.route(`${ORIGIN}/**`, async route => await route.fulfill({ headers: ISOLATED, ...await file(kind, new URL(route.request().url()).pathname) }))
    await lab.page.goto(`${ORIGIN}/`)
    await lab.page.waitForFunction(() => globalThis.lab !== undefined)
    return lab
  }

  /** Call a method of the page's `lab`. */
  async call (method, ...args) {
    const { done, failed } = await this.page.evaluate(async ([method, args]) => {
      try {
        return { done: await globalThis.lab[method](...args) }
      } catch (error) {
        // As a value: Playwright would add where in the page it was thrown.
        return { failed: `${error?.message ?? error}` }
      }
    }, [method, args])
    if (failed !== undefined) throw new Error(`${this.kind} ${method}: ${failed}`)
    return done
  }

  /** What is still there once everything was collected that can be. */
  async collected () {
    await this.page.evaluate(() => globalThis.collect())
    return await this.call('stats')
  }

  /** Wait until a condition holds on what a method of the page, or `collected`, gives. */
  async until (what, condition, method, ...args) {
    const deadline = Date.now() + 60_000
    for (;;) {
      const found = method === 'collected' ? await this.collected() : await this.call(method, ...args)
      if (condition(found)) return found
      if (Date.now() > deadline) throw new Error(`waited in vain for ${what}: ${JSON.stringify(found)}`)
      await new Promise(resolve => setTimeout(resolve, 50))
    }
  }

  async dispose () {
    await this.context.close().catch(() => {})
  }
}

/** js-libp2p in a process: a relay over WebSocket and a WebRTC-direct listener. */
export class JsServer {
  static async start () {
    const server = new JsServer()
    const args = ['--import', path.join(LAB, 'polyfill.mjs'), path.join(LAB, 'server.mjs')]
    server.child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    server.addresses = JSON.parse(await firstLine(server.child, 'the js-libp2p server')).addresses
    server.peerId = server.addresses[0].split('/').at(-1)
    return server
  }

  /** The first address that contains `/kind/`: ws, webrtc-direct. */
  address (kind) {
    return this.addresses.find(addr => addr.split('/').includes(kind))
  }

  async dispose () {
    await end(this.child)
  }
}

/** The address of a page behind a relay, for a direct connection to it or for the circuit only. */
export function behind (relay, id, { direct = true } = {}) {
  return `${relay}/p2p-circuit${direct ? '/webrtc' : ''}/p2p/${id}`
}

let script
/** What a page of this kind gets for a path. */
async function file (kind, name) {
  if (name === '/') {
    return { contentType: 'text/html', body: `<!doctype html><meta charset="utf-8"><title>lab</title><script type="module" src="/${kind}.mjs"></script>` }
  }
  if (name === '/js.mjs') {
    script ??= bundle(path.join(LAB, 'js.mjs'))
    return { contentType: 'text/javascript', body: await script }
  }
  const isBuilt = name.startsWith('/mycomesh_lab')
  const folder = isBuilt ? process.env.LAB_DIR ?? path.join(targetFolder(), 'lab') : LAB
  try {
    const body = await readFile(path.join(folder, path.basename(name)))
    return { contentType: name.endsWith('.wasm') ? 'application/wasm' : 'text/javascript', body }
  } catch {
    return { status: 404, body: '' }
  }
}

// A relay and native peers as processes. Waiting is for what they say.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { existsSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** When a condition counts as never coming true. */
const PATIENCE_MS = 90_000

const PORTS = { http: 0, ws: 0, webrtc: 0, tcp: 0, quic: 0 }

/** A relay on free ports of this machine, or of the router of `networks`, in a folder of its own. */
export class Relay {
  static async start ({ network, config, networks } = {}) {
    const relay = new Relay()
    relay.networks = networks
    relay.dir = await mkdtemp(path.join(tmpdir(), 'mycomesh-relay-'))
    relay.args = network === undefined ? [] : ['--network', network]
    if (config !== undefined) {
      const file = path.join(relay.dir, 'relay.toml')
      await writeFile(file, config)
      relay.args.push('--config', file)
    }
    await relay.#spawn(PORTS)
    return relay
  }

  async #spawn (ports) {
    const host = this.networks === undefined ? '127.0.0.1' : '0.0.0.0'
    const listen = Object.entries(ports).flatMap(([name, port]) => [`--${name}`, `${host}:${port}`])
    const own = [program('RELAY_BIN', 'mycomesh-relay'), '--data-dir', path.join(this.dir, 'data'), ...listen, ...this.args]
    const [command, ...args] = [...this.#where(), ...own]
    this.child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: cleanEnvironment()
    })
    const line = await firstLine(this.child, 'the relay')
    this.origin = line.replace(/^ready /, '').replace('//0.0.0.0:', '//127.0.0.1:')
    const said = JSON.parse(await this.#fetch('/.well-known/mycomesh.json'))
    this.peerId = said.peer_id
    this.addresses = said.addresses
  }

  #where () {
    return this.networks?.onRouter() ?? []
  }

  async #fetch (path) {
    if (this.networks === undefined) return await (await fetch(`${this.origin}${path}`)).text()
    // Only from within can it be asked.
    const [command, ...args] = [...this.#where(), process.execPath, '-e',
      'fetch(process.argv[1]).then(answer => answer.text()).then(text => console.log(text))', `${this.origin}${path}`]
    return (await promisify(execFile)(command, args)).stdout
  }

  /** The address over WebSocket as seen from network 0 or 1. */
  addressIn (number) {
    return this.address('ws').replace(/^\/ip4\/[^/]+/, `/ip4/${this.networks.gateway(number)}`)
  }

  /** The first address that contains `/kind/`: ws, webrtc-direct, quic-v1. */
  address (kind) {
    const found = this.addresses.find(addr => addr.split('/').includes(kind))
    if (found === undefined) throw new Error(`no ${kind} among ${this.addresses}`)
    return found
  }

  /** An invite link, as the page makes it. */
  invite ({ kind = 'ws', network = 'public', origin = this.origin } = {}) {
    return `${origin}/#join=${this.address(kind)}&network=${network}`
  }

  /** End it at once, as a crash would. */
  async kill () {
    await end(this.child)
  }

  /** Start it again on the same folder and ports. */
  async restart () {
    const port = kind => Number(/\/(?:tcp|udp)\/(\d+)/.exec(this.address(kind))[1])
    const plain = this.addresses.find(addr => addr.includes('/tcp/') && !addr.includes('/ws/'))
    await this.#spawn({
      http: Number(new URL(this.origin).port),
      ws: port('ws'),
      webrtc: port('webrtc-direct'),
      tcp: Number(/\/tcp\/(\d+)/.exec(plain)[1]),
      quic: port('quic-v1')
    })
  }

  async dispose () {
    await end(this.child)
    await rm(this.dir, { recursive: true, force: true })
  }
}

/** A native peer, controlled by lines of JSON; see tests/src/bin/peer.rs. With a `count`, many that only are there. */
export class NativePeer {
  #waiting = new Set()
  #replies = new Map()
  #lines = 0

  static async start ({ relay, listen = [], skills, name, slots, network, count = 1 }) {
    const peer = new NativePeer()
    const flags = { relay, skills, name, slots, network, count }
    const args = Object.entries(flags).flatMap(([flag, value]) => value === undefined ? [] : [`--${flag}`, `${value}`])
    peer.events = []
    peer.ids = []
    peer.child = spawn(program('PEER_BIN', 'mycomesh-peer'), [...(count === 1 ? ['--watch'] : []), ...args, ...listen.flatMap(addr => ['--listen', addr])], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: cleanEnvironment()
    })
    createInterface({ input: peer.child.stdout }).on('line', line => peer.#hear(JSON.parse(line)))
    peer.child.on('exit', () => peer.#changed())
    await peer.until('to start', () => peer.ids.length === count)
    return peer
  }

  #hear ({ ready, failed, event, snapshot, reply }) {
    if (ready !== undefined) this.ids.push(this.id = ready.peer_id)
    if (failed !== undefined) throw new Error(`a native peer did not start: ${failed}`)
    if (event !== undefined) this.events.push(event.event)
    if (snapshot !== undefined) this.snapshot = snapshot
    if (reply !== undefined) this.#replies.set(reply.id, reply.result)
    this.#changed()
  }

  #changed () {
    for (const look of [...this.#waiting]) look()
  }

  /** Wait until `condition` gives something else than undefined, null or false. */
  async until (what, condition) {
    const { promise, resolve, reject } = withResolvers()
    const look = () => {
      const found = condition(this)
      if (found !== undefined && found !== null && found !== false) resolve(found)
      else if (this.child.exitCode !== null || this.child.signalCode !== null) reject(new Error(`waited for a native peer ${what}, and it ended`))
    }
    const timer = setTimeout(() => {
      reject(new Error(`waited in vain for native peer ${this.id} ${what}: ${JSON.stringify(this.snapshot?.peers)} ${JSON.stringify(this.snapshot?.tasks)}`))
    }, PATIENCE_MS)
    this.#waiting.add(look)
    try {
      look()
      return await promise
    } finally {
      clearTimeout(timer)
      this.#waiting.delete(look)
    }
  }

  row (id) {
    return this.snapshot?.peers.rows.find(row => row.peer_id === id)
  }

  task (id) {
    return this.snapshot?.tasks.rows.find(row => row.id === id)
  }

  async sees (id, status) {
    return await this.until(`to see ${id} as ${status}`, () => this.row(id)?.status === status && this.row(id))
  }

  /** Send one line; throws what the peer says is wrong with it. */
  async tell (line) {
    const id = ++this.#lines
    this.child.stdin.write(`${JSON.stringify({ id, ...line })}\n`)
    const result = await this.until(`to reply to ${line.do}`, () => this.#replies.get(id))
    if (result.Err !== undefined) throw new Error(result.Err)
    return result.Ok
  }

  async ask (to, skill, input, timeoutS = 600) {
    return await this.tell({ do: 'ask', to, skill, input, timeout_s: timeoutS })
  }

  async rate (task, quality) {
    await this.until(`to be able to rate ${task}`, () => this.task(task)?.rateable)
    await this.tell({ do: 'rate', task, quality })
  }

  /** End it at once, as a crash would. */
  async kill () {
    await end(this.child)
  }
}

/** Kill a process that this program started, and wait for its end. */
export async function end (child) {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

/** The program of a variable, or the newer of those that cargo built. */
export function program (variable, name) {
  if (process.env[variable]) return process.env[variable]
  const target = targetFolder()
  const built = ['release', 'debug'].map(profile => path.join(target, profile, name)).filter(file => existsSync(file))
  const [newest] = built.sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)
  if (newest === undefined) throw new Error(`there is no ${name} in ${target}; run: cargo xtask test browser`)
  return newest
}

/** Where cargo builds. */
export function targetFolder () {
  const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..')
  return process.env.CARGO_TARGET_DIR ?? path.join(root, 'target')
}

/** What a process prints first; throws when it ends before. */
export async function firstLine (child, who) {
  const lines = createInterface({ input: child.stdout })
  const [line] = await Promise.race([
    once(lines, 'line'),
    once(child, 'exit').then(([code]) => { throw new Error(`${who} ended with ${code} before it was ready`) })
  ])
  return line
}

/** What is set for a relay on this machine must not reach the ones under test. */
function cleanEnvironment () {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('MYCOMESH_'))
  return { ...Object.fromEntries(own), MYCOMESH_LOG: process.env.MYCOMESH_LOG ?? 'error' }
}

// Node 20 has no Promise.withResolvers.
function withResolvers () {
  const deferred = {}
  deferred.promise = new Promise((resolve, reject) => Object.assign(deferred, { resolve, reject }))
  return deferred
}

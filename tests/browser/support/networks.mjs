// Network namespaces: two networks that only a router connects, as machines at two places. Needs root and iproute2.
import { execFile, spawn } from 'node:child_process'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { EXECUTABLE } from './chromium.mjs'
import { end, firstLine, program } from './processes.mjs'

const run = promisify(execFile)
const ip = async (...args) => await run('ip', args)

/** Two networks and the router between them; the relay runs on the router. */
export class Networks {
  /** Why there can be none here, or undefined. */
  static async missing () {
    try {
      await ip('netns', 'add', name('probe'))
      await ip('netns', 'delete', name('probe'))
    } catch (error) {
      return `network namespaces cannot be made here: ${error.message.split('\n')[0]}`
    }
  }

  /** With a `delayMs`, every packet to and from network 1 is on its way for that long: twice that for there and back. */
  static async make ({ delayMs } = {}) {
    const networks = new Networks()
    networks.delayMs = delayMs
    networks.router = name('router')
    networks.sides = [name('a'), name('b')]
    networks.dir = await mkdtemp(path.join(tmpdir(), 'mycomesh-networks-'))
    try {
      await networks.#connect()
    } catch (error) {
      await networks.dispose()
      throw error
    }
    return networks
  }

  async #connect () {
    const { router, sides } = this
    await ip('netns', 'add', router)
    await ip('-n', router, 'link', 'set', 'lo', 'up')
    for (const [number, side] of sides.entries()) {
      await ip('netns', 'add', side)
      await ip('-n', side, 'link', 'set', 'lo', 'up')
      if (number === 1 && this.delayMs !== undefined) await this.#longCable(side, 'up0', `down${number}`)
      else await ip('-n', side, 'link', 'add', 'up0', 'type', 'veth', 'peer', 'name', `down${number}`, 'netns', router)
      await ip('-n', side, 'address', 'add', `${this.address(number)}/24`, 'dev', 'up0')
      await ip('-n', router, 'address', 'add', `${this.gateway(number)}/24`, 'dev', `down${number}`)
      await ip('-n', side, 'link', 'set', 'up0', 'up')
      await ip('-n', router, 'link', 'set', `down${number}`, 'up')
      await ip('-n', side, 'route', 'add', 'default', 'via', this.gateway(number))
    }
    await run('ip', ['netns', 'exec', router, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward'])
  }

  /** A program that holds packets back stands between its two ends; see tests/link. */
  async #longCable (side, up, down) {
    const [command, ...args] = [...this.onRouter(), program('LINK_BIN', 'mycomesh-link'), '--delay-ms', `${this.delayMs}`, up, down]
    this.cable = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    await firstLine(this.cable, 'the link')
    await ip('-n', this.router, 'link', 'set', up, 'netns', side)
  }

  /** Of the only machine in network 0 or 1. */
  address (number) {
    return `10.77.${number + 1}.2`
  }

  /** Of the router in network 0 or 1. */
  gateway (number) {
    return `10.77.${number + 1}.1`
  }

  /** The router drops all UDP that it should forward. */
  async blockUdp () {
    await ip('-n', this.router, 'rule', 'add', 'iif', 'down0', 'ipproto', 'udp', 'blackhole')
    await ip('-n', this.router, 'rule', 'add', 'iif', 'down1', 'ipproto', 'udp', 'blackhole')
  }

  async unblockUdp () {
    await ip('-n', this.router, 'rule', 'delete', 'iif', 'down0', 'ipproto', 'udp', 'blackhole')
    await ip('-n', this.router, 'rule', 'delete', 'iif', 'down1', 'ipproto', 'udp', 'blackhole')
  }

  /** What stands before a command that is to run on the router. */
  onRouter () {
    return ['ip', 'netns', 'exec', this.router]
  }

  /** A program that starts Chromium in network 0 or 1. */
  async chromium (number) {
    const file = path.join(this.dir, `chromium-${number}`)
    await writeFile(file, `#!/bin/sh\nexec ip netns exec ${this.sides[number]} ${EXECUTABLE} "$@"\n`)
    await chmod(file, 0o755)
    return file
  }

  async dispose () {
    if (this.cable !== undefined) await end(this.cable)
    for (const namespace of [...this.sides, this.router]) await ip('netns', 'delete', namespace).catch(() => {})
    await rm(this.dir, { recursive: true, force: true })
  }
}

/** One of this run's names, so that two runs do not meet. */
function name (what) {
  return `mycomesh-${process.pid}-${what}`
}

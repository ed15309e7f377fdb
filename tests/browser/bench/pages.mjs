// Pairs of pages in two Chromium processes, connected as each kind does it, and timed by the pages' own clocks.
import { JS, Lab, RUST, behind } from '../support/lab.mjs'

/** What a page of each side runs. */
const KINDS = { ours: RUST, js: JS, raw: 'raw', raw16: 'raw', raw256: 'raw' }
/** Ends a step that would never end. */
const STEP_MS_MAX = 180_000
/** Dials of one side and round that may fail. */
const FAILED_MAX = 3
/** What begins on a relayed connection (identify, pings, gossip) is over by then. The mesh, too, dials directly only after identify. */
const SETTLED_MS = 1_000

/** A page could not connect to another. */
class DialFailed extends Error {}

/** Two fresh pages in two browser processes; for each the address of the relay. */
class Pair {
  static async open (side, browsers, relays) {
    const pair = new Pair()
    pair.side = side
    pair.relays = relays
    pair.from = await Lab.load(browsers[0], KINDS[side])
    pair.to = await Lab.load(browsers[1], KINDS[side])
    return pair
  }

  /** Start both, the second reachable behind the relay, and connect them through it; gives what that took. */
  async meet () {
    const { id, reachable } = await timed(this.to, async relay => {
      const started = performance.now()
      const id = await globalThis.lab.start({ inboundMax: 32 })
      await globalThis.lab.reserve(relay)
      return { id, reachable: performance.now() - started }
    }, this.relays[1])
    this.to.id = id
    this.from.id = await this.from.call('start', {})
    await this.from.call('dial', behind(this.relays[0], id, { direct: false }))
    await new Promise(resolve => setTimeout(resolve, SETTLED_MS))
    return { reachable }
  }

  /** Connect directly; gives the milliseconds of the call. */
  async connect () {
    const dialled = timed(this.from, async addr => {
      const started = performance.now()
      const { direct } = await globalThis.lab.dial(addr)
      if (!direct) throw new Error('the new connection is not direct')
      return performance.now() - started
    }, behind(this.relays[0], this.to.id))
    return await dialled.catch(error => { throw new DialFailed(error.message) })
  }

  /** Connect two bare pages; gives the milliseconds from the offer to the open channel. */
  async connectRaw () {
    const started = performance.now()
    const offer = await this.from.call('offer')
    await this.from.call('accept', await this.to.call('answer', offer))
    return performance.now() - started
  }

  /** Wait until the other side has so many direct connections, too, and end the relayed one. */
  async leaveRelay (count = 1) {
    const direct = links => links.filter(link => link.direct).length >= count
    await this.to.until('the direct connections', direct, 'connections', this.from.id)
    await this.from.call('close', this.to.id, { only: 'relayed' })
    for (const [one, other] of [[this.from, this.to], [this.to, this.from]]) {
      await one.until('only direct connections', links => links.every(link => link.direct), 'connections', other.id)
    }
  }

  /** Call a method of the sending page. */
  async call (method, ...args) {
    return await within(this.from.call(method, ...args), `${this.side}: ${method}`)
  }

  async close () {
    const errors = [this.from, this.to].flatMap(lab => lab?.errors ?? [])
    await this.from?.dispose()
    await this.to?.dispose()
    if (errors.length > 0) throw new Error(`a page of ${this.side} failed: ${errors.join('; ')}`)
  }
}

/** Run something with fresh pages. A dial that fails is said and counted, and other pages try again: it is a property of a side, and no time at all. */
export async function paired (side, browsers, relays, run) {
  for (let failed = 0; ; failed++) {
    const pair = await Pair.open(side, browsers, relays)
    try {
      return { ...await run(pair), failed }
    } catch (error) {
      if (!(error instanceof DialFailed) || failed === FAILED_MAX) throw error
      console.log(`  a dial of ${side} failed: ${error.message.split('\n')[0]}`)
    } finally {
      await pair.close()
    }
  }
}

async function timed (lab, run, ...args) {
  return await within(lab.page.evaluate(run, ...args), 'a timed step')
}

async function within (promise, what) {
  let timer
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${STEP_MS_MAX / 1_000} s`)), STEP_MS_MAX)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

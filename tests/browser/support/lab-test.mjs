// The fixtures of the lab's specs: two Chromium processes of their own, pages in them, a js-libp2p relay.
import { Chromium } from './chromium.mjs'
import { JsServer, LAB_FLAGS, Lab, behind } from './lab.mjs'
import { test as base } from './test.mjs'

export { expect, figure } from './test.mjs'
export { JS, Lab, RUST, behind } from './lab.mjs'

export const MIB = 1024 * 1024

export const test = base.extend({
  /** Two browser processes for pages of the lab. */
  browsers: [async ({}, use) => {
    const browsers = [await Chromium.start({ flags: LAB_FLAGS }), await Chromium.start({ flags: LAB_FLAGS })]
    await use(browsers)
    for (const own of browsers) await own.close()
  }, { scope: 'worker' }],

  /** Opens pages: `await openLab(RUST, 0)`, in browser process 0 or 1. */
  openLab: async ({ browsers }, use) => {
    const labs = []
    await use(async (kind, process, options) => {
      labs.push(await Lab.open(browsers[process], kind, options))
      return labs.at(-1)
    })
    for (const lab of labs) await lab.dispose()
    const errors = labs.flatMap(lab => lab.errors)
    if (errors.length > 0) throw new Error(`a page of the lab failed: ${errors.join('; ')}`)
  },

  /** A relay of js-libp2p's. */
  jsServer: async ({}, use) => {
    const server = await JsServer.start()
    await use(server)
    await server.dispose()
  }
})

/** Two pages in two processes, the second behind the relay at `addr`, and both at it. */
export async function pairAt (addr, openLab, [first, second], options) {
  const labs = [await openLab(first, 0, options), await openLab(second, 1, options)]
  for (const lab of labs) await lab.call('reserve', addr)
  return labs
}

/** Connect the first page to the second over `/webrtc` and end the relayed connection, so that nothing can go over that. */
export async function connectDirect (addr, from, to) {
  const link = await from.call('dial', behind(addr, to.id))
  if (!link.direct) throw new Error(`the connection is not direct: ${link.addr}`)
  await to.until('the other side to have the direct connection', links => links.some(({ direct }) => direct), 'connections', from.id)
  await from.call('close', to.id, { only: 'relayed' })
  for (const [one, other] of [[from, to], [to, from]]) {
    await one.until('only direct connections', links => links.length > 0 && links.every(({ direct }) => direct), 'connections', other.id)
  }
}

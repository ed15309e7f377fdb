// Chromium spoken to directly over its pipe. Playwright keeps every page it knows visible and awake, so a test of what happens
// to a hidden tab cannot use it.
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { EXECUTABLE, FLAGS } from './chromium.mjs'
import { end } from './processes.mjs'

export class RawChromium {
  #waiting = new Map()
  #events = new Map()
  #sent = 0

  /** A browser that throttles hidden tabs, to once a minute after `graceS` seconds. */
  static async start ({ graceS }) {
    const raw = new RawChromium()
    raw.dir = await mkdtemp(path.join(tmpdir(), 'mycomesh-profile-'))
    const flags = [...FLAGS, '--headless', `--user-data-dir=${raw.dir}`, '--remote-debugging-pipe',
      `--enable-features=IntensiveWakeUpThrottling:grace_period_seconds/${graceS}`]
    raw.child = spawn(EXECUTABLE, [...flags, 'about:blank'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] })
    let rest = ''
    raw.child.stdio[4].setEncoding('utf8').on('data', text => {
      const messages = (rest + text).split('\0')
      rest = messages.pop()
      for (const message of messages) raw.#hear(JSON.parse(message))
    })
    return raw
  }

  #hear ({ id, result, error, method, sessionId }) {
    if (id === undefined) return this.#events.get(`${method} ${sessionId}`)?.()
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (error !== undefined) waiting?.reject(new Error(error.message))
    else waiting?.resolve(result)
  }

  /** One command of the DevTools protocol. */
  async send (method, params = {}, sessionId = undefined) {
    const id = ++this.#sent
    const answered = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
    this.child.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`)
    return await answered
  }

  /** Open a tab in front of all others. */
  async open (url) {
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank' })
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true })
    await this.send('Page.enable', {}, sessionId)
    const loaded = new Promise(resolve => this.#events.set(`Page.loadEventFired ${sessionId}`, resolve))
    await this.send('Page.navigate', { url }, sessionId)
    await loaded
    return {
      evaluate: async expression => {
        const { result, exceptionDetails } = await this.send('Runtime.evaluate',
          { expression, awaitPromise: true, returnByValue: true }, sessionId)
        if (exceptionDetails !== undefined) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text)
        return result.value
      }
    }
  }

  async close () {
    await end(this.child)
    await rm(this.dir, { recursive: true, force: true, maxRetries: 5 })
  }
}

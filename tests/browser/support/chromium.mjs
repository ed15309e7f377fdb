// Chromium processes. Debian's, or the one that CHROMIUM names; never one that Playwright downloaded.
import { chromium } from '@playwright/test'

export const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium'

/** Root needs no-sandbox; the page must talk to nobody but its peers; WebRTC must show plain addresses. */
export const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-features=WebRtcHideLocalIpsWithMdns'
]

/** Timers must run although nobody looks at the page. */
const UNTHROTTLED = ['--disable-background-timer-throttling', '--disable-renderer-backgrounding']

/** A browser process of its own, which can be killed. */
export class Chromium {
  static async start ({ flags = [], executable = EXECUTABLE } = {}) {
    const own = new Chromium()
    own.server = await chromium.launchServer({
      executablePath: executable,
      headless: true,
      args: [...FLAGS, ...UNTHROTTLED, ...flags]
    })
    own.browser = await chromium.connect(own.server.wsEndpoint())
    return own
  }

  /** End it without giving its pages a word, as a crash would. */
  async kill () {
    await this.server.kill()
  }

  async close () {
    await this.browser.close()
    await this.server.close()
  }
}

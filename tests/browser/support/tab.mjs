// One page of the web app, seen only through its `data-testid` hooks.
import { expect } from '@playwright/test'

export class Tab {
  constructor (page) {
    this.page = page
    this.errors = []
    page.on('pageerror', error => this.errors.push(`${error}`))
    page.on('console', message => {
      if (message.type() === 'error') this.errors.push(message.text())
    })
  }

  get (testid) {
    return this.page.getByTestId(testid)
  }

  /** Open a page and wait until it has joined. */
  async join (url) {
    await this.page.goto(url)
    await this.joined()
    return this
  }

  async joined () {
    await expect(this.get('join-stage')).toHaveAttribute('data-stage', 'joined')
    this.id = await this.get('self-peer-id').getAttribute('data-peer-id')
    expect(this.id).toMatch(/^12D3KooW/)
  }

  /** Go to a view: mesh, ask, inbox, reputation, log, settings. */
  async show (view) {
    await this.get(`nav-${view}`).click()
    await expect(this.get(`nav-${view}`)).toHaveAttribute('aria-current', 'page')
  }

  row (id) {
    return this.page.locator(`[data-testid="peer-row"][data-peer-id="${id}"]`)
  }

  task (id) {
    return this.page.locator(`[data-testid="task-row"][data-task-id="${id}"]`)
  }

  /** Wait until this page sees `id` in `status`. */
  async sees (id, status, options) {
    await expect(this.row(id)).toHaveAttribute('data-status', status, options)
  }

  /** Wait until a segment of the bar counts this many. */
  async counts (status, count) {
    await expect(this.get(`status-${status}`)).toHaveAttribute('data-count', `${count}`)
  }

  /** The whole bar: count and percent of each segment. */
  async bar () {
    const segments = {}
    for (const status of ['idle', 'reputable', 'busy', 'offline', 'unknown']) {
      const segment = this.get(`status-${status}`)
      segments[status] = [await segment.getAttribute('data-count'), await segment.getAttribute('data-percent')].map(Number)
    }
    return segments
  }

  /** Ask a peer through its row in the table; gives the task's id. */
  async ask (id, input, { skill } = {}) {
    await this.show('mesh')
    await this.row(id).getByTestId('ask-peer').click()
    if (skill !== undefined) await this.get('skill-select').selectOption(skill)
    await this.get('ask-input').fill(input)
    await this.get('ask-send').click()
    const row = this.page.locator('[data-testid="task-row"][data-direction="out"]').filter({ hasText: input })
    return await row.getAttribute('data-task-id')
  }

  /** Answer a task from the inbox. */
  async answer (task, output) {
    await this.show('inbox')
    await this.task(task).getByTestId('task-answer-input').fill(output)
    await this.task(task).getByTestId('task-answer-send').click()
    await expect(this.task(task)).toHaveAttribute('data-state', 'completed')
  }

  /** Rate a delivery with 1 to 5. */
  async rate (task, value) {
    await this.show('ask')
    await this.task(task).locator(`[data-testid="task-rate"][data-value="${value}"]`).click()
    await expect(this.task(task).getByTestId('task-rate')).toHaveCount(0)
  }

  /** Unfold the trust in a peer, or in this one, and give the score and the rows of its receipts. */
  async trust (id) {
    await this.show('reputation')
    if (id === this.id) return { receipts: this.page.locator('main').getByTestId('receipt-row') }
    const row = this.page.locator(`[data-testid="trust-row"][data-peer-id="${id}"]`)
    const toggle = row.getByTestId('trust-toggle')
    if (await toggle.getAttribute('aria-expanded') !== 'true') await toggle.click()
    return { score: Number(await toggle.getAttribute('data-score')), receipts: row.getByTestId('receipt-row') }
  }
}

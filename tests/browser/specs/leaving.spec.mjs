// Leaving with and without a word, and losing the relay.
import { Chromium, Tab, expect, figure, test } from '../support/test.mjs'

test('a closed tab turns grey at once', async ({ pair: [stays, leaves] }) => {
  const left = Date.now()
  await leaves.page.close({ runBeforeUnload: true })
  await stays.sees(leaves.id, 'offline')
  figure(`a closed tab was grey after ${Date.now() - left} ms`)
  await stays.show('log')
  await expect(stays.page.getByTestId('log-row').filter({ hasText: 'goodbye' }).first()).toBeVisible()
})

test('a killed browser turns grey when its presence expires', async ({ relay, newTab }) => {
  const stays = await (await newTab()).join(relay.origin)
  const doomed = await Chromium.start()
  const leaves = await new Tab(await (await doomed.browser.newContext()).newPage()).join(relay.origin)
  await stays.sees(leaves.id, 'idle')
  const killed = Date.now()
  await doomed.kill()
  await stays.sees(leaves.id, 'offline', { timeout: 120_000 })
  figure(`a killed browser was grey after ${Math.round((Date.now() - killed) / 1000)} s`)
})

test('a killed relay shows, and a restarted one brings everybody back without a reload', async ({ relay, pair }) => {
  for (const tab of pair) await tab.page.evaluate(() => { window.notReloaded = true })
  const addresses = [...relay.addresses]
  const killed = Date.now()
  await relay.kill()
  for (const tab of pair) await expect(tab.get('join-stage')).not.toHaveAttribute('data-stage', 'joined')
  figure(`a killed relay showed in both pages after ${Date.now() - killed} ms`)
  for (const tab of pair) await expect(tab.get('problem').first()).toContainText('relay')
  figure(`and was explained after ${Date.now() - killed} ms`)
  await relay.restart()
  expect(relay.addresses).toEqual(addresses)
  const restarted = Date.now()
  for (const tab of pair) await expect(tab.get('join-stage')).toHaveAttribute('data-stage', 'joined')
  await pair[0].sees(pair[1].id, 'idle')
  await pair[1].sees(pair[0].id, 'idle')
  figure(`a restarted relay had both pages back after ${Date.now() - restarted} ms`)
  const task = await pair[0].ask(pair[1].id, 'Still there?', { skill: 'echo' })
  await expect(pair[0].task(task)).toHaveAttribute('data-state', 'completed')
  for (const tab of pair) expect(await tab.page.evaluate(() => window.notReloaded)).toBe(true)
})

test('a relay that is gone in the middle of a task costs nothing', async ({ relay, pair: [asker, helper] }) => {
  const task = await asker.ask(helper.id, 'Take your time.')
  await helper.show('inbox')
  await helper.task(task).getByTestId('task-answer-input').fill('I did.')
  await relay.kill()
  await expect(helper.get('join-stage')).not.toHaveAttribute('data-stage', 'joined')
  await expect(helper.task(task).getByTestId('task-answer-input')).toHaveValue('I did.')
  await helper.task(task).getByTestId('task-answer-send').click()
  await relay.restart()
  await expect(asker.task(task)).toHaveAttribute('data-state', 'completed')
  await expect(asker.task(task).getByTestId('task-output')).toHaveText('I did.')
})

test('a question to a peer that left waits for it', async ({ relay, newTab }) => {
  const asker = await (await newTab(0)).join(relay.origin)
  const helper = await (await newTab(1)).join(relay.origin)
  await asker.sees(helper.id, 'idle')
  const { id } = helper
  await helper.page.goto('about:blank')
  await asker.sees(id, 'offline')
  const task = await asker.ask(id, 'Are you back?', { skill: 'echo' })
  await expect(asker.task(task)).toHaveAttribute('data-state', 'submitted')
  await helper.join(relay.origin)
  expect(helper.id).toBe(id)
  await expect(asker.task(task)).toHaveAttribute('data-state', 'completed')
})

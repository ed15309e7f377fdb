// From asking to a receipt on both sides.
import { expect, test } from '../support/test.mjs'

test('two browsers see each other and agree on the bar', async ({ pair }) => {
  for (const tab of pair) {
    await tab.counts('idle', 2)
    await tab.counts('offline', 0)
  }
  const bars = await Promise.all(pair.map(tab => tab.bar()))
  expect(bars[0]).toEqual(bars[1])
  expect(bars[0].idle).toEqual([2, 100])
  for (const tab of pair) expect(tab.errors).toEqual([])
})

test('a question is answered and rated, and the receipt stays on both sides', async ({ pair: [asker, helper] }) => {
  const before = (await asker.trust(helper.id)).score
  const task = await asker.ask(helper.id, 'What is the capital of Peru?')
  await helper.answer(task, 'Lima <b>of course</b>')
  await expect(asker.task(task)).toHaveAttribute('data-state', 'completed')
  await expect(asker.task(task).getByTestId('task-output')).toHaveText('Lima <b>of course</b>')
  await asker.rate(task, 5)

  await expect((await asker.trust(helper.id)).receipts).toHaveCount(1)
  await expect((await helper.trust(helper.id)).receipts).toHaveCount(1)
  for (const tab of [asker, helper]) {
    const { id } = tab
    await tab.page.reload()
    await tab.joined()
    expect(tab.id).toBe(id)
  }
  await asker.show('mesh')
  await asker.sees(helper.id, 'idle')
  const kept = await asker.trust(helper.id)
  await expect(kept.receipts).toHaveCount(1)
  expect(kept.score).toBeGreaterThan(before)
  await expect((await helper.trust(helper.id)).receipts).toHaveCount(1)
  await asker.show('ask')
  await expect(asker.task(task).getByTestId('task-output')).toHaveText('Lima <b>of course</b>')
})

test('a peer whose one slot is taken turns red, and green again', async ({ pair: [asker, helper] }) => {
  const task = await asker.ask(helper.id, 'Are you there?')
  await asker.show('mesh')
  await asker.sees(helper.id, 'busy')
  await asker.counts('busy', 1)
  expect((await asker.bar()).busy).toEqual([1, 50])
  await helper.answer(task, 'Yes.')
  await asker.sees(helper.id, 'idle')
})

test('the busy switch turns a peer red for others', async ({ pair: [one, other] }) => {
  await other.get('busy-switch').click()
  await one.sees(other.id, 'busy')
  await other.counts('busy', 1)
  await other.get('busy-switch').click()
  await one.sees(other.id, 'idle')
})

test('a withdrawn question cannot be answered any more', async ({ pair: [asker, helper] }) => {
  const task = await asker.ask(helper.id, 'Never mind.')
  await helper.show('inbox')
  await helper.task(task).getByTestId('task-answer-input').fill('Wait, I know it')
  await asker.task(task).getByTestId('task-cancel').click()
  await expect(asker.task(task)).toHaveAttribute('data-state', 'canceled')
  await expect(helper.task(task)).toHaveAttribute('data-state', 'canceled')
  await expect(helper.task(task).getByTestId('task-answer-send')).toHaveCount(0)
})

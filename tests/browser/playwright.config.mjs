// Browser tests: a real relay, real native peers, two separate Chromium processes. `cargo xtask test browser` runs them
// with RELAY_BIN, PEER_BIN and CHROMIUM set.
import { defineConfig } from '@playwright/test'

export default defineConfig({
  testDir: 'specs',
  outputDir: 'test-results',
  // Browsers, relay and peers share the machine's cores.
  workers: 1,
  retries: 0,
  forbidOnly: true,
  // Both only end what would never end: every wait is for a condition.
  timeout: 240_000,
  expect: { timeout: 60_000 },
  reporter: 'list',
})

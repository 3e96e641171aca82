// Plays scenes on the merchant's pages in a real Chromium. Its one argument is JSON:
//   { browser, scene, dashboard, link, server, visitor, visitorId, serverName, rpc, account, relay, project, chain, shots }
// It prints one line of JSON with what was seen, or fails with what went wrong.
import { DEADLINE, asked, browser, freshPage, look, looking, play, tabThrough, tabTo } from './stage.mjs'
import { states } from './states.mjs'
import { installWallets, metal, remoteWallet } from './wallets.mjs'

const page = await freshPage()
let clicks = 0

/** Everything that a person clicks goes through here. */
async function click (role, name, on = page) {
  clicks++
  await on.getByRole(role, { name }).first().click()
}

const shows = (text) => page.getByText(text).first().waitFor()
/** The page with this title, whole: what is counted on it does not come later. */
async function heading (name) {
  await page.getByRole('heading', { name, level: 1 }).waitFor()
  await page.waitForLoadState()
}

async function signIn (on = page) {
  await on.goto(`${asked.dashboard}`)
  await on.getByRole('link', { name: 'Sign in with Discord' }).click()
  await on.getByRole('button', { name: asked.visitor, exact: true }).click()
  await on.waitForURL(asked.dashboard)
}

async function rpc (method, params = []) {
  const answer = await fetch(asked.rpc, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
  })
  return (await answer.json()).result
}

const scenes = {
  /** From the first page to a mapping that was tried, as a merchant who sees this for the first time. */
  async merchant () {
    await installWallets(page, [metal()])
    const started = Date.now()
    await page.goto(asked.dashboard)
    await look(page, '1-first')
    await click('link', 'Add to your Discord server')
    await click('button', asked.visitor)
    await click('button', asked.serverName)
    await page.waitForURL(asked.server)
    await page.getByRole('button', { name: 'Metal Wallet' }).waitFor()
    await look(page, '2-connected')
    await click('button', 'Metal Wallet')
    await page.locator('#sign[aria-disabled="false"]').waitFor()
    await look(page, '2-sign')
    await click('button', 'Sign message')
    await shows('Your wallet is connected.')
    await look(page, '3-plans')
    await click('button', /^Create the role/)
    await heading('Preview')
    await look(page, '4-preview')
    await click('button', 'Save')
    await shows('Saved.')
    await look(page, '5-mapped')
    await click('button', 'Test on me')
    await shows('It works.')
    await look(page, '6-tested')
    return { clicks, milliseconds: Date.now() - started - looking }
  },

  /** The merchant's wallet is on another device. */
  async remote () {
    const wallet = await remoteWallet()
    await signIn()
    await page.getByRole('button', { name: 'WalletConnect: a wallet on your phone' }).click()
    await page.getByRole('button', { name: 'Copy the code' }).waitFor()
    await page.locator('#code').evaluate((picture) => picture.decode())
    await look(page, '1-scan')
    const code = await page.locator('#open-wallet').getAttribute('href')
    await wallet.evaluate(([uri, chain]) => window.pairWith(uri, chain), [code, asked.chain])
    await page.locator('#sign[aria-disabled="false"]').click()
    await shows('Your wallet is connected.')
    return { seen: await wallet.evaluate(() => window.seen) }
  },

  /** Every page of a server that has much to show. */
  async pages () {
    await signIn()
    await look(page, '1-servers')
    await page.goto(asked.server)
    await heading('Status')
    await page.getByText('The numbers').first().click()
    await look(page, '2-status')
    await page.getByRole('link', { name: 'Plans and roles' }).click()
    await heading('Plans and roles')
    await look(page, '3-gates')
    await page.getByRole('link', { name: 'Change' }).first().click()
    await heading('Change a mapping')
    await page.getByText('Roles that the bot cannot give').click()
    await look(page, '4-map')
    await page.getByRole('button', { name: 'Preview' }).click()
    await heading('Preview')
    await page.getByText('Change that').click()
    await page.getByText('What happens when a member pauses?').waitFor()
    await look(page, '5-preview')
    await page.goto(`${asked.server}/gates`)
    await page.getByRole('link', { name: 'Remove' }).first().click()
    await heading('Remove a mapping')
    await look(page, '6-remove')
    await page.getByRole('link', { name: 'Members' }).click()
    await heading('Members')
    const rows = await page.getByRole('row').count()
    await look(page, '7-members')
    await page.getByRole('link', { name: 'Next page' }).click()
    await page.getByLabel('State').selectOption('not_linked')
    await page.getByRole('button', { name: 'Search' }).click()
    await page.getByRole('cell', { name: 'Wallet not linked' }).waitFor()
    const filtered = await page.getByRole('row').count()
    await look(page, '8-filtered')
    await page.getByRole('link', { name: 'Renewals' }).click()
    await heading('Renewals')
    const failing = await page.getByRole('row').count()
    await look(page, '8-renewals')
    await page.getByRole('link', { name: 'Journal' }).click()
    await heading('Journal')
    await look(page, '9-journal')
    await page.getByRole('link', { name: 'Settings' }).click()
    await heading('Settings')
    await look(page, '10-settings')
    await page.getByRole('group', { name: 'What happens when a member cancels?' }).getByLabel(/^Keep the role until/).check()
    await page.getByRole('button', { name: 'Save the settings' }).click()
    await shows('Saved. The new settings apply from now on.')
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.goto(asked.dashboard)
    await page.getByRole('link', { name: 'Add to your Discord server' }).waitFor()
    return { rows, filtered, failing }
  },

  /** What changes is shown while the page is open, without a reload. */
  async live () {
    await signIn()
    // As while the service starts: the browser itself would give up.
    await page.route('**/events', (route) => route.fulfill({ status: 503, body: '{}' }), { times: 1 })
    await page.goto(asked.server)
    const block = page.locator('#live dd').nth(1)
    const before = await block.innerText()
    await page.evaluate(() => { window.notReloaded = true })
    // The stream is open once its first event came; blocks after that are news.
    const mining = setInterval(() => rpc('evm_mine'), 500)
    try {
      await page.waitForFunction((old) => document.querySelectorAll('#live dd')[1].innerText !== old, before, { timeout: 60_000 })
    } finally {
      clearInterval(mining)
    }
    const seen = { before, after: await block.innerText(), kept: await page.evaluate(() => window.notReloaded === true) }
    // A page that cannot know any more how things stand says so.
    await page.route('**/events', (route) => route.fulfill({ status: 401, body: '{}' }))
    await page.goto(asked.server)
    await page.context().clearCookies()
    await page.getByText('You are signed out').waitFor({ timeout: 60_000 })
    return seen
  },

  /** With the keyboard alone: everything on a page that has much; then the skip link. */
  async keyboard () {
    await signIn()
    const reached = {}
    for (const rest of ['', '/gates', '/members', '/forecast', '/journal', '/settings']) {
      await page.goto(`${asked.server}${rest}`)
      reached[rest] = await tabThrough(page)
    }
    await page.setViewportSize({ width: 360, height: 640 })
    await page.goto(`${asked.server}/gates`)
    const narrow = await tabThrough(page)
    await page.goto(`${asked.server}/gates`)
    const { name: first } = await tabTo(page, 'Skip to the content')
    await page.keyboard.press('Enter')
    await tabTo(page, 'Test on me')
    return { first, reached, narrow }
  },

  /** A new merchant's whole way with the keyboard alone. */
  async byKeyboard () {
    await installWallets(page, [metal()])
    const press = async (name) => {
      await tabTo(page, name)
      await page.keyboard.press('Enter')
    }
    await page.goto(asked.dashboard)
    await press('Add to your Discord server')
    await page.getByRole('button', { name: asked.visitor, exact: true }).waitFor()
    await press(asked.visitor)
    await page.getByRole('button', { name: asked.serverName }).waitFor()
    await press(asked.serverName)
    await page.waitForURL(asked.server)
    await page.getByRole('button', { name: 'Metal Wallet' }).waitFor()
    await press('Metal Wallet')
    await page.locator('#sign[aria-disabled="false"]').waitFor()
    // The button that was pressed is gone: what comes next has the focus.
    const next = await page.evaluate(() => document.activeElement.id)
    if (next !== 'sign') await tabTo(page, 'Sign message')
    await page.keyboard.press('Enter')
    await shows('Your wallet is connected.')
    await press(/^Create the role/)
    await heading('Preview')
    await press('Save')
    await shows('Saved.')
    await press(/^Test on me/)
    await shows('It works.')
    return { next }
  },

  /** Without script: the same pages, the same forms. */
  async noscript () {
    const context = await browser.newContext({ javaScriptEnabled: false, viewport: { width: 800, height: 900 } })
    const plain = await context.newPage()
    plain.setDefaultTimeout(DEADLINE)
    await signIn(plain)
    await plain.goto(`${asked.server}/gates`)
    await click('button', /^Create the role/, plain)
    await click('button', 'Save', plain)
    await plain.getByText('Saved.').first().waitFor()
    await click('button', 'Test on me', plain)
    await plain.getByText('It works.').waitFor()
    await plain.getByRole('link', { name: 'Back to plans and roles' }).click()
    await click('button', 'Undo the last change', plain)
    await plain.getByText('The last change was taken back.').waitFor()
    // The status loads itself again, until it is told not to.
    await plain.goto(asked.server)
    const block = plain.locator('#live dd').nth(1)
    const before = await block.innerText()
    await rpc('evm_mine')
    await block.filter({ hasNotText: new RegExp(`^${before}$`) }).waitFor({ timeout: DEADLINE })
    await plain.getByRole('link', { name: 'Stop that' }).click()
    await plain.getByRole('link', { name: 'Load this page again' }).waitFor()
    if (await plain.locator('meta[http-equiv="refresh"]').count() > 0) throw new Error('it is loaded again all the same')
    return { clicks }
  }
}

await play({ ...scenes, ...states({ page, heading, shows, signIn }) })

// Plays scenes on the wallet page in a real Chromium. Its one argument is JSON:
//   { chromium, scene, link, visitor, visitorId, discord, rpc, account, relay, shots }
// It prints one line of JSON with what was seen, or fails with what went wrong. Screenshots go to `shots`, if given.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

const asked = JSON.parse(process.argv[2])
const DEADLINE = 20_000

/** A wallet that announces itself over EIP-6963 (or stands in window.ethereum) and signs with the chain's account. */
function installWallets (wallets) {
  const icon = (colour) => 'data:image/svg+xml,' + encodeURIComponent(
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><rect width="8" height="8" rx="2" fill="${colour}"/></svg>`)
  const made = wallets.map(({ name, colour, account, chainId, legacy }, index) => {
    const listeners = {}
    const provider = {
      accounts: [account],
      refusal: null,
      async request ({ method, params }) {
        if (provider.refusal) throw provider.refusal
        switch (method) {
          case 'eth_accounts':
          case 'eth_requestAccounts': return provider.accounts
          case 'eth_chainId': return chainId
          case 'personal_sign': return window.signWithAnvil(params[0], params[1])
          default: throw Object.assign(new Error(method), { code: 4200 })
        }
      },
      on (event, listener) { (listeners[event] ??= []).push(listener) },
      removeListener (event, listener) { listeners[event] = (listeners[event] ?? []).filter((other) => other !== listener) },
      emit (event, value) { for (const listener of listeners[event] ?? []) listener(value) }
    }
    if (legacy) window.ethereum = provider
    else {
      const info = { uuid: `00000000-0000-4000-8000-00000000000${index}`, name, icon: colour && icon(colour), rdns: `example.wallet${index}` }
      const announce = () => window.dispatchEvent(new CustomEvent('eip6963:announceProvider', { detail: Object.freeze({ info, provider }) }))
      window.addEventListener('eip6963:requestProvider', announce)
      announce()
    }
    return provider
  })
  window.testWallets = made
}

async function rpc (method, params) {
  const response = await fetch(asked.rpc, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
  })
  const { result, error } = await response.json()
  if (error) throw new Error(`${method}: ${error.message}`)
  return result
}

/** Chromium itself crashes at its start now and then on a busy machine; that is not what the scenes are about. */
async function launch (options) {
  for (let tries = 1; ; tries++) {
    try {
      return await chromium.launch(options)
    } catch (error) {
      if (tries === 3) throw error
    }
  }
}

const browser = await launch({
  executablePath: asked.chromium,
  headless: true,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'
  ]
})
const context = await browser.newContext({ viewport: { width: 800, height: 900 } })
context.setDefaultTimeout(DEADLINE)
const page = await context.newPage()
const problems = []
const hosts = new Set()
page.on('pageerror', (error) => problems.push(`page error: ${error.message}`))
page.on('console', (line) => {
  // The browser itself logs every answer of 4xx; those are asserted on through the page's own words.
  if (line.type() === 'error' && !line.text().startsWith('Failed to load resource')) problems.push(`console: ${line.text()}`)
})
page.on('request', (request) => { if (!request.url().startsWith('data:')) hosts.add(new URL(request.url()).host) })
await page.exposeFunction('signWithAnvil', (hex, account) => rpc('personal_sign', [hex, account]))

async function shoot (name) {
  if (!asked.shots) return
  mkdirSync(asked.shots, { recursive: true })
  for (const [kind, colorScheme, width] of [['light', 'light', 800], ['dark', 'dark', 800], ['360', 'light', 360], ['360-dark', 'dark', 360]]) {
    await page.emulateMedia({ colorScheme })
    await page.setViewportSize({ width, height: 900 })
    await page.screenshot({ path: join(asked.shots, `${asked.scene}-${name}-${kind}.png`), fullPage: true })
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
    if (wide > 0) problems.push(`${name} at ${width} px scrolls sideways by ${wide} px`)
  }
  await page.emulateMedia({ colorScheme: 'light' })
  await page.setViewportSize({ width: 800, height: 900 })
}

const button = (name) => page.getByRole('button', { name, exact: true })
const text = (id) => page.locator(`#${id}`).innerText()
const shown = (id, pattern) => page.locator(`#${id}`).filter({ hasText: pattern, visible: true }).waitFor()
const metal = (account = asked.account) => ({ name: 'Metal Wallet', colour: '#c60', account, chainId: '0x7a69' })

/** A wallet in a browser of its own, made of the same library; it signs with the chain's account. */
async function remoteWallet () {
  const device = await browser.newContext({ bypassCSP: true })
  device.setDefaultTimeout(DEADLINE)
  const wallet = await device.newPage()
  wallet.on('pageerror', (error) => problems.push(`wallet: ${error.message}`))
  await wallet.exposeFunction('signWithAnvil', (hex, account) => rpc('personal_sign', [hex, account]))
  await wallet.goto(new URL('/healthz', asked.link).href)
  const front = await (await fetch(new URL('/', asked.link))).text()
  const [assets] = front.match(/\/assets\/[0-9a-f]+\//)
  await wallet.evaluate(async ({ account, relay, project, assets }) => {
    const { quietClient } = await import(`${assets}walletconnect.js`)
    const metadata = { name: 'Pocket Wallet', description: '', url: 'https://wallet.example', icons: [] }
    const client = await quietClient({ projectId: project, relayUrl: relay, metadata })
    window.seen = []
    let session
    window.pairWith = async (uri, chain, declines) => {
      const proposed = new Promise((resolve) => client.once('session_proposal', resolve))
      await client.pair({ uri })
      const { id, params } = await proposed
      window.seen.push(params.proposer.metadata.url)
      if (declines) {
        await client.reject({ id, reason: { code: 5000, message: 'User rejected.' } })
        return
      }
      const eip155 = { accounts: [`eip155:${chain}:${account}`], methods: ['personal_sign'], events: ['accountsChanged', 'chainChanged'] }
      const { topic, acknowledged } = await client.approve({ id, namespaces: { eip155 } })
      session = topic
      await acknowledged()
    }
    window.hangUp = () => client.disconnect({ topic: session, reason: { code: 6000, message: 'User disconnected.' } })
    client.on('session_request', async ({ id, topic, params: { request } }) => {
      window.seen.push(request.method)
      const result = await window.signWithAnvil(...request.params)
      await client.respond({ topic, response: { id, jsonrpc: '2.0', result } })
    })
    client.on('session_delete', () => window.seen.push('session_delete'))
  }, { ...asked, assets })
  return wallet
}

async function signIn () {
  await page.getByRole('link', { name: 'Sign in with Discord' }).click()
  await button(asked.visitor).click()
}

const scenes = {
  /** The whole way of a member with two wallets installed, with clicks as fast as the page allows. */
  async member () {
    await page.addInitScript(installWallets, [metal(), { ...metal(), name: 'Other Wallet', colour: '#06c', chainId: '0x1' }])
    const started = Date.now()
    await page.goto(asked.link)
    await shoot('1-sign-in')
    const shot = Date.now()
    await signIn()
    await button('Metal Wallet').waitFor()
    const waited = Date.now() - shot
    await shoot('2-choose')
    const chosen = Date.now()
    await button('Metal Wallet').click()
    await page.locator('#sign:enabled').waitFor()
    const ready = Date.now() - chosen
    await page.locator('#account summary').click()
    const message = await text('message')
    await shoot('3-sign')
    const signed = Date.now()
    await button('Sign message').click()
    await shown('outcome', 'Subscriber')
    const linked = Date.now() - signed
    await shoot('4-done')
    const focused = await page.evaluate(() => document.activeElement?.id)
    return { message, focused, address: await text('done-address'), outcome: await text('outcome'), milliseconds: waited + ready + linked, all: Date.now() - started }
  },

  /** The same with nothing in between, for the time from opening the link to the role. */
  async quick () {
    await page.addInitScript(installWallets, [metal()])
    await context.addCookies([{ name: 'local_discord_user', value: asked.visitorId, url: asked.discord }])
    const started = Date.now()
    await page.goto(asked.link)
    await page.getByRole('link', { name: 'Sign in with Discord' }).click()
    await button('Metal Wallet').click()
    await page.locator('#sign:enabled').click()
    await shown('outcome', 'Subscriber')
    return { milliseconds: Date.now() - started }
  },

  /** A wallet without a subscription. */
  async unpaid () {
    await page.addInitScript(installWallets, [metal()])
    await page.goto(asked.link)
    await signIn()
    await button('Metal Wallet').click()
    await button('Sign message').click()
    const subscribe = page.locator('#outcome a')
    await subscribe.waitFor()
    await shoot('done')
    return { outcome: await text('outcome'), subscribe: await subscribe.getAttribute('href') }
  },

  /** The server's members were not read yet, and are not while the page asks. */
  async unread () {
    await page.addInitScript(installWallets, [metal()])
    await page.goto(asked.link)
    await signIn()
    await button('Metal Wallet').click()
    await button('Sign message').click()
    await shown('outcome', 'Looking up your roles')
    await page.locator('#outcome').filter({ hasText: 'You can close this page' }).waitFor({ timeout: 2 * DEADLINE })
    await shoot('done')
    return { outcome: await text('outcome') }
  },

  /** A role is paid for and cannot be given. */
  async trouble () {
    await page.addInitScript(installWallets, [metal()])
    await page.goto(asked.link)
    await signIn()
    await button('Metal Wallet').click()
    await button('Sign message').click()
    await shown('outcome', 'You can close this page')
    await shoot('done')
    return { outcome: await text('outcome') }
  },

  /** Declines, then switches the account, then the network, then disconnects, and links in the end. */
  async change () {
    await page.addInitScript(installWallets, [metal(), { ...metal(), name: 'Plain Wallet', colour: null, chainId: '0x2105' }])
    await page.goto(asked.link)
    await signIn()
    const wallet = (change) => page.evaluate(change)
    await wallet(() => { testWallets[0].refusal = { code: 4001 } })
    await button('Metal Wallet').click()
    await shown('problem', 'declined')
    await shoot('declined')
    const declined = await text('problem')
    await wallet(() => { testWallets[0].refusal = null })
    await button('Plain Wallet').click()
    await shown('network', '8453')
    await shoot('network')
    await button('Other wallet').click()
    await button('Metal Wallet').click()
    await page.locator('#sign:enabled').waitFor()
    const before = await page.locator('#message').textContent()
    const other = '0x' + '12'.repeat(20)
    await page.evaluate((other) => testWallets[0].emit('accountsChanged', [other]), other)
    await shown('status', 'switched to another account')
    const switched = await page.locator('#message').textContent()
    await page.evaluate(() => testWallets[0].emit('chainChanged', '0x1'))
    await shown('network', 'Your wallet is on network 1')
    await page.evaluate(() => testWallets[0].emit('chainChanged', '0x7a69'))
    await page.locator('#network').waitFor({ state: 'hidden' })
    await page.evaluate(() => testWallets[0].emit('accountsChanged', []))
    await shown('problem', 'disconnected')
    await button('Metal Wallet').click()
    await page.locator('#sign:enabled').waitFor()
    await wallet(() => { testWallets[0].refusal = { code: -32002 } })
    await button('Sign message').click()
    await shown('problem', 'already shows a request')
    await wallet(() => { testWallets[0].refusal = null })
    await page.locator('#sign:enabled').click()
    await shown('outcome', 'Subscriber')
    return { declined, changed: before !== switched, switched, outcome: await text('outcome') }
  },

  /** Another account signs than the one that the page was told; then with the keyboard alone. */
  async keyboard () {
    await page.addInitScript(installWallets, [{ ...metal(), legacy: true }])
    await page.goto(asked.link)
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await button(asked.visitor).click()
    await button('Browser wallet').waitFor()
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await page.locator('#sign:enabled:focus').waitFor()
    await page.evaluate(() => { window.honest = window.signWithAnvil; window.signWithAnvil = async () => '0x' + '11'.repeat(65) })
    await page.keyboard.press('Enter')
    await shown('problem', /./)
    const refused = await text('problem')
    await shoot('refused')
    await page.evaluate(() => { window.signWithAnvil = window.honest })
    await page.locator('#sign:enabled').waitFor()
    await page.locator('#sign').focus()
    await page.keyboard.press('Enter')
    await shown('outcome', 'Subscriber')
    return { refused, outcome: await text('outcome') }
  },

  /** No wallet at all. */
  async none () {
    await page.goto(asked.link)
    await signIn()
    await shown('searching', 'no wallet')
    await page.locator('#phone summary').click()
    await shoot('help')
    return { help: await text('no-wallet'), app: await page.locator('#in-metamask').getAttribute('href') }
  },

  /** Without Discord sign-in: the name is typed. */
  async typed () {
    await page.addInitScript(installWallets, [metal()])
    await page.goto(asked.link)
    await shoot('warning')
    const warning = await text('name-check')
    await page.locator('#typed-name').fill('somebody else')
    await button('This is me').click()
    await shown('problem', 'not the name')
    await page.locator('#typed-name').fill(`@${asked.visitor}`)
    await page.keyboard.press('Enter')
    await button('Metal Wallet').click()
    await button('Sign message').click()
    await shown('outcome', 'Subscriber')
    return { warning, outcome: await text('outcome') }
  },

  /** A page that only says no. */
  async refusal () {
    await page.goto(asked.link)
    if (await page.getByRole('link', { name: 'Sign in with Discord' }).count() > 0) await signIn()
    await page.locator('h1').waitFor()
    await shoot('page')
    return { title: await page.locator('h1').innerText(), text: await page.locator('main').innerText() }
  },

  /** A wallet on another device scans, signs, and is left in the end; before that the visitor turns back once. */
  async remote () {
    const wallet = await remoteWallet()
    await page.goto(asked.link)
    await signIn()
    await shown('searching', 'no wallet')
    await shoot('choose')
    await button('WalletConnect: a wallet on your phone').click()
    await button('Copy the code').waitFor()
    const abandoned = await page.locator('#open-wallet').getAttribute('href')
    await button('Other wallet').click()
    await button('WalletConnect: a wallet on your phone').click()
    await page.locator(`#open-wallet:not([href="${abandoned}"])`).waitFor()
    await page.locator('#code').evaluate((picture) => picture.decode())
    await shoot('scan')
    const code = await page.locator('#open-wallet').getAttribute('href')
    await wallet.evaluate(([uri, chain]) => window.pairWith(uri, chain), [code, asked.chain])
    await page.locator('#sign:enabled').waitFor()
    const name = await text('account-name')
    const message = await page.locator('#message').textContent()
    await shoot('sign')
    await button('Sign message').click()
    await shown('outcome', 'Subscriber')
    await wallet.waitForFunction(() => window.seen.includes('session_delete'))
    return { name, message, seen: await wallet.evaluate(() => window.seen), address: await text('done-address'), outcome: await text('outcome') }
  },

  /** The wallet declines, then agrees and disconnects. */
  async remoteDeclined () {
    const wallet = await remoteWallet()
    await page.goto(asked.link)
    await signIn()
    const scan = async (declines) => {
      await button('WalletConnect: a wallet on your phone').click()
      await button('Copy the code').waitFor()
      const code = await page.locator('#open-wallet').getAttribute('href')
      await wallet.evaluate(([uri, chain, declines]) => window.pairWith(uri, chain, declines), [code, asked.chain, declines])
    }
    await scan(true)
    await shown('problem', 'declined')
    const declined = await text('problem')
    await scan(false)
    await page.locator('#sign:enabled').waitFor()
    await wallet.evaluate(() => window.hangUp())
    await shown('problem', 'disconnected')
    return { declined, disconnected: await text('problem'), chooses: await page.locator('#walletconnect').isVisible() }
  },

  /** The relay does not know the project, or cannot be reached. */
  async remoteUnreachable () {
    await page.goto(asked.link)
    await signIn()
    await button('WalletConnect: a wallet on your phone').click()
    await shown('problem', 'relay did not answer')
    await shoot('page')
    // The browser's own line about the connection that the relay closed or refused.
    problems.splice(0, problems.length, ...problems.filter((line) => !line.includes('WebSocket connection to')))
    return { problem: await text('problem'), chooses: await page.locator('#walletconnect').isVisible() }
  },

  /** The link is used up in another window while the page is open. */
  async overtaken () {
    await page.addInitScript(installWallets, [metal()])
    await page.goto(asked.link)
    await signIn()
    await button('Metal Wallet').click()
    await page.locator('#sign:enabled').waitFor()
    const path = new URL(asked.link).pathname
    await page.evaluate(async ([path, account]) => {
      const csrf = document.getElementById('verify').dataset.csrf
      const post = async (to, body) => (await fetch(`${path}/${to}`, {
        method: 'POST', headers: { 'content-type': 'application/json', 'x-csrf-token': csrf }, body: JSON.stringify(body)
      })).json()
      const { message } = await post('challenge', { address: account })
      const hex = '0x' + [...new TextEncoder().encode(message)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
      const signature = await window.signWithAnvil(hex, account)
      return post('signature', { message, signature })
    }, [path, asked.account])
    await button('Sign message').click()
    await shown('problem', 'already linked')
    await shoot('page')
    return { problem: await text('problem') }
  }
}

try {
  const seen = await scenes[asked.scene]()
  console.log(JSON.stringify({ ...seen, problems, hosts: [...hosts].sort() }))
} catch (error) {
  const body = await page.locator('body').innerText().catch(() => '')
  console.error(`${error.message}\nproblems: ${problems.join('; ')}\nat ${page.url()}\n${body}`)
  process.exitCode = 1
} finally {
  await browser.close()
}

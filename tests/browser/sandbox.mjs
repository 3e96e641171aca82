// Follows the sandbox's guided ways in a real browser, as somebody who has read nothing: it presses what the next step offers.
// Its one argument is JSON: { browser, scene, sandbox, rpc, shots }. It prints one line of JSON with what was seen.
import { seed } from './seed.mjs'
import { DEADLINE, asked, freshPage, look, play, problems, tabThrough } from './stage.mjs'

const page = await freshPage()
const step = page.locator('.steps .now')
/** The next step, once it is the one with this title. */
const now = (title) => step.filter({ hasText: title }).waitFor()

/**
 * Presses a button of a page that lives. That the mouse would reach it is checked, but the keyboard presses it: what happens on the
 * chain meanwhile can move it away between the mouse's going down and up.
 */
async function pressOn (button) {
  await button.click({ trial: true })
  await button.press('Enter')
}

const press = (name) => pressOn(step.getByRole('button', { name }))

/** Presses a link that opens another page, and gives that page. */
async function opened (link) {
  const [other] = await Promise.all([link.page().context().waitForEvent('page'), pressOn(link)])
  other.setDefaultTimeout(DEADLINE)
  other.on('pageerror', (error) => problems.push(`page error: ${error.message}`))
  other.on('console', (line) => {
    if (line.type() === 'error' && !line.text().startsWith('Failed to load resource')) problems.push(`console: ${line.text()}`)
  })
  return other
}

/** Puts a block on top of the chain, which has blocks on demand alone. */
async function mine () {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'evm_mine', params: [] })
  await fetch(asked.rpc, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
}

/** Comes to the wallet page as ada, signed in. */
async function toWallet (on = page) {
  await on.goto(new URL('/member', asked.sandbox).href)
  await pressOn(on.locator('.steps .now').getByRole('button', { name: 'Type /verify' }))
  const wallet = await opened(on.locator('output.reply a.button'))
  await wallet.getByRole('link', { name: 'Sign in with Discord' }).click()
  return wallet
}

async function sign (wallet) {
  await wallet.getByRole('button', { name: 'Sandbox wallet of ada' }).click()
  await wallet.locator('#sign[aria-disabled="false"]').click()
  await wallet.locator('#done').filter({ visible: true }).waitFor()
}

/** Pays at the checkout and comes back. */
async function pay (wallet, link) {
  await link.click()
  await wallet.getByRole('button', { name: 'Subscribe and pay' }).click()
  await wallet.waitForURL(/tx_hash=0x/)
}

const payment = (wallet, text) => wallet.locator('#payment').filter({ hasText: text, visible: true }).waitFor()

const scenes = {
  /** Pays before the wallet is linked. */
  async paidFirst () {
    const wallet = await toWallet()
    await wallet.locator('#plans summary').click()
    await look(wallet, '1-plans')
    await pay(wallet, wallet.locator('#plans a').first())
    await payment(wallet, 'Link that wallet here')
    const first = await wallet.locator('#payment').innerText()
    await look(wallet, '2-seen')
    await mine()
    await payment(wallet, '1 of 2 confirmations')
    await sign(wallet)
    await payment(wallet, 'Your payment was seen: 1 of 2 confirmations')
    await mine()
    await payment(wallet, 'Your payment is confirmed')
    await wallet.locator('#held').filter({ hasText: 'Subscriber' }).waitFor()
    await look(wallet, '3-role')
    return { first }
  },

  /** Links the wallet, then pays, and comes back by the same link. */
  async linkedFirst () {
    const wallet = await toWallet()
    await sign(wallet)
    await pay(wallet, wallet.locator('#outcome a').first())
    await payment(wallet, 'Your payment was seen: 0 of 2 confirmations')
    if (await wallet.locator('#held a').count() > 0) problems.push('who is paying is offered to pay again')
    await look(wallet, '1-seen')
    await mine()
    await payment(wallet, '1 of 2 confirmations')
    await mine()
    await payment(wallet, 'Your payment is confirmed')
    await wallet.locator('#news').filter({ hasText: 'You hold' }).waitFor()
    await look(wallet, '2-role')
    const seen = { paid: await wallet.locator('#payment').innerText(), outcome: await wallet.locator('#outcome').innerText() }
    // By reloading, where there is no script: the page waits for the roles only a moment.
    const until = Date.now() + DEADLINE
    for (;;) {
      const answer = await wallet.context().request.get(wallet.url(), { headers: { accept: 'text/html' } })
      const whole = await answer.text()
      const withoutScript = whole.slice(whole.indexOf('<noscript>'), whole.indexOf('</noscript>'))
      if (withoutScript.includes('Subscriber') || Date.now() > until) return { ...seen, withoutScript }
      await wallet.waitForTimeout(1000)
    }
  },

  /** A member's whole life, by the steps alone. */
  async member () {
    await page.goto(new URL('/', asked.sandbox).href)
    await look(page, '0-everyone')
    await pressOn(page.locator('.ways').getByRole('link', { name: 'Be a member' }))
    await now('Link your wallet')
    await look(page, '1-start')
    await press('Type /verify')
    const link = page.locator('output.reply a.button')
    await link.waitFor()
    await look(page, '2-verify')
    const wallet = await opened(link)
    await wallet.getByRole('link', { name: 'Sign in with Discord' }).click()
    await wallet.getByRole('button', { name: 'Sandbox wallet of ada' }).click()
    await wallet.locator('#sign[aria-disabled="false"]').click()
    await wallet.locator('#done-address').filter({ visible: true }).waitFor()
    await wallet.getByRole('link', { name: 'Back to Discord' }).first().click()
    await wallet.waitForURL(/\/member\?as=/)
    await wallet.close()
    await now('Subscribe and pay')
    await pressOn(step.getByRole('link', { name: 'Open the checkout' }))
    await look(page, '3-checkout')
    await page.getByRole('button', { name: 'Subscribe and pay' }).click()
    await page.waitForURL(/\/member\?as=/)
    const granted = page.locator('#log .granted').first()
    await granted.waitFor()
    const given = await granted.innerText()
    await now('Ask why you have it')
    await press('Type /why')
    await page.locator('output.reply .message').waitFor()
    const receipt = await page.locator('output.reply').innerText()
    await look(page, '4-why')
    await now('See a payment fail')
    await press(/^Let .* pass/)
    await press('Fail payment')
    await page.locator('#log .revoked').first().waitFor()
    await look(page, '5-failed')
    await now('Pay again')
    await press('Pay')
    await now('Let it lapse')
    await press('Let time pass until it lapses')
    const passed = await page.locator('#answer').getByText('passed on the chain').innerText()
    if (passed.includes('<t:')) problems.push(`a time is shown raw: ${passed}`)
    await page.getByText('That was all of it').waitFor()
    await look(page, '6-over')
    return { given, receipt }
  },

  /** From the first page to a plan that opens a role in a server of one's own, and a member who gets it. */
  async merchant () {
    await page.goto(new URL('/merchant', asked.sandbox).href)
    await now('Connect your server')
    await look(page, '1-start')
    const started = Date.now()
    let clicks = 0
    const click = async (on, role, name) => {
      clicks++
      await on.getByRole(role, { name }).first().click()
    }
    clicks++
    const shop = await opened(step.getByRole('link', { name: 'Connect a server' }))
    await click(shop, 'button', "Mona's Club")
    await now('Prove that the plans are yours')
    await click(shop, 'button', 'Sandbox wallet of mona')
    await shop.locator('#sign[aria-disabled="false"]').waitFor()
    await click(shop, 'button', 'Sign message')
    await now('Let the plan open a role')
    await click(shop, 'button', /^Create the role/)
    await shop.getByRole('heading', { name: 'Preview', level: 1 }).waitFor()
    await click(shop, 'button', 'Save')
    await now('See that it works')
    await click(shop, 'button', 'Test on me')
    await shop.getByText('It works.').first().waitFor()
    const milliseconds = Date.now() - started
    await look(page, '2-mapped')
    await pressOn(step.getByRole('link', { name: 'Be a member' }))
    await pressOn(page.locator('.member').first().getByRole('button', { name: 'Link without signing' }))
    await pressOn(page.locator('.member').first().getByRole('button', { name: 'Subscribe' }))
    await pressOn(page.locator('.member').first().getByRole('button', { name: 'Pay', exact: true }))
    await page.locator('#log .granted').filter({ hasText: "in Mona's Club" }).filter({ hasText: 'ada' }).waitFor()
    await pressOn(page.getByRole('navigation', { name: 'Ways' }).getByRole('link', { name: 'Be the merchant' }))
    await page.getByText('That was all of it').waitFor()
    await look(page, '3-over')
    return { clicks, milliseconds }
  },

  /** The merchant fills in the form of /amser setup. */
  async form () {
    await page.goto(new URL('/merchant', asked.sandbox).href)
    await page.getByLabel('Command').selectOption('amser setup')
    // Where the plans are not read in time, the bot says so, and is asked again.
    const plans = page.getByLabel('Which plans?')
    for (let tries = 0; tries < 6 && !(await plans.isVisible()); tries++) {
      await pressOn(page.getByRole('button', { name: 'Send' }))
      await plans.waitFor({ timeout: DEADLINE / 6 }).catch(() => {})
    }
    await plans.selectOption({ index: 0 })
    await page.getByLabel('Which roles?').selectOption({ label: 'Silver' })
    await look(page, '1-form')
    await pressOn(page.getByRole('button', { name: 'Submit' }))
    await pressOn(page.locator('output.reply').getByRole('button', { name: 'Set it up' }))
    await page.locator('output.reply').filter({ hasText: 'Done.' }).waitFor()
    return {}
  },

  /** Somebody who types a command finds its options in lists; the focus is never lost; a stop is told. */
  async hands () {
    for (const [width, height] of [[1440, 900], [360, 640]]) {
      await page.setViewportSize({ width, height })
      for (const path of ['/', '/member', '/merchant']) {
        await page.goto(new URL(path, asked.sandbox).href)
        await tabThrough(page)
      }
    }
    await page.goto(new URL('/member', asked.sandbox).href)
    await page.getByLabel('Command').selectOption('why')
    await page.locator('fieldset:not([hidden])').getByLabel('role').selectOption({ label: '@Subscriber' })
    await pressOn(page.getByRole('button', { name: 'Send' }))
    await page.locator('output.reply .message').waitFor()
    const why = await page.locator('output.reply').innerText()
    await page.getByRole('button', { name: 'Link without signing' }).focus()
    await page.keyboard.press('Enter')
    await now('Subscribe and pay')
    const focus = await page.evaluate(() => document.activeElement.localName)
    const kept = await page.getByLabel('Command').inputValue()
    return { why, focus, kept }
  }
}

await play({ ...scenes, ...seed({ page, now, opened, step, mine, toWallet, sign }) })

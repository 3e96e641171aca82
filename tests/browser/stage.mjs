// What every browser test has: a browser, a page whose errors and requests are noted, and a look at a state of the page that
// finds what scrolls sideways and what axe-core has against it.
//
// A script's one argument is JSON with at least
//   { browser: { name: 'chromium' | 'firefox', path, scheme: undefined | 'light' | 'dark' }, scene, shots }
import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { chromium, firefox } from 'playwright-core'

export const asked = JSON.parse(process.argv[2])
export const DEADLINE = 60_000

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** The hash of a style that Playwright puts into the page for a screenshot in Firefox, which reports it as refused. */
const OWN_STYLE = 'sha256-YjaKGiklmzC6wjXA513HAMmzus8VE61XCOT+SmwNZWA='

/** The one colour scheme of this browser; undefined: it has both. */
const { scheme } = asked.browser

/** Browsers crash at their start now and then on a busy machine; that is not what the scenes are about. */
async function launch () {
  const { name, path } = asked.browser
  // In Firefox Playwright cannot switch the colour scheme: one browser has one, 0 for dark and 1 for light.
  const firefoxUserPrefs = { 'layout.css.prefers-color-scheme.content-override': scheme === 'dark' ? 0 : 1 }
  const start = () => name === 'firefox'
    ? firefox.launch({ executablePath: path, channel: 'moz-firefox', headless: true, firefoxUserPrefs })
    : chromium.launch({
      executablePath: path,
      headless: true,
      args: [
        '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'
      ]
    })
  for (let tries = 1; ; tries++) {
    try {
      return await start()
    } catch (error) {
      if (tries === 3) throw error
    }
  }
}

export const browser = await launch()
/** What went wrong, in sentences; a test fails if there is anything. */
export const problems = []
/** Whom pages asked. */
export const hosts = new Set()

/** A page in a browser of its own: no cookie is shared with another. */
export async function freshPage (options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options })
  context.setDefaultTimeout(DEADLINE)
  const page = await context.newPage()
  page.on('pageerror', ({ message, stack }) => { if (!message.includes(OWN_STYLE)) problems.push(`page error: ${stack}`) })
  page.on('console', (line) => {
    // The browser itself logs every answer of 4xx; those are asserted on through the page's own words.
    if (line.type() === 'error' && !line.text().startsWith('Failed to load resource')) problems.push(`console: ${line.text()}`)
  })
  page.on('request', (request) => { if (!request.url().startsWith('data:')) hosts.add(new URL(request.url()).host) })
  return page
}

/** axe-core's violations, in sentences. It is evaluated by the debugger, to which the page's policy does not apply. */
async function violations (page) {
  await page.evaluate(`if (!window.axe) { ${axe} }`)
  return page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { resultTypes: ['violations'], preload: false })
    return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`).join('; ')}`)
  })
}

/** Where a page is looked at. WCAG 1.4.10 wants no scrolling sideways at 320 px, which is a wide screen at four times its size. */
const VIEWS = [['light', 'light', 1440], ['dark', 'dark', 1440], ['360', 'light', 360], ['360-dark', 'dark', 360]]
const NARROWEST = 320

/** Milliseconds that all looks took, which no visitor would. */
export let looking = 0

async function sidewards (page, name) {
  const { wide, width } = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement
    return { wide: scrollWidth - clientWidth, width: clientWidth }
  })
  if (wide > 0) problems.push(`${name} at ${width} px scrolls sideways by ${wide} px`)
}

/** Looks at a state of the page in light and dark, on a phone and on a wide screen; screenshots go to `asked.shots`, if given. */
export async function look (page, name) {
  const started = Date.now()
  for (const [kind, colorScheme, width] of VIEWS) {
    if (scheme && scheme !== colorScheme) continue
    await page.emulateMedia({ colorScheme })
    await page.setViewportSize({ width, height: 900 })
    const isDark = await page.evaluate(() => window.matchMedia('(prefers-color-scheme: dark)').matches)
    if (isDark !== (colorScheme === 'dark')) problems.push(`${name} is not looked at in ${colorScheme}`)
    for (const violation of await violations(page)) problems.push(`${name} (${kind}) ${violation}`)
    await sidewards(page, name)
    if (!asked.shots) continue
    mkdirSync(asked.shots, { recursive: true })
    await page.screenshot({ path: join(asked.shots, `${asked.browser.name}-${asked.scene}-${name}-${kind}.png`), fullPage: true })
  }
  await page.setViewportSize({ width: NARROWEST, height: 900 })
  await sidewards(page, name)
  await page.emulateMedia({ colorScheme: 'light' })
  await page.setViewportSize({ width: 1440, height: 900 })
  looking += Date.now() - started
}

/** Where the focus is after one press of Tab. What is wrong with that is noted: it is nowhere, not seen, or under something. */
async function tab (page) {
  await page.keyboard.press('Tab')
  const at = await page.evaluate(() => {
    const element = document.activeElement
    const name = (element.labels?.[0]?.innerText || element.innerText || element.ariaLabel || element.name || '').trim()
    if (element === document.body) return { name: '', isEnd: true }
    const { outlineStyle, outlineWidth } = getComputedStyle(element)
    const [box] = element.getClientRects()
    const [x, y] = [box.left + Math.min(box.width / 2, 20), box.top + Math.min(box.height / 2, 20)]
    const over = document.elementFromPoint(x, y)
    return {
      name,
      isEnd: false,
      hasRing: outlineStyle !== 'none' && outlineWidth !== '0px',
      isOnTop: over !== null && (element.contains(over) || over.contains(element)),
      under: over?.closest('[id], [class]')?.outerHTML.slice(0, 80)
    }
  })
  if (!at.isEnd && !at.hasRing) problems.push(`the focus on "${at.name}" has no ring`)
  if (!at.isEnd && !at.isOnTop) problems.push(`the focus on "${at.name}" is out of sight or under ${at.under}`)
  return at
}

/** Presses Tab until the focus is on what has this name. */
export async function tabTo (page, name) {
  const seen = []
  for (let presses = 0; presses < 80; presses++) {
    const at = await tab(page)
    if (name instanceof RegExp ? name.test(at.name) : at.name === name) return at
    seen.push(at.name)
  }
  throw new Error(`Tab never comes to ${name}, but to: ${seen.join(' | ')}`)
}

/** Presses Tab through the whole page; the names of what has the focus one after the other. */
export async function tabThrough (page) {
  const seen = []
  for (let presses = 0; presses < 120; presses++) {
    const at = await tab(page)
    if (at.isEnd && seen.length > 0) return seen
    seen.push(at.name)
  }
  throw new Error(`Tab never leaves the page: ${seen.join(' | ')}`)
}

/** Plays the scene that was asked for and prints what it saw as one line of JSON; or fails with what stands on all pages. */
export async function play (scenes) {
  try {
    const seen = await scenes[asked.scene]()
    console.log(JSON.stringify({ ...seen, problems, hosts: [...hosts].sort() }))
  } catch (error) {
    const all = browser.contexts().flatMap((context) => context.pages())
    const pages = await Promise.all(all.map(async (each) =>
      `at ${each.url()}\n${await each.locator('body').innerText().catch(() => '')}`))
    console.error(`${error.message}\nproblems: ${problems.join('; ')}\n${pages.join('\n')}`)
    process.exitCode = 1
  } finally {
    await browser.close()
  }
}

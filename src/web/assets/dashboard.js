// What the dashboard does beyond plain pages: keeps the status live, and lets a wallet sign.
import { ask, element } from './page.js'
import { startSigning } from './signing.js'

/** The page's own address is asked again, at most this often (milliseconds): the server draws, we only replace. */
const PACE = 5000
/** A stream that ended is begun again after so long (milliseconds): a restart, or a server that does not answer. */
const AGAIN = 15000

const live = document.getElementById('live')
if (live && 'EventSource' in window) watch(live.dataset.events)
const place = document.querySelector('[data-wallets]')
if (place) offerWallets(place)
// A form that was sent is not sent once more by a second press. A page that is come back to has its forms as they were.
addEventListener('submit', ({ target, defaultPrevented }) => {
  if (defaultPrevented) return
  const buttons = target.querySelectorAll('button')
  // After this event: a button that is disabled sends nothing.
  setTimeout(() => buttons.forEach((button) => { button.disabled = true }))
  addEventListener('pageshow', () => buttons.forEach((button) => { button.disabled = false }), { once: true })
})

function watch (address) {
  const events = new EventSource(address)
  let last = null
  let waiting = null
  // Browsers give up for good where the answer is an error; else they begin again by themselves.
  events.addEventListener('error', () => {
    if (events.readyState !== EventSource.CLOSED) return
    setTimeout(async () => {
      if (await redraw()) watch(address)
    }, AGAIN)
  })
  events.addEventListener('status', (event) => {
    // The first event is what the page shows already.
    if (last === null) last = event.data
    if (event.data === last || waiting) return
    last = event.data
    waiting = setTimeout(async () => {
      waiting = null
      await redraw()
    }, PACE)
  })
  addEventListener('pagehide', () => events.close())
}

/** Draws the live part anew; false where the page is not the visitor's any more. */
async function redraw () {
  const old = document.getElementById('live')
  const isHeld = () => old.contains(document.activeElement)
  const end = (why) => {
    old.replaceChildren(element('p', { className: 'panel problem', textContent: `${why}: load this page again to see how things stand.` }))
    return false
  }
  // Not under somebody's hands.
  if (isHeld()) return true
  const options = { headers: { accept: 'text/html' }, redirect: 'manual' }
  const answer = await fetch(`${location.pathname}?live=1`, options).catch(() => null)
  if (answer?.type === 'opaqueredirect') return end('You are signed out')
  if ([403, 404].includes(answer?.status)) return end('This server is not shown to you any more')
  if (!answer?.ok) return true
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html')
  const fresh = page.getElementById('live')
  if (fresh && !isHeld()) old.replaceWith(document.adoptNode(fresh))
  return true
}

/** Lets a wallet sign, as on the wallet page. Without script the form below it does. */
function offerWallets (place) {
  place.hidden = false
  const signing = startSigning({
    root: place,
    linked: [],
    challenge: (body) => ask('/api/v1/me/wallet/challenge', body),
    signature: (body) => ask('/api/v1/me/wallet/signature', body),
    done: () => {
      signing.stop()
      location.assign(`${place.dataset.next}?done=wallet`)
    },
    failed: () => {}
  })
}

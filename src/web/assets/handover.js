// Continuing in a wallet's own browser: by a one-time code of the signed-in member, or, where there is no sign-in, by this
// page's own address.
import { ask, byId, copy, listen, quiet, tell, turnPage } from './page.js'
import { picture } from './qr.js'
import { words } from './words.js'

/** Next to what is pressed, where the eye is. */
const news = (text) => tell('handover-news', text)
/** An app that opens hides this page within this time, in milliseconds. */
const APP_OPENS = 1_500

let address = location.href
let isOver = null

function fill () {
  const values = { bare: address.replace(/^https?:\/\//, ''), url: encodeURIComponent(address), origin: encodeURIComponent(location.origin) }
  for (const app of document.querySelectorAll('[data-opens]')) {
    app.href = app.dataset.opens.replace(/\{(\w+)\}/g, (_, name) => values[name])
  }
}

async function handOver (csrf, refused) {
  quiet()
  news(words.preparingLink)
  try {
    const offered = await ask(`${location.pathname}/handover`, {}, csrf)
    address = offered.url
    const until = Date.now() + offered.valid_seconds * 1000
    fill()
    byId('handover-code').src = picture(address)
    byId('browsers').hidden = false
    news(words.handed(until))
    clearTimeout(isOver)
    isOver = setTimeout(() => {
      turnPage([byId('browsers')], [], byId('hand-over'))
      news(words.handedOver)
    }, until - Date.now())
  } catch (error) {
    news('')
    refused(error)
  }
}

/** Makes the ways work; `came()` is called whenever the visitor is back here after a hand-over, `refused(error)` when there is none. */
export function offerHandover ({ csrf, came, refused }) {
  fill()
  listen('hand-over', 'click', () => handOver(csrf, refused))
  listen('copy', 'click', () => copy(address, 'handover-news', words.linkCopied, byId('hand-over') ? words.handedCopyFailed : words.linkNotCopied))
  document.addEventListener('click', ({ target }) => {
    const app = target.closest('[data-opens], [data-scheme]')
    if (!app) return
    const region = app.dataset.opens ? 'handover-news' : 'status'
    setTimeout(() => { if (document.visibilityState === 'visible') tell(region, words.appMissing) }, APP_OPENS)
  })
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible' && isOver) came()
  })
}

// The wallet page: a wallet is chosen, signs the server's message, and what came of it is shown; or, in a wallet's browser, the
// question whose link it is. Nothing is loaded from elsewhere and nothing is remembered.
import { offerHandover } from './handover.js'
import { MOST_WHILE_PAYING, askStanding, showOutcome, tellPayment } from './outcome.js'
import { ask, byId, complain, element, listen, pause, quiet, say, turnPage } from './page.js'
import { startSigning } from './signing.js'
import { clock, explain, words } from './words.js'

/** Who comes back from a wallet's browser may be faster than what was signed there. */
const MOST_AFTER_HANDOVER = 10
/** Refusals after which this link is over. */
const FINAL = new Set([
  'link_unknown', 'link_expired', 'link_used', 'link_replaced', 'sign_in_required', 'other_member',
  'member_left', 'bot_absent'
])

function start (root) {
  const { csrf, username, guild, used, payment } = root.dataset
  const under = (path) => `${location.pathname}/${path}`
  let signing = null
  let isDone = false

  function done ({ address = '', roles = [] }) {
    if (isDone) return
    isDone = true
    signing?.stop()
    // A reload shows the outcome again.
    history.replaceState(null, '', payment ? `?outcome=1&tx_hash=${payment}` : '?outcome=1')
    byId('done-address').textContent = address
    byId('done').hidden = false
    if (byId('flow')) turnPage([byId('flow')], [], byId('done-title'))
    byId('done-title').focus()
    showOutcome({ guild, payment, known: roles })
  }

  /** Tells of the payment that the visitor came back with while they link, and is done where a wallet of theirs paid. */
  async function followPayment () {
    for (let times = 0; times < MOST_WHILE_PAYING; times++) {
      let standing
      try {
        standing = await askStanding(payment)
      } catch (error) {
        if (isDone) return
        if (FINAL.has(error?.code)) return refused(error)
        // A lost connection, or a restart: asked again like a payment that waits.
        await pause()
        continue
      }
      if (isDone) return
      tellPayment(standing)
      if (standing.payment.linked) return done({})
      if (!standing.payment.waits) return
      await pause()
    }
  }

  /** The wallet was linked in the browser that the visitor comes back from, or not. */
  async function cameBack () {
    for (let times = 0; times < MOST_AFTER_HANDOVER && !isDone; times++) {
      if (await ask(under('standing')).then(() => true, () => false)) return done({})
      await pause()
    }
  }

  function refused (error) {
    complain(explain(error))
    failed(error)
  }

  function failed (error) {
    if (!FINAL.has(error?.code)) return
    signing.stop()
    const parts = ['facts', 'plans', 'name-check', 'choose', 'scan', 'account', 'phone', 'no-wallet'].map(byId)
    turnPage(parts, [byId('over')], byId('problem'))
    byId('problem').focus()
    if (error.code === 'sign_in_required') {
      const again = element('button', { type: 'button', className: 'button main', textContent: words.signInAgain })
      again.addEventListener('click', () => location.reload())
      byId('problem').after(again)
    }
  }

  if (used !== undefined) return done({})
  signing = startSigning({
    root,
    linked: [...document.querySelectorAll('#linked .address')].map((one) => one.textContent.toLowerCase()),
    challenge: (body) => ask(under('challenge'), username ? { ...body, discord_name: byId('typed-name').value } : body, csrf),
    signature: (body) => ask(under('signature'), body, csrf),
    done,
    failed
  })
  offerHandover({
    csrf,
    came: cameBack,
    refused
  })
  if (payment) followPayment()
  listen('name-check', 'submit', (event) => {
    event.preventDefault()
    const typed = byId('typed-name').value.trim().replace(/^@/, '').toLowerCase()
    quiet()
    if (typed !== username.toLowerCase()) return complain(words.wrongName)
    turnPage([byId('name-check')], [byId('choose')], byId('choose-title'))
  })
}

function startTakeOver (root) {
  const button = byId('continue')
  listen('continue', 'click', async () => {
    if (button.getAttribute('aria-disabled') === 'true') return
    quiet()
    button.setAttribute('aria-disabled', 'true')
    say(words.continuing)
    try {
      await ask(`${location.pathname}/continue`, { code: root.dataset.code })
      location.replace(location.pathname)
    } catch (error) {
      say('')
      complain(explain(error))
      button.setAttribute('aria-disabled', 'false')
    }
  })
}

for (const moment of document.querySelectorAll('time')) moment.textContent = clock(Date.parse(moment.dateTime))
if (byId('take-over')) startTakeOver(byId('take-over'))
else start(byId('verify'))

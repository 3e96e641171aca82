// What came of a link: the member's roles, asked for until they have arrived.
import { ask, byId, element, pause } from './page.js'
import { words } from './words.js'

/** Each answer waits for roles on their way, so this is half a minute at the most. */
const MOST_QUESTIONS = 10
/** Refusals that pass by themselves: a lost connection, a restart, too many pages at once. */
const PASSING = new Set(['offline', 'internal', 'not_ready', 'took_too_long', 'too_many_requests'])
/** A first payment can take minutes; after half an hour the page stops asking. */
export const MOST_WHILE_PAYING = 1200

/** What came of the link so far, and where the payment stands with this transaction. */
export const askStanding = (payment) => ask(`${location.pathname}/standing${payment ? `?tx_hash=${payment}` : ''}`)

/** Shows where the payment stands; the same sentence is not announced again, and nothing moves under the visitor's hand. */
export function tellPayment ({ payment }) {
  const region = byId('payment')
  region.hidden = !payment
  if (payment && region.textContent !== payment.text) region.textContent = payment.text
}

const list = (roles, kind) => element('ul', { className: `roles ${kind}` }, ...roles.map((role) => element('li', {}, role.name)))

/** The roles of this server, then those of each other one under its name. */
function byServer (roles, { guild, servers, kind }) {
  const parts = []
  const here = roles.filter((role) => role.guild_id === guild)
  if (here.length > 0) parts.push(list(here, kind))
  for (const other of new Set(roles.map((role) => role.guild_id))) {
    if (other === guild) continue
    parts.push(element('p', { className: 'fine' }, words.inServer(servers[other] ?? words.otherServer)))
    parts.push(list(roles.filter((role) => role.guild_id === other), kind))
  }
  return parts
}

/** One sentence: the news that assistive technology announces. What is seen in the lists below is only heard here. */
function news ({ roles, pending, subscribe, trouble, unread, payment }, waiting) {
  // The sentence about the payment says it all.
  if (payment?.waits) return []
  if (waiting) return [words.lookingUp]
  if (roles.length > 0) {
    const names = element('span', { className: 'unseen' }, ` ${roles.map((role) => role.name).join(', ')}`)
    return [words.holds(roles), names]
  }
  if (pending.length > 0) return [words.arrive]
  if (unread) return [words.unread]
  if (subscribe.length > 0) return [words.unpaid]
  return [trouble.length > 0 ? words.arrive : words.nothing]
}

function details ({ roles, pending, subscribe, servers, trouble }, guild) {
  const parts = byServer(roles, { guild, servers, kind: '' })
  if (pending.length > 0) parts.push(element('p', {}, words.pending), ...byServer(pending, { guild, servers, kind: 'pending' }))
  for (const sentence of trouble) parts.push(element('p', { className: 'note' }, sentence))
  if (roles.length > 0 && subscribe.length > 0) parts.push(element('p', {}, words.unpaid))
  for (const offer of subscribe) {
    if (!/^https?:\/\//i.test(offer.url)) continue
    const link = element('a', { className: 'button main', href: offer.url, rel: 'noreferrer' }, words.subscribe(offer))
    parts.push(element('p', {}, link))
  }
  return parts
}

/** Shows the section, and asks until nothing is on its way any more. `known` are roles that were told of before. */
export async function showOutcome ({ guild, payment, known }) {
  let shown = ''
  const show = (standing, waiting) => {
    const now = JSON.stringify([standing, waiting])
    // What is announced already is not announced again.
    if (now === shown) return
    shown = now
    byId('held').replaceChildren(...details(standing, guild))
    byId('news').replaceChildren(...news(standing, waiting))
  }
  // The names of other servers come with the first answer, and their roles with them.
  const here = known.filter((role) => role.guild_id === guild)
  const nothing = { roles: here, pending: [], subscribe: [], servers: {}, trouble: [], unread: false }
  document.title = byId('done-title').textContent
  show(nothing, here.length === 0)
  let paying = 0
  for (let times = 1; ; times++) {
    const asked = Date.now()
    let standing
    try {
      standing = await askStanding(payment)
    } catch (error) {
      if (PASSING.has(error?.code) && times < MOST_QUESTIONS) {
        await pause()
        continue
      }
      show({ ...nothing, trouble: [words.notShown] }, false)
      return
    }
    tellPayment(standing)
    if (standing.payment?.waits && paying++ < MOST_WHILE_PAYING) {
      show(standing, false)
      times = 0
      await pause()
      continue
    }
    // Roles in trouble do not come while the page waits.
    const isOpen = (standing.unread || standing.pending.length > 0) && standing.trouble.length === 0
    const waiting = isOpen && times < MOST_QUESTIONS
    show(standing, waiting)
    if (!waiting) return
    // One that comes at once is not asked for again at once.
    await new Promise((resolve) => setTimeout(resolve, asked + 1000 - Date.now()))
  }
}

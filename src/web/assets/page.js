// What the scripts of a page share: finding and making elements, telling the visitor something, and asking the server.
import { Refusal, words } from './words.js'

export const byId = (id) => document.getElementById(id)

export function element (name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties)
  made.append(...children)
  return made
}

/** Puts a text into a region that is always rendered: assistive technology announces a change only of what it knows already. */
export function tell (id, text) {
  const region = byId(id)
  region.textContent = text
  if (text) region.scrollIntoView({ block: 'nearest' })
}
export const say = (text) => tell('status', text)
export const complain = (text) => tell('problem', text)
export const quiet = () => { say(''); complain('') }

/**
 * Hides and shows, and keeps the focus: where the focused element is hidden, `next` gets it (a heading or a message with
 * tabindex -1). Without this the focus falls back to the start of the page.
 */
export function turnPage (hidden, shown, next) {
  const held = document.activeElement
  for (const part of hidden) if (part) part.hidden = true
  for (const part of shown) if (part) part.hidden = false
  if (held?.closest('[hidden]')) next.focus()
}

/** Asks the server under this page's own address; refusals are thrown with the server's sentence. */
export async function ask (path, body, csrf) {
  const options = { credentials: 'same-origin', headers: { accept: 'application/json' } }
  if (body) {
    options.method = 'POST'
    options.headers['content-type'] = 'application/json'
    if (csrf) options.headers['x-csrf-token'] = csrf
    options.body = JSON.stringify(body)
  }
  let response, answer
  try {
    response = await fetch(path, options)
    answer = await response.json()
  } catch {
    throw new Refusal('offline', words.offline)
  }
  if (response.ok) return answer
  throw new Refusal(answer?.error?.code, answer?.error?.message ?? words.broken)
}

/**
 * Listens to a part, if the page has it, and enables its buttons. The server renders those that need a script disabled: a press
 * before the script has come would be lost.
 */
export function listen (id, event, listener) {
  const part = byId(id)
  part?.addEventListener(event, listener)
  for (const button of part?.matches('button') ? [part] : part?.querySelectorAll('button') ?? []) button.disabled = false
}

/** Between one question to the server and the next. */
export const pause = () => new Promise((resolve) => setTimeout(resolve, 1500))

/** Copies, and tells the region `id` so. */
export async function copy (text, id, copied, failed) {
  try {
    await navigator.clipboard.writeText(text)
    tell(id, copied)
  } catch {
    complain(failed)
  }
}

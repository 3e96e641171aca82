// The sandbox's wallet, announced as browser wallets announce themselves (EIP-6963). Its keys are on the sandbox's side.
const own = document.querySelector('script[data-sandbox]')
const { visitor, sandbox } = own.dataset

async function request({ method, params = [] }) {
  const response = await fetch('/sandbox/wallet', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ method, params }),
  })
  const answer = await response.json()
  if (response.ok) return answer.result
  throw Object.assign(new Error(answer.error.message), { code: answer.error.code })
}

const icon = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect width='32' height='32' rx='8' fill='%234a49c9'/%3E%3Cpath d='M8 11h16v11H8z' fill='none' stroke='white' stroke-width='2'/%3E%3Ccircle cx='20' cy='16.5' r='1.6' fill='white'/%3E%3C/svg%3E"
const detail = Object.freeze({
  info: Object.freeze({
    uuid: '5d1c3c0e-6f5b-4a44-9d6b-0d6f6f2a7e11',
    name: visitor ? `Sandbox wallet of ${visitor}` : 'Sandbox wallet',
    icon,
    rdns: 'io.amser.sandbox',
  }),
  provider: Object.freeze({ request, on() {}, removeListener() {} }),
})
const announce = () => window.dispatchEvent(new CustomEvent('eip6963:announceProvider', { detail }))
window.addEventListener('eip6963:requestProvider', announce)
announce()

// Says where this is, and leads back.
const bar = document.createElement('aside')
bar.className = 'sandbox-bar'
bar.setAttribute('aria-label', 'Sandbox')
const back = document.createElement('a')
back.href = sandbox
back.textContent = 'Back to the sandbox'
bar.append(visitor ? `Sandbox: on Discord you are ${visitor}. ` : 'Sandbox. ', back)
document.body.append(bar)
